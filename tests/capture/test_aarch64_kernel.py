"""The capture layer on a real aarch64 kernel, in an emulated machine: cores like the kernel's."""

import shutil
import subprocess
from pathlib import Path

import pytest

from evdiag.engine import Engine, Options
from tests.conftest import need
from tests.crashers.make_demo import INSTALLED, OPT, compile_module, installed_module
from tests.support.capture import SOURCES
from tests.support.crasher_build import CannotBuild, cache_directory, locked
from tests.support.crashers import Mode, mode_named, module_argv

from .test_modes import check_report

RUN = Path(__file__).parent / "aarch64/run.sh"
TOOLS = ("aarch64-linux-gnu-g++", "qemu-system-aarch64", "cpio", "apt-get")
MODULE = "evse_manager"
MODES = tuple(
    mode_named(name)
    for name in (
        *("null-member-write", "wild-read", "recursion-thread", "return-unmapped", "bus-error"),
        *("breakpoint", "builtin-trap", "seccomp-trap", "crash-in-handler", "call-null"),
        *("throw-thread", "stack-smash", "double-free", "fortify-memcpy", "raise-ill"),
    )
)
"""Each kind of signal, faults and sent ones, on main and on other threads, on used-up stacks."""


def fill(scratch: Path) -> Path:
    """Put programs, capture layer and jobs where the emulated machine looks for them."""
    root = scratch / "root"
    made = compile_module(
        scratch / "build", "aarch64-linux-gnu-g++", "-mbranch-protection=standard"
    )
    objects = shutil.ignore_patterns("objects")
    shutil.copytree(made.prefix(OPT), root / INSTALLED.relative_to("/"), ignore=objects)
    command = ["make", "-C", str(SOURCES), f"OUT={root}/capture", "CC=aarch64-linux-gnu-gcc"]
    subprocess.run(command, check=True, capture_output=True)
    argv = module_argv(MODULE, INSTALLED)
    jobs = [[mode.name, str(installed_module(made)), *argv, "\n"] for mode in MODES]
    (root / "jobs").write_text("".join(f"{word}\0" for job in jobs for word in job))
    return root


def boot(scratch: Path) -> Path:
    """Run everything in the machine; returns the folder with what came of it."""
    packages = cache_directory() / "arm64"
    with locked(packages.with_suffix(".lock")):
        packages.mkdir(exist_ok=True)
        subprocess.run([RUN, scratch, packages], check=True, capture_output=True, timeout=150)
    return scratch / "out"


@pytest.mark.native
def test_cores_like_those_of_an_aarch64_kernel(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        need(request, "aarch64", f"not installed: {', '.join(missing)}")
    try:
        root = fill(tmp_path)
    except CannotBuild as reason:
        need(request, "aarch64", str(reason))

    out = boot(tmp_path)

    wrong = [said for at, mode in enumerate(MODES) if (said := differs(mode, out, at, root))]
    assert wrong == []


def differs(mode: Mode, out: Path, job: int, root: Path) -> str:
    """What is different between the two cores of a job; nothing if all is well."""
    kernels = out / f"kernel/{job}"
    ours = [path for path in out.glob(f"capture/{job}/core*") if path.suffix[1:].isdecimal()]
    if len(ours) != 1:
        return f"{mode.name}: {len(ours)} cores"
    engine = Engine(Options(sysroot=root))
    one, other = engine.analyse(kernels), engine.analyse(ours[0])
    signals = [int(Path(f"{path}.status").read_text()) & 0x7F for path in (kernels, *ours)]
    try:
        assert signals == [mode.signal, mode.signal]
        assert [t.signal for t in other.facts.threads] == [t.signal for t in one.facts.threads]
        assert set(other.facts.auxv) == set(one.facts.auxv)
        check_report(one, other)
    except AssertionError as difference:
        return f"{mode.name}: {difference}"
    return ""
