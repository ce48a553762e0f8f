"""What the literals in the crashers' C++ say the variables of the crashed thread are.

Every row can be read off `tests/crashers/*.cpp`; none was taken over from a debugger. At -O0 all
of them must be shown. At -O2 a compiler may drop a variable, but what is shown must be right;
`always` marks those that must be shown at -O2 too, because something in the source keeps them
alive at the place of the crash.
"""

from dataclasses import dataclass

from evdiag.model.report import Frame, Report, Variable

from .crasher_build import Opt
from .crasher_modes import MODES, Mode
from .gdb_oracle import unqualified

INT_MAX = "2147483647"
INT_MIN = "-2147483648"
NULL = "0x0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """A variable of one function, and the texts that its value has to contain, in this order.

    One text alone is the whole value, unless `part` says that there may be more around it: an
    address before it, or members instead of a printed container. `anywhere` is for functions of
    which not all frames can be read: one right value is enough.
    """

    function: str
    variable: str
    texts: tuple[str, ...]
    part: bool
    survives: bool
    anywhere: bool = False

    def holds(self, value: str) -> bool:
        """Whether a value as shown is that of the source."""
        if not self.part:
            return value == self.texts[0]
        at = 0
        for text in self.texts:
            at = value.find(text, at)
            if at < 0:
                return False
            at += len(text)
        return True


def always(function: str, variable: str, value: str) -> Expected:
    """Shown at any optimisation, as exactly this text."""
    return Expected(function=function, variable=variable, texts=(value,), part=False, survives=True)


def always_in(function: str, variable: str, *texts: str) -> Expected:
    """Shown at any optimisation, with these texts in it."""
    return Expected(function=function, variable=variable, texts=texts, part=True, survives=True)


def at_o0(function: str, variable: str, value: str) -> Expected:
    """Shown at -O0, as exactly this text."""
    return Expected(
        function=function, variable=variable, texts=(value,), part=False, survives=False
    )


def at_o0_in(function: str, variable: str, *texts: str) -> Expected:
    """Shown at -O0, with these texts in it."""
    return Expected(function=function, variable=variable, texts=texts, part=True, survives=False)


# on_powermeter makes MeterReading{message.connector = 1, 0.0, 8000.0}, visit_phase sets the
# connector to the phase, 1 in the first round, and Integrate adds 8000 / 3600 Wh.
READING = "{connector = 1, energy_wh = 2.2222222222222223, power_w = 8000}"
# TOTAL has backslashes because gdb prints a string with quotation marks in it.
TOPIC, TOTAL = '"powermeter"', r'"{\"power_W\":{\"total\":8000}}"'


def chain_of(mode: Mode) -> tuple[Expected, ...]:
    """What chain.cpp and module.cpp hold, whatever happens at the end of the chain."""
    where = f"crash::Where::{mode.thread}_thread"
    return (
        # a local whose address goes through C code: it has to be in memory
        always("on_powermeter", "reading", READING),
        # a local, handed by reference to a function of a shared library
        always_in("run_state_machine", "message", TOPIC, TOTAL, "connector = 1"),
        # the reference is read again after the call, for the next handler
        always_in("publish", "message", TOPIC, TOTAL, "connector = 1"),
        # noipa, but after the call only `visit` is looked at no more
        at_o0("visit_phase", "phase", "1"),
        at_o0("chargebridge_each_phase", "phases", "3"),
        at_o0_in("update_session", "reading", READING),
        at_o0_in("crash_with", "mode", f'"{mode.name}"', where)
        if mode.thread == "main"
        else at_o0_in("operator()", "mode", f'"{mode.name}"', where),
    )


RECURSION = frozenset({"recursion-main", "recursion-thread", "recursion-small", "recursion-mutual"})
"""The chain lies behind thousands of frames, and values are read of the innermost 64 only."""

DESTROYED = frozenset({"return-unmapped", "return-noncanonical", "stack-smash"})
"""The way back is overwritten: there is no chain, and gdb unwinds into what the smash left."""


def _recursion(*functions: str) -> tuple[Expected, ...]:
    """`limit` is opaque(INT_MAX) in every round.

    At -O2 it is in a register of which only the innermost frame still knows the content. The
    innermost frame of -O0 lies across the end of the stack.
    """
    return tuple(
        Expected(
            function=f, variable="limit", texts=(INT_MAX,), part=False, survives=False,
            anywhere=True,
        )
        for f in functions
    )  # fmt: skip


def _callback(address: str) -> tuple[Expected, ...]:
    """The argument is in the register of the call, which the callee may have overwritten."""
    return (at_o0("invoke_callback", "callback", address),)


def _limit(address: str) -> tuple[Expected, ...]:
    """Frame 0 faults on the argument, so it is still in its register, and so is the other."""
    return (always("write_limit", "limit", address), always("write_limit", "value", "32"))


# Contactor* of a null pointer that frame 0 has just tried to write through.
_CONTACTOR = (always("close_contactor", "contactor", NULL),)
# The lambda and the inlined function have the session in the register that faulted; the reading
# is a temporary of null_member_write, with {2, 1250.0, 8000.0}.
_BOOKED = "{connector = 2, energy_wh = 1250, power_w = 8000}"
_BOOKING = (
    always("book_energy", "this", NULL),
    always("book_energy", "value", "1250"),
    always("operator()", "session", NULL),
    always_in("book", "reading", _BOOKED),
    at_o0("with_session", "connector", "2"),
    always_in("null_member_write", "ledger", "sessions_ = "),
)
_PEM = r"-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgICMDkwCgYIKoZI"


def _enforce(connector: str, limit_kw: str) -> tuple[Expected, ...]:
    """The exception is made of both arguments after std::to_string has used one of them.

    So they are saved across a call, and the throw does not return to give their places away.
    """
    return (
        always("enforce_limit", "connector", connector),
        always("enforce_limit", "limit_kw", limit_kw),
    )


def _overflow(function: str) -> tuple[Expected, ...]:
    """A block was filled to its end and beyond with the letter y."""
    return (at_o0_in(function, "log", "'y' <repeats "),)


def _transfer() -> tuple[Expected, ...]:
    """Two threads have taken a lock each."""
    return (
        always_in("transfer", "order", "present_ = 2}"),
        always_in("transfer", "roster", "started_ = 2}"),
    )


OWN: dict[str, tuple[Expected, ...]] = {
    # crash_memory.cpp
    "null-read": (always("read_energy", "meter", NULL),),
    "null-write": _CONTACTOR,
    "null-member-write": _BOOKING,
    "null-virtual-call": (always("ask_connector", "connector", NULL),),
    "near-null": (
        always("limit_of_hour", "schedule", NULL),
        always("limit_of_hour", "hour", "1000"),
    ),
    "user-names": (always("raise", "contactor", NULL), at_o0("log", "contactor", NULL)),
    "use-after-free": (always_in("ask_connector", "connector", "0x"),),
    "wild-read": (always("read_limit", "limit", "0x414141414000"),),
    "wild-write": _limit("0x414141414000"),
    "noncanonical-read": (always("read_limit", "limit", "0x4141414141414141"),),
    "noncanonical-write": _limit("0x4141414141414141"),
    "poison-pointer": (always("read_energy", "meter", "0xabababababababab"),),
    "write-readonly": (
        # &current_limits[1]: an int is 4 bytes behind the array's start
        always_in("write_limit", "limit", "charging::(anonymous namespace)::current_limits+4>"),
        always("write_limit", "value", "32"),
    ),
    "renamed": _CONTACTOR,
    "bus-error": (
        at_o0("bus_error", "page", "4096"),
        at_o0("bus_error", "size", "8192"),
        # four ints, 16 bytes, into a mapping that begins with a page
        always_in("read_limit", "limit", "010"),
    ),
    # crash_jump.cpp
    "call-null": _callback(NULL),
    "call-unmapped-low": _callback("0x1234"),
    "call-unmapped-high": _callback("0x6b6b6b6b6000"),
    "call-kernel-address": _callback("0xffff800012345000"),
    "call-heap": (at_o0_in("invoke_callback", "callback", "0x"),),
    "call-stack": (at_o0_in("invoke_callback", "callback", "0x"),),
    "return-unmapped": (),  # DESTROYED, and no frame of ours is left
    # The call itself faults, with its target still in the register.
    "call-noncanonical": (always("invoke_callback", "callback", "0x4141414141414141"),),
    # DESTROYED; decode_frame is at its ret. 0x4242424242424242 in decimal.
    "return-noncanonical": (always("decode_frame", "return_address", "4774451407313060418"),),
    # crash_stack.cpp
    "recursion-main": _recursion("parse_element"),
    "recursion-thread": _recursion("parse_element"),
    "recursion-small": _recursion("parse_element"),
    "recursion-mutual": _recursion("parse_item", "parse_list", "parse_group"),
    "stack-smash": (
        # DESTROYED from the caller on; the loop has written the tag over and over
        always("copy_id_tag", "id_tag", '"DEADBEEFDEADBEEF"'),
        at_o0("copy_id_tag", "length", "64"),
        at_o0_in("copy_id_tag", "tag", '"DEADBEEF"'),
    ),
    "stack-smash-canary": (always_in("copy_serial_number", "number", "'N' <repeats 24 times>"),),
    # crash_abort.cpp
    "abort": (),
    "assert": (
        # a temporary of the caller, passed by reference
        always_in("check_power_limit", "reading", "connector = 1, energy_wh = 0, power_w = 22080"),
        at_o0("check_power_limit", "limit_w", "11000"),
    ),
    "fortify-memcpy": (
        at_o0("copy_certificate", "length", "61"),  # 27 + 1 + 32 characters and the null
        at_o0_in("copy_certificate", "pem", _PEM),
        always_in("fortify_memcpy", "pem", _PEM),  # a static
    ),
    "fortify-strcpy": (
        at_o0_in("copy_station_name", "text", '"evse_manager_of_the_second_connector"'),
    ),
    # Of the heap's addresses nothing is known; `buffer` of both frames is the same one.
    "bad-free": (at_o0_in("release_buffer", "buffer", "0x"),),
    "double-free": (always_in("double_free", "buffer", "0x"),),
    "double-free-large": (always_in("double_free_large", "buffer", "0x"),),
    "heap-overflow": (
        # memset of 4016 and 4000 characters, of which 400 are shown, or 200 without Python; the
        # overflow ends before the next buffer's own content
        at_o0_in("heap_overflow", "log", "'x' <repeats ", "..."),
        at_o0_in("heap_overflow", "next", "'m' <repeats ", "..."),
    ),
    # crash_assert.cpp
    "assert-template": (at_o0("check", "limit", "8000"),),
    "assert-first": (always_in("check_reading", "reading", "connector = 0, energy_wh = 10,"),),
    "assert-second": (always_in("check_reading", "reading", "connector = 1, energy_wh = -10,"),),
    "glibcxx-assert": (at_o0("limit_of", "number", "3"),),
    "fortify-snprintf": (
        at_o0_in("print_station_name", "text", '"evse_manager"'),
        at_o0("print_station_name", "size", "64"),
    ),
    "libc-assert": (always_in("libc_assert", "meter", "__owner = 4711"),),
    "libc-fatal": (),
    # crash_heap.cpp: what was written over the end of a block is in the block too
    "heap-next-size": _overflow("overflow_next_size"),
    "heap-next-size-small": _overflow("overflow_next_size_small"),
    "heap-free-size": (at_o0_in("overwritten_free_size", "log", "'m' <repeats "),),
    "heap-free-size-behind": (at_o0_in("overwritten_free_size_behind", "next", "'m' <repeats "),),
    "heap-top-size": _overflow("overflow_top_size"),
    "heap-top-assert": (at_o0_in("overflow_top_size_small", "log", "'m' <repeats "),),
    "heap-unsorted-size": _overflow("overflow_freed_size"),
    "heap-tcache-unaligned": (at_o0("take_buffer", "size", "776"),),
    "heap-consolidate": (at_o0("take_buffer", "size", "4000"),),
    "double-free-small": (at_o0_in("release_buffer", "buffer", "0x"),),
    "double-free-last": (at_o0_in("release_buffer", "buffer", "0x"),),
    "double-free-out": (at_o0_in("underflow_size", "buffer", "'m' <repeats "),),
    "bad-free-mapped": (at_o0_in("release_buffer", "buffer", "0x"),),
    "bad-realloc": (at_o0("grow_buffer", "size", "8000"),),
    "heap-realloc-size": _overflow("overflow_realloc"),
    # crash_exception.cpp
    "throw-main": _enforce("2", "22"),
    "throw-thread": _enforce("2", "22"),
    "throw-noexcept": (*_enforce("1", "11"), at_o0("stop_charging", "connector", "1")),
    "throw-int": (always("reject_token", "reason", "17"),),  # read for the exception's copy
    "throw-string": (always_in("reject_message", "reason", '"message 4711 is not for this'),),
    "throw-after-caught": _enforce("3", "50"),
    "map-at": (),  # nothing but containers: see PRINTED
    "vector-at": (at_o0("limit_of_phase", "phase", "9"),),
    "throw-rethrown": (at_o0("supervise_charging", "connector", "2"),),
    "throw-nested": (at_o0("start_session", "connector", "1"),),
    "throw-in-destructor": (
        at_o0("read_meter", "connector", "2"),
        at_o0("charge_guarded", "connector", "2"),
    ),
    "terminate-explicit": (),
    "rethrow-nothing": (),
    "terminate-recursive": (),
    "joinable-thread": (),  # values that no literal says: a thread's number and its address
    "pure-virtual": (
        # in the base's constructor the object is still one of the base's
        always_in("pure_virtual", "station", "<vtable for charging::ChargePoint+16>"),
    ),
    # crash_thrown.cpp
    "throw-user-member": (at_o0("reject_frame", "code", "17"),),
    "throw-user-string": (at_o0_in("open_device", "path", '"/dev/charger-modem"'),),
    "throw-user-short": (),
    "throw-user-plain": (at_o0("refuse_token", "code", "403"),),
    "throw-system-error": (at_o0("connect_modem", "error", "111"),),
    "throw-bad-optional": (),
    "throw-bad-alloc": (at_o0("reserve_log", "size", "1152921504606846976"),),  # 1 << 60
    "throw-pointer": (at_o0_in("complain", "text", '"the station is closed"'),),
    "throw-enum": (at_o0("stop_now", "reason", "charging::StopReason::emergency"),),
    "throw-boost": (at_o0_in("connect_csms", "host", '"csms.example.com"'),),
    "throw-json": (at_o0_in("read_config", "key", '"connector"'),),
    # crash_instruction.cpp: idiv, divsd read the arguments where they were passed
    "int-div-zero": (
        always("average_power", "total_w", "8000"),
        always("average_power", "samples", "0"),
    ),
    "int-div-overflow": (
        always("average_power", "total_w", INT_MIN),
        always("average_power", "samples", "-1"),
    ),
    "float-div-zero": (
        always("average_current", "total_a", "20"),
        always("average_current", "samples", "0"),
        always("float_div_zero", "samples", "0"),  # keep() has its address
    ),
    "builtin-trap": (),
    "breakpoint": (),
    "seccomp-trap": (),  # `slac` has no value yet
    "seccomp-kill": (),
    # crash_signal.cpp
    "kill-self": (),
    "raise-ill": (),
    "crash-in-handler": (),  # the handler's argument has no name
    "handler-reraise": (always("open_contactor", "contactor", NULL),),
    "handler-abort": (
        always("open_contactor", "contactor", NULL),
        always_in("handler_aborts", "own", "ss_flags = 0, ss_size = 65536}"),
        at_o0("handler_aborts", "size", "65536"),
    ),
    "sent-quit": (),
    "sent-segv": (),
    "sent-abort": (),
    "snapshot": (),
    # crash_deadlock.cpp: all threads have met, and each was started once
    "deadlock": _transfer(),
    "deadlock-timed": _transfer(),
    "deadlock-recursive": _transfer(),
    "deadlock-shared": _transfer(),
    "deadlock-three": (
        always_in("deadlock_three", "path", "present_ = 3}"),
        always_in("deadlock_three", "roster", "started_ = 3}"),
    ),
    "deadlock-join": (always_in("deadlock_join", "roster", "started_ = 1}"),),
}
"""By mode, what its own functions hold. An empty row: they have no variable with a literal."""

_TRANSACTIONS = 'std::map with 1 element = {["connector-1"] = 4711}'
_LIMITS = "std::vector of length 2, capacity 2 = {16, 32}"

PRINTED: dict[str, tuple[Expected, ...]] = {
    "null-member-write": (
        # open(1) has put one session there
        always_in("null_member_write", "ledger", "std::map with 1 element = {[1] = "),
    ),
    "call-heap": (
        always_in("call_heap", "firmware", "std::vector of length 256, capacity 256 = {195"),
    ),
    "map-at": (
        always("map_at", "transactions", _TRANSACTIONS),
        always("transaction_of", "transactions", _TRANSACTIONS),
    ),
    "vector-at": (
        always("vector_at", "limits", _LIMITS),
        always("limit_of_phase", "limits", _LIMITS),
    ),
    "throw-string": (always("reject_message", "reason", '"message 4711 is not for this station"'),),
}
"""Containers, as a gdb with Python prints them: they are in memory, others have their address."""

PLAIN: dict[str, tuple[Expected, ...]] = {
    "map-at": (
        always_in("map_at", "transactions", "_M_node_count = 1}"),
        always_in("transaction_of", "transactions", "_M_node_count = 1}"),
    ),
}
"""And without it. A vector's own pointers are deeper inside than structures are shown."""

assert set(OWN) == {mode.name for mode in MODES}
assert set(PRINTED) <= set(OWN)


def expected(mode: Mode, *, printers: bool) -> tuple[Expected, ...]:
    """All rows of a mode."""
    own = OWN[mode.name] + (PRINTED if printers else PLAIN).get(mode.name, ())
    return own if mode.name in DESTROYED | RECURSION else own + chain_of(mode)


def own_name(frame: Frame) -> str | None:
    """The name of a frame's function without scope, template arguments and parameters."""
    return unqualified(frame.function) if frame.function else None


def mistakes(report: Report, rows: tuple[Expected, ...], opt: Opt) -> list[str]:
    """What the crashed thread's values say otherwise than the source, in words."""
    found = []
    for row in rows:
        shown = _shown(report, row)
        wrong = [v for v in shown if not row.holds(v.value or "")]
        label = f"{row.function}: {row.variable}"
        if len(wrong) == len(shown) and shown and row.anywhere:
            found.append(f"{label} is wrong everywhere: {wrong[0].value}")
        elif wrong and not row.anywhere:
            found.append(f"{label} is {wrong[0].value} instead of {' … '.join(row.texts)}")
        elif not shown and (row.survives or opt == "O0"):
            found.append(f"{label} has no value")
    return found


def _shown(report: Report, row: Expected) -> list[Variable]:
    """The variables of that name that have a value, in all frames of the function."""
    frames = [f for f in report.threads[0].frames if own_name(f) == row.function]
    variables = [v for f in frames for v in (*f.args, *f.locals) if v.name == row.variable]
    unreadable = ("<optimized out>", "<error")
    return [v for v in variables if v.value is not None and not v.value.startswith(unreadable)]
