"""Names of signals and of their reasons, and one line that says what the kernel reported.

Sources: Linux `asm-generic/signal.h` (x86 and Arm share its numbers) and
`asm-generic/siginfo.h`; `SEGV_CPERR` is newer than many copies of that header.
"""

from evdiag.model.core import SignalFacts

SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGKILL = 3, 4, 5, 6, 7, 8, 9
SIGSEGV, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU = 11, 19, 20, 21, 22
SIGXCPU, SIGXFSZ, SIGSYS = 24, 25, 31

FAULTS = frozenset({SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV, SIGSYS})
"""Signals that the kernel sends because of what the thread itself did."""

SI_USER, SI_QUEUE, SI_TKILL, SI_KERNEL = 0, -1, -6, 0x80
SEGV_MAPERR, SEGV_ACCERR, SEGV_MTEAERR, SEGV_CPERR = 1, 2, 8, 10
BUS_ADRALN, BUS_ADRERR, BUS_OBJERR, BUS_MCEERR_AR, BUS_MCEERR_AO = 1, 2, 3, 4, 5
FPE_INTDIV = 1
ILL_ILLOPN = 2
TRAP_BRKPT, TRAP_TRACE, TRAP_BRANCH, TRAP_HWBKPT = 1, 2, 3, 4
SYS_SECCOMP = 1

_WITHOUT_ADDRESS = {(SIGBUS, BUS_ADRALN), (SIGSEGV, SEGV_MTEAERR), (SIGSEGV, SEGV_CPERR)}
"""Linux calls force_sig_fault() with the address 0 for these (arch/x86/kernel/traps.c and cet.c,
arch/arm64/kernel/signal.c)."""

_NAMES = (
    *("HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2"),
    *("PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG"),
    *("XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS"),
)

_FIRST_REAL_TIME, _LAST_REAL_TIME = 34, 64
"""What `kill -l` calls SIGRTMIN and SIGRTMAX: glibc keeps the kernel's 32 and 33 to itself."""

_SENT: dict[int, tuple[str, str]] = {
    SI_USER: ("SI_USER", "sent by kill()"),
    SI_QUEUE: ("SI_QUEUE", "sent by sigqueue()"),
    -2: ("SI_TIMER", "a timer of the process expired"),
    -3: ("SI_MESGQ", "a message queue of the process got a message"),
    -4: ("SI_ASYNCIO", "an asynchronous input or output ended"),
    -5: ("SI_SIGIO", "input or output became possible"),
    SI_TKILL: ("SI_TKILL", "sent by tgkill(), as raise() does"),
    -7: ("SI_DETHREAD", "another thread called execve()"),
    -60: ("SI_ASYNCNL", "an asynchronous name lookup ended"),
    SI_KERNEL: ("SI_KERNEL", "sent by the kernel"),
}

_REASONS: dict[int, dict[int, tuple[str, str]]] = {
    SIGILL: {
        1: ("ILL_ILLOPC", "illegal instruction"),
        2: ("ILL_ILLOPN", "illegal operand"),
        3: ("ILL_ILLADR", "illegal addressing mode"),
        4: ("ILL_ILLTRP", "illegal trap"),
        5: ("ILL_PRVOPC", "privileged instruction"),
        6: ("ILL_PRVREG", "privileged register"),
        7: ("ILL_COPROC", "coprocessor error"),
        8: ("ILL_BADSTK", "internal stack error"),
        9: ("ILL_BADIADDR", "unimplemented instruction address"),
    },
    SIGTRAP: {
        TRAP_BRKPT: ("TRAP_BRKPT", "breakpoint"),
        TRAP_TRACE: ("TRAP_TRACE", "single step"),
        TRAP_BRANCH: ("TRAP_BRANCH", "branch step"),
        TRAP_HWBKPT: ("TRAP_HWBKPT", "hardware breakpoint or watchpoint"),
        5: ("TRAP_UNK", "trap without a known reason"),
        6: ("TRAP_PERF", "performance counter"),
    },
    SIGBUS: {
        BUS_ADRALN: ("BUS_ADRALN", "address not aligned"),
        BUS_ADRERR: ("BUS_ADRERR", "no memory behind the address"),
        BUS_OBJERR: ("BUS_OBJERR", "hardware error of the object"),
        BUS_MCEERR_AR: ("BUS_MCEERR_AR", "memory broken, and it was needed"),
        BUS_MCEERR_AO: ("BUS_MCEERR_AO", "memory broken, found in passing"),
    },
    SIGFPE: {
        FPE_INTDIV: ("FPE_INTDIV", "integer division"),
        2: ("FPE_INTOVF", "integer overflow"),
        3: ("FPE_FLTDIV", "floating-point division by zero"),
        4: ("FPE_FLTOVF", "floating-point overflow"),
        5: ("FPE_FLTUND", "floating-point underflow"),
        6: ("FPE_FLTRES", "inexact floating-point result"),
        7: ("FPE_FLTINV", "invalid floating-point operation"),
        8: ("FPE_FLTSUB", "subscript out of range"),
        14: ("FPE_FLTUNK", "floating-point exception without a known reason"),
        15: ("FPE_CONDTRAP", "trap on a condition"),
    },
    SIGSEGV: {
        SEGV_MAPERR: ("SEGV_MAPERR", "address not mapped"),
        SEGV_ACCERR: ("SEGV_ACCERR", "access not allowed"),
        3: ("SEGV_BNDERR", "bounds check failed"),
        4: ("SEGV_PKUERR", "access not allowed by a protection key"),
        5: ("SEGV_ACCADI", "memory tagging not enabled for the address"),
        6: ("SEGV_ADIDERR", "memory tag mismatch, found later"),
        7: ("SEGV_ADIPERR", "memory tag mismatch"),
        SEGV_MTEAERR: ("SEGV_MTEAERR", "memory tag mismatch, found later"),
        9: ("SEGV_MTESERR", "memory tag mismatch"),
        SEGV_CPERR: ("SEGV_CPERR", "return or jump not allowed by control-flow protection"),
    },
    SIGSYS: {
        SYS_SECCOMP: ("SYS_SECCOMP", "system call forbidden by seccomp"),
        2: ("SYS_USER_DISPATCH", "system call handed to the program itself"),
    },
}


def signal_name(number: int) -> str:
    """Tell the name of a signal as `kill -l` writes it."""
    if 1 <= number <= len(_NAMES):
        return f"SIG{_NAMES[number - 1]}"
    if number == _LAST_REAL_TIME:
        return "SIGRTMAX"
    if _FIRST_REAL_TIME <= number < _LAST_REAL_TIME:
        above = number - _FIRST_REAL_TIME
        return f"SIGRTMIN+{above}" if above else "SIGRTMIN"
    return f"signal {number}"


def code_name(number: int, code: int | None) -> str | None:
    """Tell the name of a signal's si_code, None where it has none."""
    return _reason(number, code)[0]


def describe(signal: SignalFacts | None) -> str:
    """Say in one line what the kernel reported: signal, reason, address or sender."""
    if signal is None or signal.number == 0:
        return "no signal"
    name, words = _reason(signal.number, signal.code)
    text = signal_name(signal.number)
    if signal.code is None:
        text += ", the core does not say why"
    elif name is None:
        text += f", reason {signal.code}"
    else:
        text += f", {words} ({name})"
    return text + _rest(signal)


def has_address(signal: SignalFacts) -> bool:
    """Whether the address that comes with a signal means something.

    Where the kernel has no address to tell it leaves 0: a general protection fault (SI_KERNEL),
    an alignment check of x86, a memory tag that was checked later, a return address that the
    shadow stack refuses. For signals that a process sent, its bytes hold the sender.
    """
    if signal.address is None or signal.code is None or signal.code <= 0:
        return False
    return signal.code != SI_KERNEL and (
        signal.address != 0 or (signal.number, signal.code) not in _WITHOUT_ADDRESS
    )


def _reason(number: int, code: int | None) -> tuple[str | None, str]:
    if code is None:
        return None, ""
    return _REASONS.get(number, {}).get(code) or _SENT.get(code) or (None, "")


def _rest(signal: SignalFacts) -> str:
    if signal.syscall is not None:
        return f": system call {signal.syscall}"
    if signal.sender_pid is not None and signal.code != SI_KERNEL:
        user = "" if signal.sender_uid is None else f" of user {signal.sender_uid}"
        return f", from process {signal.sender_pid}{user}"
    return f" at {signal.address:#x}" if has_address(signal) else ""
