"""Where gdb is started for a container's cores, and how the report says so."""

import msgspec
import pytest

from evdiag.analyze.gdb_place import INSIDE, OF_COMMIT, OF_IMAGE, choose, fits, within
from evdiag.model.charger import ContainerFacts, ImageFacts
from evdiag.model.report import Provenance, Report
from evdiag.report import words
from evdiag.report.values import source_of_values

IMAGE_ID = "sha256:" + "5f" * 32
IMAGE = ImageFacts(id=IMAGE_ID, name="evdiag/everest:latest", architecture="amd64")


def container(state: str) -> ContainerFacts:
    return ContainerFacts(id="c0ffee", name="everest", state=state, image_id=IMAGE_ID)


PLACES = [
    ("running", True, [(INSIDE, False), (OF_IMAGE, False)]),
    ("running", False, [(INSIDE, False)]),
    ("exited", True, [(OF_IMAGE, True), (OF_COMMIT, False)]),
    ("dead", False, [(OF_COMMIT, False)]),
    ("paused", True, [(OF_IMAGE, False)]),
    ("restarting", True, [(OF_IMAGE, False)]),
    ("created", False, []),
    ("removing", True, [(OF_IMAGE, False)]),
    (None, True, [(OF_IMAGE, False)]),
    (None, False, []),
]


@pytest.mark.parametrize(("state", "has_image", "expected"), PLACES)
def test_the_nearest_place_comes_first(
    state: str | None, has_image: bool, expected: list[tuple[str, bool]]
) -> None:
    found = choose(container(state) if state else None, IMAGE if has_image else None)
    assert [(choice.kind, choice.insists) for choice in found] == expected
    sources = {INSIDE: "c0ffee", OF_COMMIT: "c0ffee", OF_IMAGE: IMAGE_ID}
    assert all(choice.source == sources[choice.kind] for choice in found)


def test_places_have_names_for_people() -> None:
    running = choose(container("running"), IMAGE)
    assert [choice.title for choice in running] == [
        "running container everest",
        "throw-away container of evdiag/everest:latest",
    ]
    unnamed = msgspec.structs.replace(IMAGE, name=IMAGE_ID)
    assert [choice.title for choice in choose(container("exited"), unnamed)] == [
        "throw-away container of 5f5f5f5f5f5f",
        "throw-away container of a commit of everest",
    ]


@pytest.mark.parametrize(
    ("architecture", "machine", "expected"),
    [
        ("amd64", "x86-64", True),
        ("amd64", "i386", True),
        ("amd64", "aarch64", False),
        ("arm64", "aarch64", True),
        ("arm64", "x86-64", False),
        ("386", "x86-64", False),
        ("", "x86-64", True),
        ("riscv64", "x86-64", True),
    ],
)
def test_a_gdb_of_another_machine_is_not_asked(
    architecture: str, machine: str, expected: bool
) -> None:
    assert fits(architecture, machine) is expected


@pytest.mark.parametrize(
    ("gdb", "place", "expected"),
    [
        (None, None, ""),
        (None, "running container everest", ""),
        ("13.1", None, "gdb 13.1"),
        ("13.1", "this machine", "gdb 13.1"),
        ("GNU gdb", "this machine", "GNU gdb"),
        ("13.1", "running container a", "gdb 13.1 in the running container a"),
        ("13.1", "throw-away container of b:1", "gdb 13.1 in a throw-away container of b:1"),
    ],
)
def test_the_report_says_where_gdb_ran(gdb: str | None, place: str | None, expected: str) -> None:
    report = Report(provenance=Provenance(gdb=gdb, gdb_place=place, rung="native+gdb"))
    assert any((expected or "gdb") in text for text in words.made_by(report))
    # titles have no room for the place
    title = source_of_values(report)
    assert title == (f" ({expected.partition(' in ')[0]})" if expected else "")


def test_titles_stand_in_sentences() -> None:
    assert within("running container x") == "in the running container x"
    assert within("throw-away container of x") == "in a throw-away container of x"
