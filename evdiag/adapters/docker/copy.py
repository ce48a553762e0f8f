"""Files out of containers, also of ones that have ended: quick, and with constant memory.

The engine sends a tar in HTTP chunks of 32 kB. `iter_content` gives them one by one; here they are
read many at a time, below the SDK.
"""

import contextlib
from collections.abc import Generator, Iterator
from typing import Any

from evdiag.adapters.docker.engine import ContainerEngine
from evdiag.adapters.docker.errors import short, translated
from evdiag.adapters.docker.path_stat import HEADER, read_stat
from evdiag.errors import EngineRefused
from evdiag.parse.tar import TarDamaged, TarMember, read_tar

PIECE = 1 << 20


def copied(
    engine: ContainerEngine, container: str, path: str
) -> Generator[TarMember | bytes, None, None]:
    """The members of a file or folder, each with its content after it; no link is followed.

    Until it has ended or is closed, an engine (20.10) answers nothing else about this container,
    not even to other programs: ask nothing meanwhile. Closing hangs up. Raises FileNotFoundError,
    TarCut (a file shrank while the engine read it: try again), NoSuchContainer, EngineError.
    """
    with _asked(engine, container, path) as answer:
        yield from _members(answer, path)


def copied_file(engine: ContainerEngine, container: str, path: str) -> Generator[bytes, None, None]:
    """The content of one regular file, or of the one that a link leads to, in pieces.

    Raises FileNotFoundError also for a folder, and what `copied` raises.
    """
    at = path
    while True:
        with _asked(engine, container, at) as answer:
            items = _members(answer, at)
            first = next(items, None)
            if isinstance(first, TarMember) and first.kind == "file":
                for item in items:
                    if isinstance(item, TarMember):  # one file was asked for
                        return
                    yield item
                return
            about = read_stat(answer.headers.get(HEADER, ""))
        if at != path or about is None or not about.link:
            raise FileNotFoundError(path)
        at = about.link  # the engine has followed the whole chain, and stays in the container


def _members(answer: Any, path: str) -> Iterator[TarMember | bytes]:  # noqa: ANN401
    try:
        yield from read_tar(_pieces(answer))
    except TarDamaged as error:
        raise EngineRefused(
            f"could not copy {path}: the engine sent no archive ({error})"
        ) from None


def _pieces(answer: Any) -> Iterator[bytes]:  # noqa: ANN401
    while piece := answer.raw.read(PIECE):
        yield piece


@contextlib.contextmanager
def _asked(engine: ContainerEngine, container: str, path: str) -> Iterator[Any]:
    """The engine's answer. Raises FileNotFoundError, and EvdiagErrors for what breaks meanwhile."""
    import docker.errors  # noqa: PLC0415

    api = engine.api
    with translated(f"copy {path} out of {short(container)}"):
        answer = api.get(
            api._url("/containers/{0}/archive", container),
            params={"path": path},
            headers={"Accept-Encoding": "identity"},  # packing costs more than it saves here
            timeout=api.timeout,
            stream=True,
        )
        try:
            api._raise_for_status(answer)
            yield answer
        except docker.errors.NotFound as error:
            if "No such container" in str(error) or "no such container" in str(error):
                raise
            raise FileNotFoundError(path) from None
        finally:
            answer.close()
