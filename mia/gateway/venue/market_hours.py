"""When the simulated exchange trades, when stops may trigger, and when a day order ends."""

from bisect import bisect_right
from collections.abc import Iterator
from functools import lru_cache
from zoneinfo import ZoneInfo

from mia.core import sessions

CHICAGO = ZoneInfo("America/Chicago")

LIQUID_OPEN_MINUTES = 8 * 60 + 30
"""Start of the liquid hours, minutes after midnight in Chicago."""

LIQUID_CLOSE_MINUTES = 15 * 60 + 15
"""End of the liquid hours unless the market closes before it."""


@lru_cache(maxsize=64)
def trading_spans(session_id: int) -> tuple[tuple[int, int], ...]:
    """Return the spans (start, end), ns UTC, in which the market trades in a session."""
    return tuple(sessions.expected_intervals(session_id))


@lru_cache(maxsize=64)
def liquid_span(session_id: int) -> tuple[int, int] | None:
    """Return the liquid hours of a session, ns UTC; None on a day without."""
    spans = trading_spans(session_id)
    if not spans:
        return None
    row = sessions.session_table(session_id, session_id)[0]
    midnight = int(row["t_end"]) - (18 * 60 - sessions.CHICAGO_LAG) * sessions.MINUTE
    start = midnight + LIQUID_OPEN_MINUTES * sessions.MINUTE
    end = min(midnight + LIQUID_CLOSE_MINUTES * sessions.MINUTE, spans[-1][1])
    return (start, end) if start < end else None


def is_open(ts: int) -> bool:
    """Tell whether the market trades at a time, ns UTC.

    Raises
    ------
    DataError
        If the calendar does not cover it.
    """
    return any(start <= ts < end for start, end in trading_spans(sessions.session_id(ts)))


def is_liquid(ts: int) -> bool:
    """Tell whether stop orders trigger at a time without ``outsideRth``."""
    span = liquid_span(sessions.session_id(ts))
    return span is not None and span[0] <= ts < span[1]


def next_open(ts: int) -> int:
    """Return `ts` if the market trades then, else the time of its next opening."""
    for session_id in _from(ts):
        for start, end in trading_spans(session_id):
            if ts < end:
                return max(ts, start)
    raise AssertionError  # the calendar raises before its days run out


def next_liquid(ts: int) -> int:
    """Return `ts` if it lies in liquid hours, else the time at which the next ones begin."""
    for session_id in _from(ts):
        span = liquid_span(session_id)
        if span is not None and ts < span[1]:
            return max(ts, span[0])
    raise AssertionError  # the calendar raises before its days run out


def session_end(ts: int) -> int:
    """Return the time at which day orders end that are placed at `ts`."""
    for session_id in _from(ts):
        spans = trading_spans(session_id)
        if spans and ts < spans[-1][1]:
            return spans[-1][1]
    raise AssertionError  # the calendar raises before its days run out


def trading_day_start(ts: int) -> int:
    """Return the opening of the session to which `ts` belongs: daily profits count from it."""
    return sessions.session_open(sessions.session_id(ts))


def next_bell(ts: int) -> int:
    """Return the first opening or close, of the market or of its liquid hours, after `ts`."""
    for session_id in _from(ts):
        bells = _bells(session_id)
        found = bisect_right(bells, ts)
        if found < len(bells):
            return bells[found]
    raise AssertionError  # the calendar raises before its days run out


@lru_cache(maxsize=64)
def _bells(session_id: int) -> tuple[int, ...]:
    spans = list(trading_spans(session_id))
    liquid = liquid_span(session_id)
    if liquid is not None:
        spans.append(liquid)
    return tuple(sorted({bell for span in spans for bell in span}))


def _from(ts: int) -> Iterator[int]:
    session_id = sessions.session_id(ts)
    yield session_id
    while True:
        session_id = sessions.next_trading_day(session_id)
        yield session_id
