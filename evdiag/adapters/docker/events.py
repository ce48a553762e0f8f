"""What the engine says happens to one container, also while it is restarted itself."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from evdiag.adapters.docker.engine import ContainerEngine
from evdiag.adapters.docker.errors import translated
from evdiag.analyze.watching import missed
from evdiag.errors import EngineTimeout, EngineUnreachable, NoSuchContainer
from evdiag.model.charger import ContainerFacts
from evdiag.model.watch import ContainerEvent, EngineAway, Listening
from evdiag.parse.events import ACTIONS, EventReader

PATIENCE = 60.0
"""Seconds that an engine may be away: a restart of dockerd takes a few."""
LOOK = 0.3
"""Seconds between looks at an engine that is away."""
PIECE = 1 << 16


def followed(
    engine: ContainerEngine, facts: ContainerFacts, patience: float = PATIENCE
) -> Iterator[ContainerEvent | EngineAway | Listening]:
    """Its events from now on, and word of when nothing can be heard.

    It ends when the container is removed. Raises EngineError if the engine stays away.
    """
    known = facts
    away: float | None = None
    while True:
        try:
            with _stream(engine, facts.id) as events:
                now = engine.container(facts.id)
                yield Listening()
                away = None
                yield from missed(known, now)
                known = now
                for event in events:
                    if _is_old(event, known):
                        continue
                    yield event
                    if event.action == "destroy":
                        return
                    known = _after(known, event)
        except NoSuchContainer:
            yield ContainerEvent(action="destroy", time=time.time())
            return
        except (EngineUnreachable, EngineTimeout) as error:
            if away is not None and time.monotonic() - away > patience:
                raise error
        if away is None:
            away = time.monotonic()
            yield EngineAway(patience=patience)
        time.sleep(LOOK)


@contextmanager
def _stream(engine: ContainerEngine, container: str) -> Iterator[Iterator[ContainerEvent]]:
    """The events since it was opened; they end with the connection."""
    api = engine.api
    filters = {"type": ["container"], "container": [container], "event": list(ACTIONS)}
    query: dict[str, Any] = {"filters": msgspec.json.encode(filters).decode()}
    with translated("listen to the engine's events"):
        response = api.get(
            f"{api.base_url}/v{api.api_version}/events",
            params=query, stream=True, timeout=(api.timeout, None),
        )  # fmt: skip
        try:
            api._raise_for_status(response)
            yield _events(response)
        finally:
            response.close()


def _events(response: Any) -> Iterator[ContainerEvent]:  # noqa: ANN401
    reader = EventReader()
    with translated("listen to the engine's events"):
        for piece in response.raw.stream(PIECE):  # each event as it comes
            yield from reader.feed(piece)


def _is_old(event: ContainerEvent, known: ContainerFacts) -> bool:
    """Whether the facts, which were asked for after the stream had begun, have it already."""
    if event.action == "start":
        return known.is_running
    before = known.started is not None and event.time is not None and event.time < known.started
    return before or (event.action == "die" and known.state in ("exited", "dead"))


def _after(known: ContainerFacts, event: ContainerEvent) -> ContainerFacts:
    if event.action == "start":
        return msgspec.structs.replace(known, state="running", started=event.time)
    if event.action == "die":
        return msgspec.structs.replace(known, state="exited", finished=event.time)
    return known
