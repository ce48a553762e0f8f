"""Names of signals and reasons, and what the kernel reported in words."""

import pytest

from evdiag.model.core import SignalFacts
from evdiag.model.signals import code_name, describe, has_address, signal_name


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (1, "SIGHUP"),
        (6, "SIGABRT"),
        (11, "SIGSEGV"),
        (31, "SIGSYS"),
        (32, "signal 32"),  # glibc's own
        (34, "SIGRTMIN"),
        (35, "SIGRTMIN+1"),
        (64, "SIGRTMAX"),
        (65, "signal 65"),
        (0, "signal 0"),
        (-3, "signal -3"),
    ],
)
def test_names_of_signals(number: int, name: str) -> None:
    assert signal_name(number) == name


@pytest.mark.parametrize(
    ("number", "code", "name"),
    [
        (11, 1, "SEGV_MAPERR"),
        (11, 2, "SEGV_ACCERR"),
        (11, 10, "SEGV_CPERR"),
        (7, 2, "BUS_ADRERR"),
        (8, 1, "FPE_INTDIV"),
        (4, 2, "ILL_ILLOPN"),
        (5, 1, "TRAP_BRKPT"),
        (31, 1, "SYS_SECCOMP"),
        (11, 0x80, "SI_KERNEL"),
        (6, -6, "SI_TKILL"),
        (15, 0, "SI_USER"),
        (15, 1, None),
        (11, 77, None),
        (11, None, None),
    ],
)
def test_names_of_reasons(number: int, code: int | None, name: str | None) -> None:
    assert code_name(number, code) == name


@pytest.mark.parametrize(
    ("signal", "text"),
    [
        (None, "no signal"),
        (SignalFacts(number=0, code=0), "no signal"),
        (SignalFacts(number=11), "SIGSEGV, the core does not say why"),
        (
            SignalFacts(number=11, code=1, address=0x18),
            "SIGSEGV, address not mapped (SEGV_MAPERR) at 0x18",
        ),
        (SignalFacts(number=11, code=0x80, address=0), "SIGSEGV, sent by the kernel (SI_KERNEL)"),
        (SignalFacts(number=11, code=77, address=5), "SIGSEGV, reason 77 at 0x5"),
        (
            SignalFacts(number=7, code=1, address=0),
            "SIGBUS, address not aligned (BUS_ADRALN)",
        ),
        (
            SignalFacts(number=11, code=0, sender_pid=99, sender_uid=1000),
            "SIGSEGV, sent by kill() (SI_USER), from process 99 of user 1000",
        ),
        (
            SignalFacts(number=6, code=-6, sender_pid=99),
            "SIGABRT, sent by tgkill(), as raise() does (SI_TKILL), from process 99",
        ),
        (SignalFacts(number=3, code=0x80, sender_pid=0), "SIGQUIT, sent by the kernel (SI_KERNEL)"),
        (
            SignalFacts(number=31, code=1, address=5, syscall=165),
            "SIGSYS, system call forbidden by seccomp (SYS_SECCOMP): system call 165",
        ),
    ],
)
def test_what_the_kernel_reported(signal: SignalFacts | None, text: str) -> None:
    assert describe(signal) == text


@pytest.mark.parametrize(
    ("signal", "expected"),
    [
        (SignalFacts(number=11, code=1, address=0), True),
        (SignalFacts(number=7, code=1, address=0x1001), True),
        (SignalFacts(number=11, code=None, address=5), False),
        (SignalFacts(number=11, code=-6, address=5), False),
        (SignalFacts(number=11, code=1), False),
        # where Linux has no address it leaves a 0, which is not a null pointer
        (SignalFacts(number=11, code=0x80, address=0), False),
        (SignalFacts(number=7, code=1, address=0), False),
        (SignalFacts(number=11, code=8, address=0), False),
        (SignalFacts(number=11, code=10, address=0), False),
    ],
)
def test_which_addresses_mean_something(signal: SignalFacts, expected: bool) -> None:
    assert has_address(signal) is expected
