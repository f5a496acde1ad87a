"""The frame, filled from what the trader consists of.

Ten times a second is often enough for the eye, and too often for work that changes nothing: each
part is kept as the bytes that it became, and made anew when what it is made of has changed.
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
from mia.core.event_bus import ALL, EventBus
from mia.core.frame import SCHEMA, Book, Day, Feed, Held, Links, Model, Stage
from mia.core.ibkr.streams import DepthBook
from mia.core.protocols import Clock
from mia.core.trading_types import Decision
from mia.execution.kill_switch import Exposure
from mia.execution.live_session import LiveSession
from mia.execution.stage_times import CycleTimes
from mia.trader.closed_bars import ClosedBars
from mia.trader.day_count import DayCount
from mia.trader.frame_parts import (
    battle_of,
    held_beside,
    held_of,
    levels_of,
    orders_of,
    signal_of,
)
from mia.trader.run_counts import RunCounts

SECOND = 1_000_000_000
_NULL = msgspec.Raw(b"null")
_NONE = msgspec.Raw(b"[]")
_BLANK = msgspec.Raw(b"{}")
_DEPTH = 10


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


class _Shown(msgspec.Struct):
    """A `mia.core.frame.Frame` of which most is encoded already; the same names."""

    seq: int
    ts: int
    wall_ts: int
    started_ts: int
    run_id: str
    version: str
    configuration: str
    mode: str
    simulated: bool
    dry_run: bool
    account: str
    symbol: str
    contract: str
    state: str
    state_reasons: list[str]
    ready: bool
    ready_s: float
    session_s: float
    links: msgspec.Raw
    feed: Feed
    day: Day
    book: msgspec.Raw
    levels: msgspec.Raw
    battle: msgspec.Raw
    held: msgspec.Raw
    signal: msgspec.Raw
    orders: msgspec.Raw
    counters: msgspec.Raw
    stages: msgspec.Raw
    model: msgspec.Raw
    schema: int


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
    depth : callable, optional
        Returns the order book if it can be believed now.

    Attributes
    ----------
    counts : RunCounts
    feed_name : str
        Where trades come from now; whoever changes the feed says so here.
    model : Model
        The ML filter; whoever has one says so here.
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
        depth: Callable[[], DepthBook | None] | None = None,
    ) -> None:
        self._identity = identity
        self._session = session
        self._times = times
        self._bars = bars
        self._day = day
        self._clock = clock
        self._depth = depth
        self.counts = RunCounts()
        self.feed_name = identity.feed
        self.model = Model()
        self._encoder = msgspec.json.Encoder()
        self._decision: Decision | None = None
        self._decisions = 0
        self._keys: dict[str, Any] = {}
        self._parts: dict[str, msgspec.Raw] = {}
        self._ready_s = self._session_s = 0.0
        self._at = time.monotonic()
        self._spans: list[tuple[int, int]] = []
        self._session_id = 0
        self._until = 0
        self._shown = _Shown(
            0,
            0,
            0,
            identity.started_ts,
            identity.run_id,
            identity.version,
            identity.configuration,
            identity.mode,
            identity.simulated,
            identity.dry_run,
            identity.account,
            identity.symbol,
            "",
            "NORMAL",
            [],
            False,
            0.0,
            0.0,
            _BLANK,
            Feed(),
            Day(),
            _BLANK,
            _BLANK,
            _BLANK,
            _NULL,
            _NULL,
            _NONE,
            _BLANK,
            _BLANK,
            _BLANK,
            SCHEMA,
        )
        bus.subscribe(ALL, self._on_event, "screen")

    def _on_event(self, topic: str, event: Any) -> None:
        if topic != "link" or self._session.is_ready:
            self.counts.publish(topic, event)
        if topic == "block":
            if self._session.is_ready:
                self._bars.look()
        elif topic == "decision":
            self._decision = event
            self._decisions += 1
        elif topic == "fill":
            self._bars.on_fill(event)
        elif topic == "mark":
            self._bars.on_mark(event)
        elif topic == "closed":
            self._day.take(event)
        elif topic == "reconciled":
            self.counts.on_reconciled(event, self._clock.now())

    def frame(self) -> bytes:
        """Return the frame as it is now, encoded."""
        shown, session = self._shown, self._session
        trader, now, at = session.trader, self._clock.now(), time.monotonic()
        if session.is_ready:
            self._bars.look()
        self.counts.settle()
        fault = session.data_fault()
        shown.seq += 1
        shown.ts = now
        shown.wall_ts = time.time_ns()
        shown.contract = session.ticks.contract
        causes = trader.kill_switch.causes
        shown.state = trader.kill_switch.state.name
        shown.state_reasons = (
            [cause.rule.value for cause in sorted(causes.values(), key=lambda cause: -cause.state)]
            if causes
            else []
        )
        shown.ready = session.is_ready and not fault and not session.manager.why_no_risk
        self._count_time(now, at - self._at, shown.ready)
        self._at = at
        shown.ready_s, shown.session_s = round(self._ready_s, 3), round(self._session_s, 3)
        exposure = trader.exposure()
        self._set_links()
        shown.feed = self._feed(at, fault)
        shown.day = self._day_of(exposure)
        self._set_book()
        self._set_market(now)
        self._set_orders(exposure.open_pnl)
        self._set_rare(at)
        parts = self._parts
        shown.links = parts["links"]
        shown.book = parts["book"]
        shown.levels = parts.get("levels", _BLANK)
        shown.battle = parts.get("battle", _BLANK)
        shown.held, shown.orders = parts["held"], parts["orders"]
        shown.signal = parts.get("signal", _NULL)
        shown.counters, shown.stages, shown.model = (
            parts["counters"],
            parts["stages"],
            parts["model"],
        )
        return self._encoder.encode(shown)

    def _is_new(self, name: str, key: Any) -> bool:
        if self._keys.get(name, self) == key:
            return False
        self._keys[name] = key
        return True

    def _keep(self, name: str, part: object) -> None:
        self._parts[name] = msgspec.Raw(self._encoder.encode(part))

    def _count_time(self, now: int, passed: float, ready: bool) -> None:
        if now >= self._until or not self._session_id:
            self._session_id = sessions.session_id(now)
            self._spans = (
                sessions.expected_intervals(self._session_id)
                if sessions.is_trading_day(self._session_id)
                else []
            )
            day = sessions.session_table(self._session_id, self._session_id)
            self._until = int(day["t_end"][0])
        if any(start <= now < end for start, end in self._spans):
            self._session_s += passed
            if ready:
                self._ready_s += passed

    def _set_links(self) -> None:
        session, counts = self._session, self.counts
        key = (
            session.manager.link.value,
            session.market_link.value,
            counts.reconciled_at,
            counts.mismatches,
            counts.reconnects,
        )
        if self._is_new("links", key):
            self._keep("links", Links(*key))

    def _feed(self, at: float, fault: str) -> Feed:
        session = self._session
        ticks, heard = session.ticks, session.heard_at
        return Feed(
            self.feed_name,
            ticks.newest or None,
            round(at - heard, 3) if heard else None,
            fault,
            ticks.accepted,
            sum(ticks.refused.values()),
            self.counts.holes,
        )

    def _day_of(self, exposure: Exposure) -> Day:
        trader, risk = self._session.trader, self._session.trader.risk
        # The account's day ends with the first close of the next one that is decided upon.
        session_id = risk.session_id or self._session_id
        trades, wins = self._day.of(session_id)
        return Day(
            session_id,
            exposure.realized,
            exposure.open_pnl,
            exposure.realized + min(exposure.open_pnl, exposure.worst_pnl),
            trader.limits.daily_loss_usd,
            trades,
            wins,
            risk.equity,
            risk.equity_high,
        )

    def _set_book(self) -> None:
        session = self._session
        ticks, last = session.ticks, session.status.last_price
        depth = None if self._depth is None else self._depth()
        bids: list[tuple[int, int]] = []
        asks: list[tuple[int, int]] = []
        if depth is not None:
            bids = [(price, size) for price, size in depth.bids[:_DEPTH]]
            asks = [(price, size) for price, size in depth.asks[:_DEPTH]]
        key = (last, ticks.bid, ticks.ask, bids, asks)
        if self._is_new("book", key):
            bid = None if ticks.bid == MISSING_PRICE else ticks.bid
            ask = None if ticks.ask == MISSING_PRICE else ticks.ask
            self._keep("book", Book(last, bid, ask, bids, asks))

    def _set_market(self, now: int) -> None:
        """Show what the newest close computed."""
        state, vix = self._session.trader.state, self._session.trader.vix.at(now)
        level = vix if isfinite(vix) else None
        if not self._is_new("battle", (state.session_id, state.primary.count, level)):
            return
        row = state.newest
        if row is None:
            return
        self._keep("levels", levels_of(row, self._bars.day_before))
        self._keep("battle", battle_of(row, vix))

    def _set_orders(self, open_pnl: float) -> None:
        session = self._session
        ledger, position = session.manager.ledger, session.trader.position
        price = session.manager.last_price
        moving = open_pnl if position is not None else price
        if not self._is_new("held", (ledger.revision, _terms(position), moving)):
            return
        live = ledger.live()
        if self._is_new("orders", ledger.revision):
            self._keep("orders", orders_of(live))
        held: Held | None = None
        if position is not None:
            held = held_of(position, ledger.brackets.get(position.trade_id), open_pnl)
        else:
            for bracket in live:
                if bracket.position:
                    tick_value = INSTRUMENTS[bracket.order.symbol].tick_value
                    held = held_beside(bracket, price, tick_value)
                    break
        self._keep("held", held)

    def _set_rare(self, at: float) -> None:
        """Show what changes seldom, or need not be newer than a second."""
        if self._decision is not None and self._is_new("signal", self._decisions):
            self._keep("signal", signal_of(self._decision))
        counts, second = self.counts, int(at)
        if self._is_new("counters", (counts.revision, second)):
            counts.by_name["bars"] = self._bars.count
            counts.by_name["frames"] = self._shown.seq
            self._keep("counters", counts.by_name)
        if self._is_new("stages", second):
            stages = self._times.named()
            self._keep(
                "stages",
                {name: Stage(one.counts, one.total_ns) for name, one in stages.items()},
            )
        if self._is_new("model", msgspec.structs.astuple(self.model)):
            self._keep("model", self.model)


def _terms(position: Any) -> tuple[Any, ...] | None:
    """Return what is shown of a position beside its price and its orders."""
    if position is None:
        return None
    trade = position.trade
    bars = None if trade is None else (trade.bars_held, trade.stop)
    return (position.trade_id, position.filled, position.closed, bars)
