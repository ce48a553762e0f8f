"""Members of a tar stream, without any trust in it: ustar, GNU and PAX (POSIX.1-2001).

Python's tarfile follows sizes that lie, holds long headers of any length and takes a stream that
was cut for one that has ended. Here content passes through in the pieces in which it comes,
nothing is held but one header, and only the two zero blocks at the end are an end.
"""

import math
import re
from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec

BLOCK = 512
LONGEST_EXTENSION = 1 << 20
"""Bytes of a long name or of PAX records; the longest path of Linux has 4096."""
MOST_EXTENSIONS = 32
"""Headers about one member; writers make at most three."""
LARGEST = 1 << 63
"""No file system has larger files."""
ZEROS = bytes(BLOCK)

Kind = Literal["file", "folder", "link", "other"]

_KINDS: dict[bytes, Kind] = {
    **dict.fromkeys((b"0", b"\0", b"7"), "file"),
    **dict.fromkeys((b"1", b"2"), "link"),
    b"5": "folder",
}
_HEADER_ONLY = frozenset((b"1", b"2", b"3", b"4", b"5", b"6"))
"""Types that have no content, whatever their size says: POSIX.1-2001, pax, ustar typeflag."""
_NUMBER = re.compile(rb" *([0-7]*)[ \0]*", re.DOTALL)
_PAX_KEYS = frozenset(("path", "linkpath", "size", "mtime"))


class TarError(ValueError):
    """A stream that cannot be read on."""


class TarCut(TarError):
    """The stream ended before the archive did: what is missing may come in another attempt."""


class TarDamaged(TarError):
    """Something else than a tar, or a broken one."""


class TarMember(msgspec.Struct, frozen=True, kw_only=True):
    """What an archive says of one member; nothing of it is to be trusted."""

    name: str
    """As it is in the archive; what is not UTF-8 stands there as `\\xff`."""
    kind: Kind
    """`link` are both kinds of links; `other` are devices, pipes, sparse files and unknown ones."""
    size: int
    """Of the content that follows: only regular files have one."""
    modified: float
    mode: int
    link: str = ""
    """Where a link leads."""


def read_tar(pieces: Iterable[bytes]) -> Iterator[TarMember | bytes]:
    """Each member, then its content if it is a regular file, in pieces of any size.

    What comes after the end of the archive is not read. Raises TarCut, TarDamaged, and what
    `pieces` raises.
    """
    stream = _Stream(pieces)
    while (member := _next(stream)) is not None:
        header, left = member
        yield header
        regular = header.kind == "file"
        size = left
        while left:
            piece = stream.some(left)
            if not piece:
                raise TarCut(
                    f"the stream ended in {header.name!r}, with {size - left} of {size} bytes"
                )
            left -= len(piece)
            if regular:
                yield piece
        if not stream.skip(-size % BLOCK):
            raise TarCut(f"the stream ended after {header.name!r}")


class _Extensions(msgspec.Struct):
    """What headers before a member say of it."""

    pax: dict[str, str] = {}
    name: str | None = None
    link: str | None = None
    sparse: bool = False


def _next(stream: "_Stream") -> tuple[TarMember, int] | None:
    """The next member and the size of what follows it; None at the end of the archive."""
    known = _Extensions()
    for _ in range(MOST_EXTENSIONS):
        head = stream.take(BLOCK)
        if len(head) < BLOCK:
            raise TarCut("the stream ended between two members")
        if head == ZEROS:
            _check_end(stream)
            return None
        _check(head)
        kind, size = head[156:157], _size(head[124:136])
        if kind not in (b"x", b"X", b"g", b"L", b"K"):
            return _member(stream, head, size, known)
        if size > LONGEST_EXTENSION:
            raise TarDamaged(f"a header of {size} bytes")
        content = stream.take(size)
        if len(content) < size or not stream.skip(-size % BLOCK):
            raise TarCut("the stream ended in a header")
        if kind == b"L":
            known.name = _text(content)
        elif kind == b"K":
            known.link = _text(content)
        elif kind != b"g":  # those are for the whole archive, and no engine sends any
            _read_pax(content, known)
    raise TarDamaged("headers without a member")


def _check_end(stream: "_Stream") -> None:
    """A block of zeros is the end if it is the last or if another one follows."""
    following = stream.take(BLOCK)
    if following.strip(b"\0"):
        raise TarDamaged("there is something after a block of zeros")


def _member(stream: "_Stream", head: bytes, size: int, known: _Extensions) -> tuple[TarMember, int]:
    flag = head[156:157]
    if "size" in known.pax:
        size = _decimal(known.pax["size"])
    kind = _KINDS.get(flag, "other")
    if flag in _HEADER_ONLY:
        size = 0
    if flag == b"S":
        _skip_sparse_map(stream, head)
    if known.sparse:  # what is stored is not what the file has
        kind = "other"
    name = known.pax.get("path") or known.name or _own_name(head)
    link = known.pax.get("linkpath") or known.link or _text(head[157:257])
    if kind == "file" and name.endswith("/"):  # as before POSIX.1-1988, where folders had no type
        kind = "folder"
    member = TarMember(
        name=name,
        kind=kind,
        size=size if kind == "file" else 0,
        modified=_modified(head[136:148], known.pax.get("mtime")),
        mode=(_number(head[100:108]) or 0) & 0o7777,
        link=link if kind == "link" else "",
    )
    return member, size


def _own_name(head: bytes) -> str:
    name = _text(head[:100])
    # GNU's magic ends with blanks, and it keeps other things there
    prefix = _text(head[345:500]) if head[257:263] == b"ustar\0" else ""
    return f"{prefix}/{name}" if prefix else name


def _skip_sparse_map(stream: "_Stream", head: bytes) -> None:
    """The list of a sparse file's pieces may go on in further blocks: GNU's old format."""
    more = head[482]
    while more:
        block = stream.take(BLOCK)
        if len(block) < BLOCK:
            raise TarCut("the stream ended in a header")
        more = block[504]


def _check(head: bytes) -> None:
    """Compare the checksum, which old programs made of signed bytes."""
    wanted = _number(head[148:156])
    rest = head[:148] + b"        " + head[156:]
    found = sum(rest)
    if wanted != found and wanted != found - 256 * sum(byte > 127 for byte in rest):
        raise TarDamaged("no tar, or a header of it is damaged")


def _text(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode("utf-8", "backslashreplace")


def _number(field: bytes) -> int | None:
    """Octal digits, or base 256 for what does not fit (GNU); that may be negative."""
    if field[0] & 0x80:
        # the first byte is 0x80, or 0xff for a negative number
        return int.from_bytes(bytes((field[0] & 0x7F if field[0] != 0xFF else 0xFF,)) + field[1:],
                              "big", signed=field[0] == 0xFF)  # fmt: skip
    match = _NUMBER.fullmatch(field)
    return None if match is None else int(match[1] or b"0", 8)


def _size(field: bytes) -> int:
    size = _number(field)
    if size is None or not 0 <= size < LARGEST:
        raise TarDamaged("a size that is none")
    return size


def _decimal(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 20) or int(text) >= LARGEST:
        raise TarDamaged("a size that is none")
    return int(text)


def _modified(field: bytes, pax: str | None) -> float:
    if pax is not None:
        try:
            seconds = float(pax)
        except ValueError:
            return 0.0
        return seconds if math.isfinite(seconds) and abs(seconds) < LARGEST else 0.0
    number = _number(field) or 0
    return float(number) if abs(number) < LARGEST else 0.0


def _read_pax(content: bytes, known: _Extensions) -> None:
    """Records of the form `LENGTH KEY=VALUE\\n`; the length counts itself."""
    pax = dict(known.pax)
    at = 0
    while at < len(content):
        blank = content.find(b" ", at, at + 20)
        digits = content[at:blank] if blank >= 0 else b""
        end = at + int(digits) if digits.isdigit() else 0
        if not blank < end <= len(content) or content[end - 1 : end] != b"\n":
            raise TarDamaged("a PAX header that is none")
        key, equals, value = content[blank + 1 : end - 1].partition(b"=")
        if not equals:
            raise TarDamaged("a PAX header that is none")
        name = key.decode("utf-8", "replace")
        if name in _PAX_KEYS:
            pax[name] = value.decode("utf-8", "backslashreplace").replace("\0", "\\x00")
        elif name.startswith("GNU.sparse."):
            known.sparse = True
        at = end
    known.pax = pax


class _Stream:
    """Pieces of any size, taken in others."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._held, self._at = b"", 0

    def some(self, most: int) -> bytes:
        """At least one byte and at most so many, whole pieces if possible; empty at the end."""
        held, at = self._held, self._at
        while at == len(held):
            piece = next(self._pieces, None)
            if piece is None:
                self._held, self._at = b"", 0
                return b""
            held, at = piece, 0
        if at == 0 and len(held) <= most:
            self._held = b""
            self._at = 0
            return held
        part = held[at : at + most]
        self._held, self._at = held, at + len(part)
        return part

    def take(self, size: int) -> bytes:
        """That many bytes; fewer at the end."""
        part = self.some(size) if size else b""
        if len(part) == size:
            return part
        parts = []
        while part:
            parts.append(part)
            size -= len(part)
            part = self.some(size) if size else b""
        return b"".join(parts)

    def skip(self, size: int) -> bool:
        """Leave bytes out; whether there were so many."""
        return len(self.take(size)) == size
