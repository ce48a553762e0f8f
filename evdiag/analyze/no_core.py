"""Processes without a core: why there is none, and what is known of their end all the same."""

import re

from evdiag.analyze.captured import cause_of, what_helps
from evdiag.analyze.incarnations import same_name
from evdiag.analyze.members import DEADLY, died_of, ended, name_of
from evdiag.model.crash import Cause
from evdiag.model.incident import CorePattern, Limits, Member, Run, Surroundings
from evdiag.model.logs import LogEvent
from evdiag.model.report import SoftError
from evdiag.model.signals import SIGKILL, signal_name

_INTERPRETER = re.compile(r"python|node|java")
"""Modules in a scripting language run under the name of their interpreter."""
HANDLERS = {
    "apport": "apport drops crashes of containers, and says so in /var/log/apport.log of the host",
    "systemd-coredump": "on the host: `coredumpctl list`, then `coredumpctl dump PID -o core`",
    "wsl-capture-crash": "on Windows: look into %TEMP%\\wsl-crashes",
    "abrt-hook-ccpp": "on the host: `abrt-cli list`",
}
"""Where common handlers put cores (their own documentation)."""
SMALL_LIMIT = 16 << 20
"""Bytes: no core of an EVerest module is smaller."""
ENOUGH_DISK = 256 << 20
"""Bytes: the largest core of EVerest that was seen is this large."""


def oom_cause(member: Member, events: tuple[LogEvent, ...], around: Surroundings) -> Cause | None:
    """Whether the kernel killed a process for want of memory.

    SIGKILL alone says nothing, and the engine's flag or the counter alone may be about another
    process of the container: two witnesses make it sure, or the kernel's line with its name.
    """
    if died_of(member.status) != SIGKILL:
        return None
    witnesses = []
    line = next((e for e in events if e.kind == "oom" and _is_about(e, member)), None)
    if line is not None:
        witnesses.append(f"the kernel's log says so ({line.source}, line {line.line})")
    if around.oom_kills:
        times = "once" if around.oom_kills == 1 else f"{around.oom_kills} times"
        witnesses.append(f"the control group counts that the kernel killed for memory {times}")
    if around.container is not None and around.container.oom_killed:
        witnesses.append("the engine says that the container ran out of memory (OOMKilled)")
    if not witnesses:
        return None
    sure = len(witnesses) > 1 or (line is not None and same_name(line.module_id, member.name))
    name = name_of(member)
    return Cause(
        cls="oom-killed",
        summary=f"the kernel killed {name} because memory ran out"
        if sure
        else f"the kernel probably killed {name} because memory ran out",
        confidence="high" if sure else "medium",
        evidence=(f"{name} ended with {ended(member)} and left no core", *witnesses),
        advice=(
            "Give the container more memory, or look for what grows: "
            "`docker stats`, VmRSS in /proc/PID/status.",
        ),
    )


def _is_about(event: LogEvent, member: Member) -> bool:
    """Whether the kernel's line may be about a process: it has other ids than the container."""
    if event.module_id is None or member.name is None:
        return event.pid is None or event.pid == member.pid
    return same_name(event.module_id, member.name) or bool(_INTERPRETER.match(event.module_id))


NO_CRASH = "no-crash"
"""The class of a verdict that nothing failed."""
_QUIET = {
    "reset": "EVerest was restarted because a reset was asked for: nothing crashed",
    "broker-lost": "the connection to the MQTT broker was lost, so all modules ended: no crash",
    "stopped": "EVerest ended because it was told to: nothing crashed",
}
_QUIET_ADVICE = {"broker-lost": "Look for the reason in the log of the broker."}


def quiet_cause(run: Run) -> Cause:
    """What to say of a run in which all ended, and nobody failed."""
    advice = _QUIET_ADVICE.get(run.kind)
    return Cause(
        cls=NO_CRASH,
        summary=_QUIET.get(run.kind, "nothing in the logs looks like a crash"),
        confidence=run.confidence,
        advice=(advice,) if advice else (),
    )


def plain_cause(member: Member) -> Cause:
    """What can be said of a first fault where nothing that is left calls it a failure."""
    name, number = name_of(member), died_of(member.status)
    summary = f"{name} ended without having been told to by the manager: {ended(member)}"
    if not member.ends:
        summary = f"{name} probably ended, but nothing that is left says how"
    if number is None:
        advice = ("The last records of its log are the only trace.",)
        return Cause(cls="unknown", summary=summary, confidence="low", advice=advice)
    text = f"{signal_name(number)} comes from another process: a person, a script, a supervisor"
    return Cause(cls="sent-signal", summary=summary, confidence="medium", evidence=(text,))


def noted_cause(member: Member, told: Cause | None) -> Cause | None:
    """What the core writer's note says of a crash, where the logs know no better."""
    note = member.lost.note if member.lost is not None else None
    if note is None or (told is not None and told.cls != "unknown"):
        return None
    return cause_of(note)


def _noted_reason(member: Member, around: Surroundings) -> SoftError | None:
    """Why there is no core, by the note of who was to write it."""
    note = member.lost.note if member.lost is not None else None
    if note is None:
        return None
    name = name_of(member)
    if note.error is not None or note.core is None:
        why = note.error or "its writer does not say why"
        return _error(f"there is no core of {name}: {why}", _hint(note.error))
    if note.core in around.removed:
        hint = "Raise EVDIAG_CORES_MAX or EVDIAG_CORES_MAX_BYTES to keep more cores."
        return _error(f"{note.core} of {name} was taken away to make room for later cores", hint)
    return _error(f"{note.core} of {name} is not here, only what was noted of it", "Copy it too.")


def _logged_reason(member: Member, events: tuple[LogEvent, ...]) -> SoftError | None:
    """The same by the line that the core writer logged, where it could not even leave a note."""
    line = next((event for event in reversed(events) if event.kind == "no-core"), None)
    if line is None:
        return None
    return _error(f"there is no core of {name_of(member)}: {line.detail}", _hint(line.detail))


def _hint(reason: str | None) -> str:
    """What helps, or where to look."""
    return what_helps(reason) or "Look at the log of EVerest around the time of the crash."


def why_no_core(
    member: Member, around: Surroundings, events: tuple[LogEvent, ...] = ()
) -> SoftError:
    """Why a process left no core, from the facts that there are; else what to look at."""
    noted = _noted_reason(member, around) or _logged_reason(member, events)
    if noted is not None:
        return noted
    number, name = died_of(member.status), name_of(member)
    if number is None and member.status is not None:
        message = f"there is no core of {name}: a process that ends by itself leaves none"
        return _error(message, "")
    if number is not None and number not in DEADLY:
        return _error(f"there is no core of {name}: {signal_name(number)} never leaves one", "")
    dumped = member.status is not None and member.status.core_dumped
    said = ", though the kernel says that it wrote one" if dumped else ""
    reasons = _reasons(around, dumped=bool(dumped))
    if not reasons:
        return _error(f"there is no core of {name}{said}", _what_to_check(around))
    hints = [hint for _, hint in reasons if hint]
    return _error(f"there is no core of {name}{said}: {reasons[0][0]}", " ".join(hints[:2]))


def _error(message: str, hint: str) -> SoftError:
    effect = "there are no stacks, registers or values of it"
    return SoftError(stage="core", message=message, effect=effect, hint=hint or None)


def _reasons(around: Surroundings, *, dumped: bool) -> list[tuple[str, str]]:
    """What prevented a core, the surest reason first, and what helps."""
    found = []
    if around.pattern is not None and around.pattern.kind in ("pipe", "socket"):
        found.append(_handed_over(around.pattern))
    if around.empty_cores:
        names = ", ".join(around.empty_cores[:4])
        found.append((f"{names} is empty: the disk was full or a limit forbade it", ""))
    full = next((disk for disk in around.disks if disk.available < ENOUGH_DISK), None)
    if full is not None:
        text = f"the disk mounted on {full.mounted_on} has {full.available >> 20} MB left"
        found.append((text, "Make room there."))
    if around.limits is not None and not dumped and _is_small(around.limits):
        hint = "Run `ulimit -c unlimited` before; in a container `--ulimit core=-1`."
        found.append((f"the limit for cores is {around.limits.soft} bytes", hint))
    if around.pattern is not None:
        found += _by_path(around, around.pattern)
    return found


def _is_small(limits: Limits) -> bool:
    return limits.soft is not None and 0 <= limits.soft < SMALL_LIMIT


def _handed_over(pattern: CorePattern) -> tuple[str, str]:
    if pattern.kind == "socket":
        return f"the kernel of the host gives cores to the socket {pattern.text[1:]}", ""
    name = pattern.handler or "a program"
    where = HANDLERS.get(name, f"look where {name} puts cores on the host")
    hint = f"{where[0].upper()}{where[1:]}."
    return f"the kernel of the host gives cores to {name}, outside of the container", hint


def _by_path(around: Surroundings, pattern: CorePattern) -> list[tuple[str, str]]:
    """A core that a later one replaced, or a folder where it could not be written."""
    found = []
    if not pattern.names_pid and around.cores:
        text = f"the next crash overwrote it, as all cores are called {pattern.text}"
        hint = "Set kernel.core_uses_pid=1, or a pattern with %p: /tmp/cores/core.%e.%p.%t."
        found.append((text, hint))
    elif pattern.kind == "absolute":
        folder = pattern.text.rpartition("/")[0] or "/"
        text = f"{folder} may be missing in the container, or not be writable for the process"
        found.append((text, f"The pattern of the host is {pattern.text}."))
    return found


def _what_to_check(around: Surroundings) -> str:
    """The usual reasons that nothing here speaks for or against."""
    checks = []
    if around.pattern is None:
        checks.append("/proc/sys/kernel/core_pattern (a pipe leads to the host)")
    else:
        checks.append("whether the working directory of the process is writable for it")
    if around.limits is None:
        checks.append("`ulimit -c`")
    if not around.disks:
        checks.append("`df`")
    checks.append("fs.suid_dumpable if EVerest runs with run_as_user")
    return f"Check {', '.join(checks)}."
