"""Secrets in values as gdb prints them: what is called like a secret, or looks like one.

Cores of charging software hold passwords of backends, keys of certificates and tokens of people.
Values are up to thousands of characters out of broken memory: each pattern reads every character a
bounded number of times. The rules for texts are those of `evdiag.analyze.secrets`.
"""

import re
from collections.abc import Iterable, Iterator

import msgspec

from evdiag.analyze.secrets.names import kind_of
from evdiag.analyze.secrets.redactor import Secrets, as_bytes, through_bytes
from evdiag.analyze.secrets.spans import Found, plain
from evdiag.analyze.secrets.tokens import KEY, PASSWORD, TOKEN
from evdiag.model.report import Variable

_NAMED = re.compile(r"(?<![\w-])([\w-]++)(?:\"\]|\])?[ ]?=(?!=)[ ]?", re.ASCII)
"""A name in front of its value: a member's, or a key's of a map."""
_STRING = r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)'
_CHARACTER = r"'(?:[^'\\]|\\(?:[0-7]{3}|.))'"
_LITERAL = re.compile(f"{_STRING}|{_CHARACTER}", re.DOTALL)
_GOES_ON = r"""[ ](?:[uUL]?8?["']|capacity \d)"""
"""Behind a comma that ends no value: `"a", 'b' <repeats 9 times>`, `length 1, capacity 2 = {3}`."""
_PIECE = re.compile(rf"{_STRING}|{_CHARACTER}|[][(){{}}<>]|,(?!{_GOES_ON})", re.DOTALL)
_REPEATED = re.compile(r" <repeats (\d{1,4}) times>")
_NO_CONTENTS = re.compile(r"\{(?:get\(\) = 0x[0-9a-f]+|\.\.\.)?\}")
_SECRET = (PASSWORD, KEY)
"""Kinds of which nothing is shown; of a person's token, its type is."""


def redacted(variable: Variable, secrets: Secrets) -> Variable:
    """The variable without what must not be shown."""
    if not variable.value:
        return variable
    shown = redacted_value(variable.value, secrets, variable.name)
    return variable if shown == variable.value else msgspec.structs.replace(variable, value=shown)


def redacted_value(value: str, secrets: Secrets, name: str = "") -> str:
    """A value without it; of a variable that has a name."""
    return through_bytes(value, lambda text: secrets.replaced(text, _find(text, secrets, name)))


def _find(text: str, secrets: Secrets, name: str) -> Iterator[Found]:
    strings = [m.span() for m in _LITERAL.finditer(text) if m[0][0] == '"']
    kind = kind_of(as_bytes(name))
    if kind is not None:
        yield from _secret(text, 0, len(text), kind)
    yield from _members(text, strings)
    for start, end in strings:
        yield from secrets.in_string(text, start + 1, _closed(text, start, end))


def _closed(text: str, start: int, end: int) -> int:
    """Where the text of a string ends; a cut one has no quote there."""
    if end - 1 == start or text[end - 1] not in "\"'":
        return end
    escapes = end - 1 - len(text[start : end - 1].rstrip("\\")) - start
    return end if escapes % 2 else end - 1


def _secret(text: str, start: int, end: int, kind: str) -> Iterator[Found]:
    """What of a value is secret whose name says so."""
    value = text[start:end]
    if not _holds_text(value) or TOKEN.fullmatch(value.strip('"')):
        return
    if kind in _SECRET:
        yield Found(start, end, kind, _contents(value))
        return
    for literal in _LITERAL.finditer(text, start, end):
        begin, close = literal.start() + 1, _closed(text, *literal.span())
        inside = plain(text, begin, close)
        if literal[0][0] == '"' and inside and not TOKEN.search(inside):
            yield Found(begin, close, kind, inside)


def _holds_text(value: str) -> bool:
    """Whether there may be a secret in it: a null pointer is none, and worth seeing."""
    return '"' in value or "'" in value or "{" in _NO_CONTENTS.sub("", value)


def _contents(value: str) -> str:
    """The secret itself: the same text as in a log, where the value has only one."""
    first = _LITERAL.search(value)
    if first is None:
        return value
    out: list[str] = []
    at = first.start()
    while literal := _LITERAL.match(value, at):
        repeated = _REPEATED.match(value, literal.end())
        inside = plain(value, literal.start() + 1, _closed(value, *literal.span()))
        out.append(inside * (int(repeated[1]) if repeated else 1))
        at = repeated.end() if repeated else literal.end()
        if not value.startswith(", ", at):
            break
        at += 2
    return "".join(out) or value


def _members(text: str, strings: Iterable[tuple[int, int]]) -> Iterator[Found]:
    """Parts of a value that are called like a secret."""
    inside = iter(strings)
    string = next(inside, None)
    seen = 0
    for match in _NAMED.finditer(text):
        start = match.end()
        while string and string[1] <= start:
            string = next(inside, None)
        if start <= seen or (string and string[0] < start):
            continue
        kind = kind_of(match[1])
        if kind is not None:
            seen = _end_of_value(text, start)
            yield from _secret(text, start, seen, kind)


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
