"""Which frames are the application's own, and which one to look at first."""

from collections.abc import Sequence
from functools import lru_cache

from evdiag.analyze.signature.spelling import spelled
from evdiag.model.report import Frame

SYSTEM_FOLDERS = ("/lib/", "/lib64/", "/lib32/", "/usr/lib/", "/usr/lib64/", "/usr/lib32/", "[")

C_LIBRARIES = ("libc.so", "libc-2", "libc.musl", "ld-musl")
"""glibc's file names now and up to 2.33, and musl's."""

CXX_LIBRARIES = ("libstdc++", "libc++", "libgcc_s", "libunwind", "libsupc++")
"""Run-time libraries of C++ and of its exceptions."""

SYSTEM_LIBRARIES = (
    *C_LIBRARIES, *CXX_LIBRARIES,
    "ld-linux", "ld-2", "libm.so", "libm-2", "libpthread", "linux-vdso",
)  # fmt: skip
"""Run-time libraries, wherever they lie."""

SYSTEM_SOURCES = (
    "/usr/include/", "/include/c++/", "/usr/lib/gcc", "/lib/clang/", "-linux-gnu/include/",
    "-linux-gnueabihf/include/",
)  # fmt: skip
"""Headers whose inlined functions are not the application's own code, also of cross compilers."""

BORROWED = ("asio", "boost", "fmt", "nlohmann", "sigslot", "spdlog", "websocketpp")
"""Namespaces of template libraries that are compiled into applications, from wherever they lie.
Their headers lie in folders of the same name."""

LIBRARY_NAMESPACES = ("std", "__gnu_cxx", *BORROWED)

HEADER_SUFFIXES = (".hpp", ".h", ".ipp", ".inl", ".tcc", ".hh")


@lru_cache(maxsize=4096)
def is_in_app(module: str | None, file: str | None) -> bool:
    """Whether a frame is the application's own code, by its module and its source file.

    Decided by the module first: a user's function may well be called `abort` or `log`.
    """
    if module is None or module.startswith(SYSTEM_FOLDERS):
        return False
    if module.rpartition("/")[2].startswith(SYSTEM_LIBRARIES):
        return False
    return file is None or not any(part in file for part in SYSTEM_SOURCES)


def is_own(frame: Frame) -> bool:
    """Whether a frame is code that the application's people wrote, not a library they compiled in.

    Such a library is told by its namespace and by the folder of its headers together: a user's
    folder may well be called `boost`, and a user may specialise a template in the library's
    namespace. Without a source file, and for an inlined function without its scopes, one of the
    two has to do.
    """
    if not frame.in_app:
        return False
    if frame.function is None:
        return True
    name = spelled(frame.function).parts
    scope = name[0] if len(name) > 1 else None
    if frame.file is None:
        return scope not in LIBRARY_NAMESPACES
    return not borrowed(frame.file) or (scope is not None and scope not in LIBRARY_NAMESPACES)


@lru_cache(maxsize=4096)
def borrowed(file: str) -> bool:
    """Whether this is a header of a template library by its path."""
    return file.endswith(HEADER_SUFFIXES) and any(part in BORROWED for part in file.split("/")[:-1])


def crash_frame(frames: Sequence[Frame], signed: int | None = None) -> Frame | None:
    """The frame to look at first: the innermost of the user's own code, else of the application.

    `signed` is the level of the first one in the signature, which knows handlers and noise.
    Frames with a known line win: a frame without symbols cannot show where it is.
    """
    chosen = [f for f in frames if f.level == signed]
    own = [f for f in frames if is_own(f)]
    in_app = [f for f in frames if f.in_app]
    for candidates in (
        [f for f in chosen if f.line], [f for f in own if f.line], chosen, own, in_app, frames,
    ):  # fmt: skip
        if candidates:
            return candidates[0]
    return None
