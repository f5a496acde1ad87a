"""Estimators that reports share, each with its uncertainty."""

from dataclasses import dataclass
from math import erf, isnan, nan, sqrt

import numpy as np
from numpy.typing import NDArray

SESSIONS_PER_YEAR = 252
Z95 = 1.959963984540054
"""97.5 % quantile of the normal distribution."""

_ROUNDING = 1e-12

Floats = NDArray[np.float64]


def normal_cdf(x: float) -> float:
    """Return the standard normal distribution function at `x`."""
    return 0.5 * (1.0 + erf(x / sqrt(2.0)))


def wilson_interval(wins: int, trials: int, z: float = Z95) -> tuple[float, float]:
    """Return the Wilson score interval of a proportion.

    Parameters
    ----------
    wins, trials : int
        0 <= wins <= trials; without trials the interval is (0, 1).
    z : float
        Normal quantile; 1.96 for 95 %.

    Returns
    -------
    tuple of float

    Notes
    -----
    Wilson (1927), Journal of the American Statistical Association 22, 209-212.
    """
    if trials == 0:
        return 0.0, 1.0
    share = wins / trials
    scale = 1.0 + z * z / trials
    centre = share + z * z / (2.0 * trials)
    half = z * sqrt(share * (1.0 - share) / trials + z * z / (4.0 * trials * trials))
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)


@dataclass(frozen=True, slots=True)
class Ratio:
    """An annualised ratio with its standard error, nan where undefined."""

    value: float
    standard_error: float


def sharpe(pnl: Floats, per_year: int = SESSIONS_PER_YEAR) -> Ratio:
    """Return the annualised Sharpe ratio of a series without a risk-free rate.

    Parameters
    ----------
    pnl : ndarray of float64, shape (n,)
        One value per session, flat sessions included. A constant scale does not matter.
    per_year : int
        Sessions per year.

    Returns
    -------
    Ratio
        nan below two sessions or without variance. The standard error, `sharpe_error`, allows for
        skewness and kurtosis: Bailey and Lopez de Prado (2012), "The Sharpe ratio efficient
        frontier".
    """
    n = len(pnl)
    if n < 2:
        return Ratio(nan, nan)
    # The deviation of equal values may be a rounding error instead of 0.
    deviation = 0.0 if np.ptp(pnl) == 0.0 else float(np.std(pnl, ddof=1))
    if deviation == 0.0:
        return Ratio(nan, nan)
    ratio = float(np.mean(pnl)) / deviation
    standard = (pnl - np.mean(pnl)) / float(np.std(pnl))
    skew = float(np.mean(standard**3))
    kurtosis = float(np.mean(standard**4))
    scale = sqrt(per_year)
    return Ratio(ratio * scale, sharpe_error(ratio, n, skew, kurtosis) * scale)


def sharpe_error(ratio: float, sessions: int, skewness: float, kurtosis: float) -> float:
    """Return the standard error of a Sharpe ratio from the moments of its sample.

    Parameters
    ----------
    ratio : float
        Per session, not annualised.
    sessions : int
        At least 2.
    skewness, kurtosis : float
        Standardised moments; 0 and 3 for a normal.

    Returns
    -------
    float
        Per session; Mertens (2002), as in Bailey and Lopez de Prado (2012), equation 5.
    """
    variance = 1.0 - skewness * ratio + (kurtosis - 1.0) / 4.0 * ratio**2
    return sqrt(max(0.0, variance / (sessions - 1)))


def sortino(pnl: Floats, per_year: int = SESSIONS_PER_YEAR, seed: int = 0) -> Ratio:
    """Return the annualised Sortino ratio against 0.

    Parameters
    ----------
    pnl : ndarray of float64, shape (n,)
        One value per session, flat sessions included.
    per_year : int
        Sessions per year.
    seed : int
        Of the bootstrap.

    Returns
    -------
    Ratio
        Mean over the root mean square of the losses (flat and winning sessions count as 0),
        with the standard deviation of 1000 bootstrap resamples of whole sessions. nan below two
        sessions or without a loss that is more than rounding beside the greatest value.
    """
    n = len(pnl)
    if n < 2 or not np.any(pnl < -_ROUNDING * np.max(np.abs(pnl))):
        return Ratio(nan, nan)

    def ratios(samples: Floats) -> Floats:
        downside = np.sqrt(np.mean(np.minimum(samples, 0.0) ** 2, axis=-1))
        with np.errstate(divide="ignore", invalid="ignore"):
            result: Floats = np.mean(samples, axis=-1) / downside
        return result

    rng = np.random.Generator(np.random.PCG64(seed))
    drawn = np.concatenate([ratios(pnl[rng.integers(0, n, size=(100, n))]) for _ in range(10)])
    drawn = drawn[np.isfinite(drawn)]
    scale = sqrt(per_year)
    error = float(np.std(drawn, ddof=1)) * scale if len(drawn) > 1 else nan
    return Ratio(float(ratios(pnl)) * scale, error)


def probabilistic_sharpe(ratio: Ratio, benchmark: float = 0.0) -> float:
    """Return the probability that the true Sharpe ratio exceeds `benchmark` (both annualised).

    Bailey and Lopez de Prado (2012); nan where the ratio is.
    """
    if isnan(ratio.value) or not ratio.standard_error > 0.0:
        return nan
    return normal_cdf((ratio.value - benchmark) / ratio.standard_error)


@dataclass(frozen=True, slots=True)
class Drawdown:
    """The deepest fall of an equity curve: USD, share of the high, and where it lies."""

    usd: float
    share: float
    peak: int
    trough: int


def max_drawdown(equity: Floats) -> Drawdown:
    """Return the deepest fall from a running high.

    Parameters
    ----------
    equity : ndarray of float64, shape (n,)
        USD, in time order.

    Returns
    -------
    Drawdown
        All zero for an empty or never falling curve.
    """
    if len(equity) == 0:
        return Drawdown(0.0, 0.0, 0, 0)
    highs = np.maximum.accumulate(equity)
    trough = int(np.argmax(highs - equity))
    fall = float(highs[trough] - equity[trough])
    if fall == 0.0:
        return Drawdown(0.0, 0.0, 0, 0)
    peak = int(np.argmax(equity[: trough + 1]))
    share = fall / float(highs[trough]) if highs[trough] > 0.0 else nan
    return Drawdown(fall, share, peak, trough)


def profit_factor(pnl: Floats) -> float:
    """Return the sum of gains over the sum of losses; inf without a loss, nan without trades."""
    gains = float(np.sum(pnl[pnl > 0.0]))
    losses = -float(np.sum(pnl[pnl < 0.0]))
    if losses == 0.0:
        return nan if gains == 0.0 else float("inf")
    return gains / losses


def mean_interval(
    values: Floats, groups: NDArray[np.int64], resamples: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of a mean, resampling whole groups.

    Parameters
    ----------
    values : ndarray of float64, shape (n,)
    groups : ndarray of int64, shape (n,)
        Session of each value; sessions are drawn with replacement, so that dependence inside
        a session does not narrow the interval.
    resamples : int
    seed : int

    Returns
    -------
    tuple of float
        (nan, nan) below two groups.
    """
    keys, inverse = np.unique(groups, return_inverse=True)
    k = len(keys)
    if k < 2:
        return nan, nan
    sums = np.bincount(inverse, weights=values, minlength=k)
    counts = np.bincount(inverse, minlength=k)
    rng = np.random.Generator(np.random.PCG64(seed))
    rows = max(1, 100_000 // k)
    means = np.empty(resamples)
    for first in range(0, resamples, rows):
        drawn = rng.integers(0, k, size=(min(rows, resamples - first), k))
        means[first : first + rows] = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)
