"""What a session's bars add up to: VWAP, CVD, profiles, levels, extremes (steps 3 and 4)."""

import math
from types import SimpleNamespace
from typing import Any

from reference.bars import Bar
from reference.confluence import LevelSources, Options
from reference.conventions import MINUTE, Session
from reference.profile import Profile
from reference.rows import named
from reference.view import Candle
from reference.vwap import Vwap

Levels = tuple[int, int, int]
"""POC, VAH, VAL."""


class SessionState:
    """Sums of one session; `previous` are the levels of the latest one that had any."""

    def __init__(self, p: SimpleNamespace, session: Session, previous: Levels | None) -> None:
        self._p = p
        self.session = session
        self.previous = previous
        self.bars: list[Bar] = []
        self.candles: list[Candle] = []
        self.cvd: list[int] = []
        self.vwaps: list[tuple[float, float]] = []
        self._vwap, self._vwap_rth = Vwap(), Vwap()
        self._profile, self._profile_rth = Profile(), Profile()
        self._last_rth_close = 0
        self._range: tuple[int, int] | None = None
        self._overnight: tuple[int, int] | None = None
        self._gap = self._gap_overnight = self._gap_rth = False

    def mark_gap(self, since: int, until: int) -> None:
        """Note that trades between two instants are missing."""
        session = self.session
        self._gap = True
        self._gap_overnight |= since < session.t_rth_open
        self._gap_rth |= since < session.t_rth_close and until > session.t_rth_open

    def update(self, bar: Bar) -> None:
        """Add a closed bar."""
        self.bars.append(bar)
        self.candles.append(Candle.of(bar))
        high, low = self._range or (bar.high, bar.low)
        self._range = (max(high, bar.high), min(low, bar.low))
        self._vwap.add_bar(bar)
        self._profile.add_bar(bar)
        if self.rth:
            self._vwap_rth.add_bar(bar)
            self._profile_rth.add_bar(bar)
            self._last_rth_close = bar.t_close
        globex = self._p.vwap_anchor == "globex"
        chosen = self._vwap if globex else self._vwap_rth
        lost = self._gap if globex else self._gap_rth
        self.vwaps.append((math.nan, math.nan) if lost else (chosen.value, chosen.sd))
        self.cvd.append((self.cvd[-1] if self.cvd else 0) + bar.delta)
        if bar.t_open < self.session.t_rth_open:
            high, low = self._overnight or (bar.high, bar.low)
            self._overnight = (max(high, bar.high), min(low, bar.low))

    @property
    def rth(self) -> bool:
        """Whether the last bar is of regular trading hours."""
        return self.session.in_rth(self.bars[-1].t_open)

    def vslope(self) -> tuple[float, bool]:
        """Return the slope of the selected VWAP in ticks per bar, and its validity."""
        n = self._p.vwap_slope_bars
        if len(self.vwaps) <= n:
            return 0.0, False
        slope = (self.vwaps[-1][0] - self.vwaps[-1 - n][0]) / n
        return (0.0, False) if math.isnan(slope) else (slope, True)

    def _levels_of(self, profile: Profile) -> Levels:
        val, vah = profile.value_area(self._p.profile_value_area_pct)
        return profile.poc(), vah, val

    def _developing(self) -> Profile | None:
        """Return the profile that the levels of section 5.5 come from."""
        session, wait = self.session, self._p.profile_min_minutes * MINUTE
        t = self.bars[-1].t_close
        in_rth = session.in_rth(t) and t >= session.t_rth_open + wait
        if in_rth and self._profile_rth.valid and not self._gap_rth:
            return self._profile_rth
        return self._profile if t >= session.t_open + wait and not self._gap else None

    def final_levels(self) -> Levels | None:
        """Return the levels that the next session calls previous."""
        if self._gap_rth:
            return None
        wait = self._p.profile_prev_min_minutes * MINUTE
        if self._last_rth_close >= self.session.t_rth_open + wait:
            return self._levels_of(self._profile_rth)
        return self.previous

    def level_sources(self, options: Options) -> LevelSources:
        """Return what the levels of this close are made of."""
        t = self.bars[-1].t_close
        profile = self._developing()
        vwap = self.vwaps[-1]
        return LevelSources(
            t=t,
            close=self.bars[-1].close,
            session=self.session,
            profile=profile and self._levels_of(profile),
            nodes=profile.nodes(self._p)[0] if profile else (),
            vwap=None if math.isnan(vwap[0]) else vwap,
            previous=self.previous,
            session_range=self._range,
            overnight=self._overnight
            if t >= self.session.t_rth_open and not self._gap_overnight
            else None,
            options=options,
            earlier=self.bars[:-1],
        )

    def row(self, sources: LevelSources) -> dict[str, Any]:
        """Return the fields of a row that come from here."""
        vslope, vslope_valid = self.vslope()
        poc, vah, val = (0, 0, 0) if self._gap else self._levels_of(self._profile)
        lost = (math.nan, math.nan)
        vwap = lost if self._gap else (self._vwap.value, self._vwap.sd)
        vwap_rth = lost if self._gap_rth else (self._vwap_rth.value, self._vwap_rth.sd)
        row = {
            "index": len(self.bars) - 1,
            "rth": int(self.rth),
            "cvd": self.cvd[-1],
            "vwap": vwap[0],
            "vwap_sd": vwap[1],
            "vwap_rth": vwap_rth[0],
            "vwap_rth_sd": vwap_rth[1],
            "vslope": vslope,
            "vslope_valid": int(vslope_valid),
            "profile_valid": int(not self._gap),
            "poc": poc,
            "vah": vah,
            "val": val,
            "t_rth_open": self.session.t_rth_open,
            "t_rth_close": self.session.t_rth_close,
            "session_high": sources.session_range[0],
            "session_low": sources.session_range[1],
        }
        row |= named("overnight", ("high", "low"), sources.overnight)
        row |= named("developing", ("poc", "vah", "val"), sources.profile)
        return row | named("previous", ("poc", "vah", "val"), self.previous)
