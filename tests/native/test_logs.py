"""Logs and cores of real processes together: what the manager writes, what sanitizers leave."""

import shutil
import subprocess
import time
from pathlib import Path

import pytest

from evdiag.analyze.logverdict import from_log
from evdiag.model.logs import ExitStatus, LogEvent
from evdiag.parse.logs import read_events
from tests.conftest import need
from tests.native.conftest import analyse
from tests.support.core_files import await_end, check_cores_possible, start, take_core
from tests.support.crashers import CannotBuild, CannotMakeCores, mode_named, run_tree
from tests.support.processes import Growth

USE_AFTER_FREE = """
struct Session { int meter = 7; };
__attribute__((noinline)) int read_meter(Session* session) { return session->meter; }
int main() {
    auto* session = new Session;
    delete session;
    return read_meter(session);
}
"""
OPTIONS = "abort_on_error=1:disable_coredump=0:unmap_shadow_on_exit=1"
"""By default AddressSanitizer ends with _exit(1), and forbids a core on 64-bit machines."""

MOST_MEMORY = 256
"""Megabytes that reading such a core may take: its mappings span 20 TB."""


def build(request: pytest.FixtureRequest, folder: Path) -> Path:
    """A program that AddressSanitizer watches."""
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        need(request, "native", "there is no C++ compiler")
    source, program = folder / "session.cpp", folder / "session"
    source.write_text(USE_AFTER_FREE)
    command = [compiler, "-g", "-O1", "-fsanitize=address", "-o", str(program), str(source)]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode != 0:
        need(request, "native", f"no AddressSanitizer here: {made.stderr[-200:]}")
    return program


@pytest.mark.native
def test_a_core_that_address_sanitizer_left(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    try:
        check_cores_possible()
    except CannotMakeCores as reason:
        need(request, "native", str(reason))
    program = build(request, tmp_path)
    began = time.time()
    ending = await_end(start(str(program), ["session"], tmp_path, {"ASAN_OPTIONS": OPTIONS}))
    core = take_core(ending.pid, tmp_path, began, tmp_path / "found")

    with Growth() as grown:
        report = analyse(core)
    (event,) = read_events("stderr", [ending.stderr])

    assert report.verdict.cls == "sanitizer"
    assert report.verdict.rule == "sanitizer"
    assert report.verdict.summary.startswith("AddressSanitizer found a bad read of memory")
    frames = report.threads[0].frames
    (noticed,) = [frame for frame in frames if frame.level == report.verdict.frame]
    assert (noticed.function or "").startswith("read_meter")
    assert event.sanitizer is not None
    assert (event.sanitizer.error, event.sanitizer.access) == ("heap-use-after-free", "read")
    assert (event.sanitizer.function, event.pid) == ("read_meter(Session*)", ending.pid)
    assert grown.megabytes < MOST_MEMORY


@pytest.mark.native
def test_a_sanitizers_report_without_a_core(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    program = build(request, tmp_path)
    ending = await_end(start(str(program), ["session"], tmp_path, {}))
    cause = from_log(read_events("stderr", [ending.stderr]))
    assert ending.status == 1
    assert cause is not None
    assert (cause.cls, cause.detail) == ("sanitizer", "heap-use-after-free")
    assert f"read_meter(Session*) at {tmp_path}/session.cpp:3" in cause.summary


def tree_events(
    request: pytest.FixtureRequest, folder: Path, mode: str, style: str
) -> list[LogEvent]:
    try:
        tree = run_tree(mode_named(mode), folder, module_id="ocpp", log_style=style)  # type: ignore[arg-type]
    except (CannotBuild, CannotMakeCores) as reason:
        need(request, "native", str(reason))
    return list(read_events("everest.log", [tree.log]))


@pytest.mark.native
@pytest.mark.parametrize("style", ["head", "2026.02"])
def test_the_manager_names_the_one_that_crashed(
    style: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    events = tree_events(request, tmp_path, "null-write", style)

    exits = [event for event in events if event.kind == "module-exit"]
    assert {event.module_id for event in exits} == {"ocpp"}
    core = None if style == "head" else True
    assert exits[-1].status == ExitStatus(signal=11, core_dumped=core)
    stopped = {event.module_id for event in events if event.kind == "module-stopped"}
    assert "evse_manager" in stopped
    assert "ocpp" not in stopped
    assert [event.kind for event in events][:2] == ["manager-start", "module-exit"]
    assert events[-1].kind == "manager-exit"


@pytest.mark.native
def test_last_words_come_before_the_managers(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    events = tree_events(request, tmp_path, "throw-thread", "head")
    order = [event.kind for event in events if event.kind in ("terminate", "what", "module-exit")]
    assert order[:3] == ["terminate", "what", "module-exit"]
    told = next(event for event in events if event.kind == "terminate")
    assert told.detail is not None
    assert told.time is not None
