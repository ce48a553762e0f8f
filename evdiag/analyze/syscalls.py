"""Whether a thread sleeps in the kernel, in which system call, and with which arguments."""

import msgspec

from evdiag.model.core import ThreadState
from evdiag.model.machine import AARCH64, X86_64, Machine
from evdiag.model.syscalls import NAMES, RESTART
from evdiag.parse.memory import Memory

_EINTR = 4
_RESTARTS = frozenset((1 << 64) - n for n in (_EINTR, 512, 513, 514, 516))
"""What a call that a signal has ended leaves as its result: -EINTR, or one of the kernel's own
-ERESTART* (include/linux/errno.h), which programs never see, but cores do: all threads are ended
by a signal."""

_X86_CALL, _ARM_CALL = b"\x0f\x05", b"\x01\x00\x00\xd4"
"""`syscall` and `svc #0`."""
_X86_LOAD = 0xB8
"""`mov eax, imm32`, which stands before many a `syscall`."""
_ARM_LOAD, _ARM_LOAD_MASK = 0xD2800008, 0xFFE0001F
"""`mov x8, #imm16`, which stands before many an `svc`."""


class Abi(msgspec.Struct, frozen=True, kw_only=True):
    """Where the kernel leaves number, result and arguments of a call: indices of registers."""

    number: int
    result: int
    arguments: tuple[int, ...]


def _abi(machine: Machine, number: str, result: str, *arguments: str) -> Abi:
    at = machine.registers.index
    return Abi(number=at(number), result=at(result), arguments=tuple(map(at, arguments)))


_ABIS = {
    X86_64.name: _abi(X86_64, "orig_rax", "rax", "rdi", "rsi", "rdx", "r10"),
    AARCH64.name: _abi(AARCH64, "x8", "x0", "x0", "x1", "x2", "x3"),
}
"""syscall(2); the machines whose threads can be asked."""


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A system call that a thread sleeps in."""

    number: int
    name: str | None
    arguments: tuple[int | None, ...]
    """The first four; None for one whose register holds the result already."""


def known(machine: Machine) -> bool:
    """Whether cores of this machine tell which threads sleep."""
    return machine.name in _ABIS


def sleeps_in(machine: Machine, memory: Memory, state: ThreadState) -> Call | None:
    """The call that a thread sleeps in; None where it runs, or where that is not certain."""
    if machine.name == X86_64.name:
        return _x86_call(memory, state)
    return _arm_call(memory, state)


def _x86_call(memory: Memory, state: ThreadState) -> Call | None:
    abi, registers = _ABIS[X86_64.name], state.registers
    number, pc = registers[abi.number], registers[X86_64.pc]
    if number >> 31 or registers[abi.result] not in _RESTARTS:
        return None  # -1: interrupted, not in a call; a real result: the call is over
    code = memory.read(pc - 7, 7) if pc >= 7 else b""
    if len(code) == 7 and not code.endswith(_X86_CALL):
        return None
    name = NAMES[X86_64.name].get(number)
    if name == RESTART and len(code) == 7 and code[0] == _X86_LOAD:
        number = int.from_bytes(code[1:5], "little")
        name = NAMES[X86_64.name].get(number)
    arguments = tuple(registers[i] for i in abi.arguments)
    return Call(number=number, name=name, arguments=arguments)


def _arm_call(memory: Memory, state: ThreadState) -> Call | None:
    """A call as it is on Arm, where the kernel prepares it to be made again before it dumps.

    The program counter then stands on the `svc`, with the first argument back in x0, unless the
    call has a result: -EINTR, from those that are never made again (do_signal in
    arch/arm64/kernel/signal.c).
    """
    abi, registers = _ABIS[AARCH64.name], state.registers
    pc, number = registers[AARCH64.pc], registers[abi.number]
    code = memory.read(pc - 4, 8) if pc >= 4 else b""
    arguments: list[int | None] = [registers[i] for i in abi.arguments]
    if code[:4] == _ARM_CALL and registers[abi.result] in _RESTARTS:
        arguments[0] = None
    elif code[4:8] != _ARM_CALL:
        return None
    name = NAMES[AARCH64.name].get(number)
    before = int.from_bytes(code[:4], "little")
    if name == RESTART and before & _ARM_LOAD_MASK == _ARM_LOAD:
        number = before >> 5 & 0xFFFF
        name = NAMES[AARCH64.name].get(number)
    return Call(number=number, name=name, arguments=tuple(arguments))
