"""Subscriptions of one connection: opened, watched, and opened again when they are lost."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from mia.core.broker_types import MarketListener, Notice
from mia.core.ibkr.backend import Backend
from mia.core.ibkr.contracts import INDEX_EXCHANGE, FutureContract
from mia.core.ibkr.messages import TICK_SIZES, to_int
from mia.core.ibkr.session import Session
from mia.core.ibkr.streams import LIVE, DepthBook, Stream, TickReader
from mia.errors import BrokerError

TICK_BY_TICK_LIMIT = 10190
DEPTH_RESET = 317
NOT_ERRORS = {300, 310, 399, 2100, 10090, 10167, 10182, 10197}
_GRACE = 15.0
_MOST_GRACE = 240.0


class MarketData:
    """What one connection is subscribed to.

    Parameters
    ----------
    session : Session
    backend : Backend
    market : MarketListener
    now : callable
        Time of receipt, ns UTC.
    market_open : callable
        Whether ticks are to be expected; silence means nothing while it says no.
    """

    def __init__(
        self,
        session: Session,
        backend: Backend,
        market: MarketListener,
        now: Callable[[], int],
        market_open: Callable[[], bool],
    ) -> None:
        self._session = session
        self._backend = backend
        self._market = market
        self._market_open = market_open
        self.reader = TickReader(market, now)
        self._streams: dict[str, Stream] = {}
        self._by_key: dict[str, Stream] = {}
        self._waiting: deque[Stream] = deque()
        self._books: dict[str, DepthBook] = {}
        self._firsts: dict[str, asyncio.Future[None]] = {}
        self._ticks = 0
        for message in (99, 1, 2, 21, 45, 46, 58, 12, 13):
            session.handle(message, None, self._tick if message == 99 else self._other)

    @property
    def keys(self) -> tuple[str, ...]:
        """What is subscribed, in words."""
        return tuple(self._by_key)

    @property
    def is_live(self) -> bool:
        """Whether nothing that trading needs was answered with frozen or delayed data."""
        return all(
            stream.data_type == LIVE for stream in self._by_key.values() if stream.refused is None
        )

    async def subscribe_ticks(
        self, contract: FutureContract, kind: str, *, confirm: float = 2.0
    ) -> None:
        """Subscribe to ``AllLast`` or ``BidAsk`` ticks; see `IbkrConnector`."""
        wire = self._wire_contract(contract)
        client = self._session.client
        take = self.reader.trade if kind == "AllLast" else self.reader.quote
        words = "trades" if kind == "AllLast" else "quotes"
        await self._subscribe(
            Stream(
                key=f"{words} of {contract.name}",
                name=contract.name,
                open=lambda number: client.reqTickByTickData(number, wire, kind, 0, False),
                close=client.cancelTickByTickData,
                take=take,
                tick_by_tick=True,
                scale=1.0 / contract.min_tick,
            ),
            confirm,
        )

    async def subscribe_index(
        self, symbol: str, *, require_live: bool = True, confirm: float = 2.0
    ) -> None:
        """Subscribe to the level of an index; see `IbkrConnector`."""
        wire = self._backend.contract(
            symbol=symbol, secType="IND", exchange=INDEX_EXCHANGE, currency="USD"
        )
        client = self._session.client
        stream = Stream(
            key=f"index {symbol}",
            name=symbol,
            open=lambda number: client.reqMktData(number, wire, "", False, False, []),
            close=client.cancelMktData,
            take=self.reader.index,
            live_only=require_live,
        )
        await self._subscribe(stream, confirm)
        if require_live and stream.data_type != LIVE:
            await self.unsubscribe(stream.key)
            raise BrokerError(
                f"{stream.key}: the gateway sends data of type {stream.data_type} (2 frozen, 3 "
                "delayed) instead of live: subscribe to it at the broker"
            )

    async def data_type(self, contract: FutureContract, confirm: float = 2.0) -> int:
        """Return the type of the data of a contract; see `IbkrConnector`."""
        wire = self._wire_contract(contract)
        client = self._session.client
        stream = Stream(
            key=f"level 1 of {contract.name}",
            name=contract.name,
            open=lambda number: client.reqMktData(number, wire, "", False, False, []),
            close=client.cancelMktData,
            take=lambda stream, fields: None,
            live_only=True,
        )
        await self._subscribe(stream, confirm)
        await self.unsubscribe(stream.key)
        return stream.data_type

    async def subscribe_depth(
        self,
        contract: FutureContract,
        rows: int,
        on_depth: Callable[[DepthBook], None],
        *,
        confirm: float = 0.0,
        refused: Callable[[str], None] | None = None,
    ) -> None:
        """Subscribe to the book; see `IbkrConnector`."""
        wire = self._wire_contract(contract)
        client = self._session.client
        book = DepthBook(contract.name)
        stream = Stream(
            key=f"depth of {contract.name}",
            name=f"depth of {contract.name}",
            open=lambda number: client.reqMktDepth(number, wire, rows, False, []),
            close=lambda number: client.cancelMktDepth(number, False),
            take=lambda stream, fields: self._depth(stream, fields, book, on_depth),
            scale=1.0 / contract.min_tick,
            refused=refused,
        )
        self._books[stream.key] = book
        await self._subscribe(stream, confirm)

    async def unsubscribe(self, key: str) -> None:
        """Close a subscription by its words, as in ``trades of ESZ25``."""
        stream = self._by_key.pop(key, None)
        self._books.pop(key, None)
        if stream is None:
            raise BrokerError(f"nothing is subscribed as {key!r}: {', '.join(self._by_key)}")
        if stream.request_id:
            await self._session.ready()
            self._close(stream)

    def _wire_contract(self, contract: FutureContract) -> Any:
        if contract.symbol not in TICK_SIZES:
            raise BrokerError(f"the tick of {contract.symbol} is not known")
        return self._backend.contract(
            conId=contract.con_id,
            symbol=contract.symbol,
            secType="FUT",
            exchange=contract.exchange,
            currency=contract.currency,
        )

    async def _subscribe(self, stream: Stream, confirm: float) -> None:
        if stream.key in self._by_key:
            raise BrokerError(f"{stream.key} is subscribed already")
        await self._session.ready()
        self._by_key[stream.key] = stream
        first = asyncio.get_running_loop().create_future()
        self._firsts[stream.key] = first
        try:
            self._open(stream)
            if confirm and not self._session.endpoint.lockstep:
                async with asyncio.timeout(confirm):
                    await first
        except TimeoutError:
            return
        except BrokerError:
            self._by_key.pop(stream.key, None)
            self._books.pop(stream.key, None)
            raise
        finally:
            del self._firsts[stream.key]

    def add(self, stream: Stream) -> None:
        """Open a subscription as soon as there is room for the message."""
        if self._by_key.setdefault(stream.key, stream) is stream:
            self._waiting.append(stream)
            self._pump(self._session.monotonic())

    def drop(self, key: str) -> None:
        """Close a subscription as soon as there is room for the message."""
        stream = self._by_key.pop(key, None)
        if stream is not None and stream.request_id:
            stream.retry_at = None
            self._waiting.append(stream)
            self._pump(self._session.monotonic())

    def _open(self, stream: Stream) -> None:
        book = self._books.get(stream.key)
        if book is not None:
            book.clear()
        stream.request_id = self._session.requests.new_id()
        stream.error = ""
        stream.requested_at = self._session.monotonic()
        self._streams[str(stream.request_id)] = stream
        stream.open(stream.request_id)

    def _close(self, stream: Stream) -> None:
        number, stream.request_id = stream.request_id, 0
        self._streams.pop(str(number), None)
        stream.close(number)

    def reopen(self, *, new_socket: bool) -> None:
        """Open every subscription again: at a new socket, or after the broker dropped them."""
        self._waiting.clear()
        if new_socket:
            self._streams.clear()
            for stream in self._by_key.values():
                stream.request_id = 0
        self._waiting.extend(self._by_key.values())
        self._pump(self._session.monotonic())

    def expect(self) -> None:
        """Watch for ticks of every subscription, and open again those that stay silent."""
        now = self._session.monotonic()
        for stream in self._by_key.values():
            stream.seen = stream.ticks
            stream.grace = _GRACE
            stream.retry_at = now + _GRACE

    def beat(self, now: float) -> None:
        """Look at the clock a few times a second."""
        total = sum(stream.ticks for stream in self._by_key.values())
        if total != self._ticks:
            self._ticks = total
            self._session.link.ticked(now)
        for stream in self._by_key.values():
            if stream.retry_at is None:
                continue
            if stream.ticks != stream.seen and not stream.error:
                stream.retry_at = None
            elif now >= stream.retry_at and self._market_open():
                stream.grace = min(2.0 * max(stream.grace, _GRACE), _MOST_GRACE)
                stream.retry_at = now + stream.grace
                if stream not in self._waiting:
                    self._waiting.append(stream)
        self._pump(now)

    def _pump(self, now: float) -> None:
        endpoint = self._session.endpoint
        every = 0.0 if endpoint.lockstep else endpoint.tick_by_tick_every
        for _ in range(len(self._waiting)):
            if not self._session.can_send():
                return
            stream = self._waiting.popleft()
            wanted = self._by_key.get(stream.key) is stream
            if wanted and stream.tick_by_tick and now - stream.requested_at < every:
                self._waiting.append(stream)
                continue
            if stream.request_id:
                self._close(stream)
            if wanted and self._session.can_send():
                self._open(stream)
            elif wanted:
                self._waiting.appendleft(stream)

    def take_notice(self, notice: Notice) -> bool:
        """Take a notice about a subscription; return whether it was about one."""
        stream = self._streams.get(str(notice.request_id))
        if stream is None:
            return False
        if notice.code == DEPTH_RESET:
            book = self._books.get(stream.key)
            if book is not None:
                book.clear()
            return True
        if notice.code in NOT_ERRORS:
            return True
        stream.error = f"{notice.code}: {notice.text}"
        self._streams.pop(str(notice.request_id))
        stream.request_id = 0
        first = self._firsts.get(stream.key)
        if notice.code == TICK_BY_TICK_LIMIT:
            stream.seen = stream.ticks
            stream.grace = max(self._session.endpoint.tick_by_tick_every, 1.0)
            stream.retry_at = self._session.monotonic() + stream.grace
        elif first is not None and not first.done():
            first.set_exception(BrokerError(f"{stream.key}: the gateway refused, {stream.error}"))
        elif stream.refused is not None:
            stream.refused(stream.error)
        else:
            self._market.on_bad_tick(stream.name, f"{stream.key} ended, {stream.error}")
        return True

    def _tick(self, fields: Sequence[str]) -> None:
        stream = self._streams.get(fields[1])
        if stream is None:
            return
        stream.ticks += 1
        stream.take(stream, fields)
        if self._firsts:
            self._confirm(stream)

    def _other(self, fields: Sequence[str]) -> None:
        kind = fields[0]
        stream = self._streams.get(fields[1] if kind == "21" else fields[2])
        if stream is None:
            return
        if kind == "58":
            stream.data_type = int(fields[3]) if fields[3].isdecimal() else 0
        else:
            stream.ticks += 1
            stream.take(stream, fields)
        self._confirm(stream)

    def _confirm(self, stream: Stream) -> None:
        first = self._firsts.get(stream.key)
        if first is not None and not first.done():
            first.set_result(None)

    def _depth(
        self,
        stream: Stream,
        fields: Sequence[str],
        book: DepthBook,
        on_depth: Callable[[DepthBook], None],
    ) -> None:
        try:
            position = int(fields[3])
            # Message 13 names the exchange of the level before the operation.
            rest = fields[4:8] if fields[0] == "12" else fields[5:9]
            operation, side = int(rest[0]), int(rest[1])
            price = float(rest[2]) * stream.scale
            ticks = int(price)
            size = to_int(rest[3])
        except (ValueError, OverflowError, IndexError) as error:
            self._market.on_bad_tick(stream.name, f"{error} in {','.join(fields)}")
            book.valid = False
        else:
            if operation != 2 and (ticks != price or ticks < 1 or size < 0):
                self._market.on_bad_tick(stream.name, f"depth off grid in {','.join(fields)}")
                book.valid = False
            else:
                book.change(position, operation, side, ticks, size)
        if not book.valid and stream not in self._waiting:
            self._waiting.append(stream)
        on_depth(book)
