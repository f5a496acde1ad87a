from itertools import combinations
from math import inf, isnan, nan, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mia.core.overfitting import (
    Trials,
    deflated_sharpe,
    expected_best_sharpe,
    minimum_track_record,
    probability_of_overfitting,
)
from mia.core.statistics import Ratio, probabilistic_sharpe, sharpe, sharpe_error

# Bailey and Lopez de Prado (2014), "The deflated Sharpe ratio", section "A numerical example":
# an annualised ratio of 2.5 from 1250 daily results, 250 a year, skewness -3, kurtosis 10; the
# variance of the annualised ratios of the trials is 1/2.
DAILY = 2.5 / sqrt(250)
PAPER = Ratio(2.5, sharpe_error(DAILY, 1250, -3.0, 10.0) * sqrt(250))


@pytest.mark.parametrize(("count", "deflated"), [(100, 0.9004), (46, 0.9505)])
def test_deflated_sharpe_is_that_of_the_paper(count, deflated):
    assert deflated_sharpe(PAPER, Trials(count, sqrt(0.5))) == pytest.approx(deflated, abs=5e-5)


def test_expected_best_of_a_hundred_is_that_of_the_paper():
    best = expected_best_sharpe(Trials(100, sqrt(0.5)))
    assert best / sqrt(250) == pytest.approx(0.1132, abs=5e-5)


def test_expected_best_is_the_mean_best_of_simulated_trials():
    # The formula is an approximation, good to about 1 % from ten trials on.
    rng = np.random.Generator(np.random.PCG64(1))
    for count in (10, 100, 1000):
        simulated = rng.normal(0.0, 2.0, (4000, count)).max(axis=1).mean()
        assert expected_best_sharpe(Trials(count, 2.0)) == pytest.approx(simulated, rel=0.03)


def test_one_trial_deflates_nothing():
    assert expected_best_sharpe(Trials()) == 0.0
    assert deflated_sharpe(PAPER, Trials()) == probabilistic_sharpe(PAPER)


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.floats(0.01, 5.0))
def test_more_trials_never_make_a_result_more_credible(a, b, deviation):
    few, many = sorted((a, b))
    assert deflated_sharpe(PAPER, Trials(many, deviation)) <= deflated_sharpe(
        PAPER, Trials(few, deviation)
    )


def test_trials_are_counted_with_their_deviation_and_undefined_ones_as_zero():
    trials = Trials.of([1.0, 3.0, nan])
    assert trials.count == 3
    assert trials.deviation == pytest.approx(np.std([1.0, 3.0, 0.0], ddof=1), rel=1e-15)
    assert Trials.of([2.0]) == Trials(1, 0.0)
    with pytest.raises(ValueError, match="at least one trial"):
        Trials.of([])


# Bailey and Lopez de Prado (2012): a ratio of 2 a year against a benchmark of 1 at 95 % takes 2.73
# years of daily, 2.83 of weekly and 3.24 of monthly normal results; 4.99 years of monthly ones
# with skewness -0.72 and kurtosis 5.78.
@pytest.mark.parametrize(
    ("per_year", "skew", "kurtosis", "years"),
    [(252, 0.0, 3.0, 2.73), (52, 0.0, 3.0, 2.83), (12, 0.0, 3.0, 3.24), (12, -0.72, 5.78, 4.99)],
)
def test_minimum_track_record_is_that_of_the_paper(per_year, skew, kurtosis, years):
    error = sharpe_error(2.0 / sqrt(per_year), 1000, skew, kurtosis) * sqrt(per_year)
    needed = minimum_track_record(Ratio(2.0, error), 1000, benchmark=1.0)
    assert needed / per_year == pytest.approx(years, abs=0.005)


def test_minimum_track_record_does_not_depend_on_the_sample_it_was_read_from():
    daily = 1.5 / sqrt(252)
    wanted = 1 + (1 + (3 - 1) / 4 * daily**2) * (1.6448536269514722 / daily) ** 2
    for n in (10, 300, 100_000):
        error = sharpe_error(daily, n, 0.0, 3.0) * sqrt(252)
        assert minimum_track_record(Ratio(1.5, error), n) == pytest.approx(wanted, rel=1e-12)
    assert wanted == pytest.approx(305, abs=1)


def test_a_record_of_the_minimum_length_has_a_probability_of_95_percent():
    daily = 0.1
    needed = minimum_track_record(Ratio(daily, sharpe_error(daily, 50, -0.5, 4.0)), 50)
    ratio = Ratio(daily, sqrt((1 + 0.5 * daily + 0.75 * daily**2) / (needed - 1)))
    assert probabilistic_sharpe(ratio) == pytest.approx(0.95, abs=1e-12)


@pytest.mark.parametrize("pnl", [[], [1.0], [2.0, 2.0, 2.0]])
def test_without_a_ratio_there_is_no_track_record_and_no_deflation(pnl):
    ratio = sharpe(np.array(pnl))
    assert isnan(minimum_track_record(ratio, len(pnl)))
    assert isnan(deflated_sharpe(ratio, Trials(10, 1.0)))


def test_no_length_shows_a_ratio_below_its_benchmark():
    assert minimum_track_record(Ratio(-0.3, 0.5), 100) == inf
    assert minimum_track_record(Ratio(1.0, 0.5), 100, benchmark=1.0) == inf


def plain_overfitting(pnl, blocks):
    """Return what `probability_of_overfitting` does, split by split."""

    def rank(values, k):
        return np.sum(values < values[k]) + (np.sum(values == values[k]) + 1) / 2

    parts = np.array_split(np.arange(len(pnl)), blocks)
    at_or_below, losses, pairs = 0, 0, []
    for pick in combinations(range(blocks), blocks // 2):
        inside = np.concatenate([parts[k] for k in pick])
        outside = np.setdiff1d(np.arange(len(pnl)), inside)
        of_in, of_out = (
            [sharpe(column, per_year=1).value for column in pnl[rows].T]
            for rows in (inside, outside)
        )
        of_in, of_out = np.nan_to_num(of_in), np.nan_to_num(of_out)
        best = int(np.argmax(of_in))
        omega = rank(of_out, best) / (pnl.shape[1] + 1)
        at_or_below += np.log(omega / (1 - omega)) <= 1e-15
        losses += of_out[best] < 0
        pairs.append((of_in[best], of_out[best]))
    slope = np.polyfit(*np.array(pairs).T, 1)[0]
    return at_or_below / len(pairs), losses / len(pairs), slope


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("sessions", [40, 61])
def test_overfitting_is_that_of_the_plain_algorithm(seed, sessions):
    pnl = np.random.Generator(np.random.PCG64(seed)).normal(0.1, 3.0, (sessions, 7))
    pnl[:, 3] = 0.0
    found = probability_of_overfitting(pnl, blocks=6)
    assert (found.probability, found.loss, found.slope) == pytest.approx(
        plain_overfitting(pnl, 6), rel=1e-9
    )
    assert (found.variants, found.sessions, found.blocks, found.splits) == (7, sessions, 6, 20)


def test_choosing_among_noise_is_overfitting_about_every_other_time():
    rng = np.random.Generator(np.random.PCG64(3))
    found = [probability_of_overfitting(rng.normal(size=(320, 20)), 8) for _ in range(60)]
    assert np.mean([one.probability for one in found]) == pytest.approx(0.5, abs=0.1)


def test_a_variant_that_is_truly_better_is_not_overfitting():
    pnl = np.random.Generator(np.random.PCG64(4)).normal(size=(800, 20))
    pnl[:, 11] += 0.5
    found = probability_of_overfitting(pnl)
    assert found.probability == 0.0
    assert found.splits == 12_870


@settings(max_examples=20, deadline=None)
@given(st.floats(1e-6, 1e6), st.integers(0, 5))
def test_scale_of_money_does_not_change_overfitting(scale, seed):
    pnl = np.random.Generator(np.random.PCG64(seed)).normal(0.2, 1.0, (50, 4))
    before, after = probability_of_overfitting(pnl, 4), probability_of_overfitting(pnl * scale, 4)
    assert (after.probability, after.loss) == (before.probability, before.loss)


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (100, 0), (100, 1), (31, 5)])
def test_overfitting_is_undefined_without_two_variants_and_two_sessions_a_block(shape):
    assert probability_of_overfitting(np.zeros(shape)) is None


def test_equal_variants_share_the_middle_rank():
    pnl = np.tile(np.random.Generator(np.random.PCG64(5)).normal(size=(40, 1)), 3)
    found = probability_of_overfitting(pnl, 4)
    assert found.probability == 1.0
    flat = probability_of_overfitting(np.full((40, 3), 0.1), 4)
    assert (flat.probability, flat.loss, isnan(flat.slope)) == (1.0, 0.0, True)


@pytest.mark.parametrize("blocks", [0, 1, 7])
def test_halves_need_an_even_number_of_blocks(blocks):
    with pytest.raises(ValueError, match=f"even and at least 2, were {blocks}"):
        probability_of_overfitting(np.zeros((100, 2)), blocks)
