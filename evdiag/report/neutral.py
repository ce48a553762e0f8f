"""The one place where text out of a crashed process becomes harmless.

Names, paths, arguments, messages and log lines of a report come out of a process that was broken,
or that somebody made crash: they can hold terminal sequences, direction overrides that show
another text than there is, or megabytes. Every format calls `neutralise` before it writes.
What means something to one format only (markup, HTML, Markdown) is that format's own affair.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final, TypeVar

import msgspec

from evdiag.analyze import names
from evdiag.model.report import LogExcerpt, Noun, SourceLine

LONGEST_TEXT: Final = 2000
LONGEST_FUNCTION: Final = 1000
MOST_ITEMS: Final = 200

# `str.isprintable` is false for every control, format, surrogate, private and unassigned character
# and for all spaces but the plain one. These are printable by Unicode's rules, but invisible.
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0"
    "\U000e0100-\U000e01ef]"
)
_ROOM_FOR_MARK = 40
_MOST_REMEMBERED = 4000
_LONGEST_REMEMBERED = 10_000
_SURELY_SHORT = min(LONGEST_TEXT, LONGEST_FUNCTION)

_AnyNoun = TypeVar("_AnyNoun", bound=Noun)


def clean(text: str, limit: int = LONGEST_TEXT) -> str:
    """The text without what is invisible or what a terminal would obey, and not endless."""
    if len(text) > _LONGEST_REMEMBERED:
        return _cleaned(text, limit)
    safe = _clean_again(text, limit)
    return text if safe == text else safe  # the same object tells that nothing had to be changed


def _cleaned(text: str, limit: int) -> str:
    if len(text) <= limit:
        safe = _escape(text)
        if len(safe) <= limit:
            return safe
    room = limit - _ROOM_FOR_MARK
    kept = text[:room]
    safe = _escape(kept)
    while len(safe) > room:  # escapes are longer than what they stand for
        kept = kept[: len(kept) * room // len(safe)]
        safe = _escape(kept)
    return f"{safe}… ({len(text) - len(kept):,} more characters)"


_clean_again = lru_cache(maxsize=500)(_cleaned)
"""A report names the same files and functions in thousands of frames."""


def neutralise(report: _AnyNoun) -> _AnyNoun:
    """The report, or whatever is made of nouns, with every string harmless and bounded."""
    return _noun(report)


class _Escapes(dict[int, int | str]):
    """For `str.translate`: every character as itself or as a visible escape."""

    def __missing__(self, code: int) -> int | str:
        char = chr(code)
        harmless = char.isprintable() and not _INVISIBLE.match(char)
        shown: int | str = code if harmless else char.encode("unicode_escape").decode("ascii")
        if len(self) < _MOST_REMEMBERED:
            self[code] = shown
        return shown


_ESCAPES: Final = _Escapes()


def _escape(text: str) -> str:
    if text.isprintable() and (text.isascii() or not _INVISIBLE.search(text)):
        return text
    return text.translate(_ESCAPES)


def _clean_function(text: str) -> str:
    if len(text) > LONGEST_FUNCTION:
        # A cut end would take the function's own name away and leave its template arguments.
        short_enough = names.elide(text, names.LONGEST_PARSED)
        text = names.function(short_enough, LONGEST_FUNCTION)
    return clean(text, LONGEST_FUNCTION)


def _clean_line(text: str) -> str:
    return clean(text.replace("\t", "    "))


_CLEANERS: Final[dict[tuple[type[Noun], str], Callable[[str], str]]] = {
    (SourceLine, "text"): _clean_line,
    (LogExcerpt, "lines"): _clean_line,
}


def _noun(noun: _AnyNoun) -> _AnyNoun:
    changed: dict[str, object] = {}
    kind = type(noun)
    for name in noun.__struct_fields__:
        old = getattr(noun, name)
        if not old:
            continue
        # The common case at once: nine strings of ten are short, plain and harmless.
        if type(old) is str and old.isascii() and old.isprintable() and len(old) <= _SURELY_SHORT:
            continue
        new = _value(old, kind, name)
        if new is not old:
            changed[name] = new
    return msgspec.structs.replace(noun, **changed) if changed else noun


def _value(old: object, kind: type[Noun], name: str) -> object:
    if isinstance(old, Noun):
        return _noun(old)
    cleaner = _CLEANERS.get((kind, name), _clean_function if name == "function" else clean)
    if isinstance(old, str):
        return cleaner(old)
    if isinstance(old, tuple):
        return _tuple(old, cleaner, keep_end=kind is LogExcerpt)
    if isinstance(old, dict):
        return _dict(old)
    return old


def _tuple(
    old: tuple[object, ...], cleaner: Callable[[str], str], keep_end: bool
) -> tuple[object, ...]:
    items = old
    if isinstance(old[0], str) and len(old) > MOST_ITEMS:
        mark = f"… ({len(old) - MOST_ITEMS + 1:,} more)"
        # The last lines of a log are the ones next to the crash.
        items = (mark, *old[1 - MOST_ITEMS :]) if keep_end else (*old[: MOST_ITEMS - 1], mark)
    new = tuple([_item(item, cleaner) for item in items])
    same = len(new) == len(old) and all(a is b for a, b in zip(new, old, strict=True))
    return old if same else new


def _item(item: object, cleaner: Callable[[str], str]) -> object:
    if isinstance(item, Noun):
        return _noun(item)
    return cleaner(item) if isinstance(item, str) else item


def _dict(old: dict[str, object]) -> dict[str, object]:
    pairs = list(old.items())[:MOST_ITEMS]
    new = {clean(key): _item(value, clean) for key, value in pairs}
    return old if new == old else new
