"""Command line, environment and module identity of the crashed program.

NT_PRPSINFO holds 80 bytes of the command line; the whole of it still lies where the kernel put it,
above the first stack frame: argc, argv[], NULL, envp[], NULL, auxv (System V ABI, figure 3.9).
The bytes of NT_AUXV are a copy of the last part, so that is what is searched for.
"""

from collections.abc import Mapping

from evdiag.model.core import CoreFacts, ModuleIdentity, StartupFacts
from evdiag.parse.memory import Memory
from evdiag.parse.modules import AT_ENTRY, DELETED

AT_PHDR, AT_RANDOM, AT_EXECFN, AT_SYSINFO_EHDR = 3, 25, 31, 33

MAX_STRINGS = 10_000
MAX_STRING = 1 << 21
"""The kernel's own limit for one string: MAX_ARG_STRLEN, 32 pages, which may have 64 KiB."""
MAX_TOTAL = 1 << 22
MAX_DISTANCE = 1 << 23
"""All strings together take three quarters of the usual stack of 8 MiB at most."""


def read_startup(facts: CoreFacts, memory: Memory) -> StartupFacts:
    """Command line and environment, from the stack or else from NT_PRPSINFO."""
    kept = tuple(facts.arguments.split())
    at = _find_auxv(facts, memory)
    if at is not None:
        environment_at, argv_at, count = _walk_back(memory, at)
        if count is not None:
            argv = tuple(_strings(memory, argv_at, count))
            complete = len(argv) == count
            environment = dict(
                entry.split("=", 1)
                for entry in _strings(memory, environment_at, MAX_STRINGS)
                if "=" in entry
            )
            return StartupFacts(
                argv=argv if complete else kept, environment=environment, complete=complete
            )
    return StartupFacts(argv=kept)


def _find_auxv(facts: CoreFacts, memory: Memory) -> int | None:
    """Address of the auxiliary vector: below the random bytes and the name that it points to."""
    for tag in (AT_RANDOM, AT_EXECFN):
        pointer = facts.auxv.get(tag, 0)
        region = memory.region(pointer)
        if region is not None and facts.auxv_bytes:
            low = max(region.start, pointer - MAX_DISTANCE)
            below = memory.in_core(low, pointer - low)
            # the last one, backwards: `rfind` takes quadratic time, `find` does not
            found = below[::-1].find(facts.auxv_bytes[::-1])
            if found >= 0:
                return low + len(below) - found - len(facts.auxv_bytes)
    return None


def _walk_back(memory: Memory, auxv_at: int) -> tuple[int, int, int | None]:
    """(address of envp[0], address of argv[0], argc); argc is None if the shape does not fit."""
    size = memory.size
    at = auxv_at - 2 * size
    for _ in range(MAX_STRINGS):
        if not memory.word(at):
            break
        at -= size
    environment_at = at + size
    at -= size
    for count in range(MAX_STRINGS):
        word = memory.word(at)
        if not word:  # the program has put NULL into its argv or environment
            break
        if word == count:
            return environment_at, at + size, count
        at -= size
    return environment_at, 0, None


def _strings(memory: Memory, at: int, count: int) -> list[str]:
    found: list[str] = []
    total = 0
    for i in range(count):
        pointer = memory.word(at + i * memory.size)
        text = memory.string(pointer, MAX_STRING) if pointer else None
        if text is None or total > MAX_TOTAL:
            break
        total += len(text)
        found.append(text)
    return found


def executable_path(facts: CoreFacts, memory: Memory) -> str | None:
    """The path of the program that ran: the file that holds its entry point.

    Never the name of the core or of the process: EVerest modules rename themselves.
    """
    for tag in (AT_ENTRY, AT_PHDR):
        address = facts.auxv.get(tag)
        if address:
            for file in facts.files:
                if file.start <= address < file.end:
                    return file.path.removesuffix(DELETED)
    name_at = facts.auxv.get(AT_EXECFN)
    return memory.string(name_at) if name_at else None


def named_module(first: str) -> ModuleIdentity | None:
    """The EVerest module whose program was started under this name, if it is one.

    The manager starts C++ modules with argv[0] = `<module id>:<module type>`, and glibc's
    backtrace_symbols takes that for their file (manager.cpp of EVerest's framework).
    """
    identity, separator, kind = first.partition(":")
    if separator and identity and kind and "/" not in first:
        return ModuleIdentity(id=identity, type=kind)
    return None


def module_identity(
    argv: tuple[str, ...], environment: Mapping[str, str], executable: str | None
) -> ModuleIdentity | None:
    """Which EVerest module the process is, if it is one.

    Python and JavaScript modules are started with EV_MODULE in the environment (manager.cpp of
    EVerest's framework).
    """
    named = named_module(argv[0] if argv else "")
    if named is not None:
        return named
    scripted = environment.get("EV_MODULE")
    if scripted:
        return ModuleIdentity(id=scripted, type=_scripted_type(argv))
    if "--module" in argv[:-1]:
        name = executable.rpartition("/")[2] if executable else None
        return ModuleIdentity(id=argv[argv.index("--module") + 1], type=name)
    return None


def _scripted_type(argv: tuple[str, ...]) -> str | None:
    """The folder of the module's script: `.../modules/PyEvJosev/module.py` is PyEvJosev."""
    for argument in argv[1:]:
        parts = argument.split("/")
        if len(parts) > 2 and parts[-3] == "modules":
            return parts[-2]
    return None
