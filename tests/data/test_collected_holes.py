"""Holes of a recording, and what the history of its source fills them with."""

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from iqfeed_server import IQConnect
from sierra_writer import HEAD, SetClock, SierraWriter, market_block, part

from mia.core.base_types import TradeBlock
from mia.core.iqfeed.history import IQFeedHistory
from mia.core.iqfeed_connector import IQFeedConnector
from mia.core.market_feed import FeedNotice, FeedNoticeKind
from mia.core.sierra_connector import SierraConnector
from mia.data.collected_days import DayQuality, compact_all
from mia.data.collected_history import HoleFiller, IqfeedPast, PastTrades, SierraPast
from mia.data.collected_holes import OpenHole, joined, missing, open_holes, span_of
from mia.data.collecting import Feed, collect
from mia.data.collector import Collector, segments_of
from mia.data.raw import TradeFlag
from mia.data.schema import TICKS, day_path, read_columns
from mia.data.segment_frames import Fill
from mia.data.segments import read_segment
from mia.data.store import Store
from mia.errors import DataError

DAY = 20250310
NS = 10**9
NAMES = ("ts_event", "price", "size", "aggressor_side")


@pytest.fixture(scope="module")
def block() -> TradeBlock:
    return part(market_block(trades=2_000, day=DAY), slice(2_000))


def assert_stored(store: Path, block: TradeBlock, unit: int = 1) -> np.ndarray:
    columns = read_columns(day_path(store, TICKS, block.contract, DAY), TICKS)
    for name in NAMES:
        expected = getattr(block, name)
        if name == "ts_event":
            expected = expected // unit * unit
        assert columns[name].tolist() == expected.tolist(), name
    return np.asarray(columns["flags"])


async def until(condition: Callable[[], bool], patience_s: float = 40.0) -> None:
    limit = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < limit
        await asyncio.sleep(0.02)


def record(
    store: Path,
    feed: Feed,
    past: PastTrades,
    collector: Collector,
    clock: SetClock,
    scene: Callable[[Collector, HoleFiller], object],
) -> DayQuality:
    """Record a feed as the command does, until a scene is over."""
    told: list[DayQuality] = []

    async def work() -> None:
        stop = asyncio.Event()
        filler = HoleFiller(collector, past, clock, settled_s=0.0)
        task = asyncio.create_task(
            collect(feed, collector, clock, stop, told.append, look_s=1e6, filler=filler)
        )
        await scene(collector, filler)  # type: ignore[misc]
        stop.set()
        await task

    with collector:
        asyncio.run(asyncio.wait_for(work(), 60))
    (day,) = compact_all(Store.create(store), collector.feed)
    return day


def in_micros(block: TradeBlock) -> TradeBlock:
    """Return a block with times as IQFeed tells them."""
    micros = part(block, slice(None))
    micros.ts_event[:] = micros.ts_event // 1000 * 1000
    return micros


def iqfeed_server(block: TradeBlock) -> IQConnect:
    server = IQConnect(block)
    server.drop_after, server.missed = [700, 1_300], 150
    return server


def record_iqfeed(store: Path, block: TradeBlock, server: IQConnect, fills: int) -> DayQuality:
    clock = SetClock(int(block.ts_event[-1]) + 60 * NS)
    names = {server.symbol: block.contract}
    days: list[DayQuality] = []

    async def work() -> None:
        async with server.running():
            collector = Collector(store, "iqfeed", clock)
            feed = IQFeedConnector(
                names,
                clock,
                port=server.ports["level1"],
                retry_s=(0.01, 0.1),
                notify=collector.on_notice,
            )
            past = IqfeedPast(IQFeedHistory(port=server.ports["lookup"]), names)
            filler = HoleFiller(collector, past, clock, settled_s=0.0)
            stop = asyncio.Event()
            with collector:
                task = asyncio.create_task(
                    collect(feed, collector, clock, stop, days.append, look_s=1e6, filler=filler)
                )
                newest = int(block.ts_event[-1])
                await until(lambda: collector.newest == newest and filler.filled >= fills)
                stop.set()
                await task

    asyncio.run(asyncio.wait_for(work(), 60))
    (day,) = compact_all(Store.create(store), "iqfeed")
    return day


def test_what_iqfeed_sent_to_nobody_comes_from_its_history(tmp_path: Path, block) -> None:
    micros = in_micros(block)
    day = record_iqfeed(tmp_path, micros, iqfeed_server(micros), 2)
    flags = assert_stored(tmp_path, micros)
    assert not (flags & TradeFlag.SOURCE_GAP).any()
    assert [hole.filled for hole in day.holes] == [150, 150]
    assert "2 holes (2 filled with 300 trades, 0 open)" in day.summary()
    report = json.loads((tmp_path / "quality" / f"{DAY}.{block.contract}.iqfeed.json").read_text())
    assert [hole["filled_with"] for hole in report["holes"]] == [150, 150]
    assert (report["trades"], report["stored"]) == (1_700, 2_000)


def test_without_history_a_hole_stays_open_and_is_told(tmp_path: Path, block) -> None:
    micros = in_micros(block)
    server = iqfeed_server(micros)
    server.silent = True
    day = record_iqfeed(tmp_path, micros, server, 0)
    assert [hole.filled for hole in day.holes] == [None, None]
    assert "2 holes (0 filled with 0 trades, 2 open)" in day.summary()
    assert day.stored == 1_700


def test_a_file_that_gets_its_missing_part_later_fills_the_hole(tmp_path: Path, block) -> None:
    data, store = tmp_path / "data", tmp_path / "store"
    data.mkdir()
    clock = SetClock(int(block.ts_event[-1]) + 60 * NS)
    path = data / f"{block.contract}-CME.scid"
    writer = SierraWriter(path, block)
    records = writer.records
    writer.append_records(600)
    collector = Collector(store, "sierra", clock)
    feed = SierraConnector(
        data,
        lambda session: block.contract,
        clock,
        start=int(block.ts_event[0]),
        notify=collector.on_notice,
    )
    told: list[str] = []
    collector.alarm = told.append

    async def scene(collector: Collector, filler: HoleFiller) -> None:
        await until(lambda: collector.trades > 100)
        before = collector.trades
        path.unlink()
        path.write_bytes(HEAD + records[900:].tobytes())
        await until(lambda: collector.trades > before and bool(told))
        assert "hole open" in told[0]
        other = path.with_suffix(".new")
        other.write_bytes(HEAD + records.tobytes())
        other.replace(path)
        await until(lambda: filler.filled == 1)

    day = record(store, feed, SierraPast(data, clock), collector, clock, scene)
    assert_stored(store, block, 1_000_000)
    (hole,) = day.holes
    assert hole.filled
    assert day.trades + hole.filled == len(block)


def test_a_hole_that_a_kill_left_is_found_in_the_file_and_filled_by_the_next_run(
    tmp_path: Path, block
) -> None:
    clock = SetClock(int(block.ts_event[-1]) + 60 * NS)
    first, second, last = (
        part(block, slice(*ends)) for ends in ((0, 800), (800, 1200), (1200, 2000))
    )
    with Collector(tmp_path, "test", clock) as collector:
        collector.add(first)
        collector.mark_gap("lost")
        collector.add(last)

    class Whole:
        """History, as a source that knows everything would tell it."""

        async def trades(self, contract: str, start: int, end: int) -> list[TradeBlock]:
            ts = block.ts_event
            return [part(block, slice(*np.searchsorted(ts, [start, end])))]

        def close(self) -> None:
            """Have nothing to close."""

    with Collector(tmp_path, "test", clock) as collector:
        filler = HoleFiller(collector, Whole(), clock)
        asyncio.run(filler.look())
        assert filler.filled == 1
        # Again, it changes nothing.
        asyncio.run(HoleFiller(collector, Whole(), clock).look())
    (segment,) = [read_segment(path) for path in segments_of(tmp_path, "test")]
    assert segment is not None
    assert [len(fill.block) for fill in segment.fills()] == [len(second)]
    compact_all(Store.create(tmp_path), "test")
    assert_stored(tmp_path, block)


def test_history_that_fails_is_asked_again_later_and_not_at_once(tmp_path: Path, block) -> None:
    clock = SetClock(int(block.ts_event[-1]) + 60 * NS)
    asked: list[tuple[int, int]] = []
    moment = [0.0]

    class Refusing:
        async def trades(self, contract: str, start: int, end: int) -> list[TradeBlock]:
            asked.append((start, end))
            raise DataError("not now")

        def close(self) -> None:
            """Have nothing to close."""

    with Collector(tmp_path, "test", clock) as collector:
        collector.add(part(block, slice(0, 800)))
        collector.mark_gap("lost")
        collector.add(part(block, slice(900, None)))
        collector.flush()
        filler = HoleFiller(collector, Refusing(), clock, monotonic=lambda: moment[0])
        for _ in range(40):
            asyncio.run(filler.look())
            moment[0] += 1.0
    assert 3 <= len(asked) <= 5
    since, until_ = int(block.ts_event[799]), int(block.ts_event[900])
    assert set(asked) == {(since // NS * NS, until_ + NS)}


ROWS = st.lists(
    st.tuples(st.integers(0, 8), st.integers(20_000, 20_003), st.integers(1, 2)),
    min_size=3,
    max_size=30,
)


@settings(max_examples=30)
@given(ROWS, st.data())
def test_what_is_added_makes_the_recording_the_tape_it_was_cut_from(
    tmp_path_factory, rows, data
) -> None:
    rows.sort(key=lambda row: row[0])
    whole = made(rows)
    first = data.draw(st.integers(1, len(rows) - 1))
    second = data.draw(st.integers(first, len(rows) - 1))
    hole = cut_out(tmp_path_factory.mktemp("holes"), whole, first, second)
    start, end = span_of(hole)
    inside = (whole.ts_event >= start) & (whole.ts_event < end)
    told = part(whole, np.flatnonzero(inside))
    fill = missing(hole, told, 1)
    assert isinstance(fill, Fill)
    assert sorted(prints(fill.block)) == sorted(prints(part(whole, slice(first, second))))
    # Half a history confirms nothing: it is refused, unless the half that it lacks is the hole's.
    fewer = part(told, slice(0, len(told) - 1))
    short = missing(hole, fewer, 1)
    assert isinstance(short, str) or len(short.block) == second - first - 1


def made(rows: list[tuple[int, int, int]]) -> TradeBlock:
    ts, price, size = (np.array(column) for column in zip(*rows, strict=True))
    opened = int(market_block(trades=200, day=DAY).ts_event[0]) // NS * NS
    quote = price.astype(np.int32)
    sides = np.zeros(len(ts), np.int8)
    return TradeBlock("ESH25", opened + ts * NS, quote, size.astype(np.int32), sides, quote, quote)


def cut_out(folder: Path, whole: TradeBlock, first: int, second: int) -> OpenHole:
    clock = SetClock(int(whole.ts_event[-1]))
    with Collector(folder, "test", clock) as collector:
        collector.add(part(whole, slice(0, first)))
        collector.mark_gap("lost")
        collector.add(part(whole, slice(second, None)))
    (path,) = segments_of(folder, "test")
    segment = read_segment(path)
    assert segment is not None
    (hole,) = open_holes(segment)
    return hole


def prints(block: TradeBlock) -> list[tuple[int, int, int]]:
    columns = block.ts_event.tolist(), block.price.tolist(), block.size.tolist()
    return list(zip(*columns, strict=True))


def test_of_a_notice_of_a_gap_and_one_of_the_link_one_hole_is_made(tmp_path: Path, block) -> None:
    clock = SetClock(int(block.ts_event[-1]))
    with Collector(tmp_path, "test", clock) as collector:
        collector.add(part(block, slice(0, 800)))
        collector.on_notice(FeedNotice(FeedNoticeKind.LINK_DOWN, "reset"))
        collector.on_notice(FeedNotice(FeedNoticeKind.LINK_UP, "back"))
        collector.on_notice(FeedNotice(FeedNoticeKind.GAP, "missing", 1, 2))
        collector.add(part(block, slice(900, None)))
    (path,) = segments_of(tmp_path, "test")
    segment = read_segment(path)
    assert segment is not None
    (hole,) = open_holes(segment)
    assert (hole.since, hole.until) == (int(block.ts_event[799]), int(block.ts_event[900]))
    assert len(joined(segment.head, [])) == 0
