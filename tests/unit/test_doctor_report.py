"""How doctor's findings look, for people and for scripts."""

import json
import re

import msgspec
import pytest

from evdiag.analyze.checks import CHECKS, diagnose
from evdiag.model.doctor import Diagnosis, Problem
from evdiag.report.checks import render, render_json
from tests.support import doctor_facts as d
from tests.support.doctor_facts import by_kernel, crash, facts, inside, process

SGR = re.compile(r"\x1b\[[\d;]*m")
WELL = diagnose(facts(crashes=(crash(), crash(6))))
LOST = diagnose(facts(inside=by_kernel(d.APPORT), crashes=(crash(path=""), crash(6, path=""))))
DOWN = diagnose(d.Facts(host=d.HOST, problem=Problem(kind="engine", message="down", advice="Go.")))

APPORT_AT_80 = """\
Where the kernel puts cores
  FAIL core_pattern    the kernel pipes cores to apport on the host, none in the
                       container, though logs may say "core dumped"; apport
                       drops crashes of containers, and says so in
                       /var/log/apport.log of the host
                       -> `evdiag run --replace --capture preload`: the image's
                          own capture needs nothing of the host. Or `evdiag run
                          --replace --set-core-pattern`, which changes the whole
                          machine until `evdiag stop`
"""


@pytest.mark.parametrize("width", [1, 40, 69, 70, 80, 160])
@pytest.mark.parametrize("found", [WELL, LOST, DOWN], ids=["well", "lost", "down"])
def test_nothing_is_wider_than_the_terminal(found: Diagnosis, width: int) -> None:
    plain = render(found, width)
    lines = plain.splitlines()

    assert max(map(len, lines)) <= max(width, 40)
    assert not any(line != line.rstrip() for line in lines)
    assert SGR.sub("", render(found, width, colour=True)) == plain


def test_a_failing_check_in_80_columns() -> None:
    # the last sentence ends where the group does
    assert APPORT_AT_80.rstrip() in render(LOST, 80)


def test_the_same_advice_is_given_once() -> None:
    text = render(LOST, 160)

    assert text.count("-> as above") == 1
    assert text.index("FAIL SIGABRT") < text.index("-> as above")


def test_the_verdict_is_the_last_line() -> None:
    assert render(WELL, 160).splitlines()[-1] == (
        "cores will be captured: a test crash proved it (the charger everest)"
    )
    assert render(DOWN, 160).splitlines()[-1] == (
        "whether cores are captured is not known: 1 check fails: Engine"
    )


def test_what_was_not_looked_at_is_one_list() -> None:
    assert "not looked at: Engine clock, Its machine, Image and container, EVerest" in render(DOWN)
    assert "not looked at" not in render(WELL)


def test_wide_and_long_words_are_broken() -> None:
    hostile = "核" * 70 + "\x1b[31mred \u202e" + "x" * 200
    text = render(diagnose(facts(inside=inside(services_error=hostile))), 80)

    assert "\x1b" not in text
    assert "\u202e" not in text
    rows = [line for line in text.splitlines() if "核" in line]
    assert all(len(row) + row.count("核") <= 80 for row in rows)
    assert sum(row.count("核") for row in rows) == 70


def test_the_json_has_all_checks() -> None:
    document = json.loads(render_json(LOST, "2026-11-23T00:00:00Z", 3))

    assert list(document) == [
        *("schema", "tool", "created", "state", "verdict", "exit_code", "error", "engine"),
        *("image", "container", "checks", "crashes"),
    ]
    assert [one["id"] for one in document["checks"]] == [rule.id for rule in CHECKS]
    assert list(document["checks"][0]) == ["group", "id", "title", "state", "reason", "fix"]
    assert document["crashes"][0]["signal"] == 11
    assert document["exit_code"] == 3


def test_the_json_keeps_the_secrets_of_the_container() -> None:
    secret = msgspec.structs.replace(d.CONTAINER, environment={"OCPP_PASSWORD": "hush"})

    text = render_json(diagnose(facts(container=secret)), "", 0)

    assert "hush" not in text
    assert json.loads(text)["container"] == {"name": "everest", "id": "1f", "throw_away": False}


def test_the_json_without_an_engine() -> None:
    document = json.loads(render_json(DOWN, "", 4))

    assert document["error"] == {"kind": "engine", "message": "down", "advice": "Go."}
    assert document["engine"] is document["image"] is document["container"] is None
    assert document["crashes"] is None


def test_what_a_process_said_is_harmless_in_the_json() -> None:
    said = diagnose(facts(crashes=(crash(said=("a\x9bb",), error="\x1b"),)))

    assert json.loads(render_json(said, "", 3))["crashes"][0]["said"] == ["a\\x9bb"]


def test_a_name_with_terminal_sequences() -> None:
    shy = diagnose(facts(inside=inside(modules=(process(name="\x1b]0;x\x07", dumpable=False),))))

    assert "\\x1b]0;x\\x07: asked not to be dumped" in render(shy, 160)
