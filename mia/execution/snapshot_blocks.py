"""The blocks of a snapshot: what the market showed, what was decided, what came of it."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mia._fast import market_state
from mia.core.base_types import FEATURE_NAMES, BattleStatus, GoldenState, Phase, Regime, SetupKind
from mia.core.trading_types import ClosedTrade, Context, Decision, Fill
from mia.execution.position.open_position import Position

NEAR_TICKS = 40
"""Zones are recorded up to here from the close."""

_BASE = ("active_dir", "active_low", "active_high", "active_bars", "active_launch")
_CANDIDATE = ("candidate_low", "candidate_high", "candidate_bars", "candidate_dir")
_PATTERNS = ("LDU", "LUD", "CDS", "CUS")
_LEVELS = ("poc", "vah", "val")


def market_block(row: Mapping[str, Any], quote: tuple[int, int] | None) -> dict[str, Any]:
    """Return bar, quote, phase, volatility and levels; prices in ticks."""
    bar = row["bar"]
    names = ("t_open", "t_close", "open", "high", "low", "close", "volume", "bid_volume")
    bid, ask = quote or (None, None)
    return {
        "bar": {name: bar[name] for name in (*names, "ask_volume", "trades")},
        "bid": bid,
        "ask": ask,
        "spread": row["spread"],
        "phase": Phase(row["phase"]).name,
        "rth": bool(row["rth"]),
        "atr": row["atr"],
        "vr": row["vr"],
        "vwap": row["vwap"],
        "vwap_sd": row["vwap_sd"],
        "cvd": row["cvd"],
        **_levels(row, "", "profile_valid"),
        **_levels(row, "developing_", "developing_valid"),
        **_levels(row, "previous_", "previous_valid"),
    }


def _levels(row: Mapping[str, Any], prefix: str, flag: str) -> dict[str, Any]:
    return {prefix + name: row[prefix + name] if row[flag] else None for name in _LEVELS}


def battle_block(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the Battle Navale of the primary stream."""
    battle = row["battle"]
    names = ("vikings", "defenders", "golden", "base_quality", "base_dir", "score", "signal")
    return {
        **{name: battle[name] for name in (*names, "strength", "confidence")},
        "state": GoldenState(battle["state"]).name,
        "status": BattleStatus(battle["status"]).name,
        "active": {n: battle[n] for n in _BASE} if battle["active_dir"] else None,
        "candidate": {n: battle[n] for n in _CANDIDATE} if battle["has_candidate"] else None,
        "patterns": dict(zip(_PATTERNS, row["pattern"], strict=True)),
        "pattern_hits": [n for n, hit in zip(_PATTERNS, row["pattern_hit"], strict=True) if hit],
    }


def features_block(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the features with validity, quality and score."""
    return {
        "values": dict(zip(FEATURE_NAMES, row["feature"], strict=True)),
        "invalid": [n for n, ok in zip(FEATURE_NAMES, row["valid"], strict=True) if not ok],
        "quality": row["feature_quality"],
        "score": row["feature_score"],
        "tier": row["tier"],
        "options_quality": row["options_quality"],
    }


class Analysis(NamedTuple):
    """What the kernels knew at a close, copied from them."""

    context: Context
    row: Mapping[str, Any]
    zones: NDArray[np.void]
    frames: tuple[Mapping[str, Any] | None, ...]
    has_gap: bool
    quote: tuple[int, int] | None
    options_at: int


def analysis_of(
    context: Context,
    state: market_state.MarketState,
    quote: tuple[int, int] | None,
    options_at: int,
) -> Analysis | None:
    """Copy what the state knows at its newest close, None before the first."""
    row = state.newest
    if row is None:
        return None
    frames = state.timeframes
    return Analysis(
        context,
        row,
        state.confluence.zone_array().copy(),
        (frames.first.state, frames.second.state, frames.third.state, frames.fourth.state),
        state.has_gap,
        quote,
        options_at,
    )


def analysis_blocks(analysis: Analysis) -> dict[str, Any]:
    """Return the blocks of what was known: market, battle, features, context."""
    return {
        "market": market_block(analysis.row, analysis.quote),
        "battle": battle_block(analysis.row),
        "features": features_block(analysis.row),
        "context": context_block(analysis),
    }


def context_block(analysis: Analysis) -> dict[str, Any]:
    """Return regime, zones near the close, frames, evidence and triggers."""
    row, context = analysis.row, analysis.context
    regime = row["regime"]
    close = row["bar"]["close"]
    return {
        "regime": Regime(regime["regime"]).name,
        "regime_raw": Regime(regime["raw"]).name,
        "regime_confidence": regime["confidence"],
        "resistance": regime["resistance"],
        "support": regime["support"],
        "zones": [
            {name: zone[name] for name in ("low", "high", "centre", "score", "kinds")}
            for zone in analysis.zones
            if zone["low"] - NEAR_TICKS <= close <= zone["high"] + NEAR_TICKS
        ],
        "price_score": row["price_score"],
        "frames": [
            None if frame is None else {name: frame[name] for name in ("score", "confidence")}
            for frame in analysis.frames
        ],
        "mtf": row["mtf"] if row["mtf_valid"] else None,
        "headfake": row["headfake"],
        "headfake_score": row["headfake_score"],
        "micro_anomaly": row["micro_anomaly"],
        "gamma_pin": row["gamma_pin"],
        "call_wall": row["call_wall"],
        "put_wall": row["put_wall"],
        "gamma_flip": row["gamma_flip"],
        "options_at": analysis.options_at or None,
        "vix": context.vix,
        "has_gap": analysis.has_gap,
        "setups": [
            {
                "kind": SetupKind(setup.kind).name,
                "side": setup.side,
                "quality": setup.quality,
                "level": setup.level,
                "traded": setup.traded,
            }
            for setup in context.setups
        ],
    }


def decision_block(decision: Decision) -> dict[str, Any]:
    """Return the proposal, its confidence, every gate, and the size."""
    proposal = decision.proposal
    return {
        "accepted": decision.accepted,
        "reason": decision.reason.value,
        "signal": decision.signal.value,
        "strategy": proposal.strategy.value,
        "setup": proposal.kind.name,
        "side": int(proposal.side),
        "quality": proposal.quality,
        "entry_type": proposal.entry_type.name,
        "entry": proposal.entry,
        "stop": proposal.stop,
        "target": proposal.target,
        "distance": proposal.distance,
        "valid_bars": proposal.valid_bars,
        "confidence": decision.confidence,
        "label": decision.label,
        "parts": dict(decision.parts),
        "gates": [
            {
                "code": gate.code.value,
                "value": gate.value,
                "limit": gate.limit,
                "passed": bool(gate.passed),
                "known": bool(gate.known),
            }
            for gate in decision.gates
        ],
        "symbol": decision.symbol,
        "quantity": decision.quantity,
        "budgets": dict(decision.budgets),
    }


def execution_block(fill: Fill, decision: Decision | None) -> dict[str, Any]:
    """Return a fill; `requested` is the price of the order, or where a market order was sent."""
    return {
        "bracket_id": fill.bracket_id,
        "role": fill.role.value,
        "side": fill.side,
        "quantity": fill.quantity,
        "requested": fill.reference_price,
        "price": fill.price,
        "slippage": fill.side * (fill.price - fill.reference_price),
        "since_decision_ms": None if decision is None else (fill.ts - decision.ts) / 1e6,
        "commission": fill.commission,
    }


def position_block(position: Position, context: Context) -> dict[str, Any]:
    """Return an open position at a close."""
    trade = position.trade
    block = {
        "side": int(position.decision.proposal.side),
        "quantity": position.open_quantity,
        "close": context.close,
        "open_pnl": position.open_pnl(context.close),
        "costs": position.costs,
    }
    if trade is not None:
        block |= {
            "entry": trade.entry,
            "stop": trade.stop,
            "best": trade.best,
            "trailing": trade.trailing,
            "bars_held": trade.bars_held,
        }
    return block


def result_block(trade: ClosedTrade) -> dict[str, Any]:
    """Return the round trip."""
    names = ("quantity", "ts_signal", "ts_entry", "ts_exit", "entry", "exit", "stop", "target")
    more = ("gross_ticks", "gross_pnl", "costs", "net_pnl", "r_multiple", "mfe_ticks", "mae_ticks")
    return {
        **{name: getattr(trade, name) for name in (*names, *more, "bars_held", "slippage_ticks")},
        "strategy": trade.strategy.value,
        "setup": trade.kind.name,
        "side": int(trade.side),
        "regime": trade.regime.name,
        "exit_reason": trade.exit_reason.value,
        "minutes": (trade.ts_exit - trade.ts_entry) / 60e9,
    }
