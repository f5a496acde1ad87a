"""Evidence detectors and the five ES patterns (section 12)."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import SimpleNamespace

from mia.core.base_types import Regime, SetupKind
from reference.bars import Bar
from reference.conventions import MINUTE, clip, ge, gt, le, lt, mean, median, pos, std, tri
from reference.view import ValueArea, View

MIN_RR = 1.5
REPEAT_TICKS = 4


def headfake(bars: Sequence[Bar], vr: float) -> tuple[float, int]:
    """Return the score and the trap: +1 BEAR_TRAP, -1 BULL_TRAP, 0 none."""
    if len(bars) < 10:
        return 0.0, 0
    bar, nine = bars[-1], bars[-10:-1]
    flows = [abs(b.delta / b.volume) for b in bars[-21:-1]]
    usual = median(flows) if len(flows) >= 5 else 0.0
    weak_flow = lt(abs(bar.delta / bar.volume), 0.5 * usual)
    common = 0.3 * gt(vr, 1.5) + 0.3 * weak_flow
    top, bottom = max(b.high for b in nine), min(b.low for b in nine)
    up = 0.4 * (bar.close <= top) + common if bar.high > top else 0.0
    down = 0.4 * (bar.close >= bottom) + common if bar.low < bottom else 0.0
    if bar.high > top and bar.low < bottom and not gt(abs(up - down), 0.0):
        return up, 0
    if gt(up, down):
        return up, -1 if bar.close <= top and ge(up, 0.7) else 0
    return down, 1 if bar.low < bottom <= bar.close and ge(down, 0.7) else 0


def micro_anomaly(bars: Sequence[Bar], book: float) -> float:
    """Return the largest of the volume term and the book's terms."""
    found = book
    earlier = [b.volume for b in bars[-21:-1]]
    if len(earlier) == 20 and std(earlier) > 0:
        z = (bars[-1].volume - mean(earlier)) / std(earlier)
        if gt(z, 4.0):
            found = max(found, min(z / 6, 1.0))
    return found


def gamma_pin(
    bars: Sequence[Bar], atr: float, gamma_ratio: float, valid: bool, walls: Sequence[float]
) -> float:
    """Return how strongly the nearer dealer wall holds the price."""
    known = [wall for wall in walls if not math.isnan(wall)]
    if not valid or not known:
        return 0.0
    d = min(abs(bars[-1].close - wall) for wall in known)
    earlier = [b.volume for b in bars[-6:-1]]
    quiet = len(earlier) == 5 and lt(bars[-1].volume, 0.7 * mean(earlier))
    pull = tri(d, max(5.0, 0.33 * atr)) * pos(gamma_ratio)
    return min(pull * (1.2 if quiet else 1.0), 1.0)


@dataclass(frozen=True)
class Found:
    """A trigger seen from its own side; target nan means a multiple of the distance."""

    kind: SetupKind
    quality: float
    level: float
    stop: float
    target: float


@dataclass(frozen=True)
class Widths:
    """Widths of section 12.2 in ticks."""

    pen_max: float
    back: float
    near: float

    @classmethod
    def of(cls, atr: float, p: SimpleNamespace) -> "Widths":
        return cls(
            max(p.es_pattern_pen_ticks, p.es_pattern_pen_atr * atr),
            max(p.es_pattern_back_ticks, p.es_pattern_back_atr * atr),
            max(p.es_pattern_near_ticks, p.es_pattern_near_atr * atr),
        )


def _reward_ok(view: View, stop: float, target: float) -> bool:
    close = view.candles[-1].close
    return ge((target - close) / (close - stop), MIN_RR)


def _rejection(view: View, area: ValueArea | None, w: Widths) -> Found | None:
    bar = view.candles[-1]
    if area is None or view.regime is Regime.STRONG_TREND_BEAR:
        return None
    level = area.lower
    depth = level - bar.low
    supported = bar.delta > 0 or gt(view.f4, 0.3)
    if not (
        bar.low <= level + 1
        and le(depth, w.pen_max)
        and ge(bar.close, level + w.back)
        and bar.green
        and supported
    ):
        return None
    strength = (
        0.30 * tri(depth, w.pen_max)
        + 0.25 * min(view.vr / 1.5, 1.0)
        + 0.25 * bar.clv
        + 0.10 * pos(view.f4)
        + 0.10 * clip(bar.dr / 0.15, 0.0, 1.0)
    )
    stop = bar.low - 2
    target = area.poc if _reward_ok(view, stop, area.poc) else area.upper
    return Found(SetupKind.P1, strength, level, stop, target)


def value_rejection(view: View, w: Widths) -> Found | None:
    """P1: the stronger of the developing and the previous value area."""
    now, before = _rejection(view, view.developing, w), _rejection(view, view.previous, w)
    if now is None or before is None:
        return now or before
    return before if gt(before.quality, now.quality) else now


def vwap_deviation(view: View, p: SimpleNamespace) -> Found | None:
    """P2."""
    if len(view.candles) < 3 or any(math.isnan(value) for value, _ in view.vwap[-3:]):
        return None
    bars = view.candles[-3:]
    z = [
        (bar.close - value) / max(sd, 1.0)
        for bar, (value, sd) in zip(bars, view.vwap[-3:], strict=True)
    ]
    zmin = min(z)
    if not (
        le(zmin, -p.es_pattern_p2_z)
        and bars[-1].green
        and ge(z[-1] - z[-2], p.es_pattern_p2_rise)
        and view.vslope_valid
        and lt(abs(view.vslope / view.atr), p.es_pattern_p2_slope)
        and view.regime is not Regime.STRONG_TREND_BEAR
    ):
        return None
    strength = (
        0.50 * min((abs(zmin) - 1.0) / 1.5, 1.0)
        + 0.25 * min(view.vr / 1.5, 1.0)
        + 0.15 * bars[-1].clv
        + 0.10 * pos(view.f3)
    )
    value = view.vwap[-1][0]
    return Found(SetupKind.P2, strength, value, min(bar.low for bar in bars) - 2, value)


def flip_momentum(view: View, w: Widths) -> Found | None:
    """P3."""
    flip = view.gamma_flip
    if math.isnan(flip) or len(view.candles) < 3:
        return None
    two, one, bar = view.candles[-3:]
    if not (
        le(two.close, flip)
        and gt(one.close, flip)
        and ge(bar.close - flip, w.back)
        and gt(view.vr, 1.2)
        and bar.delta > 0
        and lt(view.gamma_pin, 0.5)
    ):
        return None
    strength = (
        0.4 * min((bar.close - flip) / w.pen_max, 1.0)
        + 0.3 * min(view.vr / 2, 1.0)
        + 0.3 * min(abs(bar.dr) / 0.15, 1.0)
    )
    return Found(SetupKind.P3, strength, flip, flip - 4, math.nan)


def battle(view: View, p: SimpleNamespace) -> Found | None:
    """P4; the wide-stop rule measures from where the trend strategy enters."""
    if view.base is None or view.base[2] < 0:
        return None
    if not (
        view.signal == 1
        and gt(view.golden, 0.0)
        and ge(view.confidence, p.es_pattern_p4_conf)
        and (view.launched == 1 or gt(view.bullish_pattern, 0.6))
    ):
        return None
    low, high, _ = view.base
    strength = 0.6 * min(abs(view.score) / 0.5, 1.0) + 0.4 * view.base_quality
    stop = low - 4
    if high - low >= 4:
        stop = min(stop, view.candles[-1].high + 1 - max(6, high - low + 2))
    return Found(SetupKind.P4, strength, high, stop, math.nan)


def confluence_bounce(view: View, w: Widths) -> Found | None:
    """P5: the best zone by strength, of equal ones the nearest to the close."""
    bar = view.candles[-1]
    if not bar.green or not ge(view.score, -0.35):
        return None
    best: Found | None = None
    for zone in reversed(view.zones):
        if not (
            zone.kinds >= 3
            and le(bar.low, zone.high + w.near)
            and ge(bar.open, zone.low)
            and gt(bar.close, zone.high)
        ):
            continue
        strength = (
            0.4 * min(zone.kinds / 5, 1.0)
            + 0.3 * min(zone.score / 0.6, 1.0)
            + 0.3 * min(pos(view.score) / 0.4, 1.0)
        )
        if best is None or gt(strength, best.quality):
            stop = min(zone.low, bar.low) - 3
            best = Found(SetupKind.P5, strength, zone.centre, stop, _zone_target(view, stop))
    return best


def _zone_target(view: View, stop: float) -> float:
    for zone in view.zones:
        above = gt(zone.low, view.candles[-1].close)
        if above and zone.kinds >= 2 and _reward_ok(view, stop, zone.low):
            return zone.low
    return math.nan


def es_patterns(view: View, p: SimpleNamespace) -> Iterator[Found]:
    """Yield the ES patterns that a LONG view triggers, in the order of their names."""
    w = Widths.of(view.atr, p)
    found = (
        value_rejection(view, w),
        vwap_deviation(view, p),
        flip_momentum(view, w),
        battle(view, p),
        confluence_bounce(view, w),
    )
    yield from (hit for hit in found if hit is not None)


class Reported:
    """Remembers the hits of a session, so that none is reported twice in a short time."""

    def __init__(self, p: SimpleNamespace) -> None:
        self._wait = p.es_pattern_repeat_min * MINUTE
        self._hits: list[tuple[SetupKind, int, float, int]] = []

    def is_news(self, kind: SetupKind, side: int, level: float, t: int) -> bool:
        """Tell whether a hit is to be reported, and remember it if it is."""
        for old_kind, old_side, old_level, old_t in self._hits:
            same = (old_kind, old_side) == (kind, side) and le(abs(level - old_level), REPEAT_TICKS)
            if same and t - old_t < self._wait:
                return False
        self._hits.append((kind, side, level, t))
        return True
