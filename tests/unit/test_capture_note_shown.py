"""What image, build and core writer tell, in the words of a report."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from evdiag.model.report import Build, Container, Report, Thread
from evdiag.parse.container import MAX_MODULES, read_build, read_inspect
from evdiag.report import FORMATS, image, words
from evdiag.report.details import details
from evdiag.report.lines import plain
from tests.support.samples import null_write

COMMIT = "aa8113f90948764d6a66c816121bb517cae39b96"
EVEREST = "EVerest aa8113f90948"
DESCRIBED = "2026.02.1-34-gaa8113f9"
LABELS = {
    "org.opencontainers.image.revision": "b" * 40,
    "org.opencontainers.image.version": "1.2",
    "org.evdiag.everest.ref": COMMIT,
    "org.evdiag.everest.cflags": "-O0 -g3",
}
BUILT = {
    "schema": "evdiag.build/1",
    "architecture": "x86_64",
    "everest": {"source": "clone", "commit": COMMIT, "describe": DESCRIBED},
    "compiler": "g++ (Debian 12.2.0-14) 12.2.0",
    "c_flags": "-O2 -g",
    "modules": ["OCPP", 7, "OCPP201"],
}


def test_what_the_build_noted() -> None:
    assert read_build(json.dumps(BUILT).encode()) == Build(
        commit=COMMIT,
        describe=DESCRIBED,
        source="clone",
        compiler="g++ (Debian 12.2.0-14) 12.2.0",
        cflags="-O2 -g",
        architecture="x86_64",
        modules=("OCPP", "OCPP201"),
    )
    many = {**BUILT, "modules": ["x"] * (MAX_MODULES + 9)}
    read = read_build(json.dumps(many).encode())
    assert read is not None
    assert len(read.modules) == MAX_MODULES
    assert read_build(b'{"everest": {"commit": 7}, "modules": "a"}') == Build()


@pytest.mark.parametrize(
    "text",
    [
        *(b"", b"{", b"[]", b"7", b'{"everest": 1}', b'{"everest": {}}', b"[" * 90_000),
        json.dumps({**BUILT, "schema": "webpack"}).encode(),
    ],
)
def test_what_is_the_build_of_something_else(text: bytes) -> None:
    assert read_build(text) is None


@given(st.binary(max_size=200))
def test_no_bytes_make_it_fail(content: bytes) -> None:
    assert read_build(content) is None


def test_only_harmless_variables_are_told() -> None:
    variables = ["OCPP_VERSION=2.0.1", "OCPP_ID=CP1", "OCPP_PASSWORD=geheim", "OCPP_URL=ws://u:p@h"]
    odd = ["OCPP_ID", "OCPP_VERSION=", 7, "=x"]

    read = read_inspect(json.dumps({"Config": {"Env": [*variables, *odd]}}).encode())

    assert read is not None
    assert read[0].environment == {"OCPP_VERSION": "2.0.1", "OCPP_ID": "CP1"}
    for value in ("OCPP_ID=CP1", None, {"OCPP_ID": "CP1"}):
        read = read_inspect(json.dumps({"Config": {"Env": value, "Image": "x"}}).encode())
        assert read == (Container(image="x"), None)


def report(container: Container | None) -> Report:
    return replace(null_write(), container=container)


@pytest.mark.parametrize(
    ("container", "said"),
    [
        (None, []),
        (Container(), []),
        (Container(image="ev:1"), []),
        (
            Container(image="ev:1.2", labels=LABELS),
            ["ev:1.2 (bbbbbbbbbbbb)", "EVerest aa8113f90948"],
        ),
        (Container(image="ev", labels=LABELS), ["ev (1.2, bbbbbbbbbbbb)", EVEREST]),
        (
            Container(build=read_build(json.dumps(BUILT).encode())),
            ["EVerest 2026.02.1-34-gaa8113f9"],
        ),
        (
            Container(build=Build(commit=COMMIT, describe="2026.02.1")),
            ["EVerest 2026.02.1 (aa8113f90948)"],
        ),
        (Container(labels=LABELS, build=Build(source="folder")), ["(1.2, bbbbbbbbbbbb)"]),
        (Container(labels={"org.evdiag.everest.ref": "main"}), ["EVerest main"]),
        (
            Container(image="ev", environment={"OCPP_VERSION": "1.6", "OCPP_ID": "CP1"}),
            ["ev", "OCPP 1.6", "station CP1"],
        ),
    ],
)
def test_what_ran(container: Container | None, said: list[str]) -> None:
    assert image.what_ran(report(container))[: len(said) or 1] == said


def test_flags_of_the_build_go_before_those_of_the_label() -> None:
    built = read_build(json.dumps(BUILT).encode())

    texts = image.what_ran(report(Container(labels=LABELS, build=built)))

    assert "-O2 -g" in texts
    assert "-O0 -g3" not in texts
    assert "EVerest folder" in image.what_ran(report(Container(build=Build(source="folder"))))


def test_every_format_for_people_tells_it() -> None:
    container = Container(image="ev", labels=LABELS, environment={"OCPP_ID": "CP1"})

    for name in ("terminal", "markdown", "html", "json", "github"):
        text = " ".join(FORMATS[name].load().render(report(container)).split())
        assert "aa8113f90948" in text, name
        assert "-O0 -g3" in text
        assert "CP1" in text


def test_a_report_from_a_note_has_no_threads() -> None:
    base = null_write()
    noted = replace(base, threads=(), provenance=replace(base.provenance, rung="capture"))

    lines = plain(details(noted, 100, noted))

    assert any("from what the core writer noted" in line for line in lines)
    assert "No thread" not in FORMATS["markdown"].load().render(noted)


@pytest.mark.parametrize(
    ("thread", "name"),
    [
        (Thread(number=1, lwp=35, role="run", name="websocket"), "#1 run [websocket] (LWP 35)"),
        (Thread(number=1, lwp=35, role="main", name="main"), "#1 main (LWP 35)"),
        (Thread(number=1, name="x"), "#1 [x]"),
    ],
)
def test_the_name_of_a_thread(thread: Thread, name: str) -> None:
    assert words.thread_name(thread) == name
