"""This terminal, or this process's input and output, at a program in a container."""

import contextlib
import functools
import os
import select
import signal
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator
from types import FrameType

from evdiag.adapters.docker.streams import PIECE, Attached
from evdiag.errors import EngineError
from evdiag.parse.output_frames import STDERR, Splitter

ENDINGS = (signal.SIGTERM, signal.SIGHUP)
CODE_SECONDS = 2.0
"""In which the engine has to know how a program ended that has closed its output."""


class Ended(BaseException):
    """Somebody told this process to end: everything is put back first."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.code = 128 + number


def converse(attached: Attached) -> int | None:
    """Connect this terminal to a program that has one of its own, until it ends; its exit code.

    Everything that is typed goes to the program, Ctrl-C too. Raises EngineUnreachable, Ended.
    """
    with _woken() as wake, _raw(sys.stdin.fileno()):
        _resize(attached)
        _pump(attached, _print, wake, functools.partial(_resize, attached))
    return _code(attached)


def pipe(attached: Attached) -> int | None:
    """Connect this process's input and output to a program without a terminal; its exit code.

    Raises EngineUnreachable, Ended, BrokenPipeError.
    """
    splitter = Splitter()
    sys.stdout.flush()
    sys.stderr.flush()
    targets = {STDERR: sys.stderr.fileno()}

    def show(data: bytes) -> None:
        for stream, piece in splitter.feed(data):
            _write(targets.get(stream, sys.stdout.fileno()), piece)

    with _woken() as wake:
        _pump(attached, show, wake, _nothing)
    return _code(attached)


def _pump(
    attached: Attached, show: Callable[[bytes], None], wake: int, woken: Callable[[], None]
) -> None:
    """Carry bytes both ways at once: who only sends while the other only sends, waits for ever."""
    typed, line = _input(), attached.fileno()
    is_open = True
    outbox = b""
    attached.unblock()
    while True:
        if typed is None and not outbox and is_open:
            attached.end_input()
            is_open = False
        wanted = [line, wake]
        if typed is not None and len(outbox) < PIECE:
            wanted.append(typed)
        timeout = 0 if attached.pending else None
        readable, writable, _ = select.select(wanted, [line] if outbox else [], [], timeout)
        if wake in readable:
            os.read(wake, PIECE)
            woken()
        if line in readable or attached.pending:
            data = attached.read_some()
            if data == b"":
                return
            show(data or b"")
        if typed is not None and typed in readable:
            piece = _typed(typed)
            outbox += piece
            if not piece:
                typed = None
        if writable:
            outbox = outbox[attached.write_some(outbox) :]


def _nothing() -> None:
    """Without a terminal its size is of no interest."""


def _print(data: bytes) -> None:
    _write(sys.stdout.fileno(), data)


def _input() -> int | None:
    try:
        return sys.stdin.fileno()
    except (AttributeError, OSError, ValueError):  # it was closed before the start
        return None


def _typed(number: int) -> bytes:
    try:
        return os.read(number, PIECE)
    except OSError:  # the terminal has gone
        return b""


def _write(number: int, data: bytes) -> None:
    while data:
        try:
            data = data[os.write(number, data) :]
        except BlockingIOError:  # somebody else made this terminal so
            select.select([], [number], [])


def _code(attached: Attached) -> int | None:
    deadline = time.monotonic() + CODE_SECONDS
    while (code := attached.code()) is None and time.monotonic() < deadline:
        time.sleep(0.05)
    return code


def _resize(attached: Attached) -> None:
    columns, rows = os.get_terminal_size(sys.stdin.fileno())
    with contextlib.suppress(EngineError):  # it has ended, or has not quite begun
        attached.resize(rows, columns)


@contextlib.contextmanager
def _raw(number: int) -> Iterator[None]:
    """A terminal that hands over what is typed as it is; put back in any case."""
    before = termios.tcgetattr(number)
    tty.setraw(number)
    try:
        yield
    finally:
        termios.tcsetattr(number, termios.TCSADRAIN, before)


@contextlib.contextmanager
def _woken() -> Iterator[int]:
    """A file that can be read after the terminal's size has changed; endings become `Ended`."""

    def end(number: int, _: FrameType | None) -> None:
        raise Ended(number)

    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    kept = {number: signal.signal(number, end) for number in ENDINGS}
    kept[signal.SIGWINCH] = signal.signal(signal.SIGWINCH, lambda *_: None)
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        yield reader
    finally:
        signal.set_wakeup_fd(before)
        for number, handler in kept.items():
            signal.signal(number, handler)
        os.close(reader)
        os.close(writer)
