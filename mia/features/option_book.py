"""The living contracts of a chain, grouped into expiries and strikes."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from mia.core.chain import Chain, Root
from mia.core.sessions import MINUTE, NEW_YORK, SECOND

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

YEAR_NS = 365 * 24 * 60 * MINUTE
SHORTEST_NS = 5 * MINUTE
"""Least time to settlement that a formula sees."""
LEAST_POINTS, MOST_POINTS = 1e-3, 1e7
"""A strike, bid or spread below and a strike or quote above is damage, not a market."""
MOST_CONTRACTS = 1e9


def new_york_date(ts: int) -> int:
    """Return the calendar date in New York at `ts` (ns UTC) as yyyymmdd."""
    day = datetime.fromtimestamp(ts // SECOND, NEW_YORK)
    return day.year * 10000 + day.month * 100 + day.day


@dataclass(frozen=True, slots=True)
class OptionBook:
    """Contracts that have not settled, ordered by (root, settlement, strike, right).

    A *slice* is one settlement of one root, a *point* one strike of a slice with its call, its
    put or both.

    Attributes
    ----------
    asof, now : int
        Time of the quotes and time at which settled series were dropped, ns UTC.
    rows : ndarray of intp, shape (n,)
        Row of each contract in the chain.
    root, right : ndarray of int8, shape (n,)
    expiry : ndarray of int32, shape (n,)
    strike, bid, ask : ndarray of float64, shape (n,)
        Index points; a quote may be nan.
    open_interest, volume : ndarray of float64, shape (n,)
        Contracts; unknown and negative counts are 0.
    two_sided : ndarray of bool, shape (n,)
        Bid above zero and below the ask.
    slice_of, point_of : ndarray of intp, shape (n,)
    slice_root, slice_expiry, slice_settle : ndarray, shape (m,)
    slice_years : ndarray of float64, shape (m,)
        From the quotes to settlement in years of 365 days.
    point_slice, call, put : ndarray of intp, shape (p,)
        Slice of each point and the index of its contracts, -1 without one.
    point_strike : ndarray of float64, shape (p,)
    """

    asof: int
    now: int
    rows: Indices
    root: NDArray[np.int8]
    right: NDArray[np.int8]
    expiry: NDArray[np.int32]
    strike: Floats
    bid: Floats
    ask: Floats
    open_interest: Floats
    volume: Floats
    two_sided: NDArray[np.bool_]
    slice_of: Indices
    point_of: Indices
    slice_root: NDArray[np.int8]
    slice_expiry: NDArray[np.int32]
    slice_settle: NDArray[np.int64]
    slice_years: Floats
    point_slice: Indices
    point_strike: Floats
    call: Indices
    put: Indices

    def expiring_today(self) -> NDArray[np.bool_]:
        """Mark the contracts that settle this afternoon, shape (n,)."""
        today = new_york_date(self.now)
        result: NDArray[np.bool_] = (self.expiry == today) & (self.root == Root.SPXW)
        return result


def _counts(values: Floats) -> Floats:
    return np.where((values > 0.0) & (values < MOST_CONTRACTS), values, 0.0)


def _quotes(values: Floats) -> Floats:
    return np.where(np.abs(values) < MOST_POINTS, values, np.nan)


def _order(chain: Chain, alive: NDArray[np.bool_]) -> Indices:
    rows = np.flatnonzero(alive)
    root, settle = chain.root[rows], chain.settle_ns[rows]
    strike, right = chain.strike[rows], chain.right[rows]
    return rows[np.lexsort((right, strike, settle, root))]


def _starts(*columns: NDArray[np.generic]) -> NDArray[np.bool_]:
    first = np.zeros(len(columns[0]), dtype=np.bool_)
    first[:1] = True
    for column in columns:
        first[1:] |= column[1:] != column[:-1]
    return first


def option_book(chain: Chain, now: int | None = None) -> OptionBook:
    """Group the contracts of `chain` that settle after `now`.

    Parameters
    ----------
    chain : Chain
    now : int, optional
        ns UTC; the time of the quotes if absent or earlier.
    """
    asof = chain.meta.quotes_asof
    now = asof if now is None else max(now, asof)
    usable = (chain.strike > LEAST_POINTS) & (chain.strike < MOST_POINTS)
    rows = _order(chain, usable & (chain.settle_ns > now) & (np.abs(chain.right) == 1))
    root, settle, strike = chain.root[rows], chain.settle_ns[rows], chain.strike[rows]
    right, expiry = chain.right[rows], chain.expiry[rows]
    bid, ask = _quotes(chain.bid[rows]), _quotes(chain.ask[rows])

    new_slice = _starts(root, settle)
    new_point = new_slice | _starts(strike)
    slice_of = np.cumsum(new_slice) - 1
    point_of = np.cumsum(new_point) - 1
    first, heads = np.flatnonzero(new_slice), np.flatnonzero(new_point)
    call, put = np.full((2, len(heads)), -1, dtype=np.intp)
    calls, puts = np.flatnonzero(right == 1), np.flatnonzero(right == -1)
    call[point_of[calls]], put[point_of[puts]] = calls, puts
    left_ns = np.maximum(settle[first] - asof, SHORTEST_NS)
    return OptionBook(
        asof=asof,
        now=now,
        rows=rows,
        root=root,
        right=right,
        expiry=expiry,
        strike=strike,
        bid=bid,
        ask=ask,
        open_interest=_counts(chain.open_interest[rows]),
        volume=_counts(chain.volume[rows]),
        two_sided=(bid > LEAST_POINTS) & (ask - bid > LEAST_POINTS),
        slice_of=slice_of,
        point_of=point_of,
        slice_root=root[first],
        slice_expiry=expiry[first],
        slice_settle=settle[first],
        slice_years=left_ns / YEAR_NS,
        point_slice=slice_of[heads],
        point_strike=strike[heads],
        call=call,
        put=put,
    )
