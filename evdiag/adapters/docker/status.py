"""What is looked at in a charger for its status: by a program in it, or by the engine alone."""

import contextlib
import json
import time
from collections.abc import Iterator
from typing import Any

from evdiag.adapters.docker.copy import copied
from evdiag.adapters.docker.engine import ContainerEngine
from evdiag.adapters.docker.errors import translated
from evdiag.adapters.docker.inside import source
from evdiag.adapters.docker.path_stat import look
from evdiag.errors import EngineError
from evdiag.model.charger import CORES, SERVICE_LOGS, ContainerFacts
from evdiag.model.status import Gap
from evdiag.parse.status import Cores, File, Note, Probe, UnreadableProbe, read_probe
from evdiag.parse.tar import TarError, TarMember, read_tar

MQTT_SECONDS = 1.2
"""EVerest's API says everything once a second."""
TOPICS = (
    "everest_api/connectors",
    *("everest_api/+/var/session_info", "everest_api/+/var/powermeter"),
    *("everest_api/+/var/ev_info", "everest_api/ocpp/var/connection_status"),
    "everest_api/errors/var/active_errors",
)
ARCHIVE_BYTES, ARCHIVE_SECONDS = 256 << 20, 3.0
"""Of a folder for cores that has to be read whole to learn what is in it."""
MOST_ASKED = 120
LONGEST_NOTE = 65536


def probe(engine: ContainerEngine, facts: ContainerFacts) -> Probe:
    """Let the program look. Raises UnreadableProbe, ContainerStopped, NoSuchContainer."""
    asked = {
        "cores": CORES,
        "logs": SERVICE_LOGS,
        "config": "/run/everest/config.yaml",
        "socket": "/run/supervisor.sock",
        "mqtt": ["mosquitto_sub", "-h", "127.0.0.1", "-F", "%x %t"]
        + [word for topic in TOPICS for word in ("-t", topic)],
        "mqtt_seconds": MQTT_SECONDS,
    }
    command = ["python3", "-I", "-S", "-c", source("status"), json.dumps(asked)]
    ran = engine.run_in(facts.id, command, user="root")
    if ran.code != 0:
        said = (ran.err or ran.out).decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise UnreadableProbe(said[:300] or f"the program that looks ended with code {ran.code}")
    return read_probe(ran.out)


# -- a container that does not run


def cores_of_ended(
    engine: ContainerEngine, facts: ContainerFacts
) -> tuple[Cores | None, tuple[Gap, ...]]:
    """The files in the folder for cores, and what could not be looked at.

    The engine knows which files are new in the container, and tells the size of each without
    sending it: a core's gigabytes need not be read. A folder on a volume has to be.
    """
    try:
        if any(mount.target == CORES or CORES.startswith(f"{mount.target}/")
               for mount in facts.mounts):  # fmt: skip
            return _from_archive(engine, facts.id)
        return _from_changes(engine, facts.id), ()
    except (EngineError, FileNotFoundError, TarError) as error:
        return None, (Gap(part="cores", reason=str(error)),)


def _from_changes(engine: ContainerEngine, container: str) -> Cores:
    with translated(f"list the files of {container[:12]}"):
        changes = engine.api.diff(container) or []
    prefix = f"{CORES}/"
    paths = [
        str(change.get("Path", "")) for change in changes if change.get("Kind") != 2
    ]  # removed
    names = sorted({path.removeprefix(prefix) for path in paths if path.startswith(prefix)})
    names = [name for name in names if _is_core(name)]
    files, notes = [], []
    for name in names[:MOST_ASKED]:
        if name.endswith(".json"):
            notes.append(Note(name=name, text=_small_file(engine, container, prefix + name)))
        elif file := _file(engine, container, prefix + name):
            files.append(file)
    note_count = sum(name.endswith(".json") for name in names)
    return Cores(
        files=tuple(files),
        notes=tuple(notes),
        note_count=note_count,
        left_out=max(len(names) - MOST_ASKED, 0),
    )


def _is_core(name: str) -> bool:
    return "/" not in name and name.startswith(("core", ".core"))


def _file(engine: ContainerEngine, container: str, path: str) -> File | None:
    """What the engine says of a file without sending it."""
    about = look(engine, container, path)
    if about is None or not about.is_file:
        return None
    return File(name=path.rpartition("/")[2], size=about.size, time=about.modified)


def _small_file(engine: ContainerEngine, container: str, path: str) -> str | None:
    content = b""
    try:
        for item in copied(engine, container, path):
            if isinstance(item, TarMember):
                if item.kind != "file" or item.size > LONGEST_NOTE:
                    return None
            else:
                content += item
    except (FileNotFoundError, TarError):
        return None
    return content.decode("utf-8", "replace")


def _from_archive(engine: ContainerEngine, container: str) -> tuple[Cores, tuple[Gap, ...]]:
    """What is in the folder, from the beginning of its archive."""
    files: list[File] = []
    notes: list[Note] = []
    why = ""
    with translated(f"copy {CORES} out of {container[:12]}"), _asked(
        engine, container, CORES
    ) as answer:  # fmt: skip
        if not answer.ok:
            raise FileNotFoundError(CORES)
        try:
            _take(read_tar(_budgeted(answer.iter_content(1 << 16))), files, notes)
        except _Enough:
            why = "the folder is large, so its end was not read"
        except TarError as error:  # a file shrank meanwhile
            why = str(error)
    gaps = (Gap(part="cores", reason=why),) if why else ()
    found = Cores(files=tuple(files), notes=tuple(notes), note_count=len(notes), left_out=len(gaps))
    return found, gaps


def _take(items: Iterator[TarMember | bytes], files: list[File], notes: list[Note]) -> None:
    note, content = "", b""
    for item in items:
        if isinstance(item, TarMember):
            if note:
                notes.append(Note(name=note, text=content.decode("utf-8", "replace")))
            note, content = "", b""
            name = item.name.partition("/")[2]
            if item.kind != "file" or not _is_core(name):
                continue
            if not name.endswith(".json"):
                files.append(File(name=name, size=item.size, time=max(item.modified, 0.0)))
            elif item.size <= LONGEST_NOTE:
                note = name
        elif note:
            content += item
    if note:
        notes.append(Note(name=note, text=content.decode("utf-8", "replace")))


@contextlib.contextmanager
def _asked(engine: ContainerEngine, container: str, path: str) -> Iterator[Any]:
    """The archive of a path. The SDK has no way to hang up."""
    api = engine.api
    url = api._url("/containers/{0}/archive", container)
    answer = api.get(url, params={"path": path}, timeout=api.timeout, stream=True)
    try:
        yield answer
    finally:
        answer.close()


class _Enough(Exception):
    """So much of the archive has been read."""


def _budgeted(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The pieces of an archive until so much or so long was read."""
    taken, deadline = 0, time.monotonic() + ARCHIVE_SECONDS
    for piece in pieces:
        taken += len(piece)
        if taken > ARCHIVE_BYTES or time.monotonic() > deadline:
            raise _Enough
        yield piece
