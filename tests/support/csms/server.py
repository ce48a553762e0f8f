"""The CSMS: an asyncio server in a thread, driven from tests that know no asyncio."""

import asyncio
import base64
import contextlib
import json
import threading
import uuid
from collections.abc import Callable, Coroutine, Iterator, Sequence
from http import HTTPStatus
from types import TracebackType
from typing import TypeVar
from urllib.parse import unquote

from ocpp.exceptions import OCPPError
from ocpp.messages import Call, CallResult, MessageType, validate_payload
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from .answers import answer
from .certificates import Certificate
from .journal import Journal
from .messages import (
    SUBPROTOCOLS,
    CallError,
    Connection,
    Handshake,
    Kind,
    Message,
    Payload,
    Version,
    version_of,
)

T = TypeVar("T")

START_SECONDS = 10.0
ANSWER_SECONDS = 30.0


def _always(message: Message) -> bool:
    return True


class Csms:
    """A CSMS that accepts everything and remembers everything.

    `versions` in the order in which it prefers them. With a password, only charge points that
    know it are let in (security profile 1, or 2 with a certificate). What a schema of OCPP does
    not allow, from either side, is in `violations`.
    """

    def __init__(
        self,
        *,
        versions: Sequence[Version] = ("2.1", "2.0.1", "1.6"),
        host: str = "127.0.0.1",
        port: int = 0,
        password: str | None = None,
        certificate: Certificate | None = None,
    ) -> None:
        self.host, self.port = host, port
        self.password = password
        self.handshakes: Journal[Handshake] = Journal()
        self.connections: Journal[Connection] = Journal()
        self.disconnections: Journal[Connection] = Journal()
        self.messages: Journal[Message] = Journal()
        self.violations: Journal[str] = Journal()
        self._subprotocols = [Subprotocol(SUBPROTOCOLS[version]) for version in versions]
        self._certificate = certificate
        self._replaced: dict[str, Payload] = {}
        self._open: dict[Connection, ServerConnection] = {}
        self._asked: dict[str, tuple[str, asyncio.Future[Payload]]] = {}
        self._count = 0
        self._started = threading.Event()
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="csms", daemon=True)

    # -- for tests

    def url(self, host: str | None = None) -> str:
        """Where charge points connect; `host` if they know this machine by another name."""
        scheme = "ws" if self._certificate is None else "wss"
        return f"{scheme}://{host or self.host}:{self.port}"

    def wait_connected(self, *, since: int = 0, seconds: float = 60.0) -> Connection:
        """The first connection from a mark of `connections` on."""
        return self.connections.wait("connection", lambda _: True, since=since, seconds=seconds)

    def wait_for(
        self,
        action: str,
        matches: Callable[[Message], bool] = _always,
        *,
        since: int = 0,
        seconds: float = 30.0,
    ) -> Message:
        """The first request of a charge point with this action from a mark of `messages` on."""

        def wanted(message: Message) -> bool:
            if message.sent or message.kind != "call" or message.action != action:
                return False
            return matches(message)

        return self.messages.wait(action, wanted, since=since, seconds=seconds)

    def request(self, action: str, payload: Payload, *, seconds: float = ANSWER_SECONDS) -> Payload:
        """Send a request to the charge point that connected last; its answer."""
        return self._in_loop(self._request(action, payload, seconds), seconds + START_SECONDS)

    @contextlib.contextmanager
    def answering(self, action: str, payload: Payload) -> Iterator[None]:
        """Answer an action with this payload for a while, however wrong it is."""
        self._replaced[action] = payload
        try:
            yield
        finally:
            del self._replaced[action]

    def drop(self) -> None:
        """Close all connections, as a CSMS does that restarts."""
        self._in_loop(self._drop(), START_SECONDS)

    # -- the thread

    def __enter__(self) -> "Csms":
        self._thread.start()
        assert self._started.wait(START_SECONDS), "the CSMS does not start"
        if self._failure is not None:
            self._thread.join(START_SECONDS)
            raise self._failure
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._loop is not None
        assert self._stop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(START_SECONDS)
        assert not self._thread.is_alive(), "the CSMS does not end"

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except OSError as error:  # the address is not ours, or taken
            self._failure = error
            self._started.set()

    async def _main(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with serve(
            self._handle,
            self.host,
            self.port,
            ssl=self._certificate.server_context() if self._certificate else None,
            subprotocols=self._subprotocols,
            process_request=self._check,
            process_response=self._note,
            ping_interval=None,  # a charger that is halted for a core dump must not be dropped
        ) as server:
            self.port = _port(server)
            self._started.set()
            await self._stop.wait()

    def _in_loop(self, coroutine: Coroutine[object, object, T], seconds: float) -> T:
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(seconds)

    # -- handshakes

    def _check(self, socket: ServerConnection, request: Request) -> Response | None:
        """Let in who knows the password, if there is one."""
        user, password = _credentials(request)
        if self.password is None or (user, password) == (_identity(request.path), self.password):
            return None
        return socket.respond(HTTPStatus.UNAUTHORIZED, "identity or password is wrong\n")

    def _note(self, socket: ServerConnection, request: Request, response: Response) -> None:
        """Keep how the handshake went."""
        user, password = _credentials(request)
        offered = request.headers.get("Sec-WebSocket-Protocol", "")
        self.handshakes.add(
            Handshake(
                path=request.path,
                identity=_identity(request.path),
                offered=tuple(name.strip() for name in offered.split(",") if name.strip()),
                user=user,
                password=password,
                secure=self._certificate is not None,
                status=response.status_code,
            )
        )

    # -- messages

    async def _handle(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        assert socket.subprotocol is not None
        self._count += 1
        connection = Connection(
            number=self._count,
            identity=_identity(socket.request.path),
            path=socket.request.path,
            version=version_of(socket.subprotocol),
        )
        self._open[connection] = socket
        self.connections.add(connection)
        try:
            async for raw in socket:
                await self._receive(connection, socket, raw)
        except ConnectionClosed:
            pass  # a charger that crashes says no goodbye
        finally:
            del self._open[connection]
            self.disconnections.add(connection)

    async def _receive(
        self, connection: Connection, socket: ServerConnection, raw: str | bytes
    ) -> None:
        try:
            number, unique_id, *rest = json.loads(raw, parse_float=_number)
        except (ValueError, TypeError):
            self.violations.add(f"no OCPP message: {raw!r}")
            return
        match (number, rest):
            case (MessageType.Call, [str(action), dict(payload)]):
                self._keep(connection, "call", unique_id, action, payload)
                await self._validate(connection, Call(unique_id, action, payload))
                await self._answer(connection, socket, unique_id, action, payload)
            case (MessageType.CallResult, [dict(payload)]) if unique_id in self._asked:
                action, answered = self._asked.pop(unique_id)
                self._keep(connection, "result", unique_id, action, payload)
                result = CallResult(unique_id, dict(payload), action)
                await self._validate(connection, result)
                answered.set_result(payload)
            case (MessageType.CallError, [str(code), *more]) if unique_id in self._asked:
                action, answered = self._asked.pop(unique_id)
                self._keep(connection, "error", unique_id, action, {"code": code, "more": more})
                answered.set_exception(CallError(f"{action}: {code} {more}"))
            case _:
                self._keep(connection, "other", str(unique_id), "", {"raw": raw})

    async def _answer(
        self,
        connection: Connection,
        socket: ServerConnection,
        unique_id: str,
        action: str,
        payload: Payload,
    ) -> None:
        call = Call(unique_id, action, payload)
        replaced = self._replaced.get(action)
        try:
            given = answer(connection.version, action, payload) if replaced is None else replaced
        except OCPPError as error:
            await socket.send(call.create_call_error(error).to_json())
            return
        if replaced is None:
            await self._validate(connection, CallResult(unique_id, dict(given), action))
        self._keep(connection, "result", unique_id, action, given, sent=True)
        await socket.send(json.dumps([MessageType.CallResult, unique_id, given]))

    async def _request(self, action: str, payload: Payload, seconds: float) -> Payload:
        if not self._open:
            raise AssertionError(f"no charge point is connected that could be asked to {action}")
        connection, socket = list(self._open.items())[-1]
        unique_id = str(uuid.uuid4())
        # wrong requests are mistakes of the test: they end it
        await validate_payload(Call(unique_id, action, dict(payload)), connection.version)
        answered: asyncio.Future[Payload] = asyncio.get_running_loop().create_future()
        self._asked[unique_id] = action, answered
        self._keep(connection, "call", unique_id, action, payload, sent=True)
        await socket.send(json.dumps([MessageType.Call, unique_id, action, payload]))
        try:
            return await asyncio.wait_for(answered, seconds)
        except TimeoutError:
            raise AssertionError(f"no answer to {action} within {seconds:g} s") from None

    async def _drop(self) -> None:
        for socket in list(self._open.values()):
            await socket.close(code=1012, reason="the CSMS restarts")  # RFC 6455 registry

    async def _validate(self, connection: Connection, message: Call | CallResult) -> None:
        """Hold a message against the schema of its action."""
        try:
            await validate_payload(message, connection.version)
        except OCPPError as error:
            self.violations.add(f"{connection.version} {message.action}: {error}")

    def _keep(
        self,
        connection: Connection,
        kind: Kind,
        unique_id: str,
        action: str,
        payload: Payload,
        *,
        sent: bool = False,
    ) -> None:
        self.messages.add(
            Message(
                connection=connection,
                sent=sent,
                kind=kind,
                unique_id=unique_id,
                action=action,
                payload=payload,
            )
        )


def _number(text: str) -> float:
    """900.0 is an integer by JSON Schema (draft 6), but not by the draft 4 of the package."""
    value = float(text)
    return int(value) if value.is_integer() else value


def _port(server: Server) -> int:
    port: int = server.sockets[0].getsockname()[1]
    return port


def _identity(path: str) -> str:
    """The last part of the path, OCPP-J 1.6 section 3.1.1; percent-encoded or not."""
    return unquote(path.rpartition("/")[2])


def _credentials(request: Request) -> tuple[str | None, str | None]:
    """User and password of basic authentication, RFC 7617."""
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None, None
    try:
        user, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:
        return None, None
    return (user, password) if colon else (None, None)
