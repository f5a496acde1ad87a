"""Arithmetic and clock of the method: comparisons, ranks, sessions and phases (section 1)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from mia.core.base_types import Phase

NEW_YORK = ZoneInfo("America/New_York")
SECOND = 1_000_000_000
MINUTE = 60 * SECOND
TOLERANCE = 1e-9

SESSION_FACTOR = {
    Phase.after_hours: 0.40,
    Phase.pre_market: 0.50,
    Phase.london_open: 0.65,
    Phase.ny_open: 0.75,
    Phase.lunch: 0.45,
    Phase.afternoon: 0.60,
    Phase.close: 0.50,
    Phase.halt: 0.40,
}

_PHASE_STARTS = (
    (4 * 60, Phase.pre_market),
    (8 * 60, Phase.london_open),
    (9 * 60 + 30, Phase.ny_open),
    (12 * 60, Phase.lunch),
    (14 * 60, Phase.afternoon),
    (16 * 60, Phase.close),
    (17 * 60, Phase.halt),
    (18 * 60, Phase.after_hours),
)


def gt(a: float, b: float) -> bool:
    """Compare as section 1.2 says; exact for two integers."""
    return a - b > TOLERANCE


def ge(a: float, b: float) -> bool:
    return a - b >= -TOLERANCE


def lt(a: float, b: float) -> bool:
    return b - a > TOLERANCE


def le(a: float, b: float) -> bool:
    return b - a >= -TOLERANCE


def floor_tol(x: float) -> int:
    return math.floor(x + TOLERANCE)


def ceil_tol(x: float) -> int:
    return math.ceil(x - TOLERANCE)


def clip(x: float, low: float, high: float) -> float:
    return min(max(x, low), high)


def pos(x: float) -> float:
    return max(0.0, x)


def sgn(x: float) -> int:
    return (x > 0) - (x < 0)


def tri(d: float, width: float) -> float:
    return max(0.0, 1.0 - abs(d) / width)


def ratio(a: float, b: float) -> float:
    """Divide; 0 where the denominator is 0."""
    return a / b if b else 0.0


def mean(x: Sequence[float]) -> float:
    return sum(x) / len(x)


def std(x: Sequence[int]) -> float:
    """Population standard deviation of integers, exact up to the root."""
    n, total = len(x), sum(x)
    return math.sqrt(n * sum(v * v for v in x) - total * total) / n


def median(x: Sequence[float]) -> float:
    ordered = sorted(x)
    half = len(ordered) // 2
    if len(ordered) % 2:
        return float(ordered[half])
    return (ordered[half - 1] + ordered[half]) / 2


def rank_hi(x: Sequence[float], q: int) -> float:
    return sorted(x)[(q * len(x) + 99) // 100 - 1]


def rank_lo(x: Sequence[float], q: int) -> float:
    return sorted(x)[len(x) - ((100 - q) * len(x) + 99) // 100]


def wall_clock(ts: int) -> datetime:
    """Return the New York wall clock, naive, truncated to the second."""
    return datetime.fromtimestamp(ts // SECOND, NEW_YORK).replace(tzinfo=None)


def instant(day: date, hour: int, minute: int = 0) -> int:
    """Return the ns UTC of a New York wall clock time."""
    local = datetime.combine(day, time(hour, minute), NEW_YORK)
    return int(local.astimezone(UTC).timestamp()) * SECOND


@dataclass(frozen=True)
class Session:
    """Boundaries of one session, ns UTC."""

    session_id: int
    t_open: int
    t_rth_open: int
    t_rth_close: int
    t_end: int

    def in_rth(self, ts: int) -> bool:
        return self.t_rth_open <= ts < self.t_rth_close


@lru_cache(maxsize=4096)
def _regular(day: date) -> tuple[int, int, int, int]:
    eve = day - timedelta(days=1)
    return instant(eve, 18), instant(day, 9, 30), instant(day, 16), instant(day, 18)


class Sessions:
    """Finds the session of an instant.

    Parameters
    ----------
    early_closes : mapping of int to int, optional
        ns UTC of the end of regular trading by session id, for days that close early.
    """

    def __init__(self, early_closes: Mapping[int, int] | None = None) -> None:
        self._early = dict(early_closes or {})
        self._last: Session | None = None

    def of(self, ts: int) -> Session:
        """Return the session that an instant belongs to."""
        last = self._last
        if last is not None and last.t_open <= ts < last.t_end:
            return last
        day = (wall_clock(ts) + timedelta(hours=6)).date()
        t_open, t_rth_open, t_rth_close, t_end = _regular(day)
        sid = day.year * 10000 + day.month * 100 + day.day
        self._last = Session(sid, t_open, t_rth_open, self._early.get(sid, t_rth_close), t_end)
        return self._last

    def phase(self, ts: int) -> Phase:
        """Return the phase by the wall clock; after an early close all is `close`."""
        clock = wall_clock(ts)
        minutes = clock.hour * 60 + clock.minute
        if ts >= self.of(ts).t_rth_close and minutes < 17 * 60:
            return Phase.close
        found = Phase.after_hours
        for start, phase in _PHASE_STARTS:
            if minutes >= start:
                found = phase
        return found
