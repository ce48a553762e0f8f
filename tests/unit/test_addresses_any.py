"""Whatever a line holds: no finder raises or hangs, and mentions lie apart within the line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evdiag.analyze.symbolized import rewritten
from evdiag.model.core import Place
from evdiag.model.symbolized import Found, Mention
from evdiag.parse.addresses import FINDERS, MARKS, Reader, candidates

EXAMPLES = [text for finder in FINDERS for text in finder.examples]
PARTS = [
    *EXAMPLES,
    *MARKS,
    *("0x55ae999031c4", "(+0x12)", "+0x12)", "[0x401168]", "(", ")", "[", "]", "#1 ", " in ", "+"),
    *(" (BuildId: 12ab)", ":12", "\x1b[31m", "\x1b[0m", "\x1b", " ", "/", "./p", "prog", "0x", "-"),
    *(
        "@ ",
        "1: ",
        "1# ",
        " from /lib/x",
        "pc : ",
        "[<0001048c>]",
        "unhandled ",
        "ffffffffffffffff",
    ),
    *(" r-xp 00000000 fe:01 1 /", "0000-ffff", "\udcff", "ÿ", "\u202e", "<unknown>", " - ", "\r"),
]
LINE = st.lists(st.sampled_from(PARTS) | st.text(max_size=4), max_size=12).map("".join)


def check(line: str, found: list[Mention]) -> None:
    done = 0
    for mention in found:
        assert done <= mention.start < mention.end <= len(line)
        done = mention.end
        assert (
            mention.address is not None
            or mention.offset is not None
            or mention.file_offset is not None
        )


@given(st.lists(LINE, max_size=6))
def test_any_lines(lines: list[str]) -> None:
    reader = Reader()
    for line in lines:
        found = reader.mentions(line)
        check(line, found)
        assert rewritten(line, found, lambda _: None, str) is line
        answer = rewritten(line, found, lambda _: Found(places=(Place("\ue000", None, None),)), str)
        assert answer.replace(" \ue000", "") == line.replace(" \ue000", "")


@given(st.lists(LINE | st.text(), max_size=8))
def test_what_is_no_candidate_holds_nothing(lines: list[str]) -> None:
    texts = [line.replace("\n", "").replace("\r", "") for line in lines]
    block = "".join(f"{text}\n" for text in texts).encode(
        "utf-8", "surrogateescape" if "\udcff" in "".join(texts) else "surrogatepass"
    )

    spans = list(candidates(block))

    kept = [block[start:end] for start, end in spans]
    expected = [line for line in block.split(b"\n") if any(mark.encode() in line for mark in MARKS)]
    assert kept == expected


@pytest.mark.parametrize(
    "part",
    [
        *EXAMPLES,
        *("(+0x1) [0x1]", "((+0x1) [0x1]", "(", "a(", "+0x1", "a+0x1(", "#1 ", "#1 0x1 ", "\x1b["),
        *("0x55ae999031c4 ", "[0x55ae999031c4]", "1# 0x1 in a", 'Binary file "', "[1+1", "a-"),
        *('Binary file "a", at ', "segfault at 0 ip 0 sp 0 error 0 in ", "ip:0 sp:0 error:0("),
        *("unhandled ", "unhandled a in ", "unhandled a in a[1+1", "0000-0001 r-xp 0000"),
        *(" (/", " (/+0x1)", "aaaaa ", "aaaaa +0x1 (/", " + 0x1", "#1 0x1 a + 0x1 (", "1: 0x1 - "),
        *("\x1b[31m", "pc : ", " ", "/a b/", "./a (", "0x", "x", ".", ":1", " in ", "_Z", "::"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("end", ["", "+0x1) [0x1]", " (/a+0x1)\x1b[0m"])
def test_hostile_lines_take_no_time(part: str, end: str) -> None:
    # pytest-timeout ends what takes minutes, as a pattern that backtracks would
    line = "0x" + part * (65_536 // len(part)) + end
    check(line, Reader().mentions(line))
