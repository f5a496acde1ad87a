"""Long runs of the connectors over real files and real TCP, with faults all along.

Each draws markets and faults until its time is over (``MIA_SOAK_S`` seconds a test) and counts
trades sent, received, lost and doubled. The source holds all of them, so none may be missing.
"""

import asyncio
import os
import random
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from core.test_dtc_client import connected
from data.test_feed_arbiter import NS, Desk, by_prints
from dtc_server import DtcServer
from iqfeed_server import IQConnect
from sierra_writer import SetClock, SierraWriter, drain, market_block, part

from mia.core.base_types import OrderType, TradeBlock
from mia.core.broker_types import LinkState
from mia.core.dtc.messages import DtcOrderStatus, Encoding
from mia.core.dtc.orders import DtcOrder
from mia.core.iqfeed.history import IQFeedHistory
from mia.core.iqfeed.level1 import UPDATE_FIELDS
from mia.core.iqfeed_connector import IQFeedConnector
from mia.core.market_feed import FeedNotice, FeedNoticeKind
from mia.core.sierra.scid_trades import ScidTrades
from mia.data.feed_arbiter import ArbiterLimits
from mia.errors import BrokerError

pytestmark = pytest.mark.slow

SECONDS = float(os.environ.get("MIA_SOAK_S", "6"))
SEED = int(os.environ.get("MIA_SOAK_SEED", "1"))
CLOCK = SetClock(1_900_000_000_000_000_000)
NAMES = ("ts_event", "price", "size", "aggressor_side", "bid_price", "ask_price")


@dataclass
class Tally:
    """What became of trades."""

    markets: int = 0
    faults: int = 0
    stalls: int = 0
    late: int = 0
    sent: int = 0
    received: int = 0
    lost: int = 0
    doubled: int = 0

    def add(self, sent: TradeBlock, received: list[TradeBlock], unit_ns: int) -> None:
        """Compare what was sent with what came, in order."""
        ours, theirs = rows([sent], unit_ns), rows(received, unit_ns)
        missing, more = Counter(ours), Counter(theirs)
        self.markets += 1
        self.sent += len(ours)
        self.received += len(theirs)
        self.lost += (missing - more).total()
        self.doubled += (more - missing).total()
        assert ours == theirs, self


def rows(blocks: list[TradeBlock], unit_ns: int) -> list[tuple[int, ...]]:
    """Return trades as tuples, times in units."""
    found: list[tuple[int, ...]] = []
    for block in blocks:
        columns = [getattr(block, name) for name in NAMES]
        columns[0] = columns[0] // unit_ns
        found += zip(*(column.tolist() for column in columns), strict=True)
    return found


def seeds():
    """Yield random generators until the time is over, at least one."""
    end, number = time.monotonic() + SECONDS, SEED
    while number == SEED or time.monotonic() < end:
        yield number, random.Random(number)
        number += 1


def tell(capsys, name: str, tally: Tally) -> None:
    with capsys.disabled():
        print(f"\n{name}, {SECONDS:g} s: {tally}")
    assert tally.lost == tally.doubled == 0
    assert tally.received == tally.sent > 0


def spoil(writer: SierraWriter, chance: random.Random) -> None:
    """Do to a file what Sierra may do."""
    act = chance.choice(("shorten", "delete", "overwrite", "replace", "download"))
    if act == "delete":
        writer.delete()
    else:
        getattr(writer, act)(chance.randrange(0, len(writer.stream) // 2))


def test_sierra_files_that_are_spoilt_and_readers_that_restart(tmp_path: Path, capsys) -> None:
    tally = Tally()
    for number, chance in seeds():
        block = market_block(seed=number, trades=chance.choice((2000, 20_000, 60_000)))
        path = tmp_path / f"{block.contract}-CME.scid"
        path.unlink(missing_ok=True)
        writer = SierraWriter(path, block, fill_size=chance.choice((None, 1, 20)))
        trades = ScidTrades(path, block.contract, CLOCK, start=0)
        received: list[TradeBlock] = []
        left = chance.randrange(0, 8)
        while writer.size < len(writer.stream):
            if chance.random() < 0.1:
                # A stall in mid-record: nothing more comes for a while.
                writer.append(chance.randrange(1, 40))
                for _ in range(5):
                    received += [batch.block for batch in drain(trades)]
                tally.stalls += 1
            writer.append(chance.randrange(1, len(writer.stream) // 8))
            if left and chance.random() < 0.3:
                spoil(writer, chance)
                left -= 1
                tally.faults += 1
            if chance.random() < 0.1:
                trades = ScidTrades(path, block.contract, CLOCK, start=trades.position)
                tally.faults += 1
            received += [batch.block for batch in drain(trades)]
        writer.finish()
        received += [batch.block for batch in drain(trades)]
        tally.add(block, received, 1_000_000)
    tell(capsys, "Sierra .scid", tally)


@dataclass
class IqfeedFaults:
    """What goes wrong with one market.

    Attributes
    ----------
    cuts, missed
        As of `IQConnect`.
    stalls : dict of int to float
        Seconds for which nothing comes, by the trade before which it happens.
    late : list of int
        Trades before which others are reported late or out of order, which are no part of the tape.
    """

    cuts: list[int]
    missed: int
    stalls: dict[int, float]
    late: list[int]


def late_line(server: IQConnect, place: int) -> str:
    """Return a trade that came long before, as IQFeed reports it out of order."""
    fields = ["Symbol", *UPDATE_FIELDS]
    row = rows([server.block], 1)[max(0, place - 50)]
    return server._update("Q", fields, row, 1, "Oba")


async def through_iqfeed(block: TradeBlock, faults: IqfeedFaults) -> list[TradeBlock]:
    """Receive a market over connections that are cut, and fill the gaps by history."""
    symbol = f"@{block.contract}"
    server = IQConnect(block, symbol)
    server.drop_after, server.missed = list(faults.cuts), faults.missed
    server.extra = {place: [late_line(server, place)] for place in faults.late}
    server.stalls, server.ends_again = faults.stalls, True
    gaps: list[FeedNotice] = []
    received: list[TradeBlock] = []

    def notify(notice: FeedNotice) -> None:
        if notice.kind is FeedNoticeKind.GAP:
            gaps.append(notice)

    async with server.running():
        feed = IQFeedConnector(
            {symbol: block.contract},
            CLOCK,
            port=server.ports["level1"],
            retry_s=(0.001, 0.01),
            silence_s=0.5,
            notify=notify,
        )
        lookup = IQFeedHistory(port=server.ports["lookup"], requests_per_s=1e6, page=5000)
        newest = int(block.ts_event[-1])
        count = 0
        async for batch in feed:
            part_of = batch.block
            if gaps or not received:
                # Before the first trade history is asked as at the start of a run.
                begin = received[-1] if received else part(block, slice(1))
                since, until = int(begin.ts_event[-1]), int(part_of.ts_event[0])
                known = [r for r in rows(received[-2:], 1) if r[0] == since]
                ahead = rows([part_of], 1)
                pages = [p async for p in lookup.ticks(symbol, block.contract, since, until + 1)]
                told = rows(pages, 1)
                # The same instant may lie on both sides of the cut.
                first, last = len(known), len([r for r in ahead if r[0] == until])
                missed = told[first : len(told) - last]
                assert told[:first] == known
                if missed:
                    received.append(of_rows(block.contract, missed))
                gaps.clear()
            received.append(part_of)
            count += len(part_of)
            if int(part_of.ts_event[-1]) == newest:
                feed.close()
        lookup.close()
    return received


def of_rows(contract: str, found: list[tuple[int, ...]]) -> TradeBlock:
    types = (np.int64, np.int32, np.int32, np.int8, np.int32, np.int32)
    columns = zip(zip(*found, strict=True), types, strict=True)
    return TradeBlock(contract, *(np.array(column, kind) for column, kind in columns))


def test_iqfeed_connections_that_are_cut_and_gaps_filled_by_history(capsys) -> None:
    tally = Tally()
    for number, chance in seeds():
        block = market_block(seed=number, trades=chance.choice((2000, 6000)))
        block = part(block, slice(chance.randrange(2000, 5000)))
        block.ts_event[:] = block.ts_event // 1000 * 1000
        cuts = sorted(chance.sample(range(1, len(block) - 1), chance.randrange(0, 6)))
        places = range(1, len(block) - 1)
        stalls = {place: chance.choice((0.05, 0.8)) for place in chance.sample(places, 1)}
        late = chance.sample(places, chance.randrange(0, 20))
        missed = chance.choice((0, 0, 1, 7, 60))
        # What is missed behind the last cut must be followed by a trade that tells of it.
        cuts = [cut for cut in cuts if cut + missed < len(block) - 1]
        tally.faults += len(cuts)
        tally.stalls += len(stalls)
        tally.late += len(late)
        faults = IqfeedFaults(cuts, missed, stalls, late)
        received = asyncio.run(asyncio.wait_for(through_iqfeed(block, faults), 120))
        tally.add(block, received, 1)
    tell(capsys, "IQFeed level 1 and history", tally)


def test_dtc_orders_over_links_that_are_cut_and_its_trades(capsys) -> None:
    """Each order that was acknowledged is at the server once, and is known as it stands."""
    tally = Tally()
    for number, chance in seeds():
        block = part(market_block(seed=number, trades=500), slice(400))
        asyncio.run(asyncio.wait_for(through_dtc(block, chance, tally), 120))
    tell(capsys, "DTC orders and trades", tally)


async def through_dtc(block: TradeBlock, chance: random.Random, tally: Tally) -> None:
    server = DtcServer(block)
    server.chunk = chance.choice((7, 100, 4096))
    encoding = chance.choice(list(Encoding))
    async with connected(server, encoding=encoding) as (client, seen):
        client.subscribe("XYZ", "TEST")
        await seen.until(lambda s: len(s.trades) == len(block))
        tally.markets += 1
        tally.sent += len(block)
        tally.received += len(seen.trades)
        ours = list(zip(block.price.tolist(), block.size.tolist(), strict=True))
        theirs = [(round(trade.price * 4), trade.size) for trade in seen.trades]
        tally.lost += (Counter(ours) - Counter(theirs)).total()
        tally.doubled += (Counter(theirs) - Counter(ours)).total()
        assert ours == theirs
        for k in range(12):
            act = chance.choice(("order", "cut", "cut before the answer", "fill", "stall"))
            if act == "cut":
                server.drop()
                tally.faults += 1
            elif act == "cut before the answer":
                server.drop_on.add("SUBMIT_NEW_SINGLE_ORDER")
                tally.faults += 1
            elif act == "stall":
                server.beats = False
                await asyncio.sleep(0.05)
                server.beats = True
                tally.stalls += 1
            elif act == "fill":
                for name, order in list(server.orders.items()):
                    if order["OrderStatus"] == int(DtcOrderStatus.OPEN):
                        await server.fill(name, 1.0, 5000.0)
                        break
            await seen.until(lambda _: client.ready)
            try:
                client.submit(DtcOrder(f"C{k}", "ESH25", "CME", 1, 2, OrderType.LIMIT, 20_000))
            except BrokerError:
                continue
            await asyncio.sleep(0.01)
        server.drop_on.clear()
        while True:
            await seen.until(lambda _: client.ready)
            try:
                told = await client.open_orders()
                held = await client.positions()
                break
            except BrokerError:
                continue
        here = Counter(order["ClientOrderID"] for order in server.orders.values())
        still = {
            (order["ClientOrderID"], order["FilledQuantity"])
            for order in server.orders.values()
            if order["OrderStatus"] == int(DtcOrderStatus.OPEN)
        }
        tally.doubled += sum(count - 1 for count in here.values())
        known = {(order.client_order_id, order.filled) for order in told}
        tally.lost += len(still - known)
        assert known == still
        sizes = {symbol: size for symbol, size in server.positions.items() if size}
        assert {one.symbol: one.quantity for one in held} == sizes
        acknowledged = {update.client_order_id for update in seen.orders}
        assert acknowledged - {""} <= set(here)
        assert LinkState.READY in [state for state, _ in seen.links]


def test_two_feeds_that_stall_reorder_and_repeat_make_one_tape(capsys) -> None:
    """Never both feeds are at fault at once: what one lacks the other has, so nothing is lost."""
    tally = Tally()
    for number, chance in seeds():
        trades = dense_tape(chance, 240)
        desk = Desk(ArbiterLimits(back_s=8.0, dwell_s=2.0))
        seconds: dict[int, list[tuple[int, int, int, int]]] = {}
        for trade in trades:
            seconds.setdefault(trade[0] // NS, []).append(trade)
        stalled, until = "", 0
        held: list[tuple[int, int, int, int]] = []
        for second, batch in seconds.items():
            if not stalled and chance.random() < 0.03:
                stalled, until = chance.choice(("fine", "whole")), second + chance.randrange(5, 20)
                tally.stalls += 1
            if stalled and second >= until:
                # What was held back comes all at once.
                desk.trades(stalled, held)
                stalled, held = "", []
            for name in ("fine", "whole"):
                if name == stalled:
                    held += batch
                    continue
                given = list(batch)
                if chance.random() < 0.2:
                    chance.shuffle(given)
                    tally.late += 1
                desk.trades(name, given)
                if name == "fine" and chance.random() < 0.1:
                    desk.trades(name, given[: chance.randrange(1, len(given) + 1)])
                    tally.faults += 1
            desk.pass_time(1.0)
        if stalled:
            desk.trades(stalled, held)
        desk.pass_time(10.0)
        ours, theirs = Counter(by_prints(trades)), Counter(desk.out())
        tally.markets += 1
        tally.sent += ours.total()
        tally.received += theirs.total()
        tally.lost += (ours - theirs).total()
        tally.doubled += (theirs - ours).total()
        assert ours == theirs, (number, tally)
        assert desk.times() == sorted(desk.times())
    tell(capsys, "two feeds and their arbiter", tally)


def dense_tape(chance: random.Random, seconds: int) -> list[tuple[int, int, int, int]]:
    """Return trades of a busy market: time, number within equal times, price, size."""
    start, price = 1_741_600_000 * NS, 20_000
    trades = []
    for second in range(seconds):
        moments = sorted(chance.randrange(0, NS) for _ in range(chance.randrange(1, 9)))
        for k, moment in enumerate(moments):
            price += chance.choice((-1, 0, 0, 1))
            trades.append((start + second * NS + moment, k, price, chance.randrange(1, 4)))
    return trades
