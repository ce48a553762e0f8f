"""Users, capabilities, filters and flags that stand in the way of one process reading another."""

import subprocess
from pathlib import Path

import pytest

from tests.capture.conftest import Compiled, Mounts, RunIt, Wait, analyse, functions
from tests.conftest import need
from tests.support.capture import UNLIMITED, Run, end_of, signal_of
from tests.support.core_files import CannotMakeCores, check_cores_possible, take_core

pytestmark = [pytest.mark.native, pytest.mark.usefixtures("root")]

USER = 1000
NO_CAPABILITIES = ("setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs")


def check_whole(run: Run) -> None:
    """A complete core of `processes crash`, and no word of trouble."""
    assert signal_of(run).name == "SIGSEGV", run.stderr
    told = run.sidecar
    assert (told.error, told.truncated) == (None, False)
    report = analyse(run.core)
    assert functions(report)[:2] == ["crash", "main"]
    assert report.verdict.cls == "null-write"
    assert report.soft_errors == ()


def test_another_user(run: RunIt) -> None:
    ended = run("processes", "crash", uid=USER)

    check_whole(ended)
    assert ended.core.stat().st_uid == USER
    assert ended.core.stat().st_mode & 0o777 == 0o600
    document = ended.core.with_name(f"{ended.core.name}.json").stat()
    assert (document.st_uid, document.st_mode & 0o022) == (USER, 0)


def test_two_users_share_the_directory(run: RunIt) -> None:
    first = run("processes", "crash", uid=USER)
    check_whole(first)

    ended = run("processes", "crash", uid=USER + 880)

    assert len(ended.cores) == 2
    assert all(told.error is None for told in ended.sidecars)
    assert {core.stat().st_uid for core in ended.cores} == {USER, USER + 880}


@pytest.mark.parametrize("uid", [None, USER])
def test_no_capabilities_and_none_to_get(uid: int | None, run: RunIt) -> None:
    user = () if uid is None else (f"--reuid={uid}", f"--regid={uid}", "--clear-groups")

    check_whole(run("processes", "crash", wrapper=(*NO_CAPABILITIES, *user)))


def test_a_read_only_system_with_a_tmpfs(mounts: Mounts, folder: Path, run: RunIt) -> None:
    space = mounts(
        "mount -o remount,bind,ro /",
        f"mount -t tmpfs -o mode=1777,size=32m none {folder}",
    )

    ended = run("processes", "crash", uid=USER, wrapper=space.wrapper)

    inside = Run(
        pid=ended.pid, status=ended.status, stdout=ended.stdout, stderr=ended.stderr,
        folder=space.see(folder), seconds=ended.seconds,
    )  # fmt: skip
    check_whole(inside)
    assert ended.left == []


# -- where nobody may look into the process


@pytest.mark.parametrize(
    "forbidden",
    [
        ["pidfd_open"],
        ["process_vm_readv", "kcmp"],
        ["renameat2"],
        ["flock"],
        ["rt_tgsigqueueinfo", "setrlimit"],
    ],
)
def test_calls_that_are_not_essential(forbidden: list[str], run: RunIt, compiled: Compiled) -> None:
    wrapper = (str(compiled("filter")), *forbidden, "--")

    check_whole(run("processes", "crash", uid=USER, wrapper=wrapper))


@pytest.mark.parametrize("forbidden", ["ptrace", "clone"])
def test_without_these_the_kernel_writes_the_core(
    forbidden: str, run: RunIt, compiled: Compiled, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    try:
        check_cores_possible()
    except CannotMakeCores as reason:
        need(request, "native", str(reason))
    cwd = tmp_path / "run"
    cwd.mkdir()

    ended = run(
        *("processes", "crash"),
        wrapper=(str(compiled("filter")), forbidden, "--"), core_limit=UNLIMITED, cwd=cwd,
    )  # fmt: skip

    assert signal_of(ended).name == "SIGSEGV"
    assert ended.cores == []
    if forbidden == "ptrace":
        check_told(ended, "ptrace")
    else:  # the writer could not even be started: only the line on stderr is left
        assert "not permitted" in ended.stderr
    kernels = analyse(take_core(ended.pid, cwd, 0.0, tmp_path / "kernels-core"))
    assert functions(kernels)[:2] == ["crash", "main"]
    assert kernels.verdict.cls == "null-write"


def check_told(run: Run, word: str) -> None:
    """The document is there, without a core, and says why; so does a line on stderr."""
    told = run.sidecar
    assert told.core is None
    assert told.error is not None
    assert word in told.error
    assert word in run.stderr
    assert (told.pid, told.signal) == (run.pid, -run.status)


def test_a_process_that_is_not_dumpable(run: RunIt) -> None:
    ended = run("processes", "not-dumpable", uid=USER)

    assert signal_of(ended).name == "SIGSEGV"
    assert ended.cores == []
    told = ended.sidecar
    assert told.core is None
    assert told.error is not None
    assert "PR_SET_DUMPABLE" in told.error
    assert told.signal == 11


def test_a_program_that_its_user_may_not_read(
    run: RunIt, compiled: Compiled, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(compiled("processes").read_bytes())
    secret.chmod(0o711)

    ended = run("secret", "crash", argv=["secret", "crash"], program=secret, uid=USER)

    assert signal_of(ended).name == "SIGSEGV"
    assert ended.cores == []
    assert all(told.core is None and told.error for told in ended.sidecars)


def test_somebody_else_traces_the_process(waiting: Wait, compiled: Compiled, folder: Path) -> None:
    """As `gdb -p` does: one tracer is all that a process can have."""
    process = waiting()
    words = [str(compiled("hold")), str(process.pid)]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"attached\n"
        process.send_signal(11)
        ended = end_of(process, folder, 0.0)

    assert signal_of(ended).name == "SIGSEGV"
    assert ended.cores == []
    assert ended.sidecar.error is not None
    assert "trac" in ended.sidecar.error
