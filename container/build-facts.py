"""Print as JSON what an EVerest was built from: commits, compiler, flags, modules, dependencies.

    python3 build-facts.py SOURCES BUILD PREFIX

A fact that cannot be told is null. Standard library only: runs in the stage that builds EVerest.
"""

import json
import platform
import re
import subprocess
import sys
from pathlib import Path

SOURCES_FOLDER = "sources folder"
"""What stands for a version where somebody's own source tree was built."""


def said(*command: str) -> str | None:
    """Return the first line that a program prints, or None where it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    except OSError:
        return None
    first = done.stdout.partition("\n")[0].strip()
    return first if done.returncode == 0 and first else None


def cmake_cache(build: Path) -> dict[str, str]:
    """Read name and value of every entry of CMakeCache.txt: `name:type=value`."""
    text = (build / "CMakeCache.txt").read_text(errors="replace")
    return dict(re.findall(r"^([^/#\s][^:\n]*):[A-Z]+=(.*)$", text, re.MULTILINE))


def tree(path: Path) -> dict[str, str | None]:
    """Tell where a source tree comes from; one without git is somebody's own."""
    if not (path / ".git").exists():
        return {"source": SOURCES_FOLDER, "commit": None, "describe": None}
    git = ("git", "-C", str(path))
    # this file is there after `git fetch` of a commit, which is how the image clones
    cloned = (path / ".git/FETCH_HEAD").exists()
    return {
        "source": "clone" if cloned else SOURCES_FOLDER,
        "commit": said(*git, "rev-parse", "HEAD"),
        "describe": said(*git, "describe", "--tags", "--always", "--dirty"),
    }


def wanted_tags(sources: Path) -> dict[str, str]:
    """Return the tag of every dependency in EVerest's dependencies.yaml."""
    text = (sources / "everest/dependencies.yaml").read_text(errors="replace")
    found = re.findall(r"^([\w-]+):\n(?:[ \t]+.*\n)*?[ \t]+git_tag:[ \t]*(\S+)", text, re.MULTILINE)
    return {name: tag.strip("\"'") for name, tag in found}


def dependencies(sources: Path, cache: dict[str, str]) -> dict[str, str]:
    """Return the version of every dependency that went into the build."""
    tags, versions = wanted_tags(sources), {}
    for name in filter(None, cache.get("CPM_PACKAGES", "").split(";")):
        own = Path(cache.get(f"CPM_PACKAGE_{name}_SOURCE_DIR", "")) == sources / name
        versions[name] = SOURCES_FOLDER if own else tags.get(name, "unknown")
    return versions


def python_packages(prefix: Path) -> dict[str, str]:
    """Return the version of every Python package that modules have of their own."""
    folders = prefix.glob("libexec/everest/modules/*/.venv/lib/python3*/site-packages/*-info")
    # egg-info is what an older way of packaging leaves
    wanted = re.compile(r"([^-]+)-(.+?)(?:-py[\d.]+)?\.(?:dist|egg)-info")
    matches = (wanted.fullmatch(folder.name) for folder in sorted(folders))
    return {match[1]: match[2] for match in matches if match}


def facts(sources: Path, build: Path, prefix: Path) -> dict[str, object]:
    """Return everything; the keys are read by `evdiag`."""
    cache = cmake_cache(build)
    modules = prefix / "libexec/everest/modules"
    compiler = cache.get("CMAKE_CXX_COMPILER", "c++")
    return {
        "schema": "evdiag.build/1",
        "architecture": platform.machine(),
        "everest": tree(sources / "everest"),
        "everest_cmake": tree(sources / "everest-cmake"),
        "compiler": said(compiler, "--version"),
        "build_type": cache.get("CMAKE_BUILD_TYPE"),
        "c_flags": cache.get("CMAKE_CXX_FLAGS_DEBUG"),
        "modules": sorted(path.name for path in modules.glob("*") if path.is_dir()),
        "dependencies": dependencies(sources, cache),
        "python_packages": python_packages(prefix),
    }


if __name__ == "__main__":
    json.dump(facts(*(Path(argument) for argument in sys.argv[1:4])), sys.stdout, indent=2)
    sys.stdout.write("\n")
