"""Backtraces of real programs: what is found in them is where the functions really are, by `nm`."""

import platform
import re
import shutil
import subprocess
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path

import pytest

from evdiag.model.symbolized import Mention
from evdiag.parse.addresses import Reader
from tests.conftest import need

pytestmark = pytest.mark.native

STACK = ("inner", "middle", "outer", "main")

FRAME = """
#include <cstdio>
#define KEPT extern "C" __attribute__((noinline, noipa))
"""
CALLS = """
KEPT void inner() { SHOW; asm volatile(""); }
extern "C" { static __attribute__((noinline)) void middle() { inner(); asm volatile(""); } }
KEPT void outer() { middle(); asm volatile(""); }
int main() { outer(); return 0; }
"""
MAPS = """
static void maps() {
    char line[512];
    FILE* file = fopen("/proc/self/maps", "r");
    while (fgets(line, sizeof line, file)) fputs(line, stdout);
    fclose(file);
    fflush(stdout);
}
"""
GLIBC = """
#include <execinfo.h>
#define SHOW void* all[20]; maps(); backtrace_symbols_fd(all, backtrace(all, 20), 1)
"""
GLIBC_TEXT = """
#include <execinfo.h>
#define SHOW void* all[20]; int n = backtrace(all, 20); char** text = backtrace_symbols(all, n); \\
    for (int i = 0; i < n; i++) puts(text[i])
"""
BOOST = """
#include <boost/stacktrace.hpp>
#include <iostream>
#define SHOW maps(); std::cout << boost::stacktrace::stacktrace() << std::flush
"""
FAULT = "#define SHOW *static_cast<volatile int*>(nullptr) = 1\n"
OVERFLOW = "#define SHOW static volatile int n = 0x7fffffff; n = n + 1\n"
USE_AFTER_FREE = """
#include <cstdlib>
#define SHOW char* p = static_cast<char*>(malloc(9)); free(p); putchar(p[1])
"""
RACE = """
#include <pthread.h>
static volatile int shared;
static void* other(void*) { shared = 1; return nullptr; }
#define SHOW pthread_t t; pthread_create(&t, nullptr, other, nullptr); shared = 2; \\
    pthread_join(t, nullptr)
"""


class Program:
    """A compiled program, and where `nm` and `readelf` say that its functions are."""

    def __init__(self, file: Path) -> None:
        self.file = file
        rows = [line.split() for line in output("nm", str(file)).splitlines()]
        self.symbols = {row[2]: int(row[0], 16) for row in rows if len(row) == 3}
        self.code = sorted((int(r[0], 16), r[2]) for r in rows if len(r) == 3 and r[1] in "tTwW")
        loads = re.findall(
            r"LOAD\s+0x\w+ 0x(\w+) .*? (R  |R E|RW )", output("readelf", "-lW", str(file))
        )
        self.base = int(loads[0][0], 16) & ~0xFFF
        (self.code_base,) = [int(start, 16) for start, rights in loads if rights == "R E"]

    def run(self, **environment: str) -> tuple[int, list[str]]:
        """Its pid, and the lines of both of its outputs."""
        with subprocess.Popen(
            [f"./{self.file.name}"],
            cwd=self.file.parent,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            text, _ = process.communicate(timeout=60)
            return process.pid, text.splitlines()

    def owns(self, mention: Mention) -> bool:
        return mention.module is not None and Path(mention.module).name == self.file.name

    def functions(self, mentions: Sequence[Mention]) -> list[str]:
        """The functions at the addresses that lie in this program."""
        return [self.function(self.place(m) - m.is_call) for m in mentions if self.owns(m)]

    def function(self, address: int) -> str:
        name = self.code[bisect_right(self.code, address, key=lambda row: row[0]) - 1][1]
        return re.sub(r"^_ZL\d+(\w+)v$", r"\1", name)  # clang's name of a static function

    def place(self, mention: Mention) -> int:
        """The address in the file, as the fields of a mention are documented."""
        if mention.symbol is not None:
            assert mention.offset is not None
            return self.symbols[mention.symbol] + mention.offset
        if mention.offset is not None:
            return mention.offset
        assert mention.address is not None
        if mention.base is None:
            return mention.address
        first = self.code_base if mention.kind == "kernel" else self.base
        return mention.address - mention.base + first


def output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout


@pytest.fixture
def compiled(request: pytest.FixtureRequest, tmp_path: Path) -> "Compile":
    for tool in ("nm", "readelf"):
        if shutil.which(tool) is None:
            need(request, "native", f"{tool} is not installed")
    return Compile(request, tmp_path)


class Compile:
    """Compiles a program, or ends the test where that cannot be."""

    def __init__(self, request: pytest.FixtureRequest, folder: Path) -> None:
        self.request = request
        self.folder = folder

    def __call__(self, source: str, *flags: str, compiler: str = "g++") -> Program:
        if shutil.which(compiler) is None:
            need(self.request, "native", f"{compiler} is not installed")
        text, file = self.folder / "calls.cpp", self.folder / "my-prog++"
        text.write_text(FRAME + source + CALLS)
        done = subprocess.run(
            [compiler, "-g", "-O1", "-fno-optimize-sibling-calls", text, "-o", file, *flags],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        if done.returncode:
            need(self.request, "native", f"{compiler} {' '.join(flags)} fails: {done.stderr[:300]}")
        return Program(file)


def mentions_of(lines: Sequence[str]) -> list[Mention]:
    reader = Reader()
    return [mention for line in lines for mention in reader.mentions(line)]


def first_stack(functions: Sequence[str]) -> list[str]:
    """From the innermost function of the test on, to main."""
    start = functions.index(STACK[0])
    return list(functions[start : start + len(STACK)])


@pytest.mark.parametrize(
    "flags",
    [("-fPIE", "-pie"), ("-fPIE", "-pie", "-rdynamic"), ("-fno-pie", "-no-pie"), ("-static",)],
    ids=lambda flags: "".join(flags),
)
@pytest.mark.parametrize("source", [MAPS + GLIBC, GLIBC_TEXT], ids=["fd", "text"])
def test_backtrace_symbols(compiled: Compile, source: str, flags: tuple[str, ...]) -> None:
    if flags == ("-static",) and source == GLIBC_TEXT:
        flags = ("-static", "-rdynamic")  # the address alone says nothing without mappings
        source = MAPS + GLIBC
    program = compiled(source, *flags)

    _, lines = program.run()

    found = mentions_of(lines)
    assert first_stack(program.functions(found)) == list(STACK)
    assert {m.kind for m in found if program.owns(m)} <= {"backtrace-symbols", "mapped"}


@pytest.mark.parametrize("flags", [("-fPIE", "-pie"), ("-fno-pie", "-no-pie")], ids="".join)
def test_boost(compiled: Compile, flags: tuple[str, ...]) -> None:
    program = compiled(BOOST + MAPS, *flags, "-ldl")

    _, lines = program.run()

    found = mentions_of(lines)
    assert first_stack(program.functions(found)) == list(STACK)
    assert {m.kind for m in found if program.owns(m)} == {"boost"}


SANITIZERS = {
    "address": (USE_AFTER_FREE, {"ASAN_OPTIONS": "symbolize=0"}),
    "fault": (FAULT, {"ASAN_OPTIONS": "symbolize=0"}),
    "undefined": (OVERFLOW, {"UBSAN_OPTIONS": "symbolize=0:print_stacktrace=1"}),
    "thread": (RACE, {"TSAN_OPTIONS": "symbolize=0"}),
}


@pytest.mark.parametrize(
    ("compiler", "what"),
    [*(("g++", what) for what in SANITIZERS), ("clang++", "address"), ("clang++", "thread")],
)
def test_sanitizers(compiled: Compile, compiler: str, what: str) -> None:
    source, environment = SANITIZERS[what]
    sanitizer = "address" if what == "fault" else what
    program = compiled(source, f"-fsanitize={sanitizer}", "-pthread", compiler=compiler)

    _, lines = program.run(**environment)

    frames = [m for m in mentions_of(lines) if m.kind == "sanitizer"]
    assert first_stack(program.functions(frames)) == list(STACK)
    assert not any(m.is_call for m in frames)


@pytest.mark.parametrize("flags", [("-fPIE", "-pie"), ("-fno-pie", "-no-pie")], ids="".join)
def test_the_kernel(
    compiled: Compile, flags: tuple[str, ...], request: pytest.FixtureRequest
) -> None:
    if platform.machine() != "x86_64":
        need(request, "native", "the kernel says where a fault is in one line on x86-64 only")
    program = compiled(FAULT, *flags)

    pid, _ = program.run()

    lines = [line for line in kernel_log(request) if f"[{pid}]: segfault at" in line]
    if not lines:
        need(request, "native", "the kernel did not log the fault (it may have had too many)")
    found = mentions_of(lines[-1:])
    assert [m.kind for m in found] == ["kernel"]
    assert program.functions(found) == ["inner"]
    assert found[0].file_offset in (None, program.place(found[0]) - program.base)


def kernel_log(request: pytest.FixtureRequest) -> list[str]:
    """What `dmesg` says, where that is allowed."""
    if shutil.which("dmesg") is None:
        need(request, "native", "dmesg is not installed")
    done = subprocess.run(["dmesg"], capture_output=True, text=True, check=False, timeout=20)
    if done.returncode:
        need(request, "native", f"dmesg may not be read: {done.stderr.strip()[:200]}")
    return done.stdout.splitlines()
