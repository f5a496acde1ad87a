"""What an option chain says about the positions of dealers, from quotes to levels.

Exposures are in USD for the contract multiplier of SPX. Their sign is that of the dealers'
book; to stay hedged, dealers trade the negative of its change.
"""

from math import isfinite, nan, sqrt

import numpy as np
from numpy.typing import NDArray

from mia.core.chain import Chain, Root
from mia.features.dealer_models import NAIVE, DealerModel
from mia.features.option_book import OptionBook, new_york_date, option_book
from mia.features.option_forward import (
    Forwards,
    RateCurve,
    estimate_rate,
    parity_forwards,
    parity_pairs,
    parity_spot,
)
from mia.features.option_greeks import (
    MULTIPLIER,
    contract_greeks,
    gamma_terms,
    guessed_gamma,
)
from mia.features.option_levels import Flip, find_flips, find_walls, grid, nearest_flip
from mia.features.option_smile import Smile, at_maturity, fit_smile
from mia.features.positioning import Positioning, Quarterly

__all__ = [
    "NAIVE",
    "DealerModel",
    "Flip",
    "Positioning",
    "Quarterly",
    "RateCurve",
    "positioning",
]

Floats = NDArray[np.float64]

WALL_DAYS = 45
NEAREST = 5
"""Expiries whose parity is judged."""
QUARTERS = (3, 6, 9, 12)


def _sums(groups: NDArray[np.intp], values: Floats, count: int) -> Floats:
    sums: Floats = np.bincount(groups, weights=values, minlength=count).astype(np.float64)
    return sums


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0.0 else 0.0


def _finite(values: Floats) -> Floats:
    return np.where(np.isfinite(values), values, 0.0)


def _quality(book: OptionBook, smile: Smile, gamma: Floats, guess: Floats) -> tuple[float, float]:
    known = np.isfinite(gamma)
    mass = np.where(known, gamma, guess) * book.open_interest
    missing = ~known | smile.failed[book.point_of]
    total = float(mass.sum())
    return (
        _ratio(float(mass[book.two_sided].sum()), total),
        float(mass[missing].sum()) / total if total > 0.0 else 1.0,
    )


def _worst_residual(book: OptionBook, forwards: Forwards) -> float:
    known = np.flatnonzero(np.isfinite(forwards.residual))
    nearest = known[np.argsort(book.slice_years[known], kind="stable")][:NEAREST]
    return float(forwards.residual[nearest].max()) if len(nearest) else nan


def _quarterlies(book: OptionBook, forwards: Forwards, spot: float) -> tuple[Quarterly, ...]:
    found = []
    for k in np.argsort(book.slice_settle, kind="stable"):
        expiry = int(book.slice_expiry[k])
        month, day = expiry // 100 % 100, expiry % 100
        # The third Friday, or the Thursday before it where that is a holiday.
        third = 14 <= day <= 21 and month in QUARTERS and book.slice_root[k] == Root.SPX
        if third and isfinite(forwards.forward[k]):
            ratio = float(forwards.forward[k]) / spot
            found.append(Quarterly(expiry, int(book.slice_settle[k]), ratio))
    return tuple(found)


def _skew(book: OptionBook, smile: Smile) -> float:
    known = np.isfinite(smile.put25) & np.isfinite(smile.call25) & np.isfinite(smile.mid50)
    put, call, mid = (
        at_maturity(book.slice_years, np.where(known, leg, np.nan), 30 / 365)
        for leg in (smile.put25, smile.call25, smile.mid50)
    )
    return (put - call) / mid


def _put_call(book: OptionBook, sizes: Floats) -> float:
    calls = float(sizes[book.right == 1].sum())
    return float(sizes[book.right == -1].sum()) / calls if calls > 0.0 else nan


def positioning(
    chain: Chain,
    *,
    rate: float | RateCurve | None = None,
    model: DealerModel = NAIVE,
    previous: Positioning | None = None,
    now: int | None = None,
) -> Positioning:
    """Compute the positioning of dealers from a chain.

    Parameters
    ----------
    chain : Chain
    rate : float or RateCurve, optional
        Continuously compounded interest per year; estimated from the chain if absent.
    model : DealerModel
        Assumption about the dealers' side of each contract.
    previous : Positioning, optional
        Result before this one: holds its walls (of the same model) and the expiries to expect.
    now : int, optional
        ns UTC. Series settled by then are dropped; times to settlement count from the quotes,
        to which the volatilities belong. Absent or earlier: the time of the quotes.

    Returns
    -------
    Positioning
        Of an unusable chain too: then levels are nan, sums 0 and ``two_sided_share`` is 0.
    """
    book = option_book(chain, now)
    pairs = parity_pairs(book)
    if rate is None:
        curve = estimate_rate(book, pairs)
    else:
        curve = rate if isinstance(rate, RateCurve) else RateCurve.flat(rate)
    forwards = parity_forwards(book, pairs, curve)
    spot, carry = parity_spot(book, forwards, curve)
    smile = fit_smile(book, forwards, spot)
    greeks = contract_greeks(book, forwards, smile, spot)

    sizes = model.sizes(book)
    signed = sizes * model.signs(book, smile)
    unit = MULTIPLIER * 0.01 * spot * spot * _finite(greeks.gamma)
    net, gross = _finite(signed * unit), _finite(sizes * unit)
    total, total_gross = float(net.sum()), float(gross.sum())
    dollars = signed * MULTIPLIER * spot

    strikes, strike_of = np.unique(book.strike, return_inverse=True)
    priced = smile.priced[book.slice_of]
    dates, date_of = np.unique(book.expiry[priced], return_inverse=True)
    near = book.slice_years[book.slice_of] * 365 <= WALL_DAYS

    sigma_7d, sigma_30d, sigma_90d = (
        at_maturity(book.slice_years, smile.atm, days / 365) for days in (7, 30, 90)
    )
    expected_move = spot * sigma_7d * sqrt(1 / 252)
    same = previous is not None and previous.model == model.name
    walls = find_walls(
        strikes,
        _sums(strike_of, net * near, len(strikes)),
        _sums(strike_of, gross * near, len(strikes)),
        spot,
        expected_move,
        (previous.call_wall, previous.put_wall) if previous is not None and same else (nan, nan),
    )
    terms = gamma_terms(book, forwards, smile, spot, signed)
    levels = grid(spot)
    profile = terms.at(levels)
    flips = find_flips(terms, levels, profile)
    guess = greeks.gamma
    if not np.all(np.isfinite(guess)):
        guess = guessed_gamma(book, forwards, smile, spot, carry)
    two_sided, failures = _quality(book, smile, greeks.gamma, guess)
    quarterlies = _quarterlies(book, forwards, spot)
    # Expiries just listed have neither quotes nor holders yet.
    expected = set(book.expiry[book.open_interest > 0.0].tolist()) | set(dates.tolist())
    if previous is not None and previous.complete and chain.meta.complete:
        today = new_york_date(book.now)
        expected.update(int(day) for day in previous.expiries if day > today)
    meta = chain.meta
    return Positioning(
        asof=meta.quotes_asof,
        received_at=meta.received_at,
        oi_session=meta.oi_session,
        source=meta.source,
        complete=meta.complete,
        captured_share=meta.captured_share,
        delayed_s=meta.delayed_s,
        now=book.now,
        model=model.name,
        spot=spot,
        index_print=meta.index_print,
        carry=carry,
        gex_usd_per_pct=total,
        gex_ratio=_ratio(total, total_gross),
        gross_gex_usd_per_pct=total_gross,
        dex_usd=float(_finite(dollars * greeks.delta).sum()),
        vex_usd_per_point=float(_finite(dollars * greeks.vanna).sum()) * 0.01,
        cex_usd_per_day=float(_finite(dollars * greeks.charm).sum()) / 365,
        strikes=strikes,
        gex_by_strike=_sums(strike_of, net, len(strikes)),
        gross_by_strike=_sums(strike_of, gross, len(strikes)),
        expiries=dates,
        gex_by_expiry=_sums(date_of, net[priced], len(dates)),
        zero_dte_share=_ratio(float(gross[book.expiring_today()].sum()), total_gross),
        flips=flips,
        flip=nearest_flip(flips, spot),
        call_wall=walls.call,
        put_wall=walls.put,
        second_call_wall=walls.second_call,
        second_put_wall=walls.second_put,
        abs_gamma_strike=walls.abs_gamma,
        sigma_7d=sigma_7d,
        sigma_30d=sigma_30d,
        sigma_90d=sigma_90d,
        expected_move=expected_move,
        skew_30d=_skew(book, smile),
        pcr_oi=_put_call(book, book.open_interest),
        pcr_volume=_put_call(book, book.volume),
        levels=levels,
        profile=profile,
        two_sided_share=two_sided,
        iv_failure_share=failures,
        parity_residual=_worst_residual(book, forwards),
        expiries_seen=len(dates),
        expiries_expected=len(expected),
        es_fair_ratio=quarterlies[0].fair_ratio if quarterlies else nan,
        quarterlies=quarterlies,
    )
