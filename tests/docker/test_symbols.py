"""A bundle of a container's crash is complete: it reads the same where nothing else is."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from evdiag.adapters.docker.copy import copied_file
from evdiag.adapters.docker.engine import ContainerEngine, connect
from evdiag.adapters.docker.image_files import PREFIX, files_of, files_of_image
from evdiag.adapters.file_source import FileSource
from evdiag.adapters.gdb.debugger import Debugger
from evdiag.engine import Engine, Options
from evdiag.model.charger import ContainerFacts
from evdiag.values import add_values
from tests.cli.conftest import Evdiag, evdiag  # noqa: F401 # a fixture
from tests.support.bundles import bundle_of, entries, facts, from_bundle, manifest, options
from tests.support.charger import CORES, Charger, await_true, charger, docker

pytestmark = pytest.mark.docker

MODULE = "/opt/everest/libexec/everest/modules/EvseManager/EvseManager"
SOURCE = "/usr/src/everest/crashers/charging.hpp"


@pytest.fixture(scope="module")
def engine(image: str) -> Iterator[ContainerEngine]:
    found = connect()
    yield found
    found.close()


@pytest.fixture(scope="module")
def crashed(image: str) -> Iterator[Charger]:
    """A container that has ended; somebody has replaced the program since it crashed."""
    with charger(image, options=("--ulimit", "core=0")) as container:
        container.await_starts(1)
        container.output("cp", "-L", "/bin/true", f"{MODULE}.new")
        links = ("ln -s /etc/passwd /opt/link; ln -s ../../../opt/link /opt/far;"
                 "ln -s loop /opt/loop; mkfifo /opt/pipe; ln -s /none /opt/broken")  # fmt: skip
        container.output("sh", "-c", links)
        # EVerest starts again after 16 s, as after many crashes: by then all is over
        container.output("sh", "-c", 'echo "$(date +%s) 9" >/run/everest/starts')
        container.crash("evse_manager", "null-member-write")
        await_true(lambda: bool(container.reports()), "a core is whole")
        container.output("mv", f"{MODULE}.new", MODULE)
        docker("kill", container.name)
        yield container


@pytest.fixture(scope="module")
def core(
    crashed: Charger, engine: ContainerEngine, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The core, out of the container that has ended."""
    about = engine.inspect(crashed.name)
    listed = docker("cp", f"{crashed.name}:{CORES}/.", str(folder := tmp_path_factory.mktemp("c")))
    assert listed.code == 0, about
    (found,) = [path for path in folder.glob("core.*") if path.suffix != ".json"]
    return found


@pytest.fixture
def facts_of(crashed: Charger, engine: ContainerEngine) -> ContainerFacts:
    return engine.container(crashed.name)


def test_a_bundle_is_complete(
    engine: ContainerEngine,
    facts_of: ContainerFacts,
    core: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The report from an empty cache is the one with all files of the image."""
    monkeypatch.setenv("EVDIAG_CACHE", str(tmp_path / "here"))
    with files_of(engine, facts_of) as files:
        bundle = bundle_of(tmp_path / "b", [core], files)
    assert manifest(bundle).get("problems") is None
    modules = from_bundle(bundle, core.name).modules
    mapped = {module.build_id: module.path or "" for module in modules}
    symbols = entries(bundle, "symbols")
    assert {entry["build_id"] for entry in symbols.values()} >= {
        build_id for build_id, path in mapped.items() if path.startswith("/")
    }
    assert f"sources{SOURCE}" in entries(bundle, "source")

    # the files of the image as they are, in place of the bundle
    root = tmp_path / "root"
    with files_of_image(engine, facts_of.image_id) as image:
        for path in (*mapped.values(), *_sources(bundle)):
            if path.startswith("/"):
                _copied(image, path, root)
    here = Engine(Options(sysroot=root)).report(core)
    monkeypatch.setenv("EVDIAG_CACHE", str(tmp_path / "there"))
    analysis = Engine(options(bundle)).analyse(bundle / "cores" / core.name)

    assert facts(analysis.report) == facts(here)
    frame = analysis.report.threads[0].frames[0]
    assert frame.function is not None
    assert "book_energy" in frame.function
    assert (frame.file, any(line.current for line in frame.source)) == (SOURCE, True)

    debugger = Debugger(None, tmp_path / "there")
    found, problem = add_values(analysis.report, analysis.scene(), debugger, "crash")
    assert problem is None
    assert found.provenance.rung == "native+gdb"
    assert any(variable.name == "value" for variable in found.threads[0].frames[0].args)


def _sources(bundle: Path) -> list[str]:
    return [entry["origin"].removeprefix("source ") for entry in entries(bundle, "source").values()]


def _copied(files: FileSource, path: str, root: Path) -> None:
    target = root / path.lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        for piece in files.open(path):
            file.write(piece)


def test_links_are_followed_inside_the_container(
    engine: ContainerEngine, facts_of: ContainerFacts
) -> None:
    passwd = b"".join(copied_file(engine, facts_of.id, "/etc/passwd"))
    with files_of(engine, facts_of) as files:
        for path in ("/etc/passwd", "/opt/link", "/opt/far"):
            assert b"".join(files.open(path)) == passwd
            assert files.status(path).size == len(passwd)
        assert passwd != Path("/etc/passwd").read_bytes(), "not a file of this machine"
        for path in ("/opt/loop", "/opt/pipe", "/opt/broken", "/opt", "/none/x", "/none/y"):
            with pytest.raises(FileNotFoundError):
                files.status(path)


def test_nothing_is_left_of_looking_into_an_image(
    engine: ContainerEngine, facts_of: ContainerFacts
) -> None:
    with files_of_image(engine, facts_of.image_id) as image:
        assert image.status(MODULE).size > 100_000
        made = docker("ps", "-a", "--filter", f"name={PREFIX}", "--format", "{{.Names}} {{.State}}")
        assert "created" in made.out
        assert not any(found.name.startswith(PREFIX) for found in engine.chargers())
        (name,) = [line.split()[0] for line in made.out.splitlines() if "created" in line]
    assert name not in docker("ps", "-a", "--format", "{{.Names}}").out
    with files_of_image(engine, "sha256:" + "0" * 64) as image, pytest.raises(FileNotFoundError):
        image.status(MODULE)


def test_a_container_is_a_target(
    crashed: Charger,
    evdiag: Evdiag,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Collected for the moment, also without a word about it where no bundle is."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "moment"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    (tmp_path / "moment").mkdir()
    monkeypatch.setenv("EVDIAG_NAME", crashed.name)

    code, out, err = evdiag("backtrace", "--values", "none", "--format", "json")

    assert code == 0, err
    assert f"no bundle here: looking at the container {crashed.name}" in err
    assert f"collecting from the container {crashed.name} for the moment" in err
    assert "`evdiag collect` keeps it" in err
    report = json.loads(out)
    assert report["verdict"]["class"] == "null-write"
    assert report["core"]["path"].startswith("cores/core.")
    assert report["core"]["sha256"] is not None
    advice = report["verdict"]["advice"][-1]
    assert f"evdiag gdb {crashed.name}/{report['core']['path']}" in advice
    assert list((tmp_path / "moment").iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["moment"]
