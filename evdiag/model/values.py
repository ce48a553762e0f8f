"""What is asked of gdb, and what it answers: arguments, locals and its own view of the stacks.

The extractor that runs inside gdb reads a `Request` and writes a `Document`, both as JSON.
"""

import msgspec


class Thrown(msgspec.Struct, frozen=True, array_like=True):
    """An object in memory whose members are wanted."""

    address: int
    type: str
    """Readable, as the demangler writes it."""


class Path(msgspec.Struct, frozen=True, array_like=True):
    """A variable, or a member of a member of one, that an expression names."""

    text: str
    """`reading.power_w`, as the expression has it."""
    steps: tuple[str, ...]
    """The names in it, outermost first."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """Whose stacks and values are wanted, and how much of them."""

    lwps: tuple[int, ...] | None = None
    """Threads whose stacks are walked; None is all of them."""
    values: tuple[int, ...] | None = None
    """Threads whose variables are read; None is all that are walked."""
    crashed: int | None = None
    pc: int | None = None
    """Where the crashed thread is: a gdb that sees it elsewhere does not know the machine."""
    missing: tuple[tuple[int, int], ...] = ()
    """Ranges of memory that are neither in the core nor in a file: gdb reads zeros there."""
    frames: int = 64
    """Frames of a thread, innermost first: a stack that overflowed has 50,000."""
    seconds: float = 60.0
    """For the values of all threads together; those that come later are left out."""
    places: bool = False
    """Whether functions, files and lines are wanted too: where our own stacks have none."""
    pointees: tuple[int, ...] = ()
    """Program counters of frames in which `names` are followed, if they point to structures."""
    names: tuple[str, ...] = ("this",)
    instructions: tuple[int, int] | None = None
    """Addresses of the first and the last instruction whose symbols are wanted."""
    fault: int | None = None
    """Address that frame 0 could not access: gdb looks for the pointer that led there."""
    objects: tuple[Thrown, ...] = ()
    """Exceptions whose members are wanted."""
    paths: tuple[Path, ...] = ()
    """What an assertion compared."""
    paths_at: int | None = None
    """Program counter of the frame that has the assertion."""
    longest: int = 2000
    """Characters of a value; the rest is cut."""
    characters: int = 400
    """Characters of a string variable."""
    elements: int = 100
    """Elements of an array or a container, and characters of a string inside another value."""
    depth: int = 4
    """Structures inside structures."""


class ReadVariable(msgspec.Struct, frozen=True, array_like=True):
    """One variable as gdb prints it."""

    name: str
    type: str | None = None
    value: str | None = None
    problem: str | None = None


class BadPointer(msgspec.Struct, frozen=True, array_like=True):
    """A pointer of the crashed frame, and the member of its target that lies at the fault."""

    expression: str
    type: str
    address: int
    member: str
    offset: int


class ReadFrame(msgspec.Struct, frozen=True, kw_only=True):
    """One frame of a stack as gdb sees it."""

    pc: int
    kind: str = "normal"
    """normal, inline, tailcall, signal, or unknown: a function or a tail call, without Python."""
    function: str | None = None
    file: str | None = None
    line: int | None = None
    args: tuple[ReadVariable, ...] = ()
    locals: tuple[ReadVariable, ...] = ()
    members: tuple[BadPointer, ...] = ()
    paths: tuple[ReadVariable, ...] = ()
    """Values of what was asked for by `Request.paths`, as far as it is known here."""


class ReadThread(msgspec.Struct, frozen=True, kw_only=True):
    """The stack of one thread as gdb sees it."""

    lwp: int
    frames: tuple[ReadFrame, ...] = ()
    more: bool = False
    """Whether the stack goes on beyond the frames that were asked for."""
    ended: str | None = None
    """What stopped gdb, if it was not the start of the thread."""


class ReadObject(msgspec.Struct, frozen=True, kw_only=True):
    """The members of an object, and of its base classes."""

    address: int
    whole: bool = False
    """It has no members to show (a number, a string): the one field is its value."""
    fields: tuple[ReadVariable, ...] = ()


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """gdb's answer."""

    version: str | None = None
    threads: tuple[ReadThread, ...] = ()
    objects: tuple[ReadObject, ...] = ()
    """Those of `Request.objects` whose type gdb knows."""
    instructions: tuple[tuple[int, str], ...] = ()
    """(address, text): with the names of what they refer to."""
    late: int = 0
    """Values that were not read because the time was over."""
    slow: int = 0
    """Values that were given up one by one because gdb did not come to an end with them."""
    cut: int = 0
    """Values of which only the beginning is there."""
