"""Copies out of a container, into a bundle against `docker cp`: python -m benchmarks.collect

Needed: a container engine and an image with `sleep`, `truncate` and `dd`. One container of its own
holds a file of 2 GB with 300 MB of data in it, as a core has, and one of 500 MB without holes. What
goes into a bundle is hashed on the way, and on the disk at the end; `docker cp` does neither.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measure import Task, Usage, median, progress, run_once
from benchmarks.table import pipe_table
from evdiag.adapters.bundle.writer import BundleWriter
from evdiag.adapters.docker.copy import copied
from evdiag.adapters.docker.engine import connect
from evdiag.model.bundle import Subject
from evdiag.parse.tar import TarMember

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "evdiag-bench-collect"
SPARSE, DENSE = "2 GB with holes", "500 MB without"
FILES = {SPARSE: "/srv/sparse", DENSE: "/srv/dense"}
MAKE = """
truncate -s 2G /srv/sparse
for at in 0 340 680 1020 1360 1700; do
    dd if=/dev/urandom of=/srv/sparse bs=1M count=50 seek=$at conv=notrunc status=none
done
dd if=/dev/urandom of=/srv/dense bs=1M count=500 status=none
"""


def docker(*arguments: str) -> None:
    """Run the docker client; an error ends the benchmark."""
    subprocess.run(["docker", *arguments], check=True, stdout=subprocess.DEVNULL)


@contextlib.contextmanager
def container(image: str) -> Iterator[None]:
    """The container with the files, for as long as the block lasts."""
    try:
        docker("run", "-d", "--name", NAME, "--network", "none", "--entrypoint", "sleep", image,
               "86400")  # fmt: skip
        docker("exec", "-u", "0", NAME, "sh", "-ec", MAKE)
        yield
    finally:
        subprocess.run(["docker", "rm", "-f", NAME], check=False, stdout=subprocess.DEVNULL)


def copy(path: str, target: Path) -> None:
    """Copy one file into a bundle: what is measured, in a process of its own."""
    items = copied(connect(), NAME, path)
    with BundleWriter.begin(target, Subject(name=NAME)) as bundle:
        member = next(items)
        assert isinstance(member, TarMember)
        content = (item for item in items if isinstance(item, bytes))
        bundle.add("cores/core", "core", path, content, original_bytes=member.size)
        bundle.finish()


def used(folder: Path) -> tuple[int, int]:
    """Megabytes of all files of a folder: apparent, and on the disk."""
    found = [path.stat() for path in folder.rglob("*") if path.is_file()]
    return (
        sum(status.st_size for status in found) >> 20,
        sum(status.st_blocks for status in found) >> 11,
    )


def measure(folder: Path, rounds: int) -> Iterator[list[str]]:
    """A row for each file and each way to copy it."""
    out = folder / "out"
    own = (sys.executable, "-m", "benchmarks.collect", "--copy")
    for title, path in FILES.items():
        target = str(out / "copy")
        commands = {
            "docker cp": ("docker", "cp", f"{NAME}:{path}", target),
            "bundle": (*own, path, "--to", target),
        }
        runs: dict[str, list[Usage]] = {name: [] for name in commands}
        sizes: dict[str, tuple[int, int]] = {}
        for number in range(rounds + 1):
            progress(f"{title}: " + (f"round {number} of {rounds}" if number else "warm-up round"))
            for name, command in commands.items():
                shutil.rmtree(out, ignore_errors=True)
                out.mkdir()
                os.sync()  # what the one left to be written must not be paid by the other
                task = Task(name=name, command=command, directory=folder, rounds=1,
                            cache=folder / "cache")  # fmt: skip
                usage = run_once(task)
                if usage.status:
                    sys.exit(f"{name} failed: {task.complaint()}")
                sizes[name] = used(out)
                runs[name] += [usage] if number else []
        base = median(runs["docker cp"])
        for name, usages in runs.items():
            figures = median(usages)
            apparent, stored = sizes[name]
            yield [
                title, name, f"{figures.wall:.2f}", f"{figures.wall / base.wall:.2f}",
                f"{figures.cpu:.2f}", f"{figures.peak_mb:.0f}", f"{apparent:,}", f"{stored:,}",
            ]  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", default="debian:bookworm-slim")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--copy", help=argparse.SUPPRESS)
    parser.add_argument("--to", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.copy:
        copy(options.copy, options.to)
        return
    with tempfile.TemporaryDirectory(prefix="evdiag-bench-") as folder:
        progress("making a container with 2.5 GB of files")
        with container(options.image):
            rows = list(measure(Path(folder), options.rounds))
    heads = ["file", "way", "wall s", "ratio", "CPU s", "peak MB", "MB apparent", "MB on disk"]
    sys.stdout.write(f"{pipe_table(heads, rows)}\n")


if __name__ == "__main__":
    main()
