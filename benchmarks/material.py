"""The program that is measured on, and its cores: written, compiled and crashed on the spot.

The program is large in the way charging software is: many message types, each with containers
and closures of its own, hence more than 100 MB of debug information.
`python -m benchmarks.material` makes everything, or finds it made, and says what it is.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

PROGRAM: Final = Path(__file__).parent / "program"
COMPILER: Final = "g++"
# The last two let the compiler collect garbage less often: a tenth less time for some memory.
FLAGS: Final = (
    *("-std=c++17", "-g3", "-ggdb", "-fPIC", "-pthread"),
    *("--param=ggc-min-expand=400", "--param=ggc-min-heapsize=2000000"),
)
OPTIMISED: Final = frozenset({"crash"})
JOBS: Final = 2

MESSAGES: Final = (
    *("Authorize", "BootNotification", "CancelReservation", "CertificateSigned"),
    *("ChangeAvailability", "ClearChargingProfile", "ClearVariableMonitoring", "CostUpdated"),
    *("DataTransfer", "DeleteCertificate", "FirmwareStatusNotification", "GetBaseReport"),
    *("GetChargingProfiles", "GetCompositeSchedule", "GetLog", "GetTransactionStatus"),
    *("GetVariables", "Heartbeat", "InstallCertificate", "MeterValues", "NotifyEvent"),
    *("NotifyReport", "RequestStartTransaction", "RequestStopTransaction", "ReserveNow"),
    *("Reset", "SecurityEventNotification", "SendLocalList", "SetChargingProfile"),
    *("SetVariables", "SignCertificate", "StatusNotification", "TransactionEvent"),
    "UnlockConnector",
)
FIELDS: Final = (
    ("int", "connector"),
    ("double", "energy"),
    ("std::optional<std::string>", "token"),
    ("std::vector<std::string>", "certificates"),
    ("std::map<std::string, std::vector<int>>", "limits"),
    ("std::optional<std::vector<double>>", "samples"),
    ("std::unordered_map<int, std::string>", "profiles"),
    ("std::variant<std::monostate, int, std::string>", "value"),
    ("std::shared_ptr<std::map<std::string, double>>", "tariff"),
    ("std::set<std::string>", "components"),
    ("std::deque<std::pair<int, std::string>>", "events"),
    ("std::chrono::system_clock::time_point", "timestamp"),
    ("std::array<std::string, 4>", "phases"),
    ("std::tuple<int, std::string, double>", "reading"),
)
FIELDS_PER_MESSAGE: Final = 6
UNITS: Final = ("messages_0", "messages_1", "messages_2", "messages_3")
# Libraries first: the executable is linked with them.
LAYOUT: Final[dict[str, tuple[str, ...]]] = {
    "libstation_core.so": ("waits", "crash"),
    "libstation_messages.so": ("messages_2",),
    "libstation_reports.so": ("messages_3",),
    "station": ("main", "messages_0", "messages_1"),
}
EXECUTABLE: Final = "station"

HEAP_MB: Final = 40
SMALL_HEAP_MB: Final = 4
RESERVED_MB: Final = 4096
FURTHER_CORES: Final = 11
DEADLINE: Final = 120.0


class MaterialError(Exception):
    """The material cannot be made; the message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """Where everything is, and how much it is."""

    directory: str
    executable: str
    core: str
    sparse_core: str
    further_cores: tuple[str, ...]
    build_cpu: float
    debug_mb: dict[str, float]


def default_cache() -> Path:
    """The directory that the material is kept in."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "evdiag-bench"


def make(cache: Path | None = None) -> Material:
    """Makes the material, unless the same was made before."""
    texts = sources()
    directory = (cache or default_cache()).resolve() / key_of(texts)
    record = directory / "material.json"
    if not record.exists():
        shutil.rmtree(directory, ignore_errors=True)
        material = make_in(directory, texts)
        record.write_text(json.dumps(asdict(material), indent=1))
    fields = json.loads(record.read_text())
    return Material(**fields | {"further_cores": tuple(fields["further_cores"])})


def make_in(directory: Path, texts: dict[str, str]) -> Material:
    """Writes the sources, builds the program and lets it crash a few times."""
    check_core_pattern()
    binaries, cores = directory / "bin", directory / "cores"
    for path in (directory / "src", directory / "obj", binaries, cores):
        path.mkdir(parents=True)
    for name, text in texts.items():
        (directory / "src" / name).write_text(text)
    start = cpu_of_children()
    build(directory)
    build_cpu = cpu_of_children() - start
    program, sparse = binaries / EXECUTABLE, cores / "core.sparse"
    crash(program, SMALL_HEAP_MB, RESERVED_MB, sparse)
    check_holes(sparse)
    further = [cores / f"core.{i:02}" for i in range(FURTHER_CORES)]
    return Material(
        directory=str(directory),
        executable=str(program),
        core=str(crash(program, HEAP_MB, 0, cores / "core.full")),
        sparse_core=str(sparse),
        further_cores=tuple(str(crash(program, SMALL_HEAP_MB, 0, path)) for path in further),
        build_cpu=round(build_cpu, 1),
        debug_mb={name: debug_megabytes(binaries / name) for name in LAYOUT},
    )


# ---------------------------------------------------------------- sources


def sources() -> dict[str, str]:
    """All files of the program: those in `program/`, and the generated ones."""
    written = {path.name: path.read_text() for path in sorted(PROGRAM.iterdir())}
    types = [message + kind for message in MESSAGES for kind in ("Request", "Response")]
    parts = {unit: types[i :: len(UNITS)] for i, unit in enumerate(UNITS)}
    units = {f"{unit}.cpp": unit_source(unit, part) for unit, part in parts.items()}
    return written | units | {"units.hpp": units_header()}


def key_of(texts: dict[str, str]) -> str:
    """Changes when anything changes that the material is made from."""
    version = subprocess.run([COMPILER, "--version"], capture_output=True, check=True, text=True)
    parts = (version.stdout, FLAGS, LAYOUT, HEAP_MB, SMALL_HEAP_MB, RESERVED_MB, FURTHER_CORES)
    return hashlib.sha256(json.dumps((parts, texts), sort_keys=True).encode()).hexdigest()[:16]


def message_source(name: str, number: int) -> str:
    """One message type. The number picks its fields."""
    picked = [FIELDS[(number + 3 * i) % len(FIELDS)] for i in range(FIELDS_PER_MESSAGE)]
    fields = "\n".join(f"    {type_} {field}{{}};" for type_, field in picked)
    return f"""
struct {name} {{
    enum class Status {{ accepted, pending, rejected }};
    Status status{{}};
    std::string id;
{fields}
}};
"""


def unit_source(unit: str, types: list[str]) -> str:
    """A translation unit with some message types and everything that is instantiated for them."""
    messages = "".join(message_source(name, number) for number, name in enumerate(types))
    calls = " +\n               ".join(f"exercise<{name}>(context)" for name in types)
    return f"""// Generated by benchmarks/material.py.
#include "handler.hpp"

namespace station::{unit} {{
{messages}
int exercise_unit(Context& context) {{
    std::future<int> result = std::async(std::launch::deferred, [&context] {{
        return {calls};
    }});
    return result.get();
}}

}}  // namespace station::{unit}
"""


def units_header() -> str:
    """What main sees of the generated units."""
    declared = "\n".join(f"namespace {unit} {{ int exercise_unit(Context&); }}" for unit in UNITS)
    calls = " + ".join(f"{unit}::exercise_unit(context)" for unit in UNITS)
    return f"""// Generated by benchmarks/material.py.
#pragma once

#include "station.hpp"

namespace station {{

{declared}

inline int exercise_all(Context& context) {{
    return {calls};
}}

}}  // namespace station
"""


# ---------------------------------------------------------------- compiler


def build(directory: Path) -> None:
    """Compiles all units, the slow ones first, and links them as the layout says."""
    units = UNITS + tuple(unit for part in LAYOUT.values() for unit in part if unit not in UNITS)
    with ThreadPoolExecutor(JOBS) as pool:
        list(pool.map(lambda unit: compile_unit(directory, unit), units))
    for name in LAYOUT:
        link(directory, name)
    shutil.rmtree(directory / "obj")


def compile_unit(directory: Path, unit: str) -> None:
    """One object file."""
    level = "-O2" if unit in OPTIMISED else "-O0"
    command = [COMPILER, *FLAGS, level, "-c", f"{unit}.cpp", "-o", f"../obj/{unit}.o"]
    subprocess.run(command, cwd=directory / "src", check=True)


def link(directory: Path, name: str) -> None:
    """One library, or the executable that finds the libraries next to itself."""
    objects = [f"../obj/{unit}.o" for unit in LAYOUT[name]]
    command = [COMPILER, "-pthread", "-Wl,--build-id", "-o", name, *objects]
    if name == EXECUTABLE:
        command += [library for library in LAYOUT if library != name]
        command += ["-Wl,-rpath,$ORIGIN"]
    else:
        command += ["-shared"]
    subprocess.run(command, cwd=directory / "bin", check=True)


def debug_megabytes(binary: Path) -> float:
    """The size of the debug information in a file."""
    listing = subprocess.run(["size", "-A", binary], capture_output=True, check=True, text=True)
    rows = (line.split() for line in listing.stdout.splitlines())
    return round(sum(int(row[1]) for row in rows if row and row[0].startswith(".debug_")) / 1e6, 1)


def cpu_of_children() -> float:
    """CPU seconds of all processes that were started from here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


# ---------------------------------------------------------------- cores


def check_core_pattern() -> None:
    """Cores are looked for where the kernel puts them by default: in the current directory."""
    pattern = Path("/proc/sys/kernel/core_pattern").read_text().strip()
    if pattern.startswith("|") or "/" in pattern:
        message = (
            f"the kernel sends cores to {pattern!r}; for this benchmark they must be written to "
            "the current directory: sudo sysctl kernel.core_pattern=core"
        )
        raise MaterialError(message)


def allow_cores() -> None:
    """Runs in the child: no limit on the size of its core."""
    resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def crash(program: Path, heap_mb: int, reserved_mb: int, target: Path) -> Path:
    """Runs the program until it crashes and keeps its core as `target`."""
    workplace = target.with_name(target.name + ".d")
    workplace.mkdir()
    command = [str(program), str(heap_mb), str(reserved_mb)]
    done = subprocess.run(
        command, cwd=workplace, preexec_fn=allow_cores, timeout=DEADLINE, check=False
    )
    cores = list(workplace.iterdir())
    if done.returncode != -signal.SIGSEGV or len(cores) != 1:
        message = f"{command}: status {done.returncode}, {len(cores)} cores in {workplace}"
        raise MaterialError(message)
    cores[0].rename(target)
    workplace.rmdir()
    return target


def check_holes(core: Path) -> None:
    """A core of gigabytes is kept only where pages that were never used take no room."""
    if disk_mb(str(core)) > size_mb(str(core)) / 10:
        core.unlink()
        message = f"files in {core.parent} cannot have holes: set XDG_CACHE_HOME to another place"
        raise MaterialError(message)


def size_mb(path: str) -> float:
    """The size of a file."""
    return Path(path).stat().st_size / 1e6


def disk_mb(path: str) -> float:
    """What a file takes on disk: less than its size when it has holes."""
    return Path(path).stat().st_blocks * 512 / 1e6


def describe(material: Material) -> str:
    """A few lines for people."""
    total = sum(material.debug_mb.values())
    binaries = ", ".join(f"{name} {size:.0f}" for name, size in material.debug_mb.items())
    cores = (material.core, material.sparse_core, material.further_cores[0])
    sizes = [f"{core} {size_mb(core):.0f} MB, on disk {disk_mb(core):.0f} MB" for core in cores]
    return "\n".join(
        [
            f"directory  {material.directory}",
            f"build      {material.build_cpu:.0f} s of CPU",
            f"debug info {total:.0f} MB ({binaries})",
            *(f"core       {size}" for size in sizes),
        ]
    )


def main() -> int:
    """Makes the material and says what it is."""
    try:
        sys.stdout.write(describe(make()) + "\n")
    except (MaterialError, subprocess.CalledProcessError) as error:
        sys.stderr.write(f"benchmarks: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
