"""What the user gave about a crash: folders and files with cores, logs, and facts of the container.

Nothing outside of a folder is read: links are not followed. What cannot be read is named and left
out. Everything is bounded, because a folder of logs may be anybody's.
"""

import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from evdiag.adapters.files import load_note
from evdiag.analyze.captured import unusable
from evdiag.errors import CoreNotFound, UsageError
from evdiag.model.incident import (
    NOTE_SUFFIX,
    CaptureNote,
    CorePattern,
    Limits,
    Surroundings,
)
from evdiag.model.report import Build, Container, SoftError
from evdiag.model.timeline import LOCAL, Source
from evdiag.parse.container import (
    read_build,
    read_core_pattern,
    read_disks,
    read_inspect,
    read_limits,
    read_oom_kills,
)

MAX_ENTRIES = 50_000
"""Names in a folder and below: a bundle with its symbols has a few hundred."""
MAX_DEPTH = 8
MAX_CORES = 500
MAX_LOGS = 200
MAX_SOURCES = 2_000
"""Files for the timeline: EVerest begins one for each start and for each charging session."""
MAX_LOG = 1 << 28
"""Bytes of one log, its last ones: they are read in pieces, in some seconds."""
MAX_LONE_NOTES = 500
"""Notes of the core writer without a core."""
MAX_FACTS = 1 << 22
"""Bytes of a file with facts; what `docker inspect` says of a container has a few ten thousand."""
HEAD = 1 << 14
"""Bytes that tell what a file is."""
PIECE = 1 << 20
MAX_NOTES = 20

_ELF, _CORE_TYPE, _BIG_ENDIAN = b"\x7fELF", 4, 2
_CORE_NAME = re.compile(r"core(\..*)?$|.*\.core$")
_UNFINISHED = re.compile(r"\.core.*\.part$")
"""What the core writer calls a core until it is whole."""
_LOG_NAME = re.compile(
    r".*\.(log|out|err|txt)(\.\d{1,4})?$|(stdout|stderr|dmesg|kern|messages|syslog)(\..*)?$",
    re.IGNORECASE,
)
_NO_LOG = re.compile(
    r".*\.(json|ya?ml|html?|md|xml|cfg|conf|ini|py|sh|js|[ch](pp|xx|c)?|pem|crt|key|db|toml)$",
    re.IGNORECASE,
)
_STAMPED = re.compile(rb"^(\x1b\[[\d;]*m)*\[?\d{4}-\d\d-\d\d[ T]\d\d:\d\d", re.MULTILINE)
_TIMED = re.compile(rb"\d{4}-\d\d-\d\d[T ]\d\d:\d\d|\b\d{10}\b")
"""What is in each file that a timeline can be made of."""
_MESSAGES = re.compile(rb"^\S{20,40}: (?:ChargePoint|CentralSystem|SYS)>", re.MULTILINE)
"""Heads of libocpp's log of messages (ocpp_logging.cpp): what a server sent is no evidence."""
_PACKED = re.compile(r".*\.(gz|xz|zst|bz2|lz4|zip|tar|tgz)$", re.IGNORECASE)
_SLOW = "Give the container more time to stop, and see whether the disk was full."


class LogFile(msgspec.Struct, frozen=True, kw_only=True):
    """One log."""

    name: str
    """As the report calls it: relative to the folder that was given."""
    path: Path
    start: int = 0
    """Where reading begins: only the end of a very large log is read."""


class Gathered(msgspec.Struct, kw_only=True):
    """Everything that was found."""

    cores: list[Path] = []
    logs: list[LogFile] = []
    around: Surroundings = Surroundings()
    notes: list[SoftError] = []
    lone: list[CaptureNote] = []
    """What the core writer noted of crashes whose cores are not here."""
    folders: list[Path] = []
    sources: list[Source] = []
    """What tells of the time before a crash: logs, and files that are no evidence."""


def gather(targets: Sequence[Path], logs: Sequence[Path]) -> Gathered:
    """Look at what was given. Raises UsageError, CoreNotFound.

    A file among the targets is a core, whatever it is: who reads it says what is wrong with it.
    """
    scan = _Scan()
    for path in targets:
        if path.is_dir():
            scan.folder(path, cores=True)
        else:
            scan.found.cores.append(path)
    for path in logs:
        if path.is_dir():
            scan.folder(path, cores=False)
        else:
            scan.log(path)
    return scan.finish()


def mtime(path: Path) -> float | None:
    """When a file was written last."""
    try:
        return path.stat().st_mtime
    except OSError:
        return None


def pieces(log: LogFile) -> Iterator[bytes]:
    """The bytes of a log, in pieces. Raises OSError."""
    left = MAX_LOG
    with log.path.open("rb") as file:
        file.seek(log.start)
        while left > 0 and (piece := file.read(min(PIECE, left))):
            left -= len(piece)
            yield piece


class _Scan:
    """Collects, and knows the limits."""

    def __init__(self) -> None:
        self.found = Gathered()
        self._entries = 0
        self._links = 0
        self._unreadable: list[str] = []
        self._packed: list[str] = []
        self._uses_pid = ""
        self._pattern = ""
        self._empty: list[str] = []
        self._unfinished: list[str] = []
        self._too_many: set[Path] = set()
        """Cores that are left out."""
        self._built: Build | None = None
        self._beside: list[tuple[Path, str]] = []
        """Where a core would be that the core writer may have noted, and the note's name."""

    # -- what was named

    def log(self, path: Path) -> None:
        """A file that the user calls a log."""
        try:
            status = path.stat()
            if not stat.S_ISREG(status.st_mode):
                raise UsageError(f"--log {path} is not a file", advice="Copy it to a file first.")
            with path.open("rb") as file:
                name = _readable(Path(path.name))
                self._add_source(path.resolve(), name, file.read(HEAD))
                self._add_log(path, name, status.st_size)
        except FileNotFoundError:
            raise UsageError(f"--log {path} does not exist") from None
        except OSError as error:
            raise UsageError(f"--log {path} cannot be read: {error.strerror}") from None

    def folder(self, root: Path, *, cores: bool) -> None:
        """A folder, with all below it."""
        try:
            entries = sorted(os.scandir(root), key=lambda entry: entry.name)
        except OSError as error:
            raise CoreNotFound(
                f"{root} cannot be read: {error.strerror}", advice="Check its owner and its mode."
            ) from None
        self.found.folders.append(root)
        self._walk(root, entries, 0, cores=cores)

    # -- what is in folders

    def _walk(
        self, root: Path, entries: Iterable["os.DirEntry[str]"], depth: int, *, cores: bool
    ) -> None:
        for entry in entries:
            self._entries += 1
            if self._entries > MAX_ENTRIES:
                return
            if entry.is_symlink():
                self._links += 1
            elif entry.is_dir(follow_symlinks=False):
                if depth < MAX_DEPTH:
                    self._walk(root, self._listed(entry.path), depth + 1, cores=cores)
            elif entry.is_file(follow_symlinks=False):
                path = Path(entry.path)
                self._file(path, _readable(path.relative_to(root)), cores=cores)

    def _listed(self, path: str) -> list["os.DirEntry[str]"]:
        try:
            return sorted(os.scandir(path), key=lambda entry: entry.name)
        except OSError:
            self._unreadable.append(path)
            return []

    def _file(self, path: Path, name: str, *, cores: bool) -> None:
        try:
            # A file may have become something else since it was listed.
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
            with os.fdopen(fd, "rb") as file:
                status = os.fstat(file.fileno())
                if not stat.S_ISREG(status.st_mode):
                    return
                head = file.read(HEAD)
                reader = _FACTS.get(path.name)
                if reader is not None:
                    reader(self, head + file.read(MAX_FACTS - len(head)))
                    return
        except OSError:
            self._unreadable.append(name)
            return
        self._by_content(path, name, head, status.st_size, cores=cores)

    def _by_content(self, path: Path, name: str, head: bytes, size: int, *, cores: bool) -> None:
        if _UNFINISHED.match(path.name):
            self._unfinished.append(name)
        elif path.name.endswith(NOTE_SUFFIX) and _CORE_NAME.match(
            path.name.removesuffix(NOTE_SUFFIX)
        ):
            if cores:
                self._beside.append((path.with_name(path.name.removesuffix(NOTE_SUFFIX)), name))
        elif is_core(head):
            if path in self.found.cores:
                return
            if cores and len(self.found.cores) < MAX_CORES:
                self.found.cores.append(path)
            elif cores:
                self._too_many.add(path)
                self._note(f"more than {MAX_CORES} cores: {name} is left out")
        elif not size and _CORE_NAME.match(path.name):
            self._empty.append(name)
        elif _PACKED.match(path.name):
            self._packed.append(name)
        elif self._add_source(path, name, head) and is_log(path.name, head):
            self._add_log(path, name, size)

    def _add_source(self, path: Path, name: str, head: bytes) -> bool:
        """Keep a file for the timeline; whether it may be evidence as well."""
        if not _TIMED.search(head):
            return True
        # Regular expressions take time to be made, and a single core needs none of these.
        from evdiag.parse.timeline import reader_of  # noqa: PLC0415

        reader = reader_of(head)
        if reader is None:
            return True
        known = any(source.path == str(path) for source in self.found.sources)
        if not known and len(self.found.sources) < MAX_SOURCES:
            is_local = reader.clock == LOCAL
            self.found.sources.append(
                Source(name=name, path=str(path), reader=reader.id, is_local=is_local)
            )
        return reader.is_log

    def _add_log(self, path: Path, name: str, size: int) -> None:
        if len(self.found.logs) >= MAX_LOGS:
            self._note(f"more than {MAX_LOGS} logs: {name} is left out")
            return
        if any(known.path == path for known in self.found.logs):
            return
        taken = {known.name for known in self.found.logs}
        start = max(0, size - MAX_LOG)
        if start:
            self._note(f"{name} has {size} bytes: only the last {MAX_LOG} are read")
        name = _readable(path) if name in taken else name
        self.found.logs.append(LogFile(name=name, path=path, start=start))

    # -- facts of the container

    def _inspect(self, content: bytes) -> None:
        read = read_inspect(content)
        if read is not None:
            self._set(container=read[0], limits=self.found.around.limits or read[1])

    def _build(self, content: bytes) -> None:
        self._built = read_build(content) or self._built

    def _memory(self, content: bytes) -> None:
        self._set(oom_kills=read_oom_kills(content.decode("utf-8", "replace")))

    def _limits(self, content: bytes) -> None:
        limits: Limits | None = read_limits(content.decode("utf-8", "replace"))
        self._set(limits=limits or self.found.around.limits)

    def _disks(self, content: bytes) -> None:
        self._set(disks=read_disks(content.decode("utf-8", "replace")))

    def _core_pattern(self, content: bytes) -> None:
        self._pattern = content.decode("utf-8", "replace")

    def _core_uses_pid(self, content: bytes) -> None:
        self._uses_pid = content.decode("utf-8", "replace")

    def _set(self, **facts: object) -> None:
        self.found.around = msgspec.structs.replace(self.found.around, **facts)

    # -- what the core writer noted

    def _read_notes(self) -> None:
        """The notes of cores that are not here; those beside a core are read with it."""
        cores = self._too_many.union(self.found.cores)
        names = {core.name for core in cores}
        removed: set[str] = set()
        for core, name in self._beside:
            note = load_note(core)
            if isinstance(note, CaptureNote):
                removed.update(note.removed)
            if core in cores:
                continue
            if isinstance(note, CaptureNote):
                # Whoever sorts files into folders may have parted a core from its note.
                if note.core not in names and len(self.found.lone) < MAX_LONE_NOTES:
                    self.found.lone.append(note)
            elif note is not None and not note.is_foreign and len(self.found.notes) < MAX_NOTES:
                self.found.notes.append(unusable(name, note.reason))
        self._set(removed=frozenset(removed))

    # -- the end

    def _note(self, message: str, effect: str | None = None, hint: str | None = None) -> None:
        if len(self.found.notes) < MAX_NOTES:
            self.found.notes.append(
                SoftError(stage="files", message=message, effect=effect, hint=hint)
            )

    def finish(self) -> Gathered:
        """Everything, with notes on what was left out."""
        self._read_notes()
        pattern: CorePattern | None = read_core_pattern(self._pattern, self._uses_pid)
        empty, cores = tuple(self._empty), len(self.found.cores)
        container, kills = self.found.around.container, self.found.around.oom_kills
        if kills is not None:
            container = msgspec.structs.replace(container or Container(), oom_kills=kills)
        if self._built is not None:
            container = msgspec.structs.replace(container or Container(), build=self._built)
        self._set(pattern=pattern, empty_cores=empty, cores=cores, container=container)
        for names, what, hint in (
            (self._unreadable, "cannot be read", "Try it as their owner, or as root."),
            (self._packed, "packed, and not looked into", "Unpack what belongs to the crash."),
            (self._empty, "called like a core, but empty", None),
            (self._unfinished, "unfinished: its writer was ended before the core was whole", _SLOW),
        ):
            if names:
                more = f" and {len(names) - 3} more" if len(names) > 3 else ""
                self._note(f"{', '.join(names[:3])}{more}: {what}", None, hint)
        if self._links:
            links = "1 link was" if self._links == 1 else f"{self._links} links were"
            self._note(f"{links} not followed")
        if self._entries > MAX_ENTRIES:
            self._note(f"only the first {MAX_ENTRIES} names were looked at")
        return self.found


_FACTS: dict[str, Callable[[_Scan, bytes], None]] = {
    "container.json": _Scan._inspect,
    "inspect.json": _Scan._inspect,
    "build.json": _Scan._build,
    "memory.events": _Scan._memory,
    "memory.oom_control": _Scan._memory,
    "limits": _Scan._limits,
    "core_pattern": _Scan._core_pattern,
    "core_uses_pid": _Scan._core_uses_pid,
    "df": _Scan._disks,
    "df.txt": _Scan._disks,
}
"""Files that are known by their names: those of the kernel, and what a bundle calls the others."""


def _readable(path: Path) -> str:
    """A name as text: the system's names are bytes."""
    return os.fsencode(path).decode("utf-8", "replace")


def is_core(head: bytes) -> bool:
    """Whether a file begins as a core does: ELF with e_type ET_CORE (elf(5))."""
    if len(head) < 18 or not head.startswith(_ELF):
        return False
    return int.from_bytes(head[16:18], "big" if head[5] == _BIG_ENDIAN else "little") == _CORE_TYPE


def is_log(name: str, head: bytes) -> bool:
    """Whether a file is a log: text, and called like one or with times at the starts of lines."""
    if not head or b"\0" in head or _NO_LOG.match(name) or _MESSAGES.match(head):
        return False
    return bool(_LOG_NAME.match(name) or _STAMPED.search(head))
