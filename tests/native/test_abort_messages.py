"""What glibc said before it ended the crashers: found in real cores, with libc and without it."""

import mmap
from pathlib import Path

import pytest

from evdiag.analyze.abort_message import abort_message
from evdiag.analyze.space import AddressSpace
from evdiag.parse.abort_message import BY_FORM, BY_POINTER
from evdiag.parse.elfcore import read_core
from evdiag.parse.memory import Memory
from evdiag.parse.modules import mapped_modules
from tests.native.conftest import Crash, analyse
from tests.support.crashers import OPTS, Opt, mode_named

OVERFLOW = "*** buffer overflow detected ***: terminated"
HEAP = {
    "bad-free": "free(): invalid pointer",
    "double-free": "free(): double free detected in tcache 2",
    "double-free-large": "double free or corruption (!prev)",
    "heap-overflow": "free(): invalid size",
}
TEXTS = {
    **HEAP,
    "fortify-memcpy": OVERFLOW,
    "fortify-strcpy": OVERFLOW,
    "stack-smash": "*** stack smashing detected ***: terminated",
}
CASES = [pytest.param(name, opt, id=f"{name}-{opt}") for name in TEXTS for opt in OPTS]
MODES_WITHOUT = ("abort", "throw-main", "handler-abort", "sent-abort")


def without_files(core: Path) -> str | None:
    """The message in a core, on a machine that has none of the files that were mapped."""
    with core.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        facts = read_core(data)
        memory = Memory(data, facts)
        modules = mapped_modules(facts.files, memory)
        found = abort_message(AddressSpace(facts, memory, facts.files, modules, lambda _: None))
    assert found is None or found.found_by == BY_FORM
    return found.text if found else None


@pytest.mark.native
@pytest.mark.parametrize(("name", "opt"), CASES)
def test_the_message_and_its_class(name: str, opt: Opt, crash: Crash) -> None:
    mode = mode_named(name)
    crashed = crash(mode, opt)
    report = analyse(crashed.core)
    verdict = report.verdict
    assert (report.abort_message, verdict.cls) == (TEXTS[name], mode.verdict_class)
    assert verdict.confidence == "high"
    assert verdict.evidence[0] == f"libc said: {TEXTS[name]} (found {BY_POINTER})"
    assert f"::{mode.top_frame}" in verdict.summary
    assert verdict.detail == (TEXTS[name] if name in HEAP else None)
    assert without_files(crashed.core) == TEXTS[name]


@pytest.mark.native
@pytest.mark.parametrize("opt", OPTS)
def test_an_assertion(opt: Opt, crash: Crash) -> None:
    crashed = crash(mode_named("assert"), opt)
    report = analyse(crashed.core)
    expression = 'reading.power_w <= limit_w && "power limit exceeded"'
    assert report.assertion is not None
    assert report.assertion.expression == expression
    assert (report.assertion.file or "").endswith("/crash_abort.cpp")
    assert "check_power_limit(const charging::MeterReading&, double)" in (
        report.assertion.function or ""
    )
    assert (report.verdict.cls, report.verdict.detail) == ("assert", expression)
    assert report.abort_message is not None
    assert report.abort_message.startswith("evse_manager:EvseManager: ")
    assert without_files(crashed.core) == report.abort_message
    # THEN what failed is the line of the frame to look at
    frame = next(f for f in report.threads[0].frames if f.level == report.verdict.frame)
    assert (frame.file, frame.line) == (report.assertion.file, report.assertion.line)


@pytest.mark.native
@pytest.mark.parametrize("name", ["fortify-memcpy", "fortify-strcpy"])
def test_the_function_that_was_stopped(name: str, crash: Crash) -> None:
    # compiled without optimisation, memcpy leaves no frame: libc jumps from it to the check
    report = analyse(crash(mode_named(name), "O2").core)
    assert report.verdict.summary.startswith(f"{name.removeprefix('fortify-')}() would have")


@pytest.mark.native
@pytest.mark.parametrize("name", MODES_WITHOUT)
def test_processes_in_which_libc_said_nothing(name: str, crash: Crash) -> None:
    core = crash(mode_named(name), "O0").core
    assert analyse(core).abort_message is None
    assert without_files(core) is None
