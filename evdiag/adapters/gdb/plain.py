"""Values from a gdb without Python, through plain commands of its machine interface.

Slower, and without printers: a std::string shows its members. Debian's gdb-minimal is such a gdb.
"""

import re
import time
from itertools import pairwise
from typing import Any

import msgspec

from evdiag.adapters.gdb.session import Session, quote
from evdiag.errors import GdbRefused
from evdiag.model.values import Document, ReadFrame, ReadThread, ReadVariable, Request

_LWP = re.compile(r"(?:LWP|process|Thread) (\d+)\)?$")
_ERROR = re.compile(r"<error(?: reading variable[^:]*)?: ([^<>]*)>$")
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*")
"""What may be evaluated: names come out of the crashed program, and `$_shell("rm x")` is one."""
UNKNOWN, SIGNAL_FRAME = "??", "<signal handler called>"
"""What gdb calls functions without a name."""
_LATE = "not read: the time for all values was over"
_SLOW = "took too long to print"


def read_plainly(session: Session, request: Request, patience: float) -> Document:
    """What the extractor would answer, asked for piece by piece. Raises GdbError."""
    return _Reader(session, request, patience).document()


class _Reader:
    def __init__(self, session: Session, request: Request, patience: float) -> None:
        self.session, self.request, self.patience = session, request, patience
        self.deadline = time.monotonic() + request.seconds
        self.late = self.slow = 0

    @property
    def _left(self) -> float:
        """Seconds for the next command: one that is late is interrupted, not waited for."""
        return max(self.deadline - time.monotonic(), self.patience) + 2 * self.patience

    def _ask(self, command: str) -> dict[str, Any]:
        session = self.session
        return session.results(session.run(command, self._left, self.patience, value=True))

    def document(self) -> Document:
        request, session = self.request, self.session
        session.ask(f"-gdb-set print elements {request.elements}", self._left)
        session.ask(f"-gdb-set print max-depth {request.depth}", self._left)
        threads = []
        for entry in _entries(self._ask("-thread-info").get("threads")):
            number, lwp = _text(entry, "id"), _lwp(_text(entry, "target-id"))
            if number and lwp is not None and (request.lwps is None or lwp in request.lwps):
                threads.append(self._thread(number, lwp))
        return Document(threads=tuple(threads), late=self.late, slow=self.slow)

    def _thread(self, number: str, lwp: int) -> ReadThread:
        most = self.request.frames
        try:
            answer = self._ask(f"-stack-list-frames --thread {number} 0 {most}")
        except GdbRefused as error:
            return ReadThread(lwp=lwp, ended=str(error))
        entries = _entries(answer.get("stack"))
        wanted = self.request.values is None or lwp in self.request.values
        frames = [
            self._frame(number, level, entry, with_values=wanted)
            for level, entry in enumerate(entries[:most])
        ]
        for i, (frame, outer) in enumerate(pairwise(frames)):
            if frame.pc == outer.pc and frame.function:  # plain commands do not tell
                frames[i] = msgspec.structs.replace(frame, kind="inline")
        return ReadThread(lwp=lwp, frames=tuple(frames), more=len(entries) > most)

    def _frame(
        self, thread: str, level: int, entry: dict[str, Any], *, with_values: bool
    ) -> ReadFrame:
        variables = self._variables(thread, level) if with_values else []
        line = _text(entry, "line")
        function = _text(entry, "func")
        return ReadFrame(
            pc=_number(_text(entry, "addr")),
            kind="signal" if function == SIGNAL_FRAME else "unknown",
            function=None if function in (UNKNOWN, SIGNAL_FRAME) else function,
            file=_text(entry, "fullname") or _text(entry, "file"),
            line=int(line) if line and line.isdecimal() else None,
            args=tuple(v for v, is_argument in variables if is_argument),
            locals=tuple(v for v, is_argument in variables if not is_argument),
        )

    def _variables(self, thread: str, level: int) -> list[tuple[ReadVariable, bool]]:
        where = f"--thread {thread} --frame {level}"
        listing = f"-stack-list-variables {where}"
        try:
            try:
                answer = self._ask(f"{listing} --simple-values")
            except GdbRefused:  # gdb 13 also prints what references lead to: one may be endless
                answer = self._ask(f"{listing} --no-values")
        except GdbRefused:
            return []
        found: dict[str, tuple[ReadVariable, bool]] = {}
        for entry in _entries(answer.get("variables")):
            name = _text(entry, "name")
            if name and name not in found:
                found[name] = self._variable(where, name, entry), entry.get("arg") == "1"
        return list(found.values())

    def _variable(self, where: str, name: str, entry: dict[str, Any]) -> ReadVariable:
        kind, text = _text(entry, "type"), _text(entry, "value")
        if text is None and not _IDENTIFIER.fullmatch(name):
            return ReadVariable(name, kind, None, "it has no name that can be asked for")
        if text is None:
            if time.monotonic() > self.deadline:
                self.late += 1
                return ReadVariable(name, kind, None, _LATE)
            before = self.session.interrupts
            try:
                text = _text(self._ask(f"-data-evaluate-expression {where} {quote(name)}"), "value")
            except GdbRefused as error:
                if self.session.interrupts > before:
                    self.slow += 1
                    return ReadVariable(name, kind, None, _SLOW)
                return ReadVariable(name, kind, None, str(error).partition(": ")[2])
        if text is not None and (match := _ERROR.match(text)):
            return ReadVariable(name, kind, None, match[1])
        return ReadVariable(name, kind, text and text[: 2 * self.request.longest])


def _entries(value: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - what came out of gdb
    """The dictionaries of a list of results, whatever else may stand there."""
    if isinstance(value, dict):
        value = [value]
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _text(entry: dict[str, Any], name: str) -> str | None:
    value = entry.get(name)
    return value if isinstance(value, str) else None


def _lwp(target: str | None) -> int | None:
    match = _LWP.search(target) if target else None
    return int(match[1]) if match else None


def _number(text: str | None) -> int:
    try:
        return int(text or "0", 16)
    except ValueError:
        return 0
