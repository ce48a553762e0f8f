"""The lists that signatures go by, and what became of each frame of a stack."""

import msgspec

from evdiag.model.report import Signature

MAX_KNOWN = 10_000
"""Answers about names that are kept; a stack has some hundred names."""


class Entry(msgspec.Struct, frozen=True):
    """One entry of a list: which frames it is about, and why they are no use in a signature."""

    role: str
    """noise (dropped), prefix (kept before a frame of the application, never alone) or base (the
    stack ends here)."""
    where: str
    """libc, runtime, program or any: the place that the frame has to be from."""
    pattern: str
    """A name; a star in it stands for any characters."""
    why: str


class Lists(msgspec.Struct, frozen=True):
    """All entries, those without a star by place and name."""

    version: str
    exact: dict[tuple[str, str], Entry]
    starred: tuple[tuple[str, str, str, Entry], ...]
    """(place, what stands before the star, what stands behind it, entry)."""
    known: dict[tuple[str, str], Entry | None] = {}
    """Answers that were given before: the same functions are on the stacks of all cores."""

    def find(self, place: str, name: str) -> Entry | None:
        """The entry for a frame of this place and name."""
        key = (place, name)
        if key not in self.known:
            if len(self.known) >= MAX_KNOWN:
                self.known.clear()
            self.known[key] = self._find(place, name)
        return self.known[key]

    def _find(self, place: str, name: str) -> Entry | None:
        found = self.exact.get((place, name)) or self.exact.get(("any", name))
        if found is not None:
            return found
        for where, head, tail, entry in self.starred:
            if where in (place, "any") and name.startswith(head) and name.endswith(tail):
                return entry
        return None


class Treatment(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one frame."""

    thread: int
    """Number of the frame's thread."""
    level: int
    raw: str
    """The function as the symbols have it, else module and offset."""
    normal: str
    """The same in the one spelling."""
    role: str
    """kept, prefix, noise, library, base, beyond, again, handler or nameless."""
    why: str
    text: str | None = None
    """What stands in the signature for it."""


class Signed(msgspec.Struct, frozen=True, kw_only=True):
    """A signature and how it came about."""

    signature: Signature
    frame: int | None = None
    """Level of the first frame in it, of the crashed thread."""
    treatments: tuple[Treatment, ...] = ()
