"""`evdiag symbolize --image`: files come out of the image, each once, of the right build only."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from evdiag.adapters.address_sources import SystemFiles
from evdiag.adapters.docker.engine import ContainerEngine, connect
from evdiag.adapters.docker.image_files import files_of_image
from evdiag.adapters.file_source import NotHad
from evdiag.adapters.scratch import scratch
from evdiag.cli import main
from evdiag.model.charger import TEST_PROCESS
from evdiag.parse.dynsym import definitions
from evdiag.parse.image import Image
from tests.support.charger import docker

pytestmark = pytest.mark.docker

MODULE = "/opt/everest/libexec/everest/modules/EvseManager/EvseManager"
LIBRARY = "/lib/x86_64-linux-gnu/libstdc++.so.6"


@pytest.fixture
def engine(image: str) -> Iterator[ContainerEngine]:
    with contextlib.closing(connect()) as found:
        yield found


def copied(engine: ContainerEngine, image: str, path: str, target: Path) -> Image:
    """A file of the image, got without what is tested."""
    with files_of_image(engine, image) as files:
        target.write_bytes(b"".join(files.open(path)))
    return Image(str(target), target.read_bytes())


def test_a_text_of_a_container(
    image: str,
    engine: ContainerEngine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Paths, names without folders, links, other builds and files that are not there."""
    monkeypatch.setenv("EVDIAG_CACHE", str(tmp_path / "cache"))
    program = copied(engine, image, MODULE, tmp_path / "program")
    library = copied(engine, image, LIBRARY, tmp_path / "library")
    (at,) = definitions(program, "main")
    (throw,) = definitions(library, "__cxa_throw")
    text = tmp_path / "text"
    text.write_text(
        f"{MODULE}(+{at + 5:#x}) [0x55d0c0de1000]\n"
        f"EvseManager(+{at + 5:#x}) [0x55d0c0de1000]\n"
        f"{LIBRARY}(__cxa_throw+0x3b) [0x7f00000{(throw + 0x3B) & 0xFFF:03x}]\n"
        f"    #1 0x55d0c0de1000  ({MODULE}+{at:#x}) (BuildId: {program.build_id})\n"
        f"    #1 0x55d0c0de1000  ({MODULE}+{at:#x}) (BuildId: {'ab' * 20})\n"
        "/opt/everest/lib/libnone.so(+0x1234) [0x7f0000000000]\n"
    )

    assert main(["symbolize", str(text), "--image", image]) == 0

    said = capsys.readouterr()
    lines = said.out.splitlines()
    for number in (0, 1, 3):
        assert " main at /usr/src/everest/crashers/module" in lines[number]
    assert lines[2].endswith("] __cxa_throw")
    assert lines[4:] == text.read_text().splitlines()[4:]
    summary = said.err.splitlines()
    assert summary[0] == "named 4 of 6 addresses"
    assert any(
        f"the text says build-id {'ab' * 8}, {MODULE} of the image" in line
        and line.endswith(f"has build-id {(program.build_id or '')[:16]}")
        for line in summary
    )
    assert any("libnone.so: the image " in line and "not have it" in line for line in summary)

    # nothing is left but the files in the store
    label = f"label={TEST_PROCESS}={os.getpid()}"
    assert docker("ps", "-aq", "--filter", label).out == ""
    left = {path.name for path in (tmp_path / "cache").iterdir()}
    assert left == {".build-id", "symcache", "unpacked"}
    assert not list((tmp_path / "cache/unpacked").iterdir())
    stored = tmp_path / f"cache/.build-id/{(program.build_id or '')[:2]}"
    assert [path.name for path in stored.iterdir()] == [(program.build_id or "")[2:]]

    # what is there already is not fetched again: its begin tells what it is
    told: list[str] = []
    cache = tmp_path / "cache"
    with files_of_image(engine, image) as files, scratch("fetched", "") as folder:
        system = SystemFiles(files, cache, folder, told.append)
        found = system.image(MODULE, None)
        assert found.path.startswith(str(cache / ".build-id"))
        assert found.has_debug_info
        with pytest.raises(NotHad, match="it is no program"):
            system.image("/etc/passwd", None)
        with pytest.raises(NotHad, match="no such file where programs"):
            system.image("no-such-program", None)
        with pytest.raises(NotHad):
            system.image("/etc/../etc/passwd", None)
    assert len(told) < 5


def test_an_image_that_is_not_there(
    image: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "text"
    text.write_text("hello\n")
    assert main(["symbolize", str(text), "--image", "evdiag-test:none"]) == 5
    said = capsys.readouterr()
    assert said.out == ""
    assert "evdiag-test:none" in said.err
