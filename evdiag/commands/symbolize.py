"""`evdiag symbolize`: what is at the addresses of any text, put behind each of them."""

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evdiag.commands._options import SysrootOption, existing
from evdiag.errors import CoreError, OutputNotWritten, UsageError
from evdiag.model.bundle import SYMBOLS

if TYPE_CHECKING:
    from evdiag.adapters.address_files import AddressFiles, Tally
    from evdiag.adapters.address_finder import Asked
    from evdiag.adapters.address_sources import Process, SystemFiles
    from evdiag.commands._targets import Target
    from evdiag.console import Progress
    from evdiag.model.symbolized import Found, Mention

STDIN = "-"
LONGEST_NAME = 1000
"""Letters of a function in a line of text."""
MAX_REASONS = 12
"""Lines about addresses without an answer."""

Say = Callable[[str], None]
LookUp = Callable[["Mention"], "Found | None"]


class Rewriter:
    """Puts answers behind the addresses of a text; every other byte stays as it is."""

    def __init__(self, look_up: LookUp) -> None:
        from evdiag.analyze.symbolized import rewritten
        from evdiag.parse.addresses import Reader, candidates

        self._candidates, self._rewritten, self._clean = candidates, rewritten, readable
        self._reader, self._look_up = Reader(), look_up

    def __call__(self, block: bytes) -> bytes:
        """The same lines, with answers."""
        parts: list[bytes] = []
        done = 0
        for start, end in self._candidates(block):
            line = block[start:end].decode("utf-8", "surrogateescape")
            mentions = self._reader.mentions(line)
            text = self._rewritten(line, mentions, self._look_up, self._clean)
            if text is not line:
                parts += (block[done:start], text.encode("utf-8", "surrogateescape"))
                done = end
        return b"".join((*parts, block[done:])) if parts else block


@lru_cache(maxsize=4096)
def readable(name: str) -> str:
    """A name or path that does no harm; the function's own name outlives its template arguments."""
    from evdiag.analyze import names
    from evdiag.report.neutral import clean

    if len(name) > LONGEST_NAME:
        name = names.function(names.elide(name, names.LONGEST_PARSED), LONGEST_NAME)
    return clean(name, LONGEST_NAME)


def rewrite(blocks: Iterable[bytes], rewriter: Rewriter, write: Callable[[bytes], object]) -> None:
    """Pass a text on, each block as soon as it is there."""
    for block in blocks:
        write(rewriter(block))


# -- where the files are


def asked_for(
    stack: ExitStack,
    executables: list[Path],
    words: Iterable[str],
    images: list[str],
    sysroot: Path | None,
    say: Say,
    progress: "Progress",
) -> "Asked":
    """What the options name, open for as long as the stack. Raises EvdiagError."""
    from evdiag.adapters.address_finder import Asked

    stores: list[Path] = []
    processes: list[Process] = []
    for word in words:
        target = _opened(stack, word, say)
        if target.bundle is not None:
            stores.append(target.bundle.root / SYMBOLS)
        processes += _processes(target, say)
    for path in executables:
        _check_program(path)
    return Asked(
        executables=tuple(executables),
        sysroot=existing(sysroot, "--sysroot", folder=True),
        stores=tuple(stores),
        processes=tuple(processes),
        systems=_systems(stack, images, progress),
    )


def _opened(stack: ExitStack, word: str, say: Say) -> "Target":
    """A core, or a bundle. Raises EvdiagError."""
    from evdiag.commands._targets import targets

    target = next(stack.enter_context(contextlib.closing(targets([word], say))))
    if target.error is not None:
        raise target.error
    return target


def _processes(target: "Target", say: Say) -> Iterator["Process"]:
    """What the cores had mapped; in a bundle one that cannot be read does not stop the others."""
    from evdiag.adapters.address_sources import Process

    for path in target.paths:
        if target.bundle is None or path.is_file():
            yield Process(path)
            continue
        for entry in target.bundle.manifest.files:
            core = target.bundle.root / entry.path
            if entry.kind == "core" and core.is_file():
                try:
                    yield Process(core)
                except CoreError as error:
                    say(f"note: {target.bundle.shorten(str(error))}")


def _check_program(path: Path) -> None:
    """Raises UsageError for what is no program."""
    from evdiag.adapters.file_store import open_image

    existing(path, "--exe", folder=False)
    if open_image(path) is None:
        raise UsageError(f"--exe {path} is no program", advice="Name an ELF file.")


def _systems(
    stack: ExitStack, images: list[str], progress: "Progress"
) -> "tuple[SystemFiles, ...]":
    """The files of images. Raises EngineError, NoSuchImage."""
    if not images:
        return ()
    from evdiag.adapters.address_sources import SystemFiles
    from evdiag.adapters.docker.engine import connect
    from evdiag.adapters.docker.image_files import files_of_image
    from evdiag.adapters.host import cache_directory
    from evdiag.adapters.scratch import scratch

    engine = stack.enter_context(contextlib.closing(connect()))
    found = []
    for name in images:
        engine.image(name)
        files = stack.enter_context(files_of_image(engine, name))
        folder = stack.enter_context(scratch("fetched", f"nothing of {name} can be fetched"))
        found.append(SystemFiles(files, cache_directory(), folder, progress))
    return tuple(found)


# -- what is told at the end


def summary(tally: "Tally") -> list[str]:
    """How many addresses were named, and why the others were not."""
    unknown = tally.unknown.total()
    if not tally.named and not unknown:
        return ["no addresses in it"]
    lines = [f"named {tally.named:,} of {tally.named + unknown:,} addresses"]
    for (module, why), count in tally.unknown.most_common(MAX_REASONS):
        lines.append(f"  {count:,} in {module}: {why}" if module else f"  {count:,}: {why}")
    rest = unknown - sum(count for _, count in tally.unknown.most_common(MAX_REASONS))
    if rest:
        lines.append(f"  {rest:,} for further reasons")
    if tally.unverified:
        lines.append(
            f"  {tally.unverified:,} are marked with ?: nothing says that this machine's files are "
            "of the same build"
        )
    if tally.needs_more:
        lines.append(
            "  -> Name where the text comes from: --image, --bundle, --core, --sysroot or --exe."
        )
    elif tally.unverified:
        lines.append("  -> --core, --bundle and --image know the build; so does a build-id.")
    return lines


# -- the command line


def command(
    file: Annotated[
        str,
        typer.Argument(
            metavar="[FILE|-]",
            help="The text, also packed (gzip, zstandard); default: standard input.",
            show_default=False,
        ),
    ] = STDIN,
    bundle: Annotated[
        list[str] | None,
        typer.Option(metavar="B", help="A bundle that the text belongs to; repeatable."),
    ] = None,
    core: Annotated[
        list[str] | None,
        typer.Option(metavar="C", help="A core of the process that wrote it; repeatable."),
    ] = None,
    image: Annotated[
        list[str] | None,
        typer.Option(metavar="T", help="The image that the process ran in; repeatable."),
    ] = None,
    exe: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="A program or library that is meant; repeatable."),
    ] = None,
    sysroot: SysrootOption = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write the text to a file."),
    ] = None,
) -> None:
    """Put function, file and line behind the addresses of any text.

    Backtraces of glibc and boost, sanitizers, the kernel's segfault lines, module+offset; raw
    addresses too with a core. Inlined calls are expanded. What is not known stays as it is.

    `docker logs -f NAME 2>&1 | evdiag symbolize --image IMAGE` shows lines as they come.
    """
    from evdiag.adapters.address_files import AddressFiles
    from evdiag.adapters.text_stream import text_blocks
    from evdiag.console import Progress, say

    progress = Progress()
    words = [*(bundle or []), *(core or [])]
    if output is not None and output.is_dir():
        raise UsageError(f"-o {output} is a directory", advice="Name a file in it.")
    with ExitStack() as stack:
        path = None if file == STDIN else Path(file)
        blocks = stack.enter_context(text_blocks(path))
        asked = asked_for(stack, exe or [], words, image or [], sysroot, say, progress)
        files = AddressFiles(asked, progress)
        if path is None and sys.stdin is not None and sys.stdin.isatty():
            say("paste the text; Ctrl-D ends it")
        is_over = False
        try:
            is_over = _pass_on(blocks, files, output, progress)
        finally:
            progress.done()
            if is_over or (files.tally.is_begun and sys.stdout is not None):
                for line in summary(files.tally):
                    say(line)


def _pass_on(
    blocks: Iterable[bytes], files: "AddressFiles", output: Path | None, progress: "Progress"
) -> bool:
    """Write the text with its answers; whether somebody took all of it. Raises EvdiagError."""
    from evdiag.adapters.files import replacing

    rewriter = Rewriter(files)
    if output is None:
        try:
            rewrite(blocks, rewriter, _writer(progress))
        except BrokenPipeError:  # `evdiag symbolize | head`
            sys.stdout = None  # nothing may flush into the closed pipe
            return False
        return True
    try:
        with replacing(output) as file:
            rewrite(blocks, rewriter, file.write)
    except OSError as error:
        raise OutputNotWritten(f"{output} cannot be written: {error.strerror}") from None
    return True


def _writer(progress: "Progress") -> Callable[[bytes], None]:
    """Writes to stdout: as it is, or harmless where a terminal would obey it."""
    from evdiag.parse.loglines.headers import plain
    from evdiag.report.loglines import safe

    out = sys.stdout

    def as_it_is(block: bytes) -> None:
        progress.done()
        out.buffer.write(block)
        out.buffer.flush()

    def harmless(block: bytes) -> None:
        progress.done()
        text = block.decode("utf-8", "surrogateescape")
        lines = [safe(plain(line).removesuffix("\r")) for line in text.split("\n")]
        out.write("\n".join(lines))
        out.flush()

    if not out.isatty():
        return as_it_is
    out.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    return harmless
