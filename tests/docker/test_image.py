"""How the image is built: what goes in, what does not, and with which builder."""

import json
import os
import platform
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from evdiag.adapters.container_files import entries
from tests.support.charger import docker, run_to_end
from tests.support.charger_image import CONTAINER, container_context

pytestmark = pytest.mark.docker

RUBBISH = {
    "capture/preload.o": b"of somebody's own make",
    "capture/build/capture.so": b"of another machine",
    "nodered/node_modules/left-pad/index.js": b"throw new Error()",
    "__pycache__/configure.cpython-311.pyc": b"old",
    "notes.txt": b"to do",
    ".env": b"OCPP_PASSWORD=secret",
}
WANTED = {"sources/everest/.git/HEAD": b"ref", "sources/everest/build.o/keep.o": b"theirs"}
SHOW = b"FROM debian:bookworm-slim\nCOPY . /seen/\n"


@pytest.fixture
def name(image: str) -> Iterator[str]:
    """A name for an image that one test makes."""
    made = f"evdiag-test-made:{uuid.uuid4().hex[:12]}"
    yield made
    docker("rmi", made)


def test_rubbish_stays_outside(name: str, tmp_path: Path) -> None:
    context = tmp_path / "container"
    shutil.copytree(CONTAINER, context)
    for path, content in {**RUBBISH, **WANTED, "Dockerfile": SHOW}.items():
        (context / path).parent.mkdir(parents=True, exist_ok=True)
        (context / path).write_bytes(content)

    said = docker("build", "-q", "-t", name, str(context), seconds=120)

    assert said.code == 0, said.err
    sent = {entry.name for entry in entries(context) if not entry.is_folder}
    listing = run_to_end(name, {}, command=["find", "/seen", "-type", "f"]).out.split()
    seen = {path.removeprefix("/seen/") for path in listing}
    # evdiag, which sends a context through a pipe, reads .dockerignore as docker does
    assert seen == sent - {"Dockerfile", ".dockerignore"}
    assert seen >= WANTED.keys()
    assert not seen & RUBBISH.keys()
    # what the Dockerfile copies is there, each by its name
    copied = {word.removesuffix("./") for line in copies() for word in line[:-1]}
    assert all(any(path == word or path.startswith(word) for path in seen) for word in copied)


def copies() -> list[list[str]]:
    """Return source and target words of every COPY of the Dockerfile that reads the context."""
    text = (CONTAINER / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line.split()[1:] for line in text.splitlines() if line.startswith("COPY ")]
    return [line for line in lines if not line[0].startswith("--from")]


def test_buildkit_takes_the_same_file(name: str) -> None:
    """All of it is parsed; the stages that are not needed for the capture are left out."""
    client = "/usr/bin/docker"  # the distribution's: another one on PATH may have no BuildKit
    program = client if Path(client).exists() else shutil.which("docker") or "docker"
    done = subprocess.run(
        [program, "build", "-q", "-t", name, "--target", "capture", "-"],
        input=container_context(), capture_output=True, check=False, timeout=600,
        env={**os.environ, "DOCKER_BUILDKIT": "1"},
    )  # fmt: skip

    assert done.returncode == 0, done.stderr.decode()
    made = run_to_end(name, {}, command=["ls", "/out"]).out.split()
    assert made == ["capture.so", "core-writer", "v2g-ports.so"]


def test_the_facts_of_a_build(tmp_path: Path) -> None:
    """build-facts.py on a small tree: own sources, a clone, a dependency of each kind."""
    sources, prefix = tmp_path / "src", tmp_path / "prefix"
    everest = sources / "everest"
    everest.mkdir(parents=True)
    git = ["git", "-C", str(everest), "-c", "user.name=n", "-c", "user.email=e@example"]
    for words in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "x"], ["tag", "2026.9"]):
        subprocess.run([*git, *words], check=True, timeout=60)
    (everest / "dependencies.yaml").write_text(
        "---\nlibfmt:\n  git: x\n  git_tag: 10.1.0\nryml:\n  git: y\n  options:\n"
        '    - "A B"\n  git_tag: v0.10.0\n'
    )
    (sources / "everest-cmake").mkdir()
    (sources / "build").mkdir()
    (sources / "build/CMakeCache.txt").write_text(
        "//comment\nCMAKE_BUILD_TYPE:STRING=Debug\nCMAKE_CXX_FLAGS_DEBUG:STRING=-O0 -g3\n"
        "CMAKE_CXX_COMPILER:FILEPATH=/no/such/compiler\nCPM_PACKAGES:INTERNAL=libfmt;ryml\n"
        f"CPM_PACKAGE_libfmt_SOURCE_DIR:INTERNAL={sources}/dependencies/libfmt/1\n"
        f"CPM_PACKAGE_ryml_SOURCE_DIR:INTERNAL={sources}/ryml\n"
    )
    info = "libexec/everest/modules/PyEvJosev/.venv/lib/python3.11/site-packages/x-1.2.dist-info"
    other = info.replace("x-1.2.dist-info", "netifaces-0.11.0-py3.11.egg-info")
    (prefix / info).mkdir(parents=True)
    (prefix / other).mkdir()

    arguments = [str(path) for path in (sources, sources / "build", prefix)]
    program = ["python3", str(CONTAINER / "build-facts.py"), *arguments]
    done = subprocess.run(program, capture_output=True, text=True, check=True, timeout=60)

    facts = json.loads(done.stdout)
    commit = facts["everest"].pop("commit")
    assert len(commit) == 40
    assert facts == {
        "schema": "evdiag.build/1",
        "architecture": platform.machine(),
        "everest": {"source": "sources folder", "describe": "2026.9"},
        "everest_cmake": {"source": "sources folder", "commit": None, "describe": None},
        "compiler": None,
        "build_type": "Debug",
        "c_flags": "-O0 -g3",
        "modules": ["PyEvJosev"],
        "dependencies": {"libfmt": "10.1.0", "ryml": "sources folder"},
        "python_packages": {"netifaces": "0.11.0", "x": "1.2"},
    }


def test_the_lock_file_names_no_registry() -> None:
    lock = json.loads((CONTAINER / "nodered/package-lock.json").read_text())
    wanted = json.loads((CONTAINER / "nodered/package.json").read_text())["dependencies"]

    packages = {name: entry for name, entry in lock["packages"].items() if name}
    assert all("resolved" not in entry for entry in packages.values())
    single = [entry for entry in packages.values() if not entry.get("inBundle")]
    assert all(entry["integrity"].startswith("sha512-") for entry in single)
    assert wanted == lock["packages"][""]["dependencies"]
    assert all(packages[f"node_modules/{name}"]["version"] == wanted[name] for name in wanted)
