"""Triage of real cores: groups, the same verdicts as `backtrace`, several processes, the cache."""

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from evdiag.adapters.content import digest
from evdiag.adapters.signature_lists import signature_lists
from evdiag.adapters.triage_cache import fingerprints
from evdiag.analyze.triage.crash import crash_of
from evdiag.engine import Engine, Options
from evdiag.model.report import Report
from evdiag.model.triage import Crash, Triage
from evdiag.triage import Settings, Triaging
from evdiag.triage.meter import Meter
from evdiag.triage.origins import Origin
from tests.native.conftest import Crash as Crasher
from tests.support.crashers import Opt, mode_named

pytestmark = pytest.mark.native

KINDS = ("null-write", "abort", "throw-thread", "deadlock", "recursion-mutual")
ALIKE = (
    *KINDS, "assert", "bad-free", "sent-segv", "sent-quit", "snapshot", "joinable-thread",
    "bus-error", "call-null", "handler-abort", "crash-in-handler", "stack-smash", "pure-virtual",
    "throw-int", "raise-ill", "double-free",
)  # fmt: skip


class Quiet:
    """Somebody who wants no values, and may do something while a run goes on."""

    def __init__(self, meanwhile: Callable[[Meter], None] = lambda _: None) -> None:
        self.tell = meanwhile

    def debugger(self, origin: Origin) -> None:
        return None

    def crash(self, crash: Crash, origin: Origin) -> Crash:
        return crash

    def report(self, report: Report, origin: Origin) -> Report:
        return report

    def keep(self, path: str, report: Report) -> None:
        raise AssertionError(path)


def triage(
    *words: Path, meanwhile: Callable[[Meter], None] = lambda _: None, **settings: object
) -> Triage:
    """One run, without gdb."""
    named = Settings(words=tuple(map(str, words)), **settings)  # type: ignore[arg-type]
    return Triaging(named, Quiet(meanwhile)).run()


@pytest.fixture
def heap(crash: Crasher, tmp_path: Path) -> Path:
    """A folder with five crashes of two builds, one cut core and one that is none."""
    folder = tmp_path / "heap"
    for opt in ("O0", "O2"):
        (folder / opt).mkdir(parents=True)
        for kind in KINDS:
            shutil.copyfile(crash(mode_named(kind), opt).core, folder / opt / f"core.{kind}")
    with (folder / "O0/core.null-write").open("rb") as file:
        (folder / "core.cut").write_bytes(file.read(40_000))
    (folder / "core.garbage").write_bytes(os.urandom(5000))
    return folder


@pytest.mark.parametrize("opt", ["O0", "O2"])
def test_the_crash_is_that_of_the_report(crash: Crasher, opt: Opt) -> None:
    """With the crashed thread alone the verdict is the same as with all threads."""
    engine, other = Engine(Options()), Engine(Options())
    whole = 0
    for kind in ALIKE:
        core = crash(mode_named(kind), opt).core
        traced = engine.trace(core).traced
        found, report = crash_of(traced, signature_lists()), other.report(core)
        assert report.signature is not None
        assert (found.title, found.cls) == (report.title, report.verdict.cls), kind
        assert found.confidence == report.verdict.confidence
        assert found.summary == report.verdict.summary
        assert found.signature == report.signature.text
        assert (found.hash, found.address) == (report.signature.hash, report.signature.address)
        assert (found.pid, found.build_id) == (report.process.pid, report.process.build_id)
        assert report.signal is None or found.signal == report.signal.name
        if found.cls != "deadlock":
            frames = {frame.level: frame for frame in report.threads[0].frames}
            frame = frames[report.verdict.frame or 0]
            assert (found.place.file, found.place.line) == (frame.file, frame.line)
        assert len(traced.evidence.threads) in (1, len(report.threads))
        whole += traced.whole
    assert whole == 4  # the deadlock, the snapshot, and what was sent from outside


def test_groups(heap: Path) -> None:
    found = triage(heap, jobs=2)
    named = {Path(g.representative or "").name: g for g in found.groups if g.count == 2}
    assert set(named) == {f"core.{kind}" for kind in KINDS}
    for name, group in named.items():
        assert {Path(core.path).name for core in group.cores} == {name}
        assert len(group.builds) == 2
        assert group.report is not None
        assert group.report.core.path == group.representative
        assert group.report.signature is not None
        assert group.report.signature.text == group.signature
    (cut,) = [group for group in found.groups if group.count == 1]
    assert cut.cores[0].truncated
    (garbage,) = found.failures
    assert garbage.path.endswith("core.garbage")
    assert (found.run.cores, found.run.analysed, found.run.jobs) == (12, 11, 2)


def test_processes_and_a_single_one_agree(heap: Path) -> None:
    many, one = triage(heap, jobs=2), triage(heap, jobs=1)
    assert [_stable(group) for group in many.groups] == [_stable(group) for group in one.groups]


def _stable(group: msgspec.Struct) -> msgspec.Struct:
    return msgspec.structs.replace(group, report=None)


def test_a_worker_that_is_killed_loses_the_core_that_it_is_at(heap: Path) -> None:
    stages: list[str] = []

    def kill(meter: Meter) -> None:
        if meter.what not in stages:
            stages.append(meter.what)
            if meter.what in ("notes", "stacks"):
                for pid in {worker.process.pid for worker in run.pool.workers}:
                    os.kill(pid, signal.SIGKILL)

    run = Triaging(Settings(words=(str(heap),), jobs=2), Quiet(kill))
    found = run.run()
    assert {"notes", "stacks"} <= set(stages)
    killed = [failure for failure in found.failures if "SIGKILL" in failure.message]
    assert len(killed) <= 4  # two workers, twice
    crashes = sum(group.count for group in found.groups)
    assert crashes + len(found.failures) == 12
    assert len(set(run.pool.pids)) > 2
    assert not any(_lives(pid) for pid in run.pool.pids)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_an_interrupted_run_tells_what_it_knows(heap: Path) -> None:
    """A real Ctrl-C in the midst of it; no worker outlives it."""

    def press(meter: Meter) -> None:
        if meter.what == "stacks":
            os.kill(os.getpid(), signal.SIGINT)

    run = Triaging(Settings(words=(str(heap),), jobs=2), Quiet(press))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        found = run.run()
    finally:
        signal.signal(signal.SIGINT, before)
    assert found.run.interrupted
    assert sum(group.count for group in found.groups) < 11
    assert all(group.report is None for group in found.groups)
    assert not any(_lives(pid) for pid in run.pool.pids)


def test_workers_that_do_not_start(heap: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    false = shutil.which("false")
    assert false is not None
    monkeypatch.setattr(sys, "executable", false)
    found = triage(heap, jobs=2)
    assert (found.run.cores, found.run.jobs) == (12, 1)


_opened: list[str] = []
_watching: list[bool] = []


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    if _watching and event == "open":
        _opened.append(str(arguments[0]))


def test_changed_rules_are_applied_without_a_look_at_any_core(heap: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = triage(heap, jobs=1, cache=cache)
    sys.addaudithook(_watch)  # it stays for good, but says nothing unless it is asked to
    prints = msgspec.structs.replace(fingerprints(), rules="of another day")
    _watching.append(True)
    try:
        second = triage(heap, jobs=1, cache=cache, prints=prints, reports=False)
    finally:
        _watching.clear()
    assert second.run.analysed == 0
    cores = {crash.path for group in first.groups for crash in group.cores}
    assert len(cores) == 11
    assert _opened
    assert not cores & set(_opened)
    assert [_stable(g) for g in second.groups] == [_stable(g) for g in first.groups]

    other = msgspec.structs.replace(prints, stacks="of another day")
    assert triage(heap, jobs=1, cache=cache, prints=other).run.analysed == 11


def test_other_symbols_are_another_crash(crash: Crasher, tmp_path: Path) -> None:
    """What was found with one set of files is not told to who has others."""
    crashed = crash(mode_named("null-write"), "O2")
    cache, wrong = tmp_path / "cache", crash(mode_named("null-write"), "O0").executable
    first = triage(crashed.core, cache=cache)
    (copy := tmp_path / "stripped").write_bytes(crashed.executable.read_bytes())
    again = triage(crashed.core, cache=cache, options=Options(executable=copy))
    assert again.run.analysed == 0  # the very same build
    with copy.open("ab") as file:
        file.write(b"more")
    assert triage(crashed.core, cache=cache, options=Options(executable=copy)).run.analysed == 1
    other = triage(crashed.core, cache=cache, options=Options(executable=wrong))
    assert other.groups[0].hash == first.groups[0].hash


@pytest.mark.timeout(10)
@pytest.mark.parametrize("size", [0, 1, 4096, 4097, (1 << 20) + 123])
def test_the_digest_of_a_file_that_ends_in_a_hole(tmp_path: Path, size: int) -> None:
    """Cores are cut anywhere."""
    core = tmp_path / "core"
    core.write_bytes(b"data")
    os.truncate(core, 4 + size)
    dense = tmp_path / "dense"
    dense.write_bytes(core.read_bytes())
    assert digest(core)[0] == digest(dense)[0]


def test_a_digest_is_of_the_content(tmp_path: Path) -> None:
    sparse, whole, longer = tmp_path / "sparse", tmp_path / "whole", tmp_path / "longer"
    with sparse.open("wb") as file:
        for at in (5000, 3 << 20, (3 << 20) + 4096, 9 << 20):
            file.seek(at)
            file.write(b"data" * 700)
        file.truncate(20 << 20)
    whole.write_bytes(sparse.read_bytes())
    longer.write_bytes(sparse.read_bytes() + b"\0")
    assert digest(sparse)[0] == digest(whole)[0] != digest(longer)[0]
    moved = bytearray(sparse.read_bytes())
    moved[3 << 20 : (3 << 20) + 4096], moved[5 << 20 : (5 << 20) + 4096] = (
        moved[5 << 20 : (5 << 20) + 4096],
        moved[3 << 20 : (3 << 20) + 4096],
    )
    whole.write_bytes(moved)
    assert digest(sparse)[0] != digest(whole)[0]
