"""Where a symbol of a library lies in the crashed process."""

from evdiag.analyze.space import AddressSpace
from evdiag.model.core import EXECUTE
from evdiag.parse.dynsym import defined
from evdiag.parse.image import Image
from evdiag.parse.modules import AT_ENTRY, DELETED, MappedModule

LIBC = ("libc.so.6", "libc-2.")
"""How the file of glibc is called; before glibc 2.34 its name held the version."""
LIBSTDCXX = ("libstdc++.so.6",)
MAX_ROWS = 64
"""Mappings of one file that are looked at: dynamic linkers make about five."""


def loaded_address(space: AddressSpace, name: str, libraries: tuple[str, ...] = LIBC) -> int | None:
    """The address in the process of a symbol of a library; of the program, if it is static.

    None where the library is mapped and its file is not there, or it has no such symbol.
    """
    modules = [m for m in space.modules if m.path.rpartition("/")[2].startswith(libraries)]
    if not modules:
        entry = space.facts.auxv.get(AT_ENTRY)
        program = space.module_at(entry) if entry is not None else None
        modules = [program] if program is not None else []
    for module in modules:
        image = space.image(module)
        at = defined(image, name) if image is not None else None
        bias = bias_of(space, module, image) if image is not None and at is not None else None
        if at is not None and bias is not None:
            return at + bias
    return None


def bias_of(space: AddressSpace, module: MappedModule, image: Image) -> int | None:
    """How far from the addresses in its file a module is mapped; None if that cannot be told."""
    mapped = [f for f in space.files if f.path.removesuffix(DELETED) == module.path][:MAX_ROWS]
    for row in mapped:
        code = space.memory.executable(row.start)
        for s in image.loads:
            # Several segments may begin in one page of the file; what tells their mappings apart
            # is whether they may be executed. Nothing else begins where the file does.
            inside = row.offset <= s.offset < row.offset + row.end - row.start
            if inside and (row.offset == 0 or (code and s.flags & EXECUTE)):
                return row.start + s.offset - row.offset - s.vaddr
    return None
