"""Lines of /proc/PID/maps: no mentions, but where the raw addresses after them lie.

glibc wrote them behind its own backtraces until 2.25, and crash handlers still do.
"""

import re
from collections.abc import Iterator

from evdiag.parse.addresses._finder import Claim, Finder, text_end
from evdiag.parse.addresses._mappings import Mapping, Mappings

_LINE = re.compile(
    r"(?<![0-9a-f])(?P<start>[0-9a-f]{4,16})-(?P<end>[0-9a-f]{4,16}) "
    r"(?P<rights>[r-][w-][x-][ps]) (?P<offset>[0-9a-f]{8,16}) "
    r"[0-9a-f]{2,8}:[0-9a-f]{2,8} \d{1,20} {1,80}(?=/)"
)


def _find(line: str, mappings: Mappings) -> Iterator[Claim]:
    match = _LINE.search(line)
    if match is None:
        return
    last = text_end(line)
    path = line[match.end() : last].removesuffix(" (deleted)")
    start, end, offset = (int(match[name], 16) for name in ("start", "end", "offset"))
    if offset == 0:
        mappings.begin(path, start)
    if "x" in match["rights"] and start < end:
        base = mappings.base(path)
        if base is None or base > start:
            base = max(start - offset, 0)
        mappings.add(Mapping(start=start, end=end, module=path, base=base, kind="mapped"))
    yield Claim(match.start(), last)


FINDER = Finder(
    id="maps",
    title="Lines of /proc/PID/maps (they tell where the raw addresses after them lie)",
    examples=(
        "55ae99902000-55ae99903000 r--p 00000000 fe:01 524301                     /opt/prog",
        "55ae99903000-55ae99904000 r-xp 00001000 fe:01 524301                     /opt/prog",
    ),
    words=(" r-xp ", " r--p ", " rwxp "),
    marks=(" r-xp ", " r--p ", " rwxp "),
    find=_find,
)
