"""`evdiag logs` against `docker logs` of the same amount: python -m benchmarks.logs --image IMAGE

Needed: a container engine, and the charger's image (any with `cat` does). Two containers of its own
hold the same lines, one in EVerest's log file, one in its output; both are removed at the end.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import subprocess
import sys
import tarfile
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measure import Task, progress, round_robin
from benchmarks.table import pipe_table

if TYPE_CHECKING:
    from collections.abc import Iterator

START = datetime(2026, 11, 22, 1, 0, tzinfo=UTC)
STEP = timedelta(microseconds=43_210)
INFO, WARN = "1;37mINFO", "1;33mWARN"
TEXTS = (
    (INFO, "evse_manager:Ev", "", "CAR ISO V2G CurrentDemandReq"),
    (INFO, "ocpp:OCPP201   ", "", "Processing queued meter value for evse_id: 1"),
    (INFO, "evse_manager:Ev", "", "EVSE ISO V2G CurrentDemandRes"),
    (INFO, "iso15118_charge", "", "TCP server on eth0 is listening on port [fe80::42%143]:61341\n"),
    (INFO, "energy_manager:", "", "Module \x1b[1m\x1b[34menergy_manager\x1b[0m initialized [3ms]"),
    (WARN, "auth:Auth      ", "void module::ReservationHandler::load_reservations()",
     "Can not load reservations because no storage was configured."),
    (INFO, "ocpp:OCPP201   ", "",
     'Received StatusNotificationResponse: {\n    "status": "Accepted",\n    "interval": 60\n}'),
)  # fmt: skip
"""The kinds of lines of a real charger, about as often: one in ten has a colour in its text."""


def lines(size: int) -> Iterator[bytes]:
    """So many bytes of EVerest's log, in blocks."""
    at, made = START, 0
    while made < size:
        some = []
        for _ in range(300):
            for severity, process, function, text in TEXTS:
                at += STEP
                some.append(
                    f"{at:%Y-%m-%d %H:%M:%S.%f} [\x1b[{severity}\x1b[0m] \x1b[1;32m{process}"
                    f"\x1b[0m \x1b[1;36m{function}\x1b[0m \x1b[1;30m:\x1b[0m\x1b[1;32m"
                    f"\x1b[0m: {text}\n"
                )
        block = "".join(some).encode()
        made += len(block)
        yield block


def docker(*arguments: str, file: Path | None = None) -> None:
    """Run the docker client; an error ends the benchmark."""
    with file.open("rb") if file else contextlib.nullcontext() as stream:
        command = ["docker", *arguments]
        subprocess.run(command, check=True, stdin=stream, stdout=subprocess.DEVNULL)


@contextlib.contextmanager
def containers(image: str, megabytes: int, folder: Path) -> Iterator[tuple[str, str]]:
    """Names of two containers: with the lines in a file, and in the output."""
    log, tar = folder / "everest.log", folder / "logs.tar"
    with log.open("wb") as out:
        out.writelines(lines(megabytes * 1_000_000))
    with tarfile.open(tar, "w") as archive:
        directory = tarfile.TarInfo("supervisor")
        directory.type, directory.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(directory, io.BytesIO())
        archive.add(log, "supervisor/everest.log")
    log.unlink()
    names = tuple(f"evdiag-bench-logs-{kind}-{megabytes}" for kind in ("file", "output"))
    command = (("true",), ("cat", "/var/log/supervisor/everest.log"))
    try:
        for name, (program, *arguments) in zip(names, command, strict=True):
            docker("create", "--network", "none", "--name", name, "--entrypoint", program, image,
                   *arguments)  # fmt: skip
            docker("cp", "-", f"{name}:/var/log", file=tar)
            docker("start", "-a", name)
        # this one's file would be shown instead
        empty = folder / "empty.log"
        empty.write_bytes(b"")
        docker("cp", str(empty), f"{names[1]}:/var/log/supervisor/everest.log")
        tar.unlink()
        yield names[0], names[1]
    finally:
        subprocess.run(["docker", "rm", "-f", *names], check=False, stdout=subprocess.DEVNULL)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", default="evdiag/everest:latest")
    parser.add_argument("--evdiag", default=str(Path(sys.executable).with_name("evdiag")))
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="evdiag-bench-")))
        progress(f"making logs of {options.megabytes} MB")
        file, output = stack.enter_context(containers(options.image, options.megabytes, folder))
        few, _ = stack.enter_context(containers(options.image, options.megabytes // 10, folder))
        logs = (options.evdiag, "logs", "--name")
        commands = {
            "docker logs": ("docker", "logs", output),
            "file": (*logs, file),
            "file, --level warning": (*logs, file, "--level", "warning"),
            "file, --grep": (*logs, file, "--grep", "Accepted"),
            "file, --tail 10": (*logs, file, "--tail", "10"),
            "file of a tenth": (*logs, few),
            "output": (*logs, output),
            "output, --tail 10": (*logs, output, "--tail", "10"),
        }
        tasks = [
            Task(name=name, command=command, directory=folder, rounds=options.rounds,
                 cache=folder / "cache")
            for name, command in commands.items()
        ]  # fmt: skip
        figures = round_robin(tasks)
    base = figures["docker logs"]
    rows = [
        [name, f"{used.cpu:.2f}", f"{used.cpu / base.cpu:.2f}", f"{used.wall:.2f}",
         f"{used.wall / base.wall:.2f}", f"{used.peak_mb:.0f}", str(used.status)]
        for name, used in figures.items()
    ]  # fmt: skip
    heads = ["what", "CPU s", "ratio", "wall s", "ratio", "peak MB", "status"]
    sys.stdout.write(f"{pipe_table(heads, rows)}\n")


if __name__ == "__main__":
    main()
