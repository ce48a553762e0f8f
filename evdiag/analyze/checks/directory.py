"""The folder for cores: there, writable, with room, and how long it keeps them."""

from evdiag.analyze.checks._words import (
    MEBIBYTE,
    enough_disk,
    fail,
    largest,
    name_of,
    ok,
    preloads,
    size,
    small_limit,
    warn,
)
from evdiag.model.doctor import CheckGroup, CheckRule, Facts, FolderFacts, Found, InsideFacts

VOLUME = "`evdiag run --replace --cores DIR` puts a folder of the host there"
MOST_CORES = 10
"""That the image keeps (EVDIAG_CORES_MAX)."""


def _mount(facts: Facts, folder: FolderFacts) -> tuple[str, str]:
    """(kind, source) of what lies over the folder, as the engine says it."""
    mounts = facts.container.mounts if facts.container is not None else ()
    for mount in mounts:
        if mount.target.rstrip("/") == folder.path:
            return mount.kind, mount.source
    return ("tmpfs", "") if folder.file_system == "tmpfs" else ("", "")


def look_at_folder(facts: Facts) -> Found | None:
    """Whether EVerest's user can write there: really tried."""
    inside = facts.inside
    folder = inside.folder if inside is not None else None
    if inside is None or folder is None:
        return None
    name = name_of(facts)
    if not folder.exists:
        fix = f"`docker exec {name} install -d -m 1777 {folder.path}`."
        return fail(f"{folder.path} is not there: EVerest starts in it", fix)
    mode = "" if folder.mode is None else f" ({folder.mode:04o}, user {folder.uid})"
    if folder.writable is False:
        return _unwritable(facts, inside, folder, f"{folder.path}{mode}")
    return ok(f"{folder.path}{mode}: writable for EVerest")


def _unwritable(facts: Facts, inside: InsideFacts, folder: FolderFacts, said: str) -> Found:
    text = f"{said}: EVerest's user cannot write there: {folder.error}"
    kind, source = _mount(facts, folder)
    if folder.read_only:
        root = "" if folder.mounted else ", as the root of the container is read-only"
        fix = f"Mount something writable there: {VOLUME}, `--tmpfs {folder.path}:mode=1777` memory."
        result = fail(f"{text}{root}", fix)
    elif "space" in folder.error or "quota" in folder.error.lower():
        result = fail(text, "Make room there.")
    elif kind == "bind" and source:
        result = fail(f"{text}. It is {source} of the host", f"`chmod 1777 {source}` on the host.")
    else:
        result = fail(text, f"`docker exec {name_of(facts)} chmod 1777 {folder.path}`.")
    other = inside.pattern_folder
    if other is not None and other.writable and other.path != folder.path and not preloads(inside):
        return warn(f"{result.reason}; the kernel writes to {other.path}", result.fix)
    return result


def look_at_space(facts: Facts) -> Found | None:
    """Room for one core more."""
    inside = facts.inside
    folder = inside.folder if inside is not None else None
    if inside is None or folder is None or folder.free is None or folder.total is None:
        return None
    kind = "a tmpfs" if folder.file_system == "tmpfs" else f"its disk ({folder.file_system})"
    said = f"{size(folder.free)} of {size(folder.total)} are free on {kind}"
    room = "Make room there, or give it more."
    if folder.file_system == "tmpfs":
        room = f"Give it more: `--tmpfs {folder.path}:mode=1777,size=2g`, or {VOLUME}."
    if folder.inodes is not None and folder.inodes < 2:
        return fail(f"no file can be made on {kind}: it has no inodes left", room)
    if folder.free < small_limit():
        return fail(f"{said}: every core is cut off or empty, and reported as dumped", room)
    need = max(largest(inside), enough_disk())
    if folder.free < need:
        need_text = f"the core of the largest process may take {size(need)}"
        return warn(f"{said}: {need_text}", room)
    return ok(said)


def look_at_keeping(facts: Facts) -> Found | None:
    """What takes the cores away."""
    folder = facts.inside.folder if facts.inside is not None else None
    if folder is None or not folder.file_system or facts.container is None:
        return None
    if facts.throw_away:
        return ok("until the container is removed")
    if facts.auto_remove:
        return warn(
            "the container was started with --rm: all cores are gone when it ends",
            f"`evdiag run --replace` starts it without; or {VOLUME}.",
        )
    kind, source = _mount(facts, folder)
    if kind == "tmpfs":
        return warn(
            "they lie in memory (tmpfs), and are gone when the container stops", f"{VOLUME}."
        )
    if kind:
        return ok(f"they lie outside of the container ({kind} {source})")
    return ok("until the container is removed, not when it stops")


def look_at_settings(facts: Facts) -> Found | None:
    """How many cores the image's capture keeps."""
    inside = facts.inside
    if inside is None or inside.init is None or not preloads(inside):
        return None
    number = _number(inside.settings.get("EVDIAG_CORES_MAX"))
    most = _number(inside.settings.get("EVDIAG_CORES_MAX_BYTES"))
    if number == 0 or most == 0:
        name = "EVDIAG_CORES_MAX" if number == 0 else "EVDIAG_CORES_MAX_BYTES"
        fix = f"`evdiag run --replace -e {name}=` takes the image's default."
        return fail(f"{name} is 0: no core is kept", fix)
    if most is not None and most < max(largest(inside), small_limit()):
        return warn(
            f"EVDIAG_CORES_MAX_BYTES is {size(most)}, and the largest process has "
            f"{size(largest(inside))} in memory: its core may be cut off",
            "`evdiag run --replace -e EVDIAG_CORES_MAX_BYTES=2147483648`.",
        )
    kept = MOST_CORES if number is None else number
    total = 2048 * MEBIBYTE if most is None else most
    return ok(f"the last {kept}, at most {size(total)}, and the first of a series")


def _number(text: str | None) -> int | None:
    """A setting; what is no number counts as not set, as in the core writer."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 20 else None


GROUP = CheckGroup(
    id="directory",
    title="The folder for cores",
    rules=(
        CheckRule(
            id="cores-folder",
            title="Core folder",
            explanation=(
                "`/tmp/everest-logs` has to be there, and EVerest's user has to be able to write "
                "in it, which is tried. A folder of the host that the engine made for a mount "
                "belongs to root: then no core comes."
            ),
            look=look_at_folder,
            captures=True,
        ),
        CheckRule(
            id="cores-space",
            title="Disk space",
            explanation=(
                "Bytes and inodes that are free. On a full disk the kernel leaves a core that is "
                "cut off or empty, and reports it as dumped."
            ),
            look=look_at_space,
            captures=True,
        ),
        CheckRule(
            id="cores-kept",
            title="Core lifetime",
            explanation="Memory, --rm and removal of the container take cores away.",
            look=look_at_keeping,
        ),
        CheckRule(
            id="cores-number",
            title="Cores kept",
            explanation="`EVDIAG_CORES_MAX` and `EVDIAG_CORES_MAX_BYTES` of the image's capture.",
            look=look_at_settings,
            captures=True,
        ),
    ),
)
