"""Calibration gives the probabilities of its own definition, worked out by hand."""

import numpy as np
import pytest

from mia.ml.calibrate import fit_sigmoid


def test_a_sigmoid_through_two_scores_meets_platts_targets() -> None:
    # Ten wins at +1 and six losses at -1: two parameters meet both targets, 11/12 and 1/8.
    scores = np.array([1.0] * 10 + [-1.0] * 6)
    y = np.array([1.0] * 10 + [0.0] * 6)
    found = fit_sigmoid(scores, y, np.ones(16))
    assert _probability(found.slope + found.offset) == pytest.approx(11 / 12, abs=1e-6)
    assert _probability(-found.slope + found.offset) == pytest.approx(1 / 8, abs=1e-6)


def test_weights_count_as_repeated_trades() -> None:
    scores, y = np.array([1.0, -1.0]), np.array([1.0, 0.0])
    once = fit_sigmoid(scores, y, np.array([10.0, 6.0]))
    spread = fit_sigmoid(np.repeat(scores, (10, 6)), np.repeat(y, (10, 6)), np.ones(16))
    assert (once.slope, once.offset) == pytest.approx((spread.slope, spread.offset), abs=1e-6)


def test_scores_that_are_the_wrong_way_round_give_the_smoothed_share_of_wins() -> None:
    found = fit_sigmoid(np.array([-1.0, -1.0, 1.0]), np.array([1.0, 1.0, 0.0]), np.ones(3))
    assert found.slope == 0.0
    assert _probability(found.offset) == pytest.approx(3 / 5)


def _probability(score: float) -> float:
    return 1.0 / (1.0 + np.exp(-score))
