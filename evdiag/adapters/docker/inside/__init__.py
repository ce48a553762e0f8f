"""Programs for the container's own Python: sent there as text, never imported here."""

from importlib import resources


def source(name: str) -> str:
    """The text of one of them."""
    return resources.files(__name__).joinpath(f"{name}.py").read_text("utf-8")
