"""The JSON Schemas of the report and of the triage, made from the nouns themselves."""

import ast
import importlib.util
from collections.abc import Sequence
from importlib.abc import InspectLoader
from types import ModuleType
from typing import cast

import msgspec

from evdiag.model import report as nouns
from evdiag.model import triage as triage_nouns
from evdiag.model.report import SCHEMA, Address, Noun, Report
from evdiag.model.triage import SCHEMA as TRIAGE_SCHEMA
from evdiag.model.triage import Triage
from evdiag.report.json import to_text

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema() -> str:
    """The JSON Schema of the report, with the descriptions that stand in the code."""
    return _schema_of(Report, SCHEMA, "evdiag crash report", (nouns,))


def triage_schema() -> str:
    """The JSON Schema of a triage, which has reports in it."""
    return _schema_of(Triage, TRIAGE_SCHEMA, "evdiag triage", (nouns, triage_nouns))


def _schema_of(top: type[Noun], name: str, title: str, modules: Sequence[ModuleType]) -> str:
    _, parts = msgspec.json.schema_components(
        (top,), schema_hook=_schema_hook, ref_template="#/$defs/{name}"
    )
    described: dict[tuple[str, str], str] = {}
    for module in modules:
        described |= _descriptions(module)
    named = {Report.__name__: SCHEMA, Triage.__name__: TRIAGE_SCHEMA}
    for noun, part in parts.items():
        # Readers must not rely on anything but the name of the schema: fields come and go.
        part["required"] = ["schema"] if noun in named else []
        if noun in named:
            part["properties"]["schema"] = {"const": named[noun]}
        for field, about in part["properties"].items():
            if text := described.get((noun, field)):
                about["description"] = text
    document = {"$schema": _DIALECT, "$id": name, **parts.pop(top.__name__), "$defs": parts}
    document["title"] = title
    return to_text(document)


def _schema_hook(kind: type) -> dict[str, object]:
    assert kind is Address
    return {"type": "string", "pattern": "^0x[0-9a-f]+$"}


def _descriptions(module: ModuleType) -> dict[tuple[str, str], str]:
    """The strings under the fields of the nouns: Python drops them, their source has them."""
    spec = importlib.util.find_spec(module.__name__)
    assert spec is not None
    source = cast("InspectLoader", spec.loader).get_source(module.__name__)
    found: dict[tuple[str, str], str] = {}
    for noun in ast.parse(source or "").body:
        if not isinstance(noun, ast.ClassDef):
            continue
        for field, text in zip(noun.body, noun.body[1:], strict=False):
            match field, text:
                case (
                    ast.AnnAssign(target=ast.Name(id=name)),
                    ast.Expr(value=ast.Constant(value=str(words))),
                ):
                    found[noun.name, name] = " ".join(words.split())
    return found
