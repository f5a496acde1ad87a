"""What promotes, what demotes, and how often chance does."""

import numpy as np
import pytest
from labelled import labelled

from mia.ml import training
from mia.ml.drift import LossCusum, moved_inputs
from mia.ml.flat_model import BOOSTED, LOGISTIC
from mia.ml.inputs import INPUTS
from mia.ml.promotion import WINDOW, demotion_reason, differences
from mia.ml.scores import log_losses


def test_the_quantile_is_that_of_a_bootstrap_of_whole_sessions_written_out():
    data = labelled(160, 0.6, seed=1)
    rng = np.random.default_rng(2)
    p = np.clip(0.4 + 0.2 * data.y + 0.1 * rng.normal(size=160), 0.05, 0.95)
    base = np.full(160, 0.4)
    found = differences(p, data.y, data.r, data.tau, data.sessions, base, resamples=300, seed=3)
    ids = np.unique(data.sessions)
    draws = np.random.Generator(np.random.PCG64(3)).integers(0, len(ids), size=(300, len(ids), 1))
    losses, gains = [], []
    for drawn in draws[:, :, 0]:
        rows = np.concatenate([np.flatnonzero(data.sessions == ids[k]) for k in drawn])
        y, r, taken = data.y[rows], data.r[rows], p[rows] >= data.tau[rows]
        losses.append(np.mean(log_losses(base[rows], y) - log_losses(p[rows], y)))
        gains.append(r[taken].mean() - r.mean() if taken.any() else -np.inf)
    assert found.loss_gain_low == pytest.approx(np.sort(losses)[int(0.05 * 299)], abs=1e-12)
    assert found.r_gain_low == pytest.approx(np.sort(gains)[int(0.05 * 299)], abs=1e-12)
    taken = p >= data.tau
    assert found.r_gain == pytest.approx(data.r[taken].mean() - data.r.mean())
    assert found.taken == taken.sum()


def good(n=200, taken=100):
    """Predictions that are right, of which `taken` trades are taken."""
    y = np.zeros(n)
    y[:taken] = 1.0
    p = np.where(y > 0, 0.9, 0.1)
    r = np.where(y > 0, 1.5, -1.0)
    order = np.random.default_rng(0).permutation(n)
    return p[order], y[order], r[order], np.full(n, 0.45), np.arange(n) // 4


def test_the_test_asks_for_thirty_trades_and_a_fifth():
    def passed(n, taken):
        p, y, r, tau, sessions = good(n, taken)
        return differences(p, y, r, tau, sessions, np.full(n, taken / n)).passed

    assert passed(200, 100)
    assert not passed(100, 29)
    assert passed(100, 30)
    assert not passed(400, 79)
    assert passed(400, 80)


def test_both_differences_are_needed():
    p, y, r, tau, sessions = good()
    base = np.full(200, 0.5)
    assert differences(p, y, r, tau, sessions, base).passed
    assert not differences(p, y, -r, tau, sessions, base).passed
    assert not differences(p, 1 - y, r, tau, sessions, base).passed
    nothing = differences(np.full(200, 0.1), y, r, tau, sessions, base)
    assert (nothing.taken, nothing.r_gain, nothing.passed) == (0, -np.inf, False)
    assert nothing.to_dict()["r_gain"] is None


def test_one_good_session_promotes_nothing():
    """All of the gain comes from one session: a resample without it shows nothing."""
    n = 200
    sessions = np.where(np.arange(n) < 60, 0, 1 + np.arange(n) // 4)
    y = (np.arange(n) % 2).astype(float)
    p = np.where(np.arange(n) < 60, np.where(y > 0, 0.95, 0.05), 0.5)
    r = np.where(y > 0, 1.0, -1.0)
    tau = np.full(n, 0.5)
    whole = differences(p, y, r, tau, sessions, np.full(n, 0.5))
    assert whole.positive
    assert not whole.passed


def test_demotion_waits_for_fifty_trades_and_then_needs_one_of_two_reasons():
    p, y, r, tau, _ = good(WINDOW, 25)
    assert demotion_reason(p[1:], 1 - y[1:], r[1:], tau[1:], 0.5) is None
    assert demotion_reason(p, y, r, tau, 0.5) is None
    assert "log-loss" in demotion_reason(p, 1 - y, r, tau, 0.5)
    assert "earned" in demotion_reason(p, y, -r, tau, 0.5)
    assert "none" in demotion_reason(np.full(WINDOW, 0.44), y, r, tau, 0.5)


def test_only_the_last_fifty_trades_demote():
    p, y, r, tau, _ = good(WINDOW, 25)
    bad_before = [np.concatenate((a, b)) for a, b in ((1 - p, p), (y, y), (r, r), (tau, tau))]
    assert demotion_reason(*bad_before, 0.5) is None


def test_no_null_world_is_promoted_more_often_than_one_in_twenty():
    promoted = sum(
        training.out_of_fold(LOGISTIC, data).against_base(data).passed
        for data in (labelled(300, 0.0, seed) for seed in range(40))
    )
    assert promoted <= 2


@pytest.mark.slow
def test_an_edge_is_found_the_more_often_the_larger_it_is():
    def share(edge):
        worlds = (labelled(400, edge, seed) for seed in range(20))
        return sum(training.out_of_fold(LOGISTIC, d).against_base(d).passed for d in worlds) / 20

    found = [share(edge) for edge in (0.0, 0.3, 0.6)]
    assert found == sorted(found)
    assert found[0] <= 0.05
    assert found[2] >= 0.8


def overlapping(n=300, seed=0):
    """Labels that share most of their span, over inputs that only tell the time.

    Nothing can be known of the future: a random walk decides. But a trade that is open at the same
    time has nearly the same label and nearly the same inputs.
    """
    rng = np.random.default_rng(seed)
    data = labelled(n, 0.0, seed)
    hour = data.starts[1] - data.starts[0]
    walk = np.concatenate(([0.0], np.cumsum(rng.normal(size=n + 40))))
    r = np.sign(walk[30 : n + 30] - walk[:n])
    clocks = np.cumsum(rng.normal(size=(n, 22)), axis=0)
    return type(data)(
        clocks, r, data.tau, data.starts, data.starts + 30 * hour, data.sessions, data.paper
    )


def test_overlapping_labels_show_as_the_gap_between_plain_and_purged_folds():
    for seed in range(5):
        found = training.validation_gap(overlapping(seed=seed), LOGISTIC)
        assert found["plain"] > 0.03, "shuffled folds promise what nobody can know"
        assert found["purged"] < 0.03, "purged folds do not"
        assert found["gap"] > 0.05
    honest = training.validation_gap(labelled(300, 0.0, 1), LOGISTIC)
    assert abs(honest["gap"]) < 0.03


@pytest.mark.slow
def test_trees_are_chosen_only_where_they_beat_the_logistic_model():
    rng = np.random.default_rng(5)
    data = labelled(900, 0.0, seed=5)
    both = data.x[:, 0] * data.x[:, 16]
    y = rng.random(900) < 1 / (1 + np.exp(-3.0 * np.sign(both)))
    crossed = type(data)(
        data.x,
        np.where(y, 1.4, -1.1),
        data.tau,
        data.starts,
        data.ends,
        data.sessions,
        data.paper,
    )
    _, facts = training.train(crossed, (LOGISTIC, BOOSTED))
    assert facts["family"] == BOOSTED
    assert facts["promotion"]["passed"]
    _, facts = training.train(labelled(600, 0.8, seed=6), (LOGISTIC, BOOSTED))
    assert facts["family"] == LOGISTIC


def test_paths_cover_every_trade_and_the_overfitting_probability_is_one():
    data = labelled(240, 0.6, seed=7)
    paths = training.combinatorial_paths(data)
    assert len(paths) == 5
    assert all(path["loss_gain"] > 0 for path in paths)
    assert 0.0 <= training.overfitting_of_settings(data) <= 1.0


def test_a_rise_of_the_loss_is_found_and_chance_is_not():
    rng = np.random.default_rng(8)
    p = rng.uniform(0.2, 0.8, 20_000)
    y = (rng.random(20_000) < p).astype(float)
    losses = log_losses(p, y)
    cusum, alarms = LossCusum(losses.mean(), losses.std()), 0
    for loss in losses:
        if cusum.add(loss):
            alarms += 1
            cusum.value = 0.0
    assert alarms <= 2
    delays = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        p = rng.uniform(0.2, 0.8, 400)
        y = (rng.random(400) < 1 - p).astype(float)
        cusum = LossCusum(losses.mean(), losses.std())
        delays.append(next(k for k, loss in enumerate(log_losses(p, y)) if cusum.add(loss)))
    assert np.median(delays) < 150


def test_an_input_that_moved_is_named_first():
    data = labelled(600, seed=9)
    later = data.x[:150].copy()
    later[:, 16] += 2.0
    found = moved_inputs(data.x[150:], later, [INPUTS[0], INPUTS[16]])
    assert list(found) == [INPUTS[16], INPUTS[0]]
    assert found[INPUTS[16]] > 0.25 > found[INPUTS[0]]
    assert moved_inputs(data.x, later[:99], [INPUTS[0]]) == {}
