"""Sessions of the synthetic market: trade dates, hours of trading, contracts."""

from dataclasses import dataclass
from datetime import date, timedelta

from mia.config.instruments import MONTH_CODES
from mia.core import sessions as calendar
from mia.core.calendar_table import to_date, to_session_id
from mia.errors import UsageError

SECOND_NS = calendar.SECOND
SESSION_S = 23 * 3600
"""Longest session; the half hour that some had before 2012 has no profile."""


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
    spans : tuple of (int, int)
        Within these times, ns UTC, the market trades; more than one where the exchange pauses.
    contract : str
        Front contract, as in ``ESZ25``.
    """

    ordinal: int
    session_id: int
    t_open: int
    t_close: int
    spans: tuple[tuple[int, int], ...]
    contract: str

    @property
    def seconds(self) -> int:
        """Length of the session, pauses included."""
        return (self.t_close - self.t_open) // SECOND_NS


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


def sessions(start: date | int, days: int, root: str = "ES") -> tuple[SyntheticSession, ...]:
    """Return `days` sessions of the exchange's calendar, from the first at or after `start`.

    Parameters
    ----------
    start : date or int
        Trade date; yyyymmdd if an integer.
    days : int
        How many sessions.
    root : str
        First letters of the contract's name.

    Raises
    ------
    UsageError
        If `days` is negative.
    DataError
        If `start` is no date, or the calendar ends before the last session.
    """
    if days < 0:
        raise UsageError(f"days must not be negative, was {days}")
    session_id = to_session_id(start) if isinstance(start, date) else start
    found: list[SyntheticSession] = []
    for ordinal in range(days):
        if ordinal or not calendar.is_trading_day(session_id):
            session_id = calendar.next_trading_day(session_id)
        intervals = calendar.expected_intervals(session_id)
        last = intervals[0][0] + SESSION_S * SECOND_NS
        spans = tuple((start, min(end, last)) for start, end in intervals)
        found.append(
            SyntheticSession(
                ordinal,
                session_id,
                spans[0][0],
                spans[-1][1],
                spans,
                front_contract(to_date(session_id), root),
            )
        )
    return tuple(found)
