"""The lists of frames for signatures that come with evdiag."""

from functools import cache
from pathlib import Path

from evdiag.model.signature import Lists
from evdiag.parse.signature_lists import parse_lists

FILE = Path(__file__).parent.parent / "data" / "signature-v1.json"


@cache
def signature_lists() -> Lists:
    """Read the lists, once per process."""
    return parse_lists(FILE.read_bytes())
