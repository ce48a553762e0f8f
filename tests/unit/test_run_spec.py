"""From the command line to what is wanted."""

import re

import pytest

from evdiag.analyze.run_spec import Asked, make_spec
from evdiag.errors import UsageError
from evdiag.model.charger import IMAGE
from evdiag.model.run import RunSpec


def spec_of(here: dict[str, str] | None = None, /, **more: object) -> RunSpec:
    facts = {"name": "everest", "image": IMAGE, "port": 1880, "bind": "127.0.0.1", **more}
    return make_spec(Asked(**facts), here or {})  # type: ignore[arg-type]  # names of Asked


def test_nothing_said_gives_the_defaults() -> None:
    assert spec_of() == RunSpec()


def test_what_is_said_is_taken() -> None:
    spec = spec_of(
        ocpp_version="2.1",
        ocpp_url="wss://csms.example:443/ocpp",
        ocpp_id="CP*7",
        name="west-1",
        port=1881,
        bind="::",
        network="mine",
        cores="/srv/cores",
        capture="kernel",
        set_core_pattern=True,
        environment=("A=1=2", "B="),
        replace=True,
    )

    assert spec == RunSpec(
        ocpp_version="2.1",
        ocpp_url="wss://csms.example:443/ocpp",
        ocpp_id="CP*7",
        name="west-1",
        port=1881,
        bind="::",
        network="mine",
        cores="/srv/cores",
        capture="kernel",
        set_core_pattern=True,
        environment={"A": "1=2", "B": ""},
        replace=True,
    )
    assert spec.page == "http://[::1]:1881/ui/"


@pytest.mark.parametrize(
    ("bind", "editor"),
    [
        ("127.0.0.1", "http://127.0.0.1:1880/"),
        ("0.0.0.0", "http://127.0.0.1:1880/"),
        ("10.1.2.3", "http://10.1.2.3:1880/"),
        ("::1", "http://[::1]:1880/"),
    ],
)
def test_where_the_dashboard_and_the_editor_are(bind: str, editor: str) -> None:
    assert spec_of(bind=bind).editor == editor
    assert spec_of(bind=bind).page == f"{editor}ui/"


@pytest.mark.parametrize(
    ("bind", "given", "auth"),
    [
        ("127.0.0.1", (), "others"),
        ("127.9.9.9", (), "others"),
        ("::1", (), "others"),
        ("0.0.0.0", (), "all"),
        ("::", (), "all"),
        ("192.168.1.7", (), "all"),
        ("127.0.0.1", ("DASHBOARD_AUTH=all",), "all"),
        ("127.0.0.1", ("DASHBOARD_AUTH=",), "all"),  # which is not set, for the image
        ("0.0.0.0", ("DASHBOARD_AUTH=others",), "others"),
    ],
)
def test_who_needs_the_password_of_the_dashboard(
    bind: str, given: tuple[str, ...], auth: str
) -> None:
    assert spec_of(bind=bind, environment=given).dashboard_auth == auth


def test_a_variable_without_a_value_is_that_of_the_user() -> None:
    spec = spec_of({"OCPP_PASSWORD": "secret", "OTHER": "x"}, environment=("OCPP_PASSWORD",))

    assert spec.environment == {"OCPP_PASSWORD": "secret"}


def test_variables_that_are_options_count_as_these() -> None:
    spec = spec_of(environment=("OCPP_URL=ws://a", "OCPP_ID=X", "OCPP_VERSION="), ocpp_url="ws://a")

    assert (spec.ocpp_url, spec.ocpp_id, spec.ocpp_version) == ("ws://a", "X", "1.6")
    assert spec.environment == {}


@pytest.mark.parametrize(
    ("text", "count"), [("4", 4), ("", 1), ("many", 1), ("99", 1), ("9999999", 1), ("²", 1)]
)
def test_the_number_of_connectors(text: str, count: int) -> None:
    assert spec_of(environment=(f"NUM_CONNECTORS={text}",)).connectors == count


def test_the_broker_is_published_with_an_account_only() -> None:
    assert not spec_of().publishes_mqtt
    assert not spec_of(environment=("MQTT_USER=u",)).publishes_mqtt
    assert spec_of(environment=("MQTT_USER=u", "MQTT_PASSWORD=p")).publishes_mqtt


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"name": "a b"}, "--name 'a b'"),
        ({"name": "-x"}, "--name"),
        ({"name": "x" * 200}, "--name"),
        ({"image": "a b"}, "--image"),
        ({"image": "-it"}, "--image"),
        ({"bind": "localhost"}, "--bind 'localhost'"),
        ({"network": "host"}, "--network 'host'"),
        ({"network": "none"}, "--network"),
        ({"network": "container:x"}, "--network"),
        ({"capture": "on"}, "--capture 'on'"),
        ({"capture": "off", "set_core_pattern": True}, "--capture off forbids it"),
        ({"capture": "preload", "set_core_pattern": True}, "--capture preload forbids it"),
        ({"ocpp_version": "2"}, "--ocpp-version '2'"),
        ({"ocpp_id": "a/b"}, "--ocpp-id"),
        ({"ocpp_id": ".."}, "--ocpp-id"),
        ({"ocpp_url": "http://x"}, "--ocpp-url 'http://x'"),
        ({"ocpp_url": "ws://"}, "--ocpp-url"),
        ({"ocpp_url": "ws://x:99999"}, "--ocpp-url"),
        ({"ocpp_url": "ws://x:0"}, "--ocpp-url"),
        ({"ocpp_url": "ws://[::1"}, "--ocpp-url"),
        ({"ocpp_url": "ws://x/?a"}, "--ocpp-url"),
        ({"ocpp_url": "ws://x/#a"}, "--ocpp-url"),
        ({"environment": ("=x",)}, "-e ''"),
        ({"environment": ("1=x",)}, "-e '1'"),
        ({"environment": ("A=\0",)}, "-e 'A'"),
        ({"environment": ("MISSING",)}, "-e MISSING"),
        ({"environment": ("EVDIAG_CAPTURE=on",)}, "EVDIAG_CAPTURE"),
        ({"environment": ("OCPP_ID=a",), "ocpp_id": "b"}, "--ocpp-id and -e OCPP_ID contradict"),
    ],
)
def test_what_makes_no_sense_is_named(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=re.escape(said)) as caught:
        spec_of(**wrong)

    assert caught.value.advice


def test_a_password_in_an_address_is_not_repeated() -> None:
    with pytest.raises(UsageError) as caught:
        spec_of(ocpp_url="ws://CP1:hunter2@csms")

    assert "hunter2" not in str(caught.value) + caught.value.advice
