"""The capture layer in real containers: capabilities, filters and limits of a container engine."""

import io
import itertools
import json
import os
import subprocess
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from evdiag.adapters.files import load_core
from evdiag.engine import Engine, Options
from evdiag.model.report import Report
from tests.capture.conftest import Compiled, functions
from tests.conftest import need
from tests.support.capture import Capture, Run
from tests.support.charger_image import missing_engine

pytestmark = pytest.mark.docker

IMAGE = "debian:bookworm-slim"
LAYER = "/usr/local/lib/evdiag"
CORES = "/tmp/everest-logs"  # where the layer puts cores when nothing else is said
HARDENED = ("--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--read-only")
USER = ("--user", "1000:1000")
NO_CORES = ("--ulimit", "core=0")
TMPFS = ("--tmpfs", f"{CORES}:mode=1777,size=64m")

UNDER_THE_LAYER = f"LD_PRELOAD={LAYER}/capture.so /programs/%s; echo status $? >&2"
PACKED = f"{UNDER_THE_LAYER}; tar -C {CORES} -cf - ."

numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class Box:
    """Runs containers that see the layer, the programs and a directory for cores."""

    capture: Capture
    programs: Path
    folder: Path

    def run(self, options: Sequence[str], command: Sequence[str], *, mount: bool = True) -> Run:
        """Run a container to its end; without `mount` the directory is the container's own."""
        words = [
            *("docker", "run", "--rm", "--name", f"capture-test-{os.getpid()}-{next(numbers)}"),
            *("--network", "none", "--workdir", CORES if mount else "/"),
            *("--volume", f"{self.capture.library.parent}:{LAYER}:ro"),
            *("--volume", f"{self.programs}:/programs:ro"),
            *(("--volume", f"{self.folder}:{CORES}") if mount else ()),
            *options, IMAGE, *command,
        ]  # fmt: skip
        done = subprocess.run(words, capture_output=True, check=False, timeout=120)
        if not mount:
            self.unpack(done.stdout)
        return Run(
            pid=0, status=done.returncode, stdout="", folder=self.folder, seconds=0,
            stderr=done.stderr.decode(errors="replace"),
        )  # fmt: skip

    def unpack(self, packed: bytes) -> None:
        """Put what a container has sent, its own directory, into ours."""
        with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
            for member in tar:
                content = tar.extractfile(member)
                if content is not None:
                    write_sparse(self.folder / Path(member.name).name, content.read())

    def report(self, core: Path, program: str) -> Report:
        """The report on a core of a program that has another name in the container."""
        return Engine(Options(executable=self.programs / program)).report(core)


def write_sparse(path: Path, content: bytes) -> None:
    """Write a file with holes where there are pages of zeros: tar has filled them."""
    with path.open("wb") as file:
        for at in range(0, len(content), 4096):
            page = content[at : at + 4096]
            if page.strip(b"\0"):
                file.seek(at)
                file.write(page)
        file.truncate(len(content))


@pytest.fixture
def box(
    request: pytest.FixtureRequest, capture: Capture, compiled: Compiled, folder: Path,
    tmp_path: Path,
) -> Box:  # fmt: skip
    """A container engine and all that a container needs."""
    reason = missing_engine()
    if reason is not None:
        need(request, "docker", reason)
    found = subprocess.run(["docker", "image", "inspect", IMAGE], capture_output=True, check=False)
    if found.returncode != 0:
        need(request, "docker", f"there is no image {IMAGE}")
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("processes", "threads"):
        (programs / name).write_bytes(compiled(name).read_bytes())
        (programs / name).chmod(0o755)
    return Box(capture, programs, folder)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param((), id="as usual"),
        pytest.param(NO_CORES, id="no cores of the kernel"),
        pytest.param((*USER, *NO_CORES), id="another user"),
        pytest.param(("--init", *NO_CORES), id="with an init"),
        pytest.param(("--pid", "host", *NO_CORES), id="process ids of the host"),
    ],
)
def test_a_crash_in_a_container(options: Sequence[str], box: Box) -> None:
    ended = box.run(options, ["sh", "-c", UNDER_THE_LAYER % "processes crash"])

    check_whole(ended, box)


def check_whole(ended: Run, box: Box) -> None:
    """One complete core of `processes crash`, and the status of the crash."""
    assert "status 139" in ended.stderr, ended.stderr
    told = ended.sidecar
    assert (told.signal, told.error, told.truncated) == (11, None, False)
    assert told.executable == "/programs/processes"
    report = box.report(ended.core, "processes")
    assert functions(report)[:2] == ["crash", "main"]
    assert report.verdict.cls == "null-write"


def test_hardened_as_far_as_it_goes(box: Box) -> None:
    options = (*HARDENED, *USER, *NO_CORES, *TMPFS)

    ended = box.run(options, ["sh", "-c", PACKED % "processes crash"], mount=False)

    check_whole(ended, box)


def test_eight_threads_in_a_hardened_container(box: Box) -> None:
    options = (*HARDENED, *USER, *NO_CORES, *TMPFS)

    ended = box.run(options, ["sh", "-c", PACKED % "threads together"], mount=False)

    assert "status 139" in ended.stderr
    assert ended.sidecar.threads == 9
    report = box.report(ended.core, "threads")
    assert len(report.threads) == 9
    assert functions(report)[:2] == ["crash", "crash_together"]


def test_a_profile_that_forbids_ptrace(box: Box, tmp_path: Path) -> None:
    """Then the kernel writes the core, where the limit lets it."""
    profile = tmp_path / "profile.json"
    denied = {"names": ["ptrace"], "action": "SCMP_ACT_ERRNO"}
    profile.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [denied]}))
    options = ("--security-opt", f"seccomp={profile}", "--ulimit", "core=-1")

    ended = box.run(options, ["sh", "-c", UNDER_THE_LAYER % "processes crash"])

    assert "status 139" in ended.stderr
    assert "ptrace" in ended.stderr
    told = ended.sidecar
    assert told.core is None
    assert told.error is not None
    kernels = [core for core in ended.cores if "processes" not in core.name]
    if Path("/proc/sys/kernel/core_pattern").read_text().strip() == "core":
        assert len(kernels) == 1
        assert load_core(kernels[0])[1].pid == told.pid


@pytest.mark.parametrize("case", ["crash", "fork", "abort"])
def test_process_one_of_a_container(case: str, box: Box) -> None:
    """Signals that it sends to itself do not kill it: a fault does."""
    layer = ("--env", f"LD_PRELOAD={LAYER}/capture.so")
    usual = box.run(NO_CORES, ["/programs/processes", case])

    ended = box.run((*layer, *NO_CORES), ["/programs/processes", case])

    assert ended.status == usual.status
    assert 1 in [told.pid for told in ended.sidecars]
    assert all(told.error is None for told in ended.sidecars)
    (core,) = [core for core in ended.cores if ".1." in core.name]
    assert load_core(core)[1].pid == 1


def test_two_containers_share_a_directory(box: Box) -> None:
    """Both have the same process ids, and may crash in the same second."""
    layer = ("--env", f"LD_PRELOAD={LAYER}/capture.so", *NO_CORES)
    _, ended = (box.run(layer, ["/programs/processes", "crash"]) for _ in range(2))

    assert len(ended.cores) == 2
    assert [told.pid for told in ended.sidecars] == [1, 1]
