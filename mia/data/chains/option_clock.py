"""When SPX options settle, how old delayed quotes are, and which close open interest is of.

The days are those of the calendar of the exchange; beyond its end every weekday counts as open.
All instants are ns UTC.
"""

from datetime import UTC, date, datetime, timedelta
from functools import cache

from mia.core.calendar_table import (
    FIRST_SESSION,
    LAST_SESSION,
    cash_market_opens,
    early_close,
    to_session_id,
)
from mia.core.chain import Root
from mia.core.sessions import NEW_YORK

SECOND = 1_000_000_000
DELAY_S = 900
"""Delay of the free quotes of Cboe, seconds."""

AM_SETTLEMENT = 9 * 60 + 30
PM_SETTLEMENT = 16 * 60
HALF_DAY_CLOSE = 13 * 60
AFTER_CLOSE = 15
"""Minutes for which SPX options trade on after the close of the stocks."""

OCC_PUBLISHES = 6 * 60 + 30
"""By this minute of the next calendar day the clearing house has published open interest."""
CBOE_UPDATES = 10 * 60 + 30
"""By this minute of the next trading day Cboe's delayed quotes show it."""


def _date(yyyymmdd: int) -> date:
    return date(yyyymmdd // 10000, yyyymmdd // 100 % 100, yyyymmdd % 100)


@cache
def new_york(yyyymmdd: int, minutes: int) -> int:
    """Return the instant of a date and time of day in New York.

    Parameters
    ----------
    yyyymmdd : int
    minutes : int
        After midnight.

    Raises
    ------
    ValueError
        If there is no such date.
    """
    day = _date(yyyymmdd)
    local = datetime(day.year, day.month, day.day, minutes // 60, minutes % 60, tzinfo=NEW_YORK)
    return int(local.timestamp()) * SECOND


def new_york_date(ts: int) -> int:
    """Return the date in New York (yyyymmdd) of an instant."""
    return to_session_id(datetime.fromtimestamp(ts // SECOND, UTC).astimezone(NEW_YORK).date())


@cache
def is_cash_day(yyyymmdd: int) -> bool:
    """Tell whether the stocks of the index trade on a date.

    Raises
    ------
    ValueError
        If there is no such date.
    """
    weekday = _date(yyyymmdd).weekday() < 5
    if not FIRST_SESSION <= yyyymmdd <= LAST_SESSION:
        return weekday
    return weekday and cash_market_opens(yyyymmdd)


def cash_day_at_or_before(yyyymmdd: int) -> int:
    """Return the last date up to this one on which the stocks of the index trade.

    Raises
    ------
    ValueError
        If there is no such date.
    """
    while not is_cash_day(yyyymmdd):
        yyyymmdd = to_session_id(_date(yyyymmdd) - timedelta(days=1))
    return yyyymmdd


def cash_day_before(yyyymmdd: int) -> int:
    """Return the last date before this one on which the stocks of the index trade.

    Raises
    ------
    ValueError
        If there is no such date.
    """
    return cash_day_at_or_before(to_session_id(_date(yyyymmdd) - timedelta(days=1)))


def _stock_close(yyyymmdd: int) -> int:
    return PM_SETTLEMENT if early_close(yyyymmdd) is None else HALF_DAY_CLOSE


@cache
def settlement(root: Root, expiry: int) -> int:
    """Return the instant at which a series settles.

    AM series settle on the opening of their expiry, 09:30 New York; PM series on the close,
    16:00, or 13:00 on a half day. An expiry on a closed day (until 2015 the monthly series bore
    the date of the Saturday) settles on the trading day before it.

    Raises
    ------
    ValueError
        If `expiry` (yyyymmdd) is no date.
    """
    day = cash_day_at_or_before(expiry)
    return new_york(day, AM_SETTLEMENT if root is Root.SPX else _stock_close(day))


@cache
def option_close(yyyymmdd: int) -> int:
    """Return the instant at which SPX options stop trading on a cash day: 16:15, 13:15 if half."""
    return new_york(yyyymmdd, _stock_close(yyyymmdd) + AFTER_CLOSE)


def delayed_quotes_time(downloaded_at: int, delay_s: int = DELAY_S) -> int:
    """Return the exchange time of delayed quotes by the time of their download.

    In the session they are `delay_s` seconds older than the download; at night, at weekends and
    on holidays they are those of the last close.
    """
    shown = downloaded_at - delay_s * SECOND
    today = new_york_date(shown)
    if is_cash_day(today) and shown >= new_york(today, AM_SETTLEMENT):
        return min(shown, option_close(today))
    return option_close(cash_day_before(today))


def occ_session(received_at: int) -> int:
    """Return the session (yyyymmdd) that the clearing house's open interest surely includes."""
    return _published(received_at, OCC_PUBLISHES, trading_morning=False)


def cboe_session(received_at: int) -> int:
    """Return the session (yyyymmdd) that the open interest in Cboe's quotes surely includes."""
    return _published(received_at, CBOE_UPDATES, trading_morning=True)


def _published(received_at: int, minutes: int, trading_morning: bool) -> int:
    day = new_york_date(received_at)
    if trading_morning:
        day = cash_day_at_or_before(day)
    if received_at < new_york(day, minutes):
        day = (
            cash_day_before(day)
            if trading_morning
            else to_session_id(_date(day) - timedelta(days=1))
        )
    return cash_day_before(day)
