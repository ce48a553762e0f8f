"""Last words of run-times, reports of sanitizers, stacks of scripts, the kernel's log."""

from pathlib import Path

import pytest

from evdiag.model.logs import LogEvent, SanitizerReport, ScriptFailure
from evdiag.parse.logs import node, python, sanitizers
from evdiag.parse.logs._lines import BATCH
from tests.support.log_lines import events_of, kinds, line, text_files, text_of

CASE_OUT = "int main(int, char**)"


def one(*texts: str) -> LogEvent:
    (event,) = events_of(*texts)
    return event


def report(text: str) -> SanitizerReport:
    found = one(text).sanitizer
    assert found is not None
    return found


def script(text: str) -> ScriptFailure:
    found = one(text).script
    assert found is not None
    return found


# -- glibc and the run-time of C++


@pytest.mark.parametrize(
    ("text", "kind", "detail"),
    [
        ("terminate called after throwing an instance of 'int'", "terminate", "int"),
        (
            "terminate called after throwing an instance of "
            "'nlohmann::json_abi_v3_11_3::detail::out_of_range'",
            "terminate",
            "nlohmann::json_abi_v3_11_3::detail::out_of_range",
        ),
        ("terminate called after throwing an instance of '2026-11", "terminate", None),
        ("terminate called without an active exception", "terminate", None),
        ("terminate called recursively", "terminate", None),
        ("libc++abi: terminating due to uncaught exception of type int", "terminate", "int"),
        ("  what():  no route", "what", "no route"),
        ("  what():  ", "what", ""),
        *(
            (text, "libc-message", text)
            for text in (
                "pure virtual method called",
                "deleted virtual method called",
                "*** stack smashing detected ***: terminated",
                "*** buffer overflow detected ***: terminated",
                "*** %n in writable segment detected ***",
                "*** Error in `./app': double free or corruption (fasttop): 0x000055 ***",
                "free(): invalid pointer",
                "free(): double free detected in tcache 2",
                "double free or corruption (!prev)",
                "double free or corruption (out)",
                "malloc(): corrupted top size",
                "malloc(): unsorted double linked list corrupted",
                "malloc_consolidate(): invalid chunk size",
                "munmap_chunk(): invalid pointer",
                "realloc(): invalid pointer",
                "corrupted size vs. prev_size",
                "Fatal glibc error: malloc.c:2593 (sysmalloc): assertion failed: (old_top == 0)",
                "The futex facility returned an unexpected error code.",
                f't: t.cpp:19: {CASE_OUT}: Assertion `v == nullptr && "no values"\' failed.',
                "/usr/include/c++/12/bits/stl_vector.h:1123: std::vector<_Tp, _Alloc>::reference "
                "std::vector<_Tp, _Alloc>::operator[](size_type) [with _Tp = int]: Assertion "
                "'__n < this->size()' failed.",
            )
        ),
    ],
)
def test_last_words(text: str, kind: str, detail: str | None) -> None:
    found = one(line("before"), f"{text}\n", line("after"))
    assert (found.kind, found.detail, found.line) == (kind, detail, 2)


def test_a_text_of_several_lines() -> None:
    found = events_of(
        "terminate called after throwing an instance of 'std::runtime_error'\n",
        "  what():  line one\nline two\n\nline four\n",
        "bash: line 1: 4711 Aborted                 (core dumped) ./app\n",
        line("after"),
    )
    assert [event.detail for event in found] == [
        "std::runtime_error",
        "line one\nline two\n\nline four",
    ]


def test_words_that_follow_each_other() -> None:
    found = events_of("pure virtual method called\nterminate called without an active exception\n")
    assert kinds(found) == ["libc-message", "terminate"]


def test_the_text_of_libcxx() -> None:
    found = events_of(
        "libc++abi: terminating due to uncaught exception of type std::runtime_error: no: route\n"
    )
    assert [event.detail for event in found] == ["std::runtime_error", "no: route"]


def test_everests_own_deadlock_as_an_exception() -> None:
    found = events_of("  what():  Mutex deadlock detected: Failed to lock A, mutex held by B\n")
    assert kinds(found) == ["what", "lock-timeout"]


# -- sanitizers


@pytest.mark.parametrize("path", text_files("sanitizers"), ids=lambda path: path.stem)
def test_every_real_report_is_read(path: Path) -> None:
    found = events_of(path.read_text())
    assert kinds(found) == ["sanitizer"] * len(found)
    assert found
    for event in found:
        assert event.sanitizer is not None
        assert event.detail == event.sanitizer.error
        assert len(event.sanitizer.stack) <= sanitizers.MOST_FRAMES
        assert "0x" not in event.sanitizer.error


@pytest.mark.parametrize(
    ("name", "tool", "error", "access", "place"),
    [
        ("asan-uaf", "Address", "heap-use-after-free", "read", ("read_meter(Session*)", "uaf", 4)),
        ("asan-overflow", "Address", "heap-buffer-overflow", "write",
         ("copy_id(char*, char const*)", "overflow", 2)),
        ("asan-stackbuf", "Address", "stack-buffer-overflow", "write",
         ("fill(int*, int)", "stackbuf", 1)),
        ("asan-dfree", "Address", "double-free", None, ("main", "dfree", 2)),
        ("asan-segv", "Address", "SEGV", "write", ("set(int*)", "segv", 1)),
        ("asan-so", "Address", "stack-overflow", None, ("deep(int)", "so", 1)),
        ("asan-oom", "Address", "allocation-size-too-big", None, ("main", "oom", 3)),
        ("asan-abrt", "Address", "ABRT", None, ("main", "abrt", 2)),
        ("asan-leak", "Leak", "memory leaks", None, ("make()", "leak", 3)),
        ("lsan", "Leak", "memory leaks", None, ("make()", "leak", 3)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_what_reports_say(
    name: str,
    tool: str,
    error: str,
    access: str | None,
    place: tuple[str, str, int],
    compiler: str,
) -> None:
    found = report(text_of(f"sanitizers/{name}-{compiler}"))
    assert (found.tool, found.error, found.access) == (f"{tool}Sanitizer", error, access)
    function, file, number = place
    assert (found.function, found.file, found.line) == (function, f"/src/app/{file}.cpp", number)
    assert found.pid is not None


@pytest.mark.parametrize(("compiler", "access"), [("gcc", "read"), ("clang", "write")])
def test_a_race(compiler: str, access: str) -> None:
    found = report(text_of(f"sanitizers/tsan-{compiler}"))
    assert (found.tool, found.error, found.access) == ("ThreadSanitizer", "data race", access)
    assert (found.function, found.file, found.line) == ("bump()", "/src/app/race.cpp", 3)
    assert found.stack[6] == "<null>"


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_undefined_behaviour(compiler: str) -> None:
    array = {"gcc": "int [N]", "clang": "int[N]"}[compiler]
    found = [event.detail for event in events_of(text_of(f"sanitizers/ubsan-{compiler}"))]
    assert found[:3] == [
        "signed integer overflow",
        "shift exponent N is too large for 32-bit type 'int'",
        f"index N out of bounds for type '{array}'",
    ]
    assert "member call on address N which does not point to an object of type 'Base'" in found
    assert "division by zero" in found
    halted = report(text_of(f"sanitizers/ubsan-halt-{compiler}"))
    assert (halted.function, halted.file, halted.line) == ("add(int, int)", "ubsan.cpp", 5)


def test_the_small_run_time() -> None:
    found = [event.detail for event in events_of(text_of("sanitizers/ubmin"))]
    assert found[0] == "add-overflow"
    assert found[-1] == "divrem-overflow"


def test_unusual_reports() -> None:
    crash = "==1==ERROR: AddressSanitizer: unknown-crash on address 0x01 at pc 0x02\n"
    assert report(crash).error == "unknown-crash"
    assert report(f"{crash}SUMMARY: AddressSanitizer: wild-jump a.cpp:1\n").error == "wild-jump"
    assert report(f"{crash}    #0 0x1 (/opt/app/bin/app+0x12)\n").stack == (
        "/opt/app/bin/app+0x12",
    )
    odd = report(f"{crash}    #3 0x1 in f\n")
    assert (odd.stack, odd.function) == ((), None)
    two = report(f"{crash}    #0 0x1 in f\n    #0 0x1 in g\n")
    assert two.stack == ("f",)
    deep = "".join(
        f"    #{i} 0x1 in f{i} /a.cpp:{i}:1 (app+0x1) (BuildId: 12ab)\n" for i in range(99)
    )
    assert len(report(crash + deep).stack) == sanitizers.MOST_FRAMES


# -- Python


@pytest.mark.parametrize(
    ("name", "error", "message", "stack"),
    [
        ("chained", "KeyError", "'ocpp'",
         ("main at /src/app/a.py:13", "<module> at /src/app/a.py:14")),
        ("syntax", "SyntaxError", "invalid syntax", ("/src/app/b.py:1",)),
        ("import-syntax", "SyntaxError", "invalid syntax",
         ("/src/app/b.py:1", "<module> at /src/app/c.py:1")),
        ("import", "ModuleNotFoundError", "No module named 'everest'",
         ("<module> at /src/app/d.py:1",)),
        ("fatal", "Fatal Python error", "Segmentation fault",
         ("string_at at /usr/lib/python3.11/ctypes/__init__.py:519",
          "<module> at /src/app/h.py:3")),
    ],
)  # fmt: skip
def test_tracebacks(name: str, error: str, message: str, stack: tuple[str, ...]) -> None:
    found = script(text_of(f"python/{name}"))
    assert (found.language, found.error, found.message) == ("python", error, message)
    assert found.stack == stack


def test_a_group_of_errors() -> None:
    found = script(text_of("python/group"))
    assert found.error == "ExceptionGroup"
    assert found.message == "unhandled errors in a TaskGroup (2 sub-exceptions)"
    assert found.stack[0].startswith("__aexit__ at ")


def test_a_recursion() -> None:
    found = script(text_of("python/recursion"))
    assert found.error == "RecursionError"
    assert len(found.stack) == 4
    frames = '  File "/a.py", line 1, in f\n' * 100
    many = script(f"Traceback (most recent call last):\n{frames}E: x\n")
    assert len(many.stack) == python.MOST_FRAMES


def test_an_error_of_a_thread_does_not_end_the_program() -> None:
    thread, end = events_of(text_of("python/thread"))
    assert (thread.kind, thread.detail) == ("error", "Exception in thread worker: KeyError")
    assert (end.kind, end.detail) == ("script", "MyError")


def test_texts_of_several_lines_end_somewhere() -> None:
    head = 'Traceback (most recent call last):\n  File "/a.py", line 1, in f\n'
    assert script(f"{head}E: one\n  two\n").message == "one\n  two"
    assert script(head + "E: one\n" + "more\n" * 100).message.count("\n") == python.MOST_MESSAGE
    assert events_of(head) == []
    found = script(f"{head}E: one\n\nDuring handling of the above exception, another exception "
                   f"occurred:\n\n{head}F: two\n")  # fmt: skip
    assert (found.error, found.message) == ("F", "two")


@pytest.mark.parametrize("name", ["chained", "import-syntax", "syntax"])
@pytest.mark.parametrize("message", ["Error: \x1b[0m", "", "Error:"])
def test_a_caught_traceback_belongs_to_its_record(name: str, message: str) -> None:
    text = text_of(f"python/{name}")
    (found,) = events_of(line(message, "ERRO", "ocpp:PyOCPP"), text, line("after"))
    assert (found.kind, found.module_id) == ("error", "ocpp")
    assert found.text.endswith(text.rstrip())
    assert events_of(line(message), text, line("after")) == []


def test_a_traceback_after_a_record_is_its_own() -> None:
    text = text_of("python/import")
    assert kinds(events_of(line("It failed", "ERRO"), text)) == ["error", "script"]
    assert kinds(events_of(line("Config:"), "{}\n", text)) == ["script"]
    boring = line("boring") * (3 * BATCH // len(line("boring")))
    assert kinds(events_of(boring, text)) == ["script"]


# -- Node.js


@pytest.mark.parametrize(
    ("name", "error", "message", "innermost"),
    [
        ("type-error", "TypeError", "Cannot read properties of undefined (reading 'toString')",
         "start at /src/app/a.js:1"),
        ("rejection-cause", "Error", "connect failed", "connect at /src/app/b.js:1"),
        ("require", "Error",
         "Cannot find module './missing-module'\nRequire stack:\n- /src/app/d.js",
         "Module._resolveFilename at node:internal/modules/cjs/loader:1207"),
        ("syntax", "SyntaxError", "Unexpected token ';'",
         "wrapSafe at node:internal/modules/cjs/loader:1464"),
        ("unhandled-event", "Error", "connect ECONNREFUSED 127.0.0.1:1",
         "TCPConnectWrap.afterConnect [as oncomplete] at node:net:1611"),
        ("throw-text", "Error", "text", "/src/app/g.js:1"),
        ("own-type", "ConfigError", "two\nlines", "Timeout._onTimeout at /src/app/h.js:1"),
        ("import", "ERR_MODULE_NOT_FOUND",
         "Cannot find module '/src/app/nope.mjs' imported from /src/app/i.mjs",
         "finalizeResolution at node:internal/modules/esm/resolve:283"),
    ],
)  # fmt: skip
def test_uncaught_errors(name: str, error: str, message: str, innermost: str) -> None:
    found = script(text_of(f"node/{name}"))
    assert (found.language, found.error, found.message) == ("node", error, message)
    assert found.stack[0] == innermost
    assert len(found.stack) <= node.MOST_FRAMES


def test_a_rejected_promise_and_a_full_heap() -> None:
    assert script(text_of("node/rejection-text")).error == "UnhandledPromiseRejection"
    full = script(text_of("node/heap"))
    assert (full.error, full.stack) == ("FATAL ERROR", ())
    assert full.message.endswith("JavaScript heap out of memory")
    assert events_of(text_of("node/abort")) == []


def test_an_error_that_ends_node_red() -> None:
    found = script(
        "22 Nov 07:01:54 - [red] Uncaught Exception:\n"
        "22 Nov 07:01:54 - [error] TypeError: x is not a function\n"
        "    at Node.<anonymous> (/data/node_modules/flow.js:12:5)\n"
        "    at /data/b.js:3:1\n"
    )
    assert (found.error, found.message) == ("TypeError", "x is not a function")
    assert found.stack == ("Node.<anonymous> at /data/node_modules/flow.js:12", "/data/b.js:3")
    assert events_of("22 Nov 07:01:54 - [red] Uncaught Exception:\n\n\n") == []
    assert script("22 Nov 07:01:54 - [red] Uncaught Exception:\nRangeError\n").error == "RangeError"


# -- the kernel


FAULT = (
    "OCPP201[4711]: segfault at 18 ip 000055d0a1b2c3d4 sp 00007ffd12345678 error 6 in OCPP201"
    "[55d0a1b00000+2000]"
)
KILLED = (
    "Out of memory: Killed process 4711 (evse_manager:Ev) total-vm:1234kB, anon-rss:1kB, "
    "file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:40kB oom_score_adj:0"
)
CHOSEN = (
    "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=docker-ab.scope,mems_allowed=0,"
    "oom_memcg=/docker/ab,task_memcg=/docker/ab,task=OCPP201,pid=4711,uid=0"
)


@pytest.mark.parametrize(
    "prefix",
    [
        "",
        "[12345.678901] ",
        "[    5.678901] ",
        "[Sun Nov 22 07:01:54 2026] ",
        "<6>[12345.678901] ",
        "Nov 22 07:01:54 host kernel: ",
        "Nov  2 07:01:54 host kernel: [12345.678901] ",
        "2026-11-22T07:01:54,601116+00:00 ",
        "2026-11-22T07:01:54+00:00 host kernel: ",
        "kernel: ",
    ],
)
@pytest.mark.parametrize(
    ("text", "kind", "name", "detail"),
    [
        (FAULT, "kernel-fault", "OCPP201", "segfault at 18"),
        ("traps: ocpp:OCPP201[4711] general protection fault ip:55 sp:7f error:0 in OCPP201",
         "kernel-fault", "ocpp", "general protection fault"),
        ("traps: app[4711] trap divide error ip:55 sp:7f error:0 in app[55+2]",
         "kernel-fault", "app", "trap divide error"),
        (KILLED, "oom", "evse_manager", "Out of memory"),
        (f"Memory cgroup {KILLED[0].lower()}{KILLED[1:]}", "oom", "evse_manager",
         "Memory cgroup out of memory"),
        (CHOSEN, "oom", "OCPP201", "CONSTRAINT_MEMCG"),
    ],
)  # fmt: skip
def test_the_kernels_log(prefix: str, text: str, kind: str, name: str, detail: str) -> None:
    found = one(f"{prefix}{text}\n")
    assert (found.kind, found.module_id, found.pid) == (kind, name, 4711)
    assert (found.detail or "").removesuffix(" ip") == detail
