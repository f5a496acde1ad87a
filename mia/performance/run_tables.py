"""Rows of the tables of a run, there and back."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from mia.core.base_types import (
    FEATURE_NAMES,
    ExitReason,
    OrderRole,
    OrderType,
    Phase,
    Reason,
    Regime,
    SetupKind,
    Signal,
    Strategy,
)
from mia.core.trading_types import ClosedTrade, Decision, Fill, GateResult, Proposal

TRADES = pa.schema(
    [
        ("trade_id", pa.string()),
        ("symbol", pa.string()),
        ("contract", pa.string()),
        ("strategy", pa.string()),
        ("trigger", pa.string()),
        ("regime", pa.string()),
        ("session_id", pa.int64()),
        ("side", pa.int8()),
        ("quantity", pa.int32()),
        ("ts_signal", pa.int64()),
        ("ts_entry", pa.int64()),
        ("ts_exit", pa.int64()),
        ("entry_ticks", pa.float64()),
        ("exit_ticks", pa.float64()),
        ("stop_ticks", pa.int32()),
        ("target_ticks", pa.int32()),
        ("distance_ticks", pa.int32()),
        ("exit_reason", pa.string()),
        ("gross_ticks", pa.float64()),
        ("gross_pnl_usd", pa.float64()),
        ("costs_usd", pa.float64()),
        ("net_pnl_usd", pa.float64()),
        ("r_multiple", pa.float64()),
        ("mfe_ticks", pa.int32()),
        ("mae_ticks", pa.int32()),
        ("bars_held", pa.int32()),
        ("confidence", pa.float64()),
        ("slippage_ticks", pa.float64()),
    ]
)


def trade_row(trade: ClosedTrade) -> dict[str, Any]:
    """Return a row of `TRADES`."""
    return {
        "trade_id": trade.trade_id,
        "symbol": trade.symbol,
        "contract": trade.contract,
        "strategy": trade.strategy.value,
        "trigger": trade.kind.name,
        "regime": trade.regime.name,
        "session_id": trade.session_id,
        "side": trade.side,
        "quantity": trade.quantity,
        "ts_signal": trade.ts_signal,
        "ts_entry": trade.ts_entry,
        "ts_exit": trade.ts_exit,
        "entry_ticks": trade.entry,
        "exit_ticks": trade.exit,
        "stop_ticks": trade.stop,
        "target_ticks": trade.target,
        "distance_ticks": trade.distance,
        "exit_reason": trade.exit_reason.value,
        "gross_ticks": trade.gross_ticks,
        "gross_pnl_usd": trade.gross_pnl,
        "costs_usd": trade.costs,
        "net_pnl_usd": trade.net_pnl,
        "r_multiple": trade.r_multiple,
        "mfe_ticks": trade.mfe_ticks,
        "mae_ticks": trade.mae_ticks,
        "bars_held": trade.bars_held,
        "confidence": trade.confidence,
        "slippage_ticks": trade.slippage_ticks,
    }


_GATE = pa.struct(
    [
        ("code", pa.string()),
        ("value", pa.float64()),
        ("limit", pa.float64()),
        ("passed", pa.bool_()),
        ("known", pa.bool_()),
    ]
)

DECISIONS = pa.schema(
    [
        ("ts", pa.int64()),
        ("session_id", pa.int64()),
        ("contract", pa.string()),
        ("strategy", pa.string()),
        ("trigger", pa.string()),
        ("side", pa.int8()),
        ("quality", pa.float64()),
        ("entry_type", pa.string()),
        ("entry_ticks", pa.int32()),
        ("stop_ticks", pa.int32()),
        ("target_ticks", pa.int32()),
        ("distance_ticks", pa.int32()),
        ("signal", pa.string()),
        ("reason", pa.string()),
        ("confidence", pa.float64()),
        ("label", pa.string()),
        ("parts", pa.map_(pa.string(), pa.float64())),
        ("gates", pa.list_(_GATE)),
        ("symbol", pa.string()),
        ("quantity", pa.int32()),
        ("budgets", pa.map_(pa.string(), pa.float64())),
        ("regime", pa.string()),
        ("phase", pa.string()),
        ("valid_bars", pa.int32()),
        ("unfilled", pa.bool_()),
        *((name, pa.float64()) for name in FEATURE_NAMES),
        *((f"{name}_valid", pa.bool_()) for name in FEATURE_NAMES),
    ]
)


def decision_row(decision: Decision, unfilled: bool) -> dict[str, Any]:
    """Return a row of `DECISIONS`; `unfilled` if its entry was sent and never filled."""
    proposal = decision.proposal
    return {
        "ts": decision.ts,
        "session_id": decision.session_id,
        "contract": decision.contract,
        "strategy": proposal.strategy.value,
        "trigger": proposal.kind.name,
        "side": proposal.side,
        "quality": proposal.quality,
        "entry_type": proposal.entry_type.name,
        "entry_ticks": proposal.entry,
        "stop_ticks": proposal.stop,
        "target_ticks": proposal.target,
        "distance_ticks": proposal.distance,
        "signal": decision.signal.value,
        "reason": decision.reason.value,
        "confidence": decision.confidence,
        "label": decision.label,
        "parts": list(decision.parts.items()),
        "gates": [
            {
                "code": gate.code.value,
                "value": gate.value,
                "limit": gate.limit,
                "passed": gate.passed,
                "known": gate.known,
            }
            for gate in decision.gates
        ],
        "symbol": decision.symbol,
        "quantity": decision.quantity,
        "budgets": list(decision.budgets.items()),
        "regime": decision.regime.name,
        "phase": decision.phase.name,
        "valid_bars": proposal.valid_bars,
        "unfilled": unfilled,
        **dict(zip(FEATURE_NAMES, decision.features, strict=True)),
        **{
            f"{name}_valid": valid
            for name, valid in zip(FEATURE_NAMES, decision.valid, strict=True)
        },
    }


FILLS = pa.schema(
    [
        ("bracket_id", pa.string()),
        ("role", pa.string()),
        ("ts", pa.int64()),
        ("side", pa.int8()),
        ("quantity", pa.int32()),
        ("price_ticks", pa.int32()),
        ("reference_price_ticks", pa.int32()),
        ("commission_usd", pa.float64()),
    ]
)


def fill_row(fill: Fill) -> dict[str, Any]:
    """Return a row of `FILLS`."""
    return {
        "bracket_id": fill.bracket_id,
        "role": fill.role.name,
        "ts": fill.ts,
        "side": fill.side,
        "quantity": fill.quantity,
        "price_ticks": fill.price,
        "reference_price_ticks": fill.reference_price,
        "commission_usd": fill.commission,
    }


def fill_of(row: Mapping[str, Any]) -> Fill:
    """Return the fill of a row."""
    return Fill(
        row["bracket_id"],
        OrderRole[row["role"]],
        row["ts"],
        row["side"],
        row["quantity"],
        row["price_ticks"],
        row["reference_price_ticks"],
        row["commission_usd"],
    )


def trade_of(row: Mapping[str, Any]) -> ClosedTrade:
    """Return the trade of a row; what is ``extra`` was not kept."""
    names = ("trade_id", "symbol", "contract", "session_id", "side", "quantity", "ts_signal")
    more = ("ts_entry", "ts_exit", "gross_ticks", "r_multiple", "mfe_ticks", "mae_ticks")
    last = ("bars_held", "confidence", "slippage_ticks")
    return ClosedTrade(
        **{name: row[name] for name in (*names, *more, *last)},
        strategy=Strategy(row["strategy"]),
        kind=SetupKind[row["trigger"]],
        regime=Regime[row["regime"]],
        entry=row["entry_ticks"],
        exit=row["exit_ticks"],
        stop=row["stop_ticks"],
        target=row["target_ticks"],
        distance=row["distance_ticks"],
        exit_reason=ExitReason(row["exit_reason"]),
        gross_pnl=row["gross_pnl_usd"],
        costs=row["costs_usd"],
        net_pnl=row["net_pnl_usd"],
    )


def decision_of(row: Mapping[str, Any]) -> Decision:
    """Return the decision of a row whose maps are dictionaries."""
    proposal = Proposal(
        strategy=Strategy(row["strategy"]),
        kind=SetupKind[row["trigger"]],
        side=row["side"],
        quality=row["quality"],
        entry_type=OrderType[row["entry_type"]],
        entry=row["entry_ticks"],
        stop=row["stop_ticks"],
        target=row["target_ticks"],
        distance=row["distance_ticks"],
        valid_bars=row["valid_bars"],
    )
    gates = tuple(
        GateResult(Reason(g["code"]), g["value"], g["limit"], g["passed"], g["known"])
        for g in row["gates"]
    )
    return Decision(
        **{name: row[name] for name in ("ts", "session_id", "contract", "confidence", "label")},
        proposal=proposal,
        signal=Signal(row["signal"]),
        reason=Reason(row["reason"]),
        parts=row["parts"],
        gates=gates,
        symbol=row["symbol"],
        quantity=row["quantity"],
        budgets=row["budgets"],
        features=tuple(row[name] for name in FEATURE_NAMES),
        valid=tuple(row[f"{name}_valid"] for name in FEATURE_NAMES),
        regime=Regime[row["regime"]],
        phase=Phase[row["phase"]],
    )
