"""One chain by itself: its quality at an instant, its features, and its levels in ES."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from math import exp, isfinite, isnan, log, nan
from typing import Any

from mia.core import sessions
from mia.features import options_features, options_quality
from mia.features.options_feed import static_quality
from mia.features.positioning import Positioning, Quarterly

YEAR = 365 * 86_400 * 1_000_000_000
LEVELS = (
    "call_wall",
    "second_call_wall",
    "flip",
    "put_wall",
    "second_put_wall",
    "abs_gamma_strike",
)


@dataclass(frozen=True, slots=True)
class Appraisal:
    """How far a chain can be trusted, and what it then says.

    Attributes
    ----------
    at : int
        Instant of the judgement, ns UTC.
    quality : float
        q, the product of the factors.
    factors : mapping of str to float
    features : mapping of str to float
        F9 to F14 times q; exactly 0 where not valid.
    valid : mapping of str to bool
    """

    at: int
    quality: float
    factors: Mapping[str, float]
    features: Mapping[str, float]
    valid: Mapping[str, bool]

    @property
    def usable(self) -> bool:
        """Whether the quality suffices to show levels and features."""
        return self.quality >= options_quality.MISSING - 1e-9


def appraise(found: Positioning, at: int) -> Appraisal:
    """Judge a chain at an instant, without any history and without the price of ES.

    Features that rank against history take their cold-start scale; the hedging flow, which needs
    the volume of ES, is never valid.
    """
    session_id = sessions.session_id(found.asof)
    elapsed = options_quality.elapsed_fraction(at, session_id)
    share = found.zero_dte_share if isfinite(found.zero_dte_share) else 0.0
    steps = options_quality.oi_steps(found.oi_session)
    factors = {
        "open_interest": options_quality.q_oi(steps, at),
        "quotes": options_quality.q_quote(found.asof, found.delayed_s > 0, at),
        "chain": static_quality(found) if isfinite(found.spot) else 0.0,
        "zero_dte": options_quality.q_0dte(share, elapsed),
    }
    quality = 1.0
    for factor in factors.values():
        quality *= factor
    raw = {
        "gamma_ratio": options_features.gamma_ratio(found.gex_ratio),
        "flip_dist": options_features.flip_dist(
            found.spot, found.flip, found.expected_move, found.gex_usd_per_pct
        ),
        "wall_pos": options_features.wall_pos(
            found.spot, found.call_wall, found.put_wall, found.expected_move
        ),
        "hedge_flow": nan,
        "skew": options_features.skew(found.skew_30d),
        "term": options_features.term(found.sigma_30d, found.sigma_90d),
    }
    usable = quality >= options_quality.MISSING - 1e-9
    valid = {name: usable and not isnan(value) for name, value in raw.items()}
    features = {name: quality * raw[name] if valid[name] else 0.0 for name in raw}
    return Appraisal(at, quality, factors, features, valid)


@dataclass(frozen=True, slots=True)
class EsMap:
    """From SPX points to ES points.

    Attributes
    ----------
    spot, es : float
        Prices of the same instant.
    basis_from : str
        ``market`` (ES less S), ``carry`` (forward of the quarterly) or ``none``.
    """

    spot: float
    es: float
    basis_from: str

    def level(self, spx: float) -> float:
        """Map a level of the index."""
        return spx * self.es / self.spot


def map_to_es(
    found: Positioning,
    at: int,
    es: float | None = None,
    *,
    settles: int | None = None,
    max_error: float = 3.0,
) -> EsMap:
    """Map levels by the basis between ES and the index.

    Parameters
    ----------
    found : Positioning
    at : int
        Instant of the ES price, ns UTC.
    es : float, optional
        Price of ES, points; without it ES is at its fair value of the quotes.
    settles : int, optional
        Settlement of the ES contract, ns UTC; by default the nearest quarterly.
    max_error : float
        ES less S counts if it differs from the carry model by no more, points.
    """
    nearest = _quarterly(found, settles)
    if nearest is None:
        return EsMap(
            found.spot, found.spot if es is None else es, "none" if es is None else "market"
        )
    carry = log(nearest.fair_ratio) / (nearest.settle_ns - found.asof)
    ratio = exp(carry * ((settles or nearest.settle_ns) - at))
    if es is None:
        return EsMap(found.spot, found.spot * ratio, "carry")
    model = es * (1.0 - 1.0 / ratio)
    if abs(es - found.spot - model) <= max_error:
        return EsMap(found.spot, es, "market")
    return EsMap(es - model, es, "carry")


def _quarterly(found: Positioning, settles: int | None) -> Quarterly | None:
    for quarterly in found.quarterlies:
        if settles is None or quarterly.settle_ns == settles:
            return quarterly
    return found.quarterlies[0] if found.quarterlies else None


def iso(ts: int) -> str:
    """Write an instant (ns UTC) as ISO 8601 to the second."""
    return f"{datetime.fromtimestamp(ts // 1_000_000_000, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _plain(value: float) -> float | None:
    return float(value) if isfinite(value) else None


NUMBERS = (
    "spot",
    "index_print",
    "gex_usd_per_pct",
    "gross_gex_usd_per_pct",
    "gex_ratio",
    "dex_usd",
    "vex_usd_per_point",
    "cex_usd_per_day",
    "zero_dte_share",
    "expected_move",
    "sigma_7d",
    "sigma_30d",
    "sigma_90d",
    "skew_30d",
    "pcr_oi",
    "pcr_volume",
    "two_sided_share",
    "parity_residual",
    "iv_failure_share",
    "es_fair_ratio",
)


def summary(found: Positioning, appraisal: Appraisal) -> dict[str, Any]:
    """Lay out a positioning as plain values for JSON.

    Numbers that cannot be had are None. Below the least quality so are the levels, ``flips`` is
    empty, and every feature is 0.
    """
    shown = appraisal.usable
    values: dict[str, Any] = {
        "asof": iso(found.asof),
        "asof_ns": found.asof,
        "received_at": iso(found.received_at),
        "judged_at": iso(appraisal.at),
        "source": found.source,
        "delayed_s": found.delayed_s,
        "oi_session": found.oi_session,
        "complete": found.complete,
        "model": found.model,
        "quality": appraisal.quality,
        "usable": shown,
        "quality_factors": dict(appraisal.factors),
    }
    values |= {name: _plain(getattr(found, name)) for name in NUMBERS}
    values["expiries_seen"] = found.expiries_seen
    values["expiries_expected"] = found.expiries_expected
    values |= {name: _plain(getattr(found, name)) if shown else None for name in LEVELS}
    values["flips"] = [
        {"level": flip.level, "slope_usd_per_pct_per_point": flip.slope}
        for flip in (found.flips if shown else ())
    ]
    values["features"] = dict(appraisal.features)
    values["features_valid"] = dict(appraisal.valid)
    return values


REACH = 0.1
"""Strikes are laid out for a chart up to this share of the spot away."""


def charted(found: Positioning, appraisal: Appraisal) -> dict[str, Any]:
    """Lay out a positioning with its curves, as plain values for a chart.

    Returns
    -------
    dict
        `summary`, ``strikes`` as (strike, signed, unsigned exposure) near the spot, ``profile`` as
        (level, exposure), ``by_expiry`` as (yyyymmdd, exposure), USD per 1 % move, and
        ``es_per_spx``, the fair price of ES per point of the index when the quotes were taken.
    """
    values = summary(found, appraisal)
    near = abs(found.strikes - found.spot) <= REACH * found.spot
    curves = (found.strikes[near], found.gex_by_strike[near], found.gross_by_strike[near])
    to_es = map_to_es(found, found.asof)
    ratio = to_es.es / to_es.spot if to_es.spot > 0 and to_es.basis_from != "none" else nan
    values["strikes"] = [[_plain(x) for x in row] for row in zip(*curves, strict=True)]
    values["profile"] = [
        [_plain(level), _plain(gex)] for level, gex in zip(found.levels, found.profile, strict=True)
    ]
    values["by_expiry"] = [
        [int(expiry), _plain(gex)]
        for expiry, gex in zip(found.expiries, found.gex_by_expiry, strict=True)
    ]
    values["es_per_spx"] = _plain(ratio)
    return values
