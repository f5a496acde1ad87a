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
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from typing import Any

from mia.config.instruments import INSTRUMENTS
from mia.core import sessions
from mia.core.base_types import TradingState
from mia.core.broker_types import BrokerSnapshot, LinkState
from mia.core.market_status import MarketStatus
from mia.core.protocols import Clock, EventSink
from mia.data.live_ticks import TickGate
from mia.data.tick_verdicts import DataFault
from mia.errors import BrokerError, DataError, MiaError, RiskHalt
from mia.execution.clocks import MarketClock
from mia.execution.ibkr_broker import IbkrBroker
from mia.execution.kill_commands import KillCommands, KillStore
from mia.execution.kill_switch import Rule
from mia.execution.live_links import Connection, OrderRelay, Repair, Rest, SessionOptions
from mia.execution.orders.states import Trouble
from mia.execution.position_watch import PositionWatch
from mia.execution.reconciler import Reconciler
from mia.execution.simple_trader import SimpleTrader

log = logging.getLogger(__name__)

SECOND = 1_000_000_000
_FAREWELL_S = 10.0
_RETRY_S = 1.0


class LiveSession:
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
        Told of ``alarm``, ``link``, ``notice``, ``ready``, ``reconciled`` and ``stopped``.
    options : SessionOptions

    Attributes
    ----------
    relay : OrderRelay
        Listener of the connection that places orders.
    repair : Repair, optional
        Called after the data connection was lost, before anything is decided on new data.
    rest : Rest, optional
        Called once in each break between sessions.
    own_feed : bool
        Trades come from a feed of their own; the data connection then tells the time, and indices.
    pull : callable, optional
        With such a feed and in lock-step: takes what the market did up to a time (ns UTC).
    feed_fault : callable
        Says why that feed cannot be trusted now, empty if it can.
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
        self.trader = trader
        self.broker = broker
        self.manager = broker.manager
        self.reconciler = Reconciler(broker.manager)
        self.ticks = ticks
        self.options = options
        self.relay = OrderRelay(broker.manager, self)
        self.repair: Repair | None = None
        self.rest: Rest | None = None
        self.own_feed = False
        self.pull: Callable[[int], None] | None = None
        self.feed_fault: Callable[[], str] = str
        self.closed_until = 0
        self.journal_fault: Callable[[], str] = str
        self.status = MarketStatus()
        self.market_link = LinkState.DISCONNECTED
        self.heard_at = 0.0
        self.is_ready = False
        self._positions = PositionWatch(broker.manager.ledger)
        self._commands = commands
        self._store = store
        self._clock = clock
        self._bus = bus
        self._orders: Connection | None = None
        self._market: Connection | None = None
        self._stop = asyncio.Event()
        self._failure: BaseException | None = None
        self._failed = False
        self._drains = False
        self._work: asyncio.Task[None] | None = None
        self._asked: set[str] = set()
        self._lost_at: int | None = None
        self._skewed = False
        self._rested = 0
        self._orphan_cash: dict[str, tuple[int, float]] = {}

    def attach(self, orders: Connection, market: Connection) -> None:
        """Take the connections, of which the session is a listener."""
        self._orders, self._market = orders, market

    @property
    def now(self) -> int:
        """Time of the session's clock, ns UTC."""
        return self._clock.now()

    # Market data.

    def on_trade(self, contract: str, ts: int, price: int, size: int, flags: int) -> None:
        """Take a trade."""
        if contract != self.ticks.contract:
            return
        self._hear(ts)
        self.ticks.on_trade(ts, price, size, 0, flags)
        self._schedule()

    def on_quote(
        self, contract: str, ts: int, bid: int, ask: int, bid_size: int, ask_size: int
    ) -> None:
        """Take a quote."""
        if contract != self.ticks.contract:
            return
        self._hear(ts)
        self.ticks.on_quote(ts, bid, ask)

    def on_bad_tick(self, contract: str, why: str) -> None:
        """Count a tick that the connection refused, if it is of what is traded."""
        if contract == self.ticks.contract:
            self.ticks.on_bad_tick(self._clock.now())
        self.tell("bad_tick", (contract, why))

    def on_index(self, symbol: str, ts: int, value: float) -> None:
        """Take the level of an index."""
        self.tell("index", (symbol, ts, value))

    def on_link(self, state: LinkState, reason: str) -> None:
        """Take a change of the data connection."""
        before, self.market_link = self.market_link, state
        self.tell("link", ("market", state, reason))
        if state is not LinkState.READY:
            self._asked.discard("market")
            if before is LinkState.READY and (self.options.lockstep or not self.own_feed):
                self.lose_data()
        elif self.is_ready:
            self._resume()

    def hear_feed(self, ts: int) -> None:
        """Note that trades up to a time (ns UTC) have come from a feed of their own."""
        if self.options.lockstep:
            # The gateway alone says how late it is.
            self.heard_at = time.monotonic()
        else:
            self._hear(ts)

    def on_feed(self) -> None:
        """Let the cycle take what the gate has got from a feed of its own."""
        self._schedule()

    def lose_data(self) -> None:
        """Decide nothing on new trades until `repair` has filled the hole that begins now."""
        if self._lost_at is None and self.is_ready:
            self.drain()
            self._lost_at = self.ticks.newest
            self.ticks.lose_quote()
            self._resume()

    @property
    def is_mending(self) -> bool:
        """Whether a hole in the data is being repaired."""
        return self._lost_at is not None

    def on_server_time(self, ts: int) -> None:
        """Take the time of the gateway from the data connection."""
        self._on_time("market", ts)

    def on_orders_time(self, ts: int) -> None:
        """Take the time of the gateway from the connection that places orders."""
        self._on_time("orders", ts)

    def _hear(self, ts: int) -> None:
        self.heard_at = time.monotonic()
        if isinstance(self._clock, MarketClock):
            self._clock.hear(ts)

    def _schedule(self) -> None:
        if not self._drains and not self.options.lockstep:
            self._drains = True
            asyncio.get_running_loop().call_soon(self.drain)

    def drain(self) -> None:
        """Let the cycle take what has been collected."""
        self._drains = False
        if not self.is_ready or self._lost_at is not None or self._failure is not None:
            return
        try:
            block = self.ticks.take()
            if block is not None:
                self.manager.last_price = int(block.price[-1])
                self.trader.run(block)
                self.status.on_trades(block)
                self.follow_up()
        except Exception as error:
            self.fail(error)

    # Orders.

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
            self.trader.collect()
            self._book_orphans()
            for change in self.manager.take_corrections():
                old = (change.role, change.old_quantity, change.old_price)
                if not self.trader.correct(change.bracket_id, old, change.quantity, change.price):
                    self.tell("late_correction", change)
            self._heed_alarms()
            self._hold_conditions()
        except Exception as error:
            self.fail(error)
            return
        if self.manager.wants_query and self._work is None and self.is_ready:
            self._begin(self._query())

    def _book_orphans(self) -> None:
        """Book what late fills of brackets that were done cost, once they are flat again."""
        for fill in self.broker.take_orphans():
            self.tell("orphan_fill", fill)
            self.trader.kill_switch.record_trouble(self._clock.now(), TradingState.HALT_ENTRIES)
            held, cash = self._orphan_cash.get(fill.bracket_id, (0, 0.0))
            value = INSTRUMENTS[self._symbol(fill.bracket_id)].tick_value
            held += fill.side * fill.quantity
            cash -= fill.side * fill.quantity * fill.price * value + fill.commission
            self._orphan_cash[fill.bracket_id] = (held, cash)
            if held == 0:
                self.trader.risk.adjust(cash)
                del self._orphan_cash[fill.bracket_id]

    def _symbol(self, bracket_id: str) -> str:
        return self.manager.ledger.brackets[bracket_id].order.symbol

    def _heed_alarms(self) -> None:
        now = self._clock.now()
        switch = self.trader.kill_switch
        for alarm in self.manager.take_alarms():
            self.tell("alarm", alarm)
            log.warning("%s %s: %s", alarm.trouble.value, alarm.subject, alarm.text)
            if alarm.trouble is Trouble.REJECT:
                switch.record_reject(now, sessions.session_id(now))
            elif alarm.trouble not in (Trouble.UNKNOWN_ORDER, Trouble.UNKNOWN_POSITION):
                switch.record_trouble(now, alarm.halt)

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

    def data_fault(self) -> str:
        """Say why market data cannot be trusted now, empty if they can."""
        if self.market_link is not LinkState.READY:
            return f"the data connection is {self.market_link.value}"
        if self._lost_at is not None:
            return "a hole in the data is being repaired"
        if self._market is not None and not self._market.is_live_data:
            return "market data are not live"
        if told := self.feed_fault():
            return told
        fault = self.ticks.fault(self._clock.now())
        if fault is DataFault.STALE and not self.options.lockstep:
            return "no tick came in regular hours"
        return "quotes stand still while trades run" if fault is DataFault.QUOTES_FROZEN else ""

    async def _query(self) -> None:
        assert self._orders is not None
        self.reconciler.begin()
        result = self.reconciler.reconcile(await self._orders.snapshot())
        self.tell("reconciled", result)
        if not result.complete:
            await asyncio.sleep(_RETRY_S)

    # Life.

    def start(self) -> None:
        """Let the cycle decide: both connections are up, reconciled and warmed up."""
        self.is_ready = True
        ours = None if self.trader.position is None else self.trader.position.trade_id
        for bracket in self.manager.ledger.live():
            if bracket.position and bracket.order.bracket_id != ours:
                log.warning("%s is left to its stop and target", bracket.order.bracket_id)
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
        self._leave_entry()
        self.is_ready = False
        await self._farewell(flat=self._failed)
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
        doing, stopped = asyncio.ensure_future(work), asyncio.ensure_future(self._stop.wait())
        await asyncio.wait({doing, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not doing.done():
            doing.cancel()
            with suppress(asyncio.CancelledError):
                await doing
            return False
        doing.result()
        return not self._stop.is_set()

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
        self.trader.kill_switch.record_exception(self._clock.now())
        self._leave_nothing()
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
                    self._close_beside_the_cycle(now)
                if not self.options.lockstep:
                    self.closed_until = now - round(self.options.close_grace_s * SECOND)
                    self.trader.advance_clock(self.closed_until)
            self._watch_positions()
            self._store.save(now)
            self._use_break(now)
            if self.trader.kill_switch.state is TradingState.EMERGENCY:
                self.fail(RiskHalt("the kill switch is at EMERGENCY"))
        except Exception as error:
            self.fail(error)

    def _watch_positions(self) -> None:
        """Ask the broker when somebody else has traded in the account."""
        orders = self._orders
        if self.options.lockstep or not self.is_ready or self._work is not None or orders is None:
            return
        if orders.state is not LinkState.READY or not self.manager.reconciled:
            return
        if self._positions.disagrees(orders.positions.values(), time.monotonic()):
            self._begin(self._query())

    def _use_break(self, now: int) -> None:
        """Let the break between two sessions be used, once."""
        if self.rest is None or self._work is not None or not self.is_ready:
            return
        day = sessions.session_id(now)
        over = now >= int(sessions.session_table(day, day)["t_end"][0])
        if over and day != self._rested and self.trader.position is None:
            self._rested = day
            self._begin(self.rest(day))

    def _poll_commands(self) -> None:
        now = self._clock.now()
        for command in self._commands.poll(now):
            log.warning("command %s", command.name)
            if command.name == "reset":
                self.broker.gate.reopen()
            self.tell("command", command)
            position = self.trader.position
            if position is not None and command.name in ("halt", "flatten"):
                self.broker.cancel_entry(position.trade_id, now)
                position.bars_left = 0
        self._answer_command()

    def _answer_command(self) -> None:
        if self.trader.position is None and not any(self._beside_the_cycle()):
            self._commands.done("no entry works and nothing is held")

    def _beside_the_cycle(self) -> Iterator[str]:
        """Yield the open brackets that are ours and that the cycle knows nothing of.

        They were taken back from the broker without their journal, or filled after their end.
        """
        position = self.trader.position
        managed = "" if position is None else position.trade_id
        for bracket in self.manager.ledger.live():
            name = bracket.order.bracket_id
            if name != managed and bracket.is_open:
                yield name

    def _close_beside_the_cycle(self, now: int) -> None:
        for name in list(self._beside_the_cycle()):
            self.broker.cancel_entry(name, now)
            self.broker.flatten(name, now)

    def _leave_nothing(self) -> None:
        """Cancel our entries and close our positions, as far as the broker can be reached."""
        now = self._clock.now()
        # What the cycle holds may be what went wrong: the ledger knows everything that is ours.
        for bracket in self.manager.ledger.live():
            name = bracket.order.bracket_id
            try:
                self.broker.cancel_entry(name, now)
                self.broker.flatten(name, now)
            except MiaError as error:
                log.error("could not close %s: %s", name, error)

    def _leave_entry(self) -> None:
        """Cancel an entry that works; a position keeps its stop and its target."""
        position = self.trader.position
        if position is not None and position.entry_works and not self._failed:
            with suppress(MiaError):
                self.broker.cancel_entry(position.trade_id, self._clock.now())

    async def _farewell(self, *, flat: bool) -> None:
        """Give the broker time to cancel what works and, if asked, to close what is held."""
        until = time.monotonic() + _FAREWELL_S
        names = [bracket.order.bracket_id for bracket in self.manager.ledger.live()]
        while time.monotonic() < until:
            left = self.manager.is_open if flat else self.manager.is_working
            if not any(map(left, names)) or self.manager.link is not LinkState.READY:
                return
            self.manager.check()
            if self.options.lockstep:
                self._ask_all()
            await asyncio.sleep(0.05)

    def tell(self, topic: str, event: object) -> None:
        """Publish."""
        self._bus.publish(topic, event)

    # Lock-step and time.

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
        if self._work is not None or not self.is_ready or self._stop.is_set():
            return
        assert self._orders is not None
        both = self._orders.state is self.market_link is LinkState.READY
        if not both:
            return
        if self._lost_at is not None:
            self._begin(self._mend(self._lost_at))
        elif self.options.lockstep:
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

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        self._work = asyncio.create_task(work)
        self._work.add_done_callback(self._on_work_done)

    def _on_work_done(self, task: asyncio.Task[None]) -> None:
        self._work = None
        if task.cancelled():
            return
        error = task.exception()
        if isinstance(error, BrokerError | DataError):
            # The connection was lost on the way, and its return begins anew; or what failed will
            # fail again, and must not keep the loop busy.
            log.warning("%s", error)
            self.follow_up()
            asyncio.get_running_loop().call_later(_RETRY_S, self._resume)
            return
        elif error is not None:
            self.fail(error)
            return
        self.follow_up()
        self._resume()


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__
