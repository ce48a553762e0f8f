"""Which frames are the application's own."""

import pytest

from evdiag.analyze.frames import crash_frame, is_in_app, is_own
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
        (MODULE, "/usr/aarch64-linux-gnu/include/bits/string_fortified.h", False),
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


NLOHMANN = "/x/include/nlohmann/json.hpp"


def code(level: int, function: str | None, file: str | None) -> Frame:
    return Frame(level=level, in_app=True, function=function, file=file, line=7 if file else None)


@pytest.mark.parametrize(
    ("function", "file", "expected"),
    [
        ("ocpp::v2::from_json(A)", "/src/types.cpp", True),
        ("ocpp::v2::from_json(A)", None, True),
        (None, None, True),
        ("main", None, True),
        ("at", None, True),
        ("nlohmann::basic_json<A>::at(B)", NLOHMANN, False),
        ("at", NLOHMANN, False),
        ("nlohmann::basic_json<A>::at(B)", None, False),
        ("std::vector<int>::at(unsigned long)", None, False),
        ("fmt::v9::detail::write(int)", "/build/_deps/fmt-src/include/fmt/core.h", False),
        ("fmt::v9::detail::write(int)", "/x/include/spdlog/fmt/bundled/core.h", False),
        ("std::hash<nlohmann::basic_json<A>>::operator()(B) const", NLOHMANN, False),
        ("nlohmann::adl_serializer<A>::from_json(B)", "/src/types.hpp", True),
        ("EvseManager::ready()", "/home/boost/ready.hpp", True),
        ("ready", "/home/boost/ready.cpp", True),
    ],
)
def test_compiled_in_libraries_are_not_the_users_own(
    function: str | None, file: str | None, expected: bool
) -> None:
    assert is_own(code(0, function, file)) is expected
    assert not is_own(Frame(level=0, function=function, file=file))


def test_the_users_own_code_is_looked_at_before_compiled_in_libraries() -> None:
    library = code(0, "nlohmann::basic_json<A>::at(B)", NLOHMANN)
    own = code(1, "ocpp::v2::from_json(A)", "/src/types.cpp")
    assert crash_frame([library, own]) == own
    assert crash_frame([library]) == library


def test_the_frame_of_the_signature_goes_first_if_it_has_a_line() -> None:
    handler, fault = code(0, "on_fault(int)", "/src/a.cpp"), code(1, "f()", "/src/b.cpp")
    assert crash_frame([handler, fault], 1) == fault
    assert crash_frame([handler, fault], 7) == handler
    lineless = code(1, "f()", None)
    assert crash_frame([handler, lineless], 1) == handler
    assert crash_frame([code(0, "main", None), lineless], 1) == lineless
