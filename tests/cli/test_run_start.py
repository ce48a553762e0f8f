"""What an engine cannot do, and what becomes of the start then."""

from typing import Any

import docker.errors
import pytest

from evdiag.adapters.docker.endpoint import Endpoint
from evdiag.adapters.docker.engine import ContainerEngine
from evdiag.adapters.docker.network import make_network
from evdiag.adapters.docker.start import cores_in, start
from evdiag.analyze.run_plan import make_plan, subnet_of
from evdiag.errors import EngineRefused, NameInUse, NoSuchContainer, NotReady, PortInUse
from evdiag.model.charger import CORES, ContainerFacts, EngineFacts, Mount
from evdiag.model.run import RunSpec, Situation

RLIMIT = "OCI runtime create failed: error setting rlimit type 4: operation not permitted"
SYSCTL = "open /proc/sys/net/ipv6/conf/all/disable_ipv6: no such file or directory"
OVERLAP = "Pool overlaps with other one on this address space"


class Api:
    """An engine that complains a few times. Stands for docker.APIClient."""

    def __init__(self, **complaints: list[Exception]) -> None:
        self.complaints = complaints
        self.hosts: list[dict[str, Any]] = []
        self.removed: list[str] = []
        self.subnets: list[str] = []

    def _complain(self, call: str) -> None:
        if self.complaints.get(call):
            raise self.complaints[call].pop(0)

    def create_host_config(self, **host: Any) -> dict[str, Any]:  # noqa: ANN401
        return host

    def create_container(self, *, host_config: dict[str, Any], **_: object) -> dict[str, str]:
        self._complain("create")
        self.hosts.append(host_config)
        return {"Id": f"c{len(self.hosts)}"}

    def start(self, container: str) -> None:
        self._complain("start")

    def remove_container(self, container: str, **_: object) -> None:
        self.removed.append(container)

    def create_network(self, name: str, *, ipam: Any, **_: object) -> None:  # noqa: ANN401
        self.subnets += [entry["Subnet"] for entry in ipam["Config"]] or ["none"]
        self._complain("network")


def engine(api: Api) -> ContainerEngine:
    return ContainerEngine(api, Endpoint(url="unix:///x", origin="x"), {})


def said(status: int, text: str) -> docker.errors.APIError:
    class Response:
        status_code = status
        reason = ""

    return docker.errors.APIError("x", response=Response(), explanation=text)


PLAN = make_plan(RunSpec(), Situation(engine=EngineFacts(endpoint="unix:///x")))


def test_what_the_engine_can_do_is_asked_once() -> None:
    api = Api()

    assert start(engine(api), PLAN).dropped == ()
    assert api.hosts == [PLAN.host]
    assert api.removed == []


@pytest.mark.parametrize(
    ("texts", "dropped"),
    [
        ([RLIMIT], ("ulimits",)),
        ([SYSCTL], ("sysctls",)),
        ([SYSCTL, RLIMIT], ("sysctls", "ulimits")),
    ],
)
def test_it_starts_without_what_the_engine_cannot_do(
    texts: list[str], dropped: tuple[str, ...]
) -> None:
    api = Api(start=[said(400, text) for text in texts])

    started = start(engine(api), PLAN)

    assert started.dropped == dropped
    assert started.id not in api.removed
    assert len(api.removed) == len(texts)
    assert not set(dropped) & set(api.hosts[-1])


@pytest.mark.parametrize(
    ("status", "text", "kind"),
    [
        (500, "something else", EngineRefused),
        (500, "Bind for 127.0.0.1:1880 failed: port is already allocated", PortInUse),
        (404, "No such container: c1", NoSuchContainer),
    ],
)
def test_another_failure_of_the_start_leaves_nothing(
    status: int, text: str, kind: type[Exception]
) -> None:
    api = Api(start=[said(status, text)])

    with pytest.raises(kind):
        start(engine(api), PLAN)

    assert api.removed == ([] if kind is NoSuchContainer else ["c1"])


def test_it_does_not_go_on_for_ever() -> None:
    with pytest.raises(EngineRefused):
        start(engine(Api(start=[said(400, RLIMIT) for _ in range(9)])), PLAN)


def test_a_name_that_was_taken_in_between() -> None:
    text = 'Conflict. The container name "/everest" is already in use by container "x".'

    with pytest.raises(NameInUse, match="everest already"):
        start(engine(Api(create=[said(409, text)])), PLAN)


def test_subnets_that_overlap_are_tried_in_turn() -> None:
    api = Api(network=[said(403, OVERLAP), said(403, OVERLAP)])

    assert make_network(engine(api), "n", ipv6=True).ipv6
    assert api.subnets == [subnet_of("n", attempt) for attempt in range(3)]


def test_an_engine_without_ipv6_makes_a_network_without_it() -> None:
    api = Api(network=[said(500, "IPv6 is not supported here")])

    assert not make_network(engine(api), "n", ipv6=True).ipv6
    assert api.subnets == [subnet_of("n"), "none"]
    assert not make_network(engine(Api()), "n", ipv6=False).ipv6


def test_an_engine_without_addresses_says_what_helps() -> None:
    text = "could not find an available, non-overlapping IPv4 address pool among the defaults"
    api = Api(network=[said(500, text) for _ in range(9)])

    with pytest.raises(NotReady, match="no addresses left") as caught:
        make_network(engine(api), "n", ipv6=True)

    assert "docker network prune" in caught.value.advice


def test_cores_in_a_folder_of_the_user_do_not_go_with_the_container() -> None:
    mount = Mount(kind="bind", target=CORES, source="/srv/cores")

    assert list(cores_in(engine(Api()), ContainerFacts(id="1", name="x", mounts=(mount,)))) == []
