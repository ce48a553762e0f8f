"""What is said of a bundle: while it is made, when it is there, and in the file that lies in it."""

from collections.abc import Sequence

from evdiag.model.bundle import FileEntry, Manifest
from evdiag.report.words import size

MOST_NAMED = 5
"""Problems and left out files that are named; the manifest has them all."""


def transfer(done: int, whole: int | None, seconds: float) -> str:
    """How a file comes: `50 % of 89.7 MB, 210 MB/s`."""
    words = [f"{min(100 * done // whole, 100)} % of {size(whole)}" if whole else size(done)]
    if seconds > 0.2:
        words.append(f"{size(int(done / seconds))}/s")
    return ", ".join(words)


def count(number: int, one: str, many: str = "") -> str:
    """`1 core`, `2 cores`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def core_words(entry: FileEntry, disk: int | None) -> str:
    """A core that has been copied."""
    name = entry.path.removeprefix("cores/")
    words = size(entry.bytes)
    if disk is not None and disk < entry.bytes * 0.95:
        words += f", {size(disk)} on disk"
    if entry.truncated:
        words += f"; incomplete: {entry.truncated}"
    return f"{name}: {words}"


def summary(manifest: Manifest, *, disk: int, seconds: float) -> list[str]:
    """What a bundle holds, in a few lines."""
    cores = [entry for entry in manifest.files if entry.kind == "core"]
    logs = [entry for entry in manifest.files if entry.kind in ("log", "everest")]
    symbols = [entry for entry in manifest.files if entry.kind == "symbols"]
    words = []
    if cores:
        apparent = sum(entry.bytes for entry in cores)
        words.append(f"{count(len(cores), 'core')} ({size(apparent)}, {size(disk)} on disk)")
    else:
        words.append("no core")
    written = size(sum(entry.bytes for entry in logs))
    words.append(f"{count(len(logs), 'log')} ({written})" if logs else "no log")
    if symbols:
        amount = size(sum(entry.bytes for entry in symbols))
        words.append(f"{count(len(symbols), 'file')} with symbols ({amount})")
    lines = [f"{', '.join(words)}; {seconds:.1f} s"]
    lines.append(_redacted(manifest))
    lines += _listed(
        [f"{entry.path} is incomplete: {entry.truncated}" for entry in manifest.files
         if entry.truncated]
    )  # fmt: skip
    lines += _listed(manifest.problems)
    lines += _left_out(manifest)
    if any(entry.bytes for entry in cores):
        lines.append(
            "Careful: the cores hold the memory of the processes, with all passwords and keys."
        )
    return lines


def _redacted(manifest: Manifest) -> str:
    if not manifest.redaction.enabled:
        return "Nothing was redacted (--no-redact): do not pass it on."
    total = sum(entry.redacted for entry in manifest.files)
    if not total:
        return "No secrets were found in logs and configuration."
    files = sum(entry.redacted > 0 for entry in manifest.files)
    return f"{count(total, 'secret')} replaced in {count(files, 'file')}."


def _left_out(manifest: Manifest) -> list[str]:
    """What somebody might miss: cores by name, the rest by its number."""
    cores = [
        f"left out: {each.origin} ({size(each.bytes or 0)}), {each.reason}"
        for each in manifest.skipped if _is_core(each.origin)
    ]  # fmt: skip
    others = sum(not _is_core(each.origin) for each in manifest.skipped)
    lines = _listed(cores)
    if others:
        lines.append(f"left out: {count(others, 'file')} (keys, databases and the like)")
    return lines


def _is_core(origin: str) -> bool:
    name = origin.rpartition("/")[2].lstrip(".")
    return name.startswith("core") or name.endswith(".core")


def _listed(texts: Sequence[str]) -> list[str]:
    more = len(texts) - MOST_NAMED
    return [*texts[:MOST_NAMED], *([f"… and {more} more: see manifest.json"] if more > 0 else [])]


def readme(manifest: Manifest, *, has_cores: bool) -> str:
    """README.txt of a bundle."""
    about = manifest.subject
    kinds = {"container": "container", "volume": "volume", "folder": "folder"}
    lines = [
        f"Crash evidence of the {kinds.get(about.kind, about.kind)} {about.name}",
        "",
        f"Collected by evdiag {manifest.evdiag}; the list of all files is manifest.json.",
        "",
        "Read it:          evdiag backtrace THIS-FOLDER",
        "See it is whole:  evdiag collect --verify THIS-FOLDER",
        "",
        "cores/      memory of crashed processes, and what the core writer noted of each",
        "logs/       of the services and of the container (output.log)",
        "everest/    messages of OCPP and charging sessions",
        "config/     what EVerest, mosquitto and supervisord were told",
        "facts/      processes, limits, memory, disks, events, versions",
        "symbols/    the programs and libraries that the cores need, by build-id",
        "sources/    source files that the crashes name",
        "",
    ]
    if has_cores:
        lines += [
            "CAREFUL: a core is the memory of a process. It holds its passwords, keys and tokens,",
            "whatever was replaced in the other files. Give it only to who may know them.",
            "",
        ]
    if manifest.redaction.enabled:
        lines += [
            "Secrets in all other files were replaced by tokens such as <redacted-1a2b3c4d>:",
            "the same secret has the same token everywhere in this bundle.",
        ]
    else:
        lines.append("Nothing was redacted: logs and configuration hold passwords as they were.")
    return "\n".join(lines) + "\n"
