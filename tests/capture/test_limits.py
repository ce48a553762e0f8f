"""Processes that have used up, closed or limited what the layer might want."""

from pathlib import Path

import pytest

from evdiag.adapters.files import load_core
from tests.capture.conftest import Compiled, RunIt, Wait, analyse, functions
from tests.support.capture import UNLIMITED, Run, end_of, signal_of

pytestmark = pytest.mark.native

MEGABYTE = 1 << 20


def check_whole(ended: Run) -> None:
    """A complete core, soon."""
    assert signal_of(ended).name == "SIGSEGV"
    assert ended.seconds < 10
    told = ended.sidecar
    assert (told.error, told.truncated) == (None, False)
    assert functions(analyse(ended.core))[0] == "crash"
    assert ended.core.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("case", ["descriptors", "full-pipe", "broken-pipe", "closed", "umask"])
def test_what_a_process_has_done_to_its_descriptors(case: str, run: RunIt) -> None:
    check_whole(run("processes", case))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RLIMIT_AS", 512 * MEGABYTE),
        ("RLIMIT_DATA", 64 * MEGABYTE),
        ("RLIMIT_MEMLOCK", 0),
        ("RLIMIT_SIGPENDING", 0),
        ("RLIMIT_NOFILE", 16),
    ],
)
def test_limits_that_leave_enough(name: str, value: int, run: RunIt) -> None:
    check_whole(run("processes", "crash", limits={name: (value, value)}))


def test_a_limit_on_the_size_of_files_cuts_the_core(run: RunIt) -> None:
    """It kills whoever writes beyond it, if they do not ask for something else."""
    limits = {"RLIMIT_FSIZE": (MEGABYTE // 8, MEGABYTE // 8)}

    ended = run("processes", "crash", limits=limits)

    assert signal_of(ended).name == "SIGSEGV"
    told = ended.sidecar
    assert told.error is not None
    if told.core is not None:
        assert told.truncated
        assert load_core(ended.core)[1].missing == told.missing_bytes


def test_no_process_may_be_added(run: RunIt, root: None, tmp_path: Path) -> None:
    cwd = tmp_path / "run"
    cwd.mkdir()
    cwd.chmod(0o777)
    ended = run(
        *("processes", "crash"),
        uid=54_321, limits={"RLIMIT_NPROC": (0, 0)}, core_limit=UNLIMITED, cwd=cwd,
    )  # fmt: skip

    assert signal_of(ended).name == "SIGSEGV"
    assert ended.seconds < 10
    # Either of the two has written a core: the kernel, when no process could be started.
    assert len(ended.cores) + len(list(cwd.iterdir())) == 1
    assert ended.cores or ended.stderr.startswith("evdiag capture: ")


def test_the_programs_file_is_gone(
    waiting: Wait, tmp_path: Path, folder: Path, compiled: Compiled
) -> None:
    """As after an upgrade of a package: the process goes on with the old file."""
    copy = tmp_path / "replaced"
    copy.write_bytes(compiled("wait").read_bytes())
    copy.chmod(0o755)
    process = waiting(program=copy)
    copy.unlink()

    process.send_signal(11)
    ended = end_of(process, folder, 0.0)

    assert signal_of(ended).name == "SIGSEGV"
    assert ended.sidecar.executable is not None
    assert ended.sidecar.executable.removesuffix(" (deleted)") == str(copy)
    names = {file.path.removesuffix(" (deleted)") for file in load_core(ended.core)[1].files}
    assert str(copy) in names
