"""Facts about a container from what its engine and its kernel say."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evdiag.model.incident import UNLIMITED, CorePattern, DiskSpace, Limits
from evdiag.model.report import Container
from evdiag.parse.container import (
    MAX_LABELS,
    read_core_pattern,
    read_disks,
    read_inspect,
    read_limits,
    read_oom_kills,
)

INSPECT = {
    "Id": "4f5b",
    "Image": "sha256:9ab1",
    "State": {"Status": "exited", "ExitCode": 137, "OOMKilled": True, "Pid": 0},
    "Config": {"Image": "everest-demo:2026.10", "Labels": {"evdiag": "1", "odd": 7}},
    "HostConfig": {
        "Ulimits": [
            {"Name": "nofile", "Soft": 1024, "Hard": 2048},
            {"Name": "core", "Soft": -1, "Hard": -1},
        ]
    },
}

LIMITS = """\
Limit                     Soft Limit           Hard Limit           Units
Max cpu time              unlimited            unlimited            seconds
Max core file size        0                    unlimited            bytes
"""

EVENTS = "low 0\nhigh 0\nmax 1024\noom 3\noom_kill 2\noom_group_kill 0\n"
CONTROL = "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n"

DF = """\
Filesystem     1K-blocks     Used Available Use% Mounted on
overlay         61255492 61255492         0 100% /
tmpfs              65536        0     65536   0% /my logs
broken
"""


@pytest.mark.parametrize("document", [INSPECT, [INSPECT]])
def test_what_the_engine_says(document: object) -> None:
    read = read_inspect(json.dumps(document).encode())

    assert read == (
        Container(
            image="everest-demo:2026.10",
            digest="sha256:9ab1",
            labels={"evdiag": "1"},
            state="exited",
            exit_code=137,
            oom_killed=True,
        ),
        Limits(soft=UNLIMITED, hard=UNLIMITED),
    )


def test_an_engine_that_says_little() -> None:
    read = read_inspect(b'{"State": {"Status": "", "ExitCode": true, "OOMKilled": 1}}')

    assert read == (Container(), None)
    many = {"Config": {"Labels": {str(n): "x" for n in range(MAX_LABELS + 9)}}}
    read = read_inspect(json.dumps(many).encode())
    assert read is not None
    assert len(read[0].labels) == MAX_LABELS
    bare = {"State": {"ExitCode": 1}, "HostConfig": {"Ulimits": [1, {"Name": "nofile"}]}}
    assert read_inspect(json.dumps(bare).encode()) == (Container(exit_code=1), None)


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b"[[1]]", b"7", b'{"State": 1}', b"\xff", b"[" * 100_000]
)
def test_what_no_engine_says(text: bytes) -> None:
    assert read_inspect(text) is None


def test_killed_for_want_of_memory() -> None:
    assert read_oom_kills(EVENTS) == 2
    assert read_oom_kills(CONTROL) == 1
    assert read_oom_kills("oom_kill_disable 0\nunder_oom 0\n") is None
    assert read_oom_kills("oom_kill -1\noom_kill x\noom_kill") is None


def test_limits_for_cores() -> None:
    assert read_limits(LIMITS) == Limits(soft=0, hard=UNLIMITED)
    assert read_limits("Max core file size 12 what bytes") == Limits(soft=12)
    assert read_limits("Max cpu time 1 1 seconds") is None


@pytest.mark.parametrize(
    ("text", "uses_pid", "pattern"),
    [
        ("core\n", "0\n", CorePattern(text="core", kind="relative")),
        ("core\n", "1\n", CorePattern(text="core", kind="relative", names_pid=True)),
        (
            "/tmp/cores/core.%e.%p\n",
            "",
            CorePattern(text="/tmp/cores/core.%e.%p", kind="absolute", names_pid=True),
        ),
        ("core.%%p", "", CorePattern(text="core.%%p", kind="relative")),
        (
            "|/usr/share/apport/apport -p%p -s%s",
            "",
            CorePattern(
                text="|/usr/share/apport/apport -p%p -s%s",
                kind="pipe",
                handler="apport",
                names_pid=True,
            ),
        ),
        ("|", "", CorePattern(text="|", kind="pipe")),
        ("@/run/core.socket", "", CorePattern(text="@/run/core.socket", kind="socket")),
        ("", "", None),
        ("a\nb", "", None),
        ("a\0b", "", None),
    ],
)
def test_where_cores_go(text: str, uses_pid: str, pattern: CorePattern | None) -> None:
    assert read_core_pattern(text, uses_pid) == pattern


def test_space_on_disks() -> None:
    assert read_disks(DF) == (
        DiskSpace(mounted_on="/", available=0),
        DiskSpace(mounted_on="/my logs", available=65536 * 1024),
    )
    assert read_disks("") == ()
    assert read_disks("Filesystem Size\n/dev 1 2 3 4 /\n") == ()


@given(st.binary(max_size=400))
def test_nothing_makes_them_fail(content: bytes) -> None:
    text = content.decode("utf-8", "replace")
    read_inspect(content)
    for read in (read_oom_kills, read_limits, read_core_pattern, read_disks):
        read(text)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_no_shape_of_a_document_makes_it_fail(value: object) -> None:
    for name in ("State", "Config", "HostConfig"):
        for part in (value, {"Labels": value, "Ulimits": value, "OOMKilled": value}):
            read_inspect(json.dumps({"State": {"Status": "x"}, name: part}).encode())
