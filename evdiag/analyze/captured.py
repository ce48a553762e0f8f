"""What the core writer noted of a crash, held against the core: where both speak, the core wins."""

from collections.abc import Sequence

import msgspec

from evdiag.analyze.causes import explain
from evdiag.model.core import CoreFacts, SignalFacts, StartupFacts
from evdiag.model.crash import Cause, CrashFacts
from evdiag.model.incident import CaptureNote, CoreSeen
from evdiag.model.report import Address, Signal, SoftError, Thread
from evdiag.model.signals import code_name, signal_name
from evdiag.parse.startup import module_identity

BROKEN_END = 3
"""A core keeps 80 bytes of a command line (ELF_PRARGSZ, linux/elfcore.h): where they end within a
character, up to three bytes of it are left."""
LONGEST_WRITE = 90.0
"""Seconds from a crash to the last byte of the kernel's core, when the core writer tried before:
it gives up after 60 s (container/capture/capture.h)."""
_ROOM = "Make room there: see `df -h`, and EVDIAG_CORES_MAX_BYTES for how much cores may take."
_FOLDER = "The folder of EVDIAG_CORE_DIR must exist and be writable for the process (mode 1777)."
_TRACED = (
    "The writer reads the process by ptrace(2): check /proc/sys/kernel/yama/ptrace_scope, the "
    "seccomp profile of the container, and whether the process gave up PR_SET_DUMPABLE."
)
_DEBUGGED = "Only one can trace a process: let that debugger write the core (`gcore PID` in gdb)."
_SLOW = "The disk was too slow for this core: raise EVDIAG_CAPTURE_SECONDS."
_HELP = (
    (("debugger",), _DEBUGGED),
    (("too long", "timed out"), _SLOW),
    (("no space left", "quota"), _ROOM),
    (("evdiag_cores_max",), "Raise EVDIAG_CORES_MAX and EVDIAG_CORES_MAX_BYTES."),
    (("file too large",), "A limit for the size of files forbade it: see `ulimit -f`."),
    (("permission denied", "read-only", "no such file", "not a directory"), _FOLDER),
    (("ptrace", "not permitted", "not to be dumped", "no such process"), _TRACED),
)
"""What helps against what the system's calls say (errno(3)), by words of the writer's reason."""


class Agreed(msgspec.Struct, frozen=True, kw_only=True):
    """What can be used of a note, the facts of its core with it, and what does not fit."""

    note: CaptureNote | None
    facts: CoreFacts
    problems: tuple[SoftError, ...] = ()


def agreed(note: CaptureNote, source: str, facts: CoreFacts) -> Agreed:
    """Hold a note against its core; `source` is the name of the note's file."""
    if facts.pid is not None and facts.pid != note.pid:
        said = f"{source} tells of process {note.pid}, but the core is of process {facts.pid}"
        error = _error(f"{said}: the note is not used")
        return Agreed(note=None, facts=facts, problems=(error,))
    problems = list(_about_the_file(note, source, facts))
    signal = facts.signal
    if signal is None or signal.number == note.signal:
        if signal is None or signal.code is None:
            signal = signal_of(note)
    else:
        here, there = signal_name(signal.number), signal_name(note.signal)
        problems.append(_error(f"{source} says {there}, but the core {here}: the core is believed"))
    facts = msgspec.structs.replace(facts, signal=signal)
    return Agreed(note=note, facts=facts, problems=tuple(problems))


def _about_the_file(note: CaptureNote, source: str, facts: CoreFacts) -> list[SoftError]:
    """Bytes that are missing: since the core was written, or since it was copied."""
    if note.truncated or note.error or note.missing_bytes:
        why = f": {note.error}" if note.error else ""
        lost = f"{note.missing_bytes} bytes are missing" if note.missing_bytes else "it is cut"
        return [
            SoftError(
                stage="core",
                message=f"the core was not written whole ({source}), {lost}{why}",
                effect="stacks may be short, and values may be missing",
                hint=what_helps(note.error) or _ROOM,
            )
        ]
    if note.bytes is not None and facts.size < note.bytes:
        return [
            SoftError(
                stage="core",
                message=f"the core had {note.bytes} bytes when it was written ({source}), "
                f"and has {facts.size} now",
                effect="stacks may be short, and values may be missing",
                hint="Copy it again: it was not copied whole, or somebody cut it.",
            )
        ]
    return []


def _error(message: str) -> SoftError:
    return SoftError(stage="core", message=message)


def what_helps(reason: str | None) -> str | None:
    """What to do against what the writer says went wrong."""
    said = (reason or "").lower()
    return next((help for words, help in _HELP if any(word in said for word in words)), None)


def unusable(source: str, reason: str) -> SoftError:
    """What to say of a note that cannot be read."""
    return SoftError(
        stage="core",
        message=f"{source} cannot be used: {reason}",
        effect="what it says of the crash, its time for one, is missing here",
    )


def signal_of(note: CaptureNote) -> SignalFacts:
    """The signal, as a core would tell it."""
    return SignalFacts(
        number=note.signal,
        code=note.si_code,
        address=note.fault_address,
        sender_pid=note.sender_pid,
        sender_uid=note.sender_uid,
    )


def shown_signal(note: CaptureNote) -> Signal:
    """The signal in the shape of the report."""
    address = note.fault_address
    return Signal(
        number=note.signal,
        name=signal_name(note.signal),
        code=note.si_code,
        code_name=None if note.si_code is None else code_name(note.signal, note.si_code),
        fault_address=None if address is None else Address(address),
        sender_pid=note.sender_pid,
        sender_uid=note.sender_uid,
    )


def with_arguments(startup: StartupFacts, note: CaptureNote) -> StartupFacts:
    """The whole command line, where the core has only its first 80 bytes or none."""
    if startup.complete or not note.argv:
        return startup
    kept = " ".join(startup.argv)
    # The kernel has spaces where the zero bytes between arguments were.
    whole = " ".join(" ".join(note.argv).split())
    fits = whole.startswith(kept[: max(0, len(kept) - BROKEN_END)])
    return msgspec.structs.replace(startup, argv=note.argv) if fits else startup


def with_name(threads: Sequence[Thread], note: CaptureNote) -> list[Thread]:
    """The threads, the one that took the signal with its name, if it has one of its own."""
    own = note.thread if note.thread != note.comm else None
    return [
        msgspec.structs.replace(thread, name=own)
        if thread.crashed and own and thread.lwp == note.tid
        else thread
        for thread in threads
    ]


def seen(note: CaptureNote) -> CoreSeen:
    """A crash of which there is a note and no core."""
    identity = module_identity(note.argv, {}, note.executable)
    return CoreSeen(
        path="",
        pid=note.pid,
        module_id=identity.id if identity else None,
        program=(note.executable or note.comm or "").rpartition("/")[2] or None,
        signal=note.signal,
        note=note,
    )


def without_doubles(
    cores: Sequence[CoreSeen],
) -> tuple[list[CoreSeen], list[tuple[CoreSeen, CoreSeen]]]:
    """The cores, of each crash one; and those that are left out, with the one that is kept.

    The kernel writes a core too where the core writer got only a part of one done.
    """
    noted = {_who(core): core for core in cores if core.is_timed and core.path}
    doubles: dict[int, tuple[CoreSeen, CoreSeen]] = {}
    for core in cores:
        other = noted.get(_who(core))
        if other is None or core.note is not None or not _at_once(core, other):
            continue
        worse, better = (other, core) if core.is_whole and not other.is_whole else (core, other)
        doubles[id(worse)] = (worse, better)
    return [core for core in cores if id(core) not in doubles], list(doubles.values())


def _who(core: CoreSeen) -> tuple[int | None, str | None, int | None]:
    return core.pid, core.program, core.signal


def _at_once(core: CoreSeen, noted: CoreSeen) -> bool:
    """Whether a core's file was written when the other process crashed, or soon after."""
    if core.written is None or noted.moment is None:
        return False
    return -1.0 <= core.written - noted.moment <= LONGEST_WRITE


def cause_of(note: CaptureNote) -> Cause:
    """What signal, code and address alone say about a crash."""
    _, cause = explain(CrashFacts(signal=signal_of(note), pid=note.pid))
    sure = "medium" if cause.confidence == "high" else cause.confidence
    return msgspec.structs.replace(cause, confidence=sure)
