"""What the kernel logs about processes that it ends: faults, and want of memory.

Sources: Linux, arch/x86/mm/fault.c (`show_signal_msg`), arch/x86/kernel/traps.c, mm/oom_kill.c.
The lines come from dmesg, journalctl or syslog, each with another prefix.
"""

import re
from collections.abc import Iterator

from evdiag.model.logs import LogEvent
from evdiag.parse.logs.everest import module_of
from evdiag.parse.logs.records import Parser, RawText, Reader, Record

_PREFIX = (
    r"(?:<\d{1,3}>)?"
    r"(?:\w{3} [ \d]\d \d\d:\d\d:\d\d \S{1,64} kernel: |\S{1,64} kernel: |kernel: )?"
    r"(?:\[[ \d.]{3,20}\] |\[\w{3} \w{3} [ \d]\d [\d:]{8} \d{4}\] )?"
)
"""dmesg's `[12345.678901] ` and `[Sun Nov 22 07:01:54 2026] `, syslog's time, host and `kernel: `,
what is left of an ISO time after the line was taken out of its wrapping, or nothing at all."""

_FAULT = re.compile(
    _PREFIX + r"(?:traps: )?(?P<name>.{1,15})\[(?P<pid>\d{1,9})\]:? (?P<what>segfault at [0-9a-f]+ "
    r"ip|general protection(?: fault)?|trap [a-z ]{1,40}) ?.*"
)
_KILLED = re.compile(
    _PREFIX + r"(?P<what>Out of memory|Memory cgroup out of memory)"
    r"(?: \(oom_kill_allocating_task\))?: Kill(?:ed)? process (?P<pid>\d{1,9}),? "
    r"(?:UID \d{1,10},? )?\((?P<name>.{1,15})\)"
)
_CHOSEN = re.compile(
    _PREFIX + r"oom-kill:constraint=(?P<what>\w{1,40}),.*?\btask=(?P<name>[^,\n]{1,15}),"
    r"pid=(?P<pid>\d{1,9})"
)


_FIRST = (_KILLED, _CHOSEN, _FAULT)


def _begins(line: str) -> bool:
    return any(pattern.match(line) for pattern in _FIRST)


def _read(record: Record) -> Iterator[LogEvent]:
    match = next(filter(None, (pattern.match(record.message) for pattern in _FIRST)))
    yield record.event(
        "kernel-fault" if match.re is _FAULT else "oom",
        module_id=module_of(match["name"]) or match["name"],
        pid=int(match["pid"]),
        detail=match["what"].removesuffix(" ip"),
    )


def _start() -> Reader:
    return _read


PARSER = Parser(
    id="kernel",
    title="The kernel's log",
    raw=RawText(
        words=(b"segfault at ", b"rocess ", b"oom-kill:", b"] trap ", b"general protection"),
        begins=_begins,
        ends=_begins,
    ),
    start=_start,
)
