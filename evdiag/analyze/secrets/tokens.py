"""What stands in place of a secret, and how often that was necessary.

`<redacted-1a2b3c4d>`: the same secret has the same token wherever one key is used, so that one can
still see that two messages hold the same password. Nobody can try passwords without the key.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from evdiag.analyze.signature.digest import new_sha256
from evdiag.model.bundle import Token

PASSWORD, KEY, ID_TOKEN = "password", "key", "id-token"
VEHICLE, CONTRACT, URL, WORD = "vehicle", "contract", "url", "word"

PLAIN = "<redacted>"
"""In texts that must be the same whatever the key is."""
TOKEN = re.compile(r"<redacted(?:-[0-9a-f]{8})?>", re.ASCII)

MOST_TOKENS = 10_000
"""Tokens that are listed; a hostile log could have millions."""
MOST_FILES = 200
_BLOCK = 64
"""Bytes of a block of SHA-256 (RFC 2104 needs them)."""
_MOST_REMEMBERED = 20_000


class Ledger:
    """Makes the tokens of one key, and counts them by file."""

    def __init__(self, key: bytes, known: Iterable[Token] = ()) -> None:
        padded = (key if len(key) <= _BLOCK else new_sha256(key).digest()).ljust(_BLOCK, b"\0")
        self._inner = new_sha256(bytes(byte ^ 0x36 for byte in padded))
        self._outer = new_sha256(bytes(byte ^ 0x5C for byte in padded))
        self._made: dict[str, str] = {}
        self._known = {token.token: token for token in known}
        self._counts: dict[str, int] = {}
        self._files: dict[str, dict[str, None]] = {}
        self._file = ""
        self._in_file = 0
        self._watched: dict[str, tuple[str, int]] | None = None

    def token(self, secret: str) -> str:
        """The token of a secret, whose characters are the bytes of its UTF-8."""
        made = self._made.get(secret)
        if made is None:
            if len(self._made) >= _MOST_REMEMBERED:
                self._made.clear()
            inner, outer = self._inner.copy(), self._outer.copy()
            inner.update(secret.encode("latin-1", "replace"))
            outer.update(inner.digest())
            made = self._made[secret] = f"<redacted-{outer.hexdigest()[:8]}>"
        return made

    def used(self, secret: str, kind: str) -> str:
        """The same, counted."""
        token = self.token(secret)
        self._in_file += 1
        if token not in self._known and len(self._known) < MOST_TOKENS:
            self._known[token] = Token(token=token, kind=kind)
        if token in self._known:
            self._counts[token] = self._counts.get(token, 0) + 1
            files = self._files.setdefault(token, {})
            if self._file and len(files) < MOST_FILES:
                files[self._file] = None
        if self._watched is not None:
            _, count = self._watched.get(token, ("", 0))
            known = self._known.get(token)
            self._watched[token] = (known.kind if known else kind, count + 1)
        return token

    def kind_of(self, word: str) -> str | None:
        """The kind of the secret that a word is, if its token is known."""
        known = self._known.get(self.token(word))
        return known.kind if known else None

    @property
    def knows(self) -> bool:
        """Whether there are tokens to compare words with."""
        return bool(self._known)

    @contextmanager
    def watched(self) -> Iterator[dict[str, tuple[str, int]]]:
        """(kind, how often) by token of what is replaced meanwhile."""
        before, self._watched = self._watched, {}
        try:
            yield self._watched
        finally:
            self._watched = before

    def begin_file(self, path: str) -> None:
        """From now on, counts go to this file."""
        self._file, self._in_file = path, 0

    def count_in_file(self) -> int:
        """How many secrets were replaced since the file was begun."""
        return self._in_file

    def tokens(self) -> tuple[Token, ...]:
        """All tokens there are, those of an earlier run included."""
        return tuple(
            Token(
                token=token.token,
                kind=token.kind,
                count=token.count + self._counts.get(token.token, 0),
                files=tuple({**dict.fromkeys(token.files), **self._files.get(token.token, {})}),
            )
            for token in self._known.values()
        )
