"""Nothing out of a crashed process reaches a terminal or a file unchanged and unbounded."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evdiag.model.report import (
    Address,
    Frame,
    LogExcerpt,
    Noun,
    Process,
    Report,
    SourceLine,
    Thread,
    Verdict,
)
from evdiag.report.neutral import (
    LONGEST_FUNCTION,
    LONGEST_TEXT,
    MOST_ITEMS,
    clean,
    neutralise,
)
from tests.support import samples
from tests.support.random_nouns import REPORTS

DANGEROUS = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff"
    "\U000e0000-\U000e01ef]"
)


def strings(value: object) -> list[str]:
    """All strings of a noun, wherever they are."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, Noun):
        return [text for name in value.__struct_fields__ for text in strings(getattr(value, name))]
    if isinstance(value, tuple):
        return [text for item in value for text in strings(item)]
    if isinstance(value, dict):
        return [text for pair in value.items() for item in pair for text in strings(item)]
    return []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("module::EvseManager::ready()", "module::EvseManager::ready()"),
        ("größer → 名前 😀", "größer → 名前 😀"),
        ("", ""),
        ("a\nb\tc\rd", r"a\nb\tc\rd"),
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x9b31m\x7f\x00", r"\x9b31m\x7f\x00"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("a\u200bb\ufeffc\u2028d", r"a\u200bb\ufeffc\u2028d"),
        ("\ud800 \udc80", r"\ud800 \udc80"),
        ("\u3164\u115f\U000e0100", r"\u3164\u115f\U000e0100"),
        ("\U000e0041", r"\U000e0041"),
    ],
)
def test_what_is_invisible_becomes_visible(text: str, expected: str) -> None:
    assert clean(text) == expected


def test_a_long_text_says_how_much_of_it_is_missing() -> None:
    cleaned = clean("A" * 1_000_000)
    assert len(cleaned) <= LONGEST_TEXT
    assert re.fullmatch(r"(A+)… \((.*) more characters\)", cleaned)
    kept = cleaned.count("A")
    assert cleaned.endswith(f"… ({1_000_000 - kept:,} more characters)")


def test_what_is_remembered_of_foreign_characters_does_not_grow_for_ever() -> None:
    for first in range(0x4E00, 0x9000, 1_000):
        text = "".join(map(chr, range(first, first + 1_000)))
        assert clean(f"{text}\x1b") == rf"{text}\x1b"


def test_a_text_that_grows_by_its_escapes_stays_bounded() -> None:
    cleaned = clean("\x00" * 1_900)
    assert len(cleaned) <= LONGEST_TEXT
    shown = cleaned.count(r"\x00")
    assert cleaned.endswith(f"… ({1_900 - shown:,} more characters)")


@given(st.text(st.characters(exclude_categories=())))
def test_a_clean_text_is_harmless_and_stays_as_it_is(text: str) -> None:
    cleaned = clean(text)
    assert not DANGEROUS.search(cleaned)
    assert cleaned.isprintable()
    assert clean(cleaned) == cleaned


@given(REPORTS)
@settings(max_examples=30)
def test_every_string_of_a_report_is_harmless(report: Report) -> None:
    neutral = neutralise(report)
    assert not [text for text in strings(neutral) if DANGEROUS.search(text)]
    assert neutralise(neutral) is neutral


def test_the_hostile_report_is_harmless_and_small() -> None:
    neutral = neutralise(samples.hostile())
    texts = strings(neutral)
    assert not [text for text in texts if DANGEROUS.search(text)]
    assert max(map(len, texts)) <= LONGEST_TEXT


def test_a_harmless_report_is_returned_as_it_is() -> None:
    report = samples.overflow()
    assert neutralise(report) is report


def test_only_the_nouns_that_change_are_made_anew() -> None:
    good, bad = Thread(number=1, role="main"), Thread(number=2, role="a\tb")
    report = Report(threads=(good, bad), process=Process(argv=("a", "b")))
    neutral = neutralise(report)
    assert neutral.threads[0] is good
    assert neutral.threads[1].role == r"a\tb"
    assert neutral.process is report.process


def test_source_and_log_lines_keep_their_indentation() -> None:
    frame = Frame(level=0, source=(SourceLine(number=1, text="\tint x;\x1b"),))
    log = LogExcerpt(source="a\tb", lines=("\tINFO",))
    neutral = neutralise(Report(threads=(Thread(number=1, frames=(frame,)),), logs=(log,)))
    assert neutral.threads[0].frames[0].source[0].text == r"    int x;\x1b"
    assert neutral.logs[0] == LogExcerpt(source=r"a\tb", lines=("    INFO",))


def test_a_long_function_keeps_its_own_name() -> None:
    name = f"std::_Function_handler<{'very::long::argument, ' * 200}int>::_M_invoke(int, char)"
    report = Report(threads=(Thread(number=1, frames=(Frame(level=0, function=name),)),))
    function = neutralise(report).threads[0].frames[0].function
    assert function == "std::_Function_handler<…>::_M_invoke(…)"
    hopeless = Frame(level=0, function="f" * 9_000)
    neutral = neutralise(Report(threads=(Thread(number=1, frames=(hopeless,)),)))
    assert len(neutral.threads[0].frames[0].function or "") == LONGEST_FUNCTION


def test_lists_and_dictionaries_are_bounded() -> None:
    many = tuple(str(number) for number in range(1_000))
    report = Report(
        verdict=Verdict(evidence=many),
        logs=(LogExcerpt(source="log", lines=many),),
        registers={name: Address(1) for name in many},
    )
    neutral = neutralise(report)
    evidence, lines = neutral.verdict.evidence, neutral.logs[0].lines
    assert len(evidence) == len(lines) == len(neutral.registers) == MOST_ITEMS
    assert evidence[0] == "0"
    assert evidence[-1] == "… (801 more)"
    # The end of a log is what happened just before the crash.
    assert lines[0] == "… (801 more)"
    assert lines[-1] == "999"


def test_threads_and_frames_are_not_cut() -> None:
    frames = tuple(Frame(level=level) for level in range(500))
    report = Report(threads=tuple(Thread(number=n, frames=frames) for n in range(300)))
    assert neutralise(report) is report
