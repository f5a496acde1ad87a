"""The whole method in plain Python, from trades or bars to one row per primary close."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

from reference import confluence, evidence, features, footprint, patterns, setups, timeframes
from reference.bars import READY_MADE, Bar, TimeBar, Trade, TradeIntake, builder_of
from reference.battle_navale import Battle, BattleNavale
from reference.book import BookImbalance, BookSampler
from reference.confluence import LevelSources, Options
from reference.conventions import SESSION_FACTOR, Session, Sessions, ge
from reference.parameters import parameters
from reference.regime import MarketRegime, RegimeState
from reference.resampling import checked
from reference.rows import row_of
from reference.session_state import Levels, SessionState
from reference.statistics import Statistics, StreamStatistics
from reference.view import READABLE, ValueArea, View


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
        self._contract = self._next_contract = 0
        self._refused_bars = 0
        self._previous: Levels | None = None
        self._session: Session | None = None
        self._newest = 0
        self._gap = (0, 0)
        self._whole: int | None = None
        self.rows: list[dict[str, Any]] = []

    @property
    def rejected(self) -> int:
        return self._intake.rejected + self._refused_bars

    def set_contract(self, ordinal: int) -> None:
        """Announce the contract that trades from the next session on."""
        self._next_contract = ordinal
        if self._newest == 0:
            self._contract = ordinal

    def set_options(self, **values: Any) -> None:
        """Replace the options input; fields of `confluence.Options`."""
        self._options = Options(**values)

    def mark_gap(self, since: int, until: int) -> None:
        """Note that trades between two instants are missing (section 21)."""
        self.advance(since)
        end = self._session.t_end if self._session else 0
        if self._gap[1] > end:
            since = min(since, self._gap[0])
        self._gap = (since, max(self._gap[1], until))
        for frame in self._frames:
            frame.complete_from = self._gap[1]
        if self._session is None or since >= end:
            return
        self._whole = 0
        self._state.mark_gap(*self._gap)
        for trade in self._open_trades:
            self._flow.add(trade)
        self._open_trades = []
        self._flow.forget()
        self._intake.forget()
        self._micro = builder_of(self._p.stream_micro, self._p.feat_f8_min_lots)
        self._micro_statistics.reset()

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
        late = session.session_id < self._newest
        if bar is None or late:
            self._refused_bars += 1
            return
        if session != self._session:
            self._start(session)
        self._evaluate(bar)

    def advance(self, now: int) -> None:
        """Close the primary bar by the clock.

        Micro bars wait for the trade that closes them: a hit belongs to the primary bar of it.
        """
        if isinstance(self._primary, TimeBar):
            for bar in self._primary.advance(now):
                self._evaluate(bar)

    def end_session(self) -> None:
        """Finish the session, if one is open, so that `carried` is what the next one finds."""
        if self._session is None:
            return
        self._session = None
        self._previous = self._state.final_levels()
        for frame in self._frames:
            frame.end_session()
        self._ranking.end_session()

    def carried(self) -> dict[str, Any]:
        """Return a copy of all that outlives a session (section 1.3)."""
        return deepcopy(
            {
                "primary": self._statistics.rings,
                "micro": self._micro_statistics.rings,
                "frames": {frame.minutes: frame.rings for frame in self._frames},
                "previous": self._previous,
                "contract": self._contract,
                "scores": self._ranking.sessions,
            }
        )

    def restore(self, carried: dict[str, Any]) -> None:
        """Begin with what another engine carried."""
        carried = deepcopy(carried)
        self._statistics.rings = carried["primary"]
        self._micro_statistics.rings = carried["micro"]
        for frame in self._frames:
            frame.rings = carried["frames"][frame.minutes]
        self._previous = carried["previous"]
        self._contract = self._next_contract = carried["contract"]
        self._ranking.sessions = carried["scores"]

    def _start(self, session: Session) -> None:
        """Reset everything of section 1.3, after letting the old session finish."""
        p = self._p
        before = self._session
        self.end_session()
        day = self._sessions.of(before.t_end) if before else session
        while day.session_id < session.session_id:
            if self._gap[0] < day.t_rth_close and self._gap[1] > day.t_rth_open:
                self._previous = None
            day = self._sessions.of(day.t_end)
        if self._next_contract != self._contract:
            self._contract, self._previous = self._next_contract, None
            self._options = Options()
        self._session = session
        self._newest = session.session_id
        self._state = SessionState(p, session, self._previous)
        self._whole = None
        if self._gap[1] > session.t_open:
            self._whole = 0
            self._state.mark_gap(*self._gap)
        self._statistics.reset()
        self._micro_statistics.reset()
        self._sampler.drop_before(session.t_open)
        self._book = BookImbalance(p)
        self._battle = BattleNavale(p)
        self._regime = MarketRegime(p)
        self._flow = features.TradeFlow(p)
        self._reported = evidence.Reported(p)
        self._hits: list[patterns.Hit] = []
        self._shown = 0
        self._open_trades: list[Trade] = []

    def _micro_closed(self, closed: Sequence[Bar]) -> None:
        for bar in closed:
            stats = self._micro_statistics.update(bar)
            self._detect(self._micro_statistics.bars, self._micro_strict, stats)
            self._micro_statistics.remember(volume=bar.t_open >= self._gap[1])

    def _detect(self, bars: Sequence[Bar], strict: bool, stats: Statistics) -> None:
        leg, legc = patterns.legs(self._p, strict, stats.atr)
        self._hits += patterns.detect(bars, strict, leg, legc, stats.vol_ref)

    def _evaluate(self, bar: Bar) -> None:
        """Run steps 3 to 16 of section 14 for a bar of the current session."""
        p, state = self._p, self._state
        complete = bar.t_open >= self._gap[1]
        if self._whole is not None:
            self._whole = self._whole + 1 if complete else 0
        stats = self._statistics.update(bar, self._whole)
        state.update(bar)
        for trade in self._open_trades:
            self._flow.add(trade)
        self._open_trades = []
        if bar.ready_made:
            self._detect(self._statistics.bars, False, stats)
        fresh, self._shown = self._hits[self._shown :], len(self._hits)
        here = patterns.present(self._hits, bar.t_close, p)
        aligned = [(hit.direction, hit.strength) for hit in here]
        battle = self._battle.update(bar, stats.atr, stats.vol_ref, aligned)
        regime = self._regime.update(state.bars, stats.atr, state.vslope()[0])
        for frame in self._frames:
            frame.on_primary(bar)
        self._sampler.release(bar.t_close, self._book)
        values = self._features(stats, regime)
        sources = state.level_sources(self._options)
        row = row_of(bar, stats, battle, regime) | state.row(sources)
        row |= {
            "contract": self._contract,
            "phase": self._sessions.phase(bar.t_close),
            "options_quality": self._options.quality,
            "gamma_flip": self._options.gamma_flip,
            "call_wall": self._options.call_wall,
            "put_wall": self._options.put_wall,
            "pattern": patterns.strengths(here),
            "pattern_hit": [int(any(h.pattern == k for h in fresh)) for k in patterns.DIRECTION],
            "feature": [value for value, _ in values],
            "valid": [int(valid) for _, valid in values],
        }
        quality = self._options.quality
        row["feature_quality"] = features.quality([valid for _, valid in values], p, quality)
        row["feature_score"] = features.score(row["feature"])
        row["tier"] = self._ranking.tier(row["feature_score"])
        row["vol01"] = timeframes.volatility(stats)
        known = {frame.minutes: frame.last() for frame in self._frames if frame.last()}
        row["mtf"], mtf_valid = timeframes.combine(row["vol01"], known, p)
        if self._whole is not None:
            row["mtf"], mtf_valid = 0.0, False
        row["mtf_valid"] = int(mtf_valid)
        self._context(row, stats, battle, regime, sources)
        self.rows.append(row)
        seen = self._whole is None or self._whole > p.stats_atr_bars
        self._statistics.remember(volume=complete, atr=seen)
        if state.rth and self._whole is None:
            self._ranking.add(row["feature_score"])

    def _features(self, stats: Statistics, regime: RegimeState) -> list[features.Value]:
        """Return F1 to F18 with their validity."""
        p, bars, options = self._p, self._state.bars, self._options
        bar = bars[-1]
        values = [
            features.cvd_trend(bars, p),
            features.bar_delta(bar, p),
            features.delta_divergence(bars, self._state.cvd, stats.atr, p),
            features.absorption(bar, stats, p),
            footprint.feature(bars, p),
            self._book.feature(),
            self._flow.tick_momentum(),
            (self._flow.smart_money(bar.t_close), not bar.ready_made),
            *zip(options.feature, (bool(v) for v in options.valid), strict=True),
            (features.market_regime(regime.regime, regime.strength), regime.tested),
            self._vwap_trend(bar, stats),
            features.volume_confirmation(bars, stats, p),
            (SESSION_FACTOR[self._sessions.phase(bar.t_close)], True),
        ]
        if self._whole is not None:
            lost = {1, 3, 8, 15, 16, 17}
            lost |= {2} if self._whole < 1 else set()
            lost |= {5} if self._whole < p.feat_f5_bars else set()
            values = [(v, ok and k not in lost) for k, (v, ok) in enumerate(values, start=1)]
        return [
            (value if valid else neutral, valid)
            for (value, valid), neutral in zip(values, features.NEUTRAL, strict=True)
        ]

    def _vwap_trend(self, bar: Bar, stats: Statistics) -> features.Value:
        vslope, valid = self._state.vslope()
        if not valid:
            return 0.0, False
        vwap, sd = self._state.vwaps[-1]
        return features.vwap_trend(bar.close, vwap, sd, vslope, stats.atr, self._p), True

    def _context(
        self,
        row: dict[str, Any],
        stats: Statistics,
        battle: Battle,
        regime: RegimeState,
        sources: LevelSources,
    ) -> None:
        """Run steps 11 to 14: levels, confluence, evidence, setups, selector."""
        p, options, bars = self._p, self._options, self._state.bars
        levels = confluence.levels(sources)
        walls = (options.call_wall, options.put_wall)
        gamma_ratio, gamma_valid = row["feature"][8], bool(row["valid"][8])
        row["price_score"] = confluence.price_score(levels, sources.close, stats.atr, p)
        row["headfake_score"], row["headfake"] = evidence.headfake(bars, stats.vr)
        row["micro_anomaly"] = evidence.micro_anomaly(bars, self._book.anomaly())
        row["gamma_pin"] = evidence.gamma_pin(bars, stats.atr, gamma_ratio, gamma_valid, walls)
        row["spread"] = self._book.spread
        base = battle.active
        view = View(
            candles=self._state.candles[-READABLE:],
            atr=stats.atr,
            vr=stats.vr,
            vwap=self._state.vwaps[-3:],
            vslope=row["vslope"],
            vslope_valid=bool(row["vslope_valid"]),
            f3=row["feature"][2],
            f4=row["feature"][3],
            regime=regime.regime,
            support=regime.support,
            resistance=regime.resistance,
            tolerance=regime.tolerance,
            developing=ValueArea.of(sources.profile),
            previous=ValueArea.of(sources.previous),
            zones=confluence.zones(levels, sources.close, stats.atr, p),
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
            launched=base.colour if base and base.launch == row["index"] else 0,
            base=base and (base.box.low, base.box.high, base.colour),
            pattern=row["pattern"],
        )
        row["setups"] = self._setups(view, bool(row["rth"]), sources.t)
        row["n_setups"] = len(row["setups"])
        row["reason"] = setups.select(regime.regime, row["setups"])

    def _setups(self, view: View, rth: bool, t: int) -> list[setups.Setup]:
        """Return the triggers of both sides, by kind and LONG first."""
        p = self._p
        out: list[setups.Setup] = []
        for side, seen in ((1, view), (-1, view.mirrored())):
            out += [setups.from_side(hit, side, True) for hit in setups.triggers(seen, p)]
            for hit in evidence.es_patterns(seen, p) if rth else ():
                if self._reported.is_news(hit.kind, side, side * hit.level, t):
                    least = getattr(p, f"es_pattern_min_strength_{hit.kind.name}")
                    out.append(setups.from_side(hit, side, ge(hit.quality, least)))
        return sorted(out, key=lambda setup: (setup[0], -setup[1]))
