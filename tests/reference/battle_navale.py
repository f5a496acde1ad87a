"""Battle Navale: camps, bases, golden rule and score (section 7)."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import SimpleNamespace

from mia.core.base_types import BattleStatus, GoldenState
from reference.bars import Bar
from reference.conventions import clip, ge, gt, le, lt, mean, ratio, sgn, std


@dataclass(frozen=True)
class Box:
    """A detected base box; `end` is the index of its last bar, `forming` its colour so far."""

    low: int
    high: int
    bars: int
    end: int
    forming: int
    quality: float


@dataclass
class Base:
    """An accepted base."""

    box: Box
    colour: int
    launch: int


@dataclass(frozen=True)
class Battle:
    """Result at one close; the fields are those of the kernels' record."""

    vikings: float
    defenders: float
    golden: float
    base_quality: float
    score: float
    strength: float
    confidence: float
    state: GoldenState
    base_dir: int
    signal: int
    status: BattleStatus
    launched: int
    violated: int
    active: Base | None
    candidate: Box | None


class BattleNavale:
    """State over one session of one stream; make a new one at a session reset."""

    def __init__(self, p: SimpleNamespace) -> None:
        self._p = p
        self._bars: list[Bar] = []
        self._last_launch = 0
        self._active: Base | None = None
        self._candidate: Box | None = None
        self._violation = 0
        self._age = 0
        self._raw_status: BattleStatus | None = None

    def update(
        self, bar: Bar, atr: float, vol_ref: float, patterns: Sequence[tuple[int, float]]
    ) -> Battle:
        """Add a closed bar.

        Parameters
        ----------
        atr, vol_ref : float
            Statistics of this bar.
        patterns : sequence of (int, float)
            Direction and strength of the patterns present at this close.
        """
        p = self._p
        self._bars.append(bar)
        i = len(self._bars) - 1
        if self._violation:
            self._age += 1
            if self._age >= p.bn_violation_bars:
                self._violation = 0
        violated, warning = self._check_active(bar, i)
        launched = self._launch(bar, i)
        if launched and self._active is not None and self._active.launch == i:
            warning = False
        if not launched:
            self._candidate = self._detect(atr, i) or self._candidate
        v, d = self._camps(vol_ref)
        state, golden = self._golden(v, d, warning)
        if self._active is not None:
            quality, direction = self._active.box.quality, self._active.colour
        elif self._candidate is not None:
            quality, direction = self._candidate.quality, self._candidate.forming
        else:
            quality, direction = 0.0, 0
        score = 0.40 * (v - d) + 0.35 * golden + 0.25 * quality * direction
        threshold = p.bn_score_threshold
        signal = 1 if gt(score, threshold) else -1 if lt(score, -threshold) else 0
        parts = [quality, abs(golden), abs(score)]
        aligned = [s for side, s in patterns if side == _side(score)]
        if aligned:
            parts.append(max(aligned))
        return Battle(
            vikings=v,
            defenders=d,
            golden=golden,
            base_quality=quality,
            score=score,
            strength=min(4.0 * (abs(score) - threshold), 1.0) if signal else 0.0,
            confidence=mean(parts),
            state=state,
            base_dir=direction,
            signal=signal,
            status=self._status(score, golden),
            launched=launched,
            violated=violated,
            active=self._active,
            candidate=self._candidate,
        )

    def _camps(self, vol_ref: float) -> tuple[float, float]:
        p = self._p
        if len(self._bars) < p.bn_window:
            return 0.5, 0.5
        window = self._bars[-p.bn_window :]
        if p.bn_absolute_refs:
            vol_ref = p.stats_vol_ref_cold
        raw = {1: 0.0, -1: 0.0}
        for bar in window:
            if bar.colour == 0:
                continue
            body = ratio(abs(bar.close - bar.open), bar.high - bar.low)
            if gt(body, p.bn_body_min):
                raw[bar.colour] += p.bn_body_weight * body
            raw[bar.colour] += p.bn_vol_weight * min(bar.volume / vol_ref, p.bn_vol_cap)
        b = sum(bar.bid_volume for bar in window)
        a = sum(bar.ask_volume for bar in window)
        if a + b > 0:
            if a != b:
                full = p.bn_delta_ref_ratio * sum(bar.volume for bar in window)
                if p.bn_absolute_refs:
                    full = p.bn_delta_ref_cold
                raw[sgn(a - b)] += p.bn_delta_weight * min(abs(a - b) / full, 1.0)
            raw[1] += p.bn_aggr_weight if gt(a, p.bn_aggr_hi * (a + b)) else 0.0
            raw[-1] += p.bn_aggr_weight if gt(b, p.bn_aggr_hi * (a + b)) else 0.0
        total = raw[1] + raw[-1]
        return (raw[1] / total, raw[-1] / total) if total else (0.5, 0.5)

    def _check_active(self, bar: Bar, i: int) -> tuple[int, bool]:
        """Return (colour of the base if it is violated now, else 0, warning)."""
        base = self._active
        if base is None:
            return 0, False
        if base.colour > 0:
            violated = bar.colour < 0 and bar.close <= base.box.low - 1
            warning = bar.low <= base.box.low - 1
        else:
            violated = bar.colour > 0 and bar.close >= base.box.high + 1
            warning = bar.high >= base.box.high + 1
        if violated:
            self._active = None
            self._violation, self._age = -base.colour, 0
            return base.colour, False
        if i - base.launch > self._p.bn_base_expiry_bars:
            self._active = None
            return 0, False
        return 0, warning

    def _launch(self, bar: Bar, i: int) -> int:
        """Return the colour of a launch, accepted or not, 0 without one."""
        box = self._candidate
        if box is None:
            return 0
        colour = 1 if bar.close > box.high else -1 if bar.close < box.low else 0
        if not colour:
            if i - box.end > self._p.bn_base_expiry_bars:
                self._candidate = None
            return 0
        self._candidate = None
        self._last_launch = i
        if not gt(box.quality, self._p.bn_base_min_quality):
            return colour
        self._active = Base(box, colour, i)
        self._violation = 0
        return colour

    def _detect(self, atr: float, i: int) -> Box | None:
        p = self._p
        cap = max(p.bn_base_max_ticks, p.bn_base_max_atr * atr)
        found: list[Bar] = []
        for n in range(p.bn_base_min_bars, p.bn_base_max_bars + 1):
            if i - n + 1 < self._last_launch:
                break
            window = self._bars[i - n + 1 :]
            size = max(b.high for b in window) - min(b.low for b in window)
            if gt(size, cap):
                break
            spread = std([b.close for b in window])
            if ge(size, p.bn_base_min_ticks) and lt(spread, p.bn_base_std_ratio * size):
                found = window
        if not found:
            return None
        low, high = min(b.low for b in found), max(b.high for b in found)
        closes = [b.close for b in found[-5:]]
        steps = [sgn(b - a) for a, b in pairwise(closes)]
        forming = 1 if sum(steps) >= 2 else -1 if sum(steps) <= -2 else 0
        return Box(low, high, len(found), i, forming, _quality(found, low, high, cap))

    def _golden(self, v: float, d: float, warning: bool) -> tuple[GoldenState, float]:
        p = self._p
        if self._active is not None:
            colour = self._active.colour
            strong = gt(v if colour > 0 else d, p.bn_strong_camp)
            value = colour * (0.6 if strong else 0.2)
            if warning:
                return GoldenState.VIOLATION_WARNING, value / 2
            if colour > 0:
                state = GoldenState.STRONG_BULLISH if strong else GoldenState.WEAK_BULLISH
            else:
                state = GoldenState.STRONG_BEARISH if strong else GoldenState.WEAK_BEARISH
            return state, value
        if self._violation:
            fading = 1.0 - self._age / p.bn_violation_bars
            return GoldenState.VIOLATION_CONFIRMED, self._violation * 0.6 * fading
        return GoldenState.UNCLEAR, 0.0

    def _status(self, score: float, golden: float) -> BattleStatus:
        p = self._p
        if gt(score, p.bn_win_level):
            raw = BattleStatus.VIKINGS_WINNING
        elif lt(score, -p.bn_win_level):
            raw = BattleStatus.DEFENDERS_WINNING
        elif le(abs(score), p.bn_balanced_level):
            raw = BattleStatus.BALANCED_FIGHT
        else:
            raw = BattleStatus.NO_BATTLE
        winning = raw in {BattleStatus.VIKINGS_WINNING, BattleStatus.DEFENDERS_WINNING}
        won = winning and raw == self._raw_status and sgn(golden) == _side(score)
        self._raw_status = raw
        return BattleStatus.BATAILLE_GAGNEE if won else raw


def _side(score: float) -> int:
    """Return the direction of a score that is not 0 by the comparisons of section 1.2."""
    return gt(score, 0.0) - lt(score, 0.0)


def _quality(window: Sequence[Bar], low: int, high: int, cap: float) -> float:
    """Return q of a box (section 7.3)."""
    n = len(window)
    rho = (high - low) / cap
    size = 1.0 if le(rho, 0.6) else 0.7 if le(rho, 0.8) else 0.3
    volumes = [b.volume for b in window]
    steadiness = clip(1.0 - std(volumes) / mean(volumes), 0.0, 1.0)
    respect = sum(low + 1 <= b.close <= high - 1 for b in window) / n
    return 0.30 * min(n / 10, 1.0) + 0.20 * size + 0.25 * steadiness + 0.25 * respect
