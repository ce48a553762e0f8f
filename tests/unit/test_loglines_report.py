"""Lines as people read them, on a terminal and in a pipe, without what a terminal would obey."""

from hypothesis import given
from hypothesis import strategies as st

from evdiag.model.loglines import ALERT, HEADED, MORE, LogLine
from evdiag.report.loglines import LineWriter, safe, short

TIME = "2026-11-23 00:48:58.593030"


def line(text: str = "ready", **more: object) -> LogLine:
    found = LogLine(TIME, "everest", "INFO", text, "auth:Auth")
    for name, value in more.items():
        setattr(found, name, value)
    return found


def plain(*lines: LogLine) -> str:
    return LineWriter(terminal=False).text(lines)


def screen(*lines: LogLine, colour: bool = False, width: int = 80) -> str:
    return LineWriter(terminal=True, colour=colour, width=width).text(lines)


def test_each_line_of_a_pipe_stands_for_itself() -> None:
    assert plain(line()) == "2026-11-23 00:48:58.593 everest INFO auth:Auth: ready\n"
    assert plain(line(module="", service="mosquitto", time=TIME[:19])) == (
        "2026-11-23 00:48:58 mosquitto INFO: ready\n"
    )
    assert plain(line("")) == "2026-11-23 00:48:58.593 everest INFO auth:Auth:\n"
    assert plain() == ""
    record = line(more=["", "{", "  1", "}", ""])
    assert plain(record).splitlines()[1:] == ["    {", "      1", "    }"]
    assert plain(line("", more=["", "Welcome"])).endswith(": Welcome\n")
    assert plain(line("more", form=MORE)) == "    more\n"
    assert plain(line("", form=MORE)) == ""
    assert plain(line(module="\x1b]0;x")).startswith(TIME[:23] + " everest INFO \\x1b]0;x: ")


def test_columns_of_a_terminal_and_the_date_once() -> None:
    text = screen(line(), line(service="nodered", severity="WARN", time="2026-11-24 00:00:00"))
    assert text.splitlines() == [
        "-- 2026-11-23 --",
        "00:48:58.593 I auth:Auth       ready",
        "-- 2026-11-24 --",
        "00:00:00     W nodered         ready",
    ]
    more = screen(line(more=["{"]), line("x", form=MORE)).splitlines()
    assert more[2:] == [" " * 31 + "{", " " * 31 + "x"]
    assert screen(line(time="", severity="")) == " " * 15 + "auth:Auth       ready\n"
    assert "\\x07" in screen(line(module="a\x07b"))
    assert screen(line("")).endswith("auth:Auth       \n")


def test_colours_are_ours_alone() -> None:
    text = screen(line("\x1b[31mred", severity="ERRO", module="\x1b[1m"), colour=True)
    assert "\x1b[31m\\x1b[31mred\x1b[0m" in text
    assert "\x1b[36m\\x1b[1m" in text
    assert "\x1b[2m00:48:58.593\x1b[0m" in text
    calm = screen(line(service="other"), colour=True)
    assert "\x1b[0m ready\n" in calm


def test_the_function_of_a_warning_is_short() -> None:
    where = "static std::string module::Store::read(const std::map<int, int>&)"
    assert short(where) == "Store::read"
    assert plain(line(where=where)).endswith(": ready  (Store::read)\n")
    assert len(short("a" * 500)) <= 60


def test_an_alert_is_seen() -> None:
    alert = line("module x died", form=ALERT, more=["core: c", "next: n\x1b"])
    assert plain(alert).splitlines() == [
        "2026-11-23 00:48:58.593 CRASH module x died", "    core: c", "    next: n\\x1b",
    ]  # fmt: skip
    assert screen(alert).splitlines() == [
        "=" * 80, "CRASH module x died", "  core: c", "  next: n\\x1b", "=" * 80,
    ]  # fmt: skip
    coloured = screen(alert, colour=True, width=30).splitlines()
    assert coloured[0] == "\x1b[1;97;41m CRASH module x died          \x1b[0m"
    assert len(coloured) == 3


def test_emoji_stay_and_tabs_are_spaces() -> None:
    assert safe("🚙 up\t!") == "🚙 up    !"
    assert safe("\u202e") == "\\u202e"


@given(st.text(max_size=60), st.text(max_size=20), st.booleans(), st.booleans())
def test_nothing_that_a_terminal_obeys(text: str, name: str, terminal: bool, form: bool) -> None:
    found = LogLine(
        name, name, name, text, name, name, MORE if form else HEADED, more=[text]
    )  # fmt: skip
    shown = LineWriter(terminal=terminal).text([found, line(text, form=ALERT, more=[name])])
    assert all(part.isprintable() for part in shown.split("\n"))
