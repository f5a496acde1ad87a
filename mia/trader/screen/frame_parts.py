"""Parts of the frame that change with a close, a decision or an order."""

from collections.abc import Iterable, Mapping
from math import isnan, nan
from typing import Any

import numpy as np

from mia._fast import feature_score
from mia.core.base_types import (
    BattleStatus,
    GoldenState,
    OrderRole,
    OrderStatus,
    OrderType,
    Phase,
    Reason,
    Regime,
)
from mia.core.frame import Battle, Gate, Held, Levels, Order, Signal
from mia.core.trading_types import Decision
from mia.execution.orders.protection import is_protected
from mia.execution.orders.states import Bracket, Leg, LegState
from mia.execution.position.open_position import Position

_NEUTRAL = np.zeros(18)
_NEUTRAL[16], _NEUTRAL[17] = 0.5, 1.0
_STATUS = {
    LegState.SENT: OrderStatus.PENDING,
    LegState.WORKING: OrderStatus.WORKING,
    LegState.PARTIAL: OrderStatus.WORKING,
    LegState.PENDING_CANCEL: OrderStatus.WORKING,
    LegState.FILLED: OrderStatus.FILLED,
    LegState.CANCELLED: OrderStatus.CANCELLED,
    LegState.REJECTED: OrderStatus.REJECTED,
    LegState.UNKNOWN: OrderStatus.UNKNOWN,
}


def masked(account: str) -> str:
    """Cover all of an account's digits but the last three: ``DU****567``."""
    letters = account.rstrip("0123456789")
    digits = account[len(letters) :]
    kept = digits[-3:] if len(digits) > 4 else ""
    return f"{letters}****{kept}"


def levels_of(
    row: Mapping[str, Any], day_before: tuple[int | None, int | None, int | None]
) -> Levels:
    """Return the levels at a close.

    Parameters
    ----------
    row : mapping
        As `mia._fast.market_state.MarketState.newest` returns it.
    day_before : tuple
        High, low and last price of the regular hours before, ticks, as far as they were seen.
    """
    profile = bool(row["profile_valid"])
    quality = row["options_quality"]
    return Levels(
        _known(row["vwap"]),
        _known(row["vwap_sd"]),
        row["poc"] if profile else None,
        row["vah"] if profile else None,
        row["val"] if profile else None,
        *day_before,
        _known(row["gamma_flip"]),
        _known(row["call_wall"]),
        _known(row["put_wall"]),
        quality if quality > 0 else None,
    )


def battle_of(row: Mapping[str, Any], vix: float) -> Battle:
    """Return Battle Navale, regime, volatility and phase at a close; VIX is nan if unknown."""
    battle, regime = row["battle"], row["regime"]
    based = battle["active_dir"] != 0
    return Battle(
        battle["vikings"],
        battle["defenders"],
        battle["score"],
        battle["golden"],
        GoldenState(battle["state"]).name,
        battle["signal"],
        battle["strength"],
        battle["confidence"],
        BattleStatus(battle["status"]).name,
        battle["active_low"] if based else None,
        battle["active_high"] if based else None,
        Regime(regime["regime"]).name,
        regime["confidence"],
        row["atr"] if row["atr_valid"] else None,
        _known(vix),
        Phase(row["phase"]).name,
    )


def contributions(features: Iterable[float], valid: Iterable[bool]) -> list[float | None]:
    """Return what the feature score would lose without each feature.

    Without one means at its neutral value: 0, for F17 0.5, for F18 1. Where the score is a sum,
    that is its term; factors of the whole have theirs too, so the shares need not add up to the
    score.
    """
    values = np.array(list(features), np.float64)
    whole = feature_score.score(values)
    shares: list[float | None] = []
    for k, good in enumerate(valid):
        if not good:
            shares.append(None)
            continue
        kept, values[k] = values[k], _NEUTRAL[k]
        shares.append(whole - feature_score.score(values))
        values[k] = kept
    return shares


def signal_of(decision: Decision) -> Signal:
    """Return a decision with its gates and features."""
    proposal = decision.proposal
    asked = [gate.value for gate in decision.gates if gate.code is Reason.MODEL and gate.known]
    features = decision.features
    return Signal(
        decision.ts,
        decision.signal.value,
        proposal.strategy.value,
        proposal.kind.name,
        int(proposal.side),
        decision.reason.value,
        decision.confidence,
        decision.label,
        decision.quantity,
        proposal.entry,
        proposal.stop,
        proposal.target,
        dict(decision.parts),
        [
            Gate(
                gate.code.value,
                _known(gate.value) if gate.known else None,
                _known(gate.limit),
                bool(gate.passed),
                bool(gate.known),
            )
            for gate in decision.gates
        ],
        [value if good else None for value, good in zip(features, decision.valid, strict=True)],
        contributions(features, decision.valid),
        feature_score.score(np.array(features, np.float64)),
        _known(asked[0]) if asked else None,
    )


def held_of(position: Position, bracket: Bracket | None, open_pnl: float) -> Held:
    """Return the cycle's position; prices of its orders as the broker has them."""
    proposal, trade = position.decision.proposal, position.trade
    side = int(proposal.side)
    stop: int | None = proposal.stop
    target: int | None = proposal.target
    if trade is not None:
        stop, target = trade.stop, trade.target
    if bracket is not None:
        stop = _resting(bracket, OrderRole.STOP, stop)
        target = _resting(bracket, OrderRole.TARGET, target)
    return Held(
        position.trade_id,
        position.decision.symbol,
        proposal.strategy.value,
        proposal.kind.name,
        side,
        side * position.open_quantity,
        position.decision.quantity,
        None if trade is None else trade.entry,
        stop,
        target,
        bracket is not None and position.open_quantity != 0 and is_protected(bracket),
        open_pnl,
        None if trade is None else trade.ts_entry,
        0 if trade is None else trade.bars_held,
    )


def held_beside(bracket: Bracket, price: int, tick_value: float) -> Held:
    """Return a position of ours that the cycle does not manage: its stop and target do."""
    order = bracket.order
    bought = sum(leg.filled for leg in bracket.of(OrderRole.ENTRY))
    entry = bracket.entry
    value = sum(done.quantity * done.price for done in entry.executions.values())
    average = value / entry.executed if entry.executed else None
    open_pnl = nan
    if average is not None and price:
        open_pnl = bracket.position * (price - average) * tick_value
    return Held(
        order.bracket_id,
        order.symbol,
        "",
        "",
        order.side,
        bracket.position,
        bought,
        average,
        _resting(bracket, OrderRole.STOP, None),
        _resting(bracket, OrderRole.TARGET, None),
        is_protected(bracket),
        open_pnl,
        min((done.ts for done in entry.executions.values()), default=None),
        0,
    )


def orders_of(brackets: Iterable[Bracket]) -> list[Order]:
    """Return the orders that may still fill."""
    return [_order(leg) for bracket in brackets for leg in bracket.legs.values() if leg.may_fill]


def _order(leg: Leg) -> Order:
    return Order(
        leg.ref,
        next(iter(leg.perms), 0),
        leg.role.value,
        leg.side,
        leg.quantity,
        leg.filled,
        leg.order_type.name,
        None if leg.order_type is OrderType.MARKET else leg.price,
        _STATUS[leg.state].value,
    )


def _resting(bracket: Bracket, role: OrderRole, otherwise: int | None) -> int | None:
    for leg in bracket.of(role):
        if leg.may_fill:
            return leg.price
    return otherwise


def _known(value: float) -> float | None:
    return None if isnan(value) else value
