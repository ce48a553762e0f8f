"""One spelling of names for every compiler, optimisation level and demangler."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evdiag.analyze.signature.places import libc_name, library_name
from evdiag.analyze.signature.spelling import (
    DEEPEST,
    lambda_among_arguments,
    normal,
    portable,
    spelled,
    without_versions,
)

STRING = "std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("main", "main"),
        ("a::b(int)", "a::b"),
        ("a::b(int) const", "a::b"),
        ("a::b(int) &", "a::b"),
        ("a::b(int) const &&", "a::b"),
        ("a::b(int) volatile noexcept", "a::b"),
        ("void f<int>(int)", "f<T>"),
        ("unsigned long a::f<(Foo)1>(int)", "a::f<T>"),
        ("int* a::f<int>(char*)", "a::f<T>"),
        ("decltype (x()) a::b<int>(int&&)", "a::b<T>"),
        ("std::enable_if<is_same_v<A, B>, int>::type a::b<int>(A&)", "a::b<T>"),
        ("A<(a>b)>::h()", "A<T>::h"),
        ("a::f<(x < y)>(int)", "a::f<T>"),
        ("a::A<int>::A(int)", "a::A<T>::A"),
        ("a::A<int>::~A()", "a::A<T>::~A"),
        (f"{STRING}::append(char const*)", "std::basic_string<T>::append"),
        ("std::_V2::condition_variable_any::wait()", "std::condition_variable_any::wait"),
        ("std::__1::vector<int>::at(unsigned long)", "std::vector<T>::at"),
        ("nlohmann::json_abi_v3_11_2::basic_json<A>::at(B)", "nlohmann::basic_json<T>::at"),
        ("fmt::v9::detail::throw_format_error(char const*)", "fmt::detail::throw_format_error"),
        ("ocpp::v2::from_json(A const&)", "ocpp::v2::from_json"),
        ("a::b[abi:cxx11](int)", "a::b"),
        ("a::b(int) [clone .isra.0]", "a::b"),
        ("f.part.0", "f"),
        ("f.constprop.2.cold", "f"),
        ("f.partial", "f.partial"),
        ("raise@@GLIBC_2.2.5", "raise"),
        ("raise@plt", "raise"),
        ("non-virtual thunk to a::B::c(int)", "a::B::c"),
        ("f(int)::Local::g()", "f::Local::g"),
        ("f(int)::{unnamed type#1}::g()", "f::{unnamed}::g"),
        ("f(int)::'unnamed0'::g()", "f::{unnamed}::g"),
        ("void (*f(int))(char)", "void (*f(int))(char)"),
        ("", "?"),
    ],
)
def test_what_differs_between_builds_goes(name: str, expected: str) -> None:
    assert normal(name) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("std::ostream& operator<< <char>(std::ostream&, char)", "operator<< <T>"),
        ("bool a::operator< <int>(A<int> const&)", "a::operator< <T>"),
        ("a::operator<(A, A)", "a::operator<"),
        ("a::operator<=>(A, A)", "a::operator<=>"),
        ("A::operator->() const", "A::operator->"),
        ("A::operator->*(int)", "A::operator->*"),
        ("A::operator()(int)", "A::operator()"),
        ("void A::operator()<int>(int)", "A::operator()<T>"),
        ("A::operator[](int)", "A::operator[]"),
        ("A::operator bool() const", "A::operator bool"),
        ("A::operator std::string() const", "A::operator std::string"),
        ("A::operator unsigned int() const", "A::operator unsigned int"),
        ("operator new(unsigned long)", "operator new"),
        ("operator delete[](void*)", "operator delete[]"),
        ('operator"" _kWh(long double)', 'operator"" _kWh'),
        ("void my_operator<int>(int)", "my_operator<T>"),
    ],
)
def test_operators_keep_their_names(name: str, expected: str) -> None:
    assert normal(name) == expected


@pytest.mark.parametrize(
    "name",
    [
        "X::f(int) const::{lambda(int)#1}::operator()(int) const",  # GCC's symbol
        "X::f(int)::<lambda(int)>",  # GCC's debug information
        "X::f(int) const::$_0::operator()(int) const",  # clang
        "X::f(int) const::'lambda'(int)::operator()(int) const",  # clang, an inline function
        "X::f(int) const::'lambda0'(int)::__invoke(int)",
        "X::f(int)::{lambda(int)#1}::_FUN(int)",
        "X::f::{lambda}::operator()",  # our own demangler
        "auto X::f(int)::{lambda(auto:1)#1}::operator()<int>(int) const",
        "X::f(int)::{lambda(int)#1}::operator()(int) const::{lambda()#2}::operator()() const",
        "X::f(int)::<lambda(int)>::<lambda()>",
    ],
)
def test_lambdas_are_spelled_alike(name: str) -> None:
    assert normal(name) == portable(name) == "X::f::{lambda}"


@pytest.mark.parametrize(
    ("called", "inlined", "expected"),
    [  # as a symbol has it, and as GCC describes the same function where it is inlined
        ("charging::(anonymous namespace)::read(int)", "read", "read"),
        ("a::{anonymous}::B::c(int)", "c", "c"),
        ("void a::f<(anonymous namespace)::X>(int)", "f<{anonymous}::X>", "f<T>"),
        ("a::f((anonymous namespace)::X)", "f", "f"),
        ("int a::run<X::g()::{lambda()#1}>(int)", "run<X::g()::<lambda()> >", "run<T>"),
        ("int a::run<X::g()::$_0>(int)", "run<X::g()::<lambda()> >", "run<T>"),
    ],
)
def test_a_function_that_no_other_file_knows_has_only_its_last_name(
    called: str, inlined: str, expected: str
) -> None:
    assert portable(called) == portable(inlined) == expected


def test_what_other_files_know_keeps_its_scopes() -> None:
    assert portable("charging::Session::book_energy(double)") == "charging::Session::book_energy"
    assert normal("charging::(anonymous namespace)::read(int)") == "charging::(anon)::read"
    assert portable("(anonymous namespace)::{lambda()#1}::operator()() const") == "{lambda}"
    assert portable("(anonymous namespace)::f()::{lambda()#1}::operator()()") == "f::{lambda}"


NESTED = "invoke<void, apply<run<X::f()::<lambda()> >(A, B)::<lambda(C&)> >(D)::<lambda()>&, int>"


@pytest.mark.parametrize(
    ("name", "depth", "expected"),
    [
        ("void invoke<void, X::f(int)::{lambda()#1}&>(int)", 1, "X::f::{lambda}"),
        ("H<void (int, A), const X::f()::$_0&>::invoke(int)", 1, "X::f::{lambda}"),
        (NESTED, 1, "apply<T>::{lambda}"),
        (NESTED, 2, "run<T>::{lambda}"),
        (NESTED, 3, "X::f::{lambda}"),
        (NESTED, DEEPEST + 5, "X::f::{lambda}"),
        ("a::f<int>(X::g()::{lambda()#1})", 1, None),
        ("X::f()::<lambda(A<int>)>", 1, None),
        ("f<A, B, C>(int)", 1, None),
        ("main", 1, None),
    ],
)
def test_lambdas_that_templates_are_given(name: str, depth: int, expected: str | None) -> None:
    found = lambda_among_arguments(name, depth)
    assert (found.text if found else None) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("raise", "raise"),
        ("__GI_raise", "raise"),
        ("__GI___pthread_mutex_lock", "pthread_mutex_lock"),
        ("___pthread_mutex_lock", "pthread_mutex_lock"),
        ("__pthread_kill_implementation", "pthread_kill_implementation"),
        ("__memmove_avx_unaligned_erms", "memmove"),
        ("__memcpy_evex_unaligned_erms", "memcpy"),
        ("__strlen_sse2", "strlen"),
        ("__memcpy_generic", "memcpy"),
        ("__new_sem_wait", "sem_wait"),
        ("_int_free", "int_free"),
        ("__", "__"),
    ],
)
def test_aliases_in_libc_have_one_name(name: str, expected: str) -> None:
    assert libc_name(name) == expected


def test_libraries_lose_their_versions() -> None:
    assert library_name("/usr/lib/libmosquitto.so.1") == "libmosquitto"
    assert library_name("/usr/lib/systemd/systemd") == "systemd"


PIECES = (
    "operator", "operator()", "operator<", "<", ">", "(", ")", "{", "}", "{lambda(", "#1}", "::",
    "<lambda(", "(anonymous namespace)", "$_0", "'lambda'", " ", ",", "->", "[abi:", "]", "&",
    " const", "a", "std", "__cxx11", ".cold", "@@GLIBC_2.2", "\ue004", "\x1b", "ä", "unnamed",
)  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=60).map("".join) | st.text(max_size=200))
def test_any_text_gives_a_name(name: str) -> None:
    found = spelled(name)
    assert found.text
    assert found.portable
    assert len(found.text) <= 3 * len(name) + 10
    lambda_among_arguments(name, 3)
    libc_name(name)


@pytest.mark.parametrize(
    "hostile",
    [
        "<(" * 40_000, "<" * 4000 + ")" * 40_000, "(" + "<" * 3000 + ")" * 5000, "::" * 40_000,
        "operator" * 9000, ".cold" * 16_000, "[abi:" * 16_000, "{lambda" * 9000, "@@A" * 9000,
        "f()" + " const" * 12_000, "a<" * 4000 + "," * 4000,
    ],
    ids=lambda text: text[:8],
)  # fmt: skip
def test_time_grows_with_the_length_only(hostile: str) -> None:
    # A pattern that tries again from each of 8,000 characters takes minutes, not milliseconds;
    # the time limit of the tests is the assertion.
    assert len(normal(hostile)) < 10_000
    assert lambda_among_arguments(hostile, DEEPEST) is None


@pytest.mark.parametrize(
    ("name", "stable"),
    [
        ("nlohmann::json_abi_v3_11_3::detail::out_of_range", "nlohmann::detail::out_of_range"),
        ("nlohmann::json_abi_diag_v3_12_0::detail::type_error", "nlohmann::detail::type_error"),
        ("fmt::v9::format_error", "fmt::format_error"),
        ("std::filesystem::__cxx11::filesystem_error", "std::filesystem::filesystem_error"),
        ("boost::wrapexcept<std::__cxx11::regex_error>", "boost::wrapexcept<std::regex_error>"),
        ("ocpp::v2::StringConversionError", "ocpp::v2::StringConversionError"),
        ("my_fmt::v2::Error", "my_fmt::v2::Error"),
    ],
)
def test_versions_of_libraries_are_left_out_of_types(name: str, stable: str) -> None:
    assert without_versions(name) == stable
