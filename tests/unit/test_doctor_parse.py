"""What the programs in a container and this machine's files say, as nouns."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evdiag.analyze.checks import diagnose
from evdiag.model.doctor import CrashResult, Debugger, Facts, FolderFacts, InsideFacts, ProcessFacts
from evdiag.model.incident import CorePattern
from evdiag.parse.doctor import (
    LARGEST,
    LONGEST_TEXT,
    MOST_ITEMS,
    handler_path,
    read_crashes,
    read_gdb_version,
    read_host,
    read_inside,
)
from evdiag.report.checks import render, render_json

INSIDE = {
    "core_pattern": "core",
    "core_uses_pid": 0,
    "ptrace_scope": None,
    "manager": {"pid": 20, "name": "manager", "core_soft": -1, "dumpable": True},
    "modules": [{"pid": 21, "name": "a:A"}, {"pid": "x"}, 7],
    "folder": {"path": "/tmp/everest-logs", "exists": True, "mode": 0o1777, "later": 1},
    "settings": {"EVDIAG_CAPTURE": "on"},
    "privileged": ["/x"],
    "gdb": {"path": "/usr/bin/gdb", "version": "13.1", "python": True},
}


def answer(document: object) -> bytes:
    return json.dumps(document).encode()


def test_the_probe() -> None:
    assert read_inside(answer(INSIDE)) == InsideFacts(
        core_pattern="core",
        core_uses_pid=0,
        manager=ProcessFacts(pid=20, name="manager", core_soft=-1, dumpable=True),
        modules=(ProcessFacts(pid=21, name="a:A"), ProcessFacts(), ProcessFacts()),
        folder=FolderFacts(path="/tmp/everest-logs", exists=True, mode=0o1777),
        settings={"EVDIAG_CAPTURE": "on"},
        privileged=("/x",),
        gdb=Debugger(path="/usr/bin/gdb", version="13.1", python=True),
    )


def test_fields_of_another_type_count_as_not_known() -> None:
    wrong = {name: {"a": [1]} for name in INSIDE} | {"privileged": "/x", "oom_kills": 2**63}

    read = read_inside(answer(wrong))

    assert read.core_pattern == ""
    assert (read.modules, read.privileged, read.settings, read.oom_kills) == ((), (), {}, None)
    assert read.gdb is None


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"7", b"{", b"\xff", b"[" * 100_000, b" " * (LARGEST + 1), b"no python3"]
)
def test_no_answer(text: bytes) -> None:
    assert read_inside(text) == InsideFacts(error="the probe gave no answer")
    assert read_crashes(text) == (CrashResult(error="the crash test gave no answer"),)


def test_much_is_cut() -> None:
    read = read_inside(
        answer({"modules": [{}] * (MOST_ITEMS + 9), "core_pattern": "c" * (LONGEST_TEXT + 9)})
    )

    assert len(read.modules) == MOST_ITEMS
    assert len(read.core_pattern) == LONGEST_TEXT


def test_crashes() -> None:
    found = {"crashes": [{"signal": 11, "path": "/x/core", "missing": 0, "died_of": 11}, {}]}

    whole, nothing = read_crashes(answer(found))

    assert whole == CrashResult(signal=11, path="/x/core", missing=0, died_of=11)
    assert whole.is_whole
    assert not nothing.is_whole


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(sorted(INSIDE)), inner),
)


@settings(max_examples=40)  # each a whole report
@given(JSON, st.binary())
def test_any_answer_gives_a_report(document: object, other: bytes) -> None:
    inside = read_inside(answer(document) if isinstance(document, dict) else other)
    crashes = read_crashes(answer({"crashes": document}))

    found = diagnose(Facts(inside=inside, crashes=crashes))

    assert all(one.fix for one in found.checks if one.failed)
    assert render(found, 40).isprintable() or "\n" in render(found, 40)
    assert json.loads(render_json(found, "2026-01-01T00:00:00Z", 0))["schema"] == "evdiag.doctor/1"


@given(
    st.dictionaries(st.sampled_from(["core_pattern", "core_uses_pid", "ptrace_scope"]), st.text())
)
def test_any_files_of_a_machine(files: dict[str, str]) -> None:
    found = diagnose(Facts(host=read_host("Linux", "6.1", files)))

    assert not any(one.failed for one in found.checks)


def test_this_machine() -> None:
    gdb = Debugger(path="/usr/bin/gdb")
    files = {"core_pattern": "core\n", "core_uses_pid": "1\n", "ptrace_scope": "1\n"}

    found = read_host("Linux", "6.1.0", files, None, gdb)

    assert found.pattern == CorePattern(text="core", kind="relative", names_pid=True)
    assert (found.ptrace_scope, found.gdb, found.kernel) == (1, gdb, "6.1.0")


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("|/usr/share/apport/apport -p%p", "/usr/share/apport/apport"),
        ("core", None),
        ("|", None),
        ("|relative", None),
        ("|/a\0b", None),
    ],
)
def test_the_program_of_a_pipe(pattern: str, path: str | None) -> None:
    assert handler_path(pattern) == path


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("GNU gdb (Debian 13.1-3) 13.1\nCopyright", "13.1"),
        ("GNU gdb (Ubuntu 12.1-0ubuntu1~22.04) 12.1", "12.1"),
        ("GNU gdb (Fedora Linux) 14.2-1.fc39", "14.2"),
        ("GNU gdb (GDB) 18.0.50.20260101-git", "18.0.50.20260101"),
        ("", ""),
        ("no gdb at all", ""),
    ],
)
def test_the_version_of_gdb(text: str, version: str) -> None:
    assert read_gdb_version(text) == version
