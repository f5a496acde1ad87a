"""The trading cycle: one for history, simulation and live.

A block of market data advances the market state up to the next close that needs a decision. The
broker then sees the same data, so that whatever was working may fill, and only then the close
is decided upon: exits first, then a new proposal. Nothing that is decided at a close is known to
the data before it, and an order acts from the data after it.
"""

import time
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from mia._fast import market_state
from mia.config.limits import EffectiveLimits
from mia.config.method import Gate, Group
from mia.core.bar_records import bars_of
from mia.core.base_types import Block, ExitReason, TradeBlock, TradingState
from mia.core.protocols import EventSink, SignalFilter
from mia.core.trading_types import Context, Decision
from mia.data.contracts import parse_contract
from mia.errors import DataError, OrderRefused
from mia.execution.cycle_plugs import NoVix, SimulatedMatching, VixSource
from mia.execution.position.open_position import Position
from mia.execution.position.position_keeper import PositionKeeper
from mia.execution.position.refused_trades import RefusedTrades
from mia.features.context import context_of
from mia.features.options_handover import SnapshotSource, give_options
from mia.strategies.proposals import group
from mia.strategies.session_facts import NewsWindow, SessionFacts, no_news_calendar
from mia.strategies.session_hours import SessionHours, session_hours
from mia.strategies.signal_generator import SignalGenerator

_SETUP = 0
_CLOSE_EVENT = market_state.CLOSE
_IDLE_WAKE = market_state.SETUP | market_state.SESSION
_BUSY_WAKE = market_state.CLOSE | market_state.SESSION
_SECOND_NS = 1_000_000_000


class SimpleTrader(PositionKeeper):
    """Runs market state, decisions, risk and orders over blocks of market data.

    Parameters
    ----------
    state : MarketState
        Fresh; its parameters must carry the effective Battle Navale threshold.
    broker : SimulatedMatching
        Where orders go.
    limits : EffectiveLimits
    groups : mapping of str to Group
        Groups of the method by name.
    sink : EventSink
        Told of ``session``, ``sent`` before an order leaves, ``analysis`` and ``decision`` once it
        has left, ``refused``, ``fill``, ``position``, ``managed``, ``closed``, ``unfilled``,
        ``mark``, ``block``, ``rows`` and ``kill``.
    vix : VixSource
    news_window : callable
        See `mia.strategies.session_facts.NewsWindow`.
    model : SignalFilter, optional
    refused : RefusedTrades, optional
        Follows on paper what only the model refused.
    options : SnapshotSource, optional
        Snapshots of option chains.
    send : bool
        False decides everything and sends no order.

    Attributes
    ----------
    groups : mapping of str to Group
    contract : str
        Of the newest data.
    times : CycleTimes, optional
        Where a live run keeps how long its stages took.
    """

    def __init__(
        self,
        state: market_state.MarketState,
        broker: SimulatedMatching,
        limits: EffectiveLimits,
        groups: Mapping[str, Group],
        sink: EventSink,
        *,
        vix: VixSource | None = None,
        news_window: NewsWindow = no_news_calendar,
        model: SignalFilter | None = None,
        refused: RefusedTrades | None = None,
        options: SnapshotSource | None = None,
        send: bool = True,
    ) -> None:
        super().__init__(broker, limits, groups, sink)
        self.state = state
        self.limits = limits
        self.groups = groups
        self.generator = SignalGenerator(limits, self.risk, groups, model)
        self.vix = vix or NoVix()
        self.contract = ""
        self._news_window = news_window
        self._options = options
        self._refused = refused
        self._send = send
        self._end_min = group(groups, "gate", Gate).end_min
        self._contracts: dict[str, int] = {}
        self._facts: SessionFacts | None = None
        self._last_ts = 0
        self._checked_second = 0
        self._remembered: Mapping[str, object] | None = None

    @property
    def facts(self) -> SessionFacts | None:
        """What gates know beside the market; None before the first decision."""
        return self._facts

    def run(self, block: Block) -> None:
        """Take a block of market data.

        Raises
        ------
        DataError
            If the contract changes within a session or data lie outside the calendar.
        """
        try:
            if block.contract != self.contract:
                self._change_contract(block.contract)
            if self._options is not None:
                give_options(self.state, self._options, block)
            if isinstance(block, TradeBlock):
                self._run_trades(block)
            else:
                self._run_bars(bars_of(block))
            self.sink.publish("block", block)
        except ValueError as error:
            raise DataError(f"{block.contract}: {error}") from error

    def observe(self, block: Block) -> None:
        """Take a block of the past: nothing is decided; what is followed on paper goes on.

        Raises
        ------
        DataError
            If the contract changes within a session or data lie outside the calendar.
        """
        state = self.state
        try:
            if block.contract != self.contract:
                self._change_contract(block.contract)
            if self._options is not None:
                give_options(state, self._options, block)
            data = block if isinstance(block, TradeBlock) else bars_of(block)
            start, n = 0, len(data)
            while start < n:
                state.wake = _CLOSE_EVENT if self._refused else 0
                if isinstance(data, TradeBlock):
                    columns = (data.ts_event, data.price, data.size, data.aggressor_side)
                    stop = state.advance(*columns, start)
                else:
                    stop = state.advance_bars(data, start)
                self._follow(data, start, stop)
                start = stop
        except ValueError as error:
            raise DataError(f"{block.contract}: {error}") from error
        if not n:
            return
        if isinstance(data, TradeBlock):
            self._last_price, self._last_ts = int(data.price[-1]), int(data.ts_event[-1])
        else:
            self._last_price, self._last_ts = int(data["close"][-1]), int(data["t_close"][-1])

    def _follow(self, block: TradeBlock | NDArray[np.void], start: int, stop: int) -> None:
        """Let what is followed on paper see the past, and keep the rows."""
        state, refused = self.state, self._refused
        if refused:
            refused.match(block, start, stop)
            if state.events & _CLOSE_EVENT and (row := state.newest) is not None:
                context = context_of(row, self.contract, self.vix.at(row["bar"]["t_close"]))
                refused.at_close(context, SessionFacts(self._hours(context)))
        if state.events & market_state.ROWS:
            self.sink.publish("rows", state.take_rows())

    def mark_gap(self, since: int, until: int) -> None:
        """Learn that nothing will be known of [since, until), ns UTC."""
        self.state.mark_gap(since, until)
        if self._refused:
            self._refused.give_up(until)

    def _wake(self) -> int:
        """Return what to stop at: every close while something is managed, else setups."""
        return _BUSY_WAKE if self.position is not None or self._refused else _IDLE_WAKE

    def _change_contract(self, contract: str) -> None:
        if self.position is not None and self.contract:
            # Its data end here: what is held is closed where it last traded.
            position = self.position
            if position.open_quantity and position.exit_reason is None:
                position.exit_reason = ExitReason.SESSION_END
            self.broker.close_out(position.trade_id, self._last_ts, self._last_price)
            self.collect()
        if self._refused and self.contract:
            self._refused.close_out(self._last_ts, self._last_price)
        ordinal = self._contracts.setdefault(contract, len(self._contracts))
        settles = 0 if self._options is None else parse_contract(contract).expiry
        self.state.set_contract(ordinal, settles)
        self.contract = contract

    def _run_trades(self, block: TradeBlock) -> None:
        state = self.state
        columns = (block.ts_event, block.price, block.size, block.aggressor_side)
        start, n = 0, len(block)
        times = self.times
        while start < n:
            began = 0 if times is None else time.perf_counter_ns()
            state.wake = self._wake()
            if self.position is None:
                stop = state.advance(*columns, start)
            else:
                # What is held is looked at every second, not at closes only.
                second = int(block.ts_event[start]) // _SECOND_NS
                self.check(second * _SECOND_NS)
                after = block.ts_event[start:].searchsorted((second + 1) * _SECOND_NS)
                reach = start + max(int(after), 1)
                stop = state.advance(
                    block.ts_event[:reach],
                    block.price[:reach],
                    block.size[:reach],
                    block.aggressor_side[:reach],
                    start,
                )
            if times is not None and state.events & _CLOSE_EVENT:
                times.features.add(time.perf_counter_ns() - began)
            if stop > start:
                self._match(block, start, stop)
                self._last_price = int(block.price[stop - 1])
                self._last_ts = int(block.ts_event[stop - 1])
            self._handle(state.events)
            start = stop

    def _run_bars(self, bars: NDArray[np.void]) -> None:
        state = self.state
        start, n = 0, len(bars)
        while start < n:
            state.wake = self._wake()
            stop = state.advance_bars(bars, start)
            if stop > start:
                self._match(bars, start, stop)
                self._last_price = int(bars["close"][stop - 1])
                self._last_ts = int(bars["t_close"][stop - 1])
            self._handle(state.events)
            start = stop

    def _match(self, block: TradeBlock | NDArray[np.void], start: int, stop: int) -> None:
        """Show the broker what the state has seen, fill by fill."""
        if self._refused:
            self._refused.match(block, start, stop)
        while self.position is not None and start < stop:
            start = self.broker.advance(block, start, stop)
            self.collect()

    def advance_clock(self, now: int) -> None:
        """Close the bar that has ended by `now` (ns UTC), though no trade came after it."""
        began, times = time.perf_counter_ns(), self.times
        self.state.wake = self._wake()
        events = self.state.advance_clock(now)
        if times is not None and events & _CLOSE_EVENT:
            times.features.add(time.perf_counter_ns() - began)
        self._handle(events)

    def check(self, ts: int) -> TradingState:
        """Hold what is held and what works against the kill switch, at most once a second.

        Parameters
        ----------
        ts : int
            Now, ns UTC; whoever has no trades to show calls this every second.

        Returns
        -------
        TradingState
            An entry that works above NORMAL is cancelled, a position from HALT_TRADING on is
            closed at market.
        """
        position, facts = self.position, self._facts
        if ts // _SECOND_NS == self._checked_second or facts is None:
            return self.kill_switch.state
        self._checked_second = ts // _SECOND_NS
        exposure, _ = self._exposure(self._last_price)
        state = self.kill_switch.check(ts, facts.hours.session_id, exposure, self.vix.at(ts))
        if position is None or state is TradingState.NORMAL:
            return state
        if position.entry_works:
            self.broker.cancel_entry(position.trade_id, ts)
            position.bars_left = 0
        held = position.trade is not None and position.open_quantity != 0
        if state >= TradingState.HALT_TRADING and held and position.exit_reason is None:
            position.exit_reason = ExitReason.KILL_STATE
            self.broker.flatten(position.trade_id, ts)
        return state

    def remember(self, facts: Mapping[str, object]) -> None:
        """Let the first decision of this run know what `SessionFacts.to_dict` said of another."""
        self._remembered = facts

    def adopt(self, position: Position) -> None:
        """Take up a position that an earlier run of the program left at the broker.

        Parameters
        ----------
        position : Position
            With the fills that were booked; later ones come through the broker.
        """
        self.position = position
        self._last_price = position.context.close
        self._session_facts(position.context)

    def _handle(self, events: int) -> None:
        if events & _CLOSE_EVENT:
            row = self.state.newest
            managed = self.position is not None or self._refused
            if row is not None and (managed or row["reason"] == _SETUP):
                self._on_close(context_of(row, self.contract, self.vix.at(row["bar"]["t_close"])))
        if events & market_state.SESSION:
            self.sink.publish("session", self.state.session_id)
        if events & market_state.ROWS:
            self.sink.publish("rows", self.state.take_rows())

    def _hours(self, context: Context) -> SessionHours:
        sid, close = context.session_id, context.t_rth_close
        return session_hours(sid, self.limits, self._end_min, close)

    def _session_facts(self, context: Context) -> SessionFacts:
        facts = self._facts
        if facts is None or facts.hours.session_id != context.session_id:
            hours = self._hours(context)
            if facts is None:
                facts = SessionFacts(hours, news_window=self._news_window)
                if self._remembered is not None:
                    facts.restore(self._remembered)
                self._facts = facts
            facts.hours = hours
            self.risk.roll(context.session_id)
        return facts

    def _on_close(self, context: Context) -> None:
        times = self.times
        if times is None:
            self._decide(context)
            return
        began, sending = time.perf_counter_ns(), times.orders.total_ns
        self._decide(context)
        # Orders are sent from within, and are a stage of their own.
        sent = times.orders.total_ns - sending
        times.decision.add(time.perf_counter_ns() - began - sent)

    def _decide(self, context: Context) -> None:
        facts = self._session_facts(context)
        facts.trading_state = self._check_kill_switch(context)
        if self.position is not None:
            self._manage(self.position, context, facts)
        if self._refused:
            self._refused.at_close(context, facts)
        if any(setup.traded for setup in context.setups):
            self._propose(context, facts)

    def _check_kill_switch(self, context: Context) -> TradingState:
        exposure, filled = self._exposure(context.close)
        if filled:
            self.sink.publish(
                "mark", (context.ts, context.session_id, self.risk.equity + exposure.open_pnl)
            )
        return self.kill_switch.check(context.ts, context.session_id, exposure, context.vix)

    def _propose(self, context: Context, facts: SessionFacts) -> None:
        position = self.position
        facts.positions = 0 if position is None else 1
        facts.open_pnl = 0.0
        facts.open_risk = 0.0
        if position is not None:
            facts.open_pnl = position.open_pnl(context.close)
            facts.open_risk = position.open_risk(context.close)
        facts.last_stop_out = self.risk.last_stop_out
        outcome = self.generator.evaluate(context, facts)
        if not isinstance(outcome, Decision):
            return
        refusal: OrderRefused | None = None
        try:
            if outcome.accepted:
                facts.record_accepted(context.ts)
                if self._send:
                    refusal = self._submit(outcome, context)
        finally:
            # Who only looks on waits until the order has left.
            self.sink.publish("analysis", (context, self.state))
            self.sink.publish("decision", outcome)
        if refusal is not None:
            self._refuse(outcome, context, refusal)
        if not outcome.accepted and self._refused is not None:
            self._refused.follow(outcome, context)
