"""Battle Navale on wider frames, and their weighted mean (section 11)."""

import math
from collections.abc import Mapping
from types import SimpleNamespace

from reference import patterns
from reference.bars import Bar
from reference.battle_navale import BattleNavale
from reference.conventions import Sessions, clip, gt
from reference.resampling import Resampler
from reference.statistics import Rings, Statistics, StreamStatistics

MIN_BARS = 5
CALM = (0.30, 0.30, 0.25, 0.15)
NORMAL = (0.50, 0.30, 0.15, 0.05)
WILD = (0.70, 0.20, 0.10, 0.0)


class Frame:
    """One frame, built from the primary stream."""

    def __init__(self, minutes: int, p: SimpleNamespace, sessions: Sessions) -> None:
        self._p = p
        self.minutes = minutes
        self._sessions = sessions
        self._resampler = Resampler(minutes * 60, sessions)
        self._statistics = StreamStatistics(p, sessions)
        self._battle = BattleNavale(p)
        self._hits: list[patterns.Hit] = []
        self._last: tuple[float, float] | None = None
        self.complete_from = 0  # bars that open earlier miss trades

    @property
    def rings(self) -> Rings:
        """Reference rings of this frame."""
        return self._statistics.rings

    @rings.setter
    def rings(self, rings: Rings) -> None:
        self._statistics.rings = rings

    def on_primary(self, bar: Bar) -> None:
        """Take a closed primary bar and evaluate what it closes."""
        for closed in self._resampler.before(bar) + self._resampler.add(bar):
            self._evaluate(closed)

    def end_session(self) -> None:
        """Close the open group as the last of its session, then start empty.

        The group's volume still enters the reference rings, which outlive the session.
        """
        for closed in self._resampler.end():
            self._evaluate(closed)
        self._statistics.reset()
        self._battle = BattleNavale(self._p)
        self._hits = []
        self._last = None

    def _evaluate(self, bar: Bar) -> None:
        p = self._p
        stats = self._statistics.update(bar)
        leg, legc = patterns.legs(p, False, stats.atr)
        bars = self._statistics.bars
        self._hits += patterns.detect(bars, False, leg, legc, stats.vol_ref)
        here = patterns.present(self._hits, bar.t_close, p)
        aligned = [(hit.direction, hit.strength) for hit in here]
        battle = self._battle.update(bar, stats.atr, stats.vol_ref, aligned)
        self._last = (battle.score, battle.confidence)
        self._statistics.remember(volume=bar.t_open >= self.complete_from)

    def last(self) -> tuple[float, float] | None:
        """Return (S, confidence) of the last closed bar, None while invalid."""
        return self._last if len(self._statistics.bars) >= MIN_BARS else None


def frames_of(p: SimpleNamespace, sessions: Sessions) -> list[Frame]:
    """Make the frames that are not narrower than the primary bar."""
    kind, _, argument = p.stream_primary.partition(":")
    narrowest = int(argument) if kind == "time" else 0
    return [Frame(m, p, sessions) for m in p.mtf_frames_min if m * 60 >= narrowest]


def volatility(stats: Statistics) -> float:
    """Return vol01 of the primary stream."""
    if math.isnan(stats.atr_ref):
        return 0.5
    return clip(stats.atr / (2.0 * stats.atr_ref), 0.0, 1.0)


def combine(
    vol01: float, frames: Mapping[int, tuple[float, float]], p: SimpleNamespace
) -> tuple[float, bool]:
    """Return mtf and its validity from (S, confidence) by width in minutes."""
    table = WILD if gt(vol01, 0.8) else NORMAL if gt(vol01, 0.4) else CALM
    top = bottom = 0.0
    for minutes, weight in zip(p.mtf_frames_min, table, strict=True):
        if minutes in frames:
            score, confidence = frames[minutes]
            top += weight * confidence * score
            bottom += weight * confidence
    if bottom == 0:
        return 0.0, False
    return clip(top / bottom / p.mtf_norm, -1.0, 1.0), True
