"""Where a frame is from, so that a name counts only for code of that place."""

from functools import lru_cache

from evdiag.analyze.frames import CXX_LIBRARIES, SYSTEM_LIBRARIES, SYSTEM_SOURCES, borrowed, is_own
from evdiag.analyze.signature.spelling import portable, spelled
from evdiag.model.report import Frame

CXX_HEADERS = "/include/c++/"
"""Of libstdc++ and libc++. What else the system has is C's, or the compiler's own."""

_VARIANTS = (
    "_avx", "_evex", "_sse", "_ssse", "_erms", "_unaligned", "_generic", "_aligned", "_falkor",
    "_thunderx", "_simd", "_a64fx", "_mops", "_advsimd", "_kunpeng", "_zva", "_mte", "_asimd",
    "_nosse",
)  # fmt: skip
"""With what glibc tells its copies of one function for several processors apart
(sysdeps/x86_64/multiarch, sysdeps/aarch64/multiarch)."""


def place(frame: Frame) -> str:
    """libc, runtime, program, header, library or nowhere.

    header: code of a template library that was compiled into the program. library: another
    library of the system. nowhere: the frame lies in no module.
    """
    if frame.module is None:
        return "nowhere"
    if is_own(frame):
        return "program"
    return _place(frame.module, frame.file, in_app=frame.in_app)


@lru_cache(maxsize=4096)
def _place(module: str, file: str | None, *, in_app: bool) -> str:
    name = module.rpartition("/")[2]
    if name.startswith(CXX_LIBRARIES):
        return "runtime"
    if name.startswith((*SYSTEM_LIBRARIES, "[")):
        return "libc"
    if in_app or (file is not None and borrowed(file)):
        return "header"
    if file is None or not any(part in file for part in SYSTEM_SOURCES):
        return "library"
    if CXX_HEADERS in file:
        return "runtime"  # inlined into the program
    return "libc"


@lru_cache(maxsize=1024)
def libc_name(name: str) -> str:
    """The one name for all aliases and copies of a function of libc.

    `__GI_raise`, `__pthread_kill_implementation` and `__memmove_avx_unaligned_erms` become
    `raise`, `pthread_kill_implementation` and `memmove`.
    """
    bare = spelled(name).text.removeprefix("__GI_").strip("_") or name
    bare = bare.removeprefix("new_").removeprefix("old_")
    for marker in _VARIANTS:
        if marker in bare:
            bare = bare[: bare.index(marker)]
    return bare


def text_of(frame: Frame) -> str:
    """What stands in a signature for the frame; module and offset where it has no name."""
    if frame.function:
        return portable(frame.function)
    return unnamed(frame)


def unnamed(frame: Frame) -> str:
    """A frame without symbols: the same in every run of the same build."""
    if frame.module is None:
        return "?"
    name = frame.module.rpartition("/")[2]
    return f"{name}+{frame.offset}" if frame.offset is not None else name


def library_name(module: str) -> str:
    """A library without its version: `libmosquitto.so.1` is `libmosquitto`."""
    return module.rpartition("/")[2].partition(".so")[0]
