"""Step by step how a signature came about, for `--explain-signature`.

Two crashes that should have got one signature are compared line by line, so that nothing of one
run stands in here: no addresses, no process numbers.
"""

from collections.abc import Iterator

from evdiag.analyze.names import elide
from evdiag.model.signature import Signed, Treatment
from evdiag.report.neutral import clean

LONGEST_RAW = 160
"""Characters of a function as its symbol has it; templates make thousands."""

MEANING = {
    "kept": "in the signature",
    "prefix": "library",
    "noise": "dropped",
    "library": "dropped",
    "nameless": "dropped",
    "again": "repeated",
    "beyond": "too far out",
    "handler": "above the fault",
    "base": "cut off",
}


def render(name: str, signed: Signed) -> str:
    """The explanation of the signature of one core; harmless whatever is in it."""
    return "".join(clean(line) + "\n" for line in _lines(name, signed))


def _lines(name: str, signed: Signed) -> Iterator[str]:
    signature = signed.signature
    yield f"Signature of {name}"
    yield ""
    yield f"  {signature.text or 'none'}"
    yield f"  hash {signature.hash or 'none'}, version {signature.version or 'none'}"
    yield f"  by address: {signature.address or 'not known'}"
    yield ""
    yield "What went into it"
    yield ""
    for line in signature.inputs:
        yield f"  {line}"
    thread = None
    for treatment in signed.treatments:
        if treatment.thread != thread:
            thread = treatment.thread
            yield ""
            yield f"What became of the frames of thread {thread}, innermost first"
            yield ""
        yield from _frame(treatment)


def _frame(treatment: Treatment) -> Iterator[str]:
    meaning = MEANING.get(treatment.role, treatment.role)
    if treatment.role == "prefix":
        meaning = "library, kept" if treatment.text else "dropped"
    yield f"  #{treatment.level} {meaning}: {treatment.normal}"
    if treatment.raw != treatment.normal:
        yield f"      symbol: {elide(treatment.raw, LONGEST_RAW)}"
    if treatment.role in ("kept", "prefix") and treatment.text not in (None, treatment.normal):
        yield f"      in the text: {treatment.text}"
    yield f"      because: {treatment.why}"
