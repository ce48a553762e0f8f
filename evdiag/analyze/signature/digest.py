"""SHA-256 without OpenSSL, which takes 3 ms to load: as much as the signature itself."""

from collections.abc import Sequence
from importlib import import_module

MODULES = ("_sha2", "_sha256", "hashlib")
"""Python's own implementation since 3.12 and before, and what there is in any case."""


def sha256(text: str, modules: Sequence[str] = MODULES) -> str:
    """The SHA-256 of a text in hexadecimal digits, by the first of these modules that exists."""
    *others, last = modules
    for name in others:
        try:
            return str(import_module(name).sha256(text.encode()).hexdigest())
        except ImportError:
            continue
    return str(import_module(last).sha256(text.encode()).hexdigest())
