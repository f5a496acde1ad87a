"""Market depth of IQFeed by price or by order, through IQConnect's depth port.

Written to the description that client libraries give of protocol 6.2; no recording of the depth
port was at hand.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping

from mia.core.iqfeed.eastern_time import EasternTime
from mia.core.iqfeed.line_socket import IQFeedSocket
from mia.core.iqfeed.messages import Ticks, whole
from mia.core.market_feed import FeedNotice, FeedNoticeKind, Notify, ignore_notices
from mia.core.protocols import Clock
from mia.errors import DataError

DEPTH_PORT = 9200
HALF_HOUR_NS = 1_800_000_000_000
ORDER_SET = {b"3", b"4", b"6"}
LEVEL_SET = {b"7", b"8"}
MOST_ID = 10**18


class IQFeedBook:
    """Levels of one contract, by price or summed from orders.

    Attributes
    ----------
    bids, asks : dict of int to (int, int)
        Contracts and number of orders by price in ticks.
    valid : bool
        Whether the book follows from a summary without a hole.
    ts_event : int
        Of the newest change, ns UTC.
    missing_deletes : int
        Orders and levels that were to be deleted and were not there.
    """

    def __init__(self) -> None:
        self.bids: dict[int, tuple[int, int]] = {}
        self.asks: dict[int, tuple[int, int]] = {}
        self.valid = False
        self.ts_event = 0
        self.missing_deletes = 0
        self._orders: dict[int, tuple[bool, int, int]] = {}

    def reset(self) -> None:
        """Forget everything and wait for a summary."""
        self.bids.clear()
        self.asks.clear()
        self._orders.clear()
        self.valid = False

    def set_level(self, bid: bool, price: int, size: int, orders: int) -> None:
        """Set a level; without size it is removed."""
        levels = self.bids if bid else self.asks
        if size:
            levels[price] = size, orders
        else:
            self.delete_level(bid, price)

    def delete_level(self, bid: bool, price: int) -> None:
        """Remove a level."""
        if (self.bids if bid else self.asks).pop(price, None) is None:
            self.missing_deletes += 1

    def set_order(self, number: int, bid: bool, price: int, size: int) -> None:
        """Add an order or change it."""
        self._leave(number)
        self._orders[number] = bid, price, size
        levels = self.bids if bid else self.asks
        there, orders = levels.get(price, (0, 0))
        levels[price] = there + size, orders + 1

    def delete_order(self, number: int) -> None:
        """Remove an order."""
        if not self._leave(number):
            self.missing_deletes += 1

    def _leave(self, number: int) -> bool:
        order = self._orders.pop(number, None)
        if order is None:
            return False
        bid, price, size = order
        levels = self.bids if bid else self.asks
        there, orders = levels[price]
        if orders == 1:
            del levels[price]
        else:
            levels[price] = there - size, orders - 1
        return True


class DepthDecoder:
    """Applies depth messages to the books of the watched symbols."""

    def __init__(self, contracts: Mapping[str, str]) -> None:
        self.books = {contract: IQFeedBook() for contract in contracts.values()}
        self._contracts = {symbol.encode(): name for symbol, name in contracts.items()}
        self._eastern = EasternTime()
        self._ticks = Ticks()

    def apply(self, line: bytes, not_before: int) -> str | None:
        """Apply a line; return the contract whose book it changed, None if it is of no depth.

        Raises
        ------
        ValueError
            If it cannot be read. The book of its symbol is then not valid any more.
        """
        parts = line.split(b",")
        contract = self._contracts.get(parts[1]) if len(parts) > 1 else None
        if contract is None or parts[0] not in {b"3", b"4", b"5", b"6", b"7", b"8", b"9"}:
            return None
        book = self.books[contract]
        try:
            self._change(book, parts, not_before)
        except (ValueError, IndexError):
            book.valid = False
            raise ValueError(f"{line[:120]!r} is no depth message") from None
        return contract

    def _change(self, book: IQFeedBook, parts: list[bytes], not_before: int) -> None:
        kind = parts[0]
        if kind in LEVEL_SET:
            _, _, side, price, size, orders, _, time, day = parts[:9]
            bid, ticks = _is_bid(side), self._ticks.of(price)
            lots, number = whole(size), whole(orders)
            ts = self._eastern.ns(day, time, not_before)
            book.set_level(bid, ticks, lots, number)
        elif kind == b"9":
            _, _, side, price, time, day = parts[:6]
            bid, ticks = _is_bid(side), self._ticks.of(price)
            ts = self._eastern.ns(day, time, not_before)
            book.delete_level(bid, ticks)
        elif kind in ORDER_SET:
            _, _, order, _, side, price, size, _, _, time, day = parts[:11]
            bid, ticks = _is_bid(side), self._ticks.of(price)
            number, lots = whole(order, MOST_ID), whole(size)
            ts = self._eastern.ns(day, time, not_before)
            if lots:
                book.set_order(number, bid, ticks, lots)
            else:
                book.delete_order(number)
        else:
            _, _, order, _, side, time, day = parts[:7]
            _is_bid(side)
            number = whole(order, MOST_ID)
            ts = self._eastern.ns(day, time, not_before)
            book.delete_order(number)
        book.ts_event = ts
        if kind in {b"6", b"7"}:
            book.valid = True


def _is_bid(side: bytes) -> bool:
    if side not in {b"A", b"B"}:
        raise ValueError(f"{side!r} is no side")
    return side == b"B"


class IQFeedDepth:
    """Watches the depth of symbols, and watches again after every loss of the connection.

    Parameters
    ----------
    contracts : mapping of str to str
        Contract by symbol, as ``{"@ESZ25": "ESZ25"}``.
    clock : Clock
        Tells in which of two equal hours a time lies.
    by_order : bool
        Whether single orders are asked for (``WOR``) rather than levels (``WPL``).
    host, port, silence_s, retry_s, notify
        As of `IQFeedConnector`.

    Attributes
    ----------
    books : dict of str to IQFeedBook
        By contract.
    """

    def __init__(
        self,
        contracts: Mapping[str, str],
        clock: Clock,
        *,
        by_order: bool = False,
        host: str = "127.0.0.1",
        port: int = DEPTH_PORT,
        silence_s: float = 10.0,
        retry_s: tuple[float, float] = (0.5, 8.0),
        notify: Notify = ignore_notices,
    ) -> None:
        self._symbols = tuple(contracts)
        self._decoder = DepthDecoder(contracts)
        self.books = self._decoder.books
        self._clock = clock
        self._command = "WOR" if by_order else "WPL"
        self._host, self._port = host, port
        self._silence_s = silence_s
        self._retry_s = retry_s
        self._notify = notify
        self._socket: IQFeedSocket | None = None
        self._closed = False

    async def __aiter__(self) -> AsyncIterator[set[str]]:
        """Yield the contracts whose books changed, after each piece that was received.

        Raises
        ------
        DataError
            If IQConnect does not know a symbol or does not speak the protocol.
        """
        first, longest = self._retry_s
        pause = first
        while not self._closed:
            try:
                async for changed in self._session():
                    pause = first
                    yield changed
            except OSError as error:
                if not self._closed:
                    text = f"IQConnect: {str(error) or 'no answer in time'}"
                    self._notify(FeedNotice(FeedNoticeKind.LINK_DOWN, text))
            finally:
                self._reset()
            if not self._closed:
                await asyncio.sleep(pause)
                pause = min(longest, 2.0 * pause)

    def close(self) -> None:
        """Close the connection and end the iteration."""
        self._closed = True
        if self._socket is not None:
            self._socket.close()

    def _reset(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        for book in self.books.values():
            book.reset()

    async def _watch(self, socket: IQFeedSocket) -> None:
        for symbol in self._symbols:
            await socket.send(f"{self._command},{symbol}")

    async def _session(self) -> AsyncIterator[set[str]]:
        socket = self._socket = await IQFeedSocket.connect(self._host, self._port)
        await self._watch(socket)
        self._notify(FeedNotice(FeedNoticeKind.LINK_UP, "watching depth"))
        while not self._closed:
            async with asyncio.timeout(self._silence_s):
                lines = await socket.lines()
            not_before = self._clock.now() - HALF_HOUR_NS
            changed: set[str] = set()
            for line in lines:
                if line[:2] == b"S,":
                    await self._system(socket, line)
                    continue
                if line[:2] == b"n,":
                    symbol = line[2:].decode("ascii", "replace").strip(",")
                    raise DataError(f"IQFeed does not know the symbol {symbol}, or has no depth")
                try:
                    contract = self._decoder.apply(line, not_before)
                except ValueError as error:
                    self._notify(FeedNotice(FeedNoticeKind.REFUSED, f"IQFeed: {error}"))
                    continue
                if contract is not None:
                    changed.add(contract)
            if changed:
                yield changed

    async def _system(self, socket: IQFeedSocket, line: bytes) -> None:
        word = line.decode("ascii", "replace").split(",")[1]
        if word in {"SERVER DISCONNECTED", "SERVER RECONNECT FAILED"}:
            for book in self.books.values():
                book.reset()
            self._notify(
                FeedNotice(FeedNoticeKind.LINK_DOWN, "IQConnect has no link to its server")
            )
        elif word == "SERVER CONNECTED" and not any(book.valid for book in self.books.values()):
            await self._watch(socket)
