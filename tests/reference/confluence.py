"""Price levels, their weights, the price score and zones (section 10)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace

from reference.bars import Bar
from reference.conventions import MINUTE, Session, ge, gt, le

# kind: family, weight, strength, maximum age in minutes (None for moving levels)
TABLE: dict[str, tuple[str, float, float, float | None]] = {
    "call_wall": ("options", 1.0, 0.9, 480),
    "put_wall": ("options", 1.0, 0.9, 480),
    "gamma_flip": ("options", 0.9, 0.8, 720),
    "poc": ("profile", 0.9, 0.8, None),
    "vah": ("profile", 0.8, 0.7, None),
    "val": ("profile", 0.8, 0.7, None),
    "hvn": ("profile", 0.6, 0.5, None),
    "vwap": ("vwap", 0.8, 0.7, None),
    "vwap_sd1": ("vwap", 0.7, 0.6, None),
    "vwap_sd2": ("vwap", 0.6, 0.5, None),
    "prev_poc": ("previous", 0.7, 0.6, 1440),
    "prev_vah": ("previous", 0.6, 0.5, 1440),
    "prev_val": ("previous", 0.6, 0.5, 1440),
    "session_high": ("session", 0.5, 0.4, None),
    "session_low": ("session", 0.5, 0.4, None),
    "overnight_high": ("overnight", 0.4, 0.3, 1440),
    "overnight_low": ("overnight", 0.4, 0.3, 1440),
    "round_25": ("round", 0.3, 0.3, None),
    "round_100": ("round", 0.2, 0.3, None),
}
ZONE_REACH = 800


@dataclass(frozen=True)
class Level:
    """A level in ES ticks; `q` is the options quality, 1 elsewhere."""

    kind: str
    price: float
    age_min: float = 0.0
    touches: int = 0
    q: float = 1.0

    @property
    def family(self) -> str:
        return TABLE[self.kind][0]

    @property
    def weight(self) -> float:
        _, weight, strength, max_age = TABLE[self.kind]
        age = max(0.1, 1.0 - self.age_min / max_age) if max_age else 1.0
        return weight * strength * age * min(2.0, 1.0 + 0.2 * self.touches) * self.q


@dataclass(frozen=True)
class Zone:
    """Neighbouring levels; `count` and `kinds` are of those that the family cap lets count."""

    low: float
    high: float
    score: float
    count: int
    kinds: int
    quality: str
    centre: float


@dataclass(frozen=True)
class Options:
    """What the options engine last said, in ES ticks; nan where there is none."""

    feature: tuple[float, ...] = (0.0,) * 6
    valid: tuple[int, ...] = (0,) * 6
    gamma_flip: float = math.nan
    call_wall: float = math.nan
    put_wall: float = math.nan
    quality: float = 0.0
    ts_quotes: int = 0


@dataclass(frozen=True)
class LevelSources:
    """Where the levels of one close come from; None where there is nothing."""

    t: int
    close: int
    session: Session
    profile: tuple[int, int, int] | None  # POC, VAH, VAL
    nodes: Sequence[float]
    vwap: tuple[float, float] | None
    previous: tuple[int, int, int] | None
    session_range: tuple[int, int]
    overnight: tuple[int, int] | None
    options: Options
    earlier: Sequence[Bar]  # bars of the session before this one


def touches(price: float, bars: Sequence[Bar], session: Session) -> int:
    """Count the RTH bars that reached a level when the bar before did not."""
    count, before = 0, False
    for bar in bars:
        reached = le(bar.low - 2, price) and ge(bar.high + 2, price)
        count += reached and not before and session.in_rth(bar.t_open)
        before = reached
    return count


def levels(s: LevelSources) -> list[Level]:
    """Return the levels of one close."""
    since_open = max(0.0, (s.t - s.session.t_rth_open) / MINUTE)
    since_quotes = max(0.0, (s.t - s.options.ts_quotes) / MINUTE)
    out: list[Level] = []

    def moving(kind: str, price: float) -> None:
        out.append(Level(kind, price))

    def fixed(kind: str, price: float, age: float, q: float = 1.0) -> None:
        out.append(Level(kind, price, age, touches(price, s.earlier, s.session), q))

    for kind in ("call_wall", "put_wall", "gamma_flip"):
        price = getattr(s.options, kind)
        if not math.isnan(price):
            fixed(kind, price, since_quotes, s.options.quality)
    if s.profile is not None:
        for kind, price in zip(("poc", "vah", "val"), s.profile, strict=True):
            moving(kind, price)
        for price in s.nodes:
            if gt(abs(price - s.profile[0]), 3.0):
                moving("hvn", price)
    if s.vwap is not None:
        value, sd = s.vwap
        moving("vwap", value)
        for k in (1, 2):
            moving(f"vwap_sd{k}", value - k * sd)
            moving(f"vwap_sd{k}", value + k * sd)
    if s.previous is not None:
        for kind, price in zip(("prev_poc", "prev_vah", "prev_val"), s.previous, strict=True):
            fixed(kind, price, since_open)
    moving("session_high", s.session_range[0])
    moving("session_low", s.session_range[1])
    if s.overnight is not None:
        fixed("overnight_high", s.overnight[0], since_open)
        fixed("overnight_low", s.overnight[1], since_open)
    below = s.close // 100 * 100
    nearest = below if s.close - below <= 50 else below + 100
    moving("round_25" if nearest % 400 else "round_100", nearest)
    return out


def _capped(terms: Sequence[tuple[float, Level]], p: SimpleNamespace) -> list[tuple[float, Level]]:
    """Keep the largest terms of each family; of equal ones the first."""
    kept: list[tuple[float, Level]] = []
    count: dict[str, int] = {}
    for term, level in sorted(terms, key=lambda pair: -pair[0]):
        count[level.family] = count.get(level.family, 0) + 1
        if count[level.family] <= p.conf_family_cap:
            kept.append((term, level))
    return kept


def price_score(found: Sequence[Level], close: int, atr: float, p: SimpleNamespace) -> float:
    """Return the score of the levels around a close."""
    radius = max(p.conf_radius_ticks, p.conf_radius_atr * atr)
    terms = []
    for level in found:
        d = abs(close - level.price)
        if le(d, radius):
            terms.append((level.weight * (1.0 - d / radius), level))
    return min(1.0, sum(term for term, _ in _capped(terms, p)) / p.conf_price_norm)


def zones(found: Sequence[Level], close: int, atr: float, p: SimpleNamespace) -> list[Zone]:
    """Return the zones within reach of a close, ascending."""
    near = sorted(
        (level for level in found if le(abs(level.price - close), ZONE_REACH)),
        key=lambda level: level.price,
    )
    gap = max(p.conf_gap_ticks, p.conf_gap_atr * atr)
    groups: list[list[Level]] = []
    for level in near:
        if groups and le(level.price - groups[-1][-1].price, gap):
            groups[-1].append(level)
        else:
            groups.append([level])
    return [_zone(group, p) for group in groups]


def _zone(group: Sequence[Level], p: SimpleNamespace) -> Zone:
    counted = _capped([(level.weight, level) for level in group], p)
    score = min(1.0, sum(w for w, _ in counted) / p.conf_zone_norm)
    table = [TABLE[level.kind][1] for _, level in counted]
    centre = sum(w * level.price for w, (_, level) in zip(table, counted, strict=True))
    n = len(counted)
    quality = "WEAK"
    for name, least, members in (("EXTREME", 0.8, 7), ("STRONG", 0.6, 5), ("MODERATE", 0.4, 3)):
        if ge(score, least) or n >= members:
            quality = name
            break
    return Zone(
        low=group[0].price,
        high=group[-1].price,
        score=score,
        count=n,
        kinds=len({level.kind for _, level in counted}),
        quality=quality,
        centre=centre / sum(table),
    )
