"""Which charger a command is about when several, one or none are there."""

import copy
from typing import Any

import pytest

from evdiag.adapters.docker.engine import ContainerEngine
from evdiag.commands._charger import find_charger, find_running
from evdiag.errors import ContainerStopped, NoSuchContainer
from evdiag.model.charger import IMAGE_LABEL
from tests.support.wire import WireServer, recorded, refusal, reply


def there(server: WireServer, *names: str, others: str = "", **state: object) -> None:
    """The engine has chargers of these names, and a container that is none."""
    for name in (*names, *filter(None, [others])):
        document: dict[str, Any] = copy.deepcopy(recorded("20.10")["inspect"].body)
        document.update(Id=f"id-{name}", Name=f"/{name}")
        document["Config"]["Labels"] = {IMAGE_LABEL: "/tmp"} if name in names else {}
        document["State"].update(state)
        server.on(f"/containers/(id-)?{name}/json$", reply(document))
    server.on("/containers/json", reply([{"Id": f"id-{name}"} for name in names]))


@pytest.fixture(autouse=True)
def nothing(server: WireServer) -> None:
    """No container has any name."""
    server.on("/containers/[^/]+/json$", refusal("No such container: x", 404))


def test_the_usual_name_goes_first(engine: ContainerEngine, server: WireServer) -> None:
    there(server, "everest", "second")

    assert find_charger(engine, None).name == "everest"
    assert find_charger(engine, "second").name == "second"


def test_a_container_that_was_named_need_not_be_a_charger(
    engine: ContainerEngine, server: WireServer
) -> None:
    there(server, "everest", others="database")

    assert find_charger(engine, "database").name == "database"


def test_the_only_one_needs_no_name(engine: ContainerEngine, server: WireServer) -> None:
    there(server, "garage")

    assert find_charger(engine, None).name == "garage"
    assert "label" in server.requests[-2]


def test_several_are_named(engine: ContainerEngine, server: WireServer) -> None:
    there(server, "garage", "depot")

    with pytest.raises(NoSuchContainer) as error:
        find_charger(engine, None)

    assert str(error.value) == "there is no container called everest"
    assert error.value.advice == "Chargers here: garage, depot. Name one with --name."


def test_a_wrong_name_is_not_replaced_by_the_only_one(
    engine: ContainerEngine, server: WireServer
) -> None:
    there(server, "garage")

    with pytest.raises(NoSuchContainer) as error:
        find_charger(engine, "garag")

    assert str(error.value) == "there is no container called garag"
    assert error.value.advice == "Chargers here: garage. Name one with --name."


def test_none_at_all(engine: ContainerEngine, server: WireServer) -> None:
    there(server)

    with pytest.raises(NoSuchContainer) as error:
        find_charger(engine, None)

    assert error.value.advice == NoSuchContainer.advice


@pytest.mark.parametrize(
    ("state", "code", "said"),
    [
        ("exited", 137, "everest has ended with code 137"),
        ("exited", None, "everest has ended"),
        ("paused", 0, "everest is paused"),
        ("restarting", 1, "everest is restarting"),
        ("created", 0, "everest has never been started"),
        ("dead", 1, "everest is dead"),
        ("removing", 0, "everest is being removed"),
    ],
)
def test_one_that_does_not_run(
    state: str, code: int | None, said: str, engine: ContainerEngine, server: WireServer
) -> None:
    there(server, "everest", Status=state, ExitCode=code)

    with pytest.raises(ContainerStopped) as error:
        find_running(engine, None)

    assert str(error.value) == said
    assert ("docker unpause everest" in error.value.advice) == (state == "paused")


def test_one_that_runs(engine: ContainerEngine, server: WireServer) -> None:
    there(server, "everest")

    assert find_running(engine, "everest").id == "id-everest"
