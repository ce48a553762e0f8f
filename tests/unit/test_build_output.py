"""What the builders say, as events: recorded answers of Docker 20.10, and broken ones."""

from hypothesis import given
from hypothesis import strategies as st

from evdiag.parse.build_output import (
    LONGEST_LINE,
    Began,
    BuildxReader,
    Cached,
    ClassicReader,
    Ended,
    Event,
    Failed,
    Made,
    Noted,
    Said,
    StageOver,
    Step,
)

ID = "sha256:edd0c41c8931861bfd42b299eb08675fd717027aa624034b7a50ee675e3145c2"


def classic(*messages: object) -> list[Event]:
    reader = ClassicReader()
    return [event for message in messages for event in reader.feed(message)]


def stream(*texts: str) -> list[object]:
    return [{"stream": text} for text in texts]


def step(number: int, total: int, stage: str, text: str) -> Step:
    return Step(key=str(number), stage=stage, number=number, total=total, text=text)


def test_a_build_of_two_stages() -> None:
    events = classic(
        *stream("Step 1/4 : ARG BASE=debian:bookworm-slim", "\n"),
        *stream("Step 2/4 : FROM ${BASE} AS one", "\n", " ---> 4c784ff2d5c4\n"),
        *stream("Step 3/4 : RUN echo a     && echo b", "\n", " ---> Running in 9b67a86bdb81\n"),
        *stream("\x1b[91mwarn", "ing\n\x1b[0m", "10%\r100%\r\nlast", "Removing intermediate "),
        *stream("\nRemoving intermediate container 9b67a86bdb81\n"),
        *stream(" ---> Removed intermediate container 9b67a86bdb81\n", " ---> cc8ec2e8009b\n"),
        {"aux": {"ID": "sha256:one"}},
        *stream("Step 4/4 : FROM --platform=linux/amd64 one", "\n", " ---> Using cache\n"),
        {"aux": {"ID": ID}},
        *stream("Successfully built edd0c41c8931\n", "Successfully tagged x:latest\n"),
    )

    assert events == [
        Began(step(1, 4, "", "ARG BASE=debian:bookworm-slim")),
        Ended("1"),
        Began(step(2, 4, "one", "FROM ${BASE} AS one")),
        Ended("2"),
        Began(step(3, 4, "one", "RUN echo a && echo b")),
        Said("3", "warning"),
        Said("3", "10%"),
        Said("3", "100%"),
        Said("3", "lastRemoving intermediate "),
        Ended("3"),
        StageOver("one"),
        Began(step(4, 4, "stage 1", "FROM --platform=linux/amd64 one")),
        Cached("4"),
        Made(ID),
    ]


def test_a_step_that_fails() -> None:
    message = "The command '/bin/sh -c exit 3' returned a non-zero code: 3"
    events = classic(
        *stream("Step 1/1 : RUN exit 3", "\n", "no end of line"),
        {"errorDetail": {"code": 3, "message": message}, "error": message},
    )

    assert events[1:] == [
        Said("1", "no end of line"),
        Failed(message=message, key="1", code=3),
    ]


def test_what_fails_without_a_step() -> None:
    assert classic({"error": "broken"}) == [Failed(message="broken")]
    assert classic({"errorDetail": {"code": True}}) == [
        Failed(message="the builder does not say why")
    ]
    full = {"errorDetail": {"message": "write /x: no space left on device"}, "error": "e"}
    assert classic(full) == [Failed(message="write /x: no space left on device")]


def test_fetching_a_base_image() -> None:
    pulled = {"status": "Downloading", "progressDetail": {"current": 1}, "progress": "[=>  ]"}
    assert classic({**pulled, "id": "4c78"}, {"status": "Pulling", "id": 7}) == [
        Noted("4c78 Downloading [=>  ]"),
        Noted("Pulling"),
    ]


def test_a_program_that_speaks_like_the_builder() -> None:
    events = classic(
        *stream("Step 1/9 : RUN lie", "\n"),
        *stream("Step 7/9 : FROM evil AS good", "\n", "Step 2/9 : RUN next", "\n"),
        *stream("Step 2/9 : RUN really", "\n", "Successfully built nothing at all\n"),
    )

    assert events == [
        Began(step(1, 9, "", "RUN lie")),
        Said("1", "Step 7/9 : FROM evil AS good"),
        Ended("1"),
        Began(step(2, 9, "", "RUN next")),
        Ended("2"),
        Began(step(2, 9, "", "RUN really")),
        Said("2", "Successfully built nothing at all"),
    ]


def test_messages_of_no_known_kind() -> None:
    assert classic(None, [], {}, {"stream": 3}, {"aux": {"ID": 3}}, {"aux": 1}, "Step 1/1") == []


def test_a_line_without_an_end_is_not_kept_whole() -> None:
    events = classic(*stream(*["x" * 9_000] * 9, "\n"))
    assert [len(event.line) for event in events if isinstance(event, Said)] == [LONGEST_LINE]


BUILDX = """\
#1 [internal] load remote build context
#1 DONE 0.1s

#3 [internal] load metadata for docker.io/library/debian:bookworm-slim
#4 [two 1/2] FROM docker.io/library/debian:bookworm-slim
#4 sha256:56bf5dcd38ee2f60f646b15b1b91e40b5e8375a457572f890edbccbd17190813
#4 CACHED

#6 [linux/arm64 two 2/2] RUN sleep 0.5; echo two
#6 ...

#5 [one  2/2] RUN echo hi
#5 0.315 hi
#5 0.315 
#5 0.315 no newline#5 DONE 0.3s

#6 [linux/arm64 two 2/2] RUN sleep 0.5; echo two
#6 0.862 DONE 1.0s
#6 0.862 \x1b[31mtwo\x1b[0m
#6 DONE 0.9s
"""  # noqa: W291


def buildx(text: str) -> tuple[list[Event], BuildxReader]:
    reader = BuildxReader()
    lines = text.splitlines(keepends=True)
    return [event for line in lines for event in reader.feed(line)], reader


def test_steps_that_run_at_the_same_time() -> None:
    four = Step(key="4", stage="two", number=1, total=2,
                text="FROM docker.io/library/debian:bookworm-slim")  # fmt: skip
    five = Step(key="5", stage="one", number=2, total=2, text="RUN echo hi")
    six = Step(key="6", stage="linux/arm64 two", number=2, total=2,
               text="RUN sleep 0.5; echo two")  # fmt: skip

    made = f"#9 exporting to image\n#9 writing image {ID} done\n#9 DONE 0.1s\n"
    events, _ = buildx(BUILDX + made)

    assert events == [
        Noted("[internal] load remote build context"),
        Noted("[internal] load remote build context: DONE 0.1s"),
        Noted("[internal] load metadata for docker.io/library/debian:bookworm-slim"),
        Began(four),
        Cached("4"),
        Ended("4"),
        Began(six),
        Began(five),
        Said("5", "hi"),
        Said("5", "no newline"),
        Ended("5"),
        StageOver("one"),
        Began(six),
        Said("6", "DONE 1.0s"),
        Said("6", "two"),
        Ended("6"),
        StageOver("linux/arm64 two"),
        Noted("exporting to image"),
        Made(ID),
        Noted("exporting to image: DONE 0.1s"),
    ]


def test_a_step_of_buildx_that_fails() -> None:
    _, reader = buildx(
        '#8 [runtime 2/2] RUN exit 3\n#7 [x 1/2] RUN y\n#7 CANCELED\n#8 ERROR: process "/bin/sh" '
        "did not complete successfully: exit code: 3\n------\n > [runtime 2/2] RUN:\n"
        "ERROR: failed to build: failed to solve: process did not complete: exit code: 3\n"
    )

    message = "process did not complete: exit code: 3"
    assert reader.failure() == Failed(message=message, key="8", code=3)


def test_buildx_that_ends_without_a_step() -> None:
    assert buildx("")[1].failure() == Failed(message="buildx does not say why")
    assert buildx("\nunknown flag\n\n")[1].failure() == Failed(message="unknown flag")
    _, reader = buildx("#2 [internal] load metadata\n#2 ERROR: x: not found\n")
    assert reader.failure() == Failed(message="x: not found")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
KEYS = st.sampled_from(["stream", "aux", "error", "errorDetail", "status", "ID", "message", "id"])
PART = st.sampled_from(
    ["Step 1/3 : ", "Step 2/3 : FROM a AS b", "\n", "\r", " ---> Using cache\n", "x", "\x1b[0m"]
)


@given(st.lists(st.dictionaries(KEYS, JSON, max_size=3) | JSON, max_size=8))
def test_any_message_is_read(messages: list[object]) -> None:
    assert all(isinstance(event, Event) for event in classic(*messages))


@given(st.lists(st.lists(PART, max_size=5).map("".join), max_size=12))
def test_any_stream_is_read(texts: list[str]) -> None:
    assert all(isinstance(event, Event) for event in classic(*stream(*texts)))


@given(
    st.lists(
        st.sampled_from(
            ["#1 ", "#2 ", "[a 1/2] RUN x", "DONE 0.1s", "CACHED", "0.1 ", "ERROR: ", "...", "y"]
        ),
        max_size=9,
    ).map("".join)
    | st.text(max_size=40)
)
def test_any_line_is_read(text: str) -> None:
    events, reader = buildx(f"#1 [a 1/2] RUN x\n{text}\n")
    assert all(isinstance(event, Event) for event in events)
    assert reader.failure().message
