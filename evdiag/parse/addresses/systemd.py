"""Stacks in the journal by systemd-coredump: `#1  0x00007f7b1d9b2a7c f (libfoo.so.6 + 0x8aa7c)`.

Source: src/shared/elf-util.c. The innermost address is that of the fault, the others are behind
calls.
"""

import re
from collections.abc import Iterator

from evdiag.model.symbolized import Mention
from evdiag.parse.addresses._finder import HEX, Finder
from evdiag.parse.addresses._mappings import Mappings

_FRAME = re.compile(rf"#(?P<level>\d{{1,4}}) {{1,4}}0x(?P<address>{HEX}) ")
_MODULE_END = re.compile(rf" \+ 0x(?P<offset>{HEX})\)")


def _find(line: str, _: Mappings) -> Iterator[Mention]:
    frame = _FRAME.search(line)
    module = _MODULE_END.search(line, frame.end()) if frame else None
    opened = line.rfind("(", frame.end(), module.start()) if frame and module else -1
    if frame is None or module is None or opened < 0:
        return
    yield Mention(
        start=frame.start(),
        end=module.end(),
        kind="systemd",
        module=line[opened + 1 : module.start()],
        offset=int(module["offset"], 16),
        address=int(frame["address"], 16),
        is_call=int(frame["level"]) > 0,
    )


FINDER = Finder(
    id="systemd",
    title="Stacks of systemd-coredump in the journal",
    examples=("#1  0x00007f7b1d9b2a7c n/a (libfoo.so.6 + 0x8aa7c)",),
    words=(" + 0x",),
    find=_find,
)
