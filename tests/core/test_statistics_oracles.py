import warnings

import numpy as np
import pytest

from mia.core.statistics import max_drawdown, profit_factor, sharpe, sortino

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
