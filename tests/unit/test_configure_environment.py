"""What the container's environment may say about the charger, and what it is told otherwise."""

import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.charger_config import environment

settings_of = environment.settings_of
Refused: type[Exception] = environment.Refused

PASSWORD = "0123456789abcdef"
WSS = {"OCPP_URL": "wss://csms.example/ocpp", "OCPP_PASSWORD": PASSWORD}
CERTIFICATE = """-----BEGIN CERTIFICATE-----
MIIBbjCCARWgAwIBAgIUCqN2o30AdGn3Y+T/NY1Lzr+lU+0wCgYIKoZIzj0EAwIw
DDEKMAgGA1UEAwwBdDAgFw0yNjExMjIyMjA4MTlaGA8yMTI2MTAyOTIyMDgxOVow
DDEKMAgGA1UEAwwBdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABJrWhgH92Va2
A1bbDbIlcfT6ol2w1U+b5H/XCFpoVaegvTHjp1ErEssNxpyPfOCWwwllGsZCR69i
kDvRIEdYS8ajUzBRMB0GA1UdDgQWBBSbhIraSgpc+wiBSN3fqbdfopiWzzAfBgNV
HSMEGDAWgBSbhIraSgpc+wiBSN3fqbdfopiWzzAPBgNVHRMBAf8EBTADAQH/MAoG
CCqGSM49BAMCA0cAMEQCIDKcFSUuLd6gpedI0sinx03NrK/0cRw4r7w2mKhpkCWV
AiAMs9sC5laxyGsNjRUmG+7J0sCjscUOXj0yAaPc4OdRAw==
-----END CERTIFICATE-----
"""
NAMES = (
    *("OCPP_VERSION", "OCPP_URL", "OCPP_ID", "OCPP_PASSWORD", "OCPP_CA_FILE", "NUM_CONNECTORS"),
    *("EVSE_MAX_CURRENT", "EVSE_MAX_POWER", "MQTT_USER", "MQTT_PASSWORD", "EVDIAG_CAPTURE"),
    *("EVDIAG_CORES_MAX", "EVDIAG_CORES_MAX_BYTES", "EVDIAG_CAPTURE_SECONDS"),
    *("DASHBOARD_AUTH", "DASHBOARD_PASSWORD"),
)


def problems(**variables: str) -> list[str]:
    """What is wrong with an environment, one line for each problem."""
    with pytest.raises(Refused) as caught:
        settings_of(variables)
    return list(caught.value.args)


def problem(**variables: str) -> str:
    """The only thing that is wrong with an environment."""
    (line,) = problems(**variables)
    return line


# -- good ones


def test_an_empty_environment_is_a_charger_of_150_kw_for_a_csms_on_this_machine() -> None:
    settings = settings_of({})
    assert (settings.version, settings.url, settings.identity) == (
        "1.6",
        "ws://localhost:9000",
        "CP1",
    )
    assert (settings.password, settings.authority, settings.profile) == (None, None, 0)
    assert (settings.connectors, settings.power, settings.current) == (1, 150_000, 400)


def test_an_empty_variable_is_one_that_is_not_set() -> None:
    assert settings_of(dict.fromkeys(NAMES, "")) == settings_of({})


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("ws://a", "ws://a"),
        ("WS://Host:9000/Ocpp/CP1", "ws://host:9000/Ocpp/CP1"),
        ("ws://my_csms:1/", "ws://my_csms:1/"),
        ("ws://10.0.0.1:65535/a%20b/c", "ws://10.0.0.1:65535/a%20b/c"),
        ("ws://[::1]:9000/x", "ws://[::1]:9000/x"),
        ("ws://[FE80::1]", "ws://[fe80::1]"),
        ("ws://a/b@c:d", "ws://a/b@c:d"),
    ],
)
def test_addresses(url: str, kept: str) -> None:
    assert settings_of({"OCPP_URL": url}).url == kept


def test_the_password_and_the_scheme_decide_the_security_profile() -> None:
    assert settings_of({"OCPP_PASSWORD": PASSWORD}).profile == 1
    assert settings_of(WSS).profile == 2


@pytest.mark.parametrize(
    ("power", "amperes"), [("1000", 2), ("150000", 218), ("1000000", 1450), ("690", 0)]
)
def test_the_grid_side_carries_the_whole_power(power: str, amperes: int) -> None:
    if amperes:
        settings = settings_of({"EVSE_MAX_POWER": power})
        assert settings.grid_current == amperes
        assert settings.grid_current * 690 >= settings.power
    else:
        assert "EVSE_MAX_POWER" in problem(EVSE_MAX_POWER=power)


def test_whoever_signs_for_the_csms_may_be_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text(CERTIFICATE)
    assert settings_of({**WSS, "OCPP_CA_FILE": str(file)}).authority == CERTIFICATE.encode()


# -- bad ones


@pytest.mark.parametrize(
    "url",
    [
        "localhost:9000", "http://a", "ws:///x", "ws://", "ws://:9000", "ws://a:", "ws://a:0",
        "ws://a:65536", "ws://a:x", "ws://a b", "ws://a/b c", "ws://a/b\n", " ws://a", "ws://a\t",
        "ws://[::1", "ws://[::1]x:80", "ws://[fe80::1%25eth0]", "ws://[]", "ws://a/%2", "ws://a/\\",
        "ws://ä", "ws://a/ä", "ws://a/\ud800", "ws://-a", "ws://a:0080", "ws://" + "a" * 254,
        "ws://a/" + "x" * 1000, "ws://a?x", "ws://a/#x", "ws://a/?", "//a", "ws:a",
    ],
)  # fmt: skip
def test_addresses_that_are_none(url: str) -> None:
    line = problem(OCPP_URL=url)
    assert line.startswith("OCPP_URL is ")
    assert line.isascii()
    assert "\n" not in line


def test_what_is_no_ipv6_address() -> None:
    # Python before 3.11.4 leaves that to us
    assert [environment.is_ipv6(text) for text in ("", "a", "::1%lo", "::1")] == [
        *[False] * 3,
        True,
    ]


@pytest.mark.parametrize(
    "url", ["ws://u:s3cret@a", "ws://s3cret@a/x", "ws://u:s3c/ret@a", "s3cret@", "ws://a?s3cret@"]
)
def test_a_secret_in_the_address_is_refused_and_not_shown(url: str) -> None:
    line = problem(OCPP_URL=url)
    assert "s3c" not in line
    assert line.startswith("OCPP_URL (not shown")


@pytest.mark.parametrize(
    "name",
    [
        "a b",
        "a/b",
        "a:b",
        "a%20b",
        "ä",
        "'",
        '"',
        "\n",
        "CP1\n",
        "x" * 49,
        ".",
        "..",
        "a\0",
        "\ud800",
    ],
)
def test_identities_that_libocpp_cannot_use(name: str) -> None:
    line = problem(OCPP_ID=name)
    assert line.startswith("OCPP_ID is ")
    assert line.isascii()


@pytest.mark.parametrize("name", ["x" * 48, "*-_=+|@.", "...", "a.", "0"])
def test_identities(name: str) -> None:
    assert settings_of({"OCPP_ID": name}).identity == name


@pytest.mark.parametrize(
    ("version", "password"),
    [
        ("1.6", "1234567"), ("2.0.1", "x" * 15), ("2.1", "x" * 41), ("1.6", "x" * 41),
        ("1.6", "ä" * 20), ("1.6", "12345678\n"), ("3", "1234567"),
    ],
)  # fmt: skip
def test_passwords_that_libocpp_refuses_are_not_shown(version: str, password: str) -> None:
    lines = problems(OCPP_VERSION=version, OCPP_PASSWORD=password)
    assert lines[-1].startswith("OCPP_PASSWORD has ")
    assert password not in "".join(lines)


@pytest.mark.parametrize(
    ("version", "password"),
    [("1.6", "12345678"), ("2.0.1", PASSWORD), ("2.1", "\"': {}&*#%@x" * 3)],
)
def test_passwords(version: str, password: str) -> None:
    settings = settings_of({"OCPP_VERSION": version, "OCPP_PASSWORD": password})
    assert settings.password == password


def test_encryption_needs_a_password() -> None:
    assert "OCPP_PASSWORD is not set" in problem(OCPP_URL="wss://a")


def test_a_certificate_without_encryption_is_a_mistake() -> None:
    assert "no encryption" in problem(OCPP_CA_FILE="/x")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "is no file"),
        (b"", "must be a text file with certificates"),
        (b"\xff", "must be a text file with certificates"),
        (b"hello", "holds no certificate"),
        (b"x" * (1 << 20) + b"x", "larger than 1048576 bytes"),
    ],
)
def test_files_that_hold_no_certificate(tmp_path: Path, content: bytes | None, words: str) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    assert words in problem(**WSS, OCPP_CA_FILE=str(file))


def test_a_directory_or_a_name_that_is_none_is_no_certificate(tmp_path: Path) -> None:
    assert "is no file" in problem(**WSS, OCPP_CA_FILE=str(tmp_path))
    assert problem(**WSS, OCPP_CA_FILE="a\0b").startswith("OCPP_CA_FILE is 'a\\x00b'")
    assert problem(**WSS, OCPP_CA_FILE="x" * 5000).isascii()


@pytest.mark.parametrize(
    "value", ["0", "17", "-1", "1.5", " 1", "1 ", "1\n", "¹", "１", "", "x", "9" * 20]
)
def test_numbers_of_connectors(value: str) -> None:
    if value:
        line = problem(NUM_CONNECTORS=value)
        assert line.endswith("must be a whole number from 1 to 16")
    else:
        assert settings_of({"NUM_CONNECTORS": value}).connectors == 1


def test_every_bad_variable_gets_a_line() -> None:
    bad = {
        **dict.fromkeys(NAMES, "\x1b"),
        "OCPP_URL": "x",
        "MQTT_PASSWORD": "\n",
        "OCPP_CA_FILE": "/x",
    }
    lines = problems(**bad)
    assert sorted(line.split()[0] for line in lines) == sorted(NAMES)


def test_the_account_for_mqtt() -> None:
    assert settings_of({"MQTT_USER": "me", "MQTT_PASSWORD": "it's #1"}) == settings_of({})
    assert "both" in problem(MQTT_USER="me")
    assert "both" in problem(MQTT_PASSWORD="me")
    assert problem(MQTT_USER="a:b", MQTT_PASSWORD="x").startswith("MQTT_USER")
    for password in ("x\ny", "x:y", "x" * 129):
        line = problem(MQTT_USER="a", MQTT_PASSWORD=password)
        assert line.startswith("MQTT_PASSWORD must")


# -- the name of what is kept


@pytest.mark.parametrize(
    "other",
    [
        {"OCPP_VERSION": "2.1"}, {"OCPP_URL": "ws://b"}, {"OCPP_ID": "b"},
        {"OCPP_PASSWORD": PASSWORD + "x"}, {"OCPP_PASSWORD": ""},
    ],
)  # fmt: skip
def test_another_charger_has_another_name(other: dict[str, str]) -> None:
    one = {"OCPP_VERSION": "2.0.1", "OCPP_URL": "ws://a", "OCPP_ID": "a", "OCPP_PASSWORD": PASSWORD}
    name = settings_of(one).name
    assert settings_of({**one, "NUM_CONNECTORS": "2", "EVSE_MAX_POWER": "50000"}).name == name
    assert settings_of({**one, **other}).name != name


def test_the_name_is_one_of_a_file_and_tells_whose_it_is(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text(CERTIFICATE)
    plain = settings_of({**WSS, "OCPP_ID": "a*|b"})
    pinned = settings_of({**WSS, "OCPP_ID": "a*|b", "OCPP_CA_FILE": str(file)})
    assert plain.name.startswith("1.6-a__b-")
    assert pinned.name != plain.name


# -- the dashboard


@pytest.mark.parametrize("password", ["12345678", "x" * 128, ' a: "100%" $ecret '])
@pytest.mark.parametrize("who", ["all", "others"])
def test_the_dashboard_may_have_a_password(password: str, who: str) -> None:
    settings = settings_of({"DASHBOARD_PASSWORD": password, "DASHBOARD_AUTH": who})
    # neither is a matter of EVerest's configuration
    assert settings == settings_of({})


@pytest.mark.parametrize(
    "password", ["s3cret!", "s3cret" * 22, "s3cret\u00e4\u00f6\u00fc", "s3cret12\n", "s3cret\t12"]
)
def test_passwords_of_the_dashboard_that_nobody_can_enter_are_not_shown(password: str) -> None:
    line = problem(DASHBOARD_PASSWORD=password)
    assert line == (
        f"DASHBOARD_PASSWORD has {len(password)} characters: must be 8 to 128 printable ASCII "
        "characters"
    )


@pytest.mark.parametrize("who", ["none", "ALL", "all ", "off"])
def test_who_is_asked_is_one_of_two(who: str) -> None:
    assert problem(DASHBOARD_AUTH=who) == f"DASHBOARD_AUTH is {who!r}: must be one of all, others"


# -- anything

hostile = st.text() | st.text(string.printable) | st.sampled_from(["ws://a", "wss://a", "2.1", "4"])


@given(st.dictionaries(st.sampled_from(NAMES), hostile))
@example({"OCPP_URL": "ws://[", "OCPP_ID": "\ud800"})
@example({"OCPP_CA_FILE": "/dev/zero", **WSS})
def test_whatever_it_says_it_is_accepted_as_it_is_or_refused(variables: dict[str, str]) -> None:
    settings: Any = None
    refusal: tuple[str, ...] = ()
    try:
        settings = settings_of(variables)
    except Refused as refused:
        refusal = refused.args
    assert all(line.isascii() and line.isprintable() for line in refusal)
    assert (settings is None) == bool(refusal)
    if settings is None:
        return
    found: dict[str, Any] = {
        "OCPP_VERSION": settings.version,
        "OCPP_URL": settings.url,
        "OCPP_ID": settings.identity,
        "OCPP_PASSWORD": settings.password,
        "NUM_CONNECTORS": str(settings.connectors),
        "EVSE_MAX_POWER": str(settings.power),
        "EVSE_MAX_CURRENT": str(settings.current),
    }
    for name, value in found.items():
        if variables.get(name):
            wanted = variables[name].lstrip("0") if name[:2] in ("NU", "EV") else variables[name]
            assert value == wanted or value.lower() == wanted.lower()
