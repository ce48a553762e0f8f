"""A secret in every place where a charger may have one: none comes out, in a bundle or a report."""

import contextlib
import hashlib
import json
import signal
import subprocess
import tarfile
import uuid
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support.charger import docker
from tests.support.core_files import await_end, check_cores_possible, start, take_core
from tests.support.crasher_build import cache_directory, locked, run
from tests.support.evdiag_command import evdiag
from tests.support.planted import CLOCK, LOOKALIKES, PLACES, is_in

pytestmark = pytest.mark.docker

SOURCE = """
#include <cstdlib>
#include <stdexcept>
#include <string>
struct Login { std::string user; std::string password; };
static void refuse(const Login& login, const std::string& id_token, const std::string& url) {
    std::string header = "Authorization: Basic " + std::string(std::getenv("C"));
    throw std::runtime_error("refused: password=" + login.password + " at " + url + ", " + header);
}
int main(int, char**) {
    refuse({"cp1", std::getenv("A")}, std::getenv("B"), "wss://cp1:" + std::string(std::getenv("D"))
           + "@csms.example/ocpp");
}
"""
OF_PROCESS = {
    "A": "PlantP1-what", "B": "PLANTP2IDTOKEN", "C": "Y3AxOlBsYW50UDMtYmFzaWM=",
    "D": "PlantP4-url", "OCPP_PASSWORD": "PlantP5-env",
}  # fmt: skip
ARGUMENTS = ("--password", "PlantP6-argv", "--api-key=PlantP7-argv")
IN_PROCESS = (*OF_PROCESS.values(), "PlantP3-basic", "PlantP6-argv", "PlantP7-argv")
WHEN = 1795386933.5
"""In seconds since 1970: in the midst of the planted messages, so that the timeline shows some."""
FOLDERS = {"config": "/run/everest", "logs": "/var/log/supervisor", "everest": "/tmp/everest-logs"}


class Told(NamedTuple):
    """A bundle, and the texts of all reports on it."""

    bundle: Path
    reports: dict[str, str]


def crashed(folder: Path) -> Path:
    """A core of a program that dies with secrets in all of its values."""
    check_cores_possible()
    program = cache_directory() / f"planted-{hashlib.sha256(SOURCE.encode()).hexdigest()[:16]}"
    with locked(program.with_suffix(".lock")):
        if not program.exists():
            source = program.with_suffix(".cpp")
            source.write_text(SOURCE)
            run(["g++", "-g", "-O0", str(source), "-o", str(program)])
    process = start(str(program), [str(program), *ARGUMENTS], folder, OF_PROCESS)
    assert await_end(process).status == -signal.SIGABRT
    return take_core(process.pid, folder, WHEN, folder / "core.planted.1.1")


def files() -> Iterator[tuple[str, str]]:
    """(path in the container, text) of everything that is planted as a file."""
    logs: dict[str, str] = {}
    for number, place in enumerate(PLACES):
        top, _, name = place.file.partition("/")
        if place.file == "logs/everest.log":
            logs.setdefault("everest.log", "")
            logs["everest.log"] += place.text.rstrip("\n") + "\n"
        elif top == "everest":
            kind, _, own = name.partition("/")
            yield f"{FOLDERS[top]}/{kind}/{number}-{own}", place.text
        elif top == "config":
            yield f"{FOLDERS[top]}/{number}-{name}", place.text
    logs["everest.log"] += "".join(f"{text}\n" for text in LOOKALIKES)
    for name, text in logs.items():
        yield f"{FOLDERS['logs']}/{name}", text


def packed(core: Path) -> bytes:
    """All files and the core as a tar for the container's root."""
    made = BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for path, text in files():
            member = tarfile.TarInfo(path.lstrip("/"))
            content = text.encode()
            member.size, member.mtime, member.mode = len(content), int(WHEN), 0o644
            tar.addfile(member, BytesIO(content))
        member = tar.gettarinfo(core, "tmp/everest-logs/core.planted.1.1")
        member.mtime = WHEN
        with core.open("rb") as file:
            tar.addfile(member, file)
    return made.getvalue()


@contextlib.contextmanager
def container(image: str, core: Path) -> Iterator[str]:
    """A container with all of it: files, environment, labels, command line, output."""
    name = f"evdiag-test-{uuid.uuid4().hex[:12]}"
    stamped = "".join(place.text for place in PLACES if place.file == "logs/output.log")
    printed = stamped.replace(CLOCK, "")  # the engine puts its own time before each line
    program = "import sys, time; print(sys.argv[1], flush=True); time.sleep(600)"
    said = docker(
        "create", "--name", name, "-e", "OCPP_PASSWORD=Plant16, with", "-e", "OCPP_ID=cp001",
        "-e", "DASHBOARD_PASSWORD=Plant62 of dash",
        "--label", "com.example.api-key=Plant18label", "--entrypoint", "python3", image,
        "-c", program, printed, "--password", "Plant17cmd",
    )  # fmt: skip
    try:
        assert said.code == 0, said.err
        subprocess.run(
            ["docker", "cp", "-", f"{name}:/"], input=packed(core), check=True, timeout=60
        )
        assert docker("start", name).code == 0
        yield name
    finally:
        docker("rm", "-f", "-v", name)


@pytest.fixture(scope="module")
def told(image: str, tmp_path_factory: pytest.TempPathFactory) -> Told:
    """Collected once, and reported on in every format, with the values of all variables."""
    folder = tmp_path_factory.mktemp("planted")
    with container(image, crashed(folder)) as name:
        bundle = folder / "bundle"
        archive = folder / "bundle.tar.zst"
        said = evdiag("collect", "--name", name, "-o", str(bundle), "--archive", str(archive))
        assert said.code == 0, said.err
        bare = evdiag("collect", "--name", name, "-o", str(folder / "bare"), "--no-cores")
        assert bare.code == 0, bare.err
    reports = {"said by collect": said.err + bare.err}
    for target in (bundle, archive, bundle / "cores/core.planted.1.1"):
        for form in ("terminal", "markdown", "json"):
            report = evdiag("backtrace", str(target), "--format", form)
            assert report.code == 0, report.err
            reports[f"{target.name} {form}"] = report.out + report.err
    explained = evdiag("backtrace", str(bundle), "--explain-signature")
    return Told(bundle, {**reports, "signature": explained.out})


def texts(bundle: Path) -> Iterator[tuple[str, str]]:
    """Name and content of everything but the memory of processes and the programs."""
    for path in sorted(bundle.rglob("*")):
        name = path.relative_to(bundle).as_posix()
        yield "names", name
        if path.is_file() and not name.startswith(("cores/core.planted", "symbols/")):
            yield name, path.read_text(errors="replace")


def manifest(bundle: Path) -> Any:  # noqa: ANN401
    return json.loads((bundle / "manifest.json").read_text())


def test_no_secret_is_in_a_bundle(told: Told) -> None:
    secrets = {place.place: place.secret for place in PLACES}
    for bundle in (told.bundle, told.bundle.with_name("bare")):
        found = [
            (place, name)
            for name, text in texts(bundle)
            for place, secret in (*secrets.items(), *((each, each) for each in IN_PROCESS))
            if is_in(secret, text)
        ]
        assert not found
        replaced = manifest(bundle)["redaction"]["tokens"]
        assert len(replaced) > 50, "nearly every place was collected"
        kept = {each["path"] for each in manifest(bundle)["files"]}
        assert sum(path.startswith("everest/ocpp/") for path in kept) > 10
        assert sum(path.startswith("config/everest/") for path in kept) > 8


def test_what_only_looks_like_a_secret_stays(told: Told) -> None:
    text = (told.bundle / "logs/everest.log").read_text()
    assert [each for each in LOOKALIKES if f"{each}\n" not in text] == []


def test_no_secret_is_in_a_report(told: Told) -> None:
    secrets = [*(place.secret for place in PLACES), *IN_PROCESS]
    found = [(secret, name) for name, text in told.reports.items() for secret in secrets
             if is_in(secret, text)]  # fmt: skip
    assert not found
    report = json.loads(told.reports["bundle json"])
    assert report["verdict"]["class"] == "uncaught-exception"
    assert report["exception"]["what"].startswith("refused: password=<redacted-")
    assert report["process"]["argv"][1] == "--password"
    assert report["process"]["argv"][2].startswith("<redacted-")
    assert any(event["kind"] == "ocpp" for event in report["timeline"]), "messages are shown"
    values = [each for frame in report["threads"][0]["frames"] for each in frame.get("args", ())]
    assert any(each["name"] == "login" for each in values), "gdb read its variables"


def test_one_secret_has_one_token(told: Told) -> None:
    """In the bundle's files and in all reports on its core, from the folder and the archive."""
    whole = json.loads(told.reports["bundle json"])
    from_archive = json.loads(told.reports["bundle.tar.zst json"])
    assert whole["exception"] == from_archive["exception"]
    tokens = {each["token"] for each in manifest(told.bundle)["redaction"]["tokens"]}
    assert any(token in (told.bundle / "container.json").read_text() for token in tokens)
    assert "key" not in manifest(told.bundle.with_name("bare"))["redaction"]
