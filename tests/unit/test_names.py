"""Long names of functions, paths and texts made short."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evdiag.analyze import names
from tests.support.sample_threads import STRING

# ---------------------------------------------------------------- functions


@pytest.mark.parametrize(
    ("name", "width", "expected"),
    [
        ("main", 4, "main"),
        (f"f({STRING} const&)", 30, "f(std::string const&)"),
        ("f(std::__cxx11::list<int>)", 20, "f(std::list<int>)"),
        ("boost::asio::io_context::_V2::run()", 34, "boost::asio::io_context::run()"),
        ("f<a<b<c<d> > >, e>(int)", 22, "f<a<b<…> >, e>(int)"),
        ("f<a<b<c<d> > >, e>(int)", 18, "f<a<…>, e>(int)"),
        ("f<aaa<bbb>, e>(int, char)", 15, "f<aaa<…>, e>(…)"),
        ("ns::f<aaa, bbb>(int, char)", 13, "ns::f<…>(…)"),
        ("void ns::f<aaa>(int) const", 20, "ns::f<…>(…)"),
        ("a::b::c::d(int)", 12, "…::c::d(…)"),
        ("a::bbbbbbbbbb(int)", 12, "…bbbbbbbbbb"),
        ("ffffffffff(int)", 10, "ffffffffff"),
        ("ffffffffffffffff", 9, "ffff…ffff"),
        ("(anonymous namespace)::f(int, int)", 30, "(anonymous namespace)::f(…)"),
        ("bool operator< <int>(A<int>, B)", 26, "bool operator< <int>(…)"),
        ("x::operator->(int) const", 20, "x::operator->(…)"),
        ("A::operator bool() const", 20, "A::operator bool()"),
        ("int A::f(int, int) [clone .cold]", 24, "A::f(…) [clone .cold]"),
        ("auto f<(1)>(2)>(int)", 12, "f<…>(…)>(…)"),
        ("a::r()::{lambda(int, char)#2}::operator()(int) const", 30, "a::r()::{lambda#2}(…) const"),
        ("f(decltype (x->y), z)) >", 12, "f(…)) >"),
    ],
)
def test_function_names_lose_what_tells_least(name: str, width: int, expected: str) -> None:
    assert names.function(name, width) == expected


@given(st.text(alphabet="ab:<>(){}-, o", max_size=60), st.integers(1, 50))
def test_any_name_fits_into_any_width(name: str, width: int) -> None:
    shortened = names.function(name, width)
    assert len(shortened) <= width
    assert shortened == name or len(name) > width


def test_endless_names_are_shortened_too() -> None:
    for name in ("<" * 100_000, "::".join("a" * 50_000), "a(" * 50_000, ">" * 100_000):
        assert len(names.function(name, 60)) <= 60


# ---------------------------------------------------------------- other texts


def test_texts_are_cut_where_they_tell_least() -> None:
    assert names.elide("0123456789", 10) == "0123456789"
    assert names.elide("0123456789", 6) == "01…789"
    assert names.elide("0123456789", 1) == "…"
    assert names.clip("0123456789", 10) == "0123456789"
    assert names.clip("0123456789", 6) == "01234…"


@pytest.mark.parametrize(
    ("path", "width", "expected"),
    [
        ("/src/a.cpp", 10, "/src/a.cpp"),
        ("/very/long/src/a.cpp", 12, "…/src/a.cpp"),
        ("/very/long/a.cpp", 8, "a.cpp"),
        ("/very/abcdefghij.cpp", 8, "abc….cpp"),
        ("abcdefghij.cpp", 8, "abc….cpp"),
    ],
)
def test_paths_lose_directories_first(path: str, width: int, expected: str) -> None:
    assert names.path(path, width) == expected


def test_basenames() -> None:
    assert names.basename("/usr/lib/libc.so.6") == "libc.so.6"
    assert names.basename("/usr/lib/") == "lib"
    assert names.basename("libc") == "libc"
    assert names.basename("/") == "/"


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("a::f(int) const::{lambda(int)#1}::operator()(int) const", "a::f(…)::{lambda#1}"),
        ("int a::f(int) const &::{lambda()#2}::operator()()", "a::f(…)::{lambda#2}"),
        ("a::f() volatile::g()", "a::f()::g"),
    ],
)
def test_a_lambda_of_a_const_function_keeps_its_scopes(name: str, short: str) -> None:
    assert names.qualified(name) == short
