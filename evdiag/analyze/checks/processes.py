"""What EVerest's processes must be like to be dumped: capture loaded, dumpable, not privileged."""

from evdiag.analyze.checks._words import (
    fail,
    info,
    listed,
    name_of,
    ok,
    preloads,
    to_file,
    warn,
)
from evdiag.model.doctor import CAPTURE_LIBRARY, CORE_WRITER, CheckGroup, CheckRule, Facts, Found

RUNNING, STARTING = "RUNNING", "STARTING"
CAP_SYS_PTRACE = 1 << 19
"""Its bit in CapEff (linux/capability.h)."""
BUILD_AGAIN = "`evdiag build` makes an image with it, `evdiag run --replace` starts it."


def look_at_capture(facts: Facts) -> Found | None:
    """Who writes the cores."""
    inside = facts.inside
    if inside is None or inside.init is None:
        return None
    off = inside.settings.get("EVDIAG_CAPTURE") == "off"
    if not preloads(inside):
        if off:
            return info("EVDIAG_CAPTURE=off: cores are left to the kernel")
        said = "the image's own capture is not loaded into the manager: the kernel has to do it"
        return warn(said, "`evdiag run --replace` starts EVerest with it.")
    for path, exists in (
        (CAPTURE_LIBRARY, inside.library_exists),
        (inside.settings.get("EVDIAG_CORE_WRITER", CORE_WRITER), inside.writer_exists),
    ):
        if exists is False:
            return fail(f"{path} is not in the container: nothing takes a crash", BUILD_AGAIN)
    without = [
        one.name
        for one in inside.modules
        if one.preload is not None and "/capture.so" not in one.preload
    ]
    if without:
        said = f"it is not loaded into {listed(without)}: the kernel has to write their cores"
        return warn(said, "Keep LD_PRELOAD in the environment of what a module starts.")
    if inside.manager is None:
        return ok("the image's own capture, as soon as EVerest starts")
    return ok(f"the image's own capture, in the manager and {len(inside.modules)} processes of it")


def look_at_dumpable(facts: Facts) -> Found | None:
    """PR_SET_DUMPABLE."""
    inside = facts.inside
    if inside is None or not inside.everest:
        return None
    shy = [one.name for one in inside.everest if one.dumpable is False]
    if not shy:
        return ok("all processes of EVerest may be dumped")
    return fail(
        f"{listed(shy)}: asked not to be dumped (PR_SET_DUMPABLE, setuid bit, change of user); "
        "neither the capture nor the kernel writes a core of such a process",
        "`prctl(PR_SET_DUMPABLE, 1)` in it, after it changed its user; or take the setuid bit or "
        "the capabilities from its file.",
    )


def look_at_privileged(facts: Facts) -> Found | None:
    """Executables that the loader and the kernel treat with care."""
    inside = facts.inside
    if inside is None or not inside.debug:
        return None
    if not inside.privileged:
        return ok("no setuid bit, no capabilities in executables")
    names = listed(path.rpartition("/")[2] for path in inside.privileged)
    said = f"{names}: setuid bit or capabilities, so the image's capture is not loaded into it"
    dumped = to_file(inside) and inside.suid_dumpable
    kernel = (
        f"fs.suid_dumpable is {inside.suid_dumpable}, so the kernel may write a core"
        if dumped
        else f"nor does the kernel dump it (fs.suid_dumpable is {inside.suid_dumpable or 0})"
    )
    file = inside.privileged[0]
    fix = (
        f"`docker exec {name_of(facts)} sh -c 'chmod ug-s {file}; setcap -r {file}'`, then restart."
    )
    return warn(f"{said}; {kernel}", fix)


def look_at_services(facts: Facts) -> Found | None:
    """supervisord and its programs."""
    inside = facts.inside
    if inside is None or facts.throw_away:
        return None
    name = name_of(facts)
    logs = f"`evdiag logs --name {name}` says why"
    if inside.services_error:
        return fail(f"supervisord does not answer: {inside.services_error}", f"{logs}.")
    if not inside.services:
        return None
    starting = [one.name for one in inside.services if one.state == STARTING]
    down = [one for one in inside.services if one.state not in (RUNNING, STARTING)]
    if down:
        texts = listed(f"{one.name} is {one.state} ({one.detail})" for one in down)
        return warn(texts, f"{logs}; `docker exec {name} supervisorctl restart {down[0].name}`.")
    if inside.manager is None:
        return warn("all services run, but there is no manager of EVerest yet", f"{logs}.")
    if starting:
        return info(f"{listed(starting)}: just started; the others run")
    return ok(f"{listed(one.name for one in inside.services)} run")


def look_at_tracing(facts: Facts) -> Found | None:
    """The capture reads the crashed process by ptrace(2), which Yama may forbid."""
    inside = facts.inside
    if inside is None or inside.init is None:
        return None
    scope = inside.ptrace_scope
    if scope is None:
        return ok("the kernel does not restrict it (no Yama)")
    if scope < 2:
        return ok(f"yama.ptrace_scope is {scope}: a crashed process may be read by its writer")
    capabilities = (inside.manager or inside.init).capabilities or 0
    if scope == 2 and capabilities & CAP_SYS_PTRACE:
        return ok("yama.ptrace_scope is 2, and EVerest has CAP_SYS_PTRACE")
    said = f"yama.ptrace_scope is {scope}: nobody without privilege may read a process"
    if not preloads(inside):
        return info(f"{said}; the kernel's cores do not need that")
    fix = "On the engine's machine: `sysctl -w kernel.yama.ptrace_scope=1`."
    if scope >= 3:
        fix = "On the engine's machine: kernel.yama.ptrace_scope=1 in /etc/sysctl.d, then boot it."
    if to_file(inside):
        return warn(f"{said}: the capture gives up and leaves the core to the kernel", fix)
    return fail(f"{said}: the capture cannot write cores", fix)


def look_at_sandbox(facts: Facts) -> Found | None:
    """seccomp, no-new-privileges, capabilities: what surrounds the processes."""
    inside = facts.inside
    process = (inside.manager or inside.init) if inside is not None else None
    if inside is None or process is None or process.seccomp is None:
        return None
    words = [{0: "no seccomp filter", 1: "strict seccomp"}.get(process.seccomp, "seccomp filter")]
    if process.no_new_privileges:
        words.append("no new privileges")
    if process.capabilities is not None and process is inside.manager:
        words.append(f"{process.capabilities.bit_count() or 'no'} capabilities")
    security = facts.engine.security if facts.engine is not None else ()
    words += [name for name in security if name in ("apparmor", "selinux", "userns")]
    return ok(", ".join(words))


GROUP = CheckGroup(
    id="processes",
    title="EVerest and its processes",
    rules=(
        CheckRule(
            id="services",
            title="Services",
            explanation="supervisord answers, and its programs run.",
            look=look_at_services,
        ),
        CheckRule(
            id="capture",
            title="Capture",
            explanation=(
                "The image's own capture is loaded into the manager and its modules, unless "
                "`EVDIAG_CAPTURE=off` leaves cores to the kernel."
            ),
            look=look_at_capture,
            captures=True,
        ),
        CheckRule(
            id="dumpable",
            title="Dumpable",
            explanation=(
                "A process may ask not to be dumped (PR_SET_DUMPABLE), and the kernel says so for "
                "one that has changed its user."
            ),
            look=look_at_dumpable,
        ),
        CheckRule(
            id="privileged",
            title="Privileges",
            explanation=(
                "The loader ignores LD_PRELOAD of programs with the setuid bit or with "
                "capabilities, and the kernel dumps them only as fs.suid_dumpable says."
            ),
            look=look_at_privileged,
        ),
        CheckRule(
            id="ptrace",
            title="ptrace",
            explanation=(
                "The capture stops and reads the crashed process by ptrace(2). The security module "
                "Yama forbids that from yama.ptrace_scope 2 on."
            ),
            look=look_at_tracing,
            captures=True,
        ),
        CheckRule(
            id="sandbox",
            title="Sandbox",
            explanation=(
                "seccomp, no-new-privileges and capabilities of the manager. The capture needs no "
                "more than ptrace(2) of a process of the same user."
            ),
            look=look_at_sandbox,
        ),
    ),
)
