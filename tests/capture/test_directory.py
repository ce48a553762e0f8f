"""The directory for cores: full, small, missing, somebody else's, or prepared by an enemy."""

import contextlib
import fcntl
import os
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from evdiag.adapters.files import load_core
from tests.capture.conftest import Mounts, RunIt, Wait, analyse, functions
from tests.support.capture import UNLIMITED, Run, end_of, signal_of
from tests.support.capture_sidecar import Sidecar, read_sidecar
from tests.support.core_files import CannotMakeCores, check_cores_possible, take_core

pytestmark = pytest.mark.native

USER = 1000
MEGABYTE = 1 << 20


# -- limits


def age(ended: Run, seconds: int) -> Run:
    """Make the cores of a directory that much older: their names say when they were made."""
    for name in ended.left:
        stem, _, tail = name.removesuffix(".json").rpartition(".")
        then = int(tail) - seconds
        renamed = ended.folder / f"{stem}.{then}{'.json' if name.endswith('.json') else ''}"
        (ended.folder / name).rename(renamed)
        os.utime(renamed, (then, then))
    return ended


def names_of(ended: Run) -> set[str]:
    """The names of all cores."""
    return {core.name for core in ended.cores}


def told_by(ended: Run) -> Sidecar:
    """The document on this very process; those of renamed cores are no longer right."""
    (name,) = (n for n in ended.left if f".{ended.pid}." in n and n.endswith(".json"))
    return read_sidecar(ended.folder / name)


def test_the_oldest_cores_make_room(run: RunIt) -> None:
    limits = {"EVDIAG_CORES_MAX": "3"}
    aged = [age(run("processes", "crash", settings=limits), 3600) for _ in range(3)]
    kept = names_of(aged[-1])
    assert len(kept) == 3
    oldest = min(kept, key=lambda name: int(name.rpartition(".")[2]))

    ended = run("processes", "crash", settings=limits)

    told = told_by(ended)
    assert told.removed == [oldest]
    assert names_of(ended) == kept - {oldest} | {told.core}
    assert len(ended.left) == 6  # with their documents


def test_the_first_of_a_series_of_crashes_stays(run: RunIt) -> None:
    """What follows within minutes is often its consequence."""
    runs = [run("processes", "crash", settings={"EVDIAG_CORES_MAX": "3"}) for _ in range(6)]

    assert {told.pid for told in runs[-1].sidecars} == {runs[i].pid for i in (0, 4, 5)}
    assert len(runs[-1].left) == 6


def test_the_bytes_of_all_cores_together(run: RunIt) -> None:
    size = run("processes", "crash").sidecar.bytes_on_disk
    assert size is not None
    limits = {"EVDIAG_CORES_MAX_BYTES": str(size * 7 // 2)}

    ended = [run("processes", "crash", settings=limits) for _ in range(5)][-1]

    assert 2 <= len(ended.cores) <= 3
    assert sum(path.stat().st_blocks * 512 for path in ended.folder.iterdir()) <= size * 7 // 2
    assert told_by(ended).error is None
    assert not told_by(ended).truncated


def test_no_core_at_all_is_wanted(run: RunIt) -> None:
    ended = run("processes", "crash", settings={"EVDIAG_CORES_MAX": "0"})

    assert signal_of(ended).name == "SIGSEGV"
    assert ended.cores == []
    assert (ended.sidecar.core, ended.sidecar.signal) == (None, 11)


def test_other_files_are_nobodys_business(run: RunIt, folder: Path) -> None:
    strange = ("core", "core.txt", "notes.json", "core.a.1.2.gz", "core.a.b.c", ".core.a.1.2")
    for name in strange:
        (folder / name).write_text("mine")
        os.utime(folder / name, (1, 1))
    (folder / "core.a.1.3").mkdir()

    ended, *_ = [run("processes", "crash", settings={"EVDIAG_CORES_MAX": "1"}) for _ in range(3)]

    assert {name for name in strange if (folder / name).read_text() == "mine"} == set(strange)
    assert (folder / "core.a.1.3").is_dir()
    assert len([n for n in ended.left if n.startswith("core.processes.")]) == 2


def test_a_core_that_is_too_large_is_cut_and_says_so(run: RunIt) -> None:
    most = 16 * MEGABYTE
    ended = run("memory", "large", settings={"EVDIAG_CORES_MAX_BYTES": str(most)})

    check_cut(ended)
    assert ended.core.stat().st_blocks * 512 <= most


def check_cut(ended: Run) -> None:
    """A core that lacks memory: it says so everywhere, and the stack of the crash is there."""
    assert signal_of(ended).name == "SIGSEGV"
    told = ended.sidecar
    assert told.truncated
    assert told.error is not None
    facts = load_core(ended.core)[1]
    assert facts.missing == told.missing_bytes
    assert facts.missing > 64 * MEGABYTE
    report = analyse(ended.core)
    assert report.core.truncated
    assert functions(report)[:2] == ["crash", "main"]
    assert report.verdict.cls == "null-write"


@pytest.mark.parametrize("name", ["EVDIAG_CORES_MAX", "EVDIAG_CORES_MAX_BYTES"])
@pytest.mark.parametrize("value", ["", "abc", "-1", "1.5", "9" * 30, "%s%n", "7 8"])
def test_a_setting_that_makes_no_sense_costs_no_core(name: str, value: str, run: RunIt) -> None:
    ended = run("processes", "crash", settings={name: value})

    assert signal_of(ended).name == "SIGSEGV"
    assert functions(analyse(ended.core))[:2] == ["crash", "main"]
    assert not ended.sidecar.truncated


# -- a directory that cannot take a core


@pytest.mark.parametrize("what", ["missing", "file", "unwritable", "empty name", "too long"])
def test_a_directory_that_cannot_be_used(what: str, run: RunIt, tmp_path: Path, root: None) -> None:
    cwd = tmp_path / "run"
    cwd.mkdir()
    cwd.chmod(0o777)
    place = tmp_path / "place"
    if what == "file":
        place.write_text("mine")
    elif what == "unwritable":
        place.mkdir(mode=0o755)
    wanted = {"empty name": "", "too long": "/" + "x" * 5000}.get(what, str(place))

    ended = run(
        *("processes", "crash"), uid=USER,
        settings={"EVDIAG_CORE_DIR": wanted}, core_limit=UNLIMITED, cwd=cwd,
    )  # fmt: skip

    assert signal_of(ended).name == "SIGSEGV"
    if what == "empty name":
        return  # the usual place, which may be there or not
    assert ended.stderr.startswith("evdiag capture: ")
    assert ended.stderr.count("\n") == 1
    assert ended.left == []
    assert place.exists() == (what in ("file", "unwritable"))
    with contextlib.suppress(CannotMakeCores):
        check_cores_possible()
        kernels = take_core(ended.pid, cwd, 0.0, tmp_path / "kernels-core")
        assert functions(analyse(kernels))[:2] == ["crash", "main"]


def run_on(mounts: Mounts, run: RunIt, folder: Path, size: str, *words: str) -> Run:
    """Run a program with a file system of a certain size in the place of the directory."""
    space = mounts(f"mount -t tmpfs -o mode=1777,size={size} none {folder}")
    ended = run(*words, wrapper=space.wrapper)
    return Run(
        pid=ended.pid, status=ended.status, stdout=ended.stdout, stderr=ended.stderr,
        folder=space.see(folder), seconds=ended.seconds,
    )  # fmt: skip


def test_a_disk_that_is_too_small(mounts: Mounts, run: RunIt, folder: Path) -> None:
    ended = run_on(mounts, run, folder, "8m", "memory", "large")

    # Not read where it lies: a hole of a mapped file wants a page of a disk that has none.
    subprocess.run(["cp", "-a", "--sparse=always", f"{ended.folder}/.", folder], check=True)
    check_cut(replace(ended, folder=folder))


@pytest.mark.parametrize("size", ["4k", "16k", "64k"])
def test_a_disk_that_is_full(size: str, mounts: Mounts, run: RunIt, folder: Path) -> None:
    ended = run_on(mounts, run, folder, size, "processes", "crash")

    assert signal_of(ended).name == "SIGSEGV"
    assert "No space" in ended.stderr
    assert all(name.startswith("core.") for name in ended.left)
    assert all(told.error is not None for told in ended.sidecars)
    assert all(told.truncated or told.core is None for told in ended.sidecars)
    assert len(ended.cores) == len([told for told in ended.sidecars if told.core])


def test_a_disk_without_room_for_another_file(mounts: Mounts, run: RunIt, folder: Path) -> None:
    space = mounts(f"mount -t tmpfs -o mode=1777,size=8m,nr_inodes=2 none {folder}")

    ended = run("processes", "crash", wrapper=space.wrapper)

    assert signal_of(ended).name == "SIGSEGV"
    assert ended.stderr.startswith("evdiag capture: ")
    assert all(path.name.startswith("core.") for path in space.see(folder).iterdir())


# -- a directory that others may write to


def prepared(folder: Path, stem: str, make: str, victim: Path) -> None:
    """Put something under every name that a core of the next seconds could get."""
    now = int(time.time())
    for second in range(now - 1, now + 30):
        for name in (f"core.{stem}.{second}", f".core.{stem}.{second}.part"):
            for suffix in ("", ".json"):
                path = folder / f"{name}{suffix}"
                if make == "link":
                    path.symlink_to(victim)
                elif make == "directory":
                    path.mkdir()
                elif make == "pipe":
                    os.mkfifo(path)
                else:
                    path.write_text("mine")


@pytest.mark.parametrize("make", ["link", "dangling link", "directory", "pipe", "file"])
def test_names_that_are_taken(
    make: str, waiting: Wait, folder: Path, tmp_path: Path, root: None
) -> None:
    victim = tmp_path / "victim"
    if make != "dangling link":
        victim.write_text("precious")
        victim.chmod(0o666)
    process = waiting("victim", uid=USER)
    prepared(folder, f"victim.{process.pid}", make.split()[-1], victim)
    before = {path.name: os.lstat(path).st_mode for path in folder.iterdir()}
    since = time.monotonic()

    process.send_signal(11)
    ended = end_of(process, folder, since)

    assert signal_of(ended).name == "SIGSEGV"
    assert ended.seconds < 10
    assert ended.stderr.startswith("evdiag capture: ")
    assert victim.exists() == (make != "dangling link")
    if victim.exists():
        assert victim.read_text() == "precious"
    left = {path.name: os.lstat(path).st_mode for path in folder.iterdir()}
    changed = {name for name in before if left.get(name) != before[name]}
    # a name of ours may have been taken over, but only as a regular file, never followed
    assert all((folder / n).is_file() and not (folder / n).is_symlink() for n in changed)


def test_somebody_holds_the_lock(run: RunIt, folder: Path) -> None:
    """On purpose, or because it hangs: the core comes a little later then."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        ended = run("processes", "crash")
    finally:
        os.close(handle)

    assert signal_of(ended).name == "SIGSEGV"
    assert ended.seconds < 20
    assert functions(analyse(ended.core))[:2] == ["crash", "main"]


def test_what_a_killed_writer_has_left_is_cleared_up(run: RunIt, folder: Path) -> None:
    old = [folder / f".core.some.4194303.{n}.part" for n in range(3)]
    for path in old:
        path.write_bytes(b"x" * 100)
        os.utime(path, (1_700_000_000, 1_700_000_000))

    ended = run("processes", "crash")

    assert functions(analyse(ended.core))[:2] == ["crash", "main"]
    assert not [path for path in old if path.exists()]


def test_a_directory_behind_a_link(run: RunIt, folder: Path, tmp_path: Path) -> None:
    """/tmp itself is a link on some systems."""
    link = tmp_path / "link"
    link.symlink_to(folder)

    ended = run("processes", "crash", settings={"EVDIAG_CORE_DIR": str(link)})

    assert functions(analyse(ended.core))[:2] == ["crash", "main"]
