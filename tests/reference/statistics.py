"""ATR, relative volume and the reference rings of one stream (section 1.5)."""

import math
from collections import deque
from dataclasses import dataclass, field
from types import SimpleNamespace

from mia.core.base_types import Phase
from reference.bars import Bar
from reference.conventions import Sessions, mean, median


@dataclass(frozen=True)
class Statistics:
    """Statistics at one close."""

    atr: float
    atr_valid: bool
    atr_ref: float
    vr: float
    vr_valid: bool
    vol_ref: float


@dataclass
class Rings:
    """Newest volumes and ATRs by phase of the bar, over all sessions."""

    volumes: dict[Phase, deque[int]] = field(default_factory=dict)
    atrs: dict[Phase, deque[float]] = field(default_factory=dict)


class StreamStatistics:
    """Bars of the session and the rings that outlive it.

    Call `update` with each closed bar, evaluate it, then `remember` it.
    """

    def __init__(self, p: SimpleNamespace, sessions: Sessions) -> None:
        self._p = p
        self._sessions = sessions
        self.rings = Rings()
        self._now: Statistics | None = None
        self.bars: list[Bar] = []

    def reset(self) -> None:
        """Start a session; the rings stay."""
        self.bars = []

    def update(self, bar: Bar, whole: int | None = None) -> Statistics:
        """Add a bar and return its statistics.

        `whole` counts the complete bars since a hole in the trades, None without one.
        """
        p = self._p
        self.bars.append(bar)
        i = len(self.bars) - 1
        ranges = [self._true_range(k) for k in range(max(0, i + 1 - p.stats_atr_bars), i + 1)]
        earlier = [b.volume for b in self.bars[max(0, i - p.stats_vol_bars) : i]]
        vr_valid = len(earlier) >= p.stats_vol_min_bars
        vr_valid = vr_valid and (whole is None or whole > p.stats_vol_bars)
        atr_seen = whole is None or whole > p.stats_atr_bars
        phase = self._sessions.phase(bar.t_open)
        self._now = Statistics(
            atr=max(1.0, mean(ranges)),
            atr_valid=i + 1 >= p.stats_atr_min_bars and atr_seen,
            atr_ref=self._reference(self.rings.atrs.get(phase, ()), math.nan),
            vr=bar.volume / mean(earlier) if vr_valid else 1.0,
            vr_valid=vr_valid,
            vol_ref=p.stats_vol_ref_cold
            if p.bn_absolute_refs
            else self._reference(self.rings.volumes.get(phase, ()), p.stats_vol_ref_cold),
        )
        return self._now

    def remember(self, volume: bool = True, atr: bool = True) -> None:
        """Let the last bar enter the reference rings."""
        bar = self.bars[-1]
        phase = self._sessions.phase(bar.t_open)
        size = self._p.stats_vol_ref_bars
        if volume:
            self.rings.volumes.setdefault(phase, deque(maxlen=size)).append(bar.volume)
        if atr:
            self.rings.atrs.setdefault(phase, deque(maxlen=size)).append(self._now.atr)

    def _reference(self, ring: deque[float] | tuple[()], cold: float) -> float:
        return median(ring) if len(ring) >= self._p.stats_vol_ref_min else cold

    def _true_range(self, k: int) -> int:
        bar = self.bars[k]
        if k == 0:
            return bar.high - bar.low
        last = self.bars[k - 1].close
        return max(bar.high - bar.low, abs(bar.high - last), abs(bar.low - last))
