"""How std::terminate came to be called, by the functions of the C++ library on the stack.

libstdc++ exports the names of those functions, so they are there without debug information. Where
its file is missing, or the linker has dropped its symbols, only the modules tell.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

import msgspec

from evdiag.analyze import names
from evdiag.analyze.frames import C_LIBRARIES, CXX_LIBRARIES
from evdiag.model.core import CoreFacts
from evdiag.model.report import Frame
from evdiag.model.signals import SIGABRT

ABORTING = (*C_LIBRARIES, "libpthread")
"""abort() is in libc, and up to glibc 2.33 raise() may be in libpthread."""

TERMINATE = {
    "std::terminate", "__terminate", "__gnu_cxx::__verbose_terminate_handler",
    "__cxa_call_terminate", "__clang_call_terminate", "__cxa_pure_virtual",
    "__cxa_deleted_virtual", "std::unexpected", "__unexpected", "__cxa_call_unexpected",
}  # fmt: skip
"""Functions that end the process, or are called where it cannot go on (libsupc++: eh_terminate.cc,
vterminate.cc, eh_call.cc, pure.cc; clang makes __clang_call_terminate in the program itself)."""
PURE = {"__cxa_pure_virtual", "__cxa_deleted_virtual"}
FORBIDDEN = {
    "__cxa_call_terminate", "__clang_call_terminate", "__gxx_personality_v0",
    "__cxa_call_unexpected",
}  # fmt: skip
"""On the stack when an exception reached a function that lets none out."""
AGAIN = {"__cxa_rethrow", "std::rethrow_exception"}
FIRST = {"__cxa_throw"}
RUNTIME = TERMINATE | FORBIDDEN | AGAIN | FIRST
RUNTIME_PREFIXES = ("_Unwind_", "std::__throw_", "unwind_phase2", "std::__exception_ptr::")
"""More functions of the run-time library, as they appear in programs linked statically."""
LIBRARY_SCOPES = ("std::", "__gnu_cxx::")
_HINT = re.compile("terminate|unexpected|_virtual")
"""Part of all names in `TERMINATE`: to take every name on a deep stack apart would cost much."""
AT_LEAST = 2
"""Frames of the C++ library between abort() and the program that are taken for std::terminate
where none has a name: std::__glibcxx_assert_fail, which aborts too, is only one."""


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """What the stack says about a call of std::terminate."""

    how: str
    """thrown, rethrown, forbidden (a noexcept function was reached), called (by the program),
    pure (a virtual function that is not there), unclear (the frames have no names)."""
    functions: frozenset[str] = frozenset()
    """Those of the C++ library that led there."""
    caller: Frame | None = None
    """The first frame of the program's own code that called them: it threw, or it called
    std::terminate, maybe by way of an inlined function of the library."""

    @property
    def threw(self) -> bool:
        """Whether `caller` is where the exception was thrown, or thrown again."""
        return bool(self.functions & (FIRST | AGAIN))


def ended_itself(facts: CoreFacts, frames: Sequence[Frame]) -> bool:
    """Whether a process gave up by abort() or std::terminate: only then has it last words."""
    signal, own = facts.signal, facts.pid
    if signal is None or signal.number != SIGABRT:
        return ending(frames) is not None
    return own is None or signal.sender_pid in (None, own) or ending(frames) is not None


def ending(frames: Sequence[Frame]) -> Ending | None:
    """How std::terminate came to be called; None if it is not on the stack of this signal."""
    stack = _until_signal(frames)
    first = next((i for i, f in enumerate(stack) if f.function and _ends(f.function)), None)
    if first is None:
        return _by_modules(stack)
    seen: set[str] = set()
    for i, frame in enumerate(stack[first:], first):
        name = function_of(frame)
        if not (is_of(frame, CXX_LIBRARIES) or _is_runtime(name)):
            return Ending(how=_how(seen), functions=frozenset(seen), caller=_own(stack[i:]))
        seen.add(name)
    return Ending(how=_how(seen), functions=frozenset(seen))


def function_of(frame: Frame) -> str:
    """The plain name of a frame's function, without the namespace of the run-time library."""
    return _plain(frame.function) if frame.function else ""


@lru_cache(maxsize=4096)
def _ends(function: str) -> bool:
    return _HINT.search(function) is not None and _plain(function) in TERMINATE


@lru_cache(maxsize=1024)
def _plain(function: str) -> str:
    return names.qualified(function).removeprefix("__cxxabiv1::")


def _how(seen: set[str]) -> str:
    for how, some in (("pure", PURE), ("forbidden", FORBIDDEN), ("rethrown", AGAIN)):
        if seen & some:
            return how
    if seen & FIRST:
        return "thrown"
    return "forbidden" if any(name.startswith("_Unwind_") for name in seen) else "called"


def _until_signal(frames: Sequence[Frame]) -> list[Frame]:
    """The frames above a signal handler's trampoline: what is below did not call abort()."""
    found = []
    for frame in frames:
        if frame.kind == "signal":
            break
        found.append(frame)
    return found


def _by_modules(stack: Sequence[Frame]) -> Ending | None:
    """The same where std::terminate itself has no name."""
    inner = next((i for i, f in enumerate(stack) if not is_of(f, ABORTING)), len(stack))
    seen: set[str] = set()
    count = 0
    for frame in stack[inner:]:
        if not is_of(frame, CXX_LIBRARIES):
            break
        name = function_of(frame)
        if name and not _is_runtime(name):
            return None
        seen.add(name)
        count += 1
    if inner == 0 or count < AT_LEAST:
        return None
    how = _how(seen) if seen != {""} else "unclear"
    return Ending(how=how, functions=frozenset(seen), caller=_own(stack[inner + count :]))


def _own(stack: Sequence[Frame]) -> Frame | None:
    """The first frame of the program's own: functions of the library may be compiled into it."""
    for frame in stack:
        name = function_of(frame)
        if frame.in_app or (frame.kind != "inline" and not name.startswith(LIBRARY_SCOPES)):
            return frame
    return stack[0] if stack else None


def _is_runtime(name: str) -> bool:
    return name in RUNTIME or name.startswith(RUNTIME_PREFIXES)


def is_of(frame: Frame, libraries: tuple[str, ...]) -> bool:
    """Whether a frame's code is in one of some libraries, by how their files are called."""
    return (frame.module or "").rpartition("/")[2].startswith(libraries)
