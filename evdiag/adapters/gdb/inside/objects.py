"""Runs inside gdb, after containers.py: pointers, optional and the like, type names, the entry."""

import gdb

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
