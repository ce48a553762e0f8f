"""`evdiag build`: the charger's image, from what ships with evdiag or from own source trees."""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn, TextIO

import msgspec
import typer

from evdiag.model.charger import IMAGE

if TYPE_CHECKING:
    from evdiag.adapters.docker.engine import ContainerEngine
    from evdiag.analyze.build_context import Part
    from evdiag.analyze.build_plan import Finding, Request
    from evdiag.parse.build_output import Event, Failed

TICK_SECONDS = 1.0
"""How often the live line is drawn anew while a step is silent."""
DRAW_SECONDS = 0.1
"""How often at most, while it prints."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is known before an engine is asked."""

    folder: Path
    sources: Path | None
    request: "Request"
    arguments: dict[str, str]
    findings: "list[Finding]"
    parts: "list[Part]"
    specials: list[str]
    """Sockets, pipes and devices: they are left out."""
    defaults: dict[str, str]
    """Of the Dockerfile's arguments."""


def prepare(request: "Request", folder: Path | None, sources: Path | None) -> Plan:
    """Look at what would be sent, and refuse what cannot go well. Raises UsageError."""
    from evdiag import __version__
    from evdiag.adapters import container_files as files
    from evdiag.analyze import build_plan
    from evdiag.analyze.build_context import parts_of
    from evdiag.analyze.build_failure import argument_defaults

    build_plan.check_request(request)
    folder = folder or files.context_folder()
    dockerfile = files.read_dockerfile(folder)
    findings: list[Finding] = []
    if sources is not None:
        found = files.survey(sources)
        sources = sources.resolve()
        build_plan.refuse_checkout(str(sources), found.names)
        known = None
        if found.dependencies is not None:
            known = build_plan.read_dependencies(found.dependencies)
        findings = build_plan.judge_sources(found.trees, known, request.everest_ref)
    specials: list[str] = []

    def sent() -> Iterator[tuple[str, bool, int]]:
        for entry in files.entries(folder, sources):
            if entry.is_special:
                specials.append(entry.name)
            else:
                yield entry.name, entry.is_folder, entry.size

    parts = parts_of(sent())
    return Plan(
        folder=folder,
        sources=sources,
        request=request,
        arguments=build_plan.build_arguments(
            request, revision=files.revision(folder), version=__version__
        ),
        findings=findings,
        parts=parts,
        specials=specials,
        defaults=argument_defaults(dockerfile),
    )


def choose_buildx(plan: Plan, engine: "ContainerEngine", architecture: str) -> str | None:
    """The docker program if it takes its buildx; None if the engine's own builder does.

    Raises NotReady if neither can, EngineError.
    """
    from evdiag.adapters.docker import build
    from evdiag.analyze import build_plan

    request = plan.request
    if not build_plan.needs_buildx(request, architecture):
        return None
    several = len(request.platforms) > 1 and build.keeps_several_platforms(engine)
    build_plan.check_place(request, keeps_several=several)
    return build.find_buildx()


def run(
    plan: Plan, engine: "ContainerEngine", program: str | None, sent: Callable[[int], None]
) -> "Generator[Event]":
    """Build with the docker program or the engine's own builder, and yield the events of it.

    The last one is Made or Failed. `sent` is told how many bytes of the context are with the
    engine. Raises EngineError, BuildFailed, UsageError.
    """
    from evdiag.adapters.container_files import pieces
    from evdiag.adapters.docker import build
    from evdiag.analyze.build_plan import buildx_arguments
    from evdiag.parse.build_output import BuildxReader, ClassicReader, Made

    def context() -> Iterator[bytes]:
        total = 0
        for piece in pieces(plan.folder, plan.sources):
            yield piece
            total += len(piece)
            sent(total)

    if program is None:
        classic = ClassicReader()
        for message in build.classic(engine, context(), plan.request, plan.arguments):
            yield from classic.feed(message)
        return
    words = buildx_arguments(plan.request, plan.arguments)
    process = build.Buildx(engine, program, words, context())
    reader = BuildxReader()
    with contextlib.closing(process.lines()) as lines:
        for line in lines:
            yield from reader.feed(line)
    yield Made(plan.request.tag) if process.succeeded else reader.failure()


class _Screen:
    """The build on stderr, and all of it in the log."""

    def __init__(self, log: TextIO, total: int) -> None:
        from evdiag.analyze.build_progress import BuildProgress
        from evdiag.console import Progress

        self.progress = BuildProgress()
        self.begun = time.monotonic()
        self._log, self._total = log, total
        self._live = Progress()
        self._drawn = 0.0
        self._sent: str | None = None
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._ticker = threading.Thread(target=self._tick, daemon=True)

    def __enter__(self) -> "_Screen":
        if sys.stderr.isatty():
            self._ticker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        with self._lock:
            self._live.done()

    def _tick(self) -> None:
        while not self._over.wait(TICK_SECONDS):
            self._draw()

    def _draw(self) -> None:
        with self._lock:
            now = time.monotonic()
            if now - self._drawn >= DRAW_SECONDS and not self._over.is_set():
                self._drawn = now
                self._live(self._sent or self.progress.live(now))

    def sent(self, size: int) -> None:
        """So much of the context is with the engine."""
        from evdiag.analyze.build_context import size_words

        done = f"{size_words(size)} of about {size_words(max(size, self._total))}"
        self._sent = f"sending the context: {done}"
        self._draw()

    def take(self, event: "Event") -> None:
        """The builder said something."""
        from evdiag.analyze.build_progress import log_line
        from evdiag.parse.build_output import Ended, StageOver
        from evdiag.report.neutral import clean

        now = time.monotonic()
        if text := log_line(event):
            with contextlib.suppress(OSError):  # a full disk must not end the build
                self._log.write(f"{now - self.begun:8.1f}  {clean(text, 40_000)}\n")
        with self._lock:
            self._sent = None
            lines = self.progress.take(event, now)
        self._print(lines)
        if not isinstance(event, Ended | StageOver):  # the next step comes at once
            self._draw()

    def finish(self) -> None:
        """The image is there."""
        self._print(self.progress.finish(time.monotonic()))

    def _print(self, lines: list[str]) -> None:
        from evdiag.console import Steps

        if lines:
            with self._lock:
                self._live.done()
                for line in lines:
                    Steps().done(line)


def _build(plan: Plan) -> None:
    """Build with everything that a user sees of it. Raises EvdiagError."""
    from evdiag.adapters.build_log import open_build_log
    from evdiag.adapters.docker.build import broke_off
    from evdiag.adapters.docker.engine import connect
    from evdiag.console import say
    from evdiag.parse.build_output import Failed, Made

    with contextlib.closing(connect()) as engine:
        program = _introduce(plan, engine)
        path, log = open_build_log()
        say(f"log: {path}")
        last: Event | None = None
        try:
            with (
                log,
                _Screen(log, sum(part.size for part in plan.parts)) as screen,
                contextlib.closing(run(plan, engine, program, screen.sent)) as events,
            ):
                for event in events:
                    last = event if isinstance(event, Failed | Made) else last
                    screen.take(event)
                    if isinstance(event, Failed):
                        _fail(plan, event, screen, path)
                if last is None:
                    raise broke_off()
                screen.finish()
        except (KeyboardInterrupt, SystemExit):
            say(f"stopped. What was built so far stays in the cache; the log is {path}")
            raise
        _praise(plan, engine, screen)


def _introduce(plan: Plan, engine: "ContainerEngine") -> str | None:
    """Say what is going to happen; the docker program is returned if it does it."""
    from evdiag.analyze.build_context import count_words
    from evdiag.analyze.build_plan import plan_jobs
    from evdiag.console import Steps, say

    facts = engine.facts()
    program = choose_buildx(plan, engine, facts.architecture)
    say(f"context: {plan.folder} ({count_words(plan.parts)})")
    if plan.sources is not None:
        say(f"sources: {plan.sources}")
    for finding in plan.findings:
        if finding.is_odd:
            Steps().warn(finding.text)
        else:
            say(f"  {finding.text}")
    for name in plan.specials[:5]:
        Steps().warn(f"left out, as it is neither file nor folder: {name}")
    jobs = plan_jobs(facts.cores, facts.memory, plan.request.jobs)
    builder = "" if program is None else f", with {program} buildx"
    say(f"engine: {facts.version} on linux/{facts.architecture}{builder}")
    say(f"  {jobs.text}")
    if jobs.warning:
        Steps().warn(jobs.warning)
    return program


def _fail(plan: Plan, failed: "Failed", screen: _Screen, log: Path) -> NoReturn:
    """End with what the failing step said last, and what helps. Raises BuildFailed."""
    from evdiag.analyze.build_failure import explained
    from evdiag.analyze.build_progress import indented
    from evdiag.console import say

    step, tail = screen.progress.step(failed.key), screen.progress.tail(failed.key)
    screen.__exit__()
    for line in indented(tail):
        say(line)
    known = plan.defaults | plan.arguments
    raise explained(failed, step, tail, log=str(log), arguments=known)


def _praise(plan: Plan, engine: "ContainerEngine", screen: _Screen) -> None:
    """Name what was made, and what to do with it."""
    from evdiag.analyze.build_context import size_words
    from evdiag.analyze.build_progress import duration
    from evdiag.console import Steps, say

    request = plan.request
    took = duration(time.monotonic() - screen.begun)
    if request.push:
        Steps().done(f"{request.tag} is in its registry, after {took}")
        return
    if request.archive is not None:
        Steps().done(f"{request.archive} holds {request.tag}, after {took}")
        return
    image = engine.image(request.tag)
    identity = image.id.removeprefix("sha256:")[:12]
    size = "" if image.size is None else f", {size_words(image.size)}"
    Steps().done(f"{request.tag} is built: {identity}{size}, after {took}")
    say("next: evdiag run" + ("" if request.tag == IMAGE else f" --image {request.tag}"))


def command(
    tag: Annotated[
        str, typer.Option("--tag", "-t", metavar="NAME", help="The image's name.")
    ] = IMAGE,
    everest_ref: Annotated[
        str | None,
        typer.Option(metavar="REF", help="Branch, tag or commit of EVerest to build."),
    ] = None,
    sources: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Source trees to build instead of clones: everest, everest-cmake, or a "
            "dependency by its name in EVerest's dependencies.yaml.",
        ),
    ] = None,
    platform: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="linux/amd64, linux/arm64 or both; another one than the engine's takes buildx.",
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, max=1024, help="Compilers at once; default: what fits into memory."
        ),
    ] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Run every step again.")] = False,
    cache_from: Annotated[
        list[str] | None,
        typer.Option(metavar="IMAGE", help="An image whose layers may be used; may be repeated."),
    ] = None,
    build_arg: Annotated[
        list[str] | None,
        typer.Option(metavar="K=V", help="An argument for the Dockerfile; may be repeated."),
    ] = None,
    push: Annotated[
        bool, typer.Option("--push", help="Send the image to its registry (with buildx).")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Write an OCI archive instead (with buildx)."
        ),
    ] = None,
    context: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Another folder than the build files of this evdiag."),
    ] = None,
    print_context: Annotated[
        bool,
        typer.Option("--print-context", help="Only print what would be sent, and from where."),
    ] = False,
) -> None:
    """Build the charger's image. The first time it takes about an hour on two cores."""
    from evdiag.analyze import build_context, build_plan
    from evdiag.report.neutral import clean

    request = build_plan.Request(
        tag=tag,
        everest_ref=everest_ref,
        platforms=build_plan.read_platforms(platform),
        jobs=jobs,
        no_cache=no_cache,
        cache_from=tuple(cache_from or ()),
        build_args=build_plan.read_build_args(build_arg or (), os.environ),
        push=push,
        archive=None if output is None else str(output.resolve()),
    )
    plan = prepare(request, context, sources)
    if not print_context:
        _build(plan)
        return
    lines = build_context.describe(
        str(plan.folder),
        None if plan.sources is None else str(plan.sources),
        plan.parts,
        request,
        plan.arguments,
        plan.findings,
    )
    sys.stdout.write("".join(f"{clean(line)}\n" for line in lines))
