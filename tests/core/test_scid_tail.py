"""Tails of `.scid` files while a writer works on them: nothing lost, nothing doubled."""

import os
import struct
from pathlib import Path

import numpy as np
import pytest
from fuzz import fuzz
from hypothesis import given
from hypothesis import strategies as st
from sierra_writer import (
    HEAD,
    SetClock,
    SierraWriter,
    assert_same_trades,
    collected,
    drain,
    market_block,
    part,
)

from mia.core.base_types import MISSING_PRICE
from mia.core.market_feed import FeedNoticeKind
from mia.core.sierra.scid_records import HEADER, RECORD_BYTES
from mia.core.sierra.scid_tail import ScidTail, TailPosition
from mia.core.sierra.scid_trades import ScidTrades
from mia.errors import ConfigError, FormatError

CLOCK = SetClock(1_800_000_000_000_000_000)
BLOCK = market_block()


def reader(path, start=0, contract="ESH25", **options):
    return ScidTrades(path, contract, CLOCK, start=start, **options)


@pytest.fixture
def writer(tmp_path):
    return SierraWriter(tmp_path / "ESH25-CME.scid", part(BLOCK, slice(200)))


@pytest.fixture
def notices():
    return []


def test_what_is_appended_in_bursts_comes_out_as_it_went_in(writer):
    trades, batches = reader(writer.path), []
    for burst in (1, 7, 0, 500, 3, 64):
        writer.append_records(burst)
        batches += drain(trades)
    assert_same_trades(batches, writer.block)
    assert trades.counts.trades == trades.counts.records == 200


@pytest.mark.parametrize("length", range(RECORD_BYTES + 1))
def test_a_record_that_is_there_in_part_waits(writer, length):
    trades = reader(writer.path)
    writer.append(HEADER.size + 3 * RECORD_BYTES + length)
    before = drain(trades)
    assert sum(len(batch.block) for batch in before) == 3 + length // RECORD_BYTES
    writer.finish()
    assert_same_trades(before + drain(trades), writer.block)


@pytest.mark.parametrize("length", range(HEADER.size))
def test_a_header_that_is_there_in_part_waits(writer, length):
    trades = reader(writer.path)
    writer.append(length)
    assert trades.poll() is None
    writer.finish()
    assert_same_trades(drain(trades), writer.block)


def test_a_file_that_comes_later_is_waited_for(writer, notices):
    trades = reader(writer.path, notify=notices.append)
    assert trades.poll() is None
    assert trades.poll() is None
    assert [notice.kind for notice in notices] == [FeedNoticeKind.WAITING]
    writer.finish()
    assert_same_trades(drain(trades), writer.block)


@pytest.mark.parametrize("act", ["shorten", "delete", "overwrite", "replace"])
@pytest.mark.parametrize("keep", [0, 20, 56, 96, 97, 56 + 40 * 99, 56 + 40 * 100, 56 + 40 * 150])
def test_a_file_written_anew_is_taken_up_where_it_was_left(writer, notices, act, keep):
    trades = reader(writer.path, notify=notices.append)
    writer.append_records(100)
    batches = drain(trades)
    if act == "shorten":
        writer.shorten(writer.size - keep)
    elif act == "delete":
        writer.delete()
        batches += drain(trades)
        writer.append(keep)
    else:
        getattr(writer, act)(keep)
    batches += drain(trades)
    writer.append_records(13)
    batches += drain(trades)
    writer.finish()
    batches += drain(trades)
    assert_same_trades(batches, writer.block)
    if act == "delete":
        assert [notice.kind for notice in notices] == ["REWRITTEN", "RESYNCED"]
        assert trades.resyncs == 1


@pytest.mark.parametrize("shift", [1, 2, 5, 50])
@pytest.mark.parametrize("stop", range(90, 101))
def test_history_with_other_counters_goes_on_behind_the_last_trade(tmp_path, stop, shift):
    # Ten trades in each millisecond, of two kinds only.
    n = 200
    block = part(BLOCK, slice(n))
    block.ts_event[:] = 1_741_000_000_000_000_000 + np.arange(n) // 10 * 1_000_000
    block.price[:] = 20_000 + np.arange(n) % 2
    block.size[:] = 1
    for column in (block.bid_price, block.ask_price):
        column[:] = 20_000
    block.aggressor_side[:] = 1
    writer = SierraWriter(tmp_path / "ESH25.scid", block)
    trades, batches = reader(writer.path), []
    for count in (85, *[1] * (stop - 85)):
        writer.append_records(count)
        batches += drain(trades)
    assert len(collected(batches)["size"]) == stop
    writer.delete()
    writer.renumber(shift)
    for size in (56, 56 + 40 * 95, 56 + 40 * 103, 10_000):
        writer.append(max(0, size - writer.size))
        batches += drain(trades)
    assert trades.resyncs == 1
    found = collected(batches)
    for ms in np.unique(found["ts_event"]):
        mine = found["price"][found["ts_event"] == ms]
        assert sorted(mine) == sorted(block.price[block.ts_event == ms])
    assert len(found["price"]) == n


def raw(path, *records):
    path.write_bytes(HEAD + b"".join(records))


def trade_at(ms, counter, price):
    return record(0, price=4000.0 + price / 4, time=3_950_000_000_000_000 + ms * 1000 + counter)


def prices_of(batches):
    return (collected(batches)["price"] - 16_000).tolist()


def test_history_may_hold_trades_between_those_that_were_taken(tmp_path):
    path = tmp_path / "ESH25.scid"
    trades = reader(path)
    raw(path, trade_at(4, 0, 10), trade_at(5, 0, 1), trade_at(5, 1, 2))
    assert prices_of(drain(trades)) == [10, 1, 2]
    # A server's history has one more in the same millisecond, and counts from 7.
    raw(
        path,
        trade_at(4, 0, 10),
        trade_at(5, 7, 1),
        trade_at(5, 8, 3),
        trade_at(5, 9, 2),
        trade_at(5, 10, 4),
        trade_at(6, 0, 5),
    )
    assert prices_of(drain(trades)) == [3, 4, 5]
    assert trades.poll() is None


def test_an_older_trade_between_new_ones_of_history_is_not_taken_again(tmp_path):
    path = tmp_path / "ESH25.scid"
    trades = reader(path)
    raw(path, trade_at(4, 0, 10), trade_at(5, 0, 1))
    assert prices_of(drain(trades)) == [10, 1]
    raw(path, trade_at(5, 7, 1), trade_at(5, 8, 3), trade_at(4, 3, 10), trade_at(6, 0, 5))
    assert prices_of(drain(trades)) == [3, 5]


def test_records_that_are_the_same_to_the_byte_are_counted(tmp_path):
    path = tmp_path / "ESH25.scid"
    trades = reader(path)
    same = trade_at(5, 0, 1)
    raw(path, same, same)
    assert prices_of(drain(trades)) == [1, 1]
    path.unlink()
    assert trades.poll() is None
    raw(path, same, same, same, same, trade_at(6, 0, 2))
    assert prices_of(drain(trades)) == [1, 1, 2]


def test_the_bytes_of_the_last_trade_may_be_those_of_its_neighbour_in_history(tmp_path):
    path = tmp_path / "ESH25.scid"
    trades = reader(path)
    raw(path, *(trade_at(5, counter, 1) for counter in range(3)))
    assert prices_of(drain(trades)) == [1, 1, 1]
    path.unlink()
    trades.poll()
    # The same five trades, counted from 2: the first now has the bytes of the third.
    raw(path, *(trade_at(5, counter, 1) for counter in range(2, 7)), trade_at(6, 0, 2))
    assert prices_of(drain(trades)) == [1, 1, 2]


def test_a_place_at_the_beginning_of_the_file_is_told_once(tmp_path, notices):
    path = tmp_path / "ESH25.scid"
    trades = reader(path, hold_s=1000.0, notify=notices.append)
    raw(path, trade_at(5, 0, 1))
    drain(trades)
    path.unlink()
    trades.poll()
    # An order whose last part is missing is held, so that nothing is taken yet.
    part_of_one = struct.pack("<I", 0xFD709EF9)
    begun = trade_at(9, 0, 2)
    raw(path, begun[:8] + part_of_one + begun[12:])
    for _ in range(3):
        assert trades.poll() is None
    assert [notice.kind for notice in notices] == ["REWRITTEN", "GAP", "RESYNCED"]
    assert trades.resyncs == 1
    with path.open("ab") as file:
        file.write(trade_at(10, 0, 3))
    # It is closed without that part when nothing may be held any more.
    assert prices_of([trades.poll(hold=False)]) == [2, 3]


def test_a_file_that_now_begins_later_tells_of_the_gap(writer, notices):
    trades = reader(writer.path, notify=notices.append)
    writer.append_records(100)
    drain(trades)
    writer.delete()
    rest = writer.records[150:].tobytes()
    writer.path.write_bytes(HEAD + rest)
    batches = drain(trades)
    assert_same_trades(batches, part(writer.block, slice(150, None)))
    gap = next(notice for notice in notices if notice.kind is FeedNoticeKind.GAP)
    ms = writer.block.ts_event // 1_000_000 * 1_000_000
    assert (gap.ts_from, gap.ts_to) == (ms[99], ms[150])


def test_a_reader_that_starts_again_goes_on_from_its_position(writer):
    batches = []
    position = 0
    for _ in range(20):
        writer.append_records(10)
        trades = reader(writer.path, position)
        batches += drain(trades)
        position = trades.position
    assert isinstance(position, TailPosition)
    assert_same_trades(batches, writer.block)


def test_a_position_holds_in_a_file_written_anew_meanwhile(writer):
    writer.append_records(120)
    trades = reader(writer.path)
    batches = drain(trades)
    writer.delete()
    writer.append(HEADER.size + 60 * RECORD_BYTES)
    again = reader(writer.path, trades.position)
    assert again.poll() is None
    writer.finish()
    assert_same_trades(batches + drain(again), writer.block)


@pytest.mark.parametrize("first", [0, 1, 77, 199])
def test_a_start_time_begins_with_the_first_trade_at_or_after_it(writer, first):
    writer.finish()
    ts = writer.block.ts_event // 1_000_000 * 1_000_000
    start = int(ts[first])
    first = int(np.searchsorted(ts, start))
    assert_same_trades(drain(reader(writer.path, start)), part(writer.block, slice(first, None)))


def test_old_trades_that_arrive_late_are_not_those_asked_for(writer):
    start = int(writer.block.ts_event[150] // 1_000_000 * 1_000_000)
    trades = reader(writer.path, start)
    writer.append(HEADER.size)
    drain(trades)
    writer.append_records(40)
    batches = drain(trades)
    writer.finish()
    batches += drain(trades)
    assert_same_trades(batches, part(writer.block, slice(150, None)))
    assert trades.counts.outside == 110


@pytest.mark.parametrize("records", [1, 3])
def test_a_file_of_zeros_is_not_yet_a_file(writer, records):
    trades = reader(writer.path)
    writer.path.write_bytes(HEAD + bytes(records * RECORD_BYTES))
    assert trades.poll() is None
    writer.overwrite(len(writer.stream))
    assert_same_trades(drain(trades), writer.block)


def test_a_file_that_cannot_be_read_is_waited_for(writer, notices):
    trades = reader(writer.path, notify=notices.append)
    writer.append_records(10)
    batches = drain(trades)
    writer.delete()
    writer.path.mkdir()
    assert trades.poll() is None
    writer.path.rmdir()
    writer.finish()
    batches += drain(trades)
    assert_same_trades(batches, writer.block)
    assert [notice.kind for notice in notices] == ["REWRITTEN", "RESYNCED"]


def test_zeros_at_the_end_are_not_yet_records(writer):
    trades = reader(writer.path)
    writer.append_records(5)
    with writer.path.open("ab") as file:
        file.write(bytes(3 * RECORD_BYTES))
    batches = drain(trades)
    with writer.path.open("r+b") as file:
        file.write(writer.stream)
    batches += drain(trades)
    assert_same_trades(batches, writer.block)


@pytest.mark.parametrize("summary", [True, False])
def test_parts_of_an_order_become_one_trade_where_that_is_wanted(tmp_path, summary):
    block = part(BLOCK, slice(300))
    writer = SierraWriter(tmp_path / "ESH25.scid", block, fill_size=1)
    trades, batches = reader(writer.path, summary=summary), []
    while writer.size < len(writer.stream):
        writer.append(130)
        batches += drain(trades)
    if summary:
        assert_same_trades(batches, block)
        return
    found = collected(batches)
    assert len(found["size"]) == block.size.sum() == found["size"].sum()
    assert batches[0].block.kind == "fill"


def test_an_order_without_its_last_part_waits_only_so_long(tmp_path):
    block = part(BLOCK, slice(1))
    block.size[0] = 3
    writer = SierraWriter(tmp_path / "ESH25.scid", block, fill_size=1)
    now = [0]
    trades = reader(writer.path, monotonic=lambda: now[0], hold_s=1.0)
    writer.append(HEADER.size + 2 * RECORD_BYTES)
    assert trades.poll() is None
    now[0] = 900_000_000
    assert trades.poll() is None
    now[0] = 1_000_000_000
    assert collected([trades.poll()])["size"].tolist() == [2]
    assert trades.counts.broken == 1
    writer.finish()
    assert collected([trades.poll()])["size"].tolist() == [1]


def test_prices_in_hundredths_are_found_by_their_magnitude(tmp_path):
    writer = SierraWriter(tmp_path / "ESH25.scid", part(BLOCK, slice(50)), points_per_unit=0.01)
    writer.finish()
    assert_same_trades(drain(reader(writer.path)), writer.block)


def test_a_scale_that_changes_within_one_burst_spoils_no_price(tmp_path):
    block = part(BLOCK, slice(60))
    plain = SierraWriter(tmp_path / "a", block)
    scaled = SierraWriter(tmp_path / "b", block, points_per_unit=0.01)
    path = tmp_path / "ESH25.scid"
    parts = (plain.records[:20], scaled.records[20:41], plain.records[41:])
    path.write_bytes(HEAD + b"".join(records.tobytes() for records in parts))
    assert_same_trades(drain(reader(path)), block)


def test_a_scale_that_is_given_counts(tmp_path):
    writer = SierraWriter(tmp_path / "ESH25.scid", part(BLOCK, slice(50)), points_per_unit=0.5)
    writer.finish()
    assert_same_trades(drain(reader(writer.path, points_per_unit=0.5)), writer.block)
    with pytest.raises(ConfigError, match="must be positive, was 0"):
        reader(writer.path, points_per_unit=0)


def test_the_delay_is_from_the_newest_trade_to_the_reading(writer):
    writer.finish()
    clock = SetClock(int(writer.block.ts_event[-1]) + 5_000_000_000)
    batch = ScidTrades(writer.path, "ESH25", clock, start=0).poll()
    late = int(writer.block.ts_event[-1]) % 1_000_000
    assert batch.delay_ns == 5_000_000_000 + late
    assert batch.ts_recv == clock.time


def record(ms, open_=0.0, price=4000.0, trades=1, volume=1, bid=1, ask=0, time=None):
    when = 3_950_000_000_000_000 + ms * 1000 if time is None else time
    return struct.pack("<q4f4I", when, open_, 4000.25, 4000.0, price, trades, volume, bid, ask)


def test_what_is_no_trade_is_refused_and_told(tmp_path, notices):
    path = tmp_path / "ESH25.scid"
    bad = [
        record(1, price=4000.1),
        record(2, time=7),
        record(3, price=float("nan")),
        record(4, volume=0, bid=0),
        record(5, open_=4000.0, trades=9, volume=9, ask=4),
        record(6, volume=2**32 - 1),
        record(7, price=99_000_000.0),
    ]
    path.write_bytes(HEAD + record(0) + b"".join(bad) + record(8))
    trades = reader(path, notify=notices.append)
    assert len(collected(drain(trades))["size"]) == 2
    counts = trades.counts
    assert (counts.unreadable, counts.bars, counts.off_grid, counts.sizeless) == (4, 1, 1, 1)
    assert [notice.kind for notice in notices] == [FeedNoticeKind.REFUSED]
    assert "refused 4 unreadable records, 1 bars, 1 off the tick grid, 1 without" in notices[0].text


def test_a_quote_that_is_not_there_is_missing(tmp_path):
    path = tmp_path / "ESH25.scid"
    data = struct.pack("<q4f4I", 3_950_000_000_000_000, 0.0, 0.0, 0.0, 4000.0, 1, 1, 0, 0)
    path.write_bytes(HEAD + data)
    block = drain(reader(path))[0].block
    assert block.bid_price.tolist() == block.ask_price.tolist() == [MISSING_PRICE]
    assert block.aggressor_side.tolist() == [0]


def test_files_of_bars_are_refused(tmp_path):
    path = tmp_path / "ESH25.scid"
    bars = [record(k, open_=4000.0, trades=30, volume=50, ask=3) for k in range(70)]
    path.write_bytes(HEAD + b"".join(bars))
    with pytest.raises(FormatError, match="holds bars and no trades: set Sierra's Intraday"):
        reader(path).poll()
    path.write_bytes(HEAD + record(0))
    trades = reader(path)
    drain(trades)
    with path.open("ab") as file:
        file.write(b"".join(bars))
    with pytest.raises(FormatError, match="the newest 70 records are bars"):
        trades.poll()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PAR1" + bytes(96), "is no .scid file"),
        (HEAD[:8] + struct.pack("<I", 48) + HEAD[12:] + record(0), "records of 48"),
        (HEAD + struct.pack("<d", 45_000.5) + bytes(32), "counts time in days"),
        (HEAD + struct.pack("<q", 7) + bytes(32), "none of 1 records looked at has a time"),
    ],
)
def test_foreign_files_are_refused(tmp_path, content, message):
    path = tmp_path / "ESH25.scid"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=message):
        reader(path).poll()


ACTS = st.one_of(
    st.tuples(st.just("append"), st.integers(0, 1200)),
    st.tuples(st.just("append_records"), st.integers(0, 30)),
    st.tuples(st.just("shorten"), st.integers(0, 1500)),
    st.tuples(st.just("delete"), st.none()),
    st.tuples(st.just("overwrite"), st.integers(0, 4000)),
    st.tuples(st.just("replace"), st.integers(0, 4000)),
    st.tuples(st.just("download"), st.integers(0, 4000)),
    st.tuples(st.just("restart"), st.none()),
    st.tuples(st.just("poll"), st.none()),
)


def play(folder: Path, acts, fill_size, units) -> None:
    block = part(BLOCK, slice(400, 460))
    # Some trades share a millisecond, and some of these are equal.
    block.ts_event[20:26] = block.ts_event[20]
    block.price[20:26] = block.price[20]
    path = folder / "ESH25.scid"
    path.unlink(missing_ok=True)
    writer = SierraWriter(path, block, fill_size=fill_size, points_per_unit=units)
    trades, batches = reader(path), []
    for act, value in acts:
        if act == "restart":
            trades = reader(path, trades.position)
        elif act == "poll":
            batches += drain(trades)
        elif value is None:
            getattr(writer, act)()
        else:
            getattr(writer, act)(value)
    writer.finish()
    batches += drain(trades)
    assert_same_trades(batches, block)


@fuzz(150)
@given(st.lists(ACTS, max_size=25), st.sampled_from([None, 1, 3]), st.sampled_from([1.0, 0.01]))
def test_nothing_is_lost_or_doubled_whatever_the_writer_does(tmp_path, acts, fill_size, units):
    play(tmp_path, acts, fill_size, units)


@fuzz(150)
@given(st.lists(st.binary(max_size=90), max_size=8), st.booleans())
def test_no_bytes_make_a_tail_crash_or_hang(tmp_path, pieces, with_head):
    path = tmp_path / "ESH25.scid"
    path.write_bytes(HEAD if with_head else b"")
    tail = ScidTail(path, 0)
    try:
        for piece in pieces:
            with path.open("ab") as file:
                file.write(piece)
            for _ in range(5):
                chunk = tail.read(100)
                if chunk is None:
                    break
                tail.advance(int(chunk.row[-1]) + 1)
            else:
                raise AssertionError("the same records came again and again")
    except FormatError:
        pass


ODD = st.sampled_from([0, 1, 3, 2**31, 2**32 - 1])
PRICES = st.one_of(
    st.integers(15_900, 16_100).map(lambda ticks: ticks / 4),
    st.integers(1_590_000, 1_610_000).map(lambda ticks: ticks / 4),
    st.floats(width=32),
)


@st.composite
def any_record(draw):
    time = draw(
        st.one_of(
            st.integers(0, 50_000).map(lambda us: 3_950_000_000_000_000 + us),
            st.integers(-(2**63), 2**63 - 1),
        )
    )
    bits = draw(st.sampled_from([0, 0, 0, 0xFD709EF9, 0xFD709F01, 0x457CC000]))
    prices = [draw(PRICES) for _ in range(3)]
    counts = [draw(ODD) for _ in range(4)]
    return struct.pack("<qI3f4I", time, bits, *prices, *counts)


@fuzz(150)
@given(st.lists(any_record(), max_size=30), st.integers(0, 39), st.booleans())
def test_only_trades_that_can_be_come_out_of_any_records(tmp_path, records, cut, summary):
    path = tmp_path / "ESH25.scid"
    path.write_bytes(HEAD + b"".join(records) + bytes([1]) * cut)
    first = TailPosition(HEADER.size, b"", b"")
    trades = reader(path, first, summary=summary, hold_s=0.0)
    try:
        batches = drain(trades)
    except FormatError:
        return
    found = collected(batches)
    assert ((found["price"] > 0) & (found["price"] <= 120_000)).all()
    assert (found["size"] > 0).all()
    counts = trades.counts
    assert counts.records == len(records)
    refused = counts.bars + counts.unreadable + counts.off_grid + counts.sizeless
    assert refused + (len(found["size"]) if not summary else 0) <= len(records)
    if not summary:
        assert refused + counts.outside + len(found["size"]) == len(records)


REAL = Path(os.environ.get("MIA_REAL_DATA", "")) / "scid" / "test.scid"


@pytest.mark.skipif(
    "MIA_REAL_DATA" not in os.environ or not REAL.is_file(),
    reason="MIA_REAL_DATA names no folder with scid/test.scid",
)
def test_a_real_file_gives_the_trades_that_it_is_known_to_hold():
    fills = collected(drain(reader(REAL, contract="ESH23", summary=False)))
    sides = [-1, -1, -1, -1, -1, -1, 1, 1, -1, -1]
    assert fills["aggressor_side"].tolist() == sides
    assert fills["price"][:4].tolist() == [16192, 16192, 16190, 16191]
    assert fills["ts_event"][0] == 1_677_011_839_026_000_000
    summary = collected(drain(reader(REAL, contract="ESH23")))
    assert (len(fills["size"]), len(summary["size"])) == (10, 9)
    assert summary["size"].tolist()[3] == 2
