"""What goes to the engine, in words: for `evdiag build --print-context`."""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from .build_plan import Finding, Request

SOURCES = "sources"


class Part(msgspec.Struct, kw_only=True):
    """One file or folder at the top of the context; below sources/, one tree."""

    name: str
    is_folder: bool = False
    files: int = 0
    size: int = 0


def parts_of(entries: Iterable[tuple[str, bool, int]]) -> list[Part]:
    """Sum up (name, whether a folder, size) by what is at the top."""
    found: dict[str, Part] = {}
    for name, is_folder, size in entries:
        words = name.split("/", 2)
        top = "/".join(words[:2]) if words[0] == SOURCES else words[0]
        part = found.get(top)
        if part is None:
            part = found[top] = Part(name=top, is_folder=is_folder)
        if not is_folder:
            part.files += 1
            part.size += size
    return [part for part in found.values() if part.name != SOURCES]


def size_words(size: int) -> str:
    """Bytes for people: `12.3 MB`."""
    if size < 1000:
        return f"{size} B"
    value = float(size)
    for unit in ("kB", "MB", "GB"):
        value /= 1000
        if value < 999.95:
            return f"{value:.1f} {unit}"
    return f"{value / 1000:.1f} TB"


def count_words(parts: Sequence[Part]) -> str:
    """How much it is: `53 files, 318.5 kB`."""
    files = sum(part.files for part in parts)
    return f"{_files(files)}, {size_words(sum(part.size for part in parts))}"


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count:,} files"


def describe(
    folder: str,
    sources: str | None,
    parts: Sequence[Part],
    request: Request,
    arguments: Mapping[str, str],
    findings: Sequence[Finding],
) -> list[str]:
    """The lines of --print-context."""
    lines = [f"context    {folder}"]
    if sources is not None:
        lines.append(f"sources/   {sources}")
    lines += [f"image      {request.tag}"]
    if request.platforms:
        lines.append(f"platforms  {', '.join(request.platforms)}")
    lines += ["", "sent to the engine:"]
    shown = [(f"{part.name}/" if part.is_folder else part.name, part) for part in parts]
    width = min(48, max((len(name) for name, _ in shown), default=0))
    for name, part in shown:
        count = f"{_files(part.files):>13}" if part.is_folder else " " * 13
        lines.append(f"  {name:<{width}}  {count}  {size_words(part.size):>9}")
    lines.append(f"  {'in all':<{width}}  {count_words(parts)}")
    lines += ["", "build arguments:"]
    lines += [f"  {key}={value}" for key, value in arguments.items()]
    if findings:
        lines += ["", "source trees:"]
        lines += [f"  {'! ' if found.is_odd else ''}{found.text}" for found in findings]
    return lines
