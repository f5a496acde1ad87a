import numpy as np
import pytest

from mia.data.synthetic import SyntheticMarket
from mia.data.synthetic.clock import SECOND_NS


@pytest.fixture(scope="module")
def market():
    return SyntheticMarket(1, 20240506, 1, trades_per_day=60_000, steady=True, null=True)


@pytest.fixture(scope="module")
def book(market):
    return next(market.books())


def test_there_is_one_snapshot_at_each_full_second_after_the_first_trade(market, book):
    block = next(market.blocks())
    assert (np.diff(book.ts_event) == SECOND_NS).all()
    assert 0 <= book.ts_event[0] - block.ts_event[0] < SECOND_NS
    assert book.ts_event[-1] == market.sessions()[0].t_close
    assert book.contract == block.contract


def test_the_quote_is_that_of_the_last_trade(market, book):
    block = next(market.blocks())
    at = np.searchsorted(block.ts_event, book.ts_event, side="right") - 1
    assert (book.bid_price == block.bid_price[at]).all()
    assert (book.ask_price == block.ask_price[at]).all()


def test_ten_levels_are_filled_on_both_sides(book):
    for sizes in (book.bid_size, book.ask_size):
        assert sizes.shape == (len(book), 10)
        assert sizes.dtype == np.int32
        assert sizes.min() >= 1


def test_depth_is_that_of_the_market(book):
    rth = slice(55_800, 79_200)
    top, fifth = book.bid_size[rth, 0].mean(), book.bid_size[rth, 4].mean()
    assert 12 <= top <= 53
    assert 1.9 <= fifth / top <= 2.7
    assert book.bid_size[:30_000, 0].mean() < 0.6 * top


def test_the_heavier_side_tells_where_in_the_quote_the_price_is(market, book):
    tape = market.tape(0)
    at = np.searchsorted(tape.block.ts_event, book.ts_event, side="right") - 1
    inside = tape.latent[at] - (book.bid_price + book.ask_price) / 2
    bid, ask = book.bid_size[:, 0], book.ask_size[:, 0]
    assert np.corrcoef((bid - ask) / (bid + ask), inside)[0, 1] > 0.2


def test_both_sides_are_alike_on_average(book):
    assert book.bid_size.mean() == pytest.approx(book.ask_size.mean(), rel=0.02)
