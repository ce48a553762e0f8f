"""Compare the stacks of a report with gdb's, and explain every difference.

A difference that no rule explains is a failure. The rules are those of
docs/explanation/native-engine.md.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from pathlib import Path

from evdiag.model.report import Frame, Report, Thread
from tests.support.gdb_oracle import FRAME_LIMIT, OracleFrame, OracleThread

Row = tuple[int, str | None, str | None, int | None]
"""(pc, function without scope and parameters, basename of the file, line)."""

UNEXPLAINED = "unexplained"
ALIAS = "another name of the same libc function"
LIMIT = "gdb was stopped at its limit"

THREAD_STARTS = ("start", "clone", "clone3", "thread_start")


@dataclass(slots=True)
class Comparison:
    """What came out of comparing one core."""

    names_only: bool = False
    threads: int = 0
    equal_threads: int = 0
    frames: int = 0
    equal_frames: int = 0
    why: Counter[str] = field(default_factory=Counter)
    """How many threads and frames differ, by explanation."""
    unexplained: list[str] = field(default_factory=list)

    @property
    def alike(self) -> int:
        """Frames that are equal but for the name that libc gives one address."""
        return self.equal_frames + self.why[ALIAS]

    @property
    def beyond_limit(self) -> int:
        """Threads that are deeper than gdb was asked to go, and equal as far as it went."""
        return self.why[LIMIT]

    def add(self, other: "Comparison") -> None:
        """Take in the figures of another core."""
        self.threads += other.threads
        self.equal_threads += other.equal_threads
        self.frames += other.frames
        self.equal_frames += other.equal_frames
        self.why += other.why
        self.unexplained += other.unexplained


def unfold(thread: Thread) -> list[Frame]:
    """All frames of a thread, folded recursions written out."""
    frames = list(thread.frames)
    for fold in reversed(thread.folds):
        start = next(i for i, frame in enumerate(frames) if frame.level == fold.level)
        end, physical = start, 0
        while physical < fold.period:
            physical += frames[end].kind != "inline"
            end += 1
        frames[start:end] = frames[start:end] * fold.count
    return frames


def compare(
    report: Report, oracle: Sequence[OracleThread], *, names_only: bool = False
) -> Comparison:
    """Compare all threads of a report with gdb's.

    `names_only` leaves out lines and inlined calls, for split DWARF: `.dwo` files are not read.
    """
    found = Comparison(names_only=names_only)
    ours = {thread.lwp: thread for thread in report.threads}
    for theirs in oracle:
        found.threads += 1
        _compare_thread(ours[theirs.lwp], theirs, found)
    return found


def _compare_thread(ours: Thread, theirs: OracleThread, found: Comparison) -> None:
    frames = unfold(ours)[: FRAME_LIMIT * 3]
    their_pcs = [f.pc for f in theirs.frames if f.kind not in ("inline", "tailcall")]
    our_pcs = [int(f.pc or 0) for f in frames if f.kind != "inline"]
    if our_pcs == their_pcs:
        found.equal_threads += 1
        _compare_frames(frames, theirs.frames, found)
        return
    why = _explain_thread(ours, our_pcs, their_pcs)
    found.why[why] += 1
    if why == UNEXPLAINED:
        found.unexplained.append(
            f"thread {theirs.lwp}: gdb {[hex(p) for p in their_pcs[:30]]} ({theirs.stop}), "
            f"evdiag {[hex(p) for p in our_pcs[:30]]} ({ours.ended})"
        )


def _explain_thread(ours: Thread, our_pcs: list[int], their_pcs: list[int]) -> str:
    if their_pcs[: len(our_pcs)] == our_pcs and ours.ended and "not in code" in ours.ended:
        return "gdb goes on through an overwritten stack"
    if len(their_pcs) >= FRAME_LIMIT - 1 and our_pcs[: len(their_pcs)] == their_pcs:
        return LIMIT
    last = ours.frames[-1]  # without libc's symbols the start of a thread has no name
    begins = last.function is None or last.function.lstrip("_") in THREAD_STARTS
    if ours.ended is None and begins:
        known = {pc & ~0xFFFFFFF for pc in our_pcs}
        if any(pc & ~0xFFFFFFF not in known for pc in their_pcs) or len(their_pcs) == 1:
            return "gdb guesses where only frame pointers lead on"
    return UNEXPLAINED


def _compare_frames(
    frames: Sequence[Frame], oracle: Sequence[OracleFrame], found: Comparison
) -> None:
    hidden = ("tailcall", "inline") if found.names_only else ("tailcall",)
    theirs = [_their_row(f) for f in oracle if f.kind not in hidden]
    ours = [_our_row(f) for f in frames if f.kind not in hidden]
    if found.names_only:
        theirs = [(pc, name, None, None) for pc, name, *_ in theirs]
        ours = [(pc, name, None, None) for pc, name, *_ in ours]
    found.frames += len(theirs)
    matcher = SequenceMatcher(None, theirs, ours, autojunk=False)
    found.equal_frames += sum(block.size for block in matcher.get_matching_blocks())
    for kind, a, b, c, d in matcher.get_opcodes():
        if kind != "equal":
            why = explain_rows(theirs[a:b], ours[c:d])
            found.why[why] += max(b - a, d - c)
            if why == UNEXPLAINED:
                found.unexplained.append(f"gdb {theirs[a:b]}, evdiag {ours[c:d]}")


def explain_rows(theirs: Sequence[Row], ours: Sequence[Row]) -> str:
    """Why a stretch of frames with equal program counters differs."""
    if len(theirs) == len(ours):
        reasons = {_explain_row(a, b) for a, b in zip(theirs, ours, strict=True)} - {""}
        if UNEXPLAINED not in reasons:
            return " and ".join(sorted(reasons))
    return UNEXPLAINED


def _explain_row(theirs: Row, ours: Row) -> str:
    if theirs == ours:
        return ""
    same_place = theirs[0] == ours[0] and theirs[2:] == ours[2:]
    if same_place and _alias(theirs[1]) == _alias(ours[1]):
        return ALIAS
    if same_place and theirs[1] and ours[1]:
        return "another symbol at the same address"
    if theirs[:2] == ours[:2]:
        return "another line of a call that the compiler moved"
    return UNEXPLAINED


def _alias(name: str | None) -> str:
    """`__GI___libc_poll` and `poll`, `raise` and `gsignal` are one function."""
    plain = re.sub(r"^_*(GI_+)?(libc_)?|(64)?(_impl|_alias_\d+)?(\.\w+)*$", "", name or "")
    return {"gsignal": "raise", "cfree": "free"}.get(plain, plain)


def _their_row(frame: OracleFrame) -> Row:
    return frame.pc, _name(frame.function), frame.file, frame.line or None


def _our_row(frame: Frame) -> Row:
    file = Path(frame.file.replace("\\", "/")).name if frame.file else None
    return int(frame.pc or 0), _name(frame.function), file, frame.line


OPERATOR = re.compile(r"operator ?(\(\)|\[\]|<=>|<<=?|>>=?|->\*?|<=?|>=?)")


def _name(function: str | None) -> str | None:
    """A function's own name: no scope, template arguments, parameters, return type."""
    if not function:
        return None
    text = OPERATOR.sub(lambda sign: f"operator~{sign[1].encode().hex()}", function)
    kept, depth = "", 0
    for letter in re.sub(r"\[abi:\w+\]| const$", "", text):
        depth += letter in "<({"
        kept += "" if depth else letter
        depth -= letter in ">)}"
    words = kept.rpartition("::")[2].split()
    return words[-1] if words else ""
