"""What the formats for CI share: what is a crash, what it is called, and where its source is."""

import pytest

from evdiag.model.report import (
    DeadlockMember,
    Frame,
    Process,
    Report,
    Signature,
    Thread,
    Verdict,
    is_crash,
)
from evdiag.report.findings import (
    Sources,
    frame_of_interest,
    identity_of,
    program_of,
    summary_of,
    uri_of,
)
from tests.support import samples
from tests.support.sample_threads import app, crashed


def of_class(cls: str, **more: object) -> Report:
    return Report(verdict=Verdict(cls=cls), **more)  # type: ignore[arg-type]


def test_what_is_a_crash() -> None:
    assert all(map(is_crash, ("null-read", "sent-signal", "unknown")))
    assert not any(map(is_crash, ("snapshot", "no-crash")))


@pytest.mark.parametrize(
    ("classes", "text"),
    [
        ([], "no crash"),
        (["abort"], "1 crash"),
        (["abort"] * 1200, "1,200 crashes"),
        (["abort", "snapshot"], "1 crash, 1 report without a crash"),
        (["no-crash", "snapshot"], "2 reports without a crash"),
    ],
)
def test_how_many_crashes_there_are(classes: list[str], text: str) -> None:
    assert summary_of([of_class(cls) for cls in classes]) == text


def test_programs() -> None:
    assert program_of(samples.null_write()) == "EvseManager"
    assert program_of(Report(process=Process(executable="/usr/bin/station"))) == "station"
    assert program_of(Report()) == "process"


@pytest.mark.parametrize(
    ("signature", "name"),
    [
        (None, "abort"),
        (Signature(), "abort"),
        (Signature(address="ab+0x1"), "abort at ab+0x1"),
        (Signature(text="sig:v1: P | abort | f | g", hash="12ab"), "abort | f | g (12ab)"),
        (Signature(text="sig:v1: P | abort | f"), "abort | f"),
        (Signature(text="strange"), "strange"),
    ],
)
def test_a_crash_is_called_the_same_in_every_run(signature: Signature | None, name: str) -> None:
    assert identity_of(of_class("abort", signature=signature)) == name


def test_the_frame_to_look_at_is_that_of_the_verdict() -> None:
    report = samples.abort()
    found = frame_of_interest(report)
    assert found is not None
    assert found[0] is report.crashed
    assert found[1].level == 8
    assert frame_of_interest(Report()) is None
    assert frame_of_interest(Report(threads=(Thread(number=1, crashed=True),))) is None


def test_of_a_deadlock_it_is_one_that_waits() -> None:
    waits, idle = app(1, "lock_it()", "/src/m.cpp", 7), app(0, "main", "/src/main.cpp", 1)
    threads = (
        Thread(number=1, lwp=1, crashed=True, frames=(idle,)),
        Thread(number=2, lwp=2, frames=(Frame(level=0), waits)),
    )
    circle = (
        DeadlockMember(lwp=9, frame=0),  # no thread of the report
        DeadlockMember(lwp=1, frame=5),  # no frame of the thread
        DeadlockMember(lwp=2, frame=1),
    )
    found = frame_of_interest(Report(threads=threads, deadlock=circle))
    assert found == (threads[1], waits)
    found = frame_of_interest(Report(threads=threads, deadlock=circle[:2]))
    assert found == (threads[0], idle)


# ---------------------------------------------------------------- where the source is


def root_of(*files: str | None, in_app: bool = True) -> str | None:
    return Sources.of([crashed(*(app(0, "f", file, 1, in_app=in_app) for file in files))]).root


@pytest.mark.parametrize(
    ("files", "root"),
    [
        (["/usr/src/everest/core/modules/EVSE/EvseManager/Charger.cpp"], "/usr/src/everest/core"),
        (["/home/me/core/lib/everest/framework/lib/message.cpp"], "/home/me/core"),
        (["/home/me/core/src/main.cpp"], "/home/me/core"),
        (["/home/me/core/src/main.cpp", "/home/me/other/modules/a.cpp"], "/home/me/core"),
        (["/workspace/a/x.cpp", "/workspace/b/y.cpp"], "/workspace"),
        (["/usr/src/app/main.cpp"], "/usr/src/app"),
        (["/a.cpp"], None),
        (["/usr/x.cpp"], None),
        (["src/main.cpp"], None),
        ([None], None),
    ],
)  # fmt: skip
def test_the_root_of_the_sources(files: list[str | None], root: str | None) -> None:
    assert root_of(*files) == root


def test_libraries_of_the_system_do_not_move_the_root() -> None:
    assert root_of("/usr/include/c++/12/thread.h", in_app=False) == "/usr/include/c++/12"
    report = crashed(
        app(0, "f", "/usr/include/x.h", 1, in_app=False), app(1, "g", "/w/modules/a.cpp", 1)
    )
    assert Sources.of([report, Report()]).root == "/w"
    assert Sources.of([]).root is None


@pytest.mark.parametrize(
    ("file", "location"),
    [
        ("/w/core/src/a b.cpp", {"uri": "src/a%20b.cpp", "uriBaseId": "SRCROOT"}),
        ("/w/core/src/../lib/a.cpp", {"uri": "lib/a.cpp", "uriBaseId": "SRCROOT"}),
        ("/w/core2/a.cpp", {"uri": "file:///w/core2/a.cpp"}),
        ("//w/a.cpp", {"uri": "file:///w/a.cpp"}),
        ("../../src/a.cpp", {"uri": "src/a.cpp", "uriBaseId": "SRCROOT"}),
        ("https://evil/a?b#c", {"uri": "https%3A/evil/a%3Fb%23c", "uriBaseId": "SRCROOT"}),
        ("javascript:alert(1)", {"uri": "javascript%3Aalert(1)", "uriBaseId": "SRCROOT"}),
    ],
)
def test_a_file_is_a_relative_reference_or_a_uri_of(file: str, location: dict[str, object]) -> None:
    assert Sources("/w/core").location(file) == location


def test_without_a_root_absolute_files_stay_absolute() -> None:
    assert Sources().location("/w/a.cpp") == {"uri": "file:///w/a.cpp"}
    assert uri_of("/c//core.12") == "file:///c/core.12"
    assert uri_of("a b:c/core.12") == "a%20b%3Ac/core.12"
    assert len(uri_of("/" + "x" * 5000)) < 1100
