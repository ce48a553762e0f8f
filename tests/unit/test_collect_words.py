"""What is said of a bundle."""

from evdiag.model.bundle import FileEntry, Manifest, Redaction, Skipped, Subject
from evdiag.report.collected import core_words, count, readme, summary, transfer


def entry(path: str, kind: str, size: int = 1000, **more: object) -> FileEntry:
    return FileEntry(path=path, kind=kind, origin=f"/{path}", bytes=size, sha256="0", **more)  # type: ignore[arg-type]


def manifest(*files: FileEntry, **more: object) -> Manifest:
    about = Subject(name="everest")
    return Manifest(schema="evdiag.bundle/1", evdiag="1.0", begun=1.0, complete=True,
                    subject=about, files=files, **more)  # type: ignore[arg-type]  # fmt: skip


def test_how_a_file_comes() -> None:
    assert transfer(45_000_000, 90_000_000, 0.5) == "50 % of 90.0 MB, 90.0 MB/s"
    assert transfer(45, None, 0.0) == "45 bytes"
    assert transfer(200, 100, 0.0) == "100 % of 100 bytes", "it grew"


def test_numbers_of_things() -> None:
    assert [count(0, "core"), count(1, "core"), count(1200, "core")] == [
        "0 cores", "1 core", "1,200 cores",
    ]  # fmt: skip
    assert count(2, "entry", "entries") == "2 entries"


def test_a_core_in_words() -> None:
    core = entry("cores/core.a:A.1.2", "core", 90_000_000)
    assert core_words(core, 4_400_000) == "core.a:A.1.2: 90.0 MB, 4.4 MB on disk"
    assert core_words(core, 90_000_000) == "core.a:A.1.2: 90.0 MB"
    cut = entry("cores/x", "core", 10, truncated="the stream ended")
    assert core_words(cut, None) == "x: 10 bytes; incomplete: the stream ended"


def test_a_whole_bundle() -> None:
    told = summary(
        manifest(
            entry("cores/core.1", "core", 2_000_000),
            entry("cores/core.2", "core", 0),
            entry("logs/everest.log", "log", redacted=3),
            entry("everest/ocpp/1.log", "everest", redacted=1),
            entry("symbols/.build-id/ab/cd", "symbols", 5_000_000),
        ),
        disk=500_000,
        seconds=2.25,
    )
    assert told == [
        "2 cores (2.0 MB, 500 kB on disk), 2 logs (2.0 kB), 1 file with symbols (5.0 MB); 2.2 s",
        "4 secrets replaced in 2 files.",
        "Careful: the cores hold the memory of the processes, with all passwords and keys.",
    ]


def test_what_is_missing_is_named() -> None:
    skipped = (
        Skipped(origin="/tmp/everest-logs/core.big", reason="it is larger than 1 MB", bytes=10**7),
        Skipped(origin="/srv/app.core", reason="it is none"),
        Skipped(origin="/x.db", reason="a database"),
        Skipped(origin="/y.db", reason="a database"),
    )
    told = summary(
        manifest(
            entry("logs/a.log", "log", truncated="only its last 10 bytes"),
            skipped=skipped,
            problems=tuple(f"problem {number}" for number in range(7)),
        ),
        disk=0,
        seconds=1,
    )
    assert told == [
        "no core, 1 log (1.0 kB); 1.0 s",
        "No secrets were found in logs and configuration.",
        "logs/a.log is incomplete: only its last 10 bytes",
        "problem 0", "problem 1", "problem 2", "problem 3", "problem 4",
        "… and 2 more: see manifest.json",
        "left out: /tmp/everest-logs/core.big (10.0 MB), it is larger than 1 MB",
        "left out: /srv/app.core (0 bytes), it is none",
        "left out: 2 files (keys, databases and the like)",
    ]  # fmt: skip


def test_nothing_redacted_is_said_and_written() -> None:
    open_one = manifest(redaction=Redaction(enabled=False))
    assert "Nothing was redacted (--no-redact): do not pass it on." in summary(
        open_one, disk=0, seconds=0
    )
    assert summary(open_one, disk=0, seconds=0)[0] == "no core, no log; 0.0 s"
    text = readme(open_one, has_cores=False)
    assert "hold passwords as they were" in text
    assert "CAREFUL" not in text


def test_the_file_for_people() -> None:
    text = readme(manifest(), has_cores=True)
    assert text.startswith("Crash evidence of the container everest\n")
    assert "evdiag backtrace" in text
    assert "CAREFUL" in text
    assert "<redacted-1a2b3c4d>" in text
    assert max(map(len, text.splitlines())) <= 90
