"""One spelling for what versions of gdb spell in different ways.

gdb 13 says `const Message &` where gdb 18 says `Message const&`: older ones spell a type from its
description in DWARF, newer ones take the compiler's own words for template arguments. `const`
goes in front of what it belongs to, as people write it. Bytes that are no UTF-8 stand in the
string, where gdb 18 puts some of them behind it.
"""

import re

_TOKENS = re.compile(r"[<>(),{}]|\b(?:const|volatile)\b|[*&]+|[^<>(),{}*&\s]+|\s+")
_OPEN, _CLOSE = "<({", ">)}"
_QUALIFIERS = ("const", "volatile")
LONGEST = 4000
_INCOMPLETE = re.compile(r'", <incomplete sequence ((?:\\[0-7]{3})+)>')
_CONTROLS = {
    "\\007": "\\a", "\\010": "\\b", "\\011": "\\t", "\\012": "\\n", "\\013": "\\v",
    "\\014": "\\f", "\\015": "\\r", "\\033": "\\033",
}  # fmt: skip


def same_spelling(name: str) -> str:
    """The type's name with `const` and `volatile` in front of the type that they belong to."""
    if len(name) > LONGEST or ("const" not in name and "volatile" not in name):
        return name
    out: list[str] = []
    before = ""
    starts = [0]
    """Where in `out` the type began that is being read, for each open bracket."""
    for piece in _TOKENS.findall(name):
        if piece in _OPEN:
            out.append(piece)
            starts.append(len(out))
        elif piece in _CLOSE:
            if len(starts) > 1:
                starts.pop()
            if before in _QUALIFIERS and out[-1] == piece == ">":
                out.append(" ")  # as in `B<B<int> >`: what stood between them has moved
            out.append(piece)
        elif piece == ",":
            out.append(piece)
            starts[-1] = len(out)
        elif piece in _QUALIFIERS:
            _place(piece, out, starts[-1])
        else:
            out.append(piece)
        before = piece
    return "".join(out)


def _place(qualifier: str, out: list[str], start: int) -> None:
    """Put a qualifier in front of its type, unless it belongs to a pointer or stands there."""
    behind = (p for p in reversed(out[start:]) if not p.isspace() and p not in _QUALIFIERS)
    if next(behind, "*")[0] in "*&)":
        out.append(qualifier)
        return
    if out[-1].isspace():
        out.pop()
    while out[start].isspace() or (out[start] in _QUALIFIERS and out[start + 1].isspace()):
        start += 1
    out[start:start] = [qualifier, " "]


def same_text(value: str) -> str:
    """A value with the broken characters of its strings inside their quotes."""
    if "<incomplete" not in value:
        return value
    return _INCOMPLETE.sub(lambda match: _escapes(match[1]) + '"', value)


def _escapes(octal: str) -> str:
    """Octal escapes, control characters as C writes them."""
    pieces = (octal[i : i + 4] for i in range(0, len(octal), 4))
    return "".join(_CONTROLS.get(piece, piece) for piece in pieces)
