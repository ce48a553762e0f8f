"""The charger as a container engine sees it: engine, image, container, and what is checked."""

import msgspec

NAME = "everest"
"""The container of a charger that nobody named."""
IMAGE = "evdiag/everest:latest"
CORES = "/tmp/everest-logs"  # noqa: S108 - a path in the container
"""Cores and the core writer's notes; EVerest's working directory."""
SERVICE_LOGS = "/var/log/supervisor"
SERVICES = ("mosquitto", "everest", "nodered")
"""The programs of supervisord that a user knows, in the order in which they start."""
USER = "everest"
"""Who EVerest and its modules run as."""

IMAGE_LABEL = "org.evdiag.cores"
"""Label of the image, so of each of its containers too, whoever started them."""
NETWORK_LABEL = "org.evdiag.network"
"""On a container: the network that `evdiag run` made for it alone."""
PATTERN_LABEL = "org.evdiag.core-pattern"
"""On a container: what the kernel's core pattern was before `evdiag run` changed it."""
VERSION_LABEL = "org.evdiag.version"
"""On a container: the evdiag that started it."""

TEST_PROCESS = "evdiag-doctor"
"""What `doctor` lets crash, and a label of the container that it makes for it: no charger's."""

RUNNING = "running"


class EngineFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the engine says of itself and of the machine that it runs on."""

    endpoint: str
    """Where it was found: `unix:///var/run/docker.sock`."""
    kind: str = "engine"
    """engine, desktop or podman."""
    version: str = ""
    api_version: str = ""
    operating_system: str = ""
    kernel: str = ""
    architecture: str = ""
    """As images name it: amd64, arm64."""
    cores: int = 0
    memory: int | None = None
    """Bytes of the machine, which may be a virtual one."""
    rootless: bool = False
    cgroup_version: str = ""
    security: tuple[str, ...] = ()
    """Names: seccomp, apparmor, selinux, userns, rootless."""
    storage_driver: str = ""
    root: str = ""
    """Folder on the engine's machine where images and containers lie."""
    time: float | None = None
    """Its clock, in seconds since 1970."""

    @property
    def is_wsl(self) -> bool:
        """Whether the kernel is that of the Windows Subsystem for Linux."""
        return "microsoft" in self.kernel.lower()


class ImageFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One image of the engine."""

    id: str
    name: str
    architecture: str = ""
    os: str = ""
    size: int | None = None
    created: str | None = None
    labels: dict[str, str] = {}

    @property
    def is_charger(self) -> bool:
        """Whether it is an image of ours: the core writer is in it."""
        return IMAGE_LABEL in self.labels


class PortBinding(msgspec.Struct, frozen=True, kw_only=True):
    """One published port."""

    inside: int
    address: str
    port: int


class Mount(msgspec.Struct, frozen=True, kw_only=True):
    """Something that lies over a folder of the container."""

    kind: str
    """bind, volume or tmpfs."""
    target: str
    source: str = ""
    writable: bool = True


class ContainerFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One container, running or ended."""

    id: str
    name: str
    image: str = ""
    """The name that it was started with."""
    image_id: str = ""
    state: str = ""
    """created, running, paused, restarting, removing, exited or dead."""
    health: str | None = None
    exit_code: int | None = None
    error: str = ""
    """Why it did not start."""
    oom_killed: bool = False
    restarts: int = 0
    """By the engine's restart policy."""
    created: float | None = None
    """Seconds since 1970, as all times here."""
    started: float | None = None
    finished: float | None = None
    labels: dict[str, str] = {}
    environment: dict[str, str] = {}
    """All of it: passwords too. Never print it whole."""
    ports: tuple[PortBinding, ...] = ()
    networks: tuple[str, ...] = ()
    mounts: tuple[Mount, ...] = ()
    core_limit: tuple[int, int] | None = None
    """(soft, hard) of `--ulimit core`; -1 is unlimited; None: the engine's own."""
    log_driver: str = ""
    read_only: bool = False
    privileged: bool = False
    memory_limit: int | None = None

    @property
    def is_running(self) -> bool:
        """Whether programs can be started in it."""
        return self.state == RUNNING

    @property
    def is_charger(self) -> bool:
        """Whether its image is one of ours."""
        return IMAGE_LABEL in self.labels


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at."""

    id: str
    """Stable, for scripts: `core-pattern`."""
    title: str
    state: str
    """ok, info, warn (works, but), fail (does not work) or skip (could not be looked at)."""
    reason: str
    """What was seen, in words."""
    fix: str = ""
    """The command or the change that helps; never empty where `state` is fail."""

    @property
    def failed(self) -> bool:
        """Whether the charger cannot do its job like this."""
        return self.state == "fail"
