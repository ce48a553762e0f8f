"""What is at an address of a text: looked up in the file that it is about."""

from collections import Counter
from functools import lru_cache

import msgspec

from evdiag.adapters import host
from evdiag.adapters.address_finder import BY_NAME, NOT_HERE, Asked, File, Finder
from evdiag.adapters.address_sources import base_name
from evdiag.adapters.symbols import Progress, SymbolStore
from evdiag.analyze.file_address import (
    ET_EXEC,
    KERNEL,
    MOVES,
    NotThere,
    has_code,
    in_file,
    is_signal_return,
)
from evdiag.model.symbolized import Found, Mention
from evdiag.parse.image import Image
from evdiag.parse.startup import named_module

RAW, OFFSET = "raw", "module-offset"
"""Formats that much in a text looks like which is no address: what is none is not counted."""
MAX_ANSWERS = 1 << 15
"""Addresses that are remembered, those asked for last."""
MAX_UNKNOWN = 200
"""Kinds of addresses without an answer that are counted one by one."""

NOWHERE = "nothing says in which file"
NAME_MORE = frozenset((NOWHERE, MOVES, BY_NAME, NOT_HERE))
"""Reasons that go away once the user names where the text comes from."""


class Answer(msgspec.Struct, frozen=True):
    """What is at an address, or why that is not known."""

    found: Found | None
    why: str = ""
    is_signal_return: bool = False
    """Whether a signal handler returns there."""


class Tally:
    """What became of the addresses of a text."""

    def __init__(self) -> None:
        self.named = 0
        self.unverified = 0
        """Of those: by files that nothing says to be of the same build."""
        self.unknown: Counter[tuple[str, str]] = Counter()
        """By what it lies in and why there is no answer."""

    def count(self, mention: Mention, answer: Answer) -> None:
        """One more address."""
        if answer.found is not None:
            self.named += 1
            self.unverified += not answer.found.is_verified
        elif not _may_be_anything(mention):
            key = (mention.module or mention.build_id or "", answer.why)
            if len(self.unknown) >= MAX_UNKNOWN and key not in self.unknown:
                key = ("", "for further reasons")
            self.unknown[key] += 1

    @property
    def needs_more(self) -> bool:
        """Whether it would help to know where the text comes from."""
        return any(why in NAME_MORE for _, why in self.unknown)

    @property
    def is_begun(self) -> bool:
        """Whether there was an address."""
        return bool(self.named or self.unknown)


class AddressFiles:
    """Looks the addresses of a text up; files and answers are kept for the next ones."""

    def __init__(self, asked: Asked, progress: Progress) -> None:
        self.asked, self.progress = asked, progress
        self.tally = Tally()
        self._cache = host.cache_directory()
        self._finder = Finder(asked, self._cache)
        self._answer = lru_cache(MAX_ANSWERS)(self._answered)
        self._symbols, self._looked_up = SymbolStore(self._cache, progress), 0
        self._was_interrupted = False
        """Whether the next address is that of a function that a signal handler has interrupted."""

    def __call__(self, mention: Mention) -> Found | None:
        """What is at an address, None if that is not known. Raises EngineError."""
        if self._was_interrupted:
            mention = msgspec.structs.replace(mention, is_call=False)
        answer = self._answer(_essence(mention))
        self._was_interrupted = answer.is_signal_return
        self.tally.count(mention, answer)
        return answer.found

    def _answered(self, mention: Mention) -> Answer:
        try:
            if mention.module is None and mention.build_id is None:
                return self._without_file(mention)
            return self._in_module(mention)
        except NotThere as reason:
            return Answer(None, str(reason))

    def _in_module(self, mention: Mention) -> Answer:
        """An address in a file that the text names. Raises NotThere."""
        file = self._finder.file(mention.module or "", mention.build_id)
        if file.image is None:
            return Answer(None, file.why)
        try:
            at = in_file(mention, file.image)
        except NotThere as reason:
            if str(reason) == MOVES and mention.address is not None:
                return self._in_memory(mention)
            raise
        return self._at(file, file.image, at, mention.module, mention.is_call)

    def _without_file(self, mention: Mention) -> Answer:
        """An address of which the text does not say in which file it lies. Raises NotThere."""
        if self.asked.processes and mention.address is not None and mention.offset is None:
            return self._in_memory(mention)
        if len(self._finder.programs) != 1:
            return Answer(None, NOWHERE)
        (program,) = self._finder.programs
        if mention.kind == RAW and program.header.type != ET_EXEC:
            return Answer(None, MOVES)
        at = in_file(mention, program)
        return self._at(File(program), program, at, program.path, mention.is_call)

    def _in_memory(self, mention: Mention) -> Answer:
        """An address in memory, by what the processes had mapped there. Raises NotThere."""
        found: dict[object, tuple[File, Image, int, str]] = {}
        for process in self.asked.processes:
            at = process.at((mention.address or 0) - mention.is_call)
            if at is None:
                continue
            module, offset = at
            if mention.module and base_name(mention.module) != base_name(module.path):
                continue
            file = self._finder.file(module.path, module.build_id, (module,))
            image = file.image
            if image is None:
                raise NotThere(f"in {module.path}: {file.why}")
            address = image.vaddr(offset)
            if address is not None and has_code(image, address):
                found[image.build_id or image.path, address] = file, image, address, module.path
        if len(found) > 1:
            return Answer(None, "several cores have different things there")
        if not found:
            return Answer(None, "no core has code there" if self.asked.processes else MOVES)
        return self._at(*next(iter(found.values())), mention.is_call)

    def _at(
        self, file: File, image: Image, address: int, path: str | None, is_call: bool
    ) -> Answer:
        """What is at an address of a file."""
        self._looked_up += 1
        if self._looked_up > MAX_ANSWERS:  # it keeps every answer, and a text may be endless
            self._symbols, self._looked_up = SymbolStore(self._cache, self.progress), 0
        back = is_call and is_signal_return(image, address + 1)
        places = self._symbols.lookup(image, address + back)
        if any(place.function or place.file for place in places):
            module = path or image.path
            found = Found(places=places, module=module, is_verified=file.is_verified)
            return Answer(found, is_signal_return=back)
        problem = self._symbols.problems.get(image.path)
        if problem is not None:
            return Answer(None, problem.message)
        why = "it names nothing there" if image.has_symbols else "it has no symbols"
        return Answer(None, why, back)


def _may_be_anything(mention: Mention) -> bool:
    """Whether it only looks like an address: a number, or `name+0x12` of no file."""
    if mention.kind != OFFSET:
        return mention.kind == RAW
    module = mention.module or ""
    return mention.build_id is None and "/" not in module and ".so" not in module


def _essence(mention: Mention) -> Mention:
    """What the answer depends on: the same call of another process is not looked up again."""
    named = named_module(mention.module or "")
    of_file = mention.offset is not None and (mention.module or mention.build_id)
    moved = of_file and mention.symbol is None and mention.kind != KERNEL
    return msgspec.structs.replace(
        mention,
        start=0,
        end=0,
        kind=mention.kind if mention.kind in (KERNEL, RAW) else "",
        module=named.type if named is not None else mention.module,
        address=None if moved else mention.address,
        base=None if moved else mention.base,
    )
