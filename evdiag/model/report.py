"""The report: what evdiag found, in the shape of the published JSON schema.

Rules of the schema: every field but `schema` may be missing or null, and null means "not known";
addresses are hexadecimal strings, because JavaScript cannot hold 64 bits; enumerations are open,
so a reader has to expect words that it does not know; no field is renamed within a schema version.
"""

from typing import Literal

import msgspec

SCHEMA = "evdiag.report/1"


def is_crash(cls: str) -> bool:
    """Whether a verdict's class is that of a crash: no snapshot, no end that was asked for."""
    return cls not in ("snapshot", "no-crash")


class Address(int):
    """A number in Python, a hexadecimal string in JSON."""

    __slots__ = ()

    def __str__(self) -> str:
        return hex(self)


class Noun(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all parts of the report."""


class Tool(Noun, frozen=True, kw_only=True):
    name: str = "evdiag"
    version: str | None = None


class Verdict(Noun, frozen=True, kw_only=True):
    """Why the process died, in one sentence, with the facts that say so."""

    cls: str = msgspec.field(name="class", default="unknown")
    rule: str | None = None
    """The rule that decided; its page in the documentation explains it."""
    detail: str | None = None
    """What tells crashes of one class apart: type of an exception, expression of an assertion,
    text of libc's message."""
    confidence: str | None = None
    """high, medium or low."""
    summary: str = ""
    evidence: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()
    frame: int | None = None
    """Level of the frame of the crashed thread to look at first."""


class Signature(Noun, frozen=True, kw_only=True):
    """Identity of the crash for de-duplication."""

    text: str | None = None
    hash: str | None = None
    version: str | None = None
    inputs: tuple[str, ...] = ()
    proto: tuple[str, ...] = ()
    address: str | None = None
    """Build-ids and offsets of the innermost frames of the application: needs no symbols."""


class Signal(Noun, frozen=True, kw_only=True):
    number: int | None = None
    name: str | None = None
    code: int | None = None
    code_name: str | None = None
    fault_address: Address | None = None
    adjusted_address: Address | None = None
    """The address computed from instruction and registers, where the kernel could not say it."""
    access: str | None = None
    """read, write or execute."""
    instruction: str | None = None
    sender_pid: int | None = None
    sender_uid: int | None = None


class Assertion(Noun, frozen=True, kw_only=True):
    expression: str | None = None
    file: str | None = None
    line: int | None = None
    function: str | None = None


class Process(Noun, frozen=True, kw_only=True):
    executable: str | None = None
    argv: tuple[str, ...] = ()
    pid: int | None = None
    module_id: str | None = None
    """EVerest's name for this instance of a module, for example `evse_manager_1`."""
    module_type: str | None = None
    """The module's type, for example `EvseManager`."""
    build_id: str | None = None
    started: str | None = None
    """As noted by the program that wrote the core."""
    crashed_at: str | None = None
    """By the same note in UTC; without one by the clock of the log, whose zone is not known."""


class SourceLine(Noun, frozen=True, kw_only=True):
    number: int
    text: str
    current: bool = False


class Variable(Noun, frozen=True, kw_only=True):
    """An argument or a local variable, as gdb prints it."""

    name: str
    """A name of the program; `*name` is what the pointer of that name points to."""
    type: str | None = None
    value: str | None = None
    problem: str | None = None
    """Why there is no value, or only the beginning of one."""


class CxxException(Noun, frozen=True, kw_only=True):
    """A C++ exception object in the memory of the process."""

    type: str | None = None
    """Dynamic type, readable."""
    what: str | None = None
    """The text it carries."""
    address: Address | None = None
    bases: tuple[str, ...] = ()
    """Its base classes, nearest first."""
    role: str | None = None
    """uncaught (it ended the process), caught (a handler has it), thrown (on its way to a
    handler), nested (inside another one), kept (alive, but in nobody's hands)."""
    fields: tuple[Variable, ...] = ()
    """Its members, where a debugger could read them."""


class Frame(Noun, frozen=True, kw_only=True):
    """One line of a stack; inlined functions are frames of their own with the same pc."""

    level: int
    kind: Literal["normal", "inline", "signal"] | str = "normal"
    """normal, inline (a call the compiler inlined) or signal (the kernel's trampoline)."""
    pc: Address | None = None
    function: str | None = None
    file: str | None = None
    line: int | None = None
    module: str | None = None
    offset: Address | None = None
    """Address in the module's file as `addr2line` wants it."""
    build_id: str | None = None
    in_app: bool = False
    trust: str | None = None
    """How the frame was found: context, cfi, frame_pointer, call, link_register, signal_frame."""
    args: tuple[Variable, ...] = ()
    locals: tuple[Variable, ...] = ()
    source: tuple[SourceLine, ...] = ()


class Fold(Noun, frozen=True, kw_only=True):
    """A stretch of frames that repeats: recursion, shown once."""

    level: int
    """Level of the first frame of the stretch."""
    period: int
    """How many physical frames one round has."""
    count: int
    """How many rounds there are; only the first is among the thread's frames."""


class WaitsFor(Noun, frozen=True, kw_only=True):
    """What a thread waits for."""

    kind: str | None = None
    """mutex, recursive mutex, rwlock, join (for another thread to end), condition variable,
    semaphore, future, atomic, lock (inside of libc) or futex (unknown)."""
    address: Address | None = None
    """Where the lock lies; of `join`, where the other thread's number does."""
    owner_lwp: int | None = None
    """The thread that holds the lock, or whose end is waited for."""


class Thread(Noun, frozen=True, kw_only=True):
    number: int
    lwp: int | None = None
    name: str | None = None
    """The name it gave itself, cut to 15 bytes by the kernel, where it is not that of the process;
    known of the crashed thread alone, and only where the program that wrote the core noted it."""
    role: str | None = None
    """What it is for: its outermost function that tells one thread from another, or `main`."""
    crashed: bool = False
    state: str | None = None
    """What it did in the end, in words: crashed, running, or what it waited for."""
    waits_for: WaitsFor | None = None
    group: int | None = None
    """Threads with the same number have the same stack."""
    frames: tuple[Frame, ...] = ()
    gdb_frames: tuple[Frame, ...] = ()
    """The stack as gdb sees it, where it is another one than `frames`."""
    folds: tuple[Fold, ...] = ()
    omitted: int = 0
    """Physical frames left out between the first and the last ones of a very deep stack."""
    ended: str | None = None
    """Why the stack ends where it ends, if not at the thread's start."""


class Module(Noun, frozen=True, kw_only=True):
    path: str | None = None
    base: Address | None = None
    end: Address | None = None
    build_id: str | None = None
    symbols: str | None = None
    """full, names, none, missing, mismatched or unverified."""


class Instruction(Noun, frozen=True, kw_only=True):
    """One line of a disassembly."""

    address: Address
    text: str
    function: str | None = None


class DeadlockMember(Noun, frozen=True, kw_only=True):
    """A thread of a circle of waits; the next member, or the first, has what it waits for."""

    thread: int | None = None
    """Its number in this report."""
    lwp: int | None = None
    role: str | None = None
    waits_for: WaitsFor | None = None
    frame: int | None = None
    """Level of its frame that waits: the innermost one of the application."""


class Sibling(Noun, frozen=True, kw_only=True):
    module_id: str | None = None
    pid: int | None = None
    status: str | None = None
    role: str | None = None
    """first_fault, taken_down or unrelated."""
    note: str | None = None
    """What is remarkable about its end: `crashed while it was being shut down`."""
    cls: str | None = msgspec.field(name="class", default=None)
    """The class of its own verdict, where there is one."""
    summary: str | None = None
    core: str | None = None
    """Path of its core, if it left one."""


class Build(Noun, frozen=True, kw_only=True):
    """How the EVerest of an image was built, as the build itself noted it."""

    commit: str | None = None
    describe: str | None = None
    """As `git describe` names the commit."""
    source: str | None = None
    """Where the sources came from, where it was not the commit: somebody's own folder."""
    compiler: str | None = None
    cflags: str | None = None
    architecture: str | None = None
    modules: tuple[str, ...] = ()


class Container(Noun, frozen=True, kw_only=True):
    image: str | None = None
    digest: str | None = None
    labels: dict[str, str] = {}
    state: str | None = None
    exit_code: int | None = None
    oom_killed: bool | None = None
    """What the engine says; it is known to be wrong now and then."""
    oom_kills: int | None = None
    """How often the kernel killed a process of the container for want of memory."""
    environment: dict[str, str] = {}
    """Of its variables those that are known to be harmless: OCPP_VERSION, OCPP_ID."""
    build: Build | None = None


class LogExcerpt(Noun, frozen=True, kw_only=True):
    source: str
    lines: tuple[str, ...] = ()


class TimelineEvent(Noun, frozen=True, kw_only=True):
    """One thing that happened shortly before the crash, or right after it."""

    time: str | None = None
    """In UTC where it says so, else by the clock of the log, whose zone is not known."""
    offset: float | None = None
    """Seconds since the crash: negative before it."""
    precision: float | None = None
    """How exact the time is, in seconds, where it is not exact to milliseconds."""
    kind: str | None = None
    text: str = ""
    direction: str | None = None
    """to_csms, from_csms, to_car or from_car: which way a message went."""
    answered_after: float | None = None
    """Seconds until a request was answered."""
    module: str | None = None
    """EVerest's module, or the program of supervisord."""
    source: str | None = None
    """The file that tells it."""
    count: int = 1
    """How often it happened since the event before that is no routine; this is the last time."""
    current: bool = False
    """Whether this is the crash that the report is about."""


class CoreFile(Noun, frozen=True, kw_only=True):
    path: str | None = None
    sha256: str | None = None
    bytes: int | None = None
    truncated: bool | None = None
    missing_bytes: int | None = None


class SoftError(Noun, frozen=True, kw_only=True):
    """Something that went wrong while the report was made, and what that means for it."""

    stage: str
    message: str
    effect: str | None = None
    hint: str | None = None


class Redacted(Noun, frozen=True, kw_only=True):
    """What stands in this report in place of secrets: tokens such as `<redacted-1a2b3c4d>`."""

    secrets: dict[str, int] = {}
    """How many different ones, by kind: password, key, account, id-token, vehicle, contract, url,
    word (it was known by its value alone)."""


class Provenance(Noun, frozen=True, kw_only=True):
    """How the report was made."""

    gdb: str | None = None
    """The version of the gdb that values are from."""
    gdb_place: str | None = None
    """Where it ran: `this machine`, `running container NAME`, `throw-away container of IMAGE` or
    `throw-away container of a commit of NAME`."""
    rung: str | None = None
    """native+gdb (our own stacks, gdb's values), native (no values), native+mi (values from a gdb
    without Python), gdb or mi (stacks from gdb too), notes (neither stacks nor values), logs
    (there is no core), capture (there is no core, but a note of the program that writes cores)."""
    timings: dict[str, float] = {}
    """Seconds of CPU per stage."""
    redaction: Redacted | None = None
    """null: nothing was replaced on purpose, or by a version that does not tell."""


class Report(Noun, frozen=True, kw_only=True):
    """Everything evdiag found out about one core."""

    schema: str = SCHEMA
    tool: Tool = Tool()
    created: str | None = None
    title: str = ""
    verdict: Verdict = Verdict()
    signature: Signature | None = None
    signal: Signal | None = None
    abort_message: str | None = None
    assertion: Assertion | None = None
    exception: CxxException | None = None
    other_exceptions: tuple[CxxException, ...] = ()
    """Exceptions that were alive besides, nested ones first."""
    process: Process = Process()
    threads: tuple[Thread, ...] = ()
    modules: tuple[Module, ...] = ()
    registers: dict[str, Address] = {}
    disassembly: tuple[Instruction, ...] = ()
    deadlock: tuple[DeadlockMember, ...] = ()
    siblings: tuple[Sibling, ...] = ()
    container: Container | None = None
    logs: tuple[LogExcerpt, ...] = ()
    timeline: tuple[TimelineEvent, ...] = ()
    core: CoreFile = CoreFile()
    soft_errors: tuple[SoftError, ...] = ()
    provenance: Provenance = Provenance()

    @property
    def crashed(self) -> Thread | None:
        """The thread that died, where there is one."""
        return next((t for t in self.threads if t.crashed), None)
