"""Whatever is given to evdiag: a clear message, the right exit code, no traceback, no hang."""

import gzip
import json
import os
import random
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from evdiag.parse.elf import read_header, read_segments
from evdiag.parse.elfcore import read_core
from tests.cli.conftest import Evdiag

MUTANTS = 1000
EXE = "root/opt/everest/libexec/everest/modules/EvseManager/EvseManager"

Make = Callable[[Path, bytes], object]


def _random(path: Path, core: bytes) -> None:
    path.write_bytes(random.Random(1).randbytes(5_000))


def _machine(path: Path, core: bytes) -> None:
    path.write_bytes(core[:18] + (243).to_bytes(2, "little") + core[20:4096])


FILES: list[tuple[str, Make, str]] = [
    ("empty", lambda path, core: path.write_bytes(b""), "the file is empty"),
    ("text", lambda path, core: path.write_text("Segmentation fault\n"), "it is text"),
    ("random", _random, "it is no ELF file"),
    ("packed", lambda path, core: path.write_bytes(gzip.compress(core)), "with gzip"),
    ("folder", lambda path, core: path.mkdir(), "holds neither a core nor a log"),
    ("fifo", lambda path, core: os.mkfifo(path), "is not a regular file"),
    ("missing", lambda path, core: None, "does not exist"),
    ("riscv", _machine, "a core of riscv"),
    ("three-kilobytes", lambda path, core: path.write_bytes(core[:3000]), "notes"),
]


@pytest.mark.parametrize(("name", "make", "said"), FILES, ids=[name for name, *_ in FILES])
def test_what_is_no_usable_core(
    name: str, make: Make, said: str, evdiag: Evdiag, core: Path, tmp_path: Path
) -> None:
    target = tmp_path / name
    make(target, core.read_bytes())

    code, out, err = evdiag("backtrace", target)

    assert code == 8
    assert out == ""
    assert said in err
    assert "  -> " in err  # what to do next


def test_a_program_is_no_core(evdiag: Evdiag, demo: Path) -> None:
    code, _, err = evdiag("backtrace", demo / EXE)

    assert code == 8
    assert "a shared library or executable" in err


def test_no_permission(evdiag: Evdiag, core: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        target = Path(folder) / "core"
        target.write_bytes(core.read_bytes())
        target.chmod(0)
        user = os.geteuid()
        if user == 0:  # root may read everything: be nobody for a moment
            os.seteuid(65534)
        try:
            code, _, err = evdiag("backtrace", target)
        finally:
            os.seteuid(user)

    assert code == 8
    assert f"no permission to read {target}" in err


@pytest.mark.parametrize("percent", [10, 50, 90])
def test_a_truncated_core_still_gives_a_report(
    percent: int, evdiag: Evdiag, core: Path, demo: Path, tmp_path: Path
) -> None:
    content = core.read_bytes()
    target = tmp_path / "core"
    target.write_bytes(content[: len(content) * percent // 100])

    code, out, _ = evdiag("backtrace", target, "--sysroot", demo / "root", "--format", "json")

    assert code == 0
    report = json.loads(out)
    assert report["core"]["truncated"] is True
    assert report["core"]["missing_bytes"] > 0
    assert "the core is truncated" in report["soft_errors"][0]["message"]
    assert report["verdict"]["class"] == "null-write"
    assert report["threads"][0]["frames"][0]["line"] == 29


def test_a_damaged_program(evdiag: Evdiag, core: Path, demo: Path, tmp_path: Path) -> None:
    content = bytearray((demo / EXE).read_bytes())
    for at in range(0x1000, len(content), 97):
        content[at] ^= 0x55
    program = tmp_path / "EvseManager"
    program.write_bytes(content)

    code, out, _ = evdiag("backtrace", core, "--exe", program)

    assert code == 0
    assert "null-write" in out or "null-access" in out


def test_a_program_of_another_build(evdiag: Evdiag, core: Path, demo: Path, tmp_path: Path) -> None:
    other = demo / "root/opt/everest/lib/libchargebridge.so"

    code, out, err = evdiag("backtrace", core, "--exe", other)

    assert code == 8
    assert "null-access" in out  # the report is there, without the wrong file
    assert f"{other} is another build: the core needs build-id " in err
    assert "not used" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--format", "pdf"], "there is no format 'pdf'"),
        (["-o", "report.pdf"], "no format has the suffix of report.pdf"),
        (["--source-map", "nothing"], "is not FROM=TO"),
        (["--exe", "/no/such/file"], "--exe /no/such/file is not a file"),
        (["--sysroot", "/no/such/folder"], "--sysroot /no/such/folder is not a directory"),
        (["-o", "/"], "-o / is a directory"),
        (["--no-such-option"], "No such option"),
    ],
)
def test_a_command_line_that_makes_no_sense(
    arguments: list[str], said: str, evdiag: Evdiag, core: Path
) -> None:
    code, out, err = evdiag("backtrace", core, *arguments)

    assert code == 2
    assert out == ""
    assert said in err


def test_a_report_that_cannot_be_written(evdiag: Evdiag, core: Path) -> None:
    code, _, err = evdiag("backtrace", core, "-o", "/no/such/folder/report.md")

    assert code == 2
    assert "cannot be written" in err


def test_hostile_words_in_the_core_are_harmless(evdiag: Evdiag, core: Path, tmp_path: Path) -> None:
    content = bytearray(core.read_bytes())
    evil = b"\x1b]0;x\x07[red]<b>`\xe2\x80\xae"
    for known in (b"evse_manager:EvseManager", b"/opt/everest/libexec"):
        at = content.find(known)
        while at >= 0:
            content[at : at + len(evil)] = evil
            at = content.find(known, at + 1)
    target = tmp_path / "core"
    target.write_bytes(content)

    for name in ("terminal", "markdown", "json"):
        code, out, err = evdiag("backtrace", target, "--format", name)
        assert code == 0
        assert not set(out + err) & {"\x1b", "\x07", "\u202e"}


def test_a_thousand_mutants(evdiag: Evdiag, core: Path, demo: Path, tmp_path: Path) -> None:
    content = core.read_bytes()
    header = read_header(content)
    segments = read_segments(content, header)
    note = next(s for s in segments if s.type == 4)
    stack = read_core(content).threads[0].registers[19]
    home = next(s for s in segments if s.type == 1 and s.vaddr <= stack < s.vaddr + s.memory_size)
    at_stack = home.offset + stack - home.vaddr
    areas = [
        (0, 64),
        (64, 64 + 56 * len(segments)),
        (note.offset, note.offset + note.file_size),
        (at_stack, at_stack + 4096),
        (0, len(content)),
    ]
    target = tmp_path / "core"
    target.write_bytes(content)
    chance = random.Random(4711)
    codes = set()
    for i in range(MUTANTS):
        start, end = areas[i % len(areas)]
        changed: dict[int, bytes] = {}
        with target.open("r+b") as file:
            for _ in range(chance.choice((1, 4, 64))):
                at = chance.randrange(start, end)
                changed.setdefault(at, content[at : at + 1])
                file.seek(at)
                file.write(bytes([chance.randrange(256)]))
        arguments = ("--sysroot", demo / "root") if i % 10 == 0 else ()
        codes.add(evdiag("backtrace", target, "--format", "json", *arguments).code)
        with target.open("r+b") as file:
            for at, old in changed.items():
                file.seek(at)
                file.write(old)
    assert codes <= {0, 8}
    assert target.read_bytes() == content


def test_mutated_unwind_tables(evdiag: Evdiag, core: Path, demo: Path, tmp_path: Path) -> None:
    # the build-id stays, so that the damaged file is used
    content = (demo / EXE).read_bytes()
    header = read_header(content)
    frames = next(s for s in read_segments(content, header) if s.type == 0x6474E550)
    chance = random.Random(99)
    program = tmp_path / "EvseManager"
    for _ in range(60):
        damaged = bytearray(content)
        for _ in range(chance.choice((4, 64, 512))):
            at = frames.offset + chance.randrange(frames.file_size * 6)
            damaged[at] = chance.randrange(256)
        program.write_bytes(damaged)
        assert evdiag("backtrace", core, "--exe", program, "--format", "json").code == 0


def test_files_are_for_their_owner(evdiag: Evdiag, tmp_path: Path) -> None:
    assert evdiag("demo", "-o", tmp_path / "demo").code == 0

    for path in (tmp_path / "demo").rglob("*"):
        if path.is_file():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
