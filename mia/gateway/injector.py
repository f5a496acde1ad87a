"""Puts faults and a recorder between a gateway and its clients."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mia.gateway.client_session import HANDSHAKE, ClientSession
from mia.gateway.fault_scenario import NS, Fault
from mia.gateway.faults import FaultBox, FaultLink
from mia.gateway.recording import Recorder
from mia.gateway.wire import Value, frame, text

if TYPE_CHECKING:
    from mia.gateway.server import Gateway


class SessionLink:
    """A client's connection, as the faults see it."""

    def __init__(self, session: ClientSession, number: int, recorded: Callable[..., None]) -> None:
        self.session = session
        self.number = number
        self._recorded = recorded

    @property
    def client_id(self) -> int:
        """Number of the client, -1 before it has said so."""
        return self.session.client_id

    @property
    def version(self) -> int:
        """Server version that was agreed."""
        return self.session.version

    def write(self, fields: Sequence[str]) -> None:
        """Put a message on the socket, past the faults."""
        if self.session.closed:
            return
        data = frame(fields)
        self._recorded(self, "out", data[4:])
        self.session.write(data)

    def receive(self, fields: Sequence[str]) -> None:
        """Act on a message as if it had just arrived, past the faults."""
        self.session.receive(("\0".join(fields) + "\0").encode())

    def close(self, reset: bool) -> None:
        """Close the socket, orderly or with a reset, after what was sent."""
        self.session.flush()
        if reset:
            self.session.reset()
        else:
            self.session.close()

    def forget_subscriptions(self) -> None:
        """End all market data of the client, without a word."""
        for desk in self.session.desks:
            if getattr(desk, "streams_market_data", False):
                desk.close()


class Injector:
    """The interceptor of a gateway that lies and dies on request.

    Parameters
    ----------
    faults : iterable of Fault
    recorder : Recorder, optional
    """

    def __init__(self, faults: Iterable[Fault] = (), recorder: Recorder | None = None) -> None:
        self.box = FaultBox(self, faults)
        self._recorder = recorder
        self._gateway: Gateway | None = None
        self._links: dict[ClientSession, SessionLink] = {}
        self._count = 0
        self._start = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended = asyncio.Event()

    @property
    def gateway(self) -> "Gateway":
        """The gateway that it is attached to."""
        assert self._gateway is not None
        return self._gateway

    def attach(self, gateway: "Gateway") -> None:
        """Stand between a gateway and its clients from now on."""
        self._gateway = gateway
        self._start = gateway.market.now
        gateway.interceptor = self

    @property
    def links(self) -> Sequence[FaultLink]:
        """Connections of clients that have started."""
        return [link for link in self._links.values() if link.session.started]

    @property
    def market_time(self) -> int:
        """Market time, ns UTC."""
        return self.gateway.market.now

    @property
    def start_time(self) -> int:
        """Market time at the start, ns UTC."""
        return self._start

    def opened(self, session: ClientSession) -> None:
        """Take note of a connection that was accepted."""
        self._links[session] = SessionLink(session, self._count, self._record)
        if self._recorder is not None:
            self._recorder.opened(self.market_time, self._count)
        self._count += 1

    def closed(self, session: ClientSession) -> None:
        """Take note of a connection that has ended."""
        link = self._links.pop(session)
        self.box.closed(link)
        if self._recorder is not None:
            self._recorder.closed(self.market_time, link.number)

    def tick(self) -> None:
        """Let faults happen whose time has come."""
        if self.box.active:
            self.box.tick()

    def incoming(self, session: ClientSession, body: bytes) -> Iterable[bytes]:
        """Return the payloads to handle instead of one that arrived."""
        link = self._links[session]
        self._record(link, "in", body)
        if not self.box.active:
            return (body,)
        if not session.version:
            self.box.tick()
            return () if self.box.defer(lambda: session.receive(body)) else (body,)
        try:
            fields = body.decode("utf-8").split("\0")[:-1]
        except UnicodeDecodeError:
            return (body,)
        if not fields or not fields[0].isdecimal() or not body.endswith(b"\0"):
            return (body,)
        self.box.incoming(link, fields)
        return ()

    def outgoing(
        self, session: ClientSession, message_id: int, fields: Sequence[Value]
    ) -> Iterable[tuple[float, bytes]]:
        """Return what to write instead of a message; the faults write for themselves."""
        link = self._links.get(session)
        if link is None:
            return ()
        if message_id == HANDSHAKE:
            version, told = (text(field) for field in fields)
            data = frame((version, self.box.handshake(told)))
        elif self.box.active:
            self.box.outgoing(link, [str(message_id), *map(text, fields)])
            return ()
        else:
            data = frame((str(message_id), *fields))
        self._record(link, "out", data[4:])
        return ((0.0, data),)

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something after real seconds."""
        asyncio.get_running_loop().call_later(seconds, action)

    def refuse(self, seconds: float, port: int) -> None:
        """Refuse connections for real seconds, 0 for ever; then listen on `port`, 0 for the old."""
        gateway = self.gateway
        gateway.stop_listening()
        if seconds > 0 or port:
            self._spawn(self._listen_later(seconds, port or gateway.port))

    async def _listen_later(self, seconds: float, port: int) -> None:
        await asyncio.sleep(seconds)
        await self.gateway.listen(port)

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _record(self, link: SessionLink, direction: str, payload: bytes) -> None:
        if self._recorder is not None:
            self._recorder.frame(self.market_time, link.number, direction, payload)

    def status(self) -> dict[str, Any]:
        """Return market time, clients and counts."""
        now = self.market_time
        return {
            "market_time_ns": now,
            "market_time": datetime.fromtimestamp(now / NS, UTC).isoformat(),
            "port": self.gateway.port,
            "lockstep": self.gateway.options.lockstep,
            "clients": [link.client_id for link in self.links],
            "connections": len(self._links),
            "frozen": self.box.frozen,
            "link_down": self.box.link_down,
            "faults": len(self.box.faults),
        }

    def shutdown(self) -> None:
        """End the gateway."""
        self._ended.set()

    async def ended(self) -> None:
        """Wait for `shutdown`."""
        await self._ended.wait()
