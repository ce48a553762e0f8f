"""Every way to crash: the verdict, the crashed thread and the frame to look at are right."""

import os
from pathlib import Path

import pytest

from evdiag.analyze.names import qualified
from evdiag.model.report import Report
from evdiag.report import FORMATS
from tests.native.conftest import Crash, analyse
from tests.support.crashers import (
    OPTS,
    Mode,
    Opt,
    Program,
    crash_once,
    mode_named,
    modes_here,
)

CASES = [pytest.param(m, o, id=f"{m.name}-{o}") for m in modes_here() for o in OPTS]


@pytest.mark.native
@pytest.mark.parametrize(("mode", "opt"), CASES)
def test_a_crash_is_told_right(mode: Mode, opt: Opt, crash: Crash) -> None:
    crashed = crash(mode, opt)
    report = analyse(crashed.core)

    accepted = {mode.verdict_class, *mode.also_classes}
    assert report.verdict.cls in accepted, report.verdict
    assert report.process.pid == crashed.pid
    assert report.process.executable == str(crashed.executable)
    assert report.process.argv == tuple(crashed.argv)
    assert (report.process.module_id, report.process.module_type) == (
        "evse_manager",
        "EvseManager",
    )
    thread = report.threads[0]
    assert thread.crashed
    assert (thread.lwp == crashed.pid) == (mode.thread == "main")
    if mode.top_frame is not None:
        assert first_own_function(report) in {mode.top_frame, *mode.also_top_frames}
    assert report.soft_errors == ()


def first_own_function(report: Report) -> str | None:
    """The unqualified name of the frame that the verdict points to."""
    frame = next(f for f in report.threads[0].frames if f.level == report.verdict.frame)
    if frame.function is None:
        return None
    return qualified(frame.function).rpartition("::")[2].split("<", 1)[0]


@pytest.mark.native
def test_recursion_is_folded_and_counted(crash: Crash) -> None:
    mode = next(m for m in modes_here() if m.name == "recursion-mutual")
    report = analyse(crash(mode, "O0").core)

    thread = report.threads[0]
    (fold,) = thread.folds
    assert fold.period == 3
    assert fold.count > 1_000
    assert len(thread.frames) < 100
    assert thread.ended is None


@pytest.mark.native
def test_a_library_of_another_build_is_named_and_not_used(crash: Crash) -> None:
    mode = next(m for m in modes_here() if m.name == "null-write")
    o0, o2 = crash(mode, "O0"), crash(mode, "O2")

    report = analyse(o0.core, executable=o2.executable)

    wrong = report.soft_errors[0]
    assert str(o2.executable) in wrong.message
    assert report.process.build_id is not None
    assert report.process.build_id in wrong.message
    assert "not used" in wrong.message
    assert os.fspath(o2.executable) not in {m.path for m in report.modules}


@pytest.mark.native
def test_very_long_hostile_arguments(crash: Crash, tmp_path: Path) -> None:
    mode = mode_named("null-write")
    usual = crash(mode, "O2")
    evil = "\x1b]0;owned\x07[red]<script>```" + "A" * 100_000
    program = Program(
        executable=usual.executable,
        command=(str(usual.executable),),
        argv=(*usual.argv, *(evil for _ in range(2))),
        environment={"CRASH_MODE": mode.name},
    )

    report = analyse(crash_once(program, mode, tmp_path / mode.name).core)

    assert report.process.argv[-1] == evil
    assert len(report.process.argv) == len(usual.argv) + 2
    assert report.verdict.cls == "null-write"
    for listed in FORMATS.values():
        text = listed.load().render(report)
        assert len(text) < 500_000
        assert not set(text) & {"\x1b", "\x07"}
    assert "more characters" in FORMATS["json"].load().render(report)
    assert len(FORMATS["markdown"].load().render(report).encode()) <= 65_536
