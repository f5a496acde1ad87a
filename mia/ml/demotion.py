"""Whether the model that decides must step back: what it said of trades, and what it was asked."""

from mia.ml.dataset import LabelledTrades
from mia.ml.drift import BLOCK, LEAST_FOR_MOVE, LossCusum, largest_move
from mia.ml.flat_model import Scorer
from mia.ml.promotion import WINDOW, demotion_reason
from mia.ml.registry import StoredModel
from mia.ml.scores import log_losses


def judge_gate(
    stored: StoredModel, later: LabelledTrades, trained: LabelledTrades | None = None
) -> str | None:
    """Say why the model that decides must step back, None while it need not.

    Parameters
    ----------
    stored : StoredModel
    later : LabelledTrades
        Trades since its promotion, those included that it refused, in order of their exits.
    trained : LabelledTrades, optional
        Those it was trained on; each whole block of 50 later ones is held against them. Without
        them, or with fewer than 100, its inputs are not looked at.
    """
    p = Scorer(stored.model).probabilities(later.x)
    y, r, tau = later.y, later.r, later.tau
    facts = stored.manifest
    cusum = LossCusum(facts["loss_mean"], facts["loss_std"])
    for k, loss in enumerate(log_losses(p, y)):
        if cusum.add(float(loss)):
            return f"drift: the log-loss since promotion rose steadily, over {k + 1} trades"
        window = slice(max(0, k + 1 - WINDOW), k + 1)
        reason = demotion_reason(p[window], y[window], r[window], tau[window], facts["base_rate"])
        if reason is not None:
            return reason
        if trained is not None and (k + 1) % BLOCK == 0:
            reason = _moved(facts["inputs_read"], trained, later.take(slice(k + 1 - BLOCK, k + 1)))
            if reason is not None:
                return reason
    return None


def _moved(names: list[str], trained: LabelledTrades, block: LabelledTrades) -> str | None:
    """Say which input has left the trades of the training, None if none has."""
    if len(trained) < LEAST_FOR_MOVE or not names:
        return None
    found = largest_move(trained.x, trained.sessions, block.x, block.sessions, names)
    if found is None or not found.moved:
        return None
    return (
        f"drift: the input {found.name} moved, with a stability index of {found.index:.2f} over "
        f"{len(block)} trades (chance and 0.25 allow {found.limit:.2f})"
    )
