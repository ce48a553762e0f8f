"""The CSMS of these tests, tried with a charge point of the same package: no container."""

import asyncio
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from tests.support.csms import (
    CallError,
    Csms,
    Handshake,
    Payload,
    Version,
    make_certificate,
    requests,
)
from tests.support.csms.fake_charger import MODEL, VENDOR, basic, fake_charger

VERSIONS: tuple[Version, ...] = ("1.6", "2.0.1", "2.1")
HOST = "csms.test"


@pytest.fixture
def csms() -> Iterator[Csms]:
    with Csms() as running:
        yield running


def _last(csms: Csms) -> Handshake:
    return csms.handshakes.entries()[-1]


def _boot(csms: Csms, *offered: Version, path: str = "/CP1") -> str:
    async def run() -> str:
        async with fake_charger(csms.url() + path, *offered) as charger:
            return str(await charger.boot())

    return asyncio.run(run())


@pytest.mark.parametrize("version", VERSIONS)
def test_boots_in_each_version(csms: Csms, version: Version) -> None:
    assert _boot(csms, version) == "Accepted"

    boot = csms.wait_for("BootNotification")
    assert boot.connection.version == version
    assert VENDOR in json.dumps(boot.payload)
    assert MODEL in json.dumps(boot.payload)
    assert _last(csms).offered == (f"ocpp{version}",)
    assert _last(csms).status == 101
    assert csms.violations.entries() == ()


@pytest.mark.parametrize(
    ("preferred", "chosen"),
    [(("2.1", "2.0.1"), "2.1"), (("2.0.1", "2.1"), "2.0.1"), (("1.6", "2.0.1"), "2.0.1")],
)
def test_the_csms_chooses_the_version(preferred: tuple[Version, ...], chosen: Version) -> None:
    with Csms(versions=preferred) as csms:
        _boot(csms, "2.1", "2.0.1")
        assert csms.wait_connected().version == chosen
        assert _last(csms).offered == ("ocpp2.1", "ocpp2.0.1")


def test_a_charger_without_a_common_version_is_refused() -> None:
    async def run(url: str) -> int:
        with pytest.raises(InvalidStatus) as refused:
            async with connect(url, subprotocols=[Subprotocol("ocpp1.6")], proxy=None):
                pass
        return refused.value.response.status_code

    with Csms(versions=("2.1",)) as csms:
        assert asyncio.run(run(csms.url() + "/CP1")) == 400
        assert csms.connections.entries() == ()


@pytest.mark.parametrize(
    ("path", "identity"),
    [("/CP1", "CP1"), ("/ocpp/a%7Cb", "a|b"), ("/DE*ABC_1=2+3@4.5-6", "DE*ABC_1=2+3@4.5-6")],
)
def test_the_identity_is_the_end_of_the_path(csms: Csms, path: str, identity: str) -> None:
    _boot(csms, "1.6", path=path)

    assert csms.wait_connected().identity == identity
    assert _last(csms).path == path


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (basic("CP1", "right"), 101),
        (basic("CP1", "wrong"), 401),
        (basic("CP2", "right"), 401),
        (None, 401),
        ({"Authorization": "Basic %%%"}, 401),
        ({"Authorization": "Bearer right"}, 401),
    ],
)
def test_the_password(headers: dict[str, str] | None, status: int) -> None:
    async def run(url: str) -> int:
        try:
            async with fake_charger(url, "2.0.1", headers=headers) as charger:
                assert await charger.boot() == "Accepted"
                return 101
        except InvalidStatus as refused:
            return refused.response.status_code

    with Csms(password="right") as csms:
        assert asyncio.run(run(csms.url() + "/CP1")) == status
        assert _last(csms).status == status
        assert len(csms.connections.entries()) == (1 if status == 101 else 0)


def test_encrypted_with_an_authority_of_its_own(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path, HOST)

    async def run(url: str) -> None:
        tls = certificate.client_context()
        async with fake_charger(url, "2.1", tls=tls, server_name=HOST) as charger:
            await charger.boot()

    with Csms(certificate=certificate) as csms:
        assert csms.url(HOST).startswith(f"wss://{HOST}:")
        asyncio.run(run(csms.url() + "/CP1"))
        assert _last(csms).secure


@pytest.mark.parametrize("version", VERSIONS)
def test_a_profile_and_its_answer(csms: Csms, version: Version) -> None:
    async def run() -> tuple[Payload, Payload]:
        async with fake_charger(csms.url() + "/CP1", version) as charger:
            await charger.boot()
            return (
                await asyncio.to_thread(csms.request, *requests.set_profile(version, 30_000)),
                await asyncio.to_thread(csms.request, *requests.set_profile(version, 1, 2)),
            )

    assert asyncio.run(run()) == ({"status": "Accepted"}, {"status": "Rejected"})

    sent = [message for message in csms.messages.entries() if message.sent]
    assert [message.action for message in sent if message.kind == "call"] == (
        ["SetChargingProfile"] * 2
    )
    assert csms.violations.entries() == ()


@pytest.mark.parametrize("version", VERSIONS)
def test_requests_keep_to_the_schema(csms: Csms, version: Version) -> None:
    """The charge point knows none of them: each is answered with an error, none is refused."""
    every = [
        requests.clear_profile(version),
        requests.composite_schedule(version),
        requests.remote_start(version, "TOKEN1"),
        requests.remote_stop(version, 1 if version == "1.6" else "1"),
        requests.reset(version),
        requests.get_setting(version, "SecurityCtrlr", "Identity"),
        requests.set_setting(version, "TxCtrlr", "X", "1"),
    ]

    async def run() -> None:
        async with fake_charger(csms.url() + "/CP1", version):
            await asyncio.to_thread(csms.wait_connected)
            for request in every:
                if version == "2.1":  # whose charge point keeps silent
                    with pytest.raises(AssertionError, match="no answer to"):
                        await asyncio.to_thread(partial(csms.request, *request, seconds=0.1))
                else:
                    with pytest.raises(CallError, match="NotImplemented"):
                        await asyncio.to_thread(csms.request, *request)

    asyncio.run(run())
    sent = [message.action for message in csms.messages.entries() if message.sent]
    assert sent == [action for action, _ in every]


@pytest.mark.parametrize("version", ["2.0.1", "2.1"])
def test_an_answer_that_breaks_the_schema_on_request(csms: Csms, version: Version) -> None:
    async def run() -> list[Payload]:
        async with fake_charger(csms.url() + "/CP1", version) as charger:
            with pytest.raises(TypeError), csms.answering("GetCertificateStatus", {}):
                await charger.ask_certificate_status()
            await charger.ask_certificate_status()
        return [message.payload for message in csms.messages.entries() if message.sent]

    assert asyncio.run(run()) == [{}, {"status": "Failed"}]


def test_what_is_no_ocpp_is_kept(csms: Csms) -> None:
    said = ["hello", "7", "[2]", '[2,"1","Nonsense",{}]', '[3,"unasked",{}]']

    async def run() -> list[str | bytes]:
        subprotocols = [Subprotocol("ocpp2.1")]
        url = csms.url() + "/CP1"
        async with connect(url, subprotocols=subprotocols, proxy=None) as socket:
            for text in said:
                await socket.send(text)
            return [await socket.recv()]

    answers = asyncio.run(run())

    assert [json.loads(answer)[:3] for answer in answers] == [[4, "1", "NotImplemented"]]
    assert len(csms.violations.entries()) == 4
    csms.messages.wait("the unasked answer", lambda message: message.kind == "other")


def test_a_wait_ends_and_tells_what_came(csms: Csms) -> None:
    _boot(csms, "1.6")

    with pytest.raises(AssertionError, match=r"no Heartbeat within 0.05 s.*\n.*BootNotification"):
        csms.wait_for("Heartbeat", seconds=0.05)
    with pytest.raises(AssertionError, match=r"last that came:\n  nothing"):
        csms.wait_for("Heartbeat", seconds=0.05, since=csms.messages.mark())


def test_nobody_to_ask(csms: Csms) -> None:
    with pytest.raises(AssertionError, match="no charge point is connected"):
        csms.request("Reset", {"type": "Soft"})


def test_dropped_chargers_are_gone(csms: Csms) -> None:
    async def run() -> None:
        async with fake_charger(csms.url() + "/CP1", "1.6") as charger:
            await charger.boot()
            await asyncio.to_thread(csms.drop)

    asyncio.run(run())
    csms.disconnections.wait("disconnection", lambda gone: gone.identity == "CP1")


def test_an_address_that_is_not_ours() -> None:
    taken = pytest.raises(OSError, match="address already in use")
    with Csms() as csms, taken, Csms(port=csms.port):
        pass
