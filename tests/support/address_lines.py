"""What the finders of addresses say of lines, in a form that tests can compare."""

from evdiag.model.symbolized import Mention
from evdiag.parse.addresses import Reader


def told(*lines: str) -> list[dict[str, object]]:
    """What the last of some lines says: the fields of its mentions that are set, and the text."""
    reader = Reader()
    found = [reader.mentions(line) for line in lines][-1]
    return [fields(mention, lines[-1]) for mention in found]


def fields(mention: Mention, line: str) -> dict[str, object]:
    names = [n for n in mention.__struct_fields__ if n not in ("start", "end")]
    known = {name: getattr(mention, name) for name in names}
    return {
        "text": line[mention.start : mention.end],
        **{name: value for name, value in known.items() if value is not None},
    }


def one(*lines: str) -> dict[str, object]:
    (only,) = told(*lines)
    return only
