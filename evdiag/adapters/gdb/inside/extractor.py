"""Runs inside gdb: reads arguments, locals and stacks, and answers with one JSON document.

evdiag never imports this file: it sends its text to gdb's own Python (gdb 12 to 18), so it needs
nothing but the standard library and the module `gdb`. It defines one MI command,
`-evdiag-values REQUEST`, whose result record carries the document; request and document are in
the shape of `evdiag.model.values`.

Before each value it prints a beat. Whoever started gdb sends SIGINT when nothing follows for some
seconds: gdb then gives up that one value.
"""

import binascii
import json
import re
import time

import gdb

KINDS = {gdb.INLINE_FRAME: "inline", gdb.TAILCALL_FRAME: "tailcall", gdb.SIGTRAMP_FRAME: "signal"}
BEGUN, DONE = "~\n", ".\n"
"""Printed before each value, and after the values of a frame."""
SLOW = "took too long to print"
FAILURES = (gdb.error, RuntimeError, ValueError, TypeError, LookupError, MemoryError, OverflowError)
"""What gdb's Python raises for damaged memory, missing symbols and broken printers."""
TEXTS = ("std::string", "std::basic_string", "std::__cxx11::string", "std::__cxx11::basic_string")
CHARACTER_TYPES = re.compile(r"(unsigned |signed )?(char|wchar_t|char8_t|char16_t|char32_t) ?[*\[]")
MAX_TYPE = 500
MAX_MEMBERS = 64
"""Members of a structure in which a bad pointer is looked for."""
MAX_FOUND = 12
SMALL, MANY = 16, 4096
"""Bytes of an object whose text is not worth to be kept, and how many texts are."""


class Reader:
    """Answers one request."""

    def __init__(self, request):
        self.request = request
        self.deadline = time.monotonic() + request["seconds"]
        self.texts = {}
        self.late = 0
        self.slow = 0

    def document(self):
        wanted = self.request["lwps"]
        threads = sorted(gdb.selected_inferior().threads(), key=lambda t: t.num)
        return {
            "version": gdb.VERSION,
            "threads": [self.thread(t) for t in threads if wanted is None or lwp(t) in wanted],
            "objects": self.objects(threads),
            "instructions": self.instructions(),
            "late": self.late,
            "slow": self.slow,
        }

    # -- stacks

    def thread(self, thread):
        frames = []
        found = {"lwp": lwp(thread), "frames": frames}
        with_values = self.request["values"] is None or found["lwp"] in self.request["values"]
        try:
            thread.switch()
            frame = gdb.newest_frame()
            while frame is not None and len(frames) < self.request["frames"]:
                frames.append(self.frame(frame, len(frames), with_values))
                frame = frame.older()
            found["more"] = frame is not None
        except KeyboardInterrupt:
            found["ended"] = "gdb took too long to unwind further"
            self.slow += 1
        except FAILURES as error:
            found["ended"] = text_of(error)
        return found

    def frame(self, frame, level, with_values):
        found = {"pc": frame.pc(), "kind": KINDS.get(frame.type(), "normal")}
        if self.request["places"]:
            self.add_place(found, frame)
        if with_values:
            arguments, variables = self.variables(frame)
            beat(DONE)
            if arguments:
                found["args"] = arguments
            if variables:
                found["locals"] = variables
            if level == 0 and self.request["fault"] is not None:
                found["members"] = self.members(frame)
            if self.request["paths"] and frame.pc() == self.request["paths_at"]:
                found["paths"] = self.paths(frame)
        return found

    def add_place(self, found, frame):
        try:
            found["function"] = frame.name()
            place = frame.find_sal()
            if place.symtab is not None:
                found["file"] = place.symtab.fullname()
                found["line"] = place.line
        except FAILURES:
            pass

    def instructions(self):
        """(address, text) of the instructions around the crash."""
        span = self.request["instructions"]
        if span is None:
            return []
        try:
            lines = gdb.newest_frame().architecture().disassemble(*span)
        except FAILURES:
            return []
        return [(line["addr"], line["asm"]) for line in lines]

    # -- values

    def variables(self, frame):
        """Arguments and locals that are visible at the frame's pc, innermost block first."""
        arguments, variables, seen = [], [], set()
        for symbol in symbols_of(frame):
            if symbol.name in seen:
                continue
            seen.add(symbol.name)
            value = self.variable(symbol.name, lambda s=symbol: s.value(frame))
            (arguments if symbol.is_argument else variables).append(value)
        if frame.pc() in self.request["pointees"]:
            variables += self.pointees(frame, seen)
        return arguments, variables

    def pointees(self, frame, seen):
        """What pointers point to that the source line of the crash names, and `*this`."""
        found = []
        for name in self.request["names"]:
            if name not in seen:
                continue
            try:
                value = frame.read_var(name)
                pointer = value.type.strip_typedefs()
                if pointer.code != gdb.TYPE_CODE_PTR or int(value) == 0:
                    continue
                if pointer.target().strip_typedefs().code not in STRUCTURES:
                    continue
            except FAILURES:
                continue
            found.append(self.variable("*" + name, value.dereference))
        return found

    def variable(self, name, read):
        """[name, type, value, problem] of one variable, in no more than the time it is worth."""
        if time.monotonic() > self.deadline:
            self.late += 1
            return [name, None, None, "not read: the time for all values was over"]
        beat(BEGUN)
        try:
            return as_command(lambda: self.read(name, read))
        except (KeyboardInterrupt, *FAILURES):  # interrupted just before or after the value
            self.slow += 1
            return [name, None, None, SLOW]

    def read(self, name, read):
        kind = None
        try:
            value = read()
            kind = str(value.type)[:MAX_TYPE]
            if value.is_optimized_out:
                return [name, kind, "<optimized out>", None]
            text = self.text(value, kind)
            if self.is_missing(value):
                return [name, kind, None, "its memory is not in the core"]
        except KeyboardInterrupt:
            self.slow += 1
            return [name, kind, None, SLOW]
        except FAILURES as error:
            if str(error) == "Quit":
                self.slow += 1
                return [name, kind, None, SLOW]
            return [name, kind, None, text_of(error)]
        # evdiag cuts it: names in it may still become longer.
        return [name, kind, text[: 2 * self.request["longest"]], None]

    def text(self, value, kind):
        """The value as gdb prints it; an object that many frames refer to is printed once."""
        known = self.place(value, kind)
        text = self.texts.get(known) if known is not None else None
        if text is None:
            text = value.format_string(**self.limits(kind))
            if known is not None:
                self.texts[known] = text
        return text

    def is_missing(self, value):
        """Whether the value lies in memory that nobody has: gdb prints zeros then."""
        missing = self.request["missing"]
        address = referent(value).address if missing else None
        return address is not None and any(start <= int(address) < end for start, end in missing)

    def place(self, value, kind):
        """(type, address) of an object that is worth to be remembered, or None."""
        target = referent(value)
        if target.address is None or target.type.sizeof <= SMALL or len(self.texts) >= MANY:
            return None
        return kind, int(target.address)

    def limits(self, kind):
        bare = kind.replace("const ", "")
        is_text = bare.startswith(TEXTS) or CHARACTER_TYPES.match(bare) is not None
        return {
            "max_elements": self.request["characters" if is_text else "elements"],
            "max_depth": self.request["depth"],
            "repeat_threshold": 10,
            "deref_refs": True,
        }

    # -- what an assertion compared, and objects that were thrown

    def paths(self, frame):
        """Values of variables and members that an expression names."""
        found = []
        for text, steps in self.request["paths"]:
            beat(BEGUN)
            try:
                value = follow(frame, steps)
            except (KeyboardInterrupt, *FAILURES):
                continue
            if value is not None:
                found.append(self.variable(text, lambda v=value: v))
        return found

    def objects(self, threads):
        """Members of objects that were thrown, by their types' names."""
        found = []
        for address, name in self.request["objects"]:
            beat(BEGUN)
            try:
                for thread in threads:
                    if lwp(thread) == self.request["crashed"]:
                        thread.switch()
                kind = kind_of(name, gdb.newest_frame(), self.request["pointees"])
                whole, parts = object_at(address, kind)
            except (KeyboardInterrupt, *FAILURES):
                continue
            fields = [self.variable(part, lambda v=value: v) for part, value in parts]
            found.append({"address": address, "whole": whole, "fields": fields})
        return found

    # -- the member behind a bad pointer

    def members(self, frame):
        """Pointers of the frame whose target reaches to the address of the fault."""
        fault, found = self.request["fault"], []
        for symbol in symbols_of(frame):
            try:
                value = symbol.value(frame)
                self.look(symbol.name, value, fault, found)
                kind = value.type.strip_typedefs()
                if kind.code == gdb.TYPE_CODE_PTR and int(value) != 0:
                    self.look_inside(symbol.name + "->", value.dereference(), fault, found)
                elif kind.code in STRUCTURES:
                    self.look_inside(symbol.name + ".", value, fault, found)
            except (KeyboardInterrupt, *FAILURES):
                continue
            if len(found) >= MAX_FOUND:
                break
        return found

    def look_inside(self, prefix, value, fault, found):
        for field in value.type.strip_typedefs().fields()[:MAX_MEMBERS]:
            if field.name and not field.is_base_class and hasattr(field, "bitpos"):
                try:
                    self.look(prefix + field.name, value[field], fault, found)
                except FAILURES:
                    continue

    def look(self, expression, value, fault, found):
        kind = value.type.strip_typedefs()
        if kind.code in REFERENCES:
            address, target = int(value.address), kind.target().strip_typedefs()
        elif kind.code == gdb.TYPE_CODE_PTR:
            address, target = int(value), kind.target().strip_typedefs()
        else:
            return
        target = described(target)
        offset = fault - address
        if target.code in STRUCTURES and 0 <= offset < target.sizeof:
            member = member_at(target, offset)
            if member is not None:
                found.append([expression, str(value.type)[:MAX_TYPE], address, member, offset])


STRUCTURES = (gdb.TYPE_CODE_STRUCT, gdb.TYPE_CODE_UNION)
REFERENCES = (gdb.TYPE_CODE_REF, getattr(gdb, "TYPE_CODE_RVALUE_REF", gdb.TYPE_CODE_REF))


def referent(value):
    """What a reference refers to; any other value is its own."""
    return value.referenced_value() if value.type.code in REFERENCES else value


def described(structure):
    """A class that this compile unit only declares, as another one describes it."""
    if structure.code not in STRUCTURES or structure.sizeof or not structure.name:
        return structure
    try:
        return gdb.lookup_type(structure.name).strip_typedefs()
    except FAILURES:
        return structure


def member_at(structure, offset):
    """`meter.energy_wh` for the member that begins at an offset in bytes, or None."""
    path = []
    while structure.code in STRUCTURES:
        for field in structure.fields():
            begin = getattr(field, "bitpos", None)
            if begin is None or begin % 8 or field.type is None:
                continue
            kind = field.type.strip_typedefs()
            if begin // 8 <= offset < begin // 8 + max(kind.sizeof, 1):
                break
        else:
            return None
        offset -= begin // 8
        if field.name and not field.is_base_class:
            path.append(field.name)
        structure = kind
    return ".".join(path) if path and offset == 0 else None


def symbols_of(frame):
    """Variables of the blocks around the frame's pc, up to the function's own."""
    try:
        block = frame.block()
    except RuntimeError:  # no debug information
        return
    while block is not None:
        for symbol in block:
            if symbol.is_variable or symbol.is_argument:
                yield symbol
        if block.function is not None:
            return
        block = block.superblock


class Step(gdb.Command):
    """Runs a function as a command of its own.

    gdb keeps all values that it makes until the command ends, and looks through them for each
    new one: within one command the time grows with the square of what was printed.
    """

    todo = None

    def __init__(self):
        super().__init__("evdiag-step", gdb.COMMAND_DATA)

    def invoke(self, argument, from_tty):  # noqa: ARG002 - gdb says how it was called
        Step.todo()


def as_command(function):
    """The function's result."""
    found = []
    Step.todo = lambda: found.append(function())
    gdb.execute("evdiag-step")
    return found[0]


def beat(sign):
    gdb.write(sign)
    gdb.flush()


def lwp(thread):
    return thread.ptid[1] or thread.ptid[0]


def text_of(error):
    return (str(error).splitlines() or [type(error).__name__])[0][:300]


class Values(gdb.MICommand):
    """`-evdiag-values REQUEST`: REQUEST is JSON in hexadecimal digits."""

    def invoke(self, argv):
        request = json.loads(binascii.unhexlify(argv[0]))
        WHOLE.clear()  # of the core before this one
        document = Reader(request).document()
        return {"json": json.dumps(document)}


Step()
Values("-evdiag-values")
