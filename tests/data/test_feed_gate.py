"""Trades of a feed that tells side and quote: taken as told, unless they cannot be."""

import numpy as np
import pytest
from sierra_writer import SetClock, market_block, part

from mia.core.base_types import MISSING_PRICE, TradeBlock
from mia.data.feed_gate import FeedGate
from mia.data.tick_verdicts import Refusal

SECOND = 1_000_000_000
OPEN = 1_741_615_200_000_000_000  # 2025-03-10 14:00 UTC
NAMES = ("ts_event", "price", "size", "aggressor_side", "bid_price", "ask_price")


def gate(now: int = OPEN + 3600 * SECOND) -> tuple[FeedGate, list[bool]]:
    told: list[bool] = []
    made = FeedGate(SetClock(now), lambda ts, good: told.append(good), "ESH25", 400_000)
    return made, told


def trades(*prices: int, side: int = 0, contract: str = "ESH25") -> TradeBlock:
    n = len(prices)
    price = np.array(prices, np.int32)
    return TradeBlock(
        contract,
        OPEN + np.arange(n) * SECOND,
        price,
        np.ones(n, np.int32),
        np.full(n, side, np.int8),
        price - 1,
        price,
    )


def test_everything_of_a_clean_market_comes_out_as_it_came_in() -> None:
    block = market_block(trades=5000)
    made, told = gate(int(block.ts_event[-1]))
    for start in range(0, len(block), 700):
        made.on_block(part(block, slice(start, start + 700)))
    out = made.take()
    assert out is not None
    for name in NAMES:
        np.testing.assert_array_equal(getattr(out, name), getattr(block, name), err_msg=name)
    assert told == [True] * len(block)


@pytest.mark.parametrize("side", [-1, 0, 1])
def test_the_side_is_what_the_feed_says_even_if_it_does_not_know(side: int) -> None:
    made, _ = gate()
    made.on_block(trades(20_000, 20_001, 20_002, 20_000, side=side))
    assert made.take().aggressor_side.tolist() == [side] * 4


def test_the_quote_of_a_trade_stays_as_it_is_though_it_is_crossed_or_missing() -> None:
    made, _ = gate()
    block = trades(20_000, 20_000, 20_000)
    block.bid_price[:] = [20_003, MISSING_PRICE, 19_999]
    made.on_block(block)
    out = made.take()
    assert out.bid_price.tolist() == [20_003, MISSING_PRICE, 19_999]
    assert (made.bid, made.ask) == (19_999, 20_000)


def test_a_single_trade_far_away_is_refused_though_its_own_quote_covers_it() -> None:
    made, told = gate()
    made.on_block(trades(20_000, 20_001, 20_000, 21_000, 20_001, 20_000))
    assert made.take().price.tolist() == [20_000, 20_001, 20_000, 20_001, 20_000]
    assert made.refused == {Refusal.JUMP: 1}
    assert told.count(False) == 1


def test_three_trades_beside_one_another_are_the_market() -> None:
    made, _ = gate()
    made.on_block(trades(20_000, 20_001, 20_000, 21_000, 21_001))
    assert made.take().price.tolist() == [20_000, 20_001, 20_000]
    assert made.waiting == 2
    late = trades(0, 0, 0, 0, 0, 21_000)
    made.on_block(part(late, slice(5, 6)))
    assert made.take().price.tolist() == [21_000, 21_001, 21_000]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"price": 500_000}, Refusal.PRICE_RANGE),
        ({"size": 0}, Refusal.SIZE),
        ({"size": 2_000_000}, Refusal.SIZE),
        ({"ts_event": OPEN}, Refusal.TIME_BACK),
        ({"ts_event": OPEN + 7200 * SECOND}, Refusal.AHEAD),
    ],
)
def test_what_cannot_be_is_refused(change: dict[str, int], why: Refusal) -> None:
    made, _ = gate()
    block = trades(20_000, 20_000, 20_000, 20_000, 20_000)
    for name, value in change.items():
        getattr(block, name)[3] = value
    made.on_block(block)
    assert len(made.take()) == 4
    assert made.refused == {why: 1}


def test_another_contract_is_not_mixed_in() -> None:
    made, _ = gate()
    with pytest.raises(ValueError, match="ESM25 came for ESH25"):
        made.on_block(trades(20_000, contract="ESM25"))
