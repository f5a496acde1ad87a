"""Whether the market trades now: calendar, halts, price limits.

Limits of E-mini and Micro E-mini S&P 500 futures as the exchange states them (CME Group, "S&P 500
Price Limits: Frequently Asked Questions", 22 September 2020), in New York time:

* The reference is the volume-weighted price of the last thirty seconds of regular hours of the
  day before, 15:59:30 to 16:00.
* 18:00 to 09:30: 7 % up and down. (Its width is 7 % of the index; here of the reference.)
* 09:30 to 15:25: 7, 13 and 20 % down, one after the other; nothing upward.
* 15:25 to 16:00: 20 % down only.
* 16:00 to 17:00: 7 % up and down from the new reference, but not below the 20 % of the day.

Which of 7, 13 and 20 % is in force is seen from the prices: a trade below one proves the next. A
halt has no message in the streams of ticks. It is known from a halt code, where the feed has one,
supposed while the price stands at a limit, and possible while an open market is silent.
"""

from dataclasses import dataclass
from enum import StrEnum
from math import ceil, floor, isfinite

import numpy as np

from mia.core import sessions
from mia.core.base_types import TradeBlock

_SECOND = 1_000_000_000
_FIXING_NS = 30 * _SECOND
_LATE_NS = 35 * 60 * _SECOND
_HARD = 0.07
_LEVELS = (0.07, 0.13, 0.20)
_EPS = 1e-9


class MarketCondition(StrEnum):
    """What the market does now."""

    OPEN = "OPEN"
    CLOSED = "CLOSED"
    LIMIT_UP = "LIMIT_UP"
    LIMIT_DOWN = "LIMIT_DOWN"
    HALTED = "HALTED"
    SILENT = "SILENT"
    """No trade where there should be many: halted, or not heard."""


@dataclass(frozen=True, slots=True)
class _Day:
    """Clock of a session, ns UTC; no open spans on a day without trading."""

    session_id: int
    t_open: int
    t_rth_open: int
    t_rth_close: int
    t_end: int
    open_spans: tuple[tuple[int, int], ...]


class MarketStatus:
    """Follows one contract.

    Parameters
    ----------
    silence_ns : int
        Regular hours without a trade for longer are suspicious.

    Attributes
    ----------
    last_price : int, optional
        Of the newest trade, ticks.
    last_ts : int
        Its time, 0 before the first.
    """

    def __init__(self, silence_ns: int = 30 * _SECOND) -> None:
        self._silence_ns = silence_ns
        self._references: dict[int, float] = {}
        self._day: _Day | None = None
        self._lowest: int | None = None
        self._fixing_value = 0
        self._fixing_volume = 0
        self._halt_code = 0
        self.last_price: int | None = None
        self.last_ts = 0

    def set_reference(self, session_id: int, price: float) -> None:
        """Say from which price, in ticks, the limits of a session are measured.

        It is the settlement of the session before. Without it there are no limits until the
        regular hours of a session were seen to their end.

        Raises
        ------
        ValueError
            If it is no positive number.
        """
        if not (isfinite(price) and price > 0):
            raise ValueError(f"a reference must be above 0, was {price}")
        self._references[session_id] = float(price)

    def start_contract(self) -> None:
        """Begin with another contract, of which nothing is known."""
        self._references.clear()
        self._day = None
        self._lowest = self.last_price = None
        self._fixing_value = self._fixing_volume = self._halt_code = 0
        self.last_ts = 0

    def on_halt(self, code: int) -> None:
        """Take the halt code of a feed: 0 trades, 1 halted, 2 volatility halt, -1 unknown."""
        self._halt_code = max(code, 0)

    def on_trades(self, block: TradeBlock) -> None:
        """Take accepted trades in time order."""
        n = len(block)
        start = 0
        while start < n:
            day = self._of(int(block.ts_event[start]))
            stop = start + int(np.searchsorted(block.ts_event[start:], day.t_end, side="left"))
            self._take(day, block, start, max(stop, start + 1))
            start = max(stop, start + 1)

    def limits(self, now: int) -> tuple[int | None, int | None]:
        """Return the price limits in force, down and up, in ticks; None where there is none."""
        day = self._of(now)
        reference = self._references.get(day.session_id)
        if now >= day.t_rth_close:
            fixing = self._fixing(day)
            if fixing is None:
                return (None, None) if reference is None else (_down(reference, _LEVELS[-1]), None)
            low = _down(fixing, _HARD)
            if reference is not None:
                low = max(low, _down(reference, _LEVELS[-1]))
            return low, _up(fixing, _HARD)
        if reference is None:
            return None, None
        if now < day.t_rth_open:
            return _down(reference, _HARD), _up(reference, _HARD)
        levels = _LEVELS if now < day.t_rth_close - _LATE_NS else _LEVELS[-1:]
        for level in levels:
            low = _down(reference, level)
            if self._lowest is None or self._lowest >= low:
                return low, None
        return _down(reference, _LEVELS[-1]), None

    def believable(self, now: int) -> tuple[int | None, int | None]:
        """Return bounds that no price can pass, for `TickGate.set_limits`.

        They are the limits, but the lowest of regular hours, since a trade below one of the
        others is how the next one is learnt of.
        """
        low, high = self.limits(now)
        day = self._of(now)
        reference = self._references.get(day.session_id)
        if reference is not None and day.t_rth_open <= now < day.t_rth_close:
            low = _down(reference, _LEVELS[-1])
        return low, high

    def is_open(self, now: int) -> bool:
        """Whether the market trades by the calendar."""
        return any(start <= now < end for start, end in self._of(now).open_spans)

    def condition(self, now: int) -> MarketCondition:
        """Return what the market does now."""
        if not self.is_open(now):
            return MarketCondition.CLOSED
        if self._halt_code:
            return MarketCondition.HALTED
        day = self._of(now)
        low, high = self.limits(now)
        if self.last_price is not None and self.last_ts >= day.t_open:
            if low is not None and self.last_price <= low:
                return MarketCondition.LIMIT_DOWN
            if high is not None and self.last_price >= high:
                return MarketCondition.LIMIT_UP
        regular = day.t_rth_open <= now < day.t_rth_close
        if regular and now - max(self.last_ts, day.t_rth_open) > self._silence_ns:
            return MarketCondition.SILENT
        return MarketCondition.OPEN

    def is_halted(self, now: int) -> bool | None:
        """Whether orders cannot be executed though the market is open; None if it may be so.

        Nothing is sent then, neither again and again; what rests at the exchange keeps working.
        """
        condition = self.condition(now)
        if condition is MarketCondition.SILENT:
            return None
        return condition not in (MarketCondition.OPEN, MarketCondition.CLOSED)

    def _of(self, now: int) -> _Day:
        day = self._day
        if day is None or not day.t_open <= now < day.t_end:
            sid = sessions.session_id(now)
            row = sessions.session_table(sid, sid)[0]
            names = ("t_open", "t_rth_open", "t_rth_close", "t_end")
            spans = tuple(sessions.expected_intervals(sid))
            opened, rth_open, rth_close, end = (int(row[name]) for name in names)
            found = _Day(sid, opened, rth_open, rth_close, end, spans)
            if day is not None and found.t_open < day.t_open:
                return found
            if day is not None:
                self._end(day, found)
            self._day = day = found
        return day

    def _end(self, ended: _Day, begun: _Day) -> None:
        """Let the fixing of a day that ended be the reference until the next one."""
        fixing = self._fixing(ended)
        reference = self._references.get(ended.session_id)
        if not sessions.is_trading_day(ended.session_id):
            fixing = fixing or reference
        if fixing is not None:
            self._references.setdefault(begun.session_id, fixing)
        kept = {sid: price for sid, price in self._references.items() if sid >= begun.session_id}
        self._references = kept
        self._lowest = None
        self._fixing_value = self._fixing_volume = 0

    def _take(self, day: _Day, block: TradeBlock, start: int, stop: int) -> None:
        ts, price = block.ts_event[start:stop], block.price[start:stop]
        fixing = (ts >= day.t_rth_close - _FIXING_NS) & (ts < day.t_rth_close)
        if fixing.any():
            size = block.size[start:stop][fixing].astype(np.int64)
            self._fixing_value += int((price[fixing] * size).sum())
            self._fixing_volume += int(size.sum())
        regular = (ts >= day.t_rth_open) & (ts < day.t_rth_close)
        if regular.any():
            low = int(price[regular].min())
            self._lowest = low if self._lowest is None else min(self._lowest, low)
        self.last_price = int(price[-1])
        self.last_ts = int(ts[-1])

    def _fixing(self, day: _Day) -> float | None:
        if self._day is not day or self._fixing_volume == 0:
            return None
        return self._fixing_value / self._fixing_volume


def _down(reference: float, share: float) -> int:
    return ceil(reference * (1.0 - share) - _EPS)


def _up(reference: float, share: float) -> int:
    return floor(reference * (1.0 + share) + _EPS)
