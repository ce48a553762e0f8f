"""The container engine, and the machine that it runs on."""

from evdiag.analyze.checks._words import fail, info, ok, size, warn
from evdiag.model.doctor import CheckGroup, CheckRule, Facts, Found

LARGEST_SKEW = 1.0
"""Seconds: crashes and log records are told apart by less, but people do not notice it."""
SMALL_MACHINE = 2 << 30
USUAL = "unix:///var/run/docker.sock"
KINDS = {"desktop": "Docker Desktop", "podman": "podman", "engine": "Docker Engine"}


def look_at_engine(facts: Facts) -> Found | None:
    """Whether there is one, and what it is."""
    engine, problem = facts.engine, facts.problem
    if problem is not None and problem.kind == "engine":
        return fail(problem.message, problem.advice)
    if engine is None:
        return None
    words = [f"{KINDS.get(engine.kind, engine.kind)} {engine.version}".strip()]
    words += ["rootless"] if engine.rootless else []
    words += ["in WSL"] if engine.is_wsl else []
    words += [f"kernel {engine.kernel}"] if engine.kernel else []
    words += [f"cgroups {engine.cgroup_version}"] if engine.cgroup_version else []
    words += [] if engine.endpoint == USUAL else [f"at {engine.endpoint}"]
    said = ", ".join(words)
    if engine.kind == "podman":
        return info(f"{said}: evdiag is not tested with podman")
    if engine.kind == "desktop":
        said += ": containers run in a virtual machine with a kernel of its own"
        return info(f"{said}, so this machine's core_pattern and limits do not matter")
    return ok(said)


def look_at_clock(facts: Facts) -> Found | None:
    """The engine's clock against that of this machine."""
    if facts.skew is None:
        return None
    if abs(facts.skew) < LARGEST_SKEW:
        return ok("the engine's clock and this machine's agree")
    way = "ahead of" if facts.skew > 0 else "behind"
    return warn(
        f"the engine's clock is {abs(facts.skew):.0f} s {way} this machine's: times of crashes and "
        "`--since` do not fit",
        "Set the clocks by NTP; Docker Desktop's falls behind while a laptop sleeps: restart it.",
    )


def look_at_memory(facts: Facts) -> Found | None:
    """Memory of the engine's machine."""
    engine = facts.engine
    if engine is None or engine.memory is None:
        return None
    said = f"{size(engine.memory)}, {engine.cores} processors"
    if engine.memory < SMALL_MACHINE:
        fix = "Give the machine more memory; Docker Desktop: Settings, Resources."
        return warn(f"{said}: little for a charger", fix)
    return ok(said)


GROUP = CheckGroup(
    id="engine",
    title="Container engine",
    rules=(
        CheckRule(
            id="engine",
            title="Engine",
            explanation=(
                "Whether an engine answers, and which: Docker Engine, Docker Desktop or podman, "
                "rootless or not, in WSL or not."
            ),
            look=look_at_engine,
        ),
        CheckRule(
            id="engine-clock",
            title="Engine clock",
            explanation="The engine's clock against this machine's.",
            look=look_at_clock,
        ),
        CheckRule(
            id="engine-memory",
            title="Its machine",
            explanation="Memory and processors of the machine that the engine runs on.",
            look=look_at_memory,
        ),
    ),
)
