"""The clock of the CME Globex equity-index session: ids, phases, regular hours, open hours.

A session is the date of New York wall clock plus six hours, holidays and weekends included;
the calendar adds early closes and the spans in which the market trades. Everything is looked
up in a table with one row per date, so that arrays cost a binary search per element.
"""

from bisect import bisect_right
from datetime import datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from mia._fast import records
from mia.core.base_types import Phase
from mia.core.calendar_table import (
    FIRST_SESSION,
    LAST_SESSION,
    early_close,
    is_trading_day,
    to_date,
    to_session_id,
    trading_minutes,
)
from mia.errors import DataError

__all__ = [
    "FIRST_SESSION",
    "LAST_SESSION",
    "covered",
    "expected_intervals",
    "in_rth",
    "in_rth_mask",
    "is_trading_day",
    "next_trading_day",
    "phase",
    "phases",
    "previous_trading_day",
    "session_id",
    "session_ids",
    "session_open",
    "session_opens",
    "session_table",
    "trading_days",
]

NEW_YORK = ZoneInfo("America/New_York")
SECOND = 1_000_000_000
MINUTE = 60 * SECOND
DAY = 24 * 60 * MINUTE

# Chicago's clock is one hour behind New York's all year.
CHICAGO_LAG = 60

PHASE_FIELDS = (
    ("t_open", Phase.after_hours),
    ("t_pre_market", Phase.pre_market),
    ("t_london_open", Phase.london_open),
    ("t_rth_open", Phase.ny_open),
    ("t_lunch", Phase.lunch),
    ("t_afternoon", Phase.afternoon),
)
MINUTES_ET = {
    "t_pre_market": 4 * 60,
    "t_london_open": 8 * 60,
    "t_rth_open": 9 * 60 + 30,
    "t_lunch": 12 * 60,
    "t_afternoon": 14 * 60,
    "t_rth_close": 16 * 60,
    "t_halt": 17 * 60,
    "t_end": 18 * 60,
}


def _midnights() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return session ids and 00:00 ET as UTC ns, by the offset in force at 18:00.

    Clocks change on Sunday at 02:00, so the offset at 18:00 holds from 04:00 of that date to
    the next 18:00 plus eight hours: it serves every time of the table.
    """
    first = to_date(FIRST_SESSION) - timedelta(days=1)
    count = (to_date(LAST_SESSION) - first).days + 1
    ids = np.empty(count, np.int64)
    midnights = np.empty(count, np.int64)
    for k in range(count):
        day = first + timedelta(days=k)
        evening = datetime(day.year, day.month, day.day, 18, tzinfo=NEW_YORK)
        ids[k] = to_session_id(day)
        midnights[k] = int(evening.timestamp()) * SECOND - 18 * 60 * MINUTE
    return ids, midnights


@cache
def _table(early_closes: bool) -> NDArray[np.void]:
    ids, midnights = _midnights()
    table = np.zeros(len(ids) - 1, records.SESSION_DTYPE)
    table["session_id"] = ids[1:]
    table["t_open"] = midnights[:-1] + 18 * 60 * MINUTE
    for name, minutes in MINUTES_ET.items():
        table[name] = midnights[1:] + minutes * MINUTE
    if early_closes:
        for k, sid in enumerate(ids[1:]):
            close = early_close(int(sid))
            if close is not None:
                table["t_rth_close"][k] = midnights[k + 1] + (close + CHICAGO_LAG) * MINUTE
    table.flags.writeable = False
    return table


@cache
def _opens() -> list[int]:
    table = _table(True)
    return [*table["t_open"].tolist(), int(table["t_end"][-1])]


@cache
def _ids() -> list[int]:
    ids: list[int] = _table(True)["session_id"].tolist()
    return ids


def _row(ts: int) -> int:
    k = bisect_right(_opens(), ts) - 1
    if not 0 <= k < len(_ids()):
        raise DataError(f"the calendar covers {FIRST_SESSION} to {LAST_SESSION}, not time {ts} ns")
    return k


def _rows(ts: NDArray[np.int64]) -> NDArray[np.intp]:
    table = _table(True)
    rows = np.searchsorted(table["t_open"], ts, side="right") - 1
    if rows.size and not covered(ts).all():
        bad = int(ts[~covered(ts)][0])
        raise DataError(f"the calendar covers {FIRST_SESSION} to {LAST_SESSION}, not time {bad} ns")
    return rows


def _index(sid: int) -> int:
    to_date(sid)
    return bisect_right(_ids(), sid) - 1


def session_table(first_sid: int, last_sid: int, early_closes: bool = True) -> NDArray[np.void]:
    """Return one row per calendar date, weekends and holidays included.

    Parameters
    ----------
    first_sid, last_sid : int
        First and last session id, both included.
    early_closes : bool
        Whether `t_rth_close` is that of the calendar; if not it is always 16:00 ET.

    Returns
    -------
    ndarray of records.SESSION_DTYPE, read-only
        On an early-close day `t_rth_close` is the early close, also where it lies before
        `t_rth_open`: such a day has no regular hours.

    Raises
    ------
    DataError
        If the calendar does not cover both sessions.
    """
    return _table(early_closes)[_index(first_sid) : _index(last_sid) + 1]


def covered(ts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell which times lie in a session of the calendar."""
    opens = _opens()
    inside: NDArray[np.bool_] = (ts >= opens[0]) & (ts < opens[-1])
    return inside


def session_id(ts: int) -> int:
    """Return the session (yyyymmdd) of a time in ns UTC.

    Raises
    ------
    DataError
        If the calendar does not cover it.
    """
    return _ids()[_row(ts)]


def session_ids(ts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the session of each time; see `session_id`."""
    ids: NDArray[np.int64] = _table(True)["session_id"][_rows(ts)]
    return ids


def session_open(sid: int) -> int:
    """Return 18:00 ET of the calendar day before the session, ns UTC.

    Raises
    ------
    DataError
        If `sid` is no date or the calendar does not cover it.
    """
    return _opens()[_index(sid)]


def session_opens(ts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the opening time of the session in which each time lies."""
    opens: NDArray[np.int64] = _table(True)["t_open"][_rows(ts)]
    return opens


def phases(ts: NDArray[np.int64], early_closes: bool = True) -> NDArray[np.int64]:
    """Return the phase of each time as `Phase` numbers.

    Parameters
    ----------
    ts : ndarray of int64
        ns UTC.
    early_closes : bool
        Whether an early close starts the phase ``close``; if not, the plain clock decides.

    Raises
    ------
    DataError
        If the calendar does not cover a time.
    """
    rows = _table(early_closes)[_rows(ts)]
    out = np.empty(len(ts), np.int64)
    for name, number in PHASE_FIELDS:
        out[ts >= rows[name]] = number
    out[ts >= rows["t_rth_close"]] = Phase.close
    out[ts >= rows["t_halt"]] = Phase.halt
    return out


def phase(ts: int) -> Phase:
    """Return the phase of a time, early closes included.

    Raises
    ------
    DataError
        If the calendar does not cover it.
    """
    row = _table(True)[_row(ts)]
    if ts >= row["t_halt"]:
        return Phase.halt
    if ts >= row["t_rth_close"]:
        return Phase.close
    return max(number for name, number in PHASE_FIELDS if ts >= row[name])


def in_rth_mask(ts: NDArray[np.int64], early_closes: bool = True) -> NDArray[np.bool_]:
    """Tell which times lie in regular trading hours; weekends and holidays follow the clock.

    Raises
    ------
    DataError
        If the calendar does not cover a time.
    """
    rows = _table(early_closes)[_rows(ts)]
    inside: NDArray[np.bool_] = (ts >= rows["t_rth_open"]) & (ts < rows["t_rth_close"])
    return inside


def in_rth(ts: int) -> bool:
    """Tell whether a time lies in regular trading hours, early closes included.

    Raises
    ------
    DataError
        If the calendar does not cover it.
    """
    row = _table(True)[_row(ts)]
    return bool(row["t_rth_open"] <= ts < row["t_rth_close"])


def expected_intervals(sid: int) -> list[tuple[int, int]]:
    """Return the spans (start, end), ns UTC, in which the market trades in a session.

    Empty on weekends and closed days. Outages of the exchange are not part of a calendar.

    Raises
    ------
    DataError
        If the calendar does not cover the session.
    """
    midnight = int(_table(True)["t_end"][_index(sid)]) - 18 * 60 * MINUTE
    return [
        (midnight + (start + CHICAGO_LAG) * MINUTE, midnight + (end + CHICAGO_LAG) * MINUTE)
        for start, end in trading_minutes(sid)
    ]


def trading_days(first_sid: int, last_sid: int) -> list[int]:
    """List the sessions from first to last, both included, in which the market trades.

    Raises
    ------
    DataError
        If the calendar does not cover both.
    """
    ids = _ids()[_index(first_sid) : _index(last_sid) + 1]
    return [sid for sid in ids if is_trading_day(sid)]


def next_trading_day(sid: int) -> int:
    """Return the first trading day after a session.

    Raises
    ------
    DataError
        If the calendar ends before it.
    """
    for later in _ids()[_index(sid) + 1 :]:
        if is_trading_day(later):
            return later
    raise DataError(f"the calendar ends on {LAST_SESSION}: no trading day after {sid}")


def previous_trading_day(sid: int) -> int:
    """Return the last trading day before a session.

    Raises
    ------
    DataError
        If the calendar starts after it.
    """
    k = _index(sid) - 1
    while k >= 0:
        if is_trading_day(_ids()[k]):
            return _ids()[k]
        k -= 1
    raise DataError(f"the calendar starts on {FIRST_SESSION}: no trading day before {sid}")
