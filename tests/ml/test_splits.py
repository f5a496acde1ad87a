"""Purged folds against brute force, against another library, and against their own promises."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mia.ml.splits import CombinatorialPurgedCV, PurgedKFold
from mia.ml.uniqueness import average_uniqueness


@st.composite
def trades(draw, smallest=4):
    """Spans on a coarse grid, so that they touch, nest and coincide often."""
    n = draw(st.integers(smallest, 24))
    starts = np.sort(draw(st.lists(st.integers(0, 30), min_size=n, max_size=n)))
    ends = starts + np.array(draw(st.lists(st.integers(0, 9), min_size=n, max_size=n)))
    return starts, ends, starts // 7


def overlaps(a, b):
    return a[0] <= b[1] and b[0] <= a[1]


def expected_training(starts, ends, sessions, test, embargo):
    """Every rule by its words, pair by pair."""
    spans = list(zip(starts, ends, strict=True))
    kept = []
    blocks = np.split(test, np.flatnonzero(np.diff(test) > 1) + 1)
    for row, span in enumerate(spans):
        if row in test or any(overlaps(span, spans[t]) for t in test):
            continue
        banned = False
        for block in blocks:
            last = sessions[block[-1]]
            later = sorted({s for s in sessions if s > last})[:embargo]
            after = row > block[-1] and embargo > 0
            banned |= after and (sessions[row] == last or sessions[row] in later)
        if not banned:
            kept.append(row)
    return kept


@given(trades(), st.integers(2, 4), st.integers(0, 2))
@settings(max_examples=150, deadline=None)
def test_folds_equal_the_rules_applied_pair_by_pair(spans, folds, embargo):
    starts, ends, sessions = spans
    splitter = PurgedKFold(folds, starts, ends, sessions, embargo_sessions=embargo)
    seen = []
    for train, test in splitter.split(starts):
        assert train.tolist() == expected_training(starts, ends, sessions, test, embargo)
        seen += test.tolist()
    assert seen == list(range(len(starts)))


@given(trades(), st.integers(2, 4), st.integers(0, 2))
@settings(max_examples=100, deadline=None)
def test_combinations_equal_the_rules_applied_pair_by_pair(spans, groups, embargo):
    starts, ends, sessions = spans
    for chosen in range(1, groups):
        splitter = CombinatorialPurgedCV(
            groups, chosen, starts, ends, sessions, embargo_sessions=embargo
        )
        splits = list(splitter.split())
        assert len(splits) == len(list(combinations(range(groups), chosen)))
        assert len(splits) == splitter.get_n_splits()
        for train, test in splits:
            assert train.tolist() == expected_training(starts, ends, sessions, test, embargo)


@pytest.mark.parametrize(("groups", "chosen"), [(6, 2), (5, 3), (4, 1)])
def test_each_path_predicts_every_row_once(groups, chosen):
    starts = np.arange(23)
    splitter = CombinatorialPurgedCV(groups, chosen, starts, starts)
    tests = [set(test.tolist()) for _, test in splitter.split()]
    paths = splitter.paths()
    assert paths.shape == (splitter.n_paths, groups)
    for path in paths:
        rows = []
        for group, split in enumerate(path):
            held = splitter.group_rows(group)
            assert tests[split].issuperset(held.tolist())
            rows += held.tolist()
        assert rows == list(range(23))
    for group in range(groups):
        assert len(set(paths[:, group].tolist())) == splitter.n_paths


def _random_spans(seed, n=300):
    rng = np.random.default_rng(seed)
    # Odd starts and even ends never touch, so closed and half-open spans say the same.
    starts = np.sort(rng.choice(np.arange(1, 20_001, 2), n, replace=False)).astype(np.int64)
    ends = starts + rng.integers(0, 300, n) * 2 + 1
    return starts, ends


@pytest.mark.parametrize("seed", range(5))
def test_another_library_purges_the_same_rows(seed):
    import purgedcv

    starts, ends = _random_spans(seed)
    entry, leave = pd.Series(pd.to_datetime(starts)), pd.Series(pd.to_datetime(ends))
    x = np.zeros((len(starts), 1))
    theirs = purgedcv.PurgedKFold(5, prediction_times=entry, evaluation_times=leave)
    ours = PurgedKFold(5, starts, ends)
    for (a, b), (c, d) in zip(ours.split(x), theirs.split(x), strict=True):
        assert a.tolist() == list(c)
        assert b.tolist() == list(d)
    many = purgedcv.CombinatorialPurgedCV(6, 2, prediction_times=entry, evaluation_times=leave)
    mine = CombinatorialPurgedCV(6, 2, starts, ends)
    for (a, b), (c, d) in zip(mine.split(x), many.split(x), strict=True):
        assert set(a.tolist()) == set(c)
        assert set(b.tolist()) == set(d)


def test_scikit_learn_takes_both_splitters():
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_score

    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 3))
    y = (x[:, 0] + 0.3 * rng.normal(size=120) > 0).astype(int)
    starts = np.arange(120) * 10
    for splitter in (
        PurgedKFold(5, starts, starts + 25),
        CombinatorialPurgedCV(5, 2, starts, starts + 25),
    ):
        scores = cross_val_score(LogisticRegression(), x, y, cv=splitter)
        assert len(scores) == splitter.get_n_splits()
        assert scores.min() > 0.7


@pytest.mark.parametrize(
    "arguments",
    [
        ((2, [0, 1], [1]), {}),
        ((2, [0, 5], [1, 4]), {}),
        ((2, [5, 0], [6, 1]), {}),
        ((2, [0, 5], [1, 6], [2, 1]), {}),
        ((3, [0, 5], [1, 6]), {}),
        ((2, [0, 5], [1, 6]), {"embargo_sessions": -1}),
    ],
)
def test_spans_that_make_no_sense_are_refused(arguments):
    args, kwargs = arguments
    with pytest.raises(ValueError, match=r"must"):
        PurgedKFold(*args, **kwargs)


def test_rows_of_another_number_are_refused():
    splitter = PurgedKFold(2, [0, 5], [1, 6])
    with pytest.raises(ValueError, match="2 spans were given for 3 rows"):
        next(splitter.split(np.zeros((3, 1))))


@given(trades(smallest=1))
@settings(max_examples=150, deadline=None)
def test_uniqueness_is_the_mean_share_of_each_instant(spans):
    starts, ends, _ = spans
    weights = average_uniqueness(starts, ends)
    for k, (start, end) in enumerate(zip(starts, ends, strict=True)):
        if start == end:
            shares = [1 / sum(a <= start <= b for a, b in zip(starts, ends, strict=True))]
        else:
            middles = np.arange(start, end) + 0.5
            shares = [
                1 / sum(a <= t <= b for a, b in zip(starts, ends, strict=True)) for t in middles
            ]
        assert weights[k] == pytest.approx(np.mean(shares))


def test_labels_that_share_nothing_weigh_one():
    assert average_uniqueness([0, 10, 20], [9, 19, 29]).tolist() == [1.0, 1.0, 1.0]
    assert average_uniqueness([], []).tolist() == []
