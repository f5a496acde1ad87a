"""Lines of IQFeed: read right, or refused."""

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from fuzz import fuzz
from hypothesis import given
from hypothesis import strategies as st
from iqfeed_server import bar_lines, tick_lines
from sierra_writer import COLUMNS, market_block, part

from mia.core.base_types import MISSING_PRICE
from mia.core.iqfeed.depth import DepthDecoder
from mia.core.iqfeed.level1 import UPDATE_FIELDS, Level1Decoder
from mia.core.iqfeed.messages import (
    IntervalDecoder,
    LineBuffer,
    TickDecoder,
    Ticks,
    chain_symbols,
)
from mia.errors import FormatError

BLOCK = part(market_block(trades=1500), slice(400))
TICK = b"R1,LH,2025-03-10 09:30:00.123456,5000.25,3,10,5000.00,5000.25,7,C,43,01,1,10,"
BAR = b"R1,LH,2025-03-10 09:30:00,5001.00,4999.50,5000.00,5000.75,900,30,12,"


def test_ticks_of_a_reply_are_the_trades():
    decoder = TickDecoder("ESH25")
    for line in tick_lines(BLOCK):
        assert decoder.add(b"R1," + line.encode())
    found = decoder.columns.block()
    for name in COLUMNS:
        expected = getattr(BLOCK, name)
        if name == "ts_event":
            expected = expected // 1000 * 1000
        np.testing.assert_array_equal(getattr(found, name), expected)


def test_the_protocol_says_how_many_fields_there_are():
    older = TICK.replace(b",LH,", b",")
    decoder = TickDecoder("ESH25", "6.1")
    assert decoder.add(older)
    with pytest.raises(ValueError, match="is no tick of 13 fields"):
        decoder.add(TICK)
    with pytest.raises(ValueError, match="is no tick of 14 fields"):
        TickDecoder("ESH25").add(older)
    with pytest.raises(FormatError, match=r"protocol 6\.0 do not say who was the aggressor"):
        TickDecoder("ESH25", "6.0")


def test_a_line_of_the_newer_protocol_says_what_it_is():
    with pytest.raises(ValueError, match="is no tick of 14 fields"):
        TickDecoder("ESH25").add(TICK.replace(b",LH,", b",LX,"))
    with pytest.raises(ValueError, match="is no bar of 10 fields"):
        IntervalDecoder().read(BAR.replace(b",LH,", b",LX,"))


def test_the_hour_that_comes_twice_goes_on_after_the_line_before():
    """01:00 after 01:59 is the second one, an hour later, on 2 November 2025."""
    decoder = TickDecoder("ESZ25")
    for clock in (b"00:59:00.000000", b"01:59:00.000000", b"01:00:00.000000", b"02:00:00.000000"):
        line = TICK.replace(b"2025-03-10 09:30:00.123456", b"2025-11-02 " + clock)
        assert decoder.add(line)
    first, *rest = decoder.columns.block().ts_event.tolist()
    assert [(ts - first) // 60_000_000_000 for ts in rest] == [60, 61, 121]
    bars = IntervalDecoder()
    starts = [
        bars.read(BAR.replace(b"2025-03-10 09:30:00", b"2025-11-02 " + clock)).t_open
        for clock in (b"01:55:00", b"01:00:00")
    ]
    assert starts[1] - starts[0] == 5 * 60_000_000_000


def test_trades_that_do_not_count_for_the_last_price_are_left_out():
    decoder = TickDecoder("ESH25")
    assert not decoder.add(TICK.replace(b",C,", b",O,"))
    assert decoder.add(TICK.replace(b",C,", b",E,"))
    assert (len(decoder.columns), decoder.other) == (1, 1)


@pytest.mark.parametrize(("code", "side"), [(b"0", 0), (b"1", 1), (b"2", -1), (b"3", 0)])
def test_the_aggressor_is_kept(code, side):
    decoder = TickDecoder("ESH25")
    decoder.add(TICK.replace(b",1,10,", b"," + code + b",10,"))
    assert decoder.columns.aggressor_side == [side]


def test_a_quote_may_be_missing():
    decoder = TickDecoder("ESH25")
    decoder.add(TICK.replace(b"5000.00,5000.25,7", b",0.0000,7"))
    assert decoder.columns.bid_price == decoder.columns.ask_price == [MISSING_PRICE]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"5000.25,3", b"5000.30,3"),
        (b"5000.25,3", b"0.0000,3"),
        (b"5000.25,3", b"-5000.25,3"),
        (b"5000.25,3", b"nan,3"),
        (b"5000.25,3", b"5e3,3"),
        (b"5000.25,3", b"5_000.25,3"),
        (b",3,10,", b",0,10,"),
        (b",3,10,", b",+3,10,"),
        (b",3,10,", b",99999999999,10,"),
        (b",C,", b",X,"),
        (b",1,10,", b",4,10,"),
        (b",1,10,", b",,10,"),
        (b"2025-03-10 ", b"2025-03-10T"),
        (b"09:30:00.123456", b"09:30"),
        (b"5000.00,5000.25,7", b"5000.01,5000.25,7"),
        (b",10,", b",10"),
    ],
)
def test_a_tick_that_is_not_right_is_refused(old, new):
    decoder = TickDecoder("ESH25")
    bad = TICK.replace(old, new) if old != b",10," else TICK[:-1]
    with pytest.raises(ValueError, match=r".+"):
        decoder.add(bad)
    assert len(decoder.columns) == 0


def test_a_bar_gives_high_and_low_before_the_open():
    bar = IntervalDecoder().read(BAR)
    assert (bar.open, bar.high, bar.low, bar.close) == (20_000, 20_004, 19_998, 20_003)
    assert (bar.volume, bar.trades) == (30, 12)
    with pytest.raises(ValueError, match="open or close lies outside"):
        IntervalDecoder().read(BAR.replace(b"5001.00,4999.50", b"4999.50,5001.00"))
    with pytest.raises(ValueError, match="is no bar of"):
        IntervalDecoder().read(BAR[:-1])


def test_bars_of_a_reply_are_those_of_the_trades():
    decoder = IntervalDecoder()
    bars = [decoder.read(b"R1," + line.encode()) for line in bar_lines(BLOCK, 60)]
    assert sum(bar.volume for bar in bars) == BLOCK.size.sum()
    assert all(bar.t_open % 60_000_000_000 == 0 for bar in bars)


def test_chains_part_calls_from_puts():
    assert chain_symbols(b"R1,LC,C1,C2,:,P1,") == (["C1", "C2"], ["P1"])
    assert chain_symbols(b"R1,LC,@ESM25,@ESU25,") == (["@ESM25", "@ESU25"], [])
    with pytest.raises(ValueError, match="is no chain"):
        chain_symbols(b"R1,!ENDMSG!,")


def test_lines_are_cut_wherever_the_bytes_are_cut():
    data = b"Q,a,\r\nT,20250310 09:30:00\r\n\r\nS,x,\r\nrest"
    for size in range(1, len(data) + 1):
        buffer, lines = LineBuffer(), []
        for k in range(0, len(data), size):
            lines += buffer.feed(data[k : k + size])
        assert lines == [b"Q,a,", b"T,20250310 09:30:00", b"S,x,"]
    with pytest.raises(FormatError, match="has more than 65536 bytes"):
        LineBuffer().feed(b"x" * 70_000)


NAMES = ["Symbol", *reversed(UPDATE_FIELDS)]


def update(kind="Q", **changes):
    values = {
        "Symbol": "@ESH25",
        "Most Recent Trade": "5000.25",
        "Most Recent Trade Size": "3",
        "Most Recent Trade Date": "03/10/2025",
        "Most Recent Trade Time": "09:30:00.123456",
        "Most Recent Trade Aggressor": "2",
        "Bid": "5000.25",
        "Bid Size": "20",
        "Ask": "5000.50",
        "Ask Size": "30",
        "Total Volume": "100",
        "Message Contents": "Cbav",
    } | changes
    return ",".join([kind, *(values[name] for name in NAMES), ""]).encode()


@pytest.fixture
def level1():
    decoder = Level1Decoder({b"@ESH25": "ESH25"})
    decoder.set_fields(NAMES)
    return decoder


def test_an_update_with_a_trade_is_a_trade(level1):
    level1.update(update(), 0)
    (block,) = level1.take()
    row = [int(getattr(block, name)[0]) for name in COLUMNS]
    assert row == [1_741_613_400_123_456_000, 20_001, 3, -1, 20_001, 20_002]
    assert level1.take() == []
    quote = level1.quotes["ESH25"]
    assert (quote.bid_size, quote.ask_size) == (20, 30)


@pytest.mark.parametrize(
    ("kind", "contents", "trades"),
    [
        ("Q", "C", 1),
        ("Q", "E", 1),
        ("Q", "O", 0),
        ("Q", "ba", 0),
        ("Q", "cohlsv", 0),
        ("P", "Cba", 0),
    ],
)
def test_only_updates_that_say_so_are_trades(level1, kind, contents, trades):
    level1.update(update(kind, **{"Message Contents": contents}), 0)
    assert level1.counts["ESH25"].trades == trades
    assert level1.counts["ESH25"].other == (contents == "O")


def test_volume_that_no_trade_explains_is_counted(level1):
    for total in ("100", "103", "110", "5"):
        level1.update(update(**{"Total Volume": total}), 0)
    assert level1.counts["ESH25"].missing_volume == 4


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("Most Recent Trade", "5000.26"),
        ("Most Recent Trade", ""),
        ("Most Recent Trade Size", "0"),
        ("Most Recent Trade Size", "x"),
        ("Most Recent Trade Aggressor", "9"),
        ("Most Recent Trade Date", "10/03"),
        ("Most Recent Trade Time", ""),
        ("Bid", "5000.26"),
        ("Total Volume", "-4"),
    ],
)
def test_an_update_that_is_not_right_is_refused_whole(level1, field, value):
    with pytest.raises(ValueError, match=r".+"):
        level1.update(update(**{field: value}), 0)
    assert level1.counts["ESH25"].refused == 1
    assert level1.take() == []


def test_fields_that_are_needed_must_come(level1):
    with pytest.raises(FormatError, match="have no field 'Most Recent Trade'"):
        level1.set_fields(["Symbol", "Bid"])
    with pytest.raises(ValueError, match="is not watched"):
        level1.update(update(Symbol="@NQH25"), 0)
    with pytest.raises(ValueError, match="has 3 fields"):
        level1.update(b"Q,@ESH25,", 0)


@fuzz(400)
@given(st.binary(max_size=200), st.integers(0, 200))
def test_no_bytes_make_a_decoder_crash(data, at):
    buffer = LineBuffer()
    depth = DepthDecoder({"@ESH25": "ESH25"})
    level1 = Level1Decoder({b"@ESH25": "ESH25"})
    level1.set_fields(NAMES)
    spoiled = [line[: at % len(line)] + data for line in (TICK, BAR, update())]
    lines = buffer.feed(b"\n".join([data, *spoiled, b""]))
    readers = (
        TickDecoder("ESH25").add,
        IntervalDecoder().read,
        chain_symbols,
        lambda line: level1.update(line, 0),
        lambda line: depth.apply(line, 0),
    )
    for reader in readers:
        for line in lines:
            try:
                reader(line)
            except ValueError:
                continue
    for block in level1.take():
        assert (block.size > 0).all()
        assert (block.price > 0).all()


@fuzz(300)
@given(st.integers(1, 2**31 - 1))
def test_ticks_come_back_from_points(ticks):
    for text in (f"{ticks / 4:.2f}", f"{ticks / 4:.4f}"):
        assert Ticks().of(text.encode()) == ticks


FOLDER = Path(os.environ.get("MIA_REAL_DATA", "")) / "iqfeed"


@pytest.mark.skipif(
    "MIA_REAL_DATA" not in os.environ or not FOLDER.is_dir(),
    reason="MIA_REAL_DATA names no folder with iqfeed",
)
def test_a_real_reply_of_the_older_protocol_has_the_fields_that_are_read(monkeypatch):
    # A share: its prices do not lie on the grid of a future, so they are counted in cents here.
    monkeypatch.setattr("mia.core.iqfeed.messages.TICK", 0.0001)
    with zipfile.ZipFile(FOLDER / "ticks_newest.zip") as archive:
        lines = archive.read("ticks_newest.csv").split(b"\r\n")
    decoder = TickDecoder("X", "6.1")
    end = lines.index(b"!ENDMSG!,")
    for line in reversed(lines[:end]):
        decoder.add(b"R1," + line)
    assert (end, decoder.other, len(decoder.columns)) == (32_627, 11_959, 20_668)
    assert sum(decoder.columns.size) == 14_993_759
    assert set(decoder.columns.aggressor_side) == {0}
    with zipfile.ZipFile(FOLDER / "intervals_1s_oldest.zip") as archive:
        lines = archive.read("intervals_1s_oldest.csv").split(b"\r\n")
    reader = IntervalDecoder("6.1")
    bars = [reader.read(b"R1," + line) for line in lines[: lines.index(b"!ENDMSG!,")]]
    assert (len(bars), sum(bar.volume for bar in bars)) == (7_949, 14_993_759)
