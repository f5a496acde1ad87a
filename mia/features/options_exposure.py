"""What an option chain says about the positions of dealers, from quotes to levels.

Exposures are in USD for the contract multiplier of SPX. Their sign is that of the dealers'
book; to stay hedged, dealers trade the negative of its change.
"""

from dataclasses import dataclass
from math import isfinite, nan, sqrt

import numpy as np
from numpy.typing import NDArray

from mia.features import option_math as black
from mia.core.chain import Chain, Root
from mia.features.dealer_models import NAIVE, DealerModel
from mia.features.option_book import YEAR_NS, OptionBook, new_york_date, option_book
from mia.features.option_forward import (
    Forwards,
    RateCurve,
    estimate_rate,
    parity_forwards,
    parity_pairs,
    parity_spot,
)
from mia.features.option_levels import Flip, GammaTerms, find_flips, find_walls, grid, nearest_flip
from mia.features.option_smile import Smile, at_maturity, fit_smile

Floats = NDArray[np.float64]

MULTIPLIER = 100.0
WALL_DAYS = 45
NEAREST = 5
"""Expiries whose parity is judged."""
QUARTERS = (3, 6, 9, 12)


@dataclass(frozen=True, slots=True)
class Quarterly:
    """The AM-settled quarterly expiry, with which an ES contract settles.

    Attributes
    ----------
    expiry : int
        yyyymmdd.
    settle_ns : int
        Settlement instant, ns UTC.
    fair_ratio : float
        Forward over spot: fair ES price per SPX point.
    """

    expiry: int
    settle_ns: int
    fair_ratio: float


@dataclass(frozen=True, slots=True)
class Positioning:
    """Dealer positioning under one model, with what is needed to judge it.

    Numbers that cannot be had are nan; sums over nothing are 0.

    Attributes
    ----------
    asof, received_at, oi_session, source, complete, captured_share, delayed_s
        As in `ChainMeta`; ``asof`` is the time of the quotes.
    now : int
        Time at which settled series were dropped, ns UTC.
    model : str
        Dealer model.
    spot, index_print : float
        Level by put-call parity, and as printed; index points.
    carry : float
        Growth of the forward per year of 365 days, ``r - q``.
    gex_usd_per_pct, gross_gex_usd_per_pct : float
        Signed and unsigned gamma exposure per 1 % move.
    gex_ratio : float
        Signed over unsigned, in [-1, 1].
    dex_usd, vex_usd_per_point, cex_usd_per_day : float
        Delta; its change per vol point; its change per calendar day.
    strikes, gex_by_strike, gross_by_strike : ndarray of float64, shape (k,)
        All strikes ascending, over all expiries.
    expiries : ndarray of int32, shape (e,)
        Dates with a smile, ascending, both roots of a date together.
    gex_by_expiry : ndarray of float64, shape (e,)
    zero_dte_share : float
        Share of gross gamma that settles this afternoon.
    flips : tuple of Flip
        All sign changes within the profile, ascending.
    flip : float
        The one nearest to the spot.
    call_wall, put_wall, second_call_wall, second_put_wall, abs_gamma_strike : float
        Over expiries of at most 45 days.
    sigma_7d, sigma_30d, sigma_90d : float
        Volatility of the money at constant maturity, per year.
    expected_move : float
        One session, ``S * sigma_7d * sqrt(1 / 252)``, points.
    skew_30d : float
        25-delta put less 25-delta call over 50-delta volatility at 30 days.
    pcr_oi, pcr_volume : float
        Puts over calls.
    levels, profile : ndarray of float64, shape (121,)
        Spot levels, and gamma exposure there in USD per 1 % move.
    two_sided_share : float
        Share of gross gamma in contracts with two-sided quotes.
    iv_failure_share : float
        Share of gross gamma at strikes without a volatility.
    parity_residual : float
        Worst standard deviation of parity over the nearest five expiries, points.
    expiries_seen, expiries_expected : int
        Dates with a smile; dates listed now or in the previous positioning and not yet past.
    es_fair_ratio : float
        Of the nearest quarterly.
    quarterlies : tuple of Quarterly
        All quarterly expiries with a forward, nearest first.
    """

    asof: int
    received_at: int
    oi_session: int
    source: str
    complete: bool
    captured_share: float
    delayed_s: int
    now: int
    model: str
    spot: float
    index_print: float
    carry: float
    gex_usd_per_pct: float
    gex_ratio: float
    gross_gex_usd_per_pct: float
    dex_usd: float
    vex_usd_per_point: float
    cex_usd_per_day: float
    strikes: Floats
    gex_by_strike: Floats
    gross_by_strike: Floats
    expiries: NDArray[np.int32]
    gex_by_expiry: Floats
    zero_dte_share: float
    flips: tuple[Flip, ...]
    flip: float
    call_wall: float
    put_wall: float
    second_call_wall: float
    second_put_wall: float
    abs_gamma_strike: float
    sigma_7d: float
    sigma_30d: float
    sigma_90d: float
    expected_move: float
    skew_30d: float
    pcr_oi: float
    pcr_volume: float
    levels: Floats
    profile: Floats
    two_sided_share: float
    iv_failure_share: float
    parity_residual: float
    expiries_seen: int
    expiries_expected: int
    es_fair_ratio: float
    quarterlies: tuple[Quarterly, ...]


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0.0 else 0.0


def _finite(values: Floats) -> Floats:
    return np.where(np.isfinite(values), values, 0.0)


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


def _guessed_gamma(
    book: OptionBook, forwards: Forwards, smile: Smile, spot: float, carry: float
) -> Floats:
    # Gamma where quotes gave none, at the volatility of the money of the neighbouring expiries:
    # only to weigh what is missing.
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
    return out[2]


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
    near = book.slice_years[book.slice_of] * YEAR_NS <= WALL_DAYS * YEAR_NS / 365

    sigma_7d, sigma_30d, sigma_90d = (
        at_maturity(book.slice_years, smile.atm, days / 365) for days in (7, 30, 90)
    )
    expected_move = spot * sigma_7d * sqrt(1 / 252)
    same = previous is not None and previous.model == model.name
    walls = find_walls(
        strikes,
        np.bincount(strike_of, weights=net * near, minlength=len(strikes)),
        np.bincount(strike_of, weights=gross * near, minlength=len(strikes)),
        spot,
        expected_move,
        (previous.call_wall, previous.put_wall) if previous is not None and same else (nan, nan),
    )
    terms = gamma_terms(book, forwards, smile, spot, signed)
    levels = grid(spot)
    profile = terms.at(levels)
    flips = find_flips(terms, levels, profile)
    guess = (
        np.zeros(0)
        if np.all(np.isfinite(greeks.gamma))
        else _guessed_gamma(book, forwards, smile, spot, carry)
    )
    two_sided, failures = _quality(book, smile, greeks.gamma, guess if len(guess) else greeks.gamma)
    quarterlies = _quarterlies(book, forwards, spot)
    expected = set(book.slice_expiry.tolist())
    if previous is not None and previous.complete:
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
        gex_by_strike=np.bincount(strike_of, weights=net, minlength=len(strikes)),
        gross_by_strike=np.bincount(strike_of, weights=gross, minlength=len(strikes)),
        expiries=dates,
        gex_by_expiry=np.bincount(date_of, weights=net[priced], minlength=len(dates)),
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
    weight = np.bincount(book.point_of, weights=signed, minlength=count) * MULTIPLIER * 0.01
    used = np.flatnonzero(np.isfinite(smile.total_vol) & (weight != 0.0))
    owner = book.point_slice[used]
    return GammaTerms(
        ratio=forwards.forward[owner] / spot,
        discount=forwards.discount[owner],
        strike=book.point_strike[used],
        total_vol=smile.total_vol[used],
        weight=weight[used],
    )
