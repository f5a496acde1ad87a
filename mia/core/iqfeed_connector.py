"""Live trades and quotes of IQFeed, through IQConnect on this machine."""

import asyncio
from collections.abc import AsyncIterator, Mapping

import numpy as np

from mia.core.iqfeed.level1 import UPDATE_FIELDS, Level1Counts, Level1Decoder, Level1Quote
from mia.core.iqfeed.line_socket import IQFeedSocket
from mia.core.market_feed import (
    FeedNotice,
    FeedNoticeKind,
    Notify,
    ReceivedTrades,
    ignore_notices,
)
from mia.core.protocols import Clock
from mia.errors import DataError

LEVEL1_PORT = 5009
HALF_HOUR_NS = 1_800_000_000_000


class IQFeedConnector:
    """Watches symbols, and watches them again after every loss of the connection.

    What was traded while there was no connection does not come later: a notice of a gap gives
    the span, which `IQFeedHistory` can fill.

    Parameters
    ----------
    contracts : mapping of str to str
        Contract by symbol, as ``{"@ESZ25": "ESZ25"}``.
    clock : Clock
        Gives the time of receipt.
    host, port
        Where IQConnect listens.
    silence_s : float
        After so long without a line the connection counts as dead; IQConnect sends the time
        every second.
    retry_s : (float, float)
        First and longest pause between attempts to connect.
    notify : callable
        Told about the state of the link, gaps and lines that could not be read.
    """

    def __init__(
        self,
        contracts: Mapping[str, str],
        clock: Clock,
        *,
        host: str = "127.0.0.1",
        port: int = LEVEL1_PORT,
        silence_s: float = 10.0,
        retry_s: tuple[float, float] = (0.5, 8.0),
        notify: Notify = ignore_notices,
    ) -> None:
        self._symbols = tuple(contracts)
        self._decoder = Level1Decoder({s.encode(): name for s, name in contracts.items()})
        self._clock = clock
        self._host, self._port = host, port
        self._silence_s = silence_s
        self._retry_s = retry_s
        self._pause_s = retry_s[0]
        self._notify = notify
        self._socket: IQFeedSocket | None = None
        self._closed = False
        self._down_since: int | None = None
        self._server_down = False

    def quote(self, contract: str) -> Level1Quote | None:
        """Return the newest quote, None before the first."""
        return self._decoder.quotes.get(contract)

    def counts(self, contract: str) -> Level1Counts:
        """Return what became of the updates of a contract."""
        return self._decoder.counts[contract]

    async def __aiter__(self) -> AsyncIterator[ReceivedTrades]:
        """Yield trades as they come, until `close`.

        Raises
        ------
        DataError
            If IQConnect does not know a symbol or does not speak the protocol.
        FormatError
            If it does not send the fields that are needed.
        """
        while True:
            try:
                async for batch in self._session():
                    yield batch
            except OSError as error:
                if self._closed:
                    return
                self._lost(f"IQConnect: {str(error) or 'no answer in time'}")
            finally:
                self._hang_up()
            if self._closed:
                return
            await asyncio.sleep(self._pause_s)
            self._pause_s = min(self._retry_s[1], 2.0 * self._pause_s)

    def close(self) -> None:
        """Close the connection and end the iteration."""
        self._closed = True
        self._hang_up()

    def _hang_up(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    async def _session(self) -> AsyncIterator[ReceivedTrades]:
        self._server_down = False
        socket = self._socket = await IQFeedSocket.connect(self._host, self._port)
        await socket.send("S,SELECT UPDATE FIELDS," + ",".join(UPDATE_FIELDS))
        watched = False
        while not self._closed:
            async with asyncio.timeout(self._silence_s):
                lines = await socket.lines()
            ts_recv = self._clock.now()
            self._take(lines, ts_recv)
            if not watched and self._decoder.ready:
                watched, self._pause_s = True, self._retry_s[0]
                for symbol in self._symbols:
                    await socket.send(f"w{symbol}")
                self._found("watching " + ", ".join(self._symbols))
            for block in self._decoder.take():
                yield ReceivedTrades(block, np.zeros(len(block), np.int32), ts_recv)

    def _take(self, lines: list[bytes], ts_recv: int) -> None:
        refused, example = 0, ""
        for line in lines:
            kind = line[:2]
            if kind in {b"Q,", b"P,"}:
                try:
                    self._decoder.update(line, ts_recv - HALF_HOUR_NS)
                except ValueError as error:
                    refused, example = refused + 1, str(error)
            elif kind == b"S,":
                self._system(line.decode("ascii", "replace").rstrip(",").split(","))
            elif kind == b"n,":
                symbol = line[2:].decode("ascii", "replace").strip(",")
                raise DataError(f"IQFeed does not know the symbol {symbol}")
            elif kind == b"E,":
                text = line[2:].decode("ascii", "replace").strip(",")
                self._notify(FeedNotice(FeedNoticeKind.REFUSED, f"IQConnect: {text}"))
        if refused:
            text = f"IQFeed: refused {refused} lines, such as: {example}"
            self._notify(FeedNotice(FeedNoticeKind.REFUSED, text))

    def _system(self, parts: list[str]) -> None:
        if parts[1] == "CURRENT UPDATE FIELDNAMES":
            self._decoder.set_fields(parts[2:])
        elif parts[1] in {"SERVER DISCONNECTED", "SERVER RECONNECT FAILED"}:
            self._server_down = True
            self._lost("IQConnect has no link to its server")
        elif parts[1] == "SERVER CONNECTED" and self._server_down:
            self._server_down = False
            self._found("IQConnect has its link to the server again")

    def _lost(self, text: str) -> None:
        if self._down_since is None:
            self._down_since = self._clock.now()
            self._notify(FeedNotice(FeedNoticeKind.LINK_DOWN, text))

    def _found(self, text: str) -> None:
        self._notify(FeedNotice(FeedNoticeKind.LINK_UP, text))
        if self._down_since is None:
            return
        self._down_since = None
        now = self._clock.now()
        for contract, last in self._decoder.last_trade.items():
            gap = f"{contract}: trades while the link was down did not come"
            self._notify(FeedNotice(FeedNoticeKind.GAP, gap, last, now))
