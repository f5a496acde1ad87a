"""The connector over real files: contracts, sessions, waiting, restarts."""

import asyncio
import sys
import threading
import time

import numpy as np
import pytest
from sierra_writer import (
    SetClock,
    SierraWriter,
    assert_same_trades,
    collected,
    drain,
    market_block,
    part,
)

from mia.core import sessions
from mia.core.base_types import TradeBlock
from mia.core.market_feed import FeedNoticeKind
from mia.core.sierra.file_watch import FileWatch
from mia.core.sierra_connector import SierraConnector, find_scid
from mia.data.synthetic import SyntheticMarket
from mia.errors import ConfigError

NS = 1_000_000_000


@pytest.fixture(scope="module")
def days() -> list[TradeBlock]:
    """Two sessions of ESH25 and two of ESM25."""
    return list(SyntheticMarket(3, 20250313, 4, trades_per_day=600).blocks())


def front_of(days):
    table = {sessions.session_id(int(day.ts_event[0])): day.contract for day in days}
    return lambda session: table[max(key for key in table if key <= session)]


def renamed(block: TradeBlock, contract: str) -> TradeBlock:
    columns = {name: getattr(block, name) for name in block.__slots__ if name != "contract"}
    return TradeBlock(contract, **columns)


def joined(blocks) -> TradeBlock:
    names = ("ts_event", "price", "size", "aggressor_side", "bid_price", "ask_price")
    columns = {name: np.concatenate([getattr(b, name) for b in blocks]) for name in names}
    return TradeBlock(blocks[0].contract, **columns)


def test_the_contract_changes_with_the_session_and_no_trade_comes_twice(tmp_path, days):
    # Both contracts trade on all four days; only the front one is to come.
    old = SierraWriter(tmp_path / "ESH25-CME.scid", joined(days))
    new = SierraWriter(tmp_path / "ESM25-CME.scid", joined(days))
    clock = SetClock(int(days[0].ts_event[0]))
    notices, batches = [], []
    feed = SierraConnector(tmp_path, front_of(days), clock, start=clock.time, notify=notices.append)
    times = joined(days).ts_event
    for k in range(0, len(times), 40):
        clock.time = int(times[min(k + 39, len(times) - 1)]) + 5 * NS
        old.append_records(40)
        new.append_records(40)
        batches += drain(feed)
    by_contract = {
        name: [batch for batch in batches if batch.block.contract == name]
        for name in ("ESH25", "ESM25")
    }
    assert_same_trades(by_contract["ESH25"], joined(days[:2]))
    assert_same_trades(by_contract["ESM25"], joined(days[2:]))
    assert [batch.block.contract for batch in batches] == sorted(
        batch.block.contract for batch in batches
    )
    rolled = [notice.text for notice in notices if notice.kind is FeedNoticeKind.ROLLED]
    assert rolled == ["from ESH25 to ESM25 with session 20250317"]
    feed.close()


def test_the_next_file_may_come_late(tmp_path, days):
    old = SierraWriter(tmp_path / "ESH25_FUT_CME.scid", joined(days[:2]))
    new = SierraWriter(tmp_path / "ESM25_FUT_CME.scid", joined(days[2:]))
    clock = SetClock(int(days[0].ts_event[0]))
    notices = []
    feed = SierraConnector(tmp_path, front_of(days), clock, start=clock.time, notify=notices.append)
    batches = drain(feed)
    old.finish()
    batches += drain(feed)
    clock.time = int(days[2].ts_event[5])
    batches += drain(feed)
    assert [notice.kind for notice in notices].count(FeedNoticeKind.WAITING) == 2
    new.append(30)
    batches += drain(feed)
    new.finish()
    batches += drain(feed)
    assert_same_trades(batches, joined(days))
    feed.close()


@pytest.mark.parametrize("taken", [1, 700, 1100])
def test_a_restart_after_the_roll_first_takes_what_is_left(tmp_path, days, taken):
    old = SierraWriter(tmp_path / "ESH25-CME.scid", joined(days))
    new = SierraWriter(tmp_path / "ESM25-CME.scid", joined(days))
    clock = SetClock(int(days[0].ts_event[0]))
    feed = SierraConnector(tmp_path, front_of(days), clock, start=clock.time)
    old.append_records(taken)
    batches = drain(feed)
    position = feed.position
    feed.close()
    old.finish()
    new.finish()
    clock.time = int(days[3].ts_event[-1])
    feed = SierraConnector(tmp_path, front_of(days), clock, start=position)
    batches += drain(feed)
    assert_same_trades(batches, joined(days))
    feed.close()


def test_a_position_before_the_first_trade_is_a_time(tmp_path, days):
    clock = SetClock(int(days[0].ts_event[0]))
    feed = SierraConnector(tmp_path, front_of(days), clock, start=clock.time)
    assert feed.position == clock.time
    assert feed.contract == "ESH25"
    feed.close()


def test_without_a_start_only_what_comes_from_now_on_counts(tmp_path, days):
    writer = SierraWriter(tmp_path / "ESH25.scid", days[0])
    writer.append_records(100)
    ms = days[0].ts_event // 1_000_000 * 1_000_000
    first = 100
    while ms[first] == ms[first - 1]:
        first += 1
    clock = SetClock(int(ms[first]))
    feed = SierraConnector(tmp_path, front_of(days), clock)
    batches = drain(feed)
    writer.finish()
    batches += drain(feed)
    assert_same_trades(batches, part(days[0], slice(first, None)))
    feed.close()


def test_several_files_of_one_contract_are_an_error(tmp_path):
    for name in ("ESH25-CME.scid", "ESH25_FUT_CME.scid", "MESH25-CME.scid", "ESH251.scid"):
        (tmp_path / name).touch()
    with pytest.raises(ConfigError, match=r"several files could hold ESH25: ESH25-CME\.scid, "):
        find_scid(tmp_path, "ESH25")
    assert find_scid(tmp_path, "MESH25") == tmp_path / "MESH25-CME.scid"
    assert find_scid(tmp_path, "ESM25") is None


def test_a_folder_that_is_not_there_is_an_error(tmp_path, days):
    with pytest.raises(ConfigError, match="is no folder"):
        SierraConnector(tmp_path / "none", front_of(days), SetClock(int(days[0].ts_event[0])))


@pytest.mark.parametrize("inotify", [True, False])
def test_trades_come_while_a_writer_writes(tmp_path, inotify):
    block = market_block(trades=1500)
    writer = SierraWriter(tmp_path / "ESH25-CME.scid", block)
    clock = SetClock(int(block.ts_event[0]))
    feed = SierraConnector(
        tmp_path,
        lambda _: "ESH25",
        clock,
        start=clock.time - NS,
        watch=FileWatch(tmp_path, inotify=inotify),
    )

    async def write():
        while writer.size < len(writer.stream):
            writer.append(1777)
            await asyncio.sleep(0.002)

    async def read():
        batches = []
        async with asyncio.TaskGroup() as group:
            group.create_task(write())
            async for batch in feed:
                batches.append(batch)
                if sum(len(b.block) for b in batches) == len(block):
                    feed.close()
        return batches

    batches = asyncio.run(asyncio.wait_for(read(), 20))
    assert_same_trades(batches, block)
    assert len(batches) > 1


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="inotify is of Linux")
def test_a_change_wakes_at_once(tmp_path):
    watch = FileWatch(tmp_path)
    assert not watch.polls

    def touch():
        time.sleep(0.05)
        (tmp_path / "file").write_bytes(b"1")

    for wait in (watch.wait, lambda limit: asyncio.run(watch.wait_async(limit))):
        thread = threading.Thread(target=touch)
        began = time.monotonic()
        thread.start()
        wait(10.0)
        thread.join()
        assert time.monotonic() - began < 5.0
        watch.wait(0.05)
    watch.close()


def test_closing_ends_a_wait_at_once(tmp_path, days):
    clock = SetClock(int(days[0].ts_event[0]))
    watch = FileWatch(tmp_path)
    feed = SierraConnector(tmp_path, front_of(days), clock, watch=watch)

    async def read():
        async with asyncio.TaskGroup() as group:
            task = group.create_task(watch.wait_async(30.0))
            await asyncio.sleep(0.02)
            feed.close()
            await task
        return [batch async for batch in feed]

    began = time.monotonic()
    assert asyncio.run(read()) == []
    assert time.monotonic() - began < 5.0
    watch.close()


def test_a_wait_ends_without_a_change(tmp_path):
    for watch in (FileWatch(tmp_path), FileWatch(tmp_path, inotify=False, poll_s=10.0)):
        began = time.monotonic()
        watch.wait(0.01)
        asyncio.run(watch.wait_async(0.01))
        assert 0.015 < time.monotonic() - began < 5.0
        watch.close()


def test_a_folder_that_cannot_be_watched_is_polled(tmp_path):
    watch = FileWatch(tmp_path / "none")
    assert watch.polls
    watch.close()


def test_polling_by_hand_needs_no_event_loop(tmp_path, days):
    writer = SierraWriter(tmp_path / "ESH25.scid", part(days[0], slice(50)))
    clock = SetClock(int(days[0].ts_event[0]))
    feed = SierraConnector(tmp_path, front_of(days), clock, start=clock.time - NS)
    batches = []
    while len(collected(batches)["size"]) < 50:
        writer.append_records(10)
        feed.wait(1.0)
        batches += drain(feed)
    assert_same_trades(batches, writer.block)
    feed.close()
