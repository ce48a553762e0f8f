"""Names of functions as every compiler, optimisation level and demangler would spell them.

`normal` gives the readable form that stands in a report: scopes stay, what differs between builds
goes. `portable` leaves out what a compiler does not always write down. GCC describes an inlined
function of which no other file can know by its last name alone, without scopes, while the very
same function has all of them when it is called. So only the last name can be in a signature.
"""

import re
from collections.abc import Iterator
from functools import lru_cache

import msgspec

from evdiag.analyze.names import LONGEST_PARSED, clip, elide

LONGEST_ODD = 100
"""Of a name that is none of C++: as much as that tells it apart."""

DEEPEST = 8
"""Lambdas given to what is given to templates, and so on: nobody goes further."""

LAMBDA = "{lambda}"
ANONYMOUS = "(anon)"
TEMPLATE = "<T>"

CALLS_OF_LAMBDAS = ("operator()", "operator()<T>", "_FUN", "__invoke")
"""Members of a lambda: its body, and how GCC and clang call it through a plain pointer."""

INLINE_NAMESPACES = ("__cxx11", "__1", "_V2", "__ndk1")
"""Namespaces of versions of libstdc++ and libc++, which nobody writes."""

# One character each for what has brackets in its name, from the private use area: they cannot
# stand in a function's name, and are wiped from it before.
_LAMBDA, _ANONYMOUS, _UNNAMED, _ARGUMENTS, _PARAMETERS = "\ue000\ue001\ue002\ue003\ue004"
_OPERATORS = (
    *("<=>", "<<=", ">>=", "->*", "<<", ">>", "->", "<=", ">=", "()", "[]", "<", ">"),
)  # longest first
_OPERATOR_MARKS = {text: chr(0xE010 + i) for i, text in enumerate(_OPERATORS)}
_UNMARKED = str.maketrans(
    {
        **{mark: text for text, mark in _OPERATOR_MARKS.items()},
        _LAMBDA: LAMBDA,
        _ANONYMOUS: ANONYMOUS,
        _UNNAMED: "{unnamed}",
        _ARGUMENTS: TEMPLATE,
        _PARAMETERS: "",
    }
)

_RESERVED = re.compile("[\ue000-\ue0ff]")
_OPERATOR = re.compile(r"operator ?(" + "|".join(map(re.escape, _OPERATORS)) + ")")
_NUMBERED_LAMBDA = re.compile(r"'lambda\d*'|\$_\d+\b")
_NUMBERED_UNNAMED = re.compile(r"'unnamed\d*'")
_ABI_TAG = re.compile(r"\[abi:[^\[\]]*\]")
_BRACKETS = re.compile(r"([<>(){}])")
_CLONE = re.compile(r"(cold|part|isra|constprop|lto_priv|localalias)?\d*")
_VERSION = re.compile(r"@@?[A-Z][\w.]*$|@plt$")
_QUALIFIED_SCOPE = re.compile(_PARAMETERS + r"(?: const| volatile| noexcept| ?&{1,2})*(?=::)")
_BEHIND_PARAMETERS = re.compile(_PARAMETERS + r"[^:" + _PARAMETERS + r"]*$")
VERSIONED = ("nlohmann", "fmt", "spdlog")
"""Libraries with a namespace that tells their versions apart."""
_VERSION_NAMESPACE = re.compile(r"json_abi\w*|v\d+")
_VERSION_IN_TYPE = re.compile(
    rf"(?<=::)(?:{'|'.join(INLINE_NAMESPACES)})::"
    rf"|(?<![\w:])({'|'.join(VERSIONED)})::(?:json_abi\w*|v\d+)::"
)


class Spelled(msgspec.Struct, frozen=True):
    """A function's name, taken apart."""

    parts: tuple[str, ...]
    """Its scopes and, last, its own name."""
    hidden: bool = False
    """Whether no other file can name it: there is something without a name in it."""

    @property
    def text(self) -> str:
        """The name with all of its scopes."""
        return "::".join(self.parts)

    @property
    def portable(self) -> str:
        """The name as far as every compiler knows it, also for an inlined call."""
        if not self.hidden:
            return self.text
        if self.parts[-1] != LAMBDA:
            return self.parts[-1]
        return "::".join(part for part in self.parts[-2:] if part != ANONYMOUS)


@lru_cache(maxsize=4096)
def spelled(name: str) -> Spelled:
    """Take a function's name apart, whoever demangled it; in time that grows with its length."""
    plain = _plain(name)
    found = _spelled(_without_marks(plain))
    return found if found.parts else Spelled((clip(plain, LONGEST_ODD) or "?",))


def _plain(name: str) -> str:
    """A name of bounded length without the characters that stand for something in here."""
    short = elide(name, LONGEST_PARSED)
    return short if short.isascii() else _RESERVED.sub("?", short)


def _spelled(marked: str) -> Spelled:
    skeleton, hidden = _outer(marked)
    skeleton = _QUALIFIED_SCOPE.sub("", skeleton)
    skeleton = _BEHIND_PARAMETERS.sub("", skeleton)
    return Spelled(_parts(_without_return_type(skeleton)), hidden or _ANONYMOUS in skeleton)


@lru_cache(maxsize=1024)
def lambda_among_arguments(name: str, depth: int = 1) -> Spelled | None:
    """The first lambda among a template's arguments; or, deeper, the one among that one's own.

    `run<X::f()::{lambda()#1}>(...)` gives `X::f::{lambda}`.
    """
    marked = _without_marks(_plain(name))
    found = None
    for _ in range(min(depth, DEEPEST)):
        for argument in _arguments(marked):
            read = _spelled(argument)
            if read.parts[-1:] == (LAMBDA,):
                found, marked = read, argument
                break
        else:
            break
    return found


def normal(name: str) -> str:
    """The name for a person: `charging::(anon)::Bill::apply<T>::{lambda}`."""
    return spelled(name).text


def portable(name: str) -> str:
    """The name for a signature: `apply::{lambda}`, as the rest of it has no name elsewhere."""
    return spelled(name).portable


def _without_marks(name: str) -> str:
    """Everything whose brackets are no brackets as one character; clones and versions gone."""
    name = name.split(" [clone ", 1)[0]
    if "@" in name:
        name = _VERSION.sub("", name)
    while "." in name and _CLONE.fullmatch(name, name.rfind(".") + 1):
        name = name[: name.rfind(".")]
    if "[abi:" in name:
        name = _ABI_TAG.sub("", name)
    if "operator" in name:
        name = _OPERATOR.sub(_marked_operator, name)
    name = name.replace("(anonymous namespace)", _ANONYMOUS).replace("{anonymous}", _ANONYMOUS)
    if "lambda" in name or "$_" in name:
        # GCC's symbols, GCC's debug information, and clang in this order
        name = name.replace("{lambda", _LAMBDA + "{").replace("<lambda(", _LAMBDA + "<(")
        if "'lambda" in name or "$_" in name:
            name = _NUMBERED_LAMBDA.sub(_LAMBDA, name)
    if "unnamed" in name:
        name = _NUMBERED_UNNAMED.sub(_UNNAMED, name.replace("{unnamed", _UNNAMED + "{"))
    return name.replace("->", "")


def _marked_operator(match: re.Match[str]) -> str:
    before = match.string[match.start() - 1 : match.start()]
    if before.isalnum() or before == "_":  # the end of another word
        return match[0]
    return "operator" + _OPERATOR_MARKS[match[1]]


_OPENERS = {">": "<", ")": "(", "}": "{"}
_SHOWN = {"<": _ARGUMENTS, "(": _PARAMETERS, "{": ""}


def _nested(marked: str) -> Iterator[tuple[str, int]]:
    """The brackets and the text between them, each with how many brackets are open around it.

    Brackets that do not match are text of an expression, such as `(a > b)`, or damage.
    """
    stack: list[str] = []
    open_parentheses = 0
    for piece in _BRACKETS.split(marked):
        if piece in _SHOWN:
            yield piece, len(stack)
            stack.append(piece)
            open_parentheses += piece == "("
        elif piece in _OPENERS:
            opener = _OPENERS[piece]
            while opener == "(" and open_parentheses and stack[-1] != "(":
                stack.pop()  # an open `<` within parentheses was a comparison
            if stack and stack[-1] == opener:
                stack.pop()
                open_parentheses -= opener == "("
                yield piece, len(stack)
        elif piece:
            yield piece, len(stack)


def _outer(marked: str) -> tuple[str, bool]:
    """What stands outside of all brackets, and whether something nameless stands inside."""
    out: list[str] = []
    hidden = False
    for piece, depth in _nested(marked):
        if depth:
            hidden = hidden or _LAMBDA in piece or _ANONYMOUS in piece
        elif piece not in _OPENERS:
            out.append(_SHOWN.get(piece, piece))
    return "".join(out).replace(_LAMBDA + _ARGUMENTS, _LAMBDA), hidden


def _arguments(marked: str) -> list[str]:
    """The arguments of the outermost templates of a name."""
    found: list[str] = []
    current: list[str] | None = None
    before = ""
    for piece, depth in _nested(marked):
        if depth == 0:
            if piece == "<" and not before.endswith(_LAMBDA):
                current = []
            elif piece == ">" and current is not None:
                found.append("".join(current))
                current = None
            before = piece
        elif current is not None:
            if depth == 1 and "," in piece:
                *whole, rest = piece.split(",")
                found.append("".join(current) + whole[0])
                found += whole[1:]
                current = [rest]
            else:
                current.append(piece)
    return [argument.strip().rstrip("&* ").removeprefix("const ") for argument in found]


def _without_return_type(skeleton: str) -> str:
    operator = re.search(r"\boperator\b", skeleton)
    end = operator.start() if operator else len(skeleton)
    return skeleton[skeleton.rfind(" ", 0, end) + 1 :]


def _parts(skeleton: str) -> tuple[str, ...]:
    parts: list[str] = []
    for piece in skeleton.split("::"):
        if piece.startswith(_LAMBDA):
            piece = _LAMBDA
        part = piece.translate(_UNMARKED).strip()
        if not part or part in INLINE_NAMESPACES:
            continue
        if parts and parts[-1] == LAMBDA and part in (LAMBDA, *CALLS_OF_LAMBDAS):
            continue
        if len(parts) == 1 and _is_version(parts[0], part):
            continue
        parts.append(part)
    return tuple(parts)


def without_versions(name: str) -> str:
    """The name of a type without the namespaces that tell versions of a library apart."""
    return _VERSION_IN_TYPE.sub(lambda match: f"{match[1]}::" if match[1] else "", name)


def _is_version(library: str, part: str) -> bool:
    """Whether this is the namespace that tells versions of a library apart."""
    return library in VERSIONED and bool(_VERSION_NAMESPACE.fullmatch(part))
