"""Names of C++ functions from their mangled form, where no C++ run-time library can tell them.

Source: Itanium C++ ABI, section 5.1 (External Names, also known as Mangling). Types and expressions
are read only to find their ends and to count substitutions, so a name comes without parameters and
with `<...>` for its template arguments.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import product

MAX_LENGTH = 16_384
"""Bytes of a mangled name, and of a readable one."""
MAX_DEPTH = 128
"""Rules within one another; each costs at most four of Python's calls."""
MAX_STEPS = 1 << 15
"""Rules in all: two for each byte of the longest name."""

_OPERATORS = (
    *("aN &=", "aS =", "aa &&", "ad &", "an &", "cl ()", "cm ,", "co ~", "dV /=", "de *", "dv /"),
    *("eO ^=", "eo ^", "eq ==", "ge >=", "gt >", "ix []", "lS <<=", "le <=", "ls <<", "lt <"),
    *("mI -=", "mL *=", "mi -", "ml *", "mm --", "ne !=", "ng -", "nt !", "oR |=", "oo ||", "or |"),
    *("pL +=", "pl +", "pm ->*", "pp ++", "ps +", "pt ->", "qu ?", "rM %=", "rS >>=", "rm %"),
    *("rs >>", "ss <=>", "aw  co_await", "da  delete[]", "dl  delete", "na  new[]", "nw  new"),
)
_SYMBOLS = {text[:2]: text[3:] for text in _OPERATORS}
_SYMBOL = "|".join(_SYMBOLS)

_TEMPLATE_PARAMETER = "T(L[0-9]*_)?[0-9]*_"
_SHIFT = "(hn?[0-9]+_|vn?[0-9]+_n?[0-9]+_)"
_THUNK = f"T(c{_SHIFT})?{_SHIFT}|GT[tn]"
_BUILTIN = "[abcdefghijlmnostvwxyz]|D[acdefhinsu]|DF[0-9]+[_bx]|(DS)?D[AR][stijlm]|D[BU][0-9]+_"
_DISCRIMINATOR = r"__[0-9]+_|_[0-9]+\Z|_[0-9]|"
"""The second form is a mistake of old GCCs with numbers of two digits."""

_RULES: dict[str, tuple[tuple[str, str], ...]] = {
    "E": (  # expression
        (f"{_TEMPLATE_PARAMETER}|f(L[0-9]+)?p(T|r?V?K?[0-9]*_)|tr", ""),
        ("gs|ad|aw|az|co|da|de|dl|mm_?|ng|nt|nx|pp_?|ps|sZ|sp|sz|te|tw", "E"),
        ("aN|aS|aa|an|cm|dV|ds|dt|dv|dx|eO|eo|eq|ge|gt|ix|lS|le|ls|lt|mI|mL|mi|ml|ne", "EE"),
        ("oR|oo|or|pL|pl|pm|pt|rM|rS|rm|rs|ss", "EE"),
        *(("dX|qu", "EEE"), ("at|st|ti", "T"), ("[cdrs]c", "TE"), ("cv", "TC"), ("cl|cp", "Ee")),
        *(("tl", "Te"), ("il", "e"), ("na|nw", "LTI"), ("f[lr]", "OE"), ("f[LR]", "OEE")),
        *(("sr", "SB"), ("sP", "a"), ("di", "NE"), ("u", "Na"), ("rq", "r"), ("rQ", "Qr")),
        *(("L", "V"), ("", "B")),
    ),
    "A": (("(?=T[kntpy])", "H"), ("X", "E."), ("[IJ]", "a"), ("L", "V"), ("Q", "E"), ("", "T")),
    "B": (("(?=[0-9])|dn(?=[0-9])", "M"), ("dn", "T"), ("(on)?", "FG")),  # base-unresolved-name
    "C": (("_", "e"), ("", "E")),  # what is converted: a list or one
    "D": (("[0-9]*_", ""), ("", "E_")),  # dimension
    "G": (("(?=I)", "Y"), ("", "")),  # template-args, if any
    "H": (("Ty", ""), ("Tn", "T"), ("Tk", "K"), ("Tp", "H"), ("Tt", "h")),  # template-param-decl
    "I": (("pi", "e"), ("E", ""), ("(?=il)", "E")),  # initializer
    "J": (("N?R", "K"), ("N?", "")),  # type-constraint, if any
    "L": (("_", ""), ("", "EL")),  # placement of `new`
    "M": (("", "NG"),),  # simple-id
    "O": ((_SYMBOL, ""),),  # operator-name
    "P": (("(?=T[kntpy])", "H"), ("Q", "E"), ("", "T")),  # parameter, or the constraint behind it
    "Q": (("_", ""), ("", "TQ")),  # parameters of `requires`
    "R": (("X", "EJ"), ("T", "T"), ("Q", "E")),  # requirement
    "S": (("N(?=[DST])", "Tm"), ("(?=[DST])", "T"), ("(?=[0-9])", "m")),  # scope behind `sr`
    "U": (  # types that have no name
        *(("A", "DT"), ("M", "TT"), ("u", "N"), ("Dp", "T"), ("Dv", "DT"), ("D[Tt]", "E.")),
        *(("r?V?K?(Do)?(Dx)?FY?", "t"), ("r?V?K?DO", "E.W"), ("r?V?K?Dw", "tW")),
    ),
    "V": (("_Z", "Z."), ("", "T#")),  # expr-primary: a function, a variable, or a value
    "v": (("_?Z", "Z."), ("", "T#")),  # the same from old GCCs, which leave the underscore out
    "W": (("(Dx)?FY?", "t"),),  # function-type behind its exceptions
    "_": (("_", ""),),
    "#": (("(n?[0-9a-f]+(_n?[0-9a-f]+)?)?E", ""),),  # number
    ".": (("E", ""),),
}
"""Productions whose text does not matter: what a part starts with, and what follows that. A letter
is another rule or a method of `_Parser`; a small one is any number of the same up to an `E`."""

_SPECIAL = {
    "TV": "vtable for ",
    "TT": "VTT for ",
    "TI": "typeinfo for ",
    "TS": "typeinfo name for ",
    "TH": "thread-local initialization routine for ",
    "TW": "thread-local wrapper routine for ",
    "GV": "guard variable for ",
    "Th": "non-virtual thunk to ",
    "Tv": "virtual thunk to ",
    "Tc": "covariant return thunk to ",
    "GT": "transaction clone for ",
}
_CHOICES = ((False,), (False, True))
_UNNAMED = {"Ul": "{lambda}", "Ut": "{unnamed}", "Ub": "{block}"}


class _Unreadable(Exception):
    """Not a mangled name, or one with something that this reader does not know."""


@dataclass(frozen=True, eq=False, slots=True)
class _Name:
    """The last part of a qualified name; names share their scopes, so many stay small."""

    scope: "_Name | None"
    text: str
    arguments: bool = False


_HIDDEN = _Name(None, "")
"""A type without a name of its own, such as a pointer or a template parameter."""
_STD = _Name(None, "std")
_STANDARD = {
    **{"a": _Name(_STD, "allocator"), "b": _Name(_STD, "basic_string")},
    **{"s": _Name(_STD, "string"), "i": _Name(_STD, "istream")},
    **{"o": _Name(_STD, "ostream"), "d": _Name(_STD, "iostream")},
}
_WHOLE = {_STANDARD[key]: _Name(_STD, f"basic_{_STANDARD[key].text}", True) for key in "siod"}
"""The classes behind short names: their constructors do not have the short ones."""


def readable_name(mangled: str) -> str | None:
    """The qualified name behind a mangled one, or None where there is any doubt about it.

    `_ZNSt6vectorIiSaIiEE9push_backERKi` is `std::vector<...>::push_back`. Source: Itanium C++ ABI,
    section 5.1. What compilers put behind a name (`.cold`, `.resume`) is not shown.
    """
    # lengths in mangled names count bytes, and letters beyond ASCII are allowed
    text = mangled.encode("utf-8", "surrogatepass").decode("latin-1")
    if not text.startswith("_Z") or len(text) > MAX_LENGTH:
        return None
    budget = iter(range(MAX_STEPS))
    for greedy, old in product(_CHOICES["cv" in text], _CHOICES["LZ" in text]):
        parsers = [_Parser(text, budget, greedy, old, gcc) for gcc in _CHOICES["sr" in text]]
        found = {name for parser in parsers if (name := parser.mangled_name()) is not None}
        if found:
            return found.pop() if len(found) == 1 else None
    return None


def _shown(name: _Name) -> str:
    parts: list[str] = []
    length = 0
    part: _Name | None = name
    while part is not None:
        # `operator< <...>` with a space: `operator<<...>` is another one
        space = " " if part.text.endswith("<") else ""
        parts.append(f"{part.text}{space}<...>" if part.arguments else part.text)
        length += len(parts[-1]) + 2
        if part is _HIDDEN or length > MAX_LENGTH:
            raise _Unreadable
        part = part.scope
    return "::".join(reversed(parts)).encode("latin-1").decode("utf-8", "replace")


class _Parser:
    """One reading of a mangled name; each method reads a production and stops behind it.

    Three things can be read in two ways: `greedy` gives the arguments behind the type of a
    conversion to the type, `old` takes `LZ` for a function and not for a local enumerator, and
    `gcc` reads the scope of a name in an expression as a type, which is how GCC writes it.
    """

    def __init__(
        self, text: str, budget: Iterator[int], greedy: bool, old: bool, gcc: bool
    ) -> None:
        self.text, self.budget, self.greedy = text, budget, greedy
        self.at = self.depth = 0
        self.known: list[_Name] = []
        self.methods: dict[str, Callable[[], object]] = {
            "F": self._operator,
            "K": self._name,
            "N": self._source_name,
            "T": self._type,
            "Y": self._template_arguments,
            "Z": self._encoding,
        }
        if gcc:
            self.methods["S"] = self._type
        if old:
            self.methods["V"] = lambda: self._rule("v")

    def __enter__(self) -> None:
        """Go one level deeper; every recursion comes through here."""
        if self.depth >= MAX_DEPTH or next(self.budget, None) is None:
            raise _Unreadable
        self.depth += 1

    def __exit__(self, *_: object) -> None:
        self.depth -= 1

    def _match(self, pattern: str) -> bool:
        found = re.compile(pattern).match(self.text, self.at)
        self.at = found.end() if found else self.at
        return found is not None

    def _sees(self, pattern: str) -> bool:
        return re.compile(pattern).match(self.text, self.at) is not None

    def _take(self, pattern: str) -> str:
        before = self.at
        if not self._match(pattern):
            raise _Unreadable
        return self.text[before : self.at]

    def _rule(self, rule: str) -> None:
        with self:
            shape = next((shape for start, shape in _RULES[rule] if self._match(start)), None)
            if shape is None:
                raise _Unreadable
            for letter in shape:
                read = self.methods.get(letter.upper()) or partial(self._rule, letter.upper())
                if letter.islower():
                    # the `R` or `O` of a method's type stands before its end
                    self._all(read, "[RO]?E" if letter == "t" else "E")
                else:
                    read()

    def _all(self, read: Callable[[], object], end: str = "E") -> None:
        while not self._match(end):
            read()

    def _know(self, name: _Name) -> _Name:
        """Number a name, or a type without one, for the substitutions that come later."""
        self.known.append(name)
        return name

    def mangled_name(self) -> str | None:
        """The whole in readable form, or None where it is not a name up to its end."""
        try:
            self._take("_Z")
            kind, name = self._special_name() if self._sees("[TG]") else ("", self._encoding())
            self._take(r"(\.[a-zA-Z0-9_.]+)?\Z")  # which copy or part of the function
            return kind + _shown(name)
        except (_Unreadable, RecursionError):  # the caller may have come deep itself
            return None

    def _special_name(self) -> tuple[str, _Name]:
        code = self.text[self.at : self.at + 2]
        if self._match(_THUNK):
            return _SPECIAL[code], self._encoding()
        if self._match("T[VTIS]"):
            return _SPECIAL[code], self._type()
        self._take("T[HW]|GV")
        return _SPECIAL[code], self._name()

    def _encoding(self) -> _Name:
        with self:
            name = self._name()
            if self._match("Ua9enable_if"):
                self._template_arguments()
            while not self._sees(r"E|\.|\Z"):
                self._rule("P")
            return name

    def _name(self, scope: _Name | None = None) -> _Name:
        if self._sees("N"):
            return self._nested_name(scope)
        if self._sees("Z") and scope is None:
            return self._local_name()
        if self._sees("S[^t]"):
            return self._template_arguments(self._substitution())
        name = self._unqualified_name(_STD if self._match("St") else scope)
        return self._template_arguments(self._know(name)) if self._sees("I") else name

    def _nested_name(self, scope: _Name | None) -> _Name:
        self._take("N(H|r?V?K?[RO]?)")
        complete = False
        if self._match("St"):
            name = _STD
        elif self._sees("[ST]|D[tT]"):
            name = self._substitution() if self._sees("S") else self._type()
        else:
            name, complete = self._unqualified_name(scope), True
        while not self._match("E"):
            if complete:  # substitutions can stand for what only begins the name
                self._know(name)
            self._match("M")  # what follows is within the initialiser of this member
            if not self._sees("I"):
                name = self._unqualified_name(name)
            elif name.arguments:
                raise _Unreadable
            else:
                name = self._template_arguments(name)
            complete = True
        if not complete:
            raise _Unreadable
        return name

    def _local_name(self) -> _Name:
        self._take("Z")
        scope = self._encoding()
        self._take("E")
        self._match("d[0-9]*_")  # the number of a parameter whose default argument it is in
        name = _Name(scope, "string literal") if self._match("s") else self._name(scope)
        self._match(_DISCRIMINATOR)
        return name

    def _unqualified_name(self, scope: _Name | None) -> _Name:
        internal = self._take("F?L?").endswith("L")
        if self._sees("[0-9]"):
            text = self._source_name()
            if internal:
                self._match(_DISCRIMINATOR)
        elif self._sees("U"):
            text = self._unnamed_type()
        elif self._match("DC"):
            parts: list[str] = []
            self._all(lambda: parts.append(self._source_name()))
            text = f"[{', '.join(parts)}]"
        elif self._sees("[CD]") and scope is not None:
            scope = _WHOLE.get(scope, scope)
            code = self._take("CI?[1-5]|D[01245]")
            text = f"~{scope.text}" if code.startswith("D") else scope.text
            if code.startswith("CI"):
                self._type()  # the base class that the constructor is inherited from
        else:
            text = self._operator()
        self._tagged()
        return _Name(scope, text)

    def _source_name(self) -> str:
        end = int(self._take("[1-9][0-9]{0,4}(?![0-9])")) + self.at
        if end > len(self.text):
            raise _Unreadable
        text, self.at = self.text[self.at : end], end
        return "(anonymous namespace)" if text.startswith("_GLOBAL__N") else text

    def _tagged(self) -> bool:
        before = self.at
        while self._match("B"):
            self._source_name()
        return self.at > before

    def _operator(self) -> str:
        if self._match("cv"):
            self._type(cast=True)
            return "operator <cast>"
        if self._match("li"):
            return f'operator"" {self._source_name()}'
        return f"operator{_SYMBOLS[self._take(_SYMBOL)]}"

    def _unnamed_type(self) -> str:
        code = self._take("U[ltb]")
        if code == "Ul":
            self._all(lambda: self._rule("P"))
        self._take("[0-9]*_")
        return _UNNAMED[code]

    def _substitution(self) -> _Name:
        code = self._take("S([abdios]|[0-9A-Z]{0,4}_)")[1:].rstrip("_")
        if code in _STANDARD:
            return self._know(_STANDARD[code]) if self._tagged() else _STANDARD[code]
        index = int(code, 36) + 1 if code else 0
        if index >= len(self.known):
            raise _Unreadable
        return self.known[index]

    def _template_arguments(self, name: _Name = _HIDDEN) -> _Name:
        self._take("I")
        self._all(lambda: self._rule("A"))
        return name if name is _HIDDEN else _Name(name.scope, name.text, arguments=True)

    def _type(self, *, cast: bool = False) -> _Name:
        with self:
            around = 0
            while self._modified():
                around += 1
            name = self._plain_type(cast)
            for _ in range(around):
                name = self._know(_HIDDEN)
            return name

    def _modified(self) -> bool:
        """Whether a pointer, a reference, or qualifiers come, which count as one type together."""
        if self._sees("r?V?K?(F|D[oOwx])"):
            return False
        before = self.at
        if not self._match("[PROCG]"):
            while self._match("U(?=[0-9])"):
                self._rule("M")
            self._match("r?V?K?")
        return self.at > before

    def _plain_type(self, cast: bool) -> _Name:
        if self._match(_BUILTIN):
            return _HIDDEN
        if self._sees("S[^t]"):
            name = self._substitution()
            return self._know(self._template_arguments(name)) if self._sees("I") else name
        if self._match(_TEMPLATE_PARAMETER):
            self._know(_HIDDEN)
            if not self._sees("I") or (cast and not self.greedy):
                return _HIDDEN
            return self._know(self._template_arguments())
        if self._sees("[rVKFAMu]|D[pvTtoOwx]"):
            self._rule("U")
            return self._know(_HIDDEN)
        self._match("T[sue]")
        return self._know(self._name())
