"""A CSMS on this machine, and which sockets of it take connections."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evdiag.analyze.ocpp_url import Csms, csms_of, remarks
from evdiag.model.run import Listener
from evdiag.parse.listeners import read_listeners

HERE = "host.docker.internal"


@pytest.mark.parametrize(
    ("url", "moved"),
    [
        ("ws://localhost:9000", f"ws://{HERE}:9000"),
        ("ws://LOCALHOST:9000/ocpp/x", f"ws://{HERE}:9000/ocpp/x"),
        ("ws://localhost", f"ws://{HERE}"),
        ("ws://localhost.:9000/", f"ws://{HERE}:9000/"),
        ("ws://csms.localhost:80/a", f"ws://{HERE}:80/a"),
        ("ws://127.0.0.1:9000", f"ws://{HERE}:9000"),
        ("ws://127.8.9.10/x", f"ws://{HERE}/x"),
        ("ws://0.0.0.0:1", f"ws://{HERE}:1"),
        ("wss://[::1]:443/x", f"wss://{HERE}:443/x"),
        ("ws://[::1]/x:9", f"ws://{HERE}/x:9"),
        ("ws://[::]", f"ws://{HERE}"),
    ],
)
def test_localhost_is_this_machine(url: str, moved: str) -> None:
    csms = csms_of(url)

    assert (csms.url, csms.moved, csms.on_gateway) == (moved, True, True)
    assert csms.encrypted is url.startswith("wss")


@pytest.mark.parametrize(
    "url",
    [
        "ws://csms.example:9000/x",
        "ws://192.168.1.2",
        "ws://localhost.example",
        "ws://me:secret@localhost",
        "http",
        "ws://localhost:99999",
        "ws://[::1",
        "",
    ],
)
def test_another_address_stays_as_it_is(url: str) -> None:
    csms = csms_of(url)

    assert (csms.url, csms.moved, csms.on_gateway) == (url, False, False)
    assert remarks(csms, (), rootless=True) == []


def test_the_gateway_by_its_name_is_this_machine_too() -> None:
    csms = csms_of(f"ws://{HERE}")

    assert csms == Csms(url=f"ws://{HERE}", on_gateway=True, port=80)


def test_a_listener_that_containers_reach_is_no_news() -> None:
    csms = csms_of("ws://localhost:9000")

    for address in ("0.0.0.0", "::", "172.17.0.1"):
        found = (Listener("127.0.0.1", 9000), Listener(address, 9000))
        assert remarks(csms, found, rootless=False) == []
    assert remarks(csms, None, rootless=False) == []


def test_a_csms_that_is_not_there_or_not_within_reach_is_said() -> None:
    csms = csms_of("wss://localhost:9000")
    deaf = (Listener("127.0.0.1", 9000), Listener("::1", 9000), Listener("0.0.0.0", 1))

    certificate, reach = remarks(csms, deaf, rootless=False)
    _, rootless, nothing = remarks(csms, (), rootless=True)

    assert f"made out to {HERE}" in certificate
    assert "listens on 127.0.0.1 and ::1 only" in reach
    assert "0.0.0.0" in reach
    assert "nothing listens on port 9000 of this machine" in nothing
    assert "rootless" in rootless


@given(st.text(max_size=60))
def test_any_text_is_an_address_or_stays(url: str) -> None:
    csms = csms_of(url)

    assert csms.moved or csms.url == url


TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:2328 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0
   1: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0
   2: 0100007F:A1B2 0100007F:2328 01 00000000:00000000 00:00000000 00000000     0        0 1 1 0
"""
TABLE_6 = """\
   0: 00000000000000000000000001000000:2328 00000000000000000000000000000000:0000 0A 0
   1: 0000000000000000FFFF00000100007F:2329 00000000000000000000000000000000:0000 0A 0
"""


def test_the_kernels_tables_name_the_listeners() -> None:
    assert read_listeners(TABLE + TABLE_6) == (
        Listener("127.0.0.1", 9000),
        Listener("0.0.0.0", 8080),
        Listener("::1", 9000),
        Listener("127.0.0.1", 9001),
    )


@given(st.text(alphabet="0123456789ABCDEF: \n", max_size=200))
def test_any_table_is_read(text: str) -> None:
    assert all(0 <= listener.port < 65536 for listener in read_listeners(text))
