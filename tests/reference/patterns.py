"""Bar patterns (section 6)."""

from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace

from mia.core.base_types import BarPattern
from reference.bars import Bar
from reference.conventions import MINUTE, ge, gt, le, lt

DIRECTION = {BarPattern.LDU: 1, BarPattern.LUD: -1, BarPattern.CDS: -1, BarPattern.CUS: 1}


@dataclass(frozen=True)
class Hit:
    """A pattern known at the close of its bar +1."""

    pattern: BarPattern
    strength: float
    t_close: int

    @property
    def direction(self) -> int:
        return DIRECTION[self.pattern]


def legs(p: SimpleNamespace, strict: bool, atr: float) -> tuple[float, float]:
    """Return (leg, legc) in ticks, widened on streams other than reversal."""
    if strict:
        return p.pat_leg_ticks, p.pat_leg_ticks_color
    widen = max(1.0, p.pat_time_bar_atr * atr / p.pat_leg_ticks)
    return p.pat_leg_ticks * widen, p.pat_leg_ticks_color * widen


def detect(bars: Sequence[Bar], strict: bool, leg: float, legc: float, vol_ref: float) -> list[Hit]:
    """Return the patterns that the last of the session's bars completes."""
    above, below = (gt, lt) if strict else (ge, le)
    hits: list[Hit] = []

    def add(pattern: BarPattern, strength: float) -> None:
        hits.append(Hit(pattern, strength, bars[-1].t_close))

    if len(bars) >= 3:
        b, pivot, a = bars[-3:]
        volume = 0.3 * min(pivot.volume / vol_ref, 1.0)
        if (
            below(pivot.open, b.close)
            and gt(b.high, pivot.low + leg)
            and above(a.open, pivot.close)
            and gt(a.high, pivot.low + leg)
            and a.high > b.high
        ):
            add(BarPattern.LDU, 0.7 * min((b.high - pivot.low) / (2 * leg), 1.0) + volume)
        if (
            above(pivot.open, b.close)
            and gt(pivot.high, b.low + leg)
            and below(a.open, pivot.close)
            and gt(pivot.high, a.low + leg)
            and a.low < b.low
        ):
            add(BarPattern.LUD, 0.7 * min((pivot.high - b.low) / (2 * leg), 1.0) + volume)
    if len(bars) >= 4:
        c, b, pivot, a = bars[-4:]
        if (
            below(a.open, pivot.close)
            and gt(pivot.high, a.low + legc)
            and a.low < pivot.low
            and below(b.open, c.close)
            and gt(c.high, b.low + legc)
            and b.low < c.low
            and pivot.high < b.high
        ):
            add(BarPattern.CDS, 0.8 * min((c.high - b.low) / (2 * legc), 1.0))
        if (
            above(a.open, pivot.close)
            and gt(a.high, pivot.low + legc)
            and a.high > pivot.high
            and above(b.open, c.close)
            and gt(b.high, c.low + legc)
            and b.high > c.high
            and pivot.low > b.low
        ):
            add(BarPattern.CUS, 0.8 * min((b.high - c.low) / (2 * legc), 1.0))
    return hits


def present(hits: Sequence[Hit], t: int, p: SimpleNamespace) -> list[Hit]:
    """Return the session's hits that are present at a close (section 6.3)."""
    return [hit for hit in hits if hit.t_close > t - p.bn_pattern_timeout_min * MINUTE]


def strengths(hits: Sequence[Hit]) -> list[float]:
    """Return the largest strength of each pattern, 0 where it is not present."""
    best = [0.0, 0.0, 0.0, 0.0]
    for hit in hits:
        best[hit.pattern] = max(best[hit.pattern], hit.strength)
    return best
