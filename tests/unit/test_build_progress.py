"""How far a build is, in lines and on the live line; why it failed, in words."""

import pytest

from evdiag.analyze.build_failure import argument_defaults, explained
from evdiag.analyze.build_progress import (
    TAIL,
    BuildProgress,
    duration,
    failed_text,
    indented,
    log_line,
)
from evdiag.parse.build_output import (
    Began,
    Cached,
    Ended,
    Event,
    Failed,
    Made,
    Noted,
    Said,
    StageOver,
    Step,
)


def step(number: int, text: str = "RUN make", stage: str = "build") -> Step:
    return Step(key=str(number), stage=stage, number=number, total=9, text=text)


def test_stages_and_long_steps_get_a_line() -> None:
    progress = BuildProgress()
    timed: list[tuple[float, Event]] = [
        (0, Began(step(1, "ARG A", stage=""))),
        (0, Ended("1")),
        (0, Began(step(2))),
        (0, Cached("2")),
        (0, Ended("2")),
        (0, Began(step(3, f"RUN {'compile ' * 20}"))),
        (3723, Ended("3")),
        (3724, StageOver("build")),
        (3724, StageOver("unheard of")),
        (3724, Began(step(4, stage="runtime"))),
    ]
    lines = [line for now, event in timed for line in progress.take(event, now)]

    long = f"3/9 build: RUN {'compile ' * 20}"[:75]
    assert lines == [f"{long}…  (1 h 2 min)", "build: 2 steps, 1 from the cache  (1 h 2 min)"]
    assert progress.finish(3724.5) == ["runtime: 1 step"]
    assert (progress.steps, progress.cached) == (4, 1)


def test_the_live_line() -> None:
    progress = BuildProgress()
    assert progress.live(0) == "waiting for the builder"
    progress.take(Noted("4c78 Downloading"), 0)
    assert progress.live(0) == "4c78 Downloading"
    progress.take(Began(step(2)), 10)
    assert progress.live(95) == "2/9 build: RUN make (1 min 25 s)"
    progress.take(Said("2", "  [1/7] Building x.o "), 96)
    assert progress.live(96) == "2/9 build: RUN make (1 min 26 s) [1/7] Building x.o"
    progress.take(Began(step(3, "RUN other  &&\tthing")), 97)
    assert progress.live(98) == "3/9 build: RUN other && thing (1 s)"
    progress.take(Began(step(2)), 99)
    progress.take(Ended("3"), 99)
    assert progress.live(99).startswith("2/9 build: RUN make (1 min 29 s) [1/7]")
    progress.take(Ended("2"), 99)
    assert progress.live(99) == "waiting for the builder"


def test_what_comes_from_no_step() -> None:
    progress = BuildProgress()
    events: list[Event] = [
        Said("7", "x"), Cached("7"), Ended("7"), Made("sha256:1"), Failed(message="m"),
    ]  # fmt: skip
    assert [progress.take(event, 0) for event in events] == [[]] * 5
    assert progress.step("7") is None
    assert progress.tail(None) == []


def test_a_failing_step_is_repeated_from_its_end() -> None:
    progress = BuildProgress()
    progress.take(Began(step(2)), 0)
    for number in range(50):
        progress.take(Said("2", str(number)), 0)

    assert progress.tail("2") == [str(number) for number in range(50 - TAIL, 50)]
    assert progress.step("2") == step(2)
    assert indented(["a"]) == ["  | a"]


def test_a_stage_that_the_builder_goes_back_to() -> None:
    progress = BuildProgress()
    progress.take(Began(step(2)), 0)
    progress.take(StageOver("build"), 0)
    progress.take(Cached("2"), 0)
    assert progress.finish(0) == []


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (Began(step(2)), "[2] 2/9 build: RUN make"),
        (Said("2", "text"), "[2] text"),
        (Cached("2"), "[2] from the cache"),
        (Failed(message="why"), "failed: why"),
        (Made("sha256:1"), "made sha256:1"),
        (Ended("2"), ""),
    ],
)
def test_lines_of_the_log(event: Event, line: str) -> None:
    assert log_line(event) == line


def test_durations() -> None:
    assert [duration(s) for s in (-1, 59.9, 61, 7322)] == ["0 s", "59 s", "1 min 1 s", "2 h 2 min"]


def test_what_failed() -> None:
    failed = Failed(message="m  \n m", code=2)
    assert failed_text(failed, None) == "the image could not be built: m m"
    assert (
        failed_text(failed, step(2))
        == "`RUN make` failed with exit code 2 (stage build, step 2 of 9)"
    )
    assert failed_text(Failed(message="gone"), step(2, stage="")) == "`RUN make` failed: gone"


def advice(message: str, *tail: str, at: Step | None = None, code: int | None = None) -> str:
    failed = Failed(message=message, code=code)
    error = explained(failed, at or step(2), tail, log="/l", arguments={})
    assert error.advice.endswith("The full log is /l")
    return error.advice


@pytest.mark.parametrize(
    ("said", "help_with"),
    [
        ("write /x/y.o: no space left on device", "disk is full"),
        ("c++: fatal error: Killed signal terminated program cc1plus", "--jobs 1"),
        ("g++: internal compiler error: Killed (program cc1plus)", "--jobs 1"),
        ("Temporary failure resolving 'deb.debian.org'", "--sources"),
        ("fatal: unable to access 'https://example/': Could not resolve host", "--sources"),
        ("npm error code SELF_SIGNED_CERT_IN_CHAIN", "BASE=IMAGE"),
        ("fatal: couldn't find remote ref nope", "--everest-ref"),
        ("exec /bin/sh: exec format error", "QEMU"),
        ("ERROR: Multi-platform build is not supported for the docker driver.", "buildx create"),
        ("ERROR: OCI exporter is not supported for the docker driver.", "buildx create"),
    ],
)
def test_advice_for_what_often_goes_wrong(said: str, help_with: str) -> None:
    assert help_with in advice("step failed", "before", said, "after", code=1)
    assert help_with in advice(said)


def test_advice_for_anything_else() -> None:
    assert advice("x", "error: expected ';'", code=1) == "The full log is /l"
    assert advice("x", "no space left on device", *["y" * 1000] * 9) == "The full log is /l"


def test_a_base_image_that_cannot_be_had() -> None:
    failed = Failed(message='Get "https://registry/v2/": dial tcp: no such\nhost')
    known = argument_defaults(
        'ARG BASE=debian:bookworm-slim\nARG EMPTY=""\nARG LATER\nFROM ${BASE}\nARG BASE=x\n'
    )
    assert known == {"BASE": "debian:bookworm-slim", "EMPTY": ""}

    for text, image in (
        ("FROM ${BASE} AS one", "debian:bookworm-slim"),
        ("FROM $OTHER", "$OTHER"),
        ("FROM --platform=linux/arm64 own:1 AS two", "own:1"),
    ):
        error = explained(failed, step(1, text), [], log="/l", arguments=known)
        assert str(error) == (
            f"the base image {image} is not there and could not be fetched: "
            'Get "https://registry/v2/": dial tcp: no such host'
        )
        assert f"`docker pull {image}`" in error.advice
        assert "BASE=IMAGE" in error.advice


def test_a_base_image_that_buildx_does_not_find() -> None:
    failed = Failed(message="debian:nope: failed to resolve source metadata: not found")
    assert "the base image debian:nope is" in str(
        explained(failed, None, [], log="/l", arguments={})
    )
    asked = Failed(
        message='failed to do request: Head "https://registry-1.example/v2/library/debian/manifests/'
        'bookworm-slim": dial tcp: lookup registry-1.example: no such host'
    )
    assert "the base image debian:bookworm-slim is" in str(
        explained(asked, None, [], log="/l", arguments={})
    )
    other = Failed(message="target stage runtime: not found")
    assert str(explained(other, None, [], log="/l", arguments={})) == (
        "the image could not be built: target stage runtime: not found"
    )
    bare = explained(Failed(message="not found"), step(1, "FROM "), [], log="/l", arguments={})
    assert str(bare).startswith("`FROM` failed")
