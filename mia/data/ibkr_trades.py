"""Trades from Interactive Brokers as a feed: checked, with the side inferred, in whole seconds."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import numpy as np

from mia.config.instruments import INSTRUMENTS, TICK
from mia.core import sessions
from mia.core.broker_types import LinkState
from mia.core.ibkr.contracts import FutureContract
from mia.core.ibkr.history import HistoricalTrades
from mia.core.ibkr_connector import Endpoint, IbkrConnector
from mia.core.market_feed import (
    FeedNotice,
    FeedNoticeKind,
    Notify,
    ReceivedTrades,
    ignore_notices,
)
from mia.data.contracts import is_contract, parse_contract
from mia.data.live_ticks import TickGate
from mia.data.tick_verdicts import Refusal
from mia.errors import BrokerError

_SECOND = 1_000_000_000
_TAKE_S = 0.05
_ASK_TIME_S = 0.5
_AHEAD_NS = 60 * _SECOND


class GatewayClock:
    """The gateway's time as it last told it, gone on since; the computer's before that."""

    def __init__(self) -> None:
        self._told = time.time_ns()
        self._at = time.monotonic_ns()

    def hear(self, ts: int) -> None:
        """Take what the gateway says, ns UTC."""
        self._told, self._at = ts, time.monotonic_ns()

    def now(self) -> int:
        """Return the time, ns UTC."""
        return self._told + time.monotonic_ns() - self._at


class IbkrTrades:
    """Trades of the front contract of a root, or of one contract, over a connection of its own.

    What was traded while the connection was lost does not come later: notices tell of the loss.

    Parameters
    ----------
    endpoint : Endpoint
        With a client id that nobody else uses.
    symbol : str
        As in ``ES`` or ``ESZ25``.
    clock : GatewayClock
    roll_days : int
        Calendar days before its last trade in which a contract is left.
    backend : str
        Client library.
    notify : callable
        Told about the state of the link, and of ticks that were refused.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        symbol: str,
        clock: GatewayClock,
        *,
        roll_days: int = 3,
        backend: str = "ib_insync",
        notify: Notify = ignore_notices,
    ) -> None:
        self._symbol, self._clock = symbol, clock
        self._roll_days, self._notify = roll_days, notify
        self._connector = IbkrConnector(endpoint, market=self, backend=backend, clock=clock.now)
        self._root = parse_contract(symbol).root if is_contract(symbol) else symbol
        highest = round(INSTRUMENTS[self._root].price_scale_max / TICK)
        self.gate = TickGate(clock, _pass_over, symbol, highest, ahead_ns=_AHEAD_NS)
        self._contract: FutureContract | None = None
        self._was_ready = False
        self._closed = False

    @property
    def contract(self) -> str:
        """Name of the contract whose trades come; empty before it is known."""
        return "" if self._contract is None else self._contract.name

    async def __aiter__(self) -> AsyncIterator[ReceivedTrades]:
        """Yield trades as they come, until `close`.

        Raises
        ------
        BrokerError
            If the gateway cannot be reached or refuses.
        """
        connector = self._connector
        ended: asyncio.Task[None] | None = None
        try:
            await connector.connect()
            ended = asyncio.create_task(connector.wait_closed())
            connector.request_server_time()
            await asyncio.sleep(_TAKE_S)
            await self._follow(await self._front())
            session = sessions.session_id(self._clock.now())
            asked = time.monotonic()
            while not self._closed:
                if ended.done():
                    ended.result()
                    raise BrokerError("the gateway closed the connection for good")
                if time.monotonic() - asked > _ASK_TIME_S:
                    asked = time.monotonic()
                    connector.request_server_time()
                block = self.gate.take()
                if block is not None:
                    yield ReceivedTrades(block, np.zeros(len(block), np.int32), self._clock.now())
                    continue
                now = sessions.session_id(self._clock.now())
                if now != session:
                    session = now
                    await self._roll()
                await asyncio.sleep(_TAKE_S)
        finally:
            if ended is not None:
                ended.cancel()
            await connector.disconnect()

    async def history(self, contract: str, start: int, end: int) -> HistoricalTrades:
        """Return the trades of a contract in [start, end), ns UTC, over the same connection.

        Raises
        ------
        BrokerError
            If the gateway refuses or does not answer.
        """
        known = self._contract
        if known is None or known.name != contract:
            known = await self._connector.resolve(contract)
        return await self._connector.historical_trades(known, start, end)

    def close(self) -> None:
        """End the iteration."""
        self._closed = True

    def on_trade(self, contract: str, ts: int, price: int, size: int, flags: int) -> None:
        """Take a trade of the wire."""
        if contract == self.gate.contract:
            self.gate.on_trade(ts, price, size, 0, flags)

    def on_quote(
        self, contract: str, ts: int, bid: int, ask: int, bid_size: int, ask_size: int
    ) -> None:
        """Take the best bid and ask."""
        if contract == self.gate.contract:
            self.gate.on_quote(ts, bid, ask)

    def on_bad_tick(self, contract: str, why: str) -> None:
        """Take note of a tick that the connection refused."""
        self.gate.on_bad_tick(self._clock.now(), Refusal.CONNECTOR)
        self._notify(FeedNotice(FeedNoticeKind.REFUSED, f"{contract}: {why}"))

    def on_server_time(self, ts: int) -> None:
        """Take the gateway's time."""
        self._clock.hear(ts)

    def on_index(self, symbol: str, ts: int, value: float) -> None:
        """Take the level of an index: none was asked for."""

    def on_link(self, state: LinkState, reason: str) -> None:
        """Tell of a connection that is lost or back."""
        if state is LinkState.READY:
            if self._was_ready:
                self._notify(FeedNotice(FeedNoticeKind.LINK_UP, "the connection is back"))
            self._was_ready = True
        elif self._was_ready and not self._closed:
            self.gate.lose_quote()
            text = f"{state.value.lower()}: {reason}" if reason else state.value.lower()
            self._notify(FeedNotice(FeedNoticeKind.LINK_DOWN, text))

    async def _front(self) -> FutureContract:
        if is_contract(self._symbol):
            return await self._connector.resolve(self._symbol)
        moment = self._clock.now()
        day = sessions.session_id(moment)
        if not sessions.is_trading_day(day):
            day = sessions.next_trading_day(day)
        today = datetime.strptime(str(day), "%Y%m%d").replace(tzinfo=UTC).date()
        return await self._connector.front_contract(self._root, today, last_days=self._roll_days)

    async def _follow(self, contract: FutureContract) -> None:
        self._contract = contract
        self.gate.start_contract(contract.name)
        await self._connector.subscribe_quotes(contract, 0.0)
        await self._connector.subscribe_trades(contract, 0.0)

    async def _roll(self) -> None:
        front, old = await self._front(), self._contract
        if old is None or front.name == old.name:
            return
        for words in ("quotes", "trades"):
            await self._connector.unsubscribe(f"{words} of {old.name}")
        self._notify(FeedNotice(FeedNoticeKind.ROLLED, f"from {old.name} to {front.name}"))
        if self.gate.take() is not None:
            self._notify(FeedNotice(FeedNoticeKind.REFUSED, f"late trades of {old.name}"))
        await self._follow(front)


def _pass_over(ts: int, good: bool) -> None:
    """Take a verdict on a tick; the gate counts refusals itself."""
