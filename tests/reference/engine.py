"""The whole method in plain Python, from trades or bars to one row per primary close."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from reference import confluence, evidence, features, footprint, patterns, setups, timeframes
from reference.bars import READY_MADE, Bar, TimeBar, Trade, TradeIntake, builder_of
from reference.battle_navale import Battle, BattleNavale
from reference.book import BookImbalance, BookSampler
from reference.confluence import LevelSources, Options
from reference.conventions import MINUTE, SESSION_FACTOR, Session, Sessions, ge
from reference.parameters import parameters
from reference.profile import Profile
from reference.regime import MarketRegime, RegimeState
from reference.resampling import checked
from reference.rows import named, row_of
from reference.statistics import Statistics, StreamStatistics
from reference.view import READABLE, Candle, ValueArea, View
from reference.vwap import Vwap

Levels = tuple[int, int, int]
"""POC, VAH, VAL."""


class ReferenceEngine:
    """Evaluates every close of the primary stream in the order of section 14.

    Parameters
    ----------
    params : mapping, record or namespace, optional
        As `parameters.parameters` takes them.
    sessions : mapping of int to int, optional
        End of regular trading, ns UTC, by session id, for days that close early.

    Attributes
    ----------
    rows : list of dict
        One per primary close; flat names of the kernels' `Row` such as ``battle.score``, and
        ``setups``, a list of (kind, side, quality, level, stop, target, traded).
    rejected : int
        Trades and bars refused so far.
    """

    def __init__(self, params: object = None, sessions: Mapping[int, int] | None = None) -> None:
        p = self._p = parameters(params)
        self._sessions = Sessions(sessions)
        self._intake = TradeIntake(self._sessions, p.flow_side_fallback)
        self._primary = builder_of(p.stream_primary, p.feat_f8_min_lots)
        self._micro = builder_of(p.stream_micro, p.feat_f8_min_lots)
        self._micro_strict = p.stream_micro.startswith("reversal")
        self._micro_statistics = StreamStatistics(p, self._sessions)
        self._statistics = StreamStatistics(p, self._sessions)
        self._frames = timeframes.frames_of(p, self._sessions)
        self._ranking = features.TierRanking(p)
        self._sampler = BookSampler()
        self._options = Options()
        self._previous: Levels | None = None
        self._contract = self._next_contract = 0
        self._refused_bars = 0
        self._session: Session | None = None
        self.rows: list[dict[str, Any]] = []

    @property
    def rejected(self) -> int:
        return self._intake.rejected + self._refused_bars

    def set_contract(self, ordinal: int) -> None:
        """Announce the contract that trades from the next session on."""
        self._next_contract = ordinal

    def set_options(self, **values: Any) -> None:
        """Replace the options input; fields of `confluence.Options`."""
        self._options = Options(**values)

    def on_book(self, ts: int, bids: Sequence[int], asks: Sequence[int], spread: int) -> None:
        """Take a state of the book: sizes from the best level down, spread in ticks."""
        self._sampler.on_book(ts, bids, asks, spread)

    def on_trade(self, ts: int, price: int, size: int, side: int) -> None:
        """Take one trade."""
        trade = self._intake.accept(ts, price, size, side)
        if trade is None:
            return
        for bar in self._primary.before(trade):
            self._evaluate(bar)
        self._micro_closed(self._micro.before(trade))
        if trade.session != self._session:
            self._start(trade.session)
        self._micro_closed(self._micro.add(trade))
        self._open_trades.append(trade)
        for bar in self._primary.add(trade):
            self._evaluate(bar)

    def on_bar(
        self,
        t_open: int,
        t_close: int,
        open: int,
        high: int,
        low: int,
        close: int,
        volume: int,
        bid_volume: int,
        ask_volume: int,
        trades: int = 0,
    ) -> None:
        """Take one ready-made bar of the primary stream."""
        session = self._sessions.of(t_open)
        bar = checked(
            Bar(
                session.session_id,
                t_open,
                t_close,
                open,
                high,
                low,
                close,
                volume,
                bid_volume,
                ask_volume,
                trades,
                flags=READY_MADE,
            )
        )
        late = self._session is not None and session.session_id < self._session.session_id
        if bar is None or late:
            self._refused_bars += 1
            return
        if session != self._session:
            self._start(session)
        self._evaluate(bar)

    def advance(self, now: int) -> None:
        """Close by the clock what has reached its end."""
        if isinstance(self._primary, TimeBar):
            for bar in self._primary.advance(now):
                self._evaluate(bar)
        if isinstance(self._micro, TimeBar):
            self._micro_closed(self._micro.advance(now))

    def _start(self, session: Session) -> None:
        """Reset everything of section 1.3, after letting the old session finish."""
        p = self._p
        if self._session is not None:
            self._finish_session()
        if self._next_contract != self._contract:
            self._contract, self._previous = self._next_contract, None
        self._session = session
        self._statistics.reset()
        self._micro_statistics.reset()
        self._sampler.drop_before(session.t_open)
        self._book = BookImbalance(p)
        self._battle = BattleNavale(p)
        self._regime = MarketRegime(p)
        self._flow = features.TradeFlow(p)
        self._reported = evidence.Reported(p)
        self._vwap, self._vwap_rth = Vwap(), Vwap()
        self._profile, self._profile_rth = Profile(), Profile()
        self._vwaps: list[tuple[float, float]] = []
        self._cvd: list[int] = []
        self._hits: list[patterns.Hit] = []
        self._shown = 0
        self._open_trades: list[Trade] = []
        self._last_rth_close = 0
        self._overnight: tuple[int, int] | None = None

    def _finish_session(self) -> None:
        session, wait = self._session, self._p.profile_prev_min_minutes * MINUTE
        if self._last_rth_close >= session.t_rth_open + wait and self._profile_rth.valid:
            self._previous = self._levels_of(self._profile_rth)
        for frame in self._frames:
            frame.end_session()
        self._ranking.end_session()

    def _levels_of(self, profile: Profile) -> Levels:
        val, vah = profile.value_area(self._p.profile_value_area_pct)
        return profile.poc(), vah, val

    def _micro_closed(self, closed: Sequence[Bar]) -> None:
        for bar in closed:
            stats = self._micro_statistics.update(bar)
            self._detect(self._micro_statistics.bars, self._micro_strict, stats)
            self._micro_statistics.remember()

    def _detect(self, bars: Sequence[Bar], strict: bool, stats: Statistics) -> None:
        leg, legc = patterns.legs(self._p, strict, stats.atr)
        self._hits += patterns.detect(bars, strict, leg, legc, stats.vol_ref)

    def _evaluate(self, bar: Bar) -> None:
        """Run steps 3 to 16 of section 14 for a bar of the current session."""
        p, session = self._p, self._session
        stats = self._statistics.update(bar)
        bars = self._statistics.bars
        rth = session.in_rth(bar.t_open)
        self._accumulate(bar, rth)
        for trade in self._open_trades:
            self._flow.add(trade)
        self._open_trades = []
        if bar.ready_made:
            self._detect(bars, False, stats)
        fresh, self._shown = self._hits[self._shown :], len(self._hits)
        here = patterns.present(self._hits, bar.t_close, p)
        aligned = [(hit.direction, hit.strength) for hit in here]
        battle = self._battle.update(bar, stats.atr, stats.vol_ref, aligned)
        vslope, vslope_valid = self._slope()
        regime = self._regime.update(bars, stats.atr, vslope)
        for frame in self._frames:
            frame.on_primary(bar)
        self._sampler.release(bar.t_close, self._book)
        values = self._features(stats, regime, vslope, vslope_valid)
        row = row_of(bar, stats, battle, regime)
        row |= self._session_values(bar)
        row |= {
            "rth": int(rth),
            "vslope": vslope,
            "vslope_valid": int(vslope_valid),
            "pattern": patterns.strengths(here),
            "pattern_hit": [int(any(h.pattern == k for h in fresh)) for k in patterns.DIRECTION],
            "feature": [value for value, _ in values],
            "valid": [int(valid) for _, valid in values],
        }
        row["feature_quality"] = features.quality([valid for _, valid in values], p)
        row["feature_score"] = features.score(row["feature"])
        row["tier"] = self._ranking.tier(row["feature_score"])
        row["vol01"] = timeframes.volatility(stats)
        known = {frame.minutes: frame.last() for frame in self._frames if frame.last()}
        row["mtf"], mtf_valid = timeframes.combine(row["vol01"], known, p)
        row["mtf_valid"] = int(mtf_valid)
        self._context(row, bar, stats, battle, regime)
        self.rows.append(row)
        self._statistics.remember()
        if rth:
            self._ranking.add(row["feature_score"])

    def _accumulate(self, bar: Bar, rth: bool) -> None:
        self._vwap.add_bar(bar)
        self._profile.add_bar(bar)
        if rth:
            self._vwap_rth.add_bar(bar)
            self._profile_rth.add_bar(bar)
            self._last_rth_close = bar.t_close
        chosen = self._vwap if self._p.vwap_anchor == "globex" else self._vwap_rth
        self._vwaps.append((chosen.value, chosen.sd))
        self._cvd.append((self._cvd[-1] if self._cvd else 0) + bar.delta)
        if bar.t_open < self._session.t_rth_open:
            high, low = self._overnight or (bar.high, bar.low)
            self._overnight = (max(high, bar.high), min(low, bar.low))

    def _slope(self) -> tuple[float, bool]:
        n = self._p.vwap_slope_bars
        if len(self._vwaps) <= n:
            return 0.0, False
        slope = (self._vwaps[-1][0] - self._vwaps[-1 - n][0]) / n
        return (0.0, False) if math.isnan(slope) else (slope, True)

    def _features(
        self, stats: Statistics, regime: RegimeState, vslope: float, vslope_valid: bool
    ) -> list[features.Value]:
        """Return F1 to F18 with their validity."""
        p, bars, options = self._p, self._statistics.bars, self._options
        bar = bars[-1]
        vwap, sd = self._vwaps[-1]
        from_trades = not bar.ready_made
        values = [
            features.cvd_trend(bars, p),
            features.bar_delta(bar, p),
            features.delta_divergence(bars, self._cvd, stats.atr, p),
            features.absorption(bar, stats, p),
            footprint.feature(bars, p),
            self._book.feature(),
            self._flow.tick_momentum(),
            (self._flow.smart_money(bar.t_close), from_trades),
            *zip(options.feature, (bool(v) for v in options.valid), strict=True),
            (features.market_regime(regime.regime, regime.strength), regime.tested),
            (
                features.vwap_trend(bar.close, vwap, sd, vslope, stats.atr, p)
                if vslope_valid
                else 0.0,
                vslope_valid,
            ),
            features.volume_confirmation(bars, stats, p),
            (SESSION_FACTOR[self._sessions.phase(bar.t_close)], True),
        ]
        return [
            (value if valid else neutral, valid)
            for (value, valid), neutral in zip(values, features.NEUTRAL, strict=True)
        ]

    def _developing(self, t: int) -> tuple[Profile, Levels] | None:
        session, wait = self._session, self._p.profile_min_minutes * MINUTE
        if session.in_rth(t) and t >= session.t_rth_open + wait and self._profile_rth.valid:
            profile = self._profile_rth
        elif t >= session.t_open + wait and self._profile.valid:
            profile = self._profile
        else:
            return None
        return profile, self._levels_of(profile)

    def _session_values(self, bar: Bar) -> dict[str, Any]:
        row: dict[str, Any] = {
            "index": len(self._statistics.bars) - 1,
            "contract": self._contract,
            "cvd": self._cvd[-1],
            "vwap": self._vwap.value,
            "vwap_sd": self._vwap.sd,
            "vwap_rth": self._vwap_rth.value,
            "vwap_rth_sd": self._vwap_rth.sd,
            "profile_valid": 1,
            "phase": self._sessions.phase(bar.t_close),
            "t_rth_close": self._session.t_rth_close,
        }
        row["poc"], row["vah"], row["val"] = self._levels_of(self._profile)
        return row

    def _context(
        self,
        row: dict[str, Any],
        bar: Bar,
        stats: Statistics,
        battle: Battle,
        regime: RegimeState,
    ) -> None:
        """Run steps 11 to 14: levels, confluence, evidence, setups, selector."""
        p, options, bars = self._p, self._options, self._statistics.bars
        found = self._developing(bar.t_close)
        developing = found[1] if found else None
        overnight = self._overnight if bar.t_close >= self._session.t_rth_open else None
        vwap = self._vwaps[-1]
        high, low = max(b.high for b in bars), min(b.low for b in bars)
        levels = confluence.levels(
            LevelSources(
                t=bar.t_close,
                close=bar.close,
                session=self._session,
                profile=developing,
                nodes=found[0].nodes(p)[0] if found else (),
                vwap=None if math.isnan(vwap[0]) else vwap,
                previous=self._previous,
                session_range=(high, low),
                overnight=overnight,
                options=options,
                earlier=bars[:-1],
            )
        )
        row["price_score"] = confluence.price_score(levels, bar.close, stats.atr, p)
        row["headfake_score"], row["headfake"] = evidence.headfake(bars, stats.vr)
        row["micro_anomaly"] = evidence.micro_anomaly(bars, self._book.anomaly())
        row["gamma_pin"] = evidence.gamma_pin(
            bars,
            stats.atr,
            row["feature"][8],
            bool(row["valid"][8]),
            (options.call_wall, options.put_wall),
        )
        row["spread"] = self._book.spread
        row["session_high"], row["session_low"] = high, low
        row |= named("overnight", ("high", "low"), overnight)
        row |= named("developing", ("poc", "vah", "val"), developing)
        row |= named("previous", ("poc", "vah", "val"), self._previous)
        base = battle.active
        view = View(
            candles=[Candle.of(b) for b in bars[-READABLE:]],
            atr=stats.atr,
            vr=stats.vr,
            vwap=self._vwaps[-3:],
            vslope=row["vslope"],
            vslope_valid=bool(row["vslope_valid"]),
            f3=row["feature"][2],
            f4=row["feature"][3],
            regime=regime.regime,
            support=regime.support,
            resistance=regime.resistance,
            tolerance=regime.tolerance,
            developing=_area(developing),
            previous=_area(self._previous),
            zones=confluence.zones(levels, bar.close, stats.atr, p),
            price_score=row["price_score"],
            gamma_flip=options.gamma_flip,
            put_wall=options.put_wall,
            call_wall=options.call_wall,
            gamma_pin=row["gamma_pin"],
            score=battle.score,
            golden=battle.golden,
            signal=battle.signal,
            confidence=battle.confidence,
            base_quality=battle.base_quality,
            launched=battle.launched,
            base=base and (base.box.low, base.box.high, base.colour),
            pattern=row["pattern"],
        )
        row["setups"] = self._setups(view, bool(row["rth"]), bar.t_close)
        row["n_setups"] = len(row["setups"])
        row["reason"] = setups.select(regime.regime, row["setups"])

    def _setups(self, view: View, rth: bool, t: int) -> list[setups.Setup]:
        p = self._p
        out: list[setups.Setup] = []
        for side, seen in ((1, view), (-1, view.mirrored())):
            out += [setups.from_side(hit, side, True) for hit in setups.triggers(seen, p)]
            for hit in evidence.es_patterns(seen, p) if rth else ():
                if self._reported.is_news(hit.kind, side, side * hit.level, t):
                    least = getattr(p, f"es_pattern_min_strength_{hit.kind.name}")
                    out.append(setups.from_side(hit, side, ge(hit.quality, least)))
        return sorted(out, key=lambda setup: (setup[0], -setup[1]))


def _area(levels: Levels | None) -> ValueArea | None:
    if levels is None:
        return None
    poc, vah, val = levels
    return ValueArea(poc, val, vah)
