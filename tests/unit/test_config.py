"""`evdiag.yaml`: what a file says for a command, and what is wrong with it."""

import contextlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from evdiag.config import LARGEST, NAME, Defaults, defaults, known, merge, options
from evdiag.errors import UsageError

app = typer.Typer()
GOT: list[tuple[str, int, list[str]]] = []
"""What the command was called with."""


@app.command()
def start(
    name: str = typer.Option("everest", "--name", "-n"),
    port: int = typer.Option(1880, min=1, max=65_535),
    env: list[str] = typer.Option([], "--env", "-e"),  # noqa: B008 - typer's way
    replace: bool = typer.Option(False, "--replace"),
    pattern: bool = typer.Option(False, "--set-core-pattern"),
    gdb: str = typer.Option("", "--gdb"),
) -> None:
    """Stands for a command of evdiag."""
    GOT.append((name, port, env))


@app.command("gdb")
def debug(core: str, name: str = typer.Option("", "--name"), show: str = "") -> None:
    """A command that is called as an option of another one."""


GROUP: Any = typer.main.get_group(app)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, which holds no file yet."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(
    text: str | bytes, command: str = "start", environment: Mapping[str, str] | None = None
) -> Defaults:
    """What the file of the current directory says with this text."""
    Path(NAME).write_bytes(text if isinstance(text, bytes) else text.encode())
    found = defaults(GROUP, command, environment or {})
    assert found is not None
    return found


def test_no_file_says_nothing(folder: Path) -> None:
    assert defaults(GROUP, "start", {}) is None


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "---\n", "null\n", "~\n"])
def test_an_empty_file_says_nothing(folder: Path, text: str) -> None:
    assert read(text).values == {}


def test_keys_hold_for_all_commands_that_have_them(folder: Path) -> None:
    text = "name: a\nport: 1990\n"

    assert read(text, "start").values == {"name": "a", "port": "1990"}
    assert read(text, "gdb").values == {"name": "a"}


def test_a_section_holds_for_its_command_and_goes_first(folder: Path) -> None:
    text = "start: {name: b, port: 1}\nname: a\nport: 2\n"

    assert read(text, "start").values == {"name": "b", "port": "1"}
    assert read(text, "gdb").values == {"name": "a"}


def test_an_option_called_like_a_command(folder: Path) -> None:
    named = {"EVDIAG_CONFIG": NAME}

    assert read("gdb: /usr/bin/gdb\n", "start", named).values == {"gdb": "/usr/bin/gdb"}
    assert read("gdb: {show: x}\n", "gdb", named).values == {"show": "x"}
    assert read("gdb:\n", "start", named).values == {}


def test_values_stay_what_was_written(folder: Path) -> None:
    text = "name: 1.10\nenv: {A: yes, B: 2.0, C: '', D: 0x10, E: 2026-01-02, F: null}\n"

    found = read(text).values

    assert found["name"] == "1.10"
    assert found["env"] == ["A=yes", "B=2.0", "C=", "D=0x10", "E=2026-01-02", "F=null"]


def test_a_key_without_a_value_is_not_set(folder: Path) -> None:
    assert read("name:\nport: ~\nenv: null\n").values == {}
    assert read("name: ''\n").values == {"name": ""}


@pytest.mark.parametrize("text", ["env: {A: 1}", "env: [A=1]", "env: A=1", "env:\n- A=1\n"])
def test_forms_of_an_option_that_may_be_repeated(folder: Path, text: str) -> None:
    assert read(text).values == {"env": ["A=1"]}


def test_anchors_work_and_cannot_blow_up(folder: Path) -> None:
    assert read("start: &a {name: x}\n").values == {"name": "x"}
    assert read("name: &n x\nstart: {env: {A: *n}}\n").values == {"name": "x", "env": ["A=x"]}
    bomb = "\n".join(f"&{a} [*{b}, *{b}, *{b}]" for a, b in zip("bcdefg", "abcdef", strict=True))
    with pytest.raises(UsageError):
        read(f"env: [&a [x, x, x], {bomb.replace(chr(10), ', ')}]\n")
    with pytest.raises(UsageError, match="list or a map"):
        read("env: &a [*a]\n")


WRONG = [
    ("nmae: x", "line 1: evdiag has no option `nmae`", "`name`"),
    ("\n\nports: 1", "line 3: evdiag has no option `ports`", "`port`"),
    ("--port: 1", "line 1: evdiag has no option `--port`", "`port`"),
    ("stat: {name: x}", "no option `stat`", "`start`"),
    ("zzzzzz: 1", "no option `zzzzzz`", "evdiag-yaml.md"),
    ("start: {prot: 1}", "`evdiag start` has no option `prot`", "`port`"),
    ("gdb: {port: 1}", "`evdiag gdb` has no option `port`", "name, show"),
    ("start: 3", "line 1: `start` is no map", "name: everest"),
    ("port: abc", "line 1: `port`: 'abc' is not a valid", "evdiag start --help"),
    ("port: 70000", "line 1: `port`: 70000 is not in the range", "evdiag start --help"),
    ("start:\n  port: [1]", "line 2: `port` takes one value, not a list", "start --help"),
    ("port: {a: 1}", "line 1: `port` takes one value, not a map", "start --help"),
    ("replace: maybe", "line 1: `replace`: 'maybe' is not a valid boolean", "start --help"),
    ("env: {A: [1]}", "line 1: `env`: A is a list or a map", "start --help"),
    ("env: [[1]]", "line 1: `env` is a list or a map", "start --help"),
    ("env: {A: 1, A: 2}", "line 1: 'A' is there twice, in line 1 too", "one of them"),
    ("name: a\nname: b", "line 2: 'name' is there twice, in line 1 too", "one of them"),
    ("[a]: b", "a key is a word", "--help"),
    ("- name", "line 1: the file is no map", "name: everest"),
    ("name", "line 1: the file is no map", "name: everest"),
    ("name: 'x", "line 1 is not YAML", "name: everest"),
    ("\tname: x", "line 1 is not YAML", "name: everest"),
    ("name: *x", "line 1 is not YAML: found undefined alias", "name: everest"),
    ("name: a\n---\nname: b", "is not YAML", "name: everest"),
    ("name: \x01", "is not YAML", "name: everest"),
    ("set-core-pattern: true", "cannot stand in a file", "--set-core-pattern"),
    ("start: {set-core-pattern: 1}", "cannot stand in a file", "--set-core-pattern"),
    ("gdb: ./evil", "does not count in a file that just lies here", "EVDIAG_CONFIG"),
    ("[" * 20_000, "nested too deeply", "name: everest"),
    (b"\xff\xfe\x00", "is not UTF-8 text", "name: everest"),
    ("#" * LARGEST + "##", "larger than 64 kB", "evdiag-yaml.md"),
]


@pytest.mark.parametrize(
    ("text", "said", "advice"), WRONG, ids=[str(i) for i, _ in enumerate(WRONG)]
)
def test_what_is_wrong_is_said_with_its_place(
    folder: Path, text: str | bytes, said: str, advice: str
) -> None:
    with pytest.raises(UsageError) as error:
        read(text)

    assert str(error.value).startswith(NAME)
    assert said in str(error.value)
    assert advice in error.value.advice


def test_nothing_is_constructed(folder: Path) -> None:
    with pytest.raises(UsageError, match="takes one value"):
        read("name: !!python/object/apply:os.getcwd []\n")
    assert read("name: !!python/name:os.system x\n").values == {"name": "x"}


def test_a_wrong_value_stops_only_commands_that_have_the_option(folder: Path) -> None:
    assert read("port: abc\nname: x\n", "gdb").values == {"name": "x"}


# -- what the command gets


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], ("x", 7, ["A=1", "B=2"])),
        (["-n", "y", "--port", "8"], ("y", 8, ["A=1", "B=2"])),
        (["-e", "C=3"], ("x", 7, ["A=1", "B=2", "C=3"])),
        (["-e", "A=9", "--env=C=3"], ("x", 7, ["B=2", "A=9", "C=3"])),
        (["-e", "A"], ("x", 7, ["B=2", "A"])),
    ],
)
def test_the_command_line_goes_first_and_adds_to_maps(
    folder: Path, words: list[str], expected: tuple[str, int, list[str]]
) -> None:
    group: Any = typer.main.get_group(app)
    found = read("name: x\nport: 7\nenv: {A: 1, B: 2}\n")
    merge(group, "start", found)

    with pytest.raises(SystemExit):
        group(args=["start", *words], prog_name="x", default_map={"start": found.values})

    assert GOT.pop() == expected


# -- which file


def test_the_named_file_goes_before_that_of_the_folder(folder: Path) -> None:
    (folder / "mine.yaml").write_text("name: mine\n")

    assert read("name: here\n", environment={"EVDIAG_CONFIG": "mine.yaml"}).values == {
        "name": "mine"
    }
    assert read("name: here\n", environment={"EVDIAG_CONFIG": ""}).values == {"name": "here"}
    assert read("name: here\n", environment={"EVDIAG_CONFIG": "/dev/null"}).values == {}


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "does not exist"),
        (lambda path: path.mkdir(), "is not a regular file"),
        (lambda path: os.mkfifo(path), "is not a regular file"),
        (lambda path: path.symlink_to(path), "cannot be read"),
    ],
    ids=["missing", "folder", "fifo", "loop"],
)
def test_a_named_file_that_cannot_be_read(
    folder: Path, make: Callable[[Path], object], said: str
) -> None:
    path = folder / "named"
    make(path)

    with pytest.raises(UsageError, match=said):
        defaults(GROUP, "start", {"EVDIAG_CONFIG": str(path)})


def test_names_that_are_no_names() -> None:
    for name in ("a\0b", "x" * 5000):
        with pytest.raises(UsageError, match="cannot be read"):
            defaults(GROUP, "start", {"EVDIAG_CONFIG": name})


def test_a_file_that_anybody_could_have_written_is_not_used(folder: Path) -> None:
    path = folder / NAME
    path.write_text("name: x\n")
    path.chmod(0o666)

    with pytest.raises(UsageError, match="can be written by everybody") as error:
        defaults(GROUP, "start", {})
    assert "EVDIAG_CONFIG=evdiag.yaml" in error.value.advice
    found = defaults(GROUP, "start", {"EVDIAG_CONFIG": NAME})
    assert found is not None
    assert found.values == {"name": "x"}


@pytest.mark.parametrize(
    ("sudo", "used"), [({}, False), ({"SUDO_UID": "1234"}, True), ({"SUDO_UID": "x"}, False)]
)
def test_whose_file_it_is(
    folder: Path, monkeypatch: pytest.MonkeyPatch, sudo: dict[str, str], used: bool
) -> None:
    (folder / NAME).write_text("name: x\n")
    real = os.fstat

    def somebodys(number: int) -> os.stat_result:
        return os.stat_result([*real(number)[:4], 1234, *real(number)[5:10]])

    monkeypatch.setattr(os, "fstat", somebodys)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    if used:
        assert defaults(GROUP, "start", sudo) is not None
    else:
        with pytest.raises(UsageError, match="belongs to somebody else"):
            defaults(GROUP, "start", sudo)


# -- the commands


def test_help_and_what_is_asked_for_each_time_are_no_keys() -> None:
    assert sorted(known(GROUP)["start"]) == ["env", "gdb", "name", "port", "replace"]
    assert "core" not in options(GROUP.commands["gdb"]), "an argument"


TEXTS = st.one_of(
    st.text(max_size=80),
    st.lists(
        st.sampled_from(
            ["name", "port", "start", "env", "gdb", ": ", "\n", "  ", "- ", "[", "]", "{", "}", ",",
             "&a", "*a", "!!x ", "'", '"', "|", "?", "1", "x", "null", "#", "%", "<<"]
        ),
        max_size=30,
    ).map("".join),
)  # fmt: skip


@given(TEXTS)
def test_any_text_gives_text_or_an_error(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    with contextlib.suppress(UsageError):
        found = defaults(GROUP, "start", {"EVDIAG_CONFIG": str(path)})
        assert found is not None
        for value in found.values.values():
            parts = value if isinstance(value, list) else [value]
            assert all(isinstance(part, str) for part in parts)
