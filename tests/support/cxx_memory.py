"""The memory of a C++ process made by hand: types, virtual tables, thrown objects, a thread's list.

    made = CxxMemory()
    error = made.single("St13runtime_error", made.plain("St9exception"))
    at = made.throw(error, made.words(made.table(error), made.cow("no route")))
    space = made.space()

Layouts are written down here a second time, from the Itanium C++ ABI and gcc's unwind-cxx.h.
"""

import struct
from collections.abc import Sequence

from evdiag.analyze.space import AddressSpace
from evdiag.model.machine import AARCH64, X86_64, Machine
from evdiag.model.signals import SI_TKILL, SIGABRT
from tests.support import elfwriter as w
from tests.support.elfwriter.symbols import library

LIBSTDCXX = "/usr/lib/libstdc++.so.6.0.33"
LIBRARY, HEAP, STACK, TCB = 0x7F00_0000_0000, 0x5500_0000_0000, 0x7FFD_0000_0000, 0x7F80_0000_0000
CODE_AT = LIBRARY + w.CODE
"""Code of the library: any address in it can be executed."""
CONSTANTS = LIBRARY + 0x10_0000
HANDLER = CODE_AT + 0x100
PRIMARY, DEPENDENT = 0x474E5543432B2B00, 0x474E5543432B2B01
PID = 4711
NT_ARM_TLS = 0x401
ABI = "N10__cxxabiv1"
KINDS = {
    "class": f"{ABI}17__class_type_infoE",
    "single": f"{ABI}20__si_class_type_infoE",
    "multiple": f"{ABI}21__vmi_class_type_infoE",
    "pointer": f"{ABI}19__pointer_type_infoE",
    "fundamental": f"{ABI}23__fundamental_type_infoE",
    "enum": f"{ABI}16__enum_type_infoE",
}
GET_GLOBALS = bytes.fromhex(
    "f30f1efa4883ec08 666666 64488b042500000000 4883c408 480540000000 c3".replace(" ", "")
)
"""__cxa_get_globals of a static program (g++ 12 -O2): the list is at 0x40 from the pointer."""


class CxxMemory:
    """A process whose constants, heap, stack and thread block grow as they are filled."""

    def __init__(self, machine: Machine = X86_64) -> None:
        self.machine = machine
        self.constants, self.heap = bytearray(0x40), bytearray(0x40)
        self.stack, self.tcb = bytearray(0x400), bytearray(0x200)
        self.more_notes = b""
        if machine is AARCH64:
            self.more_notes = w.note(NT_ARM_TLS, b"LINUX", self.words(TCB))
        self.meta: dict[str, int] = {}
        for kind, name in KINDS.items():
            info = self.constant(self.words(0, self.string(name)))
            self.meta[kind] = self.constant(self.words(0, info, CODE_AT)) + 16

    # -- bytes

    @staticmethod
    def words(*values: int) -> bytes:
        return struct.pack(f"<{len(values)}Q", *(value % 2**64 for value in values))

    def constant(self, data: bytes) -> int:
        at = CONSTANTS + len(self.constants)
        self.constants += data + bytes(-len(data) % 16)
        return at

    def string(self, text: str | bytes) -> int:
        raw = text.encode() if isinstance(text, str) else text
        return self.constant(raw + b"\0")

    def allocate(self, data: bytes) -> int:
        """A block of malloc: its size, with the bit of a block in use before it, in front."""
        size = -(-(len(data) + 16) // 16) * 16
        self.heap += self.words(0, size | 1)
        at = HEAP + len(self.heap)
        self.heap += data + bytes(size - 16 - len(data))
        return at

    def cow(self, text: bytes | str) -> int:
        """A reference-counted string as std::runtime_error keeps it."""
        raw = text.encode() if isinstance(text, str) else text
        return self.allocate(struct.pack("<QQii", len(raw), len(raw), 0, 0) + raw + b"\0") + 24

    def std_string(self, text: str, at: int = 0) -> bytes:
        """The 32 bytes of a std::string; a short one has to know its own address."""
        raw = text.encode()
        if at:
            return struct.pack("<QQ16s", at + 16, len(raw), raw)
        return struct.pack("<QQQQ", self.allocate(raw + b"\0"), len(raw), max(len(raw), 16), 0)

    # -- types

    def info(self, kind: str, name: str | bytes, *more: int) -> int:
        return self.constant(self.words(self.meta[kind], self.string(name), *more))

    def plain(self, name: str) -> int:
        return self.info("class", name)

    def single(self, name: str, base: int) -> int:
        return self.info("single", name, base)

    def multiple(self, name: str, bases: Sequence[tuple[int, int]]) -> int:
        """A class of several bases: (type, offset << 8 | flags)."""
        rows = [value for base in bases for value in base]
        return self.info("multiple", name, len(bases) << 32, *rows)

    def table(
        self, info: int, *, top: int = 0, before: Sequence[int] = (), what: int = HANDLER
    ) -> int:
        """The address in a virtual table that objects point to; `before` are offsets of bases."""
        words = self.words(*before, top, info, CODE_AT, CODE_AT, what)
        return self.constant(words) + 8 * (len(before) + 2)

    # -- exceptions

    def throw(
        self,
        info: int,
        thing: bytes,
        *,
        handlers: int = 1,
        references: int = 1,
        following: int = 0,
        landing: int = 0,
        destructor: int = 0,
        handler: int = HANDLER,
        mark: int = PRIMARY,
    ) -> int:
        """A thrown object; returns the address of its exception class. The object is 32 behind."""
        head = self.words(
            references, 0, info, destructor, HANDLER, handler, following,
            handlers % 2**32 | 1 << 32, 0, 0, landing, 0,
        )  # fmt: skip
        unwind = self.words(mark, CODE_AT, 0, 0)
        return self.allocate(head + unwind + thing) + 96

    def rethrow(self, at: int, *, following: int = 0) -> int:
        """What std::rethrow_exception throws for an exception."""
        head = self.words(
            at + 32, 0, HANDLER, HANDLER, following, 1 << 32 | 1, 0, 0, 0, 0,
        )  # fmt: skip
        return self.allocate(head + self.words(DEPENDENT, CODE_AT, 0, 0)) + 80

    def handled(self, at: int, *, in_flight: int = 0, offset: int = 0x40) -> None:
        """Puts an exception into the thread's list, `offset` bytes from the thread pointer."""
        self.tcb[offset : offset + 16] = self.words(at - 80 if at else 0, in_flight)

    # -- the process

    def space(
        self,
        *,
        code: bytes = GET_GLOBALS,
        with_library: bool = True,
        siginfo: w.SigInfo | None = None,
        threads: Sequence[w.Thread] = (),
        pieces: Sequence[w.Piece] = (),
        files: bool = True,
        more_files: Sequence[w.MappedRow] = (),
    ) -> AddressSpace:
        """The process, ended by its own SIGABRT; `code` is that of __cxa_get_globals."""
        file = library([("__cxa_get_globals", w.CODE, 2, 1)], machine=self.machine)
        rows = [
            *w.mapped(LIBSTDCXX, file, LIBRARY),
            w.MappedRow(CONSTANTS, CONSTANTS + 0x10_0000, 0x20000, LIBSTDCXX),
            *more_files,
        ]
        memory = [
            w.Piece(start=LIBRARY, data=file[:0x1000], flags=w.READ, size=w.CODE),
            w.Piece(start=CODE_AT, data=code.ljust(0x1000, b"\x90"), flags=w.READ | w.EXECUTE),
            w.Piece(start=CONSTANTS, data=bytes(self.constants), flags=w.READ),
            w.Piece(start=HEAP, data=bytes(self.heap)),
            w.Piece(start=TCB, data=bytes(self.tcb)),
            w.Piece(start=STACK, data=bytes(self.stack)),
            *pieces,
        ]
        dump = w.core(
            machine=self.machine,
            threads=threads or [self.thread()],
            files=sorted(rows) if files else None,
            memory=sorted(memory, key=lambda piece: piece.start),
            siginfo=siginfo or w.sent(SIGABRT, pid=PID, uid=0, code=SI_TKILL),
            process=w.Process(pid=PID),
            more_notes=self.more_notes,
        )
        return w.address_space(dump, {LIBSTDCXX: file} if with_library else {})

    def thread(self, lwp: int = PID, *, pointer: int = TCB, stack: int = STACK) -> w.Thread:
        """A thread with a thread pointer (x86-64)."""
        if self.machine is not X86_64:
            return w.Thread(lwp=lwp, signal=SIGABRT, registers={"sp": stack})
        registers = {"rsp": stack, "fs_base": pointer}
        return w.Thread(lwp=lwp, signal=SIGABRT, registers=registers)
