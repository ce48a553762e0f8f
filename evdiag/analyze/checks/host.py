"""This machine: only what evdiag itself needs, and what its kernel does with cores."""

from evdiag.analyze.checks._words import handler_place, info, ok, warn
from evdiag.model.doctor import CheckGroup, CheckRule, Facts, Found

GDB = "Install gdb, or `pip install 'evdiag[gdb]'`."


def look_at_handler(facts: Facts) -> Found | None:
    """What the kernel of this machine does with cores."""
    found = facts.host.pattern
    if found is None:
        return None
    if found.kind == "socket":
        return info(f"cores of this machine go to the socket {found.text.lstrip('@')}")
    if found.kind != "pipe":
        return ok(f"cores of this machine become files (`{found.text}`)")
    if facts.host.handler_exists is False:
        said = f"cores of this machine are piped to {found.text[1:].split()[0]}, which is not there"
        return warn(f"{said}: they are lost", "Set kernel.core_pattern anew: `core.%e.%p.%t`.")
    name = found.handler or "a program"
    where = handler_place(name)
    return info(f"cores of this machine go to {name}" + (f"; {where}" if where else ""))


def look_at_gdb(facts: Facts) -> Found | None:
    """The gdb for values of variables."""
    if not facts.host.system:
        return None
    gdb = facts.host.gdb
    if gdb is None:
        return info(f"no gdb on PATH: stacks need none, values of variables do. {GDB}")
    said = f"gdb {gdb.version}".strip() + f" ({gdb.path})"
    if gdb.python is False:
        return warn(f"{said} has no Python: values of variables are shown in plain form", GDB)
    return ok(f"{said} with Python" if gdb.python else said)


def look_at_yama(facts: Facts) -> Found | None:
    """Whether a debugger may attach to a running process."""
    scope = facts.host.ptrace_scope
    if facts.host.system != "Linux":
        return None
    if not scope:
        return ok("debuggers may attach to processes of the same user")
    return info(
        f"yama.ptrace_scope is {scope}: debuggers may not attach to running processes"
        + (" but their own children" if scope == 1 else "")
        + "; cores are not concerned"
    )


GROUP = CheckGroup(
    id="host",
    title="This machine",
    rules=(
        CheckRule(
            id="host-cores",
            title="Host cores",
            explanation=(
                "What the kernel here does with cores: known are apport, systemd-coredump, abrt "
                "and the handler of WSL."
            ),
            look=look_at_handler,
        ),
        CheckRule(
            id="host-gdb",
            title="gdb",
            explanation="The gdb on PATH, its version, and whether it has Python.",
            look=look_at_gdb,
        ),
        CheckRule(
            id="host-yama",
            title="Attaching",
            explanation="yama.ptrace_scope of this machine: for `gdb -p`, not for cores.",
            look=look_at_yama,
        ),
    ),
)
