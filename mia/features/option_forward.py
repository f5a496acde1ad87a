"""Forwards, interest rate and spot out of put-call parity: ``C - P = D * (F - K)``."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mia.features.option_book import OptionBook

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

DEFAULT_RATE = 0.04
"""Where neither the caller nor the chain says."""
DIVIDEND_YIELD = 0.014
"""Of the index; only for the carry of a chain without a second expiry."""
NEAR_MONEY = 0.03
LEAST_STRIKES = 5
WORST_RESIDUAL = 1.0
"""Standard deviation of parity in points beyond which a forward is not believed."""


@dataclass(frozen=True, slots=True)
class RateCurve:
    """Continuously compounded interest by maturity, linear between knots and flat outside.

    Attributes
    ----------
    years, rates : tuple of float
        Knots, maturities ascending; at least one.
    """

    years: tuple[float, ...]
    rates: tuple[float, ...]

    @classmethod
    def flat(cls, rate: float) -> "RateCurve":
        """Make a curve of one rate."""
        return cls((1.0,), (float(rate),))

    def discounts(self, years: Floats) -> Floats:
        """Return the discount factor of each maturity."""
        return np.exp(-np.interp(years, self.years, self.rates) * years)


@dataclass(frozen=True, slots=True)
class Parity:
    """Pairs of a call and a put of one strike, both with two-sided quotes.

    Attributes
    ----------
    owner : ndarray of intp
        Slice of each pair.
    start : ndarray of intp, shape (m + 1,)
        Slice k owns the pairs from ``start[k]`` to ``start[k + 1]``.
    strike, difference, spread : ndarray of float64
        Strike, call less put at mid, and the sum of both spreads; points.
    """

    owner: Indices
    start: Indices
    strike: Floats
    difference: Floats
    spread: Floats


@dataclass(frozen=True, slots=True)
class Forwards:
    """Parity forwards of the slices of a book, shape (m,) each.

    Attributes
    ----------
    forward : ndarray of float64
        Index points, nan without two pairs near the money or with an unbelievable residual.
    discount : ndarray of float64
    residual : ndarray of float64
        Weighted standard deviation of the forwards of single strikes, points; nan without.
    """

    forward: Floats
    discount: Floats
    residual: Floats


def parity_pairs(book: OptionBook) -> Parity:
    """Collect the strikes at which put-call parity can be read."""
    call, put = book.call, book.put
    both = (call >= 0) & (put >= 0)
    both &= book.two_sided[call] & book.two_sided[put]
    call, put = call[both], put[both]
    owner = book.point_slice[both]
    return Parity(
        owner=owner,
        start=np.searchsorted(owner, np.arange(len(book.slice_years) + 1)),
        strike=book.point_strike[both],
        difference=0.5 * (book.bid[call] + book.ask[call] - book.bid[put] - book.ask[put]),
        spread=book.ask[call] - book.bid[call] + book.ask[put] - book.bid[put],
    )


def estimate_rate(book: OptionBook, pairs: Parity) -> RateCurve:
    """Estimate one rate from the slope of parity over strikes, 3 to 18 months out.

    Shorter expiries say nothing about the rate: a tick of noise moves it by percents.

    Returns
    -------
    RateCurve
        Flat at the median over expiries; `DEFAULT_RATE` without a believable one.
    """
    rates = []
    for k in np.flatnonzero((book.slice_years >= 0.25) & (book.slice_years <= 1.5)):
        part = slice(pairs.start[k], pairs.start[k + 1])
        strike, difference = pairs.strike[part], pairs.difference[part]
        if len(strike) < 2:
            continue
        middle = strike[np.argmin(np.abs(difference))]
        near = np.abs(strike / middle - 1.0) <= 0.15
        if near.sum() < 8:
            continue
        weight = pairs.spread[part][near] ** -2.0
        x = strike[near] - middle
        y = difference[near]
        x = x - np.average(x, weights=weight)
        slope = np.sum(weight * x * y) / np.sum(weight * x * x)
        if slope < 0.0:
            rates.append(-np.log(-slope) / book.slice_years[k])
    rate = float(np.median(rates)) if rates else DEFAULT_RATE
    return RateCurve.flat(rate if -0.03 < rate < 0.15 else DEFAULT_RATE)


def parity_forwards(book: OptionBook, pairs: Parity, curve: RateCurve) -> Forwards:
    """Read the forward of each slice: the median over strikes, tighter quotes weighing more."""
    discount = curve.discounts(book.slice_years)
    count = len(discount)
    forward, residual = np.full((2, count), np.nan)
    owner = pairs.owner
    implied = pairs.strike + pairs.difference / discount[owner]
    # The strike at which call and put cost the same is the first guess.
    first = np.lexsort((np.abs(pairs.difference), owner))[
        pairs.start[:-1][np.diff(pairs.start) > 0]
    ]
    guess = np.full(count, np.nan)
    guess[owner[first]] = implied[first]
    distance = np.abs(pairs.strike / guess[owner] - 1.0)
    near = distance <= NEAR_MONEY
    near |= _ranks(owner, distance, pairs.start) < LEAST_STRIKES

    owner, implied, spread = owner[near], implied[near], pairs.spread[near]
    weight = 1.0 / spread
    enough = np.bincount(owner, minlength=count) >= 2
    middle = _medians(owner, implied, weight, count)
    width = _medians(owner, spread, np.ones(len(spread)), count)
    square = (implied - middle[owner]) ** 2
    total = np.bincount(owner, weights=weight, minlength=count)
    spread_square = np.bincount(owner, weights=weight * square, minlength=count)
    residual[enough] = np.sqrt(spread_square[enough] / total[enough])
    # Far expiries are quoted several points wide: their noise is no sign of a bad quote.
    believed = enough & (residual <= np.maximum(WORST_RESIDUAL, 0.5 * width))
    forward[believed] = middle[believed]
    return Forwards(forward, discount, residual)


def _ranks(owner: Indices, values: Floats, start: Indices) -> Indices:
    order = np.lexsort((values, owner))
    ranks = np.empty(len(values), dtype=np.intp)
    ranks[order] = np.arange(len(values)) - start[owner[order]]
    return ranks


def _medians(owner: Indices, values: Floats, weights: Floats, count: int) -> Floats:
    # Weighted medians of all slices at once: slice k lies between k and k + 1 of one axis.
    medians = np.full(count, np.nan)
    if not len(owner):
        return medians
    order = np.lexsort((values, owner))
    owner, values, weights = owner[order], values[order], weights[order]
    total = np.bincount(owner, weights=weights, minlength=count)
    before = np.cumsum(total) - total
    centre = (np.cumsum(weights) - 0.5 * weights - before[owner]) / total[owner]
    some = np.flatnonzero(total > 0.0)
    medians[some] = np.interp(some + 0.5, owner + centre, values)
    return medians


def parity_spot(book: OptionBook, forwards: Forwards, curve: RateCurve) -> tuple[float, float]:
    """Carry the nearest forwards back to the time of the quotes.

    Returns
    -------
    spot, carry : float
        Index points, nan without a forward; growth of the forward per year, ``r - q``.
    """
    years, log_forward = book.slice_years, np.log(forwards.forward)
    known = np.flatnonzero(np.isfinite(log_forward))
    if not len(known):
        return float("nan"), float("nan")
    known = known[np.argsort(years[known], kind="stable")]
    short = known[years[known] <= 0.5]
    carry = float(np.interp(0.25, curve.years, curve.rates)) - DIVIDEND_YIELD
    if len(short) >= 3 and years[short[-1]] - years[short[0]] >= 20 / 365:
        carry = float(np.polyfit(years[short], log_forward[short], 1)[0])
    nearest = known[:3]
    spot = np.exp(np.median(log_forward[nearest] - carry * years[nearest]))
    return float(spot), carry
