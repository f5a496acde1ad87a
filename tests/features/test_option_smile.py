"""Smiles of out-of-the-money quotes and volatilities at constant maturity."""

from dataclasses import replace

import numpy as np
import pytest
from option_chains import make_chain, series, skewed
from scipy.optimize import brentq
from scipy.stats import norm

from mia.core.chain import Root
from mia.features.option_book import option_book
from mia.features.option_forward import RateCurve, parity_forwards, parity_pairs
from mia.features.option_smile import LEAST_TOTAL_VOL, at_maturity, fit_smile

WEEK = [series(Root.SPXW, 7)]


def fit(chain, spot=5120.0):
    book = option_book(chain)
    forwards = parity_forwards(book, parity_pairs(book), RateCurve.flat(0.05))
    return book, forwards, fit_smile(book, forwards, spot)


def truth(book, forwards):
    owner = book.point_slice
    years = book.slice_years[owner]
    moneyness = np.log(book.point_strike / forwards.forward[owner])
    return np.array([skewed(np.array([m]), y)[0] for m, y in zip(moneyness, years, strict=True)])


def requote(chain, rows, bid, ask):
    bids, asks = chain.bid.copy(), chain.ask.copy()
    bids[rows], asks[rows] = bid, ask
    return replace(chain, bid=bids, ask=asks)


def test_quoted_strikes_get_back_their_volatility():
    book, forwards, smile = fit(make_chain())
    sigma = smile.total_vol / np.sqrt(book.slice_years[book.point_slice])
    is_call = book.point_strike >= forwards.forward[book.point_slice]
    outside = np.where(is_call, book.call, book.put)
    quoted = 0.5 * (book.bid + book.ask)[outside] > 0.05
    assert quoted.sum() > 600
    np.testing.assert_allclose(sigma[quoted], truth(book, forwards)[quoted], rtol=1e-6)
    assert not smile.failed.any()


def test_in_the_money_quotes_do_not_matter():
    chain = make_chain(listing=WEEK)
    _, forwards, smile = fit(chain)
    deep = (chain.right * (forwards.forward[0] - chain.strike)) > 0.04 * 5120.0
    _, _, noisy = fit(requote(chain, deep, chain.bid[deep] * 0.9, chain.ask[deep] * 1.2))
    np.testing.assert_array_equal(smile.total_vol, noisy.total_vol)


@pytest.mark.parametrize(
    ("bid", "ask"), [(0.0, 1.0), (np.nan, 1.0), (2.0, 1.0), (1.0, 1.0), (0.02, 0.06), (1.0, 9.0)]
)
def test_a_bad_quote_is_replaced_by_total_variance_linear_in_the_strike(bid, ask):
    chain = make_chain(listing=WEEK)
    bad = (chain.strike == 4900.0) & (chain.right == -1)
    book, _, smile = fit(requote(chain, bad, bid, ask))
    variance = dict(zip(book.point_strike, smile.total_vol**2, strict=True))
    assert variance[4900.0] == pytest.approx(0.5 * (variance[4875.0] + variance[4925.0]), rel=1e-9)


def test_wings_are_flat_beyond_the_last_quote():
    chain = make_chain(listing=WEEK)
    book, _, smile = fit(requote(chain, chain.strike < 4600.0, 0.0, 0.05))
    below = smile.total_vol[book.point_strike <= 4600.0]
    assert len(below) > 20
    assert np.ptp(below) < 1e-12


def test_slices_do_not_borrow_from_each_other():
    chain = make_chain(listing=[series(Root.SPXW, days) for days in (3, 7, 14)])
    middle = chain.expiry == 20240319
    book, _, smile = fit(requote(chain, middle, 0.0, 0.0))
    assert smile.priced.tolist() == [True, False, True]
    assert np.isnan(smile.total_vol[book.point_slice == 1]).all()
    alone = fit(make_chain(listing=[series(Root.SPXW, 14)]))[2]
    np.testing.assert_allclose(smile.total_vol[book.point_slice == 2], alone.total_vol, rtol=1e-12)


def test_volatility_of_the_money_is_read_at_the_forward():
    book, _, smile = fit(make_chain())
    expected = np.array([skewed(np.zeros(1), years)[0] for years in book.slice_years])
    sigma = np.sqrt(smile.atm / book.slice_years)
    np.testing.assert_allclose(sigma, expected, rtol=5e-3)


def test_legs_stand_at_their_delta():
    strikes = np.arange(4000.0, 6200.0, 5.0)
    book, forwards, smile = fit(make_chain(listing=[series(Root.SPXW, 30)], strikes=strikes))
    years, forward = book.slice_years[0], forwards.forward[0]
    factor = forwards.discount[0] * forward / 5120.0

    def sigma_at(delta, right):
        def gap(strike):
            s = skewed(np.array([np.log(strike / forward)]), years)[0] * np.sqrt(years)
            d1 = np.log(forward / strike) / s + 0.5 * s
            return right * factor * norm.cdf(right * d1) - delta

        strike = brentq(gap, 4200.0, 6000.0)
        return skewed(np.array([np.log(strike / forward)]), years)[0]

    legs = [smile.put25[0], smile.call25[0], smile.mid50[0]]
    expected = [sigma_at(-0.25, -1), sigma_at(0.25, 1), sigma_at(0.50, 1)]
    np.testing.assert_allclose(np.sqrt(np.array(legs) / years), expected, rtol=1e-4)


def test_legs_outside_the_quotes_are_unknown():
    chain = make_chain(listing=WEEK)
    inside = (chain.strike > 5080.0) & (chain.strike < 5170.0)
    smile = fit(requote(chain, ~inside, 0.0, 0.0))[2]
    assert smile.priced[0]
    assert np.isnan([smile.put25[0], smile.call25[0]]).all()


def test_total_volatility_has_a_floor():
    book, _, smile = fit(
        make_chain(listing=WEEK, vol=lambda moneyness, _: np.full_like(moneyness, 2e-4))
    )
    assert len(book.point_strike) == len(smile.total_vol)
    assert np.nanmin(np.append(smile.total_vol, 1.0)) >= LEAST_TOTAL_VOL


def test_total_variance_is_linear_in_time():
    years, variance = np.array([0.2, 0.1]), np.array([0.2 * 0.3**2, 0.1 * 0.2**2])
    expected = np.sqrt(0.5 * (variance[0] + variance[1]) / 0.15)
    assert at_maturity(years, variance, 0.15) == pytest.approx(expected)


def test_maturities_outside_all_expiries_stretch_only_so_far():
    years, variance = np.array([0.1, 0.2]), np.array([0.1, 0.2]) * 0.2**2
    assert at_maturity(years, variance, 0.07) == pytest.approx(0.2)
    assert at_maturity(years, variance, 0.29) == pytest.approx(0.2)
    assert np.isnan(at_maturity(years, variance, 0.05))
    assert np.isnan(at_maturity(years, variance, 0.31))


def test_unknown_variances_are_skipped():
    years = np.array([0.1, 0.15, 0.2])
    assert at_maturity(years, np.array([0.01, np.nan, 0.02]), 0.15) == pytest.approx(
        np.sqrt(0.015 / 0.15)
    )
    assert np.isnan(at_maturity(years, np.full(3, np.nan), 0.15))
    assert np.isnan(at_maturity(np.empty(0), np.empty(0), 0.15))
