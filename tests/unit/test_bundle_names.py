"""Names in a bundle: of hostile ones, harmless ones that are bounded and all different."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evdiag.analyze.bundle_names import (
    LONGEST,
    LONGEST_PART,
    default_name,
    key,
    safe_part,
    safe_path,
    unique,
)
from evdiag.parse.bundle import is_path


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("core.ocpp:OCPP201.17.1795406789", "core.ocpp:OCPP201.17.1795406789"),
        ("everest.log.1", "everest.log.1"),
        ("libstdc++.so.6", "libstdc++.so.6"),
        ("a b\n\x1b[31mc", "a_b_31mc"),
        ("-rf", "_rf"),
        ("", "_"),
        (".", "_"),
        ("..", "__"),
        ("caf\\xe9", "caf_xe9"),
        ("\u202egol.exe", "_gol.exe"),
        ("a\0b", "a_b"),
    ],
)
def test_one_name(name: str, safe: str) -> None:
    assert safe_part(name) == safe


def test_long_names_keep_their_begin_and_their_suffix() -> None:
    one, two = safe_part("n" * 300 + ".log.gz"), safe_part("n" * 301 + ".log.gz")
    assert len(one) == len(two) == LONGEST_PART
    assert one != two
    assert one.startswith("nnnn")
    assert one.endswith(".log.gz")


def test_paths() -> None:
    assert safe_path("logs", "/var/log//./x.log") == "logs/var/log/x.log"
    assert safe_path("logs", "../../etc/passwd") == "logs/__/__/etc/passwd"
    assert safe_path("", "/") == "_"


def test_deep_paths_keep_their_ends() -> None:
    one, two = safe_path("logs", "a/" * 5000 + "x.log"), safe_path("logs", "a/" * 4999 + "x.log")
    assert one != two
    assert one.startswith("logs/")
    assert one.endswith("/x.log")
    assert safe_path("logs", "/".join(["n" * 100] * 20)).count("/") == 2


@given(st.lists(st.text(max_size=400), max_size=4))
@example(["\udcff"])
@example(["a/" * 3000])
def test_any_path_is_one_below_the_folder(parts: list[str]) -> None:
    safe = safe_path(*parts)
    assert is_path(safe)
    assert safe.isascii()
    assert len(safe) <= LONGEST + 2
    assert safe_path(safe) == safe


def test_a_name_that_is_taken_gets_a_number() -> None:
    files = {key(path) for path in ("logs/X.log", "logs/x~2.log", "cores/core", "a")}
    folders = {"logs", "cores", "cores/core.1"}
    assert unique("logs/y.log", files, folders) == "logs/y.log"
    assert unique("logs/x.log", files, folders) == "logs/x~3.log"
    assert unique("cores/core", files, folders) == "cores/core~2"
    assert unique("cores/core.1", files, folders) == "cores/core~2.1"
    assert unique("cores", files, folders) == "cores~2"
    assert unique("a/b/c", files, folders) == "a~2/b/c"
    assert unique("logs/z.tar.gz", {"logs/z.tar.gz"}, folders) == "logs/z~2.tar.gz"


def test_thousands_of_names_that_differ_in_case_only() -> None:
    files: set[str] = set()
    for number in range(4_000):
        name = "".join(
            letter.upper() if number >> at & 1 else letter for at, letter in enumerate("a" * 15)
        )
        files.add(key(unique(name, files, set())))
    assert len(files) == 4_000


def test_default_name() -> None:
    assert default_name("everest", 1795406789) == "evdiag-everest-20261123-040629"
    assert default_name("../" + "x" * 300, 0).startswith("evdiag-.._xxxx")
    assert len(default_name("x" * 300, 0)) < 100
