"""The C stack of CPython's faulthandler (3.14 and later): Python/traceback.c, `_Py_DumpStack`."""

import re
from collections.abc import Iterator

from evdiag.model.symbolized import Mention
from evdiag.parse.addresses._finder import HEX, Finder
from evdiag.parse.addresses._mappings import Mappings

_FRAME = re.compile(
    r'Binary file "(?P<module>[^"]{1,4096})"'
    rf'(?:, at (?P<symbol>[^\s"+-]{{0,4096}})(?P<offset>[+-]0x{HEX}))? \[0x(?P<address>{HEX})\]'
)


def _find(line: str, _: Mappings) -> Iterator[Mention]:
    for match in _FRAME.finditer(line):
        yield Mention(
            start=match.start(),
            end=match.end(),
            kind="python",
            module=match["module"],
            symbol=match["symbol"] or None,
            offset=None if match["offset"] is None else int(match["offset"], 16),
            address=int(match["address"], 16),
        )


FINDER = Finder(
    id="python",
    title="The C stack of Python's faulthandler",
    examples=(
        '  Binary file "/opt/python3", at _Py_DumpStack+0x31 [0x55ae9990317f]',
        '  Binary file "/lib/libfoo.so.6", at +0x3c050 [0x7f4086ded24a]',
    ),
    words=('Binary file "',),
    find=_find,
)
