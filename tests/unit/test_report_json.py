"""The JSON report: what is written can be read, and fits the schema that is published."""

import json
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings

from evdiag.model.report import SCHEMA, Address, Frame, Report, Thread
from evdiag.report import json as report_json
from evdiag.report.neutral import neutralise
from evdiag.report.schema import schema
from tests.support import samples
from tests.support.random_nouns import REPORTS
from tests.support.sample_threads import crashed_thread

SCHEMA_DOCUMENT: dict[str, Any] = json.loads(schema())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA_DOCUMENT)


@given(REPORTS)
@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_every_report_survives_the_way_out_and_back(report: Report) -> None:
    text = report_json.render(report)
    VALIDATOR.validate(json.loads(text))
    assert report_json.decode(text) == neutralise(report)


@pytest.mark.parametrize("name", samples.ALL)
def test_samples_fit_the_schema(name: str) -> None:
    text = report_json.render(samples.ALL[name]())
    VALIDATOR.validate(json.loads(text))
    assert text.endswith("\n}\n")


def test_addresses_are_hexadecimal_strings() -> None:
    frame = Frame(level=0, pc=Address(2**64 - 1))
    report = Report(threads=(Thread(number=1, frames=(frame,)),), registers={"rax": Address(0)})
    document = json.loads(report_json.render(report))
    assert document["threads"][0]["frames"][0]["pc"] == "0xffffffffffffffff"
    assert document["registers"] == {"rax": "0x0"}
    again = report_json.decode(report_json.render(report))
    assert isinstance(again.registers["rax"], Address)
    assert again == report


def test_the_full_name_of_a_function_is_in_the_json() -> None:
    report = samples.null_write()
    frame = report_json.decode(report_json.render(report)).threads[0].frames[3]
    assert frame.function == crashed_thread().frames[3].function


def test_one_report_is_an_object_and_several_are_an_array() -> None:
    empty, overflow = samples.empty(), samples.overflow()
    assert report_json.render_many([empty]) == report_json.render(empty)
    several = json.loads(report_json.render_many([empty, overflow]))
    assert [document["schema"] for document in several] == [SCHEMA, SCHEMA]
    assert json.loads(report_json.render_many([])) == []


def test_fields_may_be_missing_and_unknown_ones_are_ignored() -> None:
    assert report_json.decode('{"schema": "evdiag.report/1", "later": 1}') == Report()
    assert report_json.decode(b'{"threads": [{"number": 1}]}').threads == (Thread(number=1),)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"schema": "evdiag.report/2"}',
        '{"schema": "evil\\u001b[31m"}',
        '{"registers": {"rax": "zz"}}',
        '{"registers": {"rax": 1}}',
        '{"threads": 1}',
    ],
)
def test_what_is_no_report_is_refused(text: str) -> None:
    with pytest.raises(msgspec.DecodeError) as caught:
        report_json.decode(text)
    assert str(caught.value).isprintable()


def test_the_schema_is_a_schema_and_asks_for_nothing_but_its_name() -> None:
    VALIDATOR.check_schema(SCHEMA_DOCUMENT)
    assert SCHEMA_DOCUMENT["$id"] == SCHEMA
    assert SCHEMA_DOCUMENT["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert SCHEMA_DOCUMENT["required"] == ["schema"]
    assert not any(part["required"] for part in SCHEMA_DOCUMENT["$defs"].values())
    VALIDATOR.validate({"schema": SCHEMA})
    assert not VALIDATOR.is_valid({})
    assert not VALIDATOR.is_valid({"schema": "evdiag.report/2"})
    assert not VALIDATOR.is_valid({"schema": SCHEMA, "registers": {"rax": 1}})


def test_the_schema_explains_itself() -> None:
    parts = SCHEMA_DOCUMENT["$defs"]
    assert SCHEMA_DOCUMENT["description"] == Report.__doc__
    assert parts["Verdict"]["properties"]["confidence"]["description"] == "high, medium or low."
    assert "class" in parts["Verdict"]["properties"]
