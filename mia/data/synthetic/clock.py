"""Sessions of the synthetic market: trade dates, opening and closing instants, contracts."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from mia.config.instruments import MONTH_CODES
from mia.errors import UsageError

NEW_YORK = ZoneInfo("America/New_York")
SECOND_NS = 1_000_000_000
SESSION_S = 23 * 3600
HALF_DAY_S = 19 * 3600 + 900
"""Seconds from the open to the close of a half day, 13:15 in New York."""


@dataclass(frozen=True, slots=True)
class SyntheticSession:
    """One trade date.

    Attributes
    ----------
    ordinal : int
        Position in the market's sessions, from 0.
    session_id : int
        Trade date as yyyymmdd.
    t_open, t_close : int
        18:00 New York of the day before, and the end of trading, ns UTC.
    contract : str
        Front contract, as in ``ESZ25``.
    """

    ordinal: int
    session_id: int
    t_open: int
    t_close: int
    contract: str

    @property
    def seconds(self) -> int:
        """Length of trading."""
        return (self.t_close - self.t_open) // SECOND_NS


def trade_date(day: date | int) -> date:
    """Return `day` as a date; an integer is read as yyyymmdd.

    Raises
    ------
    UsageError
        If the integer is no date.
    """
    if isinstance(day, date):
        return day
    try:
        return date(day // 10_000, day // 100 % 100, day % 100)
    except ValueError:
        raise UsageError(f"{day} is not a trade date: write it as yyyymmdd") from None


def expiry(year: int, month: int) -> date:
    """Return the third Friday of a month."""
    first = date(year, month, 1)
    return first + timedelta(days=(4 - first.weekday()) % 7 + 14)


def front_contract(day: date, root: str = "ES") -> str:
    """Return the contract of trade date `day`; it changes on the Monday of expiry week."""
    year, month = day.year, (day.month + 2) // 3 * 3
    if day >= expiry(year, month) - timedelta(days=4):
        year, month = (year, month + 3) if month < 12 else (year + 1, 3)
    return f"{root}{MONTH_CODES[month]}{year % 100:02d}"


def instant(day: date, hour: int) -> int:
    """Return a full hour of New York wall clock as ns UTC."""
    return int(datetime.combine(day, time(hour), NEW_YORK).timestamp()) * SECOND_NS


def sessions(
    start: date | int,
    days: int,
    *,
    holidays: Collection[int] = (),
    half_days: Collection[int] = (),
    root: str = "ES",
) -> tuple[SyntheticSession, ...]:
    """Return `days` sessions from the first open trade date at or after `start`.

    Parameters
    ----------
    start : date or int
        Trade date; yyyymmdd if an integer.
    days : int
        How many sessions.
    holidays, half_days : collection of int
        Trade dates without trading, and those that end at 13:15 New York.

    Raises
    ------
    UsageError
        If `days` is negative or `start` is no date.
    """
    if days < 0:
        raise UsageError(f"days must not be negative, was {days}")
    day = trade_date(start)
    found: list[SyntheticSession] = []
    while len(found) < days:
        session_id = day.year * 10_000 + day.month * 100 + day.day
        if day.weekday() < 5 and session_id not in holidays:
            t_open = instant(day - timedelta(days=1), 18)
            length = HALF_DAY_S if session_id in half_days else SESSION_S
            found.append(
                SyntheticSession(
                    len(found),
                    session_id,
                    t_open,
                    t_open + length * SECOND_NS,
                    front_contract(day, root),
                )
            )
        day += timedelta(days=1)
    return tuple(found)
