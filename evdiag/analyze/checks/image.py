"""The image, the container, and what they tell a debugger."""

from evdiag.analyze.checks._words import fail, info, listed, ok, warn
from evdiag.model.doctor import CheckGroup, CheckRule, DebugData, Facts, Found

BUILD = "`evdiag build` makes an image with it."


def look_at_image(facts: Facts) -> Found | None:
    """Whether it is there, ours, and for this machine."""
    image, problem = facts.image, facts.problem
    if image is None:
        if problem is None or problem.kind != "image":
            return None
        return fail(problem.message, problem.advice)
    if not image.is_charger:
        return fail(
            f"{image.name} is no image of a charger: the label org.evdiag.cores is missing",
            "`evdiag build` makes one; another one's name is given with --image.",
        )
    engine = facts.engine
    foreign = engine is not None and image.architecture and engine.architecture
    if foreign and engine is not None and image.architecture != engine.architecture:
        return warn(
            f"{image.name} is for {image.architecture}, the engine's machine is "
            f"{engine.architecture}: it is emulated, slowly, and cores are those of the emulator",
            f"`evdiag build --platform linux/{engine.architecture}`.",
        )
    return ok(f"{image.name} ({image.architecture or 'of unknown architecture'})")


def look_at_container(facts: Facts) -> Found | None:
    """Which container all this is about."""
    container, problem = facts.container, facts.problem
    if problem is not None and problem.kind == "container":
        return fail(problem.message, problem.advice)
    if container is None:
        return None
    if facts.inside is not None and facts.inside.error:
        return fail(
            f"nothing can be found out in {container.name}: {facts.inside.error}",
            "Is it a charger? Its image needs python3 and a user everest. --name names another.",
        )
    if facts.throw_away:
        why = facts.stopped or "no charger runs"
        return info(f"{why}: a container of the image was made for the checks")
    return ok(f"{container.name}, {container.state}")


def _program(one: DebugData) -> str:
    return one.path.rpartition("/")[2]


def look_at_debug_data(facts: Facts) -> Found | None:
    """Build-ids, debug information, gdb's index."""
    debug = facts.inside.debug if facts.inside is not None else ()
    if not debug:
        return None
    nameless = [_program(one) for one in debug if not one.build_id]
    if nameless:
        return warn(
            f"no build-id in {listed(nameless)}: a core does not tell its executable for certain",
            f"Link with -Wl,--build-id. {BUILD}",
        )
    bare = [one for one in debug if not one.debug_info]
    if bare:
        names = listed(map(_program, bare))
        stripped = all(not one.symbols for one in bare)
        effect = "stacks have addresses only" if stripped else "stacks have no files and lines"
        return warn(f"no debug information in {names}: {effect}", f"Compile with -g. {BUILD}")
    without = [_program(one) for one in debug if not one.index]
    said = f"build-id, debug information: {len(debug)} executables"
    if without:
        return info(f"{said}, no index in {listed(without)}: gdb starts slowly")
    return ok(f"build-id, debug information, index: {len(debug)} executables")


def look_at_debuggers(facts: Facts) -> Found | None:
    """gdb and eu-stack of the image."""
    inside = facts.inside
    if inside is None or inside.init is None:
        return None
    stack = ", eu-stack" if inside.eu_stack else ""
    if inside.gdb is None:
        return info(f"no gdb in the image{stack}: values of variables come from this machine's gdb")
    said = f"gdb {inside.gdb.version}".strip()
    if inside.gdb.python is False:
        return info(f"{said} without Python{stack}: values of variables are shown in plain form")
    python = " with Python" if inside.gdb.python else ""
    return ok(f"{said}{python}{stack}")


GROUP = CheckGroup(
    id="image",
    title="Image and container",
    rules=(
        CheckRule(
            id="image",
            title="Image",
            explanation="The image is there, is a charger's, and fits the engine's machine.",
            look=look_at_image,
        ),
        CheckRule(
            id="container",
            title="Container",
            explanation=(
                "The charger that is looked at: the one of --name, else the only one; where none "
                "runs, a container that is made of the image and removed again."
            ),
            look=look_at_container,
        ),
        CheckRule(
            id="debug-data",
            title="Debug data",
            explanation=(
                "Build-id, debug information and gdb's index in the manager and the modules: what "
                "a report's functions, files and lines come from."
            ),
            look=look_at_debug_data,
        ),
        CheckRule(
            id="debuggers",
            title="Debuggers",
            explanation="gdb, whether it has Python, and eu-stack.",
            look=look_at_debuggers,
        ),
    ),
)
