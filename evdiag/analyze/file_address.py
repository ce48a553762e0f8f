"""Where in a file an address of a text lies: the arithmetic behind `evdiag symbolize`."""

from evdiag.analyze.unwind.signalframe import SIGNAL_FRAMES
from evdiag.model.symbolized import Mention
from evdiag.parse.dynsym import definitions
from evdiag.parse.image import Image

KERNEL = "kernel"
"""The format of the kernel's messages: what they give as base is where the code is mapped."""
ET_EXEC = 2
EXECUTABLE = 1
PAGE = 4096

MOVES = "where it lay in memory is not known: it needs the mappings of a core"
NO_CODE = "it has no code there: it may be another build"


class NotThere(Exception):
    """The address is not in the file; the message says why, for people."""


def in_file(mention: Mention, image: Image) -> int:
    """The address to look up in a file, of the call itself where the text has what follows it.

    What names a function or an offset holds wherever the file was loaded, so it goes before
    addresses in memory. Raises NotThere.
    """
    if mention.file_offset is not None:
        return _code(image, image.vaddr(mention.file_offset - mention.is_call))
    if mention.kind == KERNEL and mention.base is not None:
        return _from_base(mention, image)
    if mention.symbol is not None and mention.offset is not None:
        return _from_symbol(mention, image)
    if mention.offset is not None:
        return from_offset(mention, image, mention.offset)
    if mention.base is not None:
        return _from_base(mention, image)
    if image.header.type != ET_EXEC or mention.address is None:
        raise NotThere(MOVES)
    return _code(image, mention.address - mention.is_call)


def has_code(image: Image, address: int) -> bool:
    """Whether an address is one of a file's instructions."""
    return any(
        s.flags & EXECUTABLE and s.vaddr <= address < s.vaddr + s.memory_size for s in image.loads
    )


def is_signal_return(image: Image, address: int) -> bool:
    """Whether a signal handler returns to this address of a file.

    Nobody has called what begins there, and who is next in a backtrace was interrupted: the address
    is that of an instruction, not of one behind a call.
    """
    for s in image.loads:
        if s.flags & EXECUTABLE and s.vaddr <= address < s.vaddr + s.file_size:
            at = address - s.vaddr + s.offset
            return any(
                image.data[at : at + len(kernel.code)] == kernel.code
                for kernel in SIGNAL_FRAMES.values()
            )
    return False


def from_offset(mention: Mention, image: Image, offset: int) -> int:
    """From an address less where the file was loaded; files of a fixed address have that in it.

    Raises NotThere.
    """
    at = offset - mention.is_call
    if image.header.type == ET_EXEC and not has_code(image, at):
        at += image.base
    return _code(image, at)


def _from_symbol(mention: Mention, image: Image) -> int:
    """From a function's name. Raises NotThere.

    Files are loaded at whole pages, so an address in memory ends as that in the file does: where it
    does not, the function has moved since, and the text is of another build.
    """
    name, offset = mention.symbol or "", mention.offset or 0
    found = [start + offset for start in definitions(image, name)]
    if mention.address is not None:
        fitting = [at for at in found if not (at - mention.address) % PAGE]
        if found and not fitting:
            raise NotThere(f"it is another build: {name} lies elsewhere in it")
        found = fitting
    if len(found) > 1:
        raise NotThere(f"it has {len(found)} functions called {name}")
    if not found:
        if mention.base is not None:
            return _from_base(mention, image)
        raise NotThere(f"it has no function called {name}")
    return _code(image, found[0] - mention.is_call)


def _from_base(mention: Mention, image: Image) -> int:
    """From an address in memory and where the file, or its code, is mapped. Raises NotThere."""
    if mention.address is None or mention.base is None:
        raise NotThere(MOVES)
    begins = [image.base]
    if mention.kind == KERNEL:
        begins = [s.vaddr for s in image.loads if s.flags & EXECUTABLE]
    distance = mention.address - mention.base - mention.is_call
    found = {at for at in (b // PAGE * PAGE + distance for b in begins) if has_code(image, at)}
    if len(found) != 1:
        raise NotThere(NO_CODE)
    return found.pop()


def _code(image: Image, at: int | None) -> int:
    if at is None or not has_code(image, at):
        raise NotThere(NO_CODE)
    return at
