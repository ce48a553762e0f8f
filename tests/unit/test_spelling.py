"""Types and strings are spelled in one way, whichever gdb has printed them."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evdiag.analyze.spelling import LONGEST, same_spelling, same_text

STRING = "std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >"


@pytest.mark.parametrize(
    ("gdb_13", "gdb_18", "same"),
    [
        ("const M&", "M const&", "const M&"),
        ("const M<int>", "M<int>const", "const M<int>"),
        ("B<const M&>", "B<M const&>", "B<const M&>"),
        ("B<const M*>", "B<M const*>", "B<const M*>"),
        ("B<const M* const>", "B<M const* const>", "B<const M* const>"),
        ("B<const M* const* const>", "B<M const* const* const>", "B<const M* const* const>"),
        ("B<M* const>", "B<M* const>", "B<M* const>"),
        ("B<const M>", "B<M const>", "B<const M>"),
        ("B<const M&&>", "B<M const&&>", "B<const M&&>"),
        ("B<volatile M*>", "B<M volatile*>", "B<volatile M*>"),
        ("B<const volatile M&>", "B<M const volatile&>", "B<const volatile M&>"),
        ("B<unsigned long const>", "B<const unsigned long>", "B<const unsigned long>"),
        (
            "std::function<void(const M&, char const* const*)>",
            "std::function<void(M const&, char const* const*)>",
            "std::function<void(const M&, const char* const*)>",
        ),
        (
            "std::map<int const, const M*, std::less<int const> >",
            "std::map<int const, M const*, std::less<int const> >",
            "std::map<const int, const M*, std::less<const int> >",
        ),
        (
            f"std::pair<{STRING} const, const M*> * const",
            f"std::pair<const {STRING}, M const*> * const",
            f"std::pair<const {STRING}, const M*> * const",
        ),
        ("B<const B<const B<int> >&>", "B<B<B<int> const> const&>", "B<const B<const B<int> >&>"),
        ("B<void (*)(const M&)>", "B<void (*)(M const&)>", "B<void (*)(const M&)>"),
        ("B<const M (*) [3]>", "B<M const (*) [3]>", "B<const M (*) [3]>"),
        ("B<const M (*(*)(const M*))(char)>", "B<M const (*(*)(M const*))(char)>",
         "B<const M (*(*)(const M*))(char)>"),
        ("B<const n::X<int>::Y*>", "B<n::X<int>::Y const*>", "B<const n::X<int>::Y*>"),
        ("C<(const E)1>", "C<(E const)1>", "C<(const E)1>"),
        (
            "const struct {...} * const",
            "const struct {...} * const",
            "const struct {...} * const",
        ),
        (
            "B<main(int, char**)::<lambda(const M*)>*>",
            "B<main(int, char**)::<lambda(M const*)>*>",
            "B<main(int, char**)::<lambda(const M*)>*>",
        ),
        (
            "const f(const M&)::{lambda(const M*)#1}&",
            "f(M const&)::{lambda(M const*)#1} const&",
            "const f(const M&)::{lambda(const M*)#1}&",
        ),
    ],
)  # fmt: skip
def test_both_spellings_of_a_type_become_one(gdb_13: str, gdb_18: str, same: str) -> None:
    assert same_spelling(gdb_13) == same
    assert same_spelling(gdb_18) == same


@pytest.mark.parametrize(
    "name",
    [
        "int", "char **", "char * const", "M * const *", "const M &", "const char * const *",
        "const volatile long", "volatile int", "B<void (M::*)(int) const>",
        "void (M::*)(int) const volatile &", "int (* const)(int)", "const", "const volatile", "",
        "constant", "non_const *", "constexpr_t&", "std::is_const<int>", "X::const_iterator",
        "decltype(nullptr) const", "auto () const -> int", "const M",
        "M * const volatile", "volatile M * const volatile *",
    ],
)  # fmt: skip
def test_what_stands_right_stays(name: str) -> None:
    assert same_spelling(name) == name


def test_words_that_only_contain_const_are_no_qualifiers() -> None:
    assert same_spelling("X::const_iterator const&") == "const X::const_iterator&"
    assert same_spelling("B<volatile_t, X const>") == "B<volatile_t, const X>"


@pytest.mark.parametrize(
    "name",
    [
        "> const",
        "a> const&",
        "a)) const",
        "B<M const",
        "(const M",
        "M const,",
        "  M  const",
        "} const",
    ],
)
def test_brackets_that_do_not_match_do_no_harm(name: str) -> None:
    once = same_spelling(name)
    assert same_spelling(once) == once
    assert sorted(once.replace(" ", "")) == sorted(name.replace(" ", ""))


def test_very_long_names_pass_through() -> None:
    long = "B<M const&, " * (LONGEST // 12) + "M"
    assert len(long) <= LONGEST
    assert same_spelling(long).startswith("B<const M&, B<const M&, ")
    longer = long + " const" * 2
    assert len(longer) > LONGEST
    assert same_spelling(longer) == longer


# -- any type

NAMES = st.sampled_from(
    ["int", "M", "unsigned long", "n::X", "const_t", "(anonymous namespace)::Y"]
)
CV = st.sampled_from([(), ("const",), ("volatile",), ("const", "volatile")])
Type = tuple[str, str]
"""A type as gdb 13 and as gdb 18 spell it."""


def qualified(name: Type, words: tuple[str, ...]) -> Type:
    cv = " ".join(words)
    return (f"{cv} {name[0]}", f"{name[1]} {cv}") if cv else name


def pointer(to: Type, signs: list[str]) -> Type:
    return to[0] + "".join(signs), to[1] + "".join(signs)


def template(arguments: list[Type]) -> Type:
    old, new = (", ".join(spelled) for spelled in zip(*arguments, strict=True))
    return f"B<{old}>".replace(">>", "> >"), f"B<{new}>".replace(">>", "> >")


def function(result: Type, arguments: list[Type], sign: str) -> Type:
    old, new = (", ".join(t[i] for t in arguments) for i in (0, 1))
    return f"{result[0]} {sign}({old})", f"{result[1]} {sign}({new})"


def larger(inner: st.SearchStrategy[Type]) -> st.SearchStrategy[Type]:
    plain = st.one_of(
        NAMES.map(lambda name: (name, name)),
        st.lists(inner, min_size=1, max_size=3).map(template),
    )
    signs = st.lists(st.sampled_from(["*", "&", "* const", "**", "&&"]), max_size=3)
    values = st.builds(pointer, st.builds(qualified, plain, CV), signs)
    functions = st.builds(
        function,
        values,
        st.lists(inner, max_size=2),
        st.sampled_from(["", "(*)", "(* const)", "(M::*)"]),
    )
    return st.one_of(values, functions)


TYPES = st.recursive(NAMES.map(lambda name: (name, name)), larger, max_leaves=8)


@given(TYPES)
def test_any_type_has_one_spelling(spelled: Type) -> None:
    old, new = map(same_spelling, spelled)
    assert old == new
    if max(map(len, spelled)) <= LONGEST:
        assert old == spelled[0]


@given(
    st.one_of(
        st.text(max_size=30),
        st.lists(
            st.sampled_from([*"<>(){},*& ", "const", "volatile", "M", "&&", "::", " const "]),
            max_size=20,
        ).map("".join),
    )
)
@example(" const")
@example("M const const")
@example("const M const volatile")
@example("M ( const")
@example("(M)const const")
def test_a_second_time_changes_nothing(name: str) -> None:
    once = same_spelling(name)
    assert same_spelling(once) == once
    assert sorted("".join(once.split())) == sorted("".join(name.split()))


# -- broken characters


@pytest.mark.parametrize(
    ("gdb_18", "gdb_13"),
    [
        (r'"ab", <incomplete sequence \303>', r'"ab\303"'),
        (r'"", <incomplete sequence \342\202>', r'"\342\202"'),
        (r'0x55 "ab", <incomplete sequence \377\007\011\012>', r'0x55 "ab\377\a\t\n"'),
        (r'"a", <incomplete sequence \033>', r'"a\033"'),
        (
            r'{a = "x", <incomplete sequence \303>, b = "y", <incomplete sequence \304>}',
            r'{a = "x\303", b = "y\304"}',
        ),
        (
            r'"a", <incomplete sequence \010\013\014\015>, "b"',
            r'"a\b\v\f\r", "b"',
        ),
    ],
)
def test_broken_characters_stand_in_their_string(gdb_18: str, gdb_13: str) -> None:
    assert same_text(gdb_18) == gdb_13
    assert same_text(gdb_13) == gdb_13


@pytest.mark.parametrize(
    "value",
    [
        "", "0x0", '"ab"', "<incomplete type>", '"<incomplete sequence"', "<incomplete sequence >",
        r'"ab", <incomplete sequence \30', r'"ab", <incomplete sequence \399>',
        r"'a', <incomplete sequence \303>",
    ],
)  # fmt: skip
def test_other_values_stay(value: str) -> None:
    assert same_text(value) == value


@given(st.text(max_size=40), st.lists(st.integers(0, 255), max_size=6))
def test_a_second_time_changes_no_text(text: str, octal: list[int]) -> None:
    sequence = "".join(f"\\{number:03o}" for number in octal)
    once = same_text(f'"{text}", <incomplete sequence {sequence}>')
    assert same_text(once) == once
    assert ("incomplete" in once.removeprefix(f'"{text}')) == (not octal)
