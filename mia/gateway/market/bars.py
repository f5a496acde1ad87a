"""Bars and ticks of the past, made from the tape, and the texts in which requests describe them."""

import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from mia.config.instruments import TICK
from mia.core import sessions
from mia.core.sessions import SECOND
from mia.errors import DataError
from mia.gateway.market.tape_market import TapeSlice
from mia.gateway.protocol.market_replies import PriceBar
from mia.gateway.protocol.replies import wall_time, zone_of

BAR_SIZES = {
    "1 sec": 1,
    "5 secs": 5,
    "10 secs": 10,
    "15 secs": 15,
    "30 secs": 30,
    "1 min": 60,
    "2 mins": 120,
    "3 mins": 180,
    "5 mins": 300,
    "10 mins": 600,
    "15 mins": 900,
    "20 mins": 1200,
    "30 mins": 1800,
    "1 hour": 3600,
    "2 hours": 7200,
    "3 hours": 10800,
    "4 hours": 14400,
    "8 hours": 28800,
    "1 day": 86400,
}
DAILY = 86400
LAST_NS = 2**62
KINDS = ("TRADES", "MIDPOINT", "BID", "ASK", "BID_ASK")

_DURATION = re.compile(r"([1-9][0-9]{0,5}) ([SDWMY])")
_UNIT_DAYS = {"W": 7, "M": 30, "Y": 365}


def parse_end(text: str, now: int, zone: str) -> int | None:
    """Read a time of a request, None if it is none; empty is now.

    ``yyyymmdd-hh:mm:ss`` is UTC; ``yyyymmdd hh:mm:ss`` is in the zone that follows, else in
    that of the gateway; ``yyyymmdd`` is midnight there. Times beyond those of int64 are its ends.
    """
    if not text.strip():
        return now
    parts = text.split()
    for form, words in (("%Y%m%d-%H:%M:%S", 1), ("%Y%m%d %H:%M:%S", 2), ("%Y%m%d", 1)):
        try:
            moment = datetime.strptime(" ".join(parts[:words]), form)
            named = ZoneInfo(parts[words]) if parts[words:] else zone_of(zone or "UTC")
            place = UTC if "-" in form else named
        except (ValueError, KeyError, OSError):
            continue
        if len(parts) > words + 1 or ("-" in form and parts[words:]):
            continue
        return max(0, min(int(moment.replace(tzinfo=place).timestamp()) * SECOND, LAST_NS))
    return None


def start_of(duration: str, end: int) -> int | None:
    """Return where a span that ends at `end` begins, None if its text makes no sense.

    Days are sessions: ``1 D`` begins with the session in which it ends. What would begin before
    the calendar does begins in 1970.
    """
    match = _DURATION.fullmatch(duration)
    if match is None:
        return None
    count, unit = int(match[1]), match[2]
    if unit == "S":
        return max(end - count * SECOND, 0)
    if unit == "D":
        try:
            session = sessions.session_id(max(end - 1, 0))
            for _ in range(count - 1):
                session = sessions.previous_trading_day(session)
            return sessions.session_open(session)
        except DataError:
            return 0
    return max(end - count * _UNIT_DAYS[unit] * 86_400 * SECOND, 0)


def bars(
    pieces: Iterable[TapeSlice], start: int, end: int, width_s: int, kind: str, *, liquid: bool
) -> list[PriceBar]:
    """Return the bars of trades within [start, end), oldest first; none where nothing traded.

    Parameters
    ----------
    width_s : int
        Seconds; a day is a session.
    kind : str
        One of `KINDS`.
    liquid : bool
        Only regular hours.
    """
    made: list[PriceBar] = []
    for piece in pieces:
        tape = piece.tape
        first = max(piece.start, int(np.searchsorted(tape.second, start, side="left")))
        last = min(piece.stop, int(np.searchsorted(tape.second, end, side="left")))
        rows = np.arange(first, max(first, last))
        if liquid:
            rows = rows[sessions.in_rth_mask(tape.second[rows])]
        if kind != "TRADES":
            rows = rows[tape.known_quotes[rows]]
        if not len(rows):
            continue
        seconds = tape.second[rows]
        opened = sessions.session_open(tape.session_id)
        slots = (
            np.zeros(len(rows), np.int64)
            if width_s == DAILY
            else (seconds - opened) // (width_s * SECOND)
        )
        starts = np.flatnonzero(np.diff(slots, prepend=-1))
        sides = _sides(piece, rows, kind)
        sizes = tape.size[rows].astype(np.int64)
        for a, b in zip(starts, [*starts[1:], len(rows)], strict=True):
            ts = opened + int(slots[a]) * width_s * SECOND
            made.append(_bar(ts, sides, sizes, int(a), int(b), kind))
    return made


def _sides(
    piece: TapeSlice, rows: NDArray[np.intp], kind: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    tape = piece.tape
    price, bid, ask = (
        column[rows].astype(np.float64) * TICK for column in (tape.price, tape.bid, tape.ask)
    )
    columns = {
        "TRADES": (price, price),
        "MIDPOINT": ((bid + ask) / 2, (bid + ask) / 2),
        "BID": (bid, bid),
        "ASK": (ask, ask),
        "BID_ASK": (bid, ask),
    }
    return columns[kind]


def _bar(
    ts: int,
    sides: tuple[NDArray[np.float64], NDArray[np.float64]],
    sizes: NDArray[np.int64],
    a: int,
    b: int,
    kind: str,
) -> PriceBar:
    """Return one bar; of bid and ask it has their means, the highest ask and the lowest bid."""
    low_side, high_side = sides[0][a:b], sides[1][a:b]
    if kind == "BID_ASK":
        opening, closing = float(low_side.mean()), float(high_side.mean())
    else:
        opening, closing = float(low_side[0]), float(low_side[-1])
    high, low = float(high_side.max()), float(low_side.min())
    if kind != "TRADES":
        return PriceBar(ts, opening, high, low, closing, -1, -1.0, -1)
    volume = int(sizes[a:b].sum())
    mean = float((low_side * sizes[a:b]).sum() / volume)
    return PriceBar(ts, opening, high, low, closing, volume, round(mean, 6), b - a)


def shifted(bar: PriceBar, ticks: int, share: int) -> PriceBar:
    """Return a bar of a month beside the leading one: so many ticks away, one trade in `share`."""
    traded = bar.volume > 0
    return replace(
        bar,
        open=bar.open + ticks * TICK,
        high=bar.high + ticks * TICK,
        low=bar.low + ticks * TICK,
        close=bar.close + ticks * TICK,
        wap=bar.wap + ticks * TICK if traded else bar.wap,
        volume=max(bar.volume // share, 1) if traded else bar.volume,
        count=max(bar.count // share, 1) if traded else bar.count,
    )


def bar_date(bar: PriceBar, width_s: int, date_format: int, zone: str) -> str:
    """Spell the date of a bar: of a day ``yyyymmdd``, else a time or, in format 2, seconds."""
    if width_s == DAILY:
        return str(sessions.session_id(bar.ts))
    if date_format == 2:
        return str(bar.ts // SECOND)
    return wall_time(bar.ts, zone)


def index_times(start: int, end: int, width_s: int, spans: Iterable[tuple[int, int]]) -> list[int]:
    """Return the starts of the bars of an index within [start, end), ns UTC."""
    times: list[int] = []
    for opened, closed in spans:
        step = closed - opened if width_s == DAILY else width_s * SECOND
        times += [ts for ts in range(opened, closed, step) if start <= ts < end]
    return times


def days_between(start: int, end: int) -> list[int]:
    """Return the calendar days (yyyymmdd, New York) that a span touches."""
    first = datetime.fromtimestamp(start // SECOND, UTC).astimezone(sessions.NEW_YORK).date()
    last = datetime.fromtimestamp(end // SECOND, UTC).astimezone(sessions.NEW_YORK).date()
    count = (last - first).days + 1
    days = [first + timedelta(days=k) for k in range(count)]
    return [day.year * 10000 + day.month * 100 + day.day for day in days]
