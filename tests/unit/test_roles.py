"""What a thread is for: short, the same in every run, with and without symbols."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evdiag.analyze.roles import IN_MAIN, MAX_ROLE, role, short
from evdiag.model.report import Frame, Thread

LIBC, APP = "/usr/lib/libc.so.6", "/opt/everest/EvseManager"
START = (
    "std::thread::_State_impl<std::thread::_Invoker<std::tuple<{}> > >::_M_run()",
    "execute_native_thread_routine",
    "start_thread",
    "__clone3",
)
"""The outermost frames of a C++ thread, with what it was given."""


def own(*functions: str | None) -> tuple[Frame, ...]:
    """Frames of the application, innermost first."""
    return tuple(
        Frame(level=i, function=f, module=APP, in_app=True) for i, f in enumerate(functions)
    )


def started(given_to_it: str) -> tuple[Frame, ...]:
    """The frames that std::thread starts with, as they are with debug information."""
    functions = (START[0].format(given_to_it), *START[1:])
    return tuple(Frame(level=9 + i, function=f, module=LIBC) for i, f in enumerate(functions))


def role_of(*frames: Frame) -> str | None:
    """The role of a thread that is not the first."""
    return role(Thread(number=2, frames=frames), is_first=False)


def test_the_first_thread_is_main() -> None:
    thread = Thread(number=1, frames=own("module::Charger::run()"))
    assert role(thread, is_first=True) == "main"


@pytest.mark.parametrize(
    ("functions", "name"),
    [
        (("pause", "module::Charger::run(int)"), "Charger::run"),
        (("take()", "waits::(anonymous namespace)::run_jobs(waits::Station&)"), "run_jobs"),
        (("void ocpp::MessageQueue<ocpp::v2::Type>::work<int>(int)",), "MessageQueue::work"),
        (("meter_loop",), "meter_loop"),
        # what std::thread puts around it belongs to the program, where there are no lines
        (("m::f()", "void std::__invoke_impl<void, int>(int)", *START), "f"),
        (("f", "boost::asio::detail::posix_thread::func<int>::run()"), "f"),
        # a program that is linked statically has the libraries' functions too
        (("m::f()", "execute_native_thread_routine", "start_thread", "__clone3"), "f"),
        (("operator()", "_FUN"), None),
        ((None, None), None),
        ((), None),
    ],
)
def test_the_function_that_a_thread_began_with(
    functions: tuple[str | None, ...], name: str | None
) -> None:
    assert role_of(*own(*functions)) == name


LAMBDA = "module::EvseManager::ready()::{lambda(int)#4}"


@pytest.mark.parametrize(
    ("functions", "name"),
    [
        ((f"{LAMBDA}::operator()(int) const",), "EvseManager::ready"),
        # the loop of the thread belongs to the same place
        (("module::Charger::run()", f"{LAMBDA}::operator()(int) const"), "Charger::run"),
        # a queue of the framework does not
        (("Everest::Queue::pop()", f"{LAMBDA}::operator()(int) const"), "EvseManager::ready"),
        # a helper that starts all threads is not what they are for
        (
            (
                "waits::watch(waits::Station&)",
                "waits::start()::{lambda()#2}::operator()() const",
                "waits::Roster::start(std::function<void ()>)::{lambda()#1}::operator()() const",
            ),
            "watch",
        ),
        (("main::{lambda()#1}::operator()() const",), IN_MAIN),
        (("loop()", "main::{lambda()#1}::operator()() const"), "loop"),
        (("module::Meter::ready()::$_0::operator()() const",), "Meter::ready"),
    ],
)
def test_a_thread_that_began_as_a_closure(functions: tuple[str, ...], name: str) -> None:
    assert role_of(*own(*functions)) == name


@pytest.mark.parametrize(
    ("given_to_it", "name"),
    [
        (LAMBDA, "EvseManager::ready"),
        ("main::{lambda()#1}", IN_MAIN),
        ("work(int, int)::{lambda(int, int)#1}, int, int", "work"),
        ("void (module::Charger::*)(), module::Charger*", "Charger"),
        ("void (*)(int), int", None),
        ("{lambda()#1}", None),
    ],
)
def test_what_std_thread_was_given_is_left_when_all_is_inlined(
    given_to_it: str, name: str | None
) -> None:
    assert role_of(*started(given_to_it)) == name
    assert role_of(*own("operator()"), *started(given_to_it)) == name


def test_a_thread_of_a_library() -> None:
    mosquitto = Frame(level=1, module="/usr/lib/libmosquitto.so.1")
    libc = Frame(level=2, function="start_thread", module=LIBC)
    assert role_of(Frame(level=0, module=LIBC), mosquitto, libc) == "libmosquitto"
    assert role_of(libc, Frame(level=3), Frame(level=4, module="/opt/program")) is None


def test_a_role_is_short() -> None:
    name = role_of(*own("module::" + "Charger" * 20 + "::run()"))
    assert name is not None
    assert len(name) == MAX_ROLE
    assert short("::(anonymous namespace)") is None


@given(st.lists(st.text(alphabet="aA:<>(){}#,* _$\\'std", max_size=60), max_size=6))
def test_any_names(functions: list[str]) -> None:
    name = role_of(*own(*functions), *started("".join(functions)))
    assert name is None or len(name) <= MAX_ROLE
