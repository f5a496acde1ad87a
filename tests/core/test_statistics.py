from math import inf, isnan, nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mia.core.statistics import (
    Ratio,
    max_drawdown,
    mean_interval,
    normal_cdf,
    probabilistic_sharpe,
    profit_factor,
    sharpe,
    sortino,
    wilson_interval,
)

CENTS = st.integers(-500_000, 500_000).map(lambda cents: cents / 100)
PNL = st.lists(CENTS, max_size=60).map(lambda values: np.array(values, dtype=np.float64))


def normal(n, mean=0.0, seed=0):
    return np.random.Generator(np.random.PCG64(seed)).normal(mean, 1.0, n)


# Newcombe (1998), Statistics in Medicine 17, 857-872, table I, method 3.
@pytest.mark.parametrize(
    ("wins", "trials", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_intervals_are_the_published_ones(wins, trials, low, high):
    assert wilson_interval(wins, trials) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(0, 500), st.integers(0, 500))
def test_wilson_interval_holds_the_share_and_mirrors(wins, losses):
    low, high = wilson_interval(wins, wins + losses)
    assert 0.0 <= low <= high <= 1.0
    mirrored = wilson_interval(losses, wins + losses)
    assert mirrored == pytest.approx((1.0 - high, 1.0 - low), abs=1e-12)
    if wins + losses:
        assert low - 1e-12 <= wins / (wins + losses) <= high + 1e-12


def test_without_trials_a_win_rate_may_be_anything():
    assert wilson_interval(0, 0) == (0.0, 1.0)


def test_normal_distribution_function_at_tabulated_points():
    assert normal_cdf(1.959963984540054) == pytest.approx(0.975, abs=1e-15)
    assert normal_cdf(-1.0) == pytest.approx(0.15865525393145707, rel=1e-12)


# Bailey and Lopez de Prado (2012): 24 months, Sharpe ratio 0.458 a month, skewness -2.448,
# kurtosis 10.164. These four values, so often each, have exactly those moments.
FUND = np.repeat([-3.388132000531289, -0.3826654107300301, 0.48342721772714575, 1.230724607353328],
                 [1, 4, 10, 9])  # fmt: skip


def test_probabilistic_sharpe_is_that_of_the_paper():
    ratio = sharpe(FUND, per_year=1)
    assert ratio.value == pytest.approx(0.458, abs=1e-9)
    assert probabilistic_sharpe(ratio) == pytest.approx(0.913, abs=5e-4)
    # With normal moments the variance is (1 + SR^2 / 2) / (n - 1), and the paper finds 0.982.
    assumed_normal = Ratio(0.458, ((1.0 + 0.458**2 / 2.0) / 23.0) ** 0.5)
    assert probabilistic_sharpe(assumed_normal) == pytest.approx(0.982, abs=5e-4)


def test_probability_does_not_depend_on_the_scale_of_time():
    yearly, daily = sharpe(FUND, per_year=12), sharpe(FUND, per_year=1)
    assert probabilistic_sharpe(yearly) == pytest.approx(probabilistic_sharpe(daily), rel=1e-12)
    assert yearly.value == pytest.approx(daily.value * 12**0.5, rel=1e-12)


def test_exceeding_the_ratio_itself_is_an_even_bet():
    ratio = sharpe(FUND)
    assert probabilistic_sharpe(ratio, benchmark=ratio.value) == pytest.approx(0.5)


@pytest.mark.parametrize("pnl", [[], [1.0], [0.1] * 7, [-3.3, -3.3], [0.0] * 50])
def test_ratios_are_undefined_without_two_different_sessions(pnl):
    ratio = sharpe(np.array(pnl, dtype=np.float64))
    assert isnan(ratio.value)
    assert isnan(ratio.standard_error)
    assert isnan(probabilistic_sharpe(ratio))


@settings(max_examples=40)
@given(PNL, st.sampled_from([1e-60, 1e-3, 7.0, 1e40]))
def test_scale_of_money_does_not_change_a_sharpe_ratio(pnl, scale):
    before, after = sharpe(pnl), sharpe(pnl * scale)
    assert isnan(before.value) == isnan(after.value)
    if not isnan(before.value):
        assert after.value == pytest.approx(before.value, rel=1e-6)
        assert after.standard_error == pytest.approx(before.standard_error, rel=1e-6)


@pytest.mark.parametrize("skewed", [False, True])
def test_standard_error_of_sharpe_is_the_spread_of_simulated_ratios(skewed):
    # The spread of 4000 simulated ratios is itself known to about 1.1 %; the asymptotic formula
    # is good to a few per cent at 500 sessions. Together they stay within 8 %.
    rng = np.random.Generator(np.random.PCG64(11))
    shape = (4000, 500)
    samples = 1.2 - rng.gamma(2.0, 0.5, shape) if skewed else rng.normal(0.12, 1.0, shape)
    means, deviations = samples.mean(axis=1), samples.std(axis=1, ddof=1)
    simulated = float(np.std(means / deviations, ddof=1))
    claimed = float(np.mean([sharpe(row, per_year=1).standard_error for row in samples[:400]]))
    assert claimed == pytest.approx(simulated, rel=0.08)


def test_sharpe_intervals_cover_the_truth_as_often_as_they_say():
    rng = np.random.Generator(np.random.PCG64(12))
    true, covered = 0.1, 0
    for row in rng.normal(true, 1.0, (1500, 250)):
        ratio = sharpe(row, per_year=1)
        covered += abs(ratio.value - true) < 1.96 * ratio.standard_error
    assert covered / 1500 == pytest.approx(0.95, abs=0.02)


def test_sortino_is_the_mean_over_the_root_mean_square_of_losses():
    pnl = np.array([3.0, -1.0, 0.0, -2.0, 5.0])
    downside = ((1.0 + 4.0) / 5.0) ** 0.5
    assert sortino(pnl, per_year=1).value == pytest.approx(1.0 / downside, rel=1e-14)


@pytest.mark.parametrize("pnl", [[], [-1.0], [1.0, 2.0, 0.0], [1.0, 2.0, -1e-158]])
def test_sortino_is_undefined_without_a_loss_among_two(pnl):
    ratio = sortino(np.array(pnl, dtype=np.float64))
    assert isnan(ratio.value)
    assert isnan(ratio.standard_error)


def test_standard_error_of_sortino_is_the_spread_of_simulated_ratios():
    rng = np.random.Generator(np.random.PCG64(13))
    samples = rng.normal(0.05, 1.0, (3000, 400))
    downside = np.sqrt(np.mean(np.minimum(samples, 0.0) ** 2, axis=1))
    simulated = float(np.std(samples.mean(axis=1) / downside, ddof=1))
    claimed = np.mean([sortino(row, per_year=1, seed=k).standard_error
                       for k, row in enumerate(samples[:30])])  # fmt: skip
    assert claimed == pytest.approx(simulated, rel=0.08)


def test_same_seed_gives_the_same_bootstrap():
    pnl = normal(80)
    groups = np.arange(80) // 3
    assert sortino(pnl, seed=4) == sortino(pnl, seed=4) != sortino(pnl, seed=5)
    assert mean_interval(pnl, groups, seed=4) == mean_interval(pnl, groups, seed=4)
    assert mean_interval(pnl, groups, seed=4) != mean_interval(pnl, groups, seed=5)


@settings(max_examples=40)
@given(PNL)
def test_drawdown_is_the_deepest_of_all_pairs(pnl):
    equity = 10_000.0 + np.cumsum(pnl)
    fall = max_drawdown(equity)
    pairs = [(equity[i] - equity[j], i, j) for j in range(len(equity)) for i in range(j + 1)]
    assert fall.usd == max((pair[0] for pair in pairs), default=0.0)
    if fall.usd > 0.0:
        assert fall.peak < fall.trough
        assert equity[fall.peak] - equity[fall.trough] == fall.usd
        if equity[fall.peak] > 0.0:
            assert fall.share == pytest.approx(fall.usd / equity[fall.peak])


def test_drawdown_of_a_curve_that_was_never_above_zero_has_no_share():
    assert isnan(max_drawdown(np.array([-1.0, -5.0])).share)


@pytest.mark.parametrize(
    ("pnl", "factor"),
    [([], nan), ([0.0], nan), ([2.0, 1.0], inf), ([-2.0], 0.0), ([3.0, -2.0, 0.0, 1.0], 2.0)],
)
def test_profit_factor_is_gains_over_losses(pnl, factor):
    assert profit_factor(np.array(pnl)) == pytest.approx(factor, nan_ok=True)


@pytest.mark.parametrize("sessions", [[], [3], [3, 3, 3]])
def test_mean_has_no_interval_below_two_sessions(sessions):
    low, high = mean_interval(np.ones(len(sessions)), np.array(sessions, dtype=np.int64))
    assert isnan(low)
    assert isnan(high)


def test_interval_of_a_mean_is_wider_where_sessions_hang_together():
    rng = np.random.Generator(np.random.PCG64(14))
    groups = np.repeat(np.arange(60), 5)
    alone = rng.normal(size=300)
    together = np.repeat(rng.normal(size=60), 5)

    def width(values):
        low, high = mean_interval(values, groups)
        return high - low

    assert width(alone) == pytest.approx(2 * 1.96 / 300**0.5, rel=0.2)
    assert width(together) == pytest.approx(2 * 1.96 / 60**0.5, rel=0.25)


@settings(max_examples=30)
@given(st.lists(st.tuples(CENTS, st.integers(0, 9)), min_size=1, max_size=50))
def test_interval_of_a_mean_lies_between_the_session_means(rows):
    values = np.array([row[0] for row in rows])
    groups = np.array([row[1] for row in rows], dtype=np.int64)
    low, high = mean_interval(values, groups, resamples=100)
    if not isnan(low):
        means = [values[groups == g].mean() for g in set(groups.tolist())]
        assert min(means) - 1e-9 <= low <= high <= max(means) + 1e-9
