"""Lines of every service by their form, and the records that they make up."""

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evdiag.model.loglines import CONTAINER, EVEREST, HEADED, MORE, RAW, TORN, LogLine
from evdiag.parse.loglines.headers import plain, read_container, read_header, read_raw, unglued
from evdiag.parse.loglines.records import LONGEST, MOST_MORE, MOST_RAW, Lines, Records, read_all
from evdiag.parse.loglines.times import Clock

CLOCK = Clock()
LATEST = "2026-11-23 12:00:00"
PLAIN = "2026-11-23 00:48:15.693129 [INFO] manager          :: Starting"
COLOURED = (
    "2026-11-23 00:48:59.612750 [\x1b[1;33mWARN\x1b[0m] \x1b[1;32mauth:Auth      \x1b[0m "
    "\x1b[1;36mvoid module::R::load()\x1b[0m \x1b[1;30m:\x1b[0m\x1b[1;32m\x1b[0m: "
    "no \x1b[1mgo\x1b[0m"
)


def header(line: str, latest: str = LATEST) -> tuple[str, ...] | None:
    found = read_header(line, CLOCK, latest)
    if found is None:
        return None
    return found.time, found.service, found.severity, found.module, found.where, found.text


def records(data: bytes, service: str = EVEREST) -> list[LogLine]:
    return [line for batch in read_all(service, CLOCK, LATEST, [data]) for line in batch]


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        (PLAIN, ("2026-11-23 00:48:15.693129", "everest", "INFO", "manager", "", "Starting")),
        (
            COLOURED,
            ("2026-11-23 00:48:59.612750", "everest", "WARN", "auth:Auth",
             "void module::R::load()", "no go"),
        ),
        (
            "[2026-11-23 00:48:15.6] [0x00007f] [error]   broken",
            ("2026-11-23 00:48:15.6", "everest", "ERRO", "", "", "broken"),
        ),
        (
            "2026-11-23 00:48:15 everest-start: EVerest ended 2 times",
            ("2026-11-23 00:48:15", "everest", "INFO", "everest-start", "",
             "EVerest ended 2 times"),
        ),
        (
            "2026-11-23 00:48:14,304 BLAT x",
            ("2026-11-23 00:48:14.304", "supervisord", "VERB", "", "", "x"),
        ),
        (
            "2026-11-23 00:48:14,304 CRIT Server 'unix_http_server' running without any HTTP "
            "authentication checking",
            ("2026-11-23 00:48:14.304", "supervisord", "INFO", "", "",
             "Server 'unix_http_server' running without any HTTP authentication checking"),
        ),
        (
            "2026-11-23 00:48:15: Warning: ACL",
            ("2026-11-23 00:48:15", "mosquitto", "WARN", "", "", "Warning: ACL"),
        ),
        (
            "1795394895: Error: Address already in use",
            ("2026-11-23 00:48:15", "mosquitto", "ERRO", "", "", "Error: Address already in use"),
        ),
        (
            "23 Nov 00:48:16 - [warn] [mqtt:x] slow",
            ("2026-11-23 00:48:16", "nodered", "WARN", "", "", "[mqtt:x] slow"),
        ),
        ("5 Nov 00:48:16 - [fatal] x", ("2026-11-05 00:48:16", "nodered", "CRIT", "", "", "x")),
        ("24 Nov 00:00:00 - [what] x", ("2026-11-24 00:00:00", "nodered", "INFO", "", "", "x")),
        ("31 Dec 23:59:59 - [info] ", ("2025-12-31 23:59:59", "nodered", "INFO", "", "", "")),
        ("[2026] something", None),
        ("text", None),
        ("", None),
        ("2026-11-23", None),
        ("9 things", None),
    ],
)  # fmt: skip
def test_how_lines_begin(line: str, wanted: tuple[str, ...] | None) -> None:
    assert header(line) == wanted


def test_a_line_of_node_red_without_any_year_known() -> None:
    assert header("5 Nov 00:48:16 - [info] x", "") == (
        "-11-05 00:48:16", "nodered", "INFO", "", "", "x",
    )  # fmt: skip


def test_two_records_in_one_line_are_parted() -> None:
    assert unglued(COLOURED) == [COLOURED]
    assert unglued(f"{COLOURED}{COLOURED}") == [COLOURED, COLOURED]
    assert unglued(f"text of somebody before it{COLOURED}") == [
        "text of somebody before it",
        COLOURED,
    ]
    other = "x" * 40 + " [\x1b[1m"
    assert unglued(other) == [other]
    found = records(f"{COLOURED}{PLAIN}\n{COLOURED}{COLOURED}\n".encode())
    assert len(found) == 3  # without colours nobody knows


def test_raw_text_is_a_record_of_its_own() -> None:
    begun = read_raw("terminate called after throwing an instance of 'int'")
    assert begun is not None
    assert (begun.severity, begun.form, begun.service) == ("ERRO", RAW, EVEREST)
    note = read_raw("evdiag capture: ocpp:OCPP201 pid 63 tid 64 died of signal 11: core.x (1 MB)")
    assert note is not None
    assert note.module == "ocpp:OCPP201"
    assert read_raw("  what():  stoi") is not None
    assert read_raw("*** ") is None
    assert read_raw("  terminate called") is None
    assert read_raw("a quiet line") is None


def test_what_only_a_container_says() -> None:
    warned = read_container("entrypoint: no IPv6", "now")
    assert warned == LogLine("now", CONTAINER, "WARN", "entrypoint: no IPv6")
    told = read_container("OCPP 1.6 as CP1 to ws://x", "now")
    assert told is not None
    assert told.severity == "INFO"
    assert read_container("text", "now") is None


def test_records_keep_their_lines_together() -> None:
    data = f"end of something\n{COLOURED}\n{{\n  1\n}}\n\n{PLAIN}\r\nmore\r\n".encode()
    torn, first, second = records(data)
    assert (torn.form, torn.time, torn.text) == (TORN, first.time, "end of something")
    assert first.lines() == ["no go", "{", "  1", "}", ""]
    assert (second.form, second.lines()) == (HEADED, ["Starting", "more"])


def test_raw_text_has_the_time_of_what_comes_next() -> None:
    later = PLAIN.replace("00:48", "09:09")
    crash = "free(): invalid pointer\nevdiag capture: x pid 1 tid 1 died of signal 6: core.x (1)\n"
    found = records(f"{PLAIN}\n{crash}{later}\n{PLAIN}\n".encode())
    assert [line.time[11:16] for line in found] == ["00:48", "09:09", "09:09", "09:09", "00:48"]
    assert [line.form for line in found] == [HEADED, RAW, RAW, HEADED, HEADED]
    assert [line.time[11:16] for line in records(f"{PLAIN}\n{crash}".encode())] == ["00:48"] * 3
    (alone, _) = records(crash.encode())
    assert alone.time == ""


def test_raw_text_is_not_held_back_without_end() -> None:
    reader = Records(EVEREST, CLOCK, LATEST)
    assert reader.feed(b"free(): invalid pointer\n" * (MOST_RAW + 2))
    assert len(reader.end()) <= MOST_RAW


def test_lines_of_other_services_do_not_begin_records() -> None:
    (found,) = records(b"2026-11-23 00:48:15: mosquitto\n23 Nov 00:00:00 - [info] x\n", "mosquitto")
    assert found.lines() == ["mosquitto", "23 Nov 00:00:00 - [info] x"]


def test_an_endless_record_is_given_out_in_parts() -> None:
    data = PLAIN.encode() + b"\n" + b"x\n" * (2 * MOST_MORE + 10)
    found = records(data)
    assert [line.form for line in found] == [HEADED, MORE, MORE]
    assert sum(len(line.lines()) for line in found) == 2 * MOST_MORE + 11
    raw = records(b"free(): invalid pointer\n" + b"x\n" * (MOST_MORE + 1) + PLAIN.encode())
    assert [line.form for line in raw] == [RAW, MORE, HEADED]


def test_an_endless_line_is_cut_and_counted() -> None:
    reader = Records(EVEREST, CLOCK, LATEST)
    for _ in range(40):
        assert reader.feed(b"x" * LONGEST) == []
    long, _ = [*reader.feed(b"\n" + PLAIN.encode() + b"\n"), *reader.end()]
    assert long.text == "x" * LONGEST + f"… ({39 * LONGEST:,} more characters)"
    (whole,) = records(b"y" * (LONGEST + 3) + b"\n" + b"z" * (LONGEST + 4) + b"\n\n")
    assert whole.text.endswith("… (3 more characters)")
    assert whole.lines()[1].endswith("… (4 more characters)") or whole.more is None


@pytest.mark.parametrize(
    "line",
    [
        "2026-11-23 00:48:59.612750 [INFO] " + "a " * 30_000,
        "2026-11-23 00:48:59.612750 [INFO] a:B             " + ": " * 30_000,
        "2026-11-23 00:48:59.612750 [INFO] a:B             " + "\x1b[1m" * 12_000,
        "2026-11-23 00:48:59.612750 [" + "\x1b[1m" * 12_000,
        "x" * 30 + " [\x1b[" * 12_000,
        "\x1b[" * 30_000,
    ],
    ids=["words", "colons", "colours", "no-severity", "glue", "escapes"],
)
def test_hostile_lines_take_no_time(line: str) -> None:
    begin = time.process_time()
    records(line.encode() + b"\n")
    assert time.process_time() - begin < 2


def test_colours_are_taken_out() -> None:
    assert plain("\x1b[1;37mx\x1b[0m") == "x"
    assert plain("x") == "x"


PARTS = [
    *(PLAIN.encode(), COLOURED.encode(), b"\n", b"\r\n", b"\r", b"x", b"\xff\x00", b"\xf0\x9f"),
    *(b"23 Nov 00:48:16 - [info] ", b"2026-11-23 00:48:15: ", b"free(): invalid pointer"),
    *(b"  what():  x", b"2026-99-99 99:99:99.999999 [INFO] x               :: ", b"99999999999: "),
]
TEXT = st.lists(st.sampled_from(PARTS) | st.binary(max_size=9), max_size=30).map(b"".join)


def lines_of(found: list[LogLine]) -> list[str]:
    return [text for line in found for text in line.lines()]


@given(TEXT, st.lists(st.integers(0, 2000), max_size=8), st.sampled_from([EVEREST, "nodered"]))
@example(b"a\r\nb", [1, 2], EVEREST)
def test_it_does_not_matter_where_pieces_are_cut(text: bytes, cuts: list[int], name: str) -> None:
    places = sorted({cut % (len(text) + 1) for cut in cuts})
    pieces = [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]
    cut = [line for batch in read_all(name, CLOCK, LATEST, pieces) for line in batch]
    assert lines_of(cut) == lines_of(records(text, name))
    assert [line.form for line in cut] == [line.form for line in records(text, name)]


def test_nothing_gives_no_records() -> None:
    assert list(read_all(EVEREST, CLOCK, LATEST, [])) == []


def test_lines_without_an_end() -> None:
    lines = Lines()
    assert lines.feed(b"") == []
    assert lines.rest() == []
    assert lines.feed(b"a\nb") == ["a"]
    assert lines.rest() == ["b"]
