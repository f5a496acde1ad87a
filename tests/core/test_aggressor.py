"""Sides are inferred from the quote before the trade, then from the price."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mia.core.aggressor import Aggressor
from mia.core.base_types import MISSING_PRICE

NONE = MISSING_PRICE
LEVELS = st.sampled_from((NONE, 98, 99, 100, 101, 102))
TRADES = st.lists(st.tuples(st.integers(97, 103), LEVELS, LEVELS), max_size=60)


@pytest.mark.parametrize(
    ("trades", "sides"),
    [
        ([(101, 100, 101)], [1]),
        ([(100, 100, 101)], [-1]),
        ([(105, 100, 101), (95, 100, 101)], [1, -1]),
        ([(100, NONE, NONE)], [0]),
        ([(100, NONE, NONE), (100, NONE, NONE), (101, NONE, NONE)], [0, 0, 1]),
        ([(101, 100, 101), (101, 100, 102)], [1, 1]),
        ([(101, 100, 101), (100, 98, 102), (100, 98, 102)], [1, -1, -1]),
        ([(101, 100, 101), (101, NONE, NONE)], [1, 1]),
        ([(100, NONE, 100), (100, 100, NONE), (99, NONE, 100)], [1, -1, -1]),
    ],
    ids=[
        "at the ask",
        "at the bid",
        "beyond the quote",
        "nothing known",
        "nothing known until the price moves",
        "inside, unchanged",
        "inside, moved",
        "no quote, unchanged",
        "half a quote",
    ],
)
def test_the_side_is_the_one_that_the_rule_names(trades, sides) -> None:
    aggressor = Aggressor()
    assert [aggressor.infer(*trade) for trade in trades] == sides


@pytest.mark.parametrize(("bid", "ask"), [(100, 100), (101, 99)], ids=["locked", "crossed"])
def test_a_quote_that_says_both_leaves_it_to_the_price(bid: int, ask: int) -> None:
    aggressor = Aggressor()
    aggressor.infer(99, NONE, NONE)
    assert aggressor.infer(100, bid, ask) == 1
    aggressor.infer(101, NONE, NONE)
    assert aggressor.infer(100, bid, ask) == -1


def test_a_reset_forgets_the_trade_before() -> None:
    aggressor = Aggressor()
    aggressor.infer(101, 100, 101)
    aggressor.reset()
    assert aggressor.infer(101, NONE, NONE) == 0


@given(TRADES, st.integers(0, 60), st.integers(0, 60))
def test_columns_in_any_split_have_the_sides_of_single_trades(trades, a: int, b: int) -> None:
    single = Aggressor()
    wanted = [single.infer(*trade) for trade in trades]
    columns = np.array(trades, np.int32).reshape(-1, 3).T
    whole = Aggressor()
    found = []
    cuts = sorted({0, min(a, len(trades)), min(b, len(trades)), len(trades)})
    for start, stop in itertools.pairwise(cuts):
        found += whole.infer_block(*columns[:, start:stop]).tolist()
    assert found == wanted
    assert (whole.price, whole.side) == (single.price, single.side)


@given(TRADES)
def test_sides_mirror_with_the_prices(trades) -> None:
    mirrored = [
        (-price, NONE if ask == NONE else -ask, NONE if bid == NONE else -bid)
        for price, bid, ask in trades
    ]
    one, other = Aggressor(), Aggressor()
    assert [one.infer(*t) for t in trades] == [-other.infer(*t) for t in mirrored]
