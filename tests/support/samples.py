"""Reports for tests: a typical crash, a stack overflow, a hostile one, and almost nothing."""

from evdiag.model.report import (
    Address,
    Container,
    CoreFile,
    CxxException,
    Fold,
    Frame,
    Instruction,
    LogExcerpt,
    Module,
    Process,
    Provenance,
    Redacted,
    Report,
    Sibling,
    Signal,
    Signature,
    SoftError,
    SourceLine,
    Thread,
    TimelineEvent,
    Tool,
    Verdict,
)
from tests.support.sample_threads import (
    BUILD_ID,
    EXECUTABLE,
    FRAMEWORK,
    LIBC,
    LIBSTDCXX,
    SOURCES,
    STRING,
    app,
    booking_thread,
    crashed_thread,
    other_threads,
    system,
    var,
)


def registers() -> dict[str, Address]:
    """Those of the crashed thread."""
    names = ("rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", *(f"r{n}" for n in range(8, 16)))
    values = {name: Address(0x7FFD_1200_0000 + 0x1234 * i) for i, name in enumerate(names)}
    return {"rax": Address(0), **values, "rip": Address(0x55D01C401000), "eflags": Address(0x10246)}


def modules() -> tuple[Module, ...]:
    """The executable and its libraries, two of them without symbols."""
    states = {
        EXECUTABLE: "full",
        FRAMEWORK: "full",
        "/usr/lib/x86_64-linux-gnu/libmosquitto.so.1": "missing",
        LIBSTDCXX: "names",
        LIBC: "full",
        "/opt/everest/lib/a/very/long/path/that/nobody/reads/libevse_security.so": "mismatched",
    }
    return tuple(
        Module(
            path=path,
            base=Address(0x7F3A_2200_0000 + i * 0x40_0000),
            end=Address(0x7F3A_2220_0000 + i * 0x40_0000),
            build_id=f"{0xA1B2C3D4E5F6 + i * 0x1111_1111:040x}"[::-1],
            symbols=symbols,
        )
        for i, (path, symbols) in enumerate(states.items())
    )


NULL_POINTER = Verdict(
    cls="null-write",
    rule="null-pointer",
    confidence="high",
    summary="The program wrote 4 bytes through a null pointer, at offset 8 of an object.",
    evidence=(
        "SIGSEGV (SEGV_MAPERR) at 0x8",
        "mov dword ptr [rax + 8], ecx, with rax = 0x0",
        "address 0x8 is below the first mapped page",
    ),
    advice=(
        "Look at where `connector` at Charger.cpp:431 comes from: it is null.",
        "Share it: evdiag backtrace core.4121 --format markdown -o issue.md",
    ),
    frame=0,
)
SIGNATURE = Signature(
    text="sig:v1: EvseManager | null-write | module::Charger::set_state |"
    " module::Charger::start_charging",
    hash="6b1d2a9f",
    version="v1",
    address=f"{BUILD_ID}+0x1000",
)
SEGMENTATION_FAULT = Signal(
    number=11,
    name="SIGSEGV",
    code=1,
    code_name="SEGV_MAPERR",
    fault_address=Address(8),
    access="write",
    instruction="mov dword ptr [rax + 8], ecx",
)
EVSE_MANAGER = Process(
    executable=EXECUTABLE,
    argv=("evse_manager_1:EvseManager", "--prefix", "/opt/everest"),
    pid=4121,
    module_id="evse_manager_1",
    module_type="EvseManager",
    build_id=BUILD_ID,
    crashed_at="2026-11-22 03:12:44 UTC",
)
INSTRUCTIONS = (
    Instruction(address=Address(0x55D0_1C40_0FF8), text="mov rax, qword ptr [rbp - 0x18]"),
    Instruction(address=Address(0x55D0_1C40_1000), text="mov dword ptr [rax + 8], ecx"),
    Instruction(address=Address(0x55D0_1C40_1003), text="mov rdi, rbx"),
)
SIBLINGS = (
    Sibling(module_id="evse_manager_1", pid=4121, status="SIGSEGV", role="first_fault"),
    Sibling(module_id="ocpp", pid=4130, status="SIGTERM", role="taken_down"),
    Sibling(module_id="api", pid=4133, status="SIGTERM", role="taken_down"),
)
LOG = LogExcerpt(
    source="evse_manager_1",
    lines=(
        "03:12:43.871 [INFO] evse_manager_1:EvseManager :: EVSE IEC Session Started",
        "03:12:44.002 [WARN] evse_manager_1:EvseManager :: no connector 1001",
    ),
)
MESSAGE = TimelineEvent(
    time="03:12:43.990", kind="OCPP", text='→ [2,"19","RequestStartTransaction",…]'
)
NO_SYMBOLS = SoftError(
    stage="symbols",
    message="2 of 6 modules have no usable symbols (libmosquitto.so.1, libevse_security.so)",
    effect="their frames have no names",
    hint="Give their files with --sysroot DIR.",
)


def null_write() -> Report:
    """A module of EVerest that wrote through a null pointer, with fourteen threads."""
    return Report(
        tool=Tool(version="0.1.0"),
        created="2026-11-22T09:15:00Z",
        title="evse_manager_1 (EvseManager): null-write in module::Charger::set_state",
        verdict=NULL_POINTER,
        signature=SIGNATURE,
        signal=SEGMENTATION_FAULT,
        process=EVSE_MANAGER,
        threads=(crashed_thread(), *other_threads()),
        modules=modules(),
        registers=registers(),
        disassembly=INSTRUCTIONS,
        siblings=SIBLINGS,
        container=Container(image="everest-demo:2026.10", exit_code=139),
        logs=(LOG,),
        timeline=(MESSAGE,),
        core=CoreFile(path="core.4121", bytes=48_234_496),
        soft_errors=(NO_SYMBOLS,),
        provenance=Provenance(rung="native", timings={"core": 0.004, "stacks": 0.031}),
    )


def values() -> Report:
    """A null object whose member was written, with what a gdb said about the variables."""
    asked = app(
        2,
        "module::Timer::wait(int)",
        "/workspace/charger/timer.cpp",
        12,
        args=(var("milliseconds", "int", "500"),),
    )
    waiting = Thread(
        number=2, lwp=4128, role="timer", frames=(system(0, "__futex_wait"), system(1, None), asked)
    )
    return Report(
        tool=Tool(version="0.1.0"),
        title="evse_manager (EvseManager): null-write in charging::Session::book_energy",
        verdict=Verdict(
            cls="null-write",
            summary="wrote to address 0x18: a null pointer plus an offset of 0x18 (rax is 0)",
            evidence=("SIGSEGV, address not mapped (SEGV_MAPERR) at 0x18",),
            advice=("Find out in the first frame of your own code why the pointer is null.",),
            frame=0,
        ),
        threads=(booking_thread(), waiting),
        core=CoreFile(path="core.4127", bytes=4_800_000),
        provenance=Provenance(gdb="13.1", rung="native+gdb", timings={"gdb": 1.2}),
    )


DEPTH = "station::Tree::depth(station::Node const*) const"
OVERFLOWN = Thread(
    number=1,
    lwp=900,
    crashed=True,
    frames=(
        app(0, DEPTH, "/src/tree.cpp", 21),
        app(1, "station::Node::depth() const", "/src/tree.cpp", 33),
        app(
            2,
            "station::Tree::depth(station::Node const*) const",
            "/src/tree.cpp",
            24,
            kind="inline",
        ),
        app(3, "station::walk(station::Tree const&)", "/src/tree.cpp", 25),
        app(78_541, "station::check(station::Tree const&)", "/src/check.cpp", 80),
        app(78_542, "main", "/src/main.cpp", 12),
        system(78_543, "__libc_start_call_main"),
    ),
    folds=(Fold(level=1, period=2, count=26_180),),
)


def overflow() -> Report:
    """A stack overflow: two functions that call each other for ever."""
    return Report(
        verdict=Verdict(
            cls="stack-overflow",
            confidence="medium",
            summary="The stack is full: two functions call each other without end.",
            evidence=(
                "the fault address 0x7ffc1a2b3ff8 is in the guard page below the stack",
                "the stack is 8 MB deep",
            ),
        ),
        signal=Signal(number=11, name="SIGSEGV", code=2, adjusted_address=Address(0x7FFC1A2B3FF8)),
        process=Process(executable="/usr/bin/station", pid=900),
        threads=(OVERFLOWN,),
        soft_errors=tuple(
            SoftError(stage="core", message=f"note number {number}") for number in range(1, 5)
        ),
    )


def abort() -> Report:
    """An uncaught exception: the frame that matters is below eight of the C and C++ libraries."""
    names = (
        "__pthread_kill_implementation",
        "__GI_raise",
        "__GI_abort",
    )
    cxx = (
        "__gnu_cxx::__verbose_terminate_handler()",
        "__cxxabiv1::__terminate(void (*)())",
        "std::terminate()",
        "__cxa_throw",
        "std::__throw_out_of_range_fmt(char const*, ...)",
    )
    frames = (
        *(system(level, name) for level, name in enumerate(names)),
        *(system(level, name, LIBSTDCXX) for level, name in enumerate(cxx, start=3)),
        app(8, f"module::Config::get({STRING} const&) const", f"{SOURCES}/Config.cpp", 70),
        app(9, "module::EvseManager::init()", f"{SOURCES}/EvseManager.cpp", 101),
        app(10, "main", f"{SOURCES}/generated/ld-ev.cpp", 377),
        system(11, "__libc_start_call_main"),
    )
    return Report(
        verdict=Verdict(
            cls="uncaught-exception",
            summary="An exception of type std::out_of_range was thrown and nobody caught it.",
            evidence=tuple(f"fact {number}" for number in range(1, 8)),
            advice=tuple(f"step {number}" for number in range(1, 6)),
            frame=8,
        ),
        abort_message="terminate called after throwing an instance of 'std::out_of_range'",
        exception=CxxException(type="std::out_of_range", what="map::at"),
        signal=Signal(number=6, name="SIGABRT"),
        process=Process(executable=EXECUTABLE),
        threads=(Thread(number=1, crashed=True, frames=frames),),
    )


HOSTILE = (
    "\x1b]0;owned\x07\x1b[31mred\x1b[0m [red]markup[/red] <script>alert(1)</script>"
    " ``` ~~~ `x` </details> @everyone #1 https://evil.example"
    " \u202egnp.exe \u200b| a | b |\r\n# no"
)


def hostile_thread() -> Thread:
    """One frame with hostile texts, one with wide characters, one without a name."""
    frame = Frame(
        level=0,
        kind="inline",
        pc=Address(0x41414141),
        function=f"fn<{HOSTILE}>({HOSTILE})",
        file=f"/src/{HOSTILE}",
        line=1,
        module=f"/lib/{HOSTILE}",
        in_app=True,
        source=(SourceLine(number=1, text=f"\tint x; // {HOSTILE} ````````", current=True),),
        args=(
            var("x", HOSTILE, HOSTILE),
            var(HOSTILE, HOSTILE, None, problem=HOSTILE),
            var("名", "名前" * 90, "名前" * 900),
        ),
        locals=(
            var("*x", HOSTILE * 50, f"{HOSTILE}{'(' * 5000}", problem=HOSTILE),
            *(var(f"v{n}", "{<(", "{" * 90) for n in range(300)),
        ),
    )
    nameless = Frame(level=1, module="名" * 200, offset=Address(1), pc=Address(2))
    wide = Frame(level=2, function="名前" * 150, file="名" * 90, line=2)
    return Thread(
        number=1,
        role=HOSTILE,
        crashed=True,
        frames=(frame, nameless, wide),
        gdb_frames=(frame, wide),
        ended=HOSTILE,
        state=HOSTILE,
    )


def hostile() -> Report:
    """A report in which every text out of the process tries to do harm."""
    thread = hostile_thread()
    return Report(
        title=HOSTILE,
        created=HOSTILE,
        verdict=Verdict(
            cls="assert",
            summary=HOSTILE,
            confidence=HOSTILE,
            evidence=(HOSTILE, "# heading", "1. item", "- item", "x" * 5000),
            advice=(HOSTILE, "A_*_B"),
        ),
        signature=Signature(text=HOSTILE),
        signal=Signal(name=HOSTILE, code_name=HOSTILE),
        abort_message=HOSTILE,
        exception=CxxException(type=HOSTILE, what=HOSTILE),
        process=Process(
            executable=HOSTILE,
            argv=("A" * 1_000_000, "\x00" * 1_000_000, *[HOSTILE] * 500),
            module_id=HOSTILE,
            crashed_at="\udc80\ud800",
        ),
        threads=(thread, Thread(number=2, role=HOSTILE, frames=thread.frames[:1])),
        modules=(Module(path=HOSTILE, build_id=HOSTILE, symbols=HOSTILE),),
        registers={HOSTILE: Address(1)},
        disassembly=(Instruction(address=Address(1), text=HOSTILE),),
        siblings=(Sibling(module_id=HOSTILE, status=HOSTILE, role="first_fault"),),
        container=Container(image=HOSTILE, labels={HOSTILE: HOSTILE}),
        logs=(LogExcerpt(source=HOSTILE, lines=(f"\t{HOSTILE}",)),),
        timeline=(TimelineEvent(time=HOSTILE, kind=HOSTILE, text=HOSTILE),),
        core=CoreFile(path=HOSTILE),
        soft_errors=(SoftError(stage=HOSTILE, message=HOSTILE, effect=HOSTILE, hint=HOSTILE),),
        provenance=Provenance(gdb=HOSTILE, rung=HOSTILE, redaction=Redacted(secrets={HOSTILE: 2})),
    )


def empty() -> Report:
    """A report about a core that said nothing."""
    return Report()


ALL = {
    "null_write": null_write,
    "values": values,
    "overflow": overflow,
    "abort": abort,
    "hostile": hostile,
    "empty": empty,
}
