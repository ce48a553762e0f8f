"""What a container and its kernel say of themselves: inspect, memory, limits, core pattern, disks.

All of it is text that somebody copied next to the cores. What does not look as it should gives
None: then it is not known.
"""

import re

import msgspec

from evdiag.model.incident import UNLIMITED, CorePattern, DiskSpace, Limits
from evdiag.model.report import Build, Container

MAX_LABELS = 64
"""An image has a dozen."""
MAX_TEXT = 1 << 16
"""Of files of the kernel: none of them has more than a few kilobytes."""
MAX_ROWS = 256
"""Of df's table."""
HARMLESS = ("OCPP_VERSION", "OCPP_ID")
"""Variables of the container that a report may show: others may hold passwords and tokens."""
MAX_VARIABLES = 1_000
MAX_MODULES = 200
"""EVerest has about a hundred."""
BUILD_SCHEMA = "evdiag.build/1"

_LIMIT = re.compile(r"^Max core file size +(\S+) +(\S+)", re.MULTILINE)
_ULIMIT = {"unlimited": UNLIMITED, "-1": UNLIMITED}
_PATTERN_KINDS = {"|": "pipe", "@": "socket", "/": "absolute"}


def read_inspect(text: bytes) -> tuple[Container, Limits | None] | None:
    """What `docker inspect` (or podman's) says of one container, and its limit for cores.

    The engine gives a list of one; the API and bundles give the object itself.
    """
    try:
        document = msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return None
    if isinstance(document, list):
        document = document[0] if document else None
    state, config = _part(document, "State"), _part(document, "Config")
    if not state and not config:
        return None
    container = Container(
        image=_text(config.get("Image")),
        digest=_text(_part(document).get("Image")),
        labels=_labels(config.get("Labels")),
        state=_text(state.get("Status")),
        exit_code=_number(state.get("ExitCode")),
        oom_killed=_truth(state.get("OOMKilled")),
        environment=_environment(config.get("Env")),
    )
    return container, _ulimit(_part(document, "HostConfig").get("Ulimits"))


def _part(document: object, name: str | None = None) -> dict[str, object]:
    if name is not None:
        document = _part(document).get(name)
    return document if isinstance(document, dict) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _truth(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _labels(value: object) -> dict[str, str]:
    pairs = value.items() if isinstance(value, dict) else ()
    return {k: v for k, v in list(pairs)[:MAX_LABELS] if isinstance(v, str)}


def _environment(value: object) -> dict[str, str]:
    """Of the container's variables those that are harmless."""
    found = {}
    for entry in value[:MAX_VARIABLES] if isinstance(value, list) else ():
        name, equals, text = entry.partition("=") if isinstance(entry, str) else ("", "", "")
        if name in HARMLESS and equals and text:
            found[name] = text
    return found


def read_build(text: bytes) -> Build | None:
    """What the build of EVerest noted of itself: build.json of the image."""
    try:
        document = msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return None
    everest, about = _part(document, "everest"), _part(document)
    if not everest or about.get("schema", BUILD_SCHEMA) != BUILD_SCHEMA:
        return None
    modules = about.get("modules")
    names = modules[:MAX_MODULES] if isinstance(modules, list) else []
    return Build(
        commit=_text(everest.get("commit")),
        describe=_text(everest.get("describe")),
        source=_text(everest.get("source")),
        compiler=_text(about.get("compiler")),
        cflags=_text(about.get("c_flags")),
        architecture=_text(about.get("architecture")),
        modules=tuple(name for name in names if isinstance(name, str)),
    )


def _ulimit(value: object) -> Limits | None:
    """The entry of HostConfig.Ulimits called `core`; -1 is unlimited."""
    for entry in value if isinstance(value, list) else ():
        if _part(entry).get("Name") == "core":
            return Limits(soft=_number(entry.get("Soft")), hard=_number(entry.get("Hard")))
    return None


def read_oom_kills(text: str) -> int | None:
    """The counter `oom_kill`: memory.events of cgroup v2, memory.oom_control of v1.

    memory.events says for how many processes, memory.oom_control too since Linux 4.13; without
    that line nothing is known. `oom_kill_disable` is another thing.
    """
    for line in text[:MAX_TEXT].splitlines():
        name, _, number = line.partition(" ")
        if name == "oom_kill" and _is_number(number.strip()):
            return int(number)
    return None


def read_limits(text: str) -> Limits | None:
    """The row about cores in /proc/PID/limits (proc(5))."""
    row = _LIMIT.search(text[:MAX_TEXT])
    return Limits(soft=_limit(row[1]), hard=_limit(row[2])) if row else None


def _limit(word: str) -> int | None:
    return int(word) if _is_number(word) else _ULIMIT.get(word)


def _is_number(word: str) -> bool:
    return word.isascii() and word.isdecimal() and len(word) < 20


def read_core_pattern(text: str, uses_pid: str = "") -> CorePattern | None:
    """/proc/sys/kernel/core_pattern, and core_uses_pid where it is known (core(5))."""
    pattern = text[:MAX_TEXT].strip("\n")
    if not pattern.strip() or "\n" in pattern or "\0" in pattern:
        return None
    kind = _PATTERN_KINDS.get(pattern[0], "relative")
    words = pattern[1:].split()
    handler = words[0].rpartition("/")[2] if kind == "pipe" and words else None
    specifiers = set(re.findall(r"%(.)", pattern))
    names_pid = bool(specifiers & set("pPiI")) or uses_pid.strip() not in ("", "0")
    return CorePattern(text=pattern, kind=kind, handler=handler, names_pid=names_pid)


def read_disks(text: str) -> tuple[DiskSpace, ...]:
    """The table of df(1) in POSIX form (`df -P`, `df -k`): blocks of 1024 bytes."""
    lines = text[:MAX_TEXT].splitlines()
    if not lines or not re.match(r"Filesystem\s+(?:1K|1024)-blocks\s", lines[0]):
        return ()
    found = []
    for line in lines[1:MAX_ROWS]:
        cells = line.split(maxsplit=5)
        if len(cells) == 6 and _is_number(cells[3]):
            found.append(DiskSpace(mounted_on=cells[5], available=int(cells[3]) * 1024))
    return tuple(found)
