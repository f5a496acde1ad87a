"""Listeners that keep what they are told, for tests of the connection to a gateway."""

import asyncio
import time

from wire_client import stage

from mia.core.base_types import OrderType
from mia.core.broker_types import OrderTicket
from mia.core.ibkr.backend import new_event_loop
from mia.core.ibkr_connector import Endpoint, IbkrConnector


class OrderBookkeeper:
    """An order listener that keeps everything in order."""

    def __init__(self):
        self.events = []
        self.links = []

    def on_status(self, report):
        self.events.append(report)

    on_open_order = on_execution = on_commission = on_notice = on_status

    def on_link(self, state, reason):
        self.links.append((str(state), reason))

    def of(self, kind):
        return [event for event in self.events if isinstance(event, kind)]


class MarketBookkeeper:
    """A market listener that keeps everything."""

    def __init__(self):
        self.trades = []
        self.quotes = []
        self.bad = []
        self.times = []
        self.levels = []
        self.links = []
        self.order = []

    def on_trade(self, contract, ts, price, size, flags):
        self.trades.append((contract, ts, price, size, flags))
        self.order.append("trade")

    def on_quote(self, contract, ts, bid, ask, bid_size, ask_size):
        self.quotes.append((contract, ts, bid, ask, bid_size, ask_size))
        self.order.append("quote")

    def on_bad_tick(self, contract, why):
        self.bad.append((contract, why))

    def on_server_time(self, ts):
        self.times.append(ts)
        self.order.append("time")

    def on_index(self, symbol, ts, value):
        self.levels.append((symbol, ts, value))

    def on_link(self, state, reason):
        self.links.append((str(state), reason))


async def until(condition, seconds=10.0, what="the condition"):
    """Wait until something holds, or fail."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come true within {seconds:g} s"
        await asyncio.sleep(0.005)


class Desk:
    """A connector at a gateway in this process, with what it needs to trade."""

    def __init__(self, here, **settings):
        self.here = here
        self.orders = OrderBookkeeper()
        self.market = MarketBookkeeper()
        self.snapshots = []
        self.notices = []
        endpoint = {
            "host": "127.0.0.1",
            "port": here.gateway.port,
            "client_id": 7,
            "account": "DU1234567",
            "connect_timeout": 2.0,
            "request_timeout": 2.0,
            "backoff_first": 0.05,
            "busy_every": 0.1,
            "tick_by_tick_every": 0.0,
            "lockstep": here.gateway.options.lockstep,
        }
        endpoint.update(settings.pop("endpoint", {}))
        settings.setdefault("orders", self.orders)
        settings.setdefault("market", self.market)
        settings.setdefault("reconcile", self.reconcile)
        settings.setdefault("on_notice", self.notices.append)
        self.connector = IbkrConnector(Endpoint(**endpoint), **settings)
        self.contract = None

    async def reconcile(self, snapshot):
        self.snapshots.append(snapshot)

    async def open(self):
        await self.connector.connect()
        self.contract = (await self.connector.contracts("ES"))[0]
        return self

    async def ticking(self):
        """Subscribe to trades, and wait for one."""
        await self.connector.subscribe_trades(self.contract)
        await self.step_until(lambda: self.market.trades)
        return self

    async def step_until(self, condition, steps=400):
        """Let market time in lock-step move on until something holds."""
        for _ in range(steps):
            if condition():
                return
            count = len(self.market.times)
            self.connector.request_server_time()
            await until(lambda count=count: len(self.market.times) > count)
        raise AssertionError(f"not within {steps} steps")

    @property
    def last(self):
        return self.market.trades[-1][2]

    def ticket(self, ref="a:E", **more):
        fields = {
            "order_id": more.pop("order_id", None) or self.connector.next_order_id(),
            "order_ref": ref,
            "symbol": "ES",
            "con_id": self.contract.con_id,
            "contract": self.contract.name,
            "side": 1,
            "quantity": 1,
            "order_type": OrderType.MARKET,
            "price": 0,
            "tif": "DAY",
            "account": "DU1234567",
        }
        return OrderTicket(**{**fields, **more})

    def bracket(self, ref="a", distance=80):
        """Send a bracket; return its tickets."""
        last = self.last
        entry = self.ticket(f"{ref}:E", transmit=False)
        legs = {
            "side": -1,
            "tif": "GTC",
            "parent_id": entry.order_id,
            "oca_group": ref,
            "oca_type": 1,
        }
        stop = self.ticket(
            f"{ref}:S",
            order_id=entry.order_id + 1,
            order_type=OrderType.STOP,
            price=last - distance,
            transmit=False,
            **legs,
        )
        target = self.ticket(
            f"{ref}:T",
            order_id=entry.order_id + 2,
            order_type=OrderType.LIMIT,
            price=last + distance,
            **legs,
        )
        self.send((entry, stop, target))
        return entry, stop, target

    def send(self, tickets):
        for ticket in tickets:
            self.connector.place(ticket)

    def resting(self, ref="far:E", **more):
        """Send an order that does not fill."""
        ticket = self.ticket(ref, order_type=OrderType.LIMIT, price=self.last - 400, **more)
        self.connector.place(ticket)
        return ticket


def play(act, *faults, settings=None, **options):
    """Run a scene: a connector in front of a gateway with faults."""

    async def scene():
        async with stage(*faults, **options) as here:
            desk = Desk(here, **(settings or {}))
            try:
                await act(desk)
            finally:
                await desk.connector.disconnect()

    loop = new_event_loop()
    try:
        loop.run_until_complete(scene())
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
