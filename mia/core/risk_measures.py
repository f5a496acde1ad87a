"""Shape, tails and falls of a series of daily results or of an equity curve."""

from dataclasses import dataclass
from itertools import pairwise
from math import isfinite, nan, sqrt

import numpy as np
from numpy.typing import NDArray

from mia.core.statistics import SESSIONS_PER_YEAR, Floats


def _standardised(values: Floats) -> Floats | None:
    # The deviation of equal values may be a rounding error instead of 0.
    if len(values) < 2 or np.ptp(values) == 0.0:
        return None
    deviation = float(np.std(values))
    return (values - np.mean(values)) / deviation if deviation > 0.0 else None


def skewness(values: Floats) -> float:
    """Return the third standardised moment of the sample; nan without two different values."""
    standard = _standardised(values)
    return nan if standard is None else float(np.mean(standard**3))


def kurtosis(values: Floats) -> float:
    """Return the fourth standardised moment, 3 for a normal; nan without two different values."""
    standard = _standardised(values)
    return nan if standard is None else float(np.mean(standard**4))


def value_at_risk(pnl: Floats, tail: float = 0.05) -> float:
    """Return the loss that the worst share of sessions reaches or exceeds.

    Parameters
    ----------
    pnl : ndarray of float64, shape (n,)
        One value per session.
    tail : float
        Share of sessions, in (0, 1).

    Returns
    -------
    float
        A loss as a positive number, in the unit of `pnl`: the historical quantile, interpolated
        linearly; negative where even that quantile gained, nan without sessions.
    """
    return nan if len(pnl) == 0 else -float(np.quantile(pnl, tail))


def expected_shortfall(pnl: Floats, tail: float = 0.05) -> float:
    """Return the mean loss of the worst sessions.

    Parameters
    ----------
    pnl : ndarray of float64, shape (n,)
        One value per session.
    tail : float
        Share of sessions, in (0, 1).

    Returns
    -------
    float
        A loss as a positive number: the mean of the ``int((n - 1) * tail) + 1`` worst sessions,
        those that the quantile of `value_at_risk` does not exceed; nan without sessions.
    """
    if len(pnl) == 0:
        return nan
    last = int((len(pnl) - 1) * tail)
    return -float(np.mean(np.partition(pnl, last)[: last + 1]))


def falls(equity: Floats) -> Floats:
    """Return how far each point lies below the high before it, as a share of that high.

    Parameters
    ----------
    equity : ndarray of float64, shape (n,)
        USD in time order, the start first.

    Returns
    -------
    ndarray of float64, shape (n,)
        At least 0; nan where the high is not positive.
    """
    highs = np.maximum.accumulate(equity)
    shares = np.full(len(equity), nan)
    np.divide(highs - equity, highs, out=shares, where=highs > 0.0)
    return shares


def ulcer_index(equity: Floats) -> float:
    """Return the root mean square of the falls after the start, as a share.

    Martin and McCann (1989), "The investor's guide to Fidelity funds"; nan without a point after
    the start.
    """
    return nan if len(equity) < 2 else sqrt(float(np.mean(falls(equity)[1:] ** 2)))


def growth(equity: Floats, per_year: int = SESSIONS_PER_YEAR) -> float:
    """Return the compound yearly growth of a curve that starts with its capital.

    Returns
    -------
    float
        nan without a point after the start, from a capital that is not positive, after a ruin,
        and where a short span would grow beyond what a float holds.
    """
    if len(equity) < 2 or equity[0] <= 0.0 or equity[-1] <= 0.0:
        return nan
    power = float(np.log(equity[-1]) - np.log(equity[0])) * per_year / (len(equity) - 1)
    return float(np.expm1(power)) if power < 700.0 else nan


def mar(equity: Floats, per_year: int = SESSIONS_PER_YEAR) -> float:
    """Return yearly growth over the deepest fall of the whole curve, nan without a fall."""
    if len(equity) < 2:
        return nan
    deepest = float(np.max(falls(equity)))
    return growth(equity, per_year) / deepest if deepest > 0.0 else nan


def calmar(equity: Floats, per_year: int = SESSIONS_PER_YEAR) -> float:
    """Return `mar` of the last 36 months, of everything if there is less.

    Young (1991), "Calmar ratio: a smoother tool", Futures 20.
    """
    return mar(equity[-(3 * per_year + 1) :], per_year)


@dataclass(frozen=True, slots=True)
class Fall:
    """A time below a high.

    Attributes
    ----------
    peak, trough : int
        Places of the high and of the lowest point.
    recovered : int or None
        Place at which the high was reached again.
    end : int
        `recovered`, or the last place of the curve.
    usd, share : float
        Depth; the share of the high is nan where the high is not positive.
    """

    peak: int
    trough: int
    recovered: int | None
    end: int
    usd: float
    share: float

    @property
    def length(self) -> int:
        """Points from the high to the recovery or to the end of the curve."""
        return self.end - self.peak


def drawdowns(equity: Floats) -> list[Fall]:
    """Return every time below a high, the deepest in USD first."""
    if len(equity) == 0:
        return []
    highs = np.maximum.accumulate(equity)
    # Places that reach the high; between two that are not neighbours lies a fall.
    tops = [*np.flatnonzero(equity == highs).tolist(), len(equity)]
    found = []
    for peak, after in pairwise(tops):
        if after == peak + 1:
            continue
        trough = peak + 1 + int(np.argmin(equity[peak + 1 : after]))
        depth, high = float(equity[peak] - equity[trough]), float(equity[peak])
        recovered = after if after < len(equity) else None
        end = after if recovered is not None else after - 1
        share = depth / high if high > 0.0 else nan
        found.append(Fall(peak, trough, recovered, end, depth, share))
    return sorted(found, key=lambda fall: -fall.usd)


def rolling_sharpe(pnl: Floats, window: int, per_year: int = SESSIONS_PER_YEAR) -> Floats:
    """Return the annualised Sharpe ratio of the sessions up to each one.

    Parameters
    ----------
    pnl : ndarray of float64, shape (n,)
    window : int
        Sessions, at least 2.

    Returns
    -------
    ndarray of float64, shape (n,)
        nan for the first ``window - 1`` sessions and without variance.

    Raises
    ------
    ValueError
        If `window` is below 2.
    """
    if window < 2:
        raise ValueError(f"window must be at least 2, was {window}")
    ratios = np.full(len(pnl), nan)
    if len(pnl) < window:
        return ratios
    parts = np.lib.stride_tricks.sliding_window_view(pnl, window)
    deviations = parts.std(axis=1, ddof=1)
    varied = (np.ptp(parts, axis=1) > 0.0) & (deviations > 0.0)
    np.divide(parts.mean(axis=1), deviations, out=ratios[window - 1 :], where=varied)
    return ratios * sqrt(per_year)


def rolling_mean(values: Floats, window: int) -> Floats:
    """Return the mean of the values up to each one, nan for the first ``window - 1``.

    Raises
    ------
    ValueError
        If `window` is below 1.
    """
    if window < 1:
        raise ValueError(f"window must be at least 1, was {window}")
    means = np.full(len(values), nan)
    if len(values) >= window:
        parts = np.lib.stride_tricks.sliding_window_view(values, window)
        means[window - 1 :] = parts.mean(axis=1)
    return means


@dataclass(frozen=True, slots=True)
class Streaks:
    """Runs of wins and of losses; a result of exactly 0 ends a run.

    Attributes
    ----------
    longest_wins, longest_losses : int
    current : int
        Length of the run at the end, negative for losses.
    runs : int
        Runs of wins and losses, results of 0 left out.
    z : float
        How many standard deviations more runs there are than in a random order of the same wins
        and losses (Wald and Wolfowitz 1940): below 0 wins follow wins. nan without both.
    """

    longest_wins: int
    longest_losses: int
    current: int
    runs: int
    z: float


def streaks(pnl: Floats) -> Streaks:
    """Return the runs of wins and losses of results in order."""
    longest = {1: 0, -1: 0, 0: 0}
    length, before = 0, 0
    for sign in np.sign(pnl).astype(np.int64).tolist():
        length = length + 1 if sign == before else 1
        before = sign
        longest[sign] = max(longest[sign], length)
    signs: NDArray[np.float64] = np.sign(pnl[pnl != 0.0])
    runs = int(np.count_nonzero(np.diff(signs))) + 1 if len(signs) else 0
    wins, losses = int(np.sum(signs > 0.0)), int(np.sum(signs < 0.0))
    return Streaks(longest[1], longest[-1], length * before, runs, _runs_z(runs, wins, losses))


def _runs_z(runs: int, wins: int, losses: int) -> float:
    n, both = wins + losses, 2.0 * wins * losses
    if both == 0.0 or n < 3:
        return nan
    variance = both * (both - n) / (n * n * (n - 1.0))
    z = (runs - both / n - 1.0) / sqrt(variance) if variance > 0.0 else nan
    return z if isfinite(z) else nan


def kelly(pnl: Floats) -> float:
    """Return the fraction of capital that two outcomes, the mean win and loss, would call for.

    Kelly (1956): p - (1 - p) / b, with the share of wins p and the ratio b of the mean win to the
    mean loss; a result of 0 counts as neither. nan without both, negative without an edge.
    """
    wins, losses = pnl[pnl > 0.0], pnl[pnl < 0.0]
    if len(wins) == 0 or len(losses) == 0:
        return nan
    share = len(wins) / (len(wins) + len(losses))
    ratio = float(np.mean(wins)) / -float(np.mean(losses))
    return share - (1.0 - share) / ratio if ratio > 0.0 else nan
