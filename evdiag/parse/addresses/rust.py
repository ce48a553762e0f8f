"""Backtraces of Rust: they have names, and the file and line below."""

import re
from collections.abc import Iterator

from evdiag.parse.addresses._finder import APART, HEX, Claim, Finder, text_end
from evdiag.parse.addresses._mappings import Mappings

_FRAME = re.compile(rf"{APART}\d{{1,4}}: {{1,12}}0x{HEX} - (?!<unknown>)")


def _find(line: str, _: Mappings) -> Iterator[Claim]:
    match = _FRAME.search(line)
    if match is not None:
        yield Claim(match.start(), text_end(line))


FINDER = Finder(
    id="rust",
    title="Backtraces of Rust (left as they are)",
    examples=("  12:     0x55d1b6a3c0f4 - prog::main::h1d5f0ff94a5dcd10",),
    words=(" - ",),
    find=_find,
)
