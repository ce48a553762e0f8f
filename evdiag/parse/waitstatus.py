"""How a process ended, from the number that waitpid(2) gives, or from the words for it."""

import re

from evdiag.model.logs import ExitStatus

CORE = 0x80
"""Bit 7 of a wait status: a core was dumped (wait(2), WCOREDUMP)."""

SIGNAL = 0x7F
"""The low seven bits: the signal, or 0 after exit() (WTERMSIG)."""

STOPPED = 0x7F
"""This "signal" means that the process was stopped, and lives (WIFSTOPPED)."""

LARGEST = 0xFFFF
"""Linux uses 16 bits of the status."""

_WORDS = re.compile(r"(signal|exit_code|raw)=(\d{1,9})$")


def decode(status: int) -> ExitStatus | None:
    """A raw wait status; None for what is not the end of a process.

    256 is exit code 1, 139 is signal 11 with a core, 11 the same signal without one.
    """
    if not 0 <= status <= LARGEST:
        return None
    signal = status & SIGNAL
    if signal == STOPPED:
        return None
    if signal:
        return ExitStatus(signal=signal, core_dumped=bool(status & CORE))
    return ExitStatus(code=status >> 8)


def from_words(words: str) -> ExitStatus | None:
    """What EVerest's manager writes: `signal=11`, `exit_code=1`, or `raw=139`."""
    match = _WORDS.match(words)
    if match is None:
        return None
    number = int(match[2])
    if match[1] == "raw":
        return decode(number)
    if match[1] == "signal":
        return ExitStatus(signal=number)
    return ExitStatus(code=number)
