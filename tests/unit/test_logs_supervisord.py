"""supervisord's log: real lines of version 4.3 (those of 4.0 and 4.2 have the same words)."""

from evdiag.model.logs import ExitStatus, LogEvent
from evdiag.parse.logs.supervisord import MOST_PROGRAMS
from tests.support.log_lines import TEXTS, events_of, kinds


def real() -> list[LogEvent]:
    return events_of((TEXTS / "supervisord.log").read_bytes())


def of(program: str) -> list[LogEvent]:
    return [event for event in real() if event.module_id == program]


def said(text: str) -> LogEvent:
    (event,) = events_of(f"2026-11-22 18:37:33,620 WARN {text}\n")
    return event


def test_a_program_that_crashed() -> None:
    started, ended, *_ = of("segfault")
    assert (started.kind, started.pid, started.time) == ("service-start", 24470, 1795372651.615)
    assert (ended.kind, ended.pid, ended.detail) == ("service-exit", 24470, "not expected")
    assert ended.status == ExitStatus(signal=11, core_dumped=True)


def test_how_programs_ended() -> None:
    ends = {e.module_id: (e.status, e.detail) for e in real() if e.kind == "service-exit"}
    killed, term = ExitStatus(signal=9, core_dumped=False), ExitStatus(signal=15, core_dumped=False)
    assert ends["aborted"] == (ExitStatus(signal=6, core_dumped=True), "not expected")
    assert ends["rt"] == (ExitStatus(signal=40, core_dumped=False), "not expected")
    assert ends["status1"] == (ExitStatus(code=1), "not expected")
    assert ends["status0"] == (ExitStatus(code=0), "expected")
    assert ends["long"] == (term, "stopped by supervisord")
    assert ends["stubborn"] == (killed, "stopped by supervisord")


def test_a_program_that_never_ran() -> None:
    assert [event.detail for event in real() if event.kind == "error"] == [
        "spawnerr: can't find command '/opt/missing'",
        "spawnerr: can't find command '/opt/missing'",
        "gave up: too many start retries too quickly",
        "gave up: too many start retries too quickly",
    ]
    assert kinds(of("early")).count("service-exit") == 2


def test_other_words_for_signals() -> None:
    assert said("exited: x (terminated by SIGIOT; not expected)").status == ExitStatus(
        signal=6, core_dumped=False
    )
    assert said("exited: x (terminated by SIGFOO; not expected)").status is None
    assert said("exited: x (unknown termination cause 0x137f; not expected)").status is None


def test_names_with_spaces_and_brackets() -> None:
    assert said("exited: my (own) program (exit status 1; not expected)").module_id == "my"
    assert said("exited: a b (exit status 1; not expected)").module_id == "a b"


def test_other_records_tell_nothing() -> None:
    assert events_of("2026-11-22 18:37:33,620 WARN  exited: \n") == []
    assert (
        events_of("2026-11-22 18:37:33,620 INFO received SIGTERM indicating exit request\n") == []
    )


def test_no_more_programs_are_remembered_than_there_can_be() -> None:
    head = "2026-11-22 18:37:33,620 INFO"
    log = "".join(f"{head} spawned: 'p{i}' with pid {i}\n" for i in range(MOST_PROGRAMS + 1))
    last = MOST_PROGRAMS
    found = events_of(
        log,
        f"{head} exited: p{last} (exit status 0; expected)\n",
        f"{head} exited: p0 (exit status 0; expected)\n",
    )
    assert [event.pid for event in found[-2:]] == [None, 0]
