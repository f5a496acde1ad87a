"""Flat arrays give what scikit-learn gives, bit for bit, and what the plain twin gives."""

import numpy as np
import pytest
import sklearn
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import trees as twin
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from mia._fast import trees
from mia.ml import boosted
from mia.ml.boosted import TreeModel, export_trees
from mia.ml.calibrate import CalibrationMap
from mia.ml.logistic import LinearModel


def fitted(seed=0, n=2000, width=22, **options):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, width)).round(2)
    x[rng.random(x.shape) < 0.15] = np.nan
    z = np.nan_to_num(x[:, 0]) * np.nan_to_num(x[:, 1]) + 0.5 * np.isnan(x[:, 2])
    y = (z + rng.normal(size=n) > 0).astype(int)
    options = {"max_iter": 200, "max_leaf_nodes": 31, "early_stopping": False} | options
    with threadpool_limits(1):
        return HistGradientBoostingClassifier(**options).fit(x, y)


def kernel(model: TreeModel, width=22) -> trees.Trees:
    return trees.Trees(
        model.starts,
        model.value,
        model.feature,
        model.left,
        model.right,
        model.missing_left,
        model.baseline,
        width,
    )


@pytest.fixture(scope="module")
def estimator():
    return fitted(max_iter=25, n=1000, max_bins=64)


def test_100_000_rows_with_nan_equal_scikit_learn_bit_for_bit(estimator):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(100_000, 22)).round(2)
    x[rng.random(x.shape) < 0.2] = np.nan
    x[rng.random(x.shape) < 0.001] = np.inf
    x[rng.random(x.shape) < 0.001] = -np.inf
    finite = np.where(np.isinf(x), np.sign(x) * 1e300, x)
    out = np.empty(len(x))
    kernel(export_trees(estimator)).scores(finite, out)
    with threadpool_limits(1):
        assert out.tobytes() == estimator.decision_function(finite).tobytes()
    probabilities = np.empty(len(x))
    trees.Calibration(1.0, 0.0, np.empty(0), np.empty(0)).probabilities(out, probabilities)
    assert probabilities.tobytes() == estimator.predict_proba(finite)[:, 1].copy().tobytes()


def test_one_row_equals_many_and_the_twin(estimator):
    model = export_trees(estimator)
    engine = kernel(model)
    rng = np.random.default_rng(2)
    x = rng.normal(size=(200, 22))
    x[rng.random(x.shape) < 0.3] = np.nan
    x[0] = np.nan
    x[1] = np.inf
    x[2] = -np.inf
    out = np.empty(len(x))
    engine.scores(x, out)
    for row, score in zip(x, out, strict=True):
        assert engine.score(row) == score == twin.tree_score(model, row)


def test_the_form_of_the_nodes_is_the_one_of_this_scikit_learn(estimator):
    """A new version that changes its private nodes must fail here, not in a trader."""
    assert tuple(map(int, sklearn.__version__.split(".")[:2])) in {(1, 7), (1, 8), (1, 9)}
    fields = estimator._predictors[0][0].nodes.dtype.fields
    for name, kind in boosted.NODE_FIELDS.items():
        assert fields[name][0].str == kind


def changed(estimator, dtype_of):
    tree = estimator._predictors[0][0]
    nodes = tree.nodes
    tree.nodes = nodes.astype(dtype_of(nodes.dtype))
    return estimator


@pytest.mark.parametrize(
    "dtype_of",
    [
        lambda d: np.dtype([(n, "<f4" if n == "value" else d[n]) for n in d.names]),
        lambda d: np.dtype([("worth" if n == "value" else n, d[n]) for n in d.names]),
    ],
    ids=["another type", "another name"],
)
def test_nodes_of_another_form_are_refused(dtype_of):
    with pytest.raises(boosted.DataError, match="keeps its trees in another form"):
        export_trees(changed(fitted(n=200, max_iter=3), dtype_of))


def test_several_classes_are_refused():
    rng = np.random.default_rng(3)
    with threadpool_limits(1):
        three = HistGradientBoostingClassifier(max_iter=2).fit(
            rng.normal(size=(90, 22)), rng.integers(0, 3, 90)
        )
    for estimator in (three, HistGradientBoostingClassifier()):
        with pytest.raises(boosted.DataError, match="two classes"):
            export_trees(estimator)


def stump(**changes):
    arrays = {
        "starts": np.zeros(1, np.int64),
        "value": np.array([0.5, -1.0, 2.0]),
        "feature": np.array([0, -1, -1], np.int32),
        "left": np.array([1, 0, 0], np.int32),
        "right": np.array([2, 0, 0], np.int32),
        "missing_left": np.array([1, 0, 0], np.uint8),
        "baseline": 0.25,
    }
    return TreeModel(**arrays | changes)


def test_a_value_on_the_threshold_goes_left_and_nan_where_training_sent_it():
    engine = kernel(stump(), width=1)
    assert engine.score(np.array([0.5])) == -0.75
    assert engine.score(np.array([np.nextafter(0.5, 1)])) == 2.25
    assert engine.score(np.array([np.nan])) == -0.75
    other = kernel(stump(missing_left=np.zeros(3, np.uint8)), width=1)
    assert other.score(np.array([np.nan])) == 2.25


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"left": np.array([0, 0, 0], np.int32)}, "children of node 0"),
        ({"right": np.array([3, 0, 0], np.int32)}, "children of node 0"),
        ({"left": np.array([-1, 0, 0], np.int32)}, "children of node 0"),
        ({"feature": np.array([1, -1, -1], np.int32)}, "feature of node 0"),
        ({"feature": np.array([-2, -1, -1], np.int32)}, "feature of node 0"),
        ({"value": np.array([np.nan, 0, 0])}, "value of node 0"),
        ({"value": np.zeros(2)}, "one length"),
        ({"starts": np.array([1], np.int64)}, "first tree"),
        ({"starts": np.array([0, 3], np.int64)}, "tree 1"),
        ({"starts": np.array([0, 0], np.int64)}, "tree 0"),
        ({"starts": np.empty(0, np.int64)}, "first tree"),
        ({"baseline": np.nan}, "baseline"),
    ],
)
def test_arrays_that_would_lead_astray_are_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        kernel(stump(**changes), width=1)


def test_rows_of_another_width_are_refused():
    engine = kernel(stump(), width=1)
    with pytest.raises(ValueError, match="1 values"):
        engine.score(np.zeros(2))
    with pytest.raises(ValueError, match="1 values"):
        engine.scores(np.zeros((2, 2)), np.zeros(2))
    with pytest.raises(ValueError, match="one per row"):
        engine.scores(np.zeros((2, 1)), np.zeros(3))


numbers = st.floats(-10, 10)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_linear_scores_and_calibration_equal_the_twin(data):
    k = data.draw(st.integers(0, 5))
    vector = st.lists(numbers, min_size=k, max_size=k).map(np.array)
    model = LinearModel(
        np.array(data.draw(st.lists(st.integers(0, 5), min_size=k, max_size=k)), np.int32),
        data.draw(vector).astype(float),
        data.draw(vector).astype(float),
        np.abs(data.draw(vector).astype(float)) + 0.1,
        data.draw(vector).astype(float),
        data.draw(numbers),
    )
    engine = trees.Linear(
        model.columns, model.weight, model.centre, model.scale, model.missing, model.intercept, 6
    )
    row = np.array(data.draw(st.lists(numbers | st.just(np.nan), min_size=6, max_size=6)))
    score = engine.score(row)
    assert score == twin.linear_score(model, row)
    x = np.unique(data.draw(st.lists(numbers, max_size=6)))
    y = np.sort(np.array(data.draw(st.lists(st.floats(0, 1), min_size=len(x), max_size=len(x)))))
    slope, offset = data.draw(numbers), data.draw(numbers)
    calibration = CalibrationMap(slope, offset, x.astype(float), y.astype(float))
    found = trees.Calibration(slope, offset, calibration.x, calibration.y)
    for value in (score, *x):
        p = found.probability(value)
        assert p == twin.probability(calibration, value)
        assert 0.0 <= p <= 1.0


@pytest.mark.parametrize(
    ("x", "y"), [([0, 0], [0, 1]), ([0, 1], [1, 0]), ([0], [1.5]), ([0], [np.nan]), ([np.nan], [1])]
)
def test_knots_out_of_order_are_refused(x, y):
    with pytest.raises(ValueError, match="knot"):
        trees.Calibration(1.0, 0.0, np.array(x, float), np.array(y, float))


def test_a_score_that_is_neither_of_trees_nor_linear_cannot_be_made():
    with pytest.raises(TypeError, match="made as Trees or Linear"):
        trees.RowScore()
