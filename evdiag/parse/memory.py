"""The memory of the crashed process: from the core, else from files of the very same build."""

import struct
from bisect import bisect_right
from collections.abc import Callable

from evdiag.model.core import EXECUTE, CoreFacts, Region
from evdiag.parse.elf import Data

Fallback = Callable[[int, int], bytes]
"""(address, size) to bytes that a mapped file has at that address; empty where none is known."""

MAX_STRING = 4096
SHORT_STRING = 256
"""What is read of a string first: with thousands of them, the limit for each would add up."""


class Memory:
    """Reads words and bytes at addresses of the crashed process."""

    def __init__(self, data: Data, facts: CoreFacts) -> None:
        self.data = data
        self.regions = facts.regions
        self.fallback: Fallback | None = None
        """Asked for what the core does not hold: pages of files are usually not dumped."""
        self.size = facts.machine.word
        layout = struct.Struct("<Q" if self.size == 8 else "<I")
        self._word: Callable[[Data, int], tuple[int, ...]] = layout.unpack_from
        self._starts = [r.start for r in facts.regions]
        self._last = (0, 0, 0)
        """(start, end, file offset minus address) of the region that was read last."""

    def region(self, address: int) -> Region | None:
        """The mapped range that holds an address."""
        i = bisect_right(self._starts, address) - 1
        if i >= 0:
            region = self.regions[i]
            if address < region.end:
                return region
        return None

    def executable(self, address: int) -> bool:
        """Whether code may run at an address."""
        region = self.region(address)
        return region is not None and bool(region.flags & EXECUTE)

    def read(self, address: int, size: int) -> bytes:
        """Up to `size` bytes at an address; fewer at the end of what is known."""
        found = self.in_core(address, size)
        if not found and self.fallback is not None:
            return self.fallback(address, size)
        return found

    def in_core(self, address: int, size: int) -> bytes:
        """Like `read`, from the core file alone."""
        region = self.region(address)
        if region is None:
            return b""
        inside = address - region.start
        if inside >= region.present:
            return b""
        at = region.offset + inside
        return bytes(self.data[at : at + min(size, region.present - inside)])

    def word(self, address: int) -> int | None:
        """The pointer-sized number at an address, or None."""
        start, end, delta = self._last
        if start <= address <= end - self.size:
            return self._word(self.data, address + delta)[0]
        region = self.region(address)
        if region is not None and address + self.size <= region.start + region.present:
            delta = region.offset - region.start
            self._last = (region.start, region.start + region.present, delta)
            return self._word(self.data, address + delta)[0]
        raw = self.read(address, self.size)
        return int.from_bytes(raw, "little") if len(raw) == self.size else None

    def string(self, address: int, limit: int = MAX_STRING) -> str | None:
        """The C string at an address, cut at `limit` bytes; None if there is no memory."""
        raw = self.read(address, min(limit, SHORT_STRING))
        if len(raw) == SHORT_STRING and b"\0" not in raw:
            raw = self.read(address, limit)
        return raw.split(b"\0", 1)[0].decode("utf-8", "replace") if raw else None
