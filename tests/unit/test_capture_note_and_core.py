"""The core writer's note held against its core: where both speak, the core wins."""

import pytest
from msgspec.structs import replace

from evdiag.analyze.assemble import soft_errors
from evdiag.analyze.captured import (
    agreed,
    cause_of,
    seen,
    shown_signal,
    unusable,
    what_helps,
    with_arguments,
    with_name,
    without_doubles,
)
from evdiag.model.core import CoreFacts, Region, SignalFacts, StartupFacts
from evdiag.model.incident import CaptureNote
from evdiag.model.machine import X86_64
from evdiag.model.report import Thread
from evdiag.model.signals import SIGABRT, SIGSEGV

NOTE = CaptureNote(
    core="core.ocpp.33.1",
    pid=33,
    tid=35,
    signal=SIGSEGV,
    si_code=0,
    sender_pid=9,
    sender_uid=1000,
    comm="ocpp:OCPP201",
    thread="websocket",
    executable="/opt/everest/OCPP201",
    argv=("ocpp:OCPP201", "--prefix", "/opt/everest", "--module", "ocpp"),
    bytes=1000,
)
SOURCE = "core.ocpp.33.1.json"


def facts(**other: object) -> CoreFacts:
    known = {"pid": 33, "size": 1000, "signal": SignalFacts(number=SIGSEGV, code=1), **other}
    return CoreFacts(machine=X86_64, threads=(), **known)  # type: ignore[arg-type]


def test_both_agree() -> None:
    core = facts()

    found = agreed(NOTE, SOURCE, core)

    assert (found.note, found.facts, found.problems) == (NOTE, core, ())


@pytest.mark.parametrize("signal", [None, SignalFacts(number=SIGSEGV)])
def test_a_core_that_does_not_tell_why(signal: SignalFacts | None) -> None:
    found = agreed(NOTE, SOURCE, facts(signal=signal, pid=None))

    assert found.problems == ()
    assert found.facts.signal == SignalFacts(number=SIGSEGV, code=0, sender_pid=9, sender_uid=1000)


def test_the_note_of_another_process() -> None:
    core = facts(pid=34)

    found = agreed(NOTE, SOURCE, core)

    assert (found.note, found.facts) == (None, core)
    assert [error.message for error in found.problems] == [
        f"{SOURCE} tells of process 33, but the core is of process 34: the note is not used"
    ]


def test_another_signal() -> None:
    core = facts(signal=SignalFacts(number=SIGABRT))

    found = agreed(NOTE, SOURCE, core)

    assert (found.note, found.facts) == (NOTE, core)
    assert [error.message for error in found.problems] == [
        f"{SOURCE} says SIGSEGV, but the core SIGABRT: the core is believed"
    ]


@pytest.mark.parametrize(
    ("changed", "message", "hint"),
    [
        (
            {"truncated": True, "missing_bytes": 4096, "error": "No space left on device"},
            "4096 bytes are missing: No space left on device",
            "Make room there",
        ),
        ({"truncated": True}, f"({SOURCE}), it is cut", "Make room there"),
        ({"error": "ptrace: Input/output error"}, "Input/output error", "ptrace_scope"),
        ({"bytes": 1001}, "the core had 1001 bytes when it was written", "Copy it again"),
    ],
)
def test_bytes_that_are_missing(changed: dict[str, object], message: str, hint: str) -> None:
    found = agreed(replace(NOTE, **changed), SOURCE, facts())

    assert len(found.problems) == 1
    assert message in found.problems[0].message
    assert hint in (found.problems[0].hint or "")
    assert found.problems[0].effect == "stacks may be short, and values may be missing"


def test_a_note_that_does_not_know_the_size() -> None:
    assert agreed(replace(NOTE, bytes=None), SOURCE, facts()).problems == ()


def test_what_helps_against_it() -> None:
    assert "1777" in (what_helps("open: Permission denied") or "")
    assert "EVDIAG_CORES_MAX_BYTES" in (what_helps("over EVDIAG_CORES_MAX_BYTES") or "")
    assert what_helps("something else") is None
    assert what_helps(None) is None
    assert "missing" in (unusable(SOURCE, "it is empty").effect or "")


def test_the_whole_command_line() -> None:
    cut = StartupFacts(argv=("ocpp:OCPP201", "--prefix", "/opt/ever\ufffd"))

    assert with_arguments(cut, NOTE).argv == NOTE.argv
    assert with_arguments(StartupFacts(), NOTE).argv == NOTE.argv
    whole = StartupFacts(argv=("x",), complete=True)
    assert with_arguments(whole, NOTE) is whole
    other = StartupFacts(argv=("evse_manager:EvseManager", "--prefix"))
    assert with_arguments(other, NOTE) is other
    assert with_arguments(cut, replace(NOTE, argv=())) is cut


def test_the_thread_has_its_name() -> None:
    threads = [Thread(number=1, lwp=35, crashed=True), Thread(number=2, lwp=33)]

    assert [thread.name for thread in with_name(threads, NOTE)] == ["websocket", None]
    assert with_name(threads, replace(NOTE, tid=33)) == threads
    assert with_name(threads, replace(NOTE, thread=None)) == threads
    assert with_name(threads, replace(NOTE, thread=NOTE.comm)) == threads


def test_a_crash_without_a_core() -> None:
    lost = seen(NOTE)

    assert (lost.path, lost.pid, lost.module_id, lost.program) == ("", 33, "ocpp", "OCPP201")
    assert (lost.moment, lost.is_timed) == (None, False)
    timed = replace(lost, note=replace(NOTE, crashed_at=5.0), written=3.0)
    assert (timed.moment, timed.is_timed) == (5.0, True)
    assert replace(lost, written=3.0).moment == 3.0
    bare = seen(CaptureNote(pid=1, signal=6))
    assert (bare.module_id, bare.program, bare.is_timed) == (None, None, False)
    assert replace(bare, note=None, written=2.0).moment == 2.0


@pytest.mark.parametrize(
    ("changed", "cls", "confidence"),
    [
        ({}, "sent-signal", "medium"),
        ({"si_code": 1, "fault_address": 0x18}, "null-access", "medium"),
        ({"signal": 6, "si_code": -6, "sender_pid": 33}, "abort", "medium"),
        ({"si_code": None}, "unknown", "low"),
    ],
)
def test_what_signal_and_address_say(changed: dict[str, object], cls: str, confidence: str) -> None:
    cause = cause_of(replace(NOTE, **changed))

    assert (cause.cls, cause.confidence) == (cls, confidence)


def test_the_signal_in_a_report() -> None:
    shown = shown_signal(replace(NOTE, si_code=1, fault_address=0x18))

    assert (shown.name, shown.code_name, str(shown.fault_address)) == (
        "SIGSEGV",
        "SEGV_MAPERR",
        "0x18",
    )
    bare = shown_signal(CaptureNote(pid=1, signal=6))
    assert (bare.code_name, bare.fault_address) == (None, None)


def test_two_cores_of_one_crash() -> None:
    ours = replace(seen(NOTE), path="core.ocpp.33.1", note=replace(NOTE, crashed_at=100.0))
    kernel = replace(ours, path="core", note=None, written=101.0)

    assert without_doubles([kernel, ours]) == ([ours], [(kernel, ours)])
    cut = replace(ours, is_whole=False)
    assert without_doubles([kernel, cut]) == ([kernel], [(cut, kernel)])
    both_cut = [replace(kernel, is_whole=False), cut]
    assert without_doubles(both_cut) == ([cut], [(both_cut[0], cut)])


@pytest.mark.parametrize(
    "changed", [{"written": 400.0}, {"written": 98.0}, {"written": None}, {"pid": 34}]
)
def test_cores_of_several_crashes(changed: dict[str, object]) -> None:
    ours = replace(seen(NOTE), path="core.ocpp.33.1", note=replace(NOTE, crashed_at=100.0))
    other = replace(ours, **{"path": "core", "note": None, "written": 101.0, **changed})

    assert without_doubles([ours, other]) == ([ours, other], [])
    untimed = replace(ours, note=NOTE)
    assert without_doubles([untimed, other]) == ([untimed, other], [])


def test_a_cut_that_the_writer_has_explained_is_told_once() -> None:
    region = Region(start=0, end=8, flags=4, offset=0, wanted=8, present=4)
    cut = facts(regions=(region,))

    told = [
        soft_errors(cut, {}, (), set(), None, is_explained=explained) for explained in (False, True)
    ]

    assert [len(errors) for errors in told] == [1, 0]
