"""The notes of a Linux core: threads, signal, process, auxiliary vector, mapped files.

Layouts: `struct elf_prstatus`, `elf_prpsinfo` and `siginfo` of Linux (include/linux/elfcore.h,
elfcore-compat.h, uapi/asm-generic/siginfo.h), NT_FILE as written by fill_files_note() in
fs/binfmt_elf.c.
"""

import struct
from collections.abc import Callable

import msgspec

from evdiag.model.core import MappedFile, SignalFacts, ThreadState
from evdiag.model.machine import Machine
from evdiag.model.signals import FAULTS, SIGSYS
from evdiag.parse.elf import DAMAGED

NT_PRSTATUS, NT_FPREGSET, NT_PRPSINFO, NT_AUXV = 1, 2, 3, 6
NT_ARM_TLS, NT_ARM_PAC_MASK, NT_FILE, NT_SIGINFO = 0x401, 0x406, 0x46494C45, 0x53494749

MAX_THREADS = 100_000
MAX_FILES = 200_000
MAX_PATH = 4096


class NoteReader:
    """Collects what the notes say; a damaged note becomes a line in `damage`."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.threads: list[ThreadState] = []
        self.signal: SignalFacts | None = None
        self.pid: int | None = None
        self.uid: int | None = None
        self.name = ""
        self.arguments = ""
        self.auxv: dict[int, int] = {}
        self.auxv_bytes = b""
        self.files: list[MappedFile] = []
        self.pac_mask = 0
        self.damage: list[str] = []
        self.owners: set[str] = set()
        word = "Q" if machine.bits == 64 else "I"
        self._registers = struct.Struct(f"<{len(machine.registers)}{word}")
        self._pair = struct.Struct(f"<2{word}")
        self._triple = struct.Struct(f"<3{word}")
        self._readers: dict[tuple[int, bytes], tuple[str, Callable[[bytes], None]]] = {
            (NT_PRSTATUS, b"CORE"): ("NT_PRSTATUS", self._prstatus),
            (NT_FPREGSET, b"CORE"): ("NT_FPREGSET", self._fpregset),
            (NT_PRPSINFO, b"CORE"): ("NT_PRPSINFO", self._prpsinfo),
            (NT_AUXV, b"CORE"): ("NT_AUXV", self._auxv),
            (NT_FILE, b"CORE"): ("NT_FILE", self._file),
            (NT_SIGINFO, b"CORE"): ("NT_SIGINFO", self._siginfo),
            (NT_ARM_TLS, b"LINUX"): ("NT_ARM_TLS", self._tls),
            (NT_ARM_PAC_MASK, b"LINUX"): ("NT_ARM_PAC_MASK", self._pac),
        }

    def read(self, kind: int, owner: bytes, contents: bytes) -> None:
        """Take one note in. Never raises."""
        self.owners.add(owner.decode("ascii", "replace"))
        found = self._readers.get((kind, owner))
        if found is None:
            return
        name, reader = found
        try:
            reader(contents)
        except DAMAGED:
            line = f"note {name} is damaged"
            if line not in self.damage:
                self.damage.append(line)

    def _prstatus(self, d: bytes) -> None:
        if len(self.threads) >= MAX_THREADS:
            raise ValueError("too many threads")
        registers = self._registers.unpack_from(d, self.machine.prstatus_registers)
        (signal,) = struct.unpack_from("<h", d, 12)
        (lwp,) = struct.unpack_from("<i", d, 32 if self.machine.bits == 64 else 24)
        self.threads.append(ThreadState(lwp=lwp, signal=signal, registers=registers))

    def _fpregset(self, d: bytes) -> None:
        if d and self.threads:
            self.threads[-1] = msgspec.structs.replace(self.threads[-1], floating_point=True)

    def _prpsinfo(self, d: bytes) -> None:
        if self.machine.bits == 64:
            uid, _, pid = struct.unpack_from("<IIi", d, 16)
            at = 40
        else:
            uid, _, pid = struct.unpack_from("<HHi", d, 8)
            at = 28
        self.uid, self.pid = uid, pid
        self.name = text(d[at : at + 16])
        self.arguments = text(d[at + 16 : at + 96])

    def _auxv(self, d: bytes) -> None:
        size = self._pair.size
        whole = len(d) // size * size
        self.auxv = dict(self._pair.iter_unpack(d[:whole]))
        self.auxv_bytes = d[:whole]

    def _file(self, d: bytes) -> None:
        count, page = self._pair.unpack_from(d, 0)
        head, row = self._pair.size, self._triple.size
        if len(self.files) + count > MAX_FILES or head + count * row > len(d):
            raise ValueError("NT_FILE has fewer rows than it says")
        names = d[head + count * row :].split(b"\0")
        rows = self._triple.iter_unpack(d[head : head + count * row])
        for (start, end, offset), name in zip(rows, names, strict=False):
            path = name[:MAX_PATH].decode("utf-8", "replace")
            self.files.append(MappedFile(start=start, end=end, offset=offset * page, path=path))
        self.files.sort(key=lambda f: f.start)

    def _tls(self, d: bytes) -> None:
        if self.threads and self.machine.name == "aarch64":
            (pointer,) = struct.unpack_from("<Q", d, 0)
            self.threads[-1] = msgspec.structs.replace(self.threads[-1], tls=pointer)

    def _pac(self, d: bytes) -> None:
        self.pac_mask = struct.unpack_from("<Q", d, 8)[0]

    def _siginfo(self, d: bytes) -> None:
        wide = self.machine.bits == 64
        number, _, code = struct.unpack_from("<3i", d, 0)
        at = 16 if wide else 12
        address = pid = uid = call = None
        if code <= 0:
            pid, uid = struct.unpack_from("<iI", d, at)
        elif number == SIGSYS:
            address, call = struct.unpack_from("<Qi" if wide else "<Ii", d, at)
        elif number in FAULTS:
            (address,) = struct.unpack_from("<Q" if wide else "<I", d, at)
        self.signal = SignalFacts(
            number=number, code=code, address=address, sender_pid=pid, sender_uid=uid, syscall=call
        )


def text(raw: bytes) -> str:
    """A C string of the core as text; bytes that are no UTF-8 become replacement characters."""
    return raw.split(b"\0", 1)[0].decode("utf-8", "replace").rstrip()
