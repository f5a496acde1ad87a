"""Proposals that only the model's gate refused, followed on paper as if they had been taken.

Whether a model earns its place can be told only by what it refuses as well. Each such proposal
gets a simulated broker of its own and is managed by the rules that manage every trade; nothing of
it reaches the account, its risk or its limits.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mia.config.instruments import instrument
from mia.config.limits import EffectiveLimits
from mia.config.method import Group
from mia.core.base_types import ExitReason, Reason, TradeBlock
from mia.core.protocols import EventSink
from mia.core.trading_types import BracketOrder, Context, Decision
from mia.errors import BrokerError
from mia.execution.cycle_plugs import SimulatedMatching
from mia.execution.position.open_position import Position, trade_id
from mia.execution.position.position_keeper import PositionKeeper
from mia.strategies.session_facts import SessionFacts

MOST = 8
"""Proposals followed at a time; a later one is not followed, and counted."""


class _OnlyResults:
    """Passes on what came of a proposal; the rest concerns no account."""

    def __init__(self, sink: EventSink) -> None:
        self._sink = sink

    def publish(self, topic: str, event: object) -> None:
        """Tell a closed trade as ``followed``."""
        if topic == "closed":
            self._sink.publish("followed", event)


class RefusedTrades:
    """Follows what the model refused.

    Parameters
    ----------
    make_broker : callable
        Makes a simulated broker.
    limits : EffectiveLimits
    groups : mapping of str to Group
    sink : EventSink
        Told of ``followed`` with a closed trade.

    Attributes
    ----------
    passed_over, failed : int
        Proposals that were not followed because eight were, and that were given up because
        following them failed.
    """

    def __init__(
        self,
        make_broker: Callable[[], SimulatedMatching],
        limits: EffectiveLimits,
        groups: Mapping[str, Group],
        sink: EventSink,
    ) -> None:
        self._make_broker = make_broker
        self._limits = limits
        self._groups = groups
        self._sink = _OnlyResults(sink)
        self._keepers: list[PositionKeeper] = []
        self.passed_over = self.failed = 0

    def __bool__(self) -> bool:
        """Whether something is followed."""
        return bool(self._keepers)

    def follow(self, decision: Decision, context: Context) -> None:
        """Take up a decision if every gate but the model's let it pass."""
        failed = [gate.code for gate in decision.gates if not gate.passed]
        if failed != [Reason.MODEL]:
            return
        quantity = int(decision.budgets.get("contracts", 0))
        if quantity < 1:
            return
        if len(self._keepers) == MOST:
            self.passed_over += 1
            return
        taken = replace(decision, quantity=quantity)
        proposal, name = taken.proposal, trade_id(taken)
        keeper = PositionKeeper(self._make_broker(), self._limits, self._groups, self._sink)
        tick_value = instrument(taken.symbol).tick_value
        keeper.position = Position(name, taken, context, tick_value, proposal.valid_bars)
        try:
            keeper.broker.submit(
                BracketOrder(
                    name,
                    taken.symbol,
                    taken.contract,
                    proposal.side,
                    quantity,
                    proposal.entry_type,
                    proposal.entry,
                    proposal.stop,
                    proposal.target,
                    context.ts,
                )
            )
        except BrokerError:
            # The exchange would not have taken it: there is nothing to follow.
            return
        self._keepers.append(keeper)

    def match(self, block: TradeBlock | NDArray[np.void], start: int, stop: int) -> None:
        """Show the market's data to everything that is followed."""

        def show(keeper: PositionKeeper) -> None:
            at = start
            while keeper.position is not None and at < stop:
                at = keeper.broker.advance(block, at, stop)
                keeper.collect()

        self._each(show)

    def at_close(self, context: Context, facts: SessionFacts) -> None:
        """Manage everything that is followed at a primary close."""

        def manage(keeper: PositionKeeper) -> None:
            keeper.manage(context, facts)
            keeper.collect()

        self._each(manage)

    def close_out(self, ts: int, price: int) -> None:
        """End everything at a price that was traded, because its contract's data end."""

        def end(keeper: PositionKeeper) -> None:
            position = keeper.position
            assert position is not None
            if position.open_quantity and position.exit_reason is None:
                position.exit_reason = ExitReason.SESSION_END
            keeper.broker.close_out(position.trade_id, ts, price)
            keeper.collect()

        self._each(end)

    def _each(self, act: Callable[[PositionKeeper], None]) -> None:
        kept = []
        for keeper in self._keepers:
            try:
                act(keeper)
            except Exception:
                # What is followed on paper must never stop what is traded.
                self.failed += 1
                keeper.position = None
            if keeper.position is not None:
                kept.append(keeper)
        self._keepers = kept
