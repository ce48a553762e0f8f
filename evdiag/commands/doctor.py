"""`evdiag doctor`: whether a crash would leave a core, proved by one, and what to do if not."""

import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from evdiag.commands._charger import NameOption
from evdiag.errors import (
    EngineError,
    EngineRefused,
    EvdiagError,
    ExitCode,
    NoSuchContainer,
    NoSuchImage,
    UsageError,
)
from evdiag.model.charger import IMAGE, ContainerFacts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from evdiag.adapters.docker.engine import ContainerEngine
    from evdiag.model.charger import ImageFacts
    from evdiag.model.doctor import Facts

UNIX = "unix://"


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """What the user asked to be looked at."""

    name: str | None = None
    image: str | None = None
    """Of which to make a container, even if a charger runs."""
    usual_image: str = IMAGE
    """The same where no charger runs."""
    crash: bool = True


class Gathered(msgspec.Struct, frozen=True, kw_only=True):
    """The facts, and the error that cut them short."""

    facts: "Facts"
    error: EvdiagError | None = None


def gather(wishes: Wishes, at: "Callable[[str], None]") -> Gathered:
    """All facts that can be had; what goes wrong with the engine ends them, but loses none.

    `at` is told what is being done.
    """
    from evdiag.adapters.doctor_host import look_around
    from evdiag.model.doctor import Facts

    try:
        engine = _connect()
    except (EngineError, UsageError) as error:
        host = look_around(versions=wishes.crash)
        return _with_problem(Facts(host=host), error, "engine")
    with ExitStack() as stack:
        stack.callback(engine.close)
        at("looking at this machine and the engine")
        return _ask(engine, wishes, Facts(host=look_around(versions=True)), stack, at)


def _connect() -> "ContainerEngine":
    """The engine. What speaks to it is loaded only where a socket is."""
    from pathlib import Path

    from evdiag.adapters.docker.endpoint import find_endpoint
    from evdiag.errors import EngineUnreachable

    endpoint = find_endpoint()
    path = Path(endpoint.url.removeprefix(UNIX))
    try:
        missing = endpoint.url.startswith(UNIX) and not path.exists()
    except PermissionError:  # of a folder above it: the connection will say so
        missing = False
    if missing:
        raise EngineUnreachable(
            f"there is no container engine: no socket {path} (by {endpoint.origin})"
        )
    from evdiag.adapters.docker.engine import connect

    return connect()


def _with_problem(facts: "Facts", error: EvdiagError, kind: str) -> Gathered:
    from evdiag.model.doctor import Problem

    problem = Problem(kind=kind, message=str(error), advice=error.advice)
    return Gathered(facts=msgspec.structs.replace(facts, problem=problem), error=error)


def _ask(
    engine: "ContainerEngine",
    wishes: Wishes,
    facts: "Facts",
    stack: ExitStack,
    at: "Callable[[str], None]",
) -> Gathered:
    """The facts of engine, image and container, as far as one gets."""
    try:
        for facts in _steps(engine, wishes, facts, stack, at):  # noqa: B007, B020 - the last one counts
            pass
    except NoSuchImage as error:
        return _with_problem(facts, error, "image")
    except EngineRefused as error:  # to start a container of a broken image
        return _with_problem(facts, error, "container" if facts.image else "engine")
    except EngineError as error:
        return _with_problem(facts, error, "engine")
    except EvdiagError as error:
        return _with_problem(facts, error, "container")
    return Gathered(facts=facts)


def _steps(
    engine: "ContainerEngine",
    wishes: Wishes,
    facts: "Facts",
    stack: ExitStack,
    at: "Callable[[str], None]",
) -> "Iterator[Facts]":
    """The facts, growing step by step."""
    from evdiag.adapters.docker import doctor

    more = msgspec.structs.replace
    yield (facts := more(facts, engine=engine.facts(), skew=doctor.clock_skew(engine)))
    charger = None if wishes.image is not None else _charger(engine, wishes.name)
    running = charger if charger is not None and charger.is_running else None
    image = _image(engine, wishes, charger)
    yield (facts := more(facts, image=image))
    if running is None:
        if image is None or not image.is_charger:
            return
        at(f"starting a container of {image.name}")
        made = stack.enter_context(doctor.throw_away(engine, image.id, image.name))
        running = engine.container(made)
        stopped = "" if charger is None else f"{charger.name} is {charger.state}"
        facts = more(facts, throw_away=True, stopped=stopped)
    auto_remove = _removes_itself(engine, running.id)
    yield (facts := more(facts, container=running, auto_remove=auto_remove))
    at(f"looking into {running.name}")
    inside = doctor.probe(engine, running.id, is_charger=not facts.throw_away)
    yield (facts := more(facts, inside=inside))
    if wishes.crash and not inside.error:
        at("letting two processes crash, and waiting for their cores")
        yield more(facts, crashes=doctor.crash(engine, running.id, inside))


def _image(
    engine: "ContainerEngine", wishes: Wishes, charger: ContainerFacts | None
) -> "ImageFacts | None":
    """The image that was named, or the charger's; a charger runs on where its image was removed.

    Raises NoSuchImage.
    """
    if charger is None:
        return engine.image(wishes.image or wishes.usual_image)
    try:
        # by its id: the name may have gone over to another image meanwhile
        found = engine.image(charger.image_id or charger.image)
    except NoSuchImage:
        if charger.is_running:
            return None
        raise
    return msgspec.structs.replace(found, name=charger.image)


def _charger(engine: "ContainerEngine", name: str | None) -> ContainerFacts | None:
    """The charger of that name; without one the one called `everest`, or the only one.

    None: there is no charger at all. Raises NoSuchContainer, which names those that there are.
    """
    from evdiag.commands._charger import find_charger

    try:
        return find_charger(engine, name)
    except NoSuchContainer:
        if name is not None or engine.chargers():
            raise
        return None


def _removes_itself(engine: "ContainerEngine", container: str) -> bool:
    document = engine.inspect(container)
    host = document.get("HostConfig") if isinstance(document, dict) else None
    return isinstance(host, dict) and host.get("AutoRemove") is True


def exit_code(gathered: Gathered, *, failed: bool) -> ExitCode:
    """What was wrong with engine or container comes before checks that fail."""
    if gathered.error is not None:
        return gathered.error.exit_code
    return ExitCode.NOT_READY if failed else ExitCode.DONE


def _wishes(context: typer.Context, name: str | None, image: str | None, *, crash: bool) -> Wishes:
    """What was typed is asked for; what a file or the environment says, only goes for defaults.

    Raises UsageError.
    """
    sources = {key: context.get_parameter_source(key) for key in ("name", "image")}
    typed = {key for key, source in sources.items() if source and source.name == "COMMANDLINE"}
    if typed == {"name", "image"}:
        raise UsageError(
            "--name and --image do not go together",
            advice="--name checks a charger that runs, --image a container made of an image.",
        )
    return Wishes(
        name=None if "image" in typed else name,
        image=image if "image" in typed else None,
        usual_image=image or IMAGE,
        crash=crash,
    )


def command(
    context: typer.Context,
    name: NameOption = None,
    image: Annotated[
        str | None,
        typer.Option(
            metavar="IMAGE",
            envvar="EVDIAG_IMAGE",
            show_envvar=False,
            help=f"Check a container made of this image; default, if no charger runs: {IMAGE}.",
            show_default=False,
        ),
    ] = None,
    no_crash_test: Annotated[
        bool, typer.Option("--no-crash-test", help="Let nothing crash to prove it.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """Check whether crashes leave cores: every obstacle with its fix, and a test crash as proof."""
    from evdiag.adapters.host import now
    from evdiag.analyze.checks import diagnose
    from evdiag.console import Progress, fail, terminal_style
    from evdiag.report import checks

    wishes = _wishes(context, name, image, crash=not no_crash_test)
    progress = Progress()
    try:
        gathered = gather(wishes, progress)
    finally:
        progress.done()
    diagnosis = diagnose(gathered.facts)
    code = exit_code(gathered, failed=any(check.failed for check in diagnosis.checks))
    if as_json:
        sys.stdout.write(checks.render_json(diagnosis, now(), int(code)))
    else:
        width, colour = terminal_style()
        sys.stdout.write(checks.render(diagnosis, width, colour))
    sys.stdout.flush()
    if gathered.error is not None:
        fail(gathered.error)
    raise typer.Exit(int(code))
