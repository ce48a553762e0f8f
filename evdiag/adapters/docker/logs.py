"""Logs of a container: its own output as the engine keeps it, and the services' files in it."""

import contextlib
import os
import queue
import tempfile
import threading
from collections.abc import Iterator
from typing import IO, Any

from evdiag.adapters.docker.engine import ContainerEngine
from evdiag.adapters.docker.errors import translated
from evdiag.errors import EngineRefused, EvdiagError
from evdiag.model.charger import SERVICE_LOGS
from evdiag.parse.loglines.archive import LOG_NAME
from evdiag.parse.loglines.times import Clock
from evdiag.parse.tar import TarError, TarMember, read_tar

PIECE = 1 << 17
TOGETHER = 0.02
"""Seconds; lines of one write come microseconds apart."""
MOST_WAITING = 2000
"""Pieces, mostly lines, that are held while the reader of our output is slow."""
MOST = 1 << 31
"""Bytes that are copied of all files together; with their rotation they have 150 MB at most."""


class NoOutput(EvdiagError):
    """The log driver of the container keeps nothing that could be read."""

    exit_code = EngineRefused.exit_code


class LogText:
    """The files of one service, the oldest first, as one text."""

    def __init__(self, service: str, file: IO[bytes], latest: str) -> None:
        self.service, self.latest = service, latest
        self.size = 0
        self._file = file
        self._parts: list[tuple[int, int]] = []

    def add(self, start: int, size: int) -> None:
        """A further file: where it lies in the copy."""
        self._parts.append((start, size))
        self.size += size

    def read(self, at: int, size: int) -> bytes:
        """Bytes from a place on; fewer at the end of a file."""
        for start, length in self._parts:
            if at < length:
                return os.pread(self._file.fileno(), min(size, length - at), start + at)
            at -= length
        return b""


class LogFiles:
    """A copy of all log files of a charger, in a file without a name: gone when it is closed."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="evdiag-logs-")  # noqa: SIM115
        self.texts: dict[str, LogText] = {}
        self.cut = False
        """Whether they were too large."""

    def close(self) -> None:
        """Give the room back."""
        self._file.close()

    def fill(self, pieces: Iterator[bytes], clock: Clock) -> None:
        """Copy the log files out of an archive of their folder, as far as it can be read."""
        found: dict[tuple[str, int], tuple[TarMember, int, int]] = {}
        with contextlib.suppress(TarError):  # a file was rotated meanwhile: see `is_torn`
            self._copy(pieces, found)
        self._file.flush()
        self._arrange(found, clock)

    def _copy(
        self, pieces: Iterator[bytes], found: dict[tuple[str, int], tuple[TarMember, int, int]]
    ) -> None:
        key: tuple[str, int] | None = None
        at = 0
        for item in read_tar(pieces):
            if isinstance(item, TarMember):
                match = LOG_NAME.search(item.name) if item.kind == "file" else None
                key = (match[1], int(match[2] or 0)) if match else None
                if key is not None:
                    found[key] = (item, at, 0)
            elif key is not None:
                if at + len(item) > MOST:
                    self.cut = True
                    return
                self._file.write(item)
                at += len(item)
                member, start, size = found[key]
                found[key] = (member, start, size + len(item))

    def _arrange(
        self, found: dict[tuple[str, int], tuple[TarMember, int, int]], clock: Clock
    ) -> None:
        for service, number in sorted(found, key=lambda key: (key[0], -key[1])):
            member, start, size = found[service, number]
            text = self.texts.get(service)
            if text is None:
                text = self.texts[service] = LogText(service, self._file, "")
            text.latest = clock.text(member.modified)
            text.add(start, size)

    def is_torn(self) -> bool:
        """Whether a file was rotated while it was copied, so that two begin alike."""
        for text in self.texts.values():
            begins = [os.pread(self._file.fileno(), 4096, start) for start, _ in text._parts]
            begins = [begin for begin in begins if begin]
            if len(begins) != len(set(begins)):
                return True
        return False


def log_files(engine: ContainerEngine, container: str, clock: Clock) -> LogFiles | None:
    """A copy of the services' files; None if the container has no such folder."""
    left = 3
    while True:
        left -= 1
        files = LogFiles()
        try:
            files.fill(engine.archive(container, SERVICE_LOGS), clock)
        except FileNotFoundError:
            files.close()
            return None
        except BaseException:
            files.close()
            raise
        if left == 0 or not files.is_torn():
            return files
        files.close()


def output(
    engine: ContainerEngine,
    container: str,
    *,
    since: str = "",
    tail: int | None = None,
    follow: bool = False,
) -> Iterator[bytes]:
    """The container's output as the engine streams it, with times: see `Frames`.

    `since` is in seconds since 1970, with nine digits after the point if need be. A followed
    stream may be silent for days. Raises NoOutput, NoSuchContainer.
    """
    api = engine.api
    query: dict[str, Any] = {"stdout": 1, "stderr": 1, "timestamps": 1, "follow": int(follow)}
    if since:
        query["since"] = since
    query["tail"] = "all" if tail is None else tail
    url = f"{api.base_url}/v{api.api_version}/containers/{container}/logs"
    with translated("read the container's output"):
        response = api.get(
            url, params=query, stream=True, timeout=(api.timeout, None if follow else api.timeout)
        )
        try:
            _check(response)
            if follow:
                yield from response.raw.stream(PIECE)  # each line as it comes
            else:
                while data := response.raw.read(PIECE):
                    yield data
        finally:
            response.close()


def gathered(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Pieces of a stream that is followed, those together that come at about the same time.

    So lines that were written together can be understood together. A thread reads, because nothing
    tells whether more is there already.
    """
    waiting: queue.Queue[bytes | BaseException | None] = queue.Queue(MOST_WAITING)

    def read() -> None:
        try:
            for piece in pieces:
                waiting.put(piece)
            waiting.put(None)
        except BaseException as error:  # noqa: BLE001 - raised again by who waits for the pieces
            waiting.put(error)

    threading.Thread(target=read, name="evdiag-logs", daemon=True).start()
    while True:
        item = waiting.get()
        some: list[bytes] = []
        while isinstance(item, bytes):
            some.append(item)
            if len(some) > MOST_WAITING:
                break
            try:
                item = waiting.get(timeout=TOGETHER)
            except queue.Empty:
                break
        if some:
            yield b"".join(some)
        if isinstance(item, BaseException):
            raise item
        if item is None:
            return


def _check(response: Any) -> None:  # noqa: ANN401
    import docker.errors  # noqa: PLC0415
    import requests  # noqa: PLC0415

    try:
        response.raise_for_status()
    except requests.exceptions.HTTPError as error:
        try:
            docker.errors.create_api_error_from_http_exception(error)
        except docker.errors.APIError as refused:
            if "does not support reading" in str(refused.explanation):
                raise NoOutput("the log driver of the container keeps nothing to read") from None
            raise
