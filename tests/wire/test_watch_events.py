"""The engine's events of a container, while the engine comes and goes."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evdiag.adapters.docker.engine import ContainerEngine
from evdiag.adapters.docker.events import followed
from evdiag.errors import EngineRefused, EngineUnreachable
from evdiag.model.watch import ContainerEvent, EngineAway, Listening
from evdiag.parse.engine import read_container
from tests.cli.conftest import Evdiag
from tests.support.wire import Connection, WireServer, chunked, recorded, refusal, reply

STARTED = "2026-11-23T04:00:0{}.000000000Z"
AT = 1795406400.0
"""04:00:00 in seconds since 1970."""
Heard = ContainerEvent | EngineAway | Listening


def document(state: str = "running", second: int = 0, **more: object) -> dict[str, Any]:
    """What the engine says of the container."""
    found: dict[str, Any] = copy.deepcopy(recorded("20.10")["inspect"].body)
    found.update(Id="id", Name="/everest")
    found["State"].update(
        Status=state, Running=state == "running", StartedAt=STARTED.format(second),
        FinishedAt=STARTED.format(9), **more,
    )  # fmt: skip
    return found


def event(action: str, second: float, **attributes: str) -> bytes:
    told = {
        "Action": action, "timeNano": int((AT + second) * 1e9),
        "Actor": {"Attributes": attributes},
    }  # fmt: skip
    return json.dumps(told).encode() + b"\n"


def reset(connection: Connection) -> None:
    connection.reset()


def listen(engine: ContainerEngine, patience: float = 20.0) -> Iterator[Heard]:
    return followed(engine, read_container(document()), patience)


def actions(heard: list[Heard]) -> list[str]:
    return [
        each.action if isinstance(each, ContainerEvent) else type(each).__name__ for each in heard
    ]


def test_events_until_it_is_removed(engine: ContainerEngine, server: WireServer) -> None:
    died = event("die", 1, exitCode="139")
    server.on("/containers/id/json", reply(document()))
    server.on("/events", chunked(
        event("kill", 1, signal="11"), died[:30], died[30:], event("start", 2), b"rubbish\n",
        event("destroy", 3), event("die", 4),
    ))  # fmt: skip
    heard = list(listen(engine))
    assert actions(heard) == ["Listening", "kill", "die", "start", "destroy"]
    assert heard[2] == ContainerEvent(action="die", time=AT + 1, exit_code=139)
    (asked,) = [request for request in server.requests if "/events" in request]
    assert "filters=" in asked
    assert "since" not in asked


def test_what_happened_while_the_engine_was_away(
    engine: ContainerEngine, server: WireServer
) -> None:
    server.on(
        "/containers/id/json",
        reply(document()), reply(document("exited", ExitCode=139)), reply(document(second=5)),
    )  # fmt: skip
    server.on(
        "/events",
        chunked(event("pause", 1), ends=False), reset, reset,
        chunked(event("die", 1, exitCode="139"), ends=True),
        chunked(event("die", 4, exitCode="0"), event("start", 5), event("destroy", 6)),
    )  # fmt: skip
    heard = list(listen(engine))
    assert actions(heard) == [
        *("Listening", "pause", "EngineAway"),
        *("Listening", "die"),  # what the stream tells as well comes once
        *("EngineAway", "Listening", "start", "destroy"),
    ]
    assert heard[2] == EngineAway(patience=20.0)


def test_a_container_that_is_gone_when_the_engine_is_back(
    engine: ContainerEngine, server: WireServer
) -> None:
    server.on("/containers/id/json", reply(document()), refusal("No such container: id", 404))
    server.on("/events", chunked(ends=True))
    assert actions(list(listen(engine))) == ["Listening", "EngineAway", "destroy"]


def test_an_engine_that_stays_away(engine: ContainerEngine, server: WireServer) -> None:
    server.on("/containers/id/json", reply(document()))
    server.on("/events", chunked(ends=True), reset)
    heard = listen(engine, patience=0.5)
    assert [next(heard), next(heard)] == [Listening(), EngineAway(patience=0.5)]
    with pytest.raises(EngineUnreachable):
        next(heard)


def test_an_engine_that_does_not_want_to(engine: ContainerEngine, server: WireServer) -> None:
    server.on("/events", refusal("no such endpoint", 500))
    with pytest.raises(EngineRefused, match="could not listen to the engine's events"):
        next(listen(engine))


# -- what is wrong before anything is watched


def test_options_that_make_no_sense(evdiag: Evdiag, server: WireServer, tmp_path: Path) -> None:
    code, _, err = evdiag("watch", "--max-core-size", "much")
    assert (code, "--max-core-size 'much' is no size" in err) == (2, True)
    file = tmp_path / "file"
    file.touch()
    code, _, err = evdiag("watch", "-o", file)
    assert (code, f"-o {file}: " in err) == (2, True)
    assert server.requests == []


def test_a_container_that_has_ended(evdiag: Evdiag, server: WireServer) -> None:
    server.on("/containers/everest/json", reply(document("exited", ExitCode=3)))
    code, out, err = evdiag("watch", "--exit-code")
    assert (code, out) == (5, "")
    assert "everest has ended with code 3" in err


def test_an_engine_that_tells_no_events(evdiag: Evdiag, server: WireServer) -> None:
    server.on("/containers/(everest|id)/json", reply(document()))
    server.on("/archive", refusal("Could not find the file", 404))
    server.on("/logs", chunked())
    server.on("/events", refusal("no such endpoint", 500))
    code, out, err = evdiag("watch")
    assert (code, out) == (4, "")
    assert "could not listen to the engine's events: no such endpoint" in err
