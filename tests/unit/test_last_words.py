"""Whether an exception ended the process, by the stack, the thread's list and memory."""

from hypothesis import given
from hypothesis import strategies as st

from evdiag.adapters.demangle import Demangler
from evdiag.analyze.exceptions import MAX_SHOWN
from evdiag.analyze.last_words import last_words
from evdiag.analyze.space import AddressSpace
from evdiag.model.crash import LastWords
from evdiag.model.report import Frame, Thread
from tests.support import elfwriter as w
from tests.support.cxx_memory import CODE_AT, HANDLER, HEAP, LIBSTDCXX, CxxMemory

DEMANGLE = Demangler(None)
LIBC, APP = "/lib/libc.so.6", "/opt/app/bin/app"
THROWN = (
    ("__GI_abort", LIBC),
    (None, LIBSTDCXX),
    ("std::terminate()", LIBSTDCXX),
    ("__cxa_throw", LIBSTDCXX),
    ("limit()", APP),
)
CALLED = (*THROWN[:3], THROWN[4])


def error(made: CxxMemory) -> int:
    return made.single("St13runtime_error", made.plain("St9exception"))


def throw(made: CxxMemory, text: str, **more: int) -> int:
    """A std::runtime_error."""
    kind = error(made)
    return made.throw(kind, made.words(made.table(kind), made.cow(text)), **more)


def words_of(space: AddressSpace, *rows: tuple[str | None, str]) -> LastWords:
    frames = tuple(
        Frame(level=i, function=name, module=module, in_app=module == APP)
        for i, (name, module) in enumerate(rows)
    )
    thread = Thread(number=1, crashed=True, frames=frames)
    return last_words(space, space.facts.threads[0], thread, DEMANGLE)


def test_an_uncaught_exception() -> None:
    made = CxxMemory()
    made.handled(throw(made, "no route"))
    words = words_of(made.space(), *THROWN)
    assert words.uncaught is True
    assert [(e.what, e.role) for e in words.exceptions] == [("no route", "uncaught")]
    assert words.evidence[0] == "the stack leads from an exception to std::terminate"


def test_frames_without_names() -> None:
    made = CxxMemory()
    made.handled(throw(made, "no route"))
    words = words_of(made.space(), (None, LIBC), (None, LIBSTDCXX), (None, LIBSTDCXX))
    assert words.uncaught is True
    assert words.evidence[0] == "frames of libstdc++ lie between abort() and the program"


def test_an_exception_that_was_merely_handled() -> None:
    made = CxxMemory()
    made.handled(throw(made, "no route"))
    words = words_of(made.space(), THROWN[0], THROWN[4])
    assert words.uncaught is False
    assert [e.role for e in words.exceptions] == ["caught"]
    assert (
        words.evidence[0] == "an exception is being handled, but std::terminate is not on the stack"
    )
    words = words_of(made.space(), *CALLED)
    assert words.uncaught is False
    assert "itself called std::terminate" in words.evidence[0]


def test_an_exception_that_is_only_kept() -> None:
    made = CxxMemory()
    throw(made, "kept")
    rethrown = (*THROWN[:3], ("__cxa_rethrow", LIBSTDCXX), THROWN[4])
    assert words_of(made.space(), *rethrown).uncaught is False
    assert words_of(made.space(), THROWN[0], THROWN[4]).evidence[0] == (
        "an exception is alive, but std::terminate is not on the stack"
    )
    # what the stack says counts more than a list that seems to be empty
    assert words_of(made.space(), *THROWN).uncaught is True


def test_a_stack_that_is_lost() -> None:
    made = CxxMemory()
    throw(made, "no route", landing=CODE_AT + 0x20)
    words = words_of(made.space(with_library=False), (None, LIBC))
    assert words.uncaught is True
    assert "which prints it" in words.evidence[0]
    # the thread's list is empty: somebody else has it
    words = words_of(made.space(), (None, LIBC))
    assert words.uncaught is None
    assert words.evidence[0].startswith("an exception is alive; whether it ended the process")


def test_no_exception_at_all() -> None:
    made = CxxMemory()
    assert words_of(made.space(), *CALLED) == LastWords(uncaught=False)
    assert words_of(made.space(with_library=False), *CALLED) == LastWords()


def test_other_signals_are_not_looked_at() -> None:
    made = CxxMemory()
    made.handled(throw(made, "no route"))
    space = made.space(siginfo=w.fault(0))
    assert words_of(space, ("limit()", APP)) == LastWords()
    space = made.space(siginfo=w.sent(6, pid=1, uid=0))
    assert words_of(space, ("limit()", APP)) == LastWords()
    # a terminate handler may end the process in its own way
    assert words_of(space, *THROWN).uncaught is True


@given(st.binary(max_size=256), st.binary(max_size=64), st.integers(0, 2**64 - 1))
def test_hostile_memory(noise: bytes, more: bytes, word: int) -> None:
    made = CxxMemory()
    kind = made.info("multiple", "4Evil", 5 << 32, word, word, *[HEAP + 8 * i for i in range(8)])
    made.throw(kind, noise, references=len(noise), following=word, landing=word)
    made.throw(kind, made.words(made.table(kind)) + more, handlers=len(more), handler=HANDLER)
    made.tcb[0x40:0x50] = made.words(word if len(more) % 2 else HEAP + len(noise), 0)
    made.stack[:8] = made.words(word)
    words = words_of(made.space(), *(THROWN if len(noise) % 2 else ((None, LIBC),)))
    assert len(words.exceptions) <= MAX_SHOWN
