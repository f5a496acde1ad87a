"""What a model may look at: one vector of a fixed order for a proposal at its decision time.

Signed values are multiplied by the side of the proposal, so that a mirrored market with a mirrored
proposal gives the same vector. What is unknown is nan; a model decides what that means.
"""

import hashlib
from collections.abc import Mapping, Sequence
from math import nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mia.core.base_types import FEATURE_NAMES
from mia.core.trading_types import Context, Proposal
from mia.strategies.confidence import WEIGHTS, confidence, confidence_parts

INPUTS: tuple[str, ...] = (*FEATURE_NAMES, "bn_score", "confidence", "price_score", "mtf")
"""Names in the order of the vector: F1 to F18, S, confidence, price_score, mtf."""

WIDTH = len(INPUTS)

_DIRECTIONAL = frozenset({*range(8), 9, 10, 11, 14, 15})
"""Places of features that change sign in a mirrored market: F1-F8, F10-F12, F15, F16."""

_HALF = frozenset({"volume_confirmation", "session_context", "confidence", "price_score"})

MISSING = np.array([0.5 if name in _HALF else 0.0 for name in INPUTS])
"""What a linear model takes for an unknown value."""

INPUTS_SHA256 = hashlib.sha256("\n".join((*INPUTS, "side-signed")).encode()).hexdigest()
"""Names the list and its meaning; a model of another list is refused."""


def input_vector(context: Context, proposal: Proposal) -> NDArray[np.float64]:
    """Return the vector of a proposal, shape (22,).

    The confidence is the one without a model: its part counts one half.
    """
    side = proposal.side
    row = np.empty(WIDTH)
    for k, (value, valid) in enumerate(zip(context.features, context.valid, strict=True)):
        row[k] = (side * value if k in _DIRECTIONAL else value) if valid else nan
    row[18] = side * context.score
    row[19] = confidence(confidence_parts(context, proposal, None))
    row[20] = context.price_score
    row[21] = side * context.mtf if context.mtf_valid else nan
    return row


def recorded_vector(
    side: int,
    features: Sequence[float],
    valid: Sequence[bool],
    parts: Mapping[str, float],
    gates: Mapping[str, Mapping[str, Any]],
) -> NDArray[np.float64]:
    """Return the same vector from what was recorded of a decision, bit for bit.

    Parameters
    ----------
    side : int
    features, valid : sequences of 18
    parts : mapping
        Parts of the confidence by name; the model's is not read.
    gates : mapping
        Results of the gates by code: the values of ``BN_AGAINST``, ``CONFLUENCE`` and ``MTF`` are
        S and mtf times the side and price_score.

    Raises
    ------
    KeyError
        If something is not recorded.
    """
    row = np.empty(WIDTH)
    for k, (value, known) in enumerate(zip(features, valid, strict=True)):
        row[k] = (side * value if k in _DIRECTIONAL else value) if known else nan
    row[18] = gates["BN_AGAINST"]["value"]
    row[19] = confidence({name: 0.5 if name == "model" else parts[name] for name in WEIGHTS})
    row[20] = gates["CONFLUENCE"]["value"]
    row[21] = gates["MTF"]["value"] if gates["MTF"]["known"] else nan
    return row
