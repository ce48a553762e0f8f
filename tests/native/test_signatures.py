"""Signatures of real crashes: the same whatever the build, the symbols of libc and the run."""

import signal
import subprocess
from pathlib import Path

import pytest

from evdiag.adapters import images
from evdiag.model.report import Report
from tests.conftest import need
from tests.native.conftest import Crash, analyse
from tests.support.crashers import (
    OPTS,
    VARIANT_MODES,
    Mode,
    Opt,
    Program,
    Unavailable,
    build_variant,
    crash_once,
    mode_named,
    modes_here,
    variant_core,
    variants,
)

COMPILERS = ("gcc-O0", "gcc-O2", "gcc-dwarf4", "gcc-static", "clang-O0", "clang-O2")


def text(report: Report) -> str:
    assert report.signature is not None
    assert report.signature.text is not None
    return report.signature.text


@pytest.mark.native
@pytest.mark.parametrize("mode", modes_here(), ids=lambda mode: mode.name)
def test_optimisation_and_run_do_not_matter(mode: Mode, crash: Crash) -> None:
    plain, optimised = (analyse(crash(mode, opt).core) for opt in OPTS)
    if plain.verdict.cls == optimised.verdict.cls:
        assert text(plain) == text(optimised)
    # what a use after free does first is a matter of how its code is laid out
    assert text(plain).split(" | ")[2:] == text(optimised).split(" | ")[2:]
    if mode.top_frame is not None:
        assert len(text(plain).split(" | ")) > 2


@pytest.mark.native
@pytest.mark.parametrize("opt", OPTS)
@pytest.mark.parametrize(
    "name",
    [
        "null-member-write", "call-null", "recursion-mutual", "stack-smash", "abort", "assert",
        "fortify-memcpy", "double-free", "throw-thread", "map-at", "vector-at", "joinable-thread",
        "pure-virtual", "kill-self", "crash-in-handler", "handler-abort", "deadlock",
    ],
)  # fmt: skip
def test_symbols_of_libc_do_not_matter(
    name: str, opt: Opt, crash: Crash, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    core = crash(mode_named(name), opt).core
    known = analyse(core)
    monkeypatch.setattr(images, "HOST_DEBUG", tmp_path)
    hidden = analyse(core)

    assert text(known) == text(hidden)
    assert known.signature is not None
    assert hidden.signature is not None
    assert known.signature.address == hidden.signature.address


@pytest.mark.native
@pytest.mark.parametrize("name", ["null-write", "recursion"])
def test_compilers_do_not_matter(name: str, request: pytest.FixtureRequest) -> None:
    mode = next(mode for mode in VARIANT_MODES if mode.name == name)
    found = {}
    for variant in variants():
        if variant.name in COMPILERS:
            made, crashed = build_variant(variant), variant_core(variant, mode)
            if isinstance(made, Unavailable) or isinstance(crashed, Unavailable):
                need(request, "native", f"{variant.name} cannot be built here")
            found[variant.name] = text(analyse(crashed.core, executable=made.executable))
    assert len(found) == len(COMPILERS)
    assert len(set(found.values())) == 1, found


SOURCE = """
namespace session {
[[gnu::noinline]] void log(int *out) { *out = 1; }
[[gnu::noinline]] void abort(int *out) { log(out); asm(""); }
[[gnu::noinline]] void free_memory(int *out) { abort(out); asm(""); }
}
[[gnu::noinline]] void raise(int *out) { session::free_memory(out); asm(""); }
int main() { raise(nullptr); return 0; }
"""


@pytest.mark.native
@pytest.mark.parametrize("opt", ["-O0", "-O2"])
def test_names_of_users_survive(opt: str, tmp_path: Path, crash: Crash) -> None:
    crash(mode_named("abort"), "O0")  # ends the test where no core can be made
    source, program = tmp_path / "names.cpp", tmp_path / "names"
    source.write_text(SOURCE)
    subprocess.run(["g++", "-g", opt, str(source), "-o", str(program)], check=True)
    mode = Mode("names", "null-write", "main", "log", signal.SIGSEGV, "")

    crashed = crash_once(
        Program(executable=program, command=(str(program),), argv=(str(program),)),
        mode,
        tmp_path / "names-core",
    )

    report = analyse(crashed.core)
    expected = "sig:v1: names | null-write | session::log | session::abort | session::free_memory"
    assert text(report) == expected
    assert report.title.startswith("names: null-write in session::log at names.cpp:3")
