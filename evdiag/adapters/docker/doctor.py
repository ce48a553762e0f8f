"""What doctor runs in a container: the probe, the test crashes, and a container made for them."""

import json
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from evdiag.adapters.docker.errors import translated
from evdiag.adapters.docker.inside import source
from evdiag.errors import ContainerStopped, EngineRefused, EvdiagError, NotReady
from evdiag.model.charger import CORES, TEST_PROCESS, USER
from evdiag.model.doctor import (
    CAPTURE_LIBRARY,
    CORE_WRITER,
    CrashResult,
    InsideFacts,
)
from evdiag.model.signals import SIGABRT, SIGSEGV
from evdiag.parse.doctor import LARGEST, read_crashes, read_inside
from evdiag.parse.output_frames import split_output

if TYPE_CHECKING:
    from evdiag.adapters.docker.engine import ContainerEngine

PREFIX = "/opt/everest"
SUPERVISOR = "/run/supervisor.sock"
PREPARED = "evdiag-doctor: prepared"
LIFE = 600
"""Seconds after which a container made for the checks ends, whatever became of evdiag."""
CRASH_SECONDS = 10.0
ATTACHED = {"Detach": False, "Tty": False}
PIECE = 1 << 16
KILLED = 137
"""Exit code of a program that SIGKILL ended."""
MOMENT = 1.5
"""Seconds."""
PATIENCE = 60.0
"""Seconds for one of our programs: the crash test takes 21 where nothing works."""
KEPT_OUTPUT = 65536
"""Bytes of a container's output that are kept while it starts."""


def probe(engine: "ContainerEngine", container: str, *, is_charger: bool) -> InsideFacts:
    """What can be seen in a running container. Raises ContainerStopped, NoSuchContainer."""
    asked = {
        "cores": CORES,
        "user": USER,
        "prefix": PREFIX,
        "library": CAPTURE_LIBRARY,
        "writer": CORE_WRITER,
        "supervisor": SUPERVISOR if is_charger else "",
    }
    out, error = _run(engine, container, "facts", asked, "root")
    return InsideFacts(error=error) if error else read_inside(out)


def crash(
    engine: "ContainerEngine", container: str, inside: InsideFacts
) -> tuple[CrashResult, ...]:
    """Let two processes crash there as a module would. Raises ContainerStopped, NoSuchContainer."""
    asked = {
        "signals": [SIGSEGV, SIGABRT],
        "manager": f"{PREFIX}/bin/manager",
        "cores": CORES,
        "library": CAPTURE_LIBRARY,
        "name": TEST_PROCESS,
        "pattern": inside.core_pattern,
        "uses_pid": bool(inside.core_uses_pid),
        "seconds": CRASH_SECONDS,
    }
    out, error = _run(engine, container, "crash_test", asked, USER)
    return (CrashResult(error=error),) if error else read_crashes(out)


def _run(
    engine: "ContainerEngine", container: str, program: str, asked: object, user: str
) -> tuple[bytes, str]:
    """(what one of our programs printed, why it did not)."""
    command = ["python3", "-I", "-S", "-c", source(program), json.dumps(asked)]
    try:
        code, out, err = _bounded(engine, container, command, user)
    except EngineRefused as error:  # no such user, no such program: by the engine's version
        return b"", str(error)
    if code == 0:
        return out, ""
    _still_there(engine, container, killed=code in (None, KILLED))
    # the engine's complaint comes on either stream
    lines = (err or out).decode(errors="replace").strip().splitlines()
    return b"", lines[-1] if lines else f"python3 ended with code {code}"


def _still_there(engine: "ContainerEngine", container: str, *, killed: bool) -> None:
    """Raise ContainerStopped or NoSuchContainer where the container is what ended.

    Its programs are killed a moment before the engine says so.
    """
    deadline = time.monotonic() + (MOMENT if killed else 0.0)
    while engine.container(container).is_running:
        if time.monotonic() >= deadline:
            return
        time.sleep(0.05)
    raise ContainerStopped("the container ended while it was looked into")


def _bounded(
    engine: "ContainerEngine", container: str, command: list[str], user: str
) -> tuple[int | None, bytes, bytes]:
    """Run a program that may be anything: it gets a minute, and room for a few megabytes."""
    api, said = engine.api, b""
    deadline = time.monotonic() + PATIENCE
    with translated(f"run python3 in {container[:12]}"):
        made = api.exec_create(container, command, user=user)["Id"]
        url = f"{api.base_url}/v{api.api_version}/exec/{made}/start"
        limits = (api.timeout, PATIENCE)
        # not by the SDK, which loses what comes together with the head of the answer
        with api.post(url, json=ATTACHED, stream=True, timeout=limits) as answer:
            api._raise_for_status(answer)
            for piece in answer.iter_content(PIECE):
                said += piece
                if len(said) > LARGEST or time.monotonic() > deadline:
                    return None, b"", b"its python3 does not come to an end"
        code = api.exec_inspect(made).get("ExitCode")
    return code, *split_output(said)


@contextmanager
def throw_away(engine: "ContainerEngine", image: str, called: str) -> Iterator[str]:
    """The name of a container of an image, with all prepared as for EVerest, but without it.

    `called` is how the user knows the image.

    It is removed when the block is left, and ends by itself should evdiag be killed. Raises
    NoSuchImage, NotReady.
    """
    name = f"{TEST_PROCESS}-{uuid.uuid4().hex[:8]}"
    try:
        try:
            _start(engine, image, name, called, unlimited=True)
        except EvdiagError as error:
            if "rlimit type 4" not in str(error):
                raise
            # the engine may not raise the limit (rootless): the image's capture needs none
            _remove(engine, name)
            _start(engine, image, name, called, unlimited=False)
        yield name
    finally:
        _remove(engine, name)


def _start(
    engine: "ContainerEngine", image: str, name: str, called: str, *, unlimited: bool
) -> None:
    """Start it and wait until the entrypoint has prepared everything."""
    api = engine.api
    labels = {TEST_PROCESS: str(os.getpid())}
    limits = [{"Name": "core", "Soft": -1, "Hard": -1}] if unlimited else []
    wait = ["sh", "-c", f"echo {PREPARED}; exec sleep {LIFE}"]
    with translated(f"start a container of {called}"):
        host = api.create_host_config(auto_remove=True, network_mode="none", ulimits=limits)
        api.create_container(image, wait, name=name, host_config=host, labels=labels)
        output = api.attach(name, stream=True, stdout=True, stderr=True)
        api.start(name)
        said = b""
        for piece in output:
            said = (said + piece)[-KEPT_OUTPUT:]
            if PREPARED.encode() in said:
                return
    lines = said.decode(errors="replace").strip().splitlines()
    reason = lines[-1] if lines else "it said nothing"
    raise NotReady(
        f"a container of {called} ended before it was prepared: {reason}",
        advice="Is it the charger's image? `evdiag build` makes it; --image names another one.",
    )


def _remove(engine: "ContainerEngine", name: str) -> None:
    # whoever cannot remove it now need not: it goes when it ends
    with suppress(EvdiagError), translated(f"remove {name}"):
        engine.api.remove_container(name, force=True, v=True)


def clock_skew(engine: "ContainerEngine") -> float | None:
    """Seconds by which the engine's clock is ahead: nothing within what asking took."""
    before = time.time()
    told = engine.facts().time
    after = time.time()
    if told is None:
        return None
    if before <= told <= after:
        return 0.0
    return told - after if told > after else told - before
