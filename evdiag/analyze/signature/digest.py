"""SHA-256 without OpenSSL, which takes 3 ms to load: as much as the signature itself."""

from functools import cache
from importlib import import_module
from typing import Any

MODULES = ("_sha2", "_sha256", "hashlib")
"""Python's own implementation since 3.12 and before, and what there is in any case."""


def sha256(text: str, modules: tuple[str, ...] = MODULES) -> str:
    """The SHA-256 of a text in hexadecimal digits, by the first of these modules that exists."""
    return str(_implementation(modules)(text.encode()).hexdigest())


def new_sha256(data: bytes = b"") -> Any:  # noqa: ANN401 - as below
    """A running SHA-256, with what Python's own ones have: update, copy, digest, hexdigest."""
    return _implementation(MODULES)(data)


@cache
def _implementation(modules: tuple[str, ...]) -> Any:  # noqa: ANN401 - the modules have no types
    *others, last = modules
    for name in others:
        try:
            return import_module(name).sha256
        except ImportError:
            continue
    return import_module(last).sha256
