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
from iqfeed_server import IQConnect
from sierra_writer import SetClock, SierraWriter, drain, market_block, part

from mia.core.base_types import TradeBlock
from mia.core.iqfeed.history import IQFeedHistory
from mia.core.iqfeed_connector import IQFeedConnector
from mia.core.market_feed import FeedNotice, FeedNoticeKind
from mia.core.sierra.scid_trades import ScidTrades

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


async def through_iqfeed(block: TradeBlock, cuts: list[int]) -> list[TradeBlock]:
    """Receive a market over connections that are cut, and fill the gaps by history."""
    symbol = f"@{block.contract}"
    server = IQConnect(block, symbol)
    server.drop_after = cuts
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
            notify=notify,
        )
        lookup = IQFeedHistory(port=server.ports["lookup"], requests_per_s=1e6, page=5000)
        newest = int(block.ts_event[-1])
        count = 0
        async for batch in feed:
            part_of = batch.block
            if gaps and received:
                since, until = int(received[-1].ts_event[-1]), int(part_of.ts_event[0])
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
        tally.faults += len(cuts)
        received = asyncio.run(asyncio.wait_for(through_iqfeed(block, cuts), 60))
        tally.add(block, received, 1)
    tell(capsys, "IQFeed level 1 and history", tally)
