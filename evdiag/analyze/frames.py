"""Which frames are the application's own, and which one to look at first."""

from collections.abc import Sequence
from functools import lru_cache

from evdiag.model.report import Frame

SYSTEM_FOLDERS = ("/lib/", "/lib64/", "/lib32/", "/usr/lib/", "/usr/lib64/", "/usr/lib32/", "[")

SYSTEM_LIBRARIES = (
    "ld-linux", "ld-2", "libc.so", "libc-2", "libgcc_s", "libm.so", "libm-2", "libpthread",
    "libstdc++", "libc++", "linux-vdso",
)  # fmt: skip
"""Run-time libraries, wherever they lie."""

SYSTEM_SOURCES = ("/usr/include/", "/include/c++/", "/usr/lib/gcc/")
"""Headers whose inlined functions are not the application's own code."""


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


def crash_frame(frames: Sequence[Frame]) -> Frame | None:
    """The frame to look at first: the innermost one of the application, else the innermost.

    Frames with a known line win: a frame without symbols cannot show where it is.
    """
    own = [f for f in frames if f.in_app]
    for candidates in ([f for f in own if f.line], own, frames):
        if candidates:
            return candidates[0]
    return None
