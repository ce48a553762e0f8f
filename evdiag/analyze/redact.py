"""Secrets in values: what is called like a secret, or looks like one, is not shown.

Reports are pasted into issues. Cores of charging software hold passwords of backends, keys of
certificates and tokens of people. Values are up to thousands of characters out of broken memory:
each pattern reads every character a bounded number of times.
"""

import re
from bisect import bisect_left
from collections.abc import Sequence

import msgspec

from evdiag.model.report import Variable

REDACTED = "<redacted>"

_SECRET = re.compile(
    r"passw(?:or)?d|passphrase|secret|private[_-]?key|auth(?:orization)?[_-]?key|api[_-]?key"
    r"|psk|credential|bearer",
    re.IGNORECASE,
)
_NAMED = re.compile(r"""(?<![\w-])([\w-]++)(?:\\*+["'])?\]?[ ]?[=:](?![=:])[ ]?""")
"""A name in front of its value: a member's, a key's, and that of JSON inside a string."""
_STRING = r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)'
_CHARACTER = r"'(?:[^'\\]|\\(?:[0-7]{3}|.))'"
_LITERAL = re.compile(f"{_STRING}|{_CHARACTER}", re.DOTALL)
_GOES_ON = r"""[ ](?:[uUL]?8?["']|capacity \d)"""
"""Behind a comma that ends no value: `"a", 'b' <repeats 9 times>`, `length 1, capacity 2 = {3}`."""
_PIECE = re.compile(rf"{_STRING}|{_CHARACTER}|[][(){{}}<>]|,(?!{_GOES_ON})", re.DOTALL)
_QUOTE = re.compile(r"""\\*["']""")
_NO_WORD_CHARACTER = re.compile(r'[\s,;&"\\)\]}]')
_NO_WORD = re.compile(r"(?:null|nullptr|none|true|false|0x0|-?\d{1,3})?", re.IGNORECASE)
_NO_CONTENTS = re.compile(r"\{(?:get\(\) = 0x[0-9a-f]+|\.\.\.)?\}")
_SHAPES = (
    (
        re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*KEY-----|$)", re.S),
        REDACTED,
    ),
    (  # a JSON web token (RFC 7519)
        re.compile(r"(?<![\w-])(?=([\w-]*?)eyJ[\w-]{10})[\w-]++\.[\w-]{10,}+\.[\w-]++"),
        rf"\1{REDACTED}",
    ),
    (  # user and password in a URL
        re.compile(r"(?<=://)[^\s/:@\"]*+:[^\s/\"]+(?=@)"),
        REDACTED,
    ),
)


def redacted(variable: Variable) -> Variable:
    """The variable without what must not be shown."""
    value = variable.value
    if value is None:
        return variable
    if _SECRET.search(variable.name) and _holds_text(value):
        return msgspec.structs.replace(variable, value=REDACTED)
    shown = _without_named(value)
    for shape, instead in _SHAPES:
        shown = shape.sub(instead, shown)
    return variable if shown == value else msgspec.structs.replace(variable, value=shown)


def _holds_text(value: str) -> bool:
    """Whether there may be a secret in it: a null pointer is none, and worth seeing."""
    return '"' in value or "'" in value or "{" in _NO_CONTENTS.sub("", value)


def _without_named(value: str) -> str:
    """The value without those of its parts that are called like a secret."""
    strings = [m.span() for m in _LITERAL.finditer(value) if m[0][0] == '"']
    out: list[str] = []
    kept = seen = 0
    for match in _NAMED.finditer(value):
        start = match.end()
        if start <= seen or not _SECRET.search(match[1]):
            continue
        limit = _end_of_string(value, strings, start)
        if limit is None:
            seen = _end_of_value(value, start)
            is_secret = _holds_text(value[start:seen])
        else:
            seen = _end_of_word(value, start, limit)
            is_secret = not _NO_WORD.fullmatch(value, start, seen)
        if is_secret:
            out += (value[kept:start], REDACTED)
            kept = seen
    return "".join((*out, value[kept:]))


def _end_of_string(value: str, strings: Sequence[tuple[int, int]], at: int) -> int | None:
    """Where the text of the string ends that a place lies in; None outside of strings."""
    start, end = strings[i - 1] if (i := bisect_left(strings, (at,))) else (0, 0)
    if at >= end:
        return None
    return end - 1 if value[end - 1] == '"' and end - 1 > start else end


def _end_of_value(value: str, at: int) -> int:
    """Where a value ends that gdb printed: before the next member, or the end of the structure."""
    depth = 0
    for match in _PIECE.finditer(value, at):
        piece = match[0]
        if piece in "([{<":
            depth += 1
        elif piece in ")]}>":
            if not depth and piece != ">":
                return match.start()
            depth = max(depth - 1, 0)
        elif piece == "," and not depth:
            return match.start()
    return len(value)


def _end_of_word(value: str, at: int, limit: int) -> int:
    """Where a value ends that is part of a text: JSON, a query of a URL, a line of a log."""
    quote = _QUOTE.match(value, at, limit)
    if quote is None:
        broken = _NO_WORD_CHARACTER.search(value, at, limit)
        nested = value.startswith(("{", "["), at)
        return limit if nested or broken is None else broken.start()
    end = value.find(quote[0], quote.end(), limit)
    while end > 0 and value[end - 1] == "\\":  # quoted once more, in a text inside this one
        end = value.find(quote[0], end + 1, limit)
    return limit if end < 0 else end + len(quote[0])
