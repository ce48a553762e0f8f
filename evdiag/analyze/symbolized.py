"""A line of any text with what is at its addresses put behind them."""

from collections.abc import Callable, Iterable

from evdiag.model.core import Place
from evdiag.model.symbolized import Found, Mention

UNVERIFIED = "?"
"""Before what was found in a file of which nobody knows whether it is of the same build."""

MOST_PLACES = 32
"""Calls inlined into each other that are shown; hostile debug information has any number."""


def rewritten(
    line: str,
    mentions: Iterable[Mention],
    look_up: Callable[[Mention], Found | None],
    clean: Callable[[str], str],
) -> str:
    """The line with an answer right behind each address that one is known of.

    Nothing of the line is lost, and without any answer it is the very same. Names and paths come
    out of files that anybody may have made, so each goes through `clean`.
    """
    parts: list[str] = []
    done = 0
    for mention in mentions:
        found = look_up(mention)
        text = described(found, clean) if found else ""
        if text:
            parts += (line[done : mention.end], " ", text)
            done = mention.end
    return "".join((*parts, line[done:])) if parts else line


def described(found: Found, clean: Callable[[str], str]) -> str:
    """`copy at util.hpp:7, inlined in main at main.cpp:12`; empty if there is nothing to say."""
    known = [place for place in found.places if place.function or place.file]
    if len(known) > MOST_PLACES:
        known = [*known[: MOST_PLACES - 1], known[-1]]
    text = ", inlined in ".join(_place(place, clean) for place in known)
    return text if found.is_verified or not text else f"{UNVERIFIED} {text}"


def _place(place: Place, clean: Callable[[str], str]) -> str:
    function = clean(place.function) if place.function else "??"
    if not place.file:
        return function
    file = clean(place.file)
    return f"{function} at {file}:{place.line}" if place.line else f"{function} at {file}"
