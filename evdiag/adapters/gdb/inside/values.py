"""Runs inside gdb: prints values of GNU's C++ library without searching the program for types.

The printers that come with libstdc++ ask gdb for the type of a container's nodes by name, and for
the dynamic type of whatever a pointer leads to. The first such question makes gdb read the debug
information of every compile unit, which in a large program takes longer than all the rest. These
printers write the same text, but take every type from the value itself and compute where nodes
keep their elements. Damaged containers end in an error, not in an endless walk.

Layouts come from libstdc++'s headers: bits/stl_tree.h, bits/hashtable_policy.h, bits/stl_list.h,
bits/forward_list.h, bits/stl_deque.h, bits/stl_bvector.h, bits/shared_ptr_base.h,
bits/unique_ptr.h, bits/fs_path.h, any, optional, tuple and variant.

The text of this file goes before that of containers.py and objects.py, in one namespace.
evdiag never imports them: it sends their text to gdb's own Python (gdb 12 to 18). The entry is
`printer_for`, for `gdb.pretty_printers`. It knows nothing of layouts it does not recognize (the old
strings, for example): then gdb asks the next printer.
"""

import gdb

MAX_STEPS = 128
"""Up or down a tree, from one element to the next: a balanced tree of 2**64 nodes needs no more."""


MAX_LENGTH = (1 << 31) - 1
"""Of a string. gdb prints nothing of longer ones, or too little."""
MAX_NESTED = 4
"""Iterators to elements with iterators."""


class Text:
    """What gdb calls a printer, of a value without children. `text` is called late, because it
    reads memory: its errors are then part of what gdb prints."""

    def __init__(self, text):
        self.to_string = text


class String(Text):
    def display_hint(self):
        return "string"


class Group(Text):
    """A value with children. Whether it has a hint matters to containers of one object."""

    def __init__(self, text, children):
        self.to_string = text
        self.children = children


class Hinted(Group):
    def __init__(self, hint, text, children):
        Group.__init__(self, text, children)
        self.display_hint = lambda: hint


# -- types and addresses


def pointer_to(kind):
    """The type with which `at` reads objects of a type.

    When gdb dereferences a pointer to a polymorphic class, it searches for the dynamic type. It
    does not when it takes an element out of an array."""
    return kind.array(0).pointer() if kind.sizeof else kind.pointer()


def at(address, pointer):
    found = gdb.Value(address).cast(pointer).dereference()
    return found[0] if found.type.code == gdb.TYPE_CODE_ARRAY else found


def argument(kind, number):
    return kind.strip_typedefs().template_argument(number)


def base_of(value, number):
    """The part of a value that is one of its base classes."""
    return value.cast(value.type.fields()[number].type)


def field_names(kind):
    return [field.name for field in kind.strip_typedefs().fields()]


def element_offset(header, element):
    """Where in a node the element is that follows the header."""
    align = element.alignof or 1
    return (header.sizeof + align - 1) // align * align


def node_elements(pointer, element):
    """Reads the element of a node. `pointer` is any pointer to a node's base class."""
    element = whole(element)
    offset = element_offset(pointer.type.strip_typedefs().target(), element)
    kind = pointer_to(element)
    return lambda node: at(int(node) + offset, kind)


def whole(kind):
    """A compile unit may only declare the type of elements. Then, and only then, look it up."""
    if kind.sizeof or kind.tag is None:
        return kind
    if kind.tag not in WHOLE:
        WHOLE[kind.tag] = gdb.lookup_type(kind.tag)
    return WHOLE[kind.tag]


WHOLE = {}


def numbered(values):
    for number, value in enumerate(values):
        yield "[%d]" % number, read(value)


def read(value):
    """Reads a value here: an error ends the container. In gdb it would end everything around."""
    if isinstance(value, gdb.Value):
        value.fetch_lazy()
    return value


def keys_and_values(pairs):
    for pair in pairs:
        read(pair)
        yield pair["first"]
        yield pair["second"]


def counted(name, count):
    return "%s with %s" % (name, "1 element" if count == 1 else "%d elements" % count)
