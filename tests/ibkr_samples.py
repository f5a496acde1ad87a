"""Listeners that keep what they are told, for tests of the connection to a gateway."""

import asyncio
import time


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
