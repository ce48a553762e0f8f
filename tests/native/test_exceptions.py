"""Exceptions of real processes: what evdiag reads from the core is what libstdc++ has printed."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from evdiag.adapters.demangle import Demangler, load_demangler
from evdiag.adapters.files import open_core
from evdiag.adapters.images import Images, Search
from evdiag.analyze.last_words import last_words
from evdiag.analyze.rtti import short
from evdiag.analyze.space import AddressSpace
from evdiag.model.crash import LastWords
from evdiag.model.report import Thread
from evdiag.parse.elfcore import read_core
from evdiag.parse.image import Image
from evdiag.parse.memory import Memory
from evdiag.parse.modules import MappedModule, mapped_modules
from tests.conftest import need
from tests.native.conftest import Crash, analyse
from tests.support.crashers import (
    OPTS,
    CannotBuild,
    CannotMakeCores,
    CrashedProcess,
    Opt,
    mode_named,
)
from tests.support.throwing_program import BUILDS, throwing_core

Throwing = Callable[[str, str], CrashedProcess]

PRINTED = re.compile(
    r"terminate called after throwing an instance of '(.*)'\n(?:  what\(\):  (.*)\n)?"
)
UNCAUGHT = (
    *("json", "wrapped", "text", "short", "literal", "virtual", "enum", "characters", "pointer"),
    *("double", "system", "files", "streams", "cast", "optional", "variant", "nested", "rethrown"),
    *("by-pointer", "noexcept"),
)
WITHOUT_WHAT = {
    "enum": "7",
    "characters": "some characters",
    "pointer": "by its address",
    "double": "2.5",
}
"""Texts of what libstdc++ prints nothing of but the type."""


@pytest.fixture
def throwing(request: pytest.FixtureRequest) -> Throwing:
    """End the throwing program in a mode; ends the test where that cannot be done."""

    def run(build: str, mode: str) -> CrashedProcess:
        try:
            return throwing_core(build, mode)
        except (CannotBuild, CannotMakeCores) as reason:
            need(request, "native", str(reason))

    return run


def printed(crashed: CrashedProcess) -> tuple[str, str | None]:
    """The type and text that libstdc++ has printed."""
    match = PRINTED.search(crashed.stderr)
    assert match is not None, crashed.stderr
    return short(match[1]), match[2]


@pytest.mark.native
@pytest.mark.parametrize("mode", UNCAUGHT)
@pytest.mark.parametrize("build", BUILDS)
def test_type_and_text_are_those_that_were_printed(
    build: str, mode: str, throwing: Throwing
) -> None:
    crashed = throwing(build, mode)
    kind, text = printed(crashed)
    report = analyse(crashed.core)

    assert (report.verdict.cls, report.verdict.confidence) == ("uncaught-exception", "high")
    assert report.verdict.detail == kind
    assert report.exception is not None
    assert report.exception.type == kind
    if mode != "literal":
        assert report.exception.what == (text or WITHOUT_WHAT.get(mode))
    assert any("list of exceptions and by a search" in line for line in report.verdict.evidence)
    assert "kept from before" in [e.what for e in report.other_exceptions if e.role == "kept"]


THROWN_BY_MODULES = {
    "throw-main": ("types::EnergyLimitExceeded", "connector 2 exceeds its energy limit"),
    "throw-thread": ("types::EnergyLimitExceeded", "connector 2 exceeds its energy limit"),
    "throw-noexcept": ("types::EnergyLimitExceeded", "connector 1 exceeds its energy limit"),
    "throw-int": ("int", "17"),
    "throw-string": ("std::string", "message 4711 is not for this station"),
    "throw-after-caught": ("types::EnergyLimitExceeded", "connector 3 exceeds its energy limit"),
    "map-at": ("std::out_of_range", "map::at"),
}


@pytest.mark.native
@pytest.mark.parametrize("name", THROWN_BY_MODULES)
@pytest.mark.parametrize("opt", OPTS)
def test_an_exception_of_a_module(name: str, opt: Opt, crash: Crash) -> None:
    mode = mode_named(name)
    report = analyse(crash(mode, opt).core)
    thrown = report.exception
    assert thrown is not None
    assert (thrown.type, thrown.what) == THROWN_BY_MODULES[name]
    assert report.verdict.cls == "uncaught-exception"
    assert f"::{mode.top_frame}" in report.verdict.summary
    assert ("noexcept" in report.verdict.summary) == (name == "throw-noexcept")
    others = [(e.type, e.what, e.role) for e in report.other_exceptions]
    older = ("std::string", "an older exception, already dealt with", "kept")
    assert others == ([older] if name == "throw-after-caught" else [])


@pytest.mark.native
@pytest.mark.parametrize("opt", OPTS)
def test_std_terminate_without_an_exception(opt: Opt, crash: Crash) -> None:
    report = analyse(crash(mode_named("joinable-thread"), opt).core)
    assert (report.verdict.cls, report.verdict.detail) == ("terminate", "joinable thread")
    assert report.exception is None
    report = analyse(crash(mode_named("pure-virtual"), opt).core)
    assert report.verdict.cls == "pure-virtual"
    assert "ChargePoint::announce" in report.verdict.summary


@pytest.mark.native
@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize(
    ("mode", "cls", "alive"),
    [
        ("in-catch", "abort", "caught"),
        ("terminate-in-catch", "terminate", "caught"),
        ("terminate", "terminate", "kept"),
        ("rethrow-nothing", "terminate", "kept"),
        ("joinable", "terminate", "kept"),
    ],
)
def test_an_exception_that_is_alive_did_not_end_the_process(
    build: str, mode: str, cls: str, alive: str, throwing: Throwing
) -> None:
    report = analyse(throwing(build, mode).core)
    assert report.verdict.cls == cls
    assert report.exception is None
    assert report.other_exceptions[0].role == alive


@pytest.mark.native
@pytest.mark.parametrize("build", BUILDS)
def test_a_terminate_handler_of_the_program(build: str, throwing: Throwing) -> None:
    report = analyse(throwing(build, "own-handler").core)
    assert report.verdict.cls == "uncaught-exception"
    assert report.exception is not None
    assert report.exception.what == "own handler"


@pytest.mark.native
def test_nested_exceptions(throwing: Throwing) -> None:
    report = analyse(throwing("O2", "nested").core)
    assert report.exception is not None
    assert report.exception.bases[0] == "std::logic_error"
    nested = [(e.type, e.what) for e in report.other_exceptions if e.role == "nested"]
    assert ("int", "42") in nested
    assert "middle" in [what for _, what in nested]


def words_without(core: Path, missing: str) -> LastWords:
    """The last words where the files of some modules are not at hand: no stack, no symbols."""
    data = open_core(core)
    facts = read_core(data)
    memory = Memory(data, facts)
    modules = mapped_modules(facts.files, memory)
    images = Images(Search())

    def open_image(module: MappedModule) -> Image | None:
        if missing in module.path:
            return None
        return images.open(module, is_executable=False)[0]

    space = AddressSpace(facts, memory, facts.files, modules, open_image)
    thread = Thread(number=1, crashed=True)
    return last_words(space, facts.threads[0], thread, Demangler(load_demangler()))


@pytest.mark.native
@pytest.mark.parametrize("missing", ["libstdc++", ""])
@pytest.mark.parametrize("mode", ["json", "text", "short", "system", "nested", "by-pointer"])
def test_without_the_file_of_the_library(mode: str, missing: str, throwing: Throwing) -> None:
    # GIVEN a core whose libstdc++, or none of its files, is here
    crashed = throwing("O2", mode)
    kind, text = printed(crashed)
    words = words_without(crashed.core, missing)
    assert words.uncaught is True
    thrown = words.exceptions[0]
    assert (thrown.what, thrown.role) == (text, "uncaught")
    # the names of types are constants of the files; those of std:: are in libstdc++
    of_program = mode in ("json", "text", "short", "nested")
    assert thrown.type == (kind if missing and of_program else None)
    assert "by a search of the heap" in words.evidence[1]
    assert "cannot be read" in words.evidence[2]
