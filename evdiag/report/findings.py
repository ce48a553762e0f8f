"""What the formats for CI share: which reports tell of a crash, its name, where its source is."""

import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final
from urllib.parse import quote

import msgspec

from evdiag.analyze import names
from evdiag.model.report import Frame, Report, Thread, is_crash
from evdiag.report import words

LONGEST_PATH: Final = 1000
LONGEST_FUNCTION: Final = 300
LAST_LINE: Final = 2**31 - 1
"""What readers hold line numbers in."""

_TREES = ("modules", "lib", "libs", "include", "applications", "tests", "test")
"""Folders at the top of a source tree: what stands before the first of them is its root."""
_SYSTEM = ("/", "/usr", "/usr/local", "/opt")


def summary_of(reports: Sequence[Report]) -> str:
    """How many crashes there are, and how many reports tell of none."""
    crashes = sum(is_crash(report.verdict.cls) for report in reports)
    texts = [f"{crashes:,} crash" + ("" if crashes == 1 else "es")] if crashes else []
    if others := len(reports) - crashes:
        texts.append(words.count(others, "report") + " without a crash")
    return ", ".join(texts) or "no crash"


def program_of(report: Report) -> str:
    """The type of EVerest's module, else the executable: the same for all instances."""
    process = report.process
    return process.module_type or names.basename(process.executable or "") or "process"


def identity_of(report: Report) -> str:
    """A name that stays the same as long as the crash does: what CI keeps its history by.

    Of the signature: without symbols that of the addresses, without any stack the class alone.
    """
    signature, cls = report.signature, report.verdict.cls
    if signature is None or not (signature.text or signature.address):
        return cls
    if not signature.text:
        return f"{cls} at {signature.address}"
    parts = signature.text.split(" | ")
    frames = " | ".join(parts[1:] or parts)
    return f"{frames} ({signature.hash})" if signature.hash else frames


def frame_of_interest(report: Report) -> tuple[Thread, Frame] | None:
    """The frame to look at first, and its thread: of a deadlock, one of those that wait."""
    for member in report.deadlock:
        thread = next((t for t in report.threads if t.lwp == member.lwp), None)
        if thread is not None:
            own = (frame for frame in thread.frames if frame.level == member.frame)
            if (frame := next(own, None)) is not None:
                return thread, frame
    thread, frame = report.crashed, words.frame_to_see(report)
    return None if thread is None or frame is None else (thread, frame)


# ---------------------------------------------------------------- where the source is


class Sources(msgspec.Struct, frozen=True):
    """The folder that paths of source files are told below of: CI knows them only that way."""

    root: str | None = None

    @classmethod
    def of(cls, reports: Iterable[Report]) -> "Sources":
        """The root of the tree that most frames to look at first are in."""
        files: Counter[str] = Counter()
        for report in reports:
            found = frame_of_interest(report)
            shown = found[0].frames if found else ()
            own = [frame.file for frame in shown if frame.in_app and frame.file]
            files.update(_normal(file) for file in own if file.startswith("/"))
            if found and found[1].file and found[1].file.startswith("/"):
                files[_normal(found[1].file)] += len(own)  # as heavy as all others together
        return cls(_root(files))

    def relative(self, file: str) -> str | None:
        """The path below the root; None of a file that is elsewhere."""
        path = _normal(file)
        if not path.startswith("/"):  # the compiler was told to leave the root out
            return re.sub(r"^(?:\.\./)+", "", path)
        if self.root is None or not path.startswith(self.root + "/"):
            return None
        return path[len(self.root) + 1 :]

    def location(self, file: str) -> dict[str, object]:
        """A file as SARIF names it: by a relative reference, or by a file URI; never another."""
        below = self.relative(file)
        if below is None:
            return {"uri": uri_of(file)}
        return {"uri": _quoted(below), "uriBaseId": "SRCROOT"}


def uri_of(path: str) -> str:
    """A path as URI, or as relative reference where it is a relative one."""
    path = _normal(path)
    return ("file://" if path.startswith("/") else "") + _quoted(path)


def _quoted(path: str) -> str:
    return quote(names.path(path, LONGEST_PATH), safe="/+,=@~()")


def _normal(path: str) -> str:
    return re.sub("^/+", "/", posixpath.normpath(path))


def _root(files: Counter[str]) -> str | None:
    """The root of the tree with the most frames; without such trees, the common folder of all."""
    trees: Counter[str] = Counter()
    for file, number in files.items():
        if tree := _tree(file):
            trees[tree] += number
    if trees:
        return min(trees, key=lambda tree: (-trees[tree], tree))
    common = posixpath.commonpath([posixpath.dirname(file) for file in files]) if files else "/"
    return None if common in _SYSTEM else common


def _tree(file: str) -> str | None:
    """The root of a file's source tree, if it shows in the path."""
    folders = file.split("/")[:-1]
    at = next((i for i, folder in enumerate(folders) if folder in _TREES), 0)
    if not at and "src" in folders:
        at = len(folders) - 1 - folders[::-1].index("src")
    root = "/".join(folders[:at]) or "/"
    return None if root in _SYSTEM else root
