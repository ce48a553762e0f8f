"""The last words of a process: glibc's abort message and C++ exceptions, from its memory."""

import msgspec

from evdiag.analyze.abort_message import abort_message
from evdiag.analyze.exceptions import Found, find_exceptions
from evdiag.analyze.rtti import Demangle
from evdiag.analyze.space import AddressSpace
from evdiag.analyze.terminate import Ending, ended_itself, ending
from evdiag.model.core import ThreadState
from evdiag.model.crash import LastWords
from evdiag.model.report import CxxException, Thread

BY_EXCEPTION = ("thrown", "rethrown", "forbidden", "unclear")
"""Ways to std::terminate that begin with an exception."""


def last_words(
    space: AddressSpace, state: ThreadState, thread: Thread, demangle: Demangle
) -> LastWords:
    """What the crashed process said, where it ended itself."""
    if not ended_itself(space.facts, thread.frames):
        return LastWords()
    reached = ending(thread.frames)
    message = abort_message(space)
    words = LastWords(
        message=message.text if message else None,
        message_from=message.found_by if message else None,
    )
    found = find_exceptions(space, state, demangle)
    readable = any(frame.in_app for frame in thread.frames)
    ended, evidence = _judge(found, reached, words.message, readable=readable)
    exceptions = found.exceptions
    if ended:
        exceptions = (_with_role(exceptions[0], "uncaught"), *exceptions[1:])
    return msgspec.structs.replace(
        words,
        uncaught=ended,
        exceptions=exceptions,
        evidence=(*evidence, *found.evidence),
    )


def _judge(
    found: Found, reached: Ending | None, message: str | None, *, readable: bool
) -> tuple[bool | None, tuple[str, ...]]:
    """Whether the first exception ended the process, and what says so."""
    if not found.exceptions:
        return found.handled, ()
    if reached is not None and reached.how not in BY_EXCEPTION:
        return False, ("the program itself called std::terminate: no exception was thrown there",)
    if reached is not None:
        if found.handled is False and reached.how != "thrown":
            return False, ("the thread handles no exception",)
        if reached.how == "unclear":
            return True, ("frames of libstdc++ lie between abort() and the program",)
        return True, ("the stack leads from an exception to std::terminate",)
    if found.ended and message is None and found.handled is not False:
        return True, ("the exception was given to libstdc++'s terminate handler, which prints it",)
    where = "is being handled" if found.handled else "is alive"
    if not readable:
        return None, (f"an exception {where}; whether it ended the process, the stack cannot tell",)
    return False, (f"an exception {where}, but std::terminate is not on the stack",)


def _with_role(exception: CxxException, role: str) -> CxxException:
    return msgspec.structs.replace(exception, role=role)
