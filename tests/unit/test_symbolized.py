"""Lines with answers in them: nothing is lost, and nothing hostile comes in."""

import pytest

from evdiag.analyze.symbolized import MOST_PLACES, described, rewritten
from evdiag.model.core import Place
from evdiag.model.symbolized import Found, Mention
from evdiag.parse.addresses import Reader
from evdiag.report.neutral import clean

FAULT = Place("fault(int)", "/src/main.cpp", 12)
MAIN = Place("main", "/src/main.cpp", 30)


def answered(line: str, found: Found | None) -> str:
    return rewritten(line, Reader().mentions(line), lambda _: found, clean)


def test_the_answer_stands_right_behind_the_address() -> None:
    found = Found(places=(FAULT, MAIN))
    assert answered("./prog(+0x11b9) [0x55d6ab4c61b9]", found) == (
        "./prog(+0x11b9) [0x55d6ab4c61b9] "
        "fault(int) at /src/main.cpp:12, inlined in main at /src/main.cpp:30"
    )
    assert answered("\x1b[31mpc=0x55d6ab4c61b9\x1b[0m, bad", Found(places=(MAIN,))) == (
        "\x1b[31mpc=0x55d6ab4c61b9 main at /src/main.cpp:30\x1b[0m, bad"
    )


def test_each_address_has_its_own_answer() -> None:
    line = "from prog+0x10 by prog+0x20 to prog+0x30 end"
    known = {0x10: Found(places=(MAIN,)), 0x30: Found(places=(FAULT,))}

    def look_up(mention: Mention) -> Found | None:
        return known.get(mention.offset or 0)

    assert rewritten(line, Reader().mentions(line), look_up, clean) == (
        "from prog+0x10 main at /src/main.cpp:30 by prog+0x20 to prog+0x30 "
        "fault(int) at /src/main.cpp:12 end"
    )


@pytest.mark.parametrize("found", [None, Found(places=()), Found(places=(Place(None, None, 3),))])
def test_without_an_answer_it_is_the_very_same_line(found: Found | None) -> None:
    line = "./prog(+0x11b9) [0x55d6ab4c61b9] \udcff"
    assert answered(line, found) is line


@pytest.mark.parametrize(
    ("place", "text"),
    [
        (Place("f", None, None), "f"),
        (Place("f", None, 3), "f"),
        (Place("f", "/a.c", None), "f at /a.c"),
        (Place(None, "/a.c", 3), "?? at /a.c:3"),
        (Place("f", "/a.c", 0), "f at /a.c"),
    ],
)
def test_what_is_known_of_a_place(place: Place, text: str) -> None:
    assert described(Found(places=(place,)), clean) == text


def test_a_build_that_nobody_vouches_for_is_marked() -> None:
    assert (
        described(Found(places=(MAIN,), is_verified=False), clean) == "? main at /src/main.cpp:30"
    )
    assert described(Found(places=(), is_verified=False), clean) == ""


def test_endless_inlining_is_cut_and_the_function_itself_stays() -> None:
    places = [Place(f"f{number}", None, None) for number in range(1000)]
    names = described(Found(places=tuple(places)), clean).split(", inlined in ")
    assert names == [*(f"f{n}" for n in range(MOST_PLACES - 1)), "f999"]


def test_names_and_paths_are_made_harmless() -> None:
    hostile = Place("f\x1b]0;x\x07\u202e", "/a\nb\x1b[2J.c", 3)
    text = answered("prog+0x10", Found(places=(hostile,)))
    assert text.isprintable()
    assert text.startswith("prog+0x10 f\\x1b]0;x\\x07\\u202e at /a\\nb\\x1b[2J.c:3")
