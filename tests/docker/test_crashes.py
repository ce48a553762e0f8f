"""What is left when something in the container crashes, and how the charger goes on."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Evdiag, evdiag  # noqa: F401 # a fixture
from tests.support.charger import CORES, Charger, await_true, charger

pytestmark = pytest.mark.docker

NO_KERNEL_CORES = ("--ulimit", "core=0")
"""Nor may the container raise that: what is left then was left by the image's own capture."""


@pytest.fixture
def fresh(image: str) -> Iterator[Charger]:
    """A charger to be crashed, under the engine's default seccomp profile."""
    with charger(image, {"EVDIAG_CORES_MAX": "2"}, NO_KERNEL_CORES) as started:
        started.await_starts(1)
        yield started


def files_of(container: Charger, folder: Path) -> Path:
    """Copy what a core was mapped from: the system as the crashed process saw it."""
    root = folder / "root"
    for path in ("opt/everest", "usr/lib", "usr/src/everest", "usr/local/lib/evdiag"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        container.copy(f"/{path}", root / path)
    (root / "lib").symlink_to("usr/lib")
    return root


def test_a_crash_is_kept_and_explained(
    fresh: Charger,
    tmp_path: Path,
    evdiag: Evdiag,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pid = fresh.crash("evse_manager", "null-member-write")
    fresh.await_starts(2)

    (name,) = fresh.cores()
    (report_name,) = fresh.reports()
    assert re.fullmatch(rf"core\.\S+\.{pid}\.\d+", name)
    assert report_name == f"{name}.json"
    report = json.loads(fresh.read(f"{CORES}/{report_name}"))
    assert report["schema"] == "evdiag.capture/1"
    assert (report["core"], report["pid"], report["signal"]) == (name, pid, 11)
    assert report["argv"][0] == "evse_manager:EvseManager"
    assert (report["error"], report["truncated"]) == (None, False)
    assert fresh.output("stat", "-c", "%U %a", f"{CORES}/{name}") == "everest 600\n"

    # the container is dead when somebody looks at it
    fresh.stop()
    core = fresh.copy(f"{CORES}/{name}", tmp_path / name)
    monkeypatch.setenv("EVDIAG_VALUES", "none")
    root = files_of(fresh, tmp_path)
    code, out, _ = evdiag("backtrace", core, "--sysroot", root, "--format", "json")

    assert code == 0
    found = json.loads(out)
    assert found["verdict"]["class"] == "null-write"
    assert found["process"]["module_id"] == "evse_manager"
    frames = found["threads"][0]["frames"]
    assert frames[0]["function"].startswith("charging::")
    assert "book_energy" in frames[0]["function"]
    assert frames[0]["file"] == "/usr/src/everest/crashers/charging.hpp"
    assert frames[0]["line"] > 0
    # the source is in the image: the report shows the line itself
    assert any(line["text"].strip() for line in frames[0]["source"])


def test_everest_comes_back_and_leaves_nothing_behind(fresh: Charger) -> None:
    """Three crashes, of a module and of the manager, come sooner each than it can live."""
    modules = len(fresh.processes("^[a-z0-9_]+:[A-Z]"))
    fresh.crash("ocpp", "abort")
    fresh.await_starts(2, 30)
    fresh.crash("evse_manager", "null-read")
    fresh.await_starts(3, 30)
    fresh.output("kill", "-9", str(fresh.manager()))
    fresh.await_starts(4, 30)

    assert len(fresh.processes("^[a-z0-9_]+:[A-Z]")) == modules
    assert len(fresh.processes("^/opt/everest/bin/manager")) == 1
    log = fresh.log("everest")
    assert re.findall(r"ended (\d) times .* next start is in (\d+) s", log) == [
        ("2", "2"), ("3", "4"),
    ]  # fmt: skip
    assert len(fresh.cores()) == 2, "no more than EVDIAG_CORES_MAX, and none of kill -9"


def test_orphans_that_ignore_sigterm_are_killed(image: str) -> None:
    with charger(image, {"IGNORE_TERM": "1"}, NO_KERNEL_CORES) as container:
        container.await_starts(1)
        (orphan,) = container.processes("PyEvSim/module.py")
        # what somebody looks at the charger with is no orphan
        container.output("sh", "-c", "sleep 600 >/dev/null 2>&1 &", user="everest")
        (visitor,) = container.processes("^sleep 600")

        container.output("kill", "-9", str(container.manager()))
        container.await_starts(2, 30)

        (now,) = container.processes("PyEvSim/module.py")
        assert now != orphan
        assert container.processes("^sleep 600") == [visitor]
        assert container.stop() < 10


def test_no_more_cores_than_allowed(fresh: Charger) -> None:
    """Two may stay: what the series began with, and the newest."""
    pids = []
    for count in range(3):
        pids.append(fresh.crash("ocpp", "null-write"))
        fresh.await_starts(count + 2)

    kept = fresh.cores()
    assert [int(name.split(".")[-2]) for name in kept] == [pids[0], pids[2]]
    assert fresh.reports() == [f"{name}.json" for name in kept]
    newest = json.loads(fresh.read(f"{CORES}/{kept[-1]}.json"))
    assert [int(name.split(".")[-2]) for name in newest["removed"]] == [pids[1]]


def test_without_capture_the_kernel_decides(image: str) -> None:
    """The limit that the entrypoint raised holds for modules; core_pattern says the rest."""
    with charger(image, {"EVDIAG_CAPTURE": "off"}, ("--ulimit", "core=0:-1")) as container:
        container.await_starts(1)
        limits = container.read(f"/proc/{container.manager()}/limits")
        assert re.search(r"^Max core file size +unlimited", limits, re.M)
        environment = container.output(
            "cat", f"/proc/{container.manager()}/environ", user="everest"
        )
        assert "LD_PRELOAD" not in environment
        pid = container.crash("evse_manager", "null-read")
        container.await_starts(2)

        assert container.reports() == []
        assert "evse_manager (signal=11)" in container.log("everest")
        if container.read("/proc/sys/kernel/core_pattern") == "core\n":
            # its working directory is the folder for cores
            left = container.output("ls", CORES).split()
            assert left[0] in ("core", f"core.{pid}")


def test_the_capture_leaves_no_second_core(image: str) -> None:
    with charger(image, {}, ("--ulimit", "core=-1")) as container:
        container.await_starts(1)
        container.crash("ocpp", "null-write")
        container.await_starts(2)

        left = container.output("ls", CORES).split()
        assert len([name for name in left if name.startswith("core")]) == 2, "core and .json"


def test_more_connectors_get_ports_of_their_own(image: str) -> None:
    with charger(image, {"NUM_CONNECTORS": "2"}) as container:
        container.await_starts(1)
        maps = container.output("cat", f"/proc/{container.module('ocpp')}/maps", user="everest")

        assert "/usr/local/lib/evdiag/capture.so" in maps
        assert "/usr/local/lib/evdiag/v2g-ports.so" in maps


def test_a_lost_broker_comes_back_and_so_does_everest(fresh: Charger) -> None:
    (broker,) = fresh.processes("^/usr/sbin/mosquitto")
    fresh.output("kill", "-9", str(broker))
    fresh.await_starts(2, 30)
    fresh.await_healthy()
    assert fresh.cores() == []


def test_old_message_logs_go(image: str) -> None:
    """A crash loop makes three files at each start: the disk must not fill up with them."""
    with charger(image, {}, NO_KERNEL_CORES) as container:
        container.await_starts(1)
        make = (
            f"cd {CORES}/ocpp && for n in $(seq 400); do"
            ' touch -d "2026-01-01 +$n minutes" "old $n.log"; done;'
            f" cd {CORES}/sessions && mkdir a b && head -c 300000000 /dev/zero > a/x"
        )
        container.output("sh", "-c", make, user="everest")
        container.crash("ocpp", "null-read")
        container.await_starts(2)

        names = container.output("ls", f"{CORES}/ocpp").splitlines()
        assert len(names) <= 300
        assert "old 400.log" in names
        assert "old 1.log" not in names
        await_true(lambda: len(container.output("ls", f"{CORES}/sessions").split()) <= 1, "pruned")
