"""`--values all`: variables of the threads that only wait."""

from collections.abc import Callable

import pytest

from evdiag.values import add_values
from tests.gdb.conftest import Bench, CoreOf
from tests.support.crashers import mode_named
from tests.support.mode_values import own_name

pytestmark = pytest.mark.gdb


@pytest.mark.parametrize("gdb", ["system", "wheel", "minimal"])
def test_waiting_threads_have_values_too(
    gdb: str, bench: Bench, core_of: CoreOf, named_gdb: Callable[[str], str]
) -> None:
    analysis = bench.analysis(core_of(mode_named("null-read"), "O0"))
    debugger = bench.debugger(named_gdb(gdb))

    crash, _ = add_values(analysis.report, analysis.scene(), debugger, "crash")
    report, error = add_values(analysis.report, analysis.scene(), debugger, "all")

    assert error is None
    assert report.threads[0] == crash.threads[0]
    assert not any(f.args or f.locals for t in crash.threads[1:] for f in t.frames)
    waiting = [t for t in report.threads[1:] if any(f.in_app for f in t.frames)]
    assert len(waiting) >= 14
    for thread in waiting:
        assert any(f.args or f.locals for f in thread.frames if f.in_app), thread.lwp
    assert not any(thread.gdb_frames for thread in report.threads)
    main = next(t for t in waiting if t.lwp == report.process.pid)
    frame = next(f for f in main.frames if own_name(f) == "main")
    assert [v.value for v in frame.args if v.name == "argc"] == [str(len(report.process.argv))]
