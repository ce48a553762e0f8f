"""Every way evdiag fails on purpose: one class a case, each with exit code and advice.

    EvdiagError
    ├── UsageError            2   the command line does not make sense
    ├── OutputNotWritten      2   -o names a place that cannot be written
    ├── NotABaseline          2   --baseline names something else than an earlier triage
    ├── NotReady              3   checks failed; all of them are named at once
    │   ├── NameInUse             a charger or container of that name is there already
    │   ├── PortInUse             somebody else listens on the port
    │   └── DiskFull              the engine has no room left
    ├── EngineError           4   the container engine is of no use
    │   ├── EngineUnreachable     nothing answers, or the connection broke
    │   ├── EngineForbidden       no permission to talk to it
    │   ├── EngineTooOld          it does not know what evdiag needs
    │   ├── EngineTimeout         it did not answer in time
    │   └── EngineRefused         it answered with an error that evdiag does not know
    ├── NoSuchContainer       5   there is none of that name, or it was removed meanwhile
    ├── ContainerStopped      5   it has ended, and the command needs a running one
    ├── NoSuchImage           5   the engine does not have it and could not get it
    ├── BuildFailed           6   a step of the Dockerfile failed
    ├── NothingCollected      7   there is nothing to collect
    ├── CoreError             8   the core cannot be used
    │   ├── CoreNotFound          no such file, a directory, no permission
    │   ├── NotACore              empty, random bytes, text, an ELF file that is no core
    │   ├── DamagedBundle         a bundle or archive that is cut, changed or none
    │   ├── ForeignCore           a core of a machine or system that evdiag cannot read
    │   └── DamagedCore           a core without the notes that say which threads there were
    ├── ExecutableMismatch    8   --exe is not the program that made the core
    └── GdbError              9   gdb gave no values
        ├── GdbMissing            there is none, or not under the name that was given
        ├── GdbUnusable           it does not start, or does not speak its machine interface
        ├── GdbDied               it ended before it answered
        ├── GdbTimeout            it did not answer in time
        └── GdbRefused            it answered with an error, or with something else

A finding is not a failure: a crash that was found ends with 0, or with 20 when the caller asked
for that by --exit-code.
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of the `evdiag` command; a contract that scripts rely on."""

    DONE = 0
    BUG = 1
    USAGE = 2
    NOT_READY = 3
    ENGINE = 4
    NO_SUCH_CONTAINER = 5
    BUILD_FAILED = 6
    NOTHING_COLLECTED = 7
    CORE = 8
    GDB = 9
    CRASH_FOUND = 20
    INTERRUPTED = 130


EXIT_CODE_MEANINGS: dict[ExitCode, str] = {
    ExitCode.DONE: "done",
    ExitCode.BUG: "a bug in evdiag: please report it with the text it printed",
    ExitCode.USAGE: "the command line does not make sense",
    ExitCode.NOT_READY: "a check failed: the message names it and its fix",
    ExitCode.ENGINE: "the container engine cannot be reached or is too old",
    ExitCode.NO_SUCH_CONTAINER: "no such container or image",
    ExitCode.BUILD_FAILED: "the image could not be built",
    ExitCode.NOTHING_COLLECTED: "nothing was found to collect",
    ExitCode.CORE: "a core is unreadable, or the executable is not the one that made it",
    ExitCode.GDB: "gdb is missing, died or ran out of time",
    ExitCode.CRASH_FOUND: "a crash was found (only with `--exit-code`)",
    ExitCode.INTERRUPTED: "interrupted",
}


class EvdiagError(Exception):
    """A failure that evdiag foresees: what happened, on what, and what to do next.

    `str(error)` is one sentence for the user; `advice` is the next step, and `exit_code` is the
    exit code of the process.
    """

    exit_code = ExitCode.BUG
    advice = ""

    def __init__(self, message: str, *, advice: str | None = None) -> None:
        super().__init__(message)
        if advice is not None:
            self.advice = advice


class UsageError(EvdiagError):
    """The command line does not make sense."""

    exit_code = ExitCode.USAGE
    advice = "See `evdiag --help`."


class OutputNotWritten(EvdiagError):
    """The file or folder for the report cannot be written."""

    exit_code = ExitCode.USAGE
    advice = "Name another place with -o, or leave -o out to print the report."


class NotABaseline(EvdiagError):
    """The file is no triage that evdiag has written, or a damaged one."""

    exit_code = ExitCode.USAGE
    advice = "Make one: `evdiag triage PATH --format json -o baseline.json`."


class NotReady(EvdiagError):
    """Something has to be put right first."""

    exit_code = ExitCode.NOT_READY
    advice = "`evdiag doctor` looks at everything that matters and names each fix."


class NameInUse(NotReady):
    """A container of that name is there already."""

    advice = "Start it anew with --replace, or another one beside it with --name."


class PortInUse(NotReady):
    """Somebody else listens on the port."""

    advice = "Choose another port with --port."


class DiskFull(NotReady):
    """The engine has no room left."""

    advice = "`docker system df` shows what takes the room; `docker system prune` frees some."


class EngineError(EvdiagError):
    """The container engine is of no use."""

    exit_code = ExitCode.ENGINE


class EngineUnreachable(EngineError):
    """Nothing answers where the engine should be, or the connection broke."""

    advice = (
        "Start it (`sudo systemctl start docker`, or Docker Desktop), or say where it is: "
        "DOCKER_HOST, or `docker context use NAME`."
    )


class EngineForbidden(EngineError):
    """There is an engine, but this user must not talk to it."""

    advice = (
        "Join its group (`sudo usermod -aG docker $USER`, then log in again), or use a rootless "
        "engine."
    )


class EngineTooOld(EngineError):
    """The engine does not know what evdiag needs."""

    advice = "evdiag needs Docker 20.10 (API 1.41) or later."


class EngineTimeout(EngineError):
    """The engine did not answer in time."""

    advice = "It may be busy: try again. Give it more time with EVDIAG_ENGINE_TIMEOUT=SECONDS."


class EngineRefused(EngineError):
    """The engine answered with an error that evdiag does not know."""

    advice = "The engine's own log says more: `journalctl -u docker`, or Docker Desktop's."


class NoSuchContainer(EvdiagError):
    """There is no container of that name, or it was removed meanwhile."""

    exit_code = ExitCode.NO_SUCH_CONTAINER
    advice = "`evdiag run` starts a charger; another one's name is given with --name."


class ContainerStopped(EvdiagError):
    """The container has ended, and the command needs a running one."""

    exit_code = ExitCode.NO_SUCH_CONTAINER
    advice = "`evdiag logs` shows its last words; `evdiag run --replace` starts it anew."


class NoSuchImage(EvdiagError):
    """The engine does not have the image and could not get it."""

    exit_code = ExitCode.NO_SUCH_CONTAINER
    advice = "`evdiag build` makes it; another one's name is given with --image."


class BuildFailed(EvdiagError):
    """A step of the Dockerfile failed."""

    exit_code = ExitCode.BUILD_FAILED
    advice = "The log has everything that the step said; layers that were finished are kept."


class NothingCollected(EvdiagError):
    """There is nothing to collect."""

    exit_code = ExitCode.NOTHING_COLLECTED
    advice = "`evdiag status` tells what the charger is doing."


class CoreError(EvdiagError):
    """The core cannot be used."""

    exit_code = ExitCode.CORE


class CoreNotFound(CoreError):
    """There is no readable file under the name that was given."""

    advice = "Check the name; cores in a container's volume may belong to root."


class NotACore(CoreError):
    """The file is something else than a core dump, or empty."""

    advice = (
        "A size of 0 means that the disk was full, or that `ulimit -c` (in a container: "
        "`--ulimit core=-1`) forbade the core. `file NAME` tells what a file is; a log is named "
        "with --log."
    )


class DamagedBundle(CoreError):
    """A bundle or an archive cannot be used: cut, changed, or something else."""

    advice = "Collect it once more (`evdiag collect`), or copy it here once more."


class ForeignCore(CoreError):
    """The core was made by a machine or an operating system that evdiag cannot read."""

    advice = "evdiag reads cores of Linux on x86-64, aarch64, i386 and 32-bit ARM."


class DamagedCore(CoreError):
    """The core lacks the notes that say which threads there were."""

    advice = "The file was probably cut while it was written or copied: fetch it once more."


class ExecutableMismatch(EvdiagError):
    """The executable named by the user did not make the core."""

    exit_code = ExitCode.CORE
    advice = (
        "The report was made without it. Use the executable of the very same build: copy it out "
        "of the image that crashed."
    )


class GdbError(EvdiagError):
    """gdb gave no values; the report is made without them."""

    exit_code = ExitCode.GDB
    advice = "The report was made without values; `--no-values` does not start gdb at all."


class GdbMissing(GdbError):
    """There is no gdb on this machine, or none under the name that was given."""

    advice = "Install it (`apt-get install gdb`, or `pip install 'evdiag[gdb]'`), or pass --gdb."


class GdbUnusable(GdbError):
    """The program does not start, or is not a gdb that speaks its machine interface."""

    advice = "Run `CMD --version` to see what it is; pass another one with --gdb."


class GdbDied(GdbError):
    """gdb ended before it answered: a bug of gdb on this core, or somebody stopped it."""

    advice = "Another version may do better: `pip install 'evdiag[gdb]'`, or pass --gdb."


class GdbTimeout(GdbError):
    """gdb did not answer in time."""

    advice = "Give it more time with --gdb-timeout, or leave values out with `--no-values`."


class GdbRefused(GdbError):
    """gdb answered with an error, or with something that is no answer."""

    advice = "`evdiag gdb CORE` opens the same core by hand and shows what gdb says."
