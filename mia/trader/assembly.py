"""The parts of a live run, put together and not yet connected."""

import logging
import time
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import mia
from mia.config.arming import require_armed
from mia.config.instruments import INSTRUMENTS, TICK
from mia.config.settings import LIMIT_NAMES, LoadedSettings
from mia.core import sessions
from mia.core.base_types import TradingMode
from mia.core.event_bus import ALL
from mia.data.feed_gate import FeedGate
from mia.data.journal import Journal
from mia.data.live_ticks import TickGate
from mia.data.state_directory import StateDirectory
from mia.errors import BrokerError
from mia.execution.assembly import fit_settings, followed_on_paper, market_state
from mia.execution.clocks import MarketClock, WallClock
from mia.execution.gate_facts import GateLimits
from mia.execution.ibkr_broker import IbkrBroker
from mia.execution.kill_commands import KillCommands, KillStore
from mia.execution.last_gate import LastGate
from mia.execution.live.links import SessionOptions
from mia.execution.live.paper_recovery import PaperJournal, Unfinished, unfinished
from mia.execution.live.recovery import KIND, CycleJournal, restore_cycle
from mia.execution.live.session import LiveSession
from mia.execution.live.world_facts import WorldFacts
from mia.execution.order_manager import OrderManager
from mia.execution.orders.sender import OrderSettings
from mia.execution.simple_trader import SimpleTrader
from mia.performance.identity import configuration_hash
from mia.trader.live_parts import LiveOptions, LiveVix, OrderLine, news_windows
from mia.trader.run_alerts import RunAlerts
from mia.trader.screen.showing import show_run
from mia.trader.screen.shown_files import note_limits, note_positioning
from mia.trader.sources.book_feed import BookFeed
from mia.trader.sources.feed_choice import OWN_FEEDS, close_delay, require_feed
from mia.trader.subscribers import attach_keepers, attach_observers, make_bus
from mia.trader.uptime import UptimeKeeper

if TYPE_CHECKING:
    from mia.ml.model_filter import ModelFilter
    from mia.trader.sources.chain_feed import ChainFeed

log = logging.getLogger(__name__)

NEW_YORK = ZoneInfo("America/New_York")
SECOND = 1_000_000_000
_MODEL_EVENT = "model"
"""`mia.trader.model_watch.KIND`: it is imported only for a run with a model."""


class Assembly:
    """Everything that one run of the trader consists of.

    Parameters
    ----------
    loaded : LoadedSettings
    options : LiveOptions
    stack : ExitStack
        Closes what the run holds open.

    Attributes
    ----------
    trader : SimpleTrader
    session : LiveSession
    commands : KillCommands
    clock : Clock
    bus : EventBus
        Told of everything; see `mia.trader.subscribers`.
    journal : Journal
    directory : StateDirectory
    book : BookFeed, optional
    chains : ChainFeed, optional
    vix : LiveVix
    wire : OrderLine
    con_ids : dict of str to int
        The broker's ids of contracts, as far as they are known.
    alerts : RunAlerts
    is_first_run : bool
        The journal knows of no earlier run.
    screen : FramePublisher
        Shows the run in its state directory.
    """

    def __init__(self, loaded: LoadedSettings, options: LiveOptions, stack: ExitStack) -> None:
        settings = loaded.settings
        require_feed(settings)
        self.settings, self.options = settings, options
        self._stated_limits = {
            name.upper(): getattr(settings, name) for name in LIMIT_NAMES if name in loaded.origin
        }
        self.clock = MarketClock(options.now) if options.now is not None else WallClock()
        now = self.clock.now()
        first = sessions.session_id(now)
        if not sessions.is_trading_day(first):
            first = sessions.next_trading_day(first)
        last = first if options.end is None else sessions.session_id(options.end - 1)
        directory = stack.enter_context(StateDirectory.open(options.state_dir))
        self.directory = directory
        journal = stack.enter_context(
            Journal.open(directory.journal_path, clock=self.clock.now, sync=settings.live.sync)
        )
        self.journal = journal
        self.alerts = RunAlerts(loaded, directory.path, self.clock, stack)
        self.bus = bus = make_bus(self.alerts.events)
        commission = {"ES": settings.cost.es_side, "MES": settings.cost.mes_side}
        self.con_ids: dict[str, int] = {}
        self.wire = OrderLine()
        manager = self._order_manager(commission)
        events = [(e.seq, e.ts, e.kind, e.payload) for e in journal.events()]
        manager.restore(events)
        facts = WorldFacts(options.account)
        gate = self._last_gate(loaded, manager, commission)
        broker = IbkrBroker(manager, gate, facts, dry_run=options.dry_run)
        self.chains = self._chain_feed()
        plan = fit_settings(loaded, 0, options=self.chains is not None)
        state = market_state(plan, first, sessions.next_trading_day(last), 0, record=False)
        self.vix = LiveVix(self.clock.now)
        self.model: ModelFilter | None = None
        if settings.ml.use_model:
            # Imported here: a start without a model need not wait for what trains one.
            from mia.trader.model_refit import ModelRefit, refit_command
            from mia.trader.model_watch import live_model

            self.model = live_model(directory.path, bus, self._keep_model)
            if settings.ml.refit and not options.lockstep:
                command = refit_command(directory.path, loaded.profile or "")
                refit = ModelRefit(directory.path, command, self._keep_model)
                bus.subscribe("beat", refit.publish, "refit")
                stack.callback(refit.close)
        followed = None if self.model is None else followed_on_paper(plan, bus)
        self.trader = SimpleTrader(
            state,
            broker,
            plan.limits,
            plan.groups,
            bus,
            vix=self.vix,
            news_window=news_windows(settings.live.history),
            model=self.model,
            refused=followed,
            options=None if self.chains is None else self.chains.snapshots,
        )
        self.book: BookFeed | None = None
        if settings.sources.book and not options.lockstep:
            self.book = BookFeed(state, self.clock.now, settings.live.book_age_s)
        store = KillStore(journal)
        store.attach(self.trader.kill_switch)
        cycle = CycleJournal(journal.append, self.clock.now)
        self.alerts.trader = self.trader
        attach_keepers(bus, self.vix, store, cycle, journal, self.clock.now, options.sink)
        self.commands = KillCommands(directory.path, store)
        self.commands.start(now)
        self._restore(manager, broker, events)
        cycle.trader = self.trader
        left = Unfinished([], [])
        if self.model is not None and followed is not None:
            left = unfinished((ts, kind, payload) for _, ts, kind, payload in events)
            bus.subscribe(ALL, PaperJournal(journal.append, self.clock.now).publish, "paper")
            followed.resume(left.begun)
            for decision, _ in left.begun:
                self.model.remember(decision)
        gate_of = FeedGate if settings.feed in OWN_FEEDS else TickGate
        ticks = gate_of(
            self.clock,
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
            self.clock,
            bus,
            SessionOptions(
                options.lockstep,
                options.end,
                settings.live.tick_age_s,
                settings.live.clock_skew_s,
                max(settings.live.close_grace_s, close_delay(settings)),
            ),
        )
        facts.session = self.session
        self.session.journal_fault = lambda: journal.fault
        about = {"configuration": configuration_hash(loaded), "code": mia.__version__}
        stack.callback(attach_observers(bus, directory.path, about, lambda: (ticks.bid, ticks.ask)))
        journal.start_run(configuration_hash(loaded), mia.__version__)
        for trade in left.told:
            bus.publish("followed", trade)
        note_limits(directory.path, loaded, self.clock.now())
        past = [(kind, payload) for _, _, kind, payload in events]
        self.screen = show_run(
            loaded,
            options,
            self.session,
            self.clock,
            bus,
            stack,
            past=past,
            book=self.book,
            model=self.model,
            waiting=lambda: journal.waiting,
        )
        self.uptime = UptimeKeeper(journal.append, self._is_ready)
        bus.subscribe("beat", self.uptime.publish, "uptime")

    def _keep_model(self, facts: dict[str, Any]) -> None:
        self.journal.append(_MODEL_EVENT, facts, ts=self.clock.now())

    def _is_ready(self) -> bool:
        """Whether orders may be sent as far as the session and the book are concerned."""
        session = self.session
        return session.is_ready and not session.data_fault() and not session.manager.why_no_risk

    def _order_manager(self, commission: Mapping[str, float]) -> OrderManager:
        settings, options = self.settings, self.options
        return OrderManager(
            self.wire,
            self.journal,
            OrderSettings(
                options.account,
                settings.ibkr.orders_client_id,
                self._con_id,
                commission,
                settings.live.foreign,
                ack_ns=round(settings.live.ack_s * SECOND),
            ),
            clock=self.clock,
            monotonic=time.monotonic_ns,
        )

    def _last_gate(
        self, loaded: LoadedSettings, manager: OrderManager, commission: Mapping[str, float]
    ) -> LastGate:
        settings, limits, journal = self.settings, loaded.limits, self.journal
        return LastGate(
            GateLimits(
                limits.max_size,
                limits.daily_loss_usd,
                settings.live.orders_per_minute,
                settings.live.reentries,
                band_ticks=settings.live.price_band_ticks,
                min_stop_ticks=settings.risk.min_stop_ticks,
                stale_ns=round(settings.live.tick_age_s * SECOND),
                slip_ticks=settings.cost.slip_ticks,
                commission=commission,
                refusals=settings.live.refusals,
            ),
            self.options.account,
            TradingMode(settings.trading_mode),
            require_armed=self.require_armed,
            seen=[bracket.order for bracket in manager.ledger.brackets.values()],
            note=lambda kind, payload, ts: journal.append(kind, payload, ts=ts),
        )

    def _chain_feed(self) -> "ChainFeed | None":
        """Return what follows the options, None if the run does without."""
        live = self.settings.live
        if not self.settings.sources.options or self.options.lockstep:
            return None
        if live.chain is None:
            log.warning("options stay unknown: live.chain names no chain of yesterday")
            return None
        # Imported here: a start without options need not wait for what reads chains.
        from mia.trader.sources.chain_feed import ChainFeed, ChainPace

        pace = ChainPace(live.option_lines, live.option_contracts, live.chain_s)
        keep = partial(note_positioning, self.directory.path)
        return ChainFeed(Path(live.chain), self.clock.now, pace, keep)

    def _con_id(self, contract: str) -> int:
        try:
            return self.con_ids[contract]
        except KeyError:
            raise BrokerError(f"the broker's id of {contract} is not known yet") from None

    def require_armed(self) -> None:
        """Refuse live trading unless all five locks are open; so is each order judged.

        Raises
        ------
        ConfigError
            Naming every lock that is closed.
        """
        today = datetime.fromtimestamp(self.clock.now() / SECOND, UTC).astimezone(NEW_YORK)
        require_armed(
            live_flag=self.options.live_flag,
            mode=self.settings.trading_mode,
            account=self.options.account,
            environment=self._stated_limits,
            token=self.directory.arm_token,
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
