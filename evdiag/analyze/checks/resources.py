"""Memory and network of the container: deaths without a core, and cars that find no charger."""

from evdiag.analyze.checks._words import fail, name_of, ok, size, warn
from evdiag.model.doctor import CheckGroup, CheckRule, Facts, Found

SMALL_MEMORY = 512 << 20
"""Bytes: EVerest with one connector, the broker and Node-RED take about this much."""
NEARLY_FULL = 0.9
IPV6 = {
    "disabled": "IPv6 is turned off in the container",
    "none": "no interface has an IPv6 link-local address",
}


def look_at_memory(facts: Facts) -> Found | None:
    """The limit of the control group."""
    inside = facts.inside
    if inside is None or inside.cgroup_version is None:
        return None
    version = f"cgroups {inside.cgroup_version}"
    if inside.memory_limit is None:
        return ok(f"no limit ({version})")
    used = inside.memory_used or 0
    said = f"{size(used)} of {size(inside.memory_limit)} are in use ({version})"
    more = "`docker update --memory 2g --memory-swap 2g " + name_of(facts) + "`."
    if used > NEARLY_FULL * inside.memory_limit:
        return warn(f"{said}: the kernel soon kills a process, which leaves no core", more)
    if inside.memory_limit < SMALL_MEMORY:
        return warn(f"{said}: little for EVerest; who runs out of it dies without a core", more)
    return ok(said)


def look_at_oom_kills(facts: Facts) -> Found | None:
    """Whether memory ran out already."""
    inside = facts.inside
    if inside is None or inside.oom_kills is None:
        return None
    if not inside.oom_kills:
        return ok("no process, for want of memory")
    times = "a process" if inside.oom_kills == 1 else f"{inside.oom_kills} processes"
    return warn(
        f"the kernel killed {times} of the container for want of memory: that leaves no core",
        f"Give it more memory, or look for what grows: `docker stats {name_of(facts)}`.",
    )


def look_at_ipv6(facts: Facts) -> Found | None:
    """ISO 15118 between car and charger."""
    inside = facts.inside
    if inside is None or not inside.ipv6 or facts.throw_away:
        return None
    if inside.ipv6 == "yes":
        return ok("there is a link-local address, so cars can charge")
    if inside.ipv6 == "absent":
        fix = "Load it on the engine's machine (`modprobe ipv6`; no ipv6.disable=1 at its boot)."
        return fail("the engine's kernel has no IPv6: no car can charge with DC", fix)
    said = IPV6.get(inside.ipv6, "IPv6 does not work")
    fix = "`evdiag run --replace`; with docker `--sysctl net.ipv6.conf.all.disable_ipv6=0`."
    return warn(f"{said}: no car can charge with DC", fix)


GROUP = CheckGroup(
    id="resources",
    title="Memory and network",
    rules=(
        CheckRule(
            id="memory",
            title="Memory limit",
            explanation="Limit and use of the container's control group.",
            look=look_at_memory,
        ),
        CheckRule(
            id="oom-kills",
            title="OOM kills",
            explanation="How often the kernel killed a process of the container for memory.",
            look=look_at_oom_kills,
        ),
        CheckRule(
            id="ipv6",
            title="IPv6",
            explanation=(
                "Charging with DC is ISO 15118, which needs an IPv6 link-local address in the "
                "container."
            ),
            look=look_at_ipv6,
        ),
    ),
)
