"""Readable C++ names: the C++ run-time library's own demangler, by ctypes, else our own.

`symbolic` gives mangled names. The demangler of GNU's library gives up on some of them (lambdas
in template arguments), and a machine may have no C++ run-time library: then names come without
parameters and template arguments, from `parse/mangled.py`.
"""

import ctypes
import re
from collections.abc import Callable

from evdiag.parse.mangled import readable_name

LIBRARIES = ("libstdc++.so.6", "libc++abi.so.1", "libc++abi.dylib", "libc++.1.dylib")

MAX_MANGLED = 8192
"""Longer names stay as they are: demangling can grow a name exponentially."""

_MOVED = re.compile(r"((\.(cold|part|isra|constprop|lto_priv|localalias)|_alias_\d+)(\.\d+)?)+$")
"""Suffixes of parts that the compiler split off or copied, and of libc's aliases."""

Demangle = Callable[[bytes], bytes | None]


def load_demangler(libraries: tuple[str, ...] = LIBRARIES) -> Demangle | None:
    """`__cxa_demangle` of the first library that has it; None without any."""
    for name in libraries:
        try:
            return _bind(ctypes.CDLL(name))
        except (OSError, AttributeError):
            continue
    return None


def _bind(library: ctypes.CDLL) -> Demangle:
    call = library["__cxa_demangle"]  # an attribute of this name would be mangled by Python
    call.restype = ctypes.c_void_p
    call.argtypes = [ctypes.c_char_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
    free = ctypes.CDLL(None).free
    free.argtypes = [ctypes.c_void_p]
    free.restype = None

    def demangle(mangled: bytes) -> bytes | None:
        status = ctypes.c_int(0)
        pointer = call(mangled, None, None, ctypes.byref(status))
        if not pointer:
            return None
        try:
            return ctypes.string_at(pointer)
        finally:
            free(pointer)

    return demangle


class Demangler:
    """Demangles names, each once."""

    def __init__(self, demangle: Demangle | None) -> None:
        self._demangle = demangle
        self._known: dict[str, str] = {}

    def __call__(self, name: str) -> str:
        """The readable form of a name; the name itself where there is none."""
        found = self._known.get(name)
        if found is None:
            found = self._known[name] = self._readable(name)
        return found

    def _readable(self, name: str) -> str:
        plain = _MOVED.sub("", name.split(" [clone ", 1)[0])
        if not plain.startswith("_Z"):
            return plain
        if self._demangle and len(plain) <= MAX_MANGLED:
            result = self._demangle(plain.encode("utf-8", "replace"))
            if result is not None:
                return result.decode("utf-8", "replace").split(" [clone ", 1)[0]
        return readable_name(plain) or plain
