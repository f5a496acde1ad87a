import numpy as np
import pytest

from mia.errors import ConfigError
from mia.optimize.folds import SCHEMES, WALKS, make_folds


def spans(n):
    start = np.arange(n, dtype=np.int64) * 100
    return np.column_stack([start, start + 90])


@pytest.mark.parametrize("scheme", SCHEMES)
def test_blocks_are_all_sessions_and_each_path_is_out_of_sample_once(scheme):
    folds = make_folds(scheme, spans(61), 5, train=2)
    covered = [k for block in folds.blocks for k in range(block.first, block.stop)]
    assert covered == list(range(61))
    for path in folds.paths:
        judged = []
        for split, block in path:
            part = range(folds.blocks[block].first, folds.blocks[block].stop)
            assert set(part) <= set(folds.splits[split].test.tolist())
            judged += part
        first = folds.blocks[2].first if scheme in WALKS else 0
        assert judged == list(range(first, 61))


@pytest.mark.parametrize("scheme", WALKS)
def test_a_walk_chooses_in_the_past_only(scheme):
    folds = make_folds(scheme, spans(70), 4, train=3)
    for k, split in enumerate(folds.splits):
        assert split.train.max() < split.test.min()
        assert split.train.min() == (0 if scheme == "anchored" else folds.blocks[k].first)
    assert folds.training_blocks() == [0, 1, 2]


@pytest.mark.parametrize(("scheme", "splits"), [("purged", 6), ("combinatorial", 15)])
@pytest.mark.parametrize("embargo", [0, 1, 3])
def test_cross_validation_leaves_the_sessions_after_a_test_out(scheme, splits, embargo):
    folds = make_folds(scheme, spans(60), 6, embargo=embargo)
    assert len(folds.splits) == splits
    for split in folds.splits:
        test = set(split.test.tolist())
        barred = {k + d for k in test for d in range(1, embargo + 1)} | test
        assert set(split.train.tolist()) == set(range(60)) - barred


def test_the_warm_up_is_of_earlier_sessions_as_far_as_there_are_any():
    folds = make_folds("anchored", spans(40), 3, warmup=2)
    assert [block.first - block.warm for block in folds.blocks] == [0, 2, 2, 2]


@pytest.mark.parametrize(
    ("scheme", "n", "tests", "told"),
    [
        ("forward", 40, 3, "unknown --scheme"),
        ("anchored", 6, 3, "too few"),
        ("purged", 40, 1, "at least 2"),
        ("combinatorial", 40, 2, "at least 3"),
    ],
)
def test_what_cannot_be_cut_is_refused(scheme, n, tests, told):
    with pytest.raises(ConfigError, match=told):
        make_folds(scheme, spans(n), tests)
