"""Runs inside gdb: prints values of GNU's C++ library without searching the program for types.

The printers that come with libstdc++ ask gdb for the type of a container's nodes by name, and for
the dynamic type of whatever a pointer leads to. The first such question makes gdb read the debug
information of every compile unit, which in a large program takes longer than all the rest. These
printers write the same text, but take every type from the value itself and compute where nodes
keep their elements. Damaged containers end in an error, not in an endless walk.

Layouts come from libstdc++'s headers: bits/stl_tree.h, bits/hashtable_policy.h, bits/stl_list.h,
bits/forward_list.h, bits/stl_deque.h, bits/stl_bvector.h, bits/shared_ptr_base.h,
bits/unique_ptr.h, bits/fs_path.h, any, optional, tuple and variant.

evdiag never imports this file: it sends its text to gdb's own Python (gdb 12 to 18). The entry is
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


# -- strings


def string(name, value):
    if "__cxx11" not in name:
        return None  # the string of old, whose length is in front of its characters
    length = value["_M_string_length"]
    try:
        start = value["_M_dataplus"]["_M_p"]
        start = start.cast(start.type.strip_typedefs())
    except gdb.error:  # clang does not describe this member: the pointer is what comes first
        start = at(int(value.address), pointer_to(argument(value.type, 0).pointer()))
    return String(lambda: characters(start, int(length)))


def string_view(_name, value):
    start, length = value["_M_str"], value["_M_len"]
    return String(lambda: characters(start, int(length)))


def characters(start, length):
    if length > MAX_LENGTH:
        raise gdb.MemoryError("The length of the string would be %d" % length)
    return start.lazy_string(length=length)


# -- sequences


def vector(name, value):
    impl = value["_M_impl"]
    start, finish, end = impl["_M_start"], impl["_M_finish"], impl["_M_end_of_storage"]
    if argument(value.type, 0).code == gdb.TYPE_CODE_BOOL:
        return bit_vector(name, start, finish, end)

    def text():
        length, capacity = distance(start, finish), distance(start, end)
        return "%s of length %d, capacity %d" % (name, length, capacity)

    return Hinted("array", text, lambda: numbered(between(start, finish)))


def distance(start, end):
    """Like gdb's difference of pointers, which warns of types whose size it does not know."""
    size = start.type.strip_typedefs().target().sizeof or 1
    apart = (int(end) - int(start) + (1 << 63)) % (1 << 64) - (1 << 63)
    return apart // size if apart >= 0 else -(-apart // size)


def between(start, finish):
    kind = start.type.strip_typedefs().target()
    address, last, size, pointer = int(start), int(finish), kind.sizeof or 1, pointer_to(kind)
    while address != last:
        yield at(address, pointer)
        address += size


def bit_vector(name, start, finish, end):
    first, last, offset = start["_M_p"], finish["_M_p"], finish["_M_offset"]
    width = 8 * first.type.strip_typedefs().target().sizeof

    def text():
        length = int(width * (last - first) + offset)
        return "%s<bool> of length %d, capacity %d" % (name, length, int(width * (end - first)))

    def bits():
        word, bit = first, 0
        while word != last or bit < offset:
            yield bool(word.dereference() & (1 << bit))
            bit += 1
            if bit >= width:
                word, bit = word + 1, 0

    return Hinted("array", text, lambda: numbered(bits()))


def deque(name, value):
    start, finish = value["_M_impl"]["_M_start"], value["_M_impl"]["_M_finish"]
    size = argument(value.type, 0).sizeof
    buffer = 512 // size if size < 512 else 1

    def text():
        between_nodes = buffer * (finish["_M_node"] - start["_M_node"] - 1)
        ends = start["_M_last"] - start["_M_cur"] + (finish["_M_cur"] - finish["_M_first"])
        return counted(name, int(between_nodes + ends))

    def elements():
        node, address, end = start["_M_node"], int(start["_M_cur"]), int(start["_M_last"])
        last, pointer = int(finish["_M_cur"]), pointer_to(argument(value.type, 0))
        while address != last:
            yield at(address, pointer)
            address += size
            if address == end:
                node += 1
                address = int(node.dereference())
                end = address + buffer * size

    return Hinted("array", text, lambda: numbered(elements()))


def linked(name, value, head, end):
    """A list: nodes from the head's next one to the address of the end."""

    def text():
        return ("empty %s" if head["_M_next"] == end else "%s") % name

    def elements():
        node = head["_M_next"]
        element = node_elements(node, argument(value.type, 0))
        while node != end:
            yield element(node)
            node = node["_M_next"]

    return Group(text, lambda: numbered(elements()))


def doubly_linked(name, value):
    head = value["_M_impl"]["_M_node"]
    return linked(name, value, head, head.address)


def forward_list(name, value):
    return linked(name, value, value["_M_impl"]["_M_head"], 0)


def span(name, value):
    try:
        size = value["_M_extent"]["_M_extent_value"]
    except gdb.error:  # its type says how long it is
        size = argument(value.type, 1)
    return stretch(name, value["_M_ptr"], int(size))


def initializer_list(name, value):
    return stretch(name, value["_M_array"], int(value["_M_len"]))


def stretch(name, start, size):
    def elements():
        step = start.type.strip_typedefs().target().sizeof or 1
        return between(start, int(start) + size * step)

    return Hinted("array", lambda: "%s of length %d" % (name, size), lambda: numbered(elements()))


def bitset(name, value):
    def bits():
        try:
            words = value["_M_w"]
        except gdb.error:  # of no bits
            return
        many = words.type.strip_typedefs().code == gdb.TYPE_CODE_ARRAY
        last = words.type.strip_typedefs().range()[1] if many else 0
        for number in range(last + 1):
            word = words[number] if many else words
            for bit in range(int(word).bit_length()):
                if int(word) >> bit & 1:
                    yield "[%d]" % (8 * number * word.type.sizeof + bit), 1

    return Group(lambda: name, bits)


def adapter(name, value):
    """A stack or a queue."""
    inner = gdb.default_visualizer(value["c"])
    hint = getattr(inner, "display_hint", lambda: None)()
    return Hinted(hint, lambda: "%s wrapping: %s" % (name, inner.to_string()), inner.children)


# -- trees and hash tables


def tree_nodes(impl):
    """In order; fails where links lead astray."""
    node, left = impl["_M_header"]["_M_left"], int(impl["_M_node_count"])
    while left:
        yield node
        left -= 1
        if left:
            node = successor(node)


def successor(node):
    following = node["_M_right"]
    if following:
        for _ in range(MAX_STEPS):
            before = following["_M_left"]
            if not before:
                return following
            following = before
    else:
        parent = node["_M_parent"]
        for _ in range(MAX_STEPS):
            if node != parent["_M_right"]:
                return parent if node["_M_right"] != parent else node
            node, parent = parent, parent["_M_parent"]
    raise gdb.MemoryError("The links of the tree lead astray at address %#x" % int(node))


def tree(name, value):
    impl = value["_M_t"]["_M_impl"]
    count = impl["_M_node_count"]

    def elements():
        element = argument(value["_M_t"].type, 1)
        return map(node_elements(impl["_M_header"]["_M_left"], element), tree_nodes(impl))

    return associative(name, lambda: int(count), elements)


def hashed(name, value):
    table = value["_M_h"]
    first, count = table["_M_before_begin"]["_M_nxt"], table["_M_element_count"]

    def elements():
        element, node = node_elements(first, argument(table.type, 1)), first
        while node:
            yield element(node)
            node = node["_M_nxt"]

    return associative(name, lambda: int(count), elements)


def associative(name, count, elements):
    def text():
        return counted(name, count())

    if name.endswith("map"):
        return Hinted("map", text, lambda: numbered(keys_and_values(elements())))
    return Group(text, lambda: numbered(elements()))


# -- iterators: the text of what they point to


def iterator(member, of, element):
    def printer(_name, value):
        pointer = value[member]

        def text():
            if not pointer:
                return "non-dereferenceable iterator for " + of
            return nested(element(value, pointer))

        return Text(text)

    return printer


class Nested:
    """The text of a value, unless values point to each other in a circle."""

    depth = 0

    def __call__(self, value):
        if self.depth == MAX_NESTED:
            return "{...}"
        self.depth += 1
        try:
            return str(value)
        finally:
            self.depth -= 1


nested = Nested()


def in_node(value, pointer):
    return node_elements(pointer, argument(value.type, 0))(pointer)


def at_target(_value, pointer):
    return at(int(pointer), pointer_to(pointer.type.strip_typedefs().target()))


def bit_iterator(_name, value):
    word = value["_M_p"]

    def text():
        if not word:
            return "non-dereferenceable iterator for std::vector<bool>"
        return bool(word.dereference() & (1 << value["_M_offset"]))

    return Text(text)


def bit_reference(_name, value):
    word = value["_M_p"]

    def text():
        if not word:
            return "invalid std::vector<bool>::reference"
        return bool(word.dereference() & value["_M_mask"])

    return Text(text)


# -- pointers


def shared_pointer(name, value):
    pointer, counts = value["_M_ptr"], value["_M_refcount"]["_M_pi"]

    def text():
        state = "empty"
        if counts:
            used, weak = member(counts, "_M_use_count"), member(counts, "_M_weak_count")
            state = "use count %d, weak count %d" % (used, weak - 1)
            if used == 0:
                state = "expired, weak count %d" % weak
        return "%s<%s> (%s)" % (name, argument(value.type, 0), state)

    return Group(text, lambda: iter([("get()", pointer)]))


def member(pointer, name):
    """A number in a polymorphic class, read without a look at the dynamic type."""
    for field in pointer.type.strip_typedefs().target().strip_typedefs().fields():
        if field.name == name:
            return int(at(int(pointer) + field.bitpos // 8, pointer_to(field.type)))
    raise gdb.error("There is no member named %s." % name)


def unique_pointer(_name, value):
    pointer = unique_target(value)
    text = "std::unique_ptr<%s>" % argument(value.type, 0)
    return Group(lambda: text, lambda: iter([("get()", pointer)]))


def unique_target(value):
    """A pointer: the first element of a tuple of it and the deleter."""
    inner = value["_M_t"]
    if not inner.type.strip_typedefs().tag.startswith("std::tuple<"):
        inner = inner["_M_t"]
    return base_of(base_of(inner, 0), -1)["_M_head_impl"]


# -- several or one object


def pair(_name, value):
    names = ("first", "second")
    parts = [(name, value[name]) for name in names]
    return Group(lambda: None, lambda: iter(parts))


def tuple_(name, value):
    if not value.type.strip_typedefs().fields():
        return Group(lambda: "empty " + name, lambda: iter([]))

    def elements():
        part, number = base_of(value, 0), 0
        while part is not None:
            number += 1
            bases = len(part.type.fields())  # the rest of the tuple, if any, and this element
            head = base_of(part, bases - 1)
            is_wrapped = field_names(head.type)[:1] == ["_M_head_impl"]
            yield "[%d]" % number, head["_M_head_impl"] if is_wrapped else head
            part = base_of(part, 0) if bases == 2 else None

    return Group(lambda: name + " containing", elements)


def single(begin, value, hint=None):
    """Something that holds one object: its children are those of the object, if that has any."""
    inner = gdb.default_visualizer(value)
    if not hasattr(inner, "children"):
        return Hinted(hint, lambda: begin, lambda: (("[contained value]", read(value)),))
    if hasattr(inner, "display_hint"):
        hint = inner.display_hint()
    return Hinted(
        hint, lambda: "%s containing %s" % (begin, inner.to_string()), lambda: inner.children()
    )


def nothing(begin, hint=None):
    return Hinted(hint, lambda: begin + " [no contained value]", lambda: iter([]))


def optional(name, value):
    begin = "%s<%s>" % (name, spelled(argument(value.type, 0)))
    payload = value["_M_payload"]
    engaged, held = payload["_M_engaged"], payload["_M_payload"]
    if "_M_value" in field_names(held.type):
        held = held["_M_value"]
    return single(begin, held) if engaged else nothing(begin)


def variant(name, value):
    # gdb does not see template arguments of packs: it would parse the name and search for types.
    index, union, kinds = int(value["_M_index"]), value["_M_u"], []
    level = union.type.strip_typedefs()
    while "_M_first" in field_names(level):
        kinds.append(argument(level["_M_first"].type, 0))
        level = level["_M_rest"].type.strip_typedefs()
    begin = "%s<%s>" % (name, ", ".join(spelled(kind) for kind in kinds))
    if not 0 <= index < len(kinds):
        return nothing(begin, "array")
    held = at(int(union.address), pointer_to(kinds[index]))
    return single("%s [index %d]" % (begin, index), held, "array")


def any_(name, value):
    manager = value["_M_manager"]
    if not manager:
        return nothing(name)
    block = gdb.block_for_pc(int(manager))
    while block.function is None:
        block = block.superblock
    if "::_Manager_internal<" in block.function.name:
        address = int(value["_M_storage"]["_M_buffer"].address)
    else:
        address = int(value["_M_storage"]["_M_ptr"])
    # The manager's own variable has the type of a pointer to the object.
    kinds = [symbol.type.target().unqualified() for symbol in block if symbol.name == "__ptr"]
    held = at(address, pointer_to(kinds[0]))
    inner = gdb.default_visualizer(held)
    if hasattr(inner, "children"):
        return single(name, held)
    return single("%s containing %s" % (name, spelled(kinds[0])), held)


def atomic(name, value):
    kind = argument(value.type, 0)
    for members in (["_M_i"], ["_M_fp"], ["_M_b", "_M_p"], ["_M_base", "_M_i"]):
        held = value
        try:
            for part in members:
                held = held[part]
        except gdb.error:
            continue
        return Text(lambda: "%s<%s> = { %s }" % (name, kind, held))
    return None


def path(_name, value):
    """Of a file: text, and components unless it has only one."""
    impl = int(unique_target(value["_M_cmpts"]["_M_impl"]))
    kind, text = impl & 3, value["_M_pathname"]

    def describe():
        return "filesystem::path %s%s" % (text, (" [%s]" % PATHS[kind]) if kind in PATHS else "")

    def components():
        if kind or not impl:
            return
        # The size and the capacity, both an int, are in front of the components: paths with the
        # component's place in the whole path.
        number = value.type.strip_typedefs().sizeof + text["_M_string_length"].type.sizeof
        int_type = gdb.selected_frame().architecture().integer_type(32)
        for count in range(int(at(impl, int_type.pointer()))):
            part = at(impl + 8 + count * number, pointer_to(value.type.strip_typedefs()))
            inner = int(unique_target(part["_M_cmpts"]["_M_impl"])) & 3
            yield "[%s]" % PATHS.get(inner, count), part["_M_pathname"]

    return Group(describe, components)


PATHS = {1: "root-name", 2: "root-directory"}


# -- names of types, as people write them

CHARACTERS = {"char": "", "wchar_t": "w", "char8_t": "u8", "char16_t": "u16", "char32_t": "u32"}
ORDERED, HASHED = ("std::less",), ("std::hash", "std::equal_to")
DEFAULTS = {"unique_ptr": (1, ("std::default_delete",))}
for _name in ("vector", "deque", "list", "forward_list"):
    DEFAULTS[_name] = (1, ("std::allocator",))
for _name, _how in (("%sset", ORDERED), ("unordered_%sset", HASHED)):
    for _many in ("", "multi"):
        DEFAULTS[_name % _many] = (1, (*_how, "std::allocator"))
        DEFAULTS[_name.replace("set", "map") % _many] = (2, (*_how, "std::allocator"))
"""Of templates: how many arguments are shown, and the templates of those that have a default."""


def spelled(kind):
    """`std::string` for the class behind it, `std::vector<int>` without its allocator."""
    tag, full = kind.tag, str(kind)
    if tag is None or not tag.startswith("std::"):
        return full
    name, _, rest = tag.replace("std::__cxx11::", "std::").partition("<")
    if name.startswith("std::basic_") and tag == full:
        character = rest.partition(",")[0]
        traits = "%s, std::char_traits<%s>" % (character, character)
        ends = (traits + " >", "%s, std::allocator<%s> >" % (traits, character))
        if rest in ends and character in CHARACTERS:
            return "std::" + CHARACTERS[character] + name[len("std::basic_") :]
    return without_defaults(kind, name) or full


def without_defaults(kind, name):
    known = DEFAULTS.get(name.replace("std::__debug::", "std::")[len("std::") :])
    if known is None:
        return None
    shown, defaults = known
    arguments = [kind.template_argument(number) for number in range(shown + len(defaults))]
    for found, default in zip(arguments[shown:], defaults):  # noqa: B905 - gdb's Python may be old
        if not is_default(found, default, arguments[:shown]):
            return None
    return "%s<%s>" % (name, ", ".join(spelled_part(part) for part in arguments[:shown]))


def is_default(found, default, shown):
    if found.tag is None or not found.tag.startswith(default + "<"):
        return False
    inner = found.template_argument(0)
    if default == "std::allocator" and len(shown) == 2:  # of pairs of a constant key and a value
        parts = [inner.template_argument(0).unqualified(), inner.template_argument(1)]
        return parts == shown
    return inner == shown[0]


def spelled_part(kind):
    for code, mark in MARKS.items():
        if kind.code == code:
            return spelled_part(kind.target()) + mark
    return spelled(kind)


MARKS = {
    gdb.TYPE_CODE_PTR: "*",
    gdb.TYPE_CODE_REF: "&",
    getattr(gdb, "TYPE_CODE_RVALUE_REF", gdb.TYPE_CODE_REF): "&&",
}

# -- the entry

PRINTERS = {
    string: "basic_string",
    string_view: "basic_string_view",
    vector: "vector",
    deque: "deque",
    doubly_linked: "list",
    forward_list: "forward_list",
    span: "span",
    initializer_list: "initializer_list",
    bitset: "bitset",
    adapter: "stack queue priority_queue",
    tree: "map multimap set multiset",
    hashed: "unordered_map unordered_multimap unordered_set unordered_multiset",
    shared_pointer: "shared_ptr weak_ptr",
    unique_pointer: "unique_ptr",
    pair: "pair",
    tuple_: "tuple",
    optional: "optional",
    variant: "variant",
    any_: "any",
    atomic: "atomic",
    path: "filesystem::path",
    bit_iterator: "_Bit_iterator _Bit_const_iterator",
    bit_reference: "_Bit_reference",
    iterator("_M_node", "std::list", in_node): "_List_iterator _List_const_iterator",
    iterator(
        "_M_node", "std::forward_list", in_node
    ): "_Fwd_list_iterator _Fwd_list_const_iterator",
    iterator(
        "_M_node", "associative container", in_node
    ): "_Rb_tree_iterator _Rb_tree_const_iterator",
    iterator("_M_cur", "std::deque", at_target): "_Deque_iterator _Deque_const_iterator",
}
PRINTERS = {
    "std::" + name: printer for printer, names in PRINTERS.items() for name in names.split()
}
PRINTERS["__gnu_cxx::__normal_iterator"] = iterator("_M_current", "std::vector", at_target)


def printer_for(value):
    """gdb's question for every value: an object that prints it, or None."""
    kind = value.type
    if kind.code == gdb.TYPE_CODE_REF:
        kind = kind.target()
    tag = kind.strip_typedefs().tag
    if tag is None or not tag.startswith(("std::", "__gnu_cxx::__normal_iterator<")):
        return None
    name, template, _ = tag.partition("<")
    known = PRINTERS.get(name) or PRINTERS.get(
        name.replace("__cxx11::", "").replace("__debug::", "").replace("__cxx1998::", "")
    )
    if known is None or (template and tag[-1] != ">"):
        return None
    try:
        if value.type.code == gdb.TYPE_CODE_REF:
            value = value.referenced_value()
        return known(name, value)
    except (gdb.error, RuntimeError, LookupError, TypeError, AttributeError):
        return None  # another layout
