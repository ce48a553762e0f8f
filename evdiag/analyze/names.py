"""Long names made short: C++ functions, paths, any text. What tells least goes first."""

import re
from collections.abc import Iterator
from functools import lru_cache

ELLIPSIS = "…"
LONGEST_PARSED = 8000
"""Longer names are cut before they are taken apart: the time for that grows faster than they."""

_PAIRS = {"<": ">", "(": ")", "{": "}"}
_OPENERS = {close: open_ for open_, close in _PAIRS.items()}
_TOKENS = re.compile(
    r"\boperator ?(?:<=>|<<=|>>=|->\*|<<|>>|->|<=|>=|<|>|\(\))|->|(?P<bracket>[<>(){}])"
)
_ALIASES = (
    (
        re.compile(
            r"std::(?:__cxx11::)?basic_string<char, std::char_traits<char>, "
            r"std::allocator<char> ?>"
        ),
        "std::string",
    ),
    (re.compile(r"std::__cxx11::"), "std::"),
    (re.compile(r"::_V2::"), "::"),
)
_QUALIFIERS = re.compile(r"(?: const| volatile| noexcept| ?&{1,2})+$")
_QUALIFIED_SCOPE = re.compile(r"\)(?: const| volatile| ?&{1,2})+(?=::)")
"""`f() const::{lambda()#1}`: what stands before the lambda is a function, no return type."""
_LAMBDA_CALL = re.compile(r"\{lambda\(…?\)(#\d+)\}(?:::operator\(\)(?=\())?")


def elide(text: str, width: int) -> str:
    """The text with its middle left out; its end tells more than its beginning."""
    if len(text) <= width:
        return text
    tail = (width - 1) * 3 // 5
    return text[: width - 1 - tail] + ELLIPSIS + text[len(text) - tail :]


def clip(text: str, width: int) -> str:
    """The text with its end left out."""
    return text if len(text) <= width else text[: width - 1] + ELLIPSIS


def basename(path: str) -> str:
    """The last part of a path."""
    return path.rstrip("/").rpartition("/")[2] or path


def path(text: str, width: int) -> str:
    """A path in at most `width` characters: directories are left out from the left."""
    if len(text) <= width:
        return text
    rest = text
    while "/" in rest:
        rest = rest.partition("/")[2]
        if "/" in rest and len(rest) + 2 <= width:
            return f"{ELLIPSIS}/{rest}"
    return elide(rest, width)


def _pieces(name: str) -> Iterator[tuple[int, int, str]]:
    """Brackets and the text between them: start, end, and the brackets that are open around it."""
    stack, done = "", 0
    for token in _TOKENS.finditer(name):
        bracket = token["bracket"]
        if bracket is None:  # `operator<` and `->` are text
            continue
        if bracket in _PAIRS:
            around, then = stack, stack + bracket
        elif (found := _opened_at(stack, bracket)) >= 0:
            around = then = stack[:found]
        else:
            continue
        start, end = token.span()
        yield done, start, stack
        yield start, end, around
        stack, done = then, end
    yield done, len(name), stack


def _opened_at(stack: str, bracket: str) -> int:
    if bracket == ">":  # not the `>` of an expression such as (a > b)
        return len(stack) - 1 if stack.endswith("<") else -1
    return stack.rfind(_OPENERS[bracket])


def _collapse(name: str, templates: int, parameters: bool) -> str:
    """The name with `<…>` for template arguments nested deeper than asked, `(…)` for parameters."""
    out: list[str] = []
    hidden: int | None = None
    for start, end, stack in _pieces(name):
        if hidden is not None and len(stack) > hidden:
            continue
        hidden = None
        piece = name[start:end]
        out.append(piece)
        if piece not in _PAIRS or name.startswith(_PAIRS[piece], end):
            continue
        too_deep = piece == "<" and stack.count("<") >= templates
        unwanted = piece == "(" and not parameters and not name.startswith("anonymous", end)
        if too_deep or unwanted:
            out.append(ELLIPSIS)
            hidden = len(stack)
    return "".join(out)


def _top_level(name: str, separator: str) -> list[int]:
    """Where the separator stands outside of all brackets."""
    found: list[int] = []
    for start, end, stack in _pieces(name):
        position = -1 if stack else name.find(separator, start, end)
        while position >= 0:
            found.append(position)
            position = name.find(separator, position + 1, end)
    return found


def _bare(name: str) -> str:
    """The name without return type and without `const` behind the parameters."""
    name = _QUALIFIED_SCOPE.sub(")", _QUALIFIERS.sub("", name))
    operator = re.search(r"\boperator\b", name)
    clone = name.find(" [")
    end = min(operator.start() if operator else len(name), clone if clone >= 0 else len(name))
    spaces = [space for space in _top_level(name, " ") if space < end]
    return name[spaces[-1] + 1 :] if spaces else name


def _call_lambda(name: str) -> str:
    # `ready()::{lambda(…)#4}::operator()(…)` is no more than `ready()::{lambda#4}(…)`.
    return _LAMBDA_CALL.sub(r"{lambda\1}", name)


def _spellings(name: str) -> Iterator[str]:
    """Ever shorter spellings of a function's name; what tells least goes first."""
    for pattern, alias in _ALIASES:
        name = pattern.sub(alias, name)
    yield name
    yield _collapse(name, templates=2, parameters=True)
    yield _collapse(name, templates=1, parameters=True)
    yield _call_lambda(_collapse(name, templates=1, parameters=False))
    name = _call_lambda(_collapse(name, templates=0, parameters=False))
    yield name
    name = _bare(name)
    yield name
    scopes = _top_level(name, "::")
    for position in scopes:
        yield ELLIPSIS + name[position:]
    innermost = ELLIPSIS + name[scopes[-1] + 2 :] if scopes else name
    yield innermost.removesuffix(f"({ELLIPSIS})")


def qualified(name: str) -> str:
    """The function's own name with its scopes, without template arguments and parameters."""
    short = _bare(
        _call_lambda(_collapse(elide(name, LONGEST_PARSED), templates=0, parameters=False))
    )
    return short.removesuffix(f"({ELLIPSIS})").removesuffix("()")


@lru_cache(maxsize=1024)
def function(name: str, width: int) -> str:
    """The name of a C++ function as people write it, in at most `width` characters."""
    spelling = name
    for spelling in _spellings(elide(name, LONGEST_PARSED)):
        if len(spelling) <= width:
            return spelling
    return elide(spelling, width)
