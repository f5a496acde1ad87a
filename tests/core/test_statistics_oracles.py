import warnings

import numpy as np
import pytest

from mia.core.risk_measures import (
    expected_shortfall,
    falls,
    growth,
    kelly,
    kurtosis,
    mar,
    rolling_sharpe,
    skewness,
    streaks,
    ulcer_index,
    value_at_risk,
)
from mia.core.statistics import (
    max_drawdown,
    normal_cdf,
    profit_factor,
    sharpe,
    sharpe_error,
    sortino,
)

pytestmark = pytest.mark.slow  # The oracles take many seconds to import.


def oracle(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name)


def series(seed):
    rng = np.random.Generator(np.random.PCG64(seed))
    return rng.standard_t(4, 300) * 0.01 + rng.normal(0.0, 0.001)


@pytest.mark.parametrize("seed", range(10))
def test_ratios_are_those_of_empyrical(seed):
    empyrical = oracle("empyrical")
    returns = series(seed)
    assert sharpe(returns).value == pytest.approx(empyrical.sharpe_ratio(returns), rel=1e-12)
    assert sortino(returns).value == pytest.approx(empyrical.sortino_ratio(returns), rel=1e-12)


@pytest.mark.parametrize("seed", range(10))
def test_drawdown_below_a_first_high_is_that_of_empyrical(seed):
    # USD and shares agree on the deepest fall while the high stays the same.
    empyrical = oracle("empyrical")
    equity = np.cumprod(1.0 + np.r_[0.0, series(seed)])
    equity[0] = equity.max()
    returns = equity[1:] / equity[:-1] - 1.0
    assert -max_drawdown(equity).share == pytest.approx(empyrical.max_drawdown(returns), rel=1e-12)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.filterwarnings("ignore")
def test_ratios_are_those_of_quantstats(seed):
    stats = oracle("quantstats").stats
    pandas = pytest.importorskip("pandas")
    values = series(seed)
    returns = pandas.Series(values, index=pandas.date_range("2025-01-01", periods=len(values)))
    assert sharpe(values).value == pytest.approx(stats.sharpe(returns, periods=252), rel=1e-12)
    assert sortino(values).value == pytest.approx(stats.sortino(returns, periods=252), rel=1e-12)
    assert profit_factor(values) == pytest.approx(stats.profit_factor(returns), rel=1e-12)


def as_pandas(values):
    pandas = pytest.importorskip("pandas")
    return pandas.Series(values, index=pandas.date_range("2025-01-01", periods=len(values)))


@pytest.mark.parametrize("seed", range(10))
def test_growth_falls_and_tails_are_those_of_empyrical(seed):
    empyrical = oracle("empyrical")
    returns = series(seed)
    equity = np.cumprod(np.r_[1.0, 1.0 + returns])
    known = {
        growth(equity): empyrical.annual_return(returns),
        # Of the whole curve: empyrical knows no 36 months, so its Calmar ratio is our MAR.
        mar(equity): empyrical.calmar_ratio(returns),
        -float(np.max(falls(equity))): empyrical.max_drawdown(returns),
    }
    for tail in (0.01, 0.05):
        # Losses are positive here and negative there.
        known[-value_at_risk(returns, tail)] = empyrical.value_at_risk(returns, tail)
        known[-expected_shortfall(returns, tail)] = empyrical.conditional_value_at_risk(
            returns, tail
        )
    for ours, theirs in known.items():
        assert ours == pytest.approx(theirs, rel=1e-12)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.filterwarnings("ignore")
def test_growth_falls_and_streaks_are_those_of_quantstats(seed):
    stats = oracle("quantstats").stats
    values = series(seed)
    returns = as_pandas(values)
    equity = np.cumprod(np.r_[1.0, 1.0 + values])
    n = len(values)
    assert growth(equity) == pytest.approx(stats.cagr(returns, periods=252), rel=1e-12)
    assert mar(equity) == pytest.approx(stats.calmar(returns, periods=252), rel=1e-12)
    # It divides the squares by n - 1.
    assert ulcer_index(equity) * (n / (n - 1)) ** 0.5 == pytest.approx(
        stats.ulcer_index(returns), rel=1e-12
    )
    assert expected_shortfall(values) == pytest.approx(
        -stats.conditional_value_at_risk(returns, confidence=0.95, method="historical"), rel=1e-12
    )
    assert kelly(values) == pytest.approx(stats.kelly_criterion(returns), rel=1e-12)
    assert streaks(values).longest_wins == stats.consecutive_wins(returns)
    assert streaks(values).longest_losses == stats.consecutive_losses(returns)
    # Its moments are the unbiased ones of pandas, in excess of the normal's.
    skew = skewness(values) * (n * (n - 1)) ** 0.5 / (n - 2)
    assert skew == pytest.approx(stats.skew(returns), rel=1e-10)
    excess = (n - 1) / ((n - 2) * (n - 3)) * ((n + 1) * kurtosis(values) - 3 * (n - 1))
    assert excess == pytest.approx(stats.kurtosis(returns), rel=1e-10)
    rolled = stats.rolling_sharpe(returns, rolling_period=63, periods_per_year=252).to_numpy()
    assert rolling_sharpe(values, 63)[-50:] == pytest.approx(rolled[-50:], rel=1e-9)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.filterwarnings("ignore")
def test_probability_is_that_of_quantstats_but_for_the_moments(seed):
    # It takes the unbiased moments of pandas; with them the formula gives the same.
    stats = oracle("quantstats").stats
    returns = as_pandas(series(seed))
    ratio = returns.mean() / returns.std(ddof=1)
    error = sharpe_error(ratio, len(returns), returns.skew(), returns.kurtosis() + 3.0)
    theirs = stats.probabilistic_sharpe_ratio(returns, periods=252, annualize=False)
    assert normal_cdf(ratio / error) == pytest.approx(theirs, rel=1e-10)


@pytest.mark.parametrize("seed", range(5))
def test_moments_are_those_of_scipy(seed):
    stats = oracle("scipy.stats")
    values = series(seed)
    assert skewness(values) == pytest.approx(stats.skew(values), rel=1e-12)
    assert kurtosis(values) == pytest.approx(stats.kurtosis(values, fisher=False), rel=1e-12)
