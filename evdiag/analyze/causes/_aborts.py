"""What the rules about abort() share: who called it, what libc said, which frames are libc's."""

from collections.abc import Sequence

from evdiag.analyze.causes._faults import handler_lines
from evdiag.analyze.exports import LIBC, LIBSTDCXX
from evdiag.analyze.names import elide, qualified
from evdiag.analyze.space import VDSO
from evdiag.model.crash import CrashFacts
from evdiag.model.report import Frame
from evdiag.model.signals import SI_TKILL, SIGABRT, describe
from evdiag.parse.abort_message import BY_FORM, BY_POINTER

ALIAS = "__GI_"
"""What glibc puts before the names that it calls its own functions by."""
RUN_TIME = (*LIBC, *LIBSTDCXX, VDSO, "linux-gate.so")
"""Where a thread is when abort() ends it; on i386 system calls are made in the kernel's library."""
LONGEST_NAME = 80
"""Letters of the name of a function in a sentence."""


def aborted(facts: CrashFacts) -> bool:
    """Whether the process sent itself SIGABRT, which is how abort() works.

    A watchdog sends it too, from outside: what libc said before has nothing to do with that.
    """
    signal = facts.signal
    if signal is None or signal.number != SIGABRT:
        return False
    sender, own = signal.sender_pid, facts.pid
    by_itself = signal.code == SI_TKILL and (sender is None or own is None)
    return by_itself or sender is None or sender == own


def message(facts: CrashFacts) -> tuple[str, str] | None:
    """(text, how it was found): what libc said, from memory, else from the log."""
    words = facts.words
    if words.message:
        return words.message, words.message_from or BY_FORM
    events = facts.log.of("libc-message") if facts.log is not None else ()
    for event in reversed(events):
        if event.detail:
            return event.detail, f"in {event.source}:{event.line}"
    return None


def text_of(facts: CrashFacts) -> str:
    """What libc said, empty if nothing is known of it."""
    found = message(facts)
    return found[0] if found is not None else ""


def confidence(facts: CrashFacts) -> str:
    """How sure a verdict is that rests on libc's message, or else on names of frames."""
    known = facts.signal is not None and facts.signal.code is not None
    return "high" if known and facts.words.message_from == BY_POINTER else "medium"


def is_libc(frame: Frame) -> bool:
    """Whether a frame lies in libc, by its module: anybody may call a function `abort`."""
    return _lies_in(frame, LIBC)


def _lies_in(frame: Frame, libraries: tuple[str, ...]) -> bool:
    return (frame.module or "").rpartition("/")[2].startswith(libraries)


def innermost(facts: CrashFacts) -> Sequence[Frame]:
    """The frames of libc and libstdc++ in which the thread died, innermost first.

    Frames further out are of no interest: a signal may have interrupted malloc(), and its
    handler called abort().
    """
    for i, frame in enumerate(facts.frames):
        if frame.kind == "signal" or not _lies_in(frame, RUN_TIME):
            return facts.frames[:i]
    return facts.frames


def name_in_libc(frame: Frame) -> str:
    """What a function of libc is called in its documentation, without argument list or alias."""
    return (frame.function or "").partition("(")[0].partition(".")[0].removeprefix(ALIAS)


def libc_frame(facts: CrashFacts, names: Sequence[str]) -> Frame | None:
    """The outermost of the frames in which the thread died that is one of these of libc."""
    found = [f for f in innermost(facts) if is_libc(f) and name_in_libc(f) in names]
    return found[-1] if found else None


def caller(facts: CrashFacts) -> Frame | None:
    """Who called into libc: the first frame of the application behind libc's, else of anybody.

    None where the thread did not die in libc by its module, as in static programs: there the
    functions of libc look like everybody else's.
    """
    dying = innermost(facts)
    rest = facts.frames[len(dying) :] if dying else ()
    for frame in rest:
        if frame.kind == "signal":
            break
        if frame.in_app:
            return frame
    return rest[0] if rest and rest[0].kind != "signal" else None


def by(frame: Frame | None, before: str) -> str:
    """A frame at the end of a sentence; empty if there is none, or it has no name."""
    if frame is None or not frame.function:
        return ""
    return f"{before}{elide(qualified(frame.function), LONGEST_NAME)}"


def evidence(facts: CrashFacts, *more: str, verbatim: bool = True) -> tuple[str, ...]:
    """The facts behind a verdict; what libc said in its own words, if `verbatim`."""
    found = message(facts)
    said: tuple[str, ...] = ()
    if found is not None:
        said = (f"libc said: {found[0]} (found {found[1]})",)
        if not verbatim:
            said = (*more, f"libc's message was found {found[1]}")
            more = ()
    return (*said, *more, describe(facts.signal), *handler_lines(facts))
