from math import isnan, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mia.core.risk_measures import (
    calmar,
    drawdowns,
    expected_shortfall,
    falls,
    growth,
    kelly,
    kurtosis,
    mar,
    rolling_mean,
    rolling_sharpe,
    skewness,
    streaks,
    ulcer_index,
    value_at_risk,
)
from mia.core.statistics import max_drawdown, sharpe

CURVES = st.lists(st.integers(-100, 100), min_size=1, max_size=40).map(
    lambda steps: 1000.0 + np.cumsum(np.array(steps, dtype=np.float64))
)


def normal(n, mean=0.0, seed=0):
    return np.random.Generator(np.random.PCG64(seed)).normal(mean, 1.0, n)


def test_moments_of_a_two_point_sample():
    values = np.array([1.0, 0.0, 0.0, 0.0])
    assert skewness(values) == pytest.approx((1 - 0.5) / sqrt(0.1875), rel=1e-14)
    assert kurtosis(values) == pytest.approx(1 / 0.1875 - 3, rel=1e-14)
    assert kurtosis(normal(200_000)) == pytest.approx(3.0, abs=0.05)


def test_tail_losses_of_a_hundred_and_one_results():
    pnl = np.arange(-50.0, 51.0)
    assert value_at_risk(pnl, 0.05) == 45.0
    assert expected_shortfall(pnl, 0.05) == pytest.approx(47.5)
    assert value_at_risk(pnl, 0.01) == 49.0
    assert expected_shortfall(pnl + 100.0, 0.05) == pytest.approx(-52.5)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50), st.sampled_from([0.01, 0.05, 0.5]))
def test_mean_of_the_tail_is_no_better_than_its_edge(values, tail):
    pnl = np.array(values)
    assert expected_shortfall(pnl, tail) >= value_at_risk(pnl, tail) - 1e-6


def test_growth_ulcer_and_mar_of_a_known_curve():
    equity = np.array([100.0, 110.0, 99.0, 121.0])
    assert falls(equity).tolist() == pytest.approx([0.0, 0.0, 0.1, 0.0])
    assert ulcer_index(equity) == pytest.approx(sqrt(0.01 / 3))
    assert growth(equity, per_year=6) == pytest.approx(1.21**2 - 1)
    assert mar(equity, per_year=6) == pytest.approx((1.21**2 - 1) / 0.1)


def test_calmar_looks_back_three_years_and_mar_to_the_start():
    old = np.linspace(200.0, 100.0, 50)
    recent = np.r_[100.0, 120.0, 108.0, np.linspace(110.0, 150.0, 28)]
    equity = np.r_[old, recent[1:]]
    assert calmar(equity, per_year=10) == mar(recent, per_year=10)
    assert calmar(equity, per_year=10) > 0 > mar(equity, per_year=10)


@settings(max_examples=60)
@given(CURVES)
def test_the_deepest_of_the_falls_is_the_drawdown(equity):
    found = drawdowns(equity)
    deepest = max_drawdown(equity)
    assert (found[0].usd if found else 0.0) == deepest.usd
    assert [fall.usd for fall in found] == sorted((fall.usd for fall in found), reverse=True)
    below = np.zeros(len(equity), dtype=bool)
    for fall in found:
        assert fall.peak < fall.trough <= fall.end
        assert equity[fall.peak] - equity[fall.trough] == fall.usd
        if fall.recovered is not None:
            assert equity[fall.recovered] >= equity[fall.peak]
            assert fall.length == fall.recovered - fall.peak
        last = fall.end if fall.recovered is not None else fall.end + 1
        assert not below[fall.peak + 1 : last].any()
        below[fall.peak + 1 : last] = True
    assert np.array_equal(below, equity < np.maximum.accumulate(equity))


def test_a_fall_that_is_not_over_has_no_recovery():
    (fall,) = drawdowns(np.array([10.0, 12.0, 9.0, 11.0]))
    assert (fall.peak, fall.trough, fall.recovered, fall.length) == (1, 2, None, 2)
    assert fall.share == pytest.approx(0.25)


def test_rolling_ratios_are_those_of_each_stretch():
    pnl = normal(60, 0.1)
    found = rolling_sharpe(pnl, 20)
    assert np.isnan(found[:19]).all()
    for k in (19, 37, 59):
        assert found[k] == pytest.approx(sharpe(pnl[k - 19 : k + 1]).value, rel=1e-12)
        assert rolling_mean(pnl, 20)[k] == pytest.approx(pnl[k - 19 : k + 1].mean(), rel=1e-12)
    assert np.isnan(rolling_sharpe(np.full(30, 0.1), 20)).all()


def test_streaks_of_known_results():
    found = streaks(np.array([1.0, 2.0, -1.0, 0.0, -3.0, -1.0, -2.0]))
    assert (found.longest_wins, found.longest_losses, found.current) == (2, 3, -3)
    assert found.runs == 2


def test_runs_of_a_random_order_are_as_many_as_expected_and_of_a_sorted_one_too_few():
    signs = np.r_[np.ones(40), -np.ones(60)]
    rng = np.random.Generator(np.random.PCG64(1))
    z = [streaks(rng.permutation(signs)).z for _ in range(2000)]
    assert np.mean(z) == pytest.approx(0.0, abs=0.08)
    assert np.std(z) == pytest.approx(1.0, abs=0.06)
    assert streaks(signs).z < -8


def test_kelly_of_even_money_is_twice_the_edge():
    assert kelly(np.r_[np.ones(60), -np.ones(40)]) == pytest.approx(0.2)
    assert kelly(np.r_[np.ones(40), -np.ones(60), np.zeros(7)]) == pytest.approx(-0.2)


NOTHING = [[], [5.0], [5.0, 5.0], [0.0, 0.0, 0.0]]


@pytest.mark.parametrize("values", NOTHING)
def test_moments_are_undefined_without_two_different_values(values):
    pnl = np.array(values)
    assert isnan(skewness(pnl))
    assert isnan(kurtosis(pnl))
    assert isnan(kelly(pnl))
    assert np.isnan(rolling_sharpe(pnl, 2)).all()
    assert isnan(streaks(pnl).z)


def test_degenerate_curves_are_defined():
    empty, one, flat = np.empty(0), np.array([100.0]), np.full(4, 100.0)
    for curve in (empty, one):
        assert isnan(growth(curve))
        assert isnan(ulcer_index(curve))
        assert isnan(mar(curve))
        assert drawdowns(curve) == []
    assert (growth(flat), ulcer_index(flat), drawdowns(flat)) == (0.0, 0.0, [])
    assert isnan(mar(flat))
    assert isnan(calmar(flat))
    assert isnan(value_at_risk(empty))
    assert isnan(expected_shortfall(empty))
    assert (value_at_risk(one), expected_shortfall(one)) == (-100.0, -100.0)
    assert streaks(empty).current == 0
    assert streaks(np.array([-1.0])).current == -1


@pytest.mark.parametrize("curve", [[100.0, 0.0], [100.0, -5.0], [-3.0, 7.0], [1e-300, 1e300]])
def test_growth_through_ruin_or_beyond_all_bounds_is_undefined(curve):
    assert isnan(growth(np.array(curve)))


def test_falls_from_a_high_that_is_not_positive_have_no_share():
    assert np.isnan(falls(np.array([-1.0, -2.0]))).all()
    assert isnan(drawdowns(np.array([-1.0, -2.0]))[0].share)


def test_windows_that_hold_nothing_are_refused():
    with pytest.raises(ValueError, match="at least 2, was 1"):
        rolling_sharpe(normal(5), 1)
    with pytest.raises(ValueError, match="at least 1, was 0"):
        rolling_mean(normal(5), 0)
