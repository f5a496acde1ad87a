"""One client's connection: handshake, framing, and the two doors that every message passes."""

import asyncio
import logging
import re
import socket
import struct
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from mia.gateway.desks.account_desk import AccountDesk
from mia.gateway.limits import MessageRate
from mia.gateway.model import ApiContract
from mia.gateway.options import MIN_VERSION
from mia.gateway.protocol import replies
from mia.gateway.protocol.query import ContractQuery
from mia.gateway.protocol.requests import RequestError, read_request
from mia.gateway.protocol.wire import FrameReader, Value, WireError, frame, text

if TYPE_CHECKING:
    from mia.gateway.server import Gateway

log = logging.getLogger(__name__)

GREETING = b"API\0"
VERSIONS = re.compile(r"v([0-9]{1,5})(?:\.\.([0-9]{1,5}))?(?: (.*))?")
PACE = "+PACEAPI"
CURRENT_TIME = b"49\0"

NO_REQUEST = -1
NOTICES = (
    (2104, "Market data farm connection is OK:usfuture"),
    (2104, "Market data farm connection is OK:usopt"),
    (2106, "HMDS data farm connection is OK:ushmds"),
    (2158, "Sec-def data farm connection is OK:secdefnj"),
)

NO_DEFINITION = 200
NO_SUCH_REQUEST = 320
INVALID_REQUEST = 321


class Interceptor(Protocol):
    """Stands between a client and the gateway: sees, changes, delays or drops messages.

    What it is given it passes on itself, by `ClientSession.receive` and `ClientSession.write`.
    """

    @property
    def active(self) -> bool:
        """Whether what is sent has to pass; while not it costs one look at this."""
        ...

    def defer(self, action: Callable[[], None]) -> bool:
        """Keep an action for later if the gateway is frozen; return whether it was kept."""
        ...

    def handshake(self, text: str) -> str:
        """Return the time that a new connection is told."""
        ...

    def incoming(self, link: Any, fields: list[str]) -> None:
        """Take a message from a client."""
        ...

    def outgoing(self, link: Any, fields: list[str]) -> None:
        """Take a message to a client."""
        ...

    def closed(self, link: Any) -> None:
        """Take note of the end of a connection."""
        ...

    def tick(self) -> None:
        """Take note that market time has moved."""
        ...


class Recorder(Protocol):
    """Told every byte that passes, in order."""

    def opened(self, session: "ClientSession") -> None:
        """Take note of a connection that was accepted."""
        ...

    def received(self, session: "ClientSession", data: bytes) -> None:
        """Take what a client sent."""
        ...

    def sent(self, session: "ClientSession", data: bytes) -> None:
        """Take what was written to a client."""
        ...

    def closed(self, session: "ClientSession") -> None:
        """Take note of the end of a connection."""
        ...


class Desk(Protocol):
    """Answers the requests of one area."""

    def close(self) -> None:
        """Drop every subscription of the client."""
        ...


class ClientSession(asyncio.Protocol):
    """A client, from the first byte to the last.

    Parameters
    ----------
    gateway : Gateway

    Attributes
    ----------
    version : int
        Server version agreed on, 0 before.
    client_id : int
        -1 before startApi.
    started : bool
        Whether startApi was accepted.
    asked : int
        Questions for the time that wait for the end of a step, in lock-step.
    """

    def __init__(self, gateway: "Gateway") -> None:
        self.gateway = gateway
        self.version = 0
        self.client_id = -1
        self.started = False
        self.asked = 0
        self.market_data_type = 1
        self.desks: tuple[Desk, ...] = ()
        self._handlers: dict[str, Callable[..., None]] = {}
        self._transport: asyncio.Transport | None = None
        self._reader = FrameReader()
        self._greeting = bytearray()
        self._greeted = False
        self._out: list[bytes] = []
        self._flushing = False
        self._paced = False
        self._rate = MessageRate(gateway.options.limits)
        self._writable = asyncio.Event()
        self._writable.set()

    @property
    def closed(self) -> bool:
        """Whether nothing more can be sent."""
        return self._transport is None or self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin with a connection."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.gateway.on_opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """End with it."""
        self._out.clear()
        self._writable.set()
        for desk in self.desks:
            desk.close()
        self.gateway.on_closed(self)

    def pause_writing(self) -> None:
        """Note that the client reads too slowly."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Note that it has caught up."""
        self._writable.set()

    async def drained(self) -> None:
        """Wait until the client has read what was sent, but for a little."""
        self.flush()
        await self._writable.wait()

    def data_received(self, data: bytes) -> None:
        """Cut bytes into messages."""
        if self.gateway.recorder is not None:
            self.gateway.recorder.received(self, data)
        if not self._greeted:
            self._greeting += data
            if not (GREETING.startswith(self._greeting[:4]) or len(self._greeting) >= 4):
                self.fail("the connection does not begin with API")
                return
            if len(self._greeting) < len(GREETING):
                return
            if not self._greeting.startswith(GREETING):
                self.fail("the connection does not begin with API")
                return
            self._greeted = True
            data = bytes(self._greeting[len(GREETING) :])
        try:
            bodies = self._reader.feed(data)
        except WireError as error:
            self.fail(str(error))
            return
        for body in bodies:
            if self.closed:
                return
            self.take(body)

    def take(self, body: bytes) -> None:
        """Take one payload: every message of the client comes through here."""
        interceptor = self.gateway.interceptor
        if not self.version:
            if interceptor is None or not interceptor.defer(lambda: self._agree(body)):
                self._agree(body)
            return
        if not self._within_rate(body):
            return
        if interceptor is not None and is_text(body):
            interceptor.incoming(self, body[:-1].decode("utf-8").split("\0"))
        else:
            self._act(body)

    def receive(self, fields: Sequence[str]) -> None:
        """Act on a message, past the interceptor; also when the client has gone since."""
        self._act("".join(f"{field}\0" for field in fields).encode("utf-8"))

    def send(self, message_id: int, fields: Sequence[Value]) -> None:
        """Send one message: every message of the gateway goes through here."""
        interceptor = self.gateway.interceptor
        if interceptor is None or not interceptor.active:
            self._put(frame((str(message_id), *fields)))
        else:
            interceptor.outgoing(self, [str(message_id), *map(text, fields)])

    def write(self, fields: Sequence[str]) -> None:
        """Put a message on the socket, past the interceptor."""
        self._put(frame(fields))

    def flush(self) -> None:
        """Write what was sent."""
        self._flushing = False
        if not self._out or self.closed or self._transport is None:
            self._out.clear()
            return
        data = b"".join(self._out)
        self._out.clear()
        # First the recorder: an interrupt must not lose what a client has seen.
        if self.gateway.recorder is not None:
            self.gateway.recorder.sent(self, data)
        self._transport.write(data)
        if self._transport.get_write_buffer_size() > self.gateway.options.limits.output_bytes:
            log.warning("client %d does not read: closed", self.client_id)
            self._transport.abort()

    def error(self, request_id: int, code: int, why: str, reject: str = "") -> None:
        """Send an error or a notice."""
        self.send(*replies.error(self.version, request_id, code, why, reject))

    def fail(self, why: str) -> None:
        """Close a connection that is of no more use, after what was sent."""
        log.warning("client %d: %s: closed", self.client_id, why)
        self.flush()
        self.close()

    def close(self, reset: bool = False) -> None:
        """Close after what was sent, or at once with a reset."""
        if self._transport is None:
            return
        self.flush()
        if reset:
            connection = self._transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()
        else:
            self._transport.close()

    def forget_subscriptions(self) -> None:
        """End all market data of the client, without a word."""
        for desk in self.desks:
            if not isinstance(desk, AccountDesk):
                desk.close()

    def resolve(self, request_id: int, query: ContractQuery) -> ApiContract | None:
        """Return the one contract that a request means, or send why there is none."""
        if query.sec_type == "BAG":
            self.error(request_id, INVALID_REQUEST, "Error validating request:-'b' : cause - BAG")
            return None
        contract = self.gateway.catalogue.only(query)
        if contract is None:
            several = len(self.gateway.catalogue.find(query)) > 1
            self.error(
                request_id,
                NO_DEFINITION,
                f"The contract description specified for {query.symbol} is ambiguous."
                if several
                else "No security definition has been found for the request",
            )
        return contract

    def _put(self, data: bytes) -> None:
        self._out.append(data)
        if not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_soon(self.flush)

    def _within_rate(self, body: bytes) -> bool:
        """Count a message; send why if it is one too many, which may close the connection.

        A client that asked to be paced is not counted, nor is the question that moves lock-step.
        """
        moves = self.gateway.options.lockstep and body.startswith(CURRENT_TIME)
        if self._paced or moves:
            return True
        verdict = self._rate.take(time.monotonic())
        if verdict == "ok":
            return True
        most = self.gateway.options.limits.messages_per_second
        self.error(
            NO_REQUEST,
            100,
            f"Max rate of messages per second has been exceeded:max={most} rec={most + 1}",
        )
        if verdict == "abuse":
            self.fail("the client sends far more messages a second than it may")
        return verdict != "abuse"

    def _act(self, body: bytes) -> None:
        try:
            request = read_request(body, self.version)
        except RequestError as error:
            self._refuse(error)
            return
        if request.name == "start_api":
            self._start(request.values["client_id"])
        elif not self.started:
            self.fail(f"the client asks for {request.name} before startApi")
        else:
            self._handlers[request.name](**request.values)

    def _agree(self, body: bytes) -> None:
        match = VERSIONS.fullmatch(body.decode("ascii", "replace").rstrip("\0"))
        if match is None:
            self.fail("the client offers no range of versions")
            return
        lowest, highest = int(match[1]), int(match[2] or match[1])
        version = min(self.gateway.options.version, highest)
        # One client library misreads 158.
        version = 157 if version == 158 else version
        if version < max(lowest, MIN_VERSION):
            self.fail(f"the client speaks versions {lowest} to {highest}")
            return
        self.version = version
        self._paced = match[3] is not None and PACE in match[3].split()
        interceptor = self.gateway.interceptor
        now = self.gateway.wall_time()
        self._put(frame((str(version), now if interceptor is None else interceptor.handshake(now))))

    def _start(self, client_id: int) -> None:
        if self.started:
            self.error(NO_REQUEST, INVALID_REQUEST, "Error validating request:-startApi again")
            return
        if self.gateway.taken(client_id):
            self.error(
                NO_REQUEST,
                326,
                "Unable to connect as the client id is already in use. "
                "Retry with a unique client id.",
            )
            self.fail(f"client id {client_id} is taken")
            return
        self.client_id = client_id
        self.started = True
        self.desks, self._handlers = self.gateway.open_desks(self)
        self.send(*replies.managed_accounts(self.gateway.options.accounts))
        self.send(*replies.next_valid_id(self.gateway.next_order_id(client_id)))
        for code, why in self.gateway.notices():
            self.error(NO_REQUEST, code, why)
        self.gateway.on_started(self)

    def _refuse(self, error: RequestError) -> None:
        log.warning("client %d: request %d: %s", self.client_id, error.message_id, error)
        code = INVALID_REQUEST if error.known else NO_SUCH_REQUEST
        said = "validating request" if error.known else "reading request"
        self.error(error.request_id, code, f"Error {said}. {error}")


def is_text(body: bytes) -> bool:
    """Tell whether a payload has fields at all."""
    try:
        return body.endswith(b"\0") and body.decode("utf-8").split("\0", 1)[0].isdigit()
    except UnicodeDecodeError:
        return False


def handlers_of(desks: Iterable[Any]) -> dict[str, Callable[..., None]]:
    """Collect the handlers of desks by the name of the request: methods named ``on_...``."""
    return {
        name.removeprefix("on_"): getattr(desk, name)
        for desk in desks
        for name in dir(desk)
        if name.startswith("on_")
    }
