"""What is known of cores from earlier runs: contents, stacks, crashes, reports.

One small file for each fact, below the user's cache directory: written in one step, so that runs
at the same time do not disturb each other, and checked when it is read. Every file there may be
deleted or damaged at any time. What a core's memory holds may be in them: they are for their
owner's eyes only.
"""

import contextlib
import os
import time
import zlib
from collections.abc import Iterable
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Final, Literal

import msgspec

import evdiag
from evdiag.adapters.content import Identity
from evdiag.adapters.files import make_room, replacing

Kind = Literal["contents", "stacks", "crashes", "reports"]

MAX_BYTES: Final[dict[Kind, int]] = {
    "contents": 4 << 20,
    "crashes": 128 << 20,
    "stacks": 512 << 20,
    "reports": 512 << 20,
}
"""Of all files of a kind together; those used least recently go first."""
MAX_ENTRY = 64 << 20
"""Bytes of one entry, unpacked."""

VERSION = b"evdiag.triage-cache/1"
FRESH = 86_400.0
"""Seconds in which an entry need not be marked as used again."""
_CHECK = 8
_FAILURES = 20
"""So many entries that cannot be written are enough: the disk is full, or not ours."""

RULES = (
    "analyze/causes", "analyze/sign.py", "analyze/signature", "analyze/assemble.py",
    "analyze/triage", "data",
)  # fmt: skip
"""What decides over verdicts and signatures, and nothing else."""
STACKS = (
    "engine.py", "model", "parse", "analyze",
    *(f"adapters/{name}.py" for name in ("files", "images", "noted_core", "symbols", "demangle")),
)  # fmt: skip
"""What stacks are made by, besides the packages that evdiag needs."""
SHARED = ("analyze/signature/spelling.py", "analyze/signature/places.py")
"""Of the rules, what stacks are made by as well."""
PACKAGES = ("symbolic", "capstone")


class Fingerprints(msgspec.Struct, frozen=True, kw_only=True):
    """Which code the facts of an entry come from."""

    stacks: str
    rules: str


@cache
def fingerprints() -> Fingerprints:
    """Those of this evdiag."""
    root = Path(evdiag.__file__).parent
    rules = _files(root, RULES)
    stacks = [*(path for path in _files(root, STACKS) if path not in rules), *_files(root, SHARED)]
    return Fingerprints(
        stacks=_of_files(stacks, (evdiag.__version__, *map(_version, PACKAGES))),
        rules=_of_files(rules, (evdiag.__version__,)),
    )


def _files(root: Path, places: Iterable[str]) -> list[Path]:
    """Files with code or data in these places."""
    found: list[Path] = []
    for place in places:
        path = root / place
        inside = sorted(path.rglob("*")) if path.is_dir() else [path]
        found += [each for each in inside if each.suffix in (".py", ".json")]
    return found


def _of_files(paths: Iterable[Path], words: Iterable[str]) -> str:
    made = blake2b(" ".join(words).encode(), digest_size=16)
    for path in paths:
        with contextlib.suppress(OSError):
            made.update(blake2b(path.read_bytes()).digest())
    return made.hexdigest()


def _version(package: str) -> str:
    # 10 ms, for those alone who look at very many cores
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415

    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def key_of(*parts: str) -> str:
    """One name for all of these."""
    made = blake2b(VERSION, digest_size=20)
    for part in parts:
        raw = part.encode("utf-8", "surrogatepass")
        made.update(len(raw).to_bytes(8, "little"))
        made.update(raw)
    return made.hexdigest()


class TriageCache:
    """Reads and writes entries; nothing of it ever raises."""

    def __init__(self, folder: Path | None) -> None:
        """`folder` is evdiag's cache directory; without one nothing is kept, and nothing known."""
        self.folder = folder
        self._left = _FAILURES
        self._made: set[Kind] = set()
        self._contents: dict[Identity, str] = {}

    def content(self, identity: Identity) -> str | None:
        """Digest of a file that was read before."""
        known = self._contents.get(identity)
        if known is None:
            found = self.read("contents", _name(identity))
            if found is None:
                return None
            known = self._contents[identity] = found.decode("ascii", "replace")
        return known

    def remember(self, identity: Identity, content: str) -> None:
        """Keep the digest of a file."""
        self.write("contents", _name(identity), content.encode())

    def read(self, kind: Kind, key: str) -> bytes | None:
        """An entry; None where there is none, or where it is damaged."""
        if self.folder is None:
            return None
        path = self._place(kind) / key
        try:
            with path.open("rb") as file:
                status = os.fstat(file.fileno())
                raw = file.read(MAX_ENTRY)
            if time.time() - status.st_mtime > FRESH:
                os.utime(path)
        except OSError:
            return None
        return _unpacked(raw)

    def write(self, kind: Kind, key: str, value: bytes) -> None:
        """Keep an entry, if that is possible."""
        if self.folder is None or not self._left or len(value) > MAX_ENTRY:
            return
        folder = self._place(kind)
        try:
            if kind not in self._made:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._made.add(kind)
            packed = zlib.compress(value, 1) if len(value) > 256 else value
            mark = b"\1" if packed is not value else b"\0"
            with replacing(folder / key) as file:
                file.write(_sum(mark + packed) + mark + packed)
        except OSError:
            self._made.discard(kind)
            self._left -= 1

    def _place(self, kind: Kind) -> Path:
        assert self.folder is not None
        return self.folder / "triage" / kind

    def make_room(self) -> None:
        """Delete what was used least recently, where it is too much."""
        if self.folder is None:
            return
        for kind, limit in MAX_BYTES.items():
            with contextlib.suppress(OSError):
                make_room(self._place(kind), limit)


def _name(identity: Identity) -> str:
    return key_of(*map(str, msgspec.structs.astuple(identity)))


def _sum(content: bytes) -> bytes:
    return blake2b(content, digest_size=_CHECK).digest()


def _unpacked(raw: bytes) -> bytes | None:
    check, content = raw[:_CHECK], raw[_CHECK:]
    if not content or check != _sum(content):
        return None
    if content[:1] == b"\0":
        return content[1:]
    unpacker = zlib.decompressobj()
    try:
        value = unpacker.decompress(content[1:], MAX_ENTRY + 1)
    except zlib.error:
        return None
    return value if unpacker.eof and len(value) <= MAX_ENTRY else None
