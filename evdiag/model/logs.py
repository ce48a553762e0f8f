"""What log files say: events that matter to the question who died first, and why."""

import msgspec


class ExitStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How a process ended, as waitpid(2) tells it; exactly one of signal and code is known."""

    code: int | None = None
    signal: int | None = None
    core_dumped: bool | None = None
    """None where the line does not say it."""


class SanitizerReport(msgspec.Struct, frozen=True, kw_only=True):
    """The report of a sanitizer, from its text."""

    tool: str
    """AddressSanitizer, UndefinedBehaviorSanitizer, ThreadSanitizer, LeakSanitizer, ..."""
    error: str
    """Its own word: heap-use-after-free, data race, signed integer overflow, ..."""
    access: str | None = None
    """read or write."""
    pid: int | None = None
    function: str | None = None
    file: str | None = None
    line: int | None = None
    stack: tuple[str, ...] = ()
    """The frames of its first stack, one line each, innermost first."""


class ScriptFailure(msgspec.Struct, frozen=True, kw_only=True):
    """An error that ended a module written in a scripting language."""

    language: str
    """python or node."""
    error: str
    """Type of the exception."""
    message: str = ""
    stack: tuple[str, ...] = ()
    """Innermost first, `function at file:line`."""


class LogEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened, by one record of a log."""

    kind: str
    """One of `KINDS`."""
    source: str
    """Name of the log file."""
    line: int
    """Number of the record's first line, from 1."""
    text: str
    """The record, without colours; more than one line where it has more."""
    time: float | None = None
    """Seconds since 1970 by the clock that the log uses, whatever its zone; records without a
    time stamp have that of the record before."""
    module_id: str | None = None
    """EVerest's module, or the program of supervisord."""
    pid: int | None = None
    status: ExitStatus | None = None
    detail: str | None = None
    """The type of an exception, the text of libc, the reason in words."""
    sanitizer: SanitizerReport | None = None
    script: ScriptFailure | None = None


KINDS = {
    "module-exit": "a module ended and the manager did not expect it",
    "module-stopped": "the manager ended a module, or it ended as told",
    "manager-start": "the manager starts its modules: what follows is another run",
    "manager-exit": "the manager ends",
    "service-start": "supervisord started a program",
    "service-exit": "supervisord saw a program end",
    "terminate": "std::terminate was called; `detail` is the type of the exception, if any",
    "what": "the text of that exception",
    "libc-message": "last words of glibc or libstdc++: assertion, heap, fortify, pure virtual",
    "sanitizer": "the report of a sanitizer",
    "script": "an uncaught error of Python or JavaScript",
    "module-error": "EVerest caught an exception that ends the module",
    "lock-timeout": "EVerest waited for a mutex until its patience ended",
    "broker-lost": "the connection to the MQTT broker is gone",
    "reset": "a restart was asked for",
    "no-core": "the core writer says why it wrote no core; `detail` is the reason",
    "core-written": "the core writer wrote a core; `detail` is its name",
    "kernel-fault": "the kernel logged the fault that ended a process",
    "oom": "the kernel killed a process for want of memory",
    "error": "a record of severity ERRO or CRIT that says something else",
}


class LogFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the logs say about one process, oldest first."""

    events: tuple[LogEvent, ...] = ()

    def of(self, kind: str) -> tuple[LogEvent, ...]:
        """The events of one kind."""
        return tuple(event for event in self.events if event.kind == kind)
