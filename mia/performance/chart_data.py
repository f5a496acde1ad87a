"""What the charts of a report draw, packed into short lists of integers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mia.config.instruments import TICK
from mia.core import sessions
from mia.core.risk_measures import rolling_mean, rolling_sharpe
from mia.core.trading_types import ClosedTrade
from mia.performance.recorder import RunRecord
from mia.performance.session_analysis import ROLLING_SESSIONS, ROLLING_TRADES
from mia.performance.summary import session_pnl

MAX_CANDLES = 500_000
"""Candles in one page; about 15 bytes each."""

MARGINS = (None, 72, 24, 6)
"""Candles shown on each side of a trade, widest first; None stands for whole sessions."""

MAX_POINTS = 3_000
"""Points of a line; more than a screen has columns."""

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Candles:
    """Candles of the tape.

    Attributes
    ----------
    t_open : ndarray of int64
        Seconds UTC, ascending.
    open, high, low, close : ndarray of int64
        Ticks.
    session_id : ndarray of int64
        Session of each candle, yyyymmdd.
    """

    t_open: Ints
    open: Ints
    high: Ints
    low: Ints
    close: Ints
    session_id: Ints

    @classmethod
    def of(cls, bars: Mapping[str, Sequence[int]]) -> "Candles":
        """Read columns named as the attributes."""
        names = ("t_open", "open", "high", "low", "close")
        columns = {name: np.array(bars[name], dtype=np.int64) for name in names}
        ids = sessions.session_ids(columns["t_open"] * 1_000_000_000)
        return cls(**columns, session_id=ids)

    def __len__(self) -> int:
        """Count the candles."""
        return len(self.t_open)

    @property
    def width(self) -> int:
        """Shortest distance between two candles in seconds, 0 below two."""
        return int(np.diff(self.t_open).min()) if len(self) > 1 else 0


def around_trades(
    candles: Candles, trades: Sequence[ClosedTrade], limit: int = MAX_CANDLES
) -> tuple[NDArray[np.bool_], str]:
    """Choose the candles to show, and say in words which they are.

    Whole sessions with trades if they fit into `limit`, else as wide a margin around each trade
    as fits, else the narrowest margin around the latest trades.

    Returns
    -------
    chosen : ndarray of bool, shape (len(candles),)
    words : str
    """
    chosen = np.zeros(len(candles), dtype=np.bool_)
    if not trades or not len(candles):
        return chosen, "no candles, since there are no trades to show on them"
    seconds = np.array([(t.ts_entry, t.ts_exit) for t in trades], dtype=np.int64) // 1_000_000_000
    bounds = np.searchsorted(candles.t_open, seconds, side="right") - 1
    words = ""
    for margin in MARGINS:
        if margin is None:
            ids = np.array(sorted({t.session_id for t in trades}), dtype=np.int64)
            chosen = np.isin(candles.session_id, ids)
            days = f"{len(ids)} sessions that have" if len(ids) > 1 else "session that has"
            words = f"every candle of the {days} trades"
        else:
            chosen = _windows(bounds, margin, len(candles))
            words = f"{margin} candles before and after each trade"
        if int(chosen.sum()) <= limit:
            return chosen, words
    held = np.flatnonzero(chosen)
    chosen[held[: len(held) - limit]] = False
    return chosen, f"the latest {limit} candles of those that lie within {MARGINS[-1]} of a trade"


def _windows(bounds: Ints, margin: int, n: int) -> NDArray[np.bool_]:
    edges = np.zeros(n + 1, dtype=np.int64)
    np.add.at(edges, np.clip(bounds[:, 0] - margin, 0, n), 1)
    np.add.at(edges, np.clip(bounds[:, 1] + margin + 1, 0, n), -1)
    result: NDArray[np.bool_] = np.cumsum(edges[:-1]) > 0
    return result


def _steps(values: Ints) -> list[int]:
    steps: list[int] = np.diff(values, prepend=0).tolist()
    return steps


def pack_candles(candles: Candles, chosen: NDArray[np.bool_]) -> dict[str, Any]:
    """Pack candles: times as runs of equal steps, prices as small differences.

    Returns
    -------
    dict
        ``width`` in seconds; ``runs`` as a flat list of seconds since the end of the run before
        and count; ``opens`` from the close before, ``highs`` above and ``lows`` below the body,
        ``closes`` from the open, all in ticks.
    """
    width = candles.width
    t, o, h, low, c = (
        column[chosen]
        for column in (candles.t_open, candles.open, candles.high, candles.low, candles.close)
    )
    starts = np.flatnonzero(np.diff(t, prepend=t[0] - width - 1) != width) if len(t) else t
    counts = np.diff(starts, append=len(t))
    ends = np.concatenate([np.zeros(1, np.int64), (t[starts] + counts * width)[:-1]])
    before = np.concatenate([np.zeros(1, np.int64), c[:-1]])
    return {
        "width": width,
        "runs": np.column_stack([t[starts] - ends[: len(starts)], counts]).ravel().tolist(),
        "opens": (o - before[: len(o)]).tolist(),
        "highs": (h - np.maximum(o, c)).tolist(),
        "lows": (np.minimum(o, c) - low).tolist(),
        "closes": (c - o).tolist(),
    }


def daily_line(candles: Candles) -> dict[str, list[int]]:
    """Return the last candle's time (s) and close (ticks) of each session, as differences."""
    last = np.flatnonzero(np.diff(candles.session_id, append=-1))
    return {"t": _steps(candles.t_open[last]), "close": _steps(candles.close[last])}


def thinned(t: Ints, values: NDArray[np.float64], points: int = MAX_POINTS) -> Ints:
    """Return ascending indices that keep the first, last, lowest and highest of each stretch."""
    n = len(t)
    if n <= points:
        return np.arange(n)
    kept = {0, n - 1}
    edges = np.linspace(0, n, points // 2 + 1).astype(np.int64)
    for low, high in pairwise(edges.tolist()):
        part = values[low:high]
        kept.update((low + int(np.argmin(part)), low + int(np.argmax(part))))
    return np.array(sorted(kept), dtype=np.int64)


def equity_line(record: RunRecord, start_equity: float, start: int, end: int = 0) -> dict[str, Any]:
    """Return the marked equity for a chart.

    Parameters
    ----------
    start : int
        Time of the start in seconds UTC.
    end : int
        Time to which the line goes on if the last mark lies before it.

    Returns
    -------
    dict
        ``t`` as differences in seconds, ``usd`` as differences in cents, ``fall`` as the cents
        below the high before, ``marks`` the count before thinning.
    """
    marks = record.marks
    times = [start, *(mark[0] // 1_000_000_000 for mark in marks)]
    equity = [start_equity, *(mark[2] for mark in marks)]
    if end > times[-1]:
        times.append(end)
        equity.append(equity[-1])
    t = np.array(times, dtype=np.int64)
    usd = np.array(equity, dtype=np.float64)
    cents = np.rint(usd * 100.0).astype(np.int64)
    fall = np.maximum.accumulate(cents) - cents
    # The deepest fall is a lowest or highest point of its stretch in either line.
    kept = np.union1d(thinned(t, usd), thinned(t, fall.astype(np.float64)))
    return {
        "t": _steps(t[kept]),
        "usd": _steps(cents[kept]),
        "fall": fall[kept].tolist(),
        "marks": len(marks),
    }


def _coded(values: Sequence[str]) -> dict[str, Any]:
    names = sorted(set(values))
    places = {name: k for k, name in enumerate(names)}
    return {"names": names, "codes": [places[value] for value in values]}


def _number(value: float, digits: int) -> float | None:
    if not isfinite(value):
        return None
    rounded = round(float(value), digits)
    return int(rounded) if rounded == int(rounded) else rounded


def trade_columns(trades: Sequence[ClosedTrade]) -> dict[str, Any]:
    """Return the trades as columns: times in seconds, prices in ticks, money in USD."""
    names = ("session_id", "side", "quantity", "stop", "target", "distance", "mfe_ticks")
    columns: dict[str, Any] = {
        name: [int(getattr(trade, name)) for trade in trades]
        for name in (*names, "mae_ticks", "bars_held")
    }
    for name, digits in (
        ("entry", 4),
        ("exit", 4),
        ("net_pnl", 2),
        ("costs", 2),
        ("r_multiple", 4),
        ("confidence", 4),
        ("slippage_ticks", 2),
    ):
        columns[name] = [_number(getattr(trade, name), digits) for trade in trades]
    columns["t_entry"] = [trade.ts_entry // 1_000_000_000 for trade in trades]
    columns["t_exit"] = [trade.ts_exit // 1_000_000_000 for trade in trades]
    columns["symbol"] = _coded([trade.symbol for trade in trades])
    columns["contract"] = _coded([trade.contract for trade in trades])
    columns["strategy"] = _coded([trade.strategy.value for trade in trades])
    columns["trigger"] = _coded([trade.kind.name for trade in trades])
    columns["regime"] = _coded([trade.regime.name for trade in trades])
    columns["exit_reason"] = _coded([trade.exit_reason.value for trade in trades])
    return columns


def session_columns(record: RunRecord) -> dict[str, Any]:
    """Return results of sessions and rolling figures for charts.

    Returns
    -------
    dict
        ``t`` as differences in seconds (16:00 UTC of the session), ``net`` in cents, ``sharpe`` of
        the sessions before each, ``expectancy`` of the trades before each, in R.
    """
    by_session = session_pnl(record)
    days = [f"{sid // 10_000}-{sid // 100 % 100:02d}-{sid % 100:02d}T16:00" for sid in by_session]
    t = np.array(days, dtype="datetime64[s]").astype(np.int64)
    net = np.array(list(by_session.values()), dtype=np.float64)
    r = np.array([trade.r_multiple for trade in record.trades], dtype=np.float64)
    sharpes = rolling_sharpe(net, ROLLING_SESSIONS)
    means = rolling_mean(r, ROLLING_TRADES)
    return {
        "t": _steps(t),
        "net": _steps(np.rint(np.cumsum(net) * 100.0).astype(np.int64)),
        "sharpe": [_number(value, 3) for value in sharpes.tolist()],
        "expectancy": [_number(value, 4) for value in means.tolist()],
    }


def chart_data(
    record: RunRecord, bars: Mapping[str, Sequence[int]], start_equity: float
) -> dict[str, Any]:
    """Gather everything that the page draws."""
    candles = Candles.of(bars)
    chosen, words = around_trades(candles, record.trades)
    firsts = [*candles.t_open[:1].tolist(), *(mark[0] // 1_000_000_000 for mark in record.marks)]
    last = max(candles.t_open[-1:].tolist(), default=0)
    return {
        "tick": TICK,
        "shown": words,
        "candles_shown": int(chosen.sum()),
        "candles": len(candles),
        "pack": pack_candles(candles, chosen),
        "daily": daily_line(candles),
        "equity": equity_line(record, start_equity, min(firsts, default=0), last),
        "sessions": session_columns(record),
        "trades": trade_columns(record.trades),
    }
