"""Addresses in a text, and what is at them."""

import msgspec

from evdiag.model.core import Place


class Mention(msgspec.Struct, frozen=True, kw_only=True):
    """One address that stands in a line, and what the line itself says of where it lies."""

    end: int
    """Index in the line behind which the answer is put."""
    start: int
    """Index of the first character of what is about the address: mentions never overlap."""
    kind: str
    """Name of the format: backtrace-symbols, boost, sanitizer, kernel, ..."""
    module: str | None = None
    """Path or name of the file, as the line has it."""
    build_id: str | None = None
    """Where the line has it."""
    offset: int | None = None
    """From where the symbol begins, if there is one; else an address as `addr2line` wants it.

    That is the address in memory less the load bias: of a program that is not position
    independent it is the address itself. boost counts from the first byte of the program's image
    even then. Only from a symbol it may be negative."""
    symbol: str | None = None
    """Function that the offset counts from, as the ELF tables spell it (`_Z4namei+0x12`)."""
    file_offset: int | None = None
    """In the module's file as it lies on the disk, which is not an address (Linux 6.9)."""
    address: int | None = None
    """In the process's memory: of use with mappings, and where the module has a fixed place."""
    base: int | None = None
    """Where something of the module begins in memory: of kind kernel the mapping that holds the
    address (of the module's code, mostly), else the module's first mapping."""
    is_call: bool = True
    """Whether it is the address behind a call, so that the call is one byte before it."""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What is at an address: inlined calls first, the function of the code last."""

    places: tuple[Place, ...]
    module: str | None = None
    """Path of the file that it was looked up in."""
    is_verified: bool = True
    """Whether that file is known to be of the same build as what the text is about."""
