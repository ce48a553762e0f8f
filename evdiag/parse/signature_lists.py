"""The lists of frames that signatures leave out, from the data file that holds them."""

import msgspec

from evdiag.errors import EvdiagError
from evdiag.model.signature import Entry, Lists

ROLES = ("noise", "prefix", "base")
PLACES = ("libc", "runtime", "program", "any")


class ListsError(EvdiagError):
    """The lists say something that evdiag does not understand; the text says what."""


class _List(msgspec.Struct, forbid_unknown_fields=True):
    role: str
    where: str
    why: str
    names: list[str]


class _File(msgspec.Struct, forbid_unknown_fields=True):
    version: str
    list: list[_List]
    about: tuple[str, ...] = ()
    """For people: JSON has no comments."""


def parse_lists(document: bytes) -> Lists:
    """The lists of a JSON document. Raises ListsError."""
    try:
        file = msgspec.json.decode(document, type=_File)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ListsError(f"the lists of frames for signatures are damaged: {error}") from None
    exact: dict[tuple[str, str], Entry] = {}
    starred: list[tuple[str, str, str, Entry]] = []
    for listed in file.list:
        if listed.role not in ROLES or listed.where not in PLACES:
            raise ListsError(f"no list can be {listed.role!r} for {listed.where!r}")
        for name in listed.names:
            entry = Entry(listed.role, listed.where, name, listed.why)
            if name.count("*") > 1 or not name.strip("*"):
                raise ListsError(f"{name!r} needs a name and at most one star")
            head, star, tail = name.partition("*")
            if star:
                starred.append((listed.where, head, tail, entry))
            else:
                exact.setdefault((listed.where, name), entry)
    return Lists(file.version, exact, tuple(starred))
