"""How often unmoved inputs are taken for moved, and how often moved ones are found; no times."""

import numpy as np

from mia.ml.drift import BLOCK, MOVED, largest_move
from mia.ml.inputs import INPUTS

BLOCKS = 200
PER_SESSION = 4


def blocks(inputs, trained, *, common=0.5, persistence=0.0, shift=0.0):
    """Yield the largest move of each of 200 blocks of 50 trades.

    Parameters
    ----------
    inputs, trained : int
        Inputs that the model reads, and trades of its training.
    common : float
        Share of an input's variance that the trades of a session have in common.
    persistence : float
        Correlation of that part from one session to the next.
    shift : float
        Standard deviations by which one input moves.
    """
    for seed in range(BLOCKS):
        rng = np.random.default_rng(seed)
        sessions = np.arange(trained + BLOCK) // PER_SESSION
        shared = rng.normal(size=(sessions[-1] + 1, len(INPUTS)))
        for k in range(1, len(shared)):
            shared[k] = persistence * shared[k - 1] + np.sqrt(1.0 - persistence**2) * shared[k]
        own = rng.normal(size=(len(sessions), len(INPUTS)))
        x = np.sqrt(common) * shared[sessions] + np.sqrt(1.0 - common) * own
        x[rng.random(x.shape) < 0.05] = np.nan
        x[trained:, 0] += shift
        found = largest_move(
            x[:trained], sessions[:trained], x[trained:], sessions[trained:], INPUTS[:inputs]
        )
        assert found is not None
        yield found


class Moved:
    """Share of blocks taken for moved, in per cent: with the limit of chance, and with 0.25."""

    params = (
        (8, 100, 0.0, 0.0, 0.0),
        (8, 100, 0.5, 0.0, 0.0),
        (8, 300, 0.5, 0.0, 0.0),
        (22, 500, 0.5, 0.0, 0.0),
        (8, 300, 0.5, 0.5, 0.0),
        (8, 300, 0.5, 0.9, 0.0),
        (8, 300, 0.0, 0.0, 0.5),
        (8, 300, 0.0, 0.0, 1.0),
        (8, 300, 0.5, 0.0, 1.0),
        (8, 300, 0.5, 0.0, 1.5),
        (8, 300, 0.5, 0.0, 2.0),
    )
    param_names = ("case",)
    timeout = 600

    def track_demoted(self, case):
        inputs, trained, common, persistence, shift = case
        options = {"common": common, "persistence": persistence, "shift": shift}
        return 100.0 * np.mean([move.moved for move in blocks(inputs, trained, **options)])

    track_demoted.unit = "%"

    def track_above_a_quarter(self, case):
        inputs, trained, common, persistence, shift = case
        options = {"common": common, "persistence": persistence, "shift": shift}
        return 100.0 * np.mean([move.index > MOVED for move in blocks(inputs, trained, **options)])

    track_above_a_quarter.unit = "%"
