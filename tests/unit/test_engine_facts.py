"""What an engine answers, as nouns; nonsense counts as not known."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evdiag.model.charger import (
    IMAGE_LABEL,
    Check,
    ContainerFacts,
    EngineFacts,
    Mount,
    PortBinding,
)
from evdiag.parse.engine import (
    architecture,
    read_container,
    read_engine,
    read_image,
    read_listed,
    read_time,
    time_text,
)

ENDPOINT = "unix:///var/run/docker.sock"

VERSION = {
    "Version": "28.5.2",
    "ApiVersion": "1.51",
    "Components": [{"Name": "Engine"}, {"Name": "containerd"}],
}
INFO = {
    "OperatingSystem": "Ubuntu 24.04 LTS",
    "KernelVersion": "6.8.0-45-generic",
    "Architecture": "x86_64",
    "NCPU": 8,
    "MemTotal": 16_000_000_000,
    "CgroupVersion": "2",
    "SecurityOptions": ["name=apparmor", "name=seccomp,profile=builtin", "rootless", 7, ""],
    "Driver": "overlayfs",
    "DockerRootDir": "/var/lib/docker",
    "SystemTime": "2026-11-23T01:27:21.195458583Z",
}


def test_an_engine() -> None:
    facts = read_engine(ENDPOINT, VERSION, INFO)

    assert facts == EngineFacts(
        endpoint=ENDPOINT,
        version="28.5.2",
        api_version="1.51",
        operating_system="Ubuntu 24.04 LTS",
        kernel="6.8.0-45-generic",
        architecture="amd64",
        cores=8,
        memory=16_000_000_000,
        rootless=True,
        cgroup_version="2",
        security=("apparmor", "seccomp", "rootless"),
        storage_driver="overlayfs",
        root="/var/lib/docker",
        time=1795397241.195458,
    )
    assert not facts.is_wsl


@pytest.mark.parametrize(
    ("version", "system", "kind"),
    [
        ({"Components": [{"Name": "Podman Engine"}]}, "fedora", "podman"),
        ({"Components": ["x", {"Name": 3}]}, "Docker Desktop", "desktop"),
        ({}, "Docker Desktop", "desktop"),
        ({"Components": None}, "", "engine"),
    ],
)
def test_kinds_of_engines(version: object, system: str, kind: str) -> None:
    assert read_engine("", version, {"OperatingSystem": system}).kind == kind


def test_windows_subsystem() -> None:
    info = {"KernelVersion": "5.15.153.1-microsoft-standard-WSL2"}

    assert read_engine("", {}, info).is_wsl


@pytest.mark.parametrize(
    ("machine", "name"),
    [("x86_64", "amd64"), ("aarch64", "arm64"), ("armv7l", "arm"), ("riscv64", "riscv64")],
)
def test_architectures(machine: str, name: str) -> None:
    assert architecture(machine) == name


def test_an_image() -> None:
    document = {
        "Id": "sha256:1",
        "Architecture": "amd64",
        "Os": "linux",
        "Size": 7,
        "Created": "2026-11-22T00:00:00Z",
        "Config": {"Labels": {IMAGE_LABEL: "/tmp/everest-logs", "odd": 3}},
    }

    image = read_image("evdiag/everest", document)

    assert (image.id, image.name, image.size) == ("sha256:1", "evdiag/everest", 7)
    assert (image.architecture, image.os, image.created) == ("amd64", "linux", document["Created"])
    assert image.labels == {IMAGE_LABEL: "/tmp/everest-logs"}
    assert image.is_charger
    assert not read_image("x", {"Config": None}).is_charger


CONTAINER: dict[str, Any] = {
    "Id": "4f5b",
    "Name": "/everest",
    "Image": "sha256:9ab1",
    "Created": "2026-11-22T07:01:54.601Z",
    "RestartCount": 2,
    "State": {
        "Status": "running",
        "Health": {"Status": "healthy"},
        "ExitCode": 0,
        "Error": "",
        "OOMKilled": True,
        "StartedAt": "2026-11-22T07:01:55Z",
        "FinishedAt": "0001-01-01T00:00:00Z",
    },
    "Config": {
        "Image": "evdiag/everest:latest",
        "Labels": {IMAGE_LABEL: "/tmp/everest-logs"},
        "Env": ["A=1=2", "B=", "none", 7],
    },
    "HostConfig": {
        "Ulimits": [
            {"Name": "nofile", "Soft": 1, "Hard": 2},
            {"Name": "core", "Soft": 0, "Hard": -1},
        ],
        "Tmpfs": {"/run": "size=1m"},
        "LogConfig": {"Type": "json-file"},
        "ReadonlyRootfs": True,
        "Privileged": True,
        "Memory": 1000,
    },
    "NetworkSettings": {
        "Networks": {"everest-net": {}},
        "Ports": {
            "1880/tcp": [{"HostIp": "127.0.0.1", "HostPort": "1880"}, {"HostPort": "x"}, 3],
            "1884/tcp": None,
            "odd": [{"HostPort": "1"}],
        },
    },
    "Mounts": [
        {"Type": "volume", "Name": "v", "Source": "/x", "Destination": "/data", "RW": False},
        {"Type": "bind", "Source": "/home", "Destination": "/cores"},
        None,
    ],
}


def test_a_container() -> None:
    facts = read_container(CONTAINER)

    assert facts == ContainerFacts(
        id="4f5b",
        name="everest",
        image="evdiag/everest:latest",
        image_id="sha256:9ab1",
        state="running",
        health="healthy",
        exit_code=0,
        oom_killed=True,
        restarts=2,
        created=1795330914.601,
        started=1795330915.0,
        finished=None,
        labels={IMAGE_LABEL: "/tmp/everest-logs"},
        environment={"A": "1=2", "B": ""},
        ports=(PortBinding(inside=1880, address="127.0.0.1", port=1880),),
        networks=("everest-net",),
        mounts=(
            Mount(kind="volume", target="/data", source="v", writable=False),
            Mount(kind="bind", target="/cores", source="/home"),
            Mount(kind="", target=""),
            Mount(kind="tmpfs", target="/run"),
        ),
        core_limit=(0, -1),
        log_driver="json-file",
        read_only=True,
        privileged=True,
        memory_limit=1000,
    )
    assert facts.is_running
    assert facts.is_charger


def test_a_container_in_a_list() -> None:
    ports = [
        {"IP": "127.0.0.1", "PrivatePort": 1880, "PublicPort": 18800, "Type": "tcp"},
        {"IP": "127.0.0.1", "PrivatePort": 1880, "PublicPort": 18800, "Type": "udp"},
        {"PrivatePort": 1884, "Type": "tcp"},
        {"PublicPort": 7, "PrivatePort": "x"},
    ]
    found = read_listed(
        {
            "Id": "0123456789abcdef",
            "Names": ["/other/alias", "/everest"],
            "Image": "evdiag/everest",
            "State": "running",
            "Labels": {"a": "b"},
            "Ports": ports,
            "NetworkSettings": {"Networks": {"evdiag-everest": {}}},
        }
    )
    assert found == ContainerFacts(
        id="0123456789abcdef",
        name="everest",
        image="evdiag/everest",
        state="running",
        labels={"a": "b"},
        networks=("evdiag-everest",),
        ports=(PortBinding(inside=1880, address="127.0.0.1", port=18800),),
    )
    assert read_listed({"Id": "0123456789abcdef", "Names": None}).name == "0123456789ab"


def test_a_container_of_podman() -> None:
    facts = read_container(
        {
            "Name": "everest",
            "State": {"Status": "stopped", "ExitCode": 139},
            "HostConfig": {"Ulimits": [{"Name": "RLIMIT_CORE", "Soft": -1, "Hard": -1}]},
        }
    )

    assert (facts.name, facts.state, facts.exit_code) == ("everest", "exited", 139)
    assert facts.core_limit == (-1, -1)
    assert not facts.is_running


@pytest.mark.parametrize(
    "limits", [None, [], [None], [{"Name": "core", "Soft": "0", "Hard": 1}], {"core": 1}]
)
def test_no_limit_for_cores(limits: object) -> None:
    assert read_container({"HostConfig": {"Ulimits": limits}}).core_limit is None


@pytest.mark.parametrize("document", [None, [], "x", 3, {}, {"State": 1, "Config": []}])
def test_nonsense_is_not_known(document: object) -> None:
    assert read_container(document) == ContainerFacts(id="", name="")
    assert read_image("x", document).architecture == ""
    assert read_engine("", document, document) == EngineFacts(endpoint="")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-11-22T07:01:54.601Z", 1795330914.601),
        ("2026-11-22T07:01:54.601123456Z", 1795330914.601123),
        ("2026-11-22T08:01:54+01:00", 1795330914.0),
        ("0001-01-01T00:00:00Z", None),
        ("2026-13-22T07:01:54Z", None),
        ("2026-11-22T07:01:54", None),
        ("9999-12-31T23:59:59-23:00", None),
        ("yesterday", None),
        (7, None),
        (None, None),
    ],
)
def test_times(text: object, seconds: float | None) -> None:
    assert read_time(text) == (seconds if seconds is None else pytest.approx(seconds))


def test_a_time_is_written_as_the_engine_reads_it() -> None:
    assert time_text(1795330914.601) == "2026-11-22T07:01:54.601000Z"
    assert read_time(time_text(1795330914.5)) == 1795330914.5


def test_a_check_that_failed() -> None:
    states = ("ok", "info", "warn", "fail", "skip")
    failed = [s for s in states if Check(id="a", title="A", state=s, reason="r").failed]

    assert failed == ["fail"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["Id", "Name", "State", "Status", "Config", "HostConfig", "Ulimits", "Soft", "Hard",
             "NetworkSettings", "Ports", "1880/tcp", "HostPort", "Mounts", "Env", "Labels", "Tmpfs",
             "Health", "Created", "SystemTime", "Components", "SecurityOptions", "Memory",
             "Names", "PublicPort", "PrivatePort", "Type", "IP", "Networks"]
        ),
        inner,
        max_size=5,
    ),
    max_leaves=20,
)  # fmt: skip


@given(JSON, JSON)
def test_any_answer_gives_facts(first: object, second: object) -> None:
    assert isinstance(read_container(first).ports, tuple)
    assert isinstance(read_listed(first).name, str)
    assert isinstance(read_image("x", first).labels, dict)
    assert read_engine("e", first, second).endpoint == "e"


@given(st.text(alphabet="0123456789-:TZ.+", max_size=40))
def test_any_time(text: str) -> None:
    assert read_time(text) is None or isinstance(read_time(text), float)
