"""What the exchange's calendar says about a date: closed days, early closes, regular hours.

The days that are not regular are frozen in ``cme_globex_equity.csv``, which
``scripts/make_calendar.py`` writes, so that no result depends on the version of a package.
Times of day are minutes after midnight in Chicago.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from mia.errors import DataError

FIRST_SESSION = 20080101
LAST_SESSION = 20301231

CASH_HALF_DAY = 12 * 60 + 15
"""Close of a day on which New York's stock exchange closes at 13:00 ET but opens as usual."""


@dataclass(frozen=True, slots=True)
class SpecialDay:
    """A weekday without regular hours.

    Attributes
    ----------
    close : int or None
        Minutes after midnight in Chicago; None if nothing trades.
    reason : str
        Why.
    """

    close: int | None
    reason: str


def to_date(session_id: int) -> date:
    """Convert a session id to its calendar date.

    Raises
    ------
    DataError
        If `session_id` is no date of the form yyyymmdd or the calendar does not cover it.
    """
    try:
        day = date(session_id // 10000, session_id // 100 % 100, session_id % 100)
    except ValueError:
        raise DataError(f"{session_id} is no session: write the date as yyyymmdd") from None
    if not FIRST_SESSION <= session_id <= LAST_SESSION:
        raise DataError(
            f"the calendar covers sessions {FIRST_SESSION} to {LAST_SESSION}, not {session_id}"
        )
    return day


def to_session_id(day: date) -> int:
    """Convert a calendar date to the session id yyyymmdd."""
    return day.year * 10000 + day.month * 100 + day.day


def _minutes(text: str) -> int:
    hour, minute = text.split(":")
    return int(hour) * 60 + int(minute)


@cache
def special_days() -> Mapping[int, SpecialDay]:
    """Read the weekdays without regular hours, by session id."""
    text = files("mia.core").joinpath("cme_globex_equity.csv").read_text(encoding="utf-8")
    days = {}
    for line in text.splitlines()[1:]:
        day, close, reason = line.split(",")
        days[int(day.replace("-", ""))] = SpecialDay(_minutes(close) if close else None, reason)
    return MappingProxyType(days)


def is_trading_day(session_id: int) -> bool:
    """Tell whether ES trades at any time of the session.

    Raises
    ------
    DataError
        If the calendar does not cover the session.
    """
    if to_date(session_id).weekday() > 4:
        return False
    special = special_days().get(session_id)
    return special is None or special.close is not None


def early_close(session_id: int) -> int | None:
    """Return the close of a shortened day in minutes after midnight in Chicago, else None."""
    special = special_days().get(session_id)
    return None if special is None else special.close


def cash_market_opens(session_id: int) -> bool:
    """Tell whether the stocks of the index open in the morning, which settles expiring contracts.

    Raises
    ------
    DataError
        If the calendar does not cover the session.
    """
    close = early_close(session_id)
    return is_trading_day(session_id) and (close is None or close == CASH_HALF_DAY)


def trading_minutes(session_id: int) -> tuple[tuple[int, int], ...]:
    """Return the spans in which ES trades, in minutes after midnight in Chicago of that date.

    The session begins at 17:00 of the day before, so the first span starts at -420. Until
    2012-11-16 the evening session of 15:30 to 16:30 was the start of the next trade date, which
    a Friday or the eve of a closed day did not have; the clock rule gives it to the day that
    ends. The pause of 15:15 to 15:30 ended after 2021-06-25.

    Raises
    ------
    DataError
        If the calendar does not cover the session.
    """
    if not is_trading_day(session_id):
        return ()
    open_, pause, resume = -420, 915, 930
    close = early_close(session_id)
    if close is not None:
        return ((open_, close),)
    if session_id < 20121119:
        tomorrow = to_session_id(to_date(session_id) + timedelta(days=1))
        evening = ((resume, 990),) if is_trading_day(tomorrow) else ()
        return ((open_, pause), *evening)
    if session_id < 20150921:
        return ((open_, pause), (resume, 975))
    if session_id <= 20210625:
        return ((open_, pause), (resume, 960))
    return ((open_, 960),)
