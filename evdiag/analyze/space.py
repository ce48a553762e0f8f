"""The address space of the crashed process: which image, and where in it, an address belongs to."""

from bisect import bisect_right
from collections.abc import Callable

from evdiag.model.core import CoreFacts, MappedFile
from evdiag.parse.elf import ElfError
from evdiag.parse.image import Image
from evdiag.parse.memory import Memory
from evdiag.parse.modules import DELETED, MappedModule
from evdiag.parse.startup import AT_SYSINFO_EHDR

VDSO = "[vdso]"
MAX_VDSO = 1 << 20

Open = Callable[[MappedModule], Image | None]
"""Gives the file of a mapped module, if it is there and of the core's build."""


class AddressSpace:
    """Looks addresses up; opens a module's file when the first address in it comes along."""

    def __init__(
        self,
        facts: CoreFacts,
        memory: Memory,
        files: tuple[MappedFile, ...],
        modules: tuple[MappedModule, ...],
        open_image: Open,
    ) -> None:
        self.facts, self.memory, self.files, self.modules = facts, memory, files, modules
        self._open = open_image
        self._starts = [f.start for f in files]
        self._by_path = {m.path: m for m in modules}
        self._images: dict[str, Image | None] = {}
        self._found: dict[int, tuple[Image | None, int]] = {}
        self.vdso = self._read_vdso()
        memory.fallback = self._read_file

    def _read_vdso(self) -> tuple[int, int, Image] | None:
        """(start, end, image): the kernel's own library lies in the core, in no file."""
        at = self.facts.auxv.get(AT_SYSINFO_EHDR)
        region = self.memory.region(at) if at else None
        if region is None:
            return None
        try:
            data = self.memory.in_core(region.start, min(region.present, MAX_VDSO))
            return region.start, region.end, Image(VDSO, data)
        except ElfError:
            return None

    def file_at(self, address: int) -> MappedFile | None:
        """The file mapping that holds an address."""
        i = bisect_right(self._starts, address) - 1
        if i >= 0 and address < self.files[i].end:
            return self.files[i]
        return None

    def module_at(self, address: int) -> MappedModule | None:
        """The mapped ELF file that holds an address."""
        file = self.file_at(address)
        return self._by_path.get(file.path.removesuffix(DELETED)) if file else None

    def image(self, module: MappedModule) -> Image | None:
        """The module's file, opened once."""
        if module.path not in self._images:
            self._images[module.path] = self._open(module)
        return self._images[module.path]

    def locate(self, address: int) -> tuple[Image | None, int]:
        """(image, address in the image's file), or (None, address)."""
        known = self._found.get(address)
        if known is None:
            known = self._found[address] = self._locate(address)
        return known

    def _locate(self, address: int) -> tuple[Image | None, int]:
        file = self.file_at(address)
        if file is None:
            if self.vdso and self.vdso[0] <= address < self.vdso[1]:
                image = self.vdso[2]
                return image, address - self.vdso[0] + image.base
            return None, address
        module = self.module_at(address)
        found = self.image(module) if module else None
        if found is not None:
            vaddr = found.vaddr(address - file.start + file.offset)
            if vaddr is not None:
                return found, vaddr
        return None, address

    def _read_file(self, address: int, size: int) -> bytes:
        """Bytes of a mapped file that were not dumped; only from the file of the core's build."""
        file = self.file_at(address)
        module = self.module_at(address)
        image = self.image(module) if module else None
        if file is None or image is None:
            return b""
        at = address - file.start + file.offset
        return bytes(image.data[at : at + min(size, file.end - address)])
