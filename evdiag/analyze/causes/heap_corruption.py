"""malloc or free found that the heap is damaged."""

from evdiag.analyze.causes._aborts import (
    aborted,
    by,
    caller,
    confidence,
    evidence,
    innermost,
    is_libc,
    libc_frame,
    name_in_libc,
    text_of,
)
from evdiag.analyze.causes._examples import LIBC, PROGRAM, aborting, sent
from evdiag.analyze.causes._faults import SANITIZER, VALGRIND
from evdiag.model.crash import Cause, CrashFacts, Rule
from evdiag.model.signals import SI_USER, SIGABRT
from evdiag.parse.abort_message import (
    BAD_FREE,
    CORRUPTION,
    DOUBLE_FREE,
    OVERFLOW,
    OVERFLOW_OR_USE,
    heap_flavour,
    plain,
    without_numbers,
)

FUNCTIONS = ("malloc_printerr", "__malloc_assert", "_int_free", "_int_malloc", "_int_realloc")
CALLED = ("free", "malloc", "calloc", "realloc", "memalign", "posix_memalign", "aligned_alloc")

MEANINGS = {
    DOUBLE_FREE: "a block of memory was freed twice",
    BAD_FREE: "an address was freed that malloc() did not give out",
    OVERFLOW: "the header of a block of memory was overwritten",
    OVERFLOW_OR_USE: "the heap is damaged by an overflow or a use after free",
    CORRUPTION: "the heap is damaged",
}
ADVICE = {
    DOUBLE_FREE: "Look for the other owner of the block: who else frees it, or deletes a copy of "
    "the object that holds it?",
    BAD_FREE: "Look where the pointer comes from: an address within a block, of a variable, or of "
    "another allocator cannot be freed.",
    OVERFLOW: "Look at the block before the one that was freed: most likely somebody wrote beyond "
    "its end.",
}
EARLIER = "the mistake was made earlier, maybe by another thread: this is where it showed"
FIRST_FREE = "this is the second time: the block was freed before, maybe by another thread"
UNCERTAIN = "double free or corruption"
"""This text also comes where a neighbour overflowed."""

FREEING = (
    ("abort", LIBC),
    ("__libc_message", LIBC),
    ("malloc_printerr", LIBC),
    ("_int_free", LIBC),
    ("__GI___libc_free", LIBC),
    ("release(void*)", PROGRAM),
)


def check(facts: CrashFacts) -> Cause | None:
    """Recognise the checks of malloc by their text, or by their frames in libc."""
    if not aborted(facts):
        return None
    text = text_of(facts)
    flavour = heap_flavour(text)
    if flavour is None:
        if text or libc_frame(facts, FUNCTIONS) is None:
            return None
        flavour = CORRUPTION
    meaning = MEANINGS[flavour]
    if plain(text).startswith(UNCERTAIN):
        meaning += ", or its header was overwritten"
    advice = [ADVICE[flavour]] if flavour in ADVICE else []
    return Cause(
        cls="heap-corruption",
        summary=f"{meaning}; noticed{_where(facts)}",
        confidence=confidence(facts),
        evidence=evidence(facts, *_when(flavour, text)),
        advice=(*advice, SANITIZER, VALGRIND),
        detail=without_numbers(text) or None,
    )


def _when(flavour: str, text: str) -> tuple[str, ...]:
    """Whether the place that is seen is that of the mistake."""
    if flavour == BAD_FREE:
        return ()
    certain = flavour == DOUBLE_FREE and not plain(text).startswith(UNCERTAIN)
    return (FIRST_FREE,) if certain else (EARLIER,)


def _where(facts: CrashFacts) -> str:
    """Which function of malloc noticed it, and who called that."""
    calls = [_plain(name_in_libc(frame)) for frame in innermost(facts) if is_libc(frame)]
    called = next((name for name in reversed(calls) if name in CALLED), None)
    where = by(caller(facts), " called by " if called else " by ")
    return f" in {called}(){where}" if called else where or " by malloc"


def _plain(name: str) -> str:
    """`free` for `__libc_free` and `cfree`."""
    name = name.removeprefix("__libc_").removeprefix("__")
    return "free" if name == "cfree" else name


RULE = Rule(
    id="heap-corruption",
    title="Damaged heap",
    explanation=(
        "malloc and free check their own records, and abort with a text that says what does not "
        "fit (glibc's malloc/malloc.c). The place is where the damage was noticed, not where it "
        "was done. Without a text, frames of malloc's checks in libc decide."
    ),
    classes=("heap-corruption",),
    check=check,
    matches=(
        (aborting("free(): invalid pointer"), "heap-corruption"),
        (aborting("free(): invalid pointer", *FREEING), "heap-corruption"),
        (aborting("double free or corruption (!prev)", *FREEING), "heap-corruption"),
        (aborting("free(): invalid next size (fast)"), "heap-corruption"),
        (aborting("corrupted size vs. prev_size"), "heap-corruption"),
        (aborting("malloc_consolidate(): invalid chunk size"), "heap-corruption"),
        (
            aborting("app: malloc.c:2617: sysmalloc: Assertion `old_top == top' failed."),
            "heap-corruption",
        ),
        (
            aborting("Fatal glibc error: malloc.c:2599 (sysmalloc): assertion failed: top"),
            "heap-corruption",
        ),
        (
            aborting("*** Error in `./app': double free or corruption (out): 0x00c3a010 ***"),
            "heap-corruption",
        ),
        (aborting(None, *FREEING), "heap-corruption"),
    ),
    misses=(
        aborting(),
        aborting("*** stack smashing detected ***: terminated", *FREEING),
        aborting("app: malloc.c:12: allocate: Assertion `size > 0' failed."),
        aborting(None, ("abort", LIBC), ("_int_free", PROGRAM)),
        aborting(None, ("abort", LIBC), ("on_signal", PROGRAM), ("_int_free", LIBC)),
        sent(SIGABRT, SI_USER, 1, frames=aborting(None, *FREEING).frames),
    ),
)
