"""What each kind of file tells, on real ones, and that nothing in them does any harm."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evdiag.model.logs import KINDS
from evdiag.model.timeline import HAPPENINGS, Happening
from evdiag.parse import timeline
from evdiag.parse.timeline import READERS, reader_of
from evdiag.parse.timeline._ocpp_facts import facts_of, routine_of
from evdiag.parse.timeline._reader import LONGEST_LINE, Reader, lines, seconds, short
from evdiag.parse.timeline.everest import stamps
from evdiag.parse.timeline.ocpp import MOST_JSON
from tests.support.log_lines import TEXTS

SAMPLES = TEXTS / "timeline"
FOLDER = Path(timeline.__file__).parent
FILES = {
    "ocpp-1.6.log": "ocpp",
    "ocpp-2.0.1.log": "ocpp",
    "ocpp-2.1.log": "ocpp",
    "ocpp.security.log": "ocpp_security",
    "eventlog.csv": "session",
    "everest.log": "everest",
    "output.log": "everest",
    "mosquitto.log": "mosquitto",
    "events.json": "engine_events",
}
BY_ID = {reader.id: reader for reader in READERS}
AT = "2026-11-23T04:02:31.218Z"


def told(reader: str, text: str | bytes) -> list[Happening]:
    data = text.encode() if isinstance(text, str) else text
    return list(BY_ID[reader].read("f", [data]))


def texts(name: str) -> list[str]:
    content = (SAMPLES / name).read_bytes()
    return [f"{each.direction or ''} {each.text}".strip() for each in told(FILES[name], content)]


def message(body: str, action: str = "", sender: str = "ChargePoint>CentralSystem") -> Happening:
    (found,) = told("ocpp", f"{AT}: {sender} {action} \n{body}\n\n")
    return found


# -- the list of readers


def test_every_reader_file_is_listed_once() -> None:
    files = {path.stem for path in FOLDER.glob("*.py") if not path.stem.startswith("_")}
    assert sorted(BY_ID) == sorted(files)
    assert len(BY_ID) == len(READERS)
    assert all(reader.title for reader in READERS)


def test_each_file_is_recognised_by_what_is_in_it() -> None:
    assert {path.name for path in SAMPLES.iterdir()} == FILES.keys()
    for name, known in FILES.items():
        reader = reader_of((SAMPLES / name).read_bytes()[: 1 << 14])
        assert reader is not None, name
        assert reader.id == known, name


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\x7fELF\0",
        b"some text\n",
        b"{}\n",
        b'{"type": 1}\n',
        b"2026-11-23 04:01:24,110 INFO spawned: 'everest' with pid 26\n",
        b"1795406485: nobody knows\nwhat: this is\n",
        b'{"Action":"die"}',
    ],
)
def test_other_files_are_nobodys(head: bytes) -> None:
    assert reader_of(head) is None


# -- lines


@pytest.mark.parametrize("size", [1, 2, 3, 64])
def test_lines_may_be_cut_anywhere(size: int) -> None:
    text = b"one\r\ntwo\n\nthree \xff\nfour"
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    assert list(lines(pieces)) == [b"one", b"two", b"", b"three \xff", b"four"]
    assert list(lines([b"a\n"])) == [b"a"]
    assert list(lines([])) == []


@pytest.mark.parametrize("size", [1000, 1 << 20])
def test_an_endless_line_is_cut(size: int) -> None:
    text = b"x" * 300_000 + b"\nnext\n" + b"y" * 300_000
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    assert [len(line) for line in lines(pieces)] == [LONGEST_LINE, 4, LONGEST_LINE]


def test_what_somebody_wrote_is_short() -> None:
    assert short("a\n b\t c") == "a b c"
    assert short("x" * 900, 10) == "xxxxxxxxx…"
    assert seconds("no time") is None
    assert seconds("1970-01-01T00:00:01") == 1.0


# -- OCPP


def test_a_session_of_ocpp_1_6() -> None:
    assert texts("ocpp-1.6.log") == [
        "websocket: Connecting",
        "websocket: Connected",
        "to_csms Authorize",
        "from_csms Accepted",
        "to_csms StartTransaction connector 1, meter 0",
        "from_csms Accepted, transaction 4711",
        "to_csms MeterValues connector 1, transaction 4711, 0.00 W",
        "from_csms",
        "from_csms SetChargingProfile connector 1, limit 30000 W",
        "to_csms Accepted",
        "to_csms MeterValues connector 1, transaction 4711, 30000.00 W",
        "from_csms",
        "to_csms StopTransaction PowerLoss, transaction 4711, meter 87",
        "from_csms",
        "to_csms StatusNotification Available, connector 0",
        "from_csms",
        "to_csms StatusNotification Available, connector 1",
        "from_csms",
    ]


def test_what_came_before_a_crash_of_ocpp_2_0_1() -> None:
    assert texts("ocpp-2.0.1.log")[-5:] == [
        "to_csms StatusNotification Available, evse 1, connector 1",
        "from_csms",
        "from_csms",
        "to_csms GetCertificateStatus",
        "from_csms empty answer {}",
    ]
    found = told("ocpp", (SAMPLES / "ocpp-2.0.1.log").read_bytes())
    assert found[-1].call == found[-2].call
    assert [each.is_answer for each in found[-2:]] == [False, True]
    assert found[-1].time == seconds(AT)
    assert found[-1].name == "GetCertificateStatus"


def test_a_session_of_ocpp_2_1() -> None:
    found = texts("ocpp-2.1.log")
    assert "from_csms SetChargingProfile evse 1, limit 30000 W" in found
    assert (
        "to_csms TransactionEvent Updated, Charging, ChargingStateChanged, transaction 5532d139…"
    ) in found
    assert any("TransactionEvent Started" in text for text in found)
    assert not any("TOKEN1" in text for text in found)


def test_errors_and_messages_that_want_no_answer() -> None:
    error = message('[4, "1", "FormatViolation", "no status", {"a": 1}]')
    assert (error.text, error.is_answer, error.call) == (
        "error FormatViolation no status",
        True,
        "1",
    )
    result = message('[5, "1", "GenericError", "", {}]')
    assert result.text == "error GenericError"
    send = message('[6, "1", "NotifyPeriodicEventStream", {"id": 1}]')
    assert (send.text, send.call) == ("NotifyPeriodicEventStream", None)
    strange = message('[9, "1", 7]', "Odd")
    assert (strange.text, strange.is_answer) == ("Odd", False)


@pytest.mark.parametrize(
    ("body", "text", "call", "is_answer"),
    [
        ('[\n  2,\n  "abc",\n  "Sta', "Odd (its text is cut)", "abc", False),
        ('[\n  3,\n  "abc",\n  {', "Odd (its text is cut)", "abc", True),
        ("no message", "Odd (its text is cut)", None, False),
        ("[2]", "Odd (its text is cut)", None, False),
        ("[2, 3, 4, 5]", "Odd (its text is cut)", None, False),
        ("[" * 5000, "Odd (its text is cut)", None, False),
        ('[2, "abc", "' + ("x" * 999 + "\n") * (MOST_JSON // 900), "Odd", "abc", False),
    ],
)
def test_what_is_no_whole_message(body: str, text: str, call: str | None, is_answer: bool) -> None:
    found = message(body, "Odd")
    assert (found.text, found.call, found.is_answer) == (text, call, is_answer)
    assert found.direction == "to_csms"


def test_an_answer_that_is_cut() -> None:
    found = message("", " OddResponse", "CentralSystem>ChargePoint")
    assert (found.name, found.is_answer, found.direction) == ("Odd", True, "from_csms")


def test_records_without_an_empty_line_between_them() -> None:
    text = f"text before\n{AT}: SYS> Connected \n{AT}: SYS>  \n{AT}: SYS> Disconnected"
    assert [each.text for each in told("ocpp", text)] == [
        "websocket: Connected",
        "websocket: Disconnected",
    ]
    assert BY_ID["ocpp"].time_of(f"{AT}: SYS> x".encode()) == seconds(AT)
    assert BY_ID["ocpp"].time_of("2026-11-23T04:02:31é: SYS> x".encode()) is None
    assert BY_ID["ocpp"].time_of(b"[") is None


@pytest.mark.parametrize(
    ("payload", "facts"),
    [
        ({"status": "Faulted", "errorCode": "GroundFailure"}, "Faulted, GroundFailure"),
        ({"errorCode": "NoError", "evse": {"id": 2, "connectorId": 1}}, "evse 2"),
        ({"key": "AuthorizationKey", "value": "secret"}, "AuthorizationKey"),
        ({"idToken": {"idToken": "secret", "type": "eMAID"}}, ""),
        ({"status": True, "reason": ["x"], "type": ""}, ""),
        (7, "without a payload"),
        ({"status": "x" * 90}, "x" * 59 + "…"),
        (
            {"setVariableData": [_variable := {
                "component": {"name": "SecurityCtrlr"},
                "variable": {"name": "BasicAuthPassword"},
                "attributeValue": "secret",
            }]},
            "SecurityCtrlr.BasicAuthPassword",
        ),
        ({"setVariableResult": [_variable | {"attributeStatus": "Rejected"}]},
         "SecurityCtrlr.BasicAuthPassword Rejected"),
        ({"eventData": [_variable, {}, 1, 2, 3]},
         "SecurityCtrlr.BasicAuthPassword, and 2 more"),
        ({"schedule": {"chargingSchedulePeriod": [{"limit": 16}]}}, "limit 16"),
        ({"chargingSchedule": [{"chargingRateUnit": "A",
                                "chargingSchedulePeriod": [{"limit": 6.5}]}]}, "limit 6.5 A"),
        ({"meterValue": [{"sampledValue": [
            {"measurand": "SoC", "value": 10},
            {"measurand": "Power.Active.Export", "value": 3, "unitOfMeasure": {"unit": "kW"}},
        ]}]}, "3 kW"),
        ({"meterValue": [{"sampledValue": [{"measurand": "Power.Active.Import", "value": 3}]}]},
         "3 W"),
        ({"meterValue": {}, "chargingSchedule": []}, ""),
        ({"meterValue": [{"sampledValue": [{"measurand": "SoC"}]}]}, ""),
    ],
)  # fmt: skip
def test_facts_of_a_message(payload: object, facts: str) -> None:
    assert facts_of("Any", payload, answer=False) == facts


def test_an_empty_answer_where_there_must_not_be_one() -> None:
    assert facts_of("Authorize", {}, answer=True) == "empty answer {}"
    assert facts_of("StatusNotification", {}, answer=True) == ""


def test_messages_that_come_all_the_time() -> None:
    assert routine_of("Heartbeat", {}) == routine_of("Heartbeat", {})
    assert routine_of("MeterValues", {"connectorId": 1}) != routine_of("MeterValues", {})
    periodic = {"eventType": "Updated", "triggerReason": "MeterValuePeriodic"}
    assert routine_of("TransactionEvent", periodic) == "TransactionEvent"
    assert routine_of("TransactionEvent", periodic | {"eventType": "Ended"}) is None
    assert routine_of("TransactionEvent", {"triggerReason": "CablePluggedIn"}) is None
    assert routine_of("Authorize", []) is None


def test_security_events() -> None:
    assert texts("ocpp.security.log") == [
        "StartupOfTheDevice: Charging Station powered up! Firmware version: 1.0"
    ]
    assert told("ocpp_security", '{"type":1}\n{"\nx\n') == []
    assert told("ocpp_security", '{"type":"T","timestamp":"never"}')[0].time is None
    assert BY_ID["ocpp_security"].time_of(b"x") is None


# -- sessions and EVerest's log


def test_a_table_of_a_session() -> None:
    found = texts("eventlog.csv")
    assert found[:3] == ["Session Started: EVConnected", "Set PWM On (5.0%) took 0 ms",
                         "EIM Authorization received"]  # fmt: skip
    assert "from_car V2G SessionSetup" in found
    assert "to_car V2G SessionSetup" in found
    assert told("session", f'"{AT}","EVSE","a "b" c","<x>\n<y>"\n')[0].text == 'a "b" c'
    assert told("session", f'"{AT}","EVSE","cut')[0].text == "cut"
    assert BY_ID["session"].time_of(f'"{AT}","SYS","x",""'.encode()) == seconds(AT)
    assert BY_ID["session"].time_of(b"<x>") is None


def test_a_log_of_everest_tells_of_sessions_too() -> None:
    found = texts("everest.log")
    assert "EVerest is up and running" in found
    assert "Session Started: EVConnected" in found
    assert "from_car V2G SupportedAppProtocol" in found
    assert "Received enable/disable request for connector 1 with source CSMS and state Enable" in (
        found
    )
    warnings = [
        each
        for each in told("everest", (SAMPLES / "everest.log").read_bytes())
        if each.kind == "warning"
    ]
    assert warnings[0].text == "Using insecure security profile 0 without authentication"
    assert {each.module for each in warnings} == {"evse_security", "ocpp"}
    assert not any("terminate" in text for text in found)


def test_lines_of_everest_that_only_look_so() -> None:
    header = "2026-11-23 04:01:34.051886"
    assert told("everest", "EVSE nothing\n") == []
    assert told("everest", f"{header} [INFO] evse_manager:Ev  :: the CAR is red\n") == []
    (warning,) = told("everest", f"{header} [WARN] manager          :: low disk\n")
    assert warning.module == "manager"
    assert BY_ID["everest"].time_of(f"{AT} {header} [INFO] x".encode()) == seconds(header)
    assert BY_ID["everest"].time_of(b"no") is None


def test_two_clocks_in_one_log() -> None:
    pairs = stamps((SAMPLES / "output.log").read_bytes())
    assert len(pairs) > 8
    assert all(0 <= utc - local < 2 for local, utc in pairs)
    assert stamps(b"2026-99-23T04:01:24Z 2026-11-23 04:01:24,1 x") == []


# -- MQTT


def test_a_trace_of_mqtt() -> None:
    text = (
        "2026-11-23T04:02:18+0000 everest_api/evse_manager/cmd/set_limit_amps 1e99\n"
        "2026-11-23T04:02:18+0000 everest_api/evse_manager/var/limits {}\n"
        "2026-11-23T04:02:18.5Z everest/modules/a/impl/b/cmd/c {}\n"
        "nonsense\n"
        "1795406538.25 everest_external/nodered/1/cmd/pause_charging\n"
    )
    found = told("mqtt_trace", text)
    assert [(each.text, each.precision, each.routine is None) for each in found] == [
        ("everest_api/evse_manager/cmd/set_limit_amps 1e99", 1.0, True),
        ("everest/modules/a/impl/b/cmd/c {}", 0.001, False),
        ("everest_external/nodered/1/cmd/pause_charging", 0.001, True),
    ]
    assert found[0].time == seconds("2026-11-23T04:02:18Z")
    assert found[2].time == 1795406538.25
    reader = reader_of(text.split("nonsense")[0].encode())
    assert reader is not None
    assert reader.id == "mqtt_trace"
    assert reader_of(b"2026-11-23T04:02:18+0000 a/b c") is reader
    assert BY_ID["mqtt_trace"].time_of(b"x") is None
    assert BY_ID["mqtt_trace"].time_of(b"2026-11-23T04:02:18+0000 a/b") == found[0].time


def test_the_log_of_a_broker() -> None:
    text = (
        "2026-11-23 04:02:18: Received PUBLISH from auto-1 (d0, q2, r0, m12, "
        "'everest_api/evse_manager/cmd/set_limit_amps', ... (4 bytes))\n"
        "1795406538: Received PUBLISH from x (d0, q0, r0, m0, 'everest/a/cmd/b', ... (4 bytes))\n"
        "1795406538: Received PUBLISH from x (d0, q0, r0, m0, 'everest/a/var/b', ... (4 bytes))\n"
        "1795406538: Client car disconnected.\n"
        "1795406539: Client api [127.0.0.1:3] has exceeded timeout, disconnecting.\n"
        "1795406539: New client connected\n"
        "?\n"
    )
    assert [(each.text, each.clock, each.routine) for each in told("mosquitto", text)] == [
        ("everest_api/evse_manager/cmd/set_limit_amps from auto-1", "local", None),
        ("everest/a/cmd/b from x", "utc", "everest/a/cmd/b"),
        ("client car disconnected.", "utc", None),
        ("client api has exceeded timeout, disconnecting.", "utc", None),
    ]
    assert BY_ID["mosquitto"].time_of(text.encode()) == seconds("2026-11-23 04:02:18")
    assert BY_ID["mosquitto"].time_of(b"?") is None


# -- the engine


def test_events_of_the_engine() -> None:
    assert texts("events.json") == ["container: create", "container: start"]
    die = (
        '{"Type":"container","Action":"die","time":12,"timeNano":12500000000,'
        '"Actor":{"Attributes":{"exitCode":"137","signal":9}}}'
    )
    for text in (die, f"[{die},\n{die}]", f" [\n{die},\n{die}\n", f"[{die}"):
        found = told("engine_events", text)
        assert {(each.text, each.time) for each in found} == {
            ("container: die (exit code 137, signal 9)", 12.5)
        }
        reader = reader_of(text.encode())
        assert reader is not None
        assert reader.id == "engine_events"
    old = '{"status":"oom","id":"x","time":7}'
    assert [(each.text, each.time) for each in told("engine_events", old)] == [
        ("container: oom", 7.0)
    ]
    assert told("engine_events", '{"Type":"network","Action":"destroy","time":7}\n{"a\n') == []
    assert BY_ID["engine_events"].time_of(die.encode()) == 12.5
    assert BY_ID["engine_events"].time_of(b"x") is None


# -- whatever a file holds

PARTS = [
    *(b"2026-11-23T04:02:31.218Z: ChargePoint>CentralSystem Heartbeat \n", b'[2,"a","H",{}]'),
    *(b"2026-11-23T04:02:31Z: CentralSystem>ChargePoint  HeartbeatResponse\n", b'[3,"a",{}]'),
    *(b"2026-11-23T04:02:31Z: SYS> x\n", b'{"type":"T","timestamp":"2026-11-23T04:02:31Z"}'),
    *(b'"2026-11-23T04:02:31Z","CAR","V2G AReq","', b'"', b"EVSE ISO ", b"CAR IEC "),
    *(b"2026-11-23 04:01:34.051886 [WARN] ", b"evse_manager:Ev  :: ", b"1795406538: Client x "),
    *(b"2026-11-23T04:02:18+0000 a/cmd/b ", b"Received PUBLISH from x (d0, 'a/cmd/b'"),
    *(b'{"Action":"die","timeNano":1,"id":"', b'"time":99999999999999999999', b"}", b"[", b"]"),
    *(b"\n", b"\r\n", b" ", b"\xff\x00", b"\x1b[1m", b"99999999999"),
]  # fmt: skip
TEXT = st.lists(st.sampled_from(PARTS) | st.binary(max_size=12), max_size=30).map(b"".join)


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.id)
@settings(max_examples=40)
@given(text=TEXT, cut=st.integers(1, 40))
def test_nothing_raises_and_pieces_do_not_matter(reader: Reader, text: bytes, cut: int) -> None:
    whole = list(reader.read("f", [text]))
    pieces = [text[at : at + cut] for at in range(0, len(text), cut)]
    assert list(reader.read("f", pieces)) == whole
    for each in whole:
        assert each.kind in HAPPENINGS
        assert len(each.text) < 1000
        assert "\n" not in each.text
    reader.recognises(text)
    reader.time_of(text.split(b"\n")[0])


@given(TEXT)
def test_any_head_is_somebodys_or_nobodys(head: bytes) -> None:
    reader = reader_of(head)
    assert reader is None or reader in READERS


@settings(max_examples=40)
@given(st.recursive(st.none() | st.integers() | st.text(max_size=5) | st.booleans(),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
                        st.sampled_from(["status", "evse", "meterValue", "chargingSchedule",
                                         "chargingSchedulePeriod", "limit", "sampledValue",
                                         "measurand", "eventData", "component", "name"]),
                        inner, max_size=4), max_leaves=12))  # fmt: skip
def test_any_payload_has_facts(payload: object) -> None:
    assert isinstance(facts_of("Any", payload, answer=True), str)
    routine_of("TransactionEvent", payload)


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.id)
@pytest.mark.parametrize(
    "line",
    [
        lambda n: b"2026-11-23T04:02:31Z: SYS>" + b" " * n,
        lambda n: b'"2026-11-23T04:02:31Z","CAR","' + b'",' * n,
        lambda n: b"2026-11-23 04:01:34.051886 [WARN] evse_manager:Ev " + b" :" * n + b"EVSE",
        lambda n: b"2026-11-23 04:01:34.051886 [INFO] evse_manager:Ev  :: EVSE ISO" + b" " * n,
        lambda n: b"1795406538: Client " + b"x [" * n,
        lambda n: b"2026-11-23T04:02:18+0000 a/cmd/" + b"/" * n,
        lambda n: b"[" * n,
        lambda n: b'{"a":' * n,
    ],
)
def test_long_lines_take_no_longer_each(reader: Reader, line: Callable[[int], bytes]) -> None:
    """A quadratic expression would need minutes for these."""
    assert len(list(reader.read("f", [line(60_000), b"\n", line(60_000)]))) <= 2


def test_kinds_have_one_meaning() -> None:
    assert not HAPPENINGS.keys() & KINDS.keys()
