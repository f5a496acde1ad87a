"""Calibration of scores on trades that came after the training trades."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mia.ml.logistic import minimise_logistic

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CalibrationMap:
    """Two numbers of a sigmoid, or the knots of a rising line; see `mia._fast.trees`."""

    slope: float
    offset: float
    x: Floats
    y: Floats


def unchanged() -> CalibrationMap:
    """Return the map that leaves the model's own probability."""
    return CalibrationMap(1.0, 0.0, np.empty(0), np.empty(0))


def fit_sigmoid(scores: Floats, y: Floats, weights: Floats) -> CalibrationMap:
    """Fit slope and offset to the log-odds.

    Labels are drawn towards one half as by Platt (1999), so that a block without a loss does not
    give certainty. A slope that is not positive would turn the model round: then the map is
    constant at the smoothed share of wins.
    """
    wins = float(weights @ y)
    losses = float(weights.sum()) - wins
    high, low = (wins + 1.0) / (wins + 2.0), 1.0 / (losses + 2.0)
    target = np.where(y > 0.5, high, low)
    design = np.column_stack((scores, np.ones(len(scores))))
    slope, offset = minimise_logistic(
        design, target, weights, np.full(2, 1e-9), np.array([1.0, 0.0])
    )
    if not (slope > 0.0 and np.isfinite(slope) and np.isfinite(offset)):
        share = (wins + 1.0) / (wins + losses + 2.0)
        return CalibrationMap(0.0, float(np.log(share / (1.0 - share))), np.empty(0), np.empty(0))
    return CalibrationMap(float(slope), float(offset), np.empty(0), np.empty(0))


def fit_isotonic(scores: Floats, y: Floats, weights: Floats) -> CalibrationMap:
    """Fit a rising step function by pooling adjacent violators; a knot at each pool's mean score.

    Knots at the means rather than at both ends of a pool keep the map strictly ordered and never
    above 1 or below 0; between them the map is linear.
    """
    order = np.argsort(scores, kind="stable")
    pools: list[list[float]] = []
    for k in order:
        pools.append([float(weights[k]), float(weights[k] * y[k]), float(weights[k] * scores[k])])
        while len(pools) > 1 and (
            pools[-2][1] / pools[-2][0] >= pools[-1][1] / pools[-1][0]
            or pools[-2][2] / pools[-2][0] >= pools[-1][2] / pools[-1][0]
        ):
            last = pools.pop()
            pools[-1] = [a + b for a, b in zip(pools[-1], last, strict=True)]
    x = np.array([pool[2] / pool[0] for pool in pools])
    values = np.clip([pool[1] / pool[0] for pool in pools], 0.0, 1.0)
    keep = np.concatenate(([True], np.diff(x) > 0.0))
    return CalibrationMap(1.0, 0.0, x[keep], values[keep])
