"""What a restart needs of the trading cycle: written to the journal as it changes, and taken back.

Orders and executions are the order manager's, the kill switch has its own store; this is the
rest: the account, what gates remember, and the position with the reasons for which it is held.
"""

import base64
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from typing import Any

import msgspec

from mia.core.base_types import ExitReason, OrderRole
from mia.core.crash_points import crash_point
from mia.core.trading_types import ClosedTrade, Context, Decision, Fill
from mia.data import account_history
from mia.errors import DataError
from mia.execution.position.exits import OpenTrade
from mia.execution.position.open_position import Position
from mia.execution.simple_trader import SimpleTrader
from mia.strategies.session_facts import LONG_AGO

KIND = "cycle"
"""Kind of the journal's events that hold the cycle's state."""

CHANGES = frozenset({"sent", "refused", "managed", "fill", "corrected", "closed", "unfilled"})
"""Topics of the cycle after which its state is another."""

DURABLE = frozenset({"closed"})
"""What no broker can tell again: the day's result."""

Append = Callable[..., int]
"""``append(kind, payload, *, ts, durable, with_next)`` of a journal."""


class _Grounds(msgspec.Struct):
    """Why a position is held; packed, as numbers that are not numbers have no JSON."""

    decision: Decision
    context: Context


def grounds_to_text(decision: Decision, context: Context) -> str:
    """Return a decision and the close that it was taken at, for the journal."""
    packed = msgspec.msgpack.encode(_Grounds(decision, context))
    return base64.b64encode(packed).decode("ascii")


def grounds_from_text(text: str) -> tuple[Decision, Context]:
    """Take back what `grounds_to_text` returned.

    Raises
    ------
    ValueError, msgspec.MsgspecError
        If it is damaged.
    """
    grounds = msgspec.msgpack.decode(base64.b64decode(text), type=_Grounds)
    return grounds.decision, grounds.context


def position_to_dict(position: Position) -> dict[str, Any]:
    """Return a position as plain values, for the journal."""
    return {
        "trade_id": position.trade_id,
        "grounds": grounds_to_text(position.decision, position.context),
        "tick_value": position.tick_value,
        "bars_left": position.bars_left,
        "exit_reason": None if position.exit_reason is None else position.exit_reason.value,
        "fills": [asdict(fill) | {"role": fill.role.value} for fill in position.fills],
        "trade": None if position.trade is None else position.trade.to_dict(),
    }


def position_from_dict(state: Mapping[str, Any]) -> Position:
    """Take back what `position_to_dict` returned.

    Raises
    ------
    DataError
        If a field is missing or malformed.
    """
    try:
        decision, context = grounds_from_text(state["grounds"])
        position = Position(
            str(state["trade_id"]),
            decision,
            context,
            float(state["tick_value"]),
            int(state["bars_left"]),
        )
        names = [field.name for field in fields(Fill)]
        for fill in state["fills"]:
            values = {name: fill[name] for name in names} | {"role": OrderRole(fill["role"])}
            position.take(Fill(**values))
        reason = state["exit_reason"]
        position.exit_reason = None if reason is None else ExitReason(reason)
        if state["trade"] is not None:
            position.trade = OpenTrade.from_dict(state["trade"])
    except (KeyError, TypeError, ValueError, msgspec.MsgspecError) as error:
        raise DataError(
            f"saved position is damaged ({error!r}): compare the account with the journal by hand"
        ) from error
    return position


class CycleJournal:
    """An `EventSink` that writes the state of a cycle whenever it has changed.

    Parameters
    ----------
    append : callable
        See `Append`.
    now : callable
        Time of the record, ns UTC.

    Attributes
    ----------
    trader : SimpleTrader, optional
        Set once it exists; nothing is written before.
    """

    def __init__(self, append: Append, now: Callable[[], int]) -> None:
        self._append = append
        self._now = now
        self.trader: SimpleTrader | None = None

    def publish(self, topic: str, event: object) -> None:
        """Write the state after a topic that changes it."""
        trader = self.trader
        if trader is None or topic not in CHANGES:
            return
        if topic == "managed" and trader.position is None:
            return
        state = cycle_to_dict(trader) | {"after": topic}
        if isinstance(event, ClosedTrade):
            state[account_history.TRADE] = account_history.trade_to_dict(event)
        crash_point("before_cycle_saved")
        self._append(
            KIND,
            state,
            ts=self._now(),
            durable=topic in DURABLE,
            # Why an order is sent is worth nothing without the order, which comes next.
            with_next=topic == "sent",
        )
        crash_point("after_cycle_saved")


def cycle_to_dict(trader: SimpleTrader) -> dict[str, Any]:
    """Return what a restart needs of a cycle, as plain values."""
    facts = trader.facts
    return {
        "risk": trader.risk.to_dict(),
        "facts": None if facts is None else facts.to_dict(),
        "position": None if trader.position is None else position_to_dict(trader.position),
    }


def restore_cycle(trader: SimpleTrader, state: Mapping[str, Any]) -> None:
    """Take back what `cycle_to_dict` returned into a fresh cycle.

    Raises
    ------
    DataError
        If something of it is damaged.
    """
    trader.risk.restore(state["risk"])
    nothing = {"accepted": [], "last_stop_out": LONG_AGO}
    trader.remember(state["facts"] or nothing)
    if state["position"] is not None:
        trader.adopt(position_from_dict(state["position"]))
