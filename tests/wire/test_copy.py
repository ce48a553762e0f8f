"""Files out of containers, when the engine sends them whole, cut, or something else."""

import base64
import io
import json
import tarfile
import threading

import pytest

from evdiag.adapters.docker.copy import copied, copied_file
from evdiag.adapters.docker.engine import ContainerEngine
from evdiag.errors import EngineRefused, EngineTimeout, EngineUnreachable, NoSuchContainer
from evdiag.parse.tar import TarCut, TarMember
from tests.support.wire import Connection, WireServer, chunked, recorded, refusal, reply

CONTENT = bytes(range(256)) * 4000


def tar(*names: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> bytes:
    """An archive as the engine makes it."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, link
            entry.size = len(CONTENT) if kind == tarfile.REGTYPE else 0
            archive.addfile(entry, io.BytesIO(CONTENT))
    return target.getvalue()


def about(**facts: object) -> str:
    """The engine's header about a path."""
    encoded = base64.b64encode(json.dumps(facts).encode()).decode()
    return f"X-Docker-Container-Path-Stat: {encoded}\r\n"


def chunks(data: bytes, *, ends: bool = True, headers: str = "") -> bytes:
    """An archive in pieces of 32 kB, as an engine sends it."""
    pieces = (data[at : at + 32_768] for at in range(0, len(data), 32_768))
    return chunked(*pieces, ends=ends, headers=headers)


def test_members_with_their_content(engine: ContainerEngine, server: WireServer) -> None:
    server.on("/archive", chunks(tar("logs/a", "logs/b")))
    found: dict[str, int] = {}
    content = b""
    for item in copied(engine, "everest", "/logs"):
        if isinstance(item, TarMember):
            found[item.name] = item.size
        else:
            content += item

    assert found == {"logs/a": len(CONTENT), "logs/b": len(CONTENT)}
    assert content == 2 * CONTENT
    assert server.requests[-1] == "GET /v1.41/containers/everest/archive?path=%2Flogs"


@pytest.mark.parametrize("kept", [0, 100, 512, 700, 512 + len(CONTENT), 512 + len(CONTENT) + 200])
@pytest.mark.parametrize("ends", [True, False])
def test_a_stream_that_was_cut_is_never_whole(
    engine: ContainerEngine, server: WireServer, kept: int, ends: bool
) -> None:
    """By a file that shrank the archive ends early and all else is right; or the engine died."""
    server.on("/archive", chunks(tar("core")[:kept], ends=ends))
    with pytest.raises(TarCut if ends else EngineUnreachable):
        list(copied(engine, "everest", "/core"))
    with pytest.raises(TarCut if ends else EngineUnreachable):
        list(copied_file(engine, "everest", "/core"))


def test_an_engine_of_before_chunks(engine: ContainerEngine, server: WireServer) -> None:
    """Without chunks nothing but the archive itself tells where it ends."""
    head = b"HTTP/1.0 200 OK\r\n\r\n"
    server.on("/archive", head + tar("core"))
    assert b"".join(copied_file(engine, "everest", "/core")) == CONTENT
    server.on("/archive", head + tar("core")[:5000])
    with pytest.raises(TarCut):
        list(copied(engine, "everest", "/core"))


def test_a_connection_that_breaks(engine: ContainerEngine, server: WireServer) -> None:
    def answer(connection: Connection) -> None:
        connection.send(chunks(tar("core")[:5000], ends=False))
        connection.reset()

    server.on("/archive", answer)
    with pytest.raises(EngineUnreachable, match="could not copy /core out of everest"):
        list(copied(engine, "everest", "/core"))


def test_an_engine_that_says_nothing_more(
    engine: ContainerEngine, server: WireServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(connection: Connection) -> None:
        connection.send(chunks(tar("core")[:5000], ends=False))
        connection.wait()

    server.on("/archive", answer)
    monkeypatch.setattr(engine.api, "timeout", 0.2)
    with pytest.raises(EngineTimeout, match="did not answer in time"):
        list(copied(engine, "everest", "/core"))


def test_who_stops_asking_hangs_up(engine: ContainerEngine, server: WireServer) -> None:
    left = threading.Event()

    def answer(connection: Connection) -> None:
        connection.send(chunks(tar("core", "more")[:-9000], ends=False))
        connection.wait()  # until the client has left
        left.set()

    server.on("/archive", answer)
    items = copied(engine, "everest", "/core")
    assert isinstance(next(items), TarMember)
    items.close()
    assert left.wait(10)


def test_nothing_there(engine: ContainerEngine, server: WireServer) -> None:
    missing = recorded("20.10")["archive-missing"]
    server.on("/archive", reply(missing.body, missing.status))
    with pytest.raises(FileNotFoundError, match="/nope"):
        list(copied(engine, "everest", "/nope"))
    with pytest.raises(FileNotFoundError, match="/nope"):
        list(copied_file(engine, "everest", "/nope"))

    for text in ("No such container: everest", "no such container: everest"):
        server.on("/archive", refusal(text, 404))
        with pytest.raises(NoSuchContainer):
            list(copied(engine, "everest", "/nope"))


def test_something_else_than_an_archive(engine: ContainerEngine, server: WireServer) -> None:
    server.on("/archive", chunked(b"<html>" * 500))
    with pytest.raises(EngineRefused, match="could not copy /core: the engine sent no archive"):
        list(copied(engine, "everest", "/core"))
    server.on("/archive", refusal("disk quota", 500))
    with pytest.raises(EngineRefused, match="disk quota"):
        list(copied(engine, "everest", "/core"))


# -- one file


def test_a_link_is_followed_as_the_engine_does(engine: ContainerEngine, server: WireServer) -> None:
    headers = about(name="x.so", size=9, mode=134218239, linkTarget="/usr/lib/x.so.1.2")
    link = chunks(tar("x.so", kind=tarfile.SYMTYPE, link="../x.so.1"), headers=headers)
    server.on("path=%2Flib%2Fx.so$", link)
    server.on("path=%2Fusr%2Flib%2Fx.so.1.2$", chunks(tar("x.so.1.2")))
    assert b"".join(copied_file(engine, "everest", "/lib/x.so")) == CONTENT

    server.on("path=%2Fusr%2Flib%2Fx.so.1.2$", link)  # it was replaced meanwhile
    with pytest.raises(FileNotFoundError, match="/lib/x"):
        list(copied_file(engine, "everest", "/lib/x.so"))


@pytest.mark.parametrize(
    "headers",
    [
        "",
        about(size=9, mode=134218239, linkTarget=""),
        about(size=9, mode=134218239, linkTarget=5),
        "X-Docker-Container-Path-Stat: ???\r\n",
        "X-Docker-Container-Path-Stat: W10=\r\n",
    ],
)
def test_what_is_no_file(engine: ContainerEngine, server: WireServer, headers: str) -> None:
    for kind in (tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.FIFOTYPE):
        server.on("/archive", chunks(tar("x", kind=kind, link="x"), headers=headers))
        with pytest.raises(FileNotFoundError):
            list(copied_file(engine, "everest", "/x"))


def test_more_than_one_file_where_one_was_asked_for(
    engine: ContainerEngine, server: WireServer
) -> None:
    server.on("/archive", chunks(tar("core", "other")))
    assert b"".join(copied_file(engine, "everest", "/core")) == CONTENT
