import pytest
from fast.kernel_samples import cases, close_to
from hypothesis import given
from hypothesis import strategies as st

from mia._fast import large_trades
from mia.core.kernel_params import kernel_params

SECOND = 1_000_000_000
CLOSE = 1_709_651_100 * SECOND
TRADES = st.lists(
    st.tuples(st.integers(-400, 0), st.sampled_from([1, 99, 100, 499, 500]), st.integers(-1, 1)),
    max_size=40,
)


def value_of(trades, t_close):
    """Sum the definition over all trades."""
    buys = sells = 0
    for ts, size, side in trades:
        if t_close - 300 * SECOND < ts and size >= 100:
            weight = 2 * size if size >= 500 else size
            buys += weight * (side > 0)
            sells += weight * (side < 0)
    total = buys + sells
    return (buys - sells) / total * min(total / 500, 1) if total else 0.0


@pytest.mark.parametrize("case", cases("09_trade_features"))
def test_smart_money_is_that_of_the_vectors(case):
    kernel = large_trades.LargeTrades(kernel_params())
    for ts, _, size, side in case["inputs"]["trades"]:
        kernel.push(ts, size, side)
    assert close_to(kernel.value(case["inputs"]["t_close"]), case["expected"]["F8"])


@given(TRADES)
def test_late_trades_count_as_if_they_had_come_in_time(offsets):
    trades = [(CLOSE + offset * SECOND, size, side) for offset, size, side in offsets]
    kernel = large_trades.LargeTrades(kernel_params())
    for trade in trades:
        kernel.push(*trade)
    for t_close in (CLOSE, CLOSE + 60 * SECOND, CLOSE + 300 * SECOND):
        assert close_to(kernel.value(t_close), value_of(trades, t_close))
    assert (len(kernel), kernel.dropped) == (0, 0)


@given(TRADES)
def test_swapping_sides_flips_the_sign(offsets):
    kernel, other = (large_trades.LargeTrades(kernel_params()) for _ in range(2))
    for offset, size, side in offsets:
        kernel.push(CLOSE + offset * SECOND, size, side)
        other.push(CLOSE + offset * SECOND, size, -side)
    assert other.value(CLOSE) == -kernel.value(CLOSE)


def test_full_ring_drops_the_oldest_and_counts_it():
    kernel = large_trades.LargeTrades(kernel_params(), capacity=4)
    kernel.push(CLOSE - 9 * SECOND, 400, -1)
    for k in range(4):
        kernel.push(CLOSE - k * SECOND, 100, 1)
    assert (len(kernel), kernel.dropped) == (4, 1)
    assert close_to(kernel.value(CLOSE), 0.8)


def test_capacity_must_be_a_power_of_two():
    with pytest.raises(ValueError, match="power of two, was 12"):
        large_trades.LargeTrades(kernel_params(), capacity=12)
