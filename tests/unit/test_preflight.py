"""What is in the way of a start, and what works otherwise than one may think."""

import pytest

from evdiag.analyze.preflight import (
    NO_IPV6,
    capture_words,
    checks,
    has_registry,
    kernel_words,
    neighbours,
    refusal,
    same_port,
)
from evdiag.errors import DiskFull, NameInUse, NoSuchImage, NotReady, PortInUse
from evdiag.model.charger import (
    IMAGE_LABEL,
    ContainerFacts,
    EngineFacts,
    ImageFacts,
    PortBinding,
)
from evdiag.model.incident import CorePattern
from evdiag.model.run import OUR_PATTERN, Machine, NetworkFacts, RunSpec, Situation
from evdiag.parse.container import read_core_pattern

SPEC = RunSpec()
ENGINE = EngineFacts(endpoint="unix:///x", architecture="amd64", memory=8_000_000_000)
IMAGE = ImageFacts(
    id="sha256:1", name=SPEC.image, architecture="amd64", labels={IMAGE_LABEL: "/tmp/x"}
)
CHARGER = ContainerFacts(
    id="1", name="everest", state="running", labels={IMAGE_LABEL: "/tmp/x"},
    ports=(PortBinding(inside=1880, address="127.0.0.1", port=1880),),
)  # fmt: skip
STRANGER = ContainerFacts(id="2", name="everest", state="exited")


def situation(**more: object) -> Situation:
    facts = {"engine": ENGINE, "image": IMAGE, **more}
    return Situation(**facts)  # type: ignore[arg-type]  # names of Situation


def on(**more: object) -> Situation:
    return situation(machine=Machine(is_local=True, **more))  # type: ignore[arg-type]


def spec(**more: object) -> RunSpec:
    return RunSpec(**more)  # type: ignore[arg-type]  # names of RunSpec


def pattern(text: str) -> CorePattern:
    found = read_core_pattern(text)
    assert found is not None
    return found


def test_where_all_is_well_there_is_nothing_to_say() -> None:
    machine = {"port_free": True, "disk_free": 10**11, "memory_available": 8 * 10**9, "ipv6": True}

    assert checks(SPEC, on(**machine)) == ()
    assert checks(SPEC, situation()) == ()
    assert checks(spec(bind="127.0.0.2"), situation()) == ()
    assert checks(spec(bind="::1"), situation()) == ()
    assert refusal(()) is None


@pytest.mark.parametrize(
    ("wanted", "found", "kind", "said"),
    [
        (SPEC, situation(image=None), NoSuchImage, "there is no image evdiag/everest:latest"),
        (SPEC, situation(image=ImageFacts(id="1", name="x")), NotReady, "is no image of evdiag"),
        (
            SPEC,
            situation(engine=EngineFacts(endpoint="unix:///x", architecture="arm64")),
            NotReady,
            "is for amd64, the engine's machine is arm64",
        ),
        (SPEC, situation(holder=CHARGER), NameInUse, "a charger called everest is there already"),
        (
            SPEC,
            situation(holder=CHARGER, port_holder=CHARGER),
            NameInUse,
            "is there already and runs",
        ),
        (spec(replace=True), situation(holder=STRANGER), NameInUse, "and it is no charger"),
        (SPEC, on(port_free=False), PortInUse, "port 1880 of 127.0.0.1 is taken by another prog"),
        (spec(name="b"), situation(port_holder=CHARGER), PortInUse, "by the container everest"),
        (SPEC, on(disk_free=10**8), DiskFull, "0.1 GB left"),
        (spec(network="mine"), situation(), NotReady, "no network called mine"),
        (spec(cores="/x"), on(cores_problem="it is no folder"), NotReady, "--cores /x: it is no"),
        (
            spec(capture="kernel"),
            on(core_pattern=pattern("|/usr/share/apport/apport %p")),
            NotReady,
            "the kernel gives cores to apport on the host: apport drops crashes of containers",
        ),
    ],
)
def test_what_is_in_the_way_is_named_with_its_fix(
    wanted: RunSpec, found: Situation, kind: type[Exception], said: str
) -> None:
    error = refusal(checks(wanted, found))

    assert type(error) is kind
    assert said in str(error)
    assert error is not None
    assert error.advice


def test_several_things_in_the_way_are_all_said_at_once() -> None:
    found = situation(image=None, holder=CHARGER, machine=Machine(disk_free=0, port_free=False))

    error = refusal(checks(SPEC, found))

    assert type(error) is NotReady
    assert error.exit_code == 3
    lines = str(error).splitlines()
    assert lines[0] == "4 things are in the way:"
    assert [line.split(":")[0].strip() for line in lines[1::2]] == ["image", "name", "port", "disk"]
    assert all(line.startswith("    -> ") for line in lines[2::2])


def test_replace_takes_name_and_port_over() -> None:
    found = situation(
        holder=CHARGER, port_holder=CHARGER, machine=Machine(is_local=True, port_free=False)
    )

    assert refusal(checks(spec(replace=True), found)) is None


@pytest.mark.parametrize(
    ("wanted", "found", "said"),
    [
        (
            SPEC,
            situation(engine=EngineFacts(endpoint="x", kind="podman")),
            "podman is not tested",
        ),
        (
            SPEC,
            situation(engine=EngineFacts(endpoint="x", architecture="arm64"), emulated=True),
            "it is emulated",
        ),
        (
            spec(bind="0.0.0.0"),
            situation(),
            "published on 0.0.0.0: the dashboard and the editor ask for the password, which",
        ),
        (
            spec(bind="192.168.1.7", environment={"DASHBOARD_AUTH": "others"}),
            situation(),
            "published on 192.168.1.7 with DASHBOARD_AUTH=others: with Docker Desktop or a rootl",
        ),
        (spec(network="mine"), situation(network=NetworkFacts(name="mine")), "has no IPv6"),
        (
            spec(network="mine"),
            situation(network=NetworkFacts(name="mine", ipv6=True), neighbours=("a", "b")),
            "there is a, b too",
        ),
        (SPEC, on(ipv6=False), NO_IPV6),
        (SPEC, on(disk_free=10**9), "1.0 GB left on its disk: cores may not fit"),
        (SPEC, on(memory_available=10**9), "a charger needs 1.5 GB of memory"),
        (
            spec(environment={"NUM_CONNECTORS": "16"}),
            situation(engine=EngineFacts(endpoint="x", memory=4 * 10**9)),
            "16 connectors need 7.5 GB of memory, and the engine's machine has 4.0 GB: the",
        ),
        (
            spec(capture="kernel"),
            on(core_pattern=pattern("core")),
            "the kernel writes core into /tmp/everest-logs, and each crash over the one before",
        ),
    ],
)
def test_what_works_otherwise_than_one_may_think_is_a_warning(
    wanted: RunSpec, found: Situation, said: str
) -> None:
    (check,) = checks(wanted, found)

    assert check.state == "warn"
    assert said in check.reason


def test_an_image_that_can_be_pulled_is_no_obstacle() -> None:
    assert checks(SPEC, situation(image=None, pullable=True)) == ()


def test_an_image_without_an_architecture_is_tried() -> None:
    image = ImageFacts(id="1", name="x", labels=IMAGE.labels)

    assert checks(SPEC, situation(image=image)) == ()


def test_a_kernel_that_does_as_it_should_is_no_news() -> None:
    kernel = spec(capture="kernel")

    assert checks(kernel, on(core_pattern=pattern(OUR_PATTERN))) == ()
    assert checks(kernel, situation()) == ()
    pipe = on(core_pattern=pattern("|/bin/x"))
    assert checks(spec(capture="kernel", set_core_pattern=True), pipe) == ()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("evdiag/everest:latest", False),
        ("everest", False),
        ("ghcr.io/x/everest", True),
        ("localhost/everest", True),
        ("registry:5000/everest", True),
    ],
)
def test_only_a_name_with_a_registry_is_pulled(name: str, expected: bool) -> None:
    assert has_registry(name) is expected


@pytest.mark.parametrize(
    ("bound", "bind", "port", "expected"),
    [
        ("127.0.0.1", "127.0.0.1", 1880, True),
        ("127.0.0.1", "127.0.0.1", 1881, False),
        ("0.0.0.0", "127.0.0.1", 1880, True),
        ("127.0.0.1", "0.0.0.0", 1880, True),
        ("127.0.0.1", "127.0.0.2", 1880, False),
    ],
)
def test_who_has_the_port(bound: str, bind: str, port: int, expected: bool) -> None:
    holder = ContainerFacts(
        id="1", name="x", ports=(PortBinding(inside=80, address=bound, port=1880),)
    )

    assert same_port(holder, spec(bind=bind, port=port)) is expected


def test_who_else_is_in_the_network() -> None:
    def one(name: str, state: str = "running", networks: tuple[str, ...] = ("lab",),
            labels: dict[str, str] = CHARGER.labels) -> ContainerFacts:  # fmt: skip
        return ContainerFacts(id=name, name=name, state=state, networks=networks, labels=labels)

    found = (
        one("a"),
        one("b", state="exited"),
        one("c", networks=("x",)),
        one("d", labels={}),
        one("everest"),
        one("e", networks=("x", "lab")),
    )

    assert neighbours(found, spec(network="lab")) == ("a", "e")
    assert neighbours(found, spec()) == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("core", "writes core into /tmp/everest-logs, and each crash over the one before"),
        ("core.%p", "writes core.%p into /tmp/everest-logs"),
        (OUR_PATTERN, "writes cores into /tmp/everest-logs"),
        ("/var/crash/core.%p", "into /var/crash of the container, if there is such a folder"),
        ("/core", "into / of the container"),
        ("@/run/x.sock", "to a socket of the host (@/run/x.sock)"),
        ("|/lib/systemd/systemd-coredump %P", "to systemd-coredump on the host: on the host:"),
        ("|/opt/mine", "to mine on the host: outside of the container"),
    ],
)
def test_what_the_kernel_does_with_cores(text: str, said: str) -> None:
    assert said in kernel_words(pattern(text))


LAYER = "written by the capture layer of the image"


@pytest.mark.parametrize(
    ("mode", "text", "limited", "said"),
    [
        ("auto", OUR_PATTERN, False, f"{LAYER}; else the kernel writes cores into"),
        ("auto", OUR_PATTERN, True, f"{LAYER}, whatever the host does"),
        ("auto", "core", False, f"{LAYER}, whatever the host does"),
        ("auto", "", False, f"{LAYER}, whatever the host does"),
        ("preload", OUR_PATTERN, False, f"{LAYER}, whatever the host does"),
        ("kernel", "core.%p", False, "the kernel writes core.%p into"),
        ("kernel", "", False, "as its core_pattern says"),
        ("off", "core", False, "nobody writes cores here"),
        ("off", "|/x/abrt-hook-ccpp", False, "nobody writes cores here, but the kernel gives"),
    ],
)
def test_who_writes_cores(mode: str, text: str, limited: bool, said: str) -> None:
    found = pattern(text) if text else None

    assert said in capture_words(spec(capture=mode), found, limited=limited)
