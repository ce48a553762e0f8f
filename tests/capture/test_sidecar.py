"""The document beside a core: true, and valid whatever the process calls itself.

`read_sidecar`, which every test of this directory uses, holds each document against its schema.
"""

import os
import time

import pytest

from tests.capture.conftest import RunIt, Wait, analyse
from tests.support.capture import end_of
from tests.support.capture_sidecar import Sidecar, seconds

pytestmark = pytest.mark.native

HOSTILE = [
    "wait",
    'say "hello" \\ done',
    "line\nfeed\ttab\rreturn",
    "\x1b]0;owned\x07\x01\x1f\x7f",
    "",
    "grüße €",
    "\N{GRINNING FACE}",
    "  ",
    "</script>",
    "\u2028\u0085",
]


def test_what_it_tells_of_a_crash(run: RunIt) -> None:
    before = time.time()
    ended = run("processes", "crash")
    after = time.time()

    told = ended.sidecar
    assert (told.pid, told.tid, told.threads) == (ended.pid, ended.pid, 1)
    assert (told.signal, told.si_code, told.fault_address) == (11, 1, "0x18")
    assert (told.sender_pid, told.sender_uid) == (None, None)
    assert (told.comm, told.thread) == ("processes", "processes")
    assert told.executable == analyse(ended.core).process.executable
    assert told.argv == ["processes", "crash"]
    assert told.started is not None
    assert before - 0.02 <= seconds(told.started) <= seconds(told.crashed_at) + 0.02
    assert before - 0.002 <= seconds(told.crashed_at) <= after
    assert told.writer == "evdiag core-writer 1"
    assert (told.error, told.truncated, told.missing_bytes, told.removed) == (None, False, 0, [])


def test_a_signal_from_somebody_else(waiting: Wait, run: RunIt) -> None:
    process = waiting()
    process.send_signal(6)
    ended = end_of(process, run("processes", "vfork").folder, 0.0)

    told = ended.sidecar
    assert (told.signal, told.si_code, told.fault_address) == (6, 0, None)
    assert (told.sender_pid, told.sender_uid) == (os.getpid(), os.getuid())


def test_a_hostile_command_line(run: RunIt) -> None:
    words = ["wait", "", "crash", *HOSTILE]

    ended = run("wait", *words[1:])

    assert ended.sidecar.argv == words


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        (b"before\xff\xfeafter", ["before", "after"]),
        (b"cut\xe2\x82", ["cut"]),
        (b"\xc0\xaf over long", ["over long"]),
        (b"\xed\xa0\x80 half a pair", ["half a pair"]),
        (b"\xf5\x80\x80\x80 too high", ["too high"]),
    ],
)
def test_a_command_line_that_is_no_text(raw: bytes, kept: list[str], run: RunIt) -> None:
    word = raw.decode(errors="surrogateescape")

    ended = run("wait", "", "crash", word, "next")

    argv = ended.sidecar.argv
    assert argv[:3] + argv[4:] == ["wait", "", "crash", "next"]
    assert [part for part in kept if part in argv[3]] == kept


def test_a_very_long_command_line(run: RunIt) -> None:
    many = [f"{n}-" + "x" * 90_000 for n in range(2)]

    ended = run("wait", "", "crash", *many)

    argv = ended.sidecar.argv
    assert argv[:3] == ["wait", "", "crash"]
    for had, want in zip(argv[3:], many, strict=False):
        assert want.startswith(had.rstrip("….")) or had == want
    assert analyse(ended.core).process.argv[-1] == many[-1]


@pytest.mark.parametrize(
    ("name", "comm", "in_name"),
    [
        (b"ocpp:OCPP201", "ocpp:OCPP201", "ocpp:OCPP201"),
        (b"../../etc/x", "../../etc/x", ".._.._etc_x"),
        (b"a b", "a b", "a_b"),
        (b"tab\tnew\nline", "tab\tnew", "tab_new"),
        (b"\x1b[31mred\x07", "\x1b[31mred\x07", "_[31mred_"),
        (b"del\x7f", "del\x7f", "del_"),
        (b"..", "..", ".."),
        (b"*?$(id)", "*?$(id)", "*?$(id)"),
        (b"%s%n%d", "%s%n%d", "%s%n%d"),
        (b") R 1 1", ") R 1 1", ")_R_1_1"),
        ("größe".encode(), "größe", "größe"),
        (b"123456789012345", "123456789012345", "123456789012345"),
        (b'q"uo\\te', 'q"uo\\te', 'q"uo\\te'),
    ],
)
def test_a_hostile_name(name: bytes, comm: str, in_name: str, run: RunIt) -> None:
    ended = run("wait", "0x" + name.hex(), "crash")

    told = ended.sidecar
    # /proc ends the name at a line feed: what follows may be missing
    assert told.comm.startswith(comm)
    assert told.core is not None
    assert told.core.startswith(f"core.{in_name}")
    assert ended.core.parent == ended.folder
    assert "\x1b" not in ended.stderr
    assert analyse(ended.core).process.pid == ended.pid


@pytest.mark.parametrize("name", [b"\xff\xfe\x80", b"12345678901234\xc3\xa9", b"\xc2\x9b31m"])
def test_a_name_that_is_no_text(name: bytes, run: RunIt) -> None:
    ended = run("wait", "0x" + name.hex(), "crash")

    assert ended.sidecar.core == ended.core.name  # valid UTF-8, both
    assert "\x9b" not in ended.core.name


def test_two_crashes_in_one_second_have_names_of_their_own(run: RunIt) -> None:
    first, second = run("processes", "crash"), run("processes", "crash")

    documents: list[Sidecar] = second.sidecars
    assert {told.pid for told in documents} == {first.pid, second.pid}
    assert len(second.cores) == 2
