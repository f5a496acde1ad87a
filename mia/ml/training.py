"""Fitting and judging: models on folds and on everything, with calibration on later trades."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mia.core.overfitting import probability_of_overfitting
from mia.ml.boosted import fit_boosted
from mia.ml.calibrate import CalibrationMap, fit_isotonic, fit_sigmoid, unchanged
from mia.ml.dataset import LabelledTrades
from mia.ml.flat_model import BOOSTED, LOGISTIC, FlatModel, Scorer
from mia.ml.inputs import INPUTS
from mia.ml.logistic import LinearModel, fit_logistic
from mia.ml.promotion import Differences, differences
from mia.ml.scores import log_losses
from mia.ml.splits import CombinatorialPurgedCV, PurgedKFold

Floats = NDArray[np.float64]

FOLDS = 5
MOST_INPUTS = 8
L2 = 1.0
BOOSTED_FROM = 500
CALIBRATION_SHARE = 0.2
SIGMOID_FROM = 50
"""Trades of the later block from which the sigmoid is fitted; fewer teach it nothing."""
ISOTONIC_FROM = 500
PATH_GROUPS, PATH_TESTS = 6, 2
VARIANTS = tuple((inputs, l2) for inputs in (2, 4, 8) for l2 in (0.3, 1.0, 10.0))
"""Settings among which one might have chosen; the probability of overfitting is about them."""


def base_rate(y: Floats) -> float:
    """Return the smoothed win rate ``(wins + 1) / (n + 2)``."""
    return (float(y.sum()) + 1.0) / (len(y) + 2.0)


def fit(
    family: str, data: LabelledTrades, *, most_inputs: int = MOST_INPUTS, l2: float = L2
) -> FlatModel:
    """Fit a model on training trades and calibrate it on the latest of them.

    The last fifth is set apart for calibration where that gives at least 50 trades (sigmoid; from
    500 on isotonic); trades that overlap it are purged from the fit.

    Parameters
    ----------
    family : str
        ``logistic`` or ``boosted``.
    data : LabelledTrades
        At least one.
    """
    block = int(len(data) * CALIBRATION_SHARE)
    if block < SIGMOID_FROM:
        return FlatModel(_fit(family, data, most_inputs, l2), unchanged())
    later = data.take(slice(len(data) - block, None))
    earlier = data.take(slice(0, len(data) - block))
    earlier = earlier.take(earlier.ends < later.starts[0])
    fitted = _fit(family, earlier, most_inputs, l2)
    scores = Scorer(FlatModel(fitted, unchanged())).scores(later.x)
    method = fit_isotonic if block >= ISOTONIC_FROM else fit_sigmoid
    calibration: CalibrationMap = method(scores, later.y, later.weights)
    return FlatModel(fitted, calibration)


def _fit(family: str, data: LabelledTrades, most_inputs: int, l2: float) -> Any:
    if family == LOGISTIC:
        return fit_logistic(data.x, data.y, data.weights, most_inputs=most_inputs, l2=l2)
    return fit_boosted(data.x, data.y, data.weights)


@dataclass(frozen=True, slots=True)
class OutOfFold:
    """Predictions for trades that the model had not seen.

    Attributes
    ----------
    p, base : ndarray of float64, shape (n,)
        Of the model, and the smoothed win rate of each fold's training trades.
    chosen : list of list of str
        Inputs that each fold's logistic model chose; empty lists for trees.
    """

    p: Floats
    base: Floats
    chosen: list[list[str]]

    def against_base(self, data: LabelledTrades) -> Differences:
        """Return the promotion test against the base rate."""
        return differences(self.p, data.y, data.r, data.tau, data.sessions, self.base)


def purged_folds(data: LabelledTrades, folds: int = FOLDS) -> PurgedKFold:
    """Return the folds of the method: purged, with one session of embargo."""
    return PurgedKFold(folds, data.starts, data.ends, data.sessions)


def out_of_fold(
    family: str,
    data: LabelledTrades,
    splits: Any = None,
    *,
    most_inputs: int = MOST_INPUTS,
    l2: float = L2,
) -> OutOfFold:
    """Predict every trade by a model that was fitted without it.

    Parameters
    ----------
    splits : iterable of (training rows, test rows), optional
        The purged folds by default.
    """
    p, base = np.full(len(data), 0.5), np.full(len(data), 0.5)
    chosen: list[list[str]] = []
    for train, test in purged_folds(data).split() if splits is None else splits:
        if not len(train):
            continue
        training = data.take(train)
        model = fit(family, training, most_inputs=most_inputs, l2=l2)
        p[test] = Scorer(model).probabilities(data.x[test])
        base[test] = base_rate(training.y)
        chosen.append(chosen_inputs(model))
    return OutOfFold(p, base, chosen)


def chosen_inputs(model: FlatModel) -> list[str]:
    """Return the names of the inputs that a model reads."""
    fitted = model.fitted
    if isinstance(fitted, LinearModel):
        return [INPUTS[k] for k in fitted.columns]
    return [INPUTS[k] for k in np.unique(fitted.feature[fitted.feature >= 0])]


def plain_folds(n: int, folds: int = FOLDS, seed: int = 0) -> list[tuple[Any, Any]]:
    """Return shuffled folds without purging or embargo, to be compared with the purged ones."""
    order = np.random.Generator(np.random.PCG64(seed)).permutation(n)
    parts = np.array_split(order, folds)
    return [
        (
            np.sort(np.concatenate([p for k, p in enumerate(parts) if k != fold])),
            np.sort(parts[fold]),
        )
        for fold in range(folds)
    ]


def validation_gap(data: LabelledTrades, family: str = LOGISTIC) -> dict[str, float]:
    """Return what a shuffled validation without purging would have promised.

    Returns
    -------
    dict
        ``purged`` and ``plain``: mean log-loss gain over the base rate, nats per trade, and
        ``gap``, the second less the first.
    """
    gains = {}
    for name, splits in (("purged", None), ("plain", plain_folds(len(data)))):
        found = out_of_fold(family, data, splits)
        gains[name] = float(np.mean(log_losses(found.base, data.y) - log_losses(found.p, data.y)))
    return gains | {"gap": gains["plain"] - gains["purged"]}


def combinatorial_paths(data: LabelledTrades) -> list[dict[str, float]]:
    """Return, for each path of combinatorial purged validation, what the logistic model adds.

    Returns
    -------
    list of dict
        ``loss_gain``, nats per trade, and ``r_gain``, mean net R of taken less of all trades; 0
        where nothing is taken.
    """
    if len(data) < 10 * PATH_GROUPS:
        return []
    splitter = CombinatorialPurgedCV(PATH_GROUPS, PATH_TESTS, data.starts, data.ends, data.sessions)
    predicted = []
    for train, test in splitter.split():
        p, base = np.full(len(data), np.nan), np.full(len(data), np.nan)
        training = data.take(train)
        p[test] = Scorer(fit(LOGISTIC, training)).probabilities(data.x[test])
        base[test] = base_rate(training.y)
        predicted.append((p, base))
    paths = []
    for path in splitter.paths():
        p, base = np.empty(len(data)), np.empty(len(data))
        for group, split in enumerate(path):
            rows = splitter.group_rows(group)
            p[rows], base[rows] = predicted[split][0][rows], predicted[split][1][rows]
        taken = p >= data.tau
        gain = float(data.r[taken].mean() - data.r.mean()) if taken.any() else 0.0
        losses = log_losses(base, data.y) - log_losses(p, data.y)
        paths.append({"loss_gain": float(losses.mean()), "r_gain": gain})
    return paths


def overfitting_of_settings(data: LabelledTrades) -> float | None:
    """Return the probability that the best of `VARIANTS` in sample is below the median outside.

    None where there are too few sessions.
    """
    ids, places = np.unique(data.sessions, return_inverse=True)
    columns = []
    for most_inputs, l2 in VARIANTS:
        found = out_of_fold(LOGISTIC, data, most_inputs=most_inputs, l2=l2)
        earned = np.where(found.p >= data.tau, data.r, 0.0)
        columns.append(np.bincount(places, weights=earned, minlength=len(ids)))
    found_pbo = probability_of_overfitting(np.array(columns, dtype=np.float64).T)
    return None if found_pbo is None else found_pbo.probability


def train(data: LabelledTrades, families: tuple[str, ...]) -> tuple[FlatModel, dict[str, Any]]:
    """Fit and test the families that may be used, and choose.

    The trees need 500 trades and must pass the test against the logistic model; they are chosen
    if they do and pass against the base rate as well.

    Parameters
    ----------
    data : LabelledTrades
    families : tuple of str
        Those that may be used; at least one.

    Returns
    -------
    model : FlatModel
        Fitted on all trades.
    facts : dict
        For the manifest: ``promotion`` of the chosen family, ``tests`` of all, predictions' loss,
        chosen inputs.
    """
    tests: dict[str, dict[str, Any]] = {}
    found: dict[str, OutOfFold] = {}
    chosen = ""
    if LOGISTIC in families:
        found[LOGISTIC] = out_of_fold(LOGISTIC, data)
        tests[LOGISTIC] = found[LOGISTIC].against_base(data).to_dict()
        chosen = LOGISTIC
    if BOOSTED in families and (len(data) >= BOOSTED_FROM or not chosen):
        found[BOOSTED] = out_of_fold(BOOSTED, data)
        tests[BOOSTED] = found[BOOSTED].against_base(data).to_dict()
        simple = found.get(LOGISTIC) or out_of_fold(LOGISTIC, data)
        better = differences(
            found[BOOSTED].p,
            data.y,
            data.r,
            data.tau,
            data.sessions,
            simple.p,
            simple.p - data.tau >= -1e-9,
        )
        tests["boosted_against_logistic"] = better.to_dict()
        if not chosen or (better.passed and tests[BOOSTED]["passed"]):
            chosen = BOOSTED
    if not chosen:
        raise ValueError(f"families must name a known one, were {families}")
    model = fit(chosen, data)
    outside = found[chosen]
    losses = log_losses(outside.p, data.y)
    counts = {name: sum(name in names for names in outside.chosen) for name in INPUTS}
    promotion = dict(tests[chosen])
    if chosen == BOOSTED:
        promotion["passed"] = promotion["passed"] and tests["boosted_against_logistic"]["passed"]
    return model, {
        "family": chosen,
        "promotion": promotion,
        "tests": tests,
        "base_rate": base_rate(data.y),
        "loss_mean": float(losses.mean()),
        "loss_std": float(losses.std()),
        "inputs_read": chosen_inputs(model),
        "chosen_in_folds": {name: n for name, n in counts.items() if n},
    }
