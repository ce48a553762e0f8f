"""Python module of the tree, and stand-in for EVerest's modules API and OCPP: it says each second
that EVerest is up and how the charger is, and looks for a CSMS at OCPP_URL.

The CSMS may be anything that takes a TCP connection: no WebSocket is spoken. What is logged about
it are EVerest's own lines. Like every module of EVerest it ends when the broker does.

IGNORE_TERM=1 makes it one of those processes that stay when their manager is killed.
"""

import errno
import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import urlsplit

# MQTT 3.1.1: protocol level 4, a clean session, no keep-alive, no name of its own
CONNECT = b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00"
SESSION = {
    "active_enable_disable_source": {"priority": 5000, "source": "CSMS", "state": "Enable"},
    "charged_energy_wh": 0,
    "charging_duration_s": 0,
    "datetime": "",
    "discharged_energy_wh": 0,
    "latest_total_w": 0.0,
    "permanent_fault": False,
    "state": "Unplugged",
}
SOCKET_CALLBACK = (
    "int ocpp::WebsocketLibwebsockets::process_callback(void*, int, void*, void*, size_t)"
)
FAILED = "void ocpp::WebsocketLibwebsockets::on_conn_fail(ocpp::ConnectionData*)"
LEVELS = {"INFO": "37", "WARN": "33", "ERRO": "31"}
PORTS = {"ws": 80, "wss": 443}


def log(level: str, message: str, function: str = "") -> None:
    """Log a line of the OCPP module, coloured as EVerest's are."""
    line = (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f} [\x1b[1;{LEVELS[level]}m{level}\x1b[0m] "
        f"\x1b[1;32m{'ocpp:OCPP201':15}\x1b[0m \x1b[1;36m{function}\x1b[0m \x1b[1;30m:\x1b[0m"
        f"\x1b[1;32m\x1b[0m: {message}\n"
    )
    os.write(1, line.encode())


def why_not(error: BaseException) -> str:
    """Return what libwebsockets says of a failed connection."""
    if isinstance(error, socket.gaierror):
        return "DNS NXDOMAIN"
    number = error.errno if isinstance(error, OSError) else None
    return f"conn fail: {errno.errorcode.get(number or 0, 'ETIMEDOUT')}"


class Csms:
    """The connection to OCPP_URL, looked for by a thread of its own."""

    def __init__(self) -> None:
        self.status = "disconnected"
        self.version = f"ocpp{os.environ.get('OCPP_VERSION') or '1.6'}"
        self.url = urlsplit(os.environ.get("OCPP_URL") or "ws://localhost:9000")
        self.identity = os.environ.get("OCPP_ID") or "CP1"
        self.next_try = threading.Event()  # never set: a wait that ends with the process

    def keep_connected(self) -> None:
        """Connect, and do so again a second after it failed or ended."""
        while True:
            try:
                self.connect()
            except* OSError as errors:
                reason = why_not(errors.exceptions[0])
                log("ERRO", f"CLIENT_CONNECTION_ERROR: [{reason}]. Attempting reconnect",
                    SOCKET_CALLBACK)  # fmt: skip
                log("ERRO", "OCPP client connection to server failed", FAILED)
                log("INFO", "Connection not successful, attempting internal reconnect in: 1000ms")
            self.next_try.wait(1)

    def connect(self) -> None:
        """Be connected until the CSMS closes. Raises a group of OSError."""
        host = self.url.hostname or "localhost"
        port = self.url.port or PORTS[self.url.scheme]
        path = f"{self.url.path.rstrip('/')}/{self.identity}"
        log("INFO", f"LWS connect with info port: [{port}] address: [{host}] path: [{path}] "
            f"protocol: [{self.version}] security profile: [0]")  # fmt: skip
        with socket.create_connection((host, port), timeout=5, all_errors=True) as connection:
            connection.settimeout(None)
            log(
                "INFO", f"OCPP client successfully connected to server with version: {self.version}"
            )
            self.status = "connected"
            try:
                while connection.recv(4096):
                    pass
            finally:
                self.status = "disconnected"
        log("INFO", "OCPP client closed connection to server")


def messages(csms: Csms) -> Iterator[tuple[str, str]]:
    """Return the topics and contents of one second."""
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"
    session = json.dumps({**SESSION, "datetime": now}, separators=(",", ":"))
    yield "everest_api/connectors", '["evse_manager"]'
    yield "everest_api/evse_manager/var/session_info", session
    yield "everest_api/ocpp/var/connection_status", csms.status


def publication(topic: str, content: str) -> bytes:
    """Return a PUBLISH of MQTT, quality 0."""
    name, text = topic.encode(), content.encode()
    rest = len(name).to_bytes(2, "big") + name + text
    length, sizes = len(rest), b""
    while length > 127:
        sizes += bytes([length % 128 | 128])
        length //= 128
    return b"\x30" + sizes + bytes([length]) + rest


def main() -> None:
    """Tell the manager that this module runs, then publish until somebody ends it."""
    if os.environ.get("IGNORE_TERM"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    broker = socket.create_connection(("127.0.0.1", 1883), timeout=5)
    broker.sendall(CONNECT)
    assert broker.recv(4) == b"\x20\x02\x00\x00", "refused by the broker"
    ready = int(os.environ["READY_FD"])
    os.write(ready, f"{os.environ['EV_MODULE']}\n".encode())
    os.close(ready)
    os.read(int(os.environ["GO_FD"]), 1)  # ends when all modules are ready
    csms = Csms()
    threading.Thread(target=csms.keep_connected, daemon=True).start()
    broker.settimeout(1)
    while True:
        broker.sendall(b"".join(publication(*message) for message in messages(csms)))
        try:
            assert broker.recv(1), "the broker has gone"
        except TimeoutError:
            continue


if __name__ == "__main__":
    main()
