"""Reports on cores of a bundle: the same wherever the bundle lies, and with what it lacks."""

import msgspec
import pytest

from evdiag.analyze.bundled import MAX_PROBLEMS, called, retold, shortened, stamp, without_root
from evdiag.model.bundle import SCHEMA, FileEntry, Manifest, Skipped, Subject
from evdiag.model.report import CoreFile, Report, Sibling, SoftError, Verdict

ROOT = "/home/me/evdiag-everest-20261123-040506"
CORE = "cores/core.api:API.89"
ENTRY = FileEntry(path=CORE, kind="core", origin="/tmp/x", bytes=100, sha256="ab" * 32)


def manifest(*files: FileEntry, **more: object) -> Manifest:
    whole = Manifest(
        schema=SCHEMA, evdiag="1", begun=0.0, complete=True, subject=Subject(name="x"), files=files
    )
    return msgspec.structs.replace(whole, **more)


def report(path: str | None = f"{ROOT}/{CORE}", size: int = 100) -> Report:
    return Report(
        core=CoreFile(path=path, bytes=size),
        verdict=Verdict(advice=("Look.", f"To look around: evdiag gdb {path}")),
        siblings=(Sibling(core=f"{ROOT}/cores/core.b"), Sibling(core="/else/core.c"), Sibling()),
        soft_errors=(SoftError(stage="files", message=f"{ROOT}/a is odd", hint=f"see {ROOT}/b"),),
    )


def messages(found: Report) -> list[str]:
    return [error.message for error in found.soft_errors if error.stage == "bundle"]


def test_paths_are_those_below_the_bundle() -> None:
    found = retold(report(), ROOT, "evdiag-everest-20261123-040506", manifest(ENTRY))

    assert found.core == CoreFile(path=CORE, bytes=100, sha256="ab" * 32)
    assert [sibling.core for sibling in found.siblings] == ["cores/core.b", "/else/core.c", None]
    assert found.soft_errors == (SoftError(stage="files", message="a is odd", hint="see b"),)
    word = f"evdiag-everest-20261123-040506/{CORE}"
    assert found.verdict.advice == ("Look.", f"To look around: evdiag gdb {word}")
    assert ROOT not in str(found)


def test_names_with_blanks_stay_one_word_of_a_command() -> None:
    core = Report(
        core=CoreFile(path="/my home/b/cores/core", bytes=1),
        verdict=Verdict(advice=("evdiag gdb '/my home/b/cores/core'",)),
    )
    found = retold(core, "/my home/b", "my b", manifest())
    assert found.verdict.advice == ("evdiag gdb 'my b/cores/core'",)


def test_the_hash_is_that_of_the_core_that_was_looked_at() -> None:
    assert retold(report(size=99), ROOT, "x", manifest(ENTRY)).core.sha256 is None
    assert retold(report(), ROOT, "x", manifest()).core.sha256 is None


def test_what_is_no_file_of_the_bundle_keeps_its_path() -> None:
    assert retold(report("/else/core"), ROOT, "x", manifest(ENTRY)).core.path == "/else/core"
    assert retold(report(None), ROOT, "x", manifest(ENTRY)).core.path is None
    assert without_root(report(f"{ROOT}2/core"), ROOT).core.path == f"{ROOT}2/core"


def test_twice_is_the_same_as_once() -> None:
    once = retold(report(), ROOT, "x", manifest(ENTRY))
    assert without_root(once, ROOT) == once
    assert shortened(f"{ROOT}/{CORE} is damaged", f"{ROOT}/") == f"{CORE} is damaged"


def test_a_core_that_is_only_a_part_is_told_of_in_its_own_report() -> None:
    cut = msgspec.structs.replace(ENTRY, truncated="the limit was 100 bytes", original_bytes=5000)
    other = msgspec.structs.replace(cut, path="cores/core.b")
    assert messages(retold(report(), ROOT, "x", manifest(cut, other))) == [
        "the bundle has 100 of 5000 bytes of the core: the limit was 100 bytes"
    ]
    unknown = msgspec.structs.replace(cut, original_bytes=None)
    assert "has 100 bytes of" in messages(retold(report(), ROOT, "x", manifest(unknown)))[0]


def test_what_the_bundle_lacks_is_told() -> None:
    skipped = (
        Skipped(origin="/tmp/everest-logs/core.1", reason="no room"),
        Skipped(origin="/tmp/everest-logs/core", reason="no room"),
        Skipped(origin="/etc/key.pem", reason="a key"),
    )
    lacking = manifest(skipped=skipped, problems=("libx.so could not be had",), complete=False)
    first, *others = messages(retold(report(), ROOT, "x", lacking, ["logs/a is missing"]))
    assert "evdiag collect` was interrupted" in first
    assert others == [
        "logs/a is missing",
        "/tmp/everest-logs/core.1 is not in the bundle: no room",
        "/tmp/everest-logs/core is not in the bundle: no room",
        "libx.so could not be had",
    ]


def test_not_all_of_many_problems_are_told() -> None:
    many = manifest(problems=tuple(f"p{i}" for i in range(MAX_PROBLEMS + 3)))
    found = messages(retold(report(), ROOT, "x", many))
    assert found[-1] == "3 more in the manifest of the bundle"
    assert len(found) == MAX_PROBLEMS + 1


@pytest.mark.parametrize(
    ("name", "plain", "when"),
    [
        ("evdiag-everest-20261123-040506", "evdiag-everest-20261123-040506", "20261123-040506"),
        ("evdiag-x-20261123-040506.tar.zst", "evdiag-x-20261123-040506", "20261123-040506"),
        ("evdiag-x-20261123-040506.partial", "evdiag-x-20261123-040506", "20261123-040506"),
        ("mine.tar.zst", "mine", None),
    ],
)
def test_names_of_bundles(name: str, plain: str, when: str | None) -> None:
    assert called(name) == plain
    assert stamp(name) == when
