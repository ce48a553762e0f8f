"""What led to a crash: one list out of many files, and how it is shown."""

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evdiag.analyze.happenings import (
    MOST_REMEMBERED,
    SOON,
    answered,
    by_one_clock,
    folded,
    once,
    zone,
)
from evdiag.analyze.timeline import (
    LITTLE,
    LONGEST,
    MOST_AFTER,
    MOST_BEFORE,
    Subject,
    brief,
    crashes,
    span,
    subject,
    timeline,
    told_by_logs,
    zone_of,
)
from evdiag.model.incident import CaptureNote, CoreSeen, Member
from evdiag.model.logs import KINDS, ExitStatus, LogEvent
from evdiag.model.report import Report, TimelineEvent
from evdiag.model.timeline import HAPPENINGS, LOCAL, Happening, Moment
from evdiag.model.timeline import UTC as WORLD
from evdiag.parse.timeline import READERS
from evdiag.report import markdown, terminal
from evdiag.report.timeline import MOST_LINES, rows, section, title, what, when, who
from tests.support.log_lines import TEXTS
from tests.unit.test_causality import core, events, head, only

AT = datetime(2026, 11, 23, 4, 2, 31, 221_000, UTC).timestamp()
WHO = Subject(moment=Moment(time=AT), module="ocpp", pid=506, text="ocpp (pid 506) crashed")
READ = {reader.id: reader.read for reader in READERS}


def happened(words: str, offset: float, **more: object) -> Happening:
    facts = {"kind": "session", "source": "a", "time": AT + offset, "text": words, **more}
    return Happening(**facts)  # type: ignore[arg-type]  # names of Happening


def call(number: int, offset: float, *, answer: bool = False, **more: object) -> Happening:
    facts = {
        "kind": "ocpp",
        "call": str(number),
        "direction": "from_csms" if answer else "to_csms",
        "is_answer": answer,
        "name": "Odd",
        **more,
    }
    return happened("Accepted" if answer else "Odd 1", offset, **facts)


def noted(crashed_at: float | None, pid: int = 506, module: str | None = "ocpp") -> CoreSeen:
    note = CaptureNote(pid=pid, signal=6, crashed_at=crashed_at)
    return CoreSeen(path=f"x/core.{pid}", pid=pid, module_id=module, signal=6, note=note)


def sample(name: str, reader: str) -> list[Happening]:
    return list(READ[reader](name, [(TEXTS / "timeline" / name).read_bytes()]))


def said(told: tuple[TimelineEvent, ...]) -> list[tuple[float | None, str]]:
    return [(event.offset, event.text) for event in told]


# -- clocks


@pytest.mark.parametrize(
    ("pairs", "ahead"),
    [
        ([], None),
        ([(3600.2, 0.0)], 3600.0),
        ([(-20_700.0, 0.5)], -20_700.0),
        ([(1800.0, 0.0), (1801.0, 0.0), (0.0, 0.0)], 1800.0),
        ([(7200.0, 0.0), (0.0, 0.0)], 0.0),
        ([(400.0, 0.0)], None),
        ([(900_000.0, 0.0)], None),
    ],
)
def test_the_zone_of_a_clock(pairs: list[tuple[float, float]], ahead: float | None) -> None:
    assert zone(pairs) == ahead


def test_a_zone_by_what_the_core_writer_noted() -> None:
    told = [
        LogEvent(kind="module-exit", source="l", line=1, text="", time=AT + 3601, module_id="ocpp"),
        LogEvent(kind="core-written", source="l", line=2, text="", time=AT + 3600, pid=506),
        LogEvent(kind="module-exit", source="l", line=3, text="", time=AT, module_id="api"),
        LogEvent(kind="module-exit", source="l", line=4, text="", module_id="ocpp"),
        LogEvent(kind="what", source="l", line=5, text="", time=AT, module_id="ocpp"),
    ]  # fmt: skip
    cores = [noted(AT), noted(AT, 7, None), noted(None, 8), core("api", 9)]
    assert zone_of([], cores, told) == 3600
    assert zone_of([(AT, AT)], cores, told) == 0
    assert zone_of([], [], told) is None


def test_times_by_one_clock() -> None:
    local = happened("a", 3600, clock=LOCAL)
    nothing = happened("c", 0, time=None)
    assert [each.time for each in by_one_clock([local, happened("b", 0), nothing], 3600)] == [
        AT,
        AT,
    ]
    assert [each.time for each in by_one_clock([local], None)] == [AT + 3600]


# -- one list


def test_what_two_files_tell_is_told_once() -> None:
    told = [
        happened("a", 0), happened("a", 0.1, source="b"), happened("a", 1),
        happened("a", 1.1, source="b"), happened("b", 1.2), happened("a", 1.3),
        happened("a", 9, source="b"),
    ]  # fmt: skip
    assert [each.time - AT for each in once(told) if each.time] == pytest.approx(
        [0, 1, 1.2, 1.3, 9]
    )
    many = [happened("a", 0, source=str(n)) for n in range(3 * MOST_REMEMBERED)]
    assert len(once(many)) == 1
    repeated = [happened("a", 0) for _ in range(3 * MOST_REMEMBERED)]
    assert len(once(repeated)) == len(repeated)


def test_requests_and_their_answers() -> None:
    told = answered([
        call(1, 0), call(2, 0.1), call(1, 0.2, answer=True), call(3, 0.3, answer=True),
        call(4, 0.4), call(4, 0.5), call(2, 3.2, answer=True), call(5, 4),
        call(5, 4.1, answer=True, text="error GenericError"),
        happened("x", 5), call(6, 6, answer=True, call=None),
    ])  # fmt: skip
    assert [(each.happening.text, each.answered, each.answered_after) for each in told] == [
        ("Odd 1: Accepted", True, pytest.approx(0.2)),
        ("Odd 1", True, pytest.approx(3.1)),
        ("answer to Odd: Accepted", None, None),
        ("Odd 1", False, None),
        ("Odd 1", False, None),
        ("answer to Odd: Accepted", None, None),
        ("Odd 1: error GenericError", True, pytest.approx(0.1)),
        ("x", None, None),
        ("answer to Odd: Accepted", None, None),
    ]
    v2g = {"kind": "v2g", "direction": "from_car", "text": "V2G A", "call": "A", "routine": "A"}
    back = {**v2g, "direction": "to_car", "name": "", "is_answer": True}
    pair = answered([happened("", 0, **v2g), happened("", SOON * 2, **back)])
    assert [each.happening.text for each in pair] == ["V2G A", "answer to V2G A"]
    assert pair[0].happening.routine is None


def test_routine_is_folded_between_two_other_things() -> None:
    told = answered([
        happened("beat", 0, routine="b"), happened("meter", 1, routine="m"),
        happened("beat 2", 2, routine="b"), happened("x", 3), happened("beat", 4, routine="b"),
        call(1, 5, routine="b"), call(2, 5.5, routine="b"), happened("beat", 6, routine="b"),
        call(3, 7, routine="b"), call(3, 7.5, answer=True),
    ])  # fmt: skip
    assert [(each.happening.text, each.count, each.answered) for each in folded(told)] == [
        ("meter", 1, None), ("beat 2", 2, None), ("x", 1, None), ("Odd 1", 2, False),
        ("beat", 2, None), ("Odd 1: Accepted", 1, True),
    ]  # fmt: skip


# -- what logs tell


def test_the_events_of_logs() -> None:
    told = told_by_logs(head())
    assert [each.kind for each in told] == [
        *("manager-start", "terminate", "module-exit"),
        *("module-stopped", "module-stopped", "module-stopped", "manager-exit"),
    ]
    assert told[0].text == "manager: Starting 4 modules"
    assert told[1].text == (
        "terminate called after throwing an instance of 'std::out_of_range': key 'status' not found"
    )
    assert told[2].text.startswith("manager: Module ocpp exited unexpectedly")
    assert told[2].module == "ocpp"


def test_events_of_logs_that_repeat() -> None:
    def event(line: int, **more: object) -> LogEvent:
        facts = {"kind": "error", "source": "l", "line": line, "text": "t", **more}
        return LogEvent(**facts)  # type: ignore[arg-type]  # names of LogEvent

    gone = ExitStatus(signal=15)
    told = told_by_logs([
        event(1), event(2, time=5.0), event(2, time=6.0, kind="reset"), event(3, kind="what"),
        event(4, kind="module-stopped", module_id="a"),
        event(5, kind="module-stopped", module_id="a", status=gone, time=7.0),
        event(6, kind="module-stopped", module_id="b"),
        event(7, kind="module-exit", module_id="c"),
        event(8, kind="module-exit", module_id="c", status=gone, time=8.0),
        event(9, kind="manager-start", time=9.0),
        event(10, kind="module-exit", module_id="c", status=gone, time=10.0),
        event(11),
    ])  # fmt: skip
    assert [(each.kind, each.time) for each in told] == [
        ("error", 5.0), ("error", 5.0), ("what", 7.0), ("module-stopped", 7.0),
        ("module-stopped", 9.0), ("module-exit", 9.0), ("manager-start", 9.0),
        ("module-exit", 10.0), ("error", None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("2026-11-23 04:02:20,070 WARN exited: everest (1)", "exited: everest (1)"),
        ("2026-11-23 04:02:20.07 [CRIT] manager         void f() :: gone\nmore", "manager: gone"),
        ("free(): invalid pointer", "free(): invalid pointer"),
        ("x" * 900, "x" * LONGEST + "…"),
    ],
)
def test_the_first_line_of_a_record(text: str, words: str) -> None:
    assert brief(text) == words


# -- whom it is about


def test_the_moment_of_a_crash() -> None:
    end = LogEvent(kind="module-exit", source="l", line=1, text="", time=5.0)
    member = Member(name="ocpp", pid=3, ends=(msgspec.structs.replace(end, time=None), end))

    by_note = subject(member, noted(AT))
    assert by_note == Subject(
        moment=Moment(time=AT),
        module="ocpp",
        pid=506,
        text="ocpp (pid 506) crashed with SIGABRT",
    )
    assert subject(Member(name="ocpp", lost=noted(AT)), None) == by_note
    by_log = subject(member, None)
    assert (by_log.moment, by_log.end) == (Moment(time=5.0, clock=LOCAL), end)
    by_file = subject(Member(), CoreSeen(path="c", written=9.0, program="bash"))
    assert (by_file.moment, by_file.is_guess) == (Moment(time=9.0), True)
    assert by_file.text == "bash crashed"
    assert subject(None, noted(None)).moment is None
    assert subject(None, CoreSeen(path="c", written=9.0)).text == "a process crashed"
    assert subject(Member(), None) == Subject()
    assert not subject(None, None).is_known


def test_the_time_that_is_read() -> None:
    assert span(Subject(), 0) is None
    assert span(WHO, 3600) == (AT - 600, AT + 30)
    local = Subject(moment=Moment(time=AT + 3600, clock=LOCAL))
    assert span(local, 3600) == (AT - 600, AT + 30)
    assert span(local, None) == (AT + 3000, AT + 3630)


# -- the list


def test_a_real_crash_of_ocpp_2_0_1() -> None:
    text = (
        "2026-11-23 04:02:31.215921 [INFO] ocpp:OCPP201     :: libocpp: Updating OCSP cache\n"
        "terminate called after throwing an instance of 'nlohmann::out_of_range'\n"
        "  what():  key 'status' not found\n"
        "evdiag capture: ocpp:OCPP201 pid 506 tid 750 died of signal 6: core.ocpp (29 threads)\n"
        "2026-11-23 04:02:31.292808 [CRIT] manager          :: Module ocpp exited unexpectedly, x\n"
    )
    happenings = [
        *told_by_logs(events(text)),
        *sample("ocpp-2.0.1.log", "ocpp"),
        *crashes([noted(AT), noted(AT - 12, 74, "api"), noted(None)]),
    ]

    told = timeline(WHO, happenings, 0.0)

    assert said(told) == [
        (-12, "api (pid 74) crashed with SIGABRT"),
        (-0.652, "websocket: Connecting"),
        (-0.324, "websocket: Connected"),
        (-0.317, "BootNotification PowerUp: Accepted, interval 60"),
        (-0.132, "SecurityEventNotification StartupOfTheDevice"),
        (-0.047, "StatusNotification Available, evse 1, connector 1"),
        (-0.005, "GetCertificateStatus: empty answer {}"),
        (0, "terminate called after throwing an instance of 'nlohmann::out_of_range': "
            "key 'status' not found"),
        (0, "ocpp (pid 506) crashed with SIGABRT"),
        (0, "evdiag capture: ocpp:OCPP201 pid 506 tid 750 died of signal 6: core.ocpp "
            "(29 threads)"),
        (0.071, "manager: Module ocpp exited unexpectedly, x"),
    ]  # fmt: skip
    assert [event.current for event in told].index(True) == 8
    assert told[6] == TimelineEvent(
        time="2026-11-23 04:02:31.216 UTC",
        offset=-0.005,
        kind="ocpp",
        text="GetCertificateStatus: empty answer {}",
        direction="to_csms",
        answered_after=0.002,
        source="ocpp-2.0.1.log",
    )


def test_a_request_without_an_answer() -> None:
    told = timeline(WHO, [call(1, -4), call(2, 1), call(3, -1), call(3, -0.5, answer=True)], 0.0)
    assert said(told) == [
        (-4, "Odd 1: no answer"),
        (-1, "Odd 1: Accepted"),
        (0, "ocpp (pid 506) crashed"),
    ]


def test_within_a_millisecond_the_order_is_that_of_the_files() -> None:
    """supervisord cuts off the microseconds that EVerest's log has."""
    after = [
        happened("exits", 0.0004, kind="manager-exit"),
        happened("exited", 0.0, kind="service-exit"),
    ]
    told = timeline(WHO, [happened("before", -1), *after], 0.0)
    assert said(told)[1:] == [(0, "ocpp (pid 506) crashed"), (0, "exits"), (0, "exited")]


def test_a_crash_that_only_a_log_tells_of() -> None:
    run = only([], head())
    (member, *_) = run.members
    told = timeline(subject(member, None), told_by_logs(head()), None)

    assert [event.kind for event in told] == [
        *("manager-start", "terminate", "module-exit", "module-stopped", "manager-exit"),
    ]
    (own,) = (event for event in told if event.current)
    assert (own.kind, own.module) == ("module-exit", "ocpp")
    assert own.time == "2026-11-22 07:01:10.200"
    assert told[3].text == "3 other modules ended"
    assert told[3].count == 3


def test_an_end_that_no_longer_is_in_the_list() -> None:
    end = LogEvent(kind="service-exit", source="l", line=1, text="", time=AT)
    who = Subject(moment=Moment(time=AT, clock=LOCAL), module="everest", end=end)
    assert said(timeline(who, [happened("x", -1)], None)) == [(-1, "x"), (0, "everest ended")]
    nameless = Subject(moment=Moment(time=AT, clock=LOCAL), end=end)
    assert said(timeline(nameless, [happened("x", -1)], None))[1] == (0, "the process ended")


def test_the_last_minute_or_more_where_little_happened() -> None:
    quiet = [happened(f"old {n}", -500 + n) for n in range(50)]
    told = timeline(WHO, quiet, 0.0)
    assert [event.text for event in told[:-1]] == [f"old {n}" for n in range(30, 50)]
    busy = [happened(f"new {n}", -50 + n / 10) for n in range(LITTLE)]
    assert [event.text for event in timeline(WHO, [*quiet, *busy], 0.0)[:-1]] == [
        f"new {n}" for n in range(LITTLE)
    ]
    flood = [happened(f"new {n}", -50 + n / 100) for n in range(3 * MOST_BEFORE)]
    assert len(timeline(WHO, flood, 0.0)) == MOST_BEFORE + 1


def test_nothing_near_is_nothing() -> None:
    assert timeline(WHO, [happened("x", -5000), happened("y", 5000)], 0.0) == ()
    assert timeline(WHO, [], 0.0) == ()


def test_only_what_explains_a_crash_comes_after_it() -> None:
    after = [happened("x", 1), happened("start", 2, kind="container")]
    after += [happened(f"s {n}", 3 + n, kind="service-start") for n in range(20)]
    told = timeline(WHO, [happened("same", 0, kind="service-exit"), *after], 0.0)
    assert [event.text for event in told[:3]] == ["ocpp (pid 506) crashed", "same", "start"]
    assert len(told) == MOST_AFTER + 1


def test_warnings_are_those_of_who_crashed() -> None:
    both = [happened(m, -1, kind="warning", module=m) for m in ("ocpp", "api")]
    assert [event.text for event in timeline(WHO, both, 0.0)[:-1]] == ["ocpp"]


def test_last_words_belong_to_the_crash_after_them() -> None:
    other = crashes([noted(AT - 2, 74, "api")])
    words = [
        happened("of api", -4, kind="terminate", clock=LOCAL),
        happened("of nobody", -20, kind="terminate", clock=LOCAL),
        happened("of ocpp", 0.02, kind="libc-message", clock=LOCAL),
        happened("no longer raw", -1, kind="module-error", clock=LOCAL),
        happened("core of api", -3, kind="core-written", clock=LOCAL, pid=74),
        happened("core of x", -3, kind="no-core", clock=LOCAL, pid=75),
    ]
    assert said(timeline(WHO, [*other, *words], 0.0)) == [
        (-20, "of nobody"),
        (-3, "core of x"),
        (-2, "of api"),
        (-2, "api (pid 74) crashed with SIGABRT"),
        (-2, "core of api"),
        (-1, "no longer raw"),
        (0, "of ocpp"),
        (0, "ocpp (pid 506) crashed"),
    ]


def test_a_guess_counts_only_where_something_happened() -> None:
    guess = msgspec.structs.replace(WHO, is_guess=True)
    assert [event.current for event in timeline(guess, [happened("x", -30)], 0.0)] == [False, True]
    (event,) = timeline(guess, [happened("x", -300)], 0.0)
    assert (event.offset, event.current) == (None, False)
    assert timeline(msgspec.structs.replace(guess, is_known=False), [happened("x", -300)], 0) == ()
    assert timeline(Subject(), [happened("b", 1), happened("a", 0)], 0.0)[0].text == "a"


def test_what_times_mean() -> None:
    local, utc = happened("a", -2, clock=LOCAL, precision=1.0), happened("b", -1)
    told = timeline(WHO, [local, utc], None)
    assert [event.time for event in told[:2]] == [
        "2026-11-23 04:02:29.221",
        "2026-11-23 04:02:30.221 UTC",
    ]
    assert [event.precision for event in told[:2]] == [1.0, None]
    assert (timeline(WHO, [local], 0.0)[0].time or "").endswith("UTC")


ANY = {
    "text": st.text(max_size=5),
    "source": st.sampled_from("ab"),
    "time": st.none() | st.floats(AT - 900, AT + 90) | st.just(AT) | st.floats(),
    "clock": st.sampled_from([LOCAL, WORLD]),
    "module": st.sampled_from([None, "ocpp", "api"]),
    "pid": st.sampled_from([None, 506, 74]),
    "routine": st.sampled_from([None, "r"]),
}
MESSAGES = ("ocpp", "v2g")
MESSAGE = st.builds(
    Happening,
    kind=st.sampled_from(MESSAGES),
    direction=st.sampled_from([None, "to_csms", "from_csms", "to_car", "from_car", "x"]),
    call=st.sampled_from([None, "1", "2"]),
    is_answer=st.booleans(),
    **ANY,
)
OTHER = st.builds(
    Happening,
    kind=st.sampled_from([kind for kind in (*HAPPENINGS, *KINDS) if kind not in MESSAGES]),
    **ANY,
)


@settings(max_examples=50)
@given(st.lists(OTHER | MESSAGE, max_size=15), st.sampled_from([None, 0.0, 3600.0]), st.booleans())
def test_any_list_is_in_order_and_has_the_crash_once(
    happenings: list[Happening], ahead: float | None, guess: bool
) -> None:
    who = msgspec.structs.replace(WHO, is_guess=guess)
    told = timeline(who, by_one_clock(happenings, ahead), ahead)
    offsets = [event.offset for event in told if event.offset is not None]
    assert offsets == sorted(offsets)
    assert sum(event.current for event in told) == bool(offsets)
    assert len(told) <= len(happenings) + 1


# -- shown


def shown(*told: TimelineEvent) -> str:
    return terminal.render(Report(timeline=told), 80)


OWN = TimelineEvent(
    offset=0.0, kind="crash", text="ocpp crashed", current=True, time="2026-11-23 04:02:31.221 UTC"
)


def test_the_rows_of_a_terminal() -> None:
    told = (
        *(TimelineEvent(offset=-90.0 + n, kind="session", text=f"old {n}") for n in range(20)),
        TimelineEvent(offset=-2.5, kind="ocpp", direction="to_csms", text="word " * 40),
        OWN,
        *(TimelineEvent(offset=1.0 + n, kind="service-start", text=f"s {n}") for n in range(9)),
    )
    page = shown(*told)
    assert "What led to the crash at 2026-11-23 04:02:31.221 UTC\n" in page
    assert "  … 14 more are in the JSON report\n" in page
    assert "→   0.000 s  crash       ocpp crashed\n" in page
    assert "   +4.000 s  supervisor  s 3\n" in page
    assert "s 4" not in page
    assert "old 8" not in page
    assert "  -81.000 s  session     old 9\n" in page
    assert page.count("word") < 40
    assert len([line for line in page.split("\n") if "word" in line]) <= MOST_LINES + 1
    text = markdown.render(Report(timeline=told))
    assert "### What led to the crash at 2026-11-23 04:02:31.221 UTC\n\n```\n" in text
    assert len(rows(Report(timeline=told), 8, 60)) == 9
    assert all(len(row) <= 60 for row in rows(Report(timeline=told), 24, 60))


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (TimelineEvent(time="2026-11-23 04:02:31.221 UTC"), "04:02:31.221"),
        (TimelineEvent(), ""),
        (TimelineEvent(offset=-0.0004), "-0.000 s"),
        (TimelineEvent(offset=0.0), "0.000 s"),
        (TimelineEvent(offset=-2.0, precision=1.0), "≈-2 s"),
        (TimelineEvent(offset=-1800.0), "-30 min"),
    ],
)
def test_when_it_was(event: TimelineEvent, words: str) -> None:
    assert when(event) == words


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (TimelineEvent(kind="ocpp", direction="to_csms"), "→ CSMS"),
        (TimelineEvent(kind="ocpp", direction="sideways"), "OCPP"),
        (TimelineEvent(kind="oom"), "kernel"),
        (TimelineEvent(kind="libc-message"), "log"),
        (TimelineEvent(kind="something of later"), "something of …"),
        (TimelineEvent(), ""),
    ],
)
def test_who_it_was(event: TimelineEvent, words: str) -> None:
    assert who(event) == words


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (TimelineEvent(text="manager: Starting"), "Starting"),
        (TimelineEvent(text="Heartbeat", count=5), "Heartbeat ×5"),
        (TimelineEvent(text="2 other modules ended", kind="module-stopped", count=2),
         "2 other modules ended"),
        (TimelineEvent(text="Odd", answered_after=4.02), "Odd (after 4.0 s)"),
        (TimelineEvent(text="Odd", answered_after=0.4), "Odd"),
        (TimelineEvent(kind="core-written", text="evdiag capture: a died of signal 6: c (1 ms)"),
         "wrote c (1 ms)"),
        (TimelineEvent(kind="core-written", text="odd"), "wrote odd"),
    ],
)  # fmt: skip
def test_what_it_was(event: TimelineEvent, words: str) -> None:
    assert what(event) == words


def test_what_is_shown_does_no_harm() -> None:
    evil = "\x1b[2J\u202e```\n</details>" + "x" * 9000
    told = tuple(TimelineEvent(offset=-float(n), kind=evil, text=evil) for n in range(9, 0, -1))
    for page in (shown(*told, OWN), markdown.render(Report(timeline=(*told, OWN)))):
        assert not {"\x1b", "\u202e"} & set(page)
        assert len(page) < 9000
    assert "\n````\n" in markdown.render(Report(timeline=(*told, OWN)))


def test_a_list_without_a_crash() -> None:
    last = TimelineEvent(kind="manager-exit", text="over")
    assert title(Report(timeline=(last,))) == "The last events"
    assert "The last events\n    manager  over\n" in shown(last)
    untimed = msgspec.structs.replace(OWN, time=None)
    assert title(Report(timeline=(untimed,))) == "What led to the crash"
    assert section(Report(), 80) == []
    assert rows(Report(), 8, 80) == []
