"""Has the world changed since training: a running sum of excess loss, and moved inputs."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mia.ml.inputs import INPUTS
from mia.ml.scores import population_stability

Floats = NDArray[np.float64]

ALLOWANCE = 0.5
ALARM = 10.0
MOST_OF_ONE = 2.5
"""One surprise counts at most this: log-loss has a long tail, and drift is not one trade."""
MOVED = 0.25
LEAST_FOR_MOVE = 100
_BINS = 5


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


def moved_inputs(reference: Floats, current: Floats, names: list[str]) -> dict[str, float]:
    """Return the population stability index of inputs, largest first.

    Parameters
    ----------
    reference, current : ndarray of float64, shape (n, 22)
        Vectors of training and of later trades; below 100 later ones nothing is said, because
        chance alone moves an index of fewer by tenths.
    names : list of str
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
