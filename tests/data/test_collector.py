"""Recording of feeds: what was taken is written once, whatever happens to the process."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sierra_writer import SetClock, SierraWriter, market_block, part

from mia.core import sessions
from mia.core.base_types import TradeBlock
from mia.core.market_feed import FeedNotice, FeedNoticeKind, ReceivedTrades
from mia.data.collected_days import compact, compact_all, sweep
from mia.data.collecting import collect
from mia.data.collector import Collector, DiskGuard, DiskNearlyFullError, segments_of
from mia.data.raw import ImportSource, RawTrades, SourceFormat, TradeFlag
from mia.data.schema import TICKS, day_path, read_columns
from mia.data.segment_frames import DONE, OPEN, Fill, GapMark, SegmentHead
from mia.data.segments import SegmentWriter, read_segment
from mia.data.store import Store
from mia.data.tape import synthetic_tape
from mia.data.wire_tape import as_wire
from mia.errors import AlreadyRunning, DataError, FormatError
from mia.trader.gateway_process import gateway_process

KILLS = int(os.environ.get("MIA_FAULT_N", "6"))
DAY = 20250310
NS = 10**9
COLUMNS = ("ts_event", "price", "size", "aggressor_side", "bid_price", "ask_price")


@pytest.fixture(scope="module")
def block() -> TradeBlock:
    return market_block(trades=2_000, day=DAY)


@pytest.fixture
def clock(block) -> SetClock:
    return SetClock(int(block.ts_event[-1]))


def parts(block: TradeBlock, sizes: list[int]) -> list[TradeBlock]:
    ends = np.minimum(np.cumsum(sizes), len(block)).tolist()
    return [part(block, slice(a, b)) for a, b in zip([0, *ends[:-1]], ends, strict=True) if a < b]


def stored(store: Path, contract: str, day: int = DAY) -> dict[str, np.ndarray]:
    columns = read_columns(day_path(store, TICKS, contract, day), TICKS)
    return {name: np.ma.filled(column, -(2**31)) for name, column in columns.items()}


def assert_stored(store: Path, block: TradeBlock, *, milliseconds: bool = False) -> None:
    found = stored(store, block.contract)
    for name in ("ts_event", "price", "size", "aggressor_side"):
        expected = getattr(block, name)
        if name == "ts_event" and milliseconds:
            expected = expected // 1_000_000 * 1_000_000
        assert found[name].tolist() == expected.tolist(), name


def recorded(store: Path, feed: str = "test") -> list[TradeBlock]:
    segments = [read_segment(path) for path in segments_of(store, feed)]
    return [batch.block for segment in segments if segment for batch in segment.batches()]


def test_a_recorded_day_is_in_the_store_trade_by_trade(tmp_path, block, clock) -> None:
    chance = random.Random(1)
    with Collector(tmp_path, "test", clock) as collector:
        for piece in parts(block, [chance.randint(1, 40) for _ in range(400)]):
            collector.add(piece)
            if chance.random() < 0.1:
                collector.flush()
        collector.flush()
        assert collector.trades == len(block)
    (day,) = compact_all(Store.create(tmp_path), "test")
    assert_stored(tmp_path, block)
    assert (day.trades, day.stored, day.rejected, day.late) == (len(block), len(block), 0, 0)
    report = json.loads((tmp_path / "quality" / f"{DAY}.{block.contract}.test.json").read_text())
    assert report["trades"] == len(block)
    assert report["volume"] == int(block.size.sum())
    # Again, it changes nothing.
    compact_all(Store(tmp_path), "test")
    assert_stored(tmp_path, block)


def test_only_one_process_collects_a_feed(tmp_path, clock) -> None:
    with Collector(tmp_path, "test", clock):
        Collector(tmp_path, "other", clock).close()
        with pytest.raises(AlreadyRunning):
            Collector(tmp_path, "test", clock)


def test_a_segment_cut_anywhere_keeps_its_whole_batches(tmp_path, block, clock) -> None:
    pieces = parts(block, [30] * 8)
    with Collector(tmp_path, "test", clock) as collector:
        for k, piece in enumerate(pieces):
            collector.add(piece, ts_recv=k + 1, position={"at": k})
            collector.flush()
    (path,) = segments_of(tmp_path, "test")
    data = path.read_bytes()
    starts = [batch.start for batch in read_segment(path).batches()]
    for size in sorted(random.Random(2).sample(range(len(data)), 60)) + starts:
        path.write_bytes(data[:size])
        whole = sum(start <= size for start in [*starts[1:], len(data)])
        with Collector(tmp_path, "test", clock) as collector:
            assert collector.position == ({"at": whole - 1} if whole else None)
            # A source that goes on from there gives each trade once.
            for piece in pieces[whole:]:
                collector.add(piece)
                collector.flush()
        found = recorded(tmp_path)
        for name in COLUMNS:
            joined = np.concatenate([getattr(piece, name) for piece in found])
            assert joined.tolist() == getattr(block, name)[:240].tolist()


def test_a_flipped_bit_costs_one_batch_and_is_marked(tmp_path, block, clock) -> None:
    pieces = parts(block, [30] * 8)
    with Collector(tmp_path, "test", clock) as collector:
        for piece in pieces:
            collector.add(piece)
            collector.flush()
    (path,) = segments_of(tmp_path, "test")
    data = path.read_bytes()
    starts = [batch.start for batch in read_segment(path).batches()]
    for spot in random.Random(3).sample(range(starts[0], starts[-1]), 40):
        path.write_bytes(data[:spot] + bytes([data[spot] ^ 4]) + data[spot + 1 :])
        segment = read_segment(path)
        hit = sum(start <= spot for start in starts) - 1
        assert [batch.block.ts_event.tolist() for batch in segment.batches()] == [
            piece.ts_event.tolist() for k, piece in enumerate(pieces) if k != hit
        ]
        assert segment.damaged > 0
        marks = [frame for frame in segment.frames if isinstance(frame, GapMark)]
        assert any("are damaged" in mark.text for mark in marks)


@given(st.binary(max_size=300))
def test_any_other_file_is_refused_or_empty(tmp_path_factory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.seg"
    path.write_bytes(data)
    with suppress(FormatError):
        assert read_segment(path) is None


def test_a_segment_of_something_else_is_not_appended_to(tmp_path) -> None:
    head = SegmentHead("a", "ESH25", DAY, "summary")
    SegmentWriter(tmp_path, head).close()
    with pytest.raises(FormatError, match="no segment of this feed"):
        SegmentWriter(tmp_path, SegmentHead("b", "ESH25", DAY, "summary"))


def test_a_restart_marks_what_a_feed_cannot_give_again(tmp_path, block, clock) -> None:
    first, _, last = parts(block, [800, 400, 800])
    with Collector(tmp_path, "test", clock) as collector:
        collector.add(first)
    with Collector(tmp_path, "test", clock) as collector:
        assert collector.newest == int(first.ts_event[-1])
        collector.add(last)
    (day,) = compact_all(Store.create(tmp_path), "test")
    (mark,) = day.marks
    assert mark.ts_from == int(first.ts_event[-1])
    assert "did not run" in mark.text
    flags = stored(tmp_path, block.contract)["flags"]
    assert np.flatnonzero(flags & TradeFlag.SOURCE_GAP).tolist() == [800]


def test_what_the_store_has_in_a_gap_stays(tmp_path, block, clock) -> None:
    store = Store.create(tmp_path)
    columns = [getattr(block, name) for name in COLUMNS]
    raw = RawTrades(
        block.contract,
        columns[0],
        columns[1] * 0.25,
        columns[2].astype(np.int64),
        columns[3],
        columns[4] * 0.25,
        columns[5] * 0.25,
    )
    store.write_trades(raw, ImportSource("history", "00", SourceFormat.SCID))
    first, _, last = parts(block, [800, 400, 800])
    with Collector(tmp_path, "test", clock) as collector:
        collector.add(first)
        collector.mark_gap("lost")
        collector.add(last)
    compact_all(store, "test")
    assert_stored(tmp_path, block)


def test_a_gap_within_a_second_loses_no_trade(tmp_path, block, clock) -> None:
    wire = as_wire_block(block)
    ts = wire.ts_event
    twins = np.flatnonzero(np.diff(ts) == 0)
    cut = int(twins[len(twins) // 2]) + 1
    with Collector(tmp_path, "ibkr", clock) as collector:
        collector.add(part(wire, slice(0, cut)))
        collector.mark_gap("lost")
        collector.add(part(wire, slice(cut, None)))
    compact_all(Store.create(tmp_path), "ibkr")
    assert_stored(tmp_path, wire)
    assert (stored(tmp_path, wire.contract)["flags"] & TradeFlag.INFERRED_SIDE).all()


def as_wire_block(block: TradeBlock) -> TradeBlock:
    columns = {name: getattr(block, name) for name in COLUMNS}
    columns["ts_event"] = block.ts_event // NS * NS
    return TradeBlock(block.contract, **columns)


def test_a_connection_that_was_lost_is_a_marked_gap(tmp_path, block, clock) -> None:
    first, last = parts(block, [900, 1_100])
    with Collector(tmp_path, "test", clock) as collector:
        collector.add(first)
        collector.on_notice(FeedNotice(FeedNoticeKind.LINK_DOWN, "reset"))
        collector.on_notice(FeedNotice(FeedNoticeKind.LINK_DOWN, "refused"))
        collector.on_notice(FeedNotice(FeedNoticeKind.LINK_UP, "back"))
        collector.add(last)
    (day,) = compact_all(Store.create(tmp_path), "test")
    assert [mark.ts_from for mark in day.marks] == [int(first.ts_event[-1])]
    assert day.notices == {"LINK_DOWN": 2, "LINK_UP": 1}


def test_sessions_are_kept_apart_and_finished_when_they_are_over(tmp_path) -> None:
    days = list(synthetic_tape(4, DAY, 2, 600).blocks())
    both = TradeBlock(
        days[0].contract,
        **{name: np.concatenate([getattr(day, name) for day in days]) for name in COLUMNS},
    )
    clock = SetClock(int(both.ts_event[0]))
    with Collector(tmp_path, "test", clock) as collector:
        collector.add(both, position={"at": 1})
        collector.flush()
        assert len(segments_of(tmp_path, "test")) == 2
        clock.time = sessions.session_open(20250311)
        (over,) = collector.over()
        compact(Store.create(tmp_path), [over], finish=True)
        assert [path.suffix for path in segments_of(tmp_path, "test")] == [DONE, OPEN]
        # Trades of the finished session after all: it is taken up again, whole.
        late = part(days[0], slice(len(days[0]) - 1, None))
        collector.add(late, position={"at": 2})
        collector.flush()
        assert [path.suffix for path in segments_of(tmp_path, "test")] == [OPEN, OPEN]
    compact_all(Store(tmp_path), "test")
    rows = len(stored(tmp_path, both.contract)["ts_event"])
    assert rows == len(days[0]) + 1
    assert len(stored(tmp_path, both.contract, 20250311)["ts_event"]) == len(days[1])


def test_what_is_still_to_come_of_a_session_is_no_gap_of_its_report(tmp_path, block, clock) -> None:
    ten = sessions.session_table(DAY, DAY)["t_rth_open"][0] + 1800 * NS
    with Collector(tmp_path, "test", clock) as collector:
        collector.add(part(block, slice(int(np.searchsorted(block.ts_event, ten)))))
        collector.flush()
        newest = collector.newest
    store = Store.create(tmp_path)
    (whole,) = compact_all(store, "test")
    at_once, after_a_minute, over = (
        compact_all(store, "test", now)[0].gaps
        for now in (newest + 59 * NS, newest + 60 * NS, 2 * newest)
    )
    # The feed's silence in regular hours up to now counts, the rest of the session does not.
    assert [(gap.start, gap.end) for gap in after_a_minute if gap not in at_once] == [
        (newest, newest + 60 * NS)
    ]
    assert at_once == whole.gaps[:-1]
    assert over == whole.gaps
    assert whole.gaps[-1].start == newest


def test_a_crash_between_two_sessions_of_one_batch_doubles_nothing(tmp_path) -> None:
    days = list(synthetic_tape(4, DAY, 2, 600).blocks())
    with Collector(tmp_path, "test", SetClock(int(days[0].ts_event[0]))) as collector:
        collector.add(days[0], ts_recv=1, position={"at": 1})
        collector.flush()
    # The part of the first session of a batch of two; the other part was never written.
    folder = tmp_path / "collecting" / "test"
    writer = SegmentWriter(folder, SegmentHead("test", days[0].contract, DAY, "summary"))
    writer.add({name: getattr(days[0], name)[-3:] for name in COLUMNS}, 2, None, 2)
    writer.close()
    with Collector(tmp_path, "test", SetClock(int(days[0].ts_event[0]))) as collector:
        assert collector.position == {"at": 1}
    assert sum(map(len, recorded(tmp_path))) == len(days[0])


def test_old_segments_go_a_week_after_the_store_took_them(tmp_path, block, clock) -> None:
    with Collector(tmp_path, "test", clock) as collector:
        collector.add(block)
        collector.flush()
        clock.time += 86_400 * NS
        compact(Store.create(tmp_path), collector.over(), finish=True)
    now = time.time_ns()
    assert sweep(tmp_path, "test", now + 6 * 86_400 * NS) == 0
    assert sweep(tmp_path, "test", now + 8 * 86_400 * NS) == 1
    assert_stored(tmp_path, block)


def test_trades_that_the_store_refuses_are_kept_apart(tmp_path, block, clock) -> None:
    columns = {name: getattr(block, name) for name in COLUMNS}
    columns["price"] = -block.price
    with Collector(tmp_path, "test", clock) as collector:
        collector.add(TradeBlock(block.contract, **columns))
        collector.flush()
        clock.time += 86_400 * NS
        (day,) = compact(Store.create(tmp_path), collector.over(), finish=True)
    assert (day.rejected, day.stored) == (len(block), 0)
    assert [p.suffix for p in (tmp_path / "collecting" / "test").glob("*.refused")] == [".refused"]


def test_times_outside_the_calendar_are_refused_and_told(tmp_path, block, clock) -> None:
    told: list[str] = []
    columns = {name: getattr(block, name).copy() for name in COLUMNS}
    columns["ts_event"][[3, 700]] = 0, 2**62
    with Collector(tmp_path, "test", clock, alarm=told.append) as collector:
        collector.add(TradeBlock(block.contract, **columns))
    assert (collector.trades, collector.refused) == (len(block) - 2, 2)
    assert "2 trades have impossible times" in told[0]


def test_it_stops_before_the_disk_is_full(tmp_path, block, clock) -> None:
    room, told = iter([8, 3, 1]), []
    guard = DiskGuard(stop_bytes=2 << 20, alarm_bytes=4 << 20)

    class Source:
        closed = False

        async def __aiter__(self):
            for piece in parts(block, [100] * 24):
                yield ReceivedTrades(piece, np.zeros(len(piece), np.int32), 1)
            while not self.closed:
                await asyncio.sleep(0.3)

        def close(self):
            self.closed = True

    collector = Collector(
        tmp_path, "test", clock, guard=guard, alarm=told.append, free=lambda _: next(room) << 20
    )
    with collector, pytest.raises(DiskNearlyFullError, match="collecting stops"):
        asyncio.run(collect(Source(), collector, clock, asyncio.Event(), print))
    assert [text.split(" for ")[0] for text in told] == [
        "only 3 MiB are free",
        "only 1 MiB are free",
    ]
    assert sum(map(len, recorded(tmp_path))) == len(block)


def test_a_disk_that_is_full_costs_only_what_did_not_fit(tmp_path, block) -> None:
    code = f"""
import resource, signal, sys
from pathlib import Path
sys.path[:0] = {sys.path!r}
from sierra_writer import SetClock, market_block, part
from mia.data.collector import Collector
block = market_block(trades=2_000, day={DAY})
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
collector = Collector(Path(sys.argv[1]), "test", SetClock(int(block.ts_event[-1])))
for k in range(0, len(block), 100):
    collector.add(part(block, slice(k, k + 100)), position={{"at": k + 100}})
    collector.flush()
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, check=False
    )
    assert b"DataError: cannot write" in done.stderr
    clock = SetClock(int(block.ts_event[-1]))
    with Collector(tmp_path, "test", clock) as collector:
        at = collector.position["at"]
        assert at >= 400
        collector.add(part(block, slice(at, None)))
    compact_all(Store.create(tmp_path), "test")
    assert_stored(tmp_path, block)


def filled(store: Path, feed: str) -> list[Fill]:
    segments = [read_segment(path) for path in segments_of(store, feed)]
    return [fill for segment in segments if segment for fill in segment.fills()]


def collector_process(store: Path, *arguments: object) -> subprocess.Popen[str]:
    names = ("MIA_DATA", "TRADING_MODE", "RISK_LEVEL", "MAX_DAILY_LOSS", "MAX_POSITION_SIZE")
    environ = {name: value for name, value in os.environ.items() if name not in names}
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "mia.cli",
            "data",
            "collect",
            "--out",
            str(store),
            "--stop-mb",
            "1",
            *map(str, arguments),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )


def record_and_kill(tmp_path: Path, block: TradeBlock, kills: int) -> None:
    """Record a file that grows with a process that is killed again and again."""
    data, store = tmp_path / "data", tmp_path / "store"
    data.mkdir()
    writer = SierraWriter(data / f"{block.contract}-CME.scid", block)
    writer.append_records(5)
    chance = random.Random(9)
    what = ("--folder", data, "--symbol", block.contract, "--from", "2025-03-10")
    step = len(block) // (kills * 12 + 20)
    for _ in range(kills):
        with collector_process(store, *what) as process:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("collecting")
            for _ in range(chance.randint(3, 12)):
                writer.append_records(step)
                time.sleep(chance.random() * 0.06)
            process.kill()
        assert process.returncode == -signal.SIGKILL
    writer.finish()
    with collector_process(store, *what) as process:
        assert process.stdout is not None
        process.stdout.readline()
        limit = time.monotonic() + 30
        while sum(map(len, recorded(store, "sierra"))) < len(block):
            assert time.monotonic() < limit
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        assert f"{len(block):,} trades, 0 holes" in process.stdout.read()
    assert process.returncode == 143
    assert_stored(store, block, milliseconds=True)


def test_kills_lose_and_double_nothing_of_a_file(tmp_path, block) -> None:
    record_and_kill(tmp_path, block, min(KILLS, 2))


@pytest.mark.slow
def test_many_kills_lose_and_double_nothing_of_a_file(tmp_path) -> None:
    record_and_kill(tmp_path, market_block(trades=20_000, day=DAY), max(KILLS, 12))


@pytest.mark.slow
def test_a_feed_of_interactive_brokers_is_recorded_and_replayed(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    store = tmp_path / "store"
    tape = list(as_wire(synthetic_tape(7, DAY, 1, 400_000)).blocks())
    arguments = ["--market", f"synth:7:{DAY}", "--speed", "10", "--trades-per-day", "400000"]
    with gateway_process([*arguments, "--account", "DU1234567"], tmp_path / "log") as gateway:
        settings = ("--set", f"ibkr.port={gateway.port}", "--set", "ibkr.account=DU1234567")
        for end in (signal.SIGKILL, signal.SIGTERM):
            with collector_process(store, "--feed", "ibkr", *settings) as process:
                assert process.stdout is not None
                assert process.stdout.readline().startswith("collecting")
                before = sum(map(len, recorded(store, "ibkr")))
                limit = time.monotonic() + 40
                while sum(map(len, recorded(store, "ibkr"))) < before + 60:
                    assert time.monotonic() < limit
                    time.sleep(0.1)
                if end == signal.SIGTERM:
                    while not filled(store, "ibkr"):
                        assert time.monotonic() < limit
                        time.sleep(0.1)
                process.send_signal(end)
                said = process.stdout.read()
    (fill,) = filled(store, "ibkr")
    assert f"1 holes (1 filled with {len(fill.block)} trades, 0 open)" in said
    found = stored(store, tape[0].contract)
    names = ("ts_event", "price", "size")
    whole = list(zip(*(np.concatenate([getattr(b, n) for b in tape]) for n in names), strict=True))
    ours = list(zip(*(found[n] for n in names), strict=True))
    # A stretch of the tape, with what was missed meanwhile: nothing lost, doubled, moved.
    assert not (found["flags"] & TradeFlag.SOURCE_GAP).any()
    at = whole.index(ours[0])
    while whole[at : at + len(ours)] != ours:
        at = whole.index(ours[0], at + 1)
    done = subprocess.run(
        [sys.executable, "-m", "mia.cli", "backtest", "--data", str(store), "--json"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["ticks"] == len(ours)


def test_a_day_of_another_kind_in_the_store_is_not_mixed(tmp_path, block, clock) -> None:
    columns = {name: getattr(block, name) for name in COLUMNS}
    with Collector(tmp_path, "a", clock) as collector:
        collector.add(block)
    with Collector(tmp_path, "b", clock) as collector:
        collector.add(TradeBlock(block.contract, kind="fill", **columns))
    compact_all(Store.create(tmp_path), "a")
    with pytest.raises(DataError, match="of another kind"):
        compact_all(Store(tmp_path), "b")
    assert_stored(tmp_path, block)
