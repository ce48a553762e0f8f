"""The table of crash modes: what each one does and what a correct report says about it.

The C++ side of every mode is in `tests/crashers/crash_*.cpp`. `crasher_build.build` checks
that both sides name the same modes on the same threads.
"""

import platform
from dataclasses import dataclass
from signal import SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGQUIT, SIGSEGV, SIGSYS, SIGTRAP
from typing import Literal

ThreadName = Literal["main", "worker"]


@dataclass(frozen=True, slots=True)
class Mode:
    """One way to crash, with the facts that every tool has to agree on.

    `verdict_class` is the word of the final verdict; `first_class` is what signal, registers,
    faulting instruction and mappings say without any stack or symbol. `also_classes` are other
    words for the verdict that are right as well.

    `top_frame` is the unqualified name of the first frame whose code is the crasher's own: no
    libc, no libstdc++, no inlined function of a library header. `also_top_frames` may stand
    there instead where the place is a matter of stack layout or debug information; None means
    that the stack is destroyed and no frame can be relied on.
    """

    name: str
    verdict_class: str
    first_class: str
    thread: ThreadName
    top_frame: str | None
    signal: int
    note: str
    also_classes: tuple[str, ...] = ()
    also_top_frames: tuple[str, ...] = ()
    sent: int | None = None  # the helper sends this signal once the process waits for it
    snapshot: bool = False  # gdb's gcore writes the core; nothing crashes
    machine: str | None = None  # the only machine that has the mode


X86 = "x86_64"

MODES: tuple[Mode, ...] = (
    # crash_memory.cpp
    Mode("null-read", "null-read", "null-read", "worker", "read_energy", SIGSEGV,
         "reads a 64-bit member at offset 8 of a null pointer"),
    Mode("null-write", "null-write", "null-write", "worker", "close_contactor", SIGSEGV,
         "writes at offset 0 of a null pointer"),
    Mode("null-member-write", "null-write", "null-write", "worker", "book_energy", SIGSEGV,
         "the demo: a double stored at offset 0x18 of a null session, deep in C++"),
    Mode("null-virtual-call", "null-read", "null-read", "worker", "ask_connector", SIGSEGV,
         "a virtual call on a null object reads its vtable pointer at 0"),
    Mode("wild-read", "wild-read", "wild-read", "worker", "read_limit", SIGSEGV,
         "a canonical address far from every mapping"),
    Mode("wild-write", "wild-write", "wild-write", "main", "write_limit", SIGSEGV,
         "a canonical address far from every mapping"),
    Mode("noncanonical-read", "noncanonical-read", "noncanonical-read", "main", "read_limit",
         SIGSEGV, "ASCII text as a pointer; si_code 128 and address 0", machine=X86),
    Mode("noncanonical-write", "noncanonical-write", "noncanonical-write", "worker",
         "write_limit", SIGSEGV, "ASCII text as a pointer; si_code 128 and address 0", machine=X86),
    Mode("write-readonly", "write-readonly", "write-readonly", "worker", "write_limit", SIGSEGV,
         "writes to a constant in .rodata"),
    Mode("renamed", "null-write", "null-write", "main", "close_contactor", SIGSEGV,
         "the main thread calls itself `evse) R 1<escape sequence>` before it crashes"),
    Mode("bus-error", "bus-error", "bus-error", "worker", "read_limit", SIGBUS,
         "a mapped file was truncated: BUS_ADRERR"),
    # crash_jump.cpp
    Mode("call-null", "bad-pc", "bad-pc", "worker", "invoke_callback", SIGSEGV,
         "calls a null function pointer; pc is 0, the caller's address is on the stack",
         also_classes=("bad-call",)),
    Mode("call-unmapped-low", "bad-pc", "bad-pc", "worker", "invoke_callback", SIGSEGV,
         "calls 0x1234", also_classes=("bad-call",)),
    Mode("call-unmapped-high", "bad-pc", "bad-pc", "main", "invoke_callback", SIGSEGV,
         "calls an unmapped address of the user half", also_classes=("bad-call",)),
    Mode("call-kernel-address", "bad-pc", "bad-pc", "worker", "invoke_callback", SIGSEGV,
         "calls a canonical address of the kernel half", also_classes=("bad-call",)),
    Mode("call-heap", "bad-pc", "bad-pc", "worker", "invoke_callback", SIGSEGV,
         "calls into the heap, which is not executable: SEGV_ACCERR", also_classes=("bad-call",)),
    Mode("return-unmapped", "bad-pc", "bad-pc", "worker", None, SIGSEGV,
         "a smashed return address that is canonical; the word below sp equals pc",
         also_classes=("bad-return",)),
    Mode("call-noncanonical", "bad-call", "bad-call", "worker", "invoke_callback", SIGSEGV,
         "the call instruction itself faults; si_code 128", machine=X86),
    Mode("return-noncanonical", "bad-return", "bad-return", "worker", "decode_frame", SIGSEGV,
         "a smashed return address; the ret instruction itself faults", machine=X86),
    # crash_stack.cpp
    Mode("recursion-main", "stack-overflow", "stack-overflow", "main", "parse_element", SIGSEGV,
         "below the main thread's stack there is no mapping: SEGV_MAPERR"),
    Mode("recursion-thread", "stack-overflow", "stack-overflow", "worker", "parse_element",
         SIGSEGV, "below a thread's stack there is a guard page: SEGV_ACCERR"),
    Mode("recursion-mutual", "stack-overflow", "stack-overflow", "worker", "parse_item", SIGSEGV,
         "three functions in turn: parse_group, parse_list, parse_item",
         also_top_frames=("parse_group", "parse_list")),
    Mode("stack-smash", "stack-smash", "abort", "worker", "copy_id_tag", SIGABRT,
         "the canary is gone, and the return address behind it too"),
    # crash_abort.cpp
    Mode("abort", "abort", "abort", "worker", "reject_config", SIGABRT, "a bare abort()"),
    Mode("assert", "assert", "abort", "worker", "check_power_limit", SIGABRT,
         'assert(reading.power_w <= limit_w && "power limit exceeded")'),
    Mode("fortify-memcpy", "fortify", "abort", "worker", "copy_certificate", SIGABRT,
         "at -O2 an inlined memcpy of bits/string_fortified.h stands above the culprit"),
    Mode("fortify-strcpy", "fortify", "abort", "main", "copy_station_name", SIGABRT,
         "at -O2 an inlined strcpy of bits/string_fortified.h stands above the culprit"),
    Mode("bad-free", "heap-corruption", "abort", "worker", "release_buffer", SIGABRT,
         "frees a pointer into the middle of a block: free(): invalid pointer"),
    Mode("double-free", "heap-corruption", "abort", "worker", "release_buffer", SIGABRT,
         "a small block: free(): double free detected in tcache 2"),
    Mode("double-free-large", "heap-corruption", "abort", "main", "release_buffer", SIGABRT,
         "a large block: double free or corruption (!prev)"),
    Mode("heap-overflow", "heap-corruption", "abort", "worker", "release_buffer", SIGABRT,
         "writes over the size of the next block: free(): invalid size"),
    # crash_exception.cpp
    Mode("throw-main", "uncaught-exception", "abort", "main", "enforce_limit", SIGABRT,
         "types::EnergyLimitExceeded, derived from std::runtime_error"),
    Mode("throw-thread", "uncaught-exception", "abort", "worker", "enforce_limit", SIGABRT,
         "types::EnergyLimitExceeded in a thread"),
    Mode("throw-noexcept", "uncaught-exception", "abort", "worker", "enforce_limit", SIGABRT,
         "types::EnergyLimitExceeded meets the noexcept function stop_charging",
         also_top_frames=("stop_charging",)),
    Mode("throw-int", "uncaught-exception", "abort", "worker", "reject_token", SIGABRT,
         "throw 17"),
    Mode("throw-string", "uncaught-exception", "abort", "worker", "reject_message", SIGABRT,
         "throw std::string(...)"),
    Mode("throw-after-caught", "uncaught-exception", "abort", "worker", "enforce_limit", SIGABRT,
         "an older exception, a std::string, is caught and still kept in memory"),
    Mode("map-at", "uncaught-exception", "abort", "worker", "transaction_of", SIGABRT,
         "std::out_of_range from std::map::at"),
    Mode("vector-at", "uncaught-exception", "abort", "worker", "limit_of_phase", SIGABRT,
         "std::out_of_range from std::vector::at"),
    Mode("joinable-thread", "terminate", "abort", "worker", "restart_meter_thread", SIGABRT,
         "a std::thread is destroyed while joinable: std::terminate without an exception"),
    Mode("pure-virtual", "pure-virtual", "abort", "worker", "announce", SIGABRT,
         "a pure virtual function called from the constructor"),
    # crash_instruction.cpp
    Mode("int-div-zero", "int-div-zero", "int-div-zero", "worker", "average_power", SIGFPE,
         "FPE_INTDIV", machine=X86),
    Mode("int-div-overflow", "fpe", "fpe", "worker", "average_power", SIGFPE,
         "INT_MIN / -1: FPE_INTDIV too, but the divisor is not zero", machine=X86),
    Mode("float-div-zero", "fpe", "fpe", "worker", "average_current", SIGFPE,
         "FPE_FLTDIV, after feenableexcept(FE_DIVBYZERO)", machine=X86),
    Mode("builtin-trap", "illegal-instruction", "illegal-instruction", "worker",
         "unreachable_state", SIGILL, "__builtin_trap"),
    Mode("breakpoint", "trap", "trap", "worker", "debug_break", SIGTRAP,
         "int3; pc is behind it"),
    Mode("seccomp-trap", "seccomp", "seccomp", "worker", "open_slac_socket", SIGSYS,
         "socket() refused by SECCOMP_RET_TRAP"),
    Mode("seccomp-kill", "seccomp", "seccomp", "worker", "open_slac_socket", SIGSYS,
         "socket() refused by SECCOMP_RET_KILL_PROCESS"),
    # crash_signal.cpp
    Mode("kill-self", "raised-signal", "raised-signal", "main", "request_restart", SIGSEGV,
         "kill(getpid(), SIGSEGV): si_code 0, the sender is the process itself"),
    Mode("raise-ill", "raised-signal", "raised-signal", "worker", "fail_self_check", SIGILL,
         "raise(SIGILL): si_code SI_TKILL"),
    Mode("crash-in-handler", "null-write", "null-write", "worker", "on_diagnostics_request",
         SIGSEGV, "a null write in a SIGUSR1 handler: a signal trampoline is on the stack"),
    Mode("handler-reraise", "null-write", "raised-signal", "worker", "open_contactor", SIGSEGV,
         "a SIGSEGV handler raises again: pc is at the fault, but si_code is SI_TKILL",
         also_classes=("raised-signal",)),
    Mode("handler-abort", "null-write", "abort", "worker", "on_fault_abort", SIGABRT,
         "a SIGSEGV handler on a stack of its own aborts; the fault, in open_contactor, is "
         "below the signal trampoline", also_classes=("abort",)),
    Mode("deadlock", "deadlock", "sent-signal", "main", "wait_for_signal", SIGQUIT,
         "two threads, two mutexes, taken in different order; SIGQUIT from outside",
         sent=SIGQUIT),
    Mode("sent-quit", "sent-signal", "sent-signal", "main", "wait_for_signal", SIGQUIT,
         "SIGQUIT from outside, no deadlock; one thread waits for a lock that another holds",
         sent=SIGQUIT),
    Mode("sent-segv", "sent-signal", "sent-signal", "main", "wait_for_signal", SIGSEGV,
         "SIGSEGV from outside: si_code 0", sent=SIGSEGV),
    Mode("sent-abort", "sent-signal", "sent-signal", "main", "wait_for_signal", SIGABRT,
         "SIGABRT from outside, as a watchdog does", sent=SIGABRT),
    Mode("snapshot", "snapshot", "snapshot", "main", "wait_for_signal", 0,
         "a core of a living process, written by gcore: SIGSTOP, si_code 128 in its notes",
         snapshot=True),
)  # fmt: skip

# The mode that looks best in a report, and the one a demonstration should use.
DEMO_MODE = "null-member-write"

# What tests/crashers/small.cpp can do, for the matrix of compilers and debug formats. Without
# debug information the inlined store_energy cannot be seen, only bill that it is inlined in.
VARIANT_MODES: tuple[Mode, ...] = (
    Mode("null-write", "null-write", "null-write", "main", "store_energy", SIGSEGV,
         "an inlined function, a lambda, a template and std::function on top",
         also_top_frames=("bill",)),
    Mode("abort", "abort", "abort", "main", "run_mode", SIGABRT, "a bare abort()"),
    Mode("signal-handler", "null-write", "null-write", "main", "store_energy", SIGSEGV,
         "the same null write in a signal handler", also_top_frames=("bill",)),
    Mode("recursion", "stack-overflow", "stack-overflow", "main", "recurse", SIGSEGV,
         "endless recursion"),
)  # fmt: skip


def modes_here() -> tuple[Mode, ...]:
    """Return the modes that this machine's processor has."""
    return tuple(mode for mode in MODES if mode.machine in (None, platform.machine()))


def mode_named(name: str) -> Mode:
    """Return the mode of the process tree with this name."""
    return next(mode for mode in MODES if mode.name == name)
