"""Secrets on their way into a bundle: replaced, or left on request."""

import secrets as randomness
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from evdiag.analyze.secrets import Secrets
from evdiag.errors import EngineError
from evdiag.model.bundle import Redaction
from evdiag.parse.tar import TarError

LONGEST_LINE = 1 << 20
"""Bytes that are held back until their line ends."""


class Redactor:
    """Replaces what is secret in every text of a bundle."""

    def __init__(self, *, enabled: bool) -> None:
        self._key = randomness.token_bytes(32)
        self._secrets = Secrets(self._key) if enabled else None
        self._counted: dict[str, int] = {}
        """By token, how often it was replaced in what nobody keeps."""

    def learn(self, environment: Mapping[str, str], documents: Iterable[tuple[str, bytes]]) -> None:
        """See what is called a secret, before any file is written."""
        if self._secrets is None:
            return
        self._secrets.learn(environment)
        for name, content in documents:
            self._secrets.document(name, content)
        self._counted = {token.token: token.count for token in self._secrets.tokens()}

    def begin(self, path: str) -> None:
        """What is replaced from now on, is replaced in this file."""
        if self._secrets is not None:
            self._secrets.begin_file(path)

    def count(self) -> int:
        """How much was replaced in it."""
        return 0 if self._secrets is None else self._secrets.count_in_file()

    def document(self, name: str, content: bytes) -> bytes:
        """A whole file of configuration."""
        return content if self._secrets is None else self._secrets.document(name, content)

    def lines(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """A log, as it comes; one that is cut off ends with its last whole line.

        Raises what `pieces` raises, after those lines.
        """
        if self._secrets is None:
            yield from pieces
            return
        whole = _WholeLines(pieces)
        yield from self._secrets.lines(iter(whole))
        if whole.broken is not None:
            raise whole.broken

    def result(self, *, with_key: bool) -> Redaction:
        """What the manifest says of it."""
        if self._secrets is None:
            return Redaction(enabled=False)
        tokens = (
            msgspec.structs.replace(token, count=token.count - self._counted.get(token.token, 0))
            for token in self._secrets.tokens()
        )
        return Redaction(
            enabled=True,
            key=self._key.hex() if with_key else None,
            tokens=tuple(token for token in tokens if token.count or token.files),
        )


class _WholeLines:
    """The same pieces up to where they break off, without the begin of a line that has no end.

    A half secret would not be recognised.
    """

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self.broken: TarError | EngineError | None = None

    def __iter__(self) -> Iterator[bytes]:
        held = b""
        try:
            for piece in self._pieces:
                end = piece.rfind(b"\n") + 1
                if end or len(held) > LONGEST_LINE:
                    yield held + piece[:end]
                    held = piece[end:]
                else:
                    held += piece
        except (TarError, EngineError) as error:
            self.broken = error
        else:
            yield held
