"""Dealer models: whose side each contract is on."""

from datetime import datetime

import numpy as np
import pytest
from option_chains import instant, make_chain, series

from mia.core.chain import Root
from mia.core.sessions import NEW_YORK
from mia.features.dealer_models import (
    GROSS,
    MODELS,
    NAIVE,
    NAIVE_EX_0DTE,
    SHORT_ALL,
    SKEW_ADJ,
    VOLUME,
    SkewAdjusted,
)
from mia.features.option_book import option_book
from mia.features.option_forward import RateCurve, parity_forwards, parity_pairs
from mia.features.option_smile import fit_smile
from mia.features.options_exposure import positioning


def book_and_smile(chain, now=None):
    book = option_book(chain, now)
    forwards = parity_forwards(book, parity_pairs(book), RateCurve.flat(0.05))
    return book, fit_smile(book, forwards, 5120.0)


def sides(model, **changes):
    book, smile = book_and_smile(make_chain(**changes))
    signs = model.signs(book, smile)
    return np.unique(signs[book.right == 1]), np.unique(signs[book.right == -1])


@pytest.mark.parametrize(
    ("model", "call", "put"),
    [(NAIVE, 1.0, -1.0), (GROSS, 1.0, 1.0), (SHORT_ALL, -1.0, -1.0), (VOLUME, 1.0, -1.0)],
)
def test_sides_of_the_fixed_models(model, call, put):
    assert sides(model) == ([call], [put])


def test_the_volume_model_counts_the_day():
    book, _ = book_and_smile(make_chain())
    np.testing.assert_array_equal(VOLUME.sizes(book), book.volume)
    np.testing.assert_array_equal(NAIVE.sizes(book), book.open_interest)


def test_cheap_calls_make_the_skew_model_naive():
    steep = {"vol": lambda moneyness, _: 0.2 - 1.5 * moneyness.clip(-0.05, 0.05)}
    calls, puts = sides(SkewAdjusted(full=0.99, none=1.0), **steep)
    assert calls.tolist() == [1.0]
    assert puts.tolist() == [-1.0]


def test_dear_calls_take_the_dealers_out_of_calls():
    rising = {"vol": lambda moneyness, _: 0.2 + 1.5 * moneyness.clip(-0.05, 0.05)}
    listing = [series(Root.SPXW, days) for days in (7, 14, 31)]
    calls, puts = sides(SKEW_ADJ, listing=listing, **rising)
    assert calls.tolist() == [0.0]
    assert puts.tolist() == [-1.0]


def test_an_unknown_skew_leaves_the_naive_side():
    chain = make_chain()
    book, smile = book_and_smile(chain)
    smile.call25[:] = np.nan
    signs = SKEW_ADJ.signs(book, smile)
    np.testing.assert_array_equal(signs, NAIVE.signs(book, smile))


def test_the_model_without_today_drops_only_the_afternoon_series():
    now = instant(datetime(2024, 3, 15, 9, 0, tzinfo=NEW_YORK))
    book, _ = book_and_smile(make_chain(), now)
    dropped = (NAIVE_EX_0DTE.sizes(book) == 0.0) & (book.open_interest > 0.0)
    assert np.unique(book.expiry[dropped]).tolist() == [20240315]
    assert np.unique(book.root[dropped]).tolist() == [Root.SPXW]


def test_every_result_says_which_model_it_rests_on():
    chain = make_chain()
    for name, model in MODELS.items():
        assert positioning(chain, model=model).model == name


def test_gross_bounds_every_other_model():
    chain = make_chain()
    gross = positioning(chain, model=GROSS)
    assert gross.gex_ratio == pytest.approx(1.0)
    assert positioning(chain, model=SHORT_ALL).gex_ratio == pytest.approx(-1.0)
    for model in (NAIVE, SKEW_ADJ):
        found = positioning(chain, model=model)
        assert abs(found.gex_usd_per_pct) < gross.gex_usd_per_pct
        assert found.gross_gex_usd_per_pct == gross.gex_usd_per_pct
