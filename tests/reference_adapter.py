"""The plain-Python twin behind the face of `adapters`."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from adapters import BarRow, Columns, Trade
from reference import (
    confluence,
    evidence,
    features,
    footprint,
    patterns,
    regime,
    sizing,
    timeframes,
)
from reference.bars import (
    BUILDERS,
    PARTIAL,
    READY_MADE,
    SESSION_END,
    Bar,
    TradeIntake,
    build,
)
from reference.bars import Trade as AcceptedTrade
from reference.battle_navale import BattleNavale
from reference.book import BookImbalance
from reference.conventions import Sessions, median, rank_hi, rank_lo, std
from reference.engine import ReferenceEngine
from reference.parameters import parameters
from reference.profile import Profile
from reference.vwap import Vwap

_FLAGS = {0: "", SESSION_END: "SESSION_END", PARTIAL: "PARTIAL"}
_VECTOR_NAMES = {
    "sid": "session_id",
    "t_open": "t_open",
    "t_close": "t_close",
    "o": "open",
    "h": "high",
    "l": "low",
    "c": "close",
    "v": "volume",
    "bid_v": "bid_volume",
    "ask_v": "ask_volume",
    "n": "trades",
    "pv": "pv",
    "p2v": "p2v",
    "large_v": "large_volume",
    "dir": "direction",
}


def _bar(row: BarRow, sessions: Sessions) -> Bar:
    sid = sessions.of(row.t_open).session_id
    t_open, t_close, o, h, low, c, v, bid, ask = row
    return Bar(sid, t_open, t_close, o, h, low, c, v, bid, ask, flags=READY_MADE)


def _none(x: float) -> float | None:
    return None if math.isnan(x) else x


class ReferenceAdapter:
    """See `adapters.Adapter`."""

    def clock(self, ts: Sequence[int]) -> Columns:
        sessions = Sessions()
        found = [sessions.of(t) for t in ts]
        return {
            "session_id": [s.session_id for s in found],
            "session_open": [s.t_open for s in found],
            "phase": [sessions.phase(t).name for t in ts],
            "in_rth": [s.in_rth(t) for s, t in zip(found, ts, strict=True)],
        }

    def ranks(self, x: Sequence[int], q: Sequence[int]) -> dict[str, Any]:
        return {
            "rank_hi": [rank_hi(x, k) for k in q],
            "rank_lo": [rank_lo(x, k) for k in q],
            "median": median(x),
            "std": std(x),
        }

    def build_bars(
        self, builder: str, argument: int, params: Mapping[str, Any], trades: Sequence[Trade]
    ) -> tuple[list[dict[str, Any]], int]:
        p = parameters(params)
        intake = TradeIntake(Sessions(), p.flow_side_fallback)
        machine = BUILDERS[builder](argument, p.feat_f8_min_lots)
        bars = build(machine, intake, trades) + machine.flush()
        named = [{k: getattr(b, name) for k, name in _VECTOR_NAMES.items()} for b in bars]
        for row, bar in zip(named, bars, strict=True):
            row["flag"] = _FLAGS[bar.flags]
        return named, intake.rejected

    def vwap_of_trades(self, trades: Sequence[tuple[int, int]]) -> Columns:
        vwap = Vwap()
        out: Columns = {"w": [], "vwap": [], "sd": []}
        for price, size in trades:
            vwap.add_trade(price, size)
            _note(out, w=vwap.weight, vwap=vwap.value, sd=vwap.sd)
        return out

    def vwap_of_bars(self, bars: Sequence[BarRow]) -> Columns:
        sessions, vwap, session_id = Sessions(), Vwap(), 0
        out: Columns = {"w": [], "vwap": [], "sd": []}
        for row in bars:
            bar = _bar(row, sessions)
            if bar.session_id != session_id:
                vwap, session_id = Vwap(), bar.session_id
            vwap.add_bar(bar)
            _note(out, w=vwap.weight, vwap=vwap.value, sd=vwap.sd)
        return out

    def profile_of_trades(self, trades: Sequence[tuple[int, int]]) -> dict[str, Any]:
        profile = Profile()
        for price, size in trades:
            profile.add_trade(price, size)
        return _profile(profile)

    def profile_of_bars(self, bars: Sequence[tuple[int, int, int]]) -> dict[str, Any]:
        profile = Profile()
        for low, high, volume in bars:
            profile.add_range(low, high, volume)
        return _profile(profile)

    def pattern_hits(
        self, bars: Sequence[BarRow], strict: bool, leg: float, legc: float, vol_ref: float
    ) -> list[list[tuple[str, int, float]]]:
        rows = [_bar(row, Sessions()) for row in bars]
        found = []
        for i in range(len(rows)):
            hits = patterns.detect(rows[: i + 1], strict, leg, legc, vol_ref)
            found.append([(hit.pattern.name, hit.direction, hit.strength) for hit in hits])
        return found

    def battle_navale(
        self,
        params: Mapping[str, Any],
        bars: Sequence[BarRow],
        atr: float,
        vol_ref: float,
        patterns: Mapping[int, Sequence[tuple[int, float]]],
    ) -> Columns:
        kernel, sessions = BattleNavale(parameters(params)), Sessions()
        out: Columns = {}
        for i, row in enumerate(bars):
            b = kernel.update(_bar(row, sessions), atr, vol_ref, patterns.get(i, ()))
            active, box = b.active, b.candidate
            _note(
                out,
                V=b.vikings,
                D=b.defenders,
                G=b.golden,
                state=b.state.name,
                q=b.base_quality,
                dir=b.base_dir,
                S=b.score,
                signal=b.signal,
                strength=b.strength,
                confidence=b.confidence,
                status=b.status.name,
                launched=b.launched,
                violated=b.violated,
                active=active
                and [
                    active.box.low,
                    active.box.high,
                    active.box.bars,
                    active.colour,
                    active.launch,
                ],
                cand=box and [box.low, box.high, box.bars, box.forming],
            )
        return out

    def engine_on_bars(self, params: Mapping[str, Any], bars: Sequence[BarRow]) -> list[Any]:
        engine = ReferenceEngine(params)
        for row in bars:
            engine.on_bar(*row)
        return engine.rows

    def engine_on_trades(self, params: Mapping[str, Any], trades: Sequence[Trade]) -> list[Any]:
        engine = ReferenceEngine(params)
        for trade in trades:
            engine.on_trade(*trade)
        return engine.rows

    def stacked_imbalance(self, low: int, high: int, rows: Sequence[tuple[int, int, int]]) -> float:
        prints = {price: [bid, ask, bid + ask] for price, bid, ask in rows}
        return footprint.stacked_imbalance(low, high, prints, parameters())

    def book_imbalance(
        self, snapshots: Sequence[tuple[Sequence[int], Sequence[int], int]]
    ) -> list[tuple[float, bool]]:
        book = BookImbalance(parameters())
        out = []
        for bids, asks, spread in snapshots:
            book.update(bids, asks, spread)
            out.append(book.feature())
        return out

    def trade_features(self, trades: Sequence[Trade], t_close: int) -> dict[str, Any]:
        flow, sessions = features.TradeFlow(parameters()), Sessions()
        for ts, price, size, side in trades:
            flow.add(AcceptedTrade(ts, price, size, side, sessions.of(ts)))
        value, valid = flow.tick_momentum()
        return {"F7": value, "F7_valid": valid, "F8": flow.smart_money(t_close)}

    def regime(
        self, bars: Sequence[BarRow], atr: Sequence[float], vslope: Sequence[float]
    ) -> Columns:
        kernel, sessions = regime.MarketRegime(parameters()), Sessions()
        rows = [_bar(row, sessions) for row in bars]
        out: Columns = {}
        for i in range(len(rows)):
            state = kernel.update(rows[: i + 1], atr[i], vslope[i])
            accepted = not math.isnan(state.range_quality)
            _note(
                out,
                raw=state.raw.name,
                regime=state.regime.name,
                confidence=state.confidence,
                F15=features.market_regime(state.regime, state.strength),
                strength=_none(state.raw_strength),
                up=state.up if state.tested else None,
                dn=state.down if state.tested else None,
                R=state.resistance if accepted else None,
                S=state.support if accepted else None,
                qr=_none(state.range_quality),
            )
        return out

    def feature_score(self, values: Sequence[float]) -> float:
        return features.score(values)

    def confluence(
        self, close: int, atr: float, levels: Sequence[tuple[str, float, float, int, float]]
    ) -> dict[str, Any]:
        p = parameters()
        made = [confluence.Level(*level) for level in levels]
        zones = confluence.zones(made, close, atr, p)
        return {
            "w": [level.weight for level in made],
            "price_score": confluence.price_score(made, close, atr, p),
            "zones": [vars(zone) for zone in zones],
        }

    def multi_timeframe(
        self, vol01: float, frames: Mapping[int, tuple[float, float]]
    ) -> tuple[float, bool]:
        return timeframes.combine(vol01, frames, parameters())

    def position_size(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        return sizing.position_size(inputs, parameters())

    def headfake(self, bars: Sequence[BarRow], vr: float) -> tuple[float, str | None]:
        rows = [_bar(row, Sessions()) for row in bars]
        score, trap = evidence.headfake(rows, vr)
        return score, {1: "BEAR_TRAP", -1: "BULL_TRAP", 0: None}[trap]


def _note(columns: Columns, **values: Any) -> None:
    for name, value in values.items():
        columns.setdefault(name, []).append(value)


def _profile(profile: Profile) -> dict[str, Any]:
    p = parameters()
    val, vah = profile.value_area(p.profile_value_area_pct)
    hvn, lvn = profile.nodes(p)
    return {
        "low": profile.low,
        "rows_units": profile.volumes(),
        "poc": profile.poc(),
        "val": val,
        "vah": vah,
        "hvn": hvn,
        "lvn": lvn,
    }
