"""The socket to a gateway: frames in and out, and the greeting.

What is sent goes into the kernel in the call that sends it, or the connection is torn down: an
order that stays behind in a queue of the program could leave minutes later.
"""

import asyncio
import socket as socket_module
import struct
from collections.abc import Callable
from typing import Any

from mia.errors import BrokerError

MAX_FRAME = 0x00FF_FFFF
_MAX_GREETING = 256
_LENGTH = struct.Struct(">I")

FramesHandler = Callable[[list[list[str]]], None]


class GatewaySocket(asyncio.Protocol):
    """One TCP connection, from the greeting on.

    Parameters
    ----------
    versions : (int, int)
        Least and greatest version of the protocol to offer.
    on_frames : callable
        Given the fields of every whole message that one packet completed.
    on_lost : callable
        Given the reason; called once, never while `close` runs.

    Attributes
    ----------
    greeting : asyncio.Future
        Becomes (version, time as the gateway spells it).
    bytes_sent, messages_sent : int
    """

    def __init__(
        self, versions: tuple[int, int], on_frames: FramesHandler, on_lost: Callable[[str], None]
    ) -> None:
        self._versions = versions
        self._on_frames = on_frames
        self._on_lost = on_lost
        self._rest = b""
        self._transport: Any = None
        self._greeted = False
        self._closing = False
        self.greeting: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()
        self.bytes_sent = 0
        self.messages_sent = 0

    @property
    def is_open(self) -> bool:
        """Whether the connection stands and nothing that was sent is stuck in it."""
        return self._transport is not None and not self._transport.get_write_buffer_size()

    def send(self, message: str) -> None:
        """Send one message, whose fields end in NUL, before this call returns.

        Raises
        ------
        BrokerError
            If it cannot be sent now. What had gone of it is no whole message, and no more of it
            will follow.
        """
        payload = message.encode("ascii", "backslashreplace")
        self._write(_LENGTH.pack(len(payload)) + payload)
        self.messages_sent += 1

    def _write(self, data: bytes) -> None:
        if not self.is_open:
            raise BrokerError("the connection to the gateway is closed: nothing was sent")
        self._transport.write(data)
        if self._transport is None or self._transport.get_write_buffer_size():
            self.abort("the gateway takes nothing in: the message was withdrawn")
            raise BrokerError("the gateway takes nothing in: nothing was sent, reconnecting")
        self.bytes_sent += len(data)

    def abort(self, reason: str) -> None:
        """Tear the connection down, dropping what was not sent; `on_lost` hears of it later."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()
            asyncio.get_running_loop().call_soon(self._end, reason)

    def close(self) -> None:
        """Close the connection without a word to anybody."""
        self._closing = True
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()
        if not self.greeting.done():
            self.greeting.cancel()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Offer the versions."""
        self._transport = transport
        offer = b"v%d..%d" % self._versions
        self._write(b"API\0" + _LENGTH.pack(len(offer)) + offer)

    def data_received(self, data: bytes) -> None:
        """Cut frames out of what arrived."""
        if self._transport is None:
            return
        if self._rest:
            data = self._rest + data
        if not self._greeted:
            data = self._greet(data)
            if not self._greeted:
                self._rest = data
                return
        end = len(data)
        start = 0
        frames = []
        while end - start >= 4:
            (size,) = _LENGTH.unpack_from(data, start)
            stop = start + 4 + size
            if stop > end:
                if size > MAX_FRAME:
                    self.abort(f"the gateway announced a message of {size} bytes: out of step")
                    return
                break
            frames.append(data[start + 4 : stop - 1].decode("utf-8", "replace").split("\0"))
            start = stop
        self._rest = data[start:]
        if frames:
            self._on_frames(frames)

    def _greet(self, data: bytes) -> bytes:
        if len(data) < 4:
            return data
        (size,) = _LENGTH.unpack_from(data)
        if size > _MAX_GREETING:
            return self._refuse(data)
        if len(data) < 4 + size:
            return data
        fields = data[4 : 4 + size].decode("utf-8", "replace").split("\0")
        if len(fields) != 3 or not fields[0].isdecimal():
            return self._refuse(data)
        self._greeted = True
        if not self.greeting.done():
            self.greeting.set_result((int(fields[0]), fields[1]))
        return data[4 + size :]

    def _refuse(self, data: bytes) -> bytes:
        self.abort(
            f"what listens there does not speak the protocol of TWS, it answered {data[:24]!r}: "
            "check the port (TWS 7496, 7497; IB Gateway 4001, 4002)"
        )
        return b""

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that the other side is gone."""
        if self._transport is None:
            return
        self._transport = None
        self._end(f"connection lost: {exc}" if exc else "the gateway closed the connection")

    def _end(self, reason: str) -> None:
        if not self.greeting.done():
            self.greeting.set_exception(BrokerError(reason))
        elif not self._closing:
            self._on_lost(reason)


async def open_socket(
    host: str,
    port: int,
    versions: tuple[int, int],
    on_frames: FramesHandler,
    on_lost: Callable[[str], None],
    timeout: float,
) -> tuple[GatewaySocket, int, str]:
    """Connect and exchange greetings.

    Returns
    -------
    socket : GatewaySocket
    version : int
        Agreed version of the protocol.
    time : str
        Of the gateway, as it spells it.

    Raises
    ------
    BrokerError
        If nothing listens there, nothing answers, something else does, or it is too old.
    """
    where = f"{host}:{port}"
    loop = asyncio.get_running_loop()
    if not isinstance(loop, asyncio.SelectorEventLoop):
        raise BrokerError(
            f"{type(loop).__name__} queues what is sent: run the program in the loop of "
            "mia.core.ibkr.backend.new_event_loop()"
        )
    try:
        async with asyncio.timeout(timeout):
            _, socket = await loop.create_connection(
                lambda: GatewaySocket(versions, on_frames, on_lost), host, port
            )
    except TimeoutError:
        raise BrokerError(
            f"{where} did not answer within {timeout:g} s: check host and firewall"
        ) from None
    except socket_module.gaierror:
        raise BrokerError(f"host {host!r} is unknown: correct the address") from None
    except OSError as error:
        raise BrokerError(
            f"nothing listens at {where} ({error.strerror or error}): start TWS or IB Gateway "
            "and enable its API on this port"
        ) from None
    try:
        async with asyncio.timeout(timeout):
            version, time = await socket.greeting
    except TimeoutError:
        socket.close()
        raise BrokerError(
            f"{where} took the connection but did not greet within {timeout:g} s: it hangs, or "
            "is no TWS"
        ) from None
    except BrokerError as error:
        raise BrokerError(f"{where}: {error}") from None
    except BaseException:
        socket.close()
        raise
    if version < versions[0]:
        socket.close()
        raise BrokerError(
            f"{where} speaks version {version} of the protocol, at least {versions[0]} is "
            "needed: update TWS"
        )
    return socket, version, time
