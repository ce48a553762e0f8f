"""What a charger is doing, decided from facts: healthy, starting, degraded, stopped, and why."""

import json
from typing import Any

import msgspec
import pytest

from evdiag.analyze.status import running, stopped, unanswered
from evdiag.analyze.status_api import without_account
from evdiag.model.charger import ContainerFacts, PortBinding
from evdiag.model.status import ChargerStatus, Core, Gap
from evdiag.parse.status import Cores, File, Note, Probe

NOW = 1_795_400_000.0
UP = {"time": NOW - 90, "text": "EVerest up and running"}
CONNECTED = {"time": NOW - 80, "text": "OCPP client successfully connected to server with ..."}
REFUSED = {"time": NOW - 20, "text": "CLIENT_CONNECTION_ERROR: [conn fail: ECONNREFUSED]. Att"}
FAILED = {"time": NOW - 20, "text": "OCPP client connection to server failed"}
CLOSED = {"time": NOW - 10, "text": "OCPP client closed connection to server"}
SESSION = {"state": "Charging", "latest_total_w": 1.0, "charged_energy_wh": 5}


def facts(**changes: Any) -> ContainerFacts:  # noqa: ANN401
    about: dict[str, Any] = {"started": NOW - 100, "state": "running"} | changes
    return ContainerFacts(id="c0ffee", name="everest", image="evdiag/everest", **about)


def process(pid: int, parent: int, argv0: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401
    return {"pid": pid, "parent": parent, "session": 1, "argv0": argv0, "user": "everest",
            "threads": 8, "memory": 1000, "started": NOW - 95, "state": "S", **more}  # fmt: skip


def service(name: str, state: str = "RUNNING", **more: Any) -> dict[str, Any]:  # noqa: ANN401
    return {"name": name, "statename": state, "pid": 5, "start": NOW - 99, **more}


def healthy() -> dict[str, Any]:
    """What the probe tells of a charger in good order."""
    api = "everest_api"
    return {
        "now": NOW,
        "processes": [
            process(1, 0, "/usr/bin/python3", user="root"),
            process(20, 1, "/opt/everest/bin/manager"),
            process(31, 20, "evse_manager:EvseManager"),
            process(30, 20, "ocpp:OCPP"),
            process(32, 20, "/venv/python3", module="iso15118_car",
                    script="/opt/everest/libexec/everest/modules/PyEvJosev/module.py"),
            process(33, 32, "java"),
            process(40, 0, "bash", session=40),
        ],
        "services": [service("nodered"), service("logs"), service("everest", pid=20),
                     service("mosquitto")],
        "everest_log": {"counts": {"up": 1}, "last": {"up": UP, "ocpp-connected": CONNECTED}},
        "supervisor_log": [
            {"kind": "start", "time": NOW - 9000}, {"kind": "start", "time": NOW - 8000},
            {"kind": "boot", "time": NOW - 100}, {"kind": "start", "time": NOW - 99},
        ],
        "cores": {},
        "configured": [["ocpp", "OCPP"], ["evse_manager", "EvseManager"],
                       ["iso15118_car", "PyEvJosev"]],
        "mqtt": {
            f"{api}/evse_manager/var/session_info": json.dumps(SESSION),
            f"{api}/evse_manager/var/powermeter": '{"power_W": {"total": 2.0}}',
            f"{api}/ocpp/var/connection_status": "connected",
            f"{api}/errors/var/active_errors": "[]",
        },
    }  # fmt: skip


def look(document: dict[str, Any], **about: Any) -> ChargerStatus:  # noqa: ANN401
    return running(facts(**about), msgspec.convert(document, Probe))


def everest_of(status: ChargerStatus) -> Any:  # noqa: ANN401
    assert status.everest is not None
    return status.everest


def test_a_healthy_charger() -> None:
    status = look(healthy())
    assert (status.verdict, status.reasons, status.gaps) == ("healthy", (), ())
    assert [module.id for module in status.modules] == ["ocpp", "evse_manager", "iso15118_car"]
    assert status.modules[2].type == "PyEvJosev"
    assert status.orphans == ()
    assert [each.name for each in status.services] == ["mosquitto", "everest", "nodered", "logs"]
    everest = everest_of(status)
    assert (everest.state, everest.expected, everest.missing) == ("up", 3, ())
    # starts before supervisord's last one are of an earlier run of the container
    assert everest.restarts == 0
    assert (status.ocpp.state, status.ocpp.since) == ("connected", NOW - 80)
    (connector,) = status.connectors
    assert (connector.state, connector.power, connector.energy) == ("Charging", 2.0, 5.0)


def test_a_charger_of_which_nothing_is_known_but_the_time() -> None:
    status = look({"now": NOW, "errors": {"processes": "no /proc", "client": "no such file"}})
    assert everest_of(status).state == "unknown"
    assert not status.cores_complete
    assert status.ocpp.state == "unknown"
    parts = [(gap.part, gap.reason) for gap in status.gaps]
    assert parts == [("processes", "no /proc"), ("MQTT", "no such file")]


def test_services_that_do_not_run() -> None:
    document = healthy()
    document["services"] = [
        service("mosquitto", "EXITED", pid=0, stop=NOW - 3, exitstatus=1),
        service("everest", "STARTING"),
        service("nodered", "FATAL", pid=0, spawnerr="can't find command"),
        service("logs", "BACKOFF", pid=0, stop=NOW - 1, exitstatus=-1),
        service("odd", ""),
    ]
    document["errors"] = {"mqtt": "Error: Connection refused"}
    del document["mqtt"]
    status = look(document)
    assert status.verdict == "degraded"
    assert status.reasons == (
        "mosquitto is exited (exit code 1)",
        "nodered is fatal (can't find command)",
        "logs is backoff (ended by a signal)",
        "odd is in an unknown state",
    )
    assert status.services[0].since == NOW - 3


def test_supervisord_and_broker_that_do_not_answer() -> None:
    document = healthy()
    document["errors"] = {"services": "timed out", "mqtt": "Error: Connection refused"}
    del document["services"], document["mqtt"]
    assert look(document).reasons == (
        "supervisord does not answer: timed out",
        "the MQTT broker does not answer: Error: Connection refused",
    )


def test_a_silent_api_and_a_failing_health_check() -> None:
    document = healthy()
    document["mqtt"] = {}
    status = look(document, health="unhealthy")
    assert status.reasons == (
        "EVerest's API says nothing on MQTT",
        "the container's health check fails",
    )
    assert status.connectors[0].state == ""


def without_manager(document: dict[str, Any]) -> dict[str, Any]:
    document["processes"] = document["processes"][:1]
    return document


def test_everest_that_was_just_started() -> None:
    document = healthy()
    document["everest_log"] = {}
    status = look(document, started=NOW - 10)
    assert (status.verdict, status.reasons) == ("starting", ("EVerest is starting",))
    assert look(document).verdict == "degraded"  # after so long


def test_everest_that_crashed() -> None:
    document = without_manager(healthy())
    crash = {"time": NOW - 4, "text": "Module ocpp exited unexpectedly, terminating remaining"}
    document["everest_log"] = {"counts": {"up": 2, "crash": 2}, "crashes": [crash]}
    document["supervisor_log"].append({"kind": "start", "time": NOW - 2})
    status = look(document, started=NOW - 50)
    assert (status.verdict, status.reasons) == (
        "degraded",
        ("EVerest does not run: ocpp crashed 4 s ago",),
    )
    everest = everest_of(status)
    assert (everest.restarts, everest.crashes, everest.last_crashed) == (1, 2, "ocpp")
    assert status.ocpp.state == "disconnected"
    document["services"][2]["statename"] = "BACKOFF"  # then that is the reason
    assert look(document).reasons == ("everest is backoff",)


def test_a_crash_of_a_module_without_a_name_and_one_long_ago() -> None:
    document = without_manager(healthy())
    crash = {"time": NOW - 4, "text": "?"}
    document["everest_log"] = {"counts": {"crash": 1}, "crashes": [crash]}
    assert look(document).reasons == ("EVerest does not run: a module crashed 4 s ago",)
    crash["time"] = NOW - 4000
    assert look(document).reasons == ("EVerest does not run",)


def test_missing_modules() -> None:
    document = healthy()
    document["configured"] += [[f"more_{at}", "X"] for at in range(6)]
    status = look(document)
    assert status.reasons == ("more_0, more_1, more_2, more_3 and 2 more do not run",)
    document["configured"] = document["configured"][:4]
    assert look(document).reasons == ("more_0 does not run",)


def test_orphans_are_modules_that_the_manager_did_not_start() -> None:
    document = healthy()
    document["processes"] += [
        process(50, 1, "auth:Auth", state="T"),
        process(51, 50, "helper", comm="helper"),
        process(52, 1, "gone:Gone", state="Z"),
        process(53, 54, "", comm="round"),
        process(54, 53, "", comm="about"),
    ]
    status = look(document)
    assert [(each.id, each.type) for each in status.orphans] == [
        ("auth", "Auth"), ("helper", ""), ("round", ""), ("about", "")]  # fmt: skip
    assert status.orphans[0].state == "stopped"
    assert status.reasons == ("left over from a manager that ended: auth, helper, round, about",)


def test_what_the_start_script_runs_is_no_orphan() -> None:
    document = without_manager(healthy())
    document["processes"] += [process(20, 1, "/bin/sh"), process(21, 20, "sleep")]
    assert look(document).orphans == ()
    document["services"] = None
    assert [each.pid for each in look(document).orphans] == [20, 21]


def test_errors_and_faults() -> None:
    document = healthy()
    document["mqtt"]["everest_api/evse_manager/var/session_info"] = json.dumps(
        {"state": "Error", "permanent_fault": True}
    )
    del document["mqtt"]["everest_api/evse_manager/var/powermeter"]
    status = look(document)
    assert status.reasons == ("a connector has a permanent fault",)
    assert status.connectors[0].power is None
    document["mqtt"]["everest_api/errors/var/active_errors"] = '[{"type": "a/B"}]'
    assert look(document).reasons == ("EVerest has raised an error: a/B",)


# -- OCPP


@pytest.mark.parametrize(
    ("live", "last", "state", "error"),
    [
        ("disconnected", {"ocpp-error": REFUSED, "ocpp-failed": FAILED}, "disconnected",
         "nothing takes connections there (conn fail: ECONNREFUSED)"),
        ("", {"ocpp-error": REFUSED, "ocpp-failed": FAILED}, "disconnected",
         "nothing takes connections there (conn fail: ECONNREFUSED)"),
        ("", {"ocpp-connected": CONNECTED}, "connected", ""),
        ("", {"ocpp-connected": CONNECTED, "ocpp-closed": CLOSED}, "disconnected",
         "the connection was closed"),
        ("", {"ocpp-close": {"time": NOW - 9, "text": "Websocket peer initiated close with x"}},
         "unknown", "Websocket peer initiated close with x"),
        ("", {"ocpp-connected": {"time": NOW - 500, "text": "of an earlier start"}}, "unknown", ""),
        ("", {"ocpp-connected": {"text": "without a time"}}, "unknown", ""),
        ("nonsense", {}, "unknown", ""),
    ],
)  # fmt: skip
def test_the_link(live: str, last: dict[str, Any], state: str, error: str) -> None:
    document = healthy()
    document["everest_log"]["last"] = {"up": UP, **last}
    document["mqtt"]["everest_api/ocpp/var/connection_status"] = live
    link = look(document).ocpp
    assert (link.state, link.error) == (state, error)


def test_the_configuration_of_the_link_has_no_password() -> None:
    environment = {"OCPP_URL": "wss://me:s3cret@csms:9/x", "OCPP_VERSION": "2.1", "OCPP_ID": "A"}
    link = look(healthy(), environment={**environment, "OCPP_PASSWORD": "s3cret"}).ocpp
    assert (link.url, link.version, link.id) == ("wss://csms:9/x", "2.1", "A")
    assert look(healthy(), environment={"OCPP_URL": ""}).ocpp.url == "ws://localhost:9000"


@pytest.mark.parametrize(
    "url",
    ["ws://u:s3cret@h", "u:s3cret@h", "ws://u:s3/cret@h", "ws://[u:s3cret@h", "u:s3cret@://h"],
)
def test_no_form_of_an_address_gives_a_password_away(url: str) -> None:
    assert "s3" not in without_account(url)
    assert "h" in without_account(url)


# -- charging


def test_every_connector_with_its_own_car() -> None:
    document = healthy()
    document["configured"] = [
        ["evse_manager", "EvseManager"],
        ["car", "EvManager"],
        ["second", "EvseManager"],
    ]
    document["mqtt"]["everest_api/car/var/ev_info"] = '{"soc": 30.4}'
    document["mqtt"]["everest_api/second/var/session_info"] = '{"state": "Unplugged"}'
    first, second = look(document).connectors
    assert (first.number, first.soc) == (1, 30.4)
    assert (second.number, second.module, second.state, second.soc) == (
        2,
        "second",
        "Unplugged",
        None,
    )


def test_connectors_without_a_configuration() -> None:
    document = healthy()
    del document["configured"]
    assert [each.module for each in look(document).connectors] == ["evse_manager"]


# -- doors


def test_urls_of_published_ports() -> None:
    ports = (
        PortBinding(inside=1880, address="0.0.0.0", port=8080),
        PortBinding(inside=1880, address="::", port=8080),
        PortBinding(inside=1884, address="fd00::1", port=1883),
        PortBinding(inside=22, address="127.0.0.1", port=22),
    )
    assert [url.url for url in look(healthy(), ports=ports).urls] == [
        "http://127.0.0.1:8080/ui/",
        "mqtt://[fd00::1]:1883",
    ]


# -- cores


def note(name: str, **changes: Any) -> Note:  # noqa: ANN401
    document = {
        "schema": "evdiag.capture/1", "core": name, "pid": 7, "signal": 11,
        "argv": ["auth:Auth", "--module", "auth"], "crashed_at": "2026-11-23T01:37:02.000Z",
    } | changes  # fmt: skip
    return Note(name=f"{name}.json", text=json.dumps(document))


def cores_of(*files: File, notes: tuple[Note, ...] = (), **about: Any) -> tuple[Core, ...]:  # noqa: ANN401
    found = Cores(files=files, notes=notes, note_count=len(notes))
    document = healthy() | {"cores": msgspec.to_builtins(found)}
    return look(document | about).cores


def test_cores_with_their_notes() -> None:
    named = "core.auth:Auth.7.1795397822"
    (core,) = cores_of(File(name=named, size=9, disk=4), notes=(note(named),))
    assert (core.state, core.signal, core.process, core.size) == (
        "complete", "SIGSEGV", "auth:Auth", 9)  # fmt: skip
    assert core.time is not None
    (cut,) = cores_of(
        File(name=named, size=9), notes=(note(named, truncated=True, error="disk full"),)
    )
    assert (cut.state, cut.error) == ("truncated", "disk full")


@pytest.mark.parametrize(
    ("changes", "process"),
    [
        ({"argv": ["a", "--module", "only"], "executable": None}, "only"),
        ({"argv": ["/opt/everest/bin/manager"]}, "manager"),
        ({"argv": [], "comm": "node"}, "node"),
        ({"argv": []}, "auth:Auth"),
    ],
)
def test_whose_core_it_is(changes: dict[str, Any], process: str) -> None:
    named = "core.auth:Auth.7.1795397822"
    (core,) = cores_of(File(name=named, size=9), notes=(note(named, **changes),))
    assert core.process == process


def test_notes_without_a_core_and_cores_without_a_note() -> None:
    lost = note("core.api:API.2.1", core=None, error="the crashed thread has gone", argv=[])
    other = note("core.api:API.3.1", core=None)
    removed = note("core.api:API.4.1")
    broken = Note(name="core.x.json", text="{")
    unread = Note(name="core.y.json")
    cores = cores_of(
        File(name="core", size=5, time=NOW - 5), File(name="core.z.1.2", size=0, time=NOW - 6),
        notes=(lost, other, removed, broken, unread),
    )  # fmt: skip
    assert [(core.name, core.state, core.process, core.error) for core in cores] == [
        ("core", "complete", "", ""),
        ("core.z.1.2", "empty", "z", ""),
        ("core.api:API.3.1.json", "none", "auth:Auth", "no core was written"),
        ("core.api:API.2.1.json", "none", "api:API", "the crashed thread has gone"),
    ]


def test_cores_that_are_being_written() -> None:
    name = ".core.auth:Auth.7.1795397822.part"
    fresh, old = cores_of(File(name=name, time=NOW - 1), File(name=name, time=NOW - 100),
                          File(name=".core.auth:Auth.7.1.json.part", time=NOW))  # fmt: skip
    assert (fresh.state, fresh.process, fresh.error) == ("writing", "auth:Auth", "")
    assert (old.state, old.error) == ("truncated", "its writer was ended before it was done")


# -- containers that do not run, or give no answer


def test_a_stopped_charger() -> None:
    status = stopped(facts(state="exited", exit_code=0, finished=NOW), Cores(), NOW)
    assert (status.verdict, status.reasons, status.exit_code) == ("stopped", (), 0)
    assert status.cores_complete
    assert status.everest is None


@pytest.mark.parametrize(
    ("about", "reason"),
    [
        ({"exit_code": 137, "oom_killed": True}, "the kernel killed it: out of memory"),
        ({"exit_code": 137}, "it was killed (SIGKILL)"),
        ({"exit_code": 2}, "its environment was refused: `evdiag logs` names each mistake"),
        ({"exit_code": 128, "error": "port taken"}, "the engine says: port taken"),
        ({"state": "paused"}, "`docker unpause everest` lets it go on"),
        ({"state": "created"}, "it was never started: `docker start everest`"),
    ],
)
def test_why_a_charger_does_not_run(about: dict[str, Any], reason: str) -> None:
    status = stopped(facts(**({"state": "exited"} | about)), None, NOW, [Gap(part="x", reason="y")])
    assert status.reasons == (reason,)
    assert status.verdict == about.get("state", "stopped")
    assert not status.cores_complete
    assert status.gaps == (Gap(part="x", reason="y"),)


def test_a_core_half_written_in_a_stopped_charger_stays_so() -> None:
    found = Cores(files=(File(name=".core.a.1.2.part", time=NOW),), left_out=3)
    status = stopped(facts(state="exited"), found, NOW)
    assert status.cores[0].state == "truncated"
    assert not status.cores_complete


def test_a_charger_that_gives_no_answer() -> None:
    status = unanswered(facts(), "python3 is missing", NOW)
    assert status.verdict == "degraded"
    assert status.reasons == ("nothing can be seen inside of it: python3 is missing",)
    assert not status.cores_complete
