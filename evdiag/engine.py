"""From a core file to a report: stage 0 (notes and memory), stage 1 (native stacks), verdict.

Commands call this; it decides nothing itself. Values of variables (stage 2, `evdiag.values`)
attach to the frames of the finished report by program counter.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from evdiag import __version__
from evdiag.adapters import host
from evdiag.adapters.files import source_lines
from evdiag.adapters.gdb.scene import DebugFile, Scene
from evdiag.adapters.images import HOST_DEBUG, Images, ModuleState, Search
from evdiag.adapters.noted_core import open_noted
from evdiag.adapters.signature_lists import signature_lists
from evdiag.adapters.source_files import maps_for_gdb, source_paths
from evdiag.adapters.symbols import Progress, SymbolStore
from evdiag.analyze import assemble
from evdiag.analyze.captured import with_name
from evdiag.analyze.causes import explain
from evdiag.analyze.causes.deadlock import hung
from evdiag.analyze.disassembly import around
from evdiag.analyze.evidence import crash_facts
from evdiag.analyze.frames import crash_frame
from evdiag.analyze.sign import sign
from evdiag.analyze.space import VDSO, AddressSpace
from evdiag.analyze.stacks import FrameNamer, group_threads
from evdiag.analyze.terminate import ended_itself
from evdiag.analyze.unwind import Unwinder
from evdiag.analyze.waits import deadlock, with_waits
from evdiag.errors import ExecutableMismatch
from evdiag.model.core import MappedFile, ModuleIdentity
from evdiag.model.crash import CrashFacts, LastWords
from evdiag.model.logs import LogFacts
from evdiag.model.report import Report, SoftError, SourceLine, Thread
from evdiag.model.traced import Traced
from evdiag.parse.image import Image
from evdiag.parse.modules import (
    MappedModule,
    link_map,
    load_bias,
    loaded_libraries,
    mapped_modules,
)
from evdiag.parse.startup import module_identity

SOURCE_AROUND = 4
"""Source lines shown before and after the line of the crash."""


MAX_MISSING = 512
"""Ranges of missing memory that gdb is told of: a thread has one, below its stack."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What the user said about where things are."""

    executable: Path | None = None
    sysroot: Path | None = None
    source_maps: tuple[tuple[str, str], ...] = ()
    """(prefix as compiled, prefix on this machine)."""
    stores: tuple[Path, ...] = ()
    """Folders with files by build-id: those of a bundle, before the user's own and this machine."""
    source_roots: tuple[Path, ...] = ()
    """Folders with source files by their compiled paths. With some this machine's own are not
    looked at: they may be of another version."""


class Engine:
    """Analyses cores; files and symbols are shared by all cores of a run."""

    def __init__(self, options: Options, progress: Progress | None = None) -> None:
        cache = host.cache_directory()
        self.options = options
        self.images = Images(
            Search(
                executable=options.executable,
                sysroot=options.sysroot,
                store=cache,
                stores=options.stores,
            )
        )
        self.symbols = SymbolStore(cache, progress)

    def report(self, path: Path) -> Report:
        """The report on one core. Raises CoreError if there is nothing to report on."""
        return self.analyse(path).report

    def analyse(self, path: Path, log: LogFacts | None = None) -> "Analysis":
        """The same, with what a debugger needs to look at the core too. Raises CoreError."""
        return Analysis(self, path, log)

    def trace(self, path: Path) -> "Tracing":
        """What the rules ask about one core, and no more than that. Raises CoreError."""
        return Tracing(self, path)


class Stacks:
    """One core, the files that belong to it, and the stacks of its threads."""

    def __init__(self, engine: Engine, path: Path, log: LogFacts | None = None) -> None:
        self.engine, self.path, self.log = engine, path, log
        self.timings: dict[str, float] = {}
        self._clock = time.process_time()
        core = open_noted(path)
        self.facts, self.note, self._doubts = core.facts, core.note, core.problems
        self.memory, self.startup, self.executable = core.memory, core.startup, core.executable
        self.program: str | None = None
        """The executable's file on this machine."""
        self.states: dict[str, ModuleState] = {}
        self.opened = {VDSO}
        """Paths of the images of this core."""
        self.modules: tuple[MappedModule, ...] = ()
        self._found: dict[str, Image] = {}
        """Images of this core by the path of their module."""
        self._lap("notes")
        self.space = self._space()
        self._unwinder = Unwinder(self.space)
        self._namer = FrameNamer(self.space, self.engine.symbols.lookup)

    def _lap(self, stage: str) -> None:
        now = time.process_time()
        self.timings[stage] = round(now - self._clock, 6)
        self._clock = now

    def _threads(self, first: int = 0, end: int | None = None) -> list[Thread]:
        """Threads with their stacks and names; the crashed one is the first of all."""
        states = self.facts.threads[first:end]
        stacks = [self._unwinder.unwind(state) for state in states]
        self._lap("unwind")
        threads = [
            self._namer.thread(i + 1, state.lwp, stack, crashed=i == 0)
            for i, (state, stack) in enumerate(zip(states, stacks, strict=True), first)
        ]
        if self.note is not None:
            threads = with_name(threads, self.note)
        self._lap("symbols")
        return threads

    def _evidence(self, threads: list[Thread]) -> CrashFacts:
        """What the rules look at, where these are the threads."""
        words = self._last_words(threads[0])
        self._lap("last words")
        circle = deadlock(threads)
        return crash_facts(self.space, self.facts.threads[0], threads, words, circle, self.log)

    def _identity(self) -> ModuleIdentity | None:
        return module_identity(self.startup.argv, self.startup.environment, self.executable)

    def _last_words(self, crashed: Thread) -> LastWords:
        """What a process said that ended itself."""
        facts = self.facts
        if not ended_itself(facts, crashed.frames):
            return LastWords()
        # most processes die of a fault, and need not pay for the import
        from evdiag.analyze.last_words import last_words  # noqa: PLC0415

        return last_words(self.space, facts.threads[0], crashed, self.engine.symbols.demangle)

    # -- modules

    def _space(self) -> AddressSpace:
        facts, memory = self.facts, self.memory
        files = facts.files or tuple(self._files_without_note())
        self.modules = mapped_modules(files, memory)
        return AddressSpace(facts, memory, files, self.modules, self._open)

    def _open(self, module: MappedModule) -> Image | None:
        image, state = self.engine.images.open(module, is_executable=module.path == self.executable)
        self.states[module.path] = state
        if image is not None:
            self.opened.add(image.path)
            self._found[module.path] = image
            if module.path == self.executable:
                self.program = image.path
        return image

    def _files_without_note(self) -> list[MappedFile]:
        """Cores without NT_FILE say what was mapped only through the program's own list."""
        named = self.engine.options.executable
        program = self.engine.images.open_named(named) if named else None
        if program is None:
            return []
        self.executable = program.path
        root = self.engine.options.sysroot or Path("/")

        def open_library(name: str) -> Image | None:
            return self.engine.images.open_named(root / name.lstrip("/"))

        bias = load_bias(self.facts, program)
        return link_map(self.memory, program, bias, open_library)

    # -- what it rests on

    def asked(self) -> Iterator[tuple[MappedModule, bool]]:
        """The modules whose files were looked for, and whether each is the executable."""
        for module in self.modules:
            if module.path in self.states:
                yield module, module.path == self.executable

    @property
    def is_lasting(self) -> bool:
        """Whether the same core with the same files will always give the same."""
        broken = self.opened.intersection(self.engine.symbols.problems)
        return not broken and bool(self.facts.files)


class Tracing(Stacks):
    """One core with what its verdict and its signature are made of: for very many cores.

    Of the threads only the crashed one is unwound, unless the others may be why the process ended.
    """

    def __init__(self, engine: Engine, path: Path) -> None:
        super().__init__(engine, path)
        threads = self._threads(end=1)
        evidence = self._evidence(threads)
        whole = hung(evidence)
        if whole:
            threads = with_waits(self.space, self.facts.threads, threads + self._threads(1))
            evidence = msgspec.structs.replace(
                evidence, threads=tuple(threads), deadlock=deadlock(threads)
            )
        facts = self.facts
        self.traced = Traced(
            evidence=evidence,
            whole=whole,
            identity=self._identity(),
            executable=self.executable,
            name=facts.name,
            build_id=next((m.build_id for m in self.modules if m.path == self.executable), None),
            crashed_at=self.note.crashed_at if self.note is not None else None,
            truncated=facts.missing > 0 or bool(facts.damage),
            bytes=facts.size,
        )


class Analysis(Stacks):
    """One core, its report, and the files that belong to it."""

    def __init__(self, engine: Engine, path: Path, log: LogFacts | None = None) -> None:
        super().__init__(engine, path, log)
        self.sources: list[Path] = []
        """Where a source file was looked for; the last one is the one that was shown, if any."""
        self.report = self._report()

    def _report(self) -> Report:
        facts, space = self.facts, self.space
        threads = with_waits(space, facts.threads, self._threads())
        evidence = self._evidence(threads)
        cause = explain(evidence)
        disassembly = around(space, evidence)
        signed = self.signed = sign(
            assemble.subject(self._identity(), self.executable, facts.name),
            cause[1],
            evidence,
            signature_lists(),
        )
        threads[0] = self._with_source(threads[0], signed.frame)
        self._lap("verdict")
        self._open_remaining()
        return assemble.report(
            assemble.Found(
                facts=facts,
                path=str(self.path),
                version=__version__,
                created=host.now(),
                startup=self.startup,
                identity=self._identity(),
                executable=self.executable,
                program=self.program,
                sysroot=str(self.engine.options.sysroot) if self.engine.options.sysroot else None,
                threads=group_threads(threads),
                crash=evidence,
                cause=cause,
                signed=signed,
                disassembly=disassembly,
                modules=self.modules,
                symbols={path: state.symbols for path, state in self.states.items()},
                soft_errors=self._soft_errors(threads),
                timings=self.timings,
                note=self.note,
            )
        )

    def _open_remaining(self) -> None:
        """Look for the files of modules that are on no stack, for the table of modules."""
        for module in self.modules:
            self.space.image(module)

    # -- for others

    def files(self) -> Iterator[tuple[MappedModule, Image]]:
        """The modules whose files were found."""
        for module in self.modules:
            image = self._found.get(module.path)
            if image is not None:
                yield module, image

    def scene(self) -> Scene:
        """The core and the files of its build that were found, under all of their names."""
        options, images = self.engine.options, self._found
        program = images.get(self.executable or "")
        named = [(path, image.path) for path, image in images.items()]
        owners = {path: path for path in images}
        if program is not None:
            owners[self.executable or ""] = ""
            named += self._linker_names(program)
        debug = [
            DebugFile(
                file=image.companion.path,
                build_id=image.build_id,
                owner=owners[path],
                link=image.debug_link.name if image.debug_link else None,
            )
            for path, image in images.items()
            if image.companion is not None
        ]
        roots = [HOST_DEBUG]
        if options.sysroot is not None:
            roots.insert(0, options.sysroot / "usr/lib/debug")
        return Scene(
            core=self.path,
            machine=self.facts.machine,
            program=Path(program.path) if program is not None else None,
            libraries=tuple(named),
            debug_files=tuple(debug),
            debug_roots=(*options.stores, *roots),
            source_maps=(*options.source_maps, *maps_for_gdb(options.source_roots)),
            missing=tuple(
                (region.start + region.present, region.end)
                for region in self.facts.regions
                if region.start + region.present < region.end
                and self.space.file_at(region.start) is None
            )[:MAX_MISSING],
        )

    def _linker_names(self, program: Image) -> list[tuple[str, str]]:
        """Libraries by the names that the dynamic linker knows: often links, unlike in NT_FILE."""
        starts = {module.start: module.path for module in self.modules}
        found = []
        for base, name in loaded_libraries(self.memory, program, load_bias(self.facts, program)):
            image = self._found.get(starts.get(base, ""))
            if image is not None:
                found.append((name, image.path))
        return found

    # -- what the report says of itself

    def _soft_errors(self, threads: list[Thread]) -> tuple[SoftError, ...]:
        on_stacks = {frame.module for thread in threads for frame in thread.frames}
        problems = {path: state.problem for path, state in self.states.items() if state.problem}
        symbols = self.engine.symbols.problems  # of all cores so far: only ours belong here
        return self._doubts + assemble.soft_errors(
            self.facts,
            problems,
            tuple(problem for path, problem in symbols.items() if path in self.opened)
            + self._split_debug_info(threads[0]),
            on_stacks,
            self.executable,
            is_explained=self.note is not None and self.note.truncated,
        )

    def _split_debug_info(self, crashed: Thread) -> tuple[SoftError, ...]:
        """Modules that lack lines on the crashed stack because those lie in .dwo files."""
        paths = dict.fromkeys(f.module for f in crashed.frames if f.in_app and not f.line)
        images = (self._found.get(path or "") for path in paths)
        return tuple(
            assemble.split_debug_info(image.path)
            for image in images
            if image is not None and image.has_debug_info and image.has_split_debug_info
        )

    def _with_source(self, thread: Thread, signed: int | None) -> Thread:
        """Add source lines to the frame to look at first."""
        frame = crash_frame(thread.frames, signed)
        if frame is None or frame.file is None or not frame.line:
            return thread
        options = self.engine.options
        places = source_paths(
            frame.file, options.source_maps, options.source_roots, options.sysroot
        )
        for place in places:
            self.sources.append(place)
            lines = source_lines(place, frame.line, SOURCE_AROUND)
            if lines:
                source = tuple(
                    SourceLine(number=n, text=text, current=n == frame.line) for n, text in lines
                )
                shown = msgspec.structs.replace(frame, source=source)
                frames = tuple(shown if f is frame else f for f in thread.frames)
                return msgspec.structs.replace(thread, frames=frames)
        return thread


def check_executable(engine: Engine, report: Report) -> ExecutableMismatch | None:
    """The error to end with if --exe named a program of another build than the core's."""
    named = engine.options.executable
    prefix = f"{named} is another build"
    wrong = (error.message for error in report.soft_errors if error.message.startswith(prefix))
    message = next(wrong, None) if named else None
    return ExecutableMismatch(message) if message else None
