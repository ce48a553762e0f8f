"""A conversation with gdb in its machine interface: one command, one answer, one deadline.

`pygdbmi` parses the answers. Its own reader is not used: it waits 0.2 s for every command, comes
back before the answer is there, and does not notice when gdb has died.
"""

import logging
import re
import time
from typing import Any

from pygdbmi import gdbmiparser

from evdiag.adapters.gdb.process import Talk
from evdiag.errors import GdbRefused, GdbTimeout
from evdiag.parse.mi import MiError, Result, check_record, read_result, stream_text

logging.getLogger(gdbmiparser.__name__).setLevel(logging.CRITICAL)  # it warns of what we refuse

MAX_RECORD = 8 << 20
"""Bytes of a record that is parsed into dictionaries; 4 MB of them take a second."""
BEGUN, DONE = "~", "."
"""What the extractor prints before each value, and after the values of a frame."""
_QUOTED = re.compile(r'["\\\n\r\t]')
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def quote(text: str) -> str:
    """A string as an argument of a command: whatever is in it, it stays one argument."""
    return '"' + _QUOTED.sub(lambda match: _ESCAPES[match[0]], text) + '"'


class Session:
    """Sends commands and waits for their answers; numbers tell which answer is whose."""

    def __init__(self, process: Talk) -> None:
        self._process = process
        self._token = 0
        self.said: list[str] = []
        """What gdb printed besides the answer to the last command, at most a few lines."""
        self.interrupts = 0

    def run(
        self, command: str, seconds: float, patience: float | None = None, *, value: bool = False
    ) -> Result:
        """The answer to a command. Raises GdbTimeout, GdbDied and GdbRefused.

        With `patience`, gdb is interrupted once it has shown no sign of life for so many
        seconds while it works on a value: it then gives that value up. `value` says that the
        whole command is about one value; else beats tell when gdb is at one.
        """
        result = self.ask(command, seconds, patience, value=value)
        if result.cls == "error":
            raise GdbRefused(f"{self._process.name}: {self.message(result)}")
        return result

    def ask(
        self, command: str, seconds: float, patience: float | None = None, *, value: bool = False
    ) -> Result:
        """As `run`, but an error is an answer as well."""
        self._token += 1
        self._process.send(f"{self._token}{command}")
        self.said = []
        alive = time.monotonic()
        deadline = alive + seconds
        while True:
            until = deadline if patience is None else min(deadline, alive + patience)
            lines = self._process.lines(until)
            for line in lines:
                result = read_result(line)
                if result is not None and result.token == self._token:
                    return result
                value = self._listen(line, at_value=value)
            now = time.monotonic()
            if now >= deadline:
                # a later command gets what the earlier ones have left, perhaps nothing
                late = f"in {seconds:.0f} s" if seconds >= 1 else "before the time was over"
                raise GdbTimeout(f"{self._process.name} did not answer {_name(command)} {late}")
            if not lines and value:
                self._process.interrupt()
                self.interrupts += 1
            alive = now

    def _listen(self, line: bytes, *, at_value: bool) -> bool:
        """Keep what may explain an error; tell whether gdb is at a value now."""
        text = stream_text(line)
        if text in (BEGUN, DONE):
            return text == BEGUN
        if text and len(self.said) < 20:
            self.said.append(text)
        return at_value

    def results(self, result: Result) -> dict[str, Any]:
        """The results of a record. Raises GdbRefused."""
        if len(result.line) > MAX_RECORD:
            raise GdbRefused(f"{self._process.name} answered with {len(result.line)} bytes")
        try:
            check_record(result.line)
            text = result.line.decode("utf-8", "replace")
            parsed: dict[str, Any] | None = gdbmiparser.parse_response(text)["payload"]
        except MiError as error:
            raise GdbRefused(str(error)) from None
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            raise GdbRefused(f"gdb's answer cannot be read: {error}") from None
        return parsed or {}

    def message(self, result: Result) -> str:
        """The text of an error record, in one line."""
        try:
            text = self.results(result).get("msg")
        except GdbRefused:
            text = None
        lines = text.splitlines() if isinstance(text, str) else []
        return lines[0][:300] if lines else "an error without a text"

    def end(self, *, died: bool = False) -> None:
        """End gdb and everything that it started; politely, unless it has misbehaved."""
        self._process.close(politely=not died)


def _name(command: str) -> str:
    return command.split(maxsplit=1)[0]
