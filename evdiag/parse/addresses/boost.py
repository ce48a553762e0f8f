"""Frames of boost::stacktrace that have no name: those with a name have no address.

Source: boost/stacktrace/detail/frame_unwind.ipp. Up to 1.83 it prints addresses in memory, later
ones are relative to the first byte of the module's image.
"""

import re
from collections.abc import Iterator

from evdiag.model.symbolized import Mention
from evdiag.parse.addresses._finder import APART, HEX, LARGEST_MODULE, Finder, text_end
from evdiag.parse.addresses._mappings import Mappings

_FRAME = re.compile(rf"{APART}\d{{1,3}}# 0x(?P<value>{HEX}) in (?=\S)")


def _find(line: str, mappings: Mappings) -> Iterator[Mention]:
    match = _FRAME.search(line)
    if match is None:
        return
    value = int(match["value"], 16)
    end = text_end(line)
    mapping = mappings.at(value)
    yield Mention(
        start=match.start(),
        end=end,
        kind="boost",
        module=line[match.end() : end],
        offset=value if value < LARGEST_MODULE else None,
        address=None if value < LARGEST_MODULE else value,
        base=mapping.base if mapping else None,
    )


FINDER = Finder(
    id="boost",
    title="boost::stacktrace",
    examples=(
        " 0# 0x0000000000001168 in ./prog",
        "12# 0x00007F6D0C84524A in /lib/libfoo.so.6",
    ),
    words=("# 0x",),
    find=_find,
)
