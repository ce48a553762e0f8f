"""The real EVerest crashes: the core is there, evdiag tells why, and EVerest comes back."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from evdiag.cli import main
from tests.everest.conftest import Station, stations
from tests.everest.crash_cases import CASES, OCSP, CrashCase
from tests.support.charger import CORES
from tests.support.core_files import CORE_PATTERN
from tests.support.crasher_build import cache_directory, locked
from tests.support.csms import Message, requests
from tests.support.real_charger import RealCharger

pytestmark = [pytest.mark.everest, pytest.mark.timeout(600)]

SOURCES = "/usr/src/everest"
BACK_SECONDS = 60.0
"""On a machine that has nothing else to do it is 10, or up to 30 after many crashes in a row."""
OCSP_ACTION = "GetCertificateStatus"

Report = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Crash:
    """What one crash left: the core's name, what the capture says of it, evdiag's report."""

    name: str
    facts: Report
    report: Report


@pytest.fixture(scope="module")
def crasher(image: str) -> Iterator[Station]:
    """A charger of OCPP 2.0.1 where the kernel may not write cores itself."""
    with stations(image) as start:
        station = start("2.0.1", arguments=("--ulimit", "core=0"))
        station.charger.wait_up()
        station.wait_booted()
        yield station


@pytest.fixture
def crash(
    crasher: Station, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[[Callable[[], None]], Crash]:
    """Do something that crashes the charger, wait until it is back, and read the new core."""
    charger = crasher.charger

    def run(trigger: Callable[[], None]) -> Crash:
        before, since, said = charger.cores(), charger.log.mark(), crasher.csms.messages.mark()
        trigger()
        charger.wait_back(since=since, seconds=BACK_SECONDS)
        crasher.wait_booted(since=said)
        (name,) = charger.cores() - before
        core = charger.copy(f"{CORES}/{name}", tmp_path / name)
        facts = json.loads(charger.copy(f"{CORES}/{name}.json", tmp_path / "facts").read_text())
        charger.copy("/var/log/supervisor/everest.log", tmp_path / "logs/everest.log")
        sysroot = mapped_files(charger, core, tmp_path / "root", capsys)
        logs = ("--log", str(tmp_path / "logs"))
        report = evdiag(capsys, str(core), "--sysroot", str(sysroot), *logs)
        return Crash(name=name, facts=facts, report=report)

    return run


def evdiag(capsys: pytest.CaptureFixture[str], *arguments: str) -> Report:
    """What `evdiag backtrace` reports on one core."""
    capsys.readouterr()
    code = main(["backtrace", *arguments, "--values", "none", "--format", "json"])
    said = capsys.readouterr()
    assert code == 0, said.err
    document = json.loads(said.out)
    assert isinstance(document, dict), f"{len(document)} reports on one crash"
    return document


def mapped_files(
    charger: RealCharger, core: Path, root: Path, capsys: pytest.CaptureFixture[str]
) -> Path:
    """Copy the files that a core maps out of the container, to where --sysroot finds them."""
    for module in evdiag(capsys, str(core))["modules"]:
        if module["path"].startswith("/"):
            charger.copy(module["path"], root / module["path"].lstrip("/"))
    return root


def line_of(charger: RealCharger, case: CrashCase) -> int:
    """Where the code of a case stands in the image's sources."""
    path = f"{SOURCES}/everest/{case.file}"
    (found,) = charger.run("grep", "-nF", case.code, path).splitlines()
    return int(found.partition(":")[0])


def frame_to_look_at(report: Report) -> Report:
    """The frame that the verdict points at."""
    (crashed,) = (thread for thread in report["threads"] if thread["crashed"])
    (frame,) = (f for f in crashed["frames"] if f["level"] == report["verdict"]["frame"])
    found: Report = frame
    return found


def check_capture(crash: Crash, module_id: str, module_type: str, signal: int) -> None:
    """The core is complete, and both its description and evdiag say whose it is."""
    facts, report = crash.facts, crash.report
    assert facts["schema"] == "evdiag.capture/1"
    assert (facts["core"], facts["error"]) == (crash.name, None)
    assert (facts["signal"], facts["truncated"], facts["missing_bytes"]) == (signal, False, 0)
    assert facts["argv"][0] == f"{module_id}:{module_type}"
    assert facts["executable"].endswith(f"/{module_type}/{module_type}")
    assert (report["core"]["truncated"], report["core"]["missing_bytes"]) == (False, 0)
    process = report["process"]
    assert (process["module_id"], process["module_type"]) == (module_id, module_type)
    assert report["signal"]["number"] == signal
    roles = {sibling["module_id"]: sibling["role"] for sibling in report["siblings"]}
    assert roles.pop(module_id) == "first_fault"
    assert len(roles) > 10
    assert set(roles.values()) == {"taken_down"}


def check_case(crash: Crash, case: CrashCase, charger: RealCharger) -> None:
    """The report names the exception and the place in EVerest's own code."""
    (module_id,) = charger.modules(case.module_type)
    check_capture(crash, module_id, case.module_type, 6)
    report = crash.report
    assert report["verdict"]["class"] == "uncaught-exception"
    assert report["exception"]["type"].endswith(case.exception)
    assert case.what in report["exception"]["what"]
    frame = frame_to_look_at(report)
    assert case.function in frame["function"]
    assert (frame["file"], frame["line"]) == (
        f"{SOURCES}/everest/{case.file}",
        line_of(charger, case),
    )


def check_alive(charger: RealCharger) -> None:
    """Each module runs once, as a child of the one manager, and nothing is left over."""
    processes = charger.processes()
    (manager,) = (p for p in processes if p.argv and p.argv[0].endswith("bin/manager"))
    modules = charger.module_processes()
    cxx = {name for name, it in charger.config().items() if it["module"] != "PyEvJosev"}
    assert modules.keys() == cxx
    for name, running in modules.items():
        assert [process.parent for process in running] == [manager.pid], name
    cars = [p for p in processes if p.argv and p.argv[-1].endswith("PyEvJosev/module.py")]
    assert [car.parent for car in cars] == [manager.pid] * len(charger.modules("PyEvJosev"))
    gateways = [process for process in processes if process.argv and "java" in process.argv[0]]
    assert {java.parent for java in gateways} <= {car.pid for car in cars}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_message_that_crashes_a_module(
    case: CrashCase, crasher: Station, crash: Callable[[Callable[[], None]], Crash]
) -> None:
    charger = crasher.charger
    (module_id,) = charger.modules(case.module_type)
    topic = case.topic.format(id=module_id, evse=charger.evse())

    crashed = crash(lambda: charger.mqtt.publish(topic, case.payload))

    check_case(crashed, case, charger)
    check_alive(charger)


def test_a_careless_csms_crashes_the_charger(
    crasher: Station, crash: Callable[[Callable[[], None]], Crash]
) -> None:
    charger, csms = crasher.charger, crasher.csms
    since, logged = csms.messages.mark(), charger.log.mark()

    def bad_answer(message: Message) -> bool:
        return (message.sent, message.action) == (True, OCSP_ACTION)

    with ExitStack() as careless:
        careless.enter_context(csms.answering(OCSP_ACTION, {}))
        assert requests.accepted(crasher.ask(requests.reset("2.0.1")))
        charger.wait_back(since=logged)

        def trigger() -> None:
            csms.messages.wait("the bad answer", bad_answer, since=since, seconds=90)
            careless.close()

        crashed = crash(trigger)

    check_case(crashed, OCSP, charger)
    check_alive(charger)


def test_a_killed_module(crasher: Station, crash: Callable[[Callable[[], None]], Crash]) -> None:
    charger = crasher.charger
    (module_id,) = charger.modules("OCPP201")

    crashed = crash(lambda: charger.kill(module_id))

    check_capture(crashed, module_id, "OCPP201", 11)
    assert crashed.report["verdict"]["class"] == "sent-signal"


@contextmanager
def core_pattern(pattern: str) -> Iterator[None]:
    """Another core_pattern for a while; it is the whole machine's, so one test at a time."""
    with locked(cache_directory() / "core-pattern.lock"):
        was = CORE_PATTERN.read_text()
        CORE_PATTERN.write_text(pattern)
        try:
            yield
        finally:
            CORE_PATTERN.write_text(was)


def test_where_the_kernel_gives_cores_to_a_program_of_the_host(
    crasher: Station, crash: Callable[[Callable[[], None]], Crash]
) -> None:
    charger = crasher.charger
    (module_id,) = charger.modules("EvseManager")

    with core_pattern("|/bin/false"):
        crashed = crash(lambda: charger.kill(module_id, "BUS"))

    check_capture(crashed, module_id, "EvseManager", 7)


def test_crash_after_crash_leaves_nothing_behind(crasher: Station) -> None:
    charger, csms = crasher.charger, crasher.csms
    for module_type in ("EvseV2G", "Auth", "PyEvJosev"):
        since, said = charger.log.mark(), csms.messages.mark()
        (module_id,) = charger.modules(module_type)
        if module_type == "PyEvJosev":
            charger.run("pkill", "-SEGV", "-f", "PyEvJosev/module.py")
        else:
            charger.kill(module_id)
        charger.wait_back(since=since, seconds=BACK_SECONDS)
        crasher.wait_booted(since=said)
    check_alive(charger)
