"""Secrets in JSON, whole or cut, in a file or in the middle of a log.

A secret's name can stand beside its value: `{"key": "AuthorizationKey", "value": "…"}` in OCPP 1.6,
`{"attributeValue": "…", "variable": {"name": "BasicAuthPassword"}}` in 2.x, and lists of arguments
`["--password", "…"]`. So brackets are followed here, by one pass that no damage can stop.
"""

import re
from collections.abc import Iterator

from evdiag.analyze.secrets.names import NAME_NAMES, VALUE_NAMES, can_be_secret, kind_of
from evdiag.analyze.secrets.spans import Finder, Found, plain, unescaped
from evdiag.analyze.secrets.tokens import KEY, PASSWORD

DEEPEST = 200
"""Brackets in brackets that are followed; nothing real has a tenth."""

_TOKEN = re.compile(
    r""" "(?:[^"\\\n]|\\.)*+" | (?<=[\[{,:\s])'(?:[^'\\\n]|\\.)*+'(?=\s{0,8}[,:\]}])
    | [{}\[\],:] | [^\s"{}\[\],:]++ | "[^\n]* """,
    re.VERBOSE | re.ASCII,
)
_OPEN = re.compile(r"[{\[]")
_ATTRIBUTES = frozenset(("attributes", "variableAttribute", "attribute"))
_VARIABLES = frozenset(("variable",))
_ALL_OF = re.compile(r"(?:credential|secret|password)s|credential", re.IGNORECASE)
_TYPES = frozenset(("type", "Type", "_type"))
_ASSIGNED = re.compile(r"-{0,2}([A-Za-z_][\w.-]{1,120})=(?=.)", re.ASCII | re.DOTALL)
_OPTION = re.compile(r"--?([A-Za-z][\w-]{0,60})", re.ASCII)
_CLIENTS = ("mosquitto_pub", "mosquitto_sub", "mosquitto_rr")
_ENCRYPTED = re.compile(r"[0-9a-f]{32}[A-Za-z0-9+/=]{8,}", re.ASCII)
"""What Node-RED writes behind `$` in the file with its credentials."""

Place = tuple[int, int]


class _Frame:
    """An object or a list that is open."""

    __slots__ = ("client", "is_list", "key", "kind", "label", "last", "named", "option", "pending")

    def __init__(self, is_list: bool, label: str, kind: str | None) -> None:
        self.is_list, self.label, self.kind = is_list, label, kind
        self.key = ""
        self.last: Place | None = None
        """A string or word of which it is not clear yet whether it is a name or a value."""
        self.named: str | None = None
        """The kind of the secret whose name stands in it as a value."""
        self.pending: list[Place] = []
        """Values that are secrets if such a name turns up."""
        self.option: str | None = None
        self.client = False


class _Reader:
    """One pass over a text."""

    def __init__(self, text: str, inside: Finder | None) -> None:
        self._text, self._inside = text, inside
        self._stack: list[_Frame] = []
        self._too_deep = 0
        self._found: list[Found] = []

    def found(self) -> list[Found]:
        at = 0
        while begin := _OPEN.search(self._text, at):
            at = self._from(begin.start())
        while self._stack:
            self._close(self._stack[-1].is_list)
        return self._found

    def _from(self, start: int) -> int:
        """Read what begins with a bracket; where it ends, or the text does."""
        for match in _TOKEN.finditer(self._text, start):
            sign = match[0][0]
            if sign in "{[":
                self._open(sign == "[")
            elif sign in "}]":
                self._close(sign == "]")
                if not self._stack:
                    return match.end()
            else:
                self._read(self._stack[-1], sign, match.span())
        return len(self._text)

    def _read(self, frame: _Frame, sign: str, place: Place) -> None:
        if sign == ":":
            if frame.last and not frame.is_list:
                frame.key = self._content(frame.last)
                frame.last = None
        elif sign == ",":
            self._flush(frame)
            if not frame.is_list:
                frame.key = ""
        else:
            if frame.last and (frame.key or frame.is_list):
                self._flush(frame)
            frame.last = place

    def _open(self, is_list: bool) -> None:
        if len(self._stack) >= DEEPEST:
            self._too_deep += 1
            return
        parent = self._stack[-1] if self._stack else None
        label, kind = "", None
        if parent is not None:
            parent.last = None
            label = parent.label if parent.is_list else parent.key
            own = kind_of(label)
            kind = own if own and not parent.is_list else parent.kind
        self._stack.append(_Frame(is_list, label, kind))

    def _close(self, is_list: bool) -> None:
        if self._too_deep:
            self._too_deep -= 1
            return
        frame = self._stack[-1]
        self._flush(frame)
        if frame.is_list != is_list and not any(f.is_list == is_list for f in self._stack[-8:]):
            return
        self._stack.pop()
        if frame.named is not None:
            for place in frame.pending:
                self._secret(place, frame.named)
        elif self._stack:
            self._pass_on(frame, self._stack[-1])
        if frame.named and self._stack and frame.label in _VARIABLES and not frame.is_list:
            self._stack[-1].named = frame.named

    def _pass_on(self, frame: _Frame, parent: _Frame) -> None:
        """Values of attributes are the variable's, which is the object around their list."""
        if frame.label in _ATTRIBUTES:
            parent.pending += frame.pending

    def _flush(self, frame: _Frame) -> None:
        """What was read last is a value."""
        place, frame.last = frame.last, None
        if place is None:
            return
        label = frame.label if frame.is_list else frame.key
        kind = kind_of(label) if label else None
        if frame.is_list:
            kind = kind or self._argument(frame, place)
        elif kind is None and frame.kind is not None:
            inherits = label in VALUE_NAMES or _ALL_OF.fullmatch(frame.label)
            kind = frame.kind if inherits and label not in _TYPES else None
        if kind is not None:
            self._secret(place, kind)
        elif label in VALUE_NAMES:
            frame.pending.append(place)
            self._look_inside(place)
        elif label in NAME_NAMES:
            frame.named = kind_of(self._content(place)) or frame.named
        elif label == "$" and _ENCRYPTED.fullmatch(self._content(place)):
            self._secret(place, KEY)
        else:
            self._look_inside(place)

    def _argument(self, frame: _Frame, place: Place) -> str | None:
        """The kind of secret that an element of a list is, by the option in front of it."""
        kind, frame.option = frame.option, None
        content = self._content(place)
        option = _OPTION.fullmatch(content)
        if option:
            is_password = frame.client and content in ("-P", "--pw")
            frame.option = PASSWORD if is_password else kind_of(option[1])
        elif content.endswith(_CLIENTS):
            frame.client = True
        return kind if option is None else None

    def _look_inside(self, place: Place) -> None:
        """A string can be `NAME=value`, or JSON once more."""
        start, end = self._inner(place)
        if start == place[0]:
            return
        assigned = _ASSIGNED.match(self._text, start, end)
        kind = kind_of(assigned[1]) if assigned else None
        if assigned and kind:
            value = plain(self._text, assigned.end(), end)
            if can_be_secret(value, kind, bare=True):
                self._found.append(Found(assigned.end(), end, kind, value))
        if self._inside is not None and self._text.find("\\", start, end) >= 0:
            inner = unescaped(self._text, start, end)
            self._found += map(inner.outside, self._inside(inner.text))

    def _secret(self, place: Place, kind: str) -> None:
        start, end = self._inner(place)
        value = plain(self._text, start, end)
        if can_be_secret(value, kind, bare=start == place[0]):
            self._found.append(Found(start, end, kind, value))

    def _content(self, place: Place) -> str:
        return plain(self._text, *self._inner(place))

    def _inner(self, place: Place) -> Place:
        """Without quotes."""
        start, end = place
        mark = self._text[start]
        if mark not in "\"'":
            return place
        is_whole = end - start > 1 and self._text[end - 1] == mark
        return start + 1, end - 1 if is_whole else end


def structured(text: str, inside: Finder | None) -> Iterator[Found]:
    """Secrets in the structures of a text; `inside` looks into strings that were escaped."""
    yield from _Reader(text, inside).found()
