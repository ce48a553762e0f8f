"""Which files of the build context count."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evdiag.parse.dockerignore import Ignored

TEXT = """\
# only what is copied
*
!sources
!capture
capture/build
capture/**/*.o
  !nodered/
nodered/node_modules
nodered/?.tmp

!flows.json
"""


@pytest.mark.parametrize(
    ("path", "out"),
    [
        ("notes.txt", True),
        (".env", True),
        ("Dockerfile", False),
        (".dockerignore", False),
        ("other/Dockerfile", True),
        ("flows.json", False),
        ("flowsxjson", True),
        ("sources", False),
        ("sources/everest/build/x.o", False),
        ("capture", False),
        ("capture/core.c", False),
        ("capture/core.o", True),
        ("capture/a/b/core.o", True),
        ("capture/build", True),
        ("capture/build/keep.c", True),
        ("capture/builder", False),
        ("nodered/node_modules/x/y.js", True),
        ("nodered/a.tmp", True),
        ("nodered/ab.tmp", False),
        ("nodered/x/a.tmp", False),
    ],
)
def test_the_last_rule_that_matches_holds(path: str, out: bool) -> None:
    assert Ignored(TEXT).leaves_out(path) is out


def test_a_folder_that_is_left_out_may_hold_something_wanted() -> None:
    ignored = Ignored("a\n!a/b/keep\n")

    assert ignored.leaves_out("a/b")
    assert ignored.may_want_below("a")
    assert not ignored.may_want_below("b")
    assert not ignored.leaves_out("a/b/keep/x")
    assert Ignored("a\n!**/keep").may_want_below("b")


def test_wildcards_over_folders() -> None:
    ignored = Ignored("**/*.pyc\nx/**\n")

    assert ignored.leaves_out("a.pyc")
    assert ignored.leaves_out("a/b/c.pyc")
    assert ignored.leaves_out("x/y/z")
    assert not ignored.leaves_out("x")
    assert not Ignored().leaves_out("anything")


@given(text=st.text(alphabet="*?!#/.[]ab\n ", max_size=60), path=st.text("ab/.*", max_size=40))
def test_any_text_is_read(text: str, path: str) -> None:
    assert Ignored(text).leaves_out(path) in (True, False)


def test_many_wildcards_take_no_time() -> None:
    assert not Ignored("**/" * 200 + "*a" * 3).leaves_out("a/" * 200 + "b")
