"""Frames of gdb: those with a line are left, those of a library without one can have more said."""

import re
from collections.abc import Iterator

from evdiag.model.symbolized import Mention
from evdiag.parse.addresses._finder import (
    HEX,
    NAMED_PLACE,
    Claim,
    Finder,
    Finding,
    at_address,
    text_end,
)
from evdiag.parse.addresses._mappings import Mappings

_FRAME = re.compile(rf"#(?P<level>\d{{1,5}}) {{1,4}}0x(?P<address>{HEX}) in ")


def _find(line: str, mappings: Mappings) -> Iterator[Finding]:
    frame = _FRAME.search(line)
    if frame is None:
        return
    end = text_end(line)
    address, is_call = int(frame["address"], 16), int(frame["level"]) > 0
    _call, origin, module = line[frame.end() : end].rpartition(" from ")
    if module == "?? ()":
        bare = at_address((frame.start(), end), address, mappings, is_call=is_call)
        yield from filter(None, (bare,))
    elif NAMED_PLACE.search(line, max(frame.end(), end - 16), end):
        yield Claim(frame.start(), end)
    elif origin and module.startswith("/"):
        mapping = mappings.at(address)
        yield Mention(
            start=frame.start(),
            end=end,
            kind="gdb",
            module=module,
            address=address,
            base=mapping.base if mapping else None,
            is_call=is_call,
        )


FINDER = Finder(
    id="gdb",
    title="Frames of gdb without a line",
    examples=("#1  0x00007f7b1d9b2a7c in ?? () from /lib/libfoo.so.6",),
    words=(" in ",),
    find=_find,
)
