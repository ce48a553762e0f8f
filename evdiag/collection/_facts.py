"""The quick part: what engine and container say of themselves, and the configuration.

It is asked for at once, because the container may be about to go, and kept until all of it is
there: what one document calls a password is replaced in the others too.
"""

import json
import time
from functools import partial

import msgspec

from evdiag.adapters.docker import collect as ask
from evdiag.adapters.docker.engine import ContainerEngine
from evdiag.adapters.machine import core_pattern
from evdiag.analyze import collect_plan as plan
from evdiag.collection._job import Job, files_of
from evdiag.errors import ContainerStopped, EngineError, EngineRefused
from evdiag.model.bundle import CONTAINER
from evdiag.model.charger import CORES, ContainerFacts, EngineFacts
from evdiag.parse.collect_inside import Found, Inside, UnreadableInside
from evdiag.parse.tar import TarError

MOST_HELD = 64 << 20
"""Bytes of configuration that are held at once."""


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """A file of the bundle that is not written yet."""

    path: str
    kind: str
    origin: str
    content: bytes
    modified: float | None = None
    original_bytes: int | None = None


class Facts:
    """Gathers documents, then writes them."""

    def __init__(self, engine: ContainerEngine, facts: ContainerFacts, job: Job) -> None:
        self.engine, self.facts, self.job = engine, facts, job
        self.inside: Inside | None = None
        """What the program in the container told; None if none could run there."""
        self.pattern = ""
        self._documents: list[Document] = []
        self._held = 0

    def gather(self, more: tuple[str, ...]) -> None:
        """All that is quick. Raises NoSuchContainer and what else is the end."""
        part = self.job.part
        if self.facts.is_running:
            part("the container's own view", lambda: self._look_inside(more))
        part("inspect", self._inspect)
        lives = self.facts.state in ("running", "paused")
        if lives and not (self.inside and self.inside.processes):
            part("the process table", lambda: self._json(
                "processes", "engine: top", ask.processes(self.engine, self.facts.id)))  # fmt: skip
        if lives:
            part("the memory counters", lambda: self._json(
                "counters", "engine: stats", ask.counters(self.engine, self.facts.id)))  # fmt: skip
        part("the engine", self._engine)
        part("the image", lambda: self._json(
            "image", "engine: inspect image",
            ask.image_document(self.engine, self.facts.image_id)))  # fmt: skip
        for root in plan.CONFIG_ROOTS:
            part(root.path, partial(self._folder, root))
        for origin, path in plan.FACT_FILES:
            part(origin, partial(self._file, origin, path))

    def write(self) -> int:
        """Put them into the bundle; how many files of configuration there were."""
        self.job.redactor.learn(
            self.facts.environment, ((each.path, each.content) for each in self._documents)
        )
        for document in self._documents:
            self._write(document)
        self._documents.clear()
        return sum(entry.kind == "config" for entry in self.job.writer.entries)

    def _write(self, document: Document) -> None:
        redactor = self.job.redactor
        redactor.begin(document.path)
        content = redactor.document(document.path, document.content)
        self.job.writer.add(
            *(document.path, document.kind, document.origin, iter([content])),
            modified=document.modified, original_bytes=document.original_bytes,
            redacted=redactor.count(),
        )  # fmt: skip
        self.job.done.add(document.origin)

    # -- of the engine

    def _inspect(self) -> None:
        document = self.engine.inspect(self.facts.id)
        self._add(CONTAINER, "fact", "engine: inspect", _json(document))

    def _engine(self) -> None:
        about = self.engine.facts()
        self._json("engine", "engine: info", msgspec.to_builtins(about))
        self._events(about)
        if self.inside is None and (pattern := core_pattern(about)) is not None:
            self.pattern = pattern.text
            self._text("core_pattern", f"{pattern.text}\n", "this machine")

    def _events(self, about: EngineFacts) -> None:
        # one second later than it is the engine would wait for events to come
        until = about.time or time.time()
        since = self.facts.created or self.facts.started or until - 86_400
        if found := ask.events(self.engine, self.facts.id, since, until):
            self._json("events", "engine: events", found)

    # -- of the program in the container

    def _look_inside(self, more: tuple[str, ...]) -> None:
        try:
            self.inside = inside = ask.look_inside(self.engine, self.facts.id, more)
        except (UnreadableInside, ContainerStopped, EngineRefused) as error:
            why = "it has no python3" if "executable file not found" in str(error) else str(error)
            self.job.writer.problem(
                f"no program could look around in it ({_short(why)}): limits, disks and memory "
                "counters are not known"
            )
            return
        self.pattern = (inside.core_pattern or "").strip("\n")
        texts = {
            "core_pattern": inside.core_pattern,
            "core_uses_pid": inside.core_uses_pid,
            "df": inside.df,
        }
        if inside.limits is not None:
            texts["limits"] = inside.limits.text
        if inside.memory is not None:
            texts[_memory_name(inside.memory.name)] = inside.memory.text
        for name, text in texts.items():
            if text is not None:
                self._text(name, text, f"a program in the container: {name}")
        listed = msgspec.to_builtins(inside)
        for name in ("processes", "versions", "files"):
            if listed[name]:
                self._json(name, f"a program in the container: {name}", listed[name])
        for what, number in inside.left.items():
            self.job.writer.skip(f"{CORES}: {number} {_short(what)}", plan.NO_FILE)
        for name, reason in inside.errors.items():
            self.job.writer.problem(f"{name} in the container: {_short(reason)}")

    # -- files of the container

    def _folder(self, root: plan.Root) -> None:
        certificates = 0
        try:
            members = self.job.source.members(root.path)
            files = files_of(members, root.path, plan.MAX_PASSED_CONFIG)
            for number, (below, found, member, pieces) in enumerate(files):
                if number > plan.MAX_FILES:
                    self.job.writer.problem(f"{root.path}: {plan.TOO_MANY}")
                    return
                if member.kind != "file":
                    continue
                placed = plan.place(root, below)
                if isinstance(placed, plan.Left):
                    certificates += placed.reason == plan.CERTIFICATES
                    if placed.reason not in ("", plan.CERTIFICATES, plan.NO_CONFIG):
                        self.job.leave(found, placed.reason)
                elif found.size > placed.limit or self._held + found.size > MOST_HELD:
                    self.job.leave(found, "it is too large for a file of configuration")
                else:
                    self._hold(placed, found, b"".join(pieces))
        except TarError as error:
            self.job.writer.problem(f"{root.path}: {error}")
        if certificates:
            self.job.writer.skip(f"{root.path}/**/certs ({certificates} files)", plan.CERTIFICATES)

    def _hold(self, place: plan.Place, found: Found, content: bytes) -> None:
        if b"\0" in content[:4096]:
            self.job.leave(found, plan.NO_TEXT)
            return
        self._held += found.size
        self._documents.append(
            Document(
                path=place.path, kind=place.kind, origin=found.path, content=content,
                modified=found.time, original_bytes=found.size,
            )
        )  # fmt: skip

    def _file(self, origin: str, path: str) -> None:
        found = self.job.source.stat(origin)
        if found is None or found.size > plan.MAX_CONFIG:
            return
        content = b""
        for piece in self.job.source.content(origin):
            content += piece
            if len(content) > plan.MAX_CONFIG:
                return
        self._add(path, "fact", origin, content, found.time)

    # -- documents

    def _json(self, name: str, origin: str, document: object) -> None:
        self._add(f"facts/{name}.json", "fact", origin, _json(document))

    def _text(self, name: str, text: str, origin: str) -> None:
        self._add(f"facts/{name}", "fact", origin, text.encode("utf-8", "replace"))

    def _add(
        self, path: str, kind: str, origin: str, content: bytes, modified: float | None = None
    ) -> None:
        self._documents.append(
            Document(path=path, kind=kind, origin=origin, content=content, modified=modified)
        )


def write_changes(job: Job, changes: ask.Changes, seconds: float) -> list[str]:
    """The list of files that are other than in the image; their paths."""
    try:
        found = changes.result(seconds)
    except EngineError as error:
        job.writer.skip("engine: diff", str(error))
        return []
    job.redactor.begin("facts/changes.json")
    content = job.redactor.document("facts/changes.json", _json(found))
    job.writer.add("facts/changes.json", "fact", "engine: diff", iter([content]))
    listed = [each for each in found if isinstance(each, dict) and each.get("Kind") != 2]
    return [path for each in listed if isinstance(path := each.get("Path"), str)]


def _memory_name(name: str) -> str:
    return name if name in ("memory.events", "memory.oom_control") else "memory.events"


def _json(document: object) -> bytes:
    return json.dumps(document, indent=1, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 200 else f"{line[:199]}…"
