"""The market's side of a live session: what comes from it, and whether it can be trusted."""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Callable

from mia.core.broker_types import LinkState
from mia.core.protocols import Clock, EventSink
from mia.data.live_ticks import TickGate
from mia.data.tick_verdicts import DataFault
from mia.execution.clocks import MarketClock
from mia.execution.live.links import Connection, SessionOptions


class LiveMarket(ABC):
    """Collects ticks until the packet has been read; a `MarketListener`.

    Parameters
    ----------
    ticks : TickGate
    clock : Clock
        A `MarketClock` is told the time as it comes in.
    bus : EventSink
        Told of ``bad_tick``, ``index`` and ``link``.
    options : SessionOptions

    Attributes
    ----------
    own_feed : bool
        Trades come from a feed of their own; the data connection then tells the time, and indices.
    feed_fault : callable
        Says why that feed cannot be trusted now, empty if it can.
    market_link : LinkState
        Of the data connection.
    heard_at : float
        When something last came, seconds of the monotonic clock.
    is_ready : bool
        Whether the cycle decides.
    """

    def __init__(
        self, ticks: TickGate, clock: Clock, bus: EventSink, options: SessionOptions
    ) -> None:
        self.ticks = ticks
        self.options = options
        self.own_feed = False
        self.feed_fault: Callable[[], str] = str
        self.market_link = LinkState.DISCONNECTED
        self.heard_at = 0.0
        self.is_ready = False
        self._clock = clock
        self._bus = bus
        self._market: Connection | None = None
        self._drains = False
        self._waits_since = 0.0
        self._asked: set[str] = set()
        self._lost_at: int | None = None

    @abstractmethod
    def drain(self) -> None:
        """Let the cycle take what has been collected."""

    @abstractmethod
    def _resume(self) -> None:
        """Go on where the session stands."""

    @property
    def now(self) -> int:
        """Time of the session's clock, ns UTC."""
        return self._clock.now()

    def tell(self, topic: str, event: object) -> None:
        """Publish."""
        self._bus.publish(topic, event)

    def on_trade(self, contract: str, ts: int, price: int, size: int, flags: int) -> None:
        """Take a trade."""
        if contract != self.ticks.contract:
            return
        self._hear(ts)
        self.ticks.on_trade(ts, price, size, 0, flags)
        self._schedule()

    def on_quote(
        self, contract: str, ts: int, bid: int, ask: int, bid_size: int, ask_size: int
    ) -> None:
        """Take a quote."""
        if contract != self.ticks.contract:
            return
        self._hear(ts)
        self.ticks.on_quote(ts, bid, ask)

    def on_bad_tick(self, contract: str, why: str) -> None:
        """Count a tick that the connection refused, if it is of what is traded."""
        if contract == self.ticks.contract:
            self.ticks.on_bad_tick(self._clock.now())
        self.tell("bad_tick", (contract, why))

    def on_index(self, symbol: str, ts: int, value: float) -> None:
        """Take the level of an index."""
        self.tell("index", (symbol, ts, value))

    def on_link(self, state: LinkState, reason: str) -> None:
        """Take a change of the data connection."""
        before, self.market_link = self.market_link, state
        self.tell("link", ("market", state, reason))
        if state is not LinkState.READY:
            self._asked.discard("market")
            if before is LinkState.READY and (self.options.lockstep or not self.own_feed):
                self.lose_data()
        elif self.is_ready:
            self._resume()

    def hear_feed(self, ts: int) -> None:
        """Note that trades up to a time (ns UTC) have come from a feed of their own."""
        if self.options.lockstep:
            # The gateway alone says how late it is.
            self.heard_at = time.monotonic()
        else:
            self._hear(ts)

    def on_feed(self) -> None:
        """Let the cycle take what the gate has got from a feed of its own."""
        self._schedule()

    def lose_data(self) -> None:
        """Decide nothing on new trades until `repair` has filled the hole that begins now."""
        if self._lost_at is None and self.is_ready:
            self.drain()
            self._lost_at = self.ticks.newest
            self.ticks.lose_quote()
            self._resume()

    @property
    def is_mending(self) -> bool:
        """Whether a hole in the data is being repaired."""
        return self._lost_at is not None

    def data_fault(self) -> str:
        """Say why market data cannot be trusted now, empty if they can."""
        if self.market_link is not LinkState.READY:
            return f"the data connection is {self.market_link.value}"
        if self._lost_at is not None:
            return "a hole in the data is being repaired"
        if self._market is not None and not self._market.is_live_data:
            return "market data are not live"
        if told := self.feed_fault():
            return told
        fault = self.ticks.fault(self._clock.now())
        if fault is DataFault.STALE and not self.options.lockstep:
            return "no tick came in regular hours"
        return "quotes stand still while trades run" if fault is DataFault.QUOTES_FROZEN else ""

    def _hear(self, ts: int) -> None:
        self.heard_at = time.monotonic()
        if isinstance(self._clock, MarketClock):
            self._clock.hear(ts)

    def _schedule(self) -> None:
        if not self._waits_since:
            self._waits_since = self.heard_at
        if not self._drains and not self.options.lockstep:
            self._drains = True
            asyncio.get_running_loop().call_soon(self.drain)
