"""The positioning of dealers as a value: exposures, levels, and what is needed to judge them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mia.features.option_levels import Flip

Floats = NDArray[np.float64]


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
