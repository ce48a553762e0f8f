"""What the wire tests share: the real SDK talks to a server of ours on a socket."""

import copy
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evdiag.adapters.docker.engine import ContainerEngine, connect
from tests.cli.conftest import evdiag  # noqa: F401 # a fixture
from tests.support.wire import WireServer, chunked, frame, recorded, refusal, reply, serving

ID = "c0ffee" + "0" * 58
"""Of the container that `there` is."""
FOREIGN = ("DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_TLS", "DOCKER_CERT_PATH")


@pytest.fixture(autouse=True)
def home(clean_environment: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty home: nobody's contexts, logins and proxies."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("DOCKER_CONFIG", str(folder / ".docker"))
    monkeypatch.setenv("EVDIAG_ENGINE_TIMEOUT", "5")
    monkeypatch.chdir(folder)
    for name in FOREIGN:
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def path() -> Iterator[Path]:
    """Where a socket can be: the path of one must be short."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "engine.sock"


@pytest.fixture
def server(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WireServer]:
    """An engine that knows its version, and what a test tells it."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    with serving(path) as started:
        yield started


@pytest.fixture
def engine(server: WireServer) -> Iterator[ContainerEngine]:
    """evdiag's end of the connection."""
    connected = connect()
    yield connected
    connected.close()


@pytest.fixture
def there(server: WireServer) -> WireServer:
    """A container that has ended, with nothing in it but what a test puts there."""
    document: dict[str, Any] = copy.deepcopy(recorded("20.10")["inspect"].body)
    document.update(Id=ID, Name="/garage")
    document["State"].update(Status="exited", Running=False)
    document["Mounts"] = []
    server.on("/archive", refusal("Could not find the file", 404))
    server.on("HEAD .*/archive", reply(b"", 404))
    server.on(f"/containers/({ID}|garage)/json", reply(document))
    server.on("/info$", reply(recorded("20.10")["info"].body))
    server.on("/events", reply(b""))
    server.on("/images/.*/json", reply({"Id": "sha256:1"}))
    server.on("/changes", reply([]))
    server.on("/logs", chunked(frame(b"2026-11-23T04:00:00.000000000Z it died\n")))
    return server
