"""Where secrets lie in a text, and texts inside of texts: escaped, or with colours in between."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

_ESCAPE = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}"
    r"|[0-7]{3}|[^\n])",
    re.ASCII,
)
_NAMED_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "0": "\0"}
_COLOUR = re.compile(r"\x1b\[[0-9;:?]*[ -/]*[@-~]|\x1b[@-Z\\-_]")


class Found(NamedTuple):
    """A secret in a text."""

    start: int
    end: int
    kind: str
    secret: str
    """Without quotes and escapes: the same secret is the same text wherever it stands."""


Finder = Callable[[str], Iterable[Found]]


class Inner:
    """A text that was taken out of another one, and where its characters came from."""

    def __init__(self, pieces: Iterable[tuple[str, int, int]]) -> None:
        """Pieces are (text, start, end); they are literal where both lengths are the same."""
        self._at: list[int] = []
        self._source: list[tuple[int, int]] = []
        texts: list[str] = []
        length = 0
        for text, start, end in pieces:
            if text:
                self._at.append(length)
                self._source.append((start, end))
                texts.append(text)
                length += len(text)
        self.text = "".join(texts)

    def outside(self, found: Found) -> Found:
        """The same secret, by its place in the outer text."""
        return found._replace(start=self._start(found.start), end=self._end(found.end))

    def _start(self, place: int) -> int:
        i = bisect_right(self._at, place) - 1
        start, end = self._source[i]
        within = place - self._at[i]
        return start + within if self._is_literal(i) else (end if within else start)

    def _end(self, place: int) -> int:
        i = bisect_left(self._at, place) - 1
        start, end = self._source[i]
        return start + place - self._at[i] if self._is_literal(i) else end

    def _is_literal(self, i: int) -> bool:
        start, end = self._source[i]
        after = self._at[i + 1] if i + 1 < len(self._at) else len(self.text)
        return after - self._at[i] == end - start


def unescaped(text: str, start: int, end: int) -> Inner:
    """What a string of JSON or of C holds, quotes not included."""

    def pieces() -> Iterator[tuple[str, int, int]]:
        last = start
        for match in _ESCAPE.finditer(text, start, end):
            yield text[last : match.start()], last, match.start()
            yield _meant(match[0]), *match.span()
            last = match.end()
        yield text[last:end], last, end

    return Inner(pieces())


def plain(text: str, start: int, end: int) -> str:
    """The same as a mere text."""
    inside = text[start:end]
    return _ESCAPE.sub(lambda match: _meant(match[0]), inside) if "\\" in inside else inside


def _meant(escape: str) -> str:
    """What an escape stands for: bytes of UTF-8, one character each."""
    sign = escape[1]
    if sign == "u" and len(escape) > 2:
        units = bytes.fromhex(escape[2:6] + escape[8:12])
        return (
            units.decode("utf-16-be", "surrogatepass")
            .encode("utf-8", "surrogatepass")
            .decode("latin-1")
        )
    if len(escape) == 4:
        return chr(int(escape[1:], 8) & 0xFF)
    return _NAMED_ESCAPES.get(sign, sign)


def without_colours(text: str) -> Inner:
    """The text as a terminal shows it."""

    def pieces() -> Iterator[tuple[str, int, int]]:
        last = 0
        for match in _COLOUR.finditer(text):
            yield text[last : match.start()], last, match.start()
            last = match.end()
        yield text[last:], last, len(text)

    return Inner(pieces())


def with_tokens(text: str, found: Iterable[Found], token: Callable[[str, str], str]) -> str:
    """The text with tokens in it. Where finds overlap, all of them go, and the first has a say."""
    out: list[str] = []
    done = 0
    for start, end, kind, secret in sorted(found, key=lambda one: (one.start, -one.end)):
        if start >= done:
            out += (text[done:start], token(secret, kind))
        done = max(done, end)
    return "".join((*out, text[done:])) if out else text
