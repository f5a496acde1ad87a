"""Market regime: trend test, range test, publication (section 9)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace

from mia.core.base_types import Regime
from reference.bars import Bar
from reference.conventions import MINUTE, ge, gt, le, rank_hi, rank_lo, sgn


@dataclass(frozen=True)
class Trend:
    """Outcome of the trend test."""

    side: int
    up: int
    down: int
    strength: float
    strong: bool
    weak: bool


@dataclass(frozen=True)
class Range:
    """An accepted range."""

    resistance: int
    support: int
    tolerance: float
    quality: float


@dataclass(frozen=True)
class RegimeState:
    """Result at one close; the fields are those of the kernels' record."""

    raw: Regime
    regime: Regime
    confidence: float
    strength: float
    changed_at: int
    up: int
    down: int
    tested: bool
    raw_strength: float
    resistance: float
    support: float
    tolerance: float
    range_quality: float


def _events(bars: Sequence[Bar]) -> list[tuple[int, int]]:
    """Return (index, direction) of the pivot events, in the order of their index."""
    found: list[tuple[int, int]] = []
    for values, sign in (([b.high for b in bars], 1), ([-b.low for b in bars], -1)):
        last: int | None = None
        for j in range(2, len(values) - 2):
            v = values[j]
            before, after = values[j - 2 : j], values[j + 1 : j + 3]
            if v > max(before) and v >= max(after):
                if last is not None and v != last:
                    found.append((j, sign * sgn(v - last)))
                last = v
    return sorted(found)


def trend_test(bars: Sequence[Bar], atr: float, vslope: float, p: SimpleNamespace) -> Trend:
    """Apply section 9.1 to the last `reg.bars` bars."""
    window = bars[-p.reg_bars :]
    events = _events(window)
    up = sum(direction > 0 for _, direction in events)
    down = len(events) - up
    side = sgn(up - down)
    structure = max(up, down) / len(events) if events else 0.0
    sl = vslope / atr
    slope = min(abs(sl) / p.reg_slope_full, 1.0)
    c = [b.close for b in window]
    m = 0.6 * (c[-1] - c[-6]) + 0.4 * (c[-1] - c[-11])
    momentum = min(abs(m) / (p.reg_mom_atr * atr), 1.0)
    st = 0.40 * structure + 0.35 * slope + 0.25 * momentum
    intact = len(events) >= p.reg_intact and all(
        direction == side for j, direction in events if j >= events[-p.reg_intact][0]
    )
    most = max(up, down)
    strong = (
        side != 0
        and ge(st, p.reg_strong)
        and most >= p.reg_strong_counts
        and gt(sl * side, p.reg_slope_strong)
        and intact
    )
    weak = (
        side != 0
        and ge(st, p.reg_weak)
        and most >= p.reg_weak_counts
        and gt(sl * side, p.reg_slope_weak)
    )
    return Trend(side, up, down, st, strong, weak)


def _tests(values: Sequence[int], level: int, tol: float) -> int:
    touching = [le(abs(v - level), tol) for v in values]
    return sum(
        now and not before for before, now in zip([False, *touching], touching, strict=False)
    )


def range_test(bars: Sequence[Bar], atr: float, p: SimpleNamespace) -> Range | None:
    """Apply section 9.2 to the last `reg.range_bars` bars; None unless accepted."""
    window = bars[-p.reg_range_bars :]
    n = len(window)
    tol = max(p.reg_tol_ticks, p.reg_tol_atr * atr)
    highs, lows = [b.high for b in window], [b.low for b in window]
    # A dict keeps the order in which levels are put in, and max returns the first of equals.
    tops = dict.fromkeys(rank_hi(highs, q) for q in (95, 90, 85))
    bottoms = dict.fromkeys(rank_lo(lows, q) for q in (5, 10, 15))
    tops = {level: _tests(highs, level, tol) for level in tops}
    bottoms = {level: _tests(lows, level, tol) for level in bottoms}
    resistance = max(tops, key=tops.get)
    support = max(bottoms, key=bottoms.get)
    size = resistance - support
    smin = max(p.reg_size_min_ticks, p.reg_size_min_atr * atr)
    smax = max(p.reg_size_max_ticks, p.reg_size_max_atr * atr)
    upper, lower = tops[resistance], bottoms[support]
    minutes = (window[-1].t_close - window[0].t_open) / MINUTE
    closes = [b.close for b in window]
    respect = sum(ge(c, support - tol / 2) and le(c, resistance + tol / 2) for c in closes) / n
    accepted = (
        ge(size, smin)
        and le(size, smax)
        and min(upper, lower) >= p.reg_min_tests
        and ge(minutes, p.reg_min_minutes)
        and ge(respect, p.reg_respect)
        and ge(closes[-1], support - tol)
        and le(closes[-1], resistance + tol)
    )
    if not accepted:
        return None
    third = n // 3
    volumes = [b.volume for b in window]
    quality = (
        0.30 * min((upper + lower) / 8, 1.0)
        + 0.25 * respect
        + 0.20 * min(minutes / 60, 1.0)
        + 0.15 * (ge(size, 1.25 * smin) and le(size, 0.6 * smax))
        + 0.10 * (sum(volumes[n - third :]) < sum(volumes[:third]))
    )
    return Range(resistance, support, tol, quality)


class MarketRegime:
    """Publication over one session; make a new one at a session reset."""

    def __init__(self, p: SimpleNamespace) -> None:
        self._p = p
        self._raws: list[Regime] = []
        self._published = Regime.UNCLEAR
        self._confidence = 0.30
        self._strength = 0.0
        self._changed_at = 0
        self._range: Range | None = None

    def update(self, bars: Sequence[Bar], atr: float, vslope: float) -> RegimeState:
        """Evaluate the last of the session's bars."""
        p = self._p
        trend: Trend | None = None
        found: Range | None = None
        raw, confidence, strength = Regime.UNCLEAR, 0.30, 0.0
        if len(bars) >= p.reg_bars:
            trend = trend_test(bars, atr, vslope, p)
            strength = trend.strength
            if not trend.strong:
                found = range_test(bars, atr, p)
            raw, confidence = self._classify(trend, found)
        self._publish(raw, confidence, strength, bars[-1].t_close)
        if found is not None:
            self._range = found
        levels = self._range
        return RegimeState(
            raw=raw,
            regime=self._published,
            confidence=self._confidence,
            strength=self._strength,
            changed_at=self._changed_at,
            up=trend.up if trend else 0,
            down=trend.down if trend else 0,
            tested=trend is not None,
            raw_strength=trend.strength if trend else math.nan,
            resistance=levels.resistance if levels else math.nan,
            support=levels.support if levels else math.nan,
            tolerance=levels.tolerance if levels else math.nan,
            range_quality=found.quality if found else math.nan,
        )

    def _classify(self, trend: Trend, found: Range | None) -> tuple[Regime, float]:
        bull = trend.side > 0
        if trend.strong:
            raw = Regime.STRONG_TREND_BULL if bull else Regime.STRONG_TREND_BEAR
            return raw, 0.85 + 0.15 * trend.strength
        if found is not None:
            if abs(trend.up - trend.down) < self._p.reg_bias_counts:
                return Regime.RANGE_NEUTRAL, 0.60 + 0.25 * found.quality
            raw = Regime.RANGE_BULLISH_BIAS if bull else Regime.RANGE_BEARISH_BIAS
            return raw, 0.70 + 0.20 * found.quality
        if trend.weak:
            raw = Regime.WEAK_TREND_BULL if bull else Regime.WEAK_TREND_BEAR
            return raw, 0.65 + 0.20 * trend.strength
        return Regime.UNCLEAR, 0.30

    def _publish(self, raw: Regime, confidence: float, strength: float, t_close: int) -> None:
        self._raws.append(raw)
        hold = self._p.reg_hold_bars
        newest = self._raws[-hold:]
        last_three = self._raws[-3:]
        published = self._published
        if len(newest) == hold and len(set(newest)) == 1:
            published = raw
        elif len(last_three) == 3 and len(set(last_three)) == 3:
            published = Regime.TRANSITION
        if published is not self._published:
            self._published = published
            self._changed_at = t_close
            self._range = None
        if published is raw:
            self._confidence, self._strength = confidence, strength
        elif published is Regime.TRANSITION:
            self._confidence = 0.50
        else:
            self._confidence *= 0.9


def permitted(regime: Regime, side: int) -> bool:
    """Tell whether a side may be traded (section 9.5)."""
    if regime is Regime.RANGE_NEUTRAL:
        return True
    return regime.side == side
