"""The trader on a gateway, real or simulated: from start to stop."""

import asyncio
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial

from mia.config.settings import LoadedSettings
from mia.core.ibkr.pacing import MessageLimits
from mia.core.ibkr_connector import Endpoint, IbkrConnector
from mia.errors import BrokerError
from mia.trader.assembly import Assembly
from mia.trader.backups import TraderBackups
from mia.trader.live_parts import LiveOptions
from mia.trader.start_up import StartUp


class LiveTrader(Assembly):
    """One run of the trader.

    Parameters
    ----------
    loaded : LoadedSettings
    options : LiveOptions
    stack : ExitStack
        Closes what the run holds open.

    Attributes
    ----------
    start_up : StartUp
    stopped_by : int
        Number of the signal that ended the run, 0 if none did.
    """

    def __init__(self, loaded: LoadedSettings, options: LiveOptions, stack: ExitStack) -> None:
        super().__init__(loaded, options, stack)
        self._loaded = loaded
        self.stopped_by = 0
        self.start_up = StartUp(self)

    def _endpoint(self, client_id: int) -> Endpoint:
        options = self.options
        endpoint = Endpoint(
            options.host,
            options.port,
            client_id,
            options.account,
            connect_timeout=self.settings.ibkr.connect_s,
            busy_for=self.settings.ibkr.busy_s,
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
        endpoint = self._endpoint(self.settings.ibkr.data_client_id)
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
        ibkr = self.settings.ibkr
        session = self.session
        market = IbkrConnector(
            self._data_endpoint(),
            market=self.start_up.listener,
            backend=ibkr.backend,
            clock=self.clock.now,
        )
        orders = IbkrConnector(
            self._endpoint(ibkr.orders_client_id),
            orders=session.relay,
            backend=ibkr.backend,
            reconcile=session.reconcile,
            order_id_floor=session.manager.ledger.high_order_id(),
            clock=self.clock.now,
            on_server_time=session.on_orders_time,
        )
        session.attach(orders, market)
        backups = TraderBackups(self._loaded, self.directory.path, self.bus.publish)
        self.wire.connector = orders
        self.directory.write_run(
            account=self.options.account,
            host=self.options.host,
            port=self.options.port,
            client_id=ibkr.orders_client_id,
            started=time.time_ns(),
        )
        self._listen()
        self.alerts.heed_loop(session)
        beside = [
            asyncio.create_task(work) for work in (self.screen.run(), self.alerts.attend(session))
        ]
        try:
            if await session.unless_stopped(self.start_up.run(market, orders)):
                session.start()
                if not self.options.lockstep:
                    backups.start()
                self.alerts.ready()
                started()
            await session.run()
        except BaseException as error:
            self.alerts.ended(error)
            raise
        else:
            self.alerts.ended(None)
        finally:
            self.start_up.close()
            for link in (market, orders):
                with suppress(BrokerError):
                    await link.disconnect()
            for task in beside:
                task.cancel()
            self.uptime.save()
            self.journal.end_run()
            await backups.stop()

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
