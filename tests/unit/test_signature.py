"""Signatures: what is in them, what is not, and what they do not depend on."""

import hashlib

import pytest

from evdiag.analyze.sign import HASH_DIGITS
from evdiag.model.core import MappedFile
from tests.support.sample_stacks import (
    ABORT,
    APP,
    LIBC,
    LIBGCC,
    MAIN,
    MOSQUITTO,
    START,
    THROW,
    Row,
    cxx,
    header,
    libc,
    own,
    signed,
    text,
)


def test_a_signature_and_what_goes_with_it() -> None:
    rows = (*THROW, header("std::map<int, A>::at(int const&)"), own("a::B::find(int)"), own("main"))
    found = signed(*rows, *MAIN, cls="uncaught-exception", detail="std::out_of_range")

    expected = (
        "sig:v1: EvseManager | uncaught-exception: std::out_of_range | "
        "std::map<T>::at | a::B::find | main"
    )
    signature = found.signature
    assert signature.text == expected
    assert signature.hash == hashlib.sha256(expected.encode()).hexdigest()[:HASH_DIGITS]
    assert signature.version == "v1"
    assert signature.inputs == (
        "program: EvseManager",
        "class: uncaught-exception",
        "detail: std::out_of_range",
        "before it, frame 6 of thread 1: std::map<T>::at",
        "frame 7 of thread 1: a::B::find",
        "frame 8 of thread 1: main",
    )
    assert len(signature.proto) == len(rows) + len(MAIN)
    assert signature.proto[:4] == (
        "pthread_kill_implementation", "raise", "abort", "libstdc++.so.6.0.30+0x1003"
    )  # fmt: skip
    assert signature.address == "ab12+0x1006 | ab12+0x1007 | ab12+0x1008"
    assert found.frame == 7


# -- invariance


CRASH = (own("a::f(int)"), own("a::g()"), own("a::h()"))


@pytest.mark.parametrize(
    "above",
    [
        (),
        ABORT,
        (libc(None), libc("__GI_raise"), libc(None)),
        (libc(None), libc(None), libc(None)),
        (*ABORT, libc("__libc_message"), libc("malloc_printerr"), libc("_int_free"), libc("free")),
        (*ABORT, libc("__GI___fortify_fail"), libc("__GI___chk_fail"), libc("__strcpy_chk")),
        (*ABORT, libc("__fortify_fail"), header("strcpy", "/usr/include/bits/string_fortified.h")),
        (libc("__memmove_avx_unaligned_erms"),),
        (header("_mm_load", "/usr/lib/gcc/x86_64-linux-gnu/12/include/emmintrin.h"),),
        (header("_mm_load", "/usr/lib/llvm-14/lib/clang/14.0.6/include/emmintrin.h"),),
        (*ABORT, libc("__assert_fail_base"), libc("__GI___assert_fail")),
        THROW,
        (*THROW, ("_Unwind_RaiseException", LIBGCC, None), (None, LIBGCC, None)),
        (*ABORT, cxx(None), own("__clang_call_terminate", None)),
        (*THROW, cxx("std::__throw_bad_alloc()")),
        (("read", "[vdso]", None),),
        ((None, "", None),),
        ((None, MOSQUITTO, None), ("mosquitto_loop", MOSQUITTO, None)),
    ],
)
def test_what_stands_above_the_application_does_not_matter(above: tuple[Row, ...]) -> None:
    assert text(*above, *CRASH, *START, cls="abort") == "abort | a::f | a::g | a::h"


@pytest.mark.parametrize("below", [(), START, MAIN, (own("i()"), own("main"), *MAIN)])
def test_nor_does_what_stands_below(below: tuple[Row, ...]) -> None:
    assert text(*CRASH, *below) == "null-read | a::f | a::g | a::h"


def test_thread_bases_cut_the_stack_even_in_the_program_itself() -> None:
    rows = (own("main"), own("_start", None), own("beyond()"))
    assert text(*rows) == "null-read | main"
    glibc_start = own("_start", "../sysdeps/x86_64/start.S")
    assert text(own("main"), glibc_start, own("beyond()")) == "null-read | main"


def test_a_program_without_libc_may_have_a_start_of_its_own() -> None:
    assert text(own("_start", None)) == "null-read | _start"
    assert text(own("f"), own("_start", "/src/altmain.c")) == "null-read | f | _start"


@pytest.mark.parametrize("depth", [1, 2, 5, 150])
def test_the_depth_of_a_recursion_does_not_matter(depth: int) -> None:
    assert text(*[own("walk(int)")] * depth, own("main")) == "null-read | walk | main"
    assert text(*[own("f()"), own("g()")] * depth, own("main")) == "null-read | f | g | main"


def test_only_numbers_of_libc_are_replaced() -> None:
    crash = (own("f()"),)
    tcache = "free(): double free detected in tcache 2"
    assert text(*crash, cls="heap-corruption", detail=tcache) == (
        "heap-corruption: free(): double free detected in tcache N | f"
    )
    assert text(*crash, cls="abort", detail="at 0x7fFF01 of v2\n 17") == "abort: at N of v2 N | f"
    one = text(*crash, cls="assert", detail="phase == 1")
    assert one == "assert: phase == 1 | f"
    assert one != text(*crash, cls="assert", detail="phase == 2")
    thrown = text(*crash, cls="uncaught-exception", detail="Error<2>")
    assert thrown == "uncaught-exception: Error<2> | f"


def test_optimisation_and_compiler_do_not_matter() -> None:
    function = "charging::Meter::init()"
    plain = text(
        own("charging::(anonymous namespace)::read(int)"),
        own(f"{function}::{{lambda(int)#1}}::operator()(int) const"),
        header(f"void std::__invoke_impl<void, {function}::{{lambda(int)#1}}&>(int)"),
        own("int charging::run<(anonymous namespace)::A>(int)"),
    )
    optimised = text(
        own("read"),
        own("operator()"),
        header(f"__invoke_impl<void, {function}::<lambda(int)>&>"),
        own("run<{anonymous}::A>"),
        inline=(0, 1, 2),
    )
    clang = text(
        own("charging::(anonymous namespace)::read(int)"),
        own(f"{function}::$_0::operator()(int) const"),
        header(f"void std::__invoke_impl[abi:v1]<void, {function}::$_0&>(int)"),
        own("int charging::run<(anonymous namespace)::A>(int)"),
    )
    assert plain == optimised == clang
    assert plain == "null-read | read | charging::Meter::init::{lambda} | run<T>"


@pytest.mark.parametrize(
    ("below", "expected"),
    [
        ([own("a::f(int)")], "a::f::{lambda}"),
        ([own("a::f(int)::{lambda()#1}::operator()() const")], "a::f::{lambda}"),
        ([own("operator()"), own("a::f(int)")], "a::f::{lambda}"),
        ([header("std::sort(int*, int*)")], "{lambda}"),
        ([own(None)], "{lambda}"),
        ([], "{lambda}"),
        ([own("operator()")] * 20, "{lambda}"),
    ],
)
def test_an_inlined_lambda_belongs_to_what_calls_it(below: list[Row], expected: str) -> None:
    inline = range(1 + sum(row[0] == "operator()" for row in below))
    assert text(own("operator()"), *below, inline=inline).split(" | ")[1] == expected


# -- what survives


@pytest.mark.parametrize(
    "name",
    [
        "raise", "abort", "log", "kill", "free", "memcpy", "start_thread", "clone", "poll",
        "raise(int)", "log(char const*)", "abort_session()", "Assertion::check(int)",
        "free_memory(void*)", "new_session()", "assert_limits(double)", "Logger::abort()",
        "std_like::terminate()", "boosted::run()", "tcache_put(int)", "__read_config()",
        "mem_pool::get()", "string_of(int)",
    ],
)  # fmt: skip
def test_names_of_users_survive(name: str) -> None:
    expected = name.partition("(")[0]
    assert text(own(name), own("main"), *MAIN) == f"null-read | {expected} | main"
    assert text(own(name, None), own("main")) == f"null-read | {expected} | main"


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (header("std::vector<int>::at(unsigned long)"), "std::vector<T>::at | f"),
        (own("std::vector<int>::at(unsigned long)", None), "std::vector<T>::at | f"),
        (cxx("std::string::append(char const*)"), "std::string::append | f"),
        (own("nlohmann::json_abi_v3_11_2::basic_json<A>::at(B)", None),
         "nlohmann::basic_json<T>::at | f"),
        (own("nlohmann::basic_json<A>::at(B)", "/x/include/nlohmann/json.hpp"),
         "nlohmann::basic_json<T>::at | f"),
        (own("at", "/x/include/nlohmann/detail/json.hpp"), "at | f"),
        (header("boost::asio::detail::call(int)", "/usr/include/boost/asio.hpp"),
         "boost::asio::detail::call | f"),
        (own("operator new(unsigned long)", None), "operator new | f"),
        # a user may have a folder of that name, and may specialise a library's template
        (own("EvseManager::ready()", "/home/boost/src/ready.hpp"), "EvseManager::ready | f"),
        (own("ready", "/home/boost/src/ready.cpp"), "ready | f"),
        (own("nlohmann::adl_serializer<A>::from_json(B)", "/src/types.hpp"),
         "nlohmann::adl_serializer<T>::from_json | f"),
        (own("std::hash<A>::operator()(A) const", "/src/types.hpp"),
         "std::hash<T>::operator() | f"),
    ],
)  # fmt: skip
def test_libraries_stand_before_the_application_only(row: Row, expected: str) -> None:
    assert text(row, own("f()")) == f"null-read | {expected}"


def test_of_libraries_only_what_the_application_called_is_kept() -> None:
    rows = (
        header("std::vector<int>::_M_range_check(int)"), header("std::vector<int>::at(int)"),
        own("f()"), header("std::function<void ()>::operator()() const"), own("g()"),
    )  # fmt: skip
    assert text(*rows) == "null-read | std::vector<T>::at | f | g"
    found = signed(*rows)
    why = [t.why for t in found.treatments if t.role == "prefix"]
    assert len(why) == 3
    assert sum("only the last one" in line for line in why) == 2
    assert found.frame == 2


def test_functions_of_libc_linked_into_the_program_are_told_by_their_names() -> None:
    rows = (own("raise", None), own("abort", "./stdlib/abort.c"), own("f()"), own("poll", "/a.c"))
    program = MappedFile(start=0, end=1, offset=0, path=APP)
    assert text(*rows, files=(program,)) == "null-read | f | poll"
    shared = MappedFile(start=1, end=2, offset=0, path=LIBC)
    assert text(*rows, files=(program, shared)) == "null-read | raise | abort | f"
