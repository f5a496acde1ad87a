"""One smile of total variance per expiry, from out-of-the-money quotes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mia._fast import black
from mia.features.option_book import OptionBook
from mia.features.option_forward import Forwards

Floats = NDArray[np.float64]

TICK = 0.05
WIDEST = 0.5
WIDEST_SHARE = 0.25
"""A quote wider than both `WIDEST` points and this share of its mid is left out."""
LEAST_TOTAL_VOL = 1e-4
LEAST_QUOTES = 3
STRETCH = 1.5
"""A maturity outside all expiries takes the volatility of one within this factor."""


@dataclass(frozen=True, slots=True)
class Smile:
    """Total volatility of every strike of a book.

    Attributes
    ----------
    total_vol : ndarray of float64, shape (p,)
        ``sigma * sqrt(T)`` of each point, nan where its slice has no smile.
    failed : ndarray of bool, shape (p,)
        Two-sided out-of-the-money quote without a volatility of its own.
    priced : ndarray of bool, shape (m,)
        Slices with a smile.
    atm, put25, call25, mid50 : ndarray of float64, shape (m,)
        Total variance at the forward, and at the strikes of delta -0.25, 0.25 and 0.50; nan
        where the quotes do not reach.
    """

    total_vol: Floats
    failed: NDArray[np.bool_]
    priced: NDArray[np.bool_]
    atm: Floats
    put25: Floats
    call25: Floats
    mid50: Floats


def fit_smile(book: OptionBook, forwards: Forwards, spot: float) -> Smile:
    """Invert the out-of-the-money quotes and fill the other strikes of each expiry.

    Total variance is linear in the strike between quotes and flat beyond the last of them.
    """
    owner, strike = book.point_slice, book.point_strike
    forward, discount = forwards.forward[owner], forwards.discount[owner]
    is_call = strike >= forward
    contract = np.where(is_call, book.call, book.put)
    quoted = (contract >= 0) & np.isfinite(forward)
    bid, ask = book.bid[contract], book.ask[contract]
    two_sided = quoted & book.two_sided[contract]
    mid = 0.5 * (bid + ask)
    usable = two_sided & (mid > TICK) & (ask - bid < np.maximum(WIDEST, WIDEST_SHARE * mid))
    own = np.empty(len(strike))
    right = np.where(is_call, 1, -1).astype(np.int8)
    black.total_vols(forward, strike, right, np.where(usable, mid, np.nan), discount, own)
    known = np.flatnonzero(np.isfinite(own))
    counts = np.bincount(owner[known], minlength=len(forwards.forward))
    priced = counts >= LEAST_QUOTES
    known = known[priced[owner[known]]]
    failed = usable & ~np.isfinite(own)

    variance = _fill(owner, strike, owner[known], strike[known], own[known] ** 2, priced)
    slices = np.arange(len(priced))
    atm = _fill(slices, forwards.forward, owner[known], strike[known], own[known] ** 2, priced)
    total_vol = np.maximum(np.sqrt(variance), LEAST_TOTAL_VOL)
    legs = _legs(book, forwards, spot, total_vol, priced, known)
    return Smile(total_vol, failed, priced, atm, *legs)


def _fill(
    owner: NDArray[np.intp],
    strike: Floats,
    known_owner: NDArray[np.intp],
    known_strike: Floats,
    variance: Floats,
    priced: NDArray[np.bool_],
) -> Floats:
    # All slices in one interpolation: their strikes are laid end to end on one axis.
    if not len(known_strike):
        return np.full(len(strike), np.nan)
    count = len(priced)
    first = np.searchsorted(known_owner, np.arange(count))
    last = np.searchsorted(known_owner, np.arange(count), side="right") - 1
    low = known_strike[np.minimum(first, len(known_strike) - 1)]
    high = known_strike[np.maximum(last, 0)]
    width = 1.0 + float(np.max(known_strike))
    inside = np.clip(strike, low[owner], high[owner])
    filled = np.interp(inside + width * owner, known_strike + width * known_owner, variance)
    return np.where(priced[owner], filled, np.nan)


def _legs(
    book: OptionBook,
    forwards: Forwards,
    spot: float,
    total_vol: Floats,
    priced: NDArray[np.bool_],
    known: NDArray[np.intp],
) -> tuple[Floats, Floats, Floats]:
    put25, call25, mid50 = np.full((3, len(priced)), np.nan)
    delta, unused = np.empty((2, len(known)))
    owner = book.point_slice[known]
    black.greeks(
        spot,
        forwards.forward[owner],
        book.point_strike[known],
        np.ones(len(known), dtype=np.int8),
        forwards.discount[owner],
        total_vol[known],
        book.slice_years[owner],
        unused,
        delta,
        unused,
        unused,
        unused,
        unused,
    )
    edges = np.searchsorted(owner, np.arange(len(priced) + 1))
    variance = total_vol[known] ** 2
    for k in np.flatnonzero(priced):
        part = slice(edges[k], edges[k + 1])
        # Delta falls with the strike; accumulate holds it to that where the quotes are noisy.
        falling = np.maximum.accumulate(-delta[part])
        full = forwards.discount[k] * forwards.forward[k] / spot
        targets = np.array([0.25 - full, -0.25, -0.50])
        put25[k], call25[k], mid50[k] = np.interp(
            targets, falling, variance[part], left=np.nan, right=np.nan
        )
    return put25, call25, mid50


def at_maturity(years: Floats, variance: Floats, target: float) -> float:
    """Interpolate total variance linearly in time and return the volatility at `target` years.

    Parameters
    ----------
    years, variance : ndarray of float64, shape (m,)
        Maturities in any order and their total variances; nan is skipped.

    Returns
    -------
    float
        Per year; nan if no expiry brackets `target` or lies within the factor `STRETCH` of it.
    """
    known = np.flatnonzero(variance > 0.0)
    if not len(known):
        return float("nan")
    known = known[np.argsort(years[known], kind="stable")]
    years, variance = years[known], variance[known]
    for edge in (0, -1):
        outside = target < years[0] if edge == 0 else target > years[-1]
        if outside:
            near = max(years[edge] / target, target / years[edge]) <= STRETCH
            return float(np.sqrt(variance[edge] / years[edge])) if near else float("nan")
    return float(np.sqrt(np.interp(target, years, variance) / target))
