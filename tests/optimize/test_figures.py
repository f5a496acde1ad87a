import numpy as np
import pytest
from search_samples import run

from mia.core.overfitting import Trials, expected_best_sharpe
from mia.core.statistics import sharpe
from mia.optimize import figures, sensitivity
from mia.optimize.space import Parameter, Space
from mia.optimize.study import Trial, score
from mia.optimize.trial import Trade

SPACE = Space(
    (
        Parameter("a", 0.0, 1.0),
        Parameter("b", 0.0, 1.0),
        Parameter("c", 0.0, 2.0, choices=("x", "y", "z")),
    )
)


def trial(number, net, params=None, state="complete"):
    return Trial(
        number, params or {}, str(number), state, None, np.array(net, float), (), len(net), 0
    )


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    return run(tmp_path_factory.mktemp("study"), trials=11).report


def test_the_choice_is_made_in_the_training_alone_and_the_first_of_equals_wins():
    calm, late = [1.0, 2.0, 1.0, -9.0], [1.0, -2.0, 0.5, 9.0]
    trials = [trial(0, calm), trial(1, late), trial(2, calm)]
    assert figures.best_in(trials, np.arange(3), "sharpe").number == 0
    assert figures.best_in(trials, np.arange(4), "net_usd").number == 1
    assert figures.best_in([trial(0, [0.0] * 4)], np.arange(3), "sharpe") is None


def test_the_stitched_curve_is_what_each_choice_earned_in_its_test(report):
    outside = report["out_of_sample"]
    rows = {row["trial"]: row for row in report["trial_rows"]}
    total = 0.0
    for split in outside["splits"]:
        assert split["train_last"] < split["test_first"]
        if split["trial"] is None:
            continue
        assert split["trial"] in rows
        total += split["out"]["net_pnl_usd"]
    assert sum(outside["curve"]["net_usd"]) == pytest.approx(total)
    assert outside["net_pnl_usd"] == pytest.approx(total)
    assert outside["trades"] == sum(
        s["out"]["trades"] for s in outside["splits"] if s["trial"] is not None
    )


def test_the_deflation_counts_every_variant(report):
    best = report["in_sample"]
    ratios = [row["sharpe"] for row in report["trial_rows"]]
    assert best["variants_tried"] == len(ratios) == 12
    known = [float("nan") if ratio is None else ratio for ratio in ratios]
    tried = Trials.of(known)
    assert best["sharpe"] == max(ratio for ratio in ratios if ratio is not None)
    assert best["best_sharpe_by_chance"] == pytest.approx(expected_best_sharpe(tried))
    assert best["deflated_sharpe"] <= best["probabilistic_sharpe"]


def test_nothing_is_said_to_be_shown_without_proof(report):
    assert report["verdict"].startswith("No edge is shown")
    strong = {
        "in_sample": {"variants_tried": 5, "deflated_sharpe": 0.97, "sharpe": 2.0, "trades": 90},
        "out_of_sample": {"probabilistic_sharpe": 0.96, "sharpe": 1.5, "sessions": 300},
        "overfitting": {"probability": 0.02},
    }
    assert figures.verdict(strong).startswith("The best of 5 variants")
    for part, key, value, told in (
        ("in_sample", "deflated_sharpe", 0.94, "0.94, below 0.95"),
        ("in_sample", "trades", 12, "rests on 12 trades"),
        ("out_of_sample", "probabilistic_sharpe", 0.5, "probability of 0.50"),
        ("out_of_sample", "probabilistic_sharpe", None, "undefined"),
        ("overfitting", "probability", 0.3, "overfitting is 0.30"),
    ):
        weak = {**strong, part: {**strong[part], key: value}}
        assert figures.verdict(weak).startswith("No edge is shown")
        assert told in figures.verdict(weak)


def drawn(n, objective, seed=1):
    rng = np.random.default_rng(seed)
    trials = [
        trial(k, [1.0], {"a": rng.random(), "b": rng.random(), "c": str(rng.choice(list("xyz")))})
        for k in range(n)
    ]
    return trials, np.array([objective(t.params) + 0.05 * rng.normal() for t in trials])


def test_the_parameter_that_matters_comes_first_and_the_others_are_chance():
    trials, scores = drawn(120, lambda p: 3.0 * p["a"] ** 2 + 1.2 * (p["c"] == "x"))
    ranked = sensitivity.importance(SPACE, trials, scores)
    assert [row["name"] for row in ranked] == ["a", "c", "b"]
    assert ranked[0]["share"] > 0.5
    assert ranked[0]["p_value"] < 0.01
    assert ranked[2]["p_value"] > 0.05
    assert ranked[2]["share"] == pytest.approx(ranked[2]["by_chance"], abs=0.06)


def test_shares_are_those_of_an_analysis_of_variance():
    codes = np.array([0, 0, 1, 1, 2])
    scores = np.array([1.0, 3.0, 4.0, 6.0, 10.0])
    means = np.array([2.0, 2.0, 5.0, 5.0, 10.0])
    expected = np.sum((means - scores.mean()) ** 2) / np.sum((scores - scores.mean()) ** 2)
    assert sensitivity.variance_share(codes, scores) == pytest.approx(expected)
    assert sensitivity.variance_share(codes, np.ones(5)) == 0.0


def test_a_map_holds_every_trial_once():
    trials, scores = drawn(60, lambda p: p["a"])
    maps = sensitivity.stability(SPACE, trials, scores, ["a", "b", "c"])
    assert [(m["rows"], m["columns"]) for m in maps] == [("a", "b"), ("a", "c"), ("b", "c")]
    for part in maps:
        assert sum(map(sum, part["trials"])) == 60
        for values, counts in zip(part["mean_objective"], part["trials"], strict=True):
            assert [value is None for value in values] == [count == 0 for count in counts]


def test_a_lonely_peak_is_told_from_a_hill():
    def hill(p):
        return -((p["a"] - 0.5) ** 2) - (p["b"] - 0.5) ** 2

    trials, scores = drawn(80, hill)
    near = sensitivity.neighbourhood(SPACE, trials, scores, int(np.argmax(scores)))
    assert near["mean_of_neighbours"] > near["mean_of_all_others"] + 0.05
    lonely = np.zeros(80)
    lonely[7] = 9.0
    near = sensitivity.neighbourhood(SPACE, trials, lonely, 7)
    assert near["mean_of_neighbours"] == near["mean_of_all_others"] == 0.0


def test_objectives_are_what_their_names_say():
    net = np.array([1.0, -2.0, 4.0])
    assert score("net_usd", net) == 3.0
    assert score("sharpe", net) == sharpe(net).value
    assert score("sharpe", np.zeros(3)) is None


def test_figures_of_trades_have_intervals_and_costs():
    trades = [Trade(k // 2, 1, n, n + 4.0, 4.0, n / 10, 1.0) for k, n in enumerate([5.0, -3.0] * 4)]
    found = figures.trade_figures(trades)
    low, high = found["win_rate_wilson_95"]
    assert low < found["win_rate"] == 0.5 < high
    assert found["costs_usd"] == 32.0
    assert found["gross_pnl_usd"] - found["costs_usd"] == found["net_pnl_usd"] == 8.0
    assert figures.trade_figures([])["win_rate"] is None
