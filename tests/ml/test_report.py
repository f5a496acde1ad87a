"""The report of models: its figures are those of the trades, its page those of the figures."""

import copy
import re

import numpy as np
import pytest
from labelled import labelled

from mia.ml import life
from mia.ml.inputs import INPUTS
from mia.ml.registry import Registry
from mia.ml.report import LEAST, model_report, page
from mia.ml.scores import brier
from mia.ml.training import out_of_fold


@pytest.fixture(scope="module")
def data():
    return labelled(160, 0.8, seed=4)


@pytest.fixture(scope="module")
def found(data, tmp_path_factory):
    return model_report(data, Registry(tmp_path_factory.mktemp("models")))


def test_counts_and_means_are_those_of_the_trades(data, found):
    assert (found["trades"], found["wins"]) == (160, int(data.y.sum()))
    assert found["sessions"] == len(np.unique(data.sessions))
    assert found["always"]["trades"] == 160
    assert found["always"]["mean_r"] == pytest.approx(data.r.mean())
    assert found["always"]["low"] < data.r.mean() < found["always"]["high"]


def test_what_a_model_takes_is_what_it_finds_likelier_than_break_even(data, found):
    told = found["families"]["logistic"]
    p = out_of_fold("logistic", data).p
    taken = p >= data.tau - 1e-9
    assert 30 < taken.sum() < 130
    assert told["taken"]["trades"] == taken.sum() == told["promotion"]["taken"]
    assert told["taken"]["mean_r"] == pytest.approx(data.r[taken].mean())
    assert told["brier"] == brier(p, data.y)
    assert sum(n for _, _, n in told["reliability"]) == 160
    assert all(0 < n <= found["folds"] for n in told["chosen_in_folds"].values())


def test_too_few_trades_are_counted_and_not_validated(tmp_path):
    few = model_report(labelled(LEAST - 1), Registry(tmp_path))
    assert (few["trades"], few["families"], few["always"]) == (LEAST - 1, {}, None)
    assert "Nothing is validated" in page(few)


def test_the_page_says_the_figures(found):
    text = page(found)
    told = found["families"]["logistic"]
    for figure in (
        f"160, {found['wins']} won",
        f"{found['always']['mean_r']:+.3f} R",
        f"{told['brier']:.4f} (base rate {told['brier_base']:.4f})",
        f"{told['promotion']['taken']} of 160",
        f"{found['probability_of_overfitting']:.2f}",
    ):
        assert figure in text
    verdict = "passed" if told["promotion"]["passed"] else "not passed"
    assert f"<td>{verdict}</td>" in text
    other = copy.deepcopy(found)
    other["families"]["logistic"]["promotion"]["passed"] = not told["promotion"]["passed"]
    assert f"<td>{verdict}</td>" not in page(other)


def test_the_reliability_curve_is_to_scale(found):
    changed = copy.deepcopy(found)
    changed["families"]["logistic"]["reliability"] = [[0.0, 0.0, 3], [0.5, 1.0, 4], [1.0, 0.5, 5]]
    circles = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', page(changed))
    (x0, y0), (x1, y1), (x2, y2) = [(float(x), float(y)) for x, y in circles]
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.2)
    assert y0 - y1 == pytest.approx(2 * (y0 - y2), abs=0.2)
    assert y1 < y2 < y0


def test_an_input_that_moved_since_training_is_on_the_page(found):
    changed = copy.deepcopy(found) | {"moved_inputs": {"cvd_slope": 0.31}}
    assert re.search(r"<th>cvd_slope</th><td>0\.31</td>", page(changed))
    assert "Population stability" not in page(found)


def test_the_largest_move_of_the_last_fifty_trades_stands_beside_its_limit(tmp_path):
    registry, data = Registry(tmp_path), labelled(250, 0.8, seed=4)
    life.live_through(registry, data.take(slice(0, 150)), 100)
    name = registry.load(registry.current().shadow).manifest["inputs_read"][0]
    data.x[200:, INPUTS.index(name)] += 3.0
    found = model_report(data, registry)
    move = found["largest_move"]
    assert (move["name"], move["moved"], move["trades"]) == (name, True, 50)
    assert move["index"] > move["limit"] >= 0.25
    text = f"{name} with {move['index']:.2f}; a model is demoted above {move['limit']:.2f}: it has"
    assert text in page(found)
