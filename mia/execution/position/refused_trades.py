"""Proposals that only the model's gate refused, followed on paper as if they had been taken.

Whether a model earns its place can be told only by what it refuses as well. Each such proposal
gets a simulated broker of its own and is managed by the rules that manage every trade; nothing of
it reaches the account, its risk or its limits.

A run that is started again follows on what an earlier one followed: from its decision, over the
same trades, while the cycle learns the past. What was not seen whole is given up and told, because
a label that was guessed is worse than none.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
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

log = logging.getLogger(__name__)

MOST = 8
"""Proposals followed at a time; a later one is not followed, and counted."""

UNFILLED, FAILED, UNSEEN = "unfilled", "failed", "unseen"
"""Why nothing came of what was followed."""


class _OnlyResults:
    """Passes on what came of a proposal; the rest concerns no account."""

    def __init__(self, sink: EventSink) -> None:
        self._sink = sink

    def publish(self, topic: str, event: object) -> None:
        """Tell a closed trade as ``followed``, and an entry that did not fill as ``unfollowed``."""
        if topic == "closed":
            self._sink.publish("followed", event)
        elif topic == "unfilled":
            assert isinstance(event, Decision)
            self._sink.publish("unfollowed", (trade_id(event), UNFILLED))


class RefusedTrades:
    """Follows what the model refused.

    Parameters
    ----------
    make_broker : callable
        Makes a simulated broker.
    limits : EffectiveLimits
    groups : mapping of str to Group
    sink : EventSink
        Told of ``following`` with (name, decision, context), and then of either ``followed`` with
        a closed trade or ``unfollowed`` with (name, why nothing came of it).

    Attributes
    ----------
    passed_over, failed, unseen : int
        Proposals that were not followed because eight were, that were given up because following
        them failed, and because some of their market was not seen.
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
        self._sink = sink
        self._results = _OnlyResults(sink)
        self._keepers: list[PositionKeeper] = []
        self._awaited: dict[str, tuple[Decision, Context]] = {}
        self.passed_over = self.failed = self.unseen = 0

    def __bool__(self) -> bool:
        """Whether something is followed, or will be once its decision is reached."""
        return bool(self._keepers or self._awaited)

    def resume(self, begun: Iterable[tuple[Decision, Context]]) -> None:
        """Follow on what an earlier run followed, once the past reaches its decision.

        Parameters
        ----------
        begun : iterable of (Decision, Context)
            As they were told as ``following``; given before the past is learnt.
        """
        self._awaited = {trade_id(decision): (decision, context) for decision, context in begun}

    def give_up(self, until: int) -> None:
        """Give up what began before `until` (ns UTC): the market up to then is not known whole."""
        for keeper in self._keepers:
            position = keeper.position
            if position is not None and position.decision.ts < until:
                keeper.position = None
                self._end(position.trade_id, UNSEEN)
        self._keepers = [keeper for keeper in self._keepers if keeper.position is not None]
        for name, (decision, _) in list(self._awaited.items()):
            if decision.ts < until:
                del self._awaited[name]
                self._end(name, UNSEEN)

    def _end(self, name: str, why: str) -> None:
        self.failed += why == FAILED
        self.unseen += why == UNSEEN
        self._sink.publish("unfollowed", (name, why))

    def follow(self, decision: Decision, context: Context) -> None:
        """Take up a decision if every gate but the model's let it pass."""
        failed = [gate.code for gate in decision.gates if not gate.passed]
        if failed != [Reason.MODEL]:
            return
        quantity = int(decision.budgets.get("contracts", 0))
        if quantity < 1:
            return
        name = trade_id(decision)
        if any(k.position is not None and k.position.trade_id == name for k in self._keepers):
            return
        if len(self._keepers) == MOST:
            self.passed_over += 1
            return
        if self._take_up(replace(decision, quantity=quantity), context):
            self._sink.publish("following", (name, decision, context))

    def _take_up(self, taken: Decision, context: Context) -> bool:
        proposal, name = taken.proposal, trade_id(taken)
        keeper = PositionKeeper(self._make_broker(), self._limits, self._groups, self._results)
        tick_value = instrument(taken.symbol).tick_value
        keeper.position = Position(name, taken, context, tick_value, proposal.valid_bars)
        try:
            keeper.broker.submit(
                BracketOrder(
                    name,
                    taken.symbol,
                    taken.contract,
                    proposal.side,
                    taken.quantity,
                    proposal.entry_type,
                    proposal.entry,
                    proposal.stop,
                    proposal.target,
                    context.ts,
                )
            )
        except BrokerError:
            # The exchange would not have taken it: there is nothing to follow.
            return False
        self._keepers.append(keeper)
        return True

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
        if self._awaited:
            self._reach(context)

    def _reach(self, context: Context) -> None:
        """Take up what was decided at this close; what was decided before was not reached."""
        for name, (decision, then) in list(self._awaited.items()):
            if decision.ts > context.ts:
                continue
            del self._awaited[name]
            quantity = int(decision.budgets.get("contracts", 0))
            same = (decision.ts, decision.contract) == (context.ts, context.contract)
            if not same or not self._take_up(replace(decision, quantity=quantity), then):
                self._end(name, UNSEEN)

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
            except Exception as error:
                # What is followed on paper must never stop what is traded.
                if keeper.position is not None:
                    name = keeper.position.trade_id
                    log.warning("%s is followed on paper no more: %r", name, error)
                    self._end(name, FAILED)
                keeper.position = None
            if keeper.position is not None:
                kept.append(keeper)
        self._keepers = kept
