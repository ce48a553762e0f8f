"""A report loses its secrets, wherever they are, and nothing else."""

import time

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evdiag.analyze.secrets import Secrets
from evdiag.analyze.secrets.report import redacted_report
from evdiag.analyze.secrets.tokens import PLAIN, Ledger
from evdiag.model.bundle import Token
from evdiag.model.report import (
    Assertion,
    Container,
    CxxException,
    Frame,
    LogExcerpt,
    Process,
    Provenance,
    Redacted,
    Report,
    Sibling,
    Signature,
    SoftError,
    SourceLine,
    Thread,
    TimelineEvent,
    Variable,
    Verdict,
)
from evdiag.report import FORMATS
from evdiag.report.json import decode, to_text
from evdiag.report.redaction import replaced
from evdiag.report.words import made_by
from tests.support import samples
from tests.support.planted import LOOKALIKES, PLACES, is_in
from tests.support.random_nouns import nouns

KEY = b"k" * 32
IN_LINES = [p for p in PLACES if p.place not in ("bare YAML", "list in YAML")]


def clean(report: Report, key: bytes = KEY, known: tuple[Token, ...] = ()) -> Report:
    return redacted_report(report, Secrets(key, known))


def token(secret: str) -> str:
    return Ledger(KEY).token(secret)


def var(name: str, value: str) -> Variable:
    return Variable(name=name, type="std::string", value=value)


def full(text: str) -> Report:
    """A report with a text wherever something from outside can be."""
    quoted = '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    frame = Frame(
        level=0,
        function="module::Auth::set_password(std::string)",
        file="/src/password=file.cpp",
        args=(var("text", quoted),),
        locals=(var("config", f"{{a = {{b = {quoted}}}, n = 1}}"),),
        source=(SourceLine(number=1, text=text),),
    )
    thrown = CxxException(type="std::runtime_error", what=text, fields=(var("detail", quoted),))
    return Report(
        title=text,
        verdict=Verdict(summary=text, detail=text, evidence=("first", text), advice=(text,)),
        signature=Signature(text=text, hash="12", inputs=(f"detail: {text}",), proto=(text,)),
        abort_message=text,
        assertion=Assertion(expression=text),
        exception=thrown,
        other_exceptions=(thrown,),
        process=Process(executable="/usr/bin/x", argv=("x", text)),
        threads=(Thread(number=1, crashed=True, frames=(frame,)), Thread(number=2, frames=())),
        siblings=(Sibling(module_id="ocpp", summary=text),),
        container=Container(labels={"text": text}, environment={"OCPP_ID": "CP1", "X": text}),
        logs=(LogExcerpt(source="everest.log", lines=tuple(text.split("\n"))),),
        timeline=(TimelineEvent(text=text, kind="ocpp"),),
        soft_errors=(SoftError(stage="x", message=text, effect=text, hint=text),),
    )


@pytest.mark.parametrize("planted", IN_LINES, ids=lambda planted: planted.place)
def test_no_place_of_a_report_shows_a_secret(planted: object) -> None:
    secret, text = planted.secret, planted.text  # type: ignore[attr-defined]
    report = clean(full(text))
    shown = to_text(report)
    assert not is_in(secret, shown)
    assert clean(report) == report
    assert report.provenance.redaction is not None
    assert sum(report.provenance.redaction.secrets.values()) >= 1
    assert decode(shown) == report


def test_no_format_shows_one() -> None:
    whole = "\n".join(planted.text for planted in IN_LINES[20:])
    report = clean(full(whole))
    for name, listed in FORMATS.items():
        if name == "terminal":
            continue
        shown = listed.load().render(report)
        assert [p.place for p in IN_LINES[20:] if is_in(p.secret, shown)] == [], name


@pytest.mark.parametrize("text", [text for text in LOOKALIKES if "<redacted" not in text])
def test_what_only_looks_like_a_secret_stays(text: str) -> None:
    report = full(text)
    told = msgspec.structs.replace(report.provenance, redaction=Redacted())
    assert clean(report) == msgspec.structs.replace(report, provenance=told)


def test_what_the_program_is_made_of_stays() -> None:
    report = samples.null_write()
    assert clean(report).threads == report.threads
    assert clean(report).modules is report.modules
    assert clean(report).disassembly is report.disassembly


def test_values_that_are_called_like_a_secret() -> None:
    frame = Frame(
        level=0,
        args=(var("password", '"hunter2"'), var("other", '"x hunter2 y"'), var("n", "5")),
        locals=(
            var("id_token", '{value = "TAG12345", type = types::RFID}'),
            var("*psk", "0x0"),
            var("chars", "{password = 'a' <repeats 3 times>, \"b\"}"),
            Variable(name="secret", problem="gone"),
        ),
    )
    report = clean(
        Report(
            title="hunter2 was wrong",
            threads=(Thread(number=1, crashed=True, frames=(frame,)),),
            verdict=Verdict(
                evidence=(
                    'values of the assertion: limit = 5, secret_key = 0x5 "hunter2", n = 1',
                    "saw TAG12345",
                )
            ),
        )
    )
    shown = report.threads[0].frames[0]
    assert [v.value for v in shown.args] == [token("hunter2"), f'"x {token("hunter2")} y"', "5"]
    assert [v.value for v in shown.locals] == [
        f'{{value = "{token("TAG12345")}", type = types::RFID}}',
        "0x0",
        f"{{password = {token('aaab')}}}",
        None,
    ]
    assert report.title == f"{token('hunter2')} was wrong"
    assert report.verdict.evidence == (
        f"values of the assertion: limit = 5, secret_key = {token('hunter2')}, n = 1",
        f"saw {token('TAG12345')}",
    )
    assert report.provenance.redaction == Redacted(secrets={"id-token": 1, "key": 1, "password": 1})


def test_arguments_and_labels() -> None:
    report = clean(
        Report(
            process=Process(argv=("x", "--password", "p1x9", "--psk=p2x9", "--api-key", "-v")),
            container=Container(labels={"a.secret": "p3x9", "b": "c"}, environment={"psk": "p4x9"}),
        )
    )
    assert report.process.argv == (
        "x", "--password", token("p1x9"), f"--psk={token('p2x9')}", "--api-key", "-v",
    )  # fmt: skip
    assert report.container is not None
    assert report.container.labels == {"a.secret": token("p3x9"), "b": "c"}
    assert report.container.environment == {"psk": token("p4x9")}
    client = Report(process=Process(argv=("/bin/mosquitto_sub", "-P", "p5x9", "-t", "x")))
    assert clean(client).process.argv == ("/bin/mosquitto_sub", "-P", token("p5x9"), "-t", "x")


def test_a_name_and_its_value_in_two_lines_of_a_log() -> None:
    lines = ('got {"id_token": {', '    "type": "RFID",', '    "value": "TAG12345"', "}}")
    logs = clean(Report(logs=(LogExcerpt(source="x", lines=lines),))).logs
    assert logs[0].lines == (*lines[:2], f'    "value": "{token("TAG12345")}"', "}}")


def test_signatures_do_not_depend_on_the_key() -> None:
    signature = Signature(text="sig:v1: x | what: password=hunter2", hash="12", address="x+1")
    one = clean(Report(signature=signature), b"a" * 32).signature
    other = clean(Report(signature=signature), b"b" * 32).signature
    assert one == other
    assert one is not None
    assert one.text == f"sig:v1: x | what: password={PLAIN}"
    assert one.hash == "12"


def test_tokens_of_a_bundle_are_recognised() -> None:
    known = (Token(token=token("TAG-12345"), kind="id-token", count=3, files=("a",)),)
    report = clean(Report(abort_message="what(): TAG-12345"), KEY, known)
    assert report.abort_message == f"what(): {token('TAG-12345')}"
    assert report.provenance.redaction == Redacted(secrets={"id-token": 1})


def test_the_account_goes_on_when_more_is_found() -> None:
    once = clean(Report(abort_message="password=hunter2"))
    again = clean(msgspec.structs.replace(once, title="psk=hunter3 psk=hunter4"))
    assert again.provenance.redaction == Redacted(secrets={"key": 2, "password": 1})


@pytest.mark.parametrize(
    ("secrets", "said"),
    [
        ({}, ""),
        ({"password": 1}, "1 secret replaced: 1 password"),
        ({"id-token": 3, "password": 4}, "7 secrets replaced: 4 passwords, 3 id tokens"),
        ({"url": 2, "word": 1, "new": 2}, "5 secrets replaced: 2 parts of URLs, 2 new, 1 other"),
    ],
)
def test_what_is_said_of_it(secrets: dict[str, int], said: str) -> None:
    assert replaced(Redacted(secrets=secrets)) == said
    made = Report(provenance=Provenance(redaction=Redacted(secrets=secrets)))
    assert (said in made_by(made)) == bool(said)
    assert replaced(None) == ""


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=6)
@given(nouns(Report), st.sampled_from(["password=hunter2 ", ""]))
def test_any_report_is_clean_after_once(report: Report, more: str) -> None:
    report = msgspec.structs.replace(report, title=more + report.title)
    once = clean(report)
    assert clean(once) == once
    assert "hunter2" not in once.title


def test_an_ordinary_report_costs_little() -> None:
    report = samples.values()
    clean(report)
    begun = time.process_time()
    for _ in range(10):
        clean(report)
    assert time.process_time() - begun < 1  # about 10 ms; patience for a busy machine
