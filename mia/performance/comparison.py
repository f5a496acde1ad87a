"""Two runs side by side: differences in the sessions they share, each with its interval."""

from collections.abc import Callable
from math import sqrt
from typing import Any

import numpy as np

from mia.core.resampling import session_interval
from mia.core.statistics import SESSIONS_PER_YEAR, Floats
from mia.performance.figures import bounds, finite
from mia.performance.stored_run import StoredRun

SHOWN = (
    "trades",
    "win_rate",
    "expectancy_r",
    "profit_factor",
    "net_pnl_usd",
    "costs_usd",
    "slippage_ticks_mean",
    "sharpe",
    "sortino",
    "max_drawdown_usd",
    "exposure",
    "decisions",
    "accepted",
    "unfilled",
)
IDENTITY = (
    "source",
    "source_kind",
    "primary_stream",
    "trading_mode",
    "risk_level",
    "configuration_sha256",
    "data_sha256",
    "code_version",
)

Statistic = Callable[[Floats], Floats]

NET, R, WINS, TRADES = range(4)
"""Columns of a run's sessions."""


def _sessions(run: StoredRun, ids: list[int]) -> Floats:
    """Return net USD, the sum of R, winners and trades of each session."""
    places = {sid: k for k, sid in enumerate(ids)}
    table = np.zeros((len(ids), 4))
    for trade in run.record.trades:
        row = places.get(trade.session_id)
        if row is not None:
            table[row] += (trade.net_pnl, trade.r_multiple, trade.net_pnl > 0.0, 1.0)
    return table


def _sharpes(part: Floats) -> Floats:
    net = part[..., NET]
    ratios: Floats = net.mean(axis=1) / net.std(axis=1, ddof=1) * sqrt(SESSIONS_PER_YEAR)
    # The deviation of equal sessions may be a rounding error instead of 0.
    return np.where(np.ptp(net, axis=1) > 0.0, ratios, np.nan)


def _means(part: Floats) -> Floats:
    means: Floats = part[..., NET].mean(axis=1)
    return means


def _per_trade(column: int) -> Statistic:
    def ratios(part: Floats) -> Floats:
        result: Floats = part[..., column].sum(axis=1) / part[..., TRADES].sum(axis=1)
        return result

    return ratios


STATISTICS: dict[str, Statistic] = {
    "mean_session_usd": _means,
    "sharpe": _sharpes,
    "expectancy_r": _per_trade(R),
    "win_rate": _per_trade(WINS),
}


def compare(a: StoredRun, b: StoredRun) -> dict[str, Any]:
    """Compare two runs.

    Returns
    -------
    dict
        ``figures`` of the whole runs side by side; ``differences``, b less a, in the sessions
        that both have, with a 95 % bootstrap interval that draws each session for both runs at
        once, so what the runs share does not widen it; ``identity`` of what they were made from,
        where it differs. Undefined figures are None.
    """
    shared = sorted(set(a.record.sessions) & set(b.record.sessions))
    both = np.concatenate([_sessions(a, shared), _sessions(b, shared)], axis=1)
    return {
        "a": str(a.folder),
        "b": str(b.folder),
        "sessions": {
            "a": len(set(a.record.sessions)),
            "b": len(set(b.record.sessions)),
            "both": len(shared),
        },
        "identity": {
            key: {"a": a.summary.get(key), "b": b.summary.get(key)}
            for key in IDENTITY
            if a.summary.get(key) != b.summary.get(key)
        },
        "figures": {key: {"a": a.summary[key], "b": b.summary[key]} for key in SHOWN},
        "differences": {
            name: _difference(both, statistic) for name, statistic in STATISTICS.items()
        },
    }


def _difference(both: Floats, statistic: Statistic) -> dict[str, Any]:
    def apart(samples: Floats) -> Floats:
        return statistic(samples[..., 4:]) - statistic(samples[..., :4])

    if len(both) < 2:
        return {"a": None, "b": None, "difference": None, "difference_95": [None, None]}
    with np.errstate(divide="ignore", invalid="ignore"):
        values = [float(statistic(part[None])[0]) for part in (both[:, :4], both[:, 4:])]
    found = values[1] - values[0]
    interval = bounds(session_interval(both, apart)) if np.isfinite(found) else [None, None]
    return {
        "a": finite(values[0]),
        "b": finite(values[1]),
        "difference": finite(found),
        "difference_95": interval,
    }
