"""What is asked of the engine for a charger."""

import ipaddress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evdiag import __version__
from evdiag.analyze.run_plan import (
    is_core,
    make_plan,
    may_restore_pattern,
    spare_name,
    subnet_of,
)
from evdiag.model.charger import ContainerFacts, EngineFacts
from evdiag.model.run import OUR_PATTERN, Machine, Outcome, Plan, RunSpec, Situation
from evdiag.report.started import last_words

HERE = Situation(engine=EngineFacts(endpoint="unix:///x"))


def spec(**more: object) -> RunSpec:
    return RunSpec(**more)  # type: ignore[arg-type]  # names of RunSpec


def test_the_plan_of_somebody_who_asks_for_nothing() -> None:
    assert make_plan(RunSpec(), HERE) == Plan(
        container={
            "image": "evdiag/everest:latest",
            "name": "everest",
            "environment": {
                "DASHBOARD_AUTH": "others",
                "OCPP_VERSION": "1.6",
                "OCPP_URL": "ws://host.docker.internal:9000",
                "OCPP_ID": "CP1",
                "EVDIAG_CAPTURE": "on",
            },
            "labels": {
                "org.evdiag.version": __version__,
                "org.evdiag.network": "evdiag-everest",
            },
            "ports": [1880],
        },
        host={
            "network_mode": "evdiag-everest",
            "port_bindings": {1880: ("127.0.0.1", 1880)},
            "ulimits": [{"Name": "core", "Soft": -1, "Hard": -1}],
            "sysctls": {"net.ipv6.conf.all.disable_ipv6": "0"},
            "extra_hosts": {"host.docker.internal": "host-gateway"},
        },
        own_network="evdiag-everest",
    )


def test_the_plan_of_somebody_with_wishes() -> None:
    wanted = spec(
        name="west",
        image="mine:1",
        ocpp_version="2.1",
        ocpp_url="wss://csms.example/x",
        ocpp_id="CP7",
        port=8080,
        bind="0.0.0.0",
        network="lab",
        cores="/srv/cores",
        environment={"NUM_CONNECTORS": "2", "MQTT_USER": "u", "MQTT_PASSWORD": "p"},
    )
    found = msgspec.structs.replace(HERE, machine=Machine(ipv6=False))

    assert make_plan(wanted, found, "core") == Plan(
        container={
            "image": "mine:1",
            "name": "west",
            "environment": {
                "NUM_CONNECTORS": "2",
                "MQTT_USER": "u",
                "MQTT_PASSWORD": "p",
                "OCPP_VERSION": "2.1",
                "OCPP_URL": "wss://csms.example/x",
                "OCPP_ID": "CP7",
                "EVDIAG_CAPTURE": "on",
            },
            "labels": {"org.evdiag.version": __version__, "org.evdiag.core-pattern": "core"},
            "ports": [1880, 1884],
        },
        host={
            "network_mode": "lab",
            "port_bindings": {1880: ("0.0.0.0", 8080), 1884: ("0.0.0.0", 0)},
            "ulimits": [{"Name": "core", "Soft": -1, "Hard": -1}],
            "mounts": [{"Type": "bind", "Source": "/srv/cores", "Target": "/tmp/everest-logs"}],
        },
    )


@pytest.mark.parametrize(
    ("mode", "variable", "limit"),
    [("auto", "on", -1), ("kernel", "off", -1), ("preload", "on", 0), ("off", "off", 0)],
)
def test_who_may_write_cores(mode: str, variable: str, limit: int) -> None:
    plan = make_plan(spec(capture=mode), HERE)

    assert plan.container["environment"]["EVDIAG_CAPTURE"] == variable
    assert plan.host["ulimits"] == [{"Name": "core", "Soft": limit, "Hard": limit}]


@pytest.mark.parametrize("given", ["all", "others", ""])
@pytest.mark.parametrize("bind", ["127.0.0.1", "0.0.0.0"])
def test_what_the_user_says_of_the_password_counts(bind: str, given: str) -> None:
    wanted = spec(bind=bind, environment={"DASHBOARD_AUTH": given})

    assert make_plan(wanted, HERE).container["environment"]["DASHBOARD_AUTH"] == given


def test_a_folder_is_labelled_for_selinux() -> None:
    engine = EngineFacts(endpoint="unix:///x", security=("seccomp", "selinux"))
    strict = Situation(engine=engine)

    assert make_plan(spec(cores="/c"), strict).host["binds"] == ["/c:/tmp/everest-logs:z"]
    assert "mounts" in make_plan(spec(cores="/with:colon"), strict).host


def test_a_part_that_an_engine_cannot_do_is_left_out() -> None:
    plan = make_plan(RunSpec(), HERE)

    assert "ulimits" not in plan.without("ulimits").host
    assert plan.without("nothing") == plan


@given(st.text(max_size=30), st.integers(0, 9))
def test_a_subnet_is_unique_local_and_always_the_same(name: str, attempt: int) -> None:
    subnet = ipaddress.IPv6Network(subnet_of(name, attempt))

    assert subnet.prefixlen == 64
    assert subnet.subnet_of(ipaddress.IPv6Network("fd00::/8"))
    assert subnet_of(name, attempt) == str(subnet)
    assert subnet_of(name, attempt + 1) != str(subnet)


def test_a_charger_that_makes_room_gets_a_name_that_is_free() -> None:
    assert spare_name("a", frozenset()) == "a-old-1"
    assert spare_name("a", frozenset({"a", "a-old-1", "a-old-2"})) == "a-old-3"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("core", True),
        ("core.ocpp:OCPP201.7.1795397263", True),
        ("core.ocpp:OCPP201.7.1795397263.json", False),
        ("core.x.1.2.part", False),
        ("corelog", False),
        ("ocpp", False),
        ("ocpp/core.x", False),
        ("", False),
    ],
)
def test_which_files_are_cores(name: str, expected: bool) -> None:
    assert is_core(name) is expected


def charger(number: str, state: str = "running", before: str | None = "core") -> ContainerFacts:
    labels = {} if before is None else {"org.evdiag.core-pattern": before}
    return ContainerFacts(id=number, name=number, state=state, labels=labels)


@pytest.mark.parametrize(
    ("own", "others", "current", "expected"),
    [
        (charger("1"), (), OUR_PATTERN, True),
        (charger("1"), (charger("1"),), OUR_PATTERN + "\n", True),
        (charger("1"), (charger("2", "exited"), charger("3", before=None)), OUR_PATTERN, True),
        (charger("1"), (charger("2"),), OUR_PATTERN, False),
        (charger("1"), (), "|/usr/share/apport/apport %p", False),
        (charger("1", before=None), (), OUR_PATTERN, False),
    ],
)
def test_when_the_core_pattern_may_come_back(
    own: ContainerFacts, others: tuple[ContainerFacts, ...], current: str, expected: bool
) -> None:
    assert may_restore_pattern(own, others, current) is expected


# -- the last words


def outcome(**more: object) -> Outcome:
    facts = {
        "spec": RunSpec(),
        "seconds": 8.25,
        "ocpp": "connected",
        "capture": "written by the capture layer of the image, whatever the host does",
        "csms": "ws://csms",
        **more,
    }
    return Outcome(**facts)  # type: ignore[arg-type]  # names of Outcome


def test_the_last_words_say_where_everything_is() -> None:
    assert (
        last_words(outcome())
        == """\
everest is ready after 8.2 s

  dashboard  http://127.0.0.1:1880/ui/
  editor     http://127.0.0.1:1880/, as admin with the password
  password   docker exec everest cat /run/evdiag/dashboard-password
  OCPP       1.6 as CP1, connected
             CSMS: ws://csms
  cores      /tmp/everest-logs in the container
             written by the capture layer of the image, whatever the host does
  next       evdiag status
             evdiag logs -f
             evdiag stop
"""
    )


def test_the_last_words_about_another_charger_name_it() -> None:
    said = last_words(
        outcome(
            spec=RunSpec(name="west", cores="/srv/cores", ocpp_id="\x1b[31mX"),
            ocpp="not connected: " + "very long " * 20,
            mqtt_port=32768,
        )
    )

    assert "password\n  MQTT       127.0.0.1:32768, for the user of MQTT_USER\n  OCPP" in said
    assert "\n  cores      /srv/cores (/tmp/everest-logs in the container)\n" in said
    assert "evdiag logs --name west -f" in said
    assert "\x1b" not in said
    assert max(map(len, said.splitlines())) < 80


@pytest.mark.parametrize(
    ("bind", "given"), [("192.168.1.7", {}), ("127.0.0.1", {"DASHBOARD_AUTH": "all"})]
)
def test_the_last_words_say_who_is_asked_for_the_password(bind: str, given: dict[str, str]) -> None:
    said = last_words(outcome(spec=spec(bind=bind, environment=given)))

    assert f"  dashboard  http://{bind}:1880/ui/, as admin with the password\n" in said
    assert f"  editor     http://{bind}:1880/, as admin with the password\n" in said


def test_the_last_words_never_have_the_password() -> None:
    chosen = spec(environment={"DASHBOARD_PASSWORD": "correct horse"})

    said = last_words(outcome(spec=chosen))

    assert "  password   the one of DASHBOARD_PASSWORD\n" in said
    assert "horse" not in said
    empty = spec(environment={"DASHBOARD_PASSWORD": ""})
    assert "cat /run/evdiag/dashboard-password\n" in last_words(outcome(spec=empty))


def test_a_command_of_the_last_words_can_be_copied_whatever_the_name() -> None:
    name = "x" * 100

    said = last_words(outcome(spec=spec(name=name))).splitlines()

    assert f"  password   docker exec {name} cat /run/evdiag/dashboard-password" in said
    assert f"             evdiag logs --name {name} -f" in said
