"""How std::terminate came to be called, by the names and modules of frames."""

import pytest

from evdiag.analyze.terminate import Ending, ending, function_of
from evdiag.model.report import Frame

LIBC, LIBRARY, GCC = "/lib/libc.so.6", "/usr/lib/libstdc++.so.6.0.30", "/lib/libgcc_s.so.1"
APP = "/opt/app/bin/app"
ABORT = ("__GI_abort", LIBC)
HIDDEN = (None, LIBRARY)
TERMINATE = ("std::terminate()", LIBRARY)
THROW = ("__cxa_throw", LIBRARY)
OWN = ("charging::limit(int)", APP)


def stack(*rows: tuple[str | None, str | None]) -> list[Frame]:
    return [
        Frame(level=i, function=name, module=module, in_app=module == APP and bool(name))
        for i, (name, module) in enumerate(rows)
    ]


def told(*rows: tuple[str | None, str | None]) -> tuple[str, str | None] | None:
    """(how, function of the caller)"""
    found = ending(stack(*rows))
    if found is None:
        return None
    return found.how, found.caller.function if found.caller else None


def test_a_thrown_exception() -> None:
    found = ending(stack(ABORT, HIDDEN, HIDDEN, TERMINATE, THROW, OWN))
    assert found is not None
    assert found.how == "thrown"
    assert found.threw
    assert found.caller is not None
    assert found.caller.function == OWN[0]
    assert {"__cxa_throw", "std::terminate"} <= found.functions


@pytest.mark.parametrize("name", ["__cxa_rethrow", "std::rethrow_exception(std::exception_ptr)"])
def test_an_exception_thrown_again(name: str) -> None:
    assert told(ABORT, TERMINATE, (name, LIBRARY), OWN) == ("rethrown", OWN[0])


def test_a_noexcept_function() -> None:
    rows = (HIDDEN, ("__gxx_personality_v0", LIBRARY), (None, GCC), ("_Unwind_RaiseException", GCC))
    assert told(ABORT, HIDDEN, TERMINATE, *rows, THROW, OWN) == ("forbidden", OWN[0])
    # without the name of std::terminate
    assert told(ABORT, HIDDEN, *rows, THROW, OWN) == ("forbidden", OWN[0])


def test_a_noexcept_function_of_clang() -> None:
    found = ending(stack(ABORT, TERMINATE, ("__clang_call_terminate", APP), OWN))
    assert found is not None
    assert (found.how, found.threw) == ("forbidden", False)
    assert found.caller is not None
    assert found.caller.function == OWN[0]


def test_unwinding_that_was_going_on() -> None:
    assert told(ABORT, TERMINATE, ("_Unwind_Resume", GCC), OWN) == ("forbidden", OWN[0])


def test_a_call_by_the_program() -> None:
    assert told(ABORT, HIDDEN, TERMINATE, OWN) == ("called", OWN[0])
    assert told(ABORT, HIDDEN, TERMINATE) == ("called", None)


def test_a_function_that_is_not_there() -> None:
    assert told(ABORT, TERMINATE, ("__cxa_pure_virtual", LIBRARY), OWN) == ("pure", OWN[0])


def test_a_terminate_handler_of_the_program() -> None:
    own = ("on_terminate()", APP)
    assert told(ABORT, own, HIDDEN, TERMINATE, THROW, OWN) == ("thrown", OWN[0])


def test_names_with_the_namespace_of_the_run_time_library() -> None:
    long = ("__cxxabiv1::__cxa_throw(void*, std::type_info*, void (*)(void*))", LIBRARY)
    assert told(ABORT, ("__cxxabiv1::__terminate(void (*)())", LIBRARY), long, OWN) == (
        "thrown",
        OWN[0],
    )
    assert function_of(Frame(level=0)) == ""


def test_a_program_linked_statically() -> None:
    rows = (("std::__throw_out_of_range(char const*)", APP), OWN)
    throw, end = ("__cxa_throw", APP), ("std::terminate()", APP)
    assert told(("abort", APP), end, throw, *rows) == ("thrown", OWN[0])


def test_functions_of_the_library_compiled_into_the_program() -> None:
    frames = [
        *stack(ABORT, TERMINATE),
        Frame(level=2, kind="inline", function="~thread", module=APP),
        Frame(level=3, function="std::unique_ptr<int>::reset()", module=APP),
        Frame(level=4, function="boost::rethrow()", module="/usr/lib/libboost.so"),
        Frame(level=5, function=OWN[0], module=APP, in_app=True),
    ]
    found = ending(frames)
    assert found is not None
    assert found.caller is frames[4]
    found = ending(frames[:3])
    assert found is not None
    assert found.caller is frames[2]


def test_frames_without_names() -> None:
    assert told(ABORT, HIDDEN, HIDDEN, HIDDEN, OWN) == ("unclear", OWN[0])
    assert told((None, LIBC), HIDDEN, HIDDEN) == ("unclear", None)
    # one is too few: libstdc++ aborts for other reasons, too
    assert told(ABORT, HIDDEN, OWN) is None
    assert told(HIDDEN, HIDDEN, OWN) is None
    assert told(ABORT, HIDDEN, THROW, OWN) == ("thrown", OWN[0])


def test_other_ways_to_abort() -> None:
    assert told() is None
    assert told(ABORT, OWN) is None
    assert told(ABORT, ("std::__glibcxx_assert_fail(char const*)", LIBRARY), HIDDEN, OWN) is None
    # what every std::thread begins with
    assert told(ABORT, OWN, ("execute_native_thread_routine", LIBRARY), HIDDEN) is None
    # a function of the program may have any name
    assert told(ABORT, ("app::terminate_session(int)", APP)) is None


def test_what_a_signal_interrupted_did_not_call_abort() -> None:
    frames = [
        *stack(ABORT, OWN),
        Frame(level=2, kind="signal", function="__restore_rt", module=LIBC),
        Frame(level=3, function="std::terminate()", module=LIBRARY),
    ]
    assert ending(frames) is None
    assert Ending(how="called").threw is False
