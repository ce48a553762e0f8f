"""Who died first: from records of logs and from cores."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evdiag.analyze.causality import KILLED, SHUT_DOWN_CRASH, decide, decide_without_logs
from evdiag.analyze.incarnations import merged, same_name, split
from evdiag.analyze.members import MAX_MEMBERS, died_of, is_failure, status_words
from evdiag.model.incident import CoreSeen, Member, Run
from evdiag.model.logs import KINDS, ExitStatus, LogEvent
from evdiag.parse.logs import read_events

DAY = "2026-11-22 07:01:"
HEAD = """\
{0}00.100000 [INFO] manager          :: Starting 4 modules
{0}10.100000 [INFO] ocpp:OCPP201     :: Session started
terminate called after throwing an instance of 'std::out_of_range'
  what():  key 'status' not found
{0}10.200000 [CRIT] manager         void Manager::handle() :: Module ocpp exited unexpectedly, \
terminating remaining modules...
{0}10.210000 [INFO] manager          :: SIGTERM of child: api (pid: 102) succeeded.
{0}10.210000 [INFO] manager          :: SIGTERM of child: evse_manager (pid: 103) succeeded.
{0}10.210000 [INFO] manager          :: SIGTERM of child: iso15118_charger (pid: 104) succeeded.
{0}10.220000 [INFO] manager          :: Module api (pid 102) shutdown [6ms] with status: signal=15
{0}10.230000 [INFO] manager          :: Module evse_manager (pid 103) shutdown [7ms] with status: \
signal=11
{0}10.240000 [INFO] manager          :: Module iso15118_charger (pid 104) shutdown [9ms] with \
status: signal=9
{0}10.250000 [WARN] manager         void Manager::handle() :: Crash recovery shutdown completed in \
9 ms. Modules that did not shut down cleanly:  ocpp (signal=6) api (signal=15) evse_manager \
(signal=11) iso15118_charger (signal=9)
{0}10.260000 [CRIT] manager         void Manager::handle() :: Unexpected module exit; manager is \
exiting.
"""
RELEASE = """\
{0}00.100000 [INFO] manager          :: Starting 3 modules
{0}10.200000 [CRIT] manager         int boot() :: Module ocpp (pid: {1}) exited with status: {2}. \
Terminating all modules.
{0}10.210000 [INFO] manager          :: SIGTERM of child: api (pid: {3}) succeeded.
{0}10.220000 [CRIT] manager         int boot() :: Exiting manager.
"""
SUPERVISOR = """\
{0}00,000 INFO spawned: 'mosquitto' with pid 90
{0}00,050 INFO spawned: 'everest' with pid 100
{0}10,300 WARN exited: everest (exit status 1; not expected)
"""


def events(text: str, source: str = "everest.log") -> list[LogEvent]:
    return list(read_events(source, [text.encode()]))


def head(day: str = DAY) -> list[LogEvent]:
    return events(HEAD.format(day))


def release(
    day: str = DAY, pid: int = 101, status: int = 139, other: int = 102, source: str = "everest.log"
) -> list[LogEvent]:
    return events(RELEASE.format(day, pid, status, other), source)


def core(name: str | None, pid: int | None, **more: object) -> CoreSeen:
    facts = {"path": f"core.{name}.{pid}", "module_id": name, "pid": pid, "signal": 11, **more}
    return CoreSeen(**facts)  # type: ignore[arg-type]  # names of CoreSeen


def only(cores: Sequence[CoreSeen], told: Sequence[LogEvent]) -> Run:
    runs, left = decide(cores, told)
    assert left == ()
    assert len(runs) == 1
    return runs[0]


def member(run: Run, name: str) -> Member:
    return next(m for m in run.members if m.name == name)


def roles(run: Run) -> dict[str | None, str | None]:
    return {m.name: m.role for m in run.members}


# ---------------------------------------------------------------- the manager's record


def test_the_manager_names_the_first_one() -> None:
    cores = [core("evse_manager", 103, written=1.0), core("ocpp", 101, signal=6, written=9.0)]
    run = only(cores, [*head(), *events(SUPERVISOR.format(DAY), "supervisord.log")])

    assert (run.kind, run.confidence) == ("crash", "high")
    assert run.first == run.members[0] == member(run, "ocpp")
    assert roles(run) == {
        "ocpp": "first_fault",
        "api": "taken_down",
        "evse_manager": "taken_down",
        "iso15118_charger": "taken_down",
        "everest": "taken_down",
    }
    assert member(run, "ocpp").pid == 101
    assert member(run, "evse_manager").note == SHUT_DOWN_CRASH
    assert member(run, "iso15118_charger").note == KILLED
    assert member(run, "api").note is None
    assert member(run, "everest").manager
    assert member(run, "everest").pid == 100
    assert run.evidence == (
        "the manager's log names ocpp as the first to end (everest.log, line 5)",
        "3 others were taken down afterwards",
        "crashed only while being shut down, which is another fault: evse_manager",
        "supervisord saw everest end afterwards: exit code 1",
        "the core of evse_manager is 8 s older, but times of files prove nothing",
    )


def test_the_release_writes_one_line_with_a_wait_status() -> None:
    run = only([core("api", 102)], release(status=256))

    assert roles(run) == {"ocpp": "first_fault", "api": "taken_down"}
    assert member(run, "ocpp").status == ExitStatus(code=1)
    assert member(run, "ocpp").pid == 101
    assert member(run, "api").note == SHUT_DOWN_CRASH
    assert "1 other was taken down afterwards" in run.evidence


def test_a_process_that_nobody_knows_is_none_of_them() -> None:
    lone = core(None, 7, program="bash")
    runs, left = decide([lone], release())

    assert left == (lone,)
    assert roles(runs[0]) == {"ocpp": "first_fault", "api": "taken_down"}


def test_a_core_belongs_to_its_process_by_id_and_name() -> None:
    other_name = core("grid", 101)
    no_name = core(None, 102)
    cut = core("iso15118_charger", 104)
    runs, left = decide([other_name, no_name, cut], [*head(), *release("2026-11-22 08:01:")])

    assert left == (other_name,)
    assert member(runs[0], "iso15118_charger").cores == (cut,)
    assert member(runs[1], "api").cores == (no_name,)


def test_two_cores_of_one_process() -> None:
    mine = [core("ocpp", 101, path="core"), core("ocpp", 101, path="core.ocpp.101")]

    assert member(only(mine, release()), "ocpp").cores == tuple(mine)


# ---------------------------------------------------------------- runs


def test_each_start_of_the_manager_is_a_run() -> None:
    told = [*release(), *release("2026-11-22 07:02:", 201, 134, 202)]
    late, early = core("ocpp", 201), core("ocpp", 101)

    runs, left = decide([late, early], told)

    assert left == ()
    assert [member(run, "ocpp").cores for run in runs] == [(early,), (late,)]


def test_a_run_is_told_from_its_neighbours_by_ids_then_by_time() -> None:
    told = [*head(), *events(HEAD.format("2026-11-22 07:31:").replace("pid 10", "pid 90"))]
    by_id = core("ocpp", 905)
    runs, _ = decide([by_id], told)
    assert [len(member(run, "ocpp").cores) for run in runs] == [0, 1]

    same_ids = [*head(), *head("2026-11-22 07:39:")]
    ended = next(e.time for e in same_ids if e.kind == "module-exit")
    assert ended is not None
    by_time = core("ocpp", 101, written=ended - 3600 + 1)  # another time zone
    runs, _ = decide([by_time], same_ids)
    assert [len(member(run, "ocpp").cores) for run in runs] == [1, 0]

    undated = core("ocpp", 101)
    runs, _ = decide([undated], same_ids)
    assert [len(member(run, "ocpp").cores) for run in runs] == [0, 1]


def test_supervisord_starts_runs_too() -> None:
    text = SUPERVISOR.format(DAY) + SUPERVISOR.format("2026-11-22 07:02:")
    runs, _ = decide([], events(text, "supervisord.log"))
    assert [run.first.name for run in runs if run.first] == ["everest", "everest"]

    both = [*release(), *release("2026-11-22 07:02:", 201), *events(text, "supervisord.log")]
    runs, _ = decide([], both)
    assert [len(run.members) for run in runs] == [3, 3]
    assert [run.first.name for run in runs if run.first] == ["ocpp", "ocpp"]


def test_a_start_that_supervisord_tells_late_is_the_same() -> None:
    late = events(f"{DAY}00,900 INFO spawned: 'everest' with pid 100\n", "supervisord.log")
    assert len(split(merged([*release(), *late]))) == 1
    later = events(f"{DAY}02,900 INFO spawned: 'everest' with pid 100\n", "supervisord.log")
    assert len(split(merged([*release(), *later]))) == 2
    undated = [LogEvent(kind="service-start", source="s", line=1, text="", module_id="everest")]
    assert len(split([*head()[:1], *undated])) == 2


def test_a_manager_that_is_gone_cannot_see_a_module_end() -> None:
    lost = [e for e in release("2026-11-22 07:02:", 201) if e.kind != "manager-start"]

    assert len(split([*release(), *lost])) == 2


# ---------------------------------------------------------------- what is no crash


@pytest.mark.parametrize(
    ("told", "status"),
    [("", 2), ("{0}10.100000 [INFO] system:System    :: Performing soft reset now.\n", 15)],
)
def test_a_reset_is_no_crash(told: str, status: int) -> None:
    text = told + RELEASE.replace("ocpp", "system")
    run = only([], events(text.format(DAY, 101, status, 102)))

    assert (run.kind, run.first) == ("reset", None)
    assert set(roles(run).values()) == {None}


def test_a_crash_after_a_reset_was_asked_for_is_one() -> None:
    asked = "{0}10.100000 [INFO] system:System    :: Performing soft reset now.\n"
    run = only([], events((asked + RELEASE).format(DAY, 101, 139, 102)))

    assert run.first is not None
    assert run.first.name == "ocpp"


LOST = "{0}10.100000 [ERRO] ocpp:OCPP201    void sync() :: Error during MQTT sync: broken\n"


def test_a_lost_broker_is_no_crash() -> None:
    run = only([], events((LOST + RELEASE).format(DAY, 101, 256, 102)))

    assert (run.kind, run.first) == ("broker-lost", None)
    assert run.evidence[0].startswith("the connection to the MQTT broker was lost (everest.log, ")


def test_the_broker_itself_may_be_the_first() -> None:
    text = SUPERVISOR.format(DAY)
    gone = f"{DAY}10,000 WARN exited: mosquitto (terminated by SIGSEGV; not expected)\n"
    told = [
        *events((LOST + RELEASE).format(DAY, 101, 256, 102)),
        *events(text + gone, "supervisord.log"),
    ]
    run = only([], told)

    assert run.first is not None
    assert (run.first.name, run.first.pid) == ("mosquitto", 90)
    assert roles(run)["ocpp"] == "taken_down"


@pytest.mark.parametrize("when", ["before", "after", "by a signal"])
def test_a_crash_that_only_looks_like_a_lost_broker(when: str) -> None:
    text = RELEASE + LOST.replace("10.1", "10.3") if when == "after" else LOST + RELEASE
    status = 256 if when == "after" else 139
    cores = [core("ocpp", 101)] if when == "before" else []

    run = only(cores, events(text.format(DAY, 101, status, 102)))

    assert run.first is not None
    assert run.first.name == "ocpp"


def test_an_end_that_was_asked_for() -> None:
    text = """\
{0}10.000000 [INFO] manager          :: SIGTERM of child: api (pid: 102) succeeded.
{0}10.100000 [INFO] manager          :: Module api (pid 102) shutdown [1ms] with status: signal=15
{0}10.200000 [INFO] manager          :: EVerest manager is exiting [59ms]
"""
    run = only([core("ocpp", 101)], events(text.format(DAY)))

    assert (run.kind, run.first) == ("stopped", None)
    assert roles(run) == {"api": None, "ocpp": "taken_down"}
    assert member(run, "ocpp").note == SHUT_DOWN_CRASH


@pytest.mark.parametrize(
    ("status", "kind"), [(15, "stopped"), (0, "stopped"), (139, "crash"), (256, "crash")]
)
def test_supervisord_tells_the_whole_group_to_end(status: int, kind: str) -> None:
    text = (
        SUPERVISOR.format(DAY).replace("WARN exited", "INFO stopped").replace("; not exp", "; exp")
    )
    run = only([], [*release(status=status), *events(text, "supervisord.log")])

    assert run.kind == kind
    assert (run.first is None) is (kind == "stopped")


# ---------------------------------------------------------------- without the manager's record


def test_the_manager_itself_crashed() -> None:
    text = SUPERVISOR.format(DAY).replace("exit status 1", "terminated by SIGSEGV (core dumped)")
    mine = core(None, 100, program="manager")
    run = only([mine], events(text, "supervisord.log"))

    assert run.first is not None
    assert run.first.name == "everest"
    assert run.first.cores == (mine,)
    assert run.evidence[-1] == "the modules end with their manager (PR_SET_PDEATHSIG)"

    alone = only([core(None, None, program="manager")], events(text, "supervisord.log"))
    assert alone.first is not None
    assert alone.first.name == "everest"


def test_a_manager_that_only_its_core_tells_of() -> None:
    _, left = decide([core(None, 100, program="manager")], head()[:1])
    assert [seen.program for seen in left] == ["manager"]


def test_another_program_crashed() -> None:
    told = events(
        f"{DAY}00,000 INFO spawned: 'everest' with pid 100\n"
        f"{DAY}00,000 INFO spawned: 'nodered' with pid 91\n"
        f"{DAY}00,000 INFO spawned: 'web' with pid 92\n"
        f"{DAY}05,000 INFO exited: web (exit status 0; expected)\n"
        f"{DAY}10,000 WARN exited: nodered (terminated by SIGABRT; not expected)\n",
        "supervisord.log",
    )
    run = only([core(None, 91, program="node", signal=6)], told)
    assert roles(run) == {"nodered": "first_fault"}

    with_module = only([], [*release(), *told])
    assert roles(with_module)["nodered"] == "unrelated"
    assert roles(with_module)["ocpp"] == "first_fault"


def test_the_only_one_that_was_not_told_to_end() -> None:
    told = [e for e in release() if e.kind == "module-stopped"]
    run = only([core("ocpp", 101)], told)

    assert run.first is not None
    assert (run.first.name, run.confidence) == ("ocpp", "medium")


def test_a_single_core_and_nothing_else() -> None:
    run = only([core("ocpp", 101)], events(SUPERVISOR.format(DAY), "supervisord.log"))

    assert run.first is not None
    assert (run.first.name, run.confidence) == ("ocpp", "medium")


def test_the_times_of_cores_are_the_last_resort() -> None:
    told = events(SUPERVISOR.format(DAY), "supervisord.log")
    apart = [core("api", 102, written=20.0), core("ocpp", 101, written=12.0)]
    run = only(apart, told)
    assert run.first is not None
    assert (run.first.name, run.confidence) == ("ocpp", "low")

    near = [core("api", 102, written=12.9), core("ocpp", 101, written=12.0)]
    run = only(near, told)
    assert (run.kind, run.first) == ("unknown", None)


def test_cores_without_any_log() -> None:
    apart = [core("api", 102, written=20.0), core("ocpp", 101, written=12.0)]
    alone = [core("evse", 7, written=900.0), core(None, 8, written=12.0), core("x", 9)]

    runs, left = decide_without_logs([*apart, *alone])

    assert [run.first.name for run in runs if run.first] == ["ocpp"]
    assert {seen.pid for seen in left} == {7, 8, 9}
    assert decide_without_logs([]) == ((), ())


# ---------------------------------------------------------------- logs


def test_records_of_several_logs_come_in_one_order() -> None:
    back = events(
        f"{DAY}30.000000 [INFO] manager          :: Starting 2 modules\n"
        f"{DAY}20.000000 [INFO] manager          :: SIGTERM of child: a (pid: 1) succeeded.\n"
        f"{DAY}31.000000 [INFO] manager          :: SIGTERM of child: b (pid: 2) succeeded.\n",
        "a",
    )
    other = events(f"{DAY}25,000 INFO spawned: 'everest' with pid 100\n", "b")
    raw = [LogEvent(kind="oom", source="c", line=1, text="")]

    assert [(e.source, e.line) for e in merged([*raw, *back, *other])] == [
        ("b", 1),
        ("a", 1),
        ("a", 2),
        ("a", 3),
        ("c", 1),
    ]


def test_a_record_that_two_logs_have_counts_once() -> None:
    assert len(merged([*release(), *release(source="docker.log")])) == len(release())
    assert merged([*release(), *release()]) == merged([*release(), *release()])


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("ocpp", "ocpp", True),
        ("iso15118_charge", "iso15118_charger", True),
        ("iso15118_charg", "iso15118_charger", False),
        ("ocpp", None, False),
        ("", "", False),
    ],
)
def test_names_that_are_cut(one: str, other: str | None, same: bool) -> None:
    assert same_name(one, other) is same
    assert same_name(other, one) is same


@pytest.mark.parametrize(
    ("status", "signal", "words", "failure"),
    [
        (None, None, None, False),
        (ExitStatus(), None, None, False),
        (ExitStatus(code=0), None, "exit code 0", False),
        (ExitStatus(code=1), None, "exit code 1", True),
        (ExitStatus(code=139), 11, "exit code 139 (a shell's word for SIGSEGV)", True),
        (ExitStatus(code=143), 15, "exit code 143 (a shell's word for SIGTERM)", False),
        (ExitStatus(code=255), None, "exit code 255", True),
        (ExitStatus(signal=11, core_dumped=True), 11, "SIGSEGV, core dumped", True),
        (ExitStatus(signal=15), 15, "SIGTERM", False),
    ],
)
def test_how_a_process_ended(
    status: ExitStatus | None, signal: int | None, words: str | None, failure: bool
) -> None:
    assert died_of(status) == signal
    assert status_words(status) == words
    assert is_failure(status) is failure


def test_a_name_that_one_record_cuts_is_one_process() -> None:
    def end(line: int, name: str) -> LogEvent:
        return LogEvent(kind="module-stopped", source="l", line=line, text="", module_id=name)

    run = only([], [end(1, "iso15118_charge"), end(2, "iso15118_charger"), end(3, "iso15118_car")])

    assert [len(m.ends) for m in run.members] == [2, 1]


# ---------------------------------------------------------------- anything


def test_a_log_that_names_thousands() -> None:
    many = [
        LogEvent(kind="module-stopped", source="l", line=n, text="", module_id=f"m{n}", time=1.0)
        for n in range(5_000)
    ]
    run = only([], many)
    assert len(run.members) == MAX_MEMBERS
    assert run.kind == "unknown"


NAMES = st.sampled_from([None, "", "ocpp", "everest", "mosquitto", "iso15118_charge"])
PIDS = st.none() | st.integers(0, 3)
STATUSES = st.none() | st.builds(
    ExitStatus, code=st.none() | st.integers(-1, 256), signal=st.none() | st.integers(0, 70)
)
TIMES = st.none() | st.floats(allow_nan=False)
EVENTS = st.builds(
    LogEvent,
    kind=st.sampled_from([*KINDS, "?"]),
    source=st.sampled_from("ab"),
    line=st.integers(1, 9),
    text=st.sampled_from(["", "EVerest manager is exiting [", "x\ny"]),
    time=TIMES,
    module_id=NAMES,
    pid=PIDS,
    status=STATUSES,
    detail=st.none() | st.just("SIGTERM"),
)
CORES = st.builds(
    CoreSeen,
    path=st.sampled_from("xyz"),
    pid=PIDS,
    module_id=NAMES,
    program=NAMES | st.just("manager"),
    signal=st.none() | st.integers(0, 70),
    written=TIMES,
)


@given(st.lists(CORES, max_size=5), st.lists(EVENTS, max_size=20))
def test_whatever_the_logs_say_every_core_is_told_once(
    cores: list[CoreSeen], told: list[LogEvent]
) -> None:
    runs, left = decide(cores, told)

    found = [core for run in runs for m in run.members for core in m.cores]
    assert len(found) + len(left) == len(cores)
    for run in runs:
        assert sum(m.role == "first_fault" for m in run.members) <= 1
    alone, rest = decide_without_logs(cores)
    assert sum(len(m.cores) for run in alone for m in run.members) + len(rest) == len(cores)
