"""Made-up chains whose quotes follow Black's formula exactly."""

from collections.abc import Callable
from dataclasses import fields
from datetime import datetime, timedelta

import numpy as np

from mia.core.chain import Chain, ChainMeta, Root
from mia.core.sessions import NEW_YORK, SECOND
from mia.features.option_math import prices

YEAR_S = 365 * 86400
COLUMNS = [field.name for field in fields(Chain) if field.name not in ("meta", "issues")]

ASOF = datetime(2024, 3, 12, 11, 0, tzinfo=NEW_YORK)
"""A Tuesday; the third Friday is the 15th."""


def instant(moment: datetime) -> int:
    return int(moment.timestamp()) * SECOND


def series(root: Root, days: int, asof: datetime = ASOF) -> tuple[Root, datetime]:
    """Return a root and the settlement `days` calendar days after `asof`."""
    day = asof + timedelta(days=days)
    hour, minute = (9, 30) if root == Root.SPX else (16, 0)
    return root, day.replace(hour=hour, minute=minute, second=0, microsecond=0)


STANDARD = [series(Root.SPXW, days) for days in (0, 1, 3, 7, 14, 31, 59)]
STANDARD += [series(Root.SPX, days) for days in (3, 38, 101, 192, 283)]


def skewed(moneyness: np.ndarray, years: float) -> np.ndarray:
    """Return volatilities that fall with the strike; moneyness is ln(K / F)."""
    return 0.16 + 0.01 * years - 0.25 * moneyness / np.sqrt(1 + 5 * years) + 0.3 * moneyness**2


def flat(moneyness: np.ndarray, years: float) -> np.ndarray:
    return np.full_like(moneyness, 0.2)


def ordinary_interest(strike: np.ndarray, right: int) -> np.ndarray:
    """Return open interest with puts below and calls above, round strikes preferred."""
    centre = 5250.0 if right == 1 else 5000.0
    bell = 3000.0 * np.exp(-0.5 * ((strike - centre) / 150.0) ** 2)
    return np.round(bell * np.where(strike % 100 == 0, 3.0, 1.0) + 5.0)


def make_chain(
    *,
    spot: float = 5120.0,
    rate: float = 0.05,
    dividend: float = 0.015,
    listing: list[tuple[Root, datetime]] = STANDARD,
    asof: datetime = ASOF,
    vol: Callable[[np.ndarray, float], np.ndarray] = skewed,
    interest: Callable[[np.ndarray, int], np.ndarray] = ordinary_interest,
    strikes: np.ndarray | None = None,
    half_spread: float = 0.02,
    stretch: float = 1.0,
) -> Chain:
    """Quote every option at Black's price less and plus `half_spread` (share of the price).

    `stretch` multiplies the time that is left to each settlement.
    """
    strikes = np.arange(4000.0, 6200.0, 25.0) if strikes is None else strikes
    blocks = []
    for root, settlement in sorted(listing, key=lambda item: (item[0], item[1])):
        seconds = (settlement - asof).total_seconds() * stretch
        years = seconds / YEAR_S
        forward = np.full(len(strikes), spot * np.exp((rate - dividend) * years))
        discount = np.full(len(strikes), np.exp(-rate * years))
        total_vol = vol(np.log(strikes / forward), years) * np.sqrt(years)
        for right in (-1, 1):
            rights = np.full(len(strikes), right, dtype=np.int8)
            mid = prices(forward, strikes, rights, discount, total_vol)
            nothing = np.full(len(strikes), np.nan)
            blocks.append(
                {
                    "root": np.full(len(strikes), int(root), dtype=np.int8),
                    "settle_ns": np.full(len(strikes), instant(asof) + round(seconds) * SECOND),
                    "expiry": np.full(len(strikes), int(f"{settlement:%Y%m%d}"), dtype=np.int32),
                    "strike": strikes,
                    "right": rights,
                    "bid": mid * (1.0 - half_spread),
                    "ask": mid * (1.0 + half_spread),
                    "open_interest": interest(strikes, right),
                    "volume": interest(strikes, right) // 3,
                    "vendor_iv": nothing,
                    "vendor_delta": nothing,
                    "vendor_gamma": nothing,
                }
            )
    joined = {name: np.concatenate([block[name] for block in blocks]) for name in COLUMNS}
    order = np.lexsort(tuple(joined[name] for name in ("right", "strike", "settle_ns", "root")))
    meta = ChainMeta(
        source="made-up",
        underlying="SPX",
        quotes_asof=instant(asof),
        oi_session=20240311,
        received_at=instant(asof) + SECOND,
        index_print=spot,
    )
    return Chain(meta=meta, **{name: joined[name][order] for name in COLUMNS})


def take(chain: Chain, rows: np.ndarray) -> Chain:
    """Return a chain of the given rows (mask or indices)."""
    columns = {name: getattr(chain, name)[rows] for name in COLUMNS}
    return Chain(meta=chain.meta, **columns)
