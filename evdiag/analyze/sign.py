"""The signature of a crash: the same for the same defect, in every run and on every machine.

    sig:v1: <program> | <class>[: <detail>] | [<library function>] | <function> | ...

What it is made of, and what was left out on purpose, is told in docs/explanation/signatures.md.
"""

import re
from collections.abc import Iterator, Sequence

from evdiag.analyze.fold import find_repeats
from evdiag.analyze.frames import C_LIBRARIES, is_in_app
from evdiag.analyze.names import clip
from evdiag.analyze.signature.digest import sha256
from evdiag.analyze.signature.places import library_name, place
from evdiag.analyze.signature.spelling import LAMBDA, without_versions
from evdiag.analyze.signature.treat import MOST_KEPT, MOST_TREATED, Stack, treat
from evdiag.model.crash import Cause, CrashFacts
from evdiag.model.report import Frame, Signature, Thread
from evdiag.model.signals import FAULTS
from evdiag.model.signature import Lists, Signed, Treatment

VERSION = "v1"

LONGEST_FRAME, LONGEST_DETAIL = 120, 300
"""Characters of a function and of a detail. The whole text stays below what reports cut."""

HASH_DIGITS = 16
"""Of the SHA-256: 64 bits, enough for a million signatures of which no two may be the same."""

MOST_THREADS, MOST_WAITING = 4, 32
"""Threads of a circle that stand in a signature, and that are looked at for it."""

ENDED_ITSELF = (
    "assert", "uncaught-exception", "terminate", "fortify", "stack-smash", "heap-corruption",
    "pure-virtual", "sanitizer", "sent-signal", "snapshot", "deadlock",
)  # fmt: skip
"""Classes that tell of what ran last, also when that was a signal handler."""

SENT_BY_ITSELF = ("abort", "raised-signal")
"""Classes that tell how a handler gave up, where nothing is known of the fault below it."""

VERBATIM = ("assert", "uncaught-exception")
"""Classes whose detail was written by a programmer: its numbers tell defects apart."""

_NUMBER = re.compile(r"\b(?:0[xX][0-9a-fA-F]+|[0-9]+)\b")


def sign(program: str, cause: Cause, facts: CrashFacts, lists: Lists) -> Signed:
    """The signature of a crash of `program`: a module's type, or an executable's name."""
    stacks = _stacks(cause, facts)
    treated = [(stack, treat(stack, lists)) for stack in stacks]
    together = [treatment for _, treatments in treated for treatment in treatments]
    detail = _detail(cause)
    frames, said = _frames(cause, facts, treated)
    name = clip(_harmless(program), LONGEST_FRAME) or "process"
    cls = clip(_harmless(cause.cls), LONGEST_FRAME)
    head = (name, f"{cls}: {detail}" if detail else cls)
    text = f"sig:{VERSION}: " + " | ".join((*head, *frames))
    inputs = [f"program: {name}", f"class: {cls}"]
    if detail:
        inputs.append(f"detail: {detail}")
    crashed = [t for t in together if t.thread == _number(facts)]
    return Signed(
        signature=Signature(
            text=text,
            hash=sha256(text)[:HASH_DIGITS],
            version=VERSION,
            inputs=(*inputs, *said),
            proto=tuple(
                clip(_harmless(t.normal), LONGEST_FRAME)
                for t in (crashed or together)[:MOST_TREATED]
            ),
            address=_address(cause, facts, stacks),
        ),
        frame=_first(cause, stacks[:1], crashed),
        treatments=tuple(together),
    )


def _first(cause: Cause, stacks: list[Stack], crashed: list[Treatment]) -> int | None:
    """Level of the first frame of the application in the signature.

    Of an abort in a handler the signature has the fault, which tells crashes apart; but what the
    verdict is about, the call of abort(), is in the handler.
    """
    if cause.cls in SENT_BY_ITSELF and any(stack.start for stack in stacks):
        return None
    return next((t.level for t in crashed if t.role == "kept"), None)


def _number(facts: CrashFacts) -> int:
    return facts.threads[0].number if facts.threads else 1


def _detail(cause: Cause) -> str:
    """The detail without what differs between two runs, or stands in the frames anyway."""
    if cause.cls == "terminate":
        return ""
    detail = " ".join((cause.detail or "").split())
    if cause.cls == "uncaught-exception":
        detail = without_versions(detail)
    if cause.cls not in VERBATIM:
        detail = _NUMBER.sub("N", detail)
    return clip(_harmless(detail), LONGEST_DETAIL)


def _harmless(text: str) -> str:
    """Nothing that a report would have to escape: the hash is of what one can read."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else "?" for char in text)


# -- which frames


def _stacks(cause: Cause, facts: CrashFacts) -> list[Stack]:
    """The stacks that the signature is about: the crashed one, or those that wait in a circle."""
    names = {file.path.rpartition("/")[2] for file in facts.files}
    static = bool(names) and not any(name.startswith(C_LIBRARIES) for name in names)
    if cause.cls == "deadlock" and facts.deadlock:
        waiting = {member.lwp for member in facts.deadlock}
        return [
            Stack(
                thread=thread.number,
                frames=thread.frames,
                end=_interrupted(thread.frames),
                static=static,
            )
            for thread in facts.threads
            if thread.lwp in waiting
        ][:MOST_WAITING]
    frames = facts.frames
    signals = [i for i, frame in enumerate(frames) if frame.kind == "signal"]
    start, end = 0, len(frames)
    if signals and _is_below_handler(cause, facts):
        start, signals = signals[0] + 1, signals[1:]
    if signals:
        end = signals[0]
    return [Stack(thread=_number(facts), frames=frames, start=start, end=end, static=static)]


def _interrupted(frames: Sequence[Frame]) -> int:
    """Index of the first signal frame: below it is what the signal interrupted."""
    return next((i for i, f in enumerate(frames) if f.kind == "signal"), len(frames))


def _is_below_handler(cause: Cause, facts: CrashFacts) -> bool:
    """Whether a handler on the stack only ran because of a fault, and gave up then.

    A handler that has a fault itself, or whose assertion fails, is where the defect is.
    """
    if cause.cls in ENDED_ITSELF:
        return False
    signal, innermost = facts.signal, facts.frames[0]
    if signal is None or signal.number not in FAULTS:
        return True
    # A signal that the process sent to itself ends in libc. QEMU's cores tell no code.
    return (signal.code or 0) <= 0 and place(innermost) == "libc"


def _frames(
    cause: Cause, facts: CrashFacts, treated: list[tuple[Stack, list[Treatment]]]
) -> tuple[list[str], list[str]]:
    """The frames of the text, and what `inputs` says about them."""
    if cause.cls == "stack-overflow":
        found = _round(facts, treated[0][1])
        if found:
            texts = [clip(_harmless(text), LONGEST_FRAME) for text in found]
            return texts, [f"one round of the recursion: {text}" for text in texts]
    parts = sorted(_chosen(cause, facts, treatments) for _, treatments in treated)
    frames: list[str] = []
    for texts, _ in parts[:MOST_THREADS]:
        frames += ["and", *texts] if frames and texts else texts
    said = [line for _, lines in parts[:MOST_THREADS] for line in lines]
    if frames:
        return frames, said
    return _without_own(treated)


def _chosen(
    cause: Cause, facts: CrashFacts, treatments: list[Treatment]
) -> tuple[list[str], list[str]]:
    """The prefix and the kept frames of one stack; nothing if none is the application's.

    What called std::terminate has no prefix: whether an inlined ~thread() is still to be seen
    there is a matter of the compiler. What waits for a lock has none either, that would be the
    lock's, and no lambdas: those that threads begin with end in a call that leaves no frame of
    theirs behind in an optimised build. Of a smashed stack only the function that found out is
    certain.
    """
    kept = [t for t in treatments if t.role == "kept" and t.text]
    prefix = [t for t in treatments if t.role == "prefix" and t.text] if kept else []
    if cause.cls == "terminate":
        prefix = []
    if cause.cls == "deadlock" and facts.deadlock:
        prefix = []
        kept = [t for t in kept if not (t.text or "").endswith(LAMBDA)] or kept
    if cause.cls == "stack-smash":
        kept = kept[:1]
    chosen = prefix + kept
    return (
        [clip(_harmless(t.text or ""), LONGEST_FRAME) for t in chosen],
        [
            f"{'before it, ' if t.role == 'prefix' else ''}frame {t.level} of thread {t.thread}: "
            f"{clip(_harmless(t.normal), LONGEST_FRAME)}"
            for t in chosen
        ],
    )


def _without_own(
    treated: list[tuple[Stack, list[Treatment]]],
) -> tuple[list[str], list[str]]:
    """What stands in for frames of the application: the innermost other library, if any."""
    if not any(stack.frames for stack, _ in treated):
        return [], ["EMPTY: there is no stack"]
    empty = "EMPTY: no frame of the application is known"
    for stack, _ in treated:
        for frame in stack.frames[stack.start : stack.end]:
            if frame.module is not None and place(frame) == "library":
                name = clip(_harmless(library_name(frame.module)), LONGEST_FRAME)
                return [name], [empty, f"frame {frame.level} of thread {stack.thread}: {name}"]
    return [], [empty]


# -- recursion


def _round(facts: CrashFacts, treatments: list[Treatment]) -> list[str]:
    """The functions of one round of the recursion, in an order that any of its ends would give."""
    texts = {t.level: t.text for t in treatments if t.text and t.role != "prefix"}
    frames = _folded(facts) or facts.frames[: len(treatments)]
    names = [text for frame in frames if (text := texts.get(frame.level))]
    return _first_of_round(names, folded=bool(_folded(facts)))


def _folded(facts: CrashFacts) -> tuple[Frame, ...]:
    """The frames of one round of the longest recursion of the crashed thread."""
    thread = facts.threads[0] if facts.threads else None
    if thread is None or not thread.folds:
        return ()
    fold = max(thread.folds, key=lambda fold: fold.period * fold.count)
    return tuple(_physical(thread, fold.level, fold.period))


def _physical(thread: Thread, level: int, count: int) -> Iterator[Frame]:
    """So many physical frames from a level on, with what is inlined into them."""
    for frame in thread.frames:
        if frame.level < level:
            continue
        if count <= 0:
            return
        yield frame
        count -= frame.kind != "inline"


def _first_of_round(names: list[str], *, folded: bool) -> list[str]:
    if not folded:
        numbers = {name: i for i, name in enumerate(dict.fromkeys(names))}
        repeats = find_repeats([numbers[name] for name in names])
        if not repeats:
            return []
        longest = max(repeats, key=lambda stretch: stretch.period * stretch.rounds)
        names = names[longest.start : longest.start + longest.period]
    return list(dict.fromkeys(_canonical(names)))[:MOST_KEPT]


def _canonical(names: list[str]) -> list[str]:
    """The rotation of a round that sorts first: where a stack ends is chance."""
    return min((names[i:] + names[:i] for i in range(len(names))), default=[])


# -- without symbols


def _address(cause: Cause, facts: CrashFacts, stacks: Sequence[Stack]) -> str | None:
    """Build-id and offset of the innermost frames of the application: needs no symbol at all.

    Without any such frame, of the innermost one in a known file.
    """
    frames = [frame for stack in stacks[:1] for frame in stack.frames[stack.start : stack.end]]
    known = [f for f in frames if f.build_id and f.offset is not None and f.kind != "inline"]
    own = [f for f in known if is_in_app(f.module, None)]
    if cause.cls == "stack-overflow":
        levels = {frame.level for frame in _folded(facts)}
        own = _rotated([f for f in own if f.level in levels]) or own
    places = dict.fromkeys(f"{f.build_id}+{f.offset}" for f in own or known[:1])
    return " | ".join(list(places)[:MOST_KEPT]) or None


def _rotated(frames: list[Frame]) -> list[Frame]:
    first = min(range(len(frames)), key=lambda i: frames[i].offset or 0, default=0)
    return frames[first:] + frames[:first]
