"""The lines of the image's capture layer in EVerest's log."""

import pytest

from evdiag.analyze.no_core import why_no_core
from evdiag.model.incident import Member, Surroundings
from evdiag.model.logs import ExitStatus, LogEvent
from tests.support.log_lines import events_of, kinds

WRITTEN = (
    "evdiag capture: ocpp:OCPP201 pid 33 tid 35 died of signal 6: core.ocpp:OCPP201.33.1795385380 "
    "(16 threads, 0.3 MB on disk, 3 ms; truncated: EVDIAG_CORES_MAX_BYTES is reached)\n"
)
NOTHING = (
    "evdiag capture: no core of 33 ocpp:OCPP201 (signal 11): /usr/local/lib/evdiag/core-writer: "
    "No such file or directory\n"
)
NO_NOTE = "evdiag capture: core.ocpp.33.1.json: No space left on device\n"
THROWN = "terminate called after throwing an instance of 'x'\n  what():  first\nsecond\n"


def only(text: str) -> LogEvent:
    (event,) = events_of(text)
    return event


def test_a_core_that_was_written() -> None:
    event = only(WRITTEN)

    assert (event.kind, event.module_id, event.pid) == ("core-written", "ocpp", 33)
    assert event.status == ExitStatus(signal=6, core_dumped=True)
    assert event.detail == "core.ocpp:OCPP201.33.1795385380"


@pytest.mark.parametrize(
    ("name", "module"), [("ocpp:OCPP201", "ocpp"), ("iso15118_charge", "iso15118_charge")]
)
def test_a_core_that_could_not_be_written(name: str, module: str) -> None:
    event = only(NOTHING.replace("ocpp:OCPP201", name))

    assert (event.kind, event.module_id, event.pid) == ("no-core", module, 33)
    assert event.status == ExitStatus(signal=11, core_dumped=False)
    assert event.detail == "/usr/local/lib/evdiag/core-writer: No such file or directory"


@pytest.mark.parametrize("line", [WRITTEN, NOTHING, NO_NOTE, "evdiag capture: \n"])
def test_it_is_no_part_of_the_text_before(line: str) -> None:
    found = events_of(THROWN, line, "third\n")

    assert kinds(found)[:2] == ["terminate", "what"]
    assert found[1].detail == "first\nsecond"


def test_the_reason_is_told_where_there_is_not_even_a_note() -> None:
    crashed = Member(name="ocpp", pid=33, status=ExitStatus(signal=11))

    error = why_no_core(crashed, Surroundings(), (only(NOTHING), only(WRITTEN)))

    assert error.message.endswith("core-writer: No such file or directory")
    assert "EVDIAG_CORE_DIR" in (error.hint or "")
