"""What is new since a baseline and what is gone; and reading one, which may be anybody's file."""

import json
from contextlib import suppress

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evdiag.analyze.triage.baseline import compared, doubts
from evdiag.analyze.triage.groups import grouped
from evdiag.errors import ExitCode, NotABaseline
from evdiag.model.triage import Crash, Gone, Place, Run, Triage
from evdiag.parse import triage as reader
from evdiag.parse.triage import read_triage
from evdiag.report.neutral import neutralise
from evdiag.report.triage import json as triage_json
from tests.support import triages
from tests.support.random_nouns import nouns
from tests.support.triages import crash, triage


def statuses(mine: list[Crash], old: list[Crash]) -> tuple[dict[str, str | None], list[str]]:
    """What became of each group, by its representative, and titles of those that are gone."""
    groups, gone = compared(grouped(mine), triage(old, reports=False))
    return {group.representative or "": group.status for group in groups}, [g.title for g in gone]


def nameless(path: str) -> Crash:
    text = "sig:v1: EvseManager | null-write | EvseManager+0x1234"
    return crash(path, signature=text, hash="77", symbols=False, place=Place())


def test_what_was_there_is_known_and_the_rest_is_new_or_gone() -> None:
    found, gone = statuses([crash("a"), crash("b", "new")], [crash("x"), crash("y", "old")])
    assert found == {"a": "known", "b": "new"}
    assert gone == [crash("y", "old").title]


def test_what_a_gone_group_tells() -> None:
    old = triage([crash("x"), crash("y")])
    assert compared((), old)[1] == (
        Gone(
            hash=crash().hash or "",
            signature=crash().signature,
            title=crash().title,
            count=2,
            last_seen="2026-11-22 03:12:44 UTC",
        ),
    )


def test_another_text_with_the_same_hash_is_new() -> None:
    found, gone = statuses([crash("a", hash="1")], [crash("x", "other", hash="1")])
    assert found == {"a": "new"}
    assert len(gone) == 1


@pytest.mark.parametrize("mine_has_symbols", [True, False])
def test_symbols_in_one_of_the_two_do_not_make_a_crash_new(mine_has_symbols: bool) -> None:
    mine, old = nameless("n"), crash("a")
    if mine_has_symbols:
        mine, old = old, mine
    found, gone = statuses([mine], [old])
    assert found == {mine.path: "known"}
    assert gone == []


def test_an_address_that_leads_to_two_groups_leads_nowhere() -> None:
    text = "sig:v1: EvseManager | null-write | std::map<T>::at | charging::Session::book"
    two = [crash("a"), crash("b", signature=text, hash="9")]
    found, gone = statuses([nameless("n")], two)
    assert found == {"n": "new"}
    assert len(gone) == 2


def test_the_same_address_with_symbols_in_both_is_another_crash() -> None:
    text = "sig:v1: EvseManager | null-write | std::map<T>::at | charging::Session::book"
    assert statuses([crash("b", signature=text, hash="9")], [crash("a")])[0] == {"b": "new"}


def test_groups_without_a_name_or_cores_can_be_compared() -> None:
    groups = grouped([crash("a", address=None)])
    bare = msgspec.structs.replace(groups[0], hash=None)
    again, gone = compared((bare,), Triage(groups=(bare,)))
    assert [group.status for group in again] == ["new"]
    assert gone == ()
    without_cores = msgspec.structs.replace(groups[0], cores=())
    assert compared(groups, Triage(groups=(without_cores,)))[0][0].status == "known"


def test_doubts_about_a_comparison() -> None:
    groups = grouped([crash("a")])
    assert doubts(groups, Triage(groups=groups)) == ()
    assert doubts(groups, Triage()) == ()
    later = (crash("x", signature="sig:v2: EvseManager | null-write | f"),)
    [other] = doubts(groups, triage(later))
    assert "signs crashes in another way" in other.message
    [stopped] = doubts(groups, Triage(run=Run(interrupted=True)))
    assert "interrupted" in stopped.message


# -- the reader


def test_what_was_written_is_read_without_its_reports() -> None:
    made = triages.full()
    assert all(group.report is not None for group in made.groups)
    read = read_triage(triage_json.render(made).encode())
    bare = [msgspec.structs.replace(group, report=None) for group in made.groups]
    assert read == msgspec.structs.replace(made, groups=tuple(bare))
    assert type(read) is Triage
    assert compared(made.groups, read)[1] == ()


def test_a_damaged_report_does_not_hinder() -> None:
    document = json.loads(triage_json.render(triages.full()))
    document["groups"][0]["report"] = {"schema": 12, "threads": "none"}
    document["groups"][1].pop("report")
    document["groups"][1].pop("cores")
    assert len(read_triage(json.dumps(document).encode()).groups) == len(document["groups"])


def document(**fields: object) -> bytes:
    return json.dumps({"schema": "evdiag.triage/1", **fields}).encode()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no JSON"),
        (b"\xff\xfe", "no JSON"),
        (b'{"schema": "\xff"}', "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"{}", "no JSON"),
        (b'{"schema": 7}', "no JSON"),
        (b'{"schema": "evdiag.report/1"}', "another document"),
        (b'{"schema": "evdiag.triage/9"}', "another version"),
        (document(groups=7), "damaged"),
        (document(groups=[{"cores": [{"path": "a", "place": {"offset": "zz"}}]}]), "damaged"),
        (document(groups=[{"cores": [{"path": "a", "place": {"offset": 7}}]}]), "damaged"),
        (document(groups=[{"cores": [{}]}]), "damaged"),
        (document()[:-1] + b', "groups": ' + b"[" * 100_000, "no JSON"),
    ],
)
def test_what_is_no_triage_is_told(data: bytes, message: str) -> None:
    with pytest.raises(NotABaseline, match=message) as raised:
        read_triage(data)
    assert raised.value.exit_code is ExitCode.USAGE
    assert raised.value.advice


def test_what_is_too_large_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    data = triage_json.render(triages.full()).encode()
    monkeypatch.setattr(reader, "MOST_CORES", 10)
    with pytest.raises(NotABaseline, match="7 groups with 100 cores"):
        read_triage(data)
    monkeypatch.setattr(reader, "MOST_GROUPS", 1)
    monkeypatch.setattr(reader, "MOST_CORES", 1000)
    with pytest.raises(NotABaseline, match="7 groups"):
        read_triage(data)
    monkeypatch.setattr(reader, "LONGEST_TRIAGE", 10)
    with pytest.raises(NotABaseline, match="bytes"):
        read_triage(data)


@given(nouns(Triage).filter(lambda made: made.schema == "evdiag.triage/1"))
@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_every_triage_can_be_read_and_compared(made: Triage) -> None:
    read = read_triage(triage_json.render(made).encode())
    bare = [msgspec.structs.replace(group, report=None) for group in made.groups]
    assert read == neutralise(msgspec.structs.replace(made, groups=tuple(bare)))
    groups, gone = compared(made.groups, read)
    assert len(groups) == len(made.groups)
    assert len(gone) <= len(read.groups)


VALID = triage_json.render(triages.triage(triages.crashes(2), reports=False)).encode()


@given(
    st.one_of(
        st.binary(max_size=200),
        st.tuples(st.integers(0, len(VALID) - 1), st.binary(max_size=8)).map(
            lambda change: VALID[: change[0]] + change[1] + VALID[change[0] + len(change[1]) :]
        ),
    )
)
@settings(max_examples=150, deadline=None)
def test_whatever_it_is_given_it_reads_or_refuses(data: bytes) -> None:
    with suppress(NotABaseline):
        assert read_triage(data).schema == "evdiag.triage/1"
