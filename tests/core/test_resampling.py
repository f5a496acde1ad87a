from math import isnan

import numpy as np
import pytest

from mia.core.resampling import block_length, cone, drawn_blocks, session_interval
from mia.core.statistics import Floats


def normal(n, mean=0.0, seed=0):
    return np.random.Generator(np.random.PCG64(seed)).normal(mean, 1.0, n)


def means(samples: Floats) -> Floats:
    return samples.mean(axis=-1)


@pytest.mark.parametrize(("n", "length"), [(1, 1), (2, 2), (8, 2), (27, 3), (28, 4), (1000, 10)])
def test_blocks_are_as_long_as_the_cube_root(n, length):
    assert block_length(n) == length


def test_paths_are_made_of_neighbours_around_the_circle():
    drawn = np.concatenate(list(drawn_blocks(10, 4, 500, seed=1)))
    assert drawn.shape == (500, 10)
    for row in drawn:
        for first in (0, 4, 8):
            block = row[first : first + 4]
            assert np.array_equal(block, (block[0] + np.arange(len(block))) % 10)
    counts = np.bincount(drawn.ravel(), minlength=10)
    assert counts.min() > 0.85 * 500
    assert counts.max() < 1.15 * 500


def test_paths_do_not_depend_on_how_many_are_drawn_at_a_time(monkeypatch):
    whole = np.concatenate(list(drawn_blocks(30, 3, 50, seed=2)))
    monkeypatch.setattr("mia.core.resampling.CELLS", 30 * 7)
    parts = list(drawn_blocks(30, 3, 50, seed=2))
    assert len(parts) == 8
    assert np.array_equal(np.concatenate(parts), whole)


@pytest.mark.parametrize("sizes", [(0, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_nothing_cannot_be_drawn(sizes):
    with pytest.raises(ValueError, match="at least 1"):
        next(drawn_blocks(*sizes, seed=0))


def test_intervals_of_a_mean_cover_the_truth_as_often_as_they_say():
    covered = 0
    for seed in range(200):
        low, high = session_interval(normal(80, 0.2, seed), means, resamples=400, seed=seed)
        covered += low < 0.2 < high
    assert covered / 200 == pytest.approx(0.95, abs=0.045)


def test_blocks_widen_the_interval_where_sessions_depend_on_each_other():
    shocks = normal(2000, seed=5)
    pnl = np.convolve(shocks, np.ones(10) / 10, mode="valid")
    single = session_interval(pnl, means)
    blocks = session_interval(pnl, means, length=20)
    assert blocks[1] - blocks[0] > 2.0 * (single[1] - single[0])


def test_pairs_stay_together():
    both = np.column_stack([normal(100), normal(100) + 0.5])
    low, high = session_interval(both, lambda x: x[..., 1].mean(axis=1) - x[..., 0].mean(axis=1))
    assert (low, high) == pytest.approx((0.5, 0.5), abs=1e-12)


@pytest.mark.parametrize("pnl", [[], [1.0], [0.0, 0.0, 0.0]])
def test_intervals_are_undefined_without_two_sessions_or_where_the_statistic_is(pnl):
    low, high = session_interval(np.array(pnl), lambda x: x.mean(axis=1) / x.std(axis=1))
    assert isnan(low)
    assert isnan(high)


def test_same_seed_gives_the_same_cone_and_another_seed_another():
    pnl = normal(100)
    one, same, other = cone(pnl), cone(pnl), cone(pnl, seed=1)
    assert np.array_equal(one.levels, same.levels)
    assert one.falls == same.falls
    assert not np.array_equal(one.levels, other.levels)


def test_cone_of_independent_results_widens_with_the_root_of_time():
    pnl = normal(400, seed=7)
    pnl = (pnl - pnl.mean()) / pnl.std()
    found = cone(pnl, length=1, paths=4000)
    width = found.levels[:, 4] - found.levels[:, 0]
    wanted = 2 * 1.6448536 * np.sqrt(found.places)
    assert np.max(np.abs(width[5:] / wanted[5:] - 1.0)) < 0.08
    assert found.places[0] == 1
    assert found.places[-1] == 400
    assert found.loss == pytest.approx(0.5, abs=0.04)


def test_falls_of_a_cone_are_those_of_its_paths():
    pnl = normal(30, seed=8)
    found = cone(pnl, length=3, paths=200, seed=4)
    deepest = []
    for row in np.concatenate(list(drawn_blocks(30, 3, 200, seed=4))):
        high = total = fall = 0.0
        for value in pnl[row]:
            total += value
            high = max(high, total)
            fall = max(fall, high - total)
        deepest.append(fall)
    assert found.falls == pytest.approx(np.quantile(deepest, [0.05, 0.25, 0.5, 0.75, 0.95]))


def test_a_series_that_lost_early_and_gained_later_fell_deeper_than_most_of_its_orders():
    pnl = np.r_[np.full(50, -1.0), np.full(50, 1.0)]
    assert cone(pnl, length=1).deeper < 0.01


@pytest.mark.parametrize("pnl", [[], [1.0]])
def test_there_is_no_cone_below_two_sessions(pnl):
    assert cone(np.array(pnl)) is None


def test_a_cone_of_equal_results_is_a_line():
    found = cone(np.full(5, -2.0))
    assert found.levels[:, 0].tolist() == found.levels[:, 4].tolist() == [-2, -4, -6, -8, -10]
    assert (found.loss, found.deeper, found.falls[0]) == (1.0, 0.0, 10.0)
