"""A socket to IQConnect: protocol first, then lines."""

import asyncio

from mia.core.iqfeed.messages import PROTOCOL, LineBuffer
from mia.errors import DataError

READ_BYTES = 1 << 16
CONNECT_S = 5.0


class IQFeedSocket:
    """One connection, on which the protocol is set before anything else.

    Use `connect`.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._buffer = LineBuffer()
        self._ahead: list[bytes] = []

    @classmethod
    async def connect(cls, host: str, port: int) -> "IQFeedSocket":
        """Connect and agree on the protocol.

        Raises
        ------
        OSError
            If nobody listens, or not in time.
        DataError
            If IQConnect does not speak the protocol.
        """
        async with asyncio.timeout(CONNECT_S):
            socket = cls(*await asyncio.open_connection(host, port))
            try:
                await socket._agree(port)
            except BaseException:
                socket.close()
                raise
        return socket

    async def _agree(self, port: int) -> None:
        await self.send(f"S,SET PROTOCOL,{PROTOCOL}")
        while True:
            lines = await self.lines()
            for i, line in enumerate(lines):
                if line.startswith(b"S,CURRENT PROTOCOL,"):
                    version = line.split(b",")[2].decode("ascii", "replace")
                    if version != PROTOCOL:
                        raise DataError(
                            f"IQConnect on port {port} speaks protocol {version}, not {PROTOCOL}: "
                            "update the IQFeed client"
                        )
                    self._ahead = lines[i + 1 :]
                    return
                if line.startswith(b"E,"):
                    text = line.decode("ascii", "replace")
                    raise DataError(f"IQConnect on port {port} refuses protocol {PROTOCOL}: {text}")

    async def send(self, command: str) -> None:
        """Send one command.

        Raises
        ------
        OSError
            If the connection is gone.
        """
        self._writer.write(command.encode("ascii") + b"\r\n")
        await self._writer.drain()

    async def lines(self) -> list[bytes]:
        """Return the next lines, at least one.

        Raises
        ------
        OSError
            If the connection ends.
        FormatError
            If a line is too long.
        """
        if self._ahead:
            lines, self._ahead = self._ahead, []
            return lines
        while True:
            data = await self._reader.read(READ_BYTES)
            if not data:
                raise ConnectionResetError("IQConnect closed the connection")
            if lines := self._buffer.feed(data):
                return lines

    def close(self) -> None:
        """Close the connection."""
        self._writer.close()
