"""Contracts evaluated on the smiles of a book."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mia._fast import black
from mia.features.option_book import OptionBook
from mia.features.option_forward import Forwards
from mia.features.option_levels import GammaTerms
from mia.features.option_smile import Smile

Floats = NDArray[np.float64]

MULTIPLIER = 100.0
"""USD per index point and contract."""


@dataclass(frozen=True, slots=True)
class ContractGreeks:
    """Greeks of the contracts of a book, shape (n,) each; nan where there is no smile.

    Units as in `mia.features.option_math.greeks`.
    """

    price: Floats
    delta: Floats
    gamma: Floats
    vega: Floats
    vanna: Floats
    charm: Floats


def contract_greeks(
    book: OptionBook, forwards: Forwards, smile: Smile, spot: float
) -> ContractGreeks:
    """Evaluate every contract on the smile of its expiry."""
    out = np.empty((6, len(book.strike)))
    owner = book.slice_of
    black.greeks(
        spot,
        forwards.forward[owner],
        book.strike,
        book.right,
        forwards.discount[owner],
        smile.total_vol[book.point_of],
        book.slice_years[owner],
        *out,
    )
    return ContractGreeks(*out)


def guessed_gamma(
    book: OptionBook, forwards: Forwards, smile: Smile, spot: float, carry: float
) -> Floats:
    """Guess the gamma of every contract, to weigh those whose quotes gave none.

    Volatility is that of the money of the neighbouring expiries; 0 without any.
    """
    years = book.slice_years
    known = np.flatnonzero(smile.atm > 0.0)
    if not len(known):
        return np.zeros(len(book.strike))
    known = known[np.argsort(years[known], kind="stable")]
    sigma = np.interp(years, years[known], np.sqrt(smile.atm[known] / years[known]))
    owner, out = book.slice_of, np.empty((6, len(book.strike)))
    black.greeks(
        spot,
        (spot * np.exp(carry * years))[owner],
        book.strike,
        book.right,
        forwards.discount[owner],
        (sigma * np.sqrt(years))[owner],
        years[owner],
        *out,
    )
    return ContractGreeks(*out).gamma


def gamma_terms(
    book: OptionBook, forwards: Forwards, smile: Smile, spot: float, signed: Floats
) -> GammaTerms:
    """Reduce a book to the terms of its gamma profile, a call and a put of one strike in one.

    Parameters
    ----------
    signed : ndarray of float64, shape (n,)
        Contracts times the dealers' side.
    """
    count = len(book.point_strike)
    signed_points = np.bincount(book.point_of, weights=signed, minlength=count)
    weight = signed_points.astype(np.float64) * (MULTIPLIER * 0.01)
    used = np.flatnonzero(np.isfinite(smile.total_vol) & (weight != 0.0))
    owner = book.point_slice[used]
    return GammaTerms(
        ratio=forwards.forward[owner] / spot,
        discount=forwards.discount[owner],
        strike=book.point_strike[used],
        total_vol=smile.total_vol[used],
        weight=weight[used],
    )
