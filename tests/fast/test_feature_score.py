import numpy as np
import pytest
from fast.kernel_samples import cases, close_to
from hypothesis import given
from hypothesis import strategies as st

from mia._fast import feature_score, records
from mia.core.base_types import Tier
from mia.core.kernel_params import kernel_params

SCORES = [c for c in cases("11_score_confluence_mtf") if "F1" in c.values[0]["inputs"]]
UNIT = st.floats(-1, 1)
FLOW_AND_TREND = [*range(8), 14, 15]


@pytest.mark.parametrize("case", SCORES)
def test_score_is_that_of_the_vectors(case):
    features = np.array([case["inputs"][f"F{k}"] for k in range(1, 19)], float)
    assert close_to(feature_score.score(features), case["expected"]["score"])


@given(st.lists(UNIT, min_size=18, max_size=18))
def test_score_stays_in_its_bounds_and_mirrors_without_options(values):
    features = np.array(values)
    features[16:] = np.abs(features[16:])
    assert abs(feature_score.score(features)) <= 1
    features[8:14] = 0
    found = feature_score.score(features)
    features[FLOW_AND_TREND] *= -1
    assert feature_score.score(features) == -found


@pytest.mark.parametrize(
    ("sources", "options_quality", "expected"),
    [
        ({"sources_trades": 0}, 1.0, 8),
        ({}, 1.0, 11),
        ({"sources_book": 1}, 1.0, 12),
        ({"sources_book": 1, "sources_options": 1}, 0.2, 18),
        ({"sources_book": 1, "sources_options": 1}, 0.19, 12),
    ],
)
def test_quality_counts_the_valid_among_the_expected(sources, options_quality, expected):
    rows = np.zeros(3, records.ROW_DTYPE)
    rows["options_quality"] = options_quality
    rows["valid"][1] = 1
    rows["valid"][2, :2] = 1
    feature_score.score_rows(rows, kernel_params(**sources))
    assert rows["feature_quality"].tolist() == [0.0, 1.0, 2 / expected]


def test_rows_carry_the_score_of_their_features():
    rows = np.zeros(1, records.ROW_DTYPE)
    rows["feature"][0] = np.linspace(-0.5, 1, 18)
    feature_score.score_rows(rows, kernel_params())
    assert rows["feature_score"][0] == feature_score.score(np.linspace(-0.5, 1, 18))
    assert rows["feature_score"][0] != 0


def ranked(sessions, **overrides):
    ranker = feature_score.TierRanker(kernel_params(**overrides))
    for scores in sessions:
        ranker.add_session(np.array(scores, float))
    return ranker


def test_too_few_values_rank_nothing():
    values = np.arange(499) / 1000
    assert ranked([values]).rank(1.0) == Tier.UNRANKED
    assert ranked([values, [0.1]]).rank(1.0) == Tier.PREMIUM


def test_thresholds_are_high_ranks_of_the_absolute_scores():
    ranker = ranked([-np.arange(1, 501) / 1000, np.arange(501, 1001) / 1000])
    tiers = [Tier(ranker.rank(score)) for score in (0.799, -0.8, 0.899, 0.9, 0.969, -0.97)]
    assert tiers == [Tier.NONE, Tier.WEAK, Tier.WEAK, Tier.STRONG, Tier.STRONG, Tier.PREMIUM]


@given(
    st.lists(st.lists(UNIT, max_size=8), min_size=1, max_size=30),
    st.lists(UNIT, min_size=1, max_size=5),
)
def test_only_the_last_twenty_sessions_with_regular_hours_count(sessions, scores):
    ranker = ranked(sessions, feat_tier_min=1)
    held = [np.abs(scores) for scores in sessions if scores][-20:]
    assert [s.tolist() for s in ranker.sessions if len(s)] == [s.tolist() for s in held]
    values = np.sort(np.concatenate([[], *held]))
    for score in scores:
        expected = Tier.UNRANKED
        if len(values):
            steps = [values[(q * len(values) + 99) // 100 - 1] for q in (80, 90, 97)]
            expected = Tier(1 + sum(abs(score) >= step - 1e-9 for step in steps))
        assert ranker.rank(score) == expected


def test_sessions_of_one_ranker_set_up_another():
    ranker = ranked([[0.1, 0.2], [0.3], [], [0.4]], feat_tier_min=1)
    again = ranked(ranker.sessions, feat_tier_min=1)
    for score in (0.0, 0.3, 0.35, 0.4):
        assert again.rank(score) == ranker.rank(score)


def test_a_full_session_drops_further_values_and_counts_them():
    ranker = feature_score.TierRanker(kernel_params(), per_session=2)
    ranker.add_session(np.array([0.1, 0.2, 0.9]))
    assert ranker.dropped == 1
    assert ranker.sessions[-1].tolist() == [0.1, 0.2]


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="18 features, got 17"):
        feature_score.score(np.zeros(17))
    with pytest.raises(ValueError, match="at least 1, was 0"):
        feature_score.TierRanker(kernel_params(), per_session=0)
