"""Many cores at once: what is known of each, which belong together, and what is new.

The same rules hold as for the report's schema: every field but `schema` may be missing or null, and
readers have to expect words that they do not know.
"""

import msgspec

from evdiag.model.report import Address, Noun, Report, SoftError, Tool

SCHEMA = "evdiag.triage/1"


class Place(Noun, frozen=True, kw_only=True):
    """Where the code of a crash is: the frame to look at first."""

    function: str | None = None
    file: str | None = None
    line: int | None = None
    module: str | None = None
    offset: Address | None = None
    build_id: str | None = None


class Crash(Noun, frozen=True, kw_only=True):
    """One core, without its report."""

    path: str
    """As the user named it, or below the folder or bundle that the user named."""
    content: str | None = None
    """Digest of the core's bytes, in hexadecimal."""
    bytes: int | None = None
    title: str = ""
    cls: str = msgspec.field(name="class", default="unknown")
    confidence: str | None = None
    summary: str = ""
    signature: str | None = None
    """Its text."""
    hash: str | None = None
    """Of the signature: crashes with the same one are the same crash."""
    address: str | None = None
    """The signature without symbols."""
    proto: tuple[str, ...] = ()
    """What stacks are compared by: the normalised functions of the application, innermost first
    (`evdiag.analyze.triage.similar.stack_of`)."""
    place: Place = Place()
    program: str | None = None
    """Type of EVerest's module, else the name of the executable's file."""
    module_id: str | None = None
    pid: int | None = None
    signal: str | None = None
    build_id: str | None = None
    """Of the executable."""
    image: str | None = None
    """Of the container that it ran in, where a bundle tells."""
    seen: str | None = None
    """When it crashed, in UTC; where that is not known, when the core was written."""
    truncated: bool = False
    symbols: bool = True
    """Whether all functions of the application in the signature have names."""
    anonymous: bool = False
    """No function of the application stands in the signature: nothing of it was found, so its text
    says little (EMPTY in `inputs`)."""


class Failure(Noun, frozen=True, kw_only=True):
    """A file that is no core, or one that cannot be used."""

    path: str
    message: str
    advice: str | None = None


class BuildCount(Noun, frozen=True, kw_only=True):
    """One build of the program that crashed, and how often it did."""

    build_id: str | None = None
    image: str | None = None
    count: int = 0


class Line(Noun, frozen=True, kw_only=True):
    """One line of source in which the crashes of a group happened."""

    place: Place = Place()
    count: int = 0


class Similar(Noun, frozen=True, kw_only=True):
    """Another group whose stack is nearly the same: perhaps one defect; it is not merged."""

    hash: str
    distance: float
    """0: the same stack, 1: nothing in common. Only distances below 0.3 are told (CASR)."""


class Group(Noun, frozen=True, kw_only=True):
    """Crashes with one signature."""

    hash: str | None = None
    """What the group is known by, here and in a baseline. That of the signature; where that text
    does not tell crashes apart (`symbols`, `anonymous`), of the address and the build too."""
    signature: str | None = None
    """Its text; null where a core has no stack at all."""
    title: str = ""
    cls: str = msgspec.field(name="class", default="unknown")
    confidence: str | None = None
    summary: str = ""
    program: str | None = None
    unsorted: bool = False
    """Stacks are missing: nothing tells whether these are one crash or several."""
    count: int = 0
    first_seen: str | None = None
    last_seen: str | None = None
    builds: tuple[BuildCount, ...] = ()
    """Most frequent first."""
    modules: tuple[str, ...] = ()
    """Names of EVerest's modules that died of it."""
    lines: tuple[Line, ...] = ()
    """Most frequent first."""
    status: str | None = None
    """new or known, where there is a baseline."""
    similar: tuple[Similar, ...] = ()
    representative: str | None = None
    """Path of the core that `report` is about: the most complete one, then the newest."""
    report: Report | None = None
    cores: tuple[Crash, ...] = ()
    """Newest first."""


class Gone(Noun, frozen=True, kw_only=True):
    """A group of the baseline that did not come again."""

    hash: str
    signature: str | None = None
    title: str = ""
    count: int = 0
    last_seen: str | None = None


class Run(Noun, frozen=True, kw_only=True):
    """How a triage was made."""

    cores: int = 0
    """Looked at, with those that could not be used."""
    analysed: int = 0
    """By the native engine now; the others were known from earlier runs."""
    debugged: int = 0
    """By gdb now."""
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    jobs: int = 1
    interrupted: bool = False
    """Ended by the user: the cores that were not reached are missing."""


class Triage(Noun, frozen=True, kw_only=True):
    """Groups of crashes, the most frequent first."""

    schema: str = SCHEMA
    tool: Tool = Tool()
    created: str | None = None
    groups: tuple[Group, ...] = ()
    failures: tuple[Failure, ...] = ()
    baseline: str | None = None
    """Name of the file that the groups were compared with."""
    gone: tuple[Gone, ...] = ()
    soft_errors: tuple[SoftError, ...] = ()
    run: Run = Run()
