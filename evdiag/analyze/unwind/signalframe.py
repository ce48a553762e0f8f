"""The frame that the kernel puts on the stack when it calls a signal handler.

Sources: `struct rt_sigframe` in arch/x86/include/asm/sigframe.h and arch/arm64/kernel/signal.c,
`struct sigcontext` in uapi/asm/sigcontext.h of both.
"""

import struct

import msgspec


class SignalFrame(msgspec.Struct, frozen=True, kw_only=True):
    """How one architecture saves the registers of the interrupted function."""

    code: bytes
    """The trampoline: it asks the kernel to restore the registers (rt_sigreturn)."""
    saved_at: int
    """Offset of the saved registers from the stack pointer within the trampoline."""
    order: tuple[int, ...]
    """DWARF numbers of the saved registers; the program counter follows behind them."""


SIGNAL_FRAMES: dict[str, SignalFrame] = {
    "x86-64": SignalFrame(
        code=bytes.fromhex("48c7c00f0000000f05"),  # mov $15,%rax; syscall
        saved_at=8 + 8 + 24,  # uc_flags, uc_link, uc_stack
        order=(8, 9, 10, 11, 12, 13, 14, 15, 5, 4, 6, 3, 1, 0, 2, 7),
    ),
    "aarch64": SignalFrame(
        code=struct.pack("<II", 0xD2801168, 0xD4000001),  # mov x8, #139; svc #0
        saved_at=128 + 176 + 8,  # siginfo, ucontext up to uc_mcontext, fault_address
        order=tuple(range(32)),
    ),
}
