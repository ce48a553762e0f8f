"""Types of C++ objects from the memory of the process alone: names, base classes, where they lie.

Sources: Itanium C++ ABI, 2.5 "Virtual Table Layout" (offset to top and type_info in front of the
functions) and 2.9 "Run-Time Type Information" (layouts of `std::type_info` and its descendants).
A type's own name is in the constants of the program, which a core does not hold: it comes from
the program's file. Without that file nothing is said about the type.
"""

import re
from collections import deque
from collections.abc import Callable

import msgspec

from evdiag.analyze import names
from evdiag.analyze.space import AddressSpace

Demangle = Callable[[str], str]

MAX_NAME = 4096
LONGEST_TYPE = 300
"""Characters of a readable type name; template arguments are left out of longer ones."""
MAX_PARTS = 64
"""Base classes of one object that are looked at."""
MAX_BASES = 32
"""Direct base classes of one class."""
MAX_KNOWN = 20_000
"""Addresses remembered; a search through hostile memory asks for any number of them."""

_ABI = "N10__cxxabiv1"
_KINDS = {
    f"{_ABI}17__class_type_infoE": "class",
    f"{_ABI}20__si_class_type_infoE": "single",
    "St19__iosfail_type_info": "single",  # libstdc++'s own, for std::ios_base::failure
    f"{_ABI}21__vmi_class_type_infoE": "multiple",
    f"{_ABI}19__pointer_type_infoE": "pointer",
    f"{_ABI}23__fundamental_type_infoE": "fundamental",
    f"{_ABI}16__enum_type_infoE": "enum",
    f"{_ABI}20__function_type_infoE": "function",
    f"{_ABI}17__array_type_infoE": "array",
    f"{_ABI}29__pointer_to_member_type_infoE": "member",
}
"""Which kind of type a std::type_info describes, by the name of its own class."""
CLASSES = ("class", "single", "multiple")
VIRTUAL = 1
"""`__base_class_type_info::__virtual_mask`; the offset is in the bits from 8 on."""
OFFSET_SHIFT = 8

BUILTIN = {
    "v": "void", "b": "bool", "c": "char", "a": "signed char", "h": "unsigned char",
    "s": "short", "t": "unsigned short", "i": "int", "j": "unsigned int", "l": "long",
    "m": "unsigned long", "x": "long long", "y": "unsigned long long", "n": "__int128",
    "o": "unsigned __int128", "f": "float", "d": "double", "e": "long double", "w": "wchar_t",
    "Ds": "char16_t", "Di": "char32_t", "Du": "char8_t", "Dn": "std::nullptr_t",
}  # fmt: skip
"""Types that have a letter in mangled names (Itanium C++ ABI, 5.1.5 "<builtin-type>")."""
STRING = "NSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE"
"""std::string, as its std::type_info spells it."""
_SPELLED = {STRING: "std::string", "PKc": "char const*", "Pc": "char*"}
_NAME = re.compile(rb"[A-Za-z0-9_.$]+")


class TypeInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One std::type_info."""

    address: int
    name: str | None = None
    """As the compiler mangled it; None where the file that holds it is not here."""
    kind: str | None = None
    """class, single, multiple (by the bases of a class), pointer, fundamental, enum, ..."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """An object, or what it has of a base class."""

    type: TypeInfo
    address: int


class Types:
    """The types of one process."""

    def __init__(self, space: AddressSpace) -> None:
        self.space, self.memory = space, space.memory
        self._known: dict[int, TypeInfo | None] = {}

    def read(self, address: int) -> TypeInfo | None:
        """The std::type_info at an address; None if there is none."""
        if address not in self._known:
            if len(self._known) >= MAX_KNOWN:
                return None
            self._known[address] = self._read(address)
        return self._known[address]

    def dynamic(self, address: int) -> Part | None:
        """The object that an address is in, by the virtual table that its first word points to."""
        table = self.memory.word(address)
        if not table or not self._may_be_constant(table):
            return None
        word = self.memory.size
        top, info = self.memory.word(table - 2 * word), self.memory.word(table - word)
        found = self.read(info) if info and top is not None else None
        if found is None or top is None or found.kind not in (*CLASSES, None):
            return None
        mask = self.space.facts.machine.mask
        return Part(type=found, address=(address + top) & mask)

    def parts(self, whole: Part) -> tuple[Part, ...]:
        """An object and all of its base classes, nearest first."""
        found: list[Part] = []
        waiting = deque([whole])
        seen: set[Part] = set()
        while waiting and len(found) < MAX_PARTS:
            part = waiting.popleft()
            if part not in seen:
                seen.add(part)
                found.append(part)
                waiting.extend(self._bases(part))
        return tuple(found)

    def pointee(self, pointer: TypeInfo) -> TypeInfo | None:
        """What a pointer type points to (`__pbase_type_info`: flags, then the other type)."""
        target = self.memory.word(pointer.address + 3 * self.memory.size)
        return self.read(target) if target and pointer.kind == "pointer" else None

    def _read(self, address: int) -> TypeInfo | None:
        memory = self.memory
        table, name_at = memory.word(address), memory.word(address + memory.size)
        if (
            not table
            or not name_at
            or not (self._may_be_constant(table) and self._may_be_constant(name_at))
        ):
            return None
        raw = memory.read(name_at, MAX_NAME)
        spelled = raw.split(b"\0", 1)[0].removeprefix(b"*") if raw else None
        if spelled is not None and not _NAME.fullmatch(spelled):
            return None
        kind = self._kind(table)
        if spelled is None and kind is None and not self._is_table(table):
            return None
        name = spelled.decode("ascii") if spelled is not None else None
        return TypeInfo(address=address, name=name, kind=kind)

    def _kind(self, table: int) -> str | None:
        """Which class a std::type_info is of, by the name behind its own virtual table."""
        info = self.memory.word(table - self.memory.size)
        name_at = self.memory.word(info + self.memory.size) if info else None
        name = self.memory.string(name_at, 64) if name_at else None
        return _KINDS.get(name) if name else None

    def _is_table(self, table: int) -> bool:
        """Whether the first entry of a virtual table is code."""
        function = self.memory.word(table)
        return bool(function) and self.memory.executable(function or 0)

    def in_a_file(self, address: int) -> bool:
        """Whether an address is mapped from a file, as all types and virtual tables are."""
        return self.space.file_at(address) is not None

    def _may_be_constant(self, address: int) -> bool:
        """Cores without NT_FILE do not tell what is mapped from files."""
        return not self.space.files or self.in_a_file(address)

    def _bases(self, part: Part) -> list[Part]:
        word, at = self.memory.size, part.type.address
        if part.type.kind == "single":
            base = self.memory.word(at + 2 * word)
            only = self.read(base) if base else None
            return [Part(type=only, address=part.address)] if only else []
        if part.type.kind != "multiple":
            return []
        raw = self.memory.read(at + 2 * word + 4, 4)
        count = min(int.from_bytes(raw, "little"), MAX_BASES)
        rows = (at + 2 * word + 8 + i * 2 * word for i in range(count))
        return [found for row in rows if (found := self._base(part, row))]

    def _base(self, part: Part, row: int) -> Part | None:
        """One `__base_class_type_info`: the type, then flags and offset in one word."""
        word, machine = self.memory.size, self.space.facts.machine
        base, flags = self.memory.word(row), self.memory.word(row + word)
        found = self.read(base) if base else None
        if found is None or flags is None:
            return None
        offset = _signed(flags, machine.bits) >> OFFSET_SHIFT
        if flags & VIRTUAL:  # the offset is that of the real one, in the virtual table
            table = self.memory.word(part.address)
            stored = self.memory.word((table + offset) & machine.mask) if table else None
            if stored is None:
                return None
            offset = _signed(stored, machine.bits)
        return Part(type=found, address=(part.address + offset) & machine.mask)


def readable(mangled: str, demangle: Demangle) -> str:
    """The name of a type as people write it."""
    spelled = _SPELLED.get(mangled) or BUILTIN.get(mangled)
    if spelled is None:
        symbol = f"_ZTS{mangled}"  # types alone are no symbols; their names are ones
        spelled = demangle(symbol).removeprefix("typeinfo name for ").removeprefix("_ZTS")
    return short(spelled)


def short(spelled: str) -> str:
    """The name of a type without what only serves libraries to keep versions apart.

    `std::string` is one of them; logs have it at full length, as the demangler gives it.
    """
    found = names.function(spelled, LONGEST_TYPE)
    return found.replace("::__cxx11::", "::").replace("[abi:cxx11]", "")


def _signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> (bits - 1) else value
