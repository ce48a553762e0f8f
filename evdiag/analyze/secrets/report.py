"""A report without secrets: the last step before it is written in whatever format.

What the program itself is made of stays: functions, files, types, paths, machine code. Everything
that came from its memory, its logs or its surroundings is looked at.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import TypeVar

import msgspec

from evdiag.analyze.redact import redacted, redacted_value
from evdiag.analyze.secrets.redactor import Secrets
from evdiag.analyze.secrets.tokens import PLAIN, TOKEN
from evdiag.model.report import (
    Container,
    CoreFile,
    Frame,
    Instruction,
    LogExcerpt,
    Module,
    Noun,
    Process,
    Provenance,
    Redacted,
    Report,
    Signal,
    Signature,
    Tool,
    Variable,
    Verdict,
    WaitsFor,
)

ASSERTED = "values of the assertion: "
"""How the line of evidence begins that has values as gdb prints them."""

_LEFT = (Tool, Module, Instruction, CoreFile, Provenance, Signal, WaitsFor)
_LEFT_FIELDS = frozenset(
    (
        *("schema", "created", "cls", "rule", "confidence", "kind", "trust", "status", "core"),
        *("function", "file", "module", "build_id", "executable", "digest", "type", "name"),
        *("module_id", "module_type", "stage", "direction", "time"),
    )
)

_AnyNoun = TypeVar("_AnyNoun", bound=Noun)


def redacted_report(report: Report, secrets: Secrets) -> Report:
    """The report with tokens in place of secrets, and the account of them."""
    with secrets.ledger.watched() as used:
        known = secrets.known
        clean = _noun(report, secrets)
        if secrets.known != known:  # a secret that is met late may have been passed over early
            clean = _noun(clean, secrets)
        found = Counter(kind for kind, _ in used.values())
    told = clean.provenance.redaction
    if told is not None and not found:
        return clean
    before = Counter(told.secrets) if told else Counter()
    account = Redacted(secrets=dict(sorted((before + found).items())))
    made = msgspec.structs.replace(clean.provenance, redaction=account)
    return msgspec.structs.replace(clean, provenance=made)


def _noun(noun: _AnyNoun, secrets: Secrets) -> _AnyNoun:
    own = _OWN.get(type(noun))
    changed = own(noun, secrets) if own else {}
    for name in noun.__struct_fields__:
        old = getattr(noun, name)
        if not old or name in _LEFT_FIELDS or name in changed:
            continue
        new = _value(old, secrets)
        if new is not old:
            changed[name] = new
    return msgspec.structs.replace(noun, **changed) if changed else noun


def _value(old: object, secrets: Secrets) -> object:
    if isinstance(old, str):
        return secrets.text(old)
    if isinstance(old, tuple):
        new = tuple([_value(item, secrets) for item in old])
        return old if all(a is b for a, b in zip(new, old, strict=True)) else new
    if isinstance(old, Noun):
        if isinstance(old, Frame) and not (old.args or old.locals or old.source):
            return old
        if isinstance(old, Variable):
            return redacted(old, secrets)
        return old if isinstance(old, _LEFT) else _noun(old, secrets)
    return old


def _container(noun: Container, secrets: Secrets) -> dict[str, object]:
    return {
        "labels": _named(noun.labels, secrets),
        "environment": _named(noun.environment, secrets),
    }


def _named(pairs: Mapping[str, str], secrets: Secrets) -> dict[str, str]:
    shown = secrets.arguments(f"{name}={value}" for name, value in pairs.items())
    return {name: text.removeprefix(f"{name}=") for name, text in zip(pairs, shown, strict=True)}


def _process(noun: Process, secrets: Secrets) -> dict[str, object]:
    return {"argv": secrets.arguments(noun.argv)}


def _excerpt(noun: LogExcerpt, secrets: Secrets) -> dict[str, object]:
    """Lines together: a name and its value may stand in two of them."""
    whole = "\n".join(noun.lines)
    shown = secrets.text(whole)
    return {"lines": noun.lines if shown == whole else tuple(shown.split("\n"))}


def _verdict(noun: Verdict, secrets: Secrets) -> dict[str, object]:
    return {"evidence": tuple(_evidence(line, secrets) for line in noun.evidence)}


def _evidence(line: str, secrets: Secrets) -> str:
    if line.startswith(ASSERTED):
        return ASSERTED + redacted_value(line.removeprefix(ASSERTED), secrets)
    return secrets.text(line)


def _signature(noun: Signature, secrets: Secrets) -> dict[str, object]:
    """Without the key's marks: the same crash has the same signature in every report."""

    def same(text: str) -> str:
        return TOKEN.sub(PLAIN, secrets.text(text))

    return {
        "text": same(noun.text) if noun.text else noun.text,
        "inputs": tuple(map(same, noun.inputs)),
        "proto": tuple(map(same, noun.proto)),
    }


_OWN: Mapping[type[Noun], Callable[..., dict[str, object]]] = {
    Container: _container,
    Process: _process,
    LogExcerpt: _excerpt,
    Verdict: _verdict,
    Signature: _signature,
}
