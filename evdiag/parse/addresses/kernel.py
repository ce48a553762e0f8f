"""What the kernel logs of a fault: the program counter, and the mapping that it lies in.

Sources: Linux, arch/x86/mm/fault.c (`show_signal_msg`), arch/x86/kernel/traps.c, mm/memory.c
(`print_vma_addr`), arch/arm64/kernel/traps.c (`arm64_show_signal`). In brackets stand the start of
the mapping and its size; since Linux 6.9 there is the place in the file before them. The module is
a file name without its folder.
"""

import re
from collections.abc import Iterator

from evdiag.model.symbolized import Mention
from evdiag.parse.addresses._finder import APART, HEX, Finder, at_address
from evdiag.parse.addresses._mappings import Mapping, Mappings

_BRACKETS = rf"\[(?:(?P<offset>{HEX}),)?(?P<base>{HEX})\+(?P<size>{HEX})\]"
_FAULT = re.compile(
    rf"(?:segfault at {HEX} ip (?P<ip>{HEX}) sp {HEX} error {HEX}"
    rf"|ip:(?P<trapped>{HEX}) sp:{HEX}(?: ssp:{HEX})? error:{HEX}(?:\([a-z -]{{1,40}}\))?)"
    rf"(?: in (?P<module>[^\[\]\x1b]{{1,255}}){_BRACKETS})?"
)
_MAPPING = re.compile(_BRACKETS)
_REGISTER = re.compile(
    rf"{APART}(?P<name>pc|lr) : (?:\[<)?(?P<value>[0-9a-f]{{8,16}})(?![0-9a-f])(?:>\])?"
)


def _find(line: str, mappings: Mappings) -> Iterator[Mention]:
    for match in _FAULT.finditer(line):
        mention = _fault(match, mappings)
        if mention is not None:
            yield mention
    yield from _exception(line, mappings)
    for match in _REGISTER.finditer(line):
        is_call = match["name"] == "lr"
        mention = at_address(match.span(), int(match["value"], 16), mappings, is_call=is_call)
        if mention is not None:
            yield mention


def _fault(match: re.Match[str], mappings: Mappings) -> Mention | None:
    """A fault on x86: all of it is in one line."""
    ip = int(match["ip"] or match["trapped"], 16)
    if match["module"] is None:
        return at_address(match.span(), ip, mappings)
    base, size = int(match["base"], 16), int(match["size"], 16)
    if not base <= ip < base + size:
        return None
    return _in_mapping(match, match.start(), match["module"], ip)


def _exception(line: str, mappings: Mappings) -> Iterator[Mention]:
    """A fault on aarch64 and others: the program counter follows among the registers."""
    start = line.find("unhandled ")
    match = _MAPPING.search(line, start) if start >= 0 else None
    named = line.rfind(" in ", start, match.start()) if match else -1
    if match is None or named < 0:
        return
    module = line[named + len(" in ") : match.start()]
    base, size = int(match["base"], 16), int(match["size"], 16)
    if size:
        mappings.add(Mapping(start=base, end=base + size, module=module, base=base, kind="kernel"))
    if match["offset"] is not None:
        yield _in_mapping(match, start, module, None)


def _in_mapping(match: re.Match[str], start: int, module: str, address: int | None) -> Mention:
    return Mention(
        start=start,
        end=match.end(),
        kind="kernel",
        module=module,
        file_offset=None if match["offset"] is None else int(match["offset"], 16),
        base=int(match["base"], 16),
        address=address,
        is_call=False,
    )


FINDER = Finder(
    id="kernel",
    title="Faults in the kernel's log (dmesg, journal)",
    examples=(
        "prog[4242]: segfault at 18 ip 000055773fcbc222 sp 00007fa848a2f480 error 6 in "
        "prog[55773fca9000+25000]",
        "prog[4242]: segfault at 18 ip 000055773fcbc222 sp 00007fa848a2f480 error 6 in "
        "prog[1c222,55773fca9000+25000] likely on CPU 1 (core 1, socket 0)",
        "traps: prog[4242] general protection fault ip:7f2c0f8f7560 sp:7f2c0f8f0000 error:0 in "
        "libfoo.so.1[7f2c0f8f0000+156000]",
        "prog[4242]: unhandled exception: DABT (lower EL), ESR 0x92000044, level 0 translation "
        "fault in prog[b60,aaaab0b60000+1000]",
    ),
    words=("segfault at ", "ip:", "unhandled ", "pc : ", "lr : "),
    marks=("segfault at ", " ip:", "unhandled ", "pc : ", "lr : "),
    find=_find,
)
