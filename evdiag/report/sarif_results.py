"""One report as a result of SARIF: its place, its stacks, who waited for whom, its identity."""

import re
from collections.abc import Iterable, Sequence

import msgspec

from evdiag.analyze import names
from evdiag.model.report import DeadlockMember, Frame, Report, Thread, is_crash
from evdiag.report import image, threads, words
from evdiag.report.findings import (
    LAST_LINE,
    LONGEST_FUNCTION,
    Sources,
    frame_of_interest,
    uri_of,
)

Json = dict[str, object]

# GitHub takes 1,000 locations and 10,000 steps of flows a result, and shows 100 and 1,000
# (docs.github.com, "SARIF results exceed limits").
MOST_FRAMES, MOST_WAITING_FRAMES = 100, 40
MOST_THREADS = 64
"""Stacks of other threads; those that share one count once."""
MOST_WAITING = 20
MOST_PARAMETERS, LONGEST_VALUE = 8, 200
MOST_FACTS, LONGEST_TEXT = 12, 1000
LONGEST_CLASS = 60

_LINK = re.compile(r"\](?=\()")
_PLACEHOLDER = re.compile(r"\{(?=\d+\})")


class Detail(msgspec.Struct, frozen=True):
    """How much of a report is told."""

    stacks: bool = True
    """The crashed stack and who waited for whom."""
    threads: bool = True
    """The stacks of all threads."""


DETAILS = (Detail(), Detail(threads=False), Detail(stacks=False, threads=False))
"""The fullest first."""


def message(text: str, width: int = LONGEST_TEXT) -> Json:
    """Text as a message; `[a](b)` would be a link, `{0}` a placeholder (SARIF 3.11.5, 3.11.6)."""
    text = _LINK.sub("] ", names.clip(text, width))
    return {"text": _PLACEHOLDER.sub("{ ", text) or "?"}


def rule_id(report: Report) -> str:
    """The class of the verdict."""
    return names.clip(report.verdict.cls, LONGEST_CLASS) or "unknown"


def level(report: Report) -> str:
    """How bad it is, in SARIF's words."""
    return "error" if is_crash(report.verdict.cls) else "note"


def result(report: Report, sources: Sources, detail: Detail) -> Json:
    """The report as a result; what it is an index into is added by who makes the run."""
    summary = report.verdict.summary
    said = [words.title(report), *([summary] if summary else [])]
    document: Json = {
        "ruleId": rule_id(report),
        "level": level(report),
        "message": message(". ".join(text.rstrip(".") for text in said) + "."),
        "locations": [_main_location(report, sources)],
    }
    if detail.stacks:
        document["stacks"] = _stacks(report, sources, detail)
        document["codeFlows"] = _flows(report, sources)
        document["relatedLocations"] = _related(report, sources)
    document["partialFingerprints"] = _fingerprints(report)
    document["properties"] = {"tags": ["crash"], "evdiag": _essentials(report)}
    return {key: value for key, value in document.items() if value}


# ---------------------------------------------------------------- places


def _main_location(report: Report, sources: Sources) -> Json:
    """Always one with a file: GitHub refuses the whole document for one result without."""
    found = frame_of_interest(report)
    if found is not None:
        location = _location(found[1], sources)
        if "physicalLocation" in location:
            return location
    file = report.process.executable or report.core.path or "unknown"
    return {"physicalLocation": {"artifactLocation": {"uri": uri_of(file)}}}


def _location(frame: Frame, sources: Sources, text: str = "") -> Json:
    """A frame's line of source, else the file that its code is from; and its function."""
    location: Json = {}
    if frame.file:
        physical: Json = {"artifactLocation": sources.location(frame.file)}
        if frame.line is not None and 0 < frame.line <= LAST_LINE:
            physical |= _regions(frame, frame.line)
        location["physicalLocation"] = physical
    elif frame.module:
        location["physicalLocation"] = {"artifactLocation": {"uri": uri_of(frame.module)}}
    name = words.name_of(frame)
    location["logicalLocations"] = [
        {
            "fullyQualifiedName": names.function(name, LONGEST_FUNCTION),
            "kind": "function",
        }
    ]
    if text:
        location["message"] = message(text)
    return location


def _regions(frame: Frame, line: int) -> Json:
    """The line, and the lines around it where they are known."""
    region: Json = {"startLine": line}
    regions: Json = {"region": region}
    shown = [source for source in frame.source if 0 < source.number <= LAST_LINE]
    current = next((source for source in shown if source.number == line), None)
    if current is not None:
        region["snippet"] = {"text": _code([current.text])}
        regions["contextRegion"] = {
            "startLine": shown[0].number,
            "endLine": shown[0].number + len(shown) - 1,
            "snippet": {"text": _code(source.text for source in shown)},
        }
    return regions


def _code(lines: Iterable[str]) -> str:
    return "\n".join(names.clip(line.rstrip(), 300) for line in lines)


# ---------------------------------------------------------------- stacks


def _stacks(report: Report, sources: Sources, detail: Detail) -> list[Json]:
    """The crashed thread first, then one stack for all threads that share it."""
    stacks: list[Json] = []
    named = threads.thread_names(report)
    if (thread := report.crashed) is not None and thread.frames:
        title = f"{words.crashed_title(report)} {words.thread_name(thread)}"
        stacks.append(_stack(thread, title, sources))
    if detail.threads:
        groups = [group for group in threads.others(report) if group[0].frames]
        stacks += [
            _stack(group[0], threads.group_title(group, named), sources)
            for group in groups[:MOST_THREADS]
        ]
    return stacks


def _stack(thread: Thread, title: str, sources: Sources) -> Json:
    frames = _ends(thread.frames, MOST_FRAMES)
    depth = words.depth(thread)
    title += f", {words.count(depth, 'frame')}"
    if len(frames) < depth:
        title += f", {len(frames)} of them shown"
    return {
        "message": message(title),
        "frames": [_stack_frame(frame, thread, sources) for frame in frames],
    }


def _stack_frame(frame: Frame, thread: Thread, sources: Sources) -> Json:
    known = (
        ("pc", frame.pc if frame.pc is None else str(frame.pc)),
        ("offset", frame.offset if frame.offset is None else str(frame.offset)),
        ("buildId", frame.build_id),
        ("kind", None if frame.kind == "normal" else frame.kind),
    )
    document: Json = {
        "location": _location(frame, sources),
        "module": names.basename(frame.module) if frame.module else None,
        "threadId": thread.lwp,
        "parameters": [
            names.clip(f"{variable.name}={variable.value}", LONGEST_VALUE)
            for variable in frame.args[:MOST_PARAMETERS]
            if variable.value is not None
        ],
        # 64 bits do not fit into the numbers of JSON's readers
        "properties": {key: names.clip(text, LONGEST_VALUE) for key, text in known if text},
    }
    return {key: value for key, value in document.items() if value not in (None, [], {})}


def _ends(frames: Sequence[Frame], most: int) -> list[Frame]:
    """The innermost and the outermost frames."""
    if len(frames) <= most:
        return list(frames)
    tail = most // 4
    return [*frames[: most - tail], *frames[len(frames) - tail :]]


# ---------------------------------------------------------------- who waited for whom


def _waiting(report: Report) -> list[tuple[DeadlockMember, str, Thread | None]]:
    """The first members of a circle, what they wait for in words, and their threads."""
    by_lwp = {thread.lwp: thread for thread in report.threads}
    told = threads.deadlock(report)
    return [
        (member, text, by_lwp.get(member.lwp))
        for member, text in zip(report.deadlock[:MOST_WAITING], told, strict=False)
    ]


def _flows(report: Report, sources: Sources) -> list[Json]:
    """A deadlock as one flow with a thread of its own for each member: outermost call first."""
    flows: list[Json] = []
    for member, text, thread in _waiting(report):
        frames = thread.frames if thread is not None else ()
        called = [frame for frame in frames if frame.in_app or frame.level == member.frame]
        steps: list[Json] = [
            {"location": _location(frame, sources), "nestingLevel": nesting}
            for nesting, frame in enumerate(reversed(called[:MOST_WAITING_FRAMES]))
        ]
        last: Json = {"message": message(text)}
        if called:
            last = _location(called[0], sources, text)
            steps.pop()
        steps.append({"location": last, "nestingLevel": len(steps), "importance": "essential"})
        flows.append({"id": f"{len(flows) + 1}", "message": message(text), "locations": steps})
    if not flows:
        return []
    return [{"message": message("Threads that wait for each other"), "threadFlows": flows}]


def _related(report: Report, sources: Sources) -> list[Json]:
    """Where the members of a deadlock wait: what is seen by who shows no flows."""
    places: list[Json] = []
    for member, text, thread in _waiting(report):
        frames = thread.frames if thread is not None else ()
        frame = next((frame for frame in frames if frame.level == member.frame), None)
        if frame is not None and frame.file:
            places.append({"id": len(places) + 1, **_location(frame, sources, text)})
    return places


# ---------------------------------------------------------------- identity, and what else is known


def _fingerprints(report: Report) -> Json:
    signature = report.signature
    if signature is None:
        return {}
    known: dict[str, str | None] = {
        "evdiagSignature/v1": signature.hash,
        "evdiagAddress/v1": signature.address,
        # The one that GitHub looks at: an alert stays the same one while lines move.
        "primaryLocationLineHash": f"{signature.hash}:1" if signature.hash else None,
    }
    return {key: names.clip(text, LONGEST_TEXT) for key, text in known.items() if text}


def _essentials(report: Report) -> Json:
    """What scripts want to know and SARIF has no place for."""
    verdict, process, signature = report.verdict, report.process, report.signature
    known: Json = {
        "schema": report.schema,
        "title": words.title(report),
        "confidence": verdict.confidence,
        "rule": verdict.rule,
        "detail": verdict.detail,
        "evidence": _few(verdict.evidence),
        "advice": _few(verdict.advice),
        "lastWords": _few(f"{what}: {text}" for what, text in words.last_words(report)),
        "signature": None if signature is None else signature.text,
        "signal": None if report.signal is None else words.signal_text(report.signal),
        "process": words.process_name(report),
        "processes": _few(words.siblings(report)),
        "pid": process.pid,
        "buildId": process.build_id,
        "crashedAt": process.crashed_at,
        "image": " · ".join(image.what_ran(report)),
        "core": report.core.path,
        "engine": report.provenance.rung,
    }
    return {
        key: names.clip(value, LONGEST_TEXT) if isinstance(value, str) else value
        for key, value in known.items()
        if value not in (None, "", [])
    }


def _few(texts: Iterable[str]) -> list[str]:
    return [names.clip(text, 400) for text in texts][:MOST_FACTS]
