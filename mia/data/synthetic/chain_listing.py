"""Which SPX series exist on a date, and the strikes that they list."""

from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache

import numpy as np
from numpy.typing import NDArray

from mia.core.calendar_table import to_date, to_session_id
from mia.core.chain import Root
from mia.data.chains import option_clock

DAILY_DAYS = 14
WEEKLY_DAYS = 63
MONTHLY_DAYS = 370
YEARLY_DAYS = 1100


@dataclass(frozen=True, slots=True)
class Series:
    """One expiry of one root.

    Attributes
    ----------
    root : Root
    expiry : int
        yyyymmdd.
    settle_ns : int
    weight : float
        Interest that it attracts against the AM series of the next month.
    """

    root: Root
    expiry: int
    settle_ns: int
    weight: float


def third_friday(year: int, month: int) -> int:
    """Return the date of the monthly expiry, the day before if that Friday is closed."""
    first = date(year, month, 1)
    friday = first + timedelta(days=(4 - first.weekday()) % 7 + 14)
    return option_clock.cash_day_at_or_before(to_session_id(friday))


@cache
def listed_series(session_id: int) -> tuple[Series, ...]:
    """List the series of a date, those that settle on it included, by root and settlement.

    PM series expire on every cash day of the next two weeks, then on Fridays, then monthly;
    AM series on the third Friday of each month, with the same strikes as the PM series.
    """
    today = to_date(session_id)
    weights: dict[tuple[Root, int], float] = {}
    for days in range(YEARLY_DAYS):
        day = today + timedelta(days=days)
        expiry = to_session_id(day)
        if not option_clock.is_cash_day(expiry):
            continue
        monthly = third_friday(day.year, day.month) == expiry
        if monthly and (days <= MONTHLY_DAYS or day.month == 12):
            weights[Root.SPX, expiry] = 1.0 if days <= 100 else 0.4
            weights[Root.SPXW, expiry] = 0.5 if days <= 100 else 0.1
        elif days <= DAILY_DAYS:
            weights[Root.SPXW, expiry] = 0.06 if days == 0 else 0.12
        elif days <= WEEKLY_DAYS and day.weekday() == 4:
            weights[Root.SPXW, expiry] = 0.25
    series = [
        Series(root, expiry, option_clock.settlement(root, expiry), weight)
        for (root, expiry), weight in weights.items()
    ]
    return tuple(sorted(series, key=lambda each: (each.root, each.settle_ns)))


def listed_strikes(spot: float, step: int = 5) -> NDArray[np.float64]:
    """Return strikes around a spot: every `step` points near it, 25 and 100 farther away."""
    spans = ((0.94, 1.06, step), (0.85, 1.12, max(step, 25)), (0.4, 1.3, max(step, 100)))
    strikes = {
        strike
        for low, high, width in spans
        for strike in range(
            int(spot * low) // width * width, int(spot * high) // width * width + 1, width
        )
    }
    return np.array(sorted(strikes - {0}), np.float64)
