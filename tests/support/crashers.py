"""Real crashes for the tests: an EVerest-like process tree, its cores, and gdb's opinion.

The programs are in `tests/crashers`. Everything is compiled and crashed at most once per
state of sources and compiler, and kept in a cache that test workers share.

    crashed = make_core(mode_named("null-read"), "O2")
    threads = gdb_oracle(crashed.core, crashed.executable)
"""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from .core_files import (
    CannotMakeCores,
    CrashedProcess,
    CrasherFailed,
    Ending,
    await_end,
    await_waiting,
    check_cores_possible,
    load,
    save,
    signal_name,
    start,
    take_core,
    take_emulated_core,
    write_snapshot,
)
from .crasher_build import OPTS, Build, CannotBuild, Opt, build, cache_directory, locked
from .crasher_modes import DEMO_MODE, MODES, VARIANT_MODES, Mode, mode_named, modes_here
from .crasher_variants import (
    BuiltVariant,
    Unavailable,
    Variant,
    build_variant,
    oracle_gap,
    variants,
)
from .gdb_oracle import GdbFailed, OracleFrame, OracleThread, gdb_oracle, unqualified

__all__ = [
    "DEMO_MODE",
    "MODES",
    "OPTS",
    "VARIANT_MODES",
    "Build",
    "BuiltVariant",
    "CannotBuild",
    "CannotMakeCores",
    "CrashedProcess",
    "CrasherFailed",
    "GdbFailed",
    "Mode",
    "Opt",
    "OracleFrame",
    "OracleThread",
    "TreeRun",
    "Unavailable",
    "Variant",
    "build",
    "build_variant",
    "cache_directory",
    "gdb_oracle",
    "make_core",
    "mode_named",
    "modes_here",
    "oracle_gap",
    "run_tree",
    "unqualified",
    "variant_core",
    "variants",
]

LogStyle = Literal["head", "2026.02"]

DEFAULT_MODULE = "evse_manager"
MODULE_TYPE_OF = {
    "grid_connection": "EnergyNode",
    "evse_energy_sink": "EnergyNode",
    "evse_manager": "EvseManager",
    "iso15118_charger": "EvseV2G",
    "ocpp": "OCPP201",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeRun:
    """A run of the whole process tree that ended with a crash.

    `log` is what manager and modules have written, in one stream as in a container. `pids` has
    every module, `cores` those that left a core, by module id.
    """

    directory: Path
    prefix: Path
    manager_pid: int
    exit_code: int
    log: str
    pids: Mapping[str, int]
    cores: Mapping[str, Path]


def module_argv(module_id: str, prefix: Path) -> list[str]:
    """Return the command line with which EVerest's manager starts a module."""
    return [
        f"{module_id}:{MODULE_TYPE_OF[module_id]}",
        "--prefix", str(prefix),
        "--module", module_id,
        "--log_config", str(prefix / "etc/everest/default_logging.cfg"),
        "--mqtt_everest_prefix", "everest/",
        "--mqtt_external_prefix", "",
        "--mqtt_broker_host", "127.0.0.1",
        "--mqtt_broker_port", "1883",
    ]  # fmt: skip


def make_core(
    mode: Mode,
    opt: Opt = "O0",
    out_dir: Path | None = None,
    *,
    tree: Build | None = None,
    compiler: str = "g++",
) -> CrashedProcess:
    """Crash the module `evse_manager:EvseManager` in one mode and return what is left of it.

    The module is that of `tree`, else that of the build with `compiler`.

    Cores are kept below `out_dir` (default: with the build, so across test runs too), one
    directory per build, mode and optimisation level; a second call returns the first one's core.
    Raises CannotBuild, CannotMakeCores, or CrasherFailed when the mode ends in another way
    than its table row says.
    """
    made = tree or build(compiler=compiler)
    base = out_dir / made.root.name if out_dir else made.root / "cores"
    directory = base / opt / mode.name
    environment = {"CRASH_MODE": mode.name}
    if mode.snapshot:
        # gcore writes what malloc has only reserved too: 64 MB for every thread's arena.
        environment["MALLOC_ARENA_MAX"] = "1"
    program = Program(
        executable=made.module(opt),
        command=(str(made.module(opt)),),
        argv=tuple(module_argv(DEFAULT_MODULE, made.prefix(opt))),
        environment=environment,
    )
    return crash_once(program, mode, directory)


def variant_core(
    variant: Variant, mode: Mode, out_dir: Path | None = None
) -> CrashedProcess | Unavailable:
    """Crash a build variant of the small program in one of VARIANT_MODES, or say why not."""
    made = build_variant(variant)
    if isinstance(made, Unavailable):
        return made
    directory = (out_dir or made.executable.parent / "cores") / mode.name
    path = str(made.executable)
    program = Program(
        executable=made.executable,
        command=(*made.runner, path),
        argv=(*made.runner, path, mode.name),
        emulated=bool(made.runner),
    )
    return crash_once(program, mode, directory)


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """How to start a crasher; `executable` is what runs, if need be in an emulator."""

    executable: Path
    command: tuple[str, ...]
    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    emulated: bool = False


def crash_once(program: Program, mode: Mode, directory: Path) -> CrashedProcess:
    """Return the crash kept in a directory, or make it; one process at a time."""
    with locked(directory.parent / f"{mode.name}.lock"):
        return load(directory) or crash(program, mode, directory)


def crash(program: Program, mode: Mode, directory: Path) -> CrashedProcess:
    """Run a program to its crash in an empty directory and save what is left of it."""
    check_cores_possible()
    shutil.rmtree(directory, ignore_errors=True)
    cwd = directory / "run"
    cwd.mkdir(parents=True)
    core = directory / "core"
    since = time.time()
    process = start(program.command[0], program.argv, cwd, program.environment)
    poke(process, mode, core)
    ending = await_end(process)
    if not mode.snapshot:
        check_ending(mode, ending)
        find = take_emulated_core if program.emulated else take_core
        find(process.pid, cwd, since, core)
    crashed = CrashedProcess(
        core=core, pid=ending.pid, executable=program.executable, signal=mode.signal,
        argv=program.argv, stdout=ending.stdout, stderr=ending.stderr,
    )  # fmt: skip
    save(crashed, directory)
    return crashed


def poke(process: subprocess.Popen[bytes], mode: Mode, core: Path) -> None:
    """Do to a process from outside what its mode asks for: a signal, a snapshot, nothing."""
    if mode.sent is None and not mode.snapshot:
        return
    await_waiting(process)
    if mode.sent is not None:
        process.send_signal(mode.sent)
        return
    try:
        write_snapshot(process.pid, core)
    finally:
        process.kill()


def check_ending(mode: Mode, ending: Ending) -> None:
    """Raise CrasherFailed when a process did not die of the signal of its mode."""
    if ending.status != -mode.signal:
        wanted = signal_name(mode.signal)
        raise CrasherFailed(
            f"mode {mode.name} ended with {ending.status} instead of {wanted}: {ending.stderr}"
        )


def run_tree(
    mode: Mode,
    out_dir: Path,
    opt: Opt = "O0",
    *,
    module_id: str = DEFAULT_MODULE,
    abort_on_term: str | None = None,
    log_style: LogStyle = "head",
    tree: Build | None = None,
) -> TreeRun:
    """Start manager and modules, let `module_id` crash, and return what is left of them all.

    Every call runs the tree again, in a new directory below `out_dir`. With `abort_on_term` the
    module of that id aborts when the manager ends it, so that there is a second core, of a
    module that was only taken down. `log_style` selects the wording of EVerest's manager: that
    of the main branch or that of release 2026.02. Modes that wait for a signal from outside
    cannot be used here.
    """
    check_cores_possible()
    made = tree or build()
    directory = Path(tempfile.mkdtemp(prefix=f"tree-{mode.name}-{opt}-", dir=out_dir))
    since = time.time()
    ending = run_manager(made, opt, directory, log_style, {
        "CRASH_MODE": mode.name, "CRASH_MODULE": module_id, "CRASH_ON_TERM": abort_on_term or "",
    })  # fmt: skip
    pids = read_pids(directory / "pids")
    cores = {
        name: take_core(pids[name], directory / name, since, directory / f"core.{name}")
        for name in (module_id, abort_on_term)
        if name is not None
    }
    return TreeRun(
        directory=directory, prefix=made.prefix(opt), manager_pid=ending.pid,
        exit_code=ending.status, log=ending.stdout, pids=pids, cores=cores,
    )  # fmt: skip


def run_manager(
    made: Build, opt: Opt, directory: Path, log_style: LogStyle, environment: Mapping[str, str]
) -> Ending:
    """Run the process manager until it ends; its log has the errors of all modules too."""
    prefix = str(made.prefix(opt))
    argv = ["manager", "--prefix", prefix, "--run-dir", str(directory), "--log-style", log_style]
    manager = str(made.manager(opt))
    return await_end(start(manager, argv, directory, environment, merge=True))


def read_pids(path: Path) -> dict[str, int]:
    """Return the process ids by module id that the manager has written down."""
    lines = [line.split() for line in path.read_text().splitlines()]
    return {name: int(pid) for name, pid in lines}
