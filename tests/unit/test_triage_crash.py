"""From what is kept of a core to the crash that it tells of."""

import pytest

from evdiag.adapters.signature_lists import signature_lists
from evdiag.analyze.causes import RULES
from evdiag.analyze.triage.crash import crash_of, placed, texts, with_texts
from evdiag.model.core import ModuleIdentity, SignalFacts
from evdiag.model.crash import CrashFacts
from evdiag.model.report import Report, Thread
from evdiag.model.traced import Traced
from evdiag.model.triage import Crash, Place
from tests.support.sample_stacks import START, Row, frames_of, libc, own

LISTS = signature_lists()
MODULE = ModuleIdentity(id="evse_manager_1", type="EvseManager")


def traced(*rows: Row, **more: object) -> Traced:
    """A null pointer that was read, with this stack."""
    frames = frames_of(rows)
    evidence = CrashFacts(
        signal=SignalFacts(number=11, code=1, address=0),
        pid=7,
        frames=frames,
        threads=(Thread(number=1, lwp=7, crashed=True, frames=frames),),
    )
    return Traced(evidence=evidence, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_the_class_is_that_of_the_rules(rule: object) -> None:
    for facts, cls in rule.matches:  # type: ignore[attr-defined]
        crash = crash_of(Traced(evidence=facts, name="module"), LISTS)
        assert crash.cls == cls
        assert crash.title.startswith(f"module: {cls}")
        assert crash.hash


def test_a_module_of_everest() -> None:
    crash = crash_of(
        traced(
            own("Session::energy()"),
            own("main"),
            *START,
            identity=MODULE,
            executable="/opt/EvseManager",
            build_id="ab12",
            crashed_at=1_700_000_000.25,
            bytes=4096,
            truncated=True,
        ),
        LISTS,
    )
    assert crash.program == "EvseManager"
    assert crash.module_id == "evse_manager_1"
    assert crash.title.startswith("evse_manager_1 (EvseManager): null")
    assert crash.place.function == "Session::energy()"
    assert crash.place.file == "/src/EvseManager.cpp"
    assert crash.proto == ("Session::energy", "main")
    assert (crash.pid, crash.signal, crash.build_id) == (7, "SIGSEGV", "ab12")
    assert (crash.bytes, crash.truncated) == (4096, True)
    assert crash.seen == "2023-11-14 22:13:20.250 UTC"
    assert crash.symbols
    assert not crash.anonymous


def test_a_program_is_called_as_its_file() -> None:
    crash = crash_of(traced(own("f"), executable="/opt/station", name="renamed"), LISTS)
    assert (crash.program, crash.module_id, crash.seen) == ("station", None, None)
    assert crash.title.startswith("station: null")


def test_frames_without_names() -> None:
    assert not crash_of(traced(own(None), own("main")), LISTS).symbols
    assert crash_of(traced(own("f"), libc(None)), LISTS).symbols


def test_a_stack_without_the_application_is_anonymous() -> None:
    crash = crash_of(traced(libc("memcpy")), LISTS)
    assert crash.anonymous
    assert crash.symbols


def test_without_a_stack_there_is_no_place() -> None:
    crash = crash_of(Traced(evidence=CrashFacts(), name="gone"), LISTS)
    assert crash.place == Place()
    assert crash.signal is None
    assert crash.title.startswith("gone: snapshot")


def test_the_time_of_the_file_counts_where_none_was_noted() -> None:
    found = placed(Crash(path=""), "a/core", content="12", written=1.0, image="charger:1")
    assert (found.path, found.content, found.image) == ("a/core", "12", "charger:1")
    assert found.seen == "1970-01-01 00:00:01.000 UTC"
    known = placed(Crash(path="", seen="then"), "a/core", content="12", written=1.0, image=None)
    assert known.seen == "then"


def test_texts_come_back_as_a_report_tells_them() -> None:
    crash = Crash(path="core", title="t", summary="s", signature="sig", proto=("f",), hash="1")
    assert with_texts(crash, texts(crash)) == crash
    told = with_texts(crash, Report(title="less"))
    assert (told.title, told.summary, told.signature, told.proto) == ("less", "", None, ())
    assert told.hash == "1"
