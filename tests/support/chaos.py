"""Everything that can go wrong while a bundle is collected, at moments of chance.

    python -m tests.support.chaos --runs 200

A second engine has a container with cores; between it and evdiag is a proxy that counts the bytes
of the answers, and does the harm when a certain one passes. After each run the folder is looked
at: nothing may claim to be whole that is not. Then the same command goes on without harm, and has
to end with everything that the container holds.
"""

import argparse
import contextlib
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from evdiag.adapters.bundle.archive import unpack
from evdiag.adapters.bundle.reader import verify
from evdiag.errors import ExitCode
from evdiag.model.bundle import ARCHIVE_SUFFIX, MANIFEST, PARTIAL, FileEntry, Manifest
from evdiag.model.charger import CORES
from evdiag.model.machine import X86_64
from evdiag.parse.bundle import JOURNAL, read_journal, read_manifest
from tests.support import elfwriter as w
from tests.support.proxy import Proxy
from tests.support.second_engine import (
    ENTRYPOINT,
    OPTIONS,
    SecondEngine,
    second_engine,
    small_image,
)

IMAGE = "evdiag-chaos"
MEMBER = CORES.lstrip("/")
PATIENCE = 4
"""Seconds that evdiag waits for an engine that says nothing; where that is sure, one is enough."""
LONGEST = 60.0
"""Seconds in which evdiag ends, whatever happens to it."""
HARMS = (
    *("container killed", "container removed", "engine killed", "engine held"),
    *("connection reset", "connection ended", "network dead", "network slow"),
    *("evdiag killed", "evdiag interrupted", "evdiag terminated", "disk full"),
)
CODES: Mapping[str, set[int]] = {
    "container killed": {0},
    "container removed": {0, ExitCode.NO_SUCH_CONTAINER},
    "engine killed": {0, ExitCode.ENGINE},
    "engine held": {0},
    "connection reset": {0, ExitCode.ENGINE},
    "connection ended": {0, ExitCode.ENGINE},
    "network dead": {0, ExitCode.ENGINE},
    "network slow": {0},
    "evdiag killed": {0, -signal.SIGKILL},
    "evdiag interrupted": {0, ExitCode.INTERRUPTED, -signal.SIGINT},
    "evdiag terminated": {0, 143, -signal.SIGTERM},
    "disk full": {0, ExitCode.NOT_READY},
}
"""Which codes each harm may end with; 0 where it came too late, or did not matter."""


def contents() -> dict[str, bytes]:
    """What the container has in its folder for cores."""
    rng = random.Random(7)
    found: dict[str, bytes] = {}
    for number, name in enumerate(("evse_manager:EvseManager", "ocpp:OCPP201", "auth:Auth")):
        memory = rng.randbytes(3 << 20) + bytes(1 << 20) + rng.randbytes(1 << 20)
        core = w.core(
            machine=X86_64,
            threads=[w.Thread(registers={"rip": 0x1000, "rsp": 0x2000})],
            siginfo=w.fault(0x18),
            process=w.Process(arguments=f"{name} --prefix /opt"),
            memory=[w.Piece(start=0x10000, data=memory)],
        )
        found[f"core.{name}.{100 + number}.1795000000"] = core
    for name in ("session.log", "ocpp/libocpp_201.log", "ocpp/later.log"):
        line = f"2026-11-23T00:00:00Z {name} a line of no weight\n"
        found[name] = "".join(f"{line[:-1]} {at}\n" for at in range(5_000)).encode()
    return found


def image_of(files: Mapping[str, bytes]) -> bytes:
    """The image with the small program, and with these files."""
    target = io.BytesIO(small_image())
    with tarfile.open(fileobj=target, mode="a") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"{MEMBER}/{name}")
            entry.size, entry.mtime, entry.mode = len(content), 1_795_000_000, 0o600
            archive.addfile(entry, io.BytesIO(content))
    return target.getvalue()


@dataclass(kw_only=True)
class Outcome:
    """What one run came to."""

    seed: int
    harm: str
    code: int = 0
    hit: bool = False
    seconds: float = 0.0
    kept: int = 0
    """Files that the next attempt took over."""
    wrong: list[str] = field(default_factory=list)
    said: str = ""


class Bench:
    """A second engine with a container full of cores, and the proxy before it."""

    def __init__(self, engine: SecondEngine, folder: Path) -> None:
        self.engine, self.folder = engine, folder
        files = contents()
        self.truth = {f"{CORES}/{name}": sha256(data).hexdigest() for name, data in files.items()}
        self.size = sum(map(len, files.values()))
        engine.docker("import", "--change", ENTRYPOINT, "-", IMAGE, data=image_of(files))
        self.images = self._listed("images", "--no-trunc", "--quiet")
        self.proxy = Proxy(folder / "proxy.sock", engine.socket)
        self.proxy.start()
        self.bytes = self._all_bytes()

    def close(self) -> None:
        """Stop the proxy."""
        self.proxy.close()

    def _listed(self, *words: str) -> list[str]:
        return sorted(self.engine.docker(*words).stdout.decode().split())

    def _all_bytes(self) -> int:
        """How much passes while nothing is in the way."""
        outcome = Outcome(seed=0, harm="none")
        with self.container() as name:
            self.proxy.count = 0
            self.collect(outcome, name, self.folder / "first", [], lambda process: None)
        shutil.rmtree(self.folder / "first")
        assert outcome.code == 0, outcome.said
        return self.proxy.count

    @contextlib.contextmanager
    def container(self) -> Iterator[str]:
        """A container that talks, with the files."""
        name = f"chaos-{time.monotonic_ns():x}"
        self.engine.docker("run", "--detach", *OPTIONS, "--name", name, IMAGE, "talk")
        try:
            yield name
        finally:
            self.engine.docker("rm", "-f", name, check=False)

    # -- one run

    def run(self, seed: int, harm: str) -> Outcome:
        """Do one harm at one moment, look at what is left, and go on without harm."""
        rng = random.Random(f"{seed} {harm}")
        outcome = Outcome(seed=seed, harm=harm)
        place = self.folder / f"run-{seed}"
        place.mkdir()
        out = place / "out"
        out.mkdir()
        packed = harm.startswith(("evdiag", "disk")) and rng.random() < 0.5
        words = ["--archive", f"all{ARCHIVE_SUFFIX}"] if packed else ["-o", "all"]
        with contextlib.ExitStack() as stack:
            name = stack.enter_context(self.container())
            if harm == "disk full":
                room = rng.randrange(64 << 10, self.size * 3 // 2)
                _mount(out, room)
                stack.callback(_unmount, out)
            self._harm(rng, harm, outcome, name, out, words)
            self._look(outcome, out, harm)
            self._go_on(outcome, name, out, words)
        shutil.rmtree(place)
        return outcome

    def _harm(
        self, rng: random.Random, harm: str, outcome: Outcome, name: str, out: Path,
        words: list[str],
    ) -> None:  # fmt: skip
        at = rng.randrange(int(self.bytes * 1.02))
        later = rng.choice((0.0, 0.0, 0.0, rng.random() * 0.2))
        lasts = rng.random() * 2
        self.proxy.fault = {
            "connection reset": "reset", "connection ended": "end",
            "network dead": "stall", "network slow": "slow",
        }.get(harm, "")  # fmt: skip
        self.proxy.arm(at)

        def do(process: subprocess.Popen[bytes]) -> None:
            while not self.proxy.reached.wait(0.01):
                if process.poll() is not None:
                    return
            time.sleep(later)  # the moment itself is what is chosen by chance
            outcome.hit = process.poll() is None
            if harm == "container killed":
                self.engine.docker("kill", name, check=False)
            elif harm == "container removed":
                self.engine.docker("rm", "-f", name, check=False)
            elif harm == "engine killed":
                self.engine.crash()
            elif harm == "engine held":
                with self.engine.held():
                    time.sleep(lasts)
            elif harm.startswith("evdiag") and process.poll() is None:
                process.send_signal({
                    "killed": signal.SIGKILL, "interrupted": signal.SIGINT,
                    "terminated": signal.SIGTERM,
                }[harm.split()[1]])  # fmt: skip

        try:
            self.collect(outcome, name, out, words, do)
        finally:
            self.proxy.disarm()
            if harm == "engine killed" and not self.engine.is_up:
                self.engine.start()
        if outcome.code not in CODES[harm]:
            outcome.wrong.append(f"exit code {outcome.code}")

    def collect(
        self, outcome: Outcome, name: str, out: Path, words: list[str],
        meanwhile: Callable[[subprocess.Popen[bytes]], None],
    ) -> None:  # fmt: skip
        """Run `evdiag collect` in a folder."""
        out.mkdir(exist_ok=True)
        process = self._started(name, out, words)
        begun = time.monotonic()
        try:
            meanwhile(process)
            _, err = process.communicate(timeout=LONGEST)
        except subprocess.TimeoutExpired:
            outcome.wrong.append(f"not over after {LONGEST:g} s")
            process.kill()
            _, err = process.communicate()
        outcome.seconds = time.monotonic() - begun
        outcome.code, outcome.said = process.returncode, err.decode(errors="replace")
        if "Traceback" in outcome.said:
            outcome.wrong.append("a traceback")
        if outcome.code > 0 and not outcome.said.strip():
            outcome.wrong.append("it said nothing")

    def _started(self, name: str, out: Path, words: list[str]) -> "subprocess.Popen[bytes]":
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        environment = {
            "PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[2]),
            "HOME": str(home), "DOCKER_HOST": f"unix://{self.proxy.path}",
            "EVDIAG_ENGINE_TIMEOUT": str(1 if self.proxy.fault == "stall" else PATIENCE),
        }  # fmt: skip
        return subprocess.Popen(
            [sys.executable, "-m", "evdiag", "collect", "--name", name, *words],
            cwd=out, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    # -- what must hold

    def _look(self, outcome: Outcome, out: Path, harm: str) -> None:
        """Nothing that is there claims to be more than it is."""
        for entry in sorted(out.iterdir()):
            if entry.is_dir():
                outcome.wrong += self._folder(entry, gone=harm == "container removed")
            elif entry.name.endswith(ARCHIVE_SUFFIX):
                outcome.wrong += self._archive(entry)
            elif not (entry.name.startswith(".") or entry.name.endswith(".part")):
                outcome.wrong.append(f"{entry.name} lies there")
        known = {"out"}
        outcome.wrong += [f"{each.name} outside" for each in out.parent.iterdir()
                          if each.name not in known]  # fmt: skip
        if outcome.code == 0 and not any(
            each.is_dir() or each.name.endswith(ARCHIVE_SUFFIX) for each in out.iterdir()
        ):
            outcome.wrong.append("exit code 0, and no bundle")

    def _folder(self, folder: Path, *, gone: bool = False) -> list[str]:
        """What is wrong with a bundle, or with the begin of one."""
        if not (folder / MANIFEST).is_file():
            some = [path for path in folder.rglob("*") if path.is_file() and path.stat().st_size]
            return [f"{folder.name} without a manifest has {some[:3]}"] if some else []
        manifest = read_manifest((folder / MANIFEST).read_bytes())
        wrong = [f"{folder.name}: {text}" for text in verify(folder, contents=True)]
        if not folder.name.endswith(PARTIAL) and not manifest.complete:
            wrong.append(f"{folder.name} is not complete")
        entries = manifest.files if manifest.complete else tuple(journaled(folder).values())
        wrong += self._untrue(entries)
        if manifest.complete and not gone:
            wrong += self._lacking(manifest)
        return wrong

    def _archive(self, archive: Path) -> list[str]:
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            manifest = unpack(archive, Path(folder))
            wrong = [f"{archive.name}: {text}" for text in verify(Path(folder), contents=True)]
            return [*wrong, *self._untrue(manifest.files), *self._lacking(manifest)]

    def _untrue(self, entries: tuple[FileEntry, ...]) -> list[str]:
        return [
            f"{entry.path} is not what the container has"
            for entry in entries
            if entry.origin in self.truth
            and entry.truncated is None
            and entry.sha256 != self.truth[entry.origin]
        ]

    def _lacking(self, manifest: Manifest) -> list[str]:
        """What is neither there nor told to be missing."""
        have = {entry.origin for entry in manifest.files if entry.truncated is None}
        missing = [origin for origin in self.truth if origin not in have]
        told = [*manifest.problems, *(entry.truncated or "" for entry in manifest.files)]
        return [f"{origin} is missing" for origin in missing] if missing and not any(told) else []

    def _go_on(self, outcome: Outcome, name: str, out: Path, words: list[str]) -> None:
        """The same command, without harm."""
        if self.engine.docker("inspect", name, check=False).returncode != 0:
            if outcome.harm != "container removed":
                outcome.wrong.append("the container is gone")
            self._tidy(outcome, None)
            return
        before = _inodes(out)
        if outcome.harm == "disk full":
            subprocess.run(["mount", "-o", "remount,size=1g", out], check=True, timeout=10)
        if outcome.code != 0:
            again = Outcome(seed=outcome.seed, harm="none")
            self.collect(again, name, out, words, lambda process: None)
            if again.code == ExitCode.USAGE and "already" in again.said:
                again.code = 0  # it was finished when it was hit
            outcome.wrong += [f"second attempt: {text}" for text in again.wrong]
            if again.code != 0:
                outcome.wrong.append(f"second attempt: exit code {again.code}: {again.said}")
        outcome.wrong += [f"after all: {text}" for text in self._whole(out)]
        after = _inodes(out)
        outcome.kept = len(before.items() & after.items())
        if "-o" in words and before.keys() - {key for key, _ in before.items() & after.items()}:
            outcome.wrong.append(f"copied once more: {sorted(before.keys() - after.keys())}")
        self._tidy(outcome, name)

    def _whole(self, out: Path) -> list[str]:
        """What is wrong with the one bundle that there has to be."""
        found = [each for each in out.iterdir() if not each.name.startswith(".")]
        wrong = [f"{each.name} is still there" for each in found if each.name.endswith(PARTIAL)]
        bundles = [each for each in found if not each.name.endswith(PARTIAL)]
        # one that was whole when its packing was broken off stays beside the archive
        if not 1 <= len(bundles) <= 1 + any(each.is_file() for each in bundles):
            wrong.append(f"{len(bundles)} bundles: {[each.name for each in bundles]}")
        for each in bundles:
            wrong += self._folder(each) if each.is_dir() else self._archive(each)
            manifest = each / MANIFEST
            if manifest.is_file():
                origins = {entry.origin for entry in read_manifest(manifest.read_bytes()).files
                           if entry.truncated is None}  # fmt: skip
                wrong += [f"{path} is missing" for path in self.truth if path not in origins]
        return wrong

    def _tidy(self, outcome: Outcome, name: str | None) -> None:
        """Nothing of evdiag's stays in the engine."""
        left = set(self._listed("ps", "--all", "--format", "{{.Names}}")) - {name}
        if left:
            outcome.wrong.append(f"containers are left: {sorted(left)}")
        if self._listed("images", "--no-trunc", "--quiet") != self.images:
            outcome.wrong.append("an image is left")


# -- small things


def journaled(folder: Path) -> dict[str, FileEntry]:
    """The files of an interrupted bundle that are whole, by path."""
    with contextlib.suppress(FileNotFoundError):
        journal = read_journal((folder / JOURNAL).read_bytes().split(b"\n"))
        files = (note.file for note in journal.files.values())
        return {entry.path: entry for entry in files if entry is not None}
    return {}


def _inodes(out: Path) -> dict[str, int]:
    """Cores that are whole, with what shows that they are not written anew."""
    found: dict[str, int] = {}
    for folder in [each for each in out.iterdir() if each.is_dir()]:
        manifest = folder / MANIFEST
        if not manifest.is_file():
            continue
        about = read_manifest(manifest.read_bytes())
        entries = about.files if about.complete else journaled(folder).values()
        for entry in entries:
            if entry.kind == "core" and entry.truncated is None:
                found[entry.path] = (folder / entry.path).stat().st_ino
    return found


def _mount(folder: Path, size: int) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "chaos", folder], check=True,
                   timeout=10)  # fmt: skip


def _unmount(folder: Path) -> None:
    subprocess.run(["umount", "--lazy", folder], check=True, timeout=10)


@contextlib.contextmanager
def bench() -> Iterator[Bench]:
    """All that a run needs."""
    with second_engine() as engine, tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        made = Bench(engine, Path(folder))
        try:
            yield made
        finally:
            made.close()


def main() -> int:
    """Run it, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--harm", action="append", choices=HARMS)
    parser.add_argument("--seconds", type=float, default=1800.0, help="end after so long")
    asked = parser.parse_args()
    harms = asked.harm or HARMS
    outcomes: list[Outcome] = []
    end = time.monotonic() + asked.seconds
    with bench() as made:
        for number in range(asked.runs):
            if time.monotonic() > end:
                break
            outcome = made.run(asked.seed + number, harms[number % len(harms)])
            outcomes.append(outcome)
            if outcome.wrong:
                print(json.dumps(vars(outcome), indent=1), flush=True)
    print(f"{'harm':22} {'runs':>5} {'hit':>4} {'kept':>5} {'slowest':>8}  exit codes, wrong")
    for harm in harms:
        some = [outcome for outcome in outcomes if outcome.harm == harm]
        if some:
            codes = dict(sorted(Counter(each.code for each in some).items()))
            slowest = max(each.seconds for each in some)
            print(
                f"{harm:22} {len(some):5} {sum(each.hit for each in some):4} "
                f"{sum(each.kept for each in some):5} {slowest:7.1f}s  {codes}, "
                f"{sum(bool(each.wrong) for each in some)} wrong"
            )
    return int(any(outcome.wrong for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
