"""Frames and threads for the sample reports: a module of EVerest with fourteen threads."""

from evdiag.model.report import Address, Frame, Report, SourceLine, Thread, Variable

EXECUTABLE = "/opt/everest/libexec/everest/modules/EvseManager/EvseManager"
FRAMEWORK = "/opt/everest/lib/libframework.so"
LIBC = "/usr/lib/x86_64-linux-gnu/libc.so.6"
LIBSTDCXX = "/usr/lib/x86_64-linux-gnu/libstdc++.so.6.0.30"
SOURCES = "/ext/source/everest-core/modules/EVSE/EvseManager"
BUILD_ID = "8c1f0a6f1f2b44d0a1c93e1f6ad0b8d2c7735a10"

STRING = "std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >"
LAMBDA = f"module::EvseManager::ready()::{{lambda({STRING} const&)#4}}"


def app(
    level: int, function: str, file: str | None, line: int | None = None, **more: object
) -> Frame:
    """A frame of the application."""
    fields: dict[str, object] = {
        "pc": Address(0x55D0_1C40_1000 + 0x40 * level),
        "module": EXECUTABLE,
        "offset": Address(0x1000 + 0x40 * level),
        "build_id": BUILD_ID,
        "in_app": True,
        "trust": "context" if level == 0 else "cfi",
    }
    return Frame(level=level, function=function, file=file, line=line, **{**fields, **more})  # type: ignore[arg-type]


def system(level: int, function: str | None, module: str = LIBC, **more: object) -> Frame:
    """A frame of a library that is not the application's."""
    fields: dict[str, object] = {
        "pc": Address(0x7F3A_2200_0000 + 0x90 * level),
        "module": module,
        "offset": Address(0x89000 + 0x90 * level),
        "trust": "cfi",
    }
    return Frame(level=level, function=function, **{**fields, **more})  # type: ignore[arg-type]


def thread_start(level: int) -> tuple[Frame, ...]:
    """The outermost frames of a C++ thread."""
    invoker = f"std::thread::_Invoker<std::tuple<{LAMBDA}> >"
    return (
        system(
            level,
            f"std::thread::_State_impl<{invoker} >::_M_run()",
            EXECUTABLE,
            file="/usr/include/c++/12/bits/std_thread.h",
            line=210,
        ),
        system(level + 1, "execute_native_thread_routine", LIBSTDCXX),
        system(level + 2, "start_thread", file="./nptl/pthread_create.c", line=442),
        system(level + 3, "__clone3", file="../sysdeps/unix/sysv/linux/x86_64/clone3.S", line=81),
    )


def source() -> tuple[SourceLine, ...]:
    """The lines around the crash."""
    texts = (
        "void Charger::set_state(Connector* connector, ConnectorState state) {",
        '    EVLOG_debug << "state of connector";',
        "    std::scoped_lock lock(state_mutex);",
        "    connector->state = state;",
        "    signal_state(state);",
        "}",
        "",
    )
    return tuple(
        SourceLine(number=428 + i, text=text, current=i == 3) for i, text in enumerate(texts)
    )


# With a name of more than five hundred characters, as std::function and friends make them.
HANDLER = (
    f"std::_Function_handler<void ({STRING} const&, {STRING} const&), {LAMBDA}>"
    f"::_M_invoke(std::_Any_data const&, {STRING} const&, {STRING} const&)"
)
SIGNAL = (
    "sigslot::signal_base<sigslot::detail::null_mutex, types::evse_manager::StartSession,"
    " nlohmann::json_abi_v3_11_2::basic_json<std::map, std::vector> >"
    "::operator()(types::evse_manager::StartSession const&)"
)
SET_STATE = "module::Charger::set_state(module::Connector*, module::ConnectorState)"
START = "module::Charger::start_charging(int, types::authorization::ProvidedIdToken const&)"
HANDLE = f"module::evse::evse_managerImpl::handle_start_session({STRING} const&, int)"
WORKER = f"Everest::MessageHandler::run_operation_message_worker(Function<void ({STRING})>)"
SIGSLOT = "/ext/cache/cpm/sigslot/include/sigslot/signal.hpp"
MESSAGES = "/ext/source/everest-framework/lib/message_handler.cpp"
CXX = "/usr/include/c++/12/bits"


def crashed_thread() -> Thread:
    """Eleven frames: two inlined, some of the standard library, one with an endless name."""
    frames = (
        app(0, SET_STATE, f"{SOURCES}/Charger.cpp", 431, kind="inline", source=source()),
        app(1, START, f"{SOURCES}/Charger.cpp", 512),
        app(2, f"{LAMBDA}::operator()({STRING} const&) const", f"{SOURCES}/EvseManager.cpp", 1207),
        system(3, HANDLER, EXECUTABLE, file=f"{CXX}/std_function.h", line=290),
        app(4, SIGNAL, SIGSLOT, 1355, kind="inline"),
        app(5, HANDLE, f"{SOURCES}/evse/evse_managerImpl.cpp", 88),
        app(6, WORKER, MESSAGES, 143, module=FRAMEWORK),
        *thread_start(7),
    )
    return Thread(number=7, lwp=4127, role="message worker", crashed=True, frames=frames)


def waiting_thread(number: int, role: str | None, group: int, *middle: Frame) -> Thread:
    """A thread that waits for a condition variable."""
    frames = (
        system(
            0,
            "__futex_abstimed_wait_common",
            file="./nptl/futex-internal.c",
            line=57,
        ),
        system(1, "pthread_cond_wait@@GLIBC_2.3.2", file="./nptl/pthread_cond_wait.c", line=503),
        system(2, "std::condition_variable::wait(std::unique_lock<std::mutex>&)", LIBSTDCXX),
        *middle,
        *thread_start(3 + len(middle)),
    )
    return Thread(
        number=number, lwp=4120 + number, role=role, state="waiting", group=group, frames=frames
    )


def main_thread() -> Thread:
    """The thread that waits for messages of the broker, with a frame without symbols."""
    loop = "Everest::MQTTAbstraction::spawn_main_loop_thread()"
    file = "/ext/source/everest-framework/lib/mqtt_abstraction.cpp"
    frames = (
        system(0, "__GI___poll", file="../sysdeps/unix/sysv/linux/poll.c", line=29),
        system(1, None, "/usr/lib/x86_64-linux-gnu/libmosquitto.so.1"),
        app(2, loop, file, 402, module=FRAMEWORK),
        app(3, "main", f"{SOURCES}/generated/ld-ev.cpp", 377),
        system(4, "__libc_start_main_impl", file="../csu/libc-start.c", line=360),
        system(5, "_start", EXECUTABLE),
    )
    return Thread(number=1, lwp=4121, role="main", state="waiting", group=1, frames=frames)


def idle_thread(number: int) -> Thread:
    """A thread without any frame of the application."""
    frames = (system(0, "epoll_wait"), *thread_start(1))
    return Thread(number=number, lwp=4120 + number, state="waiting", group=5, frames=frames)


def other_threads() -> tuple[Thread, ...]:
    """Thirteen threads in seven stacks; four are workers of one pool, four idle."""
    wait = "Everest::MessageQueue::wait_for_message(std::chrono::duration<long, std::milli>)"
    file = "/ext/source/everest-framework/lib/message_queue.cpp"
    queue = app(3, wait, file, 61, module=FRAMEWORK)
    pool = app(3, "module::ThreadPool::work()", f"{SOURCES}/ThreadPool.cpp", 40)
    return (
        main_thread(),
        *(waiting_thread(number, "worker", 2, pool) for number in (2, 3, 5, 6)),
        waiting_thread(4, "mqtt", 3, queue),
        waiting_thread(8, None, 4),
        waiting_thread(9, "timer", 6, app(3, "module::Timer::wait()", None)),
        *(idle_thread(number) for number in (10, 11, 12, 13)),
        Thread(number=14, lwp=4134, ended="the stack memory is not in the core"),
    )


# ---------------------------------------------------------------- with the values of a gdb


def var(name: str, kind: str | None = None, value: str | None = None, **more: str) -> Variable:
    """A variable."""
    return Variable(name=name, type=kind, value=value, **more)


METER = "const charging::MeterReading &"
READING = "{connector = 2, energy_wh = 1250, power_w = 8000}"
LOST = "<optimized out>"
LEDGER = (
    "{sessions_ = std::map with 1 element = {[1] = std::unique_ptr<charging::Session> = "
    "{get() = 0x55a8ffc0b3b0}}, name_ = "
    '"ledger of the charging station in the car park below the town hall", opened_ = '
    "{__d = {__r = 1795317164000000000}}, limits_ = std::vector of length 6, capacity 8 = "
    "{16, 32, 63, 80, 125, 200}, mutex_ = {<std::__mutex_base> = {_M_mutex = {__data = "
    "{__lock = 1, __count = 0, __owner = 4127, __nusers = 1, __kind = 0}}}, <No data fields>}}"
)
CHARGING = "/workspace/charger"


def booking_source() -> tuple[SourceLine, ...]:
    """The lines around an assignment to a member of no object."""
    texts = (
        "    // With a null session the fault is in a frame that is no real call.",
        "    INLINED void book_energy(double value) {",
        "        energy_wh = value;",
        "    }",
        "};",
    )
    return tuple(
        SourceLine(number=27 + i, text=text, current=i == 2) for i, text in enumerate(texts)
    )


def booking_frames() -> tuple[Frame, ...]:
    """Frames with arguments and locals as a gdb gives them, good ones and bad ones."""
    booking = "charging::(anonymous namespace)::EnergyBooking<charging::SessionLedger>"
    closure = var("__closure", "const struct {...} * const", "0x7f66ea30e9e0")
    return (
        app(
            0,
            "charging::Session::book_energy(double)",
            f"{CHARGING}/charging.hpp",
            29,
            kind="inline",
            source=booking_source(),
            args=(var("this", "charging::Session * const", "0x0"), var("value", "double", "1250")),
        ),
        app(
            1,
            "operator()",
            f"{CHARGING}/crash_memory.cpp",
            60,
            kind="inline",
            args=(closure, var("session", "charging::Session *", "0x0")),
            locals=(var("reading", METER, f"@0x7f66ea30ea10: {READING}"),),
        ),
        app(
            2,
            f"{booking}::book(charging::MeterReading const&, {STRING} const&)",
            f"{CHARGING}/crash_memory.cpp",
            59,
            args=(
                var("this", f"const {booking} * const", "0x7f66ea30ea08"),
                var("reading", METER, f"@0x7f66ea30ea10: {READING}"),
                var("token", f"const {STRING} &", '"DEADBEEF"'),
            ),
            locals=(
                var("ledger", "charging::SessionLedger", LEDGER),
                var("connector", "int", LOST),
                var("limits", "std::vector<int, std::allocator<int> >",
                    "std::vector of length -3, capacity 49 = {0, 0, 21}"),
                var("owner", "charging::Owner *", "0x4141414141414141"),
                var("*owner", "charging::Owner", problem="Cannot access memory"),
                var("label", "const char *", '0x55a8dc9b2f40 "energy"'),
                var("index", None, None, problem="took longer than 4 s"),
                var("dump", f"{STRING}", '"' + "0a" * 300, problem="cut after 601 characters"),
                *(var(f"phase_{n}", "float", f"{229 + n}.5") for n in range(6)),
            ),
        ),
        app(3, "chain::update(charging::MeterReading const&)", f"{CHARGING}/chain.cpp", 116,
            args=(var("reading", METER, LOST),), locals=(var("next", "int", LOST),)),
        system(4, "std::__invoke<void (*)()>(void (*&&)())", EXECUTABLE, file=f"{CXX}/invoke.h",
               line=96, args=(var("__fn", "void (*&&)()", LOST),)),
        system(5, "std::function<void ()>::operator()() const", EXECUTABLE,
               file=f"{CXX}/std_function.h", line=591,
               args=(var("this", "const std::function<void ()> * const", "0x0"),),
               locals=tuple(var(f"__x{n}", "int", f"{n}") for n in range(5))),
        app(6, "module::run(int, char const*)", f"{CHARGING}/module.cpp", 77,
            args=(var("attempt", "int", "3"), var("name", "char *", '0x55a8dc9b2f40 "evse"'))),
        *thread_start(7),
    )  # fmt: skip


def booking_thread() -> Thread:
    """The thread that gdb was asked about; it sees one frame less."""
    frames = booking_frames()
    return Thread(
        number=1,
        lwp=4127,
        role="message worker",
        crashed=True,
        frames=frames,
        gdb_frames=(*frames[:3], *frames[6:8]),
    )


def crashed(*frames: Frame, **more: object) -> Report:
    thread = Thread(number=1, crashed=True, frames=frames)
    return Report(threads=(thread,), **more)  # type: ignore[arg-type]


def line(text: str) -> tuple[SourceLine, ...]:
    """A source line that is the current one, between two others."""
    others = SourceLine(number=1, text="{"), SourceLine(number=3, text="}")
    return others[0], SourceLine(number=2, text=text, current=True), others[1]
