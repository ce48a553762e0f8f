"""`evdiag collect` where answers of the engine break off: had twice, kept, or gone on with."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from evdiag.adapters.bundle.writer import BundleWriter
from evdiag.adapters.docker.engine import ContainerEngine, connect
from evdiag.analyze import collect_plan as plan
from evdiag.collection import Request, collect, collect_volume
from evdiag.collection._job import Job
from evdiag.collection._redaction import Redactor
from evdiag.collection._sources import ContainerSource
from evdiag.errors import EngineUnreachable, NoSuchContainer, NothingCollected
from evdiag.model.bundle import Subject
from evdiag.parse.collect_inside import Found
from tests.support.wire import Connection, WireServer, chunked, refusal, reply
from tests.wire.conftest import ID

CORES = "everest-logs"


class Told:
    """Takes what is told of the progress."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def begin(self, text: str) -> None:
        pass

    def at(self, detail: str) -> None:
        pass

    def done(self, text: str = "") -> None:
        self.lines.append(text)

    def warn(self, text: str) -> None:
        self.lines.append(f"! {text}")


def packed(**files: bytes) -> bytes:
    """A folder as the engine sends it."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name.replace("__", "/").replace("_dot_", "."))
            entry.size, entry.mtime = len(content), 1_795_000_000
            tar.addfile(entry, io.BytesIO(content))
    return target.getvalue()


def core(size: int) -> bytes:
    """The begin of a core, and nothing else."""
    return b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x04\0\x3e\0\x01\0\0\0" + bytes(size - 24)


def archive(data: bytes, *, ends: bool = True) -> bytes:
    return chunked(data, ends=ends)


def run(engine: ContainerEngine, target: Path, **wanted: Any) -> tuple[dict[str, Any], Told]:  # noqa: ANN401
    told = Told()
    request = Request(output=target, symbols=False, **wanted)
    made = collect(engine, engine.container("garage"), request, told)
    return json.loads((made.path / "manifest.json").read_text()), told


def by_path(manifest: dict[str, Any]) -> dict[str, Any]:
    return {entry["path"]: entry for entry in manifest["files"]}


def test_a_stream_that_is_cut_comes_again(
    engine: ContainerEngine, there: WireServer, tmp_path: Path
) -> None:
    whole = packed(**{f"{CORES}__core_dot_1": core(4096), f"{CORES}__x_dot_log": b"one\ntwo\n"})
    there.on("everest-logs", archive(whole[:3000]), archive(whole))

    manifest, _ = run(engine, tmp_path / "b")

    files = by_path(manifest)
    assert files["cores/core.1"]["bytes"] == 4096
    assert "truncated" not in files["cores/core.1"]
    assert files["logs/x.log"]["bytes"] == 8
    assert manifest.get("problems", []) == []


def test_what_is_cut_twice_is_kept_as_far_as_it_came(
    engine: ContainerEngine, there: WireServer, tmp_path: Path
) -> None:
    whole = packed(**{f"{CORES}__core_dot_1": core(40_960), f"{CORES}__x_dot_log": b"one\n"})
    there.on("everest-logs", archive(whole[: 512 + 30_000]))

    manifest, told = run(engine, tmp_path / "b")

    part = by_path(manifest)["cores/core.1"]
    assert part["bytes"] == 30_000
    assert "the stream ended" in part["truncated"]
    assert any("the stream ended" in problem for problem in manifest["problems"])
    assert any("incomplete" in line for line in told.lines)
    assert "logs/output.log" in by_path(manifest)


def test_a_text_that_is_cut_at_its_begin_is_kept_as_far_as_it_came(
    engine: ContainerEngine, there: WireServer, tmp_path: Path
) -> None:
    whole = packed(**{f"{CORES}__x_dot_log": b"one\n" * 2000})
    there.on("everest-logs", archive(whole[: 512 + 10]))

    manifest, _ = run(engine, tmp_path / "b")

    part = by_path(manifest)["logs/x.log"]
    assert (tmp_path / "b/logs/x.log").read_bytes() == b"one\none\n"  # a half line may be a secret
    assert "the stream ended" in part["truncated"]


@pytest.mark.parametrize("keep", [True, False])
def test_a_file_that_shrinks_all_the_time_costs_itself_at_most(
    engine: ContainerEngine, there: WireServer, tmp_path: Path, keep: bool
) -> None:
    there.on("x.log", archive(packed(x_dot_log=b"one\n" * 2000)[: 512 + 10]))
    source = ContainerSource(engine, ID)
    place = plan.place(plan.CORE_ROOT, "x.log")
    assert isinstance(place, plan.Place)
    found = Found(path=f"{plan.CORE_ROOT.path}/x.log", size=8000)
    with BundleWriter.begin(tmp_path / "b", Subject(name="garage", id=ID)) as writer:
        job = Job(writer, source, Redactor(enabled=False), Told())

        job.part("x.log", lambda: job.text(place, found, source.content(found.path), keep=keep))

        kept = [(entry.path, entry.bytes, "ended" in (entry.truncated or ""))
                for entry in writer.entries]  # fmt: skip
        assert kept == ([("logs/x.log", 10, True)] if keep else [])
        manifest = json.loads((writer.finish() / "manifest.json").read_text())
    problems = [problem.partition(":")[0] for problem in manifest.get("problems", ())]
    assert problems == ([] if keep else ["x.log"])


def test_an_engine_that_goes_leaves_what_the_next_attempt_goes_on_with(
    engine: ContainerEngine, there: WireServer, tmp_path: Path
) -> None:
    # what comes is read a megabyte at a time, and what is cut off of one does not come
    whole = packed(**{f"{CORES}__core_dot_{i}": core(i << 20) for i in (1, 3)})
    sizes = {"cores/core.1": 1 << 20, "cores/core.3": 3 << 20}
    there.on("everest-logs", archive(whole[: 3 << 20], ends=False))
    there.on("log%2Fsupervisor", Connection.reset)

    told = Told()
    with pytest.raises(EngineUnreachable):
        collect(engine, engine.container("garage"),
                Request(output=tmp_path / "b", symbols=False), told)  # fmt: skip
    partial = tmp_path / "b.partial"
    assert not (tmp_path / "b").exists()
    assert not json.loads((partial / "manifest.json").read_text())["complete"]
    assert f"is in {partial}: the same command" in told.lines[-1]

    there.on("everest-logs", archive(whole))
    there.on("log%2Fsupervisor", refusal("Could not find the file", 404))
    manifest, told = run(engine, tmp_path / "b")
    assert "core.1: here already" in told.lines
    assert {path: entry["bytes"] for path, entry in by_path(manifest).items()
            if entry["kind"] == "core"} == sizes  # fmt: skip
    assert not partial.exists()


def test_sources_that_fail_are_named_and_nothing_else_suffers(
    engine: ContainerEngine, there: WireServer, tmp_path: Path
) -> None:
    there.on("/logs", refusal("configured logging driver does not support reading", 501))
    there.on("/events", refusal("events are broken"))
    there.on("/images/.*/json", refusal("No such image: sha256:1", 404))
    there.on("%2Frun%2Feverest", refusal("the disk is broken"))
    there.on("log%2Fsupervisor", archive(packed(supervisor__everest_dot_log=b"up\n")))

    manifest, _ = run(engine, tmp_path / "b")

    assert by_path(manifest)["logs/everest.log"]["bytes"] == 3
    problems = "\n".join(manifest["problems"])
    for words in ("log driver of the container keeps nothing", "events are broken",
                  "there is no image", "/run/everest: could not copy"):  # fmt: skip
        assert words in problems


def test_a_container_that_is_removed_before_anything_came(
    engine: ContainerEngine, there: WireServer, tmp_path: Path
) -> None:
    facts = engine.container("garage")
    there.on("/containers/.*", refusal("No such container: garage", 404))

    with pytest.raises(NoSuchContainer):
        collect(engine, facts, Request(output=tmp_path / "b"), Told())

    assert list(tmp_path.glob("b*")) == []


def test_nothing_but_facts_is_nothing(
    engine: ContainerEngine, there: WireServer, tmp_path: Path
) -> None:
    there.on("/logs", chunked())

    with pytest.raises(NothingCollected):
        run(engine, tmp_path / "b")

    assert list(tmp_path.glob("b*")) == []


def test_the_container_for_a_volume_goes_whatever_happens(
    engine: ContainerEngine, there: WireServer, tmp_path: Path
) -> None:
    there.on("/volumes/cores", reply({"Name": "cores"}))
    there.on(
        "GET .*/images/json", reply([{"Id": "sha256:2", "Size": 2}, {"Id": "sha256:1", "Size": 1}])
    )
    there.on("POST .*/containers/create", reply({"Id": ID}, 201))
    there.on("DELETE .*/containers/evdiag-volume-", reply(b"", 204))
    there.on("everest-logs", Connection.reset)

    with pytest.raises(EngineUnreachable):
        collect_volume(engine, "cores", Request(output=tmp_path / "b"), Told())

    assert any(request.startswith("DELETE") for request in there.requests)


def test_a_source_that_hangs_is_given_up_and_named(
    there: WireServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there.on("/images/.*/json", Connection.wait)
    monkeypatch.setenv("EVDIAG_ENGINE_TIMEOUT", "0.3")
    engine = connect()

    manifest, _ = run(engine, tmp_path / "b")

    engine.close()
    (problem,) = manifest["problems"]
    assert problem.startswith("the image: could not look at the image")
    assert "did not answer in time" in problem
    assert "logs/output.log" in by_path(manifest)


def test_what_a_log_has_too_much_goes_at_its_begin(
    engine: ContainerEngine, there: WireServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = b"".join(b"line %04d\n" % number for number in range(1000))
    monkeypatch.setattr("evdiag.analyze.collect_plan.MAX_LOG", 105)
    there.on("log%2Fsupervisor", archive(packed(supervisor__everest_dot_log=lines)))

    manifest, _ = run(engine, tmp_path / "b")

    entry = by_path(manifest)["logs/everest.log"]
    assert (tmp_path / "b/logs/everest.log").read_bytes() == lines[-100:]
    assert entry["truncated"] == "only its last 105 bytes"
    assert entry["original_bytes"] == 10_000


def test_a_bundle_that_another_process_is_at_is_left_alone(
    engine: ContainerEngine, there: WireServer, tmp_path: Path
) -> None:
    request = Request(output=tmp_path, symbols=False)
    about = Subject(name="garage", id=ID)
    with BundleWriter.begin(tmp_path / "first", about) as other:
        other.add("logs/a.log", "log", "/a.log", iter([b"a"]))
        made = collect(engine, engine.container("garage"), request, Told())

    assert made.path.name.startswith("evdiag-garage-")
    assert (tmp_path / "first.partial").is_dir()


def test_what_an_earlier_bundle_has_is_left_out(
    engine: ContainerEngine, there: WireServer, tmp_path: Path
) -> None:
    files = {f"{CORES}__core_dot_{i}": core(4096) for i in (1, 2)}
    files |= {f"{name}_dot_json": b"{}" for name in files}
    there.on("everest-logs", archive(packed(**files)))

    manifest, _ = run(engine, tmp_path / "b", without=frozenset({"/tmp/everest-logs/core.1"}))

    assert {path for path in by_path(manifest) if path.startswith("cores/")} == {
        "cores/core.2", "cores/core.2.json",
    }  # fmt: skip
    left = {each["origin"]: each["reason"] for each in manifest["skipped"]}
    assert left == {
        "/tmp/everest-logs/core.1": "an earlier bundle has it",
        "/tmp/everest-logs/core.1.json": "an earlier bundle has it",
    }
