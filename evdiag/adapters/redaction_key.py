"""The key that tokens in reports are made with, where no bundle brings its own.

It stays on this machine, so that the same secret has the same token in all reports of one user.
"""

import contextlib
import os
import stat
from pathlib import Path

from evdiag.adapters import host
from evdiag.analyze.secrets import Secrets
from evdiag.model.bundle import Redaction

NAME = "redaction.key"
_BYTES = 32


def secrets_of(redaction: Redaction | None) -> Secrets:
    """What takes secrets out of reports on a bundle, or on cores that are in none."""
    if redaction is None:
        return Secrets(own_key(host.cache_directory()))
    try:
        key = bytes.fromhex(redaction.key or "")
    except ValueError:
        key = b""
    # Without the bundle's key its tokens cannot be made: those in its texts stay what they are.
    return Secrets(key, redaction.tokens) if key else Secrets(own_key(host.cache_directory()))


def own_key(folder: Path) -> bytes:
    """The user's key, made when it is missed; a random one where it cannot be kept."""
    path = folder / NAME
    key = _kept(path)
    if key is not None:
        return key
    key = os.urandom(_BYTES)
    new = folder / f".{NAME}.{os.getpid()}.{key[:4].hex()}"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(fd, "wb") as file:  # noqa: PTH123 - by its descriptor
            file.write(key)
        with contextlib.suppress(FileExistsError):
            os.link(new, path)  # two that start at once agree on one key
    except OSError:
        return key
    finally:
        with contextlib.suppress(OSError):
            new.unlink()
    return _kept(path) or key


def _kept(path: Path) -> bytes | None:
    """The key in a file that is the user's own, and nobody else's to read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        about = os.fstat(fd)
        if not stat.S_ISREG(about.st_mode) or about.st_uid != os.geteuid():
            return None
        if about.st_mode & 0o077:
            with contextlib.suppress(OSError):
                os.fchmod(fd, 0o600)
        key = os.read(fd, _BYTES + 1)
    finally:
        os.close(fd)
    return key if len(key) == _BYTES else None
