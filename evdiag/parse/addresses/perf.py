"""Call chains as `perf script` prints them: address, symbol and offset, module in brackets.

Some versions print the place in the file instead of the address.
"""

import re
from collections.abc import Iterator

from evdiag.model.symbolized import Mention
from evdiag.parse.addresses._finder import HEX, LARGEST_MODULE, Finder, text_end
from evdiag.parse.addresses._mappings import Mappings

_ADDRESS = re.compile(r"(?:(?:^|\s)(?=[0-9a-f]{5})|\s{8})(?P<address>[0-9a-f]{1,16}) (?=\S)")
"""perf fills short ones up to a width of 16."""
_OFFSET = re.compile(rf"\+0x{HEX}$")


def _find(line: str, _: Mappings) -> Iterator[Mention]:
    end = text_end(line)
    opened = line.rfind(" (/", 0, end)
    match = _ADDRESS.search(line, 0, max(opened, 0))
    if match is None or line[end - 1] != ")":
        return
    name = line[match.end() : opened]
    offset = _OFFSET.search(name, max(0, len(name) - 24))
    if offset is None and name != "[unknown]":
        return
    symbol = name[: offset.start()] if offset else ""
    plain = symbol.replace("_", "a").isalnum()  # perf makes the names of C++ readable
    value = int(match["address"], 16)
    in_file = value < LARGEST_MODULE
    yield Mention(
        start=match.start("address"),
        end=end,
        kind="perf",
        module=line[opened + 2 : end - 1],
        symbol=symbol if plain else None,
        offset=int(offset[0], 16) if offset and plain else None,
        file_offset=value if in_file and not plain else None,
        address=None if in_file else value,
    )


FINDER = Finder(
    id="perf",
    title="Call chains of perf script",
    examples=(
        "\t    55ae999031d2 main+0x19 (/opt/prog)",
        "\t    7f4086ded24a [unknown] (/lib/libfoo.so.6)",
        "\t            11d7 [unknown] (/opt/prog)",
    ),
    words=(" (/",),
    marks=("0x", "[unknown] ("),
    find=_find,
)
