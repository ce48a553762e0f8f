"""Runs inside gdb, after values.py: strings, sequences, trees, hash tables and iterators."""

import gdb

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
