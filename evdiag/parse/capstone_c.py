"""The part of capstone's C library that is used, by ctypes.

capstone's own Python module describes twenty processors and costs 20 ms to import, more than
everything else that an analysis does. Layouts: capstone.h and x86.h of capstone 5; another major
version, or a library in another place, goes through the Python module.
"""

import ctypes
from collections.abc import Iterator, Sequence
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING

from evdiag.parse.instruction_x86 import Decoded, DecodedMemory, DecodedOperand

LIBRARIES = ("libcapstone.so", "libcapstone.so.5", "libcapstone.dylib")
MAJOR = 5
X86 = 3
DETAIL, ON = 2, 3
"""CS_OPT_DETAIL, CS_OPT_ON."""


class Memory(ctypes.Structure):
    """x86_op_mem."""

    _fields_ = (
        ("segment", ctypes.c_uint),
        ("base", ctypes.c_uint),
        ("index", ctypes.c_uint),
        ("scale", ctypes.c_int),
        ("disp", ctypes.c_int64),
    )
    segment: int
    base: int
    index: int
    scale: int
    disp: int


class _Value(ctypes.Union):
    _fields_ = (("reg", ctypes.c_uint), ("imm", ctypes.c_int64), ("mem", Memory))


class Operand(ctypes.Structure):
    """cs_x86_op."""

    _anonymous_ = ("value",)
    _fields_ = (
        ("type", ctypes.c_uint),
        ("value", _Value),
        ("size", ctypes.c_uint8),
        ("access", ctypes.c_uint8),
        ("avx_bcast", ctypes.c_uint),
        ("avx_zero_opmask", ctypes.c_bool),
    )
    type: int
    size: int
    reg: int
    mem: DecodedMemory


class _X86(ctypes.Structure):
    """cs_x86, up to the operands."""

    _fields_ = (
        ("prefix_opcode_rex", ctypes.c_uint8 * 12),
        ("disp", ctypes.c_int64),
        ("sib_index", ctypes.c_uint),
        ("sib_scale", ctypes.c_int8),
        ("sib_base", ctypes.c_uint),
        ("conditions", ctypes.c_uint * 3),
        ("avx_sae", ctypes.c_bool),
        ("avx_rm", ctypes.c_uint),
        ("flags", ctypes.c_uint64),
        ("op_count", ctypes.c_uint8),
        ("operands", Operand * 8),
    )


class _Detail(ctypes.Structure):
    _fields_ = (
        ("regs_read", ctypes.c_uint16 * 20),
        ("regs_read_count", ctypes.c_uint8),
        ("regs_write", ctypes.c_uint16 * 20),
        ("regs_write_count", ctypes.c_uint8),
        ("groups", ctypes.c_uint8 * 8),
        ("groups_count", ctypes.c_uint8),
        ("writeback", ctypes.c_bool),
        ("x86", _X86),
    )


class _Row(ctypes.Structure):
    """cs_insn."""

    _fields_ = (
        ("id", ctypes.c_uint),
        ("address", ctypes.c_uint64),
        ("size", ctypes.c_uint16),
        ("bytes", ctypes.c_uint8 * 24),
        ("mnemonic", ctypes.c_char * 32),
        ("op_str", ctypes.c_char * 160),
        ("detail", ctypes.POINTER(_Detail)),
    )


if TYPE_CHECKING:
    Rows = ctypes._Pointer[_Row]


class Instruction:
    """One decoded instruction, copied out of the library's memory."""

    def __init__(self, engine: "Engine", row: _Row) -> None:
        self._engine = engine
        self.address: int = row.address
        self.size: int = row.size
        self.mnemonic: str = row.mnemonic.decode("ascii", "replace")
        self.op_str: str = row.op_str.decode("ascii", "replace")
        self.operands: Sequence[DecodedOperand] = ()
        if engine.detail and row.detail:
            x86 = row.detail.contents.x86
            copies = (Operand.from_buffer_copy(x86.operands[i]) for i in range(x86.op_count))
            self.operands = tuple(copies)

    def reg_name(self, number: int) -> str | None:
        """Name of a register; None for 0."""
        return self._engine.register(number)


class Engine:
    """A disassembler for one processor and mode, as the nouns of capstone.h number them."""

    def __init__(self, library: ctypes.CDLL, kind: int, mode: int) -> None:
        self._library = library
        self._handle = ctypes.c_size_t(0)
        self.detail = kind == X86
        if library.cs_open(kind, mode, ctypes.byref(self._handle)):
            raise OSError(f"capstone was built without processor {kind}")
        if self.detail:
            library.cs_option(self._handle, DETAIL, ctypes.c_size_t(ON))

    def disasm(self, code: bytes, offset: int, count: int) -> Iterator[Decoded]:
        """Cut bytes into instructions, up to the first that is none."""
        rows, found = self._decode(code, offset, count)
        made = [Instruction(self, rows[i]) for i in range(found)]
        self._free(rows, found)
        return iter(made)

    def last(self, code: bytes, offset: int, count: int) -> Sequence[tuple[int, str, str]]:
        """The last ones, without operands: (address, mnemonic, operands as text)."""
        rows, found = self._decode(code, offset, 0)
        wanted = [rows[i] for i in range(max(0, found - count), found)]
        made = [(row.address, row.mnemonic.decode(), row.op_str.decode()) for row in wanted]
        self._free(rows, found)
        return made

    def _decode(self, code: bytes, offset: int, count: int) -> "tuple[Rows, int]":
        rows = ctypes.POINTER(_Row)()
        found: int = self._library.cs_disasm(
            self._handle, code, len(code), offset, count, ctypes.byref(rows)
        )
        return rows, found

    def _free(self, rows: "Rows", found: int) -> None:
        if found:
            self._library.cs_free(rows, found)

    def register(self, number: int) -> str | None:
        """Name of a register; None for 0."""
        name: bytes | None = self._library.cs_reg_name(self._handle, number) if number else None
        return name.decode("ascii") if name else None


def load(names: tuple[str, ...] = LIBRARIES) -> ctypes.CDLL | None:
    """The library inside the installed package, if it is of the version that is known here."""
    spec = PathFinder.find_spec("capstone")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for name in names:
            path = Path(folder) / "lib" / name
            if path.is_file():
                return _prepared(ctypes.CDLL(str(path)))
    return None


def _prepared(library: ctypes.CDLL) -> ctypes.CDLL | None:
    major, minor = ctypes.c_int(0), ctypes.c_int(0)
    library.cs_version(ctypes.byref(major), ctypes.byref(minor))
    if major.value != MAJOR:
        return None
    library.cs_disasm.restype = ctypes.c_size_t
    library.cs_disasm.argtypes = (
        ctypes.c_size_t,
        ctypes.c_char_p,
        ctypes.c_size_t,
        ctypes.c_uint64,
        ctypes.c_size_t,
        ctypes.POINTER(ctypes.POINTER(_Row)),
    )
    library.cs_free.restype = None
    library.cs_free.argtypes = (ctypes.POINTER(_Row), ctypes.c_size_t)
    library.cs_reg_name.restype = ctypes.c_char_p
    library.cs_reg_name.argtypes = (ctypes.c_size_t, ctypes.c_uint)
    return library
