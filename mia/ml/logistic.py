"""The first model: L2 logistic regression on a few scaled inputs, fitted by Newton's method."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mia.ml.inputs import MISSING

Floats = NDArray[np.float64]

TWIN = 0.95
"""Inputs whose correlation with a chosen one is larger bring nothing of their own."""
_STEPS = 50
_TOLERANCE = 1e-10


@dataclass(frozen=True, slots=True)
class LinearModel:
    """Weights of scaled inputs; arrays have one entry per chosen input.

    Attributes
    ----------
    columns : ndarray of int32
        Places in the input vector.
    weight, centre, scale, missing : ndarray of float64
    intercept : float
    """

    columns: NDArray[np.int32]
    weight: Floats
    centre: Floats
    scale: Floats
    missing: Floats
    intercept: float


def filled(x: Floats) -> Floats:
    """Return the vectors with what a linear model takes for unknown values."""
    return np.where(np.isnan(x), MISSING, x)


def choose_inputs(x: Floats, y: Floats, weights: Floats, most: int) -> NDArray[np.int32]:
    """Choose the inputs that go most with the label, on training trades only.

    Parameters
    ----------
    x : ndarray of float64, shape (n, 22)
    most : int
        At most so many.

    Returns
    -------
    ndarray of int32
        Places, by falling absolute weighted correlation with `y`; ties by place. An input that
        does not vary, or follows a chosen one (`TWIN`), is passed over.
    """
    held = filled(x)
    share = weights / weights.sum()
    centred = held - share @ held
    spread = np.sqrt(share @ centred**2)
    label = y - share @ y
    varies = spread > 1e-9
    scaled = np.where(varies, centred / np.where(varies, spread, 1.0), 0.0)
    strength = np.abs((share * label) @ scaled)
    chosen: list[int] = []
    for k in np.argsort(-strength, kind="stable"):
        if len(chosen) == most:
            break
        if not varies[k]:
            continue
        if all(abs((share * scaled[:, k]) @ scaled[:, c]) <= TWIN for c in chosen):
            chosen.append(int(k))
    return np.array(sorted(chosen), dtype=np.int32)


def fit_logistic(
    x: Floats, y: Floats, weights: Floats, *, most_inputs: int = 8, l2: float = 1.0
) -> LinearModel:
    """Fit on training trades; choice of inputs and scaling are part of the fit.

    Parameters
    ----------
    x : ndarray of float64, shape (n, 22)
    y, weights : ndarray of float64, shape (n,)
        Labels 0 or 1, and how much each counts.
    l2 : float
        Penalty: half of it times the squared weights is added to the summed log-loss (the inverse
        of ``C`` in scikit-learn). The intercept is free.

    Returns
    -------
    LinearModel
    """
    columns = choose_inputs(x, y, weights, most_inputs)
    held = filled(x[:, columns]) if len(columns) == x.shape[1] else filled(x)[:, columns]
    share = weights / weights.sum()
    centre = share @ held
    scale = np.sqrt(share @ (held - centre) ** 2)
    z = (held - centre) / scale
    design = np.column_stack((np.ones(len(y)), z))
    penalty = np.full(design.shape[1], l2)
    # Both labels must occur for a finite intercept; one more of each costs little.
    penalty[0] = 1e-6
    beta = np.zeros(design.shape[1])
    for _ in range(_STEPS):
        p = 1.0 / (1.0 + np.exp(-(design @ beta)))
        gradient = design.T @ (weights * (p - y)) + penalty * beta
        curvature = (design * (weights * p * (1.0 - p))[:, None]).T @ design + np.diag(penalty)
        step = np.linalg.solve(curvature, gradient)
        # A full step may overshoot where nearly all labels are alike.
        beta = beta - step * min(1.0, 5.0 / max(float(np.abs(step).max()), 1e-300))
        if np.abs(step).max() < _TOLERANCE:
            break
    return LinearModel(columns, beta[1:], centre, scale, MISSING[columns].copy(), float(beta[0]))
