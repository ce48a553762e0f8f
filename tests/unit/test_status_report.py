"""The screen of `evdiag status`, its table and its JSON, and lines of `evdiag mqtt`."""

import json
import re
from typing import Any

import pytest

from evdiag.model.status import (
    ChargerStatus,
    Connector,
    Core,
    Everest,
    Gap,
    Link,
    Module,
    Service,
    Url,
)
from evdiag.parse.mqtt import Message
from evdiag.report import mqtt
from evdiag.report.status import render, render_json, render_table, span

NOW = 1_795_400_000.0
LINK = Link(state="connected", version="2.0.1", url="ws://csms:9000", id="CP1", since=NOW - 65)
ODD = "\x1b[31m\u202eevil\n"


def status(**changes: Any) -> ChargerStatus:  # noqa: ANN401
    about: dict[str, Any] = {
        "name": "everest",
        "verdict": "healthy",
        "taken": NOW,
        "started": NOW - 200,
        "everest": Everest(state="up", since=NOW - 190, expected=23),
        "ocpp": LINK,
        "connectors": (Connector(number=1, module="e", state="Unplugged"),),
        "services": (
            Service(name="mosquitto", state="running", since=NOW - 200),
            Service(name="logs", state="running", since=NOW - 200),
        ),
        "modules": (
            Module(id="ocpp", type="OCPP201", pid=30, threads=29, memory=42_000_000,
                   started=NOW - 190),
            Module(id="auth", pid=31, state="stopped"),
        ),
        "urls": (Url(what="dashboard", url="http://127.0.0.1:1880/ui/"),),
    } | changes  # fmt: skip
    return ChargerStatus(**about)


def test_a_healthy_charger() -> None:
    assert render(status(), 80) == (
        "everest: up 3 min, healthy\n"
        "OCPP      2.0.1, CP1 at ws://csms:9000\n"
        "          connected for 65 s (since 2026-11-23 02:12:15 UTC)\n"
        "charging  Unplugged\n"
        "services  mosquitto 3 min\n"
        "EVerest   up 3 min, 23 of 23 modules, 0 restarts, 0 crashes\n"
        "cores     none\n"
        "open      dashboard: http://127.0.0.1:1880/ui/\n"
        "\n"
        "MODULE  TYPE     PID  THREADS   MEMORY  UP\n"
        "ocpp    OCPP201   30       29  42.0 MB  3 min\n"
        "auth              31        0  0 bytes  stopped\n"
    )


def crashed() -> ChargerStatus:
    core = Core(name="core.auth:Auth.7.1", size=72_000_000, disk=4_000_000, time=NOW - 9,
                signal="SIGSEGV", process="auth:Auth")  # fmt: skip
    none = Core(name="core.x.json", state="none", error="the disk was full")
    return status(
        verdict="degraded",
        reasons=("mosquitto is exited (exit code 1)", "word " * 40),
        engine_restarts=2,
        everest=Everest(
            state="starting", since=NOW - 5, restarts=1, crashes=1, last_crash=NOW - 9,
            last_crashed="auth",
        ),
        ocpp=Link(state="disconnected", error="nothing takes connections there", error_time=NOW),
        connectors=(
            Connector(number=1, module="a", state="Charging", power=120_000, energy=5214,
                      seconds=360, soc=46.4),
            Connector(number=2, module="b"),
            Connector(number=3, module="c", state="Unplugged", faulty=True),
            Connector(number=4, module="d", state="Error", power=7, faulty=True),
        ),
        services=(Service(name="mosquitto", state="exited", since=NOW - 4),
                  Service(name="logs", state="fatal")),
        orphans=(Module(id="slac", type="Slac", pid=3),),
        modules=(),
        cores=(core, *[none] * 6),
        cores_disk=9_000_000,
        cores_complete=False,
        gaps=(Gap(part="MQTT", reason="refused"), Gap(part="cores", reason="too many")),
    )  # fmt: skip


def test_a_charger_in_trouble() -> None:
    text = render(crashed(), 80)
    for wanted in (
        "everest: up 3 min, degraded\n  - mosquitto is exited (exit code 1)\n",
        "  - the engine restarted it 2 times\n",
        "not connected: nothing takes connections there, 0 s ago\n",
        "charging  1: Charging, 120.0 kW, 5.21 kWh, 46 %, for 6 min\n",
        "          2: said nothing\n",
        "          3: Unplugged, permanent fault\n",
        "          4: Error, 7 W, permanent fault\n",
        "services  mosquitto exited 4 s · logs fatal\n",
        "EVerest   starting 5 s, 1 restart, 1 crash, the last of auth 9 s ago\n",
        "cores     7 or more, 9.0 MB\n",
        "          auth:Auth SIGSEGV, 9 s ago, 4.0 MB\n",
        "          core.x.json, no core, the disk was full\n",
        "          … 2 older\n",
        "evdiag backtrace everest\n",
        "not seen  MQTT: refused\n          cores: too many\n",
        "Left over from a manager that ended\nMODULE",
    ):
        assert wanted in text


@pytest.mark.parametrize("width", [0, 40, 57, 80, 160])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    wide = Module(id="車" * 40, type="t" * 200, pid=10**9, memory=10**12)
    for each in (status(modules=(wide,)), crashed()):
        text = render(each, width)
        assert all(len(line) <= max(width, 40) for line in text.splitlines() if "車" not in line)
        assert "…" in text


def test_colour_changes_no_word() -> None:
    for each in (status(), crashed()):
        coloured = render(each, 80, colour=True)
        assert "\x1b[" in coloured
        assert re.sub(r"\x1b\[[\d;]*m", "", coloured) == render(each, 80)
    table = render_table([status()], 80, colour=True)
    assert "\x1b[32mhealthy" in table


def test_states_of_which_little_is_known() -> None:
    unknown = status(
        everest=Everest(state="unknown", last_crash=NOW), ocpp=Link(state="unknown"), started=None,
        services=(), modules=(), cores_complete=False,
    )  # fmt: skip
    text = render(unknown)
    assert "whether it runs is not known, 0 restarts, 0 crashes, the last 0 s ago" in text
    assert "whether it is connected is not known" in text
    assert "cores" not in text
    assert "connected\n" in render(status(ocpp=Link(state="connected")))
    assert "not connected\n" in render(status(ocpp=Link(state="disconnected")))
    assert "EVerest   does not run," in render(status(everest=Everest(state="down")))


def test_many_connectors_that_say_nothing_take_one_line() -> None:
    silent = [Connector(number=at, module="m") for at in range(1, 9)]
    text = render(status(connectors=tuple(silent)))
    assert "charging  8 connectors, which said nothing\nservices" in text
    assert "charging  said nothing\n" in render(status(connectors=tuple(silent[:1])))


def test_a_stopped_charger() -> None:
    ended = status(verdict="stopped", everest=None, finished=NOW - 45, exit_code=137,
                   reasons=("it was killed (SIGKILL)",), connectors=(), services=(), modules=(),
                   urls=())  # fmt: skip
    assert render(ended) == (
        "everest: stopped 45 s ago (2026-11-23 02:12:35 UTC), exit code 137\n"
        "  - it was killed (SIGKILL)\n"
        "OCPP      2.0.1, CP1 at ws://csms:9000\n"
        "cores     none\n"
    )
    paused = status(verdict="paused", everest=None)
    assert render(paused).startswith("everest: paused\n")
    assert render(status(verdict="stopped", everest=None)).startswith("everest: stopped\n")


def test_what_comes_from_the_container_is_harmless() -> None:
    odd = status(
        name=ODD, verdict="degraded", reasons=(ODD,), ocpp=Link(state="x", url=ODD, id=ODD,
        version=ODD, error=ODD), everest=Everest(state="up", last_crash=NOW, last_crashed=ODD),
        connectors=(Connector(number=1, module=ODD, state=ODD),),
        services=(Service(name=ODD, state=ODD),), gaps=(Gap(part=ODD, reason=ODD),),
        cores=(Core(name=ODD, process=ODD, error=ODD),), urls=(Url(what="x", url=ODD),),
        modules=(Module(id=ODD, type=ODD, pid=1),),
    )  # fmt: skip
    for text in (render(odd), render_table([odd, status()])):
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert "evil\n" not in text.replace("evil\\n", "")


def test_the_table_of_all_chargers() -> None:
    ended = status(name="b", verdict="stopped", everest=None, finished=NOW - 700, connectors=(),
                   cores_complete=False)  # fmt: skip
    busy = crashed()
    lines = render_table([status(), ended, busy], 100).splitlines()
    assert lines[0].split() == ["NAME", "STATE", "OCPP", "CHARGING", "CRASHES", "CORES"]
    assert re.split(r"  +", lines[1]) == [
        "everest", "healthy, 3 min", "2.0.1 connected", "Unplugged", "0", "0"]  # fmt: skip
    assert re.split(r"  +", lines[2]) == ["b", "stopped, 11 min", "2.0.1", "-", "-", "0+"]
    assert "2 of 4 in use" in lines[3]
    assert render_table([]) == "There is no charger. `evdiag run` starts one.\n"


def test_a_name_stays_whole_as_long_as_there_is_room() -> None:
    long = "a-charger-with-quite-a-long-name"
    assert f"\n{long}  hea" in render_table([status(name=long)], 70)


def test_the_json() -> None:
    one = json.loads(render_json([status()], many=False))
    assert one["schema"] == "evdiag.status/1"
    assert one["modules"][0]["memory"] == 42_000_000
    assert json.loads(render_json([], many=True)) == []


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0 s"), (99, "99 s"), (100, "1 min"), (5999, "99 min"), (6000, "1 h 40 min"),
     (7200, "2 h"), (172_800, "2 d"), (183_600, "2 d 3 h")],
)  # fmt: skip
def test_times_for_people(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_messages_as_lines() -> None:
    message = Message(time=NOW + 0.25, topic="a/b", payload=b'{"x":\x1b1}', retained=True)
    text = mqtt.line(message)
    assert re.fullmatch(r'\d\d:\d\d:\d\d\.250 a/b \(retained\) {"x":\\x1b1}\n', text)
    assert mqtt.line(message, colour=True).count("\x1b[") == 4
    binary = Message(time=NOW, topic="t", payload=b"\xff" * 40)
    assert "(40 bytes: ff ff" in mqtt.line(binary)
    assert mqtt.line(binary).endswith("ff…)\n")
    assert mqtt.line(Message(time=NOW, topic="t", payload=b"\xff")).endswith("(1 bytes: ff)\n")
    assert mqtt.line(Message(time=1e12, topic="t", payload=b"x")) == "--:--:--.--- t x\n"


def test_messages_as_json() -> None:
    text = Message(time=1.5, topic="t", payload="é\n".encode(), retained=True)
    assert json.loads(mqtt.json_line(text)) == {
        "time": 1.5, "topic": "t", "payload": "é\n", "retained": True}  # fmt: skip
    assert mqtt.json_line(text).count("\n") == 1
    binary = Message(time=1.5, topic="t", payload=b"\xff\x00")
    assert json.loads(mqtt.json_line(binary))["hex"] == "ff00"
