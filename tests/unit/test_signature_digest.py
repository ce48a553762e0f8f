"""The digest of a signature."""

import hashlib

import pytest

from evdiag.analyze.signature.digest import MODULES, sha256


@pytest.mark.parametrize(
    "modules",
    [MODULES, ("hashlib",), ("no_such_module", "hashlib"), ("hashlib", "no_such_module")],
)
@pytest.mark.parametrize("text", ["", "sig:v1: EvseManager | null-write", "名前"])
def test_any_of_the_modules_gives_the_same(text: str, modules: tuple[str, ...]) -> None:
    assert sha256(text, modules) == hashlib.sha256(text.encode()).hexdigest()
