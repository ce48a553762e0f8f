"""Stacks for the tests of signatures, as the engine would make them."""

from collections.abc import Sequence

from evdiag.adapters.signature_lists import signature_lists
from evdiag.analyze.frames import is_in_app
from evdiag.analyze.sign import sign
from evdiag.model.crash import Cause, CrashFacts
from evdiag.model.report import Address, Frame, Thread
from evdiag.model.signature import Signed

APP = "/opt/everest/libexec/everest/modules/EvseManager/EvseManager"
LIBC = "/lib/x86_64-linux-gnu/libc.so.6"
STDCXX = "/usr/lib/x86_64-linux-gnu/libstdc++.so.6.0.30"
LIBGCC = "/usr/lib/x86_64-linux-gnu/libgcc_s.so.1"
MOSQUITTO = "/usr/lib/x86_64-linux-gnu/libmosquitto.so.1"
HEADER = "/usr/include/c++/12/bits/stl_map.h"

Row = tuple[str | None, str, str | None]
"""(function, module, source file)"""


def own(function: str | None, file: str | None = "/src/EvseManager.cpp") -> Row:
    return function, APP, file


def libc(function: str | None) -> Row:
    return function, LIBC, None


def cxx(function: str | None) -> Row:
    return function, STDCXX, None


def header(function: str, file: str = HEADER) -> Row:
    return function, APP, file


SIGNAL: Row = ("__restore_rt", LIBC, None)
START: tuple[Row, ...] = (cxx(None), libc("start_thread"), libc("__GI___clone3"))
MAIN: tuple[Row, ...] = (
    libc("__libc_start_call_main"), libc("__libc_start_main_impl"), own("_start", None)
)  # fmt: skip
ABORT: tuple[Row, ...] = (
    libc("__pthread_kill_implementation"), libc("__GI_raise"), libc("__GI_abort")
)  # fmt: skip
THROW: tuple[Row, ...] = (*ABORT, cxx(None), cxx("std::terminate()"), cxx("__cxa_throw"))


def frames_of(rows: Sequence[Row], inline: Sequence[int] = ()) -> tuple[Frame, ...]:
    """Frames as the engine makes them; those of `inline` have been inlined into the next one."""
    return tuple(
        Frame(
            level=i,
            kind="signal" if row is SIGNAL else "inline" if i in inline else "normal",
            function=row[0],
            module=row[1] or None,
            file=row[2],
            offset=Address(0x1000 + i) if row[1] else None,
            build_id="ab12" if row[1] else None,
            in_app=is_in_app(row[1] or None, row[2]),
        )
        for i, row in enumerate(rows)
    )


def signed(
    *rows: Row, cls: str = "null-read", detail: str | None = None, inline: Sequence[int] = (),
    **facts: object,
) -> Signed:  # fmt: skip
    """The signature of a crash with this stack."""
    frames = frames_of(rows, inline)
    known = {"threads": (Thread(number=1, lwp=7, crashed=True, frames=frames),), **facts}
    crash = CrashFacts(frames=frames, **known)  # type: ignore[arg-type]
    cause = Cause(cls=cls, summary="", detail=detail)
    return sign("EvseManager", cause, crash, signature_lists())


def text(*rows: Row, **more: object) -> str:
    """The signature without what all of them begin with."""
    found = signed(*rows, **more).signature.text  # type: ignore[arg-type]
    assert found is not None
    return found.removeprefix("sig:v1: EvseManager | ")
