"""What all finders of addresses share: their shape, what they return, and how names are cut out.

Lines are hostile and may be long: nothing here takes time that grows faster than the line.
"""

import re
from collections.abc import Callable, Iterable

import msgspec

from evdiag.model.symbolized import Mention
from evdiag.parse.addresses._mappings import Mappings

HEX = "[0-9a-fA-F]{1,16}"

APART = r"(?:(?<![\w#])|(?<=[0-9\[]m))"
"""Before a number that is no part of a word; behind a colour it is none."""

LOWEST, HIGHEST = 1 << 16, 1 << 48
"""What can be the address of code in a process: Linux maps nothing below 64 KiB."""

LARGEST_MODULE = 1 << 28
"""Of formats that mean one or the other: what is more must be an address in memory."""

LONGEST_NAME = 8192
"""Characters that a path or a symbol has at most."""

NAMED_PLACE = re.compile(r":\d{1,9}$")
"""The end of a frame that says file and line itself."""

_STOPS = " \t\"'`<>|;=,\x1b"
"""What a path in a log does not hold, unless it is the whole line."""
_COLOUR = re.compile(r"\x1b\[[0-9;]{0,12}m")
_COLOUR_AT_END = re.compile(r"\x1b\[[0-9;]{0,12}[mK]$")
_PATHS = ("/", "./", "../")


class Claim(msgspec.Struct, frozen=True):
    """A part of a line that is left as it is: it says itself what is there, or is no address."""

    start: int
    end: int


Finding = Mention | Claim


class Finder(msgspec.Struct, frozen=True, kw_only=True):
    """One format of addresses: how a line with some is told at once, and what is in it."""

    id: str
    title: str
    """For the documentation."""
    examples: tuple[str, ...]
    """Lines as they are written."""
    words: tuple[str, ...]
    """One of them is in each line that it finds something in."""
    marks: tuple[str, ...] = ("0x",)
    """The same, for whole blocks: the fewer different ones all finders have, the better."""
    find: Callable[[str, Mappings], Iterable[Finding]]
    """What is in a line; what overlaps with findings of finders before it is dropped."""


def at_address(
    span: tuple[int, int], address: int, mappings: Mappings, *, is_call: bool = False
) -> Mention | None:
    """An address in memory, with the module that is there by what the text told before."""
    if not LOWEST <= address < HIGHEST:
        return None
    start, end = span
    mapping = mappings.at(address)
    if mapping is None:
        return Mention(start=start, end=end, kind="raw", address=address, is_call=is_call)
    return Mention(
        start=start,
        end=end,
        kind=mapping.kind,
        module=mapping.module,
        base=mapping.base,
        address=address,
        is_call=is_call,
    )


def name_start(line: str, floor: int, end: int, stops: str = "") -> int:
    """Where the path or name begins that ends at `end`; never before `floor`."""
    floor = max(floor, end - LONGEST_NAME)
    start = 1 + max(line.rfind(stop, floor, end) for stop in _STOPS + stops)
    start = max(start, floor)
    escape = line.rfind("\x1b", floor, end)
    colour = _COLOUR.match(line, escape, end) if escape >= 0 else None
    return max(start, colour.end()) if colour else start


def path_start(line: str, floor: int, end: int) -> int:
    """The same of a path that may have spaces in it, if nothing else is before it in the line."""
    if floor == 0 and end <= LONGEST_NAME:
        start = len(line) - len(line.lstrip())
        whole = line[start:end]
        if whole.startswith(_PATHS) and not any(mark in whole for mark in (" /", " .", ": ")):
            return start
    return name_start(line, floor, end)


def text_end(line: str) -> int:
    """Where the line ends, but for colours and spaces."""
    end = len(line.rstrip())
    while colour := _COLOUR_AT_END.search(line, max(0, end - 16), end):
        end = len(line[: colour.start()].rstrip())
    return end
