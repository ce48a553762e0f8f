"""Python module of the tree, and stand-in for EVerest's module API: it says each second that
EVerest is up. Like every module of EVerest it ends when the broker does.

IGNORE_TERM=1 makes it one of those processes that stay when their manager is killed.
"""

import os
import signal
import socket
import time

# MQTT 3.1.1: protocol level 4, a clean session, no keep-alive, no name of its own
CONNECT = b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00"
TOPIC = b"everest_api/connectors"
MESSAGE = b"\x00" + bytes([len(TOPIC)]) + TOPIC + b'["evse_manager"]'
PUBLISH = b"\x30" + bytes([len(MESSAGE)]) + MESSAGE


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
    broker.settimeout(1)
    while True:
        broker.sendall(PUBLISH)
        try:
            assert broker.recv(1), "the broker has gone"
        except TimeoutError:
            continue
        time.sleep(1)


if __name__ == "__main__":
    main()
