"""Has the world changed since training: a running sum of excess loss, and moved inputs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mia.ml.inputs import INPUTS
from mia.ml.scores import population_stability, stability_bins, stability_of_counts

Floats = NDArray[np.float64]

ALLOWANCE = 0.5
ALARM = 10.0
MOST_OF_ONE = 2.5
"""One surprise counts at most this: log-loss has a long tail, and drift is not one trade."""
MOVED = 0.25
"""Population stability index from which an input counts as moved, were there no chance."""
LEAST_FOR_MOVE = 100
BLOCK = 50
"""Closed trades that are held against those of the training at once."""
FALSE_ALARM = 0.005
"""Share of blocks that may be taken for moved where none of the inputs has moved."""
DEALS = 1999
SEED = 7
_BINS = 5
_AT_ONCE = 250


@dataclass(slots=True)
class LossCusum:
    """One-sided cumulative sum of the log-loss above what out-of-fold predictions had.

    Attributes
    ----------
    mean, std : float
        Of the out-of-fold log-loss; a spread of 0 counts as 0.05.
    value : float
        The sum in standard deviations, never below 0.

    Notes
    -----
    Page (1954), "Continuous inspection schemes". Each trade adds its loss in standard deviations
    above the mean, at most 2.5, less an allowance of 0.5; above 10 is an alarm.
    """

    mean: float
    std: float
    value: float = 0.0

    def add(self, loss: float) -> bool:
        """Take the loss of a closed trade; True is an alarm."""
        excess = (loss - self.mean) / max(self.std, 0.05)
        self.value = max(0.0, self.value + min(excess, MOST_OF_ONE) - ALLOWANCE)
        return self.value > ALARM


def moved_inputs(reference: Floats, current: Floats, names: Sequence[str]) -> dict[str, float]:
    """Return the population stability index of inputs, largest first.

    Parameters
    ----------
    reference, current : ndarray of float64, shape (n, 22)
        Vectors of training and of later trades; below 100 later ones nothing is said, because
        chance alone moves an index of fewer by tenths.
    names : sequence of str
        Inputs that the model reads.
    """
    if len(current) < LEAST_FOR_MOVE:
        return {}
    found = {
        name: population_stability(
            reference[:, INPUTS.index(name)], current[:, INPUTS.index(name)], _BINS
        )
        for name in names
    }
    return dict(sorted(found.items(), key=lambda item: -item[1]))


@dataclass(frozen=True, slots=True)
class Move:
    """The input that moved most, and what was asked of it.

    Attributes
    ----------
    name : str
    index, limit : float
        Population stability index, and what it had to exceed: 0.25, or what chance makes of it.
    """

    name: str
    index: float
    limit: float

    @property
    def moved(self) -> bool:
        """Whether it moved by more than chance and by more than 0.25."""
        return self.index > self.limit


def largest_move(
    reference: Floats,
    reference_sessions: NDArray[np.int64],
    current: Floats,
    current_sessions: NDArray[np.int64],
    names: Sequence[str],
    *,
    deals: int = DEALS,
    seed: int = SEED,
) -> Move | None:
    """Return the input that moved most between training and later trades, with its limit.

    Parameters
    ----------
    reference, current : ndarray of float64, shape (n, 22)
        Vectors of training and of later trades; None is returned without any of either.
    reference_sessions, current_sessions : ndarray of int64, shape (n,)
        Sessions of the trades. Their order is dealt out anew, each with all its trades: trades of
        one session are not independent of each other.
    names : sequence of str
        Inputs that the model reads; at least one.
    deals, seed : int

    Notes
    -----
    A permutation test of the largest index over the inputs, which holds the probability of any
    false alarm among them however they depend on each other (Westfall and Young 1993,
    "Resampling-based multiple testing"). The limit is the index that at most 0.5 % of the deals
    reach, the observed order counted among them. It presumes that sessions may be exchanged: what
    persists longer than a session is a move.
    """
    n = len(reference)
    if not n or not len(current):
        return None
    columns = [INPUTS.index(name) for name in names]
    joined = np.concatenate((reference, current))
    places = [stability_bins(joined[:, k], _BINS) for k in columns]
    found = [population_stability(reference[:, k], current[:, k], _BINS) for k in columns]
    sessions = np.concatenate((reference_sessions, current_sessions))
    largest = np.zeros(deals)
    done = 0
    for orders in _dealt(sessions, deals, seed):
        rows = slice(done, done + len(orders))
        done += len(orders)
        for bins, count in places:
            later = bins[orders[:, n:]]
            taken = np.stack([(later == k).sum(axis=1) for k in range(count)], axis=1)
            index = stability_of_counts(np.bincount(bins, minlength=count) - taken, taken)
            largest[rows] = np.maximum(largest[rows], index)
    allowed = int(FALSE_ALARM * (deals + 1))
    limit = float(np.sort(largest)[::-1][allowed - 1]) if allowed else float("inf")
    first = int(np.argmax(found))
    return Move(names[first], found[first], max(MOVED, limit))


def _dealt(sessions: NDArray[np.int64], deals: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Yield orders of the trades in which whole sessions have changed places, shape (k, n)."""
    _, which = np.unique(sessions, return_inverse=True)
    generator = np.random.Generator(np.random.PCG64(seed))
    for begin in range(0, deals, _AT_ONCE):
        ranks = generator.random((min(_AT_ONCE, deals - begin), int(which.max()) + 1))
        yield np.argsort(ranks[:, which], axis=1, kind="stable")
