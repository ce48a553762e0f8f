"""The files that configure.py writes, and what it says."""

import json
import runpy
import stat
import string
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.charger_config import (
    CONTAINER,
    Places,
    Settings,
    configure,
    environment,
    places_below,
    template,
)

PASSWORD = "0123456789abcdef"


def model_of(folder: Path) -> Path:
    """A device model with everything that the shipped configuration sets, and one more."""
    model = folder / "share/everest/modules/OCPP201/component_config/standardized"
    model.mkdir(parents=True)
    shipped = configure.read(CONTAINER / "ocpp-config-201.json")
    password = {"OCPP_PASSWORD": PASSWORD, "OCPP_VERSION": "2.1"}
    wanted = configure.ocpp2(shipped, environment.settings_of(password))
    for name, values in {**wanted, "Other": {"x": 1}}.items():
        attributes = [{"type": "MaxSet", "value": 7}, {"type": "Actual", "value": "shipped"}]
        properties = {key: {"variable_name": key, "attributes": attributes} for key in values}
        content = {"name": name, "properties": properties}
        (model / f"{name}.json").write_text(json.dumps(content))
    return model


@pytest.fixture
def places(tmp_path: Path) -> Places:
    prefix = tmp_path / "prefix"
    model_of(prefix)
    certificates = prefix / "etc/everest/certs"
    for name in ("ca/csms/CSMS_ROOT_CA.pem", "ca/v2g/V2G_ROOT_CA.pem", "client/cso/SECC.key"):
        (certificates / name).parent.mkdir(parents=True, exist_ok=True)
        (certificates / name).write_text(f"of EVerest: {name}")
    return places_below(tmp_path)


def arguments(places: Places) -> list[str]:
    """The command line for these directories."""
    names = ("templates", "prefix", "run", "state", "logs")
    return [word for name in names for word in (f"--{name}", str(getattr(places, name)))]


def run(places: Places, **variables: str) -> Settings:
    """Configure a charger; what the environment says."""
    found: Settings = environment.settings_of(variables)
    configure.configure(found, places)
    return found


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_ocpp_1_6(places: Places) -> None:
    found = run(places, OCPP_PASSWORD=PASSWORD)
    assert files(places.run) == {"config.yaml", "ocpp.json"}
    assert mode(places.run / "ocpp.json") == 0o600
    ocpp = json.loads((places.run / "ocpp.json").read_text())
    assert ocpp["Security"]["AuthorizationKey"] == PASSWORD
    config = yaml.safe_load((places.run / "config.yaml").read_text())
    assert config == configure.charger(template("1.6"), found, places)
    assert PASSWORD not in (places.run / "config.yaml").read_text()
    assert (places.logs / "ocpp").is_dir()
    assert (places.logs / "sessions").is_dir()
    assert mode(places.state / found.name) == 0o700


def test_ocpp_2(places: Places) -> None:
    run(places, OCPP_VERSION="2.0.1", OCPP_ID="me", OCPP_PASSWORD=PASSWORD)
    folder = places.run / "component_config/standardized"
    assert mode(folder / "SecurityCtrlr.json") == 0o600
    security = json.loads((folder / "SecurityCtrlr.json").read_text())["properties"]
    highest, actual = security["SecurityCtrlrIdentity"]["attributes"]
    assert (highest["value"], actual["value"]) == (7, "me")
    assert security["BasicAuthPassword"]["attributes"][1]["value"] == PASSWORD
    other = json.loads((folder / "Other.json").read_text())["properties"]
    assert other["x"]["attributes"][1]["value"] == "shipped"


def test_changing_the_version_leaves_nothing_of_the_other(places: Places) -> None:
    run(places)
    run(places, OCPP_VERSION="2.1")
    assert not (places.run / "ocpp.json").exists()
    run(places, OCPP_VERSION="2.0.1")
    assert len(files(places.run)) > 5
    run(places)
    assert files(places.run) == {"config.yaml", "ocpp.json"}
    assert sorted(path.name[:5] for path in places.state.iterdir()) == ["1.6-C", "2.0.1", "2.1-C"]


def test_what_the_csms_changed_stays_until_the_charger_is_another(places: Places) -> None:
    kept = places.state / run(places).name
    (kept / "user_config.json").write_text("{}")
    (kept / "certs/ca/csms/CSMS_ROOT_CA.pem").write_text("installed by the CSMS")
    assert places.state / run(places, NUM_CONNECTORS="3").name == kept
    assert (kept / "user_config.json").exists()
    assert (kept / "certs/ca/csms/CSMS_ROOT_CA.pem").read_text() == "installed by the CSMS"
    assert files(places.state / run(places, OCPP_ID="b").name) >= {"certs/client/cso/SECC.key"}
    assert not (places.state / run(places, OCPP_ID="b").name / "user_config.json").exists()


def test_everests_own_authority_for_a_csms_is_not_trusted(places: Places, tmp_path: Path) -> None:
    certificates = places.state / run(places).name / "certs"
    assert (certificates / "ca/csms/CSMS_ROOT_CA.pem").read_text() == ""
    assert "of EVerest" in (certificates / "ca/v2g/V2G_ROOT_CA.pem").read_text()
    assert (certificates / "client/csms").is_dir()
    pinned = environment.Settings(
        version="1.6", url="wss://a", identity="a", password=PASSWORD, authority=b"mine",
        connectors=1, power=1000, current=1,
    )  # fmt: skip
    configure.configure(pinned, places)
    certificates = places.state / pinned.name / "certs"
    assert (certificates / "ca/csms/CSMS_ROOT_CA.pem").read_text() == "mine"
    ocpp = json.loads((places.run / "ocpp.json").read_text())
    assert ocpp["Internal"]["UseSslDefaultVerifyPaths"] is False


def test_an_everest_without_certificates(tmp_path: Path) -> None:
    configure.keep_certificates(tmp_path / "none", tmp_path / "certs", None)
    assert files(tmp_path / "certs") == {"ca/csms/CSMS_ROOT_CA.pem"}


def test_a_file_is_written_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "x"
    configure.write(file, "old")
    with pytest.raises(UnicodeEncodeError):
        configure.write(file, "new \ud800")
    assert file.read_text() == "old\n"
    assert files(tmp_path) == {"x"}


def test_a_directory_is_replaced_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    def replace(word: str) -> None:
        with configure.replaced(tmp_path / "x") as folder:
            (folder / word).touch()
            assert word != "bad"

    replace("old")
    with pytest.raises(AssertionError):
        replace("bad")
    assert files(tmp_path) == {"x/old"}
    replace("new")
    assert files(tmp_path) == {"x/new"}


# -- the command


def test_the_summary(places: Places, capsys: pytest.CaptureFixture[str]) -> None:
    variables = {
        "OCPP_VERSION": "2.0.1", "OCPP_URL": "ws://host:9000", "OCPP_PASSWORD": PASSWORD,
    }  # fmt: skip
    assert configure.main(arguments(places), variables) == 0
    assert capsys.readouterr() == (
        "OCPP 2.0.1 as CP1 to ws://host:9000/, 1 connector, 150 kW\n",
        "",
    )
    more = {"NUM_CONNECTORS": "2", "EVSE_MAX_POWER": "1500", "OCPP_URL": "ws://host/x"}
    assert configure.main(arguments(places), more) == 0
    assert capsys.readouterr().out == "OCPP 1.6 as CP1 to ws://host/x, 2 connectors, 1.5 kW\n"


def test_a_check_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert configure.main(["--check"], {}) == 0
    assert capsys.readouterr() == ("", "")
    assert configure.main(["--check"], {"NUM_CONNECTORS": "0", "OCPP_ID": "/"}) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.split()[:2] for line in err.splitlines()] == [
        ["configure:", "OCPP_ID"],
        ["configure:", "NUM_CONNECTORS"],
    ]


def test_it_is_a_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["configure.py", "--check"])
    monkeypatch.setattr("os.environ", {"EVSE_MAX_CURRENT": "none"})
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(CONTAINER / "configure.py"), run_name="__main__")
    assert ended.value.code == 2


def test_an_incomplete_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        configure.main(["--run", "/x"], {})
    assert ended.value.code == 2
    assert "--templates" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("config-ocpp201.yaml", "a: [", "config-ocpp201.yaml is damaged"),
        ("config-ocpp201.yaml", "[]", "config-ocpp201.yaml is damaged: it holds no object"),
        ("config-ocpp201.yaml", "a: 1", "has not the form"),
        ("ocpp-config-201.json", "{", "ocpp-config-201.json is damaged"),
        ("ocpp-config-201.json", '{"Nothing": {}}', "has no Nothing: "),
        ("ocpp-config-201.json", '{"Other": {"y": 1}}', "has no variable y in Other"),
        ("ocpp-config-201.json", None, "ocpp-config-201.json: No such file"),
    ],
)
def test_damaged_templates(
    places: Places,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    content: str | None,
    words: str,
) -> None:
    templates = tmp_path / "templates"
    templates.mkdir()
    for file in ("config-ocpp201.yaml", "ocpp-config-201.json"):
        (templates / file).write_text((CONTAINER / file).read_text())
    (templates / name).unlink()
    if content is not None:
        (templates / name).write_text(content)
    command = [*arguments(places), "--templates", str(templates)]
    assert configure.main(command, {"OCPP_VERSION": "2.1"}) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("configure: ")
    assert words in err
    assert err.count("\n") == 1


def test_a_directory_that_cannot_be_made(
    places: Places, capsys: pytest.CaptureFixture[str]
) -> None:
    places.logs.write_text("a file")
    assert configure.main(arguments(places), {}) == 1
    assert capsys.readouterr().err == f"configure: {places.logs}/ocpp: Not a directory\n"


# -- anything


@settings(max_examples=25)
@given(
    version=st.sampled_from(["1.6", "2.0.1", "2.1"]),
    identity=st.text(string.ascii_letters + "*-_=+|@.", min_size=3, max_size=48),
    password=st.text(string.printable[:95], min_size=16, max_size=40),
    path=st.text(string.ascii_letters + "!$&'()*+,;=:@/", max_size=40),
)
def test_whatever_is_allowed_arrives_as_it_is(
    tmp_path_factory: pytest.TempPathFactory, version: str, identity: str, password: str, path: str
) -> None:
    folder = tmp_path_factory.mktemp("any")
    model_of(folder / "prefix")
    places = places_below(folder)
    variables = {
        "OCPP_VERSION": version,
        "OCPP_ID": identity + "x",
        "OCPP_PASSWORD": password,
        "OCPP_URL": f"ws://host/{path}",
    }
    variables["OCPP_ID"] = variables["OCPP_ID"][-48:]
    run(places, **variables)
    config = yaml.safe_load((places.run / "config.yaml").read_text())
    assert list(config) == list(template(version))
    assert config["active_modules"].keys() == template(version)["active_modules"].keys()
    if version == "1.6":
        ocpp = json.loads((places.run / "ocpp.json").read_text())
        assert ocpp.keys() == json.loads((CONTAINER / "ocpp-config-16.json").read_text()).keys()
        found = [ocpp["Internal"]["ChargePointId"], ocpp["Security"]["AuthorizationKey"]]
        found.append(ocpp["Internal"]["CentralSystemURI"])
    else:
        model = places.run / "component_config/standardized"
        security = json.loads((model / "SecurityCtrlr.json").read_text())["properties"]
        network = json.loads((model / "NetworkConfiguration_1.json").read_text())["properties"]
        entries = (security["SecurityCtrlrIdentity"], security["BasicAuthPassword"])
        found = [each["attributes"][1]["value"] for each in (*entries, network["OcppCsmsUrl"])]
    assert found == [variables[name] for name in ("OCPP_ID", "OCPP_PASSWORD", "OCPP_URL")]
