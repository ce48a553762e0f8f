"""Symbols of real programs: the cache, several processes, damage, and doing without."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from evdiag.adapters.demo_data import unpack_demo
from evdiag.adapters.files import map_file
from evdiag.adapters.symbols import SymbolStore
from evdiag.engine import Engine, Options
from evdiag.model.report import SoftError
from evdiag.parse.image import Image

EXE = "root/opt/everest/libexec/everest/modules/EvseManager/EvseManager"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    unpack_demo("x86-64", folder)
    return folder


@pytest.fixture
def program(demo: Path) -> Image:
    return Image(str(demo / EXE), map_file(demo / EXE))


def entry(image: Image) -> int:
    return image.header.entry


def test_a_symcache_is_made_once_per_build_id(program: Image, tmp_path: Path) -> None:
    told: list[str] = []
    first = SymbolStore(tmp_path, told.append).lookup(program, entry(program))
    second = SymbolStore(tmp_path, told.append).lookup(program, entry(program))

    assert first == second
    assert first[-1].function == "_start"
    assert told == ["reading debug information of EvseManager"]
    (file,) = (tmp_path / "symcache").iterdir()
    assert program.build_id is not None
    assert file.name.startswith(program.build_id)
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("damage", [b"", b"SYMC", os.urandom(4096)])
def test_a_damaged_symcache_is_made_anew(damage: bytes, program: Image, tmp_path: Path) -> None:
    expected = SymbolStore(tmp_path).lookup(program, entry(program))
    (file,) = (tmp_path / "symcache").iterdir()
    file.write_bytes(damage)

    assert SymbolStore(tmp_path).lookup(program, entry(program)) == expected
    assert file.stat().st_size > 100_000


def test_a_cache_that_cannot_be_written_is_done_without(program: Image, tmp_path: Path) -> None:
    (tmp_path / "symcache").write_text("not a folder")
    assert SymbolStore(tmp_path).lookup(program, entry(program))[-1].function == "_start"


def test_a_file_that_symbolic_does_not_understand_is_a_problem_not_an_error(
    program: Image, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    content = bytearray(program.data)
    content[program.header.sections_at : program.header.sections_at + 640] = b"\xff" * 640
    broken.write_bytes(content)
    image = Image(str(broken), bytes(content))
    store = SymbolStore(tmp_path)

    store.lookup(image, entry(image))

    for problem in store.problems.values():
        assert "its symbols cannot be read" in problem.message


def run(demo: Path, cache: Path, *before: str) -> "subprocess.Popen[str]":
    """Start `evdiag backtrace` on the demo's core in a process of its own."""
    code = ";".join(
        (*before, "import sys", "from evdiag.cli import main", "sys.exit(main(sys.argv[1:]))")
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, "backtrace", str(demo / "core"), "--no-values",
         "--format", "json", "--sysroot", str(demo / "root")],
        env=os.environ | {"EVDIAG_CACHE": str(cache)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip


def test_processes_that_make_the_same_symcaches_do_not_disturb_each_other(
    demo: Path, tmp_path: Path
) -> None:
    running = [run(demo, tmp_path) for _ in range(4)]
    outputs = [process.communicate(timeout=60) for process in running]

    assert [process.returncode for process in running] == [0] * 4
    threads = [json.loads(out)["threads"] for out, _ in outputs]
    assert threads[0][0]["frames"][0]["function"] == "charging::Session::book_energy(double)"
    assert threads == [threads[0]] * 4
    assert {path.suffix for path in (tmp_path / "symcache").iterdir()} == {".symcache"}


def test_without_symbolic_there_are_stacks_without_names(demo: Path, tmp_path: Path) -> None:
    process = run(demo, tmp_path, "import sys", "sys.modules['symbolic'] = None")
    out, err = process.communicate(timeout=60)

    assert process.returncode == 0, err
    report = json.loads(out)
    frames = report["threads"][0]["frames"]
    assert len(frames) > 10
    assert {frame["function"] for frame in frames} == {None}
    assert all(frame["offset"] for frame in frames)
    assert any("`symbolic` is not installed" in e["message"] for e in report["soft_errors"])
    assert report["verdict"]["class"] == "null-write"


def test_a_report_tells_the_problems_of_its_own_core_only(demo: Path) -> None:
    # GIVEN an engine that found problems in a file of this core, and in one of a core before it
    engine = Engine(Options(sysroot=demo / "root"))
    library = str(demo / "root/opt/everest/lib/libchargebridge.so")
    for path in (library, "/opt/another/program"):
        engine.symbols.problems[path] = SoftError(stage="symbols", message=path)

    report = engine.report(demo / "core")

    assert [error.message for error in report.soft_errors] == [library]
