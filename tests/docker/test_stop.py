"""`evdiag stop`, and `evdiag run --replace`: nothing that a charger holds is lost by chance."""

import contextlib
import json
from pathlib import Path

import pytest

from tests.docker.test_run import clear, free_port, names_of, new_name
from tests.support.charger import CRASH_FILE, Charger, await_true, docker
from tests.support.evdiag_command import csms, evdiag

pytestmark = pytest.mark.docker


def test_cores_survive_a_replacement_and_a_stop(image: str, tmp_path: Path) -> None:
    name, folder = new_name(), tmp_path / "cores here"
    with contextlib.ExitStack() as stack:
        stack.callback(clear, name)
        url = f"ws://localhost:{stack.enter_context(csms())}"
        start = ("run", "--name", name, "--image", image, "--port", free_port(),
                 "-e", f"CRASH_FILE={CRASH_FILE}", "--ocpp-url", url)  # fmt: skip
        assert evdiag(*start).code == 0
        charger = Charger(name)
        charger.crash("ocpp", "null-write")
        await_true(lambda: bool(charger.reports()), "a core")

        # -- stopped, and not removed
        said = evdiag("stop", "--name", name, "--remove")
        assert (said.code, said.out) == (3, "")
        assert f"stopped {name}" in said.err
        assert f"{name} holds a core, so it is not removed" in said.err
        assert f"evdiag collect --name {name}" in said.err

        # -- once more: it was stopped already
        again = evdiag("stop", "--name", name)
        assert again.code == 0
        assert f"{name} was not running" in again.err

        # -- settings that are refused bring it back
        refused = evdiag(*start, "--replace", "-e", "NUM_CONNECTORS=0")
        assert refused.code == 2
        assert f"the charger before is {name} again" in refused.err
        assert names_of("containers", name).split() == [name]

        # -- replaced: kept under another name, in the same network
        replaced = evdiag(*start, "--replace", "--cores", folder)
        assert replaced.code == 0, replaced.err
        kept = f"{name}-old-1"
        assert f"it holds cores, so it is kept as {kept}" in replaced.err
        assert str(folder) in "".join(replaced.out.split("\n             "))
        assert docker("cp", f"{kept}:/tmp/everest-logs", str(tmp_path / "copy")).code == 0
        assert list((tmp_path / "copy").glob("core.ocpp:*"))

        # -- the new one writes its cores into the folder, so they are not in the way
        charger.crash("ocpp", "null-write")
        await_true(lambda: bool(list(folder.glob("core.ocpp:*.json"))), "a core in the folder")
        removed = evdiag("stop", "--name", name, "--remove")
        assert removed.code == 0, removed.err
        assert f"removed {name}" in removed.err
        assert "network" not in removed.err, "another charger still has it"
        last = evdiag("stop", "--name", kept, "--remove", "--force")
        assert f"removed the network evdiag-{name}" in last.err
        assert names_of("containers", name) == names_of("networks", name) == ""
        (note,) = folder.glob("core.ocpp:*.json")
        assert json.loads(note.read_text())["signal"]


def test_what_cannot_be_stopped_is_named(image: str) -> None:
    name = new_name()
    docker("create", "--name", name, "debian:bookworm-slim", "true")
    try:
        foreign = evdiag("stop", "--name", name)
        missing = evdiag("stop", "--name", f"{name}-none")
        force = evdiag("stop", "--force")

        assert (foreign.code, missing.code, force.code) == (2, 5, 2)
        assert f"{name} is no charger" in foreign.err
        assert f"there is no container called {name}-none" in missing.err
        assert "--remove" in force.err
    finally:
        docker("rm", "-f", name)
