"""The tests that decide over a model: promotion on out-of-fold predictions, and demotion."""

from dataclasses import asdict, dataclass
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mia.core.resampling import drawn_blocks
from mia.ml.scores import log_losses

Floats = NDArray[np.float64]

RESAMPLES = 2000
SEED = 20
QUANTILE = 0.05
LEAST_TAKEN = 30
LEAST_SHARE = 0.20
WINDOW = 50
"""Closed trades that shadow and demotion look at."""
WORST_EXCESS = 0.02
"""Log-loss above the base's from which a model is demoted."""


@dataclass(frozen=True, slots=True)
class Differences:
    """What a model adds, with the 5 % quantile of a bootstrap of whole sessions.

    Attributes
    ----------
    trades, taken : int
        Trades in all, and those with p >= tau.
    loss_gain, loss_gain_low : float
        Mean log-loss of the reference less the model's; nats per trade.
    r_gain, r_gain_low : float
        Mean net R of taken trades less that of the reference; -inf where none is taken.
    """

    trades: int
    taken: int
    loss_gain: float
    loss_gain_low: float
    r_gain: float
    r_gain_low: float

    @property
    def enough(self) -> bool:
        """Whether at least 30 trades and 20 % are taken."""
        return self.taken >= LEAST_TAKEN and self.taken >= LEAST_SHARE * self.trades

    @property
    def positive(self) -> bool:
        """Whether both differences are above 0."""
        return self.loss_gain > 0.0 and self.r_gain > 0.0

    @property
    def passed(self) -> bool:
        """Whether this promotes."""
        return self.enough and self.positive and self.loss_gain_low > 0.0 and self.r_gain_low > 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return everything for JSON; what is not finite is None."""
        found: dict[str, Any] = {
            name: value if np.isfinite(value) else None for name, value in asdict(self).items()
        }
        return found | {"enough_taken": self.enough, "passed": self.passed}


def differences(
    p: Floats,
    y: Floats,
    r: Floats,
    tau: Floats,
    sessions: NDArray[np.int64],
    reference: Floats,
    reference_taken: NDArray[np.bool_] | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Differences:
    """Compare a model with what it must beat, trade by trade.

    Parameters
    ----------
    p, y, r, tau : ndarray of float64, shape (n,)
        Probabilities that did not see the trade, labels, net R, and break-even probabilities.
    sessions : ndarray of int64, shape (n,)
        Sessions are resampled whole: trades of one session are not independent.
    reference : ndarray of float64, shape (n,)
        Probabilities of what must be beaten: the base rate, or the logistic model.
    reference_taken : ndarray of bool, shape (n,), optional
        Trades that the reference takes; all of them by default. One that takes none earns 0.
    resamples, seed : int

    Returns
    -------
    Differences
    """
    taken = p - tau >= -1e-9
    kept = np.ones(len(p), dtype=bool) if reference_taken is None else reference_taken
    gain = log_losses(reference, y) - log_losses(p, y)
    columns = np.column_stack((gain, np.ones(len(p)), taken * r, taken, kept * r, kept))
    ids, places = np.unique(sessions, return_inverse=True)
    sums = np.zeros((len(ids), columns.shape[1]))
    np.add.at(sums, places, columns)
    loss_gain, r_gain = _statistics(sums.sum(axis=0)[None])
    lows = [-inf, -inf]
    if len(ids) > 1:
        drawn = [
            _statistics(sums[rows].sum(axis=1))
            for rows in drawn_blocks(len(ids), 1, resamples, seed)
        ]
        # The lower of two neighbours: no interpolation makes a failing quantile pass.
        lows = [
            float(
                np.quantile(np.concatenate([pair[k] for pair in drawn]), QUANTILE, method="lower")
            )
            for k in (0, 1)
        ]
    return Differences(
        len(p), int(taken.sum()), float(loss_gain[0]), lows[0], float(r_gain[0]), lows[1]
    )


def _statistics(sums: Floats) -> tuple[Floats, Floats]:
    """Return both differences of each row of sums; nothing taken is the worst that can be."""
    gain, n, r_taken, n_taken, r_kept, n_kept = sums.T
    loss = gain / np.maximum(n, 1.0)
    kept = r_kept / np.maximum(n_kept, 1.0)
    mean = r_taken / np.maximum(n_taken, 1.0)
    return loss, np.where(n_taken > 0.5, mean - kept, -inf)


def demotion_reason(p: Floats, y: Floats, r: Floats, tau: Floats, base_rate: float) -> str | None:
    """Say why a model that gates must step back, None while it need not.

    Parameters
    ----------
    p, y, r, tau : ndarray of float64
        The closed trades since it was promoted, newest last, those included that it refused and
        that were followed on paper; the last 50 count and fewer give no judgement.
    base_rate : float
        Smoothed win rate of its training trades.
    """
    if len(p) < WINDOW:
        return None
    p, y, r, tau = p[-WINDOW:], y[-WINDOW:], r[-WINDOW:], tau[-WINDOW:]
    excess = float(np.mean(log_losses(p, y)) - np.mean(log_losses(np.full(WINDOW, base_rate), y)))
    if excess > WORST_EXCESS:
        return f"log-loss of the last {WINDOW} trades is {excess:.3f} above that of the base rate"
    taken = p - tau >= -1e-9
    if not taken.any():
        return f"none of the last {WINDOW} trades was taken"
    mean, every = float(r[taken].mean()), float(r.mean())
    if mean <= every:
        return f"taken trades earned {mean:+.3f} R, all of the last {WINDOW} {every:+.3f} R"
    return None
