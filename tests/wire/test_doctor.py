"""doctor's container and programs where the engine or the container does what it likes."""

import threading

import pytest

from evdiag.adapters.docker.doctor import PREPARED, probe, throw_away
from evdiag.adapters.docker.engine import ContainerEngine
from evdiag.errors import EngineRefused, NotReady
from evdiag.parse.doctor import LARGEST
from tests.cli.conftest import Evdiag
from tests.support.wire import Connection, WireServer, frame, raw, recorded, refusal, reply

IMAGE = {"Id": "sha256:1", "Architecture": "amd64", "Config": {"Labels": {"org.evdiag.cores": "/"}}}
RLIMIT = "OCI runtime create failed: error setting rlimit type 4: operation not permitted"
READY = frame(b"OCPP 1.6\n", 2) + frame(PREPARED.encode() + b"\n")


@pytest.fixture(autouse=True)
def container(server: WireServer) -> None:
    """A container can be made and removed, and runs."""
    server.on("GET .*/containers/[^/]+/json$", reply(recorded("20.10")["inspect"].body))
    server.on("POST .*/containers/create", reply({"Id": "1f", "Warnings": []}, 201))
    prints(server, READY)
    server.on("DELETE ", reply(b"", 204))
    server.on("POST .*/containers/[^/]+/exec$", reply({"Id": "e1"}, 201))
    server.on("GET .*/exec/e1/json$", reply({"ExitCode": 0}))


def prints(server: WireServer, output: bytes, *refusals: bytes) -> None:
    """What a container prints as soon as it is started, to whoever listens since before."""
    started = threading.Event()

    def attach(connection: Connection) -> None:
        connection.send(raw())
        if started.wait(10):  # never, where the start is refused: the test has ended then
            connection.send(output)

    def start(connection: Connection) -> None:
        started.set()
        connection.send(reply(b"", 204))

    server.on("POST .*/attach", attach)
    server.on("POST .*/containers/[^/]+/start$", *refusals, start)


def made(server: WireServer) -> list[str]:
    """What became of containers: made, started, removed."""
    words = {"create": "made", "start": "started"}
    lines = [line for line in server.requests if "/containers/evdiag" in line or "/create" in line]
    found = [
        "removed" if line.startswith("DELETE") else words.get(line.split("?")[0].rpartition("/")[2])
        for line in lines
    ]
    return [word for word in found if word]


def test_an_engine_that_cannot_raise_the_limit(engine: ContainerEngine, server: WireServer) -> None:
    prints(server, READY, refusal(RLIMIT))

    with throw_away(engine, "sha256:1", "charger") as name:
        assert made(server) == ["made", "started", "removed", "made", "started"]

    assert name.startswith("evdiag-doctor-")
    assert made(server)[-1] == "removed"


def test_another_refusal_is_not_tried_again(engine: ContainerEngine, server: WireServer) -> None:
    server.on("POST .*/start$", refusal("no such runtime"))

    with (
        pytest.raises(EngineRefused, match="start a container of charger: no such runtime"),
        throw_away(engine, "sha256:1", "charger"),
    ):
        pass

    assert made(server) == ["made", "started", "removed"]


def test_a_container_that_ends_at_once(engine: ContainerEngine, server: WireServer) -> None:
    prints(server, frame(b"entrypoint: OCPP_URL is no address\n", 2))

    with (
        pytest.raises(NotReady, match=r"of charger ended before .*: entrypoint: OCPP_URL is no"),
        throw_away(engine, "sha256:1", "charger"),
    ):
        pass

    assert made(server)[-1] == "removed"


def test_an_engine_that_cannot_remove(engine: ContainerEngine, server: WireServer) -> None:
    server.on("DELETE ", refusal("driver failed to remove root filesystem"))

    with throw_away(engine, "sha256:1", "charger") as name:
        assert name


def test_an_answer_without_an_end(engine: ContainerEngine, server: WireServer) -> None:
    server.on("POST .*/exec/e1/start$", raw(*[frame(b"x" * 65_536)] * (LARGEST // 65_536 + 2)))

    inside = probe(engine, "1f", is_charger=True)

    assert inside.error == "its python3 does not come to an end"


@pytest.mark.parametrize("answer", [b"{}", b"[]", b"\xff\xfe", b'{"manager": 7}'])
def test_any_answer_of_a_container_gives_a_report(
    evdiag: Evdiag, server: WireServer, monkeypatch: pytest.MonkeyPatch, answer: bytes
) -> None:
    # only an image that is typed takes the place of a charger that runs
    monkeypatch.setenv("EVDIAG_IMAGE", "another")
    info, image = recorded("20.10")["info"].body, IMAGE
    server.on("GET .*/info$", reply(info))
    server.on("GET .*/images/.*/json$", reply(image))
    server.on("POST .*/exec/e1/start$", raw(frame(answer)))

    code, out, _ = evdiag("doctor")

    assert code == 3
    assert made(server) == []
    assert "FAIL Container" in out or "FAIL SIGSEGV" in out
    assert "not known: 1 check fails" in out or "cores will NOT be captured" in out
