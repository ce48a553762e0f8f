"""The frame of every HTML page: one file that asks nobody for anything, and escapes what it says.

A page has one style sheet and one script, both inline and named in its policy by their hashes:
whatever gets into the page besides cannot run. So no element may have a `style` or `on…`
attribute; drawings are coloured by classes.
"""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from evdiag import __version__
from evdiag.report.neutral import clean

_PACKAGE: Final = "evdiag.report.html"
_STYLES: Final = ("style.css", "report.css", "drawings.css", "overview.css")
_SCRIPTS: Final = ("page.js", "overview.js")
_CODE: Final = re.compile(r"`([^`]+)`")


@cache
def environment() -> Environment:
    """What templates are rendered by: everything is escaped that is not `Markup`."""
    made = Environment(
        loader=PackageLoader(_PACKAGE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
    )
    made.filters["prose"] = prose
    return made


def render(template: str, **context: object) -> Markup:
    """A part of a page. Text in `context` is escaped, `Markup` is not."""
    return Markup(environment().get_template(template).render(context))  # noqa: S704 - escaped


def document(
    title: str,
    body: Markup,
    *,
    data: Mapping[str, str] | None = None,
    contents: Sequence[tuple[str, str]] = (),
) -> str:
    """A whole page that works from a disk: `body` is what stands in its `<main>`.

    `data` is JSON by the id of its element, for buttons with `data-download="ID"` and
    `data-name="FILE"`. `contents` are the anchors and the texts of the table of contents.
    """
    styles, script = _together(_STYLES), _together(_SCRIPTS)
    page = render(
        "document.html.j2",
        title=clean(title),
        body=body,
        policy=_policy(styles, script),
        styles=Markup(styles),  # noqa: S704 - a file of our own
        script=Markup(script),  # noqa: S704 - a file of our own
        data={name: json_inside_html(text) for name, text in (data or {}).items()},
        contents=contents,
        version=__version__,
    )
    return str(page)


def prose(text: str) -> Markup:
    """Text in which `code` between backquotes is code."""
    pieces = _CODE.split(text)
    # every second piece is what was between them
    return Markup().join(
        Markup("<code>{}</code>").format(piece) if i % 2 else piece
        for i, piece in enumerate(pieces)
    )


def json_inside_html(text: str) -> Markup:
    """JSON for a script element: the same document, and nothing in it ends the element."""
    return Markup(text.replace("<", "\\u003c"))  # noqa: S704 - markup begins with what is gone


def _policy(styles: str, script: str) -> str:
    """What the browser lets the page do: its own style, its own script, and nothing else."""
    return (
        "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; "
        f"style-src '{_digest(styles)}'; script-src '{_digest(script)}'"
    )


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


@cache
def _together(names: tuple[str, ...]) -> str:
    return "".join((files(_PACKAGE) / name).read_text("utf-8") for name in names)
