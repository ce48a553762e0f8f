"""`evdiag triage`: what may be named, how it ends, what it writes, and what it remembers."""

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from evdiag.adapters.bundle.archive import pack
from evdiag.adapters.file_source import FolderFiles
from evdiag.commands._triage_asked import Asked, Told
from evdiag.engine import Options
from evdiag.errors import ExitCode
from evdiag.model.triage import Crash
from evdiag.triage.origins import Origin
from tests.cli.conftest import Evdiag
from tests.support.bundles import bundle_of
from tests.support.evdiag_command import command

TITLE = "null-write in charging::Session::book_energy at charging.hpp:29"
FUNCTION = "book_energy"
FORMATS = ("terminal", "markdown", "html", "json", "sarif", "junit")


def copies(core: Path, folder: Path, count: int) -> Path:
    """A folder with cores that differ in a byte behind their end."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        copy = folder / f"core.{i:04}"
        shutil.copyfile(core, copy)
        with copy.open("ab") as file:
            file.write(i.to_bytes(4, "little"))
    return folder


@pytest.fixture
def cores(core: Path, tmp_path: Path) -> Path:
    """Three crashes of one kind."""
    return copies(core, tmp_path / "cores", 3)


def told(evdiag: Evdiag, *arguments: object, code: int = 0) -> Any:  # noqa: ANN401 # JSON
    """The triage as JSON."""
    ended, out, err = evdiag("triage", *arguments, "--format", "json")
    assert ended == code, err
    return json.loads(out)


def lasting(triage: Any) -> Any:  # noqa: ANN401 # JSON
    """A triage without when and how it was made."""
    for group in triage["groups"]:
        without_times(group["report"])
    return {name: part for name, part in triage.items() if name not in ("run", "created")}


def without_times(report: Any) -> Any:  # noqa: ANN401 # JSON
    """A report without when it was made."""
    report.pop("created", None)
    report["provenance"].pop("timings", None)
    return report


# -- what does not make sense


def test_without_a_path_there_is_advice(evdiag: Evdiag) -> None:
    code, out, err = evdiag("triage")
    assert (code, out) == (ExitCode.USAGE, "")
    assert "evdiag triage DIR" in err


@pytest.mark.parametrize(
    "options",
    [
        ["--format", "odt"],
        ["-o", "report.odt"],
        ["-o", "."],
        ["--all"],
        ["--jobs", "0"],
        ["--jobs", "many"],
        ["--values", "everything"],
        ["--baseline", "not-there.json"],
        ["--baseline", __file__],
        ["--exe", "not-there"],
        ["--sysroot", "not-there"],
        ["--source-map", "no-equals-sign"],
    ],
    ids=" ".join,
)
def test_bad_usage(evdiag: Evdiag, core: Path, options: list[str]) -> None:
    code, out, err = evdiag("triage", core, *options)
    assert (code, out) == (ExitCode.USAGE, "")
    assert err


def test_an_empty_folder(evdiag: Evdiag, tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/notes.txt").write_text("hello")
    code, out, err = evdiag("triage", tmp_path)
    assert (code, out) == (ExitCode.NOTHING_COLLECTED, "")
    assert "holds no core" in err


def test_what_is_not_there_is_told_and_the_rest_is_looked_at(
    evdiag: Evdiag, cores: Path, tmp_path: Path
) -> None:
    code, out, err = evdiag("triage", cores, tmp_path / "gone")
    assert code == ExitCode.CORE
    assert f"{tmp_path}/gone: No such file" in err
    assert "3 crashes in 1 group" in out


def test_no_crash_at_all(evdiag: Evdiag, tmp_path: Path) -> None:
    folder = tmp_path / "cores"
    folder.mkdir()
    (folder / "core.1").write_bytes(b"garbage" * 999)
    (folder / "core.2").touch()
    (folder / "x.core").write_bytes(b"\x7fELF" + bytes(12) + b"\4\0")
    os.mkfifo(folder / "core.3")
    found = told(evdiag, folder, folder / "core.3", code=ExitCode.CORE)
    assert found["groups"] == []
    why = {Path(f["path"]).name: f["message"] for f in found["failures"]}
    assert why["core.1"] == "it is no core"
    assert why["core.2"] == "it is empty"
    assert "neither a file nor a folder" in why["core.3"]
    assert not any(str(folder) in message for message in why.values())
    assert why["x.core"]


# -- what is found


def test_one_group(evdiag: Evdiag, cores: Path, demo: Path) -> None:
    found = told(evdiag, cores, "--sysroot", demo / "root")
    (group,) = found["groups"]
    assert (group["count"], group["class"], group["status"]) == (3, "null-write", None)
    assert TITLE in group["title"]
    assert {Path(c["path"]).name for c in group["cores"]} == {f"core.000{i}" for i in range(3)}
    assert len({c["content"] for c in group["cores"]}) == 3
    assert all(c["seen"].endswith(" UTC") for c in group["cores"])
    assert group["report"]["core"]["path"] == group["representative"]
    assert found["run"]["cores"] == found["run"]["analysed"] == 3
    assert not found["run"]["debugged"]


def test_the_verdict_is_that_of_backtrace(evdiag: Evdiag, core: Path) -> None:
    (group,) = told(evdiag, core)["groups"]
    report = json.loads(evdiag("backtrace", core, "--format", "json").out)
    assert group["title"] == report["title"]
    assert group["class"] == report["verdict"]["class"]
    assert group["signature"] == report["signature"]["text"]
    assert without_times(group["report"]) == without_times(report)


def test_folders_links_notes_and_double_names(evdiag: Evdiag, core: Path, tmp_path: Path) -> None:
    folder = copies(core, tmp_path / "a/b/c", 1)
    (tmp_path / "a/link").symlink_to(folder)
    (tmp_path / "a/core.link").symlink_to(folder / "core.0000")
    note = folder / "core.0000.json"
    note.write_text("{}")
    (tmp_path / "a/core.5.zst").write_bytes(b"\x28\xb5\x2f\xfd")
    (tmp_path / "a/.core.7.part").write_bytes(b"half")
    found = told(evdiag, tmp_path / "a", folder / "core.0000", note)
    assert found["run"]["cores"] == 1
    notes = " ".join(error["message"] for error in found["soft_errors"])
    assert "2 links were not followed" in notes
    assert "core.5.zst: packed" in notes
    assert ".core.7.part: unfinished" in notes


def test_a_name_that_is_no_text(evdiag: Evdiag, core: Path, tmp_path: Path) -> None:
    folder = copies(core, tmp_path / "cores", 1)
    os.rename(folder / "core.0000", os.fsencode(folder) + b"/core.\xff\x1b[31m")  # noqa: PTH104
    copies(core, folder, 9)
    found = told(evdiag, folder, "--jobs", 2)
    (group,) = found["groups"]
    assert group["count"] == 10
    assert found["failures"] == []
    for name in ("terminal", "markdown"):
        assert "\x1b" not in evdiag("triage", folder, "--format", name).out


@pytest.fixture
def bundle(demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bundle with the demo's core, and no engine anywhere."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-engine.sock")
    name = tmp_path / "in/evdiag-charger-20261123-040506"
    name.parent.mkdir()
    return bundle_of(name, [demo / "core"], FolderFiles(demo / "root"))


def test_a_bundle_its_archive_and_one_of_its_cores(
    evdiag: Evdiag, bundle: Path, tmp_path: Path
) -> None:
    whole = told(evdiag, bundle.parent)
    (group,) = whole["groups"]
    assert group["representative"] == f"{bundle}/cores/core"
    assert group["report"]["core"]["path"] == "cores/core"
    assert group["report"]["core"]["sha256"]

    for named in (bundle, bundle / "cores", bundle / "cores/core"):
        assert lasting(told(evdiag, named)) == lasting(whole)

    archive = bundle.with_name(bundle.name + ".tar.zst")
    pack(bundle, archive)
    shutil.rmtree(bundle)
    packed = told(evdiag, archive)
    (same,) = packed["groups"]
    assert same["representative"] == group["representative"]
    assert same["hash"] == group["hash"]
    assert same["report"]["verdict"] == group["report"]["verdict"]
    assert "unpacked" not in json.dumps(packed)
    assert not told(evdiag, bundle.parent)["run"]["analysed"]


def test_a_broken_archive(evdiag: Evdiag, cores: Path) -> None:
    archive = cores / "evdiag-x.tar.zst"
    archive.write_bytes(b"\x28\xb5\x2f\xfd" + bytes(99))
    code, out, err = evdiag("triage", archive)
    assert code == ExitCode.CORE
    assert "evdiag-x.tar.zst" in out + err
    assert told(evdiag, cores)["run"]["cores"] == 3


# -- how it ends, and what it writes


def test_exit_codes(evdiag: Evdiag, cores: Path, tmp_path: Path) -> None:
    baseline = tmp_path / "baseline.json"
    assert evdiag("triage", cores, "-o", baseline).code == 0
    assert evdiag("triage", cores, "--exit-code").code == ExitCode.CRASH_FOUND
    known = ("triage", cores, "--exit-code", "--baseline", baseline)
    assert evdiag(*known).code == 0
    other = json.loads(baseline.read_text())
    other["groups"] = []
    baseline.write_text(json.dumps(other))
    assert evdiag(*known).code == ExitCode.CRASH_FOUND
    assert evdiag(*known[:2], "--baseline", baseline).code == 0


def test_new_known_and_gone(evdiag: Evdiag, cores: Path, tmp_path: Path) -> None:
    baseline = tmp_path / "baseline.json"
    assert evdiag("triage", cores, "-o", baseline).code == 0
    found = told(evdiag, cores, "--baseline", baseline)
    assert [group["status"] for group in found["groups"]] == ["known"]
    assert (found["baseline"], found["gone"]) == ("baseline.json", [])


@pytest.mark.parametrize("name", FORMATS)
def test_formats(evdiag: Evdiag, core: Path, demo: Path, tmp_path: Path, name: str) -> None:
    named = ("triage", core, "--sysroot", demo / "root")
    out = evdiag(*named, "--format", name).out
    assert FUNCTION in out
    if name in ("json", "sarif"):
        json.loads(out)
    elif name == "junit":
        ElementTree.fromstring(out)
    suffix = {"terminal": ".txt", "markdown": ".md", "junit": ".xml"}.get(name, f".{name}")
    target = tmp_path / f"triage{suffix}"
    code, printed, err = evdiag(*named, "-o", target)
    assert (code, printed) == (0, "")
    assert f"wrote {target}" in err
    assert FUNCTION in target.read_text()
    assert target.stat().st_mode & 0o777 == 0o600


def test_a_report_on_each(evdiag: Evdiag, cores: Path, tmp_path: Path) -> None:
    target = tmp_path / "triage.json"
    code, _, err = evdiag("triage", cores, "--all", "-o", target)
    assert code == 0
    folder = tmp_path / "triage.json.reports"
    assert f"wrote 3 reports to {folder}" in err
    names = sorted(path.name for path in folder.iterdir())
    assert [name[:5] for name in names] == ["00001", "00002", "00003"]
    reports = [json.loads((folder / name).read_text()) for name in names]
    assert {report["core"]["path"] for report in reports} == {
        str(cores / f"core.000{i}") for i in range(3)
    }


def test_another_program_is_not_used(evdiag: Evdiag, cores: Path) -> None:
    found = told(evdiag, cores, "--exe", sys.executable)
    (group,) = found["groups"]
    assert group["count"] == 3
    (wrong, *_) = group["report"]["soft_errors"]
    assert "is another build" in wrong["message"]


def test_texts_lose_their_secrets() -> None:
    crash = Crash(path="core", title="t", summary="thrown: password=hunter2hunter", hash="1")
    origin = Origin(options=Options(), given=Options())
    hiding = Asked(Told(), gdb=None, values=False, redact=True, folder=None)
    assert "hunter2" not in hiding.crash(crash, origin).summary
    assert hiding.crash(crash, origin) == hiding.crash(crash, origin)
    showing = Asked(Told(), gdb=None, values=False, redact=False, folder=None)
    assert showing.crash(crash, origin) == crash


# -- what it remembers


def test_a_second_run_knows_everything(evdiag: Evdiag, cores: Path) -> None:
    first, second = told(evdiag, cores), told(evdiag, cores)
    assert second["run"]["analysed"] == 0
    assert lasting(first) == lasting(second)
    assert told(evdiag, cores, "--no-cache")["run"]["analysed"] == 3


def test_the_same_content_elsewhere_is_known(evdiag: Evdiag, cores: Path, tmp_path: Path) -> None:
    told(evdiag, cores)
    moved = tmp_path / "moved"
    shutil.copytree(cores, moved)
    assert told(evdiag, moved)["run"]["analysed"] == 0


def test_a_note_that_is_added_counts(evdiag: Evdiag, cores: Path) -> None:
    told(evdiag, cores)
    (cores / "core.0001.json").write_text("{}")
    assert told(evdiag, cores)["run"]["analysed"] == 1


@pytest.mark.parametrize("damage", ["empty", "cut", "changed", "folders", "gone"])
def test_a_damaged_cache(
    evdiag: Evdiag, cores: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    cache = tmp_path / "cache"
    monkeypatch.setenv("EVDIAG_CACHE", str(cache))
    first = told(evdiag, cores)
    entries = [path for path in (cache / "triage").rglob("*") if path.is_file()]
    assert len(entries) == 10  # of each core three, and a report
    assert {path.stat().st_mode & 0o777 for path in entries} == {0o600}
    for path in entries:
        raw = path.read_bytes()
        path.unlink()
        if damage == "folders":
            path.mkdir()
        elif damage != "gone":
            changed = raw[:20] + bytes([raw[20] ^ 1]) + raw[21:]
            path.write_bytes({"empty": b"", "cut": raw[:-3], "changed": changed}[damage])
    again = told(evdiag, cores)
    assert again["run"]["analysed"] == 3
    assert lasting(again) == lasting(first)
    if damage != "folders":
        assert told(evdiag, cores)["run"]["analysed"] == 0


def test_a_cache_that_cannot_be_written(
    evdiag: Evdiag, cores: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("EVDIAG_CACHE", str(tmp_path / "file"))
    assert told(evdiag, cores)["groups"][0]["count"] == 3


# -- interrupted


def test_interrupted_and_resumed(evdiag: Evdiag, core: Path, tmp_path: Path) -> None:
    """Ctrl-C as soon as it says how far it is: what is known is printed, and not lost."""
    folder = copies(core, tmp_path / "many", 40)
    target = tmp_path / "triage.json"
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command("triage", folder, "--jobs", 2, "-o", target), stdout=subprocess.DEVNULL,
        stderr=theirs, start_new_session=True,
    )  # fmt: skip
    try:
        os.close(theirs)
        said = b""
        while b"stacks: " not in said and (piece := _read(ours)):
            said += piece
        assert b"stacks: " in said
        process.send_signal(signal.SIGINT)
        while piece := _read(ours):
            said += piece
        code = process.wait(60)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    assert code == ExitCode.INTERRUPTED, said
    assert b"Traceback" not in said
    partial = json.loads(target.read_text())
    assert partial["run"]["interrupted"]
    before = partial["run"]["analysed"]
    assert before < 40

    whole = told(evdiag, folder)
    assert not whole["run"]["interrupted"]
    assert whole["groups"][0]["count"] == 40
    assert whole["run"]["analysed"] <= 40 - before


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # nobody has the other end any more
        return b""
