"""Which frames are the application's own."""

import pytest

from evdiag.analyze.frames import crash_frame, is_in_app
from evdiag.model.report import Frame

MODULE = "/opt/everest/libexec/everest/modules/EvseManager/EvseManager"


@pytest.mark.parametrize(
    ("module", "file", "expected"),
    [
        (MODULE, "/src/EvseManager.cpp", True),
        (MODULE, None, True),
        ("/opt/everest/lib/libframework.so", None, True),
        ("/usr/local/lib/libocpp.so", None, True),
        (None, None, False),
        (None, "/src/a.cpp", False),
        ("/lib/x86_64-linux-gnu/libc.so.6", "abort.c", False),
        ("/usr/lib/x86_64-linux-gnu/libmosquitto.so.1", None, False),
        ("/lib64/ld-linux-x86-64.so.2", None, False),
        ("/usr/lib64/libcrypto.so.3", None, False),
        ("/lib32/libc.so.6", None, False),
        ("/usr/lib32/libc.so.6", None, False),
        ("[vdso]", None, False),
        # run-time libraries that a bundle brings along
        ("/opt/everest/lib/libstdc++.so.6", None, False),
        ("/opt/everest/lib/libc.so.6", None, False),
        ("/nix/store/abc-glibc/lib/libc-2.31.so", None, False),
        ("/opt/lib/ld-2.31.so", None, False),
        ("/opt/lib/libm.so.6", None, False),
        ("/opt/lib/libpthread.so.0", None, False),
        ("/opt/lib/libgcc_s.so.1", None, False),
        ("/opt/lib/libc++.so.1", None, False),
        ("/opt/lib/libmodbus.so", None, True),
        ("/opt/lib/libcharge.so", None, True),
        # code of headers that was inlined into the application
        (MODULE, "/usr/include/c++/12/bits/std_function.h", False),
        (MODULE, "/opt/gcc/include/c++/12/bits/stl_vector.h", False),
        (MODULE, "/usr/lib/gcc/x86_64-linux-gnu/12/include/emmintrin.h", False),
        (MODULE, "/src/include/energy.hpp", True),
    ],
)
def test_in_app(module: str | None, file: str | None, expected: bool) -> None:
    assert is_in_app(module, file) is expected


def frame(level: int, *, own: bool = False, line: int | None = None) -> Frame:
    return Frame(level=level, in_app=own, line=line)


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ([], None),
        ([frame(0), frame(1)], 0),
        ([frame(0, line=5), frame(1, own=True)], 1),
        ([frame(0), frame(1, own=True), frame(2, own=True, line=42), frame(3, own=True)], 2),
        ([frame(0), frame(1, own=True, line=0), frame(2, own=True)], 1),
        ([frame(0, own=True, line=1), frame(1, own=True, line=2)], 0),
    ],
)
def test_the_frame_to_look_at_first(frames: list[Frame], expected: int | None) -> None:
    found = crash_frame(frames)
    assert (found.level if found else None) == expected
