"""Where the kernel puts cores: one setting for the host and all containers (core(5))."""

from evdiag.analyze.checks._words import (
    PRELOAD,
    SET_PATTERN,
    fail,
    handler_place,
    info,
    name_of,
    ok,
    pattern,
    preloads,
    size,
    warn,
)
from evdiag.model.charger import CORES
from evdiag.model.doctor import CheckGroup, CheckRule, Facts, FolderFacts, Found
from evdiag.model.incident import CorePattern

FIX = f"{PRELOAD}: the image's own capture needs nothing of the host. Or {SET_PATTERN}."
USES_PID = "on the engine's machine: `sysctl -w kernel.core_uses_pid=1`"
WSL = "wsl-capture-crash"


def _where(name: str) -> str:
    return handler_place(name) or f"look where {name} puts cores on the host"


def look_at_pattern(facts: Facts) -> Found | None:
    """Whether a file comes of it, and where."""
    inside = facts.inside
    found = pattern(inside) if inside is not None else None
    if inside is None or found is None:
        return None
    if preloads(inside):
        return _beside_capture(found)
    if found.kind == "socket":
        socket = found.text.lstrip("@")
        said = f"the kernel sends cores to the socket {socket} on the host: none in the container"
        return fail(said, FIX)
    if found.kind == "pipe":
        return _piped(facts, found)
    if found.kind == "absolute":
        return _absolute(found, inside.pattern_folder)
    return _named(found, f"`{found.text}`: a file in the working directory of the process, {CORES}")


def _beside_capture(found: CorePattern) -> Found:
    """With the image's own capture the kernel's core is a second source."""
    independent = "the image's own capture does not depend on it"
    if found.kind == "pipe":
        name = found.handler or "a program"
        also = ""
        if name == WSL:
            also = (
                "; every crash leaves another dump in %TEMP%\\wsl-crashes on Windows, which may "
                "fill that disk (maxCrashDumpCount=-1 in .wslconfig turns it off)"
            )
        return info(f"the host pipes cores to {name}; {independent}{also}")
    if found.kind == "socket":
        return info(f"the host sends cores to the socket {found.text.lstrip('@')}; {independent}")
    return ok(f"`{found.text}`; {independent}")


def _piped(facts: Facts, found: CorePattern) -> Found:
    host = facts.host
    name = found.handler or "a program"
    same = host.pattern is not None and host.pattern.text == found.text
    if same and host.handler_exists is False:
        program = found.text[1:].split()[0]
        said = f"the kernel pipes cores to {program}, which this machine does not have"
        return fail(f"{said}: they are lost", FIX)
    return fail(
        f"the kernel pipes cores to {name} on the host, none in the container, though logs may say "
        f'"core dumped"; {_where(name)}',
        FIX,
    )


def _absolute(found: CorePattern, folder: FolderFacts | None) -> Found:
    said = f"`{found.text}`: a file in the container"
    if folder is None:  # a folder with a specifier in its name
        return _named(found, said)
    if not folder.exists:
        return fail(
            f"the kernel writes cores to {folder.path} in the container, which is not there",
            f"Make it with mode 1777 in the container (`install -d -m 1777 {folder.path}`), or "
            f"mount something there. Or {PRELOAD}.",
        )
    if folder.writable is False:
        return fail(
            f"the kernel writes cores to {folder.path} in the container, where EVerest's user "
            f"cannot write: {folder.error}",
            f"`chmod 1777 {folder.path}` in the container. Or {PRELOAD}.",
        )
    return _named(found, said)


def _named(found: CorePattern, said: str) -> Found:
    if found.names_pid:
        return ok(said)
    return warn(
        f"{said}. The name holds no process id, so the next crash overwrites the core",
        f"{PRELOAD}. Or, {USES_PID}.",
    )


def look_at_left_core(facts: Facts) -> Found | None:
    """A file under the name of the next core."""
    inside = facts.inside
    if inside is None or pattern(inside) is None:
        return None
    left = inside.left_core
    if left is None or preloads(inside) or inside.core_uses_pid:
        return ok("nothing is in its way")
    if inside.user_uid is not None and left.uid != inside.user_uid:
        return fail(
            f"{left.path} belongs to user {left.uid}: the kernel leaves it as it is and writes no "
            f"core of EVerest's user {inside.user_uid}, without a word",
            f"Copy it if you need it (`docker cp {name_of(facts)}:{left.path} .`), then "
            f"`docker exec {name_of(facts)} rm {left.path}`.",
        )
    return warn(
        f"{left.path} ({size(left.size)}) is an older core: the next crash overwrites it",
        f"Keep it: `docker cp {name_of(facts)}:{left.path} .`",
    )


def look_at_pipe_limit(facts: Facts) -> Found | None:
    """Whether the kernel waits for the program that takes the core."""
    inside = facts.inside
    found = pattern(inside) if inside is not None else None
    if inside is None or found is None or inside.core_pipe_limit is None:
        return None
    if found.kind != "pipe":
        return ok("does not matter without a pipe")
    if inside.core_pipe_limit:
        return ok(f"{inside.core_pipe_limit}: the crashed process waits for the program")
    return info("0: the kernel does not wait for the program, which may find the process gone")


GROUP = CheckGroup(
    id="core-pattern",
    title="Where the kernel puts cores",
    rules=(
        CheckRule(
            id="core-pattern",
            title="core_pattern",
            explanation=(
                "`/proc/sys/kernel/core_pattern` is one setting for the host and all containers. A "
                "relative name is a file in the working directory of the process, an absolute path "
                "one in the container of the process. A pipe or a socket leads to the host, where "
                "the container never sees it again. With the image's own capture it does not "
                "matter."
            ),
            look=look_at_pattern,
            captures=True,
        ),
        CheckRule(
            id="core-name-free",
            title="Next core",
            explanation=(
                "Where all cores have the same name, the kernel overwrites the last one, but not "
                "one of another user: then it writes none, and does not say so."
            ),
            look=look_at_left_core,
            captures=True,
        ),
        CheckRule(
            id="core-pipe-limit",
            title="core_pipe_limit",
            explanation=(
                "Whether the kernel keeps a crashed process until the program that takes its core "
                "has ended."
            ),
            look=look_at_pipe_limit,
        ),
    ),
)
