"""The SARIF report: it fits the official schema, and tells place, stacks, identity of a crash."""

import gzip
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evdiag.model.report import (
    CoreFile,
    Frame,
    Process,
    Report,
    Signature,
    SoftError,
    SourceLine,
    Thread,
    Verdict,
)
from evdiag.report import sarif
from evdiag.report.sarif_results import MOST_FRAMES, MOST_THREADS, MOST_WAITING, message
from tests.support import samples
from tests.support.random_nouns import REPORTS
from tests.support.sample_threads import app, crashed, system, var
from tests.unit.test_report_threads import deadlock

SCHEMA = Path(samples.__file__).parent / "schemas" / "sarif-2.1.0.json"
GITHUB_TAKES = 10_000_000
"""Bytes of an upload, compressed."""


@cache
def validator() -> Any:  # noqa: ANN401 - jsonschema has no types
    document = json.loads(SCHEMA.read_text())
    references = set(re.findall(r'"\$ref": "([^"]*)"', SCHEMA.read_text()))
    assert all(reference.startswith("#/") for reference in references)  # nothing is fetched
    return jsonschema.Draft4Validator(document)


def run_of(*reports: Report) -> Any:  # noqa: ANN401 - JSON
    text = sarif.render_many(reports)
    document = json.loads(text)
    validator().validate(document)
    assert document["version"] == "2.1.0"
    assert text.endswith("\n")
    (run,) = document["runs"]
    return run


def result_of(report: Report) -> Any:  # noqa: ANN401 - JSON
    (result,) = run_of(report)["results"]
    return result


def values_of(document: object, key: str) -> Iterator[Any]:
    """All values of a key, however deep."""
    if isinstance(document, dict):
        for name, value in document.items():
            if name == key:
                yield value
            yield from values_of(value, key)
    elif isinstance(document, list):
        for item in document:
            yield from values_of(item, key)


@pytest.mark.parametrize("name", samples.ALL)
def test_samples_fit_the_official_schema(name: str) -> None:
    report = samples.ALL[name]()
    result = result_of(report)
    assert result["ruleId"] == report.verdict.cls
    uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert uri  # GitHub refuses the whole document without
    assert sarif.render(report) == sarif.render_many([report])


@given(st.lists(REPORTS, max_size=2))
@settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_every_report_fits_the_official_schema(reports: list[Report]) -> None:
    run = run_of(*reports)
    assert len(run["results"]) == len(reports)
    for uri in values_of(run, "uri"):
        assert re.match(r"file:///|[^:]*$", uri), uri


# ---------------------------------------------------------------- one result


def test_a_crash() -> None:
    run = run_of(samples.null_write())
    driver, result = run["tool"]["driver"], run["results"][0]
    assert (driver["name"], driver["version"]) == ("evdiag", "0.1.0")
    assert result["level"] == "error"
    assert result["message"]["text"] == (
        "evse_manager_1 (EvseManager): null-write in module::Charger::set_state."
        " The program wrote 4 bytes through a null pointer, at offset 8 of an object."
    )
    (location,) = result["locations"]
    physical = location["physicalLocation"]
    assert physical["artifactLocation"] == {
        "uri": "modules/EVSE/EvseManager/Charger.cpp",
        "uriBaseId": "SRCROOT",
    }
    root = run["originalUriBaseIds"]["SRCROOT"]["uri"]
    assert root == "file:///ext/source/everest-core/"
    assert physical["region"] == {
        "startLine": 431,
        "snippet": {"text": "    connector->state = state;"},
    }
    around = physical["contextRegion"]
    assert (around["startLine"], around["endLine"]) == (428, 434)
    (function,) = location["logicalLocations"]
    assert function["fullyQualifiedName"].startswith("module::Charger::set_state(")
    assert result["partialFingerprints"]["evdiagSignature/v1"] == "6b1d2a9f"
    assert result["partialFingerprints"]["primaryLocationLineHash"] == "6b1d2a9f:1"
    known = result["properties"]["evdiag"]
    assert known["pid"] == 4121
    assert known["crashedAt"] == "2026-11-22 03:12:44 UTC"
    assert known["processes"] == ["this process died first", "taken down with it: ocpp, api"]


def test_the_crashed_stack_comes_first_then_one_for_each_group() -> None:
    stacks = result_of(samples.null_write())["stacks"]
    assert stacks[0]["message"]["text"].startswith("Crashed thread #7 message worker (LWP 4127)")
    assert len(stacks) == 7  # thirteen other threads in seven stacks, one of them empty
    assert any(stack["message"]["text"].startswith("4 threads: ") for stack in stacks)
    frame = stacks[0]["frames"][0]
    assert (frame["threadId"], frame["module"]) == (4127, "EvseManager")
    assert frame["properties"]["pc"] == "0x55d01c401000"  # a string: it has 64 bits


def test_values_of_arguments_are_parameters() -> None:
    frames = result_of(samples.values())["stacks"][0]["frames"]
    assert frames[0]["parameters"] == ["this=0x0", "value=1250"]
    report = crashed(
        app(0, "f()", None, args=(var("x"), *(var(f"y{n}", "int", "1") for n in range(20))))
    )
    (frame,) = result_of(report)["stacks"][0]["frames"]
    assert frame["parameters"] == [f"y{n}=1" for n in range(7)]


def test_a_deep_stack_is_cut_in_its_middle() -> None:
    frames = tuple(app(level, f"f{level}", "/src/a.cpp", 1) for level in range(900))
    (stack,) = result_of(crashed(*frames))["stacks"]
    names = [
        frame["location"]["logicalLocations"][0]["fullyQualifiedName"] for frame in stack["frames"]
    ]
    assert len(names) == MOST_FRAMES
    assert (names[0], names[-1]) == ("f0", "f899")
    assert stack["message"]["text"] == "Crashed thread #1, 900 frames, 100 of them shown"


def test_no_more_stacks_than_anybody_reads() -> None:
    threads = tuple(
        Thread(number=n, group=n, frames=(system(0, "poll"),)) for n in range(2, 3 * MOST_THREADS)
    )
    assert len(result_of(Report(threads=threads))["stacks"]) == MOST_THREADS


@pytest.mark.parametrize(
    ("report", "uri"),
    [
        (Report(), "unknown"),
        (Report(core=CoreFile(path="core.1")), "core.1"),
        (Report(process=Process(executable="/bin/x"), core=CoreFile(path="c")), "file:///bin/x"),
        (crashed(Frame(level=0)), "unknown"),
        (crashed(system(0, "abort", "/lib/libc.so.6")), "file:///lib/libc.so.6"),
    ],
)
def test_a_place_is_always_there(report: Report, uri: str) -> None:
    (location,) = result_of(report)["locations"]
    assert location["physicalLocation"]["artifactLocation"]["uri"] == uri


@pytest.mark.parametrize("line", [None, 0, 2**40])
def test_a_line_that_is_none_is_left_out(line: int | None) -> None:
    source = (SourceLine(number=1, text="x"),)
    (location,) = result_of(crashed(app(0, "f", "/w/a.cpp", line, source=source)))["locations"]
    assert "region" not in location["physicalLocation"]


def test_source_of_other_lines_is_no_snippet() -> None:
    source = (SourceLine(number=1, text="x"),)
    (location,) = result_of(crashed(app(0, "f", "/w/a.cpp", 7, source=source)))["locations"]
    assert location["physicalLocation"]["region"] == {"startLine": 7}


def test_what_is_no_crash_is_a_note() -> None:
    run = run_of(Report(verdict=Verdict(cls="snapshot")), Report(verdict=Verdict(cls="")))
    assert [result["level"] for result in run["results"]] == ["note", "error"]
    assert [result["ruleId"] for result in run["results"]] == ["snapshot", "unknown"]
    levels = [rule["defaultConfiguration"]["level"] for rule in run["tool"]["driver"]["rules"]]
    assert levels == ["note", "error"]
    assert "version" not in run["tool"]["driver"]


def test_without_a_hash_there_is_no_identity() -> None:
    assert "partialFingerprints" not in result_of(Report())
    found = result_of(Report(signature=Signature(address="ab+0x1")))["partialFingerprints"]
    assert found == {"evdiagAddress/v1": "ab+0x1"}


def test_text_is_neither_a_link_nor_a_placeholder() -> None:
    assert message("[x](https://evil) operator[](int) {0} {a} [y]") == {
        "text": "[x] (https://evil) operator[] (int) { 0} {a} [y]"
    }
    assert message("") == {"text": "?"}


# ---------------------------------------------------------------- deadlocks


def test_a_deadlock_is_a_flow_of_its_threads() -> None:
    result = result_of(deadlock(2))
    (flow,) = result["codeFlows"]
    first, second = flow["threadFlows"]
    assert (first["id"], second["id"]) == ("1", "2")
    (step,) = first["locations"]
    text = "#2 worker_0 (LWP 0) waits for the mutex at 0x0, held by #3 worker_1 (LWP 1)"
    assert step["location"]["message"]["text"] == first["message"]["text"] == text
    assert step["importance"] == "essential"
    physical = result["locations"][0]["physicalLocation"]
    assert physical["artifactLocation"]["uri"].endswith("meter.cpp")
    assert [place["id"] for place in result["relatedLocations"]] == [1, 2]


def test_the_outermost_call_of_a_flow_comes_first() -> None:
    report = deadlock(2)
    thread = report.threads[1]
    frames = (system(0, "__lll_lock_wait"), *thread.frames, app(3, "main", "/src/main.cpp", 9))
    waiting = msgspec.structs.replace(thread, frames=frames)
    threads = (report.threads[0], waiting, report.threads[2])
    report = msgspec.structs.replace(report, threads=threads)
    steps = result_of(report)["codeFlows"][0]["threadFlows"][0]["locations"]
    names = [step["location"]["logicalLocations"][0]["fullyQualifiedName"] for step in steps]
    assert names == ["main", "lock_it()", "__lll_lock_wait"][: len(names)]
    assert [step["nestingLevel"] for step in steps] == list(range(len(steps)))


def test_members_without_a_thread_are_told_in_words() -> None:
    report = msgspec.structs.replace(deadlock(2), threads=())
    result = result_of(report)
    (step,) = result["codeFlows"][0]["threadFlows"][0]["locations"]
    assert step["location"]["message"]["text"].startswith("#2 worker_0")
    assert "relatedLocations" not in result
    assert len(result_of(deadlock(50))["codeFlows"][0]["threadFlows"]) == MOST_WAITING


# ---------------------------------------------------------------- the run


def test_rules_are_those_of_the_documentation() -> None:
    reports = [
        Report(verdict=Verdict(cls=cls)) for cls in ("oom-killed", "abort", "new-one", "abort")
    ]
    run = run_of(*reports)
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == ["abort", "new-one", "oom-killed"]
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
    texts = {rule["id"]: rule["shortDescription"]["text"] for rule in rules}
    assert texts["oom-killed"] == "Killed for want of memory"
    assert texts["new-one"] == "new-one"
    assert len(rules[0]["fullDescription"]["text"]) > 40


def test_cores_are_listed_once() -> None:
    full = Report(core=CoreFile(path="/c/core.1", bytes=7, sha256="ab"))
    run = run_of(full, full, Report(core=CoreFile(path="/c/core.2")), Report())
    first, second = run["artifacts"]
    assert first["location"]["uri"] == "file:///c/core.1"
    assert (first["length"], first["hashes"]) == (7, {"sha-256": "ab"})
    assert second == {
        "location": {"uri": "file:///c/core.2"},
        "roles": ["analysisTarget", "memoryContents"],
    }
    targets = [result.get("analysisTarget", {}).get("index") for result in run["results"]]
    assert targets == [0, 0, 1, None]


def test_cores_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sarif, "MOST_CORES", 1)
    reports = [Report(core=CoreFile(path=f"/c/core.{n}")) for n in range(2)]
    run = run_of(*reports)
    assert len(run["artifacts"]) == 1
    assert "analysisTarget" not in run["results"][1]


def test_what_went_wrong_is_a_notification() -> None:
    (invocation,) = run_of(samples.null_write())["invocations"]
    (note,) = invocation["toolExecutionNotifications"]
    assert note["descriptor"] == {"id": "symbols"}
    assert "2 of 6 modules have no usable symbols" in note["message"]["text"]
    errors = tuple(SoftError(stage="", message=f"note {n}") for n in range(250))
    (invocation,) = run_of(Report(soft_errors=errors))["invocations"]
    notes = invocation["toolExecutionNotifications"]
    assert len(notes) == sarif.MOST_NOTES + 1
    assert notes[-1]["message"]["text"] == "50 more notes: as JSON it has all"


def test_no_report_at_all() -> None:
    run = run_of()
    assert run["results"] == []
    assert "uri" not in run["originalUriBaseIds"]["SRCROOT"]


# ---------------------------------------------------------------- what fits


def huge(number: int) -> Report:
    """Threads enough for a hundred kB."""
    frames = tuple(
        app(level, f"module::Handler{level}::run{number}(int)", f"/w/src/{level}.cpp", 1)
        for level in range(20)
    )
    threads = tuple(Thread(number=n, group=n, lwp=n, frames=frames) for n in range(2, 20))
    return Report(threads=(Thread(number=1, crashed=True, frames=frames), *threads))


def test_of_many_large_reports_the_stacks_of_other_threads_go_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    report = huge(1)
    assert len(result_of(report)["stacks"]) == 19
    monkeypatch.setattr(sarif, "LIMIT", 50_000)
    assert len(result_of(report)["stacks"]) == 1
    monkeypatch.setattr(sarif, "LIMIT", 5_000)
    assert "stacks" not in result_of(report)
    monkeypatch.setattr(sarif, "LIMIT", 2_000)
    run = run_of(*[report] * 20)
    assert 0 < len(run["results"]) < 20
    (note,) = run["invocations"][0]["toolExecutionNotifications"]
    lost = 20 - len(run["results"])
    assert note["message"]["text"].startswith(f"{lost} reports left out")


def test_more_results_than_are_shown_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sarif, "MOST_RESULTS", 3)
    assert len(run_of(*[samples.empty()] * 5)["results"]) == 3


def test_indentation_and_compression_keep_it_below_what_github_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scale = 40
    monkeypatch.setattr(sarif, "LIMIT", sarif.LIMIT // scale)
    text = sarif.render_many([huge(n) for n in range(4)]).encode()
    assert sarif.LIMIT / 2 < len(text) < 3 * sarif.LIMIT
    assert len(gzip.compress(text, 1)) < GITHUB_TAKES / scale
