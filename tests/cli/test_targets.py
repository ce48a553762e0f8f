"""What may be named: cores, bundles, archives, containers, and nothing at all."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from evdiag.adapters.bundle.archive import pack
from evdiag.adapters.demo_data import unpack_demo
from evdiag.adapters.file_source import FolderFiles
from evdiag.errors import ExitCode
from tests.cli.conftest import Evdiag
from tests.support.bundles import ELSEWHERE, bundle_of, manifest

NAME = "evdiag-charger-20261123-040506"
TITLE = "null-write in charging::Session::book_energy at charging.hpp:29"


@pytest.fixture(scope="session")
def made(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with the demo's core; no test changes it."""
    folder = tmp_path_factory.mktemp("bundles")
    before = os.environ.get("EVDIAG_CACHE")
    os.environ["EVDIAG_CACHE"] = str(folder / "cache")
    try:
        return bundle_of(folder / NAME, [demo / "core"], FolderFiles(demo / "root"))
    finally:
        os.environ.pop("EVDIAG_CACHE")
        if before is not None:
            os.environ["EVDIAG_CACHE"] = before


@pytest.fixture
def bundle(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The bundle in the current folder, and no engine anywhere."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-engine.sock")
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    return Path(shutil.copytree(made, here / NAME))


def told(evdiag: Evdiag, *arguments: object) -> tuple[Any, str]:
    """The JSON report, and what was said."""
    code, out, err = evdiag("backtrace", *arguments, "--format", "json")
    assert code == 0, err
    return json.loads(out), err


def lasting(document: Any) -> Any:  # noqa: ANN401 # JSON
    """A report without when it was made."""
    return {name: part for name, part in document.items() if name not in ELSEWHERE} | {
        "core": document["core"]
    }


def test_a_bundle(evdiag: Evdiag, bundle: Path) -> None:
    report, err = told(evdiag, bundle)

    assert err == ""
    (core,) = [entry for entry in manifest(bundle)["files"] if entry["kind"] == "core"]
    assert TITLE in report["title"]
    assert report["core"]["path"] == "cores/core"
    assert report["core"]["sha256"] == core["sha256"]
    assert f"evdiag gdb {NAME}/cores/core" in report["verdict"]["advice"][-1]
    assert str(bundle) not in json.dumps(report)


def test_the_report_is_the_same_wherever_the_bundle_lies(
    evdiag: Evdiag, bundle: Path, tmp_path: Path
) -> None:
    here, _ = told(evdiag, bundle)
    archive = tmp_path / f"{NAME}.tar.zst"
    pack(bundle, archive)
    (tmp_path / "else where").mkdir()
    moved = bundle.rename(tmp_path / "else where" / NAME)

    assert lasting(told(evdiag, moved)[0]) == lasting(here)
    assert lasting(told(evdiag, archive)[0]) == lasting(here)
    assert not list(tmp_path.rglob("evdiag-bundle-*")), "what was unpacked is gone"


def test_a_core_of_a_bundle_is_read_with_the_bundle(
    evdiag: Evdiag, bundle: Path, tmp_path: Path
) -> None:
    report, _ = told(evdiag, bundle / "cores/core")
    assert TITLE in report["title"]
    assert report["core"]["path"] == "cores/core"

    # the words of the report's own advice, where only the archive is left
    pack(bundle, bundle.with_name(f"{NAME}.tar.zst"))
    shutil.rmtree(bundle)
    assert TITLE in told(evdiag, f"{NAME}/cores/core")[0]["title"]
    code, _, err = evdiag("backtrace", f"{NAME}/cores/other")
    assert code == ExitCode.CORE
    assert "holds no cores/other" in err


def test_an_interrupted_bundle_works_and_says_so(evdiag: Evdiag, demo: Path, bundle: Path) -> None:
    shutil.rmtree(bundle)
    partial = bundle_of(bundle, [demo / "core"], FolderFiles(demo / "root"), finished=False)
    report, err = told(evdiag, partial)
    assert "only a part of a bundle" in err
    assert TITLE in report["title"]
    assert any("was interrupted" in error["message"] for error in report["soft_errors"])


def test_what_a_bundle_lacks_is_in_the_report(evdiag: Evdiag, bundle: Path) -> None:
    document = manifest(bundle)
    document["problems"] = ["/usr/lib/libx.so could not be had"]
    document["skipped"] = [{"origin": "/tmp/everest-logs/core.2", "reason": "no room is left"}]
    (bundle / "manifest.json").write_text(json.dumps(document))
    (bundle / "sources/workspace/charger/charging.hpp").unlink()

    messages = [error["message"] for error in told(evdiag, bundle)[0]["soft_errors"]]

    assert "/usr/lib/libx.so could not be had" in messages
    assert "/tmp/everest-logs/core.2 is not in the bundle: no room is left" in messages
    assert "sources/workspace/charger/charging.hpp is missing" in messages


def test_a_bundle_beside_other_targets(evdiag: Evdiag, bundle: Path, demo: Path) -> None:
    reports, _ = told(evdiag, bundle, demo / "core", "--sysroot", demo / "root")
    assert sorted(report["core"]["path"] for report in reports) == [
        *(str(demo / "core"), "cores/core"),
    ]
    assert all(TITLE in report["title"] for report in reports)


# -- nothing is named


def test_without_a_target_the_newest_bundle_here_is_taken(evdiag: Evdiag, bundle: Path) -> None:
    older = bundle.with_name("evdiag-charger-20200101-000000")
    shutil.copytree(bundle, older)
    document = manifest(older)
    document["begun"] = 1.0
    (older / "manifest.json").write_text(json.dumps(document))
    (bundle.parent / "evdiag-no-bundle").mkdir()

    report, err = told(evdiag)

    assert err == f"the newest bundle here: {NAME}\n"
    assert TITLE in report["title"]


def test_an_archive_is_as_old_as_its_name_says(evdiag: Evdiag, bundle: Path) -> None:
    newest = bundle.with_name("evdiag-charger-20991231-235959.tar.zst")
    pack(bundle, newest)
    _, err = told(evdiag)
    assert err == f"the newest bundle here: {newest.name}\n"


def test_without_bundle_and_engine_it_is_asked_which_crash(evdiag: Evdiag, bundle: Path) -> None:
    shutil.rmtree(bundle)
    code, _, err = evdiag("backtrace")
    assert code == ExitCode.USAGE
    assert "which crash?" in err
    assert "--log" in err


# -- what is not there


def test_a_word_that_is_nothing_gets_one_error(evdiag: Evdiag, bundle: Path) -> None:
    code, _, err = evdiag("backtrace", "everest")
    assert code == ExitCode.CORE
    assert "there is no everest here" in err
    assert "no container of that name can be looked for" in err
    code, _, err = evdiag("backtrace", "./everest")
    assert (code, "everest does not exist" in err) == (ExitCode.CORE, True)


def test_what_cannot_be_used_does_not_stop_the_others(evdiag: Evdiag, bundle: Path) -> None:
    archive = bundle.with_name("evdiag-broken.tar.zst")
    archive.write_bytes(b"\x28\xb5\x2f\xfd" + b"nonsense" * 100)
    (bundle.parent / "damaged").mkdir()
    (bundle.parent / "damaged/manifest.json").write_text("{}")

    code, out, err = evdiag("backtrace", "everest", archive, "damaged", bundle)

    assert code == ExitCode.CORE
    assert TITLE in out
    assert err.count("evdiag: ") == 3


# -- gdb


def test_gdb_takes_the_first_fault_and_names_the_others(
    evdiag: Evdiag, bundle: Path, tmp_path: Path, demo: Path
) -> None:
    other = unpack_demo("aarch64", tmp_path / "other")
    both = bundle_of(
        tmp_path / "both",
        [demo / "core", other.rename(other.with_name("core.2"))],
        FolderFiles(demo / "root"),
    )
    code, _, err = evdiag("gdb", both, "--gdb", "true")
    assert code == 0, err
    assert "the first fault of 2; the others:" in err
    assert "cores/core" in err
    assert str(both) not in err

    code, _, err = evdiag("gdb", both / "cores/core", "--gdb", "true")
    assert (code, "the others" in err) == (0, False)


def test_gdb_of_what_is_no_core(evdiag: Evdiag, bundle: Path) -> None:
    shutil.rmtree(bundle / "cores")
    assert evdiag("gdb", bundle, "--gdb", "true").code == ExitCode.CORE
    code, _, err = evdiag("gdb", "everest", "--gdb", "true")
    assert (code, "no everest here" in err) == (ExitCode.CORE, True)


def test_a_note_that_is_named_with_its_core_is_no_core(
    evdiag: Evdiag, demo: Path, bundle: Path
) -> None:
    shutil.copy(demo / "core", "core")
    Path("core.json").write_text("{}")
    code, out, err = evdiag("backtrace", "core", "core.json", "--sysroot", demo / "root")
    assert code == 0, err
    assert TITLE in out
    assert "core.json" not in err
    code, _, err = evdiag("backtrace", "core.json")
    assert code == ExitCode.CORE
    assert "core.json: not a core dump" in err
