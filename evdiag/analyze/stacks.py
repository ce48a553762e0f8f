"""From addresses to the threads of the report: names, lines, inlined calls, folds, groups."""

from collections.abc import Callable, Iterator, Sequence

import msgspec

from evdiag.analyze.fold import MIN_ROUNDS, Stretch, find_repeats
from evdiag.analyze.frames import is_in_app
from evdiag.analyze.space import AddressSpace
from evdiag.analyze.unwind import RawFrame, RawStack
from evdiag.model.core import Place
from evdiag.model.report import Address, Fold, Frame, Thread
from evdiag.parse.image import Image

Lookup = Callable[[Image, int], Sequence[Place]]
"""Everything at an address of an image: inlined calls first, the real function last."""

HEAD, TAIL = 1_500, 100
"""Physical frames of one thread that a report keeps: more help nobody."""

SHORT = 16
"""A recursion of fewer physical frames is shown as it is: its rounds may differ in values."""

UNKNOWN = (Place(None, None, None),)


class _Spot(msgspec.Struct, frozen=True):
    """What all frames at one address have in common."""

    module: str | None
    build_id: str | None
    offset: Address | None
    places: tuple[tuple[Place, bool], ...]
    """With each function, whether it is the application's own."""


class FrameNamer:
    """Names the frames of one core."""

    def __init__(self, space: AddressSpace, lookup: Lookup) -> None:
        self.space, self.lookup = space, lookup
        self._spots: dict[tuple[int, int], _Spot] = {}

    def thread(self, number: int, lwp: int, stack: RawStack, *, crashed: bool) -> Thread:
        """One thread of the report."""
        raw = stack.frames
        parts = list(_parts(raw, _worth_folding(raw)))
        omitted = _omit_middle(parts)
        frames: list[Frame] = []
        folds: list[Fold] = []
        level = 0
        for part in parts:
            first = level
            for frame in part.frames:
                named = self._name(frame, level)
                frames.extend(named)
                level += len(named)
            if part.rounds > 1:
                folds.append(Fold(level=first, period=len(part.frames), count=part.rounds))
            level += (level - first) * (part.rounds - 1) + part.omitted
        return Thread(
            number=number,
            lwp=lwp,
            crashed=crashed,
            frames=tuple(frames),
            folds=tuple(folds),
            omitted=omitted,
            ended=stack.ended,
        )

    def _name(self, raw: RawFrame, level: int) -> list[Frame]:
        """A physical frame, and before it the calls that were inlined into it."""
        key = (raw.pc, raw.lookup)
        spot = self._spots.get(key)
        if spot is None:
            spot = self._spots[key] = self._spot(raw)
        last = len(spot.places) - 1
        pc, trust = Address(raw.pc), raw.trust
        return [
            Frame(
                level=level + i,
                kind="inline" if i < last else ("signal" if raw.signal else "normal"),
                pc=pc,
                function=place.function,
                file=place.file,
                line=place.line,
                module=spot.module,
                offset=spot.offset,
                build_id=spot.build_id,
                in_app=in_app,
                trust=trust,
            )
            for i, (place, in_app) in enumerate(spot.places)
        ]

    def _spot(self, raw: RawFrame) -> _Spot:
        """What is at an address; many threads wait at the same one.

        Frame 0 and a caller may be looked up at the same address and still differ in their pc.
        """
        path, build_id, offset = self._module(raw)
        places = self.lookup(raw.image, raw.vaddr) if raw.image is not None else ()
        marked = tuple((place, is_in_app(path, place.file)) for place in places or UNKNOWN)
        return _Spot(path, build_id, offset, marked)

    def _module(self, raw: RawFrame) -> tuple[str | None, str | None, Address | None]:
        """(path, build-id, address in the file) of a frame's module."""
        module = self.space.module_at(raw.lookup)
        image = raw.image
        if image is not None:
            path = module.path if module else image.path
            return path, image.build_id, Address(raw.vaddr + raw.pc - raw.lookup)
        if module is None:
            return None, None, None
        return module.path, module.build_id, Address(raw.pc - module.start)


class _Part(msgspec.Struct, frozen=True):
    """Frames that follow each other, and how often they do so."""

    frames: list[RawFrame]
    rounds: int = 1
    omitted: int = 0
    """Physical frames left out behind these."""


def _worth_folding(raw: list[RawFrame]) -> list[Stretch]:
    """The recursions that take more room than a person wants to read."""
    pcs = [frame.pc for frame in raw]
    if len(pcs) - len(set(pcs)) < SHORT - SHORT // MIN_ROUNDS:
        return []  # too few frames come again for any such recursion
    return [s for s in find_repeats(pcs) if s.period * s.rounds >= SHORT]


def _parts(raw: list[RawFrame], stretches: list[Stretch]) -> Iterator[_Part]:
    at = 0
    for stretch in stretches:
        if at < stretch.start:
            yield _Part(raw[at : stretch.start])
        yield _Part(raw[stretch.start : stretch.start + stretch.period], stretch.rounds)
        at = stretch.end
    if at < len(raw):
        yield _Part(raw[at:])


def _omit_middle(parts: list[_Part]) -> int:
    """Cut a stack that is very deep without being a plain recursion; returns the frames cut.

    Works on whole parts but for the one at either cut, so that folds stay whole.
    """
    if sum(len(part.frames) for part in parts) <= HEAD + TAIL:
        return 0
    head = _take(parts, HEAD)
    rest = parts[len(head) :]
    cut = parts[len(head) - 1].frames[len(head[-1].frames) :]
    if cut:
        rest.insert(0, _Part(cut))
    tail = [_reversed(part) for part in reversed(_take([_reversed(p) for p in rest[::-1]], TAIL))]
    omitted = _physical(rest) - _physical(tail)
    head[-1] = msgspec.structs.replace(head[-1], omitted=omitted)
    parts[:] = head + tail
    return omitted


def _physical(parts: list[_Part]) -> int:
    return sum(len(part.frames) * part.rounds for part in parts)


def _take(parts: list[_Part], count: int) -> list[_Part]:
    """Parts with `count` frames at most; the last one is cut if it does not repeat."""
    taken: list[_Part] = []
    for part in parts:
        room = count - sum(len(p.frames) for p in taken)
        if room <= 0:
            break
        taken.append(part if part.rounds > 1 else _Part(part.frames[:room]))
    return taken


def _reversed(part: _Part) -> _Part:
    return msgspec.structs.replace(part, frames=part.frames[::-1])


def _identity(frame: Frame) -> object:
    if frame.function:
        return frame.function, frame.line
    return frame.module, frame.offset if frame.module else frame.pc


def group_threads(threads: Sequence[Thread]) -> tuple[Thread, ...]:
    """Give threads with the same stack the same group number; names count, not addresses."""
    numbers: dict[object, int] = {}
    grouped = []
    for thread in threads:
        key = (thread.crashed, *(_identity(frame) for frame in thread.frames))
        number = numbers.setdefault(key, len(numbers) + 1)
        grouped.append(msgspec.structs.replace(thread, group=number))
    return tuple(grouped)
