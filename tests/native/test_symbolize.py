"""`evdiag symbolize` on what real programs print of themselves."""

import platform
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from evdiag.adapters.files import load_core, map_file
from evdiag.cli import main
from evdiag.model.report import Report
from evdiag.parse.image import Image
from tests.conftest import need
from tests.native.conftest import Crash, analyse
from tests.support.crashers import mode_named

pytestmark = pytest.mark.native

LIBRARY = """\
#include <execinfo.h>
void tell() {
    void* frames[30];
    backtrace_symbols_fd(frames, backtrace(frames, 30), 1);  // HERE tell
}
"""
PROGRAM = """\
#include <cstdlib>
void tell();
static inline __attribute__((always_inline)) void helper() {
    tell();  // HERE helper
}
static __attribute__((noinline)) void hidden(int* where) {
    helper();  // HERE hidden
    if (where) *where = 1;  // HERE fault
    asm volatile("" ::: "memory");
}
namespace charger {
__attribute__((noinline)) void run(int* where) {
    hidden(where);  // HERE run
    asm volatile("" ::: "memory");
}
}
int main(int argc, char**) {
    int* where = argc > 1 ? static_cast<int*>(std::malloc(4)) : nullptr;
    if (where) std::free(where);
    charger::run(where);  // HERE main
}
"""
FLAGS = ("-g", "-O1", "-Wl,--build-id", "-Wl,--enable-new-dtags,-rpath,$ORIGIN")


Symbolized = Callable[..., tuple[list[str], str]]


class Built:
    """A program with a library, in a folder of its own."""

    def __init__(
        self, folder: Path, *flags: str, program: str = PROGRAM, library: str = "-ltell"
    ) -> None:
        if shutil.which("g++") is None:
            raise FileNotFoundError("g++")
        self.folder = folder
        self.source, self.program = folder / "main.cpp", folder / "prog"
        self.library = folder / "libtell.so"
        folder.mkdir()
        self.source.write_text(program)
        (folder / "tell.cpp").write_text(LIBRARY)
        self._gxx("-shared", "-fPIC", "tell.cpp", "-o", "libtell.so")
        self._gxx(*flags, "main.cpp", "-L.", *library.split(), "-o", "prog")
        self.build_id = Image("", map_file(self.program)).build_id or ""

    def _gxx(self, *arguments: str) -> None:
        subprocess.run(["g++", *FLAGS, *arguments], cwd=self.folder, check=True, timeout=60)

    def run(self, *arguments: str, path: str | None = None, **environment: str) -> str:
        """What the program prints, started in its folder."""
        done = subprocess.run(
            [path or str(self.program), *arguments],
            cwd=self.folder, capture_output=True, text=True, check=False, timeout=60,
            env={"PATH": "/usr/bin", **environment},
        )  # fmt: skip
        return done.stdout + done.stderr

    def line(self, mark: str) -> str:
        """The place of a line with a mark."""
        for source in (self.source, self.folder / "tell.cpp"):
            for number, text in enumerate(source.read_text().splitlines(), 1):
                if text.endswith(f"// HERE {mark}"):
                    return f"{source}:{number}"
        raise AssertionError(mark)

    def stack(self) -> list[str]:
        """What is to be said of the frames of a backtrace."""
        return [
            f"tell() at {self.line('tell')}",
            f"helper at {self.line('helper')}, inlined in hidden(int*) at {self.line('hidden')}",
            f"charger::run(int*) at {self.line('run')}",
            f"main at {self.line('main')}",
        ]


@pytest.fixture(scope="module")
def build(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Built]:
    """The program in all the ways that make a difference to its addresses."""
    root = tmp_path_factory.mktemp("symbolize")
    try:
        return {
            "pie": Built(root / "pie", "-pie", "-fPIE"),
            "fixed": Built(root / "fixed", "-no-pie", "-fno-pie"),
            "exporting": Built(root / "exporting", "-pie", "-fPIE", "-rdynamic"),
            "other": Built(
                root / "other", "-pie", "-fPIE", "-rdynamic",
                program=PROGRAM.replace("namespace charger {", "int more(int a) { return a * 7; }\n"
                                        "namespace charger {"),
            ),
            "asan": Built(root / "asan", "-pie", "-fPIE", "-fsanitize=address",
                          "-fno-omit-frame-pointer"),
        }  # fmt: skip
    except FileNotFoundError as reason:
        need(request, "native", f"{reason} is not installed")


@pytest.fixture
def symbolized(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Symbolized:
    """Run `evdiag symbolize` on a text, and return its lines and the summary."""

    def run(text: str, *options: object) -> tuple[list[str], str]:
        path = tmp_path / "text"
        path.write_text(text)
        code = main(["symbolize", str(path), *map(str, options)])
        said = capsys.readouterr()
        assert code == 0, said.err
        return said.out.splitlines(), said.err

    return run


def answers(lines: list[str], text: str) -> list[str]:
    """What was put behind the lines."""
    return [
        new.removeprefix(old).strip() for new, old in zip(lines, text.splitlines(), strict=True)
    ]


# -- glibc


@pytest.mark.parametrize("kind", ["pie", "fixed", "exporting"])
def test_a_backtrace_of_glibc(symbolized: Symbolized, build: dict[str, Built], kind: str) -> None:
    made = build[kind]
    text = made.run()
    wanted = ("--exe", made.program, "--exe", made.library)
    lines, said = symbolized(text, *wanted)
    assert answers(lines, text)[:4] == made.stack()
    assert re.match(r"named (\d+) of \1 addresses", said)
    if kind == "exporting":
        assert "_ZN7charger3runEPi+0x" in text


EVSE_MANAGER = """\
#include <csignal>
#include <cstdlib>
#include <execinfo.h>
#include <initializer_list>
void on_signal(int signal) {
    void* frames[10];
    backtrace_symbols_fd(frames, backtrace(frames, 10), 1);  // HERE handler
    if (signal != SIGUSR1) std::_Exit(0);
}
int main(int argc, char**) {
    for (int signal : {SIGUSR1, SIGILL, SIGTRAP}) std::signal(signal, on_signal);
    if (argc > 1) {
        asm volatile("nop");
        __builtin_trap();  // HERE fault
    }
    std::raise(SIGUSR1);  // HERE main
}
"""
"""What EvseManager does when it waits too long for a lock (its backtrace.cpp)."""


@pytest.mark.parametrize("flags", [("-pie", "-fPIE"), ("-static",)], ids=" ".join)
def test_a_module_of_everest_tells_its_stack(
    symbolized: Symbolized, tmp_path: Path, build: dict[str, Built], flags: tuple[str, ...]
) -> None:
    """The manager starts a module under the name of its instance, which glibc takes for a file."""
    assert build  # there is a compiler
    module = Built(tmp_path / "modules", *flags, program=EVSE_MANAGER, library="")
    done = subprocess.run(
        ["garage:prog"], executable=module.program, capture_output=True, text=True, check=True,
        timeout=60,
    )  # fmt: skip
    text = done.stdout
    assert text.startswith("[0x" if "-static" in flags else "garage:prog(")

    lines, said = symbolized(text, "--exe", module.program)

    found = answers(lines, text)
    assert found[0] == f"on_signal(int) at {module.line('handler')}"
    assert f"main at {module.line('main')}" in found
    if platform.machine() != "x86_64":
        return  # the way back from a handler is in the vDSO, which no file holds
    if "-static" in flags:  # it begins where nobody has called
        assert found[1].startswith("__restore_rt")
        assert said.startswith(f"named {len(found)} of {len(found)} addresses")

    crashed = module.run("trap")  # the address is the instruction's own, not one behind a call
    lines, _ = symbolized(crashed, "--exe", module.program)
    assert f"main at {module.line('fault')}" in answers(lines, crashed)


def test_a_relative_path(symbolized: Symbolized, build: dict[str, Built]) -> None:
    """As the program was started; without --exe it could be any."""
    made = build["pie"]
    text = made.run(path="./prog")
    assert "./prog(+0x" in text
    lines, _ = symbolized(text, "--exe", made.program)
    assert answers(lines, text)[1:4] == made.stack()[1:]
    lines, said = symbolized(text)
    assert lines[1] == text.splitlines()[1]
    assert "in ./prog: it is not on this machine" in said


def test_files_of_this_machine_are_marked(symbolized: Symbolized, build: dict[str, Built]) -> None:
    made = build["pie"]
    text = made.run()
    lines, said = symbolized(text)
    assert answers(lines, text)[:4] == [f"? {answer}" for answer in made.stack()]
    assert "nothing says that this machine's files are of the same build" in said


def test_a_function_tells_another_build(symbolized: Symbolized, build: dict[str, Built]) -> None:
    """The text has no build-id, but where its function lay in memory."""
    text = build["exporting"].run()
    there = next(line for line in text.splitlines() if "3runEPi" in line) + "\n"
    lines, said = symbolized(there, "--exe", build["other"].program)
    assert lines == there.splitlines()
    assert "it is another build: _ZN7charger3runEPi lies elsewhere in it" in said


def test_a_separate_debug_file(
    symbolized: Symbolized, tmp_path: Path, build: dict[str, Built]
) -> None:
    made = build["pie"]
    text = made.run()
    stripped = tmp_path / "prog"
    shutil.copy(made.program, stripped)
    for command in (
        ["objcopy", "--only-keep-debug", "prog", "prog.debug"],
        ["objcopy", "--strip-all", "--add-gnu-debuglink=prog.debug", "prog"],
    ):
        subprocess.run(command, cwd=tmp_path, check=True, timeout=60)
    lines, _ = symbolized(text, "--exe", stripped)
    assert answers(lines, text)[1:4] == made.stack()[1:]


def test_a_file_without_symbols_says_so(
    symbolized: Symbolized, tmp_path: Path, build: dict[str, Built]
) -> None:
    made = build["fixed"]
    text = made.run()
    stripped = tmp_path / "prog"
    subprocess.run(["objcopy", "--strip-all", made.program, stripped], check=True, timeout=60)
    lines, said = symbolized(text, "--exe", stripped)
    assert answers(lines, text)[1:4] == [""] * 3
    assert f"in {made.program}: it names nothing there" in said


# -- sanitizers


def test_a_report_of_the_address_sanitizer(symbolized: Symbolized, build: dict[str, Built]) -> None:
    made = build["asan"]
    text = made.run("x", ASAN_OPTIONS="symbolize=0")
    assert "AddressSanitizer: heap-use-after-free" in text
    # gcc 12 does not print it, clang 15 and gcc 13 do
    known = re.sub(
        rf"\({re.escape(str(made.program))}\+0x[0-9a-f]+\)",
        lambda found: f"{found[0]} (BuildId: {made.build_id})",
        text,
    )
    lines, _ = symbolized(known)
    frames = [line for line in lines if "BuildId" in line]
    assert frames[0].endswith(f" hidden(int*) at {made.line('fault')}")
    assert frames[1].endswith(f" charger::run(int*) at {made.line('run')}")
    assert frames[2].endswith(f" main at {made.line('main')}")

    # the same text, once the program was built anew
    wrong = known.replace(made.build_id, "ab" * 20)
    lines, said = symbolized(wrong, "--exe", made.program)
    assert [line for line in lines if "BuildId" in line] == [
        line for line in wrong.splitlines() if "BuildId" in line
    ]
    assert f"says build-id {'ab' * 8}, {made.program} has build-id {made.build_id[:16]}" in said


# -- the kernel, and cores


def _fault(core: Path) -> tuple[str, str]:
    """What the kernel says of a crash, before and since Linux 6.9; from registers and mappings."""
    _, facts = load_core(core)
    thread, machine = facts.threads[0], facts.machine
    registers = dict(zip(machine.registers, thread.registers, strict=False))
    ip = thread.registers[machine.pc]
    mapped = next(file for file in facts.files if file.start <= ip < file.end)
    name, size = mapped.path.rpartition("/")[2], mapped.end - mapped.start
    begin = (
        f"{name}[{thread.lwp}]: segfault at 0 ip {ip:016x} sp {registers['rsp']:016x} error 4 in"
    )
    offset = ip - mapped.start + mapped.offset
    return (
        f"{begin} {name}[{mapped.start:x}+{size:x}]\n",
        f"{begin} {name}[{offset:x},{mapped.start:x}+{size:x}] likely on CPU 1 (core 1, socket 0)"
        "\n",
    )


def _innermost(report: Report) -> str:
    """The innermost physical frame with what was inlined into it."""
    frames = report.threads[0].frames
    last = next(i for i, frame in enumerate(frames) if frame.kind == "normal")
    return ", inlined in ".join(f"{f.function} at {f.file}:{f.line}" for f in frames[: last + 1])


def test_the_line_of_the_kernel(symbolized: Symbolized, crash: Crash) -> None:
    crashed = crash(mode_named("null-read"), "O2")
    expected = _innermost(analyse(crashed.core))
    for text in _fault(crashed.core):
        for options in (("--core", crashed.core), ("--exe", crashed.executable)):
            lines, _ = symbolized(text, *options)
            assert expected in lines[0]


def test_raw_addresses_of_a_core(symbolized: Symbolized, crash: Crash) -> None:
    """Also as gdb prints them; another core of the same program has it elsewhere."""
    crashed = crash(mode_named("null-read"), "O0")
    other = crash(mode_named("abort"), "O0")
    report = analyse(crashed.core)
    pc = report.threads[0].frames[0].pc
    text = f"#0  {pc:#018x} in ?? ()\nat {pc:#x}, heap 0x5\n"
    lines, said = symbolized(text, "--core", crashed.core)
    assert _innermost(report) in lines[0]
    assert _innermost(report) in lines[1]
    assert lines[1].endswith(", heap 0x5")
    assert said.startswith("named 2 of 2 addresses")
    lines, _ = symbolized(text, "--core", other.core)
    assert lines == text.splitlines()
