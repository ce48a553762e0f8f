"""A charge point to try the CSMS with: the client side of the same package, one per version."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from ssl import SSLContext
from typing import Any

import ocpp.v16
import ocpp.v16.call
import ocpp.v16.call_result
import ocpp.v21
import ocpp.v21.call
import ocpp.v21.call_result
import ocpp.v201
import ocpp.v201.call
import ocpp.v201.call_result
from ocpp.routing import on
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from .messages import SUBPROTOCOLS, Payload, Version

MODEL, VENDOR = "Fake", "evdiag"
TOKEN = "TOKEN1"


class Fake16(ocpp.v16.ChargePoint):  # type: ignore[misc]  # the package has no types
    """A charge point of OCPP 1.6 that accepts profiles."""

    async def boot(self) -> str:
        """Send BootNotification; the status of the answer."""
        request = ocpp.v16.call.BootNotification(
            charge_point_model=MODEL, charge_point_vendor=VENDOR
        )
        return str((await self.call(request)).status)

    async def ask_certificate_status(self) -> Any:  # noqa: ANN401
        """There is no such request in 1.6: the answer to a made-up one."""
        return await self.call(ocpp.v16.call.DataTransfer(vendor_id=VENDOR))

    @on("SetChargingProfile")  # type: ignore[untyped-decorator]
    def on_profile(self, connector_id: int, **more: object) -> Any:  # noqa: ANN401
        """Accepted for connector 1 only."""
        return ocpp.v16.call_result.SetChargingProfile(
            status="Accepted" if connector_id == 1 else "Rejected"
        )


class _Fake2:
    """What 2.0.1 and 2.1 have in common."""

    call_module: Any
    result_module: Any

    async def boot(self) -> str:
        """Send BootNotification; the status of the answer."""
        request = self.call_module.BootNotification(
            charging_station={"model": MODEL, "vendorName": VENDOR}, reason="PowerUp"
        )
        return str((await self.call(request)).status)  # type: ignore[attr-defined]

    async def ask_certificate_status(self) -> Any:  # noqa: ANN401
        """Ask for the state of a certificate, as EVerest does after each boot."""
        data = {
            "hashAlgorithm": "SHA256",
            "issuerNameHash": "00",
            "issuerKeyHash": "00",
            "serialNumber": "1",
            "responderUrl": "http://ocsp.test",
        }
        # the package and the schema spell responderURL differently
        data["responderURL"] = data.pop("responderUrl")
        request = self.call_module.GetCertificateStatus(ocsp_request_data=data)
        return await self.call(request, skip_schema_validation=True)  # type: ignore[attr-defined]

    @on("SetChargingProfile")  # type: ignore[untyped-decorator]
    def on_profile(self, evse_id: int, **more: object) -> Any:  # noqa: ANN401
        """Accepted for EVSE 1 only."""
        return self.result_module.SetChargingProfile(
            status="Accepted" if evse_id == 1 else "Rejected"
        )


class Fake201(_Fake2, ocpp.v201.ChargePoint):  # type: ignore[misc]
    """A charging station of OCPP 2.0.1 that accepts profiles."""

    call_module, result_module = ocpp.v201.call, ocpp.v201.call_result


class Fake21(_Fake2, ocpp.v21.ChargePoint):  # type: ignore[misc]
    """A charging station of OCPP 2.1 that accepts profiles."""

    call_module, result_module = ocpp.v21.call, ocpp.v21.call_result


FAKES: dict[Version, type[Fake16] | type[Fake201] | type[Fake21]] = {
    "1.6": Fake16,
    "2.0.1": Fake201,
    "2.1": Fake21,
}


def basic(user: str, password: str) -> dict[str, str]:
    """The header of basic authentication."""
    encoded = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {"Authorization": f"Basic {encoded}"}


@asynccontextmanager
async def fake_charger(
    url: str,
    *offered: Version,
    headers: dict[str, str] | None = None,
    tls: SSLContext | None = None,
    server_name: str | None = None,
) -> AsyncIterator[Any]:
    """A charge point of the version that the CSMS chooses from those on offer."""
    more: Payload = {} if tls is None else {"ssl": tls, "server_hostname": server_name}
    async with connect(
        url,
        subprotocols=[Subprotocol(SUBPROTOCOLS[version]) for version in offered],
        additional_headers=headers,
        proxy=None,
        **more,
    ) as socket:
        chosen = {name: version for version, name in SUBPROTOCOLS.items()}[str(socket.subprotocol)]
        fake = FAKES[chosen]("CP1", socket)
        serving = asyncio.create_task(fake.start())
        try:
            yield fake
        finally:
            serving.cancel()
            with suppress(asyncio.CancelledError, ConnectionClosed):
                await serving
