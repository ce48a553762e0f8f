"""What the program in the container tells for a bundle (adapters/docker/inside/collect.py).

The container may be anybody's: a document that is not as it should be is refused as a whole.
"""

from typing import Annotated

import msgspec

LONGEST_DOCUMENT = 8 << 20
LONGEST_ERROR = 300

_Text = Annotated[str, msgspec.Meta(max_length=1 << 17)]
_Name = Annotated[str, msgspec.Meta(max_length=5000)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
_Time = Annotated[float, msgspec.Meta(ge=-(1 << 40), le=1 << 40)]


class UnreadableInside(ValueError):
    """The program in the container did not print its document."""


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """A process of the container."""

    pid: _Count
    parent: _Count
    user: _Name = ""
    state: _Name = ""
    threads: _Count = 0
    memory: _Count = 0
    started: _Time | None = None
    comm: _Name = ""
    argv: Annotated[tuple[_Name, ...], msgspec.Meta(max_length=100)] = ()


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A regular file."""

    path: _Name
    size: _Count
    disk: _Count | None = None
    time: _Time = 0.0


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """A text of the kernel, and what it is about."""

    text: _Text
    name: _Name = ""
    of: _Name = ""


class Inside(msgspec.Struct, frozen=True, kw_only=True):
    """All of it; a part that could not be had has its reason in `errors`."""

    now: _Time
    errors: dict[str, _Name] = {}
    processes: Annotated[tuple[Process, ...], msgspec.Meta(max_length=3000)] = ()
    limits: Named | None = None
    core_pattern: _Text | None = None
    core_uses_pid: _Text | None = None
    memory: Named | None = None
    versions: dict[str, _Name] = {}
    df: _Text | None = None
    files: Annotated[tuple[Found, ...], msgspec.Meta(max_length=10_000)] | None = None
    """Those of the folder for cores and below; None if they could not be listed."""
    left: Annotated[dict[_Name, _Count], msgspec.Meta(max_length=20)] = {}
    """What else there is and was not looked at, and how often."""
    elsewhere: Annotated[tuple[Found, ...], msgspec.Meta(max_length=10_000)] = ()
    """Files that are called like cores, in further folders."""
    work: tuple[_Name, ...] = ()
    """Working directories of the processes."""


def read_inside(printed: bytes) -> Inside:
    """The document that the program printed. Raises UnreadableInside."""
    if len(printed) > LONGEST_DOCUMENT:
        raise UnreadableInside(f"it printed {len(printed)} bytes")
    try:
        return msgspec.json.decode(printed, type=Inside)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise UnreadableInside(" ".join(str(error).split())[:LONGEST_ERROR]) from None
