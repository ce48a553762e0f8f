"""A bundle is complete: what was analysed where it was made is analysed the same elsewhere."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from evdiag.adapters.demo_data import unpack_demo
from evdiag.adapters.file_source import FileStatus, FolderFiles, NoFiles
from evdiag.adapters.file_store import FileStore
from evdiag.adapters.gdb.debugger import Debugger
from evdiag.adapters.gdb.find import WHEEL
from evdiag.engine import Analysis, Engine, Options
from evdiag.model.report import Report
from evdiag.parse.tar import TarCut
from evdiag.values import add_values
from tests.conftest import need
from tests.native.conftest import Crash
from tests.support import elfwriter as w
from tests.support.bundles import bundle_of, entries, facts, from_bundle, manifest, options
from tests.support.crashers import mode_named

MODULE = "/opt/everest/libexec/everest/modules/EvseManager/EvseManager"
LIBRARY = "/opt/everest/lib/libchargebridge.so"
SOURCE = "/workspace/charger/charging.hpp"


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The demo: a core, and the files of the system that it comes from; an own cache."""
    new_cache(tmp_path, monkeypatch, "first")
    return unpack_demo("x86-64", tmp_path / "demo").parent


def new_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> Path:
    cache = tmp_path / f"cache-{name}"
    monkeypatch.setenv("EVDIAG_CACHE", str(cache))
    return cache


class Counted:
    """Files of a folder, and which were asked for."""

    def __init__(self, root: Path, others: "tuple[Counted, ...]" = (), cut: int = 0) -> None:
        self.files, self.others, self.name = FolderFiles(root), others, str(root)
        self.opened: list[str] = []
        self.cut = cut
        """How many streams end too soon, as they do when a file shrinks."""

    def status(self, path: str) -> FileStatus:
        return self.files.status(path)

    def open(self, path: str) -> Iterator[bytes]:
        self.opened.append(path)
        for piece in self.files.open(path):
            if self.cut and len(piece) > 100_000:
                self.cut -= 1
                yield piece[:100_000]
                raise TarCut("the stream ended")
            yield piece


# -- the same report


@pytest.mark.parametrize("machine", ["x86-64", "aarch64"])
def test_the_report_is_the_same_elsewhere(
    machine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new_cache(tmp_path, monkeypatch, "here")
    core = unpack_demo(machine, tmp_path / "demo")
    root = core.parent / "root"
    here = Engine(Options(sysroot=root)).report(core)
    bundle = bundle_of(tmp_path / "b", [core], FolderFiles(root))

    # the binaries are gone, the cache is empty, and the bundle lies elsewhere
    shutil.rmtree(core.parent)
    elsewhere = bundle.rename(tmp_path / "elsewhere")
    cache = new_cache(tmp_path, monkeypatch, "there")
    there = from_bundle(elsewhere)

    assert facts(there) == facts(here)
    crashed = there.crashed
    assert crashed is not None
    frame = crashed.frames[there.verdict.frame or 0]
    assert (frame.file, frame.line) == (SOURCE, 29)
    assert any(line.current and "energy_wh = value" in line.text for line in frame.source)
    assert not (cache / ".build-id").exists(), "a bundle's files stay in the bundle"


def test_the_report_of_a_real_crash_is_the_same_elsewhere(
    crash: Crash, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a program of this machine, which a bundle is made of without any other source."""
    crashed = crash(mode_named("throw-thread"), "O2")
    new_cache(tmp_path, monkeypatch, "here")
    here = Engine(Options()).report(crashed.core)
    bundle = bundle_of(tmp_path / "b", [crashed.core], NoFiles())
    new_cache(tmp_path, monkeypatch, "there")
    there = from_bundle(bundle)

    assert facts(there) == facts(here) | {"threads": facts(there)["threads"]}
    assert [
        [(frame.pc, frame.function, frame.file, frame.line) for frame in thread.frames]
        for thread in there.threads
    ] == [
        [(frame.pc, frame.function, frame.file, frame.line) for frame in thread.frames]
        for thread in here.threads
    ]
    mapped = {m.build_id for m in there.modules if (m.path or "").startswith("/")}
    assert {e["build_id"] for e in entries(bundle, "symbols").values()} >= mapped
    assert "problems" not in manifest(bundle)


@pytest.mark.gdb
def test_gdb_reads_values_with_the_bundle_alone(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a core of another architecture, by the gdb of the wheel."""
    if find_spec(WHEEL) is None:
        need(request, "gdb", "evdiag[gdb] is not installed")
    cache = new_cache(tmp_path, monkeypatch, "here")
    core = unpack_demo("aarch64", tmp_path / "demo")
    root = core.parent / "root"
    here = with_values(Engine(Options(sysroot=root)).analyse(core), cache)
    bundle = bundle_of(tmp_path / "b", [core], FolderFiles(root))
    shutil.rmtree(core.parent)
    cache = new_cache(tmp_path, monkeypatch, "there")

    there = with_values(Engine(options(bundle)).analyse(bundle / "cores/core"), cache)

    assert there.provenance.rung == "native+gdb"
    assert facts(there)["threads"] == facts(here)["threads"]
    assert there.crashed is not None
    (value,) = [v.value for v in there.crashed.frames[0].args if v.name == "value"]
    assert value == "1250"


def with_values(analysis: Analysis, cache: Path) -> Report:
    """The report with gdb's values."""
    debugger = Debugger(None, cache)
    report, problem = add_values(analysis.report, analysis.scene(), debugger, "crash")
    assert problem is None
    return report


# -- what is fetched


def test_only_what_the_core_maps_is_fetched_and_only_once(system: Path, tmp_path: Path) -> None:
    files = Counted(system / "root")
    bundle = bundle_of(tmp_path / "one", [system / "core"], files)
    assert {MODULE, LIBRARY, SOURCE} <= set(files.opened)
    assert len(files.opened) == len(set(files.opened))
    symbols = entries(bundle, "symbols")
    for path, entry in symbols.items():
        assert path.startswith("symbols/.build-id/")
        assert entry["build_id"] == path.removeprefix("symbols/.build-id/").replace("/", "")[:40]
    assert f"sources{SOURCE}" in entries(bundle, "source")

    again = Counted(system / "root")
    second = bundle_of(tmp_path / "two", [system / "core"], again)
    # the user's store has all programs and libraries
    assert set(again.opened) == {e["origin"].split()[1] for e in entries(bundle, "source").values()}
    assert {p: e["sha256"] for p, e in entries(second, "symbols").items()} == {
        p: e["sha256"] for p, e in symbols.items()
    }


def test_an_interrupted_bundle_goes_on_with_what_it_has(system: Path, tmp_path: Path) -> None:
    partial = bundle_of(tmp_path / "b", [system / "core"], Counted(system / "root"), finished=False)
    assert partial.name == "b.partial"
    assert facts(from_bundle(partial))["verdict"]["class"] == "null-write"
    shutil.rmtree(os.environ["EVDIAG_CACHE"])

    files = Counted(system / "root")
    bundle = bundle_of(tmp_path / "b", [system / "core"], files)

    assert files.opened == []
    assert len(entries(bundle, "symbols")) >= 6


def test_a_file_of_another_build_is_never_taken(
    system: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = system / f"root{MODULE}"
    other = bytearray(module.read_bytes())
    at = other.find(bytes.fromhex(build_id_of(system, MODULE)))
    other[at] ^= 0xFF
    module.write_bytes(other)

    bundle = bundle_of(tmp_path / "b", [system / "core"], FolderFiles(system / "root"))

    (problem,) = manifest(bundle)["problems"]
    assert problem.startswith(f"{MODULE} could not be had")
    assert "another build" in problem
    assert not any(MODULE in e["origin"] for e in entries(bundle, "symbols").values())
    assert FileStore(Path(os.environ["EVDIAG_CACHE"])).find(build_id_of(system, MODULE)) is None


def test_a_file_that_was_replaced_since_comes_from_behind(system: Path, tmp_path: Path) -> None:
    """As of a container whose program was updated: its image has the old one."""
    image = tmp_path / "image"
    shutil.copytree(system / "root", image)
    (system / f"root{MODULE}").write_bytes((system / f"root{LIBRARY}").read_bytes())
    (system / f"root{LIBRARY}").unlink()

    files = Counted(system / "root", (Counted(image),))
    bundle = bundle_of(tmp_path / "b", [system / "core"], files)

    assert {MODULE, LIBRARY} <= set(files.others[0].opened)
    assert "problems" not in manifest(bundle)


def test_a_stream_that_is_cut_is_tried_once_more(system: Path, tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path / "b", [system / "core"], Counted(system / "root", cut=1))
    assert "problems" not in manifest(bundle)
    shutil.rmtree(os.environ["EVDIAG_CACHE"])
    cut = bundle_of(tmp_path / "c", [system / "core"], Counted(system / "root", cut=2))
    (problem,) = manifest(cut)["problems"]
    assert "was cut off" in problem


def test_a_cache_that_cannot_be_written_is_no_failure(
    system: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EVDIAG_CACHE", str(tmp_path / "file"))
    bundle = bundle_of(tmp_path / "b", [system / "core"], FolderFiles(system / "root"))
    assert facts(from_bundle(bundle))["verdict"]["class"] == "null-write"


def test_a_core_that_cannot_be_read_does_not_stop_the_others(system: Path, tmp_path: Path) -> None:
    broken = system / "core.broken"
    broken.write_bytes(b"\x7fELF" + bytes(100))
    bundle = bundle_of(tmp_path / "b", [broken, system / "core"], FolderFiles(system / "root"))
    assert len(entries(bundle, "symbols")) >= 6


# -- debug information in other files


def split(system: Path, folder: str, build_id: str) -> str:
    """Move the debug information of the program where Debian's packages have it."""
    place = f"{folder}/.build-id/{build_id[:2]}/{build_id[2:]}.debug"
    debug = system / f"root{place}"
    debug.parent.mkdir(parents=True)
    module = system / f"root{MODULE}"
    for command in (
        ["objcopy", "--only-keep-debug", str(module), str(debug)],
        ["objcopy", "--strip-debug", str(module)],
    ):
        subprocess.run(command, check=True, timeout=60)
    return place


def build_id_of(system: Path, path: str) -> str:
    report: Report = Engine(Options(sysroot=system / "root")).report(system / "core")
    (found,) = [module.build_id for module in report.modules if module.path == path]
    assert found is not None
    return found


def test_separate_debug_information_comes_along(
    system: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_id = build_id_of(system, MODULE)
    split(system, "/usr/lib/debug", build_id)
    bundle = bundle_of(tmp_path / "b", [system / "core"], FolderFiles(system / "root"))
    shutil.rmtree(system)
    new_cache(tmp_path, monkeypatch, "there")

    report = from_bundle(bundle)

    assert f"symbols/.build-id/{build_id[:2]}/{build_id[2:]}.debug" in entries(bundle, "symbols")
    assert report.crashed is not None
    assert (report.crashed.frames[0].file, report.crashed.frames[0].line) == (SOURCE, 29)
    (symbols,) = [module.symbols for module in report.modules if module.path == MODULE]
    assert symbols == "full"


def test_a_stripped_file_in_the_store_does_not_hide_a_better_one(
    system: Path, tmp_path: Path
) -> None:
    build_id = build_id_of(system, MODULE)
    stripped = tmp_path / "stripped"
    subprocess.run(
        ["objcopy", "--strip-debug", str(system / f"root{MODULE}"), str(stripped)],
        check=True,
        timeout=60,
    )
    FileStore(Path(os.environ["EVDIAG_CACHE"])).keep(build_id, stripped)

    bundle = bundle_of(tmp_path / "b", [system / "core"], FolderFiles(system / "root"))

    entry = entries(bundle, "symbols")[f"symbols/.build-id/{build_id[:2]}/{build_id[2:]}"]
    assert entry["bytes"] == (system / f"root{MODULE}").stat().st_size


# -- hostile and unusual cores


def test_files_without_build_id_come_by_their_first_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = new_cache(tmp_path, monkeypatch, "here")
    plain = w.image(build_id=None)
    core = tmp_path / "core"
    core.write_bytes(core_of({"/opt/x": plain, "/opt/other": plain[:4000] + b"1" + plain[4001:]}))
    for name in ("x", "other"):
        (tmp_path / "root/opt").mkdir(parents=True, exist_ok=True)
        (tmp_path / "root/opt" / name).write_bytes(plain)

    bundle = bundle_of(tmp_path / "b", [core], FolderFiles(tmp_path / "root"))

    (path,) = entries(bundle, "symbols")
    assert path.startswith("symbols/.first-page/")
    assert (bundle / path).read_bytes() == plain
    (problem,) = manifest(bundle)["problems"]
    assert problem.startswith("/opt/other could not be had")
    assert not (cache / ".build-id").exists()
    states = {module.path: module.symbols for module in from_bundle(bundle).modules}
    assert states["/opt/x"] == "none"
    assert states["/opt/other"] == "missing"


def test_paths_out_of_a_core_lead_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new_cache(tmp_path, monkeypatch, "here")
    secret = tmp_path / "secret"
    secret.write_bytes(w.image())
    root = tmp_path / "root"
    (root / "opt").mkdir(parents=True)
    (root / "opt/link").symlink_to(secret)
    (root / "opt/text").write_text("root:x:0:0")
    names = ("/opt/../../secret", "../secret", "/opt/link", "/opt/text", "/dev/zero", "/opt/none")
    core = tmp_path / "core"
    core.write_bytes(core_of(dict.fromkeys(names, w.image(build_id=b"\7\7\7\7"))))

    bundle = bundle_of(tmp_path / "b", [core], Counted(root))

    assert entries(bundle, "symbols") == {}
    problems = manifest(bundle)["problems"]
    assert [problem.split()[0] for problem in problems] == ["/opt/link", "/opt/text", "/opt/none"]


def test_a_file_with_two_paths_is_there_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new_cache(tmp_path, monkeypatch, "here")
    code = w.image()
    root = tmp_path / "root"
    (root / "opt").mkdir(parents=True)
    for name in ("b", "c"):
        (root / "opt" / name).write_bytes(code)
    core = tmp_path / "core"
    core.write_bytes(core_of(dict.fromkeys(("/opt/a", "/opt/b", "/opt/c"), code)))

    bundle = bundle_of(tmp_path / "b", [core], FolderFiles(root))

    (entry,) = entries(bundle, "symbols").values()
    assert entry["origin"].startswith("/opt/b")
    assert "problems" not in manifest(bundle)
    assert {module.symbols for module in from_bundle(bundle).modules} == {"none"}


def core_of(files: dict[str, bytes]) -> bytes:
    """A core that maps some files one after the other."""
    rows, memory = [], []
    for number, (path, content) in enumerate(files.items()):
        at = 0x400000 + number * 0x100000
        rows += w.mapped(path, content, at)
        memory.append(w.Piece(start=at, data=content[:4096]))
    return w.core(threads=[w.Thread(registers={"rip": 0x401000})], files=rows, memory=memory)
