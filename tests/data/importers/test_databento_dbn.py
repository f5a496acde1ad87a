"""Databento files, made with its own encoder."""

import struct
import sys
from datetime import date

import numpy as np
import pytest
from fuzz import fuzz
from hypothesis import given
from hypothesis import strategies as st

from mia.data.importers import databento_dbn
from mia.data.importers.reading import ImportLog, ReadOptions
from mia.errors import FormatError, MiaError

dbn = pytest.importorskip("databento_dbn")
pytest.importorskip("databento")
zstandard = pytest.importorskip("zstandard")

START = 1_719_840_600_000_000_000
UNDEFINED = 2**63 - 1
DAY = 86_400 * 10**9


class Mapping:
    """A symbol and the ids that it stood for."""

    def __init__(self, raw_symbol, *intervals):
        self.raw_symbol = raw_symbol
        self.intervals = [Interval(*interval) for interval in intervals]


class Interval:
    def __init__(self, symbol, start=date(2024, 7, 1), end=date(2024, 7, 5)):
        self.symbol, self.start_date, self.end_date = str(symbol), start, end


ESU4 = Mapping("ESU4", (118,))


@pytest.fixture
def dbn_file(tmp_path):
    def write(schema, records, mappings=(ESU4,), name="data.dbn"):
        metadata = dbn.Metadata(
            "GLBX.MDP3",
            START,
            dbn.SType.RAW_SYMBOL,
            dbn.SType.INSTRUMENT_ID,
            schema and dbn.Schema.from_str(schema),
            symbols=[mapping.raw_symbol for mapping in mappings],
            mappings=list(mappings),
            ts_out=False,
        )
        path = tmp_path / name
        path.write_bytes(bytes(metadata) + b"".join(map(bytes, records)))
        return path

    return write


def trade(i, price=5500.25, side="B", instrument=118, **more):
    size = more.pop("size", 1)
    raw = price if price == UNDEFINED else round(price * 10**9)
    return dbn.TradeMsg(
        1,
        instrument,
        more.pop("ts", START + i),
        raw,
        size,
        dbn.Action.TRADE,
        dbn.Side.from_str(side),
        0,
        START + i + 500,
        sequence=i,
        **more,
    )


def book(i, action, side="A", level=None):
    return dbn.MBP1Msg(
        1,
        118,
        START + i,
        5500_250_000_000,
        2,
        dbn.Action.from_str(action),
        dbn.Side.from_str(side),
        0,
        START + i,
        sequence=i,
        levels=level or dbn.BidAskPair(5500_000_000_000, UNDEFINED, 10, 20),
    )


def bar(i, close=5500.5, volume=9):
    prices = [round(price * 10**9) for price in (5500.0, 5501.0, 5499.75, close)]
    return dbn.OHLCVMsg(33, 1, 118, START + i * 60 * 10**9, *prices, volume)


def test_sides_are_the_aggressors(dbn_file, read):
    found = read(dbn_file("trades", [trade(0, side="A"), trade(1, side="B"), trade(2, side="N")]))
    assert found.contracts == ["ESU24"]
    assert found.joined("aggressor_side").tolist() == [-1, 1, 0]
    assert found.joined("price").tolist() == [5500.25] * 3
    assert found.joined("ts_event").tolist() == [START, START + 1, START + 2]
    assert found.joined("ts_recv").tolist() == [START + 500, START + 501, START + 502]
    assert found.joined("seq").tolist() == [0, 1, 2]
    assert found.joined("bid_price") is None


def test_of_a_book_the_trades_are_taken_with_the_quote_before_them(dbn_file, read):
    records = [book(0, "A"), book(1, "T", "A"), book(2, "C"), book(3, "T", "B")]
    found = read(dbn_file("mbp-1", records))
    assert found.joined("row").tolist() == [1, 3]
    assert found.joined("bid_price").tolist() == [5500.0, 5500.0]
    assert np.isnan(found.joined("ask_price")).all()
    assert found.joined("ask_size").tolist() == [20, 20]
    with pytest.raises(FormatError, match="holds no trades or bars"):
        read(dbn_file("mbp-1", records[:1]))


def test_bars_have_the_width_of_their_schema(dbn_file, read):
    found = read(dbn_file("ohlcv-1m", [bar(0), bar(1, volume=2)]))
    assert found.blocks[0].width_s == 60
    assert found.joined("close").tolist() == [5500.5, 5500.5]
    assert found.joined("high").tolist() == [5501.0, 5501.0]
    assert found.joined("volume").tolist() == [9, 2]


def test_prices_a_hundred_times_too_large_are_divided_and_told(dbn_file, read):
    found = read(dbn_file("trades", [trade(0, price=550025.0)]))
    assert found.joined("price").tolist() == [5500.25]
    assert found.log.notes == ["prices are in hundredths of a point, as 550025: divided by 100"]


def test_an_undefined_price_is_rejected(dbn_file, read):
    found = read(dbn_file("trades", [trade(0), trade(1, price=UNDEFINED), trade(2)]))
    assert found.joined("row").tolist() == [0, 2]
    assert found.reasons == {1: "the price is undefined"}


def test_spreads_are_left_out_and_contracts_told_apart(dbn_file, read):
    maps = [ESU4, Mapping("ESZ4", (7,)), Mapping("ESU4-ESZ4", (9,))]
    records = [trade(0), trade(1, instrument=9), trade(2, instrument=7), trade(3, instrument=4)]
    found = read(dbn_file("trades", records, maps))
    assert sorted(found.contracts) == ["ESU24", "ESZ24"]
    assert found.joined("row", "ESZ24").tolist() == [2]
    assert found.log.notes == [
        "1 records of instrument 4, which is no single contract, were left out",
        "1 records of ESU4-ESZ4, which is no single contract, were left out",
    ]


def test_an_id_that_changes_hands_follows_the_date(dbn_file, read):
    maps = [
        Mapping("ESU4", (118, date(2024, 7, 1), date(2024, 7, 2))),
        Mapping("ESZ4", (118, date(2024, 7, 2), date(2024, 7, 5))),
    ]
    found = read(dbn_file("trades", [trade(0), trade(0, ts=START + DAY), trade(1)], maps))
    assert found.joined("row", "ESU24").tolist() == [0, 2]
    assert found.joined("row", "ESZ24").tolist() == [1]


def test_a_continuous_symbol_needs_its_contract(dbn_file, read):
    path = dbn_file("trades", [trade(0)], [Mapping("ES.v.0", (118,))])
    with pytest.raises(FormatError, match=r"holds ES\.v\.0 and no contract such as ESU4"):
        read(path)
    assert read(path, contract="ESU24").contracts == ["ESU24"]


def test_a_symbol_that_stands_for_no_instrument_is_refused(dbn_file, read):
    with pytest.raises(FormatError, match=r"maps ESU4 to 'ES\.FUT', which is no instrument id"):
        read(dbn_file("trades", [trade(0)], [Mapping("ESU4", ("ES.FUT",))]))


def test_what_holds_no_trades_is_refused_with_what_is_accepted(dbn_file, read):
    path = dbn_file("mbo", [])
    with pytest.raises(FormatError, match="holds mbo: accepted are trades, tbbo, mbp-1, ohlcv"):
        read(path)
    with pytest.raises(FormatError, match="holds several schemas"):
        read(dbn_file(None, []))
    with pytest.raises(FormatError, match="has no records"):
        read(dbn_file("trades", []))


def test_damage_is_a_format_error(dbn_file, read):
    path = dbn_file("trades", [trade(i) for i in range(50)])
    data = path.read_bytes()
    path.write_bytes(data[:30])
    with pytest.raises(FormatError, match="no readable DBN file"):
        read(path)
    path.write_bytes(b"\x28\xb5\x2f\xfd" + bytes(50))
    with pytest.raises(FormatError, match=r"data\.dbn is"):
        read(path)


def test_a_cut_file_gives_what_is_whole(dbn_file, read):
    path = dbn_file("trades", [trade(i) for i in range(50)])
    path.write_bytes(path.read_bytes()[:-20])
    found = read(path)
    assert len(found) == 49
    assert "truncated" in found.log.notes[0]


def test_without_the_package_the_cure_is_named(dbn_file, read, monkeypatch):
    path = dbn_file("trades", [trade(0)])
    monkeypatch.setitem(sys.modules, "databento", None)
    with pytest.raises(MiaError, match=r"pip install mia-trading\[databento\]"):
        read(path)


def test_a_file_in_blocks_is_the_same_file(dbn_file, read):
    path = dbn_file("trades", [trade(i, size=i + 1) for i in range(20)])
    whole, parts = read(path), read(path, chunk_rows=6)
    assert len(parts.blocks) == 4
    for name in ("ts_event", "size", "row"):
        np.testing.assert_array_equal(whole.joined(name), parts.joined(name))


ES_TRADES = "dbn/es/futures_trades_2024-07-01T23-58_2024-07-02T00-02.dbn.zst"
ES_BOOK = "dbn/es/futures_mbp-1_2024-07-01T23-58_2024-07-02T00-02.dbn.zst"
ES_BARS = "dbn/es/futures_ohlcv-1m_2024-07-01T23-40_2024-07-02T00-10.dbn.zst"


def test_real_trades_read_as_published_and_equal_those_of_the_book(real, read, ns):
    found = read(real(ES_TRADES))
    assert (found.contracts, len(found), found.total("size")) == (["ESU24"], 120, 253)
    side, size, price = (found.joined(name) for name in ("aggressor_side", "size", "price"))
    assert ((side > 0).sum(), size[side > 0].sum()) == (66, 142)
    assert ((side < 0).sum(), size[side < 0].sum()) == (54, 111)
    assert (price.min(), price.max()) == (5528.5, 5529.5)
    ts = found.joined("ts_event")
    assert ts[0] == ns("2024-07-01T23:58:01.218218853")
    assert ts[-1] == ns("2024-07-02T00:01:52.813445903")
    book_trades = read(real(ES_BOOK))
    for name in ("ts_event", "price", "size", "aggressor_side", "seq"):
        np.testing.assert_array_equal(book_trades.joined(name), found.joined(name), name)
    assert (book_trades.joined("ask_price") > book_trades.joined("bid_price")).all()


def test_real_bars_of_two_markets_read_as_published(real, read, ns):
    found = read(real(ES_BARS))
    assert (sorted(found.contracts), len(found)) == (["ESU24", "NQU24"], 60)
    assert found.total("volume") == 2_742
    place = found.joined("row", "NQU24").tolist().index(30)
    names = ("open", "high", "low", "close", "volume")
    assert [found.joined(name, "NQU24")[place] for name in names] == [
        20019.25, 20019.25, 20018.25, 20018.5, 14,
    ]  # fmt: skip
    assert found.joined("t_open", "NQU24")[place] == ns("2024-07-01T23:55:00")


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize(
    ("schema", "count", "total"),
    [("trades", 2, 26), ("tbbo", 2, 26), ("ohlcv-1h", 2, 122_083), ("ohlcv-1m", 2, 505),
     ("ohlcv-1s", 2, 70)],
)  # fmt: skip
def test_real_samples_of_every_version_read_alike(real, read, schema, count, total, version):
    found = read(real(f"dbn/versions/test_data.{schema}.v{version}.dbn.zst"))
    assert (found.contracts, len(found)) == (["ESH21"], count)
    bars = schema.startswith("ohlcv")
    assert found.total("volume" if bars else "size") == total
    # These samples carry the prices of their bars a hundred times too large.
    assert bool(found.log.notes) == bars
    assert 3700 < found.joined("close" if bars else "price").min() < 3750


@pytest.mark.parametrize(
    "name", ["definition.v1", "imbalance.v2", "mbo.v3", "mbp-10.v3", "statistics.v1", "status.v2"]
)
def test_real_samples_without_trades_are_refused(real, read, name):
    with pytest.raises(FormatError, match="accepted are trades, tbbo, mbp-1"):
        read(real(f"dbn/versions/test_data.{name}.dbn.zst"))


WHOLE = struct.Struct("<BBHIQqIccBBQiI")
"""A trade as the format has it, for reading records by other means than the package."""


@fuzz(60)
@given(
    st.lists(st.tuples(st.integers(0, 12 * 48 - 1), st.integers(0, 255)), min_size=1, max_size=8),
    st.integers(0, 60),
)
def test_a_trade_of_a_damaged_file_is_what_its_bytes_say(dbn_file, damage, cut):
    path = dbn_file("trades", [trade(i, size=i + 1) for i in range(12)])
    data = bytearray(path.read_bytes())
    first = len(data) - 12 * 48
    for place, value in damage:
        # Length and kind tell where the next record begins: damage to them has its own test.
        if place % 48 >= 2:
            data[first + place] = value
    path.write_bytes(data[: len(data) - cut])
    log = ImportLog()
    try:
        blocks = list(databento_dbn.read(path, ReadOptions(contract="ESU24"), log))
    except FormatError:
        return
    for block in blocks:
        for k, row in enumerate(block.row.tolist()):
            said = WHOLE.unpack_from(data, first + 48 * row)
            assert (block.ts_event[k], block.size[k]) == (said[4], said[6])
            assert block.price[k] == said[5] / 1e9
            assert block.aggressor_side[k] == {b"B": 1, b"A": -1}.get(said[8], 0)
            assert said[5] != UNDEFINED


@fuzz(60)
@given(
    st.lists(st.tuples(st.integers(0, 700), st.binary(max_size=6)), min_size=1, max_size=6),
    st.booleans(),
)
def test_no_bytes_make_the_reader_crash(dbn_file, damage, zipped):
    path = dbn_file("trades", [trade(i) for i in range(6)])
    data = bytearray(path.read_bytes())
    if zipped:
        data = bytearray(zstandard.compress(bytes(data)))
    for spot, piece in damage:
        place = min(spot, len(data))
        data[place : place + len(piece)] = piece
    path.write_bytes(data)
    try:
        blocks = list(databento_dbn.read(path, ReadOptions(), ImportLog()))
    except MiaError:
        return
    assert all(len(block) for block in blocks)
