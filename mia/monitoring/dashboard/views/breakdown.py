"""Figures of closed trades, each with its sample size and interval, for any selection of them."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from math import isfinite
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from mia.core import statistics

NEW_YORK = ZoneInfo("America/New_York")

Trade = Mapping[str, Any]
"""As `closed_trades.Account.trades` has them."""


def figures(trades: Sequence[Trade]) -> dict[str, Any]:
    """Summarise trades; None where a figure is undefined.

    Returns
    -------
    dict
        ``n``, ``wins``, ``win_rate`` with its Wilson interval, ``net``, ``gross`` and ``costs`` in
        USD, ``profit_factor``, ``expectancy_r`` with a bootstrap interval over sessions,
        ``slippage`` in ticks a trade.
    """
    n = len(trades)
    net = np.array([trade["net"] for trade in trades], dtype=np.float64)
    r = np.array([trade["r"] for trade in trades if trade["r"] is not None], dtype=np.float64)
    sessions = np.array(
        [trade["session"] for trade in trades if trade["r"] is not None], dtype=np.int64
    )
    wins = int(np.sum(net > 0.0))
    interval = statistics.mean_interval(r, sessions) if len(r) else (np.nan, np.nan)
    return {
        "n": n,
        "wins": wins,
        "win_rate": wins / n if n else None,
        "win_rate_95": [number(x) for x in statistics.wilson_interval(wins, n)] if n else None,
        "net": float(net.sum()),
        "gross": float(sum(trade["gross"] for trade in trades)),
        "costs": float(sum(trade["costs"] for trade in trades)),
        "profit_factor": number(statistics.profit_factor(net)) if n else None,
        "expectancy_r": number(float(r.mean())) if len(r) else None,
        "expectancy_r_95": [number(x) for x in interval],
        "slippage": number(float(np.mean([trade["slippage"] or 0.0 for trade in trades])))
        if n
        else None,
    }


def number(value: float) -> float | None:
    """Return a float that JSON can say; what is not finite is None."""
    return float(value) if isfinite(value) else None


def grouped(trades: Sequence[Trade], key: Callable[[Trade], str]) -> list[dict[str, Any]]:
    """Return the figures of each group, ordered by its name, which stands in ``name``."""
    groups: dict[str, list[Trade]] = defaultdict(list)
    for trade in trades:
        groups[key(trade)].append(trade)
    return [{"name": name, **figures(groups[name])} for name in sorted(groups)]


def hour_of(trade: Trade) -> str:
    """Return the hour of the entry in New York, as ``09``."""
    moment = datetime.fromtimestamp(trade["ts_entry"] / 1e9, UTC)
    return f"{moment.astimezone(NEW_YORK):%H}"


def breakdown(trades: Sequence[Trade]) -> dict[str, Any]:
    """Return the figures of all trades, and by hour, regime, setup, strategy, side and exit."""
    return {
        "all": figures(trades),
        "by_hour": grouped(trades, hour_of),
        "by_regime": grouped(trades, lambda trade: str(trade["regime"])),
        "by_setup": grouped(trades, lambda trade: str(trade["setup"])),
        "by_strategy": grouped(trades, lambda trade: str(trade["strategy"])),
        "by_side": grouped(trades, lambda trade: "long" if trade["side"] > 0 else "short"),
        "by_exit": grouped(trades, lambda trade: str(trade["exit_reason"])),
    }


def drawdown(equity: Sequence[Sequence[float]]) -> dict[str, Any]:
    """Return the falls from the running high, USD, and the deepest of them.

    Parameters
    ----------
    equity : sequence of (ns UTC, USD)
    """
    if not equity:
        return {"falls": [], "deepest": None, "share": None}
    worth = np.array([point[1] for point in equity], dtype=np.float64)
    high = np.maximum.accumulate(worth)
    falls = high - worth
    worst = int(np.argmax(falls))
    share = falls[worst] / high[worst] if high[worst] > 0 else np.nan
    return {
        "falls": [[point[0], float(fall)] for point, fall in zip(equity, falls, strict=True)],
        "deepest": float(falls[worst]),
        "share": number(share),
    }
