"""The trader on a gateway, real or simulated: its parts put together, from start to stop."""

import asyncio
import logging
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import mia
from mia.config.arming import require_armed
from mia.config.instruments import INSTRUMENTS, TICK
from mia.config.settings import LIMIT_NAMES, LoadedSettings
from mia.core import sessions
from mia.core.base_types import OrderType, TradingMode
from mia.core.broker_types import LinkState, OrderTicket
from mia.core.event_bus import ALL, EventBus
from mia.core.ibkr.contracts import FutureContract
from mia.core.ibkr.pacing import MessageLimits
from mia.core.ibkr_connector import Endpoint, IbkrConnector
from mia.data.feed_gate import FeedGate
from mia.data.journal import Journal
from mia.data.live_ticks import TickGate
from mia.data.snapshot_files import SnapshotWriter
from mia.data.state_directory import StateDirectory
from mia.errors import BrokerError, DataError, MiaError
from mia.execution.assembly import fit_settings, followed_on_paper, market_state
from mia.execution.clocks import MarketClock, WallClock
from mia.execution.gate_facts import GateLimits
from mia.execution.ibkr_broker import IbkrBroker, traded_contract
from mia.execution.kill_commands import KillCommands, KillStore
from mia.execution.last_gate import LastGate
from mia.execution.live_links import SessionOptions
from mia.execution.live_session import LiveSession
from mia.execution.order_manager import OrderManager
from mia.execution.orders.sender import OrderSettings
from mia.execution.recovery import KIND, CycleJournal, restore_cycle
from mia.execution.simple_trader import SimpleTrader
from mia.execution.trade_snapshotter import TradeSnapshotter
from mia.execution.world_facts import WorldFacts
from mia.performance.identity import configuration_hash
from mia.trader.book_feed import BookFeed
from mia.trader.chain_feed import ChainFeed, ChainPace
from mia.trader.feeds import OWN_FEEDS, Feed, feed_delay, open_feed, require_feed
from mia.trader.live_parts import LiveOptions, LiveVix, OrderLine, news_windows
from mia.trader.model_watch import KIND as MODEL_EVENT
from mia.trader.model_watch import live_model
from mia.trader.past import Past

log = logging.getLogger(__name__)

_NEW_YORK = ZoneInfo("America/New_York")
SECOND = 1_000_000_000
_DELAYED, _DELAYED_FROZEN = 3, 4
_SLOW_NS = 20_000_000
"""What must be durable waits for the disk; longer than this is worth a word."""


class LiveTrader:
    """Everything that one run of the trader consists of.

    Parameters
    ----------
    loaded : LoadedSettings
    options : LiveOptions

    Attributes
    ----------
    trader : SimpleTrader
    session : LiveSession
    """

    def __init__(self, loaded: LoadedSettings, options: LiveOptions, stack: ExitStack) -> None:
        settings = loaded.settings
        require_feed(settings)
        self._settings, self._options = settings, options
        self._stated_limits = {
            name.upper(): getattr(settings, name) for name in LIMIT_NAMES if name in loaded.origin
        }
        self._clock = MarketClock(options.now) if options.now is not None else WallClock()
        now = self._clock.now()
        first = sessions.session_id(now)
        if not sessions.is_trading_day(first):
            first = sessions.next_trading_day(first)
        last = first if options.end is None else sessions.session_id(options.end - 1)
        directory = stack.enter_context(StateDirectory.open(options.state_dir))
        self._directory = directory
        journal = stack.enter_context(
            Journal.open(directory.journal_path, clock=self._clock.now, sync=settings.live.sync)
        )
        self._journal = journal
        bus = EventBus(lambda name, what: log.warning("%s: %s", name, what), _SLOW_NS)
        cost, limits = settings.cost, loaded.limits
        commission = {"ES": cost.es_side, "MES": cost.mes_side}
        self._con_ids: dict[str, int] = {}
        self._wire = OrderLine()
        manager = OrderManager(
            self._wire,
            journal,
            OrderSettings(
                options.account,
                settings.ibkr.orders_client_id,
                self._con_id,
                commission,
                settings.live.foreign,
                ack_ns=round(settings.live.ack_s * SECOND),
            ),
            clock=self._clock,
            monotonic=time.monotonic_ns,
        )
        events = [(e.seq, e.ts, e.kind, e.payload) for e in journal.events()]
        manager.restore(events)
        facts = WorldFacts(options.account)
        gate = LastGate(
            GateLimits(
                limits.max_size,
                limits.daily_loss_usd,
                settings.live.orders_per_minute,
                settings.live.reentries,
                band_ticks=settings.live.price_band_ticks,
                min_stop_ticks=settings.risk.min_stop_ticks,
                stale_ns=round(settings.live.tick_age_s * SECOND),
                slip_ticks=cost.slip_ticks,
                commission=commission,
                refusals=settings.live.refusals,
            ),
            options.account,
            TradingMode(settings.trading_mode),
            require_armed=self.require_armed,
            seen=[bracket.order for bracket in manager.ledger.brackets.values()],
            note=lambda kind, payload, ts: journal.append(kind, payload, ts=ts),
        )
        broker = IbkrBroker(manager, gate, facts, dry_run=options.dry_run)
        self._chains = self._chain_feed()
        plan = fit_settings(loaded, 0, options=self._chains is not None)
        state = market_state(plan, first, sessions.next_trading_day(last), 0, record=False)
        self.vix = LiveVix(self._clock.now)
        bus.subscribe("index", self.vix.publish, "vix")
        model = None
        if settings.ml.use_model:
            model = live_model(directory.path, bus, self._keep_model)
        self.model = model
        self.trader = SimpleTrader(
            state,
            broker,
            plan.limits,
            plan.groups,
            bus,
            vix=self.vix,
            news_window=news_windows(settings.live.history),
            model=model,
            refused=None if model is None else followed_on_paper(plan, bus),
            options=None if self._chains is None else self._chains.snapshots,
        )
        self._book: BookFeed | None = None
        if settings.sources.book and not options.lockstep:
            self._book = BookFeed(state, self._clock.now, settings.live.book_age_s)
        store = KillStore(journal)
        store.attach(self.trader.kill_switch)

        def keep_kill_state(topic: str, event: Any) -> None:
            store.on_change(*event)

        bus.subscribe("kill", keep_kill_state, "kill store")
        cycle = CycleJournal(journal.append, self._clock.now)
        bus.subscribe(ALL, cycle.publish, "cycle journal")
        for topic in ("feed", "hole"):
            bus.subscribe(topic, self._keep, "feed journal")
        bus.subscribe(ALL, options.sink.publish, "record")
        self.commands = KillCommands(directory.path, store)
        self.commands.start(now)
        self._restore(manager, broker, events)
        cycle.trader = self.trader
        self._feed: Feed | None = None
        gate_of = FeedGate if settings.feed in OWN_FEEDS else TickGate
        ticks = gate_of(
            self._clock,
            self.trader.kill_switch.record_quality,
            settings.symbol,
            round(INSTRUMENTS[settings.symbol].price_scale_max / TICK),
        )
        self.session = LiveSession(
            self.trader,
            broker,
            ticks,
            self.commands,
            store,
            self._clock,
            bus,
            SessionOptions(
                options.lockstep,
                options.end,
                settings.live.tick_age_s,
                settings.live.clock_skew_s,
                max(settings.live.close_grace_s, feed_delay(settings)),
            ),
        )
        facts.session = self.session
        self.session.journal_fault = lambda: journal.fault
        writer = SnapshotWriter(directory.path / "snapshots")
        snapshots = TradeSnapshotter(
            writer,
            {"configuration": configuration_hash(loaded), "code": mia.__version__},
            quote=lambda: (ticks.bid, ticks.ask),
        )
        bus.subscribe(ALL, snapshots.publish, "snapshots")
        stack.callback(snapshots.stop)
        journal.start_run(configuration_hash(loaded), mia.__version__)

    def _keep(self, topic: str, event: Any) -> None:
        """Write to the journal what a feed tells of itself, by the name of the kind."""
        if topic == "feed":
            feed, notice = event
            payload = {"feed": feed, **asdict(notice)}
        else:
            payload = asdict(event)
        self._journal.append(topic, payload, ts=self._clock.now())

    def _keep_model(self, facts: dict[str, Any]) -> None:
        self._journal.append(MODEL_EVENT, facts, ts=self._clock.now())

    def _chain_feed(self) -> ChainFeed | None:
        """Return what follows the options, None if the run does without."""
        live = self._settings.live
        if not self._settings.sources.options or self._options.lockstep:
            return None
        if live.chain is None:
            log.warning("options stay unknown: live.chain names no chain of yesterday")
            return None
        pace = ChainPace(live.option_lines, live.option_contracts, live.chain_s)
        return ChainFeed(Path(live.chain), self._clock.now, pace)

    def _con_id(self, contract: str) -> int:
        try:
            return self._con_ids[contract]
        except KeyError:
            raise BrokerError(f"the broker's id of {contract} is not known yet") from None

    def require_armed(self) -> None:
        """Refuse live trading unless all five locks are open; so is each order judged.

        Raises
        ------
        ConfigError
            Naming every lock that is closed.
        """
        today = datetime.fromtimestamp(self._clock.now() / SECOND, UTC).astimezone(_NEW_YORK)
        require_armed(
            live_flag=self._options.live_flag,
            mode=self._settings.trading_mode,
            account=self._options.account,
            environment=self._stated_limits,
            token=self._directory.arm_token,
            today=int(f"{today:%Y%m%d}"),
        )

    def _restore(
        self,
        manager: OrderManager,
        broker: IbkrBroker,
        events: list[tuple[int, int, str, dict[str, Any]]],
    ) -> None:
        """Take up what an earlier run left: account, position, and fills that it did not book."""
        saved = [payload for _, _, kind, payload in events if kind == KIND]
        self.is_first_run = not saved
        if not saved:
            return
        trader = self.trader
        restore_cycle(trader, saved[-1])
        position = trader.position
        if position is None:
            return
        if position.trade_id not in manager.ledger.brackets:
            # It was about to be sent when the run ended: no byte of it left.
            trader.position = None
            return
        broker.remember(position.trade_id, position.fills)
        trader.catch_up(manager.fills(position.trade_id))

    def _endpoint(self, client_id: int) -> Endpoint:
        options = self._options
        endpoint = Endpoint(
            options.host,
            options.port,
            client_id,
            options.account,
            connect_timeout=self._settings.ibkr.connect_s,
            busy_for=self._settings.ibkr.busy_s,
            lockstep=options.lockstep,
        )
        if options.lockstep:
            return replace(
                endpoint,
                messages=MessageLimits(0, 0),
                tick_by_tick_every=0.0,
                backoff_first=0.1,
                backoff_most=1.0,
            )
        return endpoint

    def _data_endpoint(self) -> Endpoint:
        endpoint = self._endpoint(self._settings.ibkr.data_client_id)
        # No order goes through it: nothing need be kept for one.
        return replace(endpoint, messages=replace(endpoint.messages, kept_for_orders=0))

    async def run(self, started: Callable[[], None] = lambda: None) -> None:
        """Connect, reconcile, warm up, trade until told to stop.

        Parameters
        ----------
        started : callable
            Called when the trader is ready.

        Raises
        ------
        MiaError
            One line: what is wrong and what to do about it.
        """
        ibkr = self._settings.ibkr
        session = self.session
        market = IbkrConnector(
            self._data_endpoint(),
            market=session,
            backend=ibkr.backend,
            clock=self._clock.now,
        )
        orders = IbkrConnector(
            self._endpoint(ibkr.orders_client_id),
            orders=session.relay,
            backend=ibkr.backend,
            reconcile=session.reconcile,
            order_id_floor=session.manager.ledger.high_order_id(),
            clock=self._clock.now,
            on_server_time=session.on_orders_time,
        )
        session.attach(orders, market)
        self._wire.connector = orders
        self._directory.write_run(
            account=self._options.account,
            host=self._options.host,
            port=self._options.port,
            client_id=ibkr.orders_client_id,
            started=time.time_ns(),
        )
        self._listen()
        watchers: list[asyncio.Task[None]] = []
        try:
            if await session.unless_stopped(self._start(market, orders, watchers)):
                session.start()
                started()
            await session.run()
        finally:
            if self._feed is not None:
                self._feed.close()
            for watcher in watchers:
                watcher.cancel()
            for link in (market, orders):
                with suppress(BrokerError):
                    await link.disconnect()
            self._journal.end_run()

    async def _start(
        self, market: IbkrConnector, orders: IbkrConnector, watchers: list[asyncio.Task[None]]
    ) -> None:
        """Connect, reconcile, and learn what there is to know before anything is decided."""
        await market.connect()
        contract = await self._resolve(market)
        if self._options.now is None and self._settings.feed not in OWN_FEEDS:
            await _require_live_data(market, contract)
        await orders.connect()
        watchers += [
            asyncio.create_task(self._watch(link.wait_closed())) for link in (market, orders)
        ]
        if not self._options.lockstep:
            watchers.append(asyncio.create_task(self._attend()))
        await self._ask_margins(orders)
        await self._ask_equity(orders)
        await self._subscribe(market, contract)
        await self._prepare(market, contract, watchers)
        watchers += await self._open_sources(market, contract)

    async def _attend(self) -> None:
        """See to protection and commands while the past is learned: that may take minutes."""
        while not self.session.is_ready:
            self.session.beat()
            await asyncio.sleep(1.0)

    async def _subscribe(self, market: IbkrConnector, contract: FutureContract) -> None:
        self._contract = contract
        self.session.ticks.start_contract(contract.name)
        if self._settings.feed in OWN_FEEDS:
            return
        wait = 0.0 if self._options.lockstep else 2.0
        await market.subscribe_quotes(contract, wait)
        await market.subscribe_trades(contract, wait)

    async def _open_sources(
        self, market: IbkrConnector, contract: FutureContract
    ) -> list[asyncio.Task[None]]:
        """Subscribe to what the cycle can do without; return what follows it."""
        tasks = []
        if self._book is not None:
            await self._book.open(market, contract)
            tasks.append(asyncio.create_task(self._book.watch()))
        if self._chains is not None:
            tasks.append(asyncio.create_task(self._chains.run(market)))
        return tasks

    async def _prepare(
        self,
        market: IbkrConnector,
        contract: FutureContract,
        watchers: list[asyncio.Task[None]],
    ) -> None:
        """Learn the past, and subscribe to what else the cycle looks at."""
        self.session.rest = partial(self._rest, market)
        if self._options.now is None:
            try:
                await market.subscribe_index("VIX")
            except BrokerError as error:
                log.warning("VIX stays unknown: %s", error)
            await self._learn_reference(market, contract)
        if self._settings.feed in OWN_FEEDS:
            self._feed = open_feed(
                self._settings, self.session, market, contract, self._clock, self._options.pace
            )
            self.session.repair = self._feed.mend
            watchers.append(asyncio.create_task(self._watch(self._feed.run())))
            await self._feed.learn()
            return
        store = self._settings.live.history
        past = Past(self.session, market, contract, None if store is None else Path(store))
        self.session.repair = past.mend
        warm = await past.learn()
        if warm is not None:
            log.info("warmed up with %d trades, %d holes", warm.trades, warm.holes)

    async def _learn_reference(self, market: IbkrConnector, contract: FutureContract) -> None:
        """Take yesterday's close as the price from which the price limits are measured."""
        now = self._clock.now()
        try:
            bars = await market.historical_bars(contract, now, "2 D", "1 day")
        except BrokerError as error:
            log.warning("price limits are unknown: %s", error)
            return
        if len(bars.close):
            close = float(bars.close[-1]) / TICK
            self.session.status.set_reference(sessions.session_id(now), close)

    async def _rest(self, market: IbkrConnector, session_id: int) -> None:
        """Change to the next contract in the break, if its time has come."""
        tomorrow = sessions.next_trading_day(session_id)
        day = datetime.strptime(str(tomorrow), "%Y%m%d").replace(tzinfo=_NEW_YORK).date()
        root, old = self._settings.symbol, self._contract
        front = await market.front_contract(root, day, last_days=self._settings.ibkr.roll_days)
        if front.name == old.name:
            return
        if self._feed is not None:
            await self._learn_ids(market, front.name)
            self.session.status.start_contract()
            self._contract = front
            self._feed.roll(tomorrow, front)
            log.warning("%s follows %s in session %d", front.name, old.name, tomorrow)
            return
        self.session.drain()
        if self._book is not None:
            await self._book.close(market)
        for words in ("quotes", "trades"):
            await market.unsubscribe(f"{words} of {old.name}")
        await self._learn_ids(market, front.name)
        self.session.status.start_contract()
        await self._subscribe(market, front)
        if self._book is not None:
            await self._book.open(market, front)
        log.warning("rolled from %s to %s", old.name, front.name)

    def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, partial(self._on_signal, number))
        if hasattr(signal, "SIGUSR1"):
            loop.add_signal_handler(signal.SIGUSR1, self._on_command)

    def _on_signal(self, number: int) -> None:
        self.stopped_by = number
        self.session.stop()

    def _on_command(self) -> None:
        self.commands.notice()
        self.session.beat()

    stopped_by: int = 0

    async def _watch(self, life: Awaitable[None]) -> None:
        try:
            await life
        except MiaError as error:
            self.session.end(error)
        except Exception as error:
            self.session.fail(error)

    async def _resolve(self, market: IbkrConnector) -> FutureContract:
        """Learn the broker's ids of what is traded, and of what the journal still holds."""
        root = self._settings.symbol
        now = datetime.fromtimestamp(self._clock.now() / SECOND, UTC).astimezone(_NEW_YORK)
        contract = await market.front_contract(
            root, now.date(), last_days=self._settings.ibkr.roll_days
        )
        await self._learn_ids(market, contract.name)
        return contract

    async def _learn_ids(self, market: IbkrConnector, tape: str) -> None:
        held = {bracket.order.contract for bracket in self.session.manager.ledger.live()}
        names = {traded_contract(symbol, tape) for symbol in ("ES", "MES")} | held
        for name in sorted(names):
            self._con_ids[name] = (await market.resolve(name)).con_id

    async def _ask_margins(self, orders: IbkrConnector) -> None:
        manager = self.session.manager
        if any(manager.ledger.live()):
            return
        for name, con_id in self._con_ids.items():
            ticket = OrderTicket(
                orders.next_order_id(),
                f"margin of {name}",
                name[:-3],
                con_id,
                name,
                1,
                1,
                OrderType.MARKET,
                0,
                "DAY",
                self._options.account,
            )
            change = await orders.what_if(ticket)
            self.trader.risk.set_margin(name[:-3], change.initial_after)

    async def _ask_equity(self, orders: IbkrConnector) -> None:
        """Size by what the account holds, if that is less than the settings say."""
        values = await orders.account_values()
        worth = values.get("NetLiquidation")
        if worth is None or not worth > 0:
            raise BrokerError(f"account {self._options.account} has no net liquidation value")
        risk = self.trader.risk
        if self.is_first_run and worth < risk.equity:
            risk.equity = risk.equity_high = worth


async def _require_live_data(market: IbkrConnector, contract: FutureContract) -> None:
    try:
        kind = await market.data_type(contract)
    except BrokerError as error:
        if market.state is not LinkState.READY:
            raise
        raise DataError(f"{error}: subscribe to CME data for the API at the broker") from None
    if kind in (_DELAYED, _DELAYED_FROZEN):
        raise DataError(
            f"the gateway has only delayed data of {contract.name}: subscribe to CME data at the "
            "broker, and end other sessions of the same user"
        )
