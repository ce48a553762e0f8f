"""The note that the core writer leaves beside a core: read strictly, or not at all."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evdiag.analyze.times import time_words, utc_words
from evdiag.model.incident import CaptureNote
from evdiag.parse.capture_note import MAX_NOTE, SCHEMA, Unusable, read_note

WRITTEN = {
    "schema": SCHEMA,
    "core": "core.ocpp:OCPP201.33.1763840000",
    "pid": 33,
    "tid": 35,
    "signal": 11,
    "si_code": 1,
    "fault_address": "0xbb8",
    "sender_pid": None,
    "sender_uid": None,
    "comm": "ocpp:OCPP201",
    "thread": "OCPP201",
    "executable": "/opt/everest/libexec/everest/modules/OCPP201/OCPP201",
    "argv": ["ocpp:OCPP201", "--prefix", "/opt/everest"],
    "started": "2026-11-22T07:01:50.120Z",
    "crashed_at": "2026-11-22T07:01:54.601Z",
    "threads": 29,
    "bytes": 251500000,
    "bytes_on_disk": 7400000,
    "truncated": False,
    "missing_bytes": 0,
    "error": None,
    "stop_ms": 0.7,
    "write_ms": 10.8,
    "removed": ["core.x.1.2"],
    "writer": "evdiag core-writer 1",
}


def written(**other: object) -> bytes:
    return json.dumps({**WRITTEN, **other}).encode()


def test_what_the_core_writer_notes() -> None:
    note = read_note(written())

    assert note == CaptureNote(
        core="core.ocpp:OCPP201.33.1763840000",
        pid=33,
        tid=35,
        signal=11,
        si_code=1,
        fault_address=0xBB8,
        comm="ocpp:OCPP201",
        thread="OCPP201",
        executable="/opt/everest/libexec/everest/modules/OCPP201/OCPP201",
        argv=("ocpp:OCPP201", "--prefix", "/opt/everest"),
        started=1795330910.12,
        crashed_at=1795330914.601,
        bytes=251500000,
        removed=("core.x.1.2",),
    )
    assert utc_words(note.crashed_at) == "2026-11-22 07:01:54.601 UTC"


def test_what_it_notes_when_the_disk_is_full() -> None:
    error = "No space left on device " + "x" * 400

    note = read_note(written(core=None, error=error, fault_address=None, thread="", comm=""))

    assert isinstance(note, CaptureNote)
    assert (note.core, note.fault_address, note.thread, note.comm) == (None, None, None, None)
    assert note.error is not None
    assert note.error.startswith("No space left on device xxx")
    assert note.error.endswith("…")
    assert len(note.error) == 200


def test_only_core_pid_and_signal_are_needed() -> None:
    bare = {"schema": SCHEMA, "core": "core", "pid": 1, "signal": 6, "new in version 2": [{}]}

    note = read_note(json.dumps(bare).encode())

    assert note == CaptureNote(core="core", pid=1, signal=6)
    assert utc_words(note.started) is None


def test_a_name_that_is_no_text_hides_no_crash() -> None:
    note = read_note(written().replace(b'"thread": "OCPP201"', b'"thread": "\xff\xfe"'))

    assert isinstance(note, CaptureNote)
    assert note.thread == "\ufffd\ufffd"


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"schema": "evdiag.capture/2"}, f"its schema is evdiag.capture/2, and only {SCHEMA}"),
        ({"pid": "33"}, "Expected `int`, got `str` - at `$.pid`"),
        ({"pid": None}, "Expected `int`, got `null` - at `$.pid`"),
        ({"pid": -1}, "at `$.pid`"),
        ({"pid": 1 << 70}, "at `$.pid`"),
        ({"signal": 0}, "at `$.signal`"),
        ({"signal": 65}, "at `$.signal`"),
        ({"fault_address": "3000"}, "at `$.fault_address`"),
        ({"fault_address": "0x" + "f" * 17}, "at `$.fault_address`"),
        ({"core": "../../etc/passwd"}, "at `$.core`"),
        ({"core": ""}, "at `$.core`"),
        ({"core": "x" * 256}, "at `$.core`"),
        ({"removed": ["a/b"]}, "at `$.removed[0]`"),
        ({"started": "2026-11-22T07:01:50"}, "at `$.started`"),
        ({"crashed_at": "yesterday"}, "at `$.crashed_at`"),
        ({"argv": ["a"] * 10_001}, "at `$.argv`"),
        ({"argv": "a b"}, "at `$.argv`"),
        ({"truncated": 1}, "at `$.truncated`"),
        ({"missing_bytes": -4}, "at `$.missing_bytes`"),
    ],
)
def test_what_is_not_as_documented_is_not_used(changed: dict[str, object], reason: str) -> None:
    read = read_note(written(**changed))

    assert isinstance(read, Unusable)
    assert not read.is_foreign
    assert reason in read.reason


def test_a_core_is_not_called_like_a_folder() -> None:
    for name in (".", ".."):
        note = read_note(written(core=name))
        assert isinstance(note, CaptureNote)
        assert note.core is None


def test_files_that_are_cut_or_too_large() -> None:
    cut = read_note(written()[:200])
    assert isinstance(cut, Unusable)
    assert not cut.is_foreign
    assert read_note(b"") == Unusable("it is empty")
    assert read_note(b" " * (MAX_NOTE + 1)) == Unusable(f"it has more than {MAX_NOTE} bytes")


@pytest.mark.parametrize(
    "content",
    [b"{}", b"[]", b"7", b"x", b'{"schema": 7}', b'{"schema": "x"}', b"[" * 9000, b'{"a":' * 9000],
)
def test_files_of_others(content: bytes) -> None:
    read = read_note(content)

    assert isinstance(read, Unusable)
    assert read.is_foreign


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


@given(st.sampled_from(sorted(WRITTEN)), VALUES)
def test_no_value_makes_it_fail(name: str, value: object) -> None:
    read = read_note(written(**{name: value}))

    assert isinstance(read, CaptureNote | Unusable)
    if isinstance(read, CaptureNote):
        assert read.core is None or "/" not in read.core
        time_words(read.started)


@given(st.binary(max_size=300), st.integers(0, 900))
def test_no_bytes_make_it_fail(content: bytes, place: int) -> None:
    whole = written()
    assert isinstance(read_note(content), CaptureNote | Unusable)
    assert isinstance(read_note(whole[:place] + content + whole[place:]), CaptureNote | Unusable)


def test_times_that_no_calendar_has() -> None:
    assert time_words(1e300) is None
    assert utc_words(float("nan")) is None
