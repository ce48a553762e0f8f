"""A thread used up its stack."""

import msgspec

from evdiag.analyze.causes._examples import (
    GUARD,
    HEAP,
    SP,
    STACK,
    TEXT,
    THREAD_STACK,
    WILD,
    crash,
    instruction,
    load,
    region,
    store,
)
from evdiag.analyze.causes._faults import (
    Fault,
    evidence,
    find_fault,
    is_fault,
    known_access,
    reported,
    worked_out,
)
from evdiag.analyze.places import (
    NEIGHBOUR,
    file_at,
    is_accessible,
    is_canonical,
    is_near_null,
    region_at,
)
from evdiag.model.core import EXECUTE, READ, WRITE, Region
from evdiag.model.crash import Cause, CrashFacts, InstructionFacts, Operand, Rule
from evdiag.model.signals import SEGV_ACCERR, SEGV_MAPERR, SI_KERNEL, SIGSEGV

NEAR = 8 * 1024
"""How far from the stack pointer a push, a call, a probe or a small frame reaches: two pages."""

PROBED = 64 * 1024
"""Below the stack pointer Linux took nothing but this much for growth of the stack up to 4.20
(the largest frame of `enter`, 65536 bytes)."""

LARGEST_FRAME = 128 << 20
"""How far one frame can step over the end of a stack and still hit nothing: Linux keeps 128 MiB
free below the main stack (MIN_GAP of mmap_base())."""

MIB = 1 << 20

VECTOR = 16
"""Bytes of the smallest operand that has to be aligned: a fault of another kind, bus-error."""

DEEP = 200
"""Frames that no program has without recursion."""

ADVICE = (
    "Look for a recursion that does not end, and for large local arrays or alloca().",
    "A larger stack helps only if the depth is meant: `ulimit -s` for the main thread, "
    "pthread_attr_setstacksize() for others (8 MiB with glibc, 128 KiB with musl).",
)


def check(facts: CrashFacts) -> Cause | None:
    """Recognise an access just beyond the end of the stack that the stack pointer is in."""
    if not is_fault(facts, SIGSEGV) or facts.sp is None:
        return None
    fault = find_fault(facts) or _at_stack_pointer(facts, facts.sp) or _undeliverable(facts)
    if fault is None or is_near_null(fault.address):
        return None
    stack = _overstepped(facts, fault.address, facts.sp) or _stack(facts, fault.address)
    if stack is None or not _left_the_stack(facts, fault, facts.sp, stack):
        return None
    size, beyond = _amount(stack.end - stack.start), stack.start - facts.sp
    deep = f", {facts.depth} frames deep" if facts.depth >= DEEP else ""
    how = deep
    if beyond > MIB or (beyond > NEAR and not deep):
        how = f": one frame reaches {_amount(beyond)} beyond its end"
    lines = [*evidence(facts, fault), f"the stack pointer is {facts.sp:#x}"]
    lines.append(f"the stack is {stack.start:#x}-{stack.end:#x}, {size}{deep}")
    if fault.computed and facts.signal is not None and facts.signal.code == SI_KERNEL:
        lines.append("a handler for the signal could not run either: it needs the same stack")
    return Cause(
        cls="stack-overflow",
        summary=f"the thread used up its stack of {size}{how}",
        confidence="medium" if beyond > MIB or is_accessible(facts, fault.address) else "high",
        evidence=tuple(lines),
        advice=ADVICE,
        access=known_access(fault.access),
        adjusted_address=fault.address if fault.computed else None,
    )


def _amount(size: int) -> str:
    return f"{size / MIB:.1f} MiB" if size >= MIB else f"{size >> 10} KiB"


def _overstepped(facts: CrashFacts, address: int, sp: int) -> Region | None:
    """The thread's own stack, if one large frame has moved the stack pointer far below it.

    Below the guard of a thread's stack anything may lie: libraries, or the stack of another thread.
    What tells whose stack it is are the frame pointer, and on x86 the register that leads to the
    thread's own data, which pthreads keep at the upper end of its stack.
    """
    machine = facts.machine
    below = region_at(facts.regions, sp)
    # On a stack of its own, of a coroutine for example, it may be right.
    reach = NEIGHBOUR if below is not None and below.flags & WRITE else LARGEST_FRAME
    for name in ("fs_base", machine.registers[machine.dwarf[machine.fp]]):
        own = region_at(facts.regions, facts.registers.get(name, 0))
        if own is None or own.flags & (READ | WRITE) != READ | WRITE:
            continue
        if own == below:
            return None
        left = sp < own.start <= sp + reach and sp - NEAR <= address < own.start
        if left and not file_at(facts.files, own.start):
            return own
    return None


def _at_stack_pointer(facts: CrashFacts, sp: int) -> Fault | None:
    """Without address and instruction: a stack pointer that points to nothing is enough."""
    if facts.instruction is not None or reported(facts) is not None or is_accessible(facts, sp):
        return None
    return Fault(address=sp, access="access", confidence="medium", computed=True)


def _undeliverable(facts: CrashFacts) -> Fault | None:
    """A push or the like that seems possible, but whose fault the kernel could not deliver.

    The guard is then one that does not show among the mappings; see `_stack`.
    """
    if facts.signal is None or facts.signal.code != SI_KERNEL or facts.instruction is None:
        return None
    if not is_canonical(facts.machine, facts.instruction.target or 0):
        return None  # the call fails because of where it goes
    for operand in facts.instruction.operands:
        aligned = operand.size < VECTOR or operand.address % operand.size == 0
        if aligned and operand.writes and _by_stack_pointer(facts, operand):
            return worked_out(operand, "medium")
    return None


def _stack(facts: CrashFacts, address: int) -> Region | None:
    """The writable memory that an address lies just below of, if it may be a stack.

    Guards of pthreads are memory without permissions, or since glibc 2.42 pages inside of the
    stack's own mapping (MADV_GUARD_INSTALL), which fault like unmapped ones.
    """
    inside = region_at(facts.regions, address)
    if inside is not None and inside.flags:
        return inside if inside.flags & WRITE else None
    above = next((r for r in facts.regions if r.start > address and r.flags), None)
    if above is None or above.flags & (READ | WRITE) != READ | WRITE:
        return None
    return above if above.start - address <= LARGEST_FRAME else None


def _left_the_stack(facts: CrashFacts, fault: Fault, sp: int, stack: Region) -> bool:
    if _overstepped(facts, fault.address, sp) == stack:
        return True
    # The stack pointer is in the stack, or below it with nothing in between.
    if not stack.start <= sp < stack.end and (sp > stack.start or _stack(facts, sp) != stack):
        return False
    near = abs(fault.address - sp) <= NEAR
    if stack.start <= fault.address:  # a guard inside of the mapping
        invisible = facts.signal is not None and facts.signal.code in (SEGV_MAPERR, SI_KERNEL)
        return invisible and near
    if near or sp < stack.start:
        # A large frame has moved the stack pointer far down before anything touched it.
        return fault.address >= sp - NEAR
    probes = fault.operand is None or _by_stack_pointer(facts, fault.operand)
    return probes and sp - stack.start <= PROBED and stack.start - fault.address <= PROBED


def _by_stack_pointer(facts: CrashFacts, operand: Operand) -> bool:
    return len(operand.registers) == 1 and operand.registers[0][1] == facts.sp


_CALL = instruction("call 0x401200", store(STACK - 8, ("rsp", STACK)), kind="call")

_LIBRARY, _OTHER_STACK = GUARD - 0x40000, GUARD - 0x10000


def _far_below(address: int, sp: int, **registers: int) -> CrashFacts:
    """A fault below a thread's stack, next to which a library and another stack lie."""
    found = crash(SIGSEGV, SEGV_ACCERR, address, sp=sp)
    near = (
        region(_LIBRARY, _OTHER_STACK, READ | EXECUTE),
        region(_OTHER_STACK, GUARD, READ | WRITE),
    )
    regions = tuple(sorted((*found.regions, *near), key=lambda r: r.start))
    return msgspec.structs.replace(found, regions=regions, registers=registers)


RULE = Rule(
    id="stack-overflow",
    title="Stack overflow",
    explanation=(
        "The address lies near the stack pointer and just below writable memory: unmapped below "
        "the stack of the main thread, without permissions (a guard page) below that of another "
        "one. A frame larger than the guard moves the stack pointer far below the stack first: "
        "then everything between the two counts, also where a library or another stack lies there, "
        "if the frame pointer or the thread's own data (fs_base) tell which stack it was. If a "
        "handler for SIGSEGV is installed without "
        "an alternative stack, the kernel cannot run it and reports SI_KERNEL without an address."
    ),
    classes=("stack-overflow",),
    check=check,
    matches=(
        (crash(SIGSEGV, SEGV_MAPERR, STACK - 8, _CALL, sp=STACK, depth=7939), "stack-overflow"),
        (crash(SIGSEGV, SEGV_MAPERR, STACK - 640, sp=STACK - 700), "stack-overflow"),
        (crash(SIGSEGV, SI_KERNEL, 0, _CALL, sp=STACK), "stack-overflow"),
        (crash(SIGSEGV, None, None, sp=STACK - 64), "stack-overflow"),
        (
            crash(SIGSEGV, SEGV_ACCERR, GUARD + 0xFF8, sp=THREAD_STACK),
            "stack-overflow",
        ),
        (  # a local array of 20 MiB
            crash(SIGSEGV, SEGV_MAPERR, STACK - 0x100000, sp=STACK - 0x1400000),
            "stack-overflow",
        ),
        (  # a guard page that does not show among the mappings
            crash(SIGSEGV, SEGV_MAPERR, THREAD_STACK + 0xFF8, sp=THREAD_STACK + 0x1000),
            "stack-overflow",
        ),
        (  # the same, with a handler for SIGSEGV that could not run
            crash(
                SIGSEGV,
                SI_KERNEL,
                0,
                instruction(
                    "push rbx",
                    load(0x404000),
                    store(THREAD_STACK + 0xFF8, ("rsp", THREAD_STACK + 0x1000)),
                ),
                sp=THREAD_STACK + 0x1000,
            ),
            "stack-overflow",
        ),
        (  # 64 KiB on a small stack: the frame ends in a library below the guard page
            _far_below(_LIBRARY + 8, _LIBRARY + 64, fs_base=THREAD_STACK + 0x7FF6C0),
            "stack-overflow",
        ),
        (  # the guard page is touched when the stack pointer is in another thread's stack already
            _far_below(GUARD + 8, _OTHER_STACK + 64, rbp=THREAD_STACK + 0x700),
            "stack-overflow",
        ),
        (  # a probe 32 KiB below the stack pointer
            crash(SIGSEGV, SEGV_MAPERR, STACK - 0x7000, sp=STACK + 0x1000),
            "stack-overflow",
        ),
    ),
    misses=(
        CrashFacts(),
        crash(SIGSEGV, SEGV_MAPERR, 0x18),
        crash(SIGSEGV, SEGV_MAPERR, 0x18, sp=STACK + 8),
        crash(SIGSEGV, SEGV_MAPERR, WILD, sp=STACK + 8),
        crash(SIGSEGV, SEGV_MAPERR, STACK - 0x7000, sp=SP),
        crash(SIGSEGV, SEGV_MAPERR, HEAP - 8, sp=SP),
        crash(SIGSEGV, SEGV_ACCERR, STACK + 8, sp=STACK + 16),
        crash(SIGSEGV, SEGV_MAPERR, WILD, sp=WILD),
        # an index below an array in a frame that happens to be near the end of the stack
        crash(
            SIGSEGV,
            SEGV_MAPERR,
            STACK - 0x8000,
            instruction("mov", load(STACK - 0x8000, ("rsp", STACK + 0x1000), ("rdx", 1 << 63))),
            sp=STACK + 0x1000,
        ),
        # writing below an array runs into the guard, but the stack pointer is far away
        crash(SIGSEGV, SEGV_ACCERR, GUARD + 0xFFF, sp=THREAD_STACK + 0x7FF000),
        # a wild pointer below the main stack, used by another thread
        crash(SIGSEGV, SEGV_MAPERR, STACK - 0x8000, sp=THREAD_STACK + 0x7FF000),
        # reading beyond the other end of the stack
        crash(SIGSEGV, SEGV_MAPERR, THREAD_STACK + 0x800008, sp=THREAD_STACK + 0x7FFFF8),
        # a misaligned operand on the stack
        crash(
            SIGSEGV,
            SI_KERNEL,
            0,
            instruction("movaps xmmword ptr [rsp], xmm0", store(SP - 8, ("rsp", SP - 8), size=16)),
            sp=SP - 8,
        ),
        # a call to what is no address
        crash(
            SIGSEGV,
            SI_KERNEL,
            0,
            InstructionFacts(
                text="call rax", kind="call", target=TEXT, operands=(store(SP - 8, ("rsp", SP)),)
            ),
        ),
        crash(SIGSEGV, SI_KERNEL, 0),
        # the stack of a coroutine, and a wild pointer
        _far_below(_LIBRARY + 8, HEAP + 64, fs_base=THREAD_STACK + 0x7FF6C0),
        # a wild pointer, and a stack that is fine
        _far_below(_LIBRARY + 8, THREAD_STACK + 64, fs_base=THREAD_STACK + 0x7FF6C0),
        # nothing tells whose stack it would have been
        _far_below(_LIBRARY + 8, _LIBRARY + 64),
        _far_below(_LIBRARY + 8, _LIBRARY + 64, fs_base=GUARD),
        _far_below(0x402000, 0x402040, fs_base=0x404800),
    ),
)
