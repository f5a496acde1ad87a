"""What chance alone could have made of the same sessions: bootstrap intervals and a cone."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import ceil, nan

import numpy as np
from numpy.typing import NDArray

from mia.core.statistics import Floats

CELLS = 1_000_000
"""Results drawn at a time: bounds the memory of a bootstrap."""
CONE_LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
CONE_POINTS = 60


def block_length(n: int) -> int:
    """Return the usual length of blocks, the cube root of the number of sessions, rounded up."""
    root: float = n ** (1.0 / 3.0)
    return max(1, ceil(round(root, 9)))


def drawn_blocks(n: int, length: int, paths: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Yield places of circular blocks drawn with replacement, some paths at a time.

    Parameters
    ----------
    n : int
        Sessions, at least 1.
    length : int
        Sessions per block, at least 1; dependence over fewer sessions than that is kept.
    paths : int
    seed : int

    Yields
    ------
    ndarray of int64, shape (rows, n)
        Rows are paths; the last block of each is cut.

    Raises
    ------
    ValueError
        If `n`, `length` or `paths` is below 1.

    Notes
    -----
    Politis and Romano (1992), "A circular block-resampling procedure for stationary data". What a
    seed gives depends on numpy's PCG64 only.
    """
    if min(n, length, paths) < 1:
        raise ValueError(f"n, length and paths must be at least 1, were {n}, {length}, {paths}")
    rng = np.random.Generator(np.random.PCG64(seed))
    blocks = -(-n // length)
    rows = max(1, CELLS // n)
    steps = np.arange(length)
    for first in range(0, paths, rows):
        starts = rng.integers(0, n, size=(min(rows, paths - first), blocks, 1))
        yield ((starts + steps) % n).reshape(len(starts), -1)[:, :n]


def session_interval(
    pnl: Floats,
    statistic: Callable[[Floats], Floats],
    *,
    length: int = 1,
    resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of a statistic of sessions.

    Parameters
    ----------
    pnl : ndarray of float64, shape (n,) or (n, k)
        One row per session; k series stay together, so a statistic of pairs is paired.
    statistic : callable
        Takes an array of shape (rows, n) or (rows, n, k), returns one value a row.
    length : int
        Sessions per block; 1 draws single sessions.
    resamples : int
    level : float
        Probability inside the interval.
    seed : int

    Returns
    -------
    tuple of float
        Resamples for which the statistic is not finite are left out; (nan, nan) below two
        sessions, and where that holds for more than half of them.
    """
    n = len(pnl)
    if n < 2:
        return nan, nan
    with np.errstate(divide="ignore", invalid="ignore"):
        drawn = [statistic(pnl[places]) for places in drawn_blocks(n, length, resamples, seed)]
    values = np.concatenate(drawn)
    values = values[np.isfinite(values)]
    if 2 * len(values) < resamples:
        return nan, nan
    low, high = np.quantile(values, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return float(low), float(high)


@dataclass(frozen=True, slots=True)
class Cone:
    """What other orders of the same blocks of sessions would have brought.

    Attributes
    ----------
    paths, length : int
        Paths drawn, and sessions per block.
    places : ndarray of int64, shape (m,)
        Sessions, counted from 1, at which `levels` are given.
    levels : ndarray of float64, shape (m, 5)
        Quantiles 5, 25, 50, 75 and 95 % of the sum of results until there.
    falls : tuple of float
        The same quantiles of the deepest fall of a path, in the unit of the results.
    loss : float
        Share of paths that end below their start.
    deeper : float
        Share of paths that fall deeper than the series itself did.
    """

    paths: int
    length: int
    places: NDArray[np.int64]
    levels: Floats
    falls: tuple[float, ...]
    loss: float
    deeper: float


def cone(
    pnl: Floats, *, length: int | None = None, paths: int = 2000, seed: int = 0
) -> Cone | None:
    """Draw paths of as many sessions from blocks of a series.

    Parameters
    ----------
    pnl : ndarray of float64, shape (n,)
        One value per session, in order.
    length : int, optional
        Sessions per block; `block_length` if absent.
    paths : int
    seed : int

    Returns
    -------
    Cone or None
        None below two sessions.
    """
    n = len(pnl)
    if n < 2:
        return None
    length = block_length(n) if length is None else length
    places = np.unique(np.linspace(1, n, min(n, CONE_POINTS)).round().astype(np.int64))
    sums, deepest = [], []
    for drawn in drawn_blocks(n, length, paths, seed):
        curves = np.cumsum(pnl[drawn], axis=1)
        sums.append(curves[:, places - 1])
        deepest.append(_deepest(curves))
    at_places, fallen = np.concatenate(sums), np.concatenate(deepest)
    own = float(_deepest(np.cumsum(pnl)[None, :])[0])
    return Cone(
        paths,
        length,
        places,
        np.quantile(at_places, CONE_LEVELS, axis=0).T,
        tuple(np.quantile(fallen, CONE_LEVELS).tolist()),
        float(np.mean(at_places[:, -1] < 0.0)),
        float(np.mean(fallen > own)),
    )


def _deepest(curves: Floats) -> Floats:
    # The start, 0, is the first high.
    highs = np.maximum(np.maximum.accumulate(curves, axis=1), 0.0)
    deepest: Floats = np.max(highs - curves, axis=1)
    return deepest
