"""Secrets in every place where a charger may have one, and texts that look like secrets only.

Each place has a value of its own, so that a test can say which one came through. The values are
what people choose: some have signs that JSON, URLs, HTML and shells write in other ways.
"""

import base64
import html
import json
from typing import NamedTuple
from urllib.parse import quote, quote_plus


class Planted(NamedTuple):
    """A text of a file with a secret in it."""

    place: str
    secret: str
    text: str
    """As it stands in the file."""
    file: str = "logs/everest.log"
    """Which file of a bundle could have it: its name tells how it is read."""


def forms(secret: str) -> set[str]:
    """The ways in which a secret may still be there."""
    raw = secret.encode()
    padded = (b"cp001:" + raw, b"CP1:" + raw, raw)
    return {
        secret,
        json.dumps(secret)[1:-1],
        json.dumps(json.dumps(secret)[1:-1])[1:-1],
        html.escape(secret),
        quote(secret, safe=""),
        quote_plus(secret),
        *(base64.b64encode(one).decode().rstrip("=") for one in padded),
        *(base64.urlsafe_b64encode(one).decode().rstrip("=") for one in padded),
    }


def is_in(secret: str, text: str) -> bool:
    """Whether a text still has a secret, in whatever form."""
    return any(form in text for form in forms(secret))


EV = "2026-11-23 00:48:22.391672 [INFO] ocpp:OCPP       :: "
COLOURED = (
    "2026-11-23 00:48:30.312254 [\x1b[1;37mINFO\x1b[0m] \x1b[1;32mtoken_provider:\x1b[0m "
    "\x1b[1;36m\x1b[0m \x1b[1;30m:\x1b[0m\x1b[1;32m\x1b[0m: "
)
CLOCK = "2026-11-23T00:48:30.312345678Z "


def _libocpp(way: str, name: str, payload: object, number: int = 2) -> str:
    """A message as libocpp's .log has it (ocpp_logging.cpp: dump(2), sorted by key)."""
    body = [number, "cfd7a1e0-8d3e-4c56-9d3e-0c4b3f5c1a11"]
    body += [name, payload] if number == 2 else [payload]
    text = json.dumps(body, indent=2, sort_keys=True)
    return f"2026-11-22T22:35:31.208Z: {way}   {name}\n{text}\n\n"


TO_CHARGER, TO_CSMS = "CentralSystem>ChargePoint", "ChargePoint>CentralSystem"
OCPP = "everest/ocpp/2026-11-22T22:35:31.207Z.log"


def _set_variables(secret: str, variable: str = "BasicAuthPassword") -> dict[str, object]:
    return {
        "setVariableData": [
            {
                "attributeType": "Actual",
                "attributeValue": secret,
                "component": {"name": "SecurityCtrlr"},
                "variable": {"name": variable},
            }
        ]
    }


def _notify_report(secret: str) -> dict[str, object]:
    return {
        "generatedAt": "2026-11-22T22:35:31.208Z",
        "reportData": [
            {
                "component": {"name": "HeartbeatCtrlr"},
                "variable": {"name": "HeartbeatInterval"},
                "variableAttribute": [{"mutability": "ReadWrite", "value": "300"}],
            },
            {
                "component": {"name": "SecurityCtrlr"},
                "variable": {"name": "BasicAuthPassword"},
                "variableAttribute": [
                    {"mutability": "WriteOnly", "type": "Actual", "value": secret}
                ],
            },
        ],
        "requestId": 1,
        "seqNo": 0,
    }


def _model(secret: str) -> str:
    return json.dumps(
        {
            "name": "SecurityCtrlr",
            "properties": {
                "BasicAuthPassword": {
                    "variable_name": "BasicAuthPassword",
                    "characteristics": {"dataType": "string", "maxLimit": 40},
                    "attributes": [{"type": "Actual", "mutability": "WriteOnly", "value": secret}],
                    "description": "The basic authentication password.",
                    "type": "string",
                }
            },
            "required": ["SecurityProfile"],
        },
        indent=2,
    )


def _profiles(secret: str) -> str:
    slots = [
        {
            "configurationSlot": 1,
            "connectionData": {
                "ocppCsmsUrl": "wss://csms.example:9000/cp001",
                "securityProfile": 2,
                "basicAuthPassword": secret,
                "vpn": {"server": "vpn.example", "user": "charger"},
            },
        }
    ]
    attributes = [{"type": "Actual", "value": json.dumps(slots)}]
    properties = {"NetworkConnectionProfiles": {"attributes": attributes}}
    return json.dumps({"name": "InternalCtrlr", "properties": properties}, indent=1)


PRIVATE_KEY = """-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIPlantedPrivateKeyAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAoGCCqG
SM49AwEHoUQDQgAEAgPlantedSecondLineBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB
-----END EC PRIVATE KEY-----
"""
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJwbGFudGVkLTAwMSJ9.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9"


def _basic(secret: str, name: str = "cp001") -> str:
    return base64.b64encode(f"{name}:{secret}".encode()).decode()


PLACES = (
    # configuration
    Planted("1.6 config", "Plant1-Kx7!", json.dumps(
        {"Security": {"AuthorizationKey": "Plant1-Kx7!", "SecurityProfile": 1}}, indent=4),
        "config/ocpp-config-16.json"),
    Planted("user_config", 'Plant2"q\\x', json.dumps({"Security": {"AuthorizationKey":
        'Plant2"q\\x'}}), "config/user_config.json"),
    Planted("device model", "Plant3DEADBEEF", _model("Plant3DEADBEEF"),
        "config/SecurityCtrlr.json"),
    Planted("network profiles", "Plant4/s&t", _profiles("Plant4/s&t"),
        "config/InternalCtrlr.json"),
    Planted("NetworkConfiguration_1", "Plant5apn", json.dumps({"properties": {"ApnPassword": {
        "variable_name": "ApnPassword", "attributes": [{"type": "Actual", "value": "Plant5apn"}]},
        "SecurityProfile": {"attributes": [{"value": "2"}]}}}),
        "config/NetworkConfiguration_1.json"),
    Planted("SIM", "739164", '{"properties": {"SimPin": {"attributes": [{"value": "739164"}]}}}',
        "config/NetworkConfiguration_2.json"),
    Planted("VPN", "Plant7vpnkey", '{"VpnKey": {"default": "Plant7vpnkey", "type": "string"}}',
        "config/NetworkConfiguration_3.json"),
    Planted("EVerest's YAML", "Plant8#hash", "active_modules:\n  evse_security:\n    config_module:"
        '\n      private_key_password: "Plant8#hash"  # of all\n      csms_ca_bundle: ca.pem\n',
        "config/everest.yaml"),
    Planted("bare YAML", "Plant9 with spaces", "x:\n  mqtt_password: Plant9 with spaces # why\n",
        "config/other.yaml"),
    Planted("JSON in YAML", "Plant10json", "payload: '{\"password\":\"Plant10json\",\"n\":1}'\n",
        "config/flow.yaml"),
    Planted("list in YAML", "Plant11list", "env:\n  - name: OCPP_PASSWORD\n    value: Plant11list",
        "config/pod.yaml"),
    Planted("ini", "Plant12;ini", "[mqtt]\npassword = Plant12;ini\nport = 1883\n",
        "config/x.ini"),
    Planted("env file", "Plant13=eq", "export MQTT_PASSWORD=Plant13=eq\nOCPP_ID=CP1\n",
        "config/x.env"),
    Planted("Node-RED", "Plant14nodered", '{"a1b2": {"user": "u", "password": "Plant14nodered"}}',
        "config/flows_cred.json"),
    Planted("Node-RED settings", "Plant15secret", "    credentialSecret: 'Plant15secret',\n",
        "config/settings.js"),
    # the engine's account of the container
    Planted("inspect: environment", "Plant16, with", json.dumps({"Config": {"Env": [
        "OCPP_VERSION=2.0.1", "OCPP_PASSWORD=Plant16, with", "PATH=/usr/bin"]}}, indent=1),
        "container.json"),
    Planted("inspect: command", "Plant17cmd", json.dumps({"Config": {"Cmd": [
        "serve", "--password", "Plant17cmd", "--port", "9000"]}}), "container.json"),
    Planted("inspect: labels", "Plant18label", json.dumps({"Config": {"Labels": {
        "com.example.api-key": "Plant18label", "version": "1.0"}}}), "container.json"),
    Planted("inspect: volume options", "Plant19cifs", json.dumps({"Mounts": [{"Options": {
        "o": "username=u,password=Plant19cifs,vers=3.0"}}]}), "container.json"),
    Planted("process table", "Plant20argv", json.dumps([{"pid": 12, "argv": [
        "mosquitto_sub", "-u", "everest", "-P", "Plant20argv", "-t", "#"]}]),
        "facts/processes.json"),
    # OCPP messages
    Planted("ChangeConfiguration", "Plant21ocpp", _libocpp(TO_CHARGER, "ChangeConfiguration",
        {"key": "AuthorizationKey", "value": "Plant21ocpp"}), OCPP),
    Planted("GetConfiguration", "Plant22conf", _libocpp(TO_CSMS, "GetConfigurationResponse",
        {"configurationKey": [
            {"key": "HeartbeatInterval", "readonly": False, "value": "300"},
            {"key": "AuthorizationKey", "readonly": False, "value": "Plant22conf"}]}, 3), OCPP),
    Planted("StartTransaction", "04A1B2C3D4E5F6", _libocpp(TO_CSMS, "StartTransaction",
        {"connectorId": 1, "idTag": "04A1B2C3D4E5F6", "meterStart": 0}), OCPP),
    Planted("parentIdTag", "PARENT0007X", _libocpp(TO_CHARGER, "AuthorizeResponse",
        {"idTagInfo": {"parentIdTag": "PARENT0007X", "status": "Accepted"}}, 3), OCPP),
    Planted("GetDiagnostics", "Plant25ftp@x", _libocpp(TO_CHARGER, "GetDiagnostics",
        {"location": "ftp://bob:Plant25ftp@x@ftp.example:21/up", "retries": 1}), OCPP),
    Planted("SetVariables", "Plant26vars", _libocpp(TO_CHARGER, "SetVariables",
        _set_variables("Plant26vars")), OCPP),
    Planted("SetVariables on one line", "Plant27line", EV + json.dumps(
        [2, "1", "SetVariables", _set_variables("Plant27line")]) + "\n"),
    Planted("GetVariables", "Plant28get", _libocpp(TO_CSMS, "GetVariablesResponse",
        {"getVariableResult": [{"attributeStatus": "Accepted", "attributeValue": "Plant28get",
            "component": {"name": "SecurityCtrlr"}, "variable": {"name": "BasicAuthPassword"}}]},
        3), OCPP),
    Planted("NotifyReport", "Plant29report", _libocpp(TO_CSMS, "NotifyReport",
        _notify_report("Plant29report")), OCPP),
    Planted("SetNetworkProfile", "Plant30net", _libocpp(TO_CHARGER, "SetNetworkProfile",
        {"configurationSlot": 1, "connectionData": {"apn": {"apn": "x", "apnPassword":
            "Plant30net"}, "ocppCsmsUrl": "wss://csms.example"}}), OCPP),
    Planted("TransactionEvent", "TOKEN-31-ABCDEF", _libocpp(TO_CSMS, "TransactionEvent",
        {"eventType": "Started", "idToken": {"idToken": "TOKEN-31-ABCDEF", "type": "ISO14443"}}),
        OCPP),
    Planted("groupIdToken", "GROUP-32-ABCDEF", _libocpp(TO_CHARGER, "AuthorizeResponse",
        {"idTokenInfo": {"groupIdToken": {"idToken": "GROUP-32-ABCDEF", "type": "Central"},
            "status": "Accepted"}}, 3), OCPP),
    Planted("GetLog", "3f8aPlant33sig", _libocpp(TO_CHARGER, "GetLog", {"log": {"remoteLocation":
        "https://b.example/up?X-Amz-Date=20261123T004822Z&X-Amz-Signature=3f8aPlant33sig"}}), OCPP),
    Planted("UpdateFirmware", "sv-Plant34%2Bsas", _libocpp(TO_CHARGER, "UpdateFirmware", {
        "firmware": {"location": "https://b.example/f?sig=sv-Plant34%2Bsas&se=2026"}}), OCPP),
    Planted("contract", "DE-ABC-C12345678-9", _libocpp(TO_CSMS, "Authorize", {
        "idToken": {"idToken": "DE-ABC-C12345678-9", "type": "eMAID"}}), OCPP),
    Planted("rotated raw log", "Plant36raw", '2026-11-22T22:35:31.208Z: RAW>  \n[2,"1",'
        '"DataTransfer",{"data":"{\\"key\\":\\"AuthorizationKey\\",\\"value\\":\\"Plant36raw\\"}"}]'
        "\n\n", "everest/ocpp/libocpp_16_raw.log"),
    # logs of EVerest and of others
    Planted("token on many lines", "TOKEN-37-XYZ", COLOURED + 'Received new token: {\n    '
        '"authorization_type": "RFID",\n    "id_token": {\n        "type": "ISO14443",\n        '
        '"value": "TOKEN-37-XYZ"\n    },\n    "connectors": [\n        1\n    ]\n}\n'),
    Planted("the same of the engine", "TOKEN-38-XYZ", f"{CLOCK}{EV}Publishing new dummy token: "
        f'{{\n{CLOCK}    "id_token": {{\n{CLOCK}        "type": "ISO14443",\n{CLOCK}        '
        f'"value": "TOKEN-38-XYZ"\n{CLOCK}    }}\n{CLOCK}}}\n', "logs/output.log"),
    Planted("validation", "TOKEN39QWE", EV + "Got validation request for token: TOKEN39QWE\n"),
    Planted("local list", "TAG40ASDF", EV + "Found valid id_tag TAG40ASDF in AuthorizationCache\n"),
    Planted("EVCCID", "02:42:AC:12:41:02", EV + "SessionSetupReq.EVCCID: 02:42:AC:12:41:02\n"),
    Planted("EVCCID as JSON", "0242AC124202", EV + '{"evcc_id":"0242AC124202","soc":5}\n'),
    Planted("eMAID in a log", "DE8EV43ABCDEFG1", EV + "emaid-v2g: DE8EV43ABCDEFG1 x\n"),
    Planted("session log", "0242AC124402", '"2026-11-22T22:35:31Z","CAR","SessionSetupReq",'
        '"<SessionSetupReq>\n  <EVCCID>0242AC124402</EVCCID>\n</SessionSetupReq>\n"\n',
        "everest/sessions/incomplete-eventlog.csv"),
    Planted("authorization header", "Plant45basic", EV + "> Authorization: Basic "
        + _basic("Plant45basic") + "\n"),
    Planted("header of libocpp", "Plant46basic", EV + "Basic Auth header: Basic "
        + _basic("Plant46basic", "CP1") + "\n"),
    Planted("bearer", "Plant47bearer0123456789", EV + "Authorization: Bearer "
        "Plant47bearer0123456789\n"),
    Planted("web token", JWT, EV + f"got {JWT} from the backend\n"),
    Planted("URL of the CSMS", "Plant49@s/x", EV + "Starting connection attempts to uri: "
        "wss://cp001:Plant49%40s%2Fx@csms.example:443/ocpp/cp001\n"),
    Planted("coloured", "Plant50colour", "\x1b[1;33mpassword\x1b[0m: \x1b[1mPlant50colour\x1b[m\n"),
    Planted("private key", "MHcCAQEEIPlantedPrivateKeyAAAAAAAAA", f"{EV}{PRIVATE_KEY}"),
    Planted("second line of it", "AgPlantedSecondLineBBBBBBBBB", f"{EV}{PRIVATE_KEY}"),
    Planted("private key as JSON", "SM49AwEHoUQDQgAEAgPlantedSecondLineBB",
        json.dumps({"pem": PRIVATE_KEY}) + "\n"),
    Planted("command line in a log", "Plant54-opt", EV + "exec: client --api-key Plant54-opt -v\n"),
    Planted("with an equals sign", "Plant55+opt", EV + "exec: x --password='Plant55+opt' -v\n"),
    Planted("mosquitto client", "Plant56mosq", "+ mosquitto_pub -h ::1 -u ev -P Plant56mosq -t x"),
    Planted("curl", "Plant57curl", "+ curl -u admin:Plant57curl https://csms.example/api\n"),
    Planted("query", "Plant58query", "GET https://csms.example/a?access_token=Plant58query&b=1\n"),
    Planted("Python's dict", "Plant59dict", "got {'user': 'x', 'password': 'Plant59dict'}\n"),
    Planted("not in ASCII", "Plant60-Schlüssel-€", EV + '{"password":"Plant60-Schlüssel-€"}\n'),
    Planted("environ", "Plant61env", "OCPP_ID=CP1 OCPP_PASSWORD=Plant61env OCPP_VERSION=1.6\n"),
    Planted("the dashboard's", "Plant62 of dash", json.dumps({"Config": {"Env": [
        "DASHBOARD_AUTH=others", "DASHBOARD_PASSWORD=Plant62 of dash"]}}), "container.json"),
    Planted("the dashboard's in a log", "Plant63dash", "DASHBOARD_AUTH=all "
        "DASHBOARD_PASSWORD=Plant63dash NUM_CONNECTORS=2\n"),
)  # fmt: skip

LOOKALIKES = (
    '{"PasswordLength": 16, "AuthorizationKeyLength": 40}',
    '{"SecurityProfile": 2, "BasicAuthPasswordSet": true}',
    '{"idTagInfo": {"status": "Accepted", "expiryDate": "2026-11-22T22:35:31.208Z"}}',
    '{"idTokenInfo": {"status": "Accepted"}}',
    '{"key": "AuthorizeRemoteTxRequests", "readonly": false, "value": "true"}',
    '{"key": "HeartbeatInterval", "value": "300"}',
    '{"attributeValue": "42", "component": {"name": "TxCtrlr"}, "variable": {"name": "EVTimeOut"}}',
    '{"password": "", "api_key": null, "secret": false}',
    '{"password": "<redacted-1a2b3c4d>", "AuthorizationKey": "<redacted>"}',
    '"value": "[redacted] hash: CE55F71752B68164"',
    "Result for token: [redacted] hash: CE55F71752B68164: USED_TO_START_TRANSACTION",
    "void Store::set_password(std::string)",
    "std::string password",
    "void ocpp::v16::ChargePointConfiguration::setAuthorizationKey(std::string const&)",
    "AuthorizationKey was changed by central system",
    "AuthorizationKey with only 5 characters has been configured",
    "OCPP_PASSWORD: must be 16 to 40 characters",
    "DASHBOARD_PASSWORD has 5 characters: must be 8 to 128",
    "DASHBOARD_AUTH=others, see /run/evdiag/dashboard-password",
    "the password is wrong, the token too, and so is the secret",
    "id_token could not be validated by any validator",
    "checking credentials: not set",
    "12:34:56 and 12:34:56.789012",
    "cfd7a1e0-8d3e-4c56-9d3e-0c4b3f5c1a11",
    "build-id 8f3a1b2c4d5e6f708192a3b4c5d6e7f801234567",
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "version 1.2.3-rc4+gabcdef0",
    "_ZN4ocpp3v1615ChargePointImpl12setPasswordERKNSt7__cxx1112basic_stringIcEE",
    "keyboard monkey=1 tokens: 5 passes=3 bypass=true",
    "capskey=on pskov=city upsk=1",
    "Opening ipv4 listen socket on port 1883.",
    "/etc/everest/certs/client/cso/SECC_LEAF.key",
    "private_key_file: /etc/everest/certs/client/csms/CSMS_LEAF.key",
    "PWD=/root HOME=/root",
    "ws://localhost:9000/cp001 and wss://csms.example:443/ocpp",
    "https://b.example/fw.raucb?version=1.2.3&channel=stable",
    "mail ops@example.org, or see https://example.org/@team",
    "token_provider: Module token_provider initialized [3045ms]",
    "auth:Auth: Providing authorization to evse#1",
    "EVSE IEC EIM Authorization received",
    "if (password == other) return secret::Store;",
    "x = y ? token : other",
    "Basic configuration of the basic module",
    "bearer of bad news",
    "-----BEGIN CERTIFICATE-----\nMIIBxTCCAWugAwIBAgI\n-----END CERTIFICATE-----",
    "private_key_password: {type: string, description: password of the keys}",
    "LS0tLS1CRUdJTi BDRVJUSUZJQ0FURS0tLS0t",
    "module::EvseManager::set_limit(double) const at /src/EvseManager.cpp:101",
    "Security Event in OCPP occurred: StartupOfTheDevice",
    "SupportedFileTransferProtocols: FTP,HTTP,HTTPS",
    "password=${OCPP_PASSWORD} and $OCPP_PASSWORD",
    "[SECURITY] tls_psk_length=32",
)  # fmt: skip
"""Texts that have to stay as they are, byte for byte."""
