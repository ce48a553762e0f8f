"""One core of many: the crash that it tells of."""

import msgspec

from evdiag.analyze import assemble
from evdiag.analyze.causes import explain
from evdiag.analyze.frames import crash_frame
from evdiag.analyze.sign import sign
from evdiag.analyze.times import utc_words
from evdiag.analyze.triage.similar import stack_of
from evdiag.model.crash import CrashFacts
from evdiag.model.report import Frame, Report, Signature, Verdict
from evdiag.model.signals import signal_name
from evdiag.model.signature import Lists, Treatment
from evdiag.model.traced import Traced
from evdiag.model.triage import Crash, Place

EMPTY = "EMPTY"
"""How the inputs of a signature begin in which no function of the application stands."""


def crash_of(traced: Traced, lists: Lists) -> Crash:
    """The crash that a core tells of; path and content are those of the file, set by `placed`.

    Class, title, signature and place are those of the report on the same core.
    """
    evidence, identity = traced.evidence, traced.identity
    process = (identity, traced.executable, traced.name)
    _, cause = explain(evidence)
    program = assemble.subject(*process)
    signed = sign(program, cause, evidence, lists)
    frame = crash_frame(evidence.frames, signed.frame)
    if cause.cls == "deadlock":
        frame = assemble.waiting(evidence)
    signature, signal = signed.signature, evidence.signal
    return Crash(
        path="",
        bytes=traced.bytes,
        title=assemble.title(assemble.named(*process), cause, frame),
        cls=cause.cls,
        confidence=cause.confidence,
        summary=cause.summary,
        signature=signature.text,
        hash=signature.hash,
        address=signature.address,
        proto=_stack(cause.cls, signature, evidence),
        place=_place(frame),
        program=program,
        module_id=identity.id if identity else None,
        pid=evidence.pid,
        signal=signal_name(signal.number) if signal else None,
        build_id=traced.build_id,
        seen=utc_words(traced.crashed_at),
        truncated=traced.truncated,
        symbols=_are_named(evidence, signed.treatments),
        anonymous=any(line.startswith(EMPTY) for line in signature.inputs),
    )


def _stack(cls: str, signature: Signature, evidence: CrashFacts) -> tuple[str, ...]:
    return stack_of(
        Report(
            verdict=Verdict(cls=cls),
            signature=signature,
            threads=evidence.threads,
            deadlock=evidence.deadlock,
        )
    )


def _place(frame: Frame | None) -> Place:
    if frame is None:
        return Place()
    return Place(
        function=frame.function,
        file=frame.file,
        line=frame.line,
        module=frame.module,
        offset=frame.offset,
        build_id=frame.build_id,
    )


def _are_named(evidence: CrashFacts, treatments: tuple[Treatment, ...]) -> bool:
    """Whether all functions of the application in a signature have names."""
    nameless = {
        (thread.number, frame.level)
        for thread in evidence.threads
        for frame in thread.frames
        if frame.function is None
    }
    return not any(
        (t.thread, t.level) in nameless for t in treatments if t.role in ("kept", "again")
    )


def placed(crash: Crash, path: str, *, content: str, written: float, image: str | None) -> Crash:
    """The crash as it is of one file; when that was written counts if nothing better is known."""
    seen = crash.seen or utc_words(written)
    return msgspec.structs.replace(crash, path=path, content=content, seen=seen, image=image)


# -- without secrets


def texts(crash: Crash) -> Report:
    """What of a crash came out of a process, in the shape of a report: there secrets are known."""
    return Report(
        title=crash.title,
        verdict=Verdict(summary=crash.summary),
        signature=Signature(text=crash.signature, proto=crash.proto),
    )


def with_texts(crash: Crash, told: Report) -> Crash:
    """The crash with texts as a report tells them."""
    signature = told.signature or Signature()
    return msgspec.structs.replace(
        crash,
        title=told.title,
        summary=told.verdict.summary,
        signature=signature.text,
        proto=signature.proto,
    )
