"""The bracket that a trading cycle has at work: its exits, its fills, and what they make."""

import time
from collections.abc import Mapping, Sequence

from mia.config.instruments import instrument
from mia.config.limits import EffectiveLimits
from mia.config.method import Group
from mia.core.base_types import ExitReason, OrderRole, TradingState
from mia.core.protocols import EventSink
from mia.core.trading_types import BracketOrder, Context, Decision, Fill
from mia.errors import BrokerError, DataError, OrderRefused
from mia.execution.cycle_plugs import SimulatedMatching
from mia.execution.kill_switch import Exposure, KillSwitch
from mia.execution.position.exits import ExitRules, ExitTrade, MoveStop
from mia.execution.position.open_position import Position, trade_id
from mia.execution.risk_manager import RiskManager, position_equivalents
from mia.execution.stage_times import CycleTimes
from mia.strategies.session_facts import SessionFacts
from mia.strategies.trend_strategy import entry_is_void


class PositionKeeper:
    """Books the fills of one bracket at a time, judges it at closes, and knows what it has won.

    Parameters
    ----------
    broker : SimulatedMatching
        Where fills come from.
    limits : EffectiveLimits
    groups : mapping of str to Group
        Groups of the method by name.
    sink : EventSink
        Told of ``sent`` before an order leaves, ``refused``, ``position``, ``managed``, ``fill``,
        ``corrected``, ``closed``, ``unfilled``, ``mark`` and ``kill``.

    Attributes
    ----------
    risk : RiskManager
    kill_switch : KillSwitch
    exit_rules : ExitRules
    position : Position, optional
        The bracket at work.
    """

    def __init__(
        self,
        broker: SimulatedMatching,
        limits: EffectiveLimits,
        groups: Mapping[str, Group],
        sink: EventSink,
    ) -> None:
        self.broker = broker
        self.sink = sink
        self.risk = RiskManager(limits, groups)
        self.kill_switch = KillSwitch(
            limits, lambda cause, before, after: sink.publish("kill", (cause, before, after))
        )
        self.exit_rules = ExitRules(groups)
        self.position: Position | None = None
        self.times: CycleTimes | None = None
        self._last_price = 0

    def collect(self) -> None:
        """Take the fills that the broker has, and book the position if it is done."""
        for fill in self.broker.poll():
            self._take_fill(fill)
        self._settle()

    def exposure(self) -> Exposure:
        """Return the account as the kill switch sees it, at the last price."""
        return self._exposure(self._last_price)[0]

    def _exposure(self, price: float) -> tuple[Exposure, bool]:
        """Return the account as the kill switch sees it, and whether an entry has filled."""
        position = self.position
        if position is None or position.trade is None:
            return Exposure(self.risk.day_pnl), False
        exposure = Exposure(
            self.risk.day_pnl,
            position.open_pnl(price),
            position.open_pnl(position.trade.stop) - position.costs,
            position_equivalents(position.decision.symbol, position.open_quantity),
        )
        return exposure, True

    def catch_up(self, fills: Sequence[Fill]) -> None:
        """Book the fills of the adopted position that an earlier run had not booked.

        Parameters
        ----------
        fills : sequence of Fill
            All of its fills, in order.
        """
        position = self.position
        if position is not None:
            for fill in fills[len(position.fills) :]:
                self._take_fill(fill)
            self._settle()

    def correct(
        self, bracket_id: str, old: tuple[OrderRole, int, int], quantity: int, price: int
    ) -> bool:
        """Follow a broker that corrects an execution of the position at work.

        Returns
        -------
        bool
            False if it belongs to a trade that is closed: its result is not touched.
        """
        position = self.position
        if position is None or position.trade_id != bracket_id:
            return False
        found = position.correct(old, quantity, price)
        if found:
            self.sink.publish("corrected", position)
            self._settle()
        return found

    def _settle(self) -> None:
        """Book the position if nothing of it is left at the broker."""
        position = self.position
        if position is None or self.broker.is_open(position.trade_id):
            return
        self.position = None
        if position.filled == 0:
            self.sink.publish("unfilled", position.decision)
            return
        trade = position.closed_trade(*self.broker.excursions(position.trade_id))
        self.risk.record_closed(trade)
        self.sink.publish("closed", trade)
        self.sink.publish("mark", (trade.ts_exit, trade.session_id, self.risk.equity))

    def _take_fill(self, fill: Fill) -> None:
        position = self.position
        if position is None or position.trade_id != fill.bracket_id:
            self.sink.publish("fill", fill)
            raise DataError(f"a fill of {fill.bracket_id} belongs to no position of ours")
        adverse = fill.side * (fill.price - fill.reference_price)
        self.kill_switch.record_slippage(fill.ts, adverse)
        if position.take(fill):
            self.risk.record_entry(position.decision.session_id)
        self.sink.publish("fill", fill)
        if position.open_quantity == 0 and position.entry_works:
            # The exchange closed what had filled; the rest of the entry must not open it again.
            self.broker.cancel_entry(position.trade_id, fill.ts)
            position.bars_left = 0

    def manage(self, context: Context, facts: SessionFacts) -> None:
        """Judge the bracket at work at a primary close; nothing without one."""
        if self.position is not None:
            self._manage(self.position, context, facts)

    def _manage(self, position: Position, context: Context, facts: SessionFacts) -> None:
        ts = context.ts
        if position.entry_works:
            position.bars_left -= 1
            turned = entry_is_void(context, position.decision.proposal)
            stale = context.session_id != position.decision.session_id
            over = ts >= facts.hours.flat_at
            if (
                position.bars_left == 0
                or turned
                or stale
                or over
                or facts.trading_state > TradingState.NORMAL
            ):
                self.broker.cancel_entry(position.trade_id, ts)
                position.bars_left = 0
        trade = position.trade
        if trade is not None and position.open_quantity and position.exit_reason is None:
            action = self.exit_rules.at_close(trade, context, facts.hours, facts.trading_state)
            if isinstance(action, ExitTrade):
                position.exit_reason = action.reason
                self.broker.flatten(position.trade_id, ts)
            elif isinstance(action, MoveStop):
                try:
                    self.broker.modify_stop(position.trade_id, action.stop, ts)
                except BrokerError:
                    # The market has passed the new stop already: what it protects must go.
                    position.exit_reason = ExitReason.STOP
                    self.broker.flatten(position.trade_id, ts)
        if trade is not None and position.open_quantity:
            self.sink.publish("position", (position, context))
        self.sink.publish("managed", position)

    def _submit(self, decision: Decision, context: Context) -> OrderRefused | None:
        """Send a decision's bracket; return why it was not sent, if it was not."""
        proposal = decision.proposal
        name = trade_id(decision)
        position = Position(
            name,
            decision,
            context,
            instrument(decision.symbol).tick_value,
            proposal.valid_bars,
        )
        order = BracketOrder(
            name,
            decision.symbol,
            decision.contract,
            proposal.side,
            decision.quantity,
            proposal.entry_type,
            proposal.entry,
            proposal.stop,
            proposal.target,
            context.ts,
        )
        self.kill_switch.record_order(context.ts)
        # It must be known before anything of it can be filled.
        self.position = position
        self.sink.publish("sent", position)
        began = time.perf_counter_ns()
        try:
            self.broker.submit(order)
        except OrderRefused as refusal:
            self.position = None
            return refusal
        finally:
            if self.times is not None:
                self.times.orders.add(time.perf_counter_ns() - began)
        return None

    def _refuse(self, decision: Decision, context: Context, refusal: OrderRefused) -> None:
        self.sink.publish("refused", (decision, refusal))
        if refusal.counts:
            self.kill_switch.record_reject(context.ts, context.session_id)
