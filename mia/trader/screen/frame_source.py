"""The frame, filled from what the trader consists of.

Ten times a second is often enough for the eye, and too often for work that changes nothing. A
frame has a head, which is made anew once a second, after an event and after a change of an order,
and kept as bytes meanwhile, and a tail of what moves with every tick.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from typing import Any

import msgspec

from mia.config.instruments import INSTRUMENTS
from mia.core import sessions
from mia.core.base_types import MISSING_PRICE
from mia.core.event_bus import EventBus
from mia.core.frame import (
    SCHEMA,
    Battle,
    Day,
    Feed,
    Held,
    Levels,
    Links,
    Model,
    Signal,
    Stage,
)
from mia.core.protocols import Clock
from mia.core.trading_types import Decision
from mia.execution.live.session import LiveSession
from mia.execution.stage_times import CycleTimes
from mia.trader.screen.closed_bars import ClosedBars
from mia.trader.screen.day_count import DayCount
from mia.trader.screen.frame_parts import (
    battle_of,
    held_beside,
    held_of,
    levels_of,
    orders_of,
    signal_of,
)
from mia.trader.screen.run_counts import TOPICS, RunCounts
from mia.trader.sources.book_feed import BookFeed

SECOND = 1_000_000_000
_NULL = msgspec.Raw(b"null")
_BLANK = msgspec.Raw(b"{}")


@dataclass(frozen=True, slots=True)
class RunIdentity:
    """What stays the same for a whole run; see `mia.core.frame.Frame`.

    Attributes
    ----------
    account : str
        Masked.
    feed : str
        As in the setting ``feed``.
    """

    run_id: str
    version: str
    configuration: str
    mode: str
    simulated: bool
    dry_run: bool
    account: str
    symbol: str
    feed: str
    started_ts: int


class _Head(msgspec.Struct):
    """What of a `mia.core.frame.Frame` changes seldom; the same names."""

    started_ts: int
    run_id: str
    version: str
    configuration: str
    mode: str
    simulated: bool
    dry_run: bool
    account: str
    symbol: str
    schema: int = SCHEMA
    contract: str = ""
    state: str = "NORMAL"
    state_reasons: list[str] = []
    ready: bool = False
    links: Links = msgspec.field(default_factory=Links)
    levels: msgspec.Raw = _BLANK
    battle: msgspec.Raw = _BLANK
    signal: msgspec.Raw = _NULL
    orders: list[Any] = []
    counters: dict[str, int] = {}
    stages: dict[str, Stage] = {}
    model: Model = msgspec.field(default_factory=Model)


class _Book(msgspec.Struct):
    """A `mia.core.frame.Book` whose levels are those of the connection."""

    last: int | None = None
    bid: int | None = None
    ask: int | None = None
    bids: list[list[int]] = []
    asks: list[list[int]] = []


class _Tail(msgspec.Struct):
    """The rest of it."""

    seq: int = 0
    ts: int = 0
    wall_ts: int = 0
    ready_s: float = 0.0
    session_s: float = 0.0
    feed: Feed = msgspec.field(default_factory=Feed)
    day: Day = msgspec.field(default_factory=Day)
    book: _Book = msgspec.field(default_factory=_Book)
    held: Held | None = None


class FrameSource:
    """Makes frames of a live session; reads, and changes nothing.

    Parameters
    ----------
    identity : RunIdentity
    session : LiveSession
    times : CycleTimes
    bars : ClosedBars
    day : DayCount
    clock : Clock
        Of the market.
    bus : EventBus
        Whose events are counted.
    book : BookFeed, optional

    Attributes
    ----------
    counts : RunCounts
    feed_name : str
        Where trades come from now.
    tell_model : callable
        Returns the `Model` that is in use.
    count_waiting : callable
        Returns how many events the journal holds in memory only.
    """

    def __init__(
        self,
        identity: RunIdentity,
        session: LiveSession,
        times: CycleTimes,
        bars: ClosedBars,
        day: DayCount,
        clock: Clock,
        bus: EventBus,
        book: BookFeed | None = None,
    ) -> None:
        self._session = session
        self._times = times
        self._bars = bars
        self._day = day
        self._clock = clock
        self._book = book
        self.counts = RunCounts()
        self.feed_name = self._feed = identity.feed
        self.tell_model: Callable[[], Model] = Model
        self.count_waiting: Callable[[], int] = int
        self._encode = msgspec.json.Encoder().encode
        self._decision: Decision | None = None
        self._happened = True
        self._was_ready = False
        self._second = -1
        self._revision = -1
        self._close: tuple[int, int, float | None] = (0, 0, None)
        self._at = time.monotonic()
        self._market_open = False
        self._calendar = MarketHours()
        self._moves = False
        self._head_bytes = b""
        self._head = _Head(
            identity.started_ts,
            identity.run_id,
            identity.version,
            identity.configuration,
            identity.mode,
            identity.simulated,
            identity.dry_run,
            identity.account,
            identity.symbol,
        )
        self._tail = _Tail()
        for topic in TOPICS:
            bus.subscribe(topic, self._on_event, "screen")
        bus.subscribe("block", self._on_block, "screen")
        bus.subscribe("mark", self._on_mark, "screen")

    def _on_block(self, topic: str, event: Any) -> None:
        if self._session.is_ready and self._bars.look():
            self._happened = True

    def _on_mark(self, topic: str, event: Any) -> None:
        self._bars.on_mark(event)

    def _on_event(self, topic: str, event: Any) -> None:
        self._happened = True
        if topic == "link" and not self._session.is_ready:
            # Neither the start nor the end of a run is a loss.
            return
        self.counts.publish(topic, event)
        if topic == "decision":
            self._decision = event
        elif topic == "fill":
            self._bars.on_fill(event)
        elif topic == "closed":
            self._day.take(event)
        elif topic == "feed_switch":
            self.feed_name = event.taken
        elif topic == "ready":
            # The past takes a while to draw: before anything is decided.
            self._bars.look()
        elif topic == "reconciled" and event.complete:
            self.counts.reconciled_at = self._clock.now()

    def refresh(self) -> None:
        """Let the next frame be made anew as a whole."""
        self._happened = True

    def frame(self) -> tuple[bytes, bytes]:
        """Return head and tail of the frame as it is now: joined they are its JSON."""
        session, tail = self._session, self._tail
        now, at = self._clock.now(), time.monotonic()
        tail.seq += 1
        tail.ts = now
        tail.wall_ts = time.time_ns()
        second = int(at)
        if (
            self._happened
            or second != self._second
            or session.manager.ledger.revision != self._revision
        ):
            self._renew(now)
            self._second = second
        elif self._moves:
            self._set_position()
        if self._market_open:
            passed = at - self._at
            tail.session_s += passed
            if self._head.ready:
                tail.ready_s += passed
        self._at = at
        self._set_market(at)
        return self._head_bytes, self._encode(tail)[1:]

    def _set_market(self, at: float) -> None:
        """Show what the feed brings."""
        session, tail = self._session, self._tail
        ticks, feed, book = session.ticks, tail.feed, tail.book
        feed.ticks = ticks.accepted
        feed.newest_at = ticks.newest or None
        if session.heard_at:
            feed.age_s = at - session.heard_at
        bid, ask = ticks.bid, ticks.ask
        book.last = session.status.last_price
        book.bid = None if bid == MISSING_PRICE else bid
        book.ask = None if ask == MISSING_PRICE else ask
        if self._book is not None:
            book.bids, book.asks = self._book.levels()

    def _set_position(self) -> None:
        """Show what moves with the price while something is held or works."""
        session, day = self._session, self._tail.day
        trader = session.trader
        exposure = trader.exposure()
        day.realized_pnl, day.open_pnl = exposure.realized, exposure.open_pnl
        day.worst_pnl = exposure.realized + min(exposure.open_pnl, exposure.worst_pnl)
        if self._tail.held is not None:
            self._tail.held.open_pnl = exposure.open_pnl
            if trader.position is None:
                self._tail.held = self._held_beside()

    def _renew(self, now: int) -> None:
        """Make the head anew, and what of the tail does not move with the ticks."""
        session, head, tail = self._session, self._head, self._tail
        trader, manager, counts = session.trader, session.manager, self.counts
        # What was learned before the start is drawn at once and not as it is learned.
        self._was_ready = self._was_ready or session.is_ready
        if self._was_ready:
            self._bars.look()
        counts.settle()
        switch = trader.kill_switch
        causes = sorted(switch.causes.values(), key=lambda cause: -cause.state)
        if head.contract != session.ticks.contract:
            # Another contract begins with the feed that the settings name.
            head.contract, self.feed_name = session.ticks.contract, self._feed
        head.state = switch.state.name
        head.state_reasons = [cause.rule.value for cause in causes]
        fault = session.data_fault()
        head.ready = session.is_ready and not fault and not manager.why_no_risk
        head.links = Links(
            manager.link.value,
            session.market_link.value,
            counts.reconciled_at,
            counts.mismatches,
            counts.reconnects,
        )
        head.orders = orders_of(manager.ledger.live())
        counts.by_name["bars"] = self._bars.count
        counts.by_name["frames"] = tail.seq
        counts.by_name["journal_waiting"] = self.count_waiting()
        head.counters = counts.by_name
        stages = self._times.named()
        head.stages = {name: Stage(one.counts, one.total_ns) for name, one in stages.items()}
        head.model = self.tell_model()
        self._set_close(now)
        if self._decision is not None:
            head.signal = self._raw(signal_of(self._decision))
            self._decision = None
        feed = tail.feed
        feed.name, feed.fault, feed.holes = self.feed_name, fault, counts.holes
        feed.bad_ticks = sum(session.ticks.refused.values())
        self._market_open = self._calendar.is_open(now)
        self._set_day(now)
        self._head_bytes = self._encode(head)[:-1] + b","
        # Only now: what failed on the way is tried again, and the screen stands still till then.
        self._happened, self._revision = False, manager.ledger.revision

    def _raw(self, part: Signal | Levels | Battle) -> msgspec.Raw:
        return msgspec.Raw(self._encode(part))

    def _set_close(self, now: int) -> None:
        """Show what the newest close computed."""
        trader = self._session.trader
        state, vix = trader.state, trader.vix.at(now)
        close = (state.session_id, state.primary.count, vix if isfinite(vix) else None)
        if close != self._close and (row := state.newest) is not None:
            self._close = close
            self._head.levels = self._raw(levels_of(row, self._bars.day_before))
            self._head.battle = self._raw(battle_of(row, vix))

    def _set_day(self, now: int) -> None:
        trader, tail, risk = self._session.trader, self._tail, self._session.trader.risk
        ledger, position = self._session.manager.ledger, trader.position
        day = tail.day
        # The account's day ends with the first close of the next one that is decided upon.
        day.session_id = risk.session_id or sessions.session_id(now)
        day.trades, day.wins = self._day.of(day.session_id)
        day.loss_limit = trader.limits.daily_loss_usd
        day.equity, day.equity_high = risk.equity, risk.equity_high
        if position is None:
            tail.held = self._held_beside()
        else:
            open_pnl = trader.exposure().open_pnl
            tail.held = held_of(position, ledger.brackets.get(position.trade_id), open_pnl)
        self._moves = tail.held is not None
        self._set_position()

    def _held_beside(self) -> Held | None:
        """Return a position of ours that the cycle does not manage, if there is one."""
        manager = self._session.manager
        for bracket in manager.ledger.live():
            if bracket.position:
                tick_value = INSTRUMENTS[bracket.order.symbol].tick_value
                return held_beside(bracket, manager.last_price, tick_value)
        return None


class MarketHours:
    """The spans of trading around an instant, by the calendar."""

    def __init__(self) -> None:
        self._spans: list[tuple[int, int]] = []
        self._since = self._until = 0

    def is_open(self, now: int) -> bool:
        """Whether the market trades at an instant, ns UTC."""
        if not self._since <= now < self._until:
            session_id = sessions.session_id(now)
            day = sessions.session_table(session_id, session_id)[0]
            self._since, self._until = int(day["t_open"]), int(day["t_end"])
            trades = sessions.is_trading_day(session_id)
            self._spans = sessions.expected_intervals(session_id) if trades else []
        return any(start <= now < end for start, end in self._spans)
