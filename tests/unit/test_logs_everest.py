"""EVerest's log: both managers, resets, lost brokers, and what only looks like a crash."""

import pytest

from evdiag.model.logs import ExitStatus, LogEvent
from tests.support.log_lines import events_of, kinds, line


def brief(events: list[LogEvent]) -> list[tuple[str, str | None, ExitStatus | None]]:
    return [(event.kind, event.module_id, event.status) for event in events]


def signal(number: int, core: bool | None = None) -> ExitStatus:
    return ExitStatus(signal=number, core_dumped=core)


UNCLEAN = "Crash recovery shutdown completed in 63 ms. Modules that did not shut down cleanly:  "
CRASHED = "Module \x1b[34mocpp\x1b[0m exited unexpectedly, terminating remaining modules..."


# -- how modules end


def test_a_crash_by_the_later_manager() -> None:
    log = [
        line("Starting 3 modules"),
        line("Manager state transition: Running -> ShutdownRequested"),
        line(CRASHED, "CRIT"),
        line("Terminating modules (graceful shutdown not enabled)..."),
        line("SIGTERM of child: api_sink (pid: 21988) \x1b[32msucceeded\x1b[0m."),
        line("Module api_sink (pid 21988) shutdown [62ms] with status: signal=15"),
        line(f"{UNCLEAN}ocpp (signal=11) api_sink (signal=15) imd (exit_code=3)", "WARN"),
        line("Unexpected module exit; manager is exiting.", "CRIT"),
        line("Manager state transition: ShutdownFinalizing -> Exiting"),
    ]
    found = events_of(*log)
    assert brief(found) == [
        ("manager-start", None, None),
        ("module-exit", "ocpp", None),
        ("module-stopped", "api_sink", None),
        ("module-stopped", "api_sink", signal(15)),
        ("module-exit", "ocpp", signal(11)),
        ("module-stopped", "api_sink", signal(15)),
        ("module-stopped", "imd", ExitStatus(code=3)),
        ("manager-exit", None, None),
    ]
    assert [event.line for event in found] == [1, 3, 5, 6, 7, 7, 7, 8]
    assert found[2].pid == found[3].pid == 21988
    assert found[1].text.startswith("2026-11-22 07:01:54.000000 [CRIT] manager         void Man")
    assert found[1].time == 1795330914.0


def test_a_crash_by_the_manager_of_2026_02() -> None:
    log = [
        line("Module ocpp (pid: 17) exited with status: 139. Terminating all modules.", "CRIT"),
        line("SIGTERM of child: api_sink (pid: 18) succeeded."),
        line("SIGTERM of child: imd (pid: 19) failed: -1. Escalating to SIGKILL", "CRIT"),
        line("SIGKILL of child: imd (pid: 19) succeeded."),
        line("Exiting manager.", "CRIT"),
    ]
    found = events_of(*log)
    assert brief(found) == [
        ("module-exit", "ocpp", signal(11, core=True)),
        ("module-stopped", "api_sink", None),
        ("error", None, None),
        ("module-stopped", "imd", None),
        ("manager-exit", None, None),
    ]
    assert found[0].pid == 17
    assert [event.detail for event in found[1:4:2]] == ["SIGTERM", "SIGKILL"]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (139, signal(11, core=True)),
        (11, signal(11, core=False)),
        (134, signal(6, core=True)),
        (256, ExitStatus(code=1)),
        (0, ExitStatus(code=0)),
    ],
)
def test_raw_statuses(status: int, expected: ExitStatus) -> None:
    text = f"Module imd (pid: 4) exited with status: {status}. Terminating all modules."
    assert brief(events_of(line(text, "CRIT"))) == [("module-exit", "imd", expected)]


def test_an_end_while_nothing_runs_was_asked_for() -> None:
    found = events_of(line("Module imd (pid: 4) exited with status: 15."))
    assert brief(found) == [("module-stopped", "imd", signal(15, core=False))]


def test_the_one_that_was_announced_ended_with_code_0() -> None:
    found = events_of(line(CRASHED, "CRIT"), line(f"{UNCLEAN}imd (signal=15)", "WARN"))
    assert brief(found) == [
        ("module-exit", "ocpp", None),
        ("module-exit", "ocpp", ExitStatus(code=0)),
        ("module-stopped", "imd", signal(15)),
    ]


def test_all_ended_with_code_0() -> None:
    found = events_of(
        line("Module ocpp exited unexpectedly, signaling remaining modules to shut down "
             "gracefully...", "CRIT"),
        line("All 21 modules shut down gracefully after crash [12ms]."),
        line("All 21 modules shut down gracefully after crash [12ms]."),
    )  # fmt: skip
    assert brief(found) == [
        ("module-exit", "ocpp", None),
        ("module-exit", "ocpp", ExitStatus(code=0)),
    ]


def test_a_log_that_begins_after_the_announcement() -> None:
    found = events_of(line(f"{UNCLEAN}ocpp (exit_code=1) imd (signal=15)", "WARN"))
    assert kinds(found) == ["module-exit", "module-stopped"]
    assert found[0].status == ExitStatus(code=1)


def test_a_shutdown_that_was_asked_for_has_no_culprit() -> None:
    found = events_of(
        line("Modules that did not shut down cleanly: ocpp (signal=9) imd (raw=139)", "WARN"),
        line("👋👋👋 All modules shut down properly. EVerest manager is exiting [59ms] 👋👋👋"),
    )
    assert brief(found) == [
        ("module-stopped", "ocpp", signal(9)),
        ("module-stopped", "imd", signal(11, core=True)),
        ("manager-exit", None, None),
    ]


def test_recovery_gives_no_status_and_a_new_start() -> None:
    found = events_of(
        line(CRASHED, "CRIT"),
        line("Unexpected module exit recovery attempt 1/3. Reloading config and restarting "
             "modules.", "WARN"),
        line("Starting 21 modules"),
        line("Module imd exited unexpectedly, terminating remaining modules...", "CRIT"),
        line(f"{UNCLEAN}imd (signal=6)", "WARN"),
    )  # fmt: skip
    assert brief(found) == [
        ("module-exit", "ocpp", None),
        ("manager-start", None, None),
        ("module-exit", "imd", None),
        ("module-exit", "imd", signal(6)),
    ]


# -- what is no crash


def test_a_reset_in_2026_02() -> None:
    found = events_of(
        line("Performing soft reset now.", process="system:System"),
        line("Module system (pid: 9) exited with status: 2. Terminating all modules.", "CRIT"),
    )
    assert brief(found) == [
        ("reset", "system", None),
        ("reset", "system", signal(2, core=False)),
        ("module-exit", "system", signal(2, core=False)),
    ]


def test_a_reset_later() -> None:
    found = events_of(
        line("Performing hard reset now.", process="system:System"),
        line("Module system exited unexpectedly, terminating remaining modules...", "CRIT"),
        line(f"{UNCLEAN}system (signal=15) imd (signal=15)", "WARN"),
    )
    assert kinds(found) == ["reset", "module-exit", "module-exit", "module-stopped"]
    assert found[2].status == signal(15)


@pytest.mark.parametrize(
    ("text", "severity", "kind"),
    [
        ("Error during MQTT sync: MQTT_ERROR_SOCKET_ERROR", "ERRO", "broker-lost"),
        ("Caught MQTT mainloop boost::exception:", "CRIT", "broker-lost"),
        ("Caught mqtt mainloop std::exception:", "CRIT", "broker-lost"),
        ("Cannot connect to MQTT broker at localhost:1883", "ERRO", "broker-lost"),
        ("Mutex deadlock detected: Failed to lock A, mutex held by B", "ERRO", "lock-timeout"),
        ("Could not open the serial port", "ERRO", "error"),
        ("Something is badly wrong", "CRIT", "error"),
    ],
)
def test_records_of_modules(text: str, severity: str, kind: str) -> None:
    (found,) = events_of(line(text, severity, "evse_manager:EvseManager"))
    assert (found.kind, found.module_id, found.detail) == (kind, "evse_manager", text)


def test_the_name_of_a_module_may_be_cut() -> None:
    (found,) = events_of(line("It failed", "ERRO", "iso15118_charger:EvseV2G"))
    assert found.module_id == "iso15118_charge"


def test_an_exception_that_ends_a_module() -> None:
    (found,) = events_of(
        line("Caught top level boost::exception:", "CRIT", "ocpp:OCPP"),
        "./lib/ocpp/config.cpp(93): Throw in function void load()\n"
        "Dynamic exception type: boost::wrapexcept<std::runtime_error>\n"
        "std::exception::what: Could not read config.json\n",
        line("Module imd initialized [3ms]"),
    )
    assert (found.kind, found.module_id) == ("module-error", "ocpp")
    assert found.detail == "Could not read config.json"
    assert found.text.endswith("Could not read config.json")


@pytest.mark.parametrize(
    ("more", "detail"),
    [("\n  key not found\n", "key not found"), ("", "Caught top level std::exception:")],
)
def test_what_an_exception_says_without_boost(more: str, detail: str) -> None:
    (found,) = events_of(line("Caught top level std::exception:", "CRIT", "imd:IMD"), more)
    assert found.detail == detail


def test_the_default_form_before_the_log_is_set_up() -> None:
    found = events_of(
        "[2026-11-22 07:01:54.601116] [0x00007f2b3c4d5e6f] [info]    Using config\n",
        "[2026-11-22 07:01:54.601116] [0x00007f2b3c4d5e6f] [error]   No such file: a.yaml\n",
        "[2026-11-22 07:01:54.701116] [0x00007f2b3c4d5e6f] [fatal]   Cannot connect to MQTT "
        "broker at localhost:1883\n",
    )
    assert kinds(found) == ["error", "broker-lost"]
    assert found[0].detail == "No such file: a.yaml"


@pytest.mark.parametrize(
    "text",
    [
        line("terminate called after throwing an instance of 'std::runtime_error'"),
        line("the last log had: Segmentation fault (core dumped)", "WARN", "ocpp:OCPP201"),
        line('{"signal": 11, "text": "free(): invalid pointer"}', process="ocpp:OCPP201"),
        line("Module x exited unexpectedly, terminating remaining modules...", process="ocpp:O"),
        line("Module x (pid: 1) exited with status: 139. Terminating all modules.", process="a:B"),
        line(f"{UNCLEAN}x (signal=11)", "WARN", "ocpp:OCPP201"),
        line("The user wrote: Module ocpp exited unexpectedly, terminating"),
        line("Config:") + '  "crash": "Module a exited unexpectedly, signal=11",\n  signal=11\n',
        line("Config:") + '  "text": "terminate called after throwing an instance of \'int\'"\n',
        line("Exiting manager.", process="manager_2:Other"),
        line("Performing soft reset now.", process="manager"),
        line("Performing soft reset now. Not!", process="system:System"),
        line("Starting 3 modules", process="ocpp:OCPP201"),
        line("Starting the charging session"),
        line("EVerest manager is exiting [59ms]", process="ocpp:OCPP201"),
        line("All 2 modules shut down gracefully after crash [1ms]."),
        line("Error during MQTT sync: quoted", "WARN", "ocpp:OCPP201"),
        "2026-11-22 07:01:54.000000 [CRIT] no header at all\n",
        "  terminate called after throwing an instance of 'int'\n",
        "ocpp: terminate called after throwing an instance of 'int'\n",
        "bash: line 1: 4711 Segmentation fault      (core dumped) ./manager\n",
        "*** Welcome ***\n",
        "*** Error in the configuration ***\n",
        "malloc is a function, free() too\n",
        "Traceback (most recent call last)\n",
        "File \"/a.py\", line 3, in main\n",
        "/usr/lib/a.js:17\nis where it is\n",
        "the process 12 was killed: Killed process 12 (x)\n",
        "log_level: 3: runtime error\n",
    ],
)  # fmt: skip
def test_what_only_looks_like_a_crash(text: str) -> None:
    assert events_of(line("before"), text, line("after")) == []
