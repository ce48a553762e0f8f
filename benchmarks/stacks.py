"""What the tools printed, made comparable: per thread the program counters, names and lines."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Final

OPENING: Final = {"(": ")", "<": ">", "[": "]", "{": "}"}
OPERATOR: Final = re.compile(
    r"\boperator\s*(\(\)|\[\]|->\*?|<=>|<<=?|>>=?|[-+*/%^&|=!<>]=|&&|\|\||\+\+|--|[-+*/%^&|~!=<>,])"
)
EU_THREAD: Final = re.compile(r"^TID (\d+):")
EU_FRAME: Final = re.compile(r"^#\d+\s+0x([0-9a-f]+)(?:\s+(.*))?$")
EU_LINE: Final = re.compile(r"^    (.*?):(\d+)(?::\d+)?$")
GDB_THREAD: Final = re.compile(r"^Thread \d+ \(", re.MULTILINE)


class ReportError(Exception):
    """An output is not the JSON report that it should be."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One call, inlined or not."""

    pc: int
    name: str
    line: int

    def __str__(self) -> str:
        return f"{self.pc:#x} {self.name}:{self.line}"


Stacks = dict[int, list[Frame]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How far two tools agree. Frames are equal in name and line, and stand in the same order."""

    threads: int
    threads_with_equal_pcs: int
    frames: int
    equal_frames: int
    differences: tuple[str, ...]

    def __str__(self) -> str:
        share = 100 * self.equal_frames / max(self.frames, 1)
        pcs = f"pcs {self.threads_with_equal_pcs}/{self.threads} threads"
        return f"{pcs}, names and lines {share:.1f} % of {self.frames}"


def short_name(name: str) -> str:
    """The last component of a C++ name: no scope, template arguments, parameters or result.

    The C library gives several names to one address (`__GI_raise`, `raise`, `lseek64`): the
    prefixes and the suffix by which they differ are left out.
    """
    kept: list[str] = []
    closing: list[str] = []
    masked = OPERATOR.sub(lambda found: "operator" + masks(found[1]), name)
    for character in masked.replace("->", ""):
        if character in OPENING:
            closing.append(OPENING[character])
        elif closing and character == closing[-1]:
            closing.pop()
        elif not closing:
            kept.append(character)
    plain = re.sub(r"( const| volatile| &&?|\s)+$", "", "".join(kept))
    last = re.split(r"::|\s", plain)[-1] or name
    return last.removeprefix("__GI_").lstrip("_").removesuffix("64")


def masks(symbol: str) -> str:
    """An operator's characters as digits, lest they be taken for brackets."""
    return "".join(f"#{ord(character)}" for character in symbol)


def from_eu_stack(text: str) -> Stacks:
    """The output of `eu-stack -s -i`: a line per frame, and a second one if its line is known."""
    stacks: Stacks = {}
    frames: list[Frame] = []
    for row in text.splitlines():
        if found := EU_THREAD.match(row):
            frames = stacks.setdefault(int(found[1]), [])
        elif found := EU_FRAME.match(row):
            frames.append(Frame(int(found[1], 16), short_name(found[2] or ""), 0))
        elif (found := EU_LINE.match(row)) and frames:
            frames[-1] = Frame(frames[-1].pc, frames[-1].name, int(found[2]))
    return stacks


def from_evdiag(text: str) -> Stacks:
    """The threads of a JSON report, without the tail calls that only a debugger knows of."""
    try:
        return {
            thread["lwp"]: [
                Frame(
                    int(frame.get("pc") or "0", 16),
                    short_name(frame.get("function") or ""),
                    frame.get("line") or 0,
                )
                for frame in thread["frames"]
                if "tail" not in (frame.get("kind") or "")
            ]
            for thread in json.loads(text)["threads"]
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        message = f"not a report: {error!r}"
        raise ReportError(message) from error


def threads_in_gdb(text: str) -> int:
    """How many threads `thread apply all bt` printed."""
    return len(GDB_THREAD.findall(text))


def compare(expected: Stacks, actual: Stacks) -> Agreement:
    """Compares thread by thread."""
    differences: list[str] = []
    equal = frames = equal_pcs = 0
    for thread in sorted(expected.keys() | actual.keys()):
        left, right = expected.get(thread, []), actual.get(thread, [])
        matcher = SequenceMatcher(None, keys(left), keys(right), autojunk=False)
        equal += sum(block.size for block in matcher.get_matching_blocks())
        frames += max(len(left), len(right))
        equal_pcs += [frame.pc for frame in left] == [frame.pc for frame in right]
        differences += (
            f"thread {thread}: eu-stack {listed(left[a:b])}, evdiag {listed(right[c:d])}"
            for operation, a, b, c, d in matcher.get_opcodes()
            if operation != "equal"
        )
    return Agreement(
        threads=len(expected.keys() | actual.keys()),
        threads_with_equal_pcs=equal_pcs,
        frames=frames,
        equal_frames=equal,
        differences=tuple(differences),
    )


def keys(frames: list[Frame]) -> list[tuple[str, int]]:
    """What makes frames equal."""
    return [(frame.name, frame.line) for frame in frames]


def listed(frames: list[Frame]) -> str:
    """Frames for people."""
    return ", ".join(map(str, frames)) or "nothing"
