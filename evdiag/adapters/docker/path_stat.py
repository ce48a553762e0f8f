"""What a path of a container is, running or ended, by the engine: nothing of it is sent."""

import base64
import binascii
import json
from typing import TYPE_CHECKING

import msgspec

from evdiag.adapters.docker.errors import short, translated
from evdiag.parse.engine import read_time

if TYPE_CHECKING:
    from evdiag.adapters.docker.engine import ContainerEngine

HEADER = "X-Docker-Container-Path-Stat"
LINK, SPECIAL = 1 << 27, 0x8F280000
"""Of the mode of a file as the engine says it: Go's os.ModeSymlink and os.ModeType."""


class Stat(msgspec.Struct, frozen=True):
    """What the engine says of a path."""

    size: int
    mode: int
    link: str
    modified: float | None

    @property
    def is_file(self) -> bool:
        """Whether it is a regular one."""
        return not self.mode & SPECIAL


def look(engine: "ContainerEngine", container: str, path: str) -> Stat | None:
    """What a path is; None if there is nothing, or no such container. Raises EngineError."""
    api = engine.api
    url = f"{api.base_url}/v{api.api_version}/containers/{container}/archive"
    with translated(f"look for {path} in {short(container)}"):
        answer = api.head(url, params={"path": path}, timeout=api.timeout)
        if answer.status_code in (404, 500):  # the latter of links that lead to themselves
            return None
        api._raise_for_status(answer)
        return read_stat(answer.headers.get(HEADER, ""))


def read_stat(text: str) -> Stat | None:
    """The engine's answer, if it is one."""
    try:
        told = json.loads(base64.b64decode(text))
        size, mode, link = told["size"], told["mode"], told.get("linkTarget") or ""
    except (binascii.Error, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
    if type(size) is not int or type(mode) is not int or not isinstance(link, str):
        return None
    return Stat(max(size, 0), mode, link, read_time(told.get("mtime")))
