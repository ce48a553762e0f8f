"""Addresses in memory, which say nothing by themselves: they need mappings.

Those of a core or bundle may be known to whoever asks; those that the text told before are used
here.
"""

import re
from collections.abc import Iterator

from evdiag.model.symbolized import Mention
from evdiag.parse.addresses._finder import APART, Finder, at_address, text_end
from evdiag.parse.addresses._mappings import Mappings

_NUMBER = re.compile(r"0x(?P<value>[0-9a-fA-F]{6,16})(?!\w)|\[<(?P<old>[0-9a-f]{8,16})>\]")
_FRAME = re.compile(
    rf"(?:#(?P<level>\d{{1,4}})|{APART}(?P<other>\d{{1,4}})[#:]|{APART}(?P<glog>@)) {{1,18}}\[?$"
)


def _find(line: str, mappings: Mappings) -> Iterator[Mention]:
    for match in _NUMBER.finditer(line):
        start, end = match.span()
        before = line[start - 1] if start else " "
        if before.isalnum() or before in "_+":
            continue
        bracket = before == "[" and line.startswith("]", end)
        span = (start - bracket, end + bracket)
        mention = at_address(
            span,
            int(match["value"] or match["old"], 16),
            mappings,
            is_call=_is_call(line, start, end, bracket),
        )
        if mention is not None:
            yield mention


def _is_call(line: str, start: int, end: int, bracket: bool) -> bool:
    """Whether it is a frame of a stack; the innermost one is where the program is."""
    frame = _FRAME.search(line, max(0, start - 26), start)
    if frame is None:
        return bracket and text_end(line) == end + 1  # backtrace_symbols that knows nothing
    return bool(frame["glog"]) or int(frame["level"] or frame["other"]) > 0


FINDER = Finder(
    id="raw",
    title="Addresses in memory, by mappings of a core, of a bundle or told by the text before",
    examples=(
        "[0x55ae999031c4]",
        "    @     0x55ae999031c4 (unknown)",
        "#1  0x000055ae999031c4 in ?? ()",
        "   4:     0x55ae999031c4 - <unknown>",
        "pc : [<b6e8a1c4>]",
    ),
    words=("0x", "[<"),
    marks=("0x", "[<"),
    find=_find,
)
