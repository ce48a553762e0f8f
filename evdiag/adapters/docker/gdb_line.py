"""A gdb in a container, spoken with over the engine's connection as with one of this machine.

What stands at the other end is a program of somebody else's image: nothing that it sends is
believed to end, to be short, or to be sensible.
"""

import contextlib
import re
import select
import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import TypeVar

import msgspec

from evdiag.adapters.docker.streams import Attached
from evdiag.adapters.gdb.process import CHUNK, Said, ending
from evdiag.errors import EvdiagError, GdbDied, GdbRefused, GdbUnusable
from evdiag.parse.output_frames import STDOUT, Splitter

INTERRUPT = b"\x03"
"""Tells the program in the container to interrupt gdb."""
ENDED = "evdiag: gdb ended with"
"""What that program writes at the end, before gdb's exit status."""
LONGEST_ANSWER = 1 << 20
GRACE = 2.0
"""Seconds in which everything has to be gone once nobody asks any more."""

_CODE = re.compile(r"-?\d{1,3}", re.ASCII)
_Kind = TypeVar("_Kind")


class Line:
    """What `adapters/gdb/process.Process` is for a gdb of this machine."""

    def __init__(self, attached: Attached, name: str) -> None:
        self.name = name
        self._attached = attached
        self._splitter = Splitter()
        self._said = Said(name)
        self._unsent: deque[memoryview] = deque()
        self._pieces: Iterator[bytes] = iter(())
        self._broken = ""
        self._is_open = True
        self._is_closed = False
        attached.unblock()

    # -- before gdb

    def answer(self, kind: type[_Kind], deadline: float) -> _Kind:
        """One answer of the program that starts gdb. Raises GdbUnusable."""
        try:
            text = self._answer(deadline)
            return msgspec.json.decode(text, type=kind)
        except (GdbDied, GdbRefused) as error:
            raise GdbUnusable(str(error)) from None
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            raise GdbUnusable(f"{self.name}: what its container answered is no answer") from None

    def _answer(self, deadline: float) -> bytes:
        while not (line := self._said.take_one(LONGEST_ANSWER)):
            left = deadline - time.monotonic()
            if left <= 0:
                raise GdbUnusable(f"{self.name} did not start in time")
            self._pump_or_die(left)
        return line

    def give(self, pieces: Iterable[bytes], deadline: float) -> None:
        """Send all of it, unless there is an answer before. Raises GdbUnusable."""
        self._pieces = iter(pieces)
        while not self._said and self._fill():
            left = deadline - time.monotonic()
            if left <= 0:
                raise GdbUnusable(f"{self.name}: its files could not be sent in time")
            try:
                self._pump_or_die(left)
            except (GdbDied, GdbRefused) as error:
                raise GdbUnusable(str(error)) from None

    # -- as the host's

    def send(self, line: str) -> None:
        """Queue a line for gdb; it is written while lines are read."""
        data = line.encode("utf-8", "surrogateescape").replace(INTERRUPT, b"")
        self._unsent.append(memoryview(data + b"\n"))

    def lines(self, deadline: float) -> list[bytes]:
        """Lines that have come, after waiting for some until the deadline; none is late.

        Raises GdbDied when it has ended, GdbRefused for an endless line.
        """
        while not self._said:
            left = deadline - time.monotonic()
            if left <= 0:
                return []
            self._pump_or_die(left)
        return self._said.take()

    def interrupt(self) -> None:
        """What Ctrl-C does: gdb gives up what it is doing."""
        self._unsent.append(memoryview(INTERRUPT))

    def close(self, *, politely: bool = False) -> None:
        """End it: without its standard input the program in the container ends all."""
        del politely  # there is nothing that gdb should write at its end
        if self._is_closed:
            return
        self._is_closed = True
        self._unsent.clear()
        self._attached.end_input()
        deadline = time.monotonic() + GRACE
        with contextlib.suppress(GdbDied, GdbRefused):
            while (left := deadline - time.monotonic()) > 0:
                self._pump_or_die(left)
        self._attached.close()

    # -- the connection

    def _fill(self) -> bool:
        """Whether there is something to send."""
        if not self._unsent and (piece := next(self._pieces, None)) is not None:
            self._unsent.append(memoryview(piece))
        return bool(self._unsent)

    def _pump_or_die(self, seconds: float) -> None:
        """Write and read what can be within that time. Raises GdbDied, GdbRefused."""
        if not self._is_open:
            raise GdbDied(self._obituary())
        try:
            self._pump(seconds)
        except EvdiagError as error:
            if isinstance(error, GdbRefused):
                raise
            self._broken, self._is_open = str(error), False
        except OSError as error:
            self._broken, self._is_open = error.strerror or type(error).__name__, False

    def _pump(self, seconds: float) -> None:
        attached = self._attached
        wanted = [attached] if self._unsent else []
        waiting = 0.0 if attached.pending else seconds
        readable, writable, _ = select.select([attached], wanted, [], waiting)
        if writable:
            sent = attached.write_some(bytes(self._unsent[0][:CHUNK]))
            self._unsent[0] = self._unsent[0][sent:]
            if not self._unsent[0]:
                self._unsent.popleft()
        if readable or attached.pending:
            self._receive()

    def _receive(self) -> None:
        data = self._attached.read_some()
        if data is None:
            return
        if not data:
            self._is_open = False
        if self._is_closed:
            return  # nobody will read it
        for stream, piece in self._splitter.feed(data):
            if stream == STDOUT:
                self._said.add(piece)
            else:
                self._said.add_error(piece)

    def _obituary(self) -> str:
        """How it ended, and its last words."""
        if self._broken:
            return f"{self.name}: {self._broken}"
        said, how = self._said.last_words(), "ended"
        if said and said[-1].startswith(ENDED):
            code = said.pop().removeprefix(ENDED).strip()
            how = ending(int(code)) if _CODE.fullmatch(code) else how
        words = [text for text in said if text.strip()]
        return f"{self.name} {how}" + (f": {words[-1][:300]}" if words else "")
