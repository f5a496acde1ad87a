"""The ensemble stage: gradient-boosted trees of scikit-learn, exported to flat arrays.

scikit-learn is imported here and nowhere else in `mia.ml`, and only while training: a trader
evaluates the arrays with `mia._fast.trees`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mia.errors import DataError

Floats = NDArray[np.float64]

NODE_FIELDS = {
    "value": "<f8",
    "feature_idx": "<i8",
    "num_threshold": "<f8",
    "missing_go_to_left": "|u1",
    "left": "<u4",
    "right": "<u4",
    "is_leaf": "|u1",
    "is_categorical": "|u1",
}
"""What is read of a fitted tree's nodes; scikit-learn keeps them in a private attribute."""


@dataclass(frozen=True, slots=True)
class TreeModel:
    """Trees as `mia._fast.trees.Trees` takes them."""

    starts: NDArray[np.int64]
    value: Floats
    feature: NDArray[np.int32]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    missing_left: NDArray[np.uint8]
    baseline: float


def export_trees(estimator: Any) -> TreeModel:
    """Return the trees of a fitted binary ``HistGradientBoostingClassifier``.

    Raises
    ------
    DataError
        If the estimator is not what is expected here: several classes, categories, or nodes whose
        fields another version of scikit-learn has changed.
    """
    predictors = getattr(estimator, "_predictors", None)
    baseline = np.asarray(getattr(estimator, "_baseline_prediction", np.empty(0)))
    if not predictors or any(len(trees) != 1 for trees in predictors) or baseline.size != 1:
        raise DataError("only a fitted classifier of two classes can be exported")
    nodes = [trees[0].nodes for trees in predictors]
    for tree in nodes:
        fields = tree.dtype.fields or {}
        found = {name: fields[name][0].str for name in NODE_FIELDS if name in fields}
        if found != NODE_FIELDS:
            raise DataError(
                f"this scikit-learn keeps its trees in another form ({found}): "
                "install a version that pyproject.toml names"
            )
        if tree["is_categorical"].any():
            raise DataError("trees with categories cannot be exported")
    joined = np.concatenate(nodes)
    leaf = joined["is_leaf"].astype(bool)
    lengths = np.array([len(tree) for tree in nodes], dtype=np.int64)
    return TreeModel(
        starts=np.concatenate(([0], np.cumsum(lengths)[:-1])).astype(np.int64),
        value=np.where(leaf, joined["value"], joined["num_threshold"]),
        feature=np.where(leaf, -1, joined["feature_idx"]).astype(np.int32),
        left=joined["left"].astype(np.int32),
        right=joined["right"].astype(np.int32),
        missing_left=joined["missing_go_to_left"].astype(np.uint8),
        baseline=float(baseline.reshape(-1)[0]),
    )


def fit_boosted(x: Floats, y: Floats, weights: Floats, *, seed: int = 0) -> TreeModel:
    """Fit shallow, slow, strongly regularised trees on training trades and export them.

    All inputs are allowed; nan is sent where training says. With labels of one kind only there is
    nothing to learn, and the trees are a single leaf.

    Parameters
    ----------
    seed : int
        Of scikit-learn's estimator, which draws nothing with these arguments.
    """
    if y.min() == y.max():
        share = (float(y.sum()) + 1.0) / (len(y) + 2.0)
        one = np.zeros(1, np.int32)
        return TreeModel(
            np.zeros(1, np.int64),
            np.zeros(1),
            one - 1,
            one,
            one.copy(),
            np.zeros(1, np.uint8),
            float(np.log(share / (1.0 - share))),
        )
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits

    estimator = HistGradientBoostingClassifier(
        learning_rate=0.06,
        max_iter=50,
        max_leaf_nodes=6,
        max_bins=32,
        min_samples_leaf=40,
        l2_regularization=10.0,
        early_stopping=False,
        random_state=seed,
    )
    # A column without any value cannot be binned; as a constant it is never split upon.
    held = np.where(np.isnan(x).all(axis=0), 0.0, x)
    with threadpool_limits(1):
        estimator.fit(held, y.astype(np.int64), sample_weight=weights)
    return export_trees(estimator)
