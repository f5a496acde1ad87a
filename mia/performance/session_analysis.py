"""What the sessions of a run say: daily results, falls, chance, and the choice among trials."""

from collections.abc import Sequence
from dataclasses import asdict
from math import sqrt
from typing import Any

import numpy as np

from mia.core import overfitting, resampling, risk_measures, statistics
from mia.core.overfitting import Overfitting, Trials
from mia.core.statistics import SESSIONS_PER_YEAR, Floats
from mia.performance.figures import QUANTILES, bounds, finite, mean, ratio

ROLLING_SESSIONS = 63
"""A quarter of a year."""
ROLLING_TRADES = 50
SHOWN_FALLS = 5


def _sharpes(samples: Floats) -> Floats:
    ratios: Floats = samples.mean(axis=1) / samples.std(axis=1, ddof=1) * sqrt(SESSIONS_PER_YEAR)
    return ratios


def _sortinos(samples: Floats) -> Floats:
    downside = np.sqrt(np.mean(np.minimum(samples, 0.0) ** 2, axis=1))
    ratios: Floats = samples.mean(axis=1) / downside * sqrt(SESSIONS_PER_YEAR)
    return ratios


def _means(samples: Floats) -> Floats:
    means: Floats = samples.mean(axis=1)
    return means


def daily_figures(daily: Floats) -> dict[str, Any]:
    """Summarise net USD of sessions; intervals are 95 % of 2000 resamples of sessions.

    Parameters
    ----------
    daily : ndarray of float64, shape (n,)
        One value per session, flat ones included.
    """
    n = len(daily)
    wins, losses = int(np.sum(daily > 0.0)), int(np.sum(daily < 0.0))
    # Below two different sessions every resample would be the same.
    varied = n > 1 and float(np.ptp(daily)) > 0.0
    drawn = daily if varied else daily[:0]
    return {
        "sessions": n,
        "mean_usd": mean(daily),
        "mean_usd_95": bounds(resampling.session_interval(drawn, _means)),
        "standard_deviation_usd": finite(np.std(daily, ddof=1)) if n > 1 else None,
        "best_usd": finite(np.max(daily)) if n else None,
        "worst_usd": finite(np.min(daily)) if n else None,
        "winning": wins,
        "losing": losses,
        "winning_share": ratio(wins, n),
        "winning_share_wilson_95": bounds(statistics.wilson_interval(wins, n)),
        "skewness": finite(risk_measures.skewness(daily)),
        "kurtosis": finite(risk_measures.kurtosis(daily)),
        "value_at_risk_95_usd": finite(risk_measures.value_at_risk(daily, 0.05)),
        "expected_shortfall_95_usd": finite(risk_measures.expected_shortfall(daily, 0.05)),
        "value_at_risk_99_usd": finite(risk_measures.value_at_risk(daily, 0.01)),
        "expected_shortfall_99_usd": finite(risk_measures.expected_shortfall(daily, 0.01)),
        "sharpe_95": bounds(resampling.session_interval(drawn, _sharpes)),
        "sortino_95": bounds(resampling.session_interval(drawn, _sortinos)),
    }


def closing_equity(daily: Floats, start_equity: float) -> Floats:
    """Return the equity at the start and after each session, in USD."""
    return start_equity + np.concatenate([np.zeros(1), np.cumsum(daily)])


def growth_figures(equity: Floats) -> dict[str, Any]:
    """Set yearly growth against falls, both between the closes of sessions."""
    shares = risk_measures.falls(equity)
    return {
        "yearly_growth": finite(risk_measures.growth(equity)),
        "mar": finite(risk_measures.mar(equity)),
        "calmar": finite(risk_measures.calmar(equity)),
        "ulcer_index": finite(risk_measures.ulcer_index(equity)),
        "deepest_fall_share": finite(np.max(shares)),
    }


def under_water(equity: Floats, sessions: Sequence[int]) -> dict[str, Any]:
    """Describe the times below a high between the closes of sessions, the deepest first.

    Parameters
    ----------
    equity : ndarray of float64, shape (n + 1,)
        The start first.
    sessions : sequence of int
        The n sessions as yyyymmdd.
    """
    found = risk_measures.drawdowns(equity)
    below = int(np.sum(equity < np.maximum.accumulate(equity)))

    def name(place: int | None) -> int | None:
        return None if not place else sessions[place - 1]

    return {
        "share_of_sessions": ratio(below, len(sessions)),
        "longest_sessions": max((fall.length for fall in found), default=0),
        "current_sessions": max(
            (fall.length for fall in found if fall.recovered is None), default=0
        ),
        "count": len(found),
        "deepest": [
            {
                "high": name(fall.peak),
                "trough": name(fall.trough),
                "recovered": name(fall.recovered),
                "usd": fall.usd,
                "share": finite(fall.share),
                "sessions": fall.length,
            }
            for fall in found[:SHOWN_FALLS]
        ],
    }


def cone_figures(daily: Floats) -> dict[str, Any] | None:
    """Return what other orders of the same sessions would have brought, None below two."""
    found = resampling.cone(daily)
    if found is None:
        return None
    names = [f"p{round(100 * level):02d}" for level in QUANTILES]
    levels = np.round(found.levels.T, 2).tolist()
    return {
        "paths": found.paths,
        "block_sessions": found.length,
        "at_session": found.places.tolist(),
        "sum_usd": dict(zip(names, levels, strict=True)),
        "deepest_fall_usd": dict(zip(names, found.falls, strict=True)),
        "share_of_losing_paths": found.loss,
        "share_of_deeper_falls": found.deeper,
    }


def selection_figures(daily: Floats, trials: Trials, outcome: Overfitting | None) -> dict[str, Any]:
    """Discount the Sharpe ratio for the trials among which the run was chosen."""
    sharpe = statistics.sharpe(daily)
    needed = overfitting.minimum_track_record(sharpe, len(daily))
    return {
        "trials": trials.count,
        "sharpe_deviation_of_trials": trials.deviation,
        "best_sharpe_by_chance": finite(overfitting.expected_best_sharpe(trials)),
        "deflated_sharpe": finite(overfitting.deflated_sharpe(sharpe, trials)),
        "minimum_track_record_sessions": finite(needed),
        "overfitting": None if outcome is None else _plain(outcome),
    }


def _plain(outcome: Overfitting) -> dict[str, Any]:
    return {**asdict(outcome), "slope": finite(outcome.slope)}


def rolling_figures(daily: Floats, r: Floats) -> dict[str, Any]:
    """Return the extremes and the latest of rolling Sharpe ratio, expectancy and win rate."""
    sharpes = risk_measures.rolling_sharpe(daily, ROLLING_SESSIONS)
    means = risk_measures.rolling_mean(r, ROLLING_TRADES)
    rates = _extremes(risk_measures.rolling_mean((r > 0.0).astype(np.float64), ROLLING_TRADES))
    del rates["share_below_zero"]
    return {
        "sharpe": {"window_sessions": ROLLING_SESSIONS, **_extremes(sharpes)},
        "expectancy_r": {"window_trades": ROLLING_TRADES, **_extremes(means)},
        "win_rate": {"window_trades": ROLLING_TRADES, **rates},
    }


def _extremes(values: Floats) -> dict[str, Any]:
    known = values[np.isfinite(values)]
    return {
        "windows": len(known),
        "latest": finite(values[-1]) if len(values) else None,
        "lowest": finite(np.min(known)) if len(known) else None,
        "highest": finite(np.max(known)) if len(known) else None,
        "share_below_zero": ratio(int(np.sum(known < 0.0)), len(known)),
    }
