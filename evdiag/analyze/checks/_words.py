"""What the checks share: short words for what they found, and who captures cores."""

from collections.abc import Iterable

from evdiag.model.doctor import Facts, Found, InsideFacts
from evdiag.model.incident import UNLIMITED, CorePattern
from evdiag.parse.container import read_core_pattern

PRELOAD = "`evdiag run --replace --capture preload`"
"""What makes cores independent of everything that the kernel is told."""
SET_PATTERN = (
    "`evdiag run --replace --set-core-pattern`, which changes the whole machine until `evdiag stop`"
)
MEBIBYTE = 1 << 20
_UNITS = {"KB": 1 << 10, "MB": MEBIBYTE, "GB": 1 << 30}


def ok(reason: str) -> Found:
    """All is well."""
    return Found(state="ok", reason=reason)


def info(reason: str) -> Found:
    """Worth knowing, and no problem."""
    return Found(state="info", reason=reason)


def warn(reason: str, fix: str = "") -> Found:
    """It works, but."""
    return Found(state="warn", reason=reason, fix=fix)


def fail(reason: str, fix: str) -> Found:
    """It does not work."""
    return Found(state="fail", reason=reason, fix=fix)


def size(count: int) -> str:
    """A number of bytes for people."""
    if count < 1024:
        return f"{count} bytes"
    value, unit = next(
        (count / scale, unit)
        for unit, scale in _UNITS.items()
        if count < 1000 * scale or unit == "GB"
    )
    return f"{value:.1f} {unit}" if value < 100 else f"{value:.0f} {unit}"


def limit(count: int | None) -> str:
    """A limit for people."""
    if count is None:
        return "not known"
    return "unlimited" if count == UNLIMITED else size(count)


def listed(names: Iterable[str], most: int = 4) -> str:
    """The first of some names, and how many there are besides."""
    every = list(dict.fromkeys(names))
    more = f" and {len(every) - most} more" if len(every) > most else ""
    return ", ".join(every[:most]) + more


def preloads(inside: InsideFacts) -> bool:
    """Whether the image's own capture is asked for; else the kernel alone writes cores."""
    if inside.manager is not None and inside.manager.preload is not None:
        return "/capture.so" in inside.manager.preload
    return inside.settings.get("EVDIAG_CAPTURE") != "off"


def pattern(inside: InsideFacts) -> CorePattern | None:
    """Where the kernel puts cores."""
    return read_core_pattern(inside.core_pattern, str(inside.core_uses_pid or 0))


def to_file(inside: InsideFacts) -> bool:
    """Whether the kernel writes a file in the container."""
    found = pattern(inside)
    return found is not None and found.kind in ("relative", "absolute")


def largest(inside: InsideFacts) -> int:
    """Bytes that the largest process of EVerest has in memory; 0 if none runs."""
    return max((process.memory or 0 for process in inside.everest), default=0)


def handler_place(name: str) -> str | None:
    """Where a handler of the host puts cores, if it is one that is known."""
    from evdiag.analyze.no_core import HANDLERS  # noqa: PLC0415 - brings all rules: 20 ms

    return HANDLERS.get(name)


def small_limit() -> int:
    """Bytes: no core of an EVerest module is smaller."""
    from evdiag.analyze.no_core import SMALL_LIMIT  # noqa: PLC0415 - as above

    return SMALL_LIMIT


def enough_disk() -> int:
    """Bytes: no core of an EVerest module was seen that is larger."""
    from evdiag.analyze.no_core import ENOUGH_DISK  # noqa: PLC0415 - as above

    return ENOUGH_DISK


def help_against(reason: str) -> str | None:
    """What to do against a reason of the capture."""
    from evdiag.analyze.captured import what_helps  # noqa: PLC0415 - as above

    return what_helps(reason)


def name_of(facts: Facts) -> str:
    """The container's name, for commands."""
    return facts.container.name if facts.container is not None else "CONTAINER"
