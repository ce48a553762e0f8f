"""What a core file says without any symbols."""

import msgspec

from evdiag.model.machine import Machine

READ, WRITE, EXECUTE = 4, 2, 1


class Region(msgspec.Struct, frozen=True, kw_only=True):
    """One mapped range of the crashed process (a PT_LOAD of the core)."""

    start: int
    end: int
    flags: int
    """READ, WRITE and EXECUTE, added up; 0 is a guard page."""
    offset: int
    """Where its bytes begin in the core file."""
    wanted: int
    """Bytes that the core promises from `start` on."""
    present: int
    """Bytes that are really there; fewer than `wanted` in a truncated core."""


class MappedFile(msgspec.Struct, frozen=True, kw_only=True):
    """One row of NT_FILE: a range of memory that a file backs."""

    start: int
    end: int
    offset: int
    path: str


class ThreadState(msgspec.Struct, frozen=True, kw_only=True):
    """One thread as the kernel left it (NT_PRSTATUS)."""

    lwp: int
    signal: int
    registers: tuple[int, ...]
    """In the order of `Machine.registers`."""
    floating_point: bool = False
    """Whether NT_FPREGSET follows: gdb 13 warns about cores without it."""
    tls: int | None = None
    """aarch64: the thread pointer (NT_ARM_TLS). x86-64 has it among its registers."""


class SignalFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the kernel says about the signal that ended the process (NT_SIGINFO)."""

    number: int
    code: int | None = None
    address: int | None = None
    """si_addr: only for faults."""
    sender_pid: int | None = None
    """Only for signals sent by a process."""
    sender_uid: int | None = None
    syscall: int | None = None
    """Only for SIGSYS."""


class CoreFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the headers and notes of a core say; the first thread is the crashed one."""

    machine: Machine
    threads: tuple[ThreadState, ...]
    signal: SignalFacts | None = None
    pid: int | None = None
    uid: int | None = None
    name: str = ""
    """pr_fname: the name the process gave itself, cut to 15 bytes by the kernel."""
    arguments: str = ""
    """pr_psargs: the command line, cut to 80 bytes by the kernel."""
    auxv: dict[int, int] = {}
    auxv_bytes: bytes = b""
    files: tuple[MappedFile, ...] = ()
    regions: tuple[Region, ...] = ()
    pac_mask: int = 0
    """Bits of a code address that hold an aarch64 pointer signature."""
    size: int = 0
    """Size of the core file in bytes."""
    damage: tuple[str, ...] = ()
    """What could not be read, in words."""

    @property
    def missing(self) -> int:
        """Bytes that the headers promise and the file does not have."""
        return sum(r.wanted - r.present for r in self.regions)


class StartupFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the stack of the first thread still says of the start of the program."""

    argv: tuple[str, ...] = ()
    environment: dict[str, str] = {}
    complete: bool = False
    """False: `argv` was split from the 80 bytes that the kernel keeps."""


class ModuleIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """The EVerest module that a process is."""

    id: str
    type: str | None = None


class Place(msgspec.Struct, frozen=True):
    """What is at an address of a program: one function, inlined or real."""

    function: str | None
    file: str | None
    line: int | None
