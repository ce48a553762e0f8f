"""Lines and records: pieces of any size, wrappings, what belongs together, and what is cut."""

import json
from pathlib import Path

import pytest

from evdiag.model.logs import KINDS
from evdiag.parse import logs
from evdiag.parse.logs import PARSERS
from evdiag.parse.logs._lines import BATCH, LONGEST_LINE, batches, seconds
from evdiag.parse.logs.records import MOST_LINES, MOST_TEXT, PATIENCE
from tests.support.log_lines import events_of, kinds, line, text_of

FOLDER = Path(logs.__file__).parent
TERMINATE = "terminate called after throwing an instance of 'std::runtime_error'\n"
WHAT = "  what():  no route\n"


def lines_of(*pieces: bytes | str) -> list[bytes]:
    return [text for batch in batches(pieces) for text in batch.lines]


# -- the list of parsers


def test_every_parser_file_is_listed_once() -> None:
    files = {path.stem for path in FOLDER.glob("*.py") if not path.stem.startswith("_")}
    assert sorted(parser.id for parser in PARSERS) == sorted(files - {"records"})


def test_a_parser_says_what_it_reads() -> None:
    for parser in PARSERS:
        assert parser.title
        assert bool(parser.forms) == bool(parser.words)
        assert parser.forms or parser.raw


# -- lines


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1 << 20])
def test_pieces_may_be_cut_anywhere(size: int) -> None:
    text = b"one\r\ntwo\n\nthree \xff\xfe\nfour"
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    assert lines_of(*pieces) == [b"one", b"two", b"", b"three \xff\xfe", b"four"]


def test_lines_of_text() -> None:
    assert lines_of("a\n", "ü\n") == [b"a", "ü".encode()]
    assert lines_of() == []


@pytest.mark.parametrize("piece", [1 << 12, 1 << 21])
def test_an_endless_line_is_cut(piece: int) -> None:
    text = b"x" * (1 << 21) + b"\nnext\n" + b"y" * (1 << 21)
    found = lines_of(*(text[at : at + piece] for at in range(0, len(text), piece)))
    assert [len(text) for text in found] == [LONGEST_LINE, 4, LONGEST_LINE]


def test_an_endless_line_among_others_is_cut() -> None:
    text = b"one\n" + b"x" * (LONGEST_LINE + 1) + b"\ntwo\n"
    assert [len(line) for line in lines_of(text)] == [3, LONGEST_LINE, 3]


def test_many_small_pieces_are_put_together() -> None:
    assert len(list(batches([b"a line\n"] * 10))) == 2  # all of them, and an empty rest


def test_large_pieces_are_taken_apart() -> None:
    assert len(list(batches([b"a line\n" * BATCH]))) > 5


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-22 07:01:54.601116", 1795330914.601116),
        ("2026-11-22T07:01:54.601116789Z", 1795330914.601116),
        ("2026-11-22T07:01:54+01:00", 1795327314.0),
        ("2026-13-22 07:01:54.6", None),
        ("0001-01-01T00:00:00+14:00", -62135647200.0),
        ("", None),
    ],
)
def test_times(text: str, expected: float | None) -> None:
    assert seconds(text) == expected


# -- wrappings


def wrapped(text: str, time: str = "2026-11-22T08:00:00.5Z", stream: str = "stderr") -> str:
    return json.dumps({"log": text, "stream": stream, "time": time}) + "\n"


def test_the_files_of_docker() -> None:
    log = [wrapped(line("before")), wrapped(TERMINATE), wrapped(WHAT), wrapped(line("It", "ERRO"))]
    found = events_of(*log)
    assert kinds(found) == ["terminate", "what", "error"]
    assert [event.line for event in found] == [2, 3, 4]
    assert found[0].time == 1795330914.0  # of the record before, not of Docker


def test_without_a_record_before_the_time_is_that_of_the_wrapping() -> None:
    found = events_of(wrapped(TERMINATE), wrapped(WHAT, time="2026-11-22T08:00:01.5Z"))
    assert [event.time for event in found] == [1795334400.5, 1795334401.5]


def test_a_long_line_comes_in_parts() -> None:
    found = events_of(
        wrapped(TERMINATE[:20]),
        wrapped(line("other"), stream="stdout"),
        wrapped(TERMINATE[20:]),
        wrapped("the last one"),
    )
    assert kinds(found) == ["terminate"]
    assert found[0].detail == "std::runtime_error"
    assert found[0].line == 3


def test_the_rest_of_a_line_without_end() -> None:
    assert kinds(events_of(wrapped(TERMINATE[:20]), wrapped(TERMINATE[20:-1]))) == ["terminate"]


def test_lines_that_are_not_wrapped_like_the_first_one() -> None:
    found = events_of(wrapped("x\n"), TERMINATE, '{"log": 1}\n', '{"log": "\n')
    assert kinds(found) == ["terminate"]
    assert events_of('{"log": 1}\n', TERMINATE)[0].line == 2


def test_times_before_every_line() -> None:
    stamp = "2026-11-22T08:00:00.123456789Z "
    found = events_of(*(stamp + text for text in (TERMINATE, WHAT, line("It failed", "ERRO"))))
    assert kinds(found) == ["terminate", "what", "error"]
    assert [event.time for event in found] == [1795334400.123456, 1795334400.123456, 1795330914.0]
    assert found[1].detail == "no route"
    assert kinds(events_of(stamp + "\n", TERMINATE)) == ["terminate"]


# -- records


def test_lines_without_a_header_belong_to_the_record_before() -> None:
    (found,) = events_of(line("It failed:", "ERRO"), '{\n  "a": 1\n}\n\n', line("next"))
    assert found.text.endswith('It failed:\n{\n  "a": 1\n}')
    assert found.detail == "It failed:"


def test_colours_and_bytes_that_are_no_text() -> None:
    (found,) = events_of(line("It \x1b[31mfailed\x1b[0m", "ERRO").encode() + b"\xff\x1b[0m\n")
    assert found.detail == "It failed"
    assert found.text.endswith("\n\ufffd")


def test_a_record_does_not_grow_without_end() -> None:
    (found,) = events_of(line("It failed", "ERRO"), "more\n" * 100_000)
    assert found.text.count("\n") == MOST_LINES - 1
    (found,) = events_of(line("It failed", "ERRO"), ("x" * LONGEST_LINE + "\n") * 100)
    assert len(found.text) < MOST_TEXT + 1000


def test_a_header_with_a_time_that_there_is_not() -> None:
    (found,) = events_of("2026-13-32 07:01:54.601116 [ERRO] manager          :: It failed\n")
    assert (found.detail, found.time) == ("It failed", None)
    header = "2026-13-32 07:01:54.601116 [INFO] manager          :: fine\n"
    assert events_of(header, TERMINATE)[0].time is None


def test_a_batch_of_boring_lines_is_counted() -> None:
    boring = line("boring", second=1) * (2 * BATCH // len(line("boring"))) + "raw\n"
    found = events_of(boring, TERMINATE)
    assert found[0].line == boring.count("\n") + 1
    assert found[0].time == 1795330915.0


def test_only_known_kinds_come() -> None:
    texts = [text_of(f"python/{name}") for name in ("chained", "thread")]
    assert set(kinds(events_of(TERMINATE, WHAT, *texts))) <= KINDS.keys()


# -- texts that others interrupt


TRACEBACK = text_of("python/import").splitlines(keepends=True)


def test_a_traceback_goes_on_after_records_of_others() -> None:
    log = [text for part in TRACEBACK for text in (part, line("fine"), line("It failed", "ERRO"))]
    found = events_of(*log)
    assert kinds(found) == ["script", *["error"] * len(TRACEBACK)]
    script = found[0].script
    assert script is not None
    assert (script.error, script.message) == ("ModuleNotFoundError", "No module named 'everest'")
    assert script.stack == ("<module> at /src/app/d.py:1",)


def test_a_chain_of_tracebacks_goes_on_too() -> None:
    log = [text + line("fine") for text in text_of("python/chained").splitlines(keepends=True)]
    (found,) = events_of(*log)
    assert found.detail == "KeyError"


def test_nobody_waits_for_ever() -> None:
    log = [*TRACEBACK[:2], *[line("It failed", "ERRO")] * (PATIENCE + 2), *TRACEBACK[2:]]
    assert kinds(events_of(*log)) == ["error"] * (PATIENCE + 2)


def test_another_text_ends_the_waiting() -> None:
    log = [*TRACEBACK[:2], line("It failed", "ERRO"), TERMINATE, *TRACEBACK]
    assert kinds(events_of(*log)) == ["error", "terminate", "script"]


def test_a_report_goes_on_after_a_record() -> None:
    first, *rest = text_of("sanitizers/asan-uaf-gcc").splitlines(keepends=True)
    (found,) = events_of(first, *rest[:2], line("fine"), "raw\n", *rest[2:])
    assert found.sanitizer is not None
    assert found.sanitizer.function == "read_meter(Session*)"
