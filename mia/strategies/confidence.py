"""Confidence in a proposal: a weighted mean of eight views, a missing one counting one half."""

from mia.core.base_types import Strategy
from mia.core.trading_types import Context, Proposal
from mia.strategies.proposals import EPS

WEIGHTS = {
    "strategy": 0.15,
    "battle_navale": 0.20,
    "confluence": 0.15,
    "regime": 0.10,
    "multi_timeframe": 0.15,
    "smart_money": 0.10,
    "model": 0.10,
    "gamma": 0.05,
}

_MISSING = 0.5
_RANGE = Strategy.RANGE
_F8, _F9 = 7, 8
_LABELS = ((0.85, "PREMIUM"), (0.75, "HIGH"), (0.65, "STANDARD"), (0.55, "LOW"))


def confidence_parts(
    context: Context, proposal: Proposal, probability: float | None
) -> dict[str, float]:
    """Return each part in [0, 1] by its name in `WEIGHTS`.

    Parameters
    ----------
    context : Context
        The close of the decision.
    proposal : Proposal
        Its side and quality are used.
    probability : float or None
        P(net R > 0) of a promoted model.
    """
    side = proposal.side
    valid = context.valid
    features = context.features
    battle = side * context.score / 0.6
    battle = (battle if battle > -1.0 else -1.0) if battle < 1.0 else 1.0
    if valid[_F9]:
        gamma = features[_F9] if proposal.strategy is _RANGE else -features[_F9]
        gamma = (1.0 + gamma) / 2.0
    else:
        gamma = _MISSING
    return {
        "strategy": proposal.quality,
        "battle_navale": (1.0 + battle) / 2.0,
        "confluence": context.price_score,
        "regime": context.regime_confidence,
        "multi_timeframe": (1.0 + side * context.mtf) / 2.0 if context.mtf_valid else _MISSING,
        "smart_money": (1.0 + side * features[_F8]) / 2.0 if valid[_F8] else _MISSING,
        "model": _MISSING if probability is None else probability,
        "gamma": gamma,
    }


def confidence(parts: dict[str, float]) -> float:
    """Return the weighted mean of all parts; nan if any of them is."""
    return (
        0.15 * parts["strategy"]
        + 0.20 * parts["battle_navale"]
        + 0.15 * parts["confluence"]
        + 0.10 * parts["regime"]
        + 0.15 * parts["multi_timeframe"]
        + 0.10 * parts["smart_money"]
        + 0.10 * parts["model"]
        + 0.05 * parts["gamma"]
    )


def quality_label(value: float) -> str:
    """Return PREMIUM, HIGH, STANDARD, LOW or REJECT for a confidence."""
    for limit, label in _LABELS:
        if value - limit >= -EPS:
            return label
    return "REJECT"
