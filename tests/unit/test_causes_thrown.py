"""What the rules about std::terminate say: sentences, confidence, and what the logs add."""

import msgspec
import pytest

from evdiag.analyze.causes import explain
from evdiag.analyze.causes._examples import LIBC, PROGRAM
from evdiag.analyze.causes._thrown import (
    ABORT,
    CALLER,
    HANDLER,
    HIDDEN,
    LIBSTDCXX,
    PERSONALITY,
    PURE,
    RETHROW,
    TERMINATE,
    THROW,
    THROWN,
    UNWIND,
    terminated,
)
from evdiag.model.crash import Cause, CrashFacts
from evdiag.model.report import CxxException

STACK = (ABORT, HANDLER, HIDDEN, TERMINATE, THROW, CALLER)
CALLED = (ABORT, HANDLER, HIDDEN, TERMINATE, CALLER)
KEPT = CxxException(type="std::string", what="older", role="kept")
CAUGHT = CxxException(type="int", what="17", role="caught")
SENTENCE = 'uncaught exception types::LimitExceeded: "connector 2"'


def verdict(facts: CrashFacts, rule: str = "uncaught-exception") -> Cause:
    found, cause = explain(facts)
    assert found == rule
    return cause


def thrown(*stack: tuple[str, str | None], **more: object) -> CrashFacts:
    return terminated(*stack, exceptions=(THROWN,), uncaught=True, **more)  # type: ignore[arg-type]


def test_an_uncaught_exception() -> None:
    cause = verdict(thrown(*STACK))
    assert cause.summary == f"{SENTENCE}, thrown in charging::limit"
    assert (cause.detail, cause.confidence) == ("types::LimitExceeded", "high")
    assert "derived from std::runtime_error, std::exception" in cause.evidence


def test_an_exception_thrown_again() -> None:
    cause = verdict(thrown(ABORT, TERMINATE, RETHROW, CALLER))
    assert cause.summary == f"{SENTENCE}, thrown again in charging::limit"


def test_a_noexcept_function() -> None:
    cause = verdict(thrown(ABORT, HIDDEN, HIDDEN, PERSONALITY, UNWIND, THROW, CALLER))
    assert cause.summary == (
        f"{SENTENCE}, thrown in charging::limit; it could not leave a noexcept function"
    )
    assert "noexcept" in cause.advice[0]
    cause = verdict(thrown(ABORT, TERMINATE, ("__clang_call_terminate", PROGRAM), CALLER))
    assert cause.summary == f"{SENTENCE}; it could not leave a noexcept function: charging::limit"


def test_a_destructor_that_throws_while_an_exception_is_on_its_way() -> None:
    first = CxxException(type="int", what="1", role="thrown")
    rows = (ABORT, HIDDEN, HIDDEN, PERSONALITY, UNWIND, THROW, CALLER)
    cause = verdict(terminated(*rows, exceptions=(THROWN, first), uncaught=True))
    assert cause.summary == (
        f"{SENTENCE}, thrown in charging::limit, "
        "while another exception was on its way to a handler"
    )


def test_an_exception_without_a_stack() -> None:
    cause = verdict(thrown())
    assert (cause.summary, cause.confidence) == (SENTENCE, "medium")


def test_numbers_are_not_quoted() -> None:
    number = CxxException(type="int", what="17", role="uncaught")
    facts = terminated(*STACK, exceptions=(number,), uncaught=True)
    assert verdict(facts).summary == "uncaught exception int 17, thrown in charging::limit"


def test_an_exception_of_which_nothing_is_known() -> None:
    cause = verdict(terminated(*STACK, exceptions=(CxxException(role="uncaught"),), uncaught=True))
    assert cause.summary == "uncaught exception of unknown type, thrown in charging::limit"
    assert cause.detail is None
    cause = verdict(terminated(*STACK))
    assert cause.confidence == "medium"
    assert cause.evidence[0] == "the exception itself was not found in memory"


def test_a_long_text_is_cut_in_the_sentence() -> None:
    long = CxxException(type="std::runtime_error", what="A" * 4096, role="uncaught")
    cause = verdict(terminated(exceptions=(long,), uncaught=True))
    assert len(cause.summary) < 300


def test_other_exceptions_are_evidence() -> None:
    facts = terminated(*STACK, exceptions=(THROWN, KEPT, CAUGHT), uncaught=True)
    assert 'also alive: std::string: "older" (kept), int 17 (caught)' in verdict(facts).evidence
    facts = terminated(*STACK, exceptions=(THROWN, *[KEPT] * 4), uncaught=True)
    assert any(line.endswith("(kept), more") for line in verdict(facts).evidence)


# -- logs


def test_a_log_that_agrees() -> None:
    log = (("terminate", "types::LimitExceeded"), ("what", "connector 2"))
    cause = verdict(thrown(*STACK, log=log))
    assert cause.confidence == "high"
    line = 'the log has types::LimitExceeded: "connector 2" at everest.log:1: it agrees'
    assert line in cause.evidence


@pytest.mark.parametrize(
    "log",
    [
        (("terminate", "std::logic_error"), ("what", "connector 2")),
        (("terminate", "types::LimitExceeded"), ("what", "no route")),
        (("terminate", "std::logic_error"),),
    ],
)
def test_a_log_that_contradicts(log: tuple[tuple[str, str | None], ...]) -> None:
    cause = verdict(thrown(*STACK, log=log))
    assert cause.confidence == "medium"
    assert cause.detail == "types::LimitExceeded"
    assert any(line.endswith("it contradicts this") for line in cause.evidence)


def test_a_log_knows_what_memory_does_not() -> None:
    log = (("terminate", "types::LimitExceeded"), ("what", "connector 2"))
    facts = terminated(*STACK, exceptions=(CxxException(role="uncaught"),), uncaught=True, log=log)
    cause = verdict(facts)
    assert cause.summary == f"{SENTENCE}, thrown in charging::limit"
    assert (cause.detail, cause.confidence) == ("types::LimitExceeded", "high")


def test_a_log_of_other_things() -> None:
    log = (("error", "no route"), ("what", "no route"))
    assert verdict(thrown(*STACK, log=log)).confidence == "high"


def test_a_log_decides_where_the_stack_is_lost() -> None:
    log = (("terminate", "types::LimitExceeded"), ("what", "connector 2"))
    cause = verdict(terminated(exceptions=(THROWN,), log=log))
    assert (cause.summary, cause.confidence) == (SENTENCE, "medium")
    assert explain(terminated(exceptions=(THROWN,)))[0] == "abort"
    assert explain(terminated(exceptions=(KEPT,), uncaught=False, log=log))[0] == "abort"


def test_a_log_alone() -> None:
    full = "std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >"
    cause = verdict(terminated(log=(("terminate", None), ("terminate", full))))
    assert (cause.detail, cause.confidence) == ("std::string", "medium")
    assert cause.summary == "uncaught exception std::string"
    cause = verdict(terminated(*STACK, log=(("terminate", "int"), ("what", None))))
    assert cause.summary == "uncaught exception int, thrown in charging::limit"


def test_a_log_does_not_outweigh_what_libc_said() -> None:
    facts = terminated(log=(("terminate", "int"),))
    words = msgspec.structs.replace(facts.words, message="free(): invalid pointer")
    assert explain(msgspec.structs.replace(facts, words=words))[0] == "heap-corruption"


# -- std::terminate


def test_a_running_thread_was_destroyed() -> None:
    member = ("std::thread::~thread()", PROGRAM)
    for stack in ((ABORT, TERMINATE, member, CALLER), (ABORT, HIDDEN, HIDDEN, member, CALLER)):
        facts = terminated(*stack, uncaught=False)
        own = tuple(
            msgspec.structs.replace(f, in_app=f.function == CALLER[0]) for f in facts.frames
        )
        cause = verdict(msgspec.structs.replace(facts, frames=own), "terminate")
        assert cause.detail == "joinable thread"
        assert cause.summary == (
            "a std::thread that still runs was destroyed or assigned to in charging::limit"
        )


def test_throw_where_nothing_was_being_handled() -> None:
    cause = verdict(terminated(ABORT, TERMINATE, RETHROW, CALLER, uncaught=False), "terminate")
    assert cause.detail == "rethrow without exception"
    assert cause.summary == "`throw;` where no exception was being handled, in charging::limit"


def test_a_call_by_the_program() -> None:
    cause = verdict(terminated(*CALLED, uncaught=False), "terminate")
    assert cause.summary == "std::terminate was called by charging::limit"
    assert (cause.detail, cause.confidence) == (None, "high")
    assert cause.evidence[0] == "the thread handles no exception"
    cause = verdict(terminated(*CALLED, exceptions=(CAUGHT,), uncaught=False), "terminate")
    assert cause.summary == ("std::terminate was called by charging::limit while it handled int 17")
    cause = verdict(terminated(*CALLED, exceptions=(KEPT,), uncaught=False), "terminate")
    assert cause.summary == "std::terminate was called by charging::limit"


def test_a_call_without_names() -> None:
    cause = verdict(terminated(ABORT, HIDDEN, HIDDEN, uncaught=False), "terminate")
    assert (cause.summary, cause.confidence) == ("std::terminate was called", "medium")


def test_a_call_that_only_the_log_tells() -> None:
    cause = verdict(terminated(log=(("terminate", None),)), "terminate")
    assert cause.confidence == "medium"
    assert cause.evidence[0] == "the log says at everest.log:1 that std::terminate was called"


# -- pure virtual functions


def test_a_pure_virtual_function() -> None:
    cause = verdict(terminated(ABORT, HIDDEN, TERMINATE, PURE, CALLER), "pure-virtual")
    assert cause.summary == "a pure virtual function was called in charging::limit"
    assert cause.confidence == "high"
    log = (("libc-message", "deleted virtual method called"), ("terminate", None))
    cause = verdict(terminated(log=log), "pure-virtual")
    assert cause.summary == "a deleted virtual function was called"
    assert cause.confidence == "medium"
    assert cause.evidence[0] == "the log says so at everest.log:1"
    stack = (ABORT, TERMINATE, ("__cxa_deleted_virtual", LIBSTDCXX), CALLER)
    cause = verdict(terminated(*stack, log=log), "pure-virtual")
    assert cause.summary == "a deleted virtual function was called in charging::limit"


def test_an_abort_of_the_program_is_none_of_these() -> None:
    assert explain(terminated(("abort", LIBC), CALLER, exceptions=(KEPT,)))[0] == "abort"
