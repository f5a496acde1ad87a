"""The market at one close as a buyer sees it; its mirror is how a seller sees it (section 12).

Rules are written once, for LONG, over a `View`; `View.mirrored` negates prices, swaps High and
Low, VAL and VAH, the walls and the bar patterns, and turns every signed number.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from mia.core.base_types import Regime
from reference.bars import Bar
from reference.confluence import Zone

READABLE = 128

_MIRROR = {
    Regime.STRONG_TREND_BULL: Regime.STRONG_TREND_BEAR,
    Regime.WEAK_TREND_BULL: Regime.WEAK_TREND_BEAR,
    Regime.RANGE_BULLISH_BIAS: Regime.RANGE_BEARISH_BIAS,
}
_MIRROR |= {after: before for before, after in _MIRROR.items()}


@dataclass(frozen=True)
class Candle:
    """A bar from one side."""

    open: int
    high: int
    low: int
    close: int
    volume: int
    delta: int

    @classmethod
    def of(cls, bar: Bar) -> "Candle":
        return cls(bar.open, bar.high, bar.low, bar.close, bar.volume, bar.delta)

    @property
    def green(self) -> bool:
        return self.close > self.open

    @property
    def dr(self) -> float:
        return self.delta / self.volume

    @property
    def clv(self) -> float:
        height = self.high - self.low
        return (self.close - self.low) / height if height else 0.5

    @cached_property
    def mirror(self) -> "Candle":
        return Candle(-self.open, -self.low, -self.high, -self.close, self.volume, -self.delta)


@dataclass(frozen=True)
class ValueArea:
    """POC with the edge below (VAL for LONG) and above (VAH)."""

    poc: int
    lower: int
    upper: int

    @classmethod
    def of(cls, levels: tuple[int, int, int] | None) -> "ValueArea | None":
        """Take POC, VAH, VAL."""
        return levels and cls(levels[0], levels[2], levels[1])

    def mirrored(self) -> "ValueArea":
        return ValueArea(-self.poc, -self.upper, -self.lower)


@dataclass(frozen=True)
class View:
    """Inputs of evidence, ES patterns and triggers, nan or None where undefined."""

    candles: Sequence[Candle]
    atr: float
    vr: float
    vwap: Sequence[tuple[float, float]]  # (VWAP, SD) at the last bars, newest last
    vslope: float
    vslope_valid: bool
    f3: float
    f4: float
    regime: Regime
    support: float
    resistance: float
    tolerance: float
    developing: ValueArea | None
    previous: ValueArea | None
    zones: Sequence[Zone]
    price_score: float
    gamma_flip: float
    put_wall: float
    call_wall: float
    gamma_pin: float
    score: float
    golden: float
    signal: int
    confidence: float
    base_quality: float
    launched: int  # colour of the base accepted at this bar, else 0
    base: tuple[int, int, int] | None  # low, high, colour of the active base
    pattern: Sequence[float]  # LDU, LUD, CDS, CUS

    @property
    def bullish_pattern(self) -> float:
        """Largest strength of LDU and CUS present."""
        return max(self.pattern[0], self.pattern[3])

    def mirrored(self) -> "View":
        zones = [
            replace(zone, low=-zone.high, high=-zone.low, centre=-zone.centre)
            for zone in reversed(self.zones)
        ]
        base = self.base and (-self.base[1], -self.base[0], -self.base[2])
        ldu, lud, cds, cus = self.pattern
        return replace(
            self,
            candles=[candle.mirror for candle in self.candles],
            vwap=[(-value, sd) for value, sd in self.vwap],
            vslope=-self.vslope,
            f3=-self.f3,
            f4=-self.f4,
            regime=_MIRROR.get(self.regime, self.regime),
            support=-self.resistance,
            resistance=-self.support,
            developing=self.developing and self.developing.mirrored(),
            previous=self.previous and self.previous.mirrored(),
            zones=zones,
            gamma_flip=-self.gamma_flip,
            put_wall=-self.call_wall,
            call_wall=-self.put_wall,
            score=-self.score,
            golden=-self.golden,
            signal=-self.signal,
            launched=-self.launched,
            base=base,
            pattern=(lud, ldu, cus, cds),
        )
