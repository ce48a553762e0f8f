"""Walk a thread's stack: call frame information first, then what calling conventions promise."""

import msgspec

from evdiag.analyze.space import AddressSpace
from evdiag.analyze.unwind.signalframe import SIGNAL_FRAMES, SignalFrame
from evdiag.model.core import ThreadState
from evdiag.parse.dwarf.expression import Expression
from evdiag.parse.dwarf.rows import (
    EXPRESSION,
    EXPRESSION_CFA,
    REGISTER,
    SAME,
    UNDEFINED,
    VALUE_EXPRESSION,
    VALUE_OFFSET,
    Row,
    Rule,
    row_at,
)
from evdiag.parse.dwarf.tables import FrameTable
from evdiag.parse.elf import DAMAGED
from evdiag.parse.image import Image

MAX_FRAMES = 250_000
"""More than the smallest frames can put on the usual stack of 8 MiB in practice."""
MAX_TOTAL = 1_000_000
"""Frames of all threads of a core together; every thread has its first one beyond that."""

USER_BITS_AARCH64 = (1 << 48) - 1
REPEATS = "the stack repeats itself: it is overwritten"
NEAR = 512
"""Bytes around the pc within which a link register points into the running function itself."""


Registers = list[int | None]


class RawFrame(msgspec.Struct, frozen=True):
    """One physical frame, addresses only."""

    pc: int
    lookup: int
    """The address whose function this is: within the call, not behind it."""
    image: Image | None
    vaddr: int
    """`lookup` as an address of the image's file."""
    trust: str
    signal: bool
    """Whether it is the kernel's signal trampoline."""


class RawStack(msgspec.Struct, frozen=True):
    """The frames of one thread, innermost first."""

    frames: list[RawFrame]
    ended: str | None
    """Why the walk ended before the start of the thread; None if it got there."""


class Step(msgspec.Struct, frozen=True):
    """The caller's registers, as far as they are known."""

    registers: Registers
    pc: int
    """0 where the thread began."""
    cfa: int | None
    trust: str


class Unwinder:
    """Unwinds the threads of one core, with `total` frames in all of them together."""

    def __init__(self, space: AddressSpace, total: int = MAX_TOTAL) -> None:
        self.space, self.memory = space, space.memory
        self.machine = space.facts.machine
        self.signal_frame = SIGNAL_FRAMES.get(self.machine.name)
        # asked for at every frame, so kept at hand
        self._mask, self._sp, self._lr = self.machine.mask, self.machine.sp, self.machine.lr
        self._unaligned = 3 if self.machine.name == "aarch64" else 0
        """Bits that are never set in a return address."""
        self._left = total

    def unwind(self, thread: ThreadState, limit: int = MAX_FRAMES) -> RawStack:
        """The stack of a thread, up to `limit` physical frames. Never raises."""
        stack = self._walk(thread, max(1, min(limit, self._left)))
        self._left -= len(stack.frames)
        return stack

    def _walk(self, thread: ThreadState, limit: int) -> RawStack:
        machine = self.machine
        registers = self._start(thread)
        pc, exact, trust = thread.registers[machine.pc], True, "context"
        frames: list[RawFrame] = []
        previous: tuple[int | None, int | None] = (None, None)
        interrupted: set[tuple[int, int | None]] = set()
        while True:
            frame, row = self._frame(pc, exact, trust)
            frames.append(frame)
            if len(frames) >= limit:
                return RawStack(frames, f"stopped at the limit of frames: {limit}")
            step, problem = self._step(frame, row, registers, innermost=exact)
            if step is None:
                return RawStack(frames, problem)
            if step.trust == "signal_frame" and not frame.signal:
                image, vaddr = self.space.locate(pc)
                frame = frames[-1] = RawFrame(pc, pc, image, vaddr, trust, True)
            if not step.pc and not frame.signal:  # a signal may well interrupt a call of null
                return RawStack(frames, None)
            problem = self._implausible(step, frame, registers, previous)
            previous = (step.pc, step.cfa)
            if frame.signal:  # the one step that may lead down the stack, and so in circles
                problem = REPEATS if previous in interrupted else problem
                interrupted.add(previous)
            if problem:
                return RawStack(frames, problem)
            registers, pc, trust, exact = step.registers, step.pc, step.trust, frame.signal

    def _start(self, thread: ThreadState) -> Registers:
        machine = self.machine
        known: Registers = [thread.registers[i] if i >= 0 else None for i in machine.dwarf]
        return known + [None] * (machine.dwarf_count - len(known))

    # -- which function is running at a pc

    def _frame(self, pc: int, exact: bool, trust: str) -> tuple[RawFrame, Row | None]:
        """Look a pc up. A caller's pc lies behind its call, maybe in the next function already."""
        lookup = pc if exact else pc - 1
        image, vaddr = self.space.locate(lookup)
        row = self.row(image, vaddr)
        if row is not None:
            if row.signal_frame:
                # libc begins the description of its trampoline one byte early
                return RawFrame(pc, pc, image, vaddr + pc - lookup, trust, True), row
        elif not exact:
            # a trampoline is entered at its first instruction, not behind a call
            image2, vaddr2 = self.space.locate(pc)
            row2 = self.row(image2, vaddr2)
            if row2 is not None and row2.signal_frame:
                return RawFrame(pc, pc, image2, vaddr2, trust, True), row2
        return RawFrame(pc, lookup, image, vaddr, trust, False), row

    def row(self, image: Image | None, vaddr: int) -> Row | None:
        """The unwind row for an address, kept with the image for other threads and cores."""
        if image is None or not self.machine.unwinds:
            return None
        try:
            return image.rows[vaddr]
        except KeyError:
            row = image.rows[vaddr] = self._without_vectors(_find_row(image, vaddr))
            return row

    def _without_vectors(self, row: Row | None) -> Row | None:
        """Forget rules for registers that a core does not have among the integer ones."""
        count = self.machine.dwarf_count
        if row is None or all(number < count for number in row.rules):
            return row
        return msgspec.structs.replace(
            row,
            saved=tuple(pair for pair in row.saved if pair[0] < count),
            others=tuple(pair for pair in row.others if pair[0] < count),
        )

    # -- one step

    def _step(
        self, frame: RawFrame, row: Row | None, registers: Registers, *, innermost: bool
    ) -> tuple[Step | None, str | None]:
        """The caller, or None and the reason why it is not known.

        `innermost`: nothing was called yet from here, as in frame 0 and under a signal handler.
        """
        kernel = self.signal_frame
        # aarch64: CFI would give the *caller* of the interrupted function; but behind a frame
        # record nobody knows where the stack pointer was
        by_code = row is None if self._lr is None else frame.trust != "frame_pointer"
        try:
            if by_code and kernel and self.memory.read(frame.pc, len(kernel.code)) == kernel.code:
                return self._leave_signal_frame(kernel, registers), None
            if row is not None:
                return self._follow(row, registers, innermost=innermost), None
        except DAMAGED:
            return None, "the unwind information or the stack memory is damaged or missing"
        return self._guess(frame.pc, registers, innermost=innermost)

    def _leave_signal_frame(self, kernel: SignalFrame, registers: Registers) -> Step:
        """The interrupted function. Raises one of DAMAGED."""
        sp = registers[self.machine.sp]
        if sp is None:
            raise ValueError("the stack pointer is not known")
        caller = list(registers)
        at = sp + kernel.saved_at
        for i, number in enumerate(kernel.order):
            caller[number] = self.memory.word(at + 8 * i)
        pc = self.memory.word(at + 8 * len(kernel.order))
        if pc is None:
            raise ValueError("the saved registers are not in the core")
        return Step(caller, pc, caller[self.machine.sp], "signal_frame")

    def _follow(self, row: Row, registers: Registers, *, innermost: bool) -> Step:
        """Apply a row of the unwind table. Raises one of DAMAGED."""
        word, mask = self.memory.word, self._mask
        # after a call the link register says where this very function goes on; the pc always does
        spent = self._lr is None or not innermost
        if spent and row.returns == SAME:
            raise ValueError("the return address was not saved")
        register, offset, end = row.cfa
        if register == EXPRESSION_CFA:
            cfa = self._evaluate(row, registers, offset, end)
        else:
            cfa = (_known(registers[register]) + offset) & mask
        caller = registers.copy()
        caller[self._sp] = cfa
        for number, distance in row.saved:
            caller[number] = word((cfa + distance) & mask)
        for number, rule in row.others:
            caller[number] = self._value(rule[0], rule, row, registers, cfa)
        pc = caller[row.return_register]
        if pc is None:
            if row.returns == UNDEFINED:
                return Step(caller, 0, cfa, "cfi")  # how CFI marks the outermost function
            raise ValueError("the return address is not in the core")
        if self._lr is not None:
            pc = self._without_signature(pc)
        return Step(caller, pc, cfa, "cfi")

    def _evaluate(
        self, row: Row, registers: Registers, at: int, end: int, initial: int | None = None
    ) -> int:
        memory, table = self.memory, row.table
        table.check_steps()
        expression = Expression(table.data, self.machine.bits, registers, memory.word, memory.read)
        try:
            return expression.evaluate(at, end, initial)
        finally:
            table.steps += expression.steps

    def _value(self, kind: int, rule: Rule, row: Row, registers: Registers, cfa: int) -> int | None:
        if kind == UNDEFINED:
            return None
        if kind == VALUE_OFFSET:
            return (cfa + rule[1]) & self.machine.mask
        if kind == REGISTER:
            return registers[rule[1]]
        value = self._evaluate(row, registers, rule[1], rule[2], cfa)
        if kind == VALUE_EXPRESSION:
            return value
        assert kind == EXPRESSION
        return self.memory.word(value)

    def _without_signature(self, pc: int) -> int:
        """Strip an aarch64 pointer signature from a return address."""
        pc &= ~self.space.facts.pac_mask
        if pc > USER_BITS_AARCH64 and self.memory.executable(pc & USER_BITS_AARCH64):
            pc &= USER_BITS_AARCH64  # no NT_ARM_PAC_MASK: signatures sit above the 48 bits
        return pc

    # -- without unwind information

    def _guess(
        self, pc: int, registers: Registers, *, innermost: bool
    ) -> tuple[Step | None, str | None]:
        """What calling conventions say: a jump to nowhere, a leaf, a chain of frame pointers."""
        sp = registers[self.machine.sp]
        if sp is None:
            return None, "the stack pointer is not known"
        if innermost:
            found = self._from_bad_pc(pc, sp, registers) or self._from_leaf(pc, sp, registers)
            if found:
                return found, None
        found = self._from_frame_pointer(sp, registers)
        if found:
            return found, None
        if not self.memory.executable(pc):
            return None, "the program counter is not in code" if innermost else (
                "the return address is not in code: the stack is overwritten"
            )
        return None, "no unwind information, and no chain of frame pointers"

    def _from_bad_pc(self, pc: int, sp: int, registers: Registers) -> Step | None:
        """A call to nowhere: the return address is where the call put it."""
        machine = self.machine
        if self.memory.executable(pc):
            return None
        if machine.lr is not None:
            back = self._without_signature(registers[machine.lr] or 0)
            return self._plausible_return(registers, back, sp, "link_register")
        back = self.memory.word(sp) or 0
        return self._plausible_return(registers, back, sp + machine.word, "call")

    def _from_leaf(self, pc: int, sp: int, registers: Registers) -> Step | None:
        """A leaf function of ARM keeps its return address in the link register only."""
        machine = self.machine
        if machine.lr is None:
            return None
        fp, back = registers[machine.fp], self._without_signature(registers[machine.lr] or 0)
        saved = self.memory.word(fp + machine.word) if fp is not None else None
        if saved == back or abs(back - pc) <= NEAR:
            return None
        return self._plausible_return(registers, back, sp, "link_register")

    def _plausible_return(self, registers: Registers, pc: int, sp: int, trust: str) -> Step | None:
        if not self.memory.executable(pc):
            return None
        caller = list(registers)
        caller[self.machine.sp] = sp
        return Step(caller, pc, sp, trust)

    def _from_frame_pointer(self, sp: int, registers: Registers) -> Step | None:
        machine = self.machine
        fp = registers[machine.fp]
        if fp is None or fp < sp or fp & (machine.word - 1):
            return None
        up, back = self.memory.word(fp), self.memory.word(fp + machine.word)
        if up is None or back is None:
            return None
        if machine.lr is not None:
            back = self._without_signature(back)
        caller = list(registers)
        caller[machine.fp] = up
        return self._plausible_return(caller, back, fp + 2 * machine.word, "frame_pointer")

    # -- when to stop

    def _implausible(
        self,
        step: Step,
        frame: RawFrame,
        registers: Registers,
        previous: tuple[int | None, int | None],
    ) -> str | None:
        """Why a step cannot be right, if it cannot."""
        sp = registers[self._sp]
        if step.pc & self._unaligned:
            return "the return address is not aligned: the stack is overwritten"
        if (step.pc, step.cfa) == previous:
            return REPEATS
        if not frame.signal and sp is not None and step.cfa is not None and step.cfa < sp:
            return "the stack goes backwards: it is overwritten"
        return None


def _known(value: int | None) -> int:
    if value is None:
        raise ValueError("the frame's base register is not known")
    return value


def _find_row(image: Image, vaddr: int) -> Row | None:
    """The row of .eh_frame, else of .debug_frame."""
    return _row_of(image.tables, vaddr) or _row_of(image.fallback_tables, vaddr)


def _row_of(tables: tuple[FrameTable, ...], vaddr: int) -> Row | None:
    for table in tables:
        try:
            fde = table.find(vaddr)
            if fde is not None:
                return row_at(table, fde, vaddr)
        except DAMAGED:
            continue
    return None
