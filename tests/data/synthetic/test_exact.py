import math
from statistics import NormalDist

import numpy as np
import pytest

from mia.data.synthetic import exact


def test_logarithm_and_exponential_agree_with_the_library_to_the_last_places():
    x = np.concatenate([10.0 ** np.linspace(-300, 300, 4001), np.linspace(0.5, 2, 4001)])
    assert np.allclose(exact.ln(x), np.log(x), rtol=4e-16, atol=4e-16)
    y = np.linspace(-700, 700, 5001)
    assert np.allclose(exact.exp(y), np.exp(y), rtol=1e-15, atol=0)


def test_normal_quantiles_agree_with_the_standard_library():
    u = np.concatenate([np.linspace(0.0005, 0.9995, 1999), [1e-12, 1 - 1e-12]])
    want = [NormalDist().inv_cdf(p) for p in u]
    assert np.allclose(exact.normal(u), want, rtol=3e-9, atol=3e-9)


def test_the_smallest_uniform_still_gives_a_finite_normal():
    assert -9.0 < float(exact.normal(np.array([0.0]))[0]) < -8.0


def test_exponentials_have_mean_and_deviation_one():
    x = exact.exponential(exact.generator(1, 0, 0).random(200_000))
    assert abs(x.mean() - 1) < 0.01
    assert abs(x.std() - 1) < 0.02
    assert x.min() >= 0


@pytest.mark.parametrize(
    ("mean", "rare", "rare_mean"), [(0.0, 0.0, 0.0), (0.5, 0.0, 0.0), (0.4, 0.01, 46.0)]
)
def test_the_poisson_table_draws_the_mean_asked_for(mean, rare, rare_mean):
    u = exact.generator(2, 0, 0).random(400_000)
    count = np.searchsorted(exact.poisson_table(mean, rare, rare_mean), u, side="right")
    want = (1 - rare) * mean + rare * rare_mean
    second = (1 - rare) * (mean + mean**2) + rare * (rare_mean + rare_mean**2)
    error = math.sqrt(max(second - want**2, 0) / len(u))
    assert abs(count.mean() - want) <= 5 * error


def test_poisson_probabilities_are_those_of_the_formula():
    table = exact.poisson_table(2.5)
    want = np.cumsum([math.exp(-2.5) * 2.5**k / math.factorial(k) for k in range(8)])
    assert np.allclose(table[:8], want, rtol=1e-14)


def test_autoregression_is_stationary_from_the_first_value():
    paths = np.array(
        [
            exact.autoregressive(exact.normal(exact.generator(3, k, 0).random(40)), 0.9)
            for k in range(4000)
        ]
    )
    assert np.abs(paths.var(axis=0) - 1).max() < 0.15
    assert abs(np.corrcoef(paths[:, 10], paths[:, 11])[0, 1] - 0.9) < 0.02


def test_streams_of_components_sessions_and_seeds_differ():
    draws = {
        tuple(exact.generator(seed, ordinal, stream).random(3))
        for seed in range(3)
        for ordinal in range(3)
        for stream in range(3)
    }
    assert len(draws) == 27
