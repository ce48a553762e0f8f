"""Processes without a core: why there is none, and what can be said all the same."""

import pytest

from evdiag.analyze.no_core import oom_cause, plain_cause, quiet_cause, why_no_core
from evdiag.model.incident import (
    UNLIMITED,
    CorePattern,
    DiskSpace,
    Limits,
    Member,
    Run,
    Surroundings,
)
from evdiag.model.logs import ExitStatus, LogEvent
from evdiag.model.report import Container
from evdiag.parse.container import read_core_pattern

KILLED = Member(name="ocpp", pid=101, status=ExitStatus(signal=9))
CRASHED = Member(name="ocpp", status=ExitStatus(signal=11, core_dumped=True))


def line(**more: object) -> LogEvent:
    facts = {"kind": "oom", "source": "dmesg", "line": 7, "text": "", **more}
    return LogEvent(**facts)  # type: ignore[arg-type]  # names of LogEvent


def around(flag: bool | None = None, kills: int | None = None, **more: object) -> Surroundings:
    container = None if flag is None else Container(oom_killed=flag)
    return Surroundings(container=container, oom_kills=kills, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("flag", "kills", "events", "confidence"),
    [
        (True, 1, (), "high"),
        (True, 0, (), "medium"),
        (False, 2, (), "medium"),
        (None, None, (line(module_id="ocpp", pid=4711),), "high"),
        (None, None, (line(pid=101),), "medium"),
        (None, None, (line(module_id="python3"),), "medium"),
        (True, None, (line(module_id="python3"),), "high"),
        (None, None, (line(module_id="mysqld", pid=101),), None),
        (None, None, (line(pid=102),), None),
        (None, None, (line(kind="error"),), None),
        (False, 0, (), None),
    ],
)
def test_killed_for_want_of_memory(
    flag: bool | None, kills: int | None, events: tuple[LogEvent, ...], confidence: str | None
) -> None:
    cause = oom_cause(KILLED, events, around(flag, kills))

    assert (cause.confidence if cause else None) == confidence
    if cause is not None:
        assert cause.cls == "oom-killed"
        assert ("probably" in cause.summary) is (confidence == "medium")
        assert cause.evidence[0] == "ocpp ended with SIGKILL and left no core"


def test_only_what_was_killed_can_have_been_killed_for_memory() -> None:
    assert oom_cause(CRASHED, (), around(True, 1)) is None
    by_shell = Member(status=ExitStatus(code=137))
    assert oom_cause(by_shell, (), around(True, 1)) is not None


def test_what_is_left_to_say() -> None:
    told = plain_cause(Member(name="ocpp", status=ExitStatus(signal=15)))
    assert (told.cls, told.confidence) == ("sent-signal", "medium")
    assert told.evidence[0].startswith("SIGTERM comes from another process")
    by_itself = plain_cause(Member(pid=7, ends=(line(kind="module-exit"),)))
    assert by_itself.cls == "unknown"
    assert by_itself.summary.startswith("pid 7 ended without having been told to")
    assert plain_cause(Member()).summary.startswith("a process probably ended")


@pytest.mark.parametrize("kind", ["reset", "broker-lost", "stopped", "unknown"])
def test_an_end_without_a_failure(kind: str) -> None:
    cause = quiet_cause(Run(kind=kind))

    assert cause.cls == "no-crash"
    assert bool(cause.advice) is (kind == "broker-lost")


def pattern(text: str, uses_pid: str = "0") -> CorePattern:
    found = read_core_pattern(text, uses_pid)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("facts", "message", "hint"),
    [
        ({}, "ocpp, though the kernel says that it wrote one", "core_pattern (a pipe leads"),
        (
            {"pattern": pattern("|/usr/share/apport/apport -p%p")},
            "gives cores to apport, outside",
            "Apport drops crashes of containers",
        ),
        ({"pattern": pattern("|/opt/mine %p")}, "gives cores to mine,", "Look where mine puts"),
        ({"pattern": pattern("|")}, "gives cores to a program,", "Look where a program puts"),
        ({"pattern": pattern("@/run/c")}, "gives cores to the socket /run/c", None),
        ({"empty_cores": ("core.1",)}, "core.1 is empty: the disk was full", None),
        (
            {"disks": (DiskSpace(mounted_on="/", available=5 << 20),)},
            "the disk mounted on / has 5 MB left",
            "Make room there.",
        ),
        ({"pattern": pattern("core"), "cores": 1}, "the next crash overwrote it", "core_uses_pid"),
        (
            {"pattern": pattern("/cores/core.%p")},
            "/cores may be missing in the container",
            "The pattern of the host is /cores/core.%p.",
        ),
        ({"pattern": pattern("/core.%p")}, ": / may be missing", "/core.%p."),
        (
            {"pattern": pattern("core", "1")},
            "though the kernel says that it wrote one",
            "whether the working directory",
        ),
        (
            {
                "limits": Limits(soft=0),
                "disks": (DiskSpace(mounted_on="/", available=1 << 40),),
            },
            "though the kernel says that it wrote one",
            "Check /proc/sys/kernel/core_pattern (a pipe leads to the host), fs.suid_dumpable",
        ),
    ],
)
def test_why_there_is_no_core(facts: dict[str, object], message: str, hint: str | None) -> None:
    error = why_no_core(CRASHED, around(**facts))  # type: ignore[arg-type]

    assert error.stage == "core"
    assert message in error.message
    assert hint is None if error.hint is None else hint is not None and hint in error.hint


def test_a_limit_forbids_a_core() -> None:
    silent = Member(name="ocpp", status=ExitStatus(signal=11))

    error = why_no_core(silent, around(limits=Limits(soft=0, hard=UNLIMITED)))
    assert error.message == "there is no core of ocpp: the limit for cores is 0 bytes"
    assert error.hint is not None
    assert "--ulimit core=-1" in error.hint
    for soft in (None, UNLIMITED):
        error = why_no_core(silent, around(limits=Limits(soft=soft)))
        assert error.message == "there is no core of ocpp"


def test_ends_that_leave_no_core() -> None:
    by_itself = why_no_core(Member(name="a", status=ExitStatus(code=1)), around())
    assert by_itself.message == "there is no core of a: a process that ends by itself leaves none"
    killed = why_no_core(KILLED, around())
    assert killed.message == "there is no core of ocpp: SIGKILL never leaves one"
    assert killed.hint is None
    unknown = why_no_core(Member(name="a"), around())
    assert unknown.message == "there is no core of a"
