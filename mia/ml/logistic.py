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


def minimise_logistic(
    design: Floats, target: Floats, weights: Floats, penalty: Floats, start: Floats
) -> Floats:
    """Return the coefficients of least penalised log-loss, by Newton's method.

    Parameters
    ----------
    design : ndarray of float64, shape (n, k)
    target : ndarray of float64, shape (n,)
        In [0, 1].
    penalty : ndarray of float64, shape (k,)
        Half of it times the squared coefficient is added; positive, so that a minimum exists.
    start : ndarray of float64, shape (k,)

    Notes
    -----
    A step that does not lower the loss is halved: full steps diverge on scores of a wide range.
    """

    def loss(beta: Floats) -> float:
        z = design @ beta
        return float(weights @ (np.logaddexp(0.0, z) - target * z) + 0.5 * penalty @ beta**2)

    beta, value = start, loss(start)
    for _ in range(_STEPS):
        # tanh does not overflow where exp does.
        p = 0.5 * (1.0 + np.tanh(0.5 * (design @ beta)))
        gradient = design.T @ (weights * (p - target)) + penalty * beta
        curvature = (design * (weights * p * (1.0 - p))[:, None]).T @ design + np.diag(penalty)
        step = np.linalg.solve(curvature, gradient)
        size = 1.0
        while size > 1e-6 and not loss(beta - size * step) <= value:
            size *= 0.5
        if size <= 1e-6:
            break
        beta = beta - size * step
        value = loss(beta)
        if np.abs(step).max() < _TOLERANCE:
            break
    return beta


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
    beta = minimise_logistic(design, y, weights, penalty, np.zeros(design.shape[1]))
    return LinearModel(columns, beta[1:], centre, scale, MISSING[columns].copy(), float(beta[0]))
