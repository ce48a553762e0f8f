"""What differs between the processors whose cores evdiag reads."""

import msgspec


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """One processor architecture: how the kernel and DWARF order its registers.

    Sources: `struct user_regs_struct` and `elf_gregset_t` of Linux for the kernel's order; the
    System V ABI supplements (x86-64 figure 3.36, i386 table 2.14, aadwarf64, aadwarf32) for the
    DWARF numbers.
    """

    name: str
    elf_machine: int
    """`e_machine` of the ELF header."""
    bits: int
    registers: tuple[str, ...]
    """Names in the order of the kernel's register block."""
    dwarf: tuple[int, ...]
    """For each DWARF register number its index in `registers`; -1 where the core has none."""
    dwarf_count: int
    """How many DWARF numbers call frame information may name."""
    pc: int
    """Index of the program counter in `registers`."""
    sp: int
    """DWARF number of the stack pointer."""
    fp: int
    """DWARF number of the frame pointer."""
    lr: int | None
    """DWARF number of the link register, where calls use one."""
    prstatus_registers: int
    """Offset of the register block in NT_PRSTATUS."""
    unwinds: bool
    """Whether call frame information of this architecture is evaluated."""

    @property
    def word(self) -> int:
        """Bytes in a pointer."""
        return self.bits // 8

    @property
    def mask(self) -> int:
        """The largest address."""
        return (1 << self.bits) - 1

    @property
    def address_top(self) -> int | None:
        """First non-canonical address, where the architecture has such (48-bit x86-64)."""
        return 1 << 47 if self.name == "x86-64" else None


X86_64 = Machine(
    name="x86-64",
    elf_machine=62,
    bits=64,
    registers=(
        *("r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx"),
        *("rdx", "rsi", "rdi", "orig_rax", "rip", "cs", "eflags", "rsp", "ss", "fs_base"),
        *("gs_base", "ds", "es", "fs", "gs"),
    ),
    dwarf=(10, 12, 11, 5, 13, 14, 4, 19, 9, 8, 7, 6, 3, 2, 1, 0, 16),
    dwarf_count=17,
    pc=16,
    sp=7,
    fp=6,
    lr=None,
    prstatus_registers=112,
    unwinds=True,
)

AARCH64 = Machine(
    name="aarch64",
    elf_machine=183,
    bits=64,
    registers=(*(f"x{i}" for i in range(31)), "sp", "pc", "pstate"),
    dwarf=tuple(range(32)),
    dwarf_count=97,
    pc=32,
    sp=31,
    fp=29,
    lr=30,
    prstatus_registers=112,
    unwinds=True,
)

I386 = Machine(
    name="i386",
    elf_machine=3,
    bits=32,
    registers=(
        *("ebx", "ecx", "edx", "esi", "edi", "ebp", "eax", "ds", "es", "fs", "gs", "orig_eax"),
        *("eip", "cs", "eflags", "esp", "ss"),
    ),
    dwarf=(6, 1, 2, 0, 15, 5, 3, 4, 12),
    dwarf_count=9,
    pc=12,
    sp=4,
    fp=5,
    lr=None,
    prstatus_registers=72,
    unwinds=True,
)

ARM = Machine(
    name="arm",
    elf_machine=40,
    bits=32,
    registers=(*(f"r{i}" for i in range(13)), "sp", "lr", "pc", "cpsr", "orig_r0"),
    dwarf=tuple(range(16)),
    dwarf_count=16,
    pc=15,
    sp=13,
    fp=11,
    lr=14,
    prstatus_registers=72,
    unwinds=False,
)

MACHINES: dict[int, Machine] = {m.elf_machine: m for m in (X86_64, AARCH64, I386, ARM)}
"""The architectures whose cores are read, by `e_machine`."""

OTHER_MACHINES: dict[int, str] = {
    2: "sparc", 4: "m68k", 8: "mips", 15: "hppa", 20: "ppc", 21: "ppc64", 22: "s390",
    42: "sh", 43: "sparcv9", 50: "ia64", 93: "arc", 94: "xtensa", 243: "riscv",
    247: "bpf", 258: "loongarch", 0x9026: "alpha",
}  # fmt: skip
"""Names for the error message of architectures that are not read (elf.h)."""
