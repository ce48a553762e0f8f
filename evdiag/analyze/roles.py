"""What a thread is for, by the function that it began with: short, and the same in every run."""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from evdiag.analyze import names
from evdiag.analyze.frames import SYSTEM_LIBRARIES
from evdiag.model.report import Frame, Thread

MAIN = "main"
IN_MAIN = "lambda of main"
"""A thread that a closure of `main` runs is another one than the main thread."""
MAX_ROLE = 48
"""A role stands beside number and LWP in one line."""

_MACHINERY = re.compile(
    r"(?:std|boost)::|_|(?:start_thread|clone3?|execute_native_thread_routine)$"
)
"""Between the start of a thread and its own function: names of the standard library, those that
begin with an underscore as the language reserves them for it, and libc's in static programs."""
_LAMBDA = re.compile(r"(?:::)?(?:\{lambda|<lambda|\$_\d|'lambda)")
"""How GCC and clang call a closure, behind the function that it stands in."""
_INVOKER = "std::thread::_Invoker<"
_INVOKED = re.compile(_INVOKER + "std::tuple<")
_MEMBER = re.compile(r"\(([\w:]+)::\*\)")
_PLAIN = re.compile(r"((?:\w+|\(anonymous namespace\))(?:::(?:\w+|\(anonymous namespace\)))*)"
                    r"(?:\([^(){}]*\))?")  # fmt: skip
"""A name with parameters of which none is a function."""
_NAMELESS = ("operator", "operator()", "_FUN", "__invoke")
"""What is left of the name of a closure where it is inlined."""
_EMPTY = re.compile(rf"<{names.ELLIPSIS}>|\({names.ELLIPSIS}?\)")
"""Template arguments and parameters, after `names.qualified` has taken out what is in them."""
_ANONYMOUS = "(anonymous namespace)"


def role(thread: Thread, *, is_first: bool) -> str | None:
    """The role of a thread; `is_first` says that the process began with it."""
    if is_first:
        return MAIN
    name = _telling(name for frame in reversed(thread.frames) for name in _names(frame))
    if name is not None:
        return short(name)
    invoked = (_member(frame.function) for frame in thread.frames if frame.function)
    return next(filter(None, invoked), None) or _of_library(thread.frames)


def _names(frame: Frame) -> tuple[str, ...]:
    """The application's own function of a frame, or the closure that std::thread was given."""
    return _usable(frame.function, frame.in_app) if frame.function else ()


@lru_cache(maxsize=2048)
def _usable(function: str, in_app: bool) -> tuple[str, ...]:
    closure = _closure(function)
    if closure is not None:
        return (closure,)
    if not in_app:
        return ()
    plain = _PLAIN.fullmatch(function)  # most names; the others take a hundred times longer
    name = plain[1] if plain is not None else names.qualified(function)
    return () if name in _NAMELESS or _MACHINERY.match(name) else (name,)


def _telling(outermost_first: Iterable[str]) -> str | None:
    """The function that tells most: of closures, what they call if it belongs to the same place.

    Threads often start as a closure, be it that of a helper which starts them all. What the
    closure calls is the loop of the thread, unless it is a queue or a wait from elsewhere.
    """
    enclosing: str | None = None
    for name in outermost_first:
        closure = _LAMBDA.search(name)
        if closure is None:
            return name if enclosing is None or _place(name) == _place(enclosing) else enclosing
        enclosing = name[: closure.start()] or enclosing
    return enclosing


@lru_cache(maxsize=1024)
def _place(name: str) -> str:
    """The outermost namespace or class."""
    scope, separator, _ = name.partition("::")
    return scope if separator else ""


@lru_cache(maxsize=1024)
def short(name: str) -> str | None:
    """The name of a function (`names.qualified`) behind that of its class, without namespaces.

    Classes are told from namespaces by their capital: C++ programs mostly write them so.
    """
    if name in _NAMELESS:
        return None
    closure = _LAMBDA.search(name)
    whole = _EMPTY.sub("", name[: closure.start()] if closure is not None else name)
    scopes = [part for part in whole.split("::") if part and part != _ANONYMOUS]
    if not scopes:
        return None
    if scopes == [MAIN]:
        return IN_MAIN
    kept = scopes[-1:]
    if len(scopes) > 1 and scopes[-2][:1].isupper():
        kept = scopes[-2:]
    return names.clip("::".join(kept), MAX_ROLE)


def _closure(function: str) -> str | None:
    """The closure in the type of std::thread's state: often all that is left when it is inlined."""
    found = _INVOKED.search(function) if _INVOKER in function else None
    if found is None:
        return None
    given = function[found.end() : found.end() + names.LONGEST_PARSED]
    closure = _LAMBDA.search(given)
    if closure is None:
        return None
    return names.qualified(given[: closure.start()]) + given[closure.start() : closure.end()]


def _member(function: str) -> str | None:
    """The class whose member std::thread was given."""
    found = _INVOKED.search(function)
    member = _MEMBER.search(function, found.end()) if found is not None else None
    return short(member[1]) if member is not None else None


def _of_library(frames: Sequence[Frame]) -> str | None:
    """The library that started a thread in which the application has no part."""
    for frame in reversed(frames):
        module = names.basename(frame.module) if frame.module else ""
        if ".so" in module and not module.startswith(SYSTEM_LIBRARIES):
            return names.clip(module.partition(".so")[0], MAX_ROLE)
    return None
