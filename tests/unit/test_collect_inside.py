"""What the program in a container tells for a bundle."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evdiag.parse.collect_inside import LONGEST_DOCUMENT, UnreadableInside, read_inside


def test_a_document() -> None:
    document = {
        "now": 1.5, "errors": {"df": "No such file"}, "core_pattern": "core\n",
        "processes": [{"pid": 1, "parent": 0, "argv": ["/bin/sh", "-c"]}],
        "files": [{"path": "/tmp/everest-logs/core", "size": 5, "disk": 4096, "time": 2.5}],
        "limits": {"of": "process 1", "text": "Max core file size"}, "unknown": 1,
    }  # fmt: skip
    found = read_inside(json.dumps(document).encode())
    assert found.processes[0].argv == ("/bin/sh", "-c")
    assert found.files is not None
    assert (found.files[0].path, found.files[0].size) == ("/tmp/everest-logs/core", 5)
    assert found.limits is not None
    assert found.limits.of == "process 1"
    assert found.errors == {"df": "No such file"}
    assert found.memory is None


@pytest.mark.parametrize(
    "printed",
    [
        b"",
        b"null",
        b'{"errors": {}}',
        b'{"now": "1"}',
        b'{"now": 1, "files": [{"path": "/x", "size": -1}]}',
        b'{"now": 1, "files": [{"path": "/x", "size": 1e30}]}',
        b'{"now": 1, "processes": {}}',
        b"[" * 100_000,
        b"\xff\xfe",
        b'{"now": 1, "df": "' + b"x" * (1 << 18) + b'"}',
    ],
)
def test_what_is_none(printed: bytes) -> None:
    with pytest.raises(UnreadableInside):
        read_inside(printed)


def test_one_that_does_not_end() -> None:
    with pytest.raises(UnreadableInside, match="it printed"):
        read_inside(bytes(LONGEST_DOCUMENT + 1))


@given(st.binary(max_size=200) | st.text(max_size=50).map(lambda text: json.dumps([text]).encode()))
def test_nothing_else_is_raised(printed: bytes) -> None:
    with pytest.raises(UnreadableInside):
        read_inside(printed)
