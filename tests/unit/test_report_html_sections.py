"""What the sections of the HTML report say."""

import msgspec
import pytest

from evdiag.model.report import (
    Address,
    Assertion,
    Build,
    Container,
    CoreFile,
    CxxException,
    DeadlockMember,
    Frame,
    Instruction,
    LogExcerpt,
    Module,
    Process,
    Provenance,
    Report,
    Sibling,
    Signal,
    Signature,
    SoftError,
    SourceLine,
    Thread,
    TimelineEvent,
    Verdict,
)
from evdiag.report.html import facts, sections
from tests.support import samples
from tests.support.html_page import has, section
from tests.support.sample_threads import app, crashed, line, system, var

# ---------------------------------------------------------------- verdict


def test_a_verdict() -> None:
    report = Report(
        verdict=Verdict(
            cls="assert",
            confidence="low",
            summary="`x < 1` is not true",
            evidence=("the log has `x`",),
            advice=("Look at `x`.",),
        ),
        signature=Signature(text="sig:v1: a", hash="12"),
        soft_errors=(SoftError(stage="s", message="m"),) * 2,
    )
    found = section(report, "verdict")
    assert found.words() == (
        "Verdict assert confidence: low x < 1 is not true Evidence the log has x Next steps"
        " Look at x. Signature sig:v1: a 12 Copy 2 notes on what is missing in this report"
    )
    assert found.values("data-copy") == ["signature"]
    assert "answer" in found.values("class")
    one = msgspec.structs.replace(report, soft_errors=report.soft_errors[:1])
    assert "1 note on" in section(one, "verdict").text


def test_a_verdict_that_is_no_alarm() -> None:
    found = section(Report(verdict=Verdict(cls="snapshot", confidence="high")), "verdict")
    assert "answer calm" in found.values("class")
    assert "Evidence" not in found.text
    assert "Signature" not in found.text


def test_the_address_stands_in_for_a_missing_signature() -> None:
    assert "ab+0x1" in section(Report(signature=Signature(address="ab+0x1")), "verdict").text
    assert "Signature" not in section(Report(signature=Signature()), "verdict").text


# ---------------------------------------------------------------- the line of the crash


def test_source_and_values_stand_beside_each_other() -> None:
    frame = app(
        0,
        "f(int)",
        "/src/f.cpp",
        2,
        source=line("x = y;"),
        args=(var("y", "int *", "0x0"), var("z", "int", "1")),
        locals=(var("gone", "int", "<optimized out>"),),
    )
    report = crashed(frame, provenance=Provenance(gdb="13.1"))
    words = section(report, "crash").words()
    assert "/src/f.cpp:2 in f(int)" in words
    assert "x = y; (current line)" in words
    assert "Named in this line Name Value Type y 0x0 null int *" in words
    assert "Other values of this frame Name Value Type z 1 int optimized out: gone" in words
    assert "Values as gdb 13.1 prints them." in words


def test_values_without_a_source_line_are_arguments() -> None:
    frame = Frame(level=0, kind="inline", function="f", args=(var("y", "int", "1"),))
    words = section(crashed(frame), "crash").words()
    assert "f inlined Arguments Name Value Type y 1 int" in words
    assert "prints them" not in words


def test_nothing_is_said_of_a_frame_of_which_nothing_is_known() -> None:
    assert not has(crashed(Frame(level=0, module="/lib/x.so")), "crash")
    assert has(crashed(Frame(level=0, file="/x.c")), "crash")
    assert has(crashed(Frame(level=0, source=line("x"))), "crash")
    assert has(crashed(Frame(level=0, locals=(var("x", "int", "1"),))), "crash")


# ---------------------------------------------------------------- last words


def test_last_words() -> None:
    report = Report(
        abort_message="it is over",
        assertion=Assertion(expression="a > b", file="/a.cpp", line=3, function="f(int)"),
        exception=CxxException(
            type="my::Error",
            what="bad",
            role="uncaught",
            address=Address(16),
            bases=("std::runtime_error", "std::exception"),
            fields=(var("code", "int", "7"),),
        ),
        other_exceptions=(CxxException(),),
    )
    assert section(report, "said").words() == (
        "Last words Abort message it is over Assertion expression a > b at /a.cpp:3 in f(int)"
        " Exception uncaught my::Error bad Members Name Value Type code 7 int"
        " bases std::runtime_error, std::exception address 0x10"
        " Another exception unknown type"
    )


def test_parts_of_last_words() -> None:
    assert not has(Report(), "said")
    words = section(Report(assertion=Assertion(expression="a")), "said").words()
    assert words == "Last words Assertion expression a"
    words = section(Report(assertion=Assertion(file="/a.cpp")), "said").words()
    assert words == "Last words Assertion at /a.cpp"
    many = (CxxException(type="E"),) * (sections.MOST_EXCEPTIONS + 1)
    words = section(Report(other_exceptions=many), "said").words()
    assert words.endswith("E … 1 more exception in the JSON report")


# ---------------------------------------------------------------- processes


def test_the_processes_that_ended() -> None:
    report = Report(
        process=Process(pid=4),
        siblings=(
            Sibling(module_id="ocpp", pid=3, role="first_fault", status="SIGSEGV", cls="null-read"),
            Sibling(pid=4, role="taken_down", summary="it fell", core="core.4"),
            Sibling(module_id="x", role="odd"),
            Sibling(),
        ),
    )
    found = section(report, "processes")
    assert found.words() == (
        "4 processes ended Role Process Pid How it ended"
        " died first ocpp 3 SIGSEGV, null-read"
        " taken down ? this report 4 it fell core.4 odd x ?"
    )
    assert found.values("class").count("own") == 1
    assert {"role alarm", "role warning", "role plain"} <= set(found.values("class"))
    assert not has(msgspec.structs.replace(report, siblings=report.siblings[:1]), "processes")


def test_not_all_of_thousands_of_processes() -> None:
    most = sections.MOST_PROCESSES
    found = section(Report(siblings=(Sibling(pid=1),) * (most + 1500)), "processes")
    assert found.elements["tr"] == most + 1
    assert "… 1,500 more" in found.text
    assert "scroll tall" in found.values("class")


# ---------------------------------------------------------------- deadlocks


def test_a_circle_of_waits() -> None:
    own = app(1, "module::lock()", "/src/a.cpp", 4)
    threads = (Thread(number=1, lwp=11, crashed=True, frames=(system(0, "wait"), own)),)
    circle = (DeadlockMember(thread=1, lwp=11), DeadlockMember(lwp=12))
    report = Report(threads=threads, deadlock=circle)
    found = section(report, "waits")
    words = found.words()
    assert "#1 (LWP 11) whole stack 1 module::lock()" in words
    assert words.endswith("LWP 12")
    assert found.values("href") == ["#thread-1"]
    many = msgspec.structs.replace(report, deadlock=circle * sections.MOST_IN_CIRCLE)
    assert "… 100 more threads in the circle" in section(many, "waits").words()


# ---------------------------------------------------------------- what led to it


def test_events_have_times_by_the_crash_and_by_the_clock() -> None:
    report = Report(
        timeline=(
            TimelineEvent(time="2026-11-22 03:12:43.990 UTC", offset=-1.5, kind="ocpp", text="Boot",
                          direction="to_csms", module="ocpp", source="ocpp.log"),
            TimelineEvent(time="03:12:44.1", text="no offset", kind="log"),
            TimelineEvent(offset=0.0, kind="crash", text="it died", current=True),
        )
    )  # fmt: skip
    found = section(report, "timeline")
    words = found.words()
    assert "-1.500 s → CSMS Boot ocpp · ocpp.log 03:12:43.990" in words
    assert words.count("03:12:44.1") == 1
    assert found.values("class").count("own") == 1
    assert not has(Report(), "timeline")


def test_not_all_of_thousands_of_events() -> None:
    events = tuple(TimelineEvent(text=f"event {n}", offset=float(n)) for n in range(5000))
    found = section(Report(timeline=events), "timeline")
    assert found.elements["tr"] == sections.MOST_EVENTS * 3 // 4 + 1
    assert "… 4,700 more are in the JSON report" in found.text


def test_logs() -> None:
    logs = (LogExcerpt(source="a", lines=("1 <b>", "2")), LogExcerpt(source="empty"),
            LogExcerpt(source="c", lines=("3",)))  # fmt: skip
    found = section(Report(logs=logs), "logs")
    assert found.words() == "Logs a 2 lines 1 <b> 2 c 1 line 3"
    assert "1 <b>\n2" in found.text
    assert found.values("open") == [""]
    assert not has(Report(logs=logs[1:2]), "logs")


# ---------------------------------------------------------------- the process


def test_modules_without_symbols_come_first() -> None:
    found = section(samples.null_write(), "modules")
    words = found.words()
    assert "2 without usable symbols" in words
    assert words.index("libevse_security.so") < words.index("libframework.so")
    assert "0x7f3a22000000 – 0x7f3a22200000" in words
    assert {"role good", "role warning"} <= set(found.values("class"))
    bare = section(Report(modules=(Module(symbols="full", base=Address(1)),)), "modules").words()
    assert "full ? 0x1" in bare
    assert "without usable" not in bare
    many = section(Report(modules=(Module(),) * (facts.MOST_MODULES + 2)), "modules")
    assert "… 2 more modules in the JSON report" in many.text


def test_registers_and_instructions() -> None:
    report = msgspec.structs.replace(
        samples.null_write(),
        disassembly=(
            Instruction(address=Address(1), text="nop"),
            Instruction(address=Address(0x55D01C401000), text="ud2"),
        ),
    )
    found = section(report, "machine")
    words = found.words()
    assert "signal SIGSEGV (SEGV_MAPERR) at 0x8, number 11 access write" in words
    assert words.index("rip") < words.index("r8")
    assert "0x1 nop 0x55d01c401000 ud2 (here)" in words
    assert not has(Report(), "machine")
    assert "nop" in section(Report(disassembly=report.disassembly), "machine").text
    stackless = Report(disassembly=report.disassembly, threads=(Thread(number=1, crashed=True),))
    assert "(here)" not in section(stackless, "machine").text


@pytest.mark.parametrize(
    ("signal", "words"),
    [
        (Signal(name="SIGQUIT", sender_pid=7, sender_uid=0), "sent by process 7 of user 0"),
        (Signal(name="SIGQUIT", sender_pid=7), "sent by process 7"),
        (Signal(name="SIGQUIT"), "signal SIGQUIT"),
    ],
)
def test_who_sent_the_signal(signal: Signal, words: str) -> None:
    assert section(Report(signal=signal), "machine").words().endswith(words)


# ---------------------------------------------------------------- where the report is from


def test_what_went_wrong_while_the_report_was_made() -> None:
    errors = (
        SoftError(stage="gdb", message="no `gdb`", effect="no values", hint="Install `gdb`."),
        *(SoftError(stage="core", message="cut"),) * facts.MOST_NOTES,
    )
    words = section(Report(soft_errors=errors), "notes").words()
    assert "no gdb: no values gdb Install gdb. cut core cut core" in words
    assert "… 1 more note in the JSON report" in words
    assert not has(Report(), "notes")


def test_where_a_report_is_from() -> None:
    report = Report(
        process=Process(
            executable="/bin/x y", argv=("x y", "-a"), pid=3, build_id="ab", started="one"
        ),
        container=Container(
            image="i:1",
            digest="sha256:1",
            state="exited",
            exit_code=0,
            oom_kills=2,
            environment={"OCPP_ID": "cp1"},
            labels={"l": "v"},
            build=Build(commit="c" * 40, modules=("A", "B")),
        ),
        core=CoreFile(sha256="ff", truncated=True),
        provenance=Provenance(timings={"gdb": 1.25}),
    )
    words = section(report, "origin").words()
    assert "executable /bin/x y command line 'x y' -a process id 3 build-id ab started one" in words
    assert "exit code 0 out of memory 2 kills by the kernel variables OCPP_ID=cp1" in words
    assert f"labels l=v built from {'c' * 40} modules built A, B" in words
    assert words.endswith("SHA-256 ff truncated yes CPU time gdb 1.250 s")


@pytest.mark.parametrize(
    ("killed", "kills", "words"),
    [(True, None, "says the engine"), (False, 0, ""), (None, 1, "1 kill by the kernel")],
)
def test_out_of_memory(killed: bool | None, kills: int | None, words: str) -> None:
    container = Container(image="i", oom_killed=killed, oom_kills=kills)
    text = section(Report(container=container), "origin").words()
    assert ("out of memory" in text) == bool(words)
    assert words in text


def test_the_current_line_is_told_to_those_who_do_not_see_it() -> None:
    source = (SourceLine(number=9, text="a();"), SourceLine(number=10, text="b();", current=True))
    found = section(crashed(app(0, "f", "/f.c", 10, source=source)), "crash")
    assert found.words().count("b(); (current line)") == 1
    assert "a(); (current line)" not in found.words()
