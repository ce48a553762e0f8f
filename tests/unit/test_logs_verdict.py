"""Verdicts without a core: what the log of one process says about its end."""

import pytest

from evdiag.analyze.causes import explain
from evdiag.analyze.causes._examples import PID, sent
from evdiag.analyze.causes.sanitizer import _frames
from evdiag.analyze.logverdict import from_log
from evdiag.model.crash import Cause, CrashFacts
from tests.support.log_lines import events_of, line, text_of

CRASH = "Crash recovery shutdown completed in 1 ms. Modules that did not shut down cleanly:  "
THROWN = "terminate called after throwing an instance of 'std::runtime_error'\n"


def ended(how: str) -> str:
    return line(f"{CRASH}ocpp ({how})", "WARN")


def raw(status: int) -> str:
    text = f"Module ocpp (pid: 7) exited with status: {status}. Terminating all modules."
    return line(text, "CRIT")


def cause(*texts: str) -> Cause:
    found = from_log(events_of(*texts))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("texts", "cls", "detail", "confidence", "summary"),
    [
        (
            (text_of("sanitizers/asan-uaf-gcc"), ended("exit_code=1")),
            "sanitizer", "heap-use-after-free", "high",
            "AddressSanitizer found heap-use-after-free (read) in read_meter(Session*) at "
            "/src/app/uaf.cpp:4",
        ),
        (
            (text_of("sanitizers/ubsan-halt-gcc"), ended("signal=11")),
            "sanitizer", "signed integer overflow", "low",
            "UndefinedBehaviorSanitizer found signed integer overflow in add(int, int) at "
            "ubsan.cpp:5",
        ),
        (
            (THROWN, "  what():  no route\n", ended("signal=6")),
            "uncaught-exception", "std::runtime_error", "medium",
            'uncaught exception std::runtime_error: "no route"',
        ),
        (
            ("free(): invalid pointer\n", raw(6)),
            "heap-corruption", None, "medium", None,
        ),
        (
            ("app: a.cpp:3: int main(): Assertion `x' failed.\n", ended("exit_code=134")),
            "assert", None, "medium", None,
        ),
        (("*** stack smashing detected ***: terminated\n",), "stack-smash", None, "medium", None),
        (
            (text_of("python/import"), ended("exit_code=1")),
            "uncaught-exception", "ModuleNotFoundError", "high",
            "uncaught ModuleNotFoundError of Python in <module> at /src/app/d.py:1: No module "
            "named 'everest'",
        ),
        (
            (text_of("node/own-type"),),
            "uncaught-exception", "ConfigError", "high",
            "uncaught ConfigError of Node.js in Timeout._onTimeout at /src/app/h.js:1: two",
        ),
        (
            (
                line("Caught top level boost::exception:", "CRIT", "ocpp:OCPP"),
                "Dynamic exception type: boost::wrapexcept<std::runtime_error>\n"
                "std::exception::what: Could not read config.json\n",
                ended("exit_code=1"),
            ),
            "uncaught-exception", "std::runtime_error", "high",
            "an exception ended the module: Could not read config.json",
        ),
        (
            (line("Caught top level std::exception:", "CRIT", "ocpp:OCPP"),),
            "uncaught-exception", None, "high",
            "an exception ended the module: Caught top level std::exception:",
        ),
        (
            ("[1.000000] ocpp[7]: segfault at 18 ip 1 sp 2 error 6 in x[1+2]\n", raw(11)),
            "null-write", None, "medium",
            "wrote to address 0x18: a null pointer plus an offset of 0x18",
        ),
        (
            ("[1.000000] ocpp[7]: segfault at 0 ip 1 sp 2 error 4 in x[1+2]\n", raw(11)),
            "null-read", None, "medium", "read from address 0x0: a null pointer",
        ),
        (
            ("[1.000000] ocpp[7]: segfault at 7f0000000000 ip 1 sp 2 error 5 in x\n", raw(139)),
            "unknown", None, "low", "ended by a fault: segfault at 7f0000000000; no core",
        ),
        (
            ("traps: ocpp[7] trap divide error ip:5 sp:7 error:0 in app[55+2]\n",),
            "unknown", None, "low", "ended by a fault: trap divide error; no core",
        ),
        (
            ("Memory cgroup out of memory: Killed process 7 (ocpp)\n", ended("signal=9")),
            "oom-killed", None, "high",
            "the kernel killed it for want of memory: the memory limit of its container or cgroup "
            "was used up",
        ),
        (
            ("Out of memory: Killed process 7 (ocpp)\n", ended("exit_code=1")),
            "oom-killed", None, "medium",
            "the kernel killed it for want of memory: all memory of the machine was used up",
        ),
        (
            (raw(139),), "unknown", None, "low",
            "ended with SIGSEGV; a core was dumped, but is not at hand; what led to it is not "
            "known",
        ),
        (
            (ended("signal=11"),), "unknown", None, "low",
            "ended with SIGSEGV; no core; what led to it is not known",
        ),
        (
            (ended("signal=9"),), "unknown", None, "low",
            "ended with SIGKILL; no core; what led to it is not known",
        ),
        (
            (ended("exit_code=3"),), "unknown", None, "low",
            "ended with exit code 3; what led to it is not known",
        ),
    ],
)  # fmt: skip
def test_verdicts(
    texts: tuple[str, ...], cls: str, detail: str | None, confidence: str, summary: str | None
) -> None:
    found = cause(*texts)
    assert (found.cls, found.confidence) == (cls, confidence)
    if summary is not None:
        assert (found.detail, found.summary) == (detail, summary)
    assert found.evidence
    assert found.advice
    assert not any("the core does not say" in line for line in found.evidence)


@pytest.mark.parametrize(
    "texts",
    [
        (),
        (line("It failed", "ERRO", "ocpp:OCPP201"),),
        (ended("signal=15"),),
        (raw(0),),
        (line("Performing soft reset now.", process="system:System"), ended("signal=15")),
        (raw(2),),
        (line("Error during MQTT sync: gone", "ERRO", "ocpp:OCPP201"), ended("exit_code=1")),
        (line("Module ocpp exited unexpectedly, terminating remaining modules...", "CRIT"),),
        (text_of("sanitizers/lsan-gcc"), ended("signal=15")),
    ],
)
def test_no_failure(texts: tuple[str, ...]) -> None:
    assert from_log(events_of(*texts)) is None


def test_last_words_that_do_not_fit_the_end() -> None:
    assert cause(THROWN, ended("signal=11")).cls == "unknown"
    assert cause(THROWN).cls == "uncaught-exception"
    assert "it is not told how it ended" in cause(THROWN).evidence[-1]


def test_a_crash_after_a_reset_is_a_crash() -> None:
    reset = line("Performing soft reset now.", process="system:System")
    assert cause(reset, ended("signal=11")).cls == "unknown"


def test_long_texts_are_cut() -> None:
    found = cause(f'Traceback (most recent call last):\n  File "/a", line 1\nE: {"x" * 999}\n')
    assert found.summary.endswith("x…")
    assert len(found.summary) < 300


# -- the rule about sanitizers, for cores


def frames(*functions: str, module: str = "/lib/libasan.so.8") -> CrashFacts:
    return sent(6, -6, PID, frames=_frames(*functions, module=module))


@pytest.mark.parametrize(
    ("facts", "detail", "access", "summary"),
    [
        (
            frames("__sanitizer::Die()", "__asan::ReportGenericError()", "__asan_report_load4"),
            "a bad read of memory", "read",
            "AddressSanitizer found a bad read of memory and ended the program",
        ),
        (
            frames("__sanitizer::Die()", "__asan::ReportFreeNotMalloced(unsigned long)"),
            "bad-free", None, "AddressSanitizer found bad-free and ended the program",
        ),
        (
            frames("__sanitizer::Die()", "__ubsan_handle_add_overflow_abort", module="/app"),
            "add-overflow", None,
            "UndefinedBehaviorSanitizer found add-overflow and ended the program",
        ),
        (
            frames("__sanitizer::Die()", "__ubsan_handle_type_mismatch_v1_abort", module="/app"),
            "type-mismatch", None,
            "UndefinedBehaviorSanitizer found type-mismatch and ended the program",
        ),
        (
            frames(
                "__ubsan::ScopedReport::~ScopedReport()",
                "void handleIntegerOverflowImpl<__ubsan::Value>(__ubsan::OverflowData*)",
                "__ubsan_handle_mul_overflow_abort",
                module="/app",
            ),
            "mul-overflow", None,
            "UndefinedBehaviorSanitizer found mul-overflow and ended the program",
        ),
        (
            frames("__sanitizer::Die()", "__asan::ReportDeadlySignal()"),
            "deadly signal", None,
            "AddressSanitizer caught the signal of a fault and ended the program",
        ),
        (
            frames("__sanitizer::Die()", module="/app"),
            None, None, "a sanitizer found a mistake and ended the program",
        ),
        (
            frames("", module="/lib/libtsan.so.2"),
            "ThreadSanitizer", None, "ThreadSanitizer found a mistake and ended the program",
        ),
    ],
)  # fmt: skip
def test_what_the_stack_tells_of_a_sanitizer(
    facts: CrashFacts, detail: str | None, access: str | None, summary: str
) -> None:
    rule, found = explain(facts)
    assert (rule, found.cls) == ("sanitizer", "sanitizer")
    assert (found.detail, found.access, found.summary) == (detail, access, summary)
