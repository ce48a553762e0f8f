"""Find the file of a mapped module on this machine; accept it only if it is of the core's build.

A file of another build has other addresses: its names would be wrong without anybody noticing.
So a file counts only if its build-id, or without one its first page, is that of the core.
"""

import zlib
from pathlib import Path

import msgspec

from evdiag.adapters.files import map_file
from evdiag.analyze.mapped import DEBUG, in_store, symbols_place
from evdiag.model.report import SoftError
from evdiag.parse.elf import ElfError
from evdiag.parse.image import Image
from evdiag.parse.modules import MappedModule

HOST_DEBUG = Path("/usr/lib/debug")


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """Where the user said the files are."""

    executable: Path | None = None
    """The program itself, whatever its path was in the crashed system."""
    sysroot: Path | None = None
    """A copy of the crashed system's files; without it those of this machine are looked at."""
    store: Path | None = None
    """Files by build-id: `.build-id/xx/yyyy...`, as gdb and debuginfod clients lay them out."""
    stores: tuple[Path, ...] = ()
    """Further ones, of bundles: looked at before."""

    @property
    def by_build_id(self) -> tuple[Path, ...]:
        """All folders with files by build-id, best first."""
        return (*self.stores, self.store) if self.store else self.stores


class ModuleState(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the search for one module's file."""

    symbols: str
    """full, names, none, missing, mismatched or unverified."""
    problem: SoftError | None = None


class Images:
    """Opens files once and keeps them for further cores of the same program."""

    def __init__(self, search: Search) -> None:
        self.search = search
        self._opened: dict[Path, Image | str] = {}
        """Image, or the reason why there is none."""
        self._answers: dict[tuple[str, str, bool], tuple[Image | None, ModuleState]] = {}
        """By path and build-id: what was found for another core holds for this one."""

    def open(
        self, module: MappedModule, *, is_executable: bool
    ) -> tuple[Image | None, ModuleState]:
        """The file of a module, and in words what was found instead if it is None."""
        if module.build_id is None:
            return self._find(module, is_executable=is_executable)
        key = (module.path, module.build_id, is_executable)
        answer = self._answers.get(key)
        if answer is None:
            answer = self._answers[key] = self._find(module, is_executable=is_executable)
        return answer

    def _find(
        self, module: MappedModule, *, is_executable: bool
    ) -> tuple[Image | None, ModuleState]:
        wrong: list[tuple[Path, str | None]] = []
        damaged: list[str] = []
        unverified: Path | None = None
        for path, named in self._candidates(module, is_executable=is_executable):
            image = self._open_file(path)
            if isinstance(image, str):
                if image:
                    damaged.append(f"{path}: {image}")
                continue
            match = same_build(module, image)
            if match is None and not named:
                unverified = path  # a file that merely has the same name
                continue
            if match is False:
                wrong.append((path, image.build_id))
                continue
            state = _state(image, path, verified=match is True)
            if wrong and is_executable and wrong[0][0] == self.search.executable:
                problem = _other_build(module, wrong[0], f"{path} was used instead")
                state = msgspec.structs.replace(state, problem=problem)
            return image, state
        return None, _not_found(module, wrong, damaged, unverified)

    def open_named(self, path: Path) -> Image | None:
        """A file without a check, for cores that do not say what was mapped."""
        image = self._open_file(path)
        return None if isinstance(image, str) else image

    def _candidates(self, module: MappedModule, *, is_executable: bool) -> list[tuple[Path, bool]]:
        """(path, whether the user named it), best first."""
        search = self.search
        found: list[tuple[Path, bool]] = []
        if is_executable and search.executable:
            found.append((search.executable, True))
        inside = module.path.lstrip("/")
        if search.sysroot and inside:
            found.append((search.sysroot / inside, True))
        place = symbols_place(module)
        if place is not None:
            found += [(store / place, True) for store in search.by_build_id]
        if module.path.startswith("/"):
            found.append((Path(module.path), False))
        return found

    def _open_file(self, path: Path) -> Image | str:
        known = self._opened.get(path)
        if known is None:
            known = self._opened[path] = _open(path)
            if isinstance(known, Image):
                known.companion = self._companion(known)
        return known

    def _companion(self, image: Image) -> Image | None:
        """The separate debug file of an image without debug information of its own.

        Looked for as gdb does: by build-id, then by the name in .gnu_debuglink.
        """
        if image.has_debug_info:
            return None
        roots = [HOST_DEBUG]
        if self.search.sysroot:
            roots.insert(0, self.search.sysroot / "usr/lib/debug")
        roots = [*self.search.by_build_id, *roots]
        place = in_store(image.build_id, DEBUG) if image.build_id is not None else None
        if place is not None:
            for root in roots:
                found = _open(root / place)
                if isinstance(found, Image) and found.build_id == image.build_id:
                    return found
        return _linked_debug_file(image, roots)


def _linked_debug_file(image: Image, roots: list[Path]) -> Image | None:
    """The file that .gnu_debuglink names, if its checksum is the one in the link."""
    link = image.debug_link
    if link is None:
        return None
    folder = Path(image.path).parent
    folders = [folder, folder / ".debug"] + [root / str(folder).lstrip("/") for root in roots]
    for candidate in folders:
        found = _open(candidate / link.name)
        if isinstance(found, Image) and zlib.crc32(found.data) == link.checksum:
            return found
    return None


def _state(image: Image, path: Path, *, verified: bool) -> ModuleState:
    if not verified:
        return ModuleState(
            symbols="unverified",
            problem=SoftError(
                stage="modules",
                message=f"{path} could not be checked: the core has no build-id of it",
                effect="its names and lines are right only if it is of the very same build",
            ),
        )
    if image.has_debug_info or (image.companion and image.companion.has_debug_info):
        return ModuleState(symbols="full")
    return ModuleState(symbols="names" if image.has_symbols else "none")


def _open(path: Path) -> Image | str:
    """Open an ELF file; else the reason, which is empty if there is no file at all."""
    try:
        if not path.is_file():
            return ""
        return Image(str(path), map_file(path))
    except (OSError, ValueError) as error:
        return getattr(error, "strerror", None) or str(error)
    except ElfError as error:
        return str(error)


def same_build(module: MappedModule, image: Image) -> bool | None:
    """Whether a file is what was mapped; None if the core has nothing to compare it with."""
    if module.build_id is not None:
        return image.build_id == module.build_id
    if module.first_bytes:
        size = len(module.first_bytes)
        return bytes(image.data[:size]) == module.first_bytes
    return None


def _other_build(
    module: MappedModule, wrong: tuple[Path, str | None], effect: str, hint: str | None = None
) -> SoftError:
    path, found = wrong
    expected = f"build-id {module.build_id}" if module.build_id else "other contents"
    actual = f"build-id {found}" if found else "no such build-id"
    return SoftError(
        stage="modules",
        message=f"{path} is another build: the core needs {expected}, "
        f"the file has {actual}; not used",
        effect=effect,
        hint=hint,
    )


def _not_found(
    module: MappedModule,
    wrong: list[tuple[Path, str | None]],
    damaged: list[str],
    unverified: Path | None,
) -> ModuleState:
    hint = "pass --sysroot with a copy of the crashed system's files, or --exe for the program"
    effect = "its frames show module and offset instead of names"
    if wrong:
        return ModuleState(
            symbols="mismatched", problem=_other_build(module, wrong[0], effect, hint)
        )
    if damaged:
        message = f"{module.path} cannot be used: {damaged[0]}"
    elif unverified:
        message = f"{unverified} was not used: the core has nothing to check its build with"
        hint = "if it is the right one, pass --sysroot / (or --exe for the program)"
    else:
        message = f"{module.path} is not on this machine"
    return ModuleState(
        symbols="missing",
        problem=SoftError(stage="modules", message=message, effect=effect, hint=hint),
    )
