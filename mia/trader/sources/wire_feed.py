"""The broker's own trades as a second feed, beside one that does not come from the broker.

The data connection of the gateway tells the session the time, indices and its state; its trades and
quotes go another way here, through a gate of their own that infers who crossed the spread.
"""

import asyncio
import logging

import numpy as np

from mia.config.instruments import INSTRUMENTS, TICK
from mia.core.broker_types import LinkState
from mia.core.ibkr.contracts import FutureContract
from mia.core.ibkr_connector import IbkrConnector
from mia.core.market_feed import FeedNotice, FeedNoticeKind, ReceivedTrades
from mia.core.protocols import Clock
from mia.data.live_ticks import TickGate
from mia.errors import BrokerError
from mia.execution.clocks import MarketClock
from mia.execution.live.feed_pair import FeedTaker
from mia.execution.live.session import LiveSession

log = logging.getLogger(__name__)

_RETRY_S = 10.0
_AHEAD_NS = 60 * 10**9


class WireTap:
    """Listens to the data connection for a session, and for a `WireFeed` once there is one."""

    def __init__(self, session: LiveSession) -> None:
        self._session = session
        self.feed: WireFeed | None = None

    def on_trade(self, contract: str, ts: int, price: int, size: int, flags: int) -> None:
        """Take a trade."""
        if self.feed is not None:
            self.feed.on_trade(contract, ts, price, size, flags)

    def on_quote(
        self, contract: str, ts: int, bid: int, ask: int, bid_size: int, ask_size: int
    ) -> None:
        """Take the best bid and ask."""
        if self.feed is not None:
            self.feed.on_quote(contract, ts, bid, ask)

    def on_bad_tick(self, contract: str, why: str) -> None:
        """Take note of a tick that the connection refused; it is not of the feed that counts."""
        self._session.tell("bad_tick", (contract, why))

    def on_index(self, symbol: str, ts: int, value: float) -> None:
        """Take the level of an index."""
        self._session.on_index(symbol, ts, value)

    def on_server_time(self, ts: int) -> None:
        """Take the gateway's time."""
        self._session.on_server_time(ts)

    def on_link(self, state: LinkState, reason: str) -> None:
        """Take a change of the connection."""
        self._session.on_link(state, reason)
        if self.feed is not None:
            self.feed.on_link(state, reason)


class WireFeed:
    """Trades of the gateway: whole seconds, side inferred.

    Parameters
    ----------
    tap : WireTap
    market : IbkrConnector
        The data connection, whose listener is the tap.
    contract : FutureContract
    taker : FeedTaker
    clock : Clock
    """

    def __init__(
        self,
        tap: WireTap,
        market: IbkrConnector,
        contract: FutureContract,
        taker: FeedTaker,
        clock: Clock,
    ) -> None:
        self._market, self._taker, self._clock = market, taker, clock
        self._contract = contract
        highest = round(INSTRUMENTS[contract.symbol].price_scale_max / TICK)
        self._gate = TickGate(clock, _pass_over, contract.symbol, highest, ahead_ns=_AHEAD_NS)
        self._gate.start_contract(contract.name)
        self._drains = self._was_ready = False
        self._changed = asyncio.Event()
        self._closed = False
        tap.feed = self

    async def run(self) -> None:
        """Subscribe, and again after each roll, until `close`."""
        while not self._closed:
            contract = self._contract
            self._changed.clear()
            try:
                await self._market.subscribe_quotes(contract, 0.0)
                await self._market.subscribe_trades(contract, 0.0)
            except BrokerError as error:
                text = f"no trades of {contract.name}: {error}"
                self._taker.on_notice(FeedNotice(FeedNoticeKind.LINK_DOWN, text))
                await asyncio.sleep(_RETRY_S)
                continue
            if self._was_ready:
                self._taker.on_notice(FeedNotice(FeedNoticeKind.LINK_UP, "subscribed again"))
            self._was_ready = True
            await self._changed.wait()
            for words in ("quotes", "trades"):
                await self._market.unsubscribe(f"{words} of {contract.name}")

    def roll(self, session: int, contract: FutureContract) -> None:
        """Go on with another contract; called in the break before a session."""
        self._contract = contract
        self._gate.take()
        self._gate.start_contract(contract.name)
        self._changed.set()

    def close(self) -> None:
        """End it."""
        self._closed = True
        self._changed.set()

    def on_trade(self, contract: str, ts: int, price: int, size: int, flags: int) -> None:
        """Take a trade of the wire."""
        if contract != self._gate.contract:
            return
        if isinstance(self._clock, MarketClock):
            self._clock.hear(ts)
        self._gate.on_trade(ts, price, size, 0, flags)
        if not self._drains:
            self._drains = True
            asyncio.get_running_loop().call_soon(self._drain)

    def on_quote(self, contract: str, ts: int, bid: int, ask: int) -> None:
        """Take the best bid and ask."""
        if contract == self._gate.contract:
            self._gate.on_quote(ts, bid, ask)

    def on_link(self, state: LinkState, reason: str) -> None:
        """Tell of a connection that is lost or back."""
        if not self._was_ready or self._closed:
            return
        if state is LinkState.READY:
            self._taker.on_notice(FeedNotice(FeedNoticeKind.LINK_UP, "the connection is back"))
        else:
            self._gate.lose_quote()
            text = f"{state.value.lower()}: {reason}" if reason else state.value.lower()
            self._taker.on_notice(FeedNotice(FeedNoticeKind.LINK_DOWN, text))

    def _drain(self) -> None:
        self._drains = False
        block = self._gate.take()
        if block is not None and not self._closed:
            numbers = np.zeros(len(block), np.int32)
            self._taker.take(ReceivedTrades(block, numbers, self._clock.now()))


def _pass_over(ts: int, good: bool) -> None:
    """Take a verdict on a tick: the session judges the feed that it follows."""
