"""Labelled trades from a seed, with or without something to learn."""

import numpy as np

from mia.ml.dataset import LabelledTrades

HOUR = 3_600_000_000_000


def labelled(n, edge=0.0, seed=0, *, per_session=4, flip_at=None, columns=(0, 16)):
    """Make trades whose log-odds of winning are -0.4 plus `edge` times two inputs.

    From `flip_at` on the inputs mean the opposite.
    """
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 22))
    x[:, 8:14] = np.nan
    x[rng.random(n) < 0.1, 3] = np.nan
    sign = np.ones(n)
    if flip_at is not None:
        sign[flip_at:] = -1.0
    signal = edge * sign * x[:, list(columns)].sum(axis=1)
    y = rng.random(n) < 1.0 / (1.0 + np.exp(0.4 - signal))
    starts = np.arange(n) * HOUR
    return LabelledTrades(
        x=x,
        r=np.where(y, 1.4, -1.1) + 0.05 * rng.normal(size=n),
        tau=np.full(n, 1.1 / 2.5),
        starts=starts,
        ends=starts + rng.integers(HOUR // 10, HOUR - 1, n),
        sessions=20_200_101 + np.arange(n) // per_session,
        paper=np.zeros(n, dtype=bool),
    )
