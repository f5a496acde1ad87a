"""How much of a result is the choice of the best among many trials."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import e, isnan, nan
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from mia.core.statistics import (
    Floats,
    Ratio,
    probabilistic_sharpe,
)

EULER = 0.5772156649015329
BLOCKS = 16
ROWS = 1000

_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Trials:
    """What was tried before one result was chosen.

    Attributes
    ----------
    count : int
        Variants tried, the chosen one included; at least 1.
    deviation : float
        Standard deviation (n - 1) of their annualised Sharpe ratios; 0 for one trial.
    """

    count: int = 1
    deviation: float = 0.0

    @classmethod
    def of(cls, ratios: Sequence[float]) -> "Trials":
        """Count trials from their annualised Sharpe ratios.

        A trial without a defined ratio (nan) was tried all the same: it counts, and its ratio
        enters the deviation as 0.

        Raises
        ------
        ValueError
            Without trials.
        """
        if not ratios:
            raise ValueError("at least one trial is needed, the chosen one, were none")
        values = np.nan_to_num(np.array(ratios, dtype=np.float64), nan=0.0)
        return cls(len(ratios), float(np.std(values, ddof=1)) if len(ratios) > 1 else 0.0)


def expected_best_sharpe(trials: Trials) -> float:
    """Return the Sharpe ratio that the best of independent trials without edge would show.

    Bailey and Lopez de Prado (2014), "The deflated Sharpe ratio", equation 1; annualised as the
    deviation of the trials is, 0 for one trial.
    """
    if trials.count < 2:
        return 0.0
    first = _NORMAL.inv_cdf(1.0 - 1.0 / trials.count)
    second = _NORMAL.inv_cdf(1.0 - 1.0 / (trials.count * e))
    return trials.deviation * ((1.0 - EULER) * first + EULER * second)


def deflated_sharpe(ratio: Ratio, trials: Trials) -> float:
    """Return the probability that a chosen Sharpe ratio beats what choice alone would show.

    Parameters
    ----------
    ratio : Ratio
        Of the chosen trial, with its standard error, annualised.
    trials : Trials

    Returns
    -------
    float
        nan where the ratio is. For one trial it is the probabilistic Sharpe ratio.
    """
    return probabilistic_sharpe(ratio, expected_best_sharpe(trials))


def minimum_track_record(
    ratio: Ratio,
    sessions: int,
    benchmark: float = 0.0,
    confidence: float = 0.95,
) -> float:
    """Return how many sessions like these would show the ratio to exceed `benchmark`.

    Parameters
    ----------
    ratio : Ratio
        Annualised, from `mia.core.statistics.sharpe`.
    sessions : int
        From which it was estimated.
    benchmark : float
        Annualised.
    confidence : float
        In (0.5, 1).

    Returns
    -------
    float
        Sessions; inf if the ratio does not exceed the benchmark, nan where it is undefined.

    Notes
    -----
    Bailey and Lopez de Prado (2012), "The Sharpe ratio efficient frontier", equation 11. The
    standard error holds skewness and kurtosis.
    """
    if isnan(ratio.value) or isnan(ratio.standard_error) or sessions < 2:
        return nan
    excess = ratio.value - benchmark
    if excess <= 0.0:
        return float("inf")
    # The error squared is the variance of one session over (sessions - 1).
    z = _NORMAL.inv_cdf(confidence) * ratio.standard_error / excess
    return 1.0 + (sessions - 1) * z * z


@dataclass(frozen=True, slots=True)
class Overfitting:
    """Outcome of combinatorially symmetric cross-validation.

    Attributes
    ----------
    probability : float
        Share of splits in which the best variant inside lies at or below the median outside.
    loss : float
        Share of splits in which the best variant inside loses outside.
    slope : float
        Of the ratio outside on the ratio inside, over the splits; nan without spread.
    variants, sessions, blocks, splits : int
        Sample sizes.
    """

    probability: float
    loss: float
    slope: float
    variants: int
    sessions: int
    blocks: int
    splits: int


def _ratios(sums: Floats, squares: Floats, counts: Floats, means: Floats) -> Floats:
    """Return ratios per session from sums of results less `means`; 0 without variance."""
    n = counts[:, None]
    shifted = sums / n
    variance = (squares - n * shifted**2) / (n - 1.0)
    ratios = np.zeros_like(sums)
    # Of equal results the squares leave a rounding error rather than 0.
    varied = variance > 1e-12 * np.maximum(squares / n, np.finfo(np.float64).tiny)
    np.divide(shifted + means, np.sqrt(np.maximum(variance, 0.0)), out=ratios, where=varied)
    return ratios


def probability_of_overfitting(pnl: Floats, blocks: int = BLOCKS) -> Overfitting | None:
    """Return how often the best variant of one half of the sessions disappoints in the other.

    Parameters
    ----------
    pnl : ndarray of float64, shape (sessions, variants)
        Results of all variants in the same sessions, flat ones included.
    blocks : int
        Even, at least 2; sessions are cut into as many runs of nearly equal length, of which
        each choice of half is once inside.

    Returns
    -------
    Overfitting or None
        None below two variants or two sessions a block.

    Raises
    ------
    ValueError
        If `blocks` is odd or below 2.

    Notes
    -----
    Bailey, Borwein, Lopez de Prado and Zhu (2017), "The probability of backtest overfitting",
    Journal of Computational Finance 20. A variant without variance has the ratio 0; equal ratios
    share the mean of their ranks.
    """
    if blocks < 2 or blocks % 2:
        raise ValueError(f"blocks must be even and at least 2, were {blocks}")
    sessions, variants = pnl.shape
    if variants < 2 or sessions < 2 * blocks:
        return None
    means = pnl.mean(axis=0)
    parts = np.array_split(pnl - means, blocks)
    sums = np.array([part.sum(axis=0) for part in parts])
    squares = np.array([(part**2).sum(axis=0) for part in parts])
    counts = np.array([len(part) for part in parts], dtype=np.float64)
    inside, outside, ranks = [], [], []
    chosen = _halves(blocks)
    for first in range(0, len(chosen), ROWS):
        mask = chosen[first : first + ROWS]
        of_in = _ratios(mask @ sums, mask @ squares, mask @ counts, means)
        rest = 1.0 - mask
        of_out = _ratios(rest @ sums, rest @ squares, rest @ counts, means)
        rows = np.arange(len(mask))
        best = np.argmax(of_in, axis=1)
        picked = of_out[rows, best][:, None]
        below = np.sum(of_out < picked, axis=1)
        equal = np.sum(of_out == picked, axis=1)
        inside.append(of_in[rows, best])
        outside.append(picked[:, 0])
        ranks.append(below + (equal + 1.0) / 2.0)
    best_in, best_out = np.concatenate(inside), np.concatenate(outside)
    # The logit of rank / (variants + 1) is at most 0 up to the middle rank.
    share = float(np.mean(np.concatenate(ranks) <= (variants + 1) / 2.0))
    spread = float(np.ptp(best_in))
    slope = float(np.polyfit(best_in, best_out, 1)[0]) if spread > 1e-12 else nan
    loss = float(np.mean(best_out < 0.0))
    return Overfitting(share, loss, slope, variants, sessions, blocks, len(chosen))


def _halves(blocks: int) -> NDArray[np.float64]:
    picks = list(combinations(range(blocks), blocks // 2))
    mask = np.zeros((len(picks), blocks))
    for row, pick in enumerate(picks):
        mask[row, list(pick)] = 1.0
    return mask
