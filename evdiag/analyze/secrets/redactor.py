"""Takes secrets out of texts, files and logs, and learns them on the way."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from evdiag.analyze.secrets import hints
from evdiag.analyze.secrets.known import Learned, words
from evdiag.analyze.secrets.names import can_be_secret, kind_of
from evdiag.analyze.secrets.plain import lines as whole_lines
from evdiag.analyze.secrets.plain import named
from evdiag.analyze.secrets.shapes import private_keys, shapes
from evdiag.analyze.secrets.spans import Found, Inner, unescaped, with_tokens, without_colours
from evdiag.analyze.secrets.structure import structured
from evdiag.analyze.secrets.tokens import KEY, PASSWORD, Ledger
from evdiag.model.bundle import Token

MOST_NESTED = 4
"""Strings in strings that are looked into."""

_IDENTITY = re.compile(
    r"ocpp_?id|charge_?(?:point|box)_?id(?:entity)?|(?:securityctrlr)?identity", re.I
)
_IDENTITIES = re.compile(
    r"(?:ChargePointId|ChargeBoxIdentity|OCPP_ID)[\"']?[ \t]{0,4}[:=][ \t]{0,4}[\"']?"
    r"([A-Za-z0-9*_=+|@.-]{1,48})",
    re.ASCII,
)
_LINES = (".yaml", ".yml", ".ini", ".env", ".conf", ".cfg", ".properties", ".toml", ".sh", ".txt")
_LEARNED_KINDS = (PASSWORD, KEY)


class Secrets:
    """The secrets of one bundle, or of the reports of one run."""

    def __init__(self, key: bytes, known: Iterable[Token] = ()) -> None:
        """`known` are tokens of an earlier run with the same key."""
        self.ledger = Ledger(key, known)
        self._learned = Learned()
        self._bytes_of: re.Pattern[str] | None = None
        self._byte_hints: re.Pattern[bytes] | None = None

    # -- what is known

    def learn(self, pairs: Mapping[str, str] | Iterable[tuple[str, str]]) -> None:
        """Take secrets from (name, value) pairs: an environment, or settings."""
        listed = list(pairs.items() if isinstance(pairs, Mapping) else pairs)
        for name, value in listed:
            if _IDENTITY.fullmatch(name):
                self._learned.never(as_bytes(value))
        for name, value in listed:
            kind = kind_of(name)
            if kind in _LEARNED_KINDS and can_be_secret(value, kind, bare=True):
                self._learned.add(as_bytes(value), kind)
            elif "://" in value:
                for found in shapes(as_bytes(value)):
                    self._learned.add(found.secret, found.kind)

    # -- texts

    def text(self, text: str) -> str:
        """A text of a report without secrets."""
        return through_bytes(text, self._short)

    def arguments(self, texts: Iterable[str]) -> tuple[str, ...]:
        """A list of arguments: the name of a secret can stand in the one before it."""
        out: list[str] = []
        option: str | None = None
        client = False
        for text in texts:
            kind, option = option, None
            if kind and text[:1] != "-" and can_be_secret(text, kind, bare=True):
                out.append(self.named(text, kind))
                continue
            out.append(self._argument(text))
            if text.startswith("-"):
                is_password = client and text in ("-P", "--pw")
                option = PASSWORD if is_password else kind_of(text.lstrip("-"))
            client = client or text.endswith(("mosquitto_pub", "mosquitto_sub", "mosquitto_rr"))
        return tuple(out)

    def _argument(self, text: str) -> str:
        name, assigned, value = text.partition("=")
        kind = (
            kind_of(name.lstrip("-")) if assigned and len(name) < 80 and " " not in name else None
        )
        if kind and can_be_secret(value, kind, bare=True):
            return f"{name}={self.named(value, kind)}"
        return self.text(text)

    def named(self, secret: str, kind: str) -> str:
        """The token of a secret whose name is known; it is learned, too."""
        coded = as_bytes(secret)
        self._learned.add(coded, kind)
        return self.ledger.used(coded, kind)

    @property
    def known(self) -> int:
        """How many secrets are looked for by value."""
        return len(self._learned)

    def _short(self, text: str) -> str:
        inner = without_colours(text) if "\x1b" in text else None
        shown = inner.text if inner else text
        seen = hints.TEXT.search(shown.lower()) is not None
        pattern = self._learned.pattern
        if seen or self.ledger.knows or (pattern is not None and pattern.search(shown)):
            return self.replaced(text, self._find(shown) if seen else (), inner)
        return text

    # -- files and logs

    def document(self, name: str, content: bytes) -> bytes:
        """A whole file of settings without secrets; those that have a name are learned."""
        text = content.decode("latin-1")
        for match in _IDENTITIES.finditer(text):
            self._learned.never(match[1])
        begin = text.lstrip()[:1]
        by_line = name.lower().endswith(_LINES) or begin not in ("{", "[", '"')
        return self._replaced(text, by_line=by_line).encode("latin-1")

    def lines(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """A log without secrets, in bounded memory."""
        # Reports need none of its patterns, which take milliseconds to compile.
        from evdiag.analyze.secrets.stream import Stream  # noqa: PLC0415

        return Stream(self._record, self._learned_bytes).through(pieces)

    def _record(self, data: bytes) -> bytes:
        return self._replaced(data.decode("latin-1")).encode("latin-1")

    def _learned_bytes(self) -> re.Pattern[bytes] | None:
        pattern = self._learned.pattern
        if pattern is not self._bytes_of:
            self._bytes_of = pattern
            self._byte_hints = re.compile(pattern.pattern.encode("latin-1")) if pattern else None
        return self._byte_hints

    # -- the rules

    def _replaced(self, text: str, *, by_line: bool = False) -> str:
        inner = without_colours(text) if "\x1b" in text else None
        shown = inner.text if inner else text
        found = list(self._find(shown, by_line=by_line))
        for one in found:
            if one.kind in _LEARNED_KINDS:
                self._learned.add(one.secret, one.kind)
        found += self._learned.find(shown)
        return self._with_tokens(text, found, inner)

    def replaced(self, text: str, named: Iterable[Found], inner: Inner | None = None) -> str:
        """A text of a report without these secrets, and without those that are known by value.

        `inner` is the text without colours, where it has some: that is where they were found.
        """
        shown = inner.text if inner else text
        found = list(named)
        if "-----" in shown:
            found += private_keys(shown)
        for one in found:
            self._learned.add(one.secret, one.kind)
        found += self._learned.find(shown)
        if self.ledger.knows:
            met = words(shown, self.ledger)
            found += [one for one in met if not self._learned.excludes(one.secret)]
        return self._with_tokens(text, found, inner)

    def _with_tokens(self, text: str, found: list[Found], inner: Inner | None) -> str:
        if inner:
            found = [inner.outside(one) for one in found]
        return with_tokens(text, found, self.ledger.used) if found else text

    def in_string(self, text: str, start: int, end: int) -> Iterable[Found]:
        """Secrets in a string of C that is part of a text."""
        if not hints.TEXT.search(text[start:end].lower()):
            return ()
        inner = unescaped(text, start, end)
        return map(inner.outside, self._find(inner.text))

    def _find(self, text: str, *, by_line: bool = False, depth: int = 0) -> Iterator[Found]:
        def inside(inner: str) -> Iterable[Found]:
            if depth >= MOST_NESTED or not hints.TEXT.search(inner.lower()):
                return ()
            return self._find(inner, depth=depth + 1)

        if "{" in text or "[" in text:
            yield from structured(text, inside)
        yield from named(text)
        if by_line:
            yield from whole_lines(text)
        yield from shapes(text)

    # -- the account of it

    def begin_file(self, path: str) -> None:
        """From now on, what is replaced counts for this file."""
        self.ledger.begin_file(path)

    def count_in_file(self) -> int:
        """How many secrets were replaced in the file."""
        return self.ledger.count_in_file()

    def tokens(self) -> tuple[Token, ...]:
        """All tokens, for the manifest."""
        return self.ledger.tokens()


def as_bytes(text: str) -> str:
    """The text with one character for each byte of its UTF-8, as files and logs are read."""
    if text.isascii():
        return text
    return text.encode("utf-8", "surrogatepass").decode("latin-1")


def through_bytes(text: str, change: Callable[[str], str]) -> str:
    """The text after a change to its bytes; what is not touched stays the same."""
    if text.isascii():
        return change(text)
    coded = as_bytes(text)
    changed = change(coded)
    if changed == coded:
        return text
    return changed.encode("latin-1").decode("utf-8", "surrogatepass")
