"""What a thrown object says of itself: the text that what() would give, without running it.

Sources: libstdc++-v3 of gcc: include/std/stdexcept (`__cow_string` behind the virtual table
pointer), include/bits/cow_string.h (`_Rep` in front of the characters), include/bits/basic_string.h
(pointer, size, then the short text or the capacity), bits/fs_dir.h and src/c++17/cow-fs_dir.cc
(filesystem_error::_Impl), and the literals of what() in libsupc++ and src.
"""

import struct

import msgspec

from evdiag.analyze.exports import LIBSTDCXX
from evdiag.analyze.getter import returned
from evdiag.analyze.rtti import CLASSES, STRING, Part, TypeInfo, Types

WHAT = 2
"""Place of what() in the virtual table of std::exception, behind two destructors."""
MAX_TEXT = 4096
"""Bytes kept of a text: hostile ones are endless, and nobody reads more."""
MAX_OBJECT = 4096
"""Bytes of an object in which members are looked for."""
MAX_COUNT = 1 << 32
"""No text of an exception is that long."""
MAX_OWNERS = 1 << 20
"""Copies of one reference-counted string, less one; -1 for one that may not be shared."""
SHORT_TEXT = 15
"""Characters that std::string keeps inside itself."""

COW_BASES = ("St11logic_error", "St13runtime_error")
"""Their first member is the text. Most exceptions of the standard library derive from them."""
FILESYSTEM = "NSt10filesystem7__cxx1116filesystem_errorE"
_FILESYSTEM_IMPL = 32
"""From the object to its pointer to `_Impl`: behind a std::system_error."""
_FILESYSTEM_TEXT = 80
"""In `_Impl`, behind two paths of 40 bytes each."""
OLD_STRING = "Ss"
"""std::string of programs compiled for the ABI before gcc 5: no more than a pointer."""
BAD_VARIANT = "St18bad_variant_access"

LITERALS = {
    "St9exception": "std::exception",  # libsupc++/eh_exception.cc
    "St13bad_exception": "std::bad_exception",
    "St9bad_alloc": "std::bad_alloc",  # libsupc++/bad_alloc.cc
    "St20bad_array_new_length": "std::bad_array_new_length",  # libsupc++/bad_array_new.cc
    "St8bad_cast": "std::bad_cast",  # libsupc++/bad_cast.cc
    "St10bad_typeid": "std::bad_typeid",  # libsupc++/bad_typeid.cc
    "St12bad_weak_ptr": "bad_weak_ptr",  # src/c++11/shared_ptr.cc
    "St17bad_function_call": "bad_function_call",  # src/c++11/functional.cc
    "St12bad_any_cast": "bad any_cast",  # include/std/any
    "St19bad_optional_access": "bad optional access",  # include/std/optional
}
"""What what() says where it always says the same; only for exactly these types."""

_SCALARS = {
    "b": "<?", "c": "<c", "a": "<b", "h": "<B", "s": "<h", "t": "<H", "i": "<i", "j": "<I",
    "l": "<q", "m": "<Q", "x": "<q", "y": "<Q", "f": "<f", "d": "<d",
}  # fmt: skip
"""Built-in types by their mangled letter, as processors with 64 bits store them."""
_C_STRINGS = ("PKc", "Pc")


class Text(msgspec.Struct, frozen=True, kw_only=True):
    """A text and where it comes from."""

    text: str
    guess: str | None = None
    """None where the text is certain; else what it is instead: "is the first std::string"."""


def text_of(types: Types, address: int, kind: TypeInfo, size: int) -> Text | None:
    """What the object of a type says; None if nothing was found."""
    plain = _plain(types, address, kind)
    if plain is not None:
        return Text(text=plain)
    if kind.kind == "pointer":
        return _pointed(types, address, kind)
    if kind.kind in CLASSES:
        return _of_class(types, Part(type=kind, address=address), size)
    return _by_form(types, address, min(size, MAX_OBJECT)) if kind.kind is None else None


def _plain(types: Types, address: int, kind: TypeInfo) -> str | None:
    """Numbers, C strings, std::string."""
    memory, name = types.memory, kind.name or ""
    if name in _C_STRINGS:
        at = memory.word(address)
        return memory.string(at, MAX_TEXT) if at else None
    if name == STRING:
        return std_string(types, address, empty=True)
    if name == OLD_STRING:
        return cow_string(types, address)
    if name == "Dn":
        return "nullptr"
    # the size of an enumeration is not told; most have that of an int
    layout = "<i" if kind.kind == "enum" else _SCALARS.get(name)
    if layout is None:
        return None
    raw = memory.read(address, struct.calcsize(layout))
    return _number(layout, raw) if len(raw) == struct.calcsize(layout) else None


def _number(layout: str, raw: bytes) -> str:
    (value,) = struct.unpack(layout, raw)
    if isinstance(value, bytes):
        return ascii(value)[1:]  # b'x', without the b
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _pointed(types: Types, address: int, kind: TypeInfo) -> Text | None:
    """An exception thrown as a pointer to it."""
    target = types.memory.word(address)
    if not target:
        return Text(text="nullptr")
    pointed = types.pointee(kind)
    there = types.dynamic(target) if pointed is not None and pointed.kind in CLASSES else None
    found = _of_class(types, there, 0) if there is not None else None
    return found or Text(text=f"{target:#x}")


def _of_class(types: Types, whole: Part, size: int) -> Text | None:
    name = whole.type.name or ""
    if name == FILESYSTEM:
        impl = types.memory.word(whole.address + _FILESYSTEM_IMPL)
        text = std_string(types, impl + _FILESYSTEM_TEXT) if impl else None
        if text is not None:
            return Text(text=text)
    if name == BAD_VARIANT:
        at = types.memory.word(whole.address + types.memory.size)
        text = types.memory.string(at, MAX_TEXT) if at else None
        if text is not None:
            return Text(text=text)
    parts = types.parts(whole)
    what = _what(types, parts)
    followed = _followed(types, *what) if what is not None else None
    if followed is not None:
        return Text(text=followed)
    inherited = _inherited(types, parts)
    if inherited is not None:
        own = what is not None and not _is_standard(types, what[0])
        return Text(text=inherited, guess="is what its base class says" if own else None)
    if name in LITERALS:
        return Text(text=LITERALS[name])
    return _member(types, whole, min(size, MAX_OBJECT)) or _bases_literal(parts)


def _what(types: Types, parts: tuple[Part, ...]) -> tuple[int, int] | None:
    """The function what() of an object, and the part that it is called for."""
    for part in parts:
        if part.type.name == "St9exception":
            table = types.memory.word(part.address)
            function = types.memory.word(table + WHAT * types.memory.size) if table else None
            return (function, part.address) if function else None
    return None


def _followed(types: Types, function: int, this: int) -> str | None:
    """What what() returns, where its code can be followed."""
    at = returned(types.memory, types.space.facts.machine, function, this)
    return types.memory.string(at, MAX_TEXT) if at else None


def _is_standard(types: Types, function: int) -> bool:
    """Whether a function is libstdc++'s own."""
    module = types.space.module_at(function)
    return module is not None and module.path.rpartition("/")[2].startswith(LIBSTDCXX)


def _inherited(types: Types, parts: tuple[Part, ...]) -> str | None:
    """The text that std::runtime_error or std::logic_error keeps in the object."""
    for part in parts:
        if part.type.name in COW_BASES:
            found = cow_string(types, part.address + types.memory.size)
            if found is not None:
                return found
    return None


def _bases_literal(parts: tuple[Part, ...]) -> Text | None:
    """A derived class may say something else, but usually it does not."""
    for part in parts[1:]:
        literal = LITERALS.get(part.type.name or "")
        if literal is not None and part.type.name != "St9exception":
            return Text(text=literal, guess="is what its base class says")
    return None


def _member(types: Types, whole: Part, size: int) -> Text | None:
    """The text of a member: a standard exception, as nlohmann's keep one, else a std::string."""
    word = types.memory.size
    for at in range(whole.address + word, whole.address + size - word, word):
        inner = types.dynamic(at)
        if inner is not None and inner.address == at:
            text = _inherited(types, types.parts(inner))
            if text is not None:
                return Text(text=text, guess="is that of an exception inside of the object")
    return _first_string(types, whole.address, size)


def _first_string(types: Types, address: int, size: int) -> Text | None:
    word = types.memory.size
    table = types.memory.word(address)
    first = address + word if table and types.in_a_file(table) else address
    for at in range(first, address + size - 3 * word, word):
        text = std_string(types, at)
        if text is not None:
            return Text(text=text, guess="is the first std::string inside of the object")
    return None


def _by_form(types: Types, address: int, size: int) -> Text | None:
    """The text in an object of which nothing is known, for want of libstdc++'s file."""
    word = types.memory.size
    for at in range(address + word, address + size, word):
        text = cow_string(types, at)
        if text:
            return Text(text=text, guess="has the form that std::runtime_error keeps it in")
    return _first_string(types, address, size)


def cow_string(types: Types, at: int) -> str | None:
    """The text of a reference-counted string: a pointer to it, its size in front of it."""
    memory = types.memory
    start = memory.word(at)
    if not start or start < 24:
        return None
    head = memory.read(start - 24, 20)
    if len(head) < 20:
        return None
    size, capacity, owners = struct.unpack("<QQi", head)
    if not size <= capacity < MAX_COUNT or not -1 <= owners < MAX_OWNERS:
        return None
    return _text(types, start, size)


def std_string(types: Types, at: int, *, empty: bool = False) -> str | None:
    """The text of a std::string, if there is one at an address."""
    memory = types.memory
    raw = memory.read(at, 24)
    if len(raw) < 24:
        return None
    start, size, capacity = struct.unpack("<QQQ", raw)
    if size == 0 and not empty:
        return None
    if start == at + 16:
        return _text(types, start, size) if size <= SHORT_TEXT else None
    if not SHORT_TEXT < capacity < MAX_COUNT or size > capacity or types.in_a_file(start):
        return None
    return _text(types, start, size)


def _text(types: Types, start: int, size: int) -> str | None:
    """Characters with the zero byte behind them; None if it is missing."""
    memory = types.memory
    if memory.read(start + size, 1) != b"\0":
        return None
    raw = memory.read(start, min(size, MAX_TEXT))
    return raw.decode("utf-8", "replace") if len(raw) == min(size, MAX_TEXT) else None
