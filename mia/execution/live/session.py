"""A trading cycle on a live connection: ticks in, orders out, and what watches over both.

Everything happens on one event loop and in the order of the sockets. Ticks collect until the
packet has been read, then the cycle takes them as one block; what it orders leaves before the
next packet is looked at. Once a second, and in lock-step once a step, whatever is overdue is
seen to. Questions to the broker run beside it, and the cycle opens nothing meanwhile.

What is not understood stops trading: an exception in the cycle is EMERGENCY, which cancels our
entries, closes our position and ends the run.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any

from mia.core import sessions
from mia.core.base_types import TradingState
from mia.core.broker_types import BrokerSnapshot, LinkState
from mia.core.market_status import MarketStatus
from mia.core.protocols import Clock, EventSink
from mia.data.live_ticks import TickGate
from mia.errors import BrokerError, RiskHalt
from mia.execution.clocks import MarketClock
from mia.execution.ibkr_broker import IbkrBroker
from mia.execution.kill_commands import KillCommands, KillStore
from mia.execution.kill_switch import Rule
from mia.execution.live.links import Connection, OrderRelay, Repair, Rest, SessionOptions
from mia.execution.live.market import LiveMarket
from mia.execution.live.open_brackets import OpenBrackets
from mia.execution.live.order_news import OrderNews
from mia.execution.live.position_watch import PositionWatch
from mia.execution.live.side_work import RETRY_S, SideWork, unless_set
from mia.execution.reconciler import Reconciler
from mia.execution.simple_trader import SimpleTrader

log = logging.getLogger(__name__)

SECOND = 1_000_000_000


class LiveSession(LiveMarket):
    """Runs a cycle on two connections; a `MarketListener`.

    Parameters
    ----------
    trader : SimpleTrader
    broker : IbkrBroker
    ticks : TickGate
    commands : KillCommands
    store : KillStore
    clock : Clock
        A `MarketClock` is told the time as it comes in.
    bus : EventSink
        Told of ``link``, ``notice``, ``ready``, ``reconciled``, ``command`` and, each second and in
        lock-step at each step, of ``beat`` (ns UTC), and of what it
        could not go on after, ``failed`` (an exception); besides what the parts tell.
    options : SessionOptions

    Attributes
    ----------
    relay : OrderRelay
        Listener of the connection that places orders.
    repair : Repair, optional
        Called after the data connection was lost, before anything is decided on new data.
    rest : Rest, optional
        Called once in each break between sessions.
    pull : callable, optional
        With a feed of its own and in lock-step: takes what the market did up to a time (ns UTC).
    closed_until : int
        Bars that ended by then (ns UTC) were closed by the clock.
    journal_fault : callable
        Says why the journal does not take everything, empty if it does.
    status : MarketStatus
        Price limits and halts.
    """

    def __init__(
        self,
        trader: SimpleTrader,
        broker: IbkrBroker,
        ticks: TickGate,
        commands: KillCommands,
        store: KillStore,
        clock: Clock,
        bus: EventSink,
        options: SessionOptions,
    ) -> None:
        super().__init__(ticks, clock, bus, options)
        self.trader = trader
        self.broker = broker
        self.manager = broker.manager
        self.reconciler = Reconciler(broker.manager)
        self.relay = OrderRelay(broker.manager, self)
        self.repair: Repair | None = None
        self.rest: Rest | None = None
        self.pull: Callable[[int], None] | None = None
        self.closed_until = 0
        self.journal_fault: Callable[[], str] = str
        self.status = MarketStatus()
        self._positions = PositionWatch(broker.manager.ledger)
        self._commands = commands
        self._store = store
        self._orders: Connection | None = None
        self._stop = asyncio.Event()
        self._failure: BaseException | None = None
        self._failed = False
        self._work = SideWork(self.follow_up, self._resume, self.fail)
        self._skewed = False
        self._rested = 0
        self._news = OrderNews(trader, broker, bus)
        self._open = OpenBrackets(trader, broker)

    def attach(self, orders: Connection, market: Connection) -> None:
        """Take the connections, of which the session is a listener."""
        self._orders, self._market = orders, market

    def on_server_time(self, ts: int) -> None:
        """Take the time of the gateway from the data connection."""
        self._on_time("market", ts)

    def on_orders_time(self, ts: int) -> None:
        """Take the time of the gateway from the connection that places orders."""
        self._on_time("orders", ts)

    def drain(self) -> None:
        """Let the cycle take what has been collected."""
        self._drains = False
        since, self._waits_since = self._waits_since, 0.0
        if not self.is_ready or self._lost_at is not None or self._failure is not None:
            return
        try:
            block = self.ticks.take()
            if block is not None:
                self.manager.last_price = int(block.price[-1])
                self.trader.run(block)
                self.status.on_trades(block)
                self.follow_up()
                if since and self.trader.times is not None:
                    self.trader.times.data.add(round((time.monotonic() - since) * SECOND))
        except Exception as error:
            self.fail(error)

    def on_orders_link(self, state: LinkState, reason: str) -> None:
        """Take a change of the connection that places orders."""
        self.tell("link", ("orders", state, reason))
        held = self.trader.position is not None and self.trader.position.open_quantity != 0
        if held and state is not LinkState.READY and self.is_ready:
            log.critical("the broker is lost with an open position; its stop rests there")
        if state is not LinkState.READY:
            self._asked.discard("orders")
        elif self.is_ready:
            self._resume()
        self.follow_up()

    async def reconcile(self, snapshot: BrokerSnapshot) -> None:
        """Hold what we believe against what the broker says, before the link becomes READY.

        Raises
        ------
        BrokerError
            If the snapshot did not suffice: the connection asks again.
        """
        self.reconciler.begin()
        result = self.reconciler.reconcile(snapshot)
        self.tell("reconciled", result)
        self.follow_up()
        if not result.complete:
            raise BrokerError(f"not reconciled: {result.retry}")

    def follow_up(self) -> None:
        """Take fills, corrections and alarms from the manager to the cycle."""
        if self._failure is not None:
            return
        try:
            self._news.collect(self._clock.now())
            self._hold_conditions()
        except Exception as error:
            self.fail(error)
            return
        if self.manager.wants_query and not self._work.is_busy and self.is_ready:
            self._work.begin(self._query())

    def _hold_conditions(self) -> None:
        if self._stop.is_set():
            # Connections that are closed on the way out are no reason to begin halted.
            return
        now = self._clock.now()
        switch = self.trader.kill_switch
        lost = self.manager.link is not LinkState.READY or not self.manager.reconciled
        switch.hold(Rule.BROKER_LOST, now, lost)
        switch.hold(Rule.UNKNOWN_POSITION, now, self.manager.unknown_position)
        switch.hold(Rule.DATA_STALE, now, bool(self.data_fault()))
        switch.hold(Rule.CLOCK_SKEW, now, self._skewed)
        switch.hold(Rule.JOURNAL, now, bool(self.journal_fault()))
        if self.broker.gate.halted:
            switch.record_trouble(now, TradingState.HALT_ENTRIES)

    async def _query(self) -> None:
        assert self._orders is not None
        self.reconciler.begin()
        result = self.reconciler.reconcile(await self._orders.snapshot())
        self.tell("reconciled", result)
        if not result.complete:
            await asyncio.sleep(RETRY_S)

    def start(self) -> None:
        """Let the cycle decide: both connections are up, reconciled and warmed up."""
        self.is_ready = True
        for name in self._open.held_beside_the_cycle():
            log.warning("%s is left to its stop and target", name)
            self.trader.kill_switch.record_trouble(self._clock.now(), TradingState.HALT_ENTRIES)
        self.heard_at = time.monotonic()
        self.tell("ready", self._clock.now())
        self.follow_up()
        self._resume()

    async def run(self) -> None:
        """Run until `stop`, the end of the options, or trouble.

        Raises
        ------
        RiskHalt
            If the cycle failed, or the kill switch is at EMERGENCY.
        Exception
            What closed a connection for good.
        """
        loop = asyncio.get_running_loop()
        while not self._stop.is_set():
            began = loop.time()
            if not self.options.lockstep:
                self.beat()
            else:
                self._poll_commands()
                self.manager.check()
                self.follow_up()
            wait = max(0.0, 1.0 - (loop.time() - began))
            try:
                await asyncio.wait_for(self._stop.wait(), wait)
            except TimeoutError:
                continue
        if not self._failed:
            self._open.leave_entry(self._clock.now())
        self.is_ready = False
        await self._open.farewell(flat=self._failed, ask=self._move_market)
        if self._failed:
            assert self._failure is not None
            raise RiskHalt(f"trading stopped: {_words(self._failure)}") from self._failure
        if self._failure is not None:
            raise self._failure

    async def unless_stopped(self, work: Coroutine[Any, Any, None]) -> bool:
        """Do something that takes time before the start; false if the run was stopped on the way.

        Raises
        ------
        Exception
            What the work raised.
        """
        return await unless_set(self._stop, work)

    def stop(self) -> None:
        """End the run in order: entries are cancelled, a position keeps its stop and target."""
        self._stop.set()

    def end(self, error: BaseException) -> None:
        """End the run because a connection was closed for good; what rests at the broker stays."""
        if self._failure is None:
            self._failure = error
            self._stop.set()

    def fail(self, error: BaseException) -> None:
        """Stop everything after an exception that nobody handled."""
        if self._failed:
            return
        self._failure, self._failed = error, True
        log.error("the trading cycle failed", exc_info=error)
        self.tell("failed", error)
        self.trader.kill_switch.record_exception(self._clock.now())
        self._open.leave_nothing(self._clock.now())
        self._stop.set()

    def beat(self) -> None:
        """See to what is overdue; called every second, in lock-step at each step."""
        now = self._clock.now()
        try:
            self._poll_commands()
            self.manager.check()
            self.follow_up()
            if self.is_ready and self._lost_at is None:
                self.trader.check(now)
                if self.trader.kill_switch.state >= TradingState.HALT_TRADING:
                    self._open.close_beside_the_cycle(now)
                if not self.options.lockstep:
                    self.closed_until = now - round(self.options.close_grace_s * SECOND)
                    self.trader.advance_clock(self.closed_until)
            self._watch_positions()
            self._store.save(now)
            self._use_break(now)
            self.tell("beat", now)
            if self.trader.kill_switch.state is TradingState.EMERGENCY:
                self.fail(RiskHalt("the kill switch is at EMERGENCY"))
        except Exception as error:
            self.fail(error)

    def _watch_positions(self) -> None:
        """Ask the broker when somebody else has traded in the account."""
        orders = self._orders
        if self.options.lockstep or not self.is_ready or self._work.is_busy or orders is None:
            return
        if orders.state is not LinkState.READY or not self.manager.reconciled:
            return
        if self._positions.disagrees(orders.positions.values(), time.monotonic()):
            self._work.begin(self._query())

    def _use_break(self, now: int) -> None:
        """Let the break between two sessions be used, once."""
        if self.rest is None or self._work.is_busy or not self.is_ready:
            return
        day = sessions.session_id(now)
        over = now >= int(sessions.session_table(day, day)["t_end"][0])
        if over and day != self._rested and self.trader.position is None:
            self._rested = day
            self._work.begin(self.rest(day))

    def _poll_commands(self) -> None:
        now = self._clock.now()
        for command in self._commands.poll(now):
            log.warning("command %s", command.name)
            self.tell("command", command)
            self._open.obey(command.name, now)
        if self._open.are_none:
            self._commands.done("no entry works and nothing is held")

    def _on_time(self, which: str, ts: int) -> None:
        self._asked.discard(which)
        if isinstance(self._clock, MarketClock):
            self._clock.hear(ts)
        elif which == "orders":
            # Its time is cut to the second: on average half a second has been cut.
            skew = abs(self._clock.now() - ts - SECOND // 2) - SECOND // 2
            self._skewed = skew > self.options.clock_skew_s * SECOND
        if self.options.lockstep and self.is_ready and not self._asked:
            self._step(ts)

    def _step(self, ts: int) -> None:
        self.heard_at = time.monotonic()
        if self.pull is not None:
            try:
                self.pull(ts)
            except Exception as error:
                self.fail(error)
        self.drain()
        if self._failure is not None:
            return
        if self.options.end is not None and ts >= self.options.end:
            self.stop()
            return
        try:
            self.trader.advance_clock(ts)
        except Exception as error:
            self.fail(error)
            return
        self.beat()
        self._resume()

    def _resume(self) -> None:
        """Go on where the session stands: repair a hole, or ask for the next step."""
        if self._work.is_busy or not self.is_ready or self._stop.is_set():
            return
        assert self._orders is not None
        both = self._orders.state is self.market_link is LinkState.READY
        if not both:
            return
        if self._lost_at is not None:
            self._work.begin(self._mend(self._lost_at))
        elif self.options.lockstep:
            self._ask_all()

    def _move_market(self) -> None:
        if self.options.lockstep:
            self._ask_all()

    def _ask_all(self) -> None:
        for name, link in (("market", self._market), ("orders", self._orders)):
            if link is not None and name not in self._asked and link.state is LinkState.READY:
                self._asked.add(name)
                link.request_server_time()

    async def _mend(self, since: int) -> None:
        if self.repair is not None:
            await self.repair(since)
        self._lost_at = None
        self.heard_at = time.monotonic()
        self.drain()


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__
