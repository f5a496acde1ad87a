import numpy as np
import pytest
from fast.kernel_samples import cases, close_to
from hypothesis import given
from hypothesis import strategies as st

from mia._fast import statistics

RANKS = [case for case in cases("00_conventions") if "x" in case.values[0]["inputs"]]
FINITE = st.floats(-1e6, 1e6)


@pytest.mark.parametrize("case", RANKS)
def test_ranks_median_and_deviation_are_those_of_the_vectors(case):
    x, expected = case["inputs"]["x"], case["expected"]
    values = np.array(x, np.int64)
    found = [statistics.ranks(values, q) for q in case["inputs"]["q"]]
    assert [hi for hi, _ in found] == expected["rank_hi"]
    assert [lo for _, lo in found] == expected["rank_lo"]
    assert close_to(statistics.median(values.astype(float)), expected["median"])
    assert close_to(statistics.std(values.astype(float)), expected["std"])


@given(st.lists(st.integers(-50, 50), min_size=1, max_size=90), st.integers(1, 99))
def test_low_rank_is_the_mirror_of_the_high_rank(values, q):
    x = np.array(values, np.int64)
    assert statistics.ranks(x, 100 - q)[1] == -statistics.ranks(-x, q)[0]


@given(st.lists(FINITE, max_size=200))
def test_sort_orders_short_and_long_arrays(values):
    x = np.array(values)
    statistics.sort(x)
    assert x.tolist() == sorted(values)


def test_a_sorting_copy_leaves_the_argument_alone():
    x = np.array([3.0, 1.0, 2.0])
    assert statistics.median(x) == 2.0
    assert x.tolist() == [3.0, 1.0, 2.0]


@given(st.integers(1, 12), st.lists(st.sampled_from([1.0, 2.0, 2.5, 7.0]) | FINITE, max_size=60))
def test_ring_holds_the_newest_values_and_their_median(capacity, values):
    ring = statistics.ReferenceRing(capacity)
    for k, value in enumerate(values, 1):
        ring.push(value)
        newest = values[max(0, k - capacity) : k]
        assert ring.values.tolist() == newest
        assert ring.median == pytest.approx(np.median(newest), rel=1e-15)
    assert len(ring) == min(capacity, len(values))


def test_cleared_ring_starts_over():
    ring = statistics.ReferenceRing(2)
    for value in (5.0, 6.0, 7.0):
        ring.push(value)
    ring.clear()
    assert np.isnan(ring.median)
    ring.push(1.0)
    assert (ring.median, ring.values.tolist()) == (1.0, [1.0])


def test_empty_arrays_have_no_median_and_no_deviation():
    assert np.isnan(statistics.median(np.empty(0)))
    assert np.isnan(statistics.std(np.empty(0)))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_ring_refuses_what_cannot_be_sorted(value):
    with pytest.raises(ValueError, match="must be finite"):
        statistics.ReferenceRing(3).push(value)


def test_bounds_are_checked():
    with pytest.raises(ValueError, match="at least 1, was 0"):
        statistics.ReferenceRing(0)
    with pytest.raises(ValueError, match="at least one value"):
        statistics.ranks(np.empty(0, np.int64), 50)
    with pytest.raises(ValueError, match="from 1 to 99, was 0"):
        statistics.ranks(np.ones(3, np.int64), 0)
