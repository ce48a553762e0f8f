"""The JSON Schema of the report, made from the nouns themselves."""

import ast
import importlib.util
from importlib.abc import InspectLoader
from typing import cast

import msgspec

from evdiag.model import report as nouns
from evdiag.model.report import SCHEMA, Address, Report
from evdiag.report.json import to_text

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema() -> str:
    """The JSON Schema of the report, with the descriptions that stand in the code."""
    _, parts = msgspec.json.schema_components(
        (Report,), schema_hook=_schema_hook, ref_template="#/$defs/{name}"
    )
    described = _descriptions()
    for name, part in parts.items():
        # Readers must not rely on anything but the name of the schema: fields come and go.
        part["required"] = ["schema"] if name == Report.__name__ else []
        for field, about in part["properties"].items():
            if text := described.get((name, field)):
                about["description"] = text
    top = parts.pop(Report.__name__)
    top["properties"]["schema"] = {"const": SCHEMA}
    document = {"$schema": _DIALECT, "$id": SCHEMA, **top, "$defs": parts}
    document["title"] = "evdiag crash report"
    return to_text(document)


def _schema_hook(kind: type) -> dict[str, object]:
    assert kind is Address
    return {"type": "string", "pattern": "^0x[0-9a-f]+$"}


def _descriptions() -> dict[tuple[str, str], str]:
    """The strings under the fields of the nouns: Python drops them, their source has them."""
    # Only whoever wants the schema pays for these.

    spec = importlib.util.find_spec(nouns.__name__)
    assert spec is not None
    source = cast("InspectLoader", spec.loader).get_source(nouns.__name__)
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
