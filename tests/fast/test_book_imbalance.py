import numpy as np
import pytest
from fast.kernel_samples import cases, close_to
from hypothesis import given
from hypothesis import strategies as st

from mia._fast import book_imbalance
from mia.core.kernel_params import kernel_params

SECOND = 1_000_000_000
START = 1_709_650_800 * SECOND
SIZES = st.lists(st.integers(0, 200), max_size=7)
UPDATES = st.lists(st.tuples(st.integers(0, 2500), SIZES, SIZES, st.integers(0, 4)), max_size=30)


def push(kernel, ts, bids, asks, spread):
    kernel.push(ts, np.array(bids, np.int64), np.array(asks, np.int64), spread)


def at_second(k, updates, **overrides):
    """Return the kernel and its feature at second k after updates of one second each."""
    kernel = book_imbalance.BookImbalance(kernel_params(**overrides))
    for second, (bids, asks, spread) in enumerate(updates):
        push(kernel, START + second * SECOND + 5, bids, asks, spread)
    return kernel, kernel.at(START + k * SECOND)


@pytest.mark.parametrize("case", cases("08_book"))
def test_imbalance_is_that_of_the_vectors(case):
    kernel = book_imbalance.BookImbalance(kernel_params())
    snapshots = case["inputs"]["snapshots_bids_asks_spread"]
    expected = case["expected"]["F6_and_valid_after_each"]
    for k, (snapshot, (value, valid)) in enumerate(zip(snapshots, expected, strict=True)):
        push(kernel, START + k * SECOND, *snapshot)
        found = kernel.at(START + (k + 1) * SECOND)
        assert close_to(found[0], value)
        assert found[1] is valid


def test_the_last_state_of_a_second_counts_from_its_end_on():
    kernel = book_imbalance.BookImbalance(kernel_params())
    push(kernel, START, [10], [90], 1)
    push(kernel, START + SECOND - 1, [100], [100], 3)
    assert kernel.at(START + SECOND - 1) == (0.0, False)
    assert kernel.at(START + SECOND) == (0.0, True)
    assert (kernel.raw, kernel.spread, kernel.good) == (0.0, 3, 1)


def test_an_update_of_a_sampled_second_is_ignored():
    kernel = book_imbalance.BookImbalance(kernel_params())
    push(kernel, START + 1, [100], [50], 1)
    before = kernel.at(START + SECOND)
    push(kernel, START + 2, [1], [90], 1)
    assert kernel.at(START + 2 * SECOND) == before
    assert kernel.good == 1


@given(UPDATES)
def test_a_close_noticed_late_does_not_read_the_book_after_it(updates):
    kernel, prompt = (book_imbalance.BookImbalance(kernel_params()) for _ in range(2))
    updates = sorted(updates, key=lambda update: update[0])
    t_close = START + 120 * SECOND
    for tenth, *state in updates:
        push(kernel, START + tenth * SECOND // 10, *state)
        if tenth < 1200:
            push(prompt, START + tenth * SECOND // 10, *state)
    assert kernel.at(t_close) == prompt.at(t_close)
    assert (kernel.raw, kernel.spread, kernel.good) == (prompt.raw, prompt.spread, prompt.good)


@given(UPDATES)
def test_swapping_the_sides_flips_the_sign(updates):
    kernel, other = (book_imbalance.BookImbalance(kernel_params()) for _ in range(2))
    for tenth, bids, asks, spread in sorted(updates, key=lambda update: update[0]):
        push(kernel, START + tenth * SECOND // 10, bids, asks, spread)
        push(other, START + tenth * SECOND // 10, asks, bids, spread)
    (value, valid), (mirrored, also) = (k.at(START + 300 * SECOND) for k in (kernel, other))
    assert abs(mirrored + value) < 1e-12
    assert abs(value) <= 1
    assert valid == also == (kernel.good > 0)


def test_deeper_levels_than_asked_for_do_not_matter():
    shallow = ([30, 20], [10, 20], 1)
    deep = ([30, 20, 900], [10, 20, 1], 1)
    assert at_second(1, [deep], feat_f6_levels=2)[1] == at_second(1, [shallow])[1]


def test_spread_is_scored_against_the_last_twenty_samples():
    spreads = [1] * 18 + [2, 4]
    kernel, _ = at_second(20, [([5], [5], spread) for spread in spreads])
    assert close_to(kernel.spread_score, (4 - np.mean(spreads)) / np.std(spreads))
    kernel, _ = at_second(19, [([5], [5], spread) for spread in spreads])
    assert kernel.spread_score == 0.0
    kernel, _ = at_second(20, [([5], [5], 2)] * 20)
    assert kernel.spread_score == 0.0


def test_a_full_ring_lets_the_oldest_take_effect_and_counts_it():
    kernel = book_imbalance.BookImbalance(kernel_params(), capacity=2)
    for k in range(5):
        push(kernel, START + k * SECOND, [5], [5], 1)
    assert (kernel.good, kernel.early) == (2, 2)
    kernel.at(START + 5 * SECOND)
    assert (kernel.good, kernel.early) == (5, 2)


def test_bounds_are_checked():
    with pytest.raises(ValueError, match=r"feat\.f6_levels must be from 1 to 10, was 11"):
        book_imbalance.BookImbalance(kernel_params(feat_f6_levels=11))
    with pytest.raises(ValueError, match="power of two, was 3"):
        book_imbalance.BookImbalance(kernel_params(), capacity=3)


def test_a_book_that_was_lost_is_as_one_that_never_was():
    good = ([60, 40], [20, 30], 1)
    kernel, _ = at_second(3, [good] * 3)
    push(kernel, START + 3 * SECOND, *good)
    kernel.lose()
    assert kernel.at(START + 9 * SECOND) == (0.0, False)
    assert (kernel.raw, kernel.spread, kernel.good) == (0.0, 0, 0)
    # Afterwards it begins anew: the first sample is the average.
    other = ([10, 10], [50, 40], 2)
    push(kernel, START + 10 * SECOND, *other)
    fresh = book_imbalance.BookImbalance(kernel_params())
    push(fresh, START + 10 * SECOND, *other)
    assert kernel.at(START + 11 * SECOND) == fresh.at(START + 11 * SECOND)
    assert kernel.spread == 2


def test_a_second_that_was_sampled_before_the_loss_is_not_sampled_again():
    good = ([60], [20], 1)
    kernel, (_, valid) = at_second(1, [good])
    assert valid
    kernel.lose()
    push(kernel, START + 7, *good)
    assert kernel.at(START + SECOND) == (0.0, False)
