"""Files that want gdb to run something: none does.

Each script that gdb could be made to run leaves a canary. What each test trusts is checked as
well: a gdb without our options does run them.
"""

import http.server
import os
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from evdiag.cli import main
from tests.support.crashers import (
    CrashedProcess,
)

pytestmark = [pytest.mark.gdb, pytest.mark.usefixtures("no_leftovers")]

SECONDS = 30.0


class World(NamedTuple):
    """Files all over which want to be run when gdb opens a core."""

    root: Path
    program: Path
    core: Path

    @property
    def canaries(self) -> set[str]:
        """The scripts that were run."""
        return {path.name for path in (self.root / "canaries").iterdir()}

    def forget(self) -> None:
        for path in (self.root / "canaries").iterdir():
            path.unlink()


@pytest.fixture
def world(tmp_path: Path, crashed: CrashedProcess, monkeypatch: pytest.MonkeyPatch) -> World:
    """Traps in the home, the current folder, the core's, the program and the sysroot."""
    root = tmp_path / "world"
    made = World(root, root / "program/EvseManager", root / "cores/core")
    for name in ("canaries", "program", "cores", "cwd", "temporary"):
        (root / name).mkdir(parents=True)
    made.core.symlink_to(crashed.core)
    set_traps(root, crashed)
    add_section(made, crashed.executable)
    monkeypatch.chdir(root / "cwd")
    monkeypatch.setattr(tempfile, "tempdir", str(root / "temporary"))
    for name, place in {
        "HOME": "home", "XDG_CONFIG_HOME": "config", "PYTHONPATH": "path",
        "PYTHONSTARTUP": "path/startup.py", "XDG_CACHE_HOME": "cache",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, str(root / place))
    return made


def set_traps(root: Path, crashed: CrashedProcess) -> None:
    place = root / "sysroot" / str(crashed.executable)[1:]
    printers = "usr/share/gcc/python/libstdcxx/v6"
    in_gdb = {
        "home-init": "home/.gdbinit", "home-early": "home/.gdbearlyinit",
        "config-init": "config/gdb/gdbinit", "config-early": "config/gdb/gdbearlyinit",
        "cwd-init": "cwd/.gdbinit", "core-init": "cores/.gdbinit",
        "program-init": "program/.gdbinit", "beside-gdb": "program/EvseManager-gdb.gdb",
    }  # fmt: skip
    in_python = {
        "beside-py": "program/EvseManager-gdb.py",
        "section-file": "cwd/named-in-section.py",
        "sysroot-beside": f"{place}-gdb.py",
        "sysroot-auto": f"sysroot/usr/share/gdb/auto-load{crashed.executable}-gdb.py",
        "sysroot-printers": f"sysroot/{printers}/printers.py",
        "cwd-printers": "cwd/libstdcxx/v6/printers.py",
        "program-printers": "program/libstdcxx/v6/printers.py",
        "cwd-gdb": "cwd/gdb/__init__.py", "cwd-json": "cwd/json.py",
        "cwd-wheel": "cwd/gdb_for_pwndbg/gdb.py", "cwd-site": "cwd/sitecustomize.py",
        "path-site": "path/sitecustomize.py", "path-json": "path/json.py",
        "path-gdb": "path/gdb/__init__.py", "path-startup": "path/startup.py",
        "temporary-json": "temporary/json.py", "temporary-gdb": "temporary/gdb.py",
    }  # fmt: skip
    for name, file in in_gdb.items():
        write(root / file, f"shell touch {root}/canaries/{name}\n")
    for name, file in in_python.items():
        write(root / file, f"open({f'{root}/canaries/{name}'!r}, 'w').close()\n")
    packages = [*root.rglob("libstdcxx"), *root.rglob("v6"), *root.rglob("gdb_for_pwndbg")]
    for package in packages:
        (package / "__init__.py").touch()
    # the sysroot holds the program too, and what the dynamic linker found
    place.symlink_to(crashed.executable)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def add_section(world: World, executable: Path) -> None:
    """A copy of the program that names scripts in `.debug_gdb_scripts`; its build stays."""
    inline = f"open({f'{world.root}/canaries/section-inline'!r}, 'w').close()"
    section = world.root / "section"
    section.write_bytes(b"\x04inline\n" + inline.encode() + b"\n\0\x01named-in-section.py\0")
    subprocess.run(
        [
            *("objcopy", "--add-section", f".debug_gdb_scripts={section}"),
            *(str(executable), str(world.program)),
        ],
        check=True,
    )


def run_plain(gdb: str, world: World, *options: str) -> None:
    """gdb as somebody in a hurry would start it."""
    subprocess.run(
        [*gdb.split(), *options, "-batch", "-ex", "bt 1", str(world.program), str(world.core)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=SECONDS,
        env={**os.environ, "PYTHONPATH": ""} if "-m" in gdb else None,
    )


def test_the_traps_are_live(gdb: str, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the tests below would prove nothing."""
    run_plain(gdb, world)
    homely = world.canaries
    monkeypatch.delenv("XDG_CONFIG_HOME")
    run_plain(gdb, world)
    assert {"config-init", "config-early"} <= homely
    assert {"home-init", "home-early"} <= world.canaries
    world.forget()

    run_plain(gdb, world, "-nx", "-iex", "set auto-load safe-path /")

    print(f"live: {sorted(homely | world.canaries)}")
    assert {"section-inline", "section-file", "beside-py", "beside-gdb"} <= world.canaries


@pytest.mark.parametrize("sysroot", [False, True], ids=["exe", "sysroot"])
def test_no_script_runs_for_a_report(
    gdb: str, sysroot: bool, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--sysroot", str(world.root / "sysroot")] if sysroot else []
    command = ["backtrace", str(world.core), "--exe", str(world.program), *where]

    code = main([*command, "--gdb", gdb, "--values", "all"])

    out, err = capsys.readouterr()
    assert (code, err) == (0, "")
    assert "session" in out  # a variable: gdb did read the program
    assert world.canaries == set()


@pytest.mark.parametrize("sysroot", [False, True], ids=["exe", "sysroot"])
def test_no_script_runs_in_an_interactive_gdb(
    gdb: str, sysroot: bool, world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    where = ["--sysroot", str(world.root / "sysroot")] if sysroot else []
    command = ["gdb", str(world.core), "--exe", str(world.program), *where, "--gdb", gdb]

    code = main([*command, "--", "-batch", "-ex", "bt 3", "-ex", "info locals"])

    out, _ = capfd.readouterr()
    assert code == 0
    assert "book_energy" in out
    assert world.canaries == set()


@pytest.fixture
def requests_seen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[str]]:
    """What a debuginfod server on this machine is asked for, while gdb is told of it."""
    asked: list[str] = []

    class Server(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, format: str, *arguments: object) -> None:
            """Nothing to stderr."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        monkeypatch.setenv("DEBUGINFOD_URLS", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("DEBUGINFOD_CACHE_PATH", str(tmp_path / "debuginfod"))
        yield asked
        server.shutdown()
        thread.join()


def test_gdb_asks_nobody_for_debug_files(
    gdb: str,
    world: World,
    requests_seen: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(world.root / "nothing"))
    core = str(world.core)

    assert main(["backtrace", core, "--gdb", gdb]) == 0
    assert main(["gdb", core, "--gdb", gdb, "--", "-batch", "-ex", "bt 3"]) == 0
    assert requests_seen == []

    run_plain(gdb, world, "-nx", "-iex", "set debuginfod enabled on")
    print(f"{gdb}: {len(requests_seen)} requests without our options")
    assert requests_seen
