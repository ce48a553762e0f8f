"""What drawings are made of: elements of SVG, everything in them escaped, and words that fit.

The page allows no `style` attributes, so shapes have classes and attributes of their own. Nothing
has an `id`: several reports may stand on one page.
"""

import unicodedata
from typing import Final

from markupsafe import Markup, escape

from evdiag.analyze import names

PLAIN: Final = 0.6
"""About the width of a letter, in sizes of its font."""
BOLD: Final = 0.69
MONO: Final = 0.61
_WIDE: Final = 1.05
_ARROWS: Final = {
    "right": ((0, 0), (-9, -4.5), (-9, 4.5)),
    "left": ((0, 0), (9, -4.5), (9, 4.5)),
    "down": ((0, 0), (-4.5, -9), (4.5, -9)),
    "up": ((0, 0), (-4.5, 9), (4.5, 9)),
}
"""The corners of the heads of arrows, from their tips."""


def element(name: str, *inside: str, **attributes: str | float) -> Markup:
    """An element; in names of attributes `_` stands for `-`, and at their end for nothing."""
    written = Markup().join(
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), _short(value))
        for key, value in attributes.items()
    )
    content = Markup().join(map(escape, inside))
    return Markup("<{0}{1}>{2}</{0}>").format(name, written, content)


def _short(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.1f}".removesuffix(".0")


def text(x: float, y: float, words: str, kind: str, anchor: str = "start") -> Markup:
    """Words at a place; `kind` are their classes."""
    return element("text", words, x=x, y=y, class_=kind, text_anchor=anchor)


def path(*points: tuple[float, float], kind: str) -> Markup:
    """A line through points."""
    steps = " L".join(f"{_short(x)} {_short(y)}" for x, y in points)
    return element("path", d=f"M{steps}", class_=kind)


def head(x: float, y: float, way: str, kind: str) -> Markup:
    """The head of an arrow with its tip at a place."""
    return polygon([(x + dx, y + dy) for dx, dy in _ARROWS[way]], kind)


def polygon(corners: list[tuple[float, float]], kind: str) -> Markup:
    """A filled shape."""
    points = " ".join(f"{_short(x)},{_short(y)}" for x, y in corners)
    return element("polygon", points=points, class_=kind)


def width_of(words: str, size: float, letter: float = PLAIN) -> float:
    """About how wide words are."""
    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in words)
    return size * (letter * (len(words) - wide) + _WIDE * wide)


def room(pixels: float, size: float, letter: float = PLAIN) -> int:
    """How many letters fit."""
    return max(2, int(pixels / (size * letter)))


def fitted(words: str, pixels: float, size: float, letter: float = PLAIN) -> str:
    """The words with their middle left out, where they are too long."""
    short = names.elide(words, room(pixels, size, letter))
    if width_of(short, size, letter) <= pixels:
        return short
    return names.elide(short, room(pixels, size, _WIDE))


def clipped(words: str, pixels: float, size: float) -> str:
    """The words with their end left out, where they are too long."""
    short = names.clip(words, room(pixels, size))
    if width_of(short, size) <= pixels:
        return short
    return names.clip(short, room(pixels, size, _WIDE))


def scrolled(drawing: Markup, label: str, kind: str) -> Markup:
    """A drawing in a box of its own, which scrolls where the page is narrow."""
    return element(
        "div", drawing, class_=f"g-box {kind}", role="group", aria_label=label, tabindex="0"
    )
