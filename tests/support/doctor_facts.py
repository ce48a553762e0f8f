"""A healthy charger as doctor sees it, and changes of it."""

import msgspec

from evdiag.analyze.checks import diagnose
from evdiag.model.charger import Check, ContainerFacts, EngineFacts, ImageFacts
from evdiag.model.doctor import (
    CrashResult,
    DebugData,
    Debugger,
    Facts,
    FolderFacts,
    HostFacts,
    InsideFacts,
    ProcessFacts,
    ServiceFacts,
)
from evdiag.parse.container import read_core_pattern

__all__ = ["ContainerFacts", "CrashResult", "EngineFacts", "Facts", "FolderFacts", "HostFacts"]
__all__ += ["InsideFacts", "read_core_pattern"]

CORES = "/tmp/everest-logs"
LIBRARY = "/usr/local/lib/evdiag/capture.so"
APPORT = "|/usr/share/apport/apport -p%p -s%s -c%c -d%d -P%P -u%u -g%g -- %E"
SYSTEMD = "|/usr/lib/systemd/systemd-coredump %P %u %g %s %t %c %h"
WSL = "|/wsl-capture-crash %t %E %p %s"
OFF = {"EVDIAG_CAPTURE": "off"}

HEALTHY = ProcessFacts(
    pid=20,
    name="manager",
    uid=1000,
    core_soft=-1,
    core_hard=-1,
    file_hard=-1,
    filter=0x33,
    dumpable=True,
    seccomp=2,
    no_new_privileges=False,
    capabilities=0,
    memory=60 << 20,
    preload=LIBRARY,
)
FOLDER = FolderFacts(
    path=CORES,
    exists=True,
    mode=0o1777,
    uid=0,
    writable=True,
    file_system="overlay",
    total=100 << 30,
    free=50 << 30,
    inodes=1000,
)


def process(**changes: object) -> ProcessFacts:
    """The healthy manager, changed."""
    return msgspec.structs.replace(HEALTHY, **changes)


def folder(**changes: object) -> FolderFacts:
    """The healthy folder for cores, changed."""
    return msgspec.structs.replace(FOLDER, **changes)


INSIDE = InsideFacts(
    core_pattern="core",
    core_uses_pid=0,
    core_pipe_limit=0,
    suid_dumpable=0,
    kernel="6.1.0",
    user_uid=1000,
    init=process(pid=1, name="supervisord", uid=0, dumpable=None, preload=""),
    manager=HEALTHY,
    modules=(process(pid=31, name="ocpp:OCPP201", memory=90 << 20),),
    folder=FOLDER,
    settings={"EVDIAG_CAPTURE": "on"},
    library_exists=True,
    writer_exists=True,
    memory_used=300 << 20,
    cgroup_version=2,
    oom_kills=0,
    ipv6="yes",
    services=(ServiceFacts(name="everest", state="RUNNING"),),
    debug=(
        DebugData(
            path="/opt/everest/bin/manager",
            build_id="ab",
            debug_info=True,
            index=True,
            symbols=True,
        ),
    ),
    gdb=Debugger(path="/usr/bin/gdb", version="13.1", python=True),
    eu_stack="/usr/bin/eu-stack",
)


def inside(**changes: object) -> InsideFacts:
    """The inside of the healthy charger, changed."""
    return msgspec.structs.replace(INSIDE, **changes)


def by_kernel(pattern: str, *, manager: ProcessFacts = HEALTHY, **changes: object) -> InsideFacts:
    """The same with EVDIAG_CAPTURE=off: the kernel alone writes cores."""
    bare = msgspec.structs.replace(manager, preload="")
    return inside(core_pattern=pattern, manager=bare, modules=(), settings=OFF, **changes)


HOST = HostFacts(
    system="Linux",
    kernel="6.1.0",
    pattern=read_core_pattern("core"),
    gdb=Debugger(path="/usr/bin/gdb", version="13.1", python=True),
)
ENGINE = EngineFacts(
    endpoint="unix:///var/run/docker.sock",
    version="28.2.2",
    kernel="6.1.0",
    architecture="amd64",
    cores=8,
    memory=16 << 30,
    cgroup_version="2",
)
IMAGE = ImageFacts(
    id="sha256:1", name="evdiag/everest", architecture="amd64", labels={"org.evdiag.cores": CORES}
)
CONTAINER = ContainerFacts(id="1f", name="everest", image="evdiag/everest", state="running")
CORE = f"{CORES}/core.evdiag-doctor.99.1763840000"


def crash(number: int = 11, **changes: object) -> CrashResult:
    """A test crash that left its core, changed."""
    whole = CrashResult(
        signal=number,
        died_of=number,
        path=CORE,
        writer="capture",
        milliseconds=21.6,
        size=5 << 20,
        missing=0,
        waited=0.02,
    )
    return msgspec.structs.replace(whole, **changes)


def facts(**changes: object) -> Facts:
    """All of the healthy charger, changed; without test crashes."""
    all_is_well = Facts(
        host=HOST, engine=ENGINE, skew=0.0, image=IMAGE, container=CONTAINER, inside=INSIDE
    )
    return msgspec.structs.replace(all_is_well, **changes)


def check(given: Facts, check_id: str) -> Check:
    """What one check says."""
    (found,) = [one for one in diagnose(given).checks if one.id == check_id]
    return found
