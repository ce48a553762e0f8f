"""What comes back is cut, late, huge or nonsense; or nobody is there to answer."""

import io
import json
import os
import socket
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from evdiag.adapters.docker.engine import ContainerEngine, connect
from evdiag.adapters.docker.errors import translated
from evdiag.errors import (
    EngineError,
    EngineForbidden,
    EngineRefused,
    EngineTimeout,
    EngineTooOld,
    EngineUnreachable,
    NoSuchContainer,
    NoSuchImage,
    UsageError,
)
from tests.support.wire import (
    Answer,
    Connection,
    WireServer,
    chunked,
    frame,
    raw,
    recorded,
    refusal,
    reply,
)


def complaint(call: Callable[[], object]) -> EngineError:
    """The error that a call ends with."""
    with pytest.raises(EngineError) as error:
        call()
    return error.value


# -- nobody there


def test_no_socket(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")

    error = complaint(connect)

    assert type(error) is EngineUnreachable
    assert str(error) == (
        f"no container engine answers at unix://{path} (DOCKER_HOST): there is no such socket"
    )
    assert "systemctl start docker" in error.advice


def test_a_socket_of_an_engine_that_has_ended(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))

    error = complaint(connect)

    assert type(error) is EngineUnreachable
    assert str(error).endswith("(DOCKER_HOST): nothing listens there")


def test_no_permission(server: WireServer, path: Path) -> None:
    connect().close()  # all modules are loaded: another user may not be able to read them
    path.chmod(0)
    before = os.geteuid()
    if before == 0:
        path.parent.chmod(0o755)
        os.seteuid(65_534)
    try:
        error = complaint(connect)
    finally:
        os.seteuid(before)

    assert type(error) is EngineForbidden
    assert str(error) == (
        f"no permission to talk to the container engine at unix://{path} (DOCKER_HOST)"
    )
    assert "usermod -aG docker" in error.advice


def test_it_ends_between_two_questions(
    engine: ContainerEngine, server: WireServer, path: Path
) -> None:
    server.close()
    error = complaint(lambda: engine.container("everest"))
    assert type(error) is EngineUnreachable
    assert str(error) == (
        "could not look at the container everest: the container engine is not running any more"
    )

    path.unlink()
    error = complaint(lambda: engine.run_in("everest", ["ls"]))
    assert str(error) == "could not run ls in everest: the container engine's socket is gone"


# -- versions


def version(**changes: object) -> bytes:
    """What an engine says of itself, with some of it changed."""
    return reply({**recorded("20.10")["version"].body, **changes})


@pytest.mark.parametrize(
    ("api", "kind"),
    [
        ("1.40", EngineTooOld), ("1.24", EngineTooOld), ("0.9", EngineTooOld),
        ("", EngineUnreachable), (None, EngineUnreachable), ("banana", EngineUnreachable),
        ("1", EngineUnreachable), (1.41, None), ("1.41", None), ("1.999", None), ("2.0", None),
        ("1.41/../..", EngineUnreachable), ("9" * 9999 + ".1", EngineUnreachable),
    ],
)  # fmt: skip
def test_versions(api: object, kind: type[EngineError] | None, server: WireServer) -> None:
    server.on("/version$", version(ApiVersion=api, Version="19.03.15"))
    if kind is None:
        engine = connect()
        assert engine.api.api_version == str(api)
        return

    error = complaint(connect)

    assert type(error) is kind
    if kind is EngineTooOld:
        assert f"is version 19.03.15 with API {api}" in str(error)
        assert "20.10" in error.advice
    else:
        assert "names no API version" in str(error)


# -- nonsense


def slow(connection: Connection) -> None:
    """Never answer."""
    connection.wait()


def stuck(connection: Connection) -> None:
    """Answer half, and then nothing more."""
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
    connection.wait()


NONSENSE: list[tuple[str, Answer, type[EngineError], str]] = [
    ("ssh", b"SSH-2.0-OpenSSH_9.2p1 Debian\r\n", EngineUnreachable, "what came back is no answer"),
    ("bytes", bytes(range(256)) * 9, EngineUnreachable, "what came back is no answer"),
    ("nothing", b"", EngineUnreachable, "connection to the container engine broke"),
    ("reset", Connection.reset, EngineUnreachable, "connection to the container engine broke"),
    ("page", b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n<html>hi</html>", EngineUnreachable,
     "what came back is no answer"),
    ("cut", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"Id\":", EngineUnreachable,
     "connection to the container engine broke"),
    ("cut-chunks", chunked(b'{"Id":', ends=False), EngineUnreachable,
     "connection to the container engine broke"),
    ("no-chunks", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}",
     EngineUnreachable, "connection to the container engine broke"),
    ("deep", reply(b"[" * 100_000), EngineUnreachable, "what came back is no answer"),
    ("empty", reply(b""), EngineUnreachable, "what came back is no answer"),
    ("slow", slow, EngineTimeout, "it did not answer in time"),
    ("stuck", stuck, EngineTimeout, "it did not answer in time"),
    ("headers", b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 500 + b"\r\n", EngineUnreachable, ""),
    ("long-header", b"HTTP/1.1 200 OK\r\nA: " + b"b" * 99_999 + b"\r\n\r\n", EngineUnreachable, ""),
    ("redirects", b"HTTP/1.1 301 Moved\r\nLocation: /version\r\nContent-Length: 0\r\n\r\n",
     EngineUnreachable, ""),
    ("bad-redirect", b"HTTP/1.1 301 Moved\r\nLocation: http://[::1\r\nContent-Length: 0\r\n\r\n",
     EngineUnreachable, ""),
]  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "kind", "said"), [case[1:] for case in NONSENSE], ids=[case[0] for case in NONSENSE]
)
def test_nonsense(
    answer: Answer,
    kind: type[EngineError],
    said: str,
    engine: ContainerEngine,
    server: WireServer,
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EVDIAG_ENGINE_TIMEOUT", "0.3")
    server.on("/json$|/version$", answer)

    first = complaint(connect)
    engine.api.timeout = 0.3
    later = complaint(lambda: engine.container("everest"))

    assert (type(first), type(later)) == (kind, kind)
    assert said in str(first)
    assert str(first).startswith(f"no container engine answers at unix://{path} (DOCKER_HOST): ")
    assert said in str(later)
    assert str(later).startswith("could not look at the container everest: ")
    assert len(str(first)) < 700
    assert first.advice
    assert later.advice


@pytest.mark.parametrize("document", [[], "text", 7, None, True])
def test_json_of_another_kind(
    document: object, engine: ContainerEngine, server: WireServer
) -> None:
    server.on("/(json|info|exec)$|/json[?]", reply(document))
    calls: list[Callable[[], object]] = [
        lambda: engine.container("everest"),
        lambda: engine.image("everest"),
        lambda: engine.run_in("everest", ["ls"]),
    ]

    for call in calls:
        error = complaint(call)
        assert type(error) is EngineRefused
        assert "what the container engine answered is no answer" in str(error)
    assert engine.chargers() == ()
    assert engine.facts().version.startswith("20.10")


def test_a_list_of_something_else(engine: ContainerEngine, server: WireServer) -> None:
    server.on("/containers/json", reply(["x"]))
    assert type(complaint(engine.chargers)) is EngineRefused
    server.on("/containers/json", reply([{"Names": []}]))
    assert engine.chargers() == ()


def test_an_old_protocol_and_a_huge_answer(engine: ContainerEngine, server: WireServer) -> None:
    inspected = recorded("20.10")["inspect"].body
    server.on("/json$", reply(inspected, protocol="HTTP/1.0"))
    assert engine.container("everest").name == "everest"

    inspected["Config"]["Labels"] = {"long": "x" * 20_000_000}
    server.on("/json$", chunked(json.dumps(inspected).encode()))
    assert len(engine.container("everest").labels["long"]) == 20_000_000


def test_a_bug_of_ours_stays_one(engine: ContainerEngine) -> None:
    with pytest.raises(KeyError), translated("look"):
        dict[str, str]()["Id"]


# -- names


@pytest.mark.parametrize("name", ["", "..", "../images", "a/b", "a b", "a?b", "-a", "a\n", "ä"])
def test_names_that_would_be_other_paths(
    name: str, engine: ContainerEngine, server: WireServer
) -> None:
    asked = list(server.requests)

    with pytest.raises(NoSuchContainer, match="cannot be the name of a container"):
        engine.container(name)
    if "/" not in name or name.startswith("."):
        with pytest.raises(NoSuchImage, match="cannot be the name of an image"):
            engine.image(name)
    assert server.requests == asked


def test_a_container_that_is_not_there(engine: ContainerEngine, server: WireServer) -> None:
    server.on("/json$", refusal("No such container: nope", 404))

    with pytest.raises(NoSuchContainer, match="there is no container called nope"):
        engine.container("nope")


def test_a_container_that_goes_while_chargers_are_listed(
    engine: ContainerEngine, server: WireServer
) -> None:
    inspected = recorded("20.10")["inspect"].body
    server.on("/containers/json", reply([{"Id": "a"}, {"Id": "b"}]))
    server.on("/a/json$", refusal("No such container: a", 404))
    server.on("/b/json$", reply(inspected))

    assert [found.name for found in engine.chargers()] == ["everest"]


# -- programs in containers


def started(server: WireServer, answer: Answer, code: object = 0) -> None:
    """A program can be started, answers so, and ends with this code."""
    server.on("POST .*/containers/everest/exec$", reply({"Id": "e1"}, 201))
    server.on("POST .*/exec/e1/start$", answer)
    server.on("GET .*/exec/e1/json$", reply({"ExitCode": code}))


def test_a_program_and_its_output(engine: ContainerEngine, server: WireServer) -> None:
    started(server, raw(frame(b"out"), frame(b"err", 2), frame(b"put")), 3)

    ran = engine.run_in("everest", ["ls"])

    assert (ran.code, ran.out, ran.err) == (3, b"output", b"err")


@pytest.mark.parametrize("code", [None, "0", {}])
def test_a_program_that_ended_with_its_container(
    code: object, engine: ContainerEngine, server: WireServer
) -> None:
    started(server, raw(frame(b"half")), code)

    ran = engine.run_in("everest", ["ls"])

    assert (ran.code, ran.out, ran.err) == (137, b"half", b"")


def test_the_engine_ends_while_a_program_runs(engine: ContainerEngine, server: WireServer) -> None:
    def end(connection: Connection) -> None:
        connection.send(raw(frame(b"half"))[:-2])
        server.refuse()

    started(server, end)

    error = complaint(lambda: engine.run_in("everest", ["sleep", "60"]))

    assert type(error) is EngineUnreachable
    assert str(error).startswith("could not run sleep in everest: ")


# -- archives


def tar() -> bytes:
    """An archive with one file."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        entry = tarfile.TarInfo("core")
        entry.size = 100_000
        archive.addfile(entry, io.BytesIO(bytes(100_000)))
    return target.getvalue()


STAT = "X-Docker-Container-Path-Stat: eyJuYW1lIjoiY29yZSJ9\r\n"


def test_an_archive_comes_in_pieces(engine: ContainerEngine, server: WireServer) -> None:
    whole = tar()
    server.on("/archive", chunked(whole[:5000], whole[5000:], headers=STAT))

    assert b"".join(engine.archive("everest", "/core")) == whole


def test_an_archive_that_is_cut(engine: ContainerEngine, server: WireServer) -> None:
    whole = tar()
    server.on("/archive", chunked(whole[:5000], whole[5000:9000], ends=False, headers=STAT))
    pieces = engine.archive("everest", "/core")

    assert len(next(pieces)) > 0
    error = complaint(lambda: list(pieces))

    assert type(error) is EngineUnreachable
    assert str(error).startswith("could not copy /core out of everest: the connection to the")


def test_nothing_at_the_path(engine: ContainerEngine, server: WireServer) -> None:
    missing = recorded("20.10")["archive-missing"]
    server.on("/archive", reply(missing.body, missing.status))
    with pytest.raises(FileNotFoundError, match="/nope"):
        list(engine.archive("everest", "/nope"))

    server.on("/archive", refusal("No such container: everest", 404))
    with pytest.raises(NoSuchContainer):
        list(engine.archive("everest", "/nope"))


def test_an_archive_without_its_header(engine: ContainerEngine, server: WireServer) -> None:
    server.on("/archive", chunked(tar()))
    assert b"".join(engine.archive("everest", "/core")) == tar()

    server.on("/archive", chunked(tar(), headers="X-Docker-Container-Path-Stat: ???\r\n"))
    assert "no answer" in str(complaint(lambda: list(engine.archive("everest", "/core"))))


# -- time


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "1e9", "soon", "1 s"])
def test_times_that_are_none(
    text: str, server: WireServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVDIAG_ENGINE_TIMEOUT", text)

    with pytest.raises(UsageError, match="is no number of seconds"):
        connect()
