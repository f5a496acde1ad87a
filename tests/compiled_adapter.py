"""The compiled kernels, through their public faces, behind the face of `adapters`."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from adapters import BarRow, Columns, Trade
from compiled_engine import (
    CompiledEngine,
    bar_records,
    session_rows,
    split_params,
    trade_columns,
)
from numpy.typing import NDArray

from mia._fast import (
    bars,
    battle_navale,
    book_imbalance,
    confluence,
    evidence,
    feature_score,
    levels,
    order_flow,
    patterns,
    profile,
    records,
    regime,
    statistics,
    timeframes,
    vwap,
)
from mia.config.limits import effective_limits
from mia.config.method import Risk
from mia.core import sessions
from mia.core.base_types import BarPattern, BattleStatus, GoldenState, OrderType, Phase, Regime
from mia.core.kernel_params import kernel_params
from mia.execution.sizing import Sizer, kelly

SECOND = 1_000_000_000
DIRECTION = (1, -1, -1, 1)
FLAGS = {0: "", 1: "SESSION_END", 2: "PARTIAL"}
BAR_NAMES = {
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


def _bars(rows: Sequence[BarRow]) -> NDArray[np.void]:
    out = bar_records(rows)
    timed = out["t_open"] > 0
    out["session_id"][timed] = sessions.session_ids(out["t_open"][timed])
    return out


def _none(values: NDArray[np.float64]) -> list[float | None]:
    return [None if math.isnan(x) else x for x in values.tolist()]


class CompiledAdapter:
    """See `adapters.Adapter`."""

    def clock(self, ts: Sequence[int]) -> Columns:
        instants = np.array(ts, np.int64)
        return {
            "session_id": sessions.session_ids(instants).tolist(),
            "session_open": sessions.session_opens(instants).tolist(),
            "phase": [Phase(k).name for k in sessions.phases(instants, early_closes=False)],
            "in_rth": sessions.in_rth_mask(instants, early_closes=False).tolist(),
        }

    def ranks(self, x: Sequence[int], q: Sequence[int]) -> dict[str, Any]:
        found = [statistics.ranks(np.array(x, np.int64), k) for k in q]
        return {
            "rank_hi": [high for high, _ in found],
            "rank_lo": [low for _, low in found],
            "median": statistics.median(np.array(x, float)),
            "std": statistics.std(np.array(x, float)),
        }

    def build_bars(
        self, builder: str, argument: int, params: Mapping[str, Any], trades: Sequence[Trade]
    ) -> tuple[list[dict[str, Any]], int]:
        record, _ = split_params(params)
        built, rejected = bars.build(
            f"{builder}:{argument}",
            session_rows([trade[0] for trade in trades]),
            *trade_columns(trades),
            large=int(record["feat_f8_min_lots"][0]),
            tick_rule=bool(record["flow_side_fallback"][0]),
        )
        named = [{k: int(bar[name]) for k, name in BAR_NAMES.items()} for bar in built]
        for row, flags in zip(named, built["flags"].tolist(), strict=True):
            row["flag"] = FLAGS[flags]
        return named, rejected

    def vwap_of_trades(self, trades: Sequence[tuple[int, int]]) -> Columns:
        kernel = vwap.Vwap()
        out: Columns = {"w": [], "vwap": [], "sd": []}
        for price, size in trades:
            kernel.add_trade(price, size)
            _note(out, w=kernel.weight, vwap=kernel.value, sd=kernel.std)
        return out

    def vwap_of_bars(self, bars: Sequence[BarRow]) -> Columns:
        kernel, session_id = vwap.Vwap(), 0
        out: Columns = {"w": [], "vwap": [], "sd": []}
        for bar in _bars(bars):
            if bar["session_id"] != session_id:
                session_id = bar["session_id"]
                kernel.reset()
            kernel.add_bar(*(bar[name] for name in ("open", "high", "low", "close", "volume")))
            _note(out, w=kernel.weight, vwap=kernel.value, sd=kernel.std)
        return out

    def profile_of_trades(self, trades: Sequence[tuple[int, int]]) -> dict[str, Any]:
        kernel = profile.Profile(kernel_params())
        for price, size in trades:
            kernel.add_trade(price, size)
        return _profile(kernel)

    def profile_of_bars(self, bars: Sequence[tuple[int, int, int]]) -> dict[str, Any]:
        kernel = profile.Profile(kernel_params())
        for low, high, volume in bars:
            kernel.add_bar(high, low, volume)
        return _profile(kernel)

    def pattern_hits(
        self, bars: Sequence[BarRow], strict: bool, leg: float, legc: float, vol_ref: float
    ) -> list[list[tuple[str, int, float]]]:
        n = len(bars)
        out = np.zeros((n, 4))
        columns = (np.full(n, float(value)) for value in (vol_ref, leg, legc))
        patterns.detect_all(_bars(bars), *columns, strict, out)
        return [
            [
                (kind.name, DIRECTION[kind], float(strengths[kind]))
                for kind in BarPattern
                if strengths[kind]
            ]
            for strengths in out
        ]

    def battle_navale(
        self,
        params: Mapping[str, Any],
        bars: Sequence[BarRow],
        atr: float,
        vol_ref: float,
        patterns: Mapping[int, Sequence[tuple[int, float]]],
    ) -> Columns:
        present = {1: np.zeros(len(bars)), -1: np.zeros(len(bars))}
        for index, hits in patterns.items():
            for direction, strength in hits:
                present[direction][index] = max(present[direction][index], strength)
        kernel = battle_navale.BattleNavale(split_params(params)[0])
        out = kernel.bars(_bars(bars), atr, vol_ref, present[1], present[-1])
        columns: Columns = {
            name: out[field].tolist()
            for name, field in (
                ("V", "vikings"),
                ("D", "defenders"),
                ("G", "golden"),
                ("q", "base_quality"),
                ("dir", "base_dir"),
                ("S", "score"),
                *((name, name) for name in ("signal", "strength", "confidence")),
                *((name, name) for name in ("launched", "violated")),
            )
        }
        columns["state"] = [GoldenState(k).name for k in out["state"]]
        columns["status"] = [BattleStatus(k).name for k in out["status"]]
        active = ("low", "high", "bars", "dir", "launch")
        columns["active"] = [
            [int(row[f"active_{name}"]) for name in active] if row["active_dir"] else None
            for row in out
        ]
        columns["cand"] = [
            [int(row[f"candidate_{name}"]) for name in active[:4]] if row["has_candidate"] else None
            for row in out
        ]
        return columns

    def engine_on_bars(self, params: Mapping[str, Any], bars: Sequence[BarRow]) -> list[Any]:
        table = session_rows([bar.t_open for bar in bars])
        engine = CompiledEngine(params, table, ready_made=True)
        engine.on_bars(bars)
        return engine.rows

    def engine_on_trades(self, params: Mapping[str, Any], trades: Sequence[Trade]) -> list[Any]:
        engine = CompiledEngine(params, session_rows([trade[0] for trade in trades]))
        engine.on_trades(trades)
        return engine.rows

    def stacked_imbalance(self, low: int, high: int, rows: Sequence[tuple[int, int, int]]) -> float:
        sold = {price: bid for price, bid, _ in rows}
        bought = {price: ask for price, _, ask in rows}
        prices = range(low, high + 1)
        bid = np.array([sold.get(price, 0) for price in prices], np.int64)
        ask = np.array([bought.get(price, 0) for price in prices], np.int64)
        return order_flow.bar_imbalance(bid, ask, kernel_params())

    def book_imbalance(
        self, snapshots: Sequence[tuple[Sequence[int], Sequence[int], int]]
    ) -> list[tuple[float, bool]]:
        kernel = book_imbalance.BookImbalance(kernel_params())
        out = []
        for second, (bids, asks, spread) in enumerate(snapshots):
            sizes = (np.array(side, np.int64) for side in (bids, asks))
            kernel.push(second * SECOND, *sizes, spread)
            out.append(kernel.at((second + 1) * SECOND))
        return out

    def trade_features(self, trades: Sequence[Trade], t_close: int) -> dict[str, Any]:
        row = np.zeros(1, records.ROW_DTYPE)
        bar = np.zeros(1, records.BAR_DTYPE)
        bar["t_close"] = t_close
        stops = np.array([len(trades)])
        kernel = order_flow.OrderFlow(kernel_params())
        kernel.fill(bar, row, np.array([np.nan]), *trade_columns(trades), stops)
        values, valid = row["feature"][0], row["valid"][0]
        return {"F7": values[6], "F7_valid": bool(valid[6]), "F8": values[7]}

    def regime(
        self, bars: Sequence[BarRow], atr: Sequence[float], vslope: Sequence[float]
    ) -> Columns:
        given = _bars(bars)
        out = regime.RegimeClassifier(kernel_params()).bars(given, atr, vslope)
        accepted = ~np.isnan(out["range_quality"])
        tested = out["tested"] != 0
        return {
            "raw": [Regime(k).name for k in out["raw"]],
            "regime": [Regime(k).name for k in out["regime"]],
            "confidence": out["confidence"].tolist(),
            "F15": _regime_feature(given, out),
            "strength": _none(out["raw_strength"]),
            "up": [int(n) if seen else None for n, seen in zip(out["up"], tested, strict=True)],
            "dn": [int(n) if seen else None for n, seen in zip(out["down"], tested, strict=True)],
            "R": _none(np.where(accepted, out["resistance"], np.nan)),
            "S": _none(np.where(accepted, out["support"], np.nan)),
            "qr": _none(out["range_quality"]),
        }

    def feature_score(self, features: Sequence[float]) -> float:
        return feature_score.score(np.array(features, float))

    def confluence(
        self, close: int, atr: float, levels: Sequence[tuple[str, float, float, int, float]]
    ) -> dict[str, Any]:
        return score_levels(close, atr, levels)

    def multi_timeframe(
        self, vol01: float, frames: Mapping[int, tuple[float, float]]
    ) -> tuple[float, bool]:
        found = [frames.get(minutes) for minutes in (1, 5, 15, 60)]
        known = np.array([frame or (0.0, 0.0) for frame in found])
        score, confidence = np.ascontiguousarray(known.T)
        valid = [frame is not None for frame in found]
        return timeframes.combine(score, confidence, valid, vol01)

    def position_size(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        record = kelly(
            inputs["n"],
            inputs["wins"],
            inputs["mean_win"],
            inputs["mean_loss"],
            prior=10,
            cap=0.25,
        )
        limits = replace(
            effective_limits("paper", "conservative"),
            max_size=inputs["max_size"],
            per_trade_usd=inputs["per_trade"],
            per_trade_pct=inputs["pct"],
            kelly_fraction=inputs["fraction"],
        )
        instrument = "auto" if inputs.get("auto", True) else inputs["inst"]
        allowance = inputs["daily_limit"] + inputs["day_pnl"] + min(inputs["open_pnl"], 0)
        found = Sizer(limits, {"risk": Risk(instrument=instrument)}).size(
            inputs["d"],
            OrderType.STOP if inputs["market_entry"] else OrderType.LIMIT,
            inputs["equity"],
            max(0.0, allowance),
            record,
            inputs.get("mult", 1.0),
        )
        return {
            "p": record.probability,
            "b": record.payoff,
            "f_star": record.fraction,
            "instrument": found.symbol,
            "contracts": found.quantity,
            "reason": "OK" if found.quantity else "SIZE_ZERO" if found.edge else "KELLY_NO_EDGE",
        }

    def headfake(self, bars: Sequence[BarRow], vr: float) -> tuple[float, str | None]:
        trap, score = evidence.headfake_of(_bars(bars), vr)
        return score, {1: "BEAR_TRAP", -1: "BULL_TRAP", 0: None}[trap]


def score_levels(
    close: int,
    atr: float,
    given: Sequence[tuple[str, float, float, int, float]],
    **overrides: float,
) -> dict[str, Any]:
    """Return what `adapters.Adapter.confluence` does, with parameters."""
    kernel = confluence.Confluence(kernel_params(**overrides))
    kinds, prices, ages, touches, quality = zip(*given, strict=True) if given else ((),) * 5
    score = kernel.score_levels(
        close,
        atr,
        np.array([levels.LEVEL_KINDS.index(kind) for kind in kinds], np.int64),
        np.array(prices, float),
        np.array(ages, float),
        np.array(touches, np.int64),
        np.array(quality, float),
    )
    return {
        "w": kernel.level_array()["w"].tolist(),
        "price_score": score,
        "zones": [
            {
                "low": float(zone["low"]),
                "high": float(zone["high"]),
                "score": float(zone["score"]),
                "count": int(zone["counted"]),
                "kinds": int(zone["kinds"]),
                "quality": levels.ZONE_GRADES[zone["grade"]],
                "centre": float(zone["centre"]),
            }
            for zone in kernel.zone_array()
        ],
    }


def _regime_feature(bars: NDArray[np.void], states: NDArray[np.void]) -> list[float]:
    n = len(bars)
    rows = np.zeros(n, records.ROW_DTYPE)
    rows["regime"] = states
    none, stops = np.full(n, np.nan), np.zeros(n, np.int64)
    order_flow.OrderFlow(kernel_params()).fill(bars, rows, none, *trade_columns([]), stops)
    return rows["feature"][:, 14].tolist()


def _note(columns: Columns, **values: Any) -> None:
    for name, value in values.items():
        columns[name].append(value)


def _profile(kernel: profile.Profile) -> dict[str, Any]:
    poc, val, vah = kernel.levels() or (None, None, None)
    return {
        "low": kernel.low,
        "rows_units": kernel.rows.tolist(),
        "poc": poc,
        "val": val,
        "vah": vah,
        "hvn": kernel.hvn,
        "lvn": kernel.lvn,
    }
