"""What `evdiag doctor` knows of machine, engine, image and container, and what it makes of it."""

from collections.abc import Callable

import msgspec

from evdiag.model.charger import Check, ContainerFacts, EngineFacts, ImageFacts
from evdiag.model.incident import CorePattern

CAPTURE_LIBRARY = "/usr/local/lib/evdiag/capture.so"
"""What everest-start.sh of the image loads into EVerest's processes."""
CORE_WRITER = "/usr/local/lib/evdiag/core-writer"


class Debugger(msgspec.Struct, frozen=True, kw_only=True):
    """A gdb."""

    path: str
    version: str = ""
    python: bool | None = None
    """Whether Python is built into it: values of variables come from there."""


class HostFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The machine that evdiag runs on, as far as it is a Linux."""

    system: str = ""
    """Linux, Darwin."""
    kernel: str = ""
    pattern: CorePattern | None = None
    handler_exists: bool | None = None
    """Whether the program is there that the core pattern pipes cores to."""
    ptrace_scope: int | None = None
    """Of the security module Yama; None where the kernel has none."""
    gdb: Debugger | None = None


class ServiceFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One program of supervisord."""

    name: str = ""
    state: str = ""
    """RUNNING, STARTING, BACKOFF, EXITED, FATAL, STOPPED ..."""
    detail: str = ""


class ProcessFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One process of the container."""

    pid: int = 0
    name: str = ""
    """`ocpp:OCPP201` of a module."""
    uid: int | None = None
    core_soft: int | None = None
    """Bytes; -1 is unlimited, None not known."""
    core_hard: int | None = None
    file_hard: int | None = None
    """The largest file that it may write."""
    filter: int | None = None
    """coredump_filter of core(5)."""
    dumpable: bool | None = None
    seccomp: int | None = None
    """0 off, 1 strict, 2 a filter."""
    no_new_privileges: bool | None = None
    capabilities: int | None = None
    """The effective ones, a bit for each."""
    memory: int | None = None
    """Bytes of it that are in memory."""
    preload: str | None = None
    """LD_PRELOAD; None where its environment cannot be read."""


class FolderFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A folder of the container where cores go."""

    path: str = ""
    exists: bool = False
    mode: int | None = None
    uid: int | None = None
    writable: bool | None = None
    """Whether EVerest's user made a file in it."""
    error: str = ""
    """Why it could not: a name of errno(3)."""
    file_system: str = ""
    """overlay, tmpfs, ext4 ..."""
    mounted: bool = False
    """Whether something of its own lies there: a volume, a folder of the host, a tmpfs."""
    read_only: bool = False
    total: int | None = None
    """Bytes."""
    free: int | None = None
    inodes: int | None = None
    """Files that can still be made; None where the file system does not count them."""


class DebugData(msgspec.Struct, frozen=True, kw_only=True):
    """What an executable of the image tells a debugger."""

    path: str = ""
    build_id: str = ""
    debug_info: bool = False
    index: bool = False
    """Whether gdb's index is in it: gdb starts in a tenth of the time."""
    symbols: bool = False


class LeftCore(msgspec.Struct, frozen=True, kw_only=True):
    """A file that is where the kernel would put the next core."""

    path: str = ""
    uid: int = 0
    size: int = 0


class InsideFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the probe saw in the container."""

    error: str = ""
    """Why there is nothing else here."""
    core_pattern: str = ""
    core_uses_pid: int | None = None
    core_pipe_limit: int | None = None
    suid_dumpable: int | None = None
    ptrace_scope: int | None = None
    kernel: str = ""
    time: float | None = None
    user_uid: int | None = None
    """Of EVerest's user."""
    init: ProcessFacts | None = None
    manager: ProcessFacts | None = None
    modules: tuple[ProcessFacts, ...] = ()
    folder: FolderFacts | None = None
    pattern_folder: FolderFacts | None = None
    """Where an absolute core pattern leads in the container."""
    left_core: LeftCore | None = None
    settings: dict[str, str] = {}
    """EVDIAG_* of the container."""
    library_exists: bool | None = None
    writer_exists: bool | None = None
    root_read_only: bool = False
    memory_limit: int | None = None
    memory_used: int | None = None
    cgroup_version: int | None = None
    oom_kills: int | None = None
    ipv6: str = ""
    """yes, disabled, absent (not in the kernel), or none (no link-local address)."""
    services: tuple[ServiceFacts, ...] = ()
    services_error: str = ""
    debug: tuple[DebugData, ...] = ()
    gdb: Debugger | None = None
    eu_stack: str = ""
    privileged: tuple[str, ...] = ()
    """Executables of EVerest with the setuid bit or with capabilities."""

    @property
    def everest(self) -> tuple[ProcessFacts, ...]:
        """The manager and its modules."""
        return ((self.manager,) if self.manager else ()) + self.modules


class CrashResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one process that crashed for the test."""

    signal: int = 0
    died_of: int | None = None
    """The signal that waitpid(2) saw; None if it did not die of one."""
    dumped: bool = False
    """Whether the kernel says "core dumped", which proves nothing."""
    path: str = ""
    """Of the core, which is removed again; empty where none came."""
    writer: str = ""
    """capture (the image's own) or kernel."""
    milliseconds: float | None = None
    """From the crash until the core was there."""
    size: int = 0
    missing: int | None = None
    """Bytes that the core's headers promise and the file does not have; None if it is no core."""
    waited: float = 0.0
    """Seconds that it was looked for."""
    said: tuple[str, ...] = ()
    """What the process and the core writer printed."""
    error: str = ""
    """Why it was not crashed at all."""

    @property
    def is_whole(self) -> bool:
        """Whether there was a core, all of it."""
        return bool(self.path) and self.missing == 0


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Why a part of the facts is missing: an error of evdiag."""

    kind: str
    """engine, container or image."""
    message: str
    advice: str = ""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """All that was found out, for the checks to judge."""

    host: HostFacts = HostFacts()
    engine: EngineFacts | None = None
    skew: float | None = None
    """Seconds by which the engine's clock is ahead of this machine's."""
    image: ImageFacts | None = None
    container: ContainerFacts | None = None
    auto_remove: bool = False
    """Whether the container goes away by itself when it ends."""
    stopped: str = ""
    """Which charger does not run, so that it could not be looked into: `everest is exited`."""
    throw_away: bool = False
    """Whether the container was made for the checks alone."""
    inside: InsideFacts | None = None
    crashes: tuple[CrashResult, ...] | None = None
    """None: no test crash was made."""
    problem: Problem | None = None


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule says: state, reason and fix of a check."""

    state: str
    reason: str
    fix: str = ""


class CheckRule(msgspec.Struct, frozen=True, kw_only=True):
    """One check as the registry and the documentation have it."""

    id: str
    title: str
    explanation: str
    look: Callable[[Facts], Found | None]
    """None: the facts for it are not there."""
    captures: bool = False
    """Whether it can explain that no core came."""


class CheckGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Checks that are about one thing, in the order of the report."""

    id: str
    title: str
    rules: tuple[CheckRule, ...]


class Examined(msgspec.Struct, frozen=True, kw_only=True):
    """The checks of a group."""

    id: str
    title: str
    checks: tuple[Check, ...]


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """All checks, and what they come to."""

    groups: tuple[Examined, ...]
    state: str
    """ok, warn (nothing proves it), fail, or skip (nothing could be looked at)."""
    verdict: str
    subject: str
    """What was looked at: the charger, or a container made for it."""
    facts: Facts

    @property
    def checks(self) -> tuple[Check, ...]:
        """All of them, in order."""
        return tuple(check for group in self.groups for check in group.checks)
