"""The build context of the charger's image: where it is, and as a tar in pieces.

Docker's build cache compares names, modes, owners and content, never times. So owners and times
are always the same here, the order is that of the names, and the same files give the same bytes.
"""

import os
import stat
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

import evdiag
from evdiag.analyze.build_plan import Tree
from evdiag.errors import BuildFailed, UsageError
from evdiag.parse.dockerignore import Ignored

SOURCES = "sources"
"""The folder of the context that another one may take the place of."""
TIME = 946_684_800
"""The year 2000, for every file: zip archives, and so Python's wheels, cannot have one of 1970."""
PIECE = 1 << 20
_PACKAGE = Path(evdiag.__file__).parent
_LEFT_OUT = "__pycache__"
_OURS = (SOURCES, f"{SOURCES}/README.md")
"""What is in sources/ before somebody puts trees there."""


class Sources(msgspec.Struct, frozen=True, kw_only=True):
    """What is in a folder of source trees."""

    names: frozenset[str]
    trees: tuple[Tree, ...]
    dependencies: str | None
    """EVerest's dependencies.yaml, if EVerest is among them."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One file, folder or link of the context."""

    name: str
    """In the tar, from the context's folder on."""
    path: Path
    status: os.stat_result

    @property
    def size(self) -> int:
        """Bytes of content."""
        return self.status.st_size if stat.S_ISREG(self.status.st_mode) else 0

    @property
    def is_folder(self) -> bool:
        """Whether more may be below it."""
        return stat.S_ISDIR(self.status.st_mode)

    @property
    def is_special(self) -> bool:
        """Whether it is a socket, a pipe or a device: nothing to build from."""
        mode = self.status.st_mode
        return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode))


def context_folder() -> Path:
    """`container/` of the checkout, or its copy in an installed evdiag. Raises UsageError."""
    for folder in (_PACKAGE / "_container", _PACKAGE.parent / "container"):
        if (folder / "Dockerfile").is_file():
            return folder
    raise UsageError(
        "this evdiag came without the image's build files",
        advice="Install it from its wheel, or run it in a checkout.",
    )


def revision(folder: Path) -> str:
    """The commit of the checkout that the context is part of; empty if it is none."""
    if not (folder.parent / ".git").exists():
        return ""
    try:
        done = subprocess.run(  # noqa: S603
            ["git", "-C", str(folder.parent), "rev-parse", "HEAD"],  # noqa: S607
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=20,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def entries(folder: Path, sources: Path | None = None) -> Iterator[Entry]:
    """Everything of the context in the order of the tar, with `sources` as its sources/.

    Below sources/ everything counts, links as links; only a tree that is itself a link to a folder
    (`sources/everest`) is followed, or it would lead nowhere. Raises UsageError.
    """
    ignored = Ignored(_text(folder / ".dockerignore"))
    for child in _listed(folder):
        if child.name != SOURCES or sources is None:
            yield from _walk(child, child.name, ignored, own=child.name != SOURCES)
    if sources is not None:
        yield Entry(name=SOURCES, path=sources, status=_status(sources, follow=True))
        for child in _listed(sources):
            yield from _walk(child, f"{SOURCES}/{child.name}", None, own=False)


def pieces(folder: Path, sources: Path | None = None) -> Iterator[bytes]:
    """The context as a tar, in pieces of at most about a megabyte.

    Raises UsageError, BuildFailed.
    """
    waiting = bytearray()
    for entry in entries(folder, sources):
        if entry.is_special:
            continue
        for part in _member(entry):
            waiting += part
            if len(waiting) >= PIECE:
                yield bytes(waiting)
                waiting.clear()
    waiting += bytes(2 * tarfile.BLOCKSIZE)  # the end of a tar
    waiting += bytes(-len(waiting) % tarfile.RECORDSIZE)
    yield bytes(waiting)


def survey(sources: Path) -> Sources:
    """Look at a folder of source trees. Raises UsageError if it is none."""
    if not sources.is_dir():
        state = "is no folder" if os.path.lexists(sources) else "does not exist"
        raise UsageError(
            f"{sources} (--sources) {state}",
            advice="Name a folder that holds source trees, such as everest/.",
        )
    children = _listed(sources)
    # as the Dockerfile sees them: `for tree in */`
    trees = [path for path in children if path.is_dir() and not path.name.startswith(".")]
    dependencies = sources / "everest/dependencies.yaml"
    return Sources(
        names=frozenset(path.name for path in children),
        trees=tuple(
            Tree(name=path.name, has_cmake=(path / "CMakeLists.txt").is_file()) for path in trees
        ),
        dependencies=_text(dependencies) if dependencies.is_file() else None,
    )


def read_dockerfile(folder: Path) -> str:
    """The Dockerfile of a context. Raises UsageError if there is none."""
    path = folder / "Dockerfile"
    if not path.is_file():
        raise UsageError(
            f"there is no Dockerfile in {folder}",
            advice="--context names a folder like the image's own: `evdiag build --print-context`.",
        )
    return _text(path)


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise _unreadable(path, error) from None


def _listed(folder: Path) -> list[Path]:
    """What is in a folder, in an order that no locale changes."""
    try:
        return sorted(folder.iterdir(), key=lambda path: os.fsencode(path.name))
    except OSError as error:
        raise _unreadable(folder, error) from None


def _status(path: Path, *, follow: bool = False) -> os.stat_result:
    try:
        return path.stat(follow_symlinks=follow)
    except OSError as error:
        raise _unreadable(path, error) from None


def _walk(top: Path, name: str, ignored: Ignored | None, *, own: bool) -> Iterator[Entry]:
    """A file, or a folder with all that is below it. No recursion: trees may be deep."""
    waiting = [(top, name)]
    while waiting:
        path, at = waiting.pop()
        if own and path.name == _LEFT_OUT:
            continue
        left_out = ignored is not None and ignored.leaves_out(at)
        follow = path is top and not own and path.is_symlink() and path.is_dir()
        status = _status(path, follow=follow)
        is_folder = stat.S_ISDIR(status.st_mode)
        if not left_out:
            ours = own or at in _OURS
            yield Entry(name=at, path=path, status=_plain(status) if ours else status)
        elif ignored is None or not ignored.may_want_below(at):
            continue
        if is_folder:
            waiting += [(child, f"{at}/{child.name}") for child in reversed(_listed(path))]


def _plain(status: os.stat_result) -> os.stat_result:
    """A file of ours has the mode that git knows, whatever umask or installer made of it."""
    mode = status.st_mode
    if stat.S_ISLNK(mode):
        return status
    executable = stat.S_ISDIR(mode) or mode & 0o111
    plain = stat.S_IFMT(mode) | (0o755 if executable else 0o644)
    return os.stat_result((plain, *status[1:]))


def _member(entry: Entry) -> Iterator[bytes]:
    """A member of the tar: its header, then its content."""
    header = tarfile.TarInfo(entry.name)
    mode = entry.status.st_mode
    header.mode, header.mtime = stat.S_IMODE(mode), TIME
    header.uname = header.gname = "root"  # tar writes the names too, and the cache compares them
    if stat.S_ISDIR(mode):
        header.type = tarfile.DIRTYPE
        yield _encoded(header)
    elif stat.S_ISLNK(mode):
        header.type = tarfile.SYMTYPE
        header.linkname = _link(entry.path)
        yield _encoded(header)
    else:
        yield from _content(entry, header)


def _encoded(header: tarfile.TarInfo) -> bytes:
    """GNU's format takes names of any bytes and length as they are, and files of any size."""
    return header.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


def _link(path: Path) -> str:
    try:
        return os.readlink(path)  # noqa: PTH115 - pathlib drops the slash at the end
    except OSError as error:
        raise _unreadable(path, error) from None


def _content(entry: Entry, header: tarfile.TarInfo) -> Iterator[bytes]:
    """The size is in the header, before the content: a file must not change meanwhile."""
    try:
        file = entry.path.open("rb")
    except OSError as error:
        raise _unreadable(entry.path, error) from None
    with file:
        left = header.size = os.fstat(file.fileno()).st_size
        yield _encoded(header)
        while left:
            try:
                part = file.read(min(left, PIECE))
            except OSError as error:
                raise _unreadable(entry.path, error) from None
            if not part:
                raise BuildFailed(
                    f"{entry.path} became shorter while it was sent",
                    advice="Run the command again when nothing writes there any more.",
                )
            left -= len(part)
            yield part
        yield bytes(-header.size % tarfile.BLOCKSIZE)


def _unreadable(path: Path, error: OSError) -> UsageError:
    return UsageError(
        f"{path} cannot be read: {error.strerror}",
        advice="The whole folder is sent to the engine: make it readable, or take it out.",
    )
