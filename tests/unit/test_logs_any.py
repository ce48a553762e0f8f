"""Whatever a log holds: nothing raises, it is read in little memory, and pieces do not matter."""

import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evdiag.analyze.logverdict import from_log
from evdiag.model.logs import KINDS, LogEvent
from evdiag.parse.logs import read_events
from evdiag.parse.logs._lines import BATCH
from tests.support.log_lines import TEXTS, events_of, line

REAL = [path.read_bytes() for path in sorted(TEXTS.rglob("*")) if path.is_file()]
REAL_CHAIN = (TEXTS / "python/chained.txt").read_bytes()
PARTS = [
    b"2026-11-22 07:01:54.601116 [CRIT] manager          :: ",
    b"2026-11-22 07:01:54,601 INFO ",
    b"Module x (pid: 1) exited with status: 139. Terminating all modules.",
    b"Crash recovery shutdown completed in 1 ms. Modules that did not shut down cleanly: a (raw=1)",
    b"exited: x (terminated by SIGSEGV (core dumped); not expected)",
    b"terminate called after throwing an instance of '",
    b"  what():  ",
    b"==1==ERROR: AddressSanitizer: ",
    b"a.cpp:1:2: runtime error: ",
    b"    #0 0x1 in f /a.cpp:1",
    b"SUMMARY: ",
    b"Traceback (most recent call last):",
    b'  File "/a.py", line 1, in f',
    b"Fatal Python error: ",
    b"Exception in thread x:",
    b"/a.js:1",
    b"    ^",
    b"TypeError: x",
    b"    at f (/a.js:1:2)",
    b"[1.000000] x[1]: segfault at 8 ip 1 sp 2 error 4 in x[1+2]",
    b"Out of memory: Killed process 1 (x)",
    b'{"log":"x\\n","stream":"stderr","time":""}',
    b"2026-11-22T07:01:54.601116Z ",
    b"free(): invalid pointer",
    b"x: a.c:1: f: Assertion `x' failed.",
    b"\x1b[1;32m",
    b"\n",
    b"\r\n",
    b" ",
    b"\xff\x00",
    b"999999999999999999999",
]
TEXT = st.lists(st.sampled_from(PARTS) | st.binary(max_size=12), max_size=40).map(b"".join)


def check(found: list[LogEvent], text: bytes) -> None:
    lines = text.count(b"\n") + 1
    for event in found:
        assert event.kind in KINDS
        assert 1 <= event.line <= lines
        assert event.kind != "sanitizer" or event.sanitizer is not None
        assert event.kind != "script" or event.script is not None
    cause = from_log(found)
    assert cause is None or (cause.summary and cause.evidence and cause.advice)


@given(TEXT)
@example(b'{"log":"\\ud800"}\n')
@example(b'{"log":"' + b"[" * 5000 + b"\n")
def test_any_text(text: bytes) -> None:
    check(events_of(text), text)


@given(st.binary(max_size=300))
def test_any_bytes(text: bytes) -> None:
    check(events_of(text), text)


@given(st.sampled_from(REAL), st.data())
def test_real_texts_with_a_bite_taken_out(text: bytes, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 200)))
    filling = data.draw(st.sampled_from(PARTS))
    bitten = text[:start] + filling + text[end:]
    check(events_of(bitten), bitten)


@given(TEXT, st.integers(1, 50))
def test_pieces_do_not_matter(text: bytes, size: int) -> None:
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    assert events_of(*pieces) == events_of(text)


@pytest.mark.parametrize("shift", [1, 777, 40_000, 131_072])
def test_where_batches_are_cut_does_not_matter(shift: int) -> None:
    # GIVEN texts and stretches of boring lines that are longer than a batch
    boring = (line("boring") + "raw\n") * (BATCH // 200)
    quoted = line("Error:", "ERRO").encode() + REAL_CHAIN
    text = b"".join(part + boring.encode() for part in (*REAL, quoted, line("E:").encode()))

    found = events_of(b"x" * shift + b"\n" + text)

    assert [e.text for e in found] == [e.text for e in events_of(b"\n", text)]


@pytest.mark.parametrize(
    "part",
    [
        line("boring"),
        line("It failed", "ERRO"),
        "raw text\n",
        "free(): invalid pointer\n",
        'Traceback (most recent call last):\n  File "/a.py", line 1, in f\n',
        "==1==ERROR: AddressSanitizer: x on y\n    #0 0x1 in f\n",
        "x" * 999,
    ],
)
def test_memory_does_not_grow_with_the_log(part: str) -> None:
    block = (line("boring") * 20 + part).encode()

    def log() -> Iterator[bytes]:
        for _ in range(20 * BATCH // len(block)):
            yield block

    tracemalloc.start()
    try:
        for event in read_events("a.log", log()):
            assert event.line
        assert tracemalloc.get_traced_memory()[1] < 8 * BATCH
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "text",
    [
        b"2026-11-22 07:01:54.6 [ERRO] " + b": " * 30_000,
        b"2026-11-22 07:01:54.6 [ERRO] manager         f " + b":1" * 30_000,
        b"2026-11-22 07:01:54,6 INFO exited: " + b" (" * 30_000,
        b"2026-11-22 07:01:54,600 INFO exited: " + b" (" * 30_000,
        b"a.cpp:1: runtime error: " + b"0x1 -1.5e+" * 6_000,
        b"==1==ERROR: AddressSanitizer: x\n    #0 0x1 in " + b"(a+0x" * 10_000,
        b"==1==ERROR: AddressSanitizer: x\n    #0 0x1 in " + b" /a:1" * 10_000,
        b'Traceback (most recent call last):\n  File "' + b'", line 1' * 6_000,
        b"/a.js:1\n ^\nTypeError: x\n    at " + b"f (" * 20_000,
        b"/a.js:1\n ^\nTypeError: x\n    at " + b"f:1" * 20_000,
        b"x: " + b":1: Assertion `" * 4_000 + b"' failed.",
        b"libc++abi: terminating due to uncaught exception of type " + b"a::" * 20_000,
        b"*** Error in `" + b"': " * 20_000,
        b"oom-kill:constraint=x," + b"task=a," * 8_000,
        b"\x1b[" * 30_000,
        b"2026-11-22 07:01:54.6 [CRIT] manager         :: Crash recovery shutdown completed in "
        b"1 ms. Modules that did not shut down cleanly:" + b"a (signal=" * 6_000,
    ],
)
def test_hostile_lines_take_no_time(text: bytes) -> None:
    # pytest-timeout ends what takes minutes, as a pattern that backtracks would
    assert len(events_of(*[text + b"\n"] * 20)) <= 20
