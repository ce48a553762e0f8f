"""Registers and notes: byte for byte those of the kernel's core, but for what differs by run."""

import platform
from collections import Counter
from pathlib import Path

import pytest

from evdiag.adapters.files import load_core
from evdiag.parse.elf import notes, read_header, read_segments
from tests.capture.conftest import RunIt
from tests.conftest import need
from tests.support.capture import UNLIMITED
from tests.support.core_files import CannotMakeCores, check_cores_possible, take_core

pytestmark = pytest.mark.native

PT_NOTE = 4
# elf.h; the last one, of Linux 6.12 and newer, describes the layout of the one before it
PRSTATUS, FPREGSET, PRPSINFO, AUXV = 1, 2, 3, 6
SIGINFO, FILE, XSTATE, XSAVE_LAYOUT = 0x53494749, 0x46494C45, 0x202, 0x205

SAME = {"rax", "orig_rax", "cs", "ss", "ds", "es", "gs", "gs_base"}
"""The others have addresses in them, which differ in every run."""

FXSAVE = 416
AVX = slice(576, 832)
"""Parts of a processor's state as XSAVE orders them (Intel's manual, volume 1, chapter 13)."""

KNOWN = {"rax": 0x4024000000000000, "rbx": 0x1234, "r12": 0x5678}


@pytest.fixture
def two_cores(run: RunIt, tmp_path: Path, request: pytest.FixtureRequest) -> tuple[Path, Path]:
    """Ours and the kernel's."""
    if platform.machine() != "x86_64" or " avx2 " not in Path("/proc/cpuinfo").read_text():
        need(request, "native", "the processor has no AVX2")
    try:
        check_cores_possible()
        cwd = tmp_path / "kernel"
        cwd.mkdir()
        plain = run("registers", preload=False, core_limit=UNLIMITED, cwd=cwd)
        kernels = take_core(plain.pid, cwd, 0.0, tmp_path / "kernels-core")
    except CannotMakeCores as reason:
        need(request, "native", str(reason))
    ended = run("registers")
    assert ended.status == plain.status == -11
    return ended.core, kernels


def notes_of(core: Path) -> list[tuple[int, bytes, bytes]]:
    """All notes: type, owner, contents."""
    data, _ = load_core(core)
    segments = read_segments(data, read_header(data))
    (note,) = (s for s in segments if s.type == PT_NOTE)
    return list(notes(bytes(data[note.offset : note.offset + note.file_size])))


def test_the_same_notes(two_cores: tuple[Path, Path]) -> None:
    ours, theirs = (
        Counter((kind, owner, len(held) if kind != FILE else 0) for kind, owner, held in each)
        for each in map(notes_of, two_cores)
    )
    missing = theirs - ours
    assert ours <= theirs
    assert {kind for kind, *_ in missing} <= {XSAVE_LAYOUT}


def test_the_same_registers(two_cores: tuple[Path, Path]) -> None:
    ours, theirs = (load_core(core)[1] for core in two_cores)
    names = ours.machine.registers
    assert len(ours.threads) == len(theirs.threads) == 2
    for mine, kernels in zip(ours.threads, theirs.threads, strict=True):
        for name, one, other in zip(names, mine.registers, kernels.registers, strict=True):
            assert name not in SAME or one == other, name
    crashed = dict(zip(names, ours.threads[0].registers, strict=True))
    assert {name: crashed[name] for name in KNOWN} == KNOWN
    assert crashed["eflags"] & 0x400  # the direction flag, which the kernel clears for a handler


@pytest.mark.parametrize("kind", [FPREGSET, XSTATE])
def test_the_same_floating_point_and_vector_registers(
    kind: int, two_cores: tuple[Path, Path]
) -> None:
    ours, theirs = (
        [held for found, _, held in notes_of(core) if found == kind] for core in two_cores
    )

    assert len(ours) == 2
    for mine, kernels in zip(ours, theirs, strict=True):
        assert without_places(mine) == without_places(kernels)
    assert (b"\0" * 6 + b"\x24\x40") * 2 in ours[0]


def without_places(state: bytes) -> bytes:
    """FXSAVE's image without the addresses of the last instruction and its operand, and AVX's part.

    What lies behind it are mask registers, which libc's string functions leave behind, and more.
    """
    return state[:8] + state[24:FXSAVE] + state[AVX]
