"""Addresses in text: every format as programs write it, and what is not one."""

from pathlib import Path

import pytest

from evdiag.parse import addresses
from evdiag.parse.addresses import FINDERS, MARKS, candidates
from evdiag.parse.addresses._finder import Finder
from tests.support.address_lines import one, told

FOLDER = Path(addresses.__file__).parent
EXAMPLES = [
    pytest.param(f, text, id=f"{f.id}-{n}") for f in FINDERS for n, text in enumerate(f.examples)
]
BUILD_ID = "6ff4f240b1fd0aeaff6df0e6dc16fc6148084a44"


# -- the list of finders


def test_every_finder_file_is_listed_once() -> None:
    files = {path.stem for path in FOLDER.glob("*.py") if not path.stem.startswith("_")}
    assert [f.id.replace("-", "_") for f in FINDERS] == list(
        dict.fromkeys(f.id.replace("-", "_") for f in FINDERS)
    )
    assert {f.id.replace("-", "_") for f in FINDERS} == files


def test_a_finder_says_what_it_finds() -> None:
    for finder in FINDERS:
        assert finder.title
        assert finder.examples
        assert finder.words
        assert set(finder.marks) <= set(MARKS)


PREFIXES = (
    "",
    "2026-11-22T07:01:54.601116789Z ",
    "2026-11-22 07:01:54.601116 [\x1b[1;37mINFO\x1b[0m] \x1b[1;32mmanager        \x1b[0m  :: ",
    "evse-1  | ",
    "Nov 22 07:01:54 host prog[4242]: ",
    "[78019.444297] ",
    "\x1b[1;31m",
)


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize(("finder", "text"), EXAMPLES)
def test_each_example_is_found_whatever_is_before_it(
    finder: Finder, text: str, prefix: str
) -> None:
    line = prefix + text + ("\x1b[0m" if prefix.endswith("m") else "")
    block = f"boring\n{line}\r\nboring\n".encode()

    assert any(word in text for word in finder.words)
    assert [block[a:b].decode() for a, b in candidates(block)] == [line]
    found, bare = told(line), told(text)
    assert [{**f, "text": str(f["text"]).strip()} for f in found] == [
        {**f, "text": str(f["text"]).strip()} for f in bare
    ]
    assert bool(found) == (finder.id not in ("maps", "rust"))


# -- backtrace_symbols


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("./prog(show+0x16)[0x55ae9990317f]", ("./prog", "show", 0x16, 0x55AE9990317F)),
        ("./prog(show-0x16) [0x55ae9990317f]", ("./prog", "show", -0x16, 0x55AE9990317F)),
        ("./prog(+0x11c4) [0x55ae999031c4]", ("./prog", None, 0x11C4, 0x55AE999031C4)),
        ("./prog(-0x11c4) [0x55ae999031c4]", ("./prog", None, None, 0x55AE999031C4)),
        ("/lib/a.so.6(+0x2724a) [0x7f4086ded24a]", ("/lib/a.so.6", None, 0x2724A, 0x7F4086DED24A)),
        ("./prog(ns::f(int (*)(char))+0x9) [0x401168]", ("./prog", None, None, 0x401168)),
        ("./prog() [0x401168]", ("./prog", None, None, 0x401168)),
        ("./prog[0x401168]", ("./prog", None, None, 0x401168)),
        ("/my app/prog(+0x11c4) [0x55ae999031c4]", ("/my app/prog", None, 0x11C4, 0x55AE999031C4)),
        ("/opt/a: ./prog(+0x11c4) [0x55ae999031c4]", ("./prog", None, 0x11C4, 0x55AE999031C4)),
    ],
)  # fmt: skip
def test_backtrace_symbols(
    line: str, expected: tuple[str, str | None, int | None, int | None]
) -> None:
    found = one(line)
    assert (found["module"], found.get("symbol"), found.get("offset"), found["address"]) == expected
    assert (found["kind"], found["is_call"]) == ("backtrace-symbols", True)
    assert line.endswith(str(found["text"]))


def test_several_frames_in_a_line() -> None:
    found = told("at /a/prog(f+0x1) [0x401111] <- /a/prog(+0x2) [0x402222] <- (x) [0x403333]")
    assert [f["text"] for f in found] == [
        "/a/prog(f+0x1) [0x401111]",
        "/a/prog(+0x2) [0x402222]",
        "[0x403333]",
    ]


@pytest.mark.parametrize("line", ["(+0x12) [0x401111]", "x)+0x12) [0x401111]", "table [0x401111]"])
def test_brackets_of_no_module(line: str) -> None:
    assert [f for f in told(line) if f["kind"] == "backtrace-symbols"] == []


def test_the_dump_of_evse_manager() -> None:
    # GIVEN what EvseManager prints for SIGUSR1, in the log of the manager
    prefix = "2026-11-22 07:01:54.601116 [INFO] manager          :: "
    lines = [
        "-" * 99,
        "/opt/EvseManager(_ZN8Everest14signal_handlerEi+0x2d)[0x55773fcbc222]",
        "/lib/libfoo.so.6(+0x3c050)[0x7fa84903c050]",
        "-" * 99,
    ]

    found = [told(prefix + line) for line in lines]

    assert [len(f) for f in found] == [0, 1, 1, 0]
    assert found[1][0]["symbol"] == "_ZN8Everest14signal_handlerEi"
    assert found[2][0]["offset"] == 0x3C050


# -- sanitizers


@pytest.mark.parametrize(
    ("line", "module", "build_id", "address"),
    [
        ("    #0 0x55bb1f65b3db  (/opt/g+++0x63db)", "/opt/g++", None, 0x55BB1F65B3DB),
        (f" #1 0x401136 in f(int) (/p+0x63db) (BuildId: {BUILD_ID})", "/p", BUILD_ID, 0x401136),
        (f"    #6 <null> <null> (p+0x63db) (BuildId: {BUILD_ID})", "p", BUILD_ID, None),
        ("    #0 pthread_create <null> (p+0x63db)", "p", None, None),
    ],
)  # fmt: skip
def test_sanitizers(line: str, module: str, build_id: str | None, address: int | None) -> None:
    found = one(line)
    assert (found["module"], found["offset"], found["kind"]) == (module, 0x63DB, "sanitizer")
    assert (found.get("build_id"), found.get("address")) == (build_id, address)
    assert found["is_call"] is False
    assert line.endswith(str(found["text"]))


@pytest.mark.parametrize(
    "line",
    [
        "    #0 0x55c6cb1445c5 in deref(int volatile*) /src/san.cpp:5:61",
        "    #1 0x7f6d5 in main /src/san.cpp:9",
        f"    #0 main /src/san.cpp:8:37 (p+0xd4424) (BuildId: {BUILD_ID})",
        "\x1b[1m    #0 0x55c6cb1445c5 in main /src/san.cpp:9\x1b[0m\x1b[K",
        "  17:     0x55d592c06024 - core::slice::index::h7d4dd407a54aef30",
        "#1  0x000055d592c06024 in main (argc=1, argv=0x7ffe7a12a990) at san.cpp:9",
        "#1  f (p=@0x7ffe7a12a990) at san.cpp:9",
    ],
)
def test_what_has_a_place_already_is_left(line: str) -> None:
    assert told(line) == []


def test_a_frame_without_a_module_is_a_raw_address() -> None:
    assert one("    #2 0x55c6cb1445c5 in f (<unknown module>)")["kind"] == "raw"
    assert one("    #2 0x55c6cb1445c5 in f +0x12)")["kind"] == "raw"


def test_the_summary_of_a_sanitizer() -> None:
    found = one(f"SUMMARY: AddressSanitizer: SEGV (/opt/p+0x63db) (BuildId: {BUILD_ID}) in f")
    assert (found["module"], found["offset"], found["build_id"]) == ("/opt/p", 0x63DB, BUILD_ID)
    assert found["text"] == f"/opt/p+0x63db) (BuildId: {BUILD_ID})"


# -- boost, Python, systemd, gdb, perf


def test_boost_before_and_after_its_version_1_84() -> None:
    old = one(" 3# 0x00007F6D0C84524A in /lib/libfoo.so.6  ")
    new = one("10# 0x0000000000001168 in ./my prog")
    assert (old["module"], old["address"]) == ("/lib/libfoo.so.6", 0x7F6D0C84524A)
    assert (new["module"], new["offset"]) == ("./my prog", 0x1168)
    assert "offset" not in old
    assert "address" not in new
    assert told(" 1# open_name(int) in ./prog", " 1# main at main.cpp:12") == []


def test_python() -> None:
    named, bare, fixed = told(
        'Binary file "/p 3", at _Py_DumpStack+0x31 [0x55ae9990317f]; '
        'Binary file "/p", at +0x3c [0x7f4086ded24a]; Binary file "/q" [0x401168]'
    )
    assert (named["module"], named["symbol"], named["offset"]) == ("/p 3", "_Py_DumpStack", 0x31)
    assert (bare["module"], bare["offset"], "symbol" in bare) == ("/p", 0x3C, False)
    assert (fixed["module"], fixed["address"], "offset" in fixed) == ("/q", 0x401168, False)
    assert one("  Binary file '<unknown>' [0x7f4086ded24a]")["kind"] == "raw"


def test_systemd() -> None:
    first = one("#0  0x00007f7b1d9b2a7c n/a (libfoo.so.6 + 0x8aa7c)")
    tenth = one("#10 0x00007f7b1d9b2a7c f(int) (/opt/prog + 0x8aa7c)")
    assert (first["module"], first["offset"], first["is_call"]) == ("libfoo.so.6", 0x8AA7C, False)
    assert (tenth["module"], tenth["offset"], tenth["is_call"]) == ("/opt/prog", 0x8AA7C, True)
    assert told("1234 + 0x8aa7c)", "#1 0x1234 n/a libfoo.so + 0x12)", "#1 0x1234 f 1 + 0x12") == []


def test_gdb() -> None:
    found = one("#0  0x00007f7b1d9b2a7c in f (s=...) from /lib/libfoo.so.6")
    assert (found["kind"], found["module"]) == ("gdb", "/lib/libfoo.so.6")
    assert (found["address"], found["is_call"]) == (0x7F7B1D9B2A7C, False)
    bare = one("#1  0x00007f7b1d9b2a7c in ?? ()")
    assert (bare["kind"], bare["text"]) == ("raw", "#1  0x00007f7b1d9b2a7c in ?? ()")
    assert told("#1  0x0000000000000000 in ?? ()") == []


def test_perf() -> None:
    named = one("\t    55ae999031d2 main+0x19 (/opt/prog)")
    readable = one("\t    55ae999031d2 ns::f(int)+0x19 (/opt/prog)")
    assert (named["symbol"], named["offset"], named["module"]) == ("main", 0x19, "/opt/prog")
    assert (readable["module"], readable["address"]) == ("/opt/prog", 0x55AE999031D2)
    assert "symbol" not in readable
    assert "offset" not in readable
    in_file = one("\t           14645 [unknown] (/opt/prog)")
    assert (in_file["file_offset"], "address" in in_file) == (0x14645, False)
    small = one("\t            11d7 [unknown] (/opt/prog)")  # perf 6.1
    assert (small["file_offset"], small["module"]) == (0x11D7, "/opt/prog")
    named = one("\t           14645 main+0x19 (/opt/prog)")
    assert (named["symbol"], "file_offset" in named, "address" in named) == ("main", False, False)
    for line in (
        "\t    55ae999031d2 main (/opt/prog) 0x1",
        "\t    55ae999031d2 0x1 (/opt/prog)",
        "\t    main+0x19 (/opt/prog)",
        "\t    add main+0x19 (/opt/prog)",
        "on 22 main+0x19 (/opt/prog)",
    ):
        assert [f for f in told(line) if f["kind"] == "perf"] == []


# -- module and offset


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("at libfoo.so.1+0x2724a, then", ("libfoo.so.1", None, None, False)),
        ("prog+0x2724a", ("prog", None, None, False)),
        ("prog(+0x2724a)", ("prog", None, None, True)),
        ("prog(name+0x2724a)", ("prog", None, "name", True)),
        ("see (prog+0x2724a)", ("prog", None, None, False)),
        ("SEGV(/opt/prog+0x2724a)", ("/opt/prog", None, None, False)),
        ("(+0x2724a)", (None, None, None, False)),
        (f"{BUILD_ID}+0x2724a", (None, BUILD_ID, None, False)),
        ("\x1b[1;31mprog+0x2724a", ("prog", None, None, False)),
    ],
)
def test_module_and_offset(
    line: str, expected: tuple[str | None, str | None, str | None, bool]
) -> None:
    found = one(line)
    names = ("module", "build_id", "symbol")
    assert (*(found.get(name) for name in names), found["is_call"]) == expected
    assert (found["kind"], found["offset"]) == ("module-offset", 0x2724A)


@pytest.mark.parametrize(
    "line",
    [
        *("func+0x12/0x34", "10+0x5", "0x10+0x20", "1.5+0x5", "+0x12", "a +0x12", "f(int)+0x12"),
        *("ns::f+0x12", "_ZN1f+0x12", "x[1]+0x12", "prog+0xzz", "prog+0x12abg", "main.go:5 +0x1d"),
        *("10(+0x12)", "p(f(int)+0x12)"),
    ],
)
def test_what_is_no_module(line: str) -> None:
    assert told(line) == []


# -- lines of a block


def test_candidates() -> None:
    block = b"none\n0x12\r\n\nprog+0x1 pc : 12\nsegfault at 1\nnone\nlast 0x"
    found = [block[start:end] for start, end in candidates(block)]
    assert found == [b"0x12", b"prog+0x1 pc : 12", b"segfault at 1", b"last 0x"]
    assert list(candidates(b"")) == []
    assert list(candidates(b"none\n")) == []


def test_a_line_of_nothing() -> None:
    assert told("Everything is fine") == []
    assert told("0x, ip: #") == []
