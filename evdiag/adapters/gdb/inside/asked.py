"""Runs inside gdb, before extractor.py: what a verdict wants to know, apart from variables.

Members of thrown objects, and the values in the expression of an assertion. Nothing here is an
expression to gdb: names are looked up one by one, members are taken one by one.
"""

import re

import gdb

MAX_BLOCKS = 8
"""Compile units of the crashed stack in which the type of a thrown object is looked for."""
MAX_WALKED = 64
MAX_FIELDS = 16
MAX_BASES = 8
"""Base classes of base classes."""
TOLD = "_M_msg"
"""The text of std::runtime_error and std::logic_error: the report has it from memory."""
SUFFIX = re.compile(r"(?<=[<, -])(\d+)u?l{0,2}(?=[,>])")
PLUMBING = ("std::nested_exception",)
"""Base classes that tell nothing."""

# -- thrown objects


def kind_of(name, frame, likely):
    """The type of that name, as the code of the crashed stack sees it; else an error.

    gdb looks into the compile unit of a block first, and then everywhere: where it finds the name,
    it reads a whole compile unit, which took two seconds in a large program. So the first block is
    one of `likely`, the program counters of the frame to look at first.
    """
    blocks = units_of(frame, likely)
    if "(anonymous namespace)" not in name:
        symbol = type_symbol(name, blocks[0]) if blocks else None
        if symbol is not None:
            return symbol.type
        blocks = []
    for block in blocks:  # other units may have another type of that name
        symbol = type_symbol(name, block)
        home = unit_of(symbol)
        if home is not None and (home.start, home.end) == (block.start, block.end):
            return symbol.type
    raise gdb.error("There is no type of that name")


def units_of(frame, likely):
    """Blocks of the compile units that a stack goes through."""
    found = []
    for _ in range(MAX_WALKED):
        if frame is None or len(found) == MAX_BLOCKS:
            break
        block = static_block_of(frame)
        if block is not None and (block.start, block.end) not in [b[:2] for b in found]:
            found.append((block.start, block.end, block, frame.pc() not in likely))
        frame = frame.older()
    return [entry[2] for entry in sorted(found, key=lambda entry: entry[3])]


def type_symbol(name, block):
    """Compilers write the argument of `Limit<3u>` with its suffix, or without."""
    found = gdb.lookup_symbol(name, block, gdb.SYMBOL_STRUCT_DOMAIN)[0]
    bare = SUFFIX.sub(r"\1", name)
    if found is None and bare != name:
        found = gdb.lookup_symbol(bare, block, gdb.SYMBOL_STRUCT_DOMAIN)[0]
    return found


def unit_of(symbol):
    """The block of the compile unit that a symbol belongs to."""
    return symbol.symtab.static_block() if symbol is not None and symbol.symtab else None


def static_block_of(frame):
    try:
        return frame.block().static_block
    except RuntimeError:  # no debug information
        return None


def object_at(address, kind):
    """(whether it is one value, not a class with members; [(name, value)])."""
    value = at(address, pointer_to(kind))
    plain = kind.strip_typedefs()
    if plain.code not in STRUCTURES or gdb.default_visualizer(value) is not None:
        return True, [("value", value)]
    found = []
    collect(value, found, 0)
    return False, found[:MAX_FIELDS]


def collect(value, found, depth):
    """Members of a class and of its base classes, those of base classes first."""
    for field in value.type.strip_typedefs().fields():
        if len(found) >= MAX_FIELDS:
            return
        if not hasattr(field, "bitpos") or field.artificial or field.name == TOLD:
            continue  # static, made by the compiler, or told already
        if field.is_base_class:
            if depth < MAX_BASES and not field.name.startswith(PLUMBING):
                collect(value.cast(field.type), found, depth + 1)
        elif field.name is None or field.name == "":
            if depth < MAX_BASES:
                collect(value[field], found, depth + 1)
        elif not field.name.startswith("_vptr"):
            found.append((field.name, value[field]))


# -- the values in an expression


def follow(frame, steps):
    """The value of a variable, or of a member of a member; None if there is no such variable."""
    value = variable_of(frame, steps[0])
    for name in steps[1:]:
        if value is None:
            return None
        value = target_of(value)[name]
    if value is not None and value.type.strip_typedefs().code in NO_VALUES:
        return None
    return value


NO_VALUES = (gdb.TYPE_CODE_FUNC, gdb.TYPE_CODE_METHOD)


def variable_of(frame, name):
    """A variable that is visible at the frame's pc, also a member of `this`."""
    block = frame.block()
    symbol, is_member = gdb.lookup_symbol(name, block, gdb.SYMBOL_VAR_DOMAIN)
    if symbol is None:
        return target_of(frame.read_var("this"))[name] if is_member else None
    if not (symbol.is_variable or symbol.is_argument or symbol.is_constant):
        return None
    if symbol.needs_frame:
        return symbol.value(frame)
    # gdb goes on to search all units and libraries, whose static variables are not visible here.
    home, here = unit_of(symbol), block.static_block
    seen = home is not None and (home.start, home.end) == (here.start, here.end)
    return symbol.value() if seen or gdb.lookup_global_symbol(symbol.name) else None


def target_of(value):
    """The object that a value refers or points to, also by a smart pointer; else itself."""
    value = referent(value)
    kind = value.type.strip_typedefs()
    tag = kind.tag or ""
    if tag.startswith("std::unique_ptr<"):
        value = unique_target(value)
    elif tag.startswith("std::shared_ptr<"):
        value = value["_M_ptr"]
    kind = value.type.strip_typedefs()
    return at(int(value), pointer_to(kind.target())) if kind.code == gdb.TYPE_CODE_PTR else value
