"""Bars, the tick rule and the builders of sections 2.1 to 2.3."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from reference.conventions import SECOND, Session, Sessions, sgn

SESSION_END = 1
PARTIAL = 2
READY_MADE = 4

Footprint = dict[int, list[int]]
"""Price to [bid volume, ask volume, volume of any side]."""


@dataclass
class Bar:
    """A bar as in section 2.1; `footprint` is None for ready-made bars."""

    session_id: int
    t_open: int
    t_close: int
    open: int
    high: int
    low: int
    close: int
    volume: int = 0
    bid_volume: int = 0
    ask_volume: int = 0
    trades: int = 0
    pv: int = 0
    p2v: int = 0
    large_volume: int = 0
    direction: int = 0
    flags: int = 0
    footprint: Footprint | None = field(default=None, repr=False)

    @property
    def delta(self) -> int:
        return self.ask_volume - self.bid_volume

    @property
    def flow_ok(self) -> bool:
        return self.bid_volume + self.ask_volume > 0

    @property
    def colour(self) -> int:
        return sgn(self.close - self.open)

    @property
    def ready_made(self) -> bool:
        return bool(self.flags & READY_MADE)


@dataclass(frozen=True)
class Trade:
    """An accepted trade, its side resolved by section 2.2."""

    ts: int
    price: int
    size: int
    side: int
    session: Session


class TradeIntake:
    """Accepts, ignores or rejects trades, and gives them a side.

    Parameters
    ----------
    sessions : Sessions
    fallback : str
        ``tick_rule`` or ``none``.
    """

    def __init__(self, sessions: Sessions, fallback: str) -> None:
        self._sessions = sessions
        self._fallback = fallback
        self._session_id = 0
        self._last: int | None = None
        self._sign = 0
        self.rejected = 0

    def forget(self) -> None:
        """Forget the trade before: trades between it and the next are missing."""
        self._last, self._sign = None, 0

    def accept(self, ts: int, price: int, size: int, side: int) -> Trade | None:
        """Return the trade with its side, None if it is ignored or rejected."""
        if size == 0:
            return None
        session = self._sessions.of(ts)
        if size < 0 or session.session_id < self._session_id:
            self.rejected += 1
            return None
        if session.session_id > self._session_id:
            self._session_id = session.session_id
            self._last, self._sign = None, 0
        if self._last is not None and price != self._last:
            self._sign = sgn(price - self._last)
        self._last = price
        if side == 0 and self._fallback == "tick_rule":
            side = self._sign
        return Trade(ts, price, size, side, session)


class Builder:
    """Base of the builders.

    `before` closes what a trade ends without being part of it; `add` puts the trade into the
    open bar and closes what it completes. The two are separate because the trades, patterns and
    features of a bar end with the last trade that belongs to it.
    """

    def __init__(self, large_lots: int) -> None:
        self._large_lots = large_lots
        self.open_bar: Bar | None = None
        self._last_ts = 0
        self._session_id = 0
        self._closed = 0  # t_close of the bar before in the session

    def before(self, trade: Trade) -> list[Bar]:
        bar = self.open_bar
        if bar is not None and bar.session_id != trade.session.session_id:
            return self._close(self._last_ts, SESSION_END)
        return self._end_before(trade)

    def add(self, trade: Trade) -> list[Bar]:
        if self.open_bar is None:
            self.open_bar = self._start(trade)
        bar = self.open_bar
        bar.high = max(bar.high, trade.price)
        bar.low = min(bar.low, trade.price)
        bar.close = trade.price
        bar.volume += trade.size
        bar.bid_volume += trade.size if trade.side < 0 else 0
        bar.ask_volume += trade.size if trade.side > 0 else 0
        bar.trades += 1
        bar.pv += trade.size * trade.price
        bar.p2v += trade.size * trade.price**2
        bar.large_volume += trade.size if trade.size >= self._large_lots else 0
        row = bar.footprint.setdefault(trade.price, [0, 0, 0])
        if trade.side:
            row[trade.side > 0] += trade.size
        row[2] += trade.size
        self._last_ts = trade.ts
        return self._end_with(trade)

    def on_trade(self, trade: Trade) -> list[Bar]:
        """Process one trade and return the bars that closed."""
        return self.before(trade) + self.add(trade)

    def flush(self) -> list[Bar]:
        """Return the open bar, marked PARTIAL."""
        return [] if self.open_bar is None else self._close(self._last_ts, PARTIAL)

    def _start(self, trade: Trade) -> Bar:
        p = trade.price
        if trade.session.session_id != self._session_id:
            self._session_id, self._closed = trade.session.session_id, 0
        return Bar(trade.session.session_id, trade.ts, 0, p, p, p, p, footprint={})

    def _close(self, t_close: int, flags: int = 0) -> list[Bar]:
        bar = self.open_bar
        self.open_bar = None
        # A late trade closes its bar no earlier than the one before was closed.
        bar.t_close = self._closed = max(t_close, self._closed)
        bar.flags = flags
        return [bar]

    def _end_before(self, trade: Trade) -> list[Bar]:
        return []

    def _end_with(self, trade: Trade) -> list[Bar]:
        return []


class TimeBar(Builder):
    """Bars of `width` seconds on a grid that starts with the session."""

    def __init__(self, width: int, large_lots: int = 100) -> None:
        super().__init__(large_lots)
        self._width = width * SECOND

    def advance(self, now: int) -> list[Bar]:
        """Close the bar by the clock."""
        if self.open_bar is None or now < self._slot_end():
            return []
        return self._close(self._slot_end())

    def before(self, trade: Trade) -> list[Bar]:
        bar = self.open_bar
        if bar is None:
            return []
        other = bar.session_id != trade.session.session_id
        return self._close(self._slot_end()) if other or trade.ts >= self._slot_end() else []

    def _slot_end(self) -> int:
        return self.open_bar.t_open + self._width

    def _start(self, trade: Trade) -> Bar:
        bar = super()._start(trade)
        origin, end = trade.session.t_open, trade.session.t_end
        # A late trade after its slot was closed by the clock opens the next one of its session.
        ts = max(trade.ts, min(self._closed, end - 1))
        bar.t_open = origin + (ts - origin) // self._width * self._width
        return bar


class ReversalBar(Builder):
    """Bars that end when price turns `ticks` from their extreme."""

    def __init__(self, ticks: int, large_lots: int = 100) -> None:
        super().__init__(large_lots)
        self._ticks = ticks
        self._next_direction = 0

    def _end_before(self, trade: Trade) -> list[Bar]:
        bar = self.open_bar
        if bar is None:
            return []
        falls = trade.price <= bar.high - self._ticks
        rises = trade.price >= bar.low + self._ticks
        if bar.direction == 0:
            bar.direction = 1 if rises else -1 if falls else 0
        elif (falls and bar.direction > 0) or (rises and bar.direction < 0):
            self._next_direction = -bar.direction
            return self._close(trade.ts)
        return []

    def _start(self, trade: Trade) -> Bar:
        bar = super()._start(trade)
        bar.direction, self._next_direction = self._next_direction, 0
        return bar


class TickBar(Builder):
    """Bars of `count` trades."""

    def __init__(self, count: int, large_lots: int = 100) -> None:
        super().__init__(large_lots)
        self._count = count

    def _end_with(self, trade: Trade) -> list[Bar]:
        return self._close(trade.ts) if self.open_bar.trades >= self._count else []


class VolumeBar(Builder):
    """Bars of at least `volume` contracts; trades are not split."""

    def __init__(self, volume: int, large_lots: int = 100) -> None:
        super().__init__(large_lots)
        self._volume = volume

    def _end_with(self, trade: Trade) -> list[Bar]:
        return self._close(trade.ts) if self.open_bar.volume >= self._volume else []


class RangeBar(Builder):
    """Bars of at most `ticks` from low to high."""

    def __init__(self, ticks: int, large_lots: int = 100) -> None:
        super().__init__(large_lots)
        self._ticks = ticks

    def _end_before(self, trade: Trade) -> list[Bar]:
        bar = self.open_bar
        if bar is None:
            return []
        size = max(bar.high, trade.price) - min(bar.low, trade.price)
        return self._close(trade.ts) if size > self._ticks else []


BUILDERS = {
    "time": TimeBar,
    "reversal": ReversalBar,
    "tick": TickBar,
    "volume": VolumeBar,
    "range": RangeBar,
}


def builder_of(stream: str, large_lots: int) -> Builder:
    """Make the builder of a stream such as ``time:60``."""
    kind, _, argument = stream.partition(":")
    return BUILDERS[kind](int(argument), large_lots)


def build(
    builder: Builder, intake: TradeIntake, trades: Iterable[tuple[int, int, int, int]]
) -> list[Bar]:
    """Run ``(ts, price, size, side)`` through a builder; no flush."""
    bars: list[Bar] = []
    for raw in trades:
        trade = intake.accept(*raw)
        if trade is not None:
            bars += builder.on_trade(trade)
    return bars
