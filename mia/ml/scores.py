"""How good probabilities are: loss, calibration, and how far the inputs have moved."""

from math import nan
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

CLIP = 0.01
"""Probabilities count as at least this and at most one minus it in the log-loss."""


def log_losses(p: Floats | float, y: Floats) -> Floats:
    """Return the log-loss of each outcome, probabilities clipped to [0.01, 0.99]."""
    clipped = np.clip(p, CLIP, 1.0 - CLIP)
    losses: Floats = -(y * np.log(clipped) + (1.0 - y) * np.log1p(-clipped))
    return losses


def brier(p: Floats, y: Floats) -> float:
    """Return the mean squared error of probabilities; nan without any."""
    return float(np.mean((p - y) ** 2)) if len(y) else nan


class ReliabilityBin(NamedTuple):
    """Trades whose probabilities are neighbours: mean probability, share of wins, number."""

    predicted: float
    observed: float
    trades: int


def reliability(p: Floats, y: Floats, bins: int = 10) -> list[ReliabilityBin]:
    """Return the reliability curve over bins of equal numbers of trades, lowest first."""
    order = np.argsort(p, kind="stable")
    parts = np.array_split(order, min(bins, len(order))) if len(order) else []
    return [ReliabilityBin(float(p[k].mean()), float(y[k].mean()), len(k)) for k in parts]


def calibration_error(p: Floats, y: Floats, bins: int = 10) -> float:
    """Return the expected calibration error: mean distance of the curve to the diagonal.

    Bins of equal numbers, weighted by their number; nan without trades.
    """
    curve = reliability(p, y, bins)
    if not curve:
        return nan
    total = sum(b.trades for b in curve)
    return sum(b.trades * abs(b.predicted - b.observed) for b in curve) / total


def area_under_curve(p: Floats, y: Floats) -> float:
    """Return the chance that a win has the higher probability than a loss, ties counting half."""
    wins, losses = p[y > 0.5], np.sort(p[y <= 0.5])
    if not len(wins) or not len(losses):
        return nan
    below = np.searchsorted(losses, wins, side="left")
    upto = np.searchsorted(losses, wins, side="right")
    return float((below + upto).sum() / (2.0 * len(wins) * len(losses)))


def population_stability(reference: Floats, current: Floats, bins: int = 10) -> float:
    """Return the population stability index of a column: 0 alike, above 0.25 another world.

    Parameters
    ----------
    reference, current : ndarray of float64
        Nan is a bin of its own. Edges are quantiles of both together, so that the index does not
        change when they are exchanged.

    Notes
    -----
    ``sum((q - p) ln(q / p))`` over bins, with half an observation added to each bin so that an
    empty one stays finite; 0 without data.
    """
    if not len(reference) or not len(current):
        return 0.0
    places, count = stability_bins(np.concatenate((reference, current)), bins)
    held = np.bincount(places[: len(reference)], minlength=count)
    taken = np.bincount(places[len(reference) :], minlength=count)
    return float(stability_of_counts(held[None], taken[None])[0])


def stability_bins(values: Floats, bins: int) -> tuple[NDArray[np.int64], int]:
    """Return the bin of each value, and how many bins there are; the last one holds nan."""
    known = values[~np.isnan(values)]
    edges = np.empty(0)
    if len(known):
        edges = np.unique(np.quantile(known, np.linspace(0, 1, bins + 1)[1:-1]))
    places = np.searchsorted(edges, values).astype(np.int64)
    places[np.isnan(values)] = len(edges) + 1
    return places, len(edges) + 2


def stability_of_counts(reference: NDArray[np.int64], current: NDArray[np.int64]) -> Floats:
    """Return the population stability index of counts by bin, shape (rows, bins), of each row."""
    p, q = reference + 0.5, current + 0.5
    p = p / p.sum(axis=1, keepdims=True)
    q = q / q.sum(axis=1, keepdims=True)
    found: Floats = ((q - p) * np.log(q / p)).sum(axis=1)
    return found
