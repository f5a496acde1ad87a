"""One tape through all feeds: where they carry the same fields they say the same."""

import asyncio

import numpy as np
from dtc_server import DtcServer
from iqfeed_server import IQConnect
from sierra_writer import SetClock, SierraWriter, collected, drain, market_block, part

from mia.core.dtc.client import DtcClient
from mia.core.iqfeed.history import IQFeedHistory
from mia.core.iqfeed_connector import IQFeedConnector
from mia.core.sierra_connector import SierraConnector

BLOCK = part(market_block(seed=8, trades=2500), slice(900))
CLOCK = SetClock(int(BLOCK.ts_event[-1]))
NAMES = ("price", "size", "aggressor_side", "bid_price", "ask_price")
MS = 1_000_000


class Trades:
    """A listener that keeps trades."""

    def __init__(self):
        self.trades = []
        self.complete = asyncio.Event()

    def on_trade(self, trade):
        self.trades.append(trade)
        if len(self.trades) == len(BLOCK):
            self.complete.set()

    def on_link(self, state, reason):
        """Take no note."""

    def on_notice(self, text):
        raise AssertionError(text)


async def from_iqfeed():
    async with IQConnect(BLOCK).running() as server:
        feed = IQFeedConnector({"@ESH25": "ESH25"}, CLOCK, port=server.ports["level1"])
        batches = []
        async for batch in feed:
            batches.append(batch)
            if sum(len(b.block) for b in batches) == len(BLOCK):
                feed.close()
        lookup = IQFeedHistory(port=server.ports["lookup"], requests_per_s=1e6, page=123)
        start, end = int(BLOCK.ts_event[0]) - MS, int(BLOCK.ts_event[-1]) + 1
        pages = [page async for page in lookup.ticks("@ESH25", "ESH25", start, end)]
        lookup.close()
        names = ("ts_event", *NAMES)
        history = {name: np.concatenate([getattr(page, name) for page in pages]) for name in names}
        return collected(batches), history


async def from_dtc():
    async with DtcServer(BLOCK).running() as server:
        seen = Trades()
        client = DtcClient(seen, "SIM", port=server.port)
        task = asyncio.create_task(client.run())
        while not client.ready:
            await asyncio.sleep(0.002)
        client.subscribe("ESH25", "TEST")
        await seen.complete.wait()
        client.close()
        await task
        return {
            "ts_event": np.array([trade.ts for trade in seen.trades]),
            "price": np.array([round(trade.price * 4) for trade in seen.trades]),
            "size": np.array([trade.size for trade in seen.trades]),
            "aggressor_side": np.array([trade.aggressor_side for trade in seen.trades]),
        }


def test_file_stream_history_and_dtc_carry_the_same_trades(tmp_path):
    writer = SierraWriter(tmp_path / "ESH25-CME.scid", BLOCK, fill_size=2)
    feed = SierraConnector(tmp_path, lambda _: "ESH25", CLOCK, start=int(BLOCK.ts_event[0]))
    batches = []
    while writer.size < len(writer.stream):
        writer.append(3333)
        batches += drain(feed)
    feed.close()
    sierra = collected(batches)
    stream, history = asyncio.run(asyncio.wait_for(from_iqfeed(), 30))
    dtc = asyncio.run(asyncio.wait_for(from_dtc(), 30))
    assert len(sierra["size"]) == len(BLOCK)
    for other in (stream, history, dtc):
        np.testing.assert_array_equal(other["ts_event"] // MS * MS, sierra["ts_event"])
        for name in other.keys() - {"ts_event"}:
            np.testing.assert_array_equal(other[name], sierra[name], err_msg=name)
