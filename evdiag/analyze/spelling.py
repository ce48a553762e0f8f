"""One spelling for C++ types: gdb 13 says `const Message &` where gdb 18 says `Message const&`.

Older gdbs spell a type from its description in DWARF, newer ones take the compiler's own words
for template arguments. `const` goes in front of what it belongs to, as people write it.
"""

import re

_TOKENS = re.compile(r"[<>(),{}]|\b(?:const|volatile)\b|[*&]+|[^<>(),{}*&\s]+|\s+")
_OPEN, _CLOSE = "<({", ">)}"
_QUALIFIERS = ("const", "volatile")
LONGEST = 4000


def same_spelling(name: str) -> str:
    """The type's name with `const` and `volatile` in front of the type that they belong to."""
    if len(name) > LONGEST or ("const" not in name and "volatile" not in name):
        return name
    pieces = _TOKENS.findall(name)
    out: list[str] = []
    starts = [0]
    """Where in `out` the type began that is being read, for each open bracket."""
    for piece in pieces:
        if piece in _OPEN:
            out.append(piece)
            starts.append(len(out))
        elif piece in _CLOSE:
            if len(starts) > 1:
                starts.pop()
            out.append(piece)
        elif piece == ",":
            out.append(piece)
            starts[-1] = len(out)
        elif piece in _QUALIFIERS:
            _place(piece, out, starts[-1])
        else:
            out.append(piece)
    return "".join(out)


def _place(qualifier: str, out: list[str], start: int) -> None:
    """Put a qualifier in front of its type, unless it belongs to a pointer or stands there."""
    before = [piece for piece in out[start:] if not piece.isspace()]
    if not before or before[-1][0] in "*&)" or all(p in _QUALIFIERS for p in before):
        out.append(qualifier)
        return
    if out[-1].isspace():
        out.pop()
    while start < len(out) and out[start].isspace():
        start += 1
    out[start:start] = [qualifier, " "]
