"""Put the report together from what was found."""

import shlex
from collections.abc import Mapping

import msgspec

from evdiag.analyze import names
from evdiag.analyze.frames import crash_frame
from evdiag.analyze.times import utc_words
from evdiag.model.core import CoreFacts, ModuleIdentity, StartupFacts
from evdiag.model.crash import Cause, CrashFacts
from evdiag.model.incident import CaptureNote
from evdiag.model.report import (
    Address,
    CoreFile,
    CxxException,
    Frame,
    Instruction,
    Module,
    Process,
    Provenance,
    Report,
    Signal,
    Signature,
    SoftError,
    Thread,
    Tool,
    Verdict,
)
from evdiag.model.signals import code_name, signal_name
from evdiag.model.signature import Signed
from evdiag.parse.modules import MappedModule

MAX_NAMED_MISSING = 5
"""Missing modules that are named one by one; the others are counted."""

LONGEST_DETAIL, LONGEST_FUNCTION = 60, 120
"""Characters of a title's parts: it is a headline, the report below it has the rest."""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that goes into a report."""

    facts: CoreFacts
    path: str
    version: str
    created: str
    startup: StartupFacts
    identity: ModuleIdentity | None
    executable: str | None
    program: str | None
    """The executable's file on this machine, if it was found."""
    sysroot: str | None
    threads: tuple[Thread, ...]
    crash: CrashFacts
    cause: tuple[str, Cause]
    signed: Signed = Signed(signature=Signature())
    disassembly: tuple[Instruction, ...] = ()
    modules: tuple[MappedModule, ...]
    symbols: Mapping[str, str]
    soft_errors: tuple[SoftError, ...]
    timings: dict[str, float]
    note: CaptureNote | None = None


def report(found: Found) -> Report:
    """The report, before redaction and neutralisation."""
    facts, (rule, cause) = found.facts, found.cause
    frames = found.threads[0].frames
    frame = crash_frame(frames, found.signed.frame)
    return Report(
        tool=Tool(version=found.version),
        created=found.created,
        title=title(
            named(found.identity, found.executable, found.facts.name),
            cause,
            waiting(found.crash) if cause.cls == "deadlock" else frame,
        ),
        verdict=Verdict(
            cls=cause.cls,
            rule=rule,
            detail=cause.detail,
            confidence=cause.confidence,
            summary=cause.summary,
            evidence=cause.evidence,
            advice=(*cause.advice, *_ask_a_debugger(found)),
            frame=frame.level if frame else None,
        ),
        signature=found.signed.signature,
        signal=_signal(found.crash, cause),
        abort_message=found.crash.words.message,
        assertion=cause.assertion,
        exception=next(iter(_uncaught(found.crash)), None),
        other_exceptions=_others(found.crash),
        process=_process(found),
        threads=found.threads,
        modules=tuple(_module(m, found.symbols) for m in found.modules),
        disassembly=found.disassembly,
        deadlock=found.crash.deadlock,
        registers={name: Address(value) for name, value in found.crash.registers.items()},
        core=CoreFile(
            path=found.path,
            bytes=facts.size,
            truncated=facts.missing > 0 or bool(facts.damage),
            missing_bytes=facts.missing,
        ),
        soft_errors=found.soft_errors,
        provenance=Provenance(rung=_rung(found.threads), timings=found.timings),
    )


def _uncaught(crash: CrashFacts) -> tuple[CxxException, ...]:
    return tuple(thrown for thrown in crash.words.exceptions if thrown.role == "uncaught")[:1]


def _others(crash: CrashFacts) -> tuple[CxxException, ...]:
    ended = _uncaught(crash)
    return tuple(thrown for thrown in crash.words.exceptions if thrown not in ended)


def waiting(crash: CrashFacts) -> Frame | None:
    """Where the first thread of a circle of waits waits: the thread with the signal has no part."""
    member = crash.deadlock[0]
    frames = next((t.frames for t in crash.threads if t.number == member.thread), ())
    return next((frame for frame in frames if frame.level == member.frame), None)


def named(identity: ModuleIdentity | None, executable: str | None, name: str) -> str:
    """How a process is called in a title: `<module> (<Type>)`, else as its executable is."""
    if identity:
        return f"{identity.id} ({identity.type})" if identity.type else identity.id
    return (executable or name or "process").rpartition("/")[2]


def subject(identity: ModuleIdentity | None, executable: str | None, name: str) -> str:
    """Whose a signature is: a module's type, as its name is that of one instance; else the name of
    the program's file, never that of the process, which EVerest changes."""
    return (identity and identity.type) or (executable or name or "process").rpartition("/")[2]


def title(who: str, cause: Cause, frame: Frame | None) -> str:
    """`<module> (<Type>): <class>[ <detail>] in <function>[ at <file>:<line>]`, as documented.

    `evse_manager (EvseManager): null-write in Session::energy at session.cpp:42`.
    """
    detail = names.clip(" ".join((cause.detail or "").split()), LONGEST_DETAIL)
    what = f"{cause.cls} {detail}" if detail else cause.cls
    where = ""
    if frame and frame.function:
        where = f" in {names.elide(names.qualified(frame.function), LONGEST_FUNCTION)}"
    elif frame and frame.module:
        where = f" in {frame.module.rpartition('/')[2]}"
    if frame and frame.file and frame.line:
        where += f" at {frame.file.rpartition('/')[2]}:{frame.line}"
    return f"{who}: {what}{where}"


def _rung(threads: tuple[Thread, ...]) -> str:
    """How far the native engine got: to stacks, or only to the notes of the core."""
    return "native" if any(len(thread.frames) > 1 for thread in threads) else "notes"


def _ask_a_debugger(found: Found) -> tuple[str, ...]:
    """How to look further than any report goes."""
    if found.program is None:
        return ()
    root = ("--sysroot", found.sysroot) if found.sysroot else ()
    command = shlex.join(("evdiag", "gdb", found.path, *root))
    return (f"To look around in the crashed process yourself: {command}",)


def _signal(crash: CrashFacts, cause: Cause) -> Signal | None:
    signal = crash.signal
    if signal is None:
        return None
    adjusted = cause.adjusted_address
    return Signal(
        number=signal.number,
        name=signal_name(signal.number),
        code=signal.code,
        code_name=None if signal.code is None else code_name(signal.number, signal.code),
        fault_address=None if signal.address is None else Address(signal.address),
        adjusted_address=None if adjusted is None else Address(adjusted),
        access=cause.access,
        instruction=crash.instruction.text if crash.instruction else None,
        sender_pid=signal.sender_pid,
        sender_uid=signal.sender_uid,
    )


def _process(found: Found) -> Process:
    identity = found.identity
    build_id = next((m.build_id for m in found.modules if m.path == found.executable), None)
    return Process(
        executable=found.executable,
        argv=found.startup.argv,
        pid=found.facts.pid,
        module_id=identity.id if identity else None,
        module_type=identity.type if identity else None,
        build_id=build_id,
        started=utc_words(found.note.started) if found.note else None,
        crashed_at=utc_words(found.note.crashed_at) if found.note else None,
    )


def _module(module: MappedModule, symbols: Mapping[str, str]) -> Module:
    return Module(
        path=module.path,
        base=Address(module.start),
        end=Address(module.end),
        build_id=module.build_id,
        symbols=symbols.get(module.path),
    )


def soft_errors(
    facts: CoreFacts,
    problems: Mapping[str, SoftError],
    symbol_problems: tuple[SoftError, ...],
    on_stacks: set[str | None],
    executable: str | None,
    *,
    is_explained: bool = False,
) -> tuple[SoftError, ...]:
    """What went wrong, most important first; modules on no stack are only counted.

    `is_explained`: whether the writer of the core has told why it is not whole.
    """
    found = [SoftError(stage="core", message=text) for text in facts.damage]
    if facts.missing and not is_explained:
        found.append(_incomplete(facts))
    urgent = [e for path, e in problems.items() if path == executable or path in on_stacks]
    found += urgent[:MAX_NAMED_MISSING]
    rest = len(problems) - len(urgent[:MAX_NAMED_MISSING])
    if rest:
        found.append(
            SoftError(
                stage="modules",
                message=f"mapped files that are missing here or of another build, besides: {rest}",
                effect="none for the stacks of this report, if not said otherwise",
            )
        )
    if not facts.machine.unwinds:
        found.append(
            SoftError(
                stage="unwind",
                message=f"stacks of {facts.machine.name} are not unwound",
                effect="frame 0 and what a chain of frame pointers gives are shown",
                hint="gdb-multiarch can unwind them",
            )
        )
    return tuple(found) + symbol_problems


def split_debug_info(path: str) -> SoftError:
    """Why a program with debug information has no lines."""
    return SoftError(
        stage="symbols",
        message=f"{path}: its debug information lies in .dwo files, which evdiag does not read",
        effect="functions have names, but no lines, and inlined calls are missing",
        hint="gdb reads them: with one, values and lines are in the report",
    )


def _incomplete(facts: CoreFacts) -> SoftError:
    """Name the segments of a truncated core that miss bytes."""
    cut = [r for r in facts.regions if r.present < r.wanted]
    places = ", ".join(f"0x{r.start:x} ({r.wanted - r.present} bytes)" for r in cut[:4])
    more = f" and {len(cut) - 4} more" if len(cut) > 4 else ""
    return SoftError(
        stage="core",
        message=f"the core is truncated: {facts.missing} bytes of memory are missing, "
        f"at {places}{more}",
        effect="stacks may be short or absent",
        hint="look for a full disk or a size limit where the core was written or copied",
    )
