"""Run call frame instructions up to an address: one row of the unwind table (DWARF 5, 6.4.2)."""

import msgspec

from evdiag.parse.dwarf.numbers import sleb, uleb
from evdiag.parse.dwarf.tables import Fde, FrameTable

OFFSET, VALUE_OFFSET, EXPRESSION, VALUE_EXPRESSION, REGISTER, UNDEFINED, SAME = range(7)

Rule = tuple[int, int, int]
"""(kind, number or start of the expression, end of the expression)."""

UNCHANGED: Rule = (SAME, 0, 0)
"""What holds for a register without a rule."""

EXPRESSION_CFA = -1
"""Marks a CFA that an expression computes, in the place of its register."""

MAX_INSTRUCTIONS = 100_000
MAX_STATES = 1_000
MAX_REGISTER = 1_000

ADVANCE_LOC, OFFSET_SHORT, RESTORE_SHORT = 0x40, 0x80, 0xC0


class Row(msgspec.Struct, frozen=True):
    """Where the caller's registers are while the program is at one address."""

    cfa: Rule
    """(register, offset, 0), or (EXPRESSION_CFA, start, end)."""
    rules: dict[int, Rule]
    return_register: int
    signal_frame: bool
    table: FrameTable
    """Holds the bytes of the expressions."""
    saved: tuple[tuple[int, int], ...] = ()
    """The rules of kind OFFSET, which nearly all are: (register, distance from the CFA)."""
    others: tuple[tuple[int, Rule], ...] = ()
    """The rules of other kinds that change a register."""
    returns: int = SAME
    """Kind of the rule for the return address."""


class _Machine:
    """The little interpreter: state while instructions run."""

    def __init__(self, table: FrameTable, fde: Fde, vaddr: int) -> None:
        self.table, self.data = table, table.data
        self.cie, self.vaddr, self.location = fde.cie, vaddr, fde.start
        self.cfa: Rule = (0, 0, 0)
        self.rules: dict[int, Rule] = {}
        self.initial: dict[int, Rule] = {}
        self.saved: list[tuple[Rule, dict[int, Rule]]] = []
        self.steps = 0

    def run(self, at: int, end: int) -> None:
        """Execute instructions until the end or until the location passes the address."""
        data, rules, align = self.data, self.rules, self.cie.data_align
        while at < end:
            self.steps += 1
            if self.steps > MAX_INSTRUCTIONS:
                raise ValueError("too many call frame instructions")
            op = data[at]
            at += 1
            high = op & 0xC0
            if high == ADVANCE_LOC:
                if self._advance(op & 0x3F):
                    return
            elif high == OFFSET_SHORT:
                number, at = uleb(data, at)
                rules[op & 0x3F] = (OFFSET, number * align, 0)
            elif high == RESTORE_SHORT:
                self._restore(op & 0x3F)
            elif op <= 0x04:
                at, passed = self._location(op, at)
                if passed:
                    return
            elif op in _CFA_OPS:
                at = self._define_cfa(op, at)
            elif op in (0x0A, 0x0B):
                self._remember(op)
            else:
                at = self._register_rule(op, at)

    def _advance(self, units: int) -> bool:
        self.location += units * self.cie.code_align
        return self.location > self.vaddr

    def _location(self, op: int, at: int) -> tuple[int, bool]:
        """nop, set_loc, advance_loc1, 2 and 4."""
        if op == 0x00:
            return at, False
        if op == 0x01:
            self.location, at = self.table.pointer(at, self.cie.encoding)
            return at, self.location > self.vaddr
        size = 1 << (op - 2)
        return at + size, self._advance(int.from_bytes(self.data[at : at + size], "little"))

    def _restore(self, register: int) -> None:
        if register in self.initial:
            self.rules[register] = self.initial[register]
        else:
            self.rules.pop(register, None)

    def _remember(self, op: int) -> None:
        if op == 0x0A:
            if len(self.saved) >= MAX_STATES:
                raise ValueError("too many remembered states")
            self.saved.append((self.cfa, dict(self.rules)))
            self.steps += len(self.rules)
        else:
            self.cfa, rules = self.saved.pop()
            self.rules.clear()
            self.rules.update(rules)

    def _define_cfa(self, op: int, at: int) -> int:
        data, align = self.data, self.cie.data_align
        if op == 0x0F:  # def_cfa_expression
            size, at = uleb(data, at)
            self.cfa = (EXPRESSION_CFA, at, at + size)
            return at + size
        register, offset, _ = self.cfa
        if op in (0x0C, 0x12, 0x0D):
            register, at = uleb(data, at)
        if op in (0x0C, 0x0E):
            offset, at = uleb(data, at)
        elif op in (0x12, 0x13):
            offset, at = sleb(data, at)
            offset *= align
        self.cfa = (register, offset, 0)
        return at

    def _register_rule(self, op: int, at: int) -> int:
        data, align = self.data, self.cie.data_align
        # AARCH64_negate_ra_state_with_pc and _negate_ra_state: signatures are always stripped
        if op in (0x2C, 0x2D):
            return at
        register, at = uleb(data, at)
        if op == 0x2E:  # GNU_args_size: its only operand is a size, of no use here
            return at
        if register > MAX_REGISTER:
            raise ValueError(f"no machine has a register {register}")
        if op == 0x06:
            self._restore(register)
        elif op in (0x07, 0x08):
            self.rules[register] = (UNDEFINED if op == 0x07 else SAME, 0, 0)
        elif op in (0x10, 0x16):
            size, at = uleb(data, at)
            self.rules[register] = (EXPRESSION if op == 0x10 else VALUE_EXPRESSION, at, at + size)
            at += size
        elif op in (0x05, 0x09, 0x14, 0x2F):
            number, at = uleb(data, at)
            kind = {0x05: OFFSET, 0x09: REGISTER, 0x14: VALUE_OFFSET, 0x2F: OFFSET}[op]
            factor = {0x09: 1, 0x2F: -align}.get(op, align)
            self.rules[register] = (kind, number * factor, 0)
        elif op in (0x11, 0x15):
            number, at = sleb(data, at)
            self.rules[register] = (OFFSET if op == 0x11 else VALUE_OFFSET, number * align, 0)
        else:
            raise ValueError(f"unknown call frame instruction 0x{op:x}")
        return at


_CFA_OPS = frozenset((0x0C, 0x0D, 0x0E, 0x0F, 0x12, 0x13))


def row_at(table: FrameTable, fde: Fde, vaddr: int) -> Row:
    """The row for an address inside the function. Raises one of DAMAGED."""
    machine = _Machine(table, fde, vaddr)
    table.check_steps()
    try:
        return _run(machine, fde, vaddr)
    finally:
        table.steps += machine.steps


def _run(machine: _Machine, fde: Fde, vaddr: int) -> Row:
    # the common instructions hold for the whole function: they must not end at the address
    machine.vaddr = (1 << 64) - 1
    machine.run(fde.cie.start, fde.cie.end)
    machine.vaddr, machine.location = vaddr, fde.start
    machine.initial = dict(machine.rules)
    machine.run(fde.program, fde.end)
    cie, rules = fde.cie, machine.rules
    return Row(
        machine.cfa,
        rules,
        cie.return_register,
        cie.signal_frame,
        machine.table,
        saved=tuple((n, rule[1]) for n, rule in rules.items() if rule[0] == OFFSET),
        others=tuple((n, rule) for n, rule in rules.items() if rule[0] not in (OFFSET, SAME)),
        returns=rules.get(cie.return_register, UNCHANGED)[0],
    )
