"""Lines of glibc's `backtrace_symbols` and `backtrace_symbols_fd`.

EvseManager prints them between dashed lines when a lock is not to be had. Without a symbol the
offset is relative to the load bias; programs that are not position independent have none, and the
address is that in the file. A frame alone, `[0x401136]`, is a raw address.
"""

import re
from collections.abc import Iterator

from evdiag.model.symbolized import Mention
from evdiag.parse.addresses._finder import HEX, LONGEST_NAME, Finder, path_start
from evdiag.parse.addresses._mappings import Mappings

_FRAME_END = re.compile(
    rf"(?P<offset>[+-]0x{HEX})\) ?\[0x(?P<address>{HEX})\]"
    rf"|(?P<bare>\(\))? ?\[0x(?P<fixed>{HEX})\]"
)
_DEMANGLED = ("(", "<", ":", " ")


def _find(line: str, _: Mappings) -> Iterator[Mention]:
    done = 0
    for match in _FRAME_END.finditer(line):
        mention = _fixed(line, done, match) if match["fixed"] else _moved(line, done, match)
        if mention is not None:
            yield mention
        done = match.end()


def _fixed(line: str, floor: int, match: re.Match[str]) -> Mention | None:
    """`./prog() [0x401136]` and `./prog[0x401136]`."""
    start = path_start(line, floor, match.start())
    module = line[start : match.start()]
    if not module or not (match["bare"] or ("/" in module and match[0][0] == "[")):
        return None
    return Mention(
        start=start,
        end=match.end(),
        kind="backtrace-symbols",
        module=module,
        address=int(match["fixed"], 16),
    )


def _moved(line: str, floor: int, match: re.Match[str]) -> Mention | None:
    """`./prog(name+0x12) [0x55ae9990317f]`, where the name may be missing or made readable."""
    opened = _opened(line, floor, match.start())
    start = path_start(line, floor, opened) if opened >= 0 else opened
    if start == opened:
        return None
    symbol = line[opened + 1 : match.start()]
    offset = int(match["offset"], 16)
    readable = any(mark in symbol for mark in _DEMANGLED)
    return Mention(
        start=start,
        end=match.end(),
        kind="backtrace-symbols",
        module=line[start:opened],
        symbol=None if readable else symbol or None,
        offset=None if readable or (offset < 0 and not symbol) else offset,
        address=int(match["address"], 16),
    )


def _opened(line: str, floor: int, end: int) -> int:
    """The bracket that is open at `end`; a readable name has brackets of its own."""
    floor = max(floor, end - LONGEST_NAME)
    depth = 0
    for place in range(end - 1, floor - 1, -1):
        if line[place] == ")":
            depth += 1
        elif line[place] == "(":
            if depth == 0:
                return place
            depth -= 1
    return -1


FINDER = Finder(
    id="backtrace-symbols",
    title="glibc's backtrace_symbols, also as EvseManager prints it",
    examples=(
        "./prog(+0x11c4) [0x55ae999031c4]",
        "./prog(_Z9open_namei+0x9)[0x55ae999031d2]",
        "/lib/libfoo.so.6(+0x2724a)[0x7f4086ded24a]",
        "./prog() [0x401168]",
        "./prog[0x401168]",
    ),
    words=("[0x",),
    find=_find,
)
