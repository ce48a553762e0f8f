"""Which lines are wanted, and the alerts between them."""

import pytest

from evdiag.analyze.logalert import Alerts
from evdiag.analyze.logfilter import (
    LONGEST_SEARCHED,
    LineFilter,
    Wanted,
    is_module,
    is_service_shown,
    read_level,
)
from evdiag.model.loglines import ALERT, HEADED, MORE, RAW, LogLine


def line(
    text: str = "x", service: str = "everest", severity: str = "INFO", module: str = "",
    form: str = HEADED, time: str = "2026-11-23 00:00:05.000000",
) -> LogLine:  # fmt: skip
    return LogLine(time, service, severity, text, module, form=form)


def shown(wanted: Wanted, *lines: LogLine) -> list[str]:
    return [found.text for found in LineFilter(wanted).wants(list(lines))]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("warn", "WARN"), ("Warning", "WARN"), (" ERROR ", "ERRO"), ("erro", "ERRO"),
     ("critical", "CRIT"), ("debg", "DEBG"), ("info", "INFO"), ("verb", "VERB")],
)  # fmt: skip
def test_levels_have_several_names(text: str, wanted: str) -> None:
    assert read_level(text) == wanted


def test_a_level_that_is_none() -> None:
    with pytest.raises(ValueError, match="loud"):
        read_level("loud")


def test_without_a_filter_nothing_is_looked_at() -> None:
    batch = [line()]
    assert LineFilter(Wanted()).wants(batch) is batch


def test_by_service_and_time() -> None:
    lines = [line("a"), line("b", "nodered"), line("c", time="2026-11-23 00:00:09")]
    assert shown(Wanted(services=frozenset({"nodered"})), *lines) == ["b"]
    assert shown(Wanted(since="2026-11-23 00:00:09.100000"), *lines) == ["c"]
    assert shown(Wanted(since="2026-11-23 00:00:06.0"), line("untimed", time="")) == ["untimed"]


def test_by_level_and_what_goes_on() -> None:
    lines = [
        line("a"), line("b", severity="WARN"), line("more", form=MORE),
        line("c", severity="CRIT"), line("d"), line("more of d", form=MORE),
        line("raw", severity="ERRO", form=RAW), line("n", "nodered", form=MORE),
        line("crash", severity="CRIT", form=ALERT),
    ]  # fmt: skip
    assert shown(Wanted(level="WARN"), *lines) == ["b", "more", "c", "raw", "crash"]
    assert shown(Wanted(level="CRIT"), *lines) == ["c", "crash"]


def test_by_module_though_names_are_cut() -> None:
    assert is_module("evse_manager:Ev", "evse_manager")
    assert is_module("evse_manager:Ev", "evse_manager:EvseManager")
    assert is_module("dc_external_der", "dc_external_derate_api")
    assert not is_module("auth:Auth", "auth:Authority")
    assert not is_module("", "")
    lines = [line("a", module="auth:Auth"), line("b", module="ocpp:OCPP201"), line("c")]
    crashes = [line("d", module="auth", form=ALERT), line("e", module="ocpp", form=ALERT)]
    assert shown(Wanted(module="auth"), *lines, *crashes) == ["a", "d"]
    assert is_service_shown(Wanted(module="auth"), "everest")
    assert not is_service_shown(Wanted(module="auth"), "nodered")
    assert is_service_shown(Wanted(), "nodered")
    assert not is_service_shown(Wanted(services=frozenset({"everest"})), "nodered")


def test_by_expression_in_any_line_of_a_record() -> None:
    record = line("{")
    record.more = ['  "status": "Accepted"']
    lines = [line("one"), record, line("status", form=MORE), line("two"), line("one", form=MORE)]
    assert shown(Wanted(pattern="stat.s"), *lines) == ["{", "status"]
    assert shown(Wanted(pattern="one"), *lines) == ["one", "one"]
    assert shown(Wanted(pattern="one", level="WARN"), *lines) == []
    assert shown(Wanted(pattern="crash"), line("crash", form=ALERT)) == []
    assert shown(Wanted(pattern="end"), line("x" * LONGEST_SEARCHED + "end")) == []


# -- alerts

MANAGER = {"module": "manager", "severity": "CRIT"}
EXITED = "Module ocpp exited unexpectedly, terminating remaining modules..."
NOTE = "evdiag capture: ocpp:OCPP201 pid 63 tid 64 died of signal 11: core.ocpp.63.1 (1 MB)"
NO_NOTE = "evdiag capture: no core of 63 ocpp:OCPP201 (signal 11): the disk is full"
LIST = (
    "Crash recovery shutdown completed in 3 ms. Modules that did not shut down cleanly:"
    " ocpp (signal=11) auth (signal=15)"
)
END = "Unexpected module exit; manager is exiting."
GONE = "exited: everest (exit status 1; not expected)"


def manager(text: str) -> LogLine:
    return line(text, severity="CRIT", module="manager")


def note(text: str) -> LogLine:
    return line(text, severity="ERRO", form=RAW, module="ocpp:OCPP201")


def alerts(*lines: LogLine, by: Alerts | None = None) -> list[LogLine]:
    found = (by or Alerts("my everest")).add(list(lines))
    assert [one for one in found if one.form != ALERT] == list(lines)
    return [one for one in found if one.form == ALERT]


def supervisord(text: str) -> LogLine:
    return line(text, "supervisord", "WARN")


def test_one_alert_for_each_crash() -> None:
    one = [note(NOTE), manager(EXITED), supervisord(GONE), manager(LIST), manager(END)]
    (alert,) = alerts(*one)
    assert alert.text == "module ocpp (pid 63) died of SIGSEGV"
    assert alert.more == [
        "core: /tmp/everest-logs/core.ocpp.63.1",
        "next: evdiag backtrace 'my everest'",
    ]
    assert len(alerts(*one, *one)) == 2
    by = Alerts("x")
    assert [len(alerts(each, by=by)) for each in (*one, *one)] == [1, 0, 0, 0, 0] * 2


def test_an_alert_stands_after_its_line() -> None:
    lines = [line("before"), note(NOTE), line("after"), note(NOTE.replace("ocpp", "auth"))]
    found = Alerts("x").add(lines)
    assert [one.form for one in found] == [HEADED, RAW, ALERT, HEADED, RAW, ALERT]


def test_a_crash_without_a_core() -> None:
    (alert,) = alerts(note(NO_NOTE))
    assert alert.more is not None
    assert alert.more[0] == "no core: the disk is full"
    (alert,) = alerts(manager(EXITED), note(NOTE))
    assert alert.text == "module ocpp ended unexpectedly"
    assert alert.more is not None
    assert alert.more[0].startswith("next: ")


def test_the_older_manager_tells_the_status() -> None:
    told = "Module {} (pid: 7) exited with status: {}. Terminating all modules."
    (alert,) = alerts(manager(told.format("auth", 139)))
    assert alert.text == "module auth (pid 7) died of SIGSEGV"
    (alert,) = alerts(manager(told.format("auth", 256)))
    assert alert.text == "module auth (pid 7) ended with code 1"
    assert alerts(manager(told.format("auth", 0))) == []


def test_names_that_are_cut_are_the_same_module() -> None:
    long = EXITED.replace("ocpp", "dc_external_derate_api")
    cut = NOTE.replace("ocpp:OCPP201", "dc_external_der")
    assert len(alerts(note(cut), manager(long))) == 1
    assert len(alerts(note(NOTE), manager(EXITED.replace("ocpp", "ocpp_sink")))) == 2


def test_programs_of_supervisord_that_a_signal_ended() -> None:
    died = "exited: {} (terminated by SIGSEGV (core dumped); not expected)"
    (alert,) = alerts(supervisord(died.format("mosquitto")))
    assert alert.text == "mosquitto died of SIGSEGV"
    (alert,) = alerts(supervisord(died.format("everest")))
    assert alert.text == "EVerest's manager died of SIGSEGV"
    assert alerts(
        supervisord("exited: nodered (exit status 1; not expected)"),
        supervisord("stopped: logs (terminated by SIGTERM)"),
        supervisord("spawned: 'x' with pid 1"),
        supervisord("received SIGTERM"),
    ) == []  # fmt: skip


def test_what_is_no_crash() -> None:
    quoted = line(NOTE, severity="ERRO", module="auth:Auth")
    other = line("free(): invalid pointer", severity="ERRO", form=RAW)
    error = line("a problem", severity="ERRO", module="manager")
    batch = [quoted, other, error, line("Error", "mosquitto", "ERRO"), line("calm")]
    assert Alerts("x").add(batch) is batch
