"""Fitting: against scikit-learn, on data that hurt, and without a look at test trades."""

import subprocess
import sys

import numpy as np
import pytest
from labelled import labelled
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from mia.ml import scores, training
from mia.ml.calibrate import fit_isotonic, fit_sigmoid, unchanged
from mia.ml.flat_model import BOOSTED, LOGISTIC, FlatModel, Scorer, from_arrays
from mia.ml.inputs import INPUTS, MISSING
from mia.ml.logistic import choose_inputs, filled, fit_logistic


def test_the_logistic_model_is_that_of_scikit_learn():
    data = labelled(400, 0.5, seed=1)
    weights = np.random.default_rng(2).uniform(0.3, 1.0, 400)
    model = fit_logistic(data.x, data.y, weights, l2=2.0)
    z = (filled(data.x)[:, model.columns] - model.centre) / model.scale
    theirs = LogisticRegression(C=0.5, tol=1e-10, max_iter=1000).fit(z, data.y, weights)
    assert model.weight == pytest.approx(theirs.coef_[0], abs=1e-5)
    assert model.intercept == pytest.approx(theirs.intercept_[0], abs=1e-5)
    ours = Scorer(FlatModel(model, unchanged())).probabilities(data.x)
    assert ours == pytest.approx(theirs.predict_proba(z)[:, 1], abs=1e-5)


def test_at_most_eight_inputs_are_chosen_and_those_that_matter_are_among_them():
    data = labelled(600, 0.8, seed=3)
    chosen = choose_inputs(data.x, data.y, data.weights, 8)
    assert len(chosen) == 8
    assert {0, 16} <= set(chosen.tolist())
    assert not set(range(8, 14)) & set(chosen.tolist()), "an input without values tells nothing"


def test_a_copy_of_a_chosen_input_is_passed_over():
    data = labelled(600, 0.8, seed=3)
    data.x[:, 5] = -data.x[:, 0]
    chosen = choose_inputs(data.x, data.y, data.weights, 8).tolist()
    assert len({0, 5} & set(chosen)) == 1


@pytest.mark.parametrize("family", [LOGISTIC, BOOSTED])
@pytest.mark.parametrize("y", [0.0, 1.0], ids=["only losses", "only wins"])
def test_labels_of_one_kind_give_a_finite_model(family, y):
    data = labelled(60)
    data.r[:] = 1.0 if y else -1.0
    p = Scorer(training.fit(family, data)).probabilities(data.x)
    assert np.isfinite(p).all()
    assert ((p > 0.5) == bool(y)).all()


def test_a_constant_world_gives_the_share_of_wins():
    data = labelled(100)
    data.x[:] = np.nan
    p = Scorer(training.fit(LOGISTIC, data)).probabilities(data.x)
    assert p == pytest.approx(data.weights @ data.y / 100, abs=1e-3)


def test_isotonic_calibration_pools_as_scikit_learn_does():
    rng = np.random.default_rng(4)
    score = np.sort(rng.normal(size=300))
    y = (rng.random(300) < 1 / (1 + np.exp(-score))).astype(float)
    weights = rng.uniform(0.5, 1.5, 300)
    found = fit_isotonic(score, y, weights)
    theirs = IsotonicRegression().fit(score, y, sample_weight=weights)
    assert (np.diff(found.x) > 0).all()
    assert (np.diff(found.y) >= 0).all()
    # A pool's knot lies inside the pool, where the step function has the pool's value.
    assert found.y == pytest.approx(theirs.predict(found.x), abs=1e-9)


def test_sigmoid_calibration_repairs_scores_that_are_too_sure():
    rng = np.random.default_rng(5)
    score = rng.normal(size=4000)
    y = (rng.random(4000) < 1 / (1 + np.exp(-score))).astype(float)
    found = fit_sigmoid(3.0 * score + 1.0, y, np.ones(4000))
    assert found.slope == pytest.approx(1 / 3, abs=0.03)
    assert found.offset == pytest.approx(-1 / 3, abs=0.06)


def test_calibration_never_turns_a_model_round():
    score = np.linspace(-2, 2, 100)
    y = (score < 0).astype(float)
    found = fit_sigmoid(score, y, np.ones(100))
    assert found.slope == 0.0
    p = 1 / (1 + np.exp(-found.offset))
    assert p == pytest.approx(0.5)


def test_calibration_uses_the_latest_trades_only_for_calibration():
    data = labelled(300, 0.8, seed=6)
    model = training.fit(LOGISTIC, data)
    moved = data.take(slice(None))
    moved.r[-60:] = -moved.r[-60:]
    other = training.fit(LOGISTIC, moved)
    assert np.array_equal(model.fitted.weight, other.fitted.weight)
    assert model.calibration.slope != other.calibration.slope


@pytest.mark.parametrize("family", [LOGISTIC, pytest.param(BOOSTED, marks=pytest.mark.slow)])
def test_no_prediction_out_of_fold_depends_on_its_own_label(family):
    data = labelled(250, 0.5, seed=7)
    first = training.out_of_fold(family, data)
    _, test = list(training.purged_folds(data).split())[2]
    data.r[test] = -data.r[test]
    again = training.out_of_fold(family, data)
    assert np.array_equal(first.p[test], again.p[test])
    assert np.array_equal(first.base[test], again.base[test])
    assert not np.array_equal(first.p, again.p)


@pytest.mark.parametrize("family", [LOGISTIC, BOOSTED])
def test_a_model_survives_its_arrays(family):
    data = labelled(400, 0.5, seed=8)
    model = training.fit(family, data)
    again = from_arrays(model.arrays())
    assert again.family == family
    assert np.array_equal(Scorer(again).probabilities(data.x), Scorer(model).probabilities(data.x))


def test_one_row_gives_what_many_give():
    data = labelled(200, 0.5, seed=9)
    scorer = Scorer(training.fit(LOGISTIC, data))
    many = scorer.probabilities(data.x)
    assert [scorer.probability(row) for row in data.x] == many.tolist()


def test_scores_are_those_of_scikit_learn():
    rng = np.random.default_rng(10)
    p = rng.uniform(0.02, 0.98, 500).round(2)
    y = (rng.random(500) < p).astype(float)
    assert scores.log_losses(p, y).mean() == pytest.approx(log_loss(y, p))
    assert scores.brier(p, y) == pytest.approx(brier_score_loss(y, p))
    assert scores.area_under_curve(p, y) == pytest.approx(roc_auc_score(y, p))


def test_the_log_loss_of_a_certain_error_is_bounded():
    assert scores.log_losses(np.array([1.0]), np.array([0.0]))[0] == pytest.approx(-np.log(0.01))


def test_the_reliability_curve_holds_every_trade_once():
    p = np.linspace(0, 1, 103)
    y = (p > 0.5).astype(float)
    curve = scores.reliability(p, y)
    assert sum(b.trades for b in curve) == 103
    assert scores.calibration_error(y, y) == 0.0
    assert scores.calibration_error(np.full(100, 0.9), np.zeros(100)) == pytest.approx(0.9)


def test_the_stability_index_tells_a_moved_input_from_chance():
    rng = np.random.default_rng(11)
    reference = rng.normal(size=1000)
    alike = [scores.population_stability(reference, rng.normal(size=200), 5) for _ in range(200)]
    assert np.quantile(alike, 0.99) < 0.25
    assert scores.population_stability(reference, rng.normal(size=200) + 1.0, 5) > 0.25
    gone = np.full(200, np.nan)
    assert scores.population_stability(reference, gone, 5) > 0.25


def test_neutral_values_are_those_of_the_method():
    assert MISSING[INPUTS.index("volume_confirmation")] == 0.5
    assert MISSING[INPUTS.index("cvd_trend")] == 0.0


def test_a_trader_never_imports_scikit_learn():
    code = (
        "import sys; import mia.trader.live, mia.backtest, mia.ml.model_filter, mia.ml.life; "
        "print(sorted(m for m in sys.modules if m.split('.')[0] in ('sklearn', 'scipy')))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def worlds(kind, n=700, seed=3):
    """Make trades that win by a sum of two inputs, or by their product, which no line sees."""
    data = labelled(n, 1.2, seed=seed)
    if kind == "product":
        rng = np.random.default_rng(seed + 1)
        odds = 2.5 * np.sign(data.x[:, 0] * data.x[:, 16])
        wins = rng.random(n) < 1.0 / (1.0 + np.exp(-odds))
        data.r[:] = np.where(wins, 1.4, -1.1)
    return data


@pytest.mark.parametrize(("kind", "family"), [("sum", "logistic"), ("product", "boosted")])
def test_trees_are_chosen_only_where_they_beat_the_logistic_model(kind, family):
    _, facts = training.train(worlds(kind), ("logistic", "boosted"))
    assert facts["family"] == family
    assert facts["tests"]["boosted"]["passed"]
    assert facts["tests"]["boosted_against_logistic"]["passed"] is (family == "boosted")


def test_trees_below_their_least_number_of_trades_are_not_tried():
    _, facts = training.train(worlds("product", 300), ("logistic", "boosted"))
    assert (facts["family"], set(facts["tests"])) == ("logistic", {"logistic"})
