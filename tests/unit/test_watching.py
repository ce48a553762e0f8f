"""When there is a crash, what belongs to it, and when it is over."""

from collections.abc import Iterable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evdiag.analyze.crash_loops import LOOP_SECONDS, Loops
from evdiag.analyze.logalert import CrashReader
from evdiag.analyze.watching import (
    LOG_SECONDS,
    MOST_EVENTS,
    QUIET_SECONDS,
    Item,
    News,
    Watcher,
    back_off,
    missed,
)
from evdiag.model.charger import ContainerFacts
from evdiag.model.loglines import ALERT, CONTAINER, EVEREST, MORE, RAW, SUPERVISORD, LogLine
from evdiag.model.logs import LogEvent
from evdiag.model.watch import (
    OUT_OF_MEMORY,
    BackOff,
    ContainerEvent,
    Crash,
    Ended,
    LogsEnded,
    Quiet,
    Started,
)

NOTE = "evdiag capture: ocpp:OCPP201 pid 63 tid 64 died of signal 11: core.ocpp.63.1 (1 MB)"
NO_NOTE = "evdiag capture: no core of 63 ocpp:OCPP201 (signal 11): the disk is full"
EXITED = "Module ocpp exited unexpectedly, terminating remaining modules..."
LIST = (
    "Crash recovery shutdown completed in 3 ms. Modules that did not shut down cleanly:"
    " ocpp (signal=11) auth (signal=15) api (signal=15)"
)
END = "Unexpected module exit; manager is exiting."
START = "Starting 6 modules"
GONE = "exited: everest (exit status 1; not expected)"
SPAWNED = "spawned: 'everest' with pid 161"
BACK_OFF = "EVerest ended 3 times within 60 s of its start; the next start is in 4 s"
RESET = "Performing soft reset now"


def manager(text: str, severity: str = "CRIT") -> LogLine:
    return LogLine("", EVEREST, severity, text, "manager")


def supervisord(text: str) -> LogLine:
    return LogLine("", SUPERVISORD, "WARN", text)


def note(text: str) -> LogLine:
    return LogLine("", EVEREST, "ERRO", text, "ocpp:OCPP201", form=RAW)


CRASH = [note(NOTE), manager(EXITED), manager(LIST, "WARN"), manager(END)]
AFTER = [supervisord(GONE), supervisord(SPAWNED)]
NEXT = [manager(START, "INFO")]
OCPP = Crash(
    time=10.0, module="ocpp", pid=63, how="SIGSEGV", what="module ocpp (pid 63) died of SIGSEGV",
    cores=("core.ocpp.63.1",), pids=(63,), taken_down=("auth", "api"),
)  # fmt: skip


class Stream:
    """A container whose log says one line each second."""

    def __init__(self, watcher: Watcher | None = None) -> None:
        self.watcher = watcher or Watcher("mine")
        self.reader = CrashReader()
        self.now = 9.0

    def lines(self, *lines: LogLine, times: Iterable[float] = ()) -> list[News]:
        found: list[News] = []
        own = iter(times)
        for line in lines:
            self.now += 1
            for event in self.reader.events(line, next(own, self.now)):
                found += self.watcher.read(event, self.now)
        return found

    def tell(self, *items: Item) -> list[News]:
        found: list[News] = []
        for item in items:
            self.now += 0.1
            found += self.watcher.read(item, self.now)
        return found

    def engine(self, action: str, **more: int) -> list[News]:
        return self.tell(
            msgspec.convert({"action": action, "time": self.now, **more}, ContainerEvent)
        )

    def wait(self, seconds: float) -> list[News]:
        self.now += seconds
        return self.watcher.wait(self.now)


# -- a crash


def test_a_crash_is_over_when_everest_starts_again() -> None:
    stream = Stream()
    assert stream.lines(*NEXT) == []
    stream.now = 9.0
    assert stream.lines(*CRASH, *AFTER) == []
    assert stream.watcher.is_open
    assert stream.lines(*NEXT) == [OCPP]
    assert not stream.watcher.is_open
    assert stream.wait(100) == []


def test_the_start_script_that_waits_ends_it_too() -> None:
    stream = Stream()
    stream.lines(*CRASH, *AFTER)
    waits = BackOff(times=3, wait=4)
    assert stream.tell(waits) == [OCPP, waits]
    assert stream.lines(*NEXT) == []


def test_supervisord_may_be_ahead_of_everest() -> None:
    """Its lines come at once, those of EVerest through a pipe."""
    stream = Stream()
    stream.lines(*NEXT)
    stream.now = 9.0
    times = [10.5, 11.0, 10.0, 10.1, 10.2, 10.3, 12.0]
    (crash,) = stream.lines(*AFTER, *CRASH, *NEXT, times=times)
    assert crash == msgspec.structs.replace(OCPP, time=10.5)


def test_a_start_that_fails_at_once() -> None:
    """supervisord tells of the end before EVerest's log has told of the start."""
    stream = Stream()
    assert stream.lines(supervisord(GONE), *NEXT, *CRASH, times=[10.5, 9.8, 10, 10, 10, 10]) == []
    assert [crash.what for crash in stream.lines(*NEXT) if isinstance(crash, Crash)] == [OCPP.what]


def test_everest_that_does_not_come_back() -> None:
    stream = Stream()
    stream.lines(*CRASH)
    assert stream.wait(QUIET_SECONDS - 1) == []
    assert stream.lines(supervisord(GONE)) == []
    assert stream.wait(QUIET_SECONDS - 1) == []
    assert stream.wait(2) == [OCPP]


def test_nobody_can_wait_for_the_rest() -> None:
    stream = Stream()
    assert stream.watcher.finish() == []
    stream.lines(*CRASH)
    assert stream.watcher.finish() == [OCPP]
    assert stream.watcher.finish() == []


def test_two_crashes_in_a_row() -> None:
    stream = Stream()
    other = [
        LogLine(one.time, one.service, one.severity, one.text.replace("ocpp", "auth", 1),
                one.module, form=one.form)
        for one in (CRASH[0], CRASH[1])
    ]  # fmt: skip
    found = stream.lines(*CRASH, *AFTER, *NEXT, *other, *AFTER, *NEXT)
    assert [crash.module for crash in found if isinstance(crash, Crash)] == ["ocpp", "auth"]


def test_without_a_core() -> None:
    (crash,) = Stream().lines(note(NO_NOTE), *CRASH[1:], *NEXT)
    assert isinstance(crash, Crash)
    assert (crash.cores, crash.pids, crash.how) == ((), (63,), "SIGSEGV")


def test_the_older_manager_and_a_module_that_ends_with_a_code() -> None:
    told = "Module {} (pid: 7) exited with status: {}. Terminating all modules."
    (crash,) = Stream().lines(manager(told.format("auth", 139)), *NEXT)
    assert isinstance(crash, Crash)
    assert (crash.module, crash.pid, crash.how) == ("auth", 7, "SIGSEGV")
    (crash,) = Stream().lines(manager(told.format("py", 256)), *NEXT)
    assert isinstance(crash, Crash)
    assert crash.what == "module py (pid 7) ended with code 1"


def test_a_module_of_which_no_status_is_known() -> None:
    (crash,) = Stream().lines(manager(EXITED), *NEXT)
    assert isinstance(crash, Crash)
    assert (crash.how, crash.what) == ("", "module ocpp ended unexpectedly")


def test_the_manager_itself() -> None:
    died = supervisord("exited: everest (terminated by SIGKILL; not expected)")
    (crash,) = Stream().lines(died, *NEXT)
    assert isinstance(crash, Crash)
    assert crash.what == "EVerest's manager died of SIGKILL"
    (crash,) = Stream().lines(supervisord(GONE), *NEXT)
    assert isinstance(crash, Crash)
    assert crash.what == "EVerest's manager ended with code 1"


def test_another_program_of_supervisord() -> None:
    died = supervisord("exited: nodered (terminated by SIGSEGV (core dumped); not expected)")
    stream = Stream()
    assert stream.lines(died) == []
    (crash,) = stream.lines(supervisord("spawned: 'nodered' with pid 9"))
    assert isinstance(crash, Crash)
    assert crash.what == "module nodered died of SIGSEGV"
    assert stream.lines(
        supervisord("exited: nodered (exit status 1; not expected)"),
        supervisord("exited: nodered (terminated by SIGSEGV; expected)"),
        supervisord("spawned: 'nodered' with pid 9"),
    ) == []  # fmt: skip
    assert not stream.watcher.is_open
    both = [supervisord(GONE), died, supervisord("spawned: 'nodered' with pid 9")]
    assert stream.lines(*both) == []


def test_a_core_and_nobody_who_tells_of_the_end() -> None:
    assert Stream().lines(note(NOTE), *NEXT) == [
        msgspec.structs.replace(OCPP, taken_down=())
    ]  # fmt: skip


def test_only_so_many_events_are_kept() -> None:
    stream = Stream()
    stream.lines(*CRASH, *[supervisord("spawned: 'everest' with pid 1")] * (MOST_EVENTS + 100))
    assert len(stream.watcher._events) <= MOST_EVENTS + 1


# -- no crash


def test_a_reset_is_no_crash() -> None:
    for asked in (
        LogLine("", EVEREST, "INFO", RESET, "system:System"),
        LogLine("", EVEREST, "WARN", RESET, "system:System", more=["x"]),
    ):
        ended = manager(EXITED.replace("ocpp", "system"))
        listed = manager(LIST.replace("ocpp (signal=11)", "system (signal=15)"), "WARN")
        stream = Stream()
        assert stream.lines(asked, ended, listed, manager(END), *AFTER, *NEXT) == [
            Quiet(kind="reset")
        ]


def test_a_stop_that_was_cut_short_is_none_either() -> None:
    stream = Stream()
    stream.engine("kill", signal=15)
    stream.lines(manager(EXITED))
    stream.engine("kill", signal=9)
    stream.engine("die", exit_code=137)
    assert stream.tell(LogsEnded()) == [Quiet(kind="stopped"), Ended(code=137, asked=True)]
    stream.engine("start")
    # but a fault on the way down is one
    stream.engine("kill", signal=15)
    stream.lines(*CRASH[:2])
    stream.engine("die", exit_code=0)
    crash, _ = stream.tell(LogsEnded())
    assert isinstance(crash, Crash)
    assert crash.how == "SIGSEGV"


def test_a_stop_is_no_crash() -> None:
    stream = Stream()
    assert stream.engine("kill", signal=15) == []
    told = [manager(EXITED), supervisord("stopped: everest (exit status 0)")]
    assert stream.lines(*told) == []
    assert stream.engine("die", exit_code=0) == []
    assert stream.tell(LogsEnded()) == [Quiet(kind="stopped"), Ended(code=0, asked=True)]
    assert stream.engine("stop") == []
    assert stream.engine("destroy") == [Ended(asked=True, removed=True)]


@pytest.mark.parametrize("line", [
    LogLine("", EVEREST, "INFO", "hello", "auth:Auth"),
    LogLine("", EVEREST, "ERRO", "cannot", "auth:Auth"),
    LogLine("", EVEREST, "CRIT", EXITED, "manager", form=MORE),
    LogLine("", EVEREST, "CRIT", EXITED, "manager", form=ALERT),
    LogLine("", EVEREST, "ERRO", "terminate called", "auth", form=RAW),
    LogLine("", CONTAINER, "CRIT", EXITED, "manager"),
])  # fmt: skip
def test_lines_that_tell_of_nothing(line: LogLine) -> None:
    stream = Stream()
    assert stream.lines(line) == []
    assert not stream.watcher.is_open


# -- the container


def test_a_container_that_a_signal_ended() -> None:
    for code, how in ((139, "SIGSEGV"), (134, "SIGABRT"), (137, "SIGKILL")):
        stream = Stream()
        assert stream.engine("die", exit_code=code) == []
        crash, ended = stream.tell(LogsEnded())
        assert crash == Crash(time=9.0, how=how, what=f"mine was ended by {how} (exit code {code})")
        assert ended == Ended(code=code)


def test_one_that_was_asked_to_end() -> None:
    stream = Stream()
    stream.engine("kill", signal=9)
    stream.engine("die", exit_code=137)
    assert stream.wait(LOG_SECONDS + 0.1) == [Ended(code=137, asked=True)]
    stream = Stream()
    stream.engine("kill", signal=1)  # SIGHUP ends nothing
    stream.engine("die", exit_code=139)
    (crash, _) = stream.wait(LOG_SECONDS + 0.1)
    assert isinstance(crash, Crash)
    stream = Stream()
    stream.engine("kill")  # an engine that does not say which
    stream.engine("die", exit_code=137)
    assert stream.engine("start") == [Ended(code=137, asked=True), Started()]
    assert stream.engine("start") == [Started()]


def test_the_last_lines_may_come_after_the_end() -> None:
    stream = Stream()
    stream.engine("die", exit_code=0)
    assert stream.lines(*CRASH[:1]) == []
    assert stream.lines(*CRASH[1:]) == []
    crash, ended = stream.tell(LogsEnded())
    assert isinstance(crash, Crash)
    assert (crash.module, ended) == ("ocpp", Ended(code=0))


def test_the_log_may_end_first() -> None:
    stream = Stream()
    stream.lines(*CRASH)
    assert stream.tell(LogsEnded()) == []
    crash, ended = stream.engine("die", exit_code=139)
    assert isinstance(crash, Crash)
    assert (crash.module, ended) == ("ocpp", Ended(code=139))


def test_a_container_without_a_log() -> None:
    stream = Stream(Watcher("mine", logs=False))
    crash, ended = stream.engine("die", exit_code=139)
    assert isinstance(crash, Crash)
    assert ended == Ended(code=139)
    assert stream.engine("die", exit_code=0) == [Ended(code=0)]


def test_a_container_that_is_removed_while_it_crashes() -> None:
    stream = Stream()
    stream.lines(*CRASH)
    crash, ended = stream.engine("destroy")
    assert (crash, ended) == (OCPP, Ended(asked=True, removed=True))


def test_out_of_memory() -> None:
    stream = Stream()
    assert stream.engine("oom") == []
    killed = manager("Module auth (pid: 7) exited with status: 9. Terminating all modules.")
    (crash,) = stream.lines(killed, *NEXT)
    assert isinstance(crash, Crash)
    assert (crash.how, crash.what) == (
        OUT_OF_MEMORY,
        "module auth (pid 7) was killed: out of memory",
    )
    stream.engine("oom")
    (crash,) = stream.wait(QUIET_SECONDS + 1)
    assert isinstance(crash, Crash)
    assert (crash.module, crash.what) == ("", "mine ran out of memory")
    assert stream.engine("pause") == []


# -- what happened while nobody listened


def facts(state: str = "running", started: float | None = 1.0, **more: object) -> ContainerFacts:
    known = ContainerFacts(id="1", name="mine", state=state, started=started, finished=5.0)
    return msgspec.structs.replace(known, **more)


def test_what_was_missed() -> None:
    assert missed(facts(), facts()) == []
    assert missed(facts("exited"), facts("exited")) == []
    assert missed(facts(), facts("paused")) == []
    assert missed(facts(started=None), facts()) == []

    def actions(known: ContainerFacts, now: ContainerFacts) -> list[str]:
        return [event.action for event in missed(known, now)]

    assert actions(facts(), facts(started=9.0)) == ["kill", "die", "start"]
    assert actions(facts(), facts("exited", exit_code=137)) == ["kill", "die"]
    assert actions(facts(), facts("exited", exit_code=139)) == ["die"]
    assert actions(facts(), facts("exited", oom_killed=True)) == ["oom", "die"]
    assert actions(facts("exited"), facts(started=9.0)) == ["start"]
    assert missed(facts(), facts("exited", exit_code=139))[0].exit_code == 139


def test_what_the_start_script_says() -> None:
    said = LogLine("", EVEREST, "INFO", BACK_OFF, "everest-start")
    assert back_off(said) == BackOff(times=3, wait=4)
    assert back_off(LogLine("", EVEREST, "INFO", BACK_OFF, "auth:Auth")) is None
    assert back_off(LogLine("", CONTAINER, "INFO", BACK_OFF, "everest-start")) is None
    assert back_off(LogLine("", EVEREST, "INFO", "hello", "everest-start")) is None


def test_an_event_that_belongs_to_no_crash_is_not_kept() -> None:
    stream = Stream()
    odd = LogEvent(kind="odd", source="everest", line=1, text="x", time=9.0)
    assert stream.tell(odd) == []
    assert not stream.watcher.is_open
    stream.now = 9.0
    assert stream.lines(*CRASH, *AFTER, *NEXT) == [OCPP]


# -- anything


KINDS = ("module-exit", "core-written", "no-core", "manager-start", "service-exit", "reset",
         "service-start", "module-stopped", "manager-exit", "broker-lost", "odd")  # fmt: skip
ITEMS = st.one_of(
    st.builds(
        LogEvent, kind=st.sampled_from(KINDS), source=st.sampled_from(["everest", "supervisord"]),
        line=st.integers(0, 9), text=st.text(max_size=9), module_id=st.sampled_from(
            [None, "everest", "auth", "nodered"]), time=st.none() | st.floats(0, 99),
        detail=st.sampled_from([None, "not expected"]),
    ),
    st.builds(BackOff, times=st.integers(0, 9), wait=st.integers(0, 9)),
    st.builds(LogsEnded),
    st.builds(
        ContainerEvent, action=st.sampled_from(["die", "start", "kill", "oom", "destroy", "x"]),
        exit_code=st.sampled_from([None, 0, 137, 139]), signal=st.sampled_from([None, 1, 9]),
    ),
)  # fmt: skip


@given(st.lists(st.tuples(ITEMS, st.floats(0, 20)), max_size=40))
def test_any_order_of_things(items: list[tuple[Item, float]]) -> None:
    """Never an error, and after a long silence nothing is open."""
    watcher, now = Watcher("mine"), 0.0
    for item, later in items:
        now += later
        watcher.read(item, now)
    watcher.wait(now + 100)
    assert not watcher.is_open
    assert watcher.wait(now + 200) == []


# -- again and again


def crash(module: str = "ocpp", how: str = "SIGSEGV") -> Crash:
    return Crash(module=module, how=how, what="x")


def test_a_loop_is_told_once_and_then_counted() -> None:
    loops = Loops()
    told = []
    for now in (1.0, 2.0, 3.0):
        assert loops.suspects(crash(), now) == []
        loop, since_now = loops.add(crash(), ("signature", "a"), "title", now)
        told.append((loop.count, loop.looping, since_now))
    assert told == [(1, False, False), (2, False, False), (3, True, True)]
    assert loops.suspects(crash(), 4.0) == [("signature", "a")]
    title, loop = loops.count(("signature", "a"), 4.0)
    assert (title, loop.count, loop.first, loop.last) == ("title", 4, 1.0, 4.0)
    assert loops.rest() == [("title", loop)]
    assert loop.uncollected == 1
    # another module, and the same one by another signal, are collected
    assert loops.suspects(crash("auth"), 5.0) == []
    assert loops.suspects(crash(how="SIGABRT"), 5.0) == []
    # one that turns out to be the same after all
    loop, since_now = loops.add(crash(how="SIGABRT"), ("signature", "a"), "title", 6.0)
    assert (loop.count, loop.looping, since_now) == (5, True, False)
    # a second one of the same module and signal
    for now in (7.0, 8.0, 9.0):
        loops.add(crash(), ("signature", "b"), "other", now)
    assert loops.suspects(crash(), 10.0) == [("signature", "b"), ("signature", "a")]


def test_crashes_far_apart_are_no_loop() -> None:
    loops = Loops()
    for now in (0.0, 400.0, 800.0, 1200.0):
        assert loops.add(crash(), ("signature", "a"), "t", now)[1] is False
    assert loops.add(crash(), ("signature", "a"), "t", 1250.0)[1] is True
    # and one that was over is collected again
    assert loops.suspects(crash(), 1250.0 + LOOP_SECONDS + 1) == []
    assert loops.rest() == []


def test_the_start_script_may_know_it_first() -> None:
    loops = Loops()
    assert loops.backs_off(crash(), 3) is None
    loops.add(crash(), ("signature", "a"), "t", 1.0)
    assert loops.backs_off(crash(), 3) is None
    loops.add(crash(), ("signature", "a"), "t", 2.0)
    assert loops.backs_off(crash(), 2) is None
    found = loops.backs_off(crash(), 3)
    assert found is not None
    assert (found[0], found[1].count, found[1].looping) == ("t", 2, True)
    assert loops.backs_off(crash(), 4) is None
    assert loops.suspects(crash(), 3.0) == [("signature", "a")]
