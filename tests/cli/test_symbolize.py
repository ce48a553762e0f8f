"""`evdiag symbolize` on texts of all kinds: what it leaves alone, what it names, how it ends."""

import gzip
import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from evdiag.adapters.file_source import FolderFiles
from evdiag.adapters.files import map_file
from evdiag.adapters.text_stream import LONGEST
from evdiag.parse.image import Image
from tests.cli.conftest import Evdiag
from tests.support.bundles import bundle_of

MODULE = "/opt/everest/libexec/everest/modules/EvseManager/EvseManager"
SECONDS = 60


@pytest.fixture(autouse=True)
def no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """There is nothing to talk to."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")


@pytest.fixture(scope="module")
def root(demo: Path) -> Path:
    return demo / "root"


@pytest.fixture(scope="module")
def program(root: Path) -> Image:
    return Image(str(root / MODULE[1:]), map_file(root / MODULE[1:]))


@pytest.fixture(scope="module")
def line(program: Image) -> str:
    """A line about the program's entry."""
    return f"{MODULE}(+{program.header.entry + 1:#x}) [0x55d0c0de1000]"


def text_of(folder: Path, content: bytes | str) -> Path:
    path = folder / "text"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def start(
    *arguments: object, stdin: int | None = None, stdout: int = subprocess.PIPE
) -> subprocess.Popen[bytes]:
    """evdiag as a process."""
    command = [sys.executable, "-m", "evdiag", "symbolize", *map(str, arguments)]
    return subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE)


# -- what cannot be done


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["none.log"], 2, "none.log does not exist"),
        (["."], 2, ". is a directory"),
        (["text", "--exe", "none"], 2, "--exe none is not a file"),
        (["text", "--exe", "text"], 2, "--exe text is no program"),
        (["text", "--sysroot", "text"], 2, "--sysroot text is not a directory"),
        (["text", "--core", "none/core"], 8, "none/core does not exist"),
        (["text", "--core", "text"], 8, "text"),
        (["text", "--bundle", "./none"], 8, "none does not exist"),
        (["text", "--image", "evdiag/everest"], 4, "none.sock"),
        (["text", "-o", "."], 2, "-o . is a directory"),
        (["text", "-o", "none/out"], 2, "none/out cannot be written"),
    ],
)
def test_what_is_not_there(
    evdiag: Evdiag,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    text_of(tmp_path, "hello\n")
    outcome = evdiag("symbolize", *arguments)
    assert (outcome.code, outcome.out) == (code, "")
    assert said in outcome.err
    assert "  -> " in outcome.err or code == 2


# -- what stays as it is


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\n",
        b"no end of line",
        b"one\r\ntwo\r\nthree",
        b"\xff\xfe latin-1 \xe4\xf6 \x00\x01\x1b[31mred\x1b[0m\n\x80",
        "Grüße \u202e 0x12345 \U0001f600\u2028x\x85y\x0cz\n".encode(),
        b"./none(+0x1234) [0x55d0c0de1000]\n/none/lib.so(f+0x12)[0x7f0000001000]\r\n",
        b"==1==ERROR\n    #0 0x55d0c0de1000 in f (/none/a+0x1234) (BuildId: 0011)\n",
        bytes(range(256)) * 700,
        b"(+0x" * 40_000,
        b"a" * (3 * LONGEST + 7) + b"\n" + "ä".encode() * LONGEST,
    ],
)
def test_what_is_not_known_stays_byte_by_byte(evdiag: Evdiag, tmp_path: Path, text: bytes) -> None:
    out = tmp_path / "out"
    outcome = evdiag("symbolize", text_of(tmp_path, text), "-o", out)
    assert outcome.code == 0
    assert out.read_bytes() == text
    assert out.stat().st_mode & 0o777 == 0o600


def test_a_text_without_addresses_says_so(evdiag: Evdiag, tmp_path: Path) -> None:
    outcome = evdiag("symbolize", text_of(tmp_path, "all is well\n"))
    assert outcome == (0, "all is well\n", "no addresses in it\n")


# -- what is named


def test_an_answer_stands_behind_its_address(
    evdiag: Evdiag, tmp_path: Path, root: Path, line: str
) -> None:
    text = f"10:00 {line} and more\r\nnothing here\r\n  {line}"
    out = tmp_path / "out"
    outcome = evdiag("symbolize", text_of(tmp_path, text), "--sysroot", root, "-o", out)
    assert outcome.err == "named 2 of 2 addresses\n"
    named = f"{line} _start"
    assert out.read_bytes() == text.replace(line, named).encode()


def test_a_program_by_its_name(evdiag: Evdiag, tmp_path: Path, root: Path, line: str) -> None:
    here = root / MODULE[1:]
    for text in (line, line.replace(MODULE, "./EvseManager"), line.replace(MODULE, "EvseManager")):
        outcome = evdiag("symbolize", text_of(tmp_path, text), "--exe", here)
        assert outcome.out == f"{text} _start"
    # another library is not meant
    other = line.replace(MODULE, "/none/libother.so.1")
    outcome = evdiag("symbolize", text_of(tmp_path, other), "--exe", here)
    assert outcome.out == other
    assert "named 0 of 1 addresses\n  1 in /none/libother.so.1: it is not on this" in outcome.err


def test_between_two_files_nothing_is_guessed(
    evdiag: Evdiag, tmp_path: Path, root: Path, line: str, program: Image
) -> None:
    """Two builds of one name; the text says by its build-id which one it is about."""
    build_id = program.build_id or ""
    other = tmp_path / "EvseManager"
    content = (root / MODULE[1:]).read_bytes()
    other.write_bytes(content.replace(bytes.fromhex(build_id), b"\xab" * 20))
    options = ("--exe", root / MODULE[1:], "--exe", other)
    outcome = evdiag("symbolize", text_of(tmp_path, line), *options)
    assert outcome.out == line
    assert "it may be one of several files, and the text has no build-id" in outcome.err
    text = f"#1 0x55d0c0de1000  ({MODULE}+{program.header.entry:#x}) (BuildId: {build_id})"
    outcome = evdiag("symbolize", text_of(tmp_path, f"    {text}"), *options)
    assert outcome.out == f"    {text} _start"


def test_a_name_alone_is_looked_for_where_programs_lie(
    evdiag: Evdiag, tmp_path: Path, root: Path, line: str
) -> None:
    text = line.replace(MODULE, "EvseManager")
    named = evdiag("symbolize", text_of(tmp_path, text), "--sysroot", root)
    assert named.out == f"{text} _start"
    outcome = evdiag("symbolize", text_of(tmp_path, text))
    assert outcome.out == text
    # a second one of that name
    copy = tmp_path / "root"
    for place in (MODULE[1:], "usr/bin/EvseManager"):
        (copy / place).parent.mkdir(parents=True)
        (copy / place).write_bytes((root / MODULE[1:]).read_bytes())
    outcome = evdiag("symbolize", text_of(tmp_path, text), "--sysroot", copy)
    assert outcome.out == text
    assert f"it may be {MODULE} or /usr/bin/EvseManager" in outcome.err


def test_the_only_program_that_was_named_may_have_another_name(
    evdiag: Evdiag, tmp_path: Path, root: Path, line: str
) -> None:
    here = tmp_path / "program.debug"
    here.write_bytes((root / MODULE[1:]).read_bytes())
    outcome = evdiag("symbolize", text_of(tmp_path, line), "--exe", here)
    assert outcome.out == f"{line} ? _start"
    assert "1 are marked with ?" in outcome.err


def test_a_library_of_this_machine_is_marked(evdiag: Evdiag, tmp_path: Path) -> None:
    """Nothing says that it is of the build that the text is about."""
    libc = next(
        path.split(maxsplit=5)[5].strip()
        for path in Path("/proc/self/maps").read_text().splitlines()
        if "libc.so" in path
    )
    image = Image(libc, map_file(Path(libc)))
    at = next(s.vaddr for s in image.loads if s.flags & 1) + 0x40000
    text = f"{libc}(+{at:#x}) [0x7f0000000000]"
    outcome = evdiag("symbolize", text_of(tmp_path, text))
    assert outcome.out.startswith(f"{text} ? ")
    # the same file is not taken for a text of another system
    outcome = evdiag("symbolize", text_of(tmp_path, text), "--sysroot", tmp_path)
    assert outcome.out == text
    assert f"{tmp_path} does not have it" in outcome.err
    # and with its build-id it is known
    text = f"    #1 0x7f0000000000  ({libc}+{at:#x}) (BuildId: {image.build_id})"
    outcome = evdiag("symbolize", text_of(tmp_path, text))
    assert outcome.out.startswith(text)
    assert "marked" not in outcome.err
    assert outcome.err.startswith("named 1 of 1")


def test_another_build_is_refused(
    evdiag: Evdiag, tmp_path: Path, root: Path, program: Image
) -> None:
    wrong = "00ff" * 10
    text = f"    #1 0x55d0c0de1000  ({MODULE}+{program.header.entry:#x}) (BuildId: {wrong})\n"
    for options in (["--sysroot", root], ["--exe", root / MODULE[1:]]):
        outcome = evdiag("symbolize", text_of(tmp_path, text), *options)
        assert (outcome.code, outcome.out) == (0, text)
        assert f"another build: the text says build-id {wrong[:16]}" in outcome.err
        assert f"EvseManager has build-id {(program.build_id or '')[:16]}" in outcome.err


def test_raw_addresses_of_a_core(evdiag: Evdiag, tmp_path: Path, demo: Path, root: Path) -> None:
    """The whole backtrace again, from nothing but its program counters."""
    options = ("--sysroot", root)
    report = json.loads(
        evdiag("backtrace", demo / "core", *options, "--format", "json", "--no-redact").out
    )
    frames = [f for f in report["threads"][0]["frames"] if f.get("kind") == "normal"]
    text = "".join(f"pc {f['pc']}\n" for f in frames) + "counter 0x7ffc00001000\n"
    outcome = evdiag("symbolize", text_of(tmp_path, text), "--core", demo / "core", *options)
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    assert lines[-1] == "counter 0x7ffc00001000"
    assert lines[0] == f"pc {frames[0]['pc']} {_told(report)}"
    # what is behind a call may lie in the next line, but hardly in another function; the report
    # shows long names shortened
    names = [f["function"] or "<>" for f in frames]
    plain = [(said, name) for said, name in zip(lines, names, strict=False) if "<" not in name]
    assert len(plain) > 3
    assert all(name in said for said, name in plain)


def _told(report: Any) -> str:  # noqa: ANN401 - JSON
    """The innermost physical frame with what was inlined into it."""
    frames = report["threads"][0]["frames"]
    count = 1 + next(i for i, f in enumerate(frames) if f["kind"] == "normal")
    return ", inlined in ".join(
        f"{f['function']} at {f['file']}:{f['line']}" for f in frames[:count]
    )


def test_a_bundle_brings_cores_and_files(
    evdiag: Evdiag, tmp_path: Path, demo: Path, line: str
) -> None:
    core = tmp_path / "core.evse_manager:EvseManager.1.1"
    core.write_bytes((demo / "core").read_bytes())
    bundle = bundle_of(tmp_path / "b", [core], FolderFiles(demo / "root"))
    outcome = evdiag("symbolize", text_of(tmp_path, line), "--bundle", bundle)
    assert outcome.out == f"{line} _start"
    # by the name of its file too, and by one core of the bundle
    text = line.replace(MODULE, "EvseManager")
    inside = bundle / "cores" / core.name
    assert evdiag("symbolize", text_of(tmp_path, text), "--core", inside).out == f"{text} _start"


def test_reasons_are_told_once_and_not_endlessly(evdiag: Evdiag, tmp_path: Path) -> None:
    text = "".join(f"/none/lib{i % 3000}.so(+0x1234) [0x7f0000001000]\n" for i in range(3100))
    outcome = evdiag("symbolize", text_of(tmp_path, text))
    assert outcome.out == text
    lines = outcome.err.splitlines()
    assert lines[0] == "named 0 of 3,100 addresses"
    assert "  2 in /none/lib0.so: it is not on this machine" in lines
    assert len(lines) < 20
    assert lines[-1].startswith("  -> Name where the text comes from: --image")


# -- packed texts


def test_packed_texts(evdiag: Evdiag, tmp_path: Path, root: Path, line: str) -> None:
    text = f"first\n{line}\n".encode()
    named = f"first\n{line} _start\n"
    pack = zstandard.ZstdCompressor().compress
    for packed, expected in (
        (gzip.compress(text), named),
        (gzip.compress(text) + gzip.compress(text), named * 2),
        (pack(text), named),
        (pack(text) + pack(text), named * 2),
    ):
        outcome = evdiag("symbolize", text_of(tmp_path, packed), "--sysroot", root)
        assert (outcome.code, outcome.out) == (0, expected)


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.ZstdCompressor().compress])
def test_a_packed_text_that_is_cut_or_damaged(
    evdiag: Evdiag, tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    packed = pack(os.urandom(5000).hex().encode() + b"\n")
    outcome = evdiag("symbolize", text_of(tmp_path, packed[:-30]))
    assert outcome.code == 2
    assert "is cut off" in outcome.err
    damaged = packed[:2000] + b"\xff" * 200 + packed[2200:] + b"more"
    outcome = evdiag("symbolize", text_of(tmp_path, damaged))
    assert outcome.code == 2
    assert "is damaged" in outcome.err
    out = tmp_path / "out"
    out.write_text("before")
    assert evdiag("symbolize", text_of(tmp_path, damaged), "-o", out).code == 2
    assert out.read_text() == "before"


def test_what_only_begins_like_a_packed_text(evdiag: Evdiag, tmp_path: Path) -> None:
    for text in ("(", "(\n", "\x1f", "\x1f\x08\n"):
        assert evdiag("symbolize", text_of(tmp_path, text)).out == text


# -- streams


def test_lines_come_at_once(root: Path, line: str) -> None:
    """Each line is awaited before the next one is written."""
    process = start("--sysroot", root, stdin=subprocess.PIPE)
    assert process.stdin
    assert process.stdout
    for number in range(3):
        process.stdin.write(f"{number} {line}\n{number} nothing\n".encode())
        process.stdin.flush()
        assert process.stdout.readline().decode() == f"{number} {line} _start\n"
        assert process.stdout.readline().decode() == f"{number} nothing\n"
    out, err = process.communicate(b"no end", timeout=SECONDS)
    assert (process.returncode, out) == (0, b"no end")
    assert err == b"named 3 of 3 addresses\n"


def test_an_interrupt_ends_it_with_the_summary(root: Path, line: str) -> None:
    process = start("-", "--sysroot", root, stdin=subprocess.PIPE)
    assert process.stdin
    assert process.stdout
    process.stdin.write(f"{line}\n".encode())
    process.stdin.flush()
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    # its standard input stays open
    err = process.stderr.read() if process.stderr else b""
    assert process.wait(timeout=SECONDS) == 130
    assert err == b"named 1 of 1 addresses\nevdiag: interrupted\n"
    process.stdin.close()
    process.stdout.close()
    assert process.stderr
    process.stderr.close()


def test_a_closed_pipe_ends_it_quietly(tmp_path: Path, line: str) -> None:
    path = text_of(tmp_path, f"{line}\n" * 100_000)
    process = start(path)
    assert process.stdout
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr
    assert process.stderr.read() == b""
    assert process.wait(timeout=SECONDS) == 0
    process.stderr.close()


def test_a_terminal_is_not_harmed(tmp_path: Path, root: Path, line: str) -> None:
    """Colours go, everything else that a terminal obeys is shown."""
    text = f"\x1b[31mred\x1b[0m \x1b]0;title\x07\t{line} \u202e\xff\r\nend".encode(
        "latin-1", "ignore"
    )
    ours, theirs = pty.openpty()
    process = start(text_of(tmp_path, text), "--sysroot", root, stdout=theirs, stdin=theirs)
    os.close(theirs)
    said = b""
    while b"end" not in said:
        said += os.read(ours, 4096)
    assert process.wait(timeout=SECONDS) == 0
    os.close(ours)
    assert said.decode().splitlines() == [
        f"red \\x1b]0;title\\x07    {line} _start \\udcff",
        "end",
    ]
    assert process.stderr
    process.stderr.close()


def test_a_file_can_be_rewritten_in_place(
    evdiag: Evdiag, tmp_path: Path, root: Path, line: str
) -> None:
    path = text_of(tmp_path, f"{line}\n")
    assert evdiag("symbolize", path, "--sysroot", root, "-o", path).out == ""
    assert path.read_text() == f"{line} _start\n"
