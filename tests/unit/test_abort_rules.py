"""What the rules about abort() say: from libc's message, and from the frames around it."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evdiag.analyze.causes import RULES, explain
from evdiag.analyze.causes._aborts import message
from evdiag.analyze.causes._examples import LIBC, PROGRAM, aborting
from evdiag.analyze.causes.libc_fatal import FUTEX
from evdiag.model.core import SignalFacts
from evdiag.model.logs import LogEvent, LogFacts
from evdiag.model.report import Frame
from evdiag.parse.abort_message import BY_FORM, FORTIFY_TEXTS

FREE = "free(): invalid pointer"
BITS = "/usr/include/x86_64-linux-gnu/bits/string_fortified.h"
OWN = Frame(level=9, function="ns::copy(char const*)", module=PROGRAM, in_app=True)


def test_a_message_without_a_word_on_how_it_was_found() -> None:
    assert message(aborting(FREE, found="")) == (FREE, BY_FORM)
    assert message(aborting()) is None


def test_a_message_in_the_log() -> None:
    # GIVEN a core that says nothing, and a log in which libc did
    events = (
        LogEvent(kind="libc-message", source="everest.log", line=3, text="x", detail=FREE),
        LogEvent(kind="libc-message", source="everest.log", line=4, text="x"),
        LogEvent(kind="error", source="everest.log", line=5, text="x", detail="other"),
    )
    facts = msgspec.structs.replace(aborting(), log=LogFacts(events=events))
    rule, cause = explain(facts)
    # THEN it counts, as what may be about another moment
    assert (rule, cause.confidence) == ("heap-corruption", "medium")
    assert cause.evidence[0] == f"libc said: {FREE} (found in everest.log:3)"
    # THEN memory, where it has a message, is believed before
    both = msgspec.structs.replace(aborting(FUTEX), log=facts.log)
    assert explain(both)[0] == "libc-fatal"
    silent = msgspec.structs.replace(aborting(), log=LogFacts(events=events[1:]))
    assert explain(silent)[0] == "abort"


# -- what is said of the frames


def libc(*names: str) -> tuple[Frame, ...]:
    return tuple(Frame(level=0, function=name, module=LIBC) for name in names)


def summary(text: str | None, *frames: Frame) -> str:
    return explain(msgspec.structs.replace(aborting(text), frames=frames))[1].summary


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        (
            (*libc("abort", "__GI___chk_fail", "___sprintf_chk"), OWN),
            "sprintf() would have written beyond the end of its buffer, called by ns::copy",
        ),
        (
            (*libc("abort", "__chk_fail", "__memmove_chk_avx_unaligned_erms"), OWN),
            "memmove() would have written beyond the end of its buffer, called by ns::copy",
        ),
        (
            (
                *libc("abort", "__GI___chk_fail"),
                Frame(level=2, kind="inline", function="memcpy", module=PROGRAM, file=BITS),
                OWN,
            ),
            "memcpy() would have written beyond the end of its buffer, called by ns::copy",
        ),
        (
            (*libc("abort", "__GI___chk_fail"), OWN),
            "a function of libc would have written beyond the end of its buffer, called by "
            "ns::copy",
        ),
        (
            libc("abort", "__GI___chk_fail"),
            "a function of libc would have written beyond the end of its buffer",
        ),
        (
            (*libc("abort"), Frame(level=1, kind="signal", module=LIBC), OWN),
            "a function of libc would have written beyond the end of its buffer",
        ),
        (
            (*libc("abort"), Frame(level=1), Frame(level=2, kind="signal", module=LIBC), OWN),
            "a function of libc would have written beyond the end of its buffer",
        ),
        (
            (*libc("abort"), Frame(level=1, function="g_copy", module="/usr/lib/libglib.so")),
            "a function of libc would have written beyond the end of its buffer, called by g_copy",
        ),
        (
            # i386: the system call is made in the kernel's library
            (
                Frame(level=0, function="__kernel_vsyscall", module="[vdso]"),
                *libc("abort", "__strcpy_chk"),
                OWN,
            ),
            "strcpy() would have written beyond the end of its buffer, called by ns::copy",
        ),
        (
            # a static program: libc's functions lie in the program itself
            (
                Frame(level=0, function="abort", module=PROGRAM, in_app=True),
                Frame(level=1, function="__strcpy_chk", module=PROGRAM, in_app=True),
                OWN,
            ),
            "a function of libc would have written beyond the end of its buffer",
        ),
    ],
)
def test_who_called_libc(frames: tuple[Frame, ...], expected: str) -> None:
    assert summary("*** buffer overflow detected ***: terminated", *frames) == expected


def test_what_is_said_of_other_ends() -> None:
    smash = "*** stack smashing detected ***: terminated"
    assert summary(smash, *libc("abort"), OWN).endswith("in the stack frame of ns::copy")
    assert summary(smash).endswith("in the stack frame of a function")
    assert summary(FREE, *libc("abort", "__GI___libc_free"), OWN).endswith(
        "noticed in free() called by ns::copy"
    )
    assert summary(FREE, *libc("abort", "cfree")).endswith("noticed in free()")
    assert summary(FREE, *libc("abort"), OWN).endswith("noticed by ns::copy")
    assert summary(FREE).endswith("noticed by malloc")
    assert summary(None, *libc("abort", "__assert_fail"), OWN) == "an assertion failed in ns::copy"
    assert summary(FUTEX, *libc("abort"), OWN) == (
        "libc ended the program, called by ns::copy: The futex facility returned an unexpected "
        "error code"
    )


def test_how_sure_a_verdict_is() -> None:
    assert explain(aborting(FREE))[1].confidence == "high"
    assert explain(aborting(FREE, found=BY_FORM))[1].confidence == "medium"
    unsigned = msgspec.structs.replace(aborting(FREE), signal=SignalFacts(number=6))
    assert explain(unsigned)[1].confidence == "medium"
    named = aborting(None, ("abort", LIBC), ("__assert_fail", LIBC), ("f", PROGRAM))
    assert explain(named)[1].confidence == "medium"


def test_a_signal_from_outside_has_nothing_to_do_with_the_message() -> None:
    # GIVEN a process that survived an assertion, and was killed by a watchdog
    killed = SignalFacts(number=6, code=0, sender_pid=1, sender_uid=0)
    facts = msgspec.structs.replace(aborting(FREE), signal=killed)
    assert explain(facts)[0] == "sent-signal"


def test_what_is_the_same_in_every_run() -> None:
    assert explain(aborting("free(): double free detected in tcache 2"))[1].detail == (
        "free(): double free detected in tcache 2"
    )
    assert explain(aborting("a: b.c:1: f: Assertion `x > 10' failed."))[1].detail == "x > 10"
    fortify = explain(aborting("*** %n in writable segment detected ***"))[1]
    assert fortify.detail == "%n in writable segment detected"
    assert explain(aborting("*** buffer overflow detected ***: a terminated"))[1].detail is None


TEXTS = st.one_of(
    st.text(max_size=60),
    st.sampled_from(
        ["*** ", "free(): ", "Fatal glibc error: ", "*** Error in `", "a.c:1: "]
    ).flatmap(
        lambda start: st.text("*` :'0123().Assertion", max_size=40).map(lambda rest: start + rest)
    ),
    st.sampled_from([FREE, FUTEX, *FORTIFY_TEXTS]),
)
FRAMES = st.builds(
    Frame,
    level=st.integers(0, 9),
    kind=st.sampled_from(("normal", "inline", "signal")),
    function=st.none() | st.sampled_from(("abort", "__GI___chk_fail", "___chk", "_int_free", "")),
    module=st.none() | st.sampled_from((LIBC, PROGRAM, "[vdso]", "", "/")),
    in_app=st.booleans(),
)


@given(st.none() | TEXTS, st.lists(FRAMES, max_size=5))
def test_any_message_and_any_stack_have_a_verdict(text: str | None, frames: list[Frame]) -> None:
    facts = msgspec.structs.replace(aborting(text), frames=tuple(frames))
    rule, cause = explain(facts)
    assert cause.cls in next(r for r in RULES if r.id == rule).classes
    assert all((cause.summary, cause.evidence, cause.advice))
    assert cause.detail != ""
