"""Sierra Chart intraday files, written by the exporter or byte by byte."""

import struct

import numpy as np
import pytest
from fuzz import fuzz
from hypothesis import given
from hypothesis import strategies as st

from mia.core.base_types import MISSING_PRICE, TradeBlock
from mia.core.sierra.scid_records import EPOCH_US
from mia.data.exporters import write_scid
from mia.data.importers import scid
from mia.data.importers.reading import ImportLog, ReadOptions
from mia.data.raw import TradeFlag
from mia.errors import DataError, FormatError

START = 1_700_000_000_000_000_000
HEAD = struct.pack("<4sIIHHI36s", b"SCID", 56, 40, 1, 0, 0, bytes(36))
FIRST = struct.unpack("<f", struct.pack("<I", 0xFD709EF9))[0]
LAST = struct.unpack("<f", struct.pack("<I", 0xFD709F01))[0]


def trade(ms, price=4000.0, size=1, side=-1, open_=0.0, counter=0, trades=1):
    time = EPOCH_US + START // 1000 + ms * 1000 + counter
    sold, bought = (size, 0) if side < 0 else (0, size)
    return struct.pack("<q4f4I", time, open_, 4000.25, 4000.0, price, trades, size, sold, bought)


def bar(minute, close=4000.5):
    time = EPOCH_US + START // 1000 + minute * 60_000_000
    return struct.pack("<q4f4I", time, 4000.0, 4001.0, 3999.0, close, 40, 100, 60, 40)


@pytest.fixture
def scid_file(tmp_path):
    def write(*records, head=HEAD, tail=b"", name="ESZ23-CME.scid"):
        path = tmp_path / name
        path.write_bytes(head + b"".join(records) + tail)
        return path

    return write


def block_of(rows):
    """Make trades of (ms, ticks, size, side, bid, ask) rows."""
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    ms, price, size, side, bid, ask = columns
    return TradeBlock(
        "ESZ23",
        START + ms.astype(np.int64) * 1_000_000,
        price.astype(np.int32),
        size.astype(np.int32),
        side.astype(np.int8),
        bid.astype(np.int32),
        ask.astype(np.int32),
    )


@st.composite
def trade_rows(draw):
    ms, rows = 0, []
    for _ in range(draw(st.integers(1, 30))):
        ms += draw(st.integers(0, 3))
        price = draw(st.integers(16000, 16003))
        quote = draw(st.sampled_from([(price, price + 1), (MISSING_PRICE, MISSING_PRICE)]))
        rows.append(
            (ms, price, draw(st.integers(1, 40)), draw(st.sampled_from([-1, 0, 1])), *quote)
        )
    return rows


@given(trade_rows(), st.sampled_from([None, 1, 3, 50]), st.sampled_from([1.0, 0.01]))
def test_what_is_written_comes_back(tmp_path_factory, rows, fill_size, unit):
    path = tmp_path_factory.mktemp("scid") / "ESZ23.scid"
    block = block_of(rows)
    written = write_scid(path, block, fill_size=fill_size, points_per_unit=unit)
    assert path.stat().st_size == 56 + 40 * written
    back = [*scid.read(path, ReadOptions(chunk_rows=64), ImportLog())]
    price = np.concatenate([part.price for part in back])
    np.testing.assert_array_equal(price, block.price * 0.25)
    for name, expected in (
        ("ts_event", block.ts_event),
        ("size", block.size),
        ("aggressor_side", block.aggressor_side),
    ):
        found = np.concatenate([getattr(part, name) for part in back])
        np.testing.assert_array_equal(found, expected)
    bid = np.concatenate([part.bid_price for part in back])
    known = block.bid_price != MISSING_PRICE
    np.testing.assert_array_equal(bid[known], block.bid_price[known] * 0.25)
    assert np.isnan(bid[~known]).all()


def test_fills_stay_apart_when_asked_for(tmp_path, read):
    path = tmp_path / "ESZ23.scid"
    write_scid(path, block_of([(0, 16000, 5, 1, 15999, 16000)]), fill_size=2)
    fills = read(path, keep_fills=True)
    assert fills.joined("size").tolist() == [2, 2, 1]
    assert fills.joined("seq").tolist() == [0, 1, 2]
    marks = [TradeFlag.UNBUNDLED_FIRST, TradeFlag.NONE, TradeFlag.UNBUNDLED_LAST]
    assert fills.joined("flags").tolist() == marks
    assert fills.blocks[0].kind == "fill"
    summary = read(path)
    assert (summary.joined("size").tolist(), summary.blocks[0].kind) == ([5], "summary")


def test_the_counter_is_an_order_and_no_time(scid_file, read):
    found = read(scid_file(trade(5, counter=0), trade(5, counter=1), trade(6)))
    assert (found.joined("ts_event") - START).tolist() == [5_000_000, 5_000_000, 6_000_000]
    assert found.joined("seq").tolist() == [0, 1, 0]


def test_side_is_that_of_the_volume_whatever_the_stored_quote(scid_file, read):
    below_bid = trade(0, price=3999.75, side=-1)
    at_bid = trade(1, price=4000.0, side=1)
    assert read(scid_file(below_bid, at_bid)).joined("aggressor_side").tolist() == [-1, 1]


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 100])
def test_an_order_across_chunks_stays_one_trade(scid_file, read, chunk):
    order = [
        trade(1, open_=FIRST, counter=0),
        trade(1, counter=1, size=2),
        trade(1, open_=LAST, counter=2, size=3),
    ]
    path = scid_file(trade(0, size=9), *order, trade(2, size=8))
    sizes = read(path, chunk_rows=chunk).joined("size")
    assert sizes.sum() == 23
    # Only a chunk shorter than the order cuts it.
    if chunk >= 3:
        assert sizes.tolist() == [9, 6, 8]


def test_an_order_without_its_last_part_is_closed_and_told(scid_file, read):
    path = scid_file(trade(0, open_=FIRST), trade(0, size=2), trade(500, size=4))
    found = read(path)
    assert found.joined("size").tolist() == [3, 4]
    assert "1 unbundled trades had no last part and were closed without it" in found.log.notes


def test_hundredths_are_recognised(scid_file, read):
    found = read(scid_file(trade(0, price=404875.0), trade(1, price=404900.0)))
    assert found.joined("price").tolist() == [4048.75, 4049.0]
    assert found.log.notes[0].startswith("prices are in hundredths")


def test_a_price_of_no_scale_is_refused(scid_file, read):
    with pytest.raises(FormatError, match=r"a price of 4\.04875e\+06 is none of ES"):
        read(scid_file(trade(0, price=4048750.0)))
    with pytest.raises(FormatError, match="nor is its hundredth"):
        read(scid_file(trade(0, price=404876.0)))


def test_a_price_off_the_grid_reaches_the_store_as_it_was(scid_file, read):
    found = read(scid_file(trade(0), trade(1, price=4000.125), trade(2)))
    assert found.joined("price").tolist() == [4000.0, 4000.125, 4000.0]


def test_a_partial_record_at_the_end_is_left_out_and_told(scid_file, read):
    found = read(scid_file(trade(0), trade(1), tail=bytes(17)))
    assert len(found) == 2
    assert "the last 17 bytes are part of a record and were left out" in found.log.notes


def test_records_that_cannot_be_are_rejected_one_by_one(scid_file, read):
    timeless = struct.pack("<q4f4I", 5, 0.0, 4000.25, 4000.0, 4000.0, 1, 1, 1, 0)
    path = scid_file(
        trade(0), timeless, trade(1, price=float("nan")), trade(2, size=2**31), trade(3)
    )
    found = read(path)
    assert len(found) == 2
    assert found.joined("row").tolist() == [0, 4]
    assert found.reasons == {
        1: "the time is not one of this century",
        2: "the price is no number or 0",
        3: "the size does not fit 31 bits",
    }


def test_bars_are_refused_as_trades_and_read_as_bars(scid_file, read):
    path = scid_file(*map(bar, range(4)))
    with pytest.raises(FormatError, match="holds bars of 0:01:00 and no trades"):
        read(path)
    found = read(path, bars=True)
    assert found.blocks[0].width_s == 60
    assert (found.joined("t_open") - START).tolist() == [60_000_000_000 * i for i in range(4)]
    assert found.joined("high").tolist() == [4001.0] * 4
    assert [found.total(name) for name in ("volume", "bid_volume", "ask_volume", "trades")] == [
        400,
        240,
        160,
        160,
    ]


def test_trades_are_refused_as_bars(scid_file, read):
    with pytest.raises(FormatError, match="holds trades and no bars"):
        read(scid_file(trade(0), trade(1)), bars=True)


def test_bars_among_trades_are_left_out_and_counted(scid_file, read):
    path = scid_file(bar(0), bar(1), trade(200_000), trade(200_001, trades=3))
    found = read(path)
    assert len(found) == 1
    assert "3 records are bars or aggregates and were left out" in found.log.notes
    assert len(read(path, bars=True)) == 3


def test_times_in_days_are_refused_by_name(scid_file, read):
    old = struct.pack("<d4f4I", 43_000.5, 0.0, 4000.25, 4000.0, 4000.0, 1, 1, 1, 0)
    with pytest.raises(FormatError, match="counts time in days as older versions"):
        read(scid_file(old, old))


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (b"SCID", "its header of 56 bytes ends after 4"),
        (HEAD[:55], "its header of 56 bytes ends after 55"),
        (HEAD, "holds no records"),
        (b"SCID" + struct.pack("<IIHHI36s", 56, 44, 1, 0, 0, bytes(36)), "records of 44"),
        (b"SCID" + struct.pack("<IIHHI36s", 56, 40, 7, 0, 0, bytes(36)), "version 7"),
        (b"SCID" + struct.pack("<IIHHI36s", 8, 40, 1, 0, 0, bytes(36)), "header of 8 bytes"),
        (b"SCID" + struct.pack("<IIHHI36s", 99, 40, 1, 0, 0, bytes(36)), "of 99 bytes ends"),
    ],
)
def test_a_foreign_or_cut_header_is_refused(scid_file, read, head, message):
    with pytest.raises(FormatError, match=message):
        read(scid_file(head=head))


def test_another_file_named_scid_is_refused(scid_file):
    path = scid_file(head=b"Date, Time, Open")
    with pytest.raises(FormatError, match="it begins with b'Date, Ti', not 'SCID'"):
        scid.read_layout(path)


def test_records_begin_where_the_header_says(scid_file, read):
    head = struct.pack("<4sIIHHI36s", b"SCID", 61, 40, 1, 0, 0, bytes(36)) + b"extra"
    assert read(scid_file(trade(0, size=7), head=head)).total("size") == 7


@fuzz(100)
@given(st.binary(max_size=400))
def test_random_bytes_end_in_a_format_error_or_rows(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("scid") / "ESZ23.scid"
    path.write_bytes(HEAD + data)
    log = ImportLog()
    try:
        blocks = list(scid.read(path, ReadOptions(), log))
    except FormatError:
        return
    assert sum(map(len, blocks)) + log.rejected_count <= len(data) // 40


def test_the_contract_is_that_of_the_name_or_given(scid_file, read):
    path = scid_file(trade(0), name="ESU22_FUT_CME.scid")
    assert read(path).contracts == ["ESU22"]
    assert read(path, contract="MESU22").contracts == ["MESU22"]
    with pytest.raises(FormatError, match="give it with --symbol"):
        read(scid_file(trade(0), name="data.scid"))


def test_progress_ends_with_the_size_of_the_file(scid_file, read):
    path = scid_file(*map(trade, range(10)))
    steps = read(path, chunk_rows=4).steps
    assert steps == [(216, 456), (376, 456), (456, 456)]


def test_trades_out_of_order_are_not_written(tmp_path):
    block = block_of([(5, 16000, 1, 1, 15999, 16000), (4, 16000, 1, 1, 15999, 16000)])
    with pytest.raises(DataError, match="must be in time order"):
        write_scid(tmp_path / "ESZ23.scid", block)
    with pytest.raises(ValueError, match="fill_size must be at least 1"):
        write_scid(tmp_path / "ESZ23.scid", block, fill_size=0)


def test_the_real_sample_reads_as_published(real, read, ns):
    path = real("scid/test.scid")
    fills = read(path, contract="ESH23", keep_fills=True)
    assert (len(fills), fills.total("size")) == (10, 10)
    side = fills.joined("aggressor_side")
    assert ((side < 0).sum(), (side > 0).sum()) == (8, 2)
    assert fills.joined("ts_event")[0] == ns("2023-02-21T20:37:19.026")
    assert fills.joined("seq").tolist() == [0, 0, 0, 0, 1, 0, 0, 0, 0, 1]
    assert fills.joined("price").tolist()[-2:] == [4048.5, 4048.25]
    assert fills.joined("bid_price").tolist()[-2:] == [4048.5, 4048.5]
    assert fills.joined("flags").tolist() == [0, 0, 0, 1, 2, 0, 0, 0, 0, 0]
    summary = read(path, contract="ESH23")
    assert summary.joined("size").tolist() == [1, 1, 1, 2, 1, 1, 1, 1, 1]
