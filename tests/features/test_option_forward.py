"""Forwards, rate and spot from put-call parity."""

from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest
from option_chains import ASOF, instant, make_chain, series, take

from mia.core.chain import Root
from mia.core.sessions import NEW_YORK
from mia.features.option_book import option_book
from mia.features.option_forward import (
    DEFAULT_RATE,
    RateCurve,
    estimate_rate,
    parity_forwards,
    parity_pairs,
    parity_spot,
)


def read(chain, rate=None):
    book = option_book(chain)
    pairs = parity_pairs(book)
    curve = estimate_rate(book, pairs) if rate is None else RateCurve.flat(rate)
    forwards = parity_forwards(book, pairs, curve)
    return book, curve, forwards, parity_spot(book, forwards, curve)


def shift_quotes(chain, rows, points):
    bid, ask = chain.bid.copy(), chain.ask.copy()
    bid[rows] += points
    ask[rows] += points
    return replace(chain, bid=bid, ask=ask)


def test_forwards_of_an_exact_chain_are_exact():
    book, _, forwards, _ = read(make_chain(rate=0.05, dividend=0.015), rate=0.05)
    expected = 5120.0 * np.exp(0.035 * book.slice_years)
    np.testing.assert_allclose(forwards.forward, expected, rtol=1e-10)
    assert np.max(forwards.residual) < 1e-6


def test_every_root_and_expiry_has_its_own_forward():
    book, *_ = read(make_chain())
    third_friday = book.slice_expiry == 20240315
    assert book.slice_root[third_friday].tolist() == [Root.SPX, Root.SPXW]
    hours = np.diff(book.slice_settle[third_friday]) / 3.6e12
    assert hours.tolist() == [6.5]


def test_the_rate_comes_from_the_slope_of_parity_over_strikes():
    _, curve, *_ = read(make_chain(rate=0.0437))
    assert curve.discounts(np.array([1.0]))[0] == pytest.approx(np.exp(-0.0437), abs=1e-8)


def test_short_expiries_say_nothing_about_the_rate():
    listing = [series(Root.SPXW, days) for days in (1, 7, 31)]
    _, curve, *_ = read(make_chain(rate=0.11, listing=listing))
    assert curve == RateCurve.flat(DEFAULT_RATE)


def test_an_unbelievable_rate_is_not_believed():
    _, curve, *_ = read(make_chain(rate=0.4))
    assert curve == RateCurve.flat(DEFAULT_RATE)


def test_a_curve_is_linear_between_knots_and_flat_outside():
    curve = RateCurve((0.5, 1.5), (0.02, 0.04))
    years = np.array([0.25, 1.0, 3.0])
    np.testing.assert_allclose(-np.log(curve.discounts(years)) / years, [0.02, 0.03, 0.04])


def test_spot_and_carry_are_those_behind_the_forwards():
    *_, (spot, carry) = read(make_chain(spot=4711.5, rate=0.05, dividend=0.012))
    assert spot == pytest.approx(4711.5, abs=1e-4)
    assert carry == pytest.approx(0.038, abs=1e-6)


def test_spot_ignores_a_frozen_index_print():
    chain = make_chain(spot=5120.0)
    chain = replace(chain, meta=replace(chain.meta, index_print=5090.0))
    *_, (spot, _) = read(chain)
    assert spot == pytest.approx(5120.0, abs=1e-4)


def test_spot_of_a_single_expiry_uses_the_rate():
    *_, (spot, _) = read(make_chain(listing=[series(Root.SPXW, 3)]), rate=0.05)
    assert spot == pytest.approx(5120.0, abs=0.05)


def test_one_stale_strike_hardly_moves_the_forward():
    chain = make_chain(listing=[series(Root.SPXW, 7)])
    clean = read(chain, 0.05)[2].forward[0]
    stale = shift_quotes(chain, (chain.strike == 5150.0) & (chain.right == 1), 4.0)
    forwards = read(stale, 0.05)[2]
    assert forwards.forward[0] == pytest.approx(clean, abs=0.01)
    assert forwards.residual[0] > 0.2


def test_a_forward_with_a_wild_residual_is_dropped():
    chain = make_chain(listing=[series(Root.SPXW, 7), series(Root.SPXW, 14)])
    rng = np.random.default_rng(1)
    rows = chain.expiry == 20240319
    wild = shift_quotes(chain, rows, rng.normal(0.0, 8.0, int(rows.sum())))
    forwards = read(wild, 0.05)[2]
    assert np.isfinite(forwards.forward).tolist() == [False, True]
    assert forwards.residual[0] > 1.0


def test_one_sided_quotes_are_no_parity():
    chain = make_chain(listing=[series(Root.SPXW, 7)])
    forwards = read(replace(chain, bid=np.zeros(len(chain))), 0.05)[2]
    assert np.isnan(forwards.forward).all()
    assert np.isnan(forwards.residual).all()


def test_far_expiries_use_their_nearest_strikes():
    strikes = np.arange(3000.0, 8000.0, 400.0)
    book, _, forwards, _ = read(make_chain(listing=[series(Root.SPX, 283)], strikes=strikes), 0.05)
    expected = 5120.0 * np.exp(0.035 * book.slice_years)
    np.testing.assert_allclose(forwards.forward, expected, rtol=1e-9)


def test_series_leave_the_book_on_the_clock():
    chain = make_chain()
    third_friday = datetime(2024, 3, 15, 9, 29, tzinfo=NEW_YORK)

    def roots(hour, minute):
        now = instant(third_friday.replace(hour=hour, minute=minute))
        book = option_book(chain, now)
        return book.slice_root[book.slice_expiry == 20240315].tolist()

    assert roots(9, 29) == [Root.SPX, Root.SPXW]
    assert roots(9, 30) == [Root.SPXW]
    assert roots(15, 59) == [Root.SPXW]
    assert roots(16, 0) == []


def test_time_before_the_quotes_counts_as_the_time_of_the_quotes():
    chain = make_chain()
    assert option_book(chain, 0).now == instant(ASOF)


def test_the_last_minutes_count_as_five():
    asof = ASOF.replace(hour=15, minute=58)
    book = option_book(make_chain(asof=asof, listing=[series(Root.SPXW, 0)]))
    assert book.slice_years[0] == 5 / 525_600


def test_any_order_of_rows_gives_the_same_book():
    chain = make_chain()
    shuffled = take(chain, np.random.default_rng(2).permutation(len(chain)))
    one, two = option_book(chain), option_book(shuffled)
    for name in ("strike", "bid", "point_of", "call", "put", "slice_settle"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


def test_points_hold_their_call_and_put():
    chain = make_chain()
    book = option_book(take(chain, (chain.strike != 5000.0) | (chain.right == 1)))
    for point in range(len(book.point_strike)):
        for contract, right in ((book.call[point], 1), (book.put[point], -1)):
            if book.point_strike[point] == 5000.0 and right == -1:
                assert contract == -1
                continue
            assert book.right[contract] == right
            assert book.strike[contract] == book.point_strike[point]
            assert book.point_of[contract] == point


def test_impossible_rows_are_left_out():
    chain = make_chain()
    strike, right = chain.strike.copy(), chain.right.copy()
    strike[:2], right[2] = (np.nan, 0.0), 0
    interest = chain.open_interest.copy()
    interest[3:5] = np.nan, -7.0
    book = option_book(replace(chain, strike=strike, right=right, open_interest=interest))
    assert len(book.strike) == len(chain) - 3
    assert (book.open_interest >= 0.0).all()
