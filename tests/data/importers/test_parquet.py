"""Plain tables in Parquet."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from mia.errors import FormatError

START = 1_719_840_600_000_000_000
MINUTE = 60_000_000_000


@pytest.fixture
def parquet(tmp_path):
    def write(columns, metadata=None, name="ESU24_data.parquet", **options):
        path = tmp_path / name
        pq.write_table(pa.table(columns).replace_schema_metadata(metadata), path, **options)
        return path

    return write


def bar_columns(count=4, **more):
    times = [START + i * MINUTE for i in range(count)]
    prices = {name: pa.array([22000] * count, pa.int32()) for name in TICK_NAMES}
    return {
        "ts_utc": pa.array(times, pa.timestamp("ns", "UTC")),
        **prices,
        "volume": pa.array(range(1, count + 1), pa.int32()),
        **more,
    }


TICK_NAMES = ("open_tick", "high_tick", "low_tick", "close_tick")


def trade_columns(**more):
    return {
        "ts_event": pa.array([START, START, START + 5]),
        "price": pa.array([5500.0, 5500.25, 5500.5]),
        "size": pa.array([1, 2, 3], pa.int32()),
        **more,
    }


def test_bars_in_ticks_read_as_points(parquet, read):
    found = read(parquet(bar_columns(front=[True, True, False, None])))
    assert found.joined("close").tolist() == [5500.0] * 3
    assert found.joined("volume").tolist() == [1, 2, 3]
    assert found.joined("front").tolist() == [True, True, False]
    assert found.blocks[0].width_s == 60
    assert found.reasons == {3: "front is missing"}


def test_contracts_are_told_apart_and_share_their_slots(parquet, read):
    names = pa.array(["ESU24", "ESZ24", "ESU24", "gold"]).dictionary_encode()
    found = read(parquet(bar_columns(contract=names), name="mixed.parquet"))
    assert found.contracts == ["ESU24", "ESZ24"]
    assert found.joined("volume", "ESU24").tolist() == [1, 3]
    assert found.joined("row", "ESZ24").tolist() == [1]
    assert found.reasons == {3: "contract is no contract of the form ESU19"}


def test_metadata_tells_contract_width_and_kind(parquet, read):
    path = parquet(bar_columns(2), {"contract": "ESZ24", "bar": "5min"})
    found = read(path)
    assert (found.contracts, found.blocks[0].width_s) == (["ESZ24"], 300)
    assert read(path, bar_seconds=60).blocks[0].width_s == 60
    with pytest.raises(FormatError, match="says it holds ESZ24, not ESU24"):
        read(path, contract="ESU24")
    assert read(parquet(trade_columns(), {"kind": "fill"})).blocks[0].kind == "fill"


def test_trades_with_gaps_in_what_may_be_unknown(parquet, read):
    found = read(
        parquet(
            trade_columns(
                side=["B", None, "sell"],
                bid_price=[5499.75, None, 0.0],
                bid_size=pa.array([7, None, 9], pa.int32()),
            )
        )
    )
    assert found.joined("aggressor_side").tolist() == [1, -1]
    assert found.joined("bid_size").tolist() == [7, 9]
    assert np.isnan(found.joined("bid_price")).tolist() == [False, True]
    assert found.reasons == {1: "side is no side"}


def test_trades_without_side_have_an_unknown_one(parquet, read):
    assert read(parquet(trade_columns())).joined("aggressor_side").tolist() == [0, 0, 0]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_timestamps_of_any_resolution(parquet, read, unit):
    times = pa.array([START // 10**9] * 3, pa.timestamp("s")).cast(pa.timestamp(unit))
    columns = {**trade_columns(), "ts_event": times}
    assert read(parquet(columns)).joined("ts_event").tolist() == [START] * 3
    chicago = read(parquet(columns), time_zone="America/Chicago").joined("ts_event")
    assert chicago.tolist() == [START + 5 * 3600 * 10**9] * 3


def test_missing_times_and_counts_reject_their_row(parquet, read):
    columns = trade_columns()
    columns["ts_event"] = pa.array([START, None, START])
    columns["size"] = pa.array([None, 2, 3], pa.int64())
    found = read(parquet(columns))
    assert found.joined("row").tolist() == [2]
    assert found.reasons == {0: "size is missing", 1: "ts_event is missing"}


def test_a_price_that_is_no_number_is_left_to_the_store(parquet, read):
    found = read(parquet({**trade_columns(), "price": [5500.0, None, float("nan")]}))
    assert np.isnan(found.joined("price")).tolist() == [False, True, True]


def test_whole_prices_are_refused_since_they_may_be_ticks(parquet, read):
    columns = {**trade_columns(), "price": pa.array([22000, 22001, 22002])}
    with pytest.raises(FormatError, match="may be points or ticks: call it price_tick"):
        read(parquet(columns))


@pytest.mark.parametrize(
    ("column", "values"),
    [("price", ["a", "b", "c"]), ("size", [0.5, 1.0, 2.0]), ("ts_event", ["a", "b", "c"]),
     ("front", [1, 0, 1]), ("contract", [1, 2, 3]), ("side", [0.5, 1.0, 2.0])],
)  # fmt: skip
def test_a_column_of_another_type_is_refused(parquet, read, column, values):
    columns = trade_columns()
    if column == "front":
        columns = bar_columns(3)
    with pytest.raises(FormatError, match=f"{column} has type"):
        read(parquet({**columns, column: values}))


def test_a_file_in_blocks_is_the_same_file(parquet, read):
    path = parquet(bar_columns(50), row_group_size=20)
    whole, parts = read(path), read(path, chunk_rows=7)
    assert len(parts.blocks) > 7
    for name in ("t_open", "close", "volume", "row"):
        np.testing.assert_array_equal(whole.joined(name), parts.joined(name))
    assert parts.steps[-1] == (path.stat().st_size,) * 2


def test_damage_is_a_format_error(parquet, read):
    path = parquet(trade_columns())
    data = path.read_bytes()
    for cut in (4, 50, len(data) - 1):
        path.write_bytes(data[:cut])
        with pytest.raises(FormatError, match="no readable Parquet file"):
            read(path)
    path.write_bytes(data[:20] + bytes(40) + data[60:])
    with pytest.raises(FormatError):
        read(path)


def test_an_empty_table_is_refused(parquet, read):
    columns = {name: column[:0] for name, column in trade_columns().items()}
    with pytest.raises(FormatError, match="has no rows"):
        read(parquet(columns))


YEARS = {
    2014: (1_324, 2_723_736, 915_410, 1_387_736, 1_336_000, 8355, 8203),
    2015: (70_311, 362_446_868, 122_560_391, 181_607_299, 180_839_569, 8536, 7324),
    2016: (69_691, 395_920_146, 135_355_469, 198_323_633, 197_596_513, 9113, 7210),
    2017: (69_354, 299_544_060, 81_390_003, 149_346_652, 150_196_936, 10793, 8958),
    2018: (69_519, 366_089_044, 159_490_216, 183_053_574, 183_035_451, 11779, 9267),
    2019: (69_593, 326_328_505, 155_253_182, 162_644_080, 163_684_425, 13016, 9754),
    2020: (69_857, 410_322_265, 236_542_084, 204_869_884, 205_452_381, 15012, 8696),
}


def test_real_five_minute_bars_add_up_year_by_year(real, read, ns, tmp_path):
    # Later bars are kept for the one test that must not have seen them.
    until = pa.scalar(ns("2021-01-01"), pa.int64()).cast(pa.timestamp("ns", "UTC"))
    table = pq.read_table(
        real("es_5m_bidask_2014-12_2021-12.parquet"), filters=pc.field("ts_utc") < until
    )
    path = tmp_path / "bars.parquet"
    pq.write_table(table, path)
    found = read(path, chunk_rows=50_000)
    assert (len(found), found.log.rejected_count) == (419_649, 0)
    assert (found.contracts[0], found.contracts[-1]) == ("ESH15", "ESH21")
    assert {block.width_s for block in found.blocks} == {300}
    t_open, high, low = (found.joined(name) for name in ("t_open", "high", "low"))
    for year, (rows, *counts, top, bottom) in YEARS.items():
        which = (t_open >= ns(str(year))) & (t_open < ns(str(year + 1)))
        names = ("volume", "trades", "bid_volume", "ask_volume")
        assert which.sum() == rows
        assert [int(found.joined(name)[which].sum()) for name in names] == counts
        assert (high[which].max() * 4, low[which].min() * 4) == (top, bottom)
    middle = np.flatnonzero(t_open == ns("2018-06-28T18:20"))[0]
    assert found.joined("row")[middle] == 244_964
    names = ("open", "high", "low", "close", "volume", "trades", "front")
    assert [found.joined(name)[middle] for name in names] == [
        2713.75, 2718.0, 2713.75, 2717.0, 15_418, 6_631, True,
    ]  # fmt: skip


def test_real_trades_read_as_published(real, read, ns):
    found = read(real("es_trades_20190809.parquet"))
    assert (found.contracts, len(found), found.total("size")) == (["ESU19"], 325_253, 1_962_653)
    ts, price, size = (found.joined(name) for name in ("ts_event", "price", "size"))
    assert (ts[0], ts[-1]) == (ns("2019-08-08T22:00:00"), ns("2019-08-09T20:59:59"))
    assert (price.max() * 4, price.min() * 4, size.max()) == (11743, 11596, 899)
    assert (ts[162_626], price[162_626] * 4, size[162_626]) == (ns("2019-08-09T14:52:12"), 11663, 1)
    assert not found.joined("aggressor_side").any()
    assert found.blocks[0].kind == "summary"


@pytest.mark.parametrize(
    ("root", "volume", "bid", "ask", "high", "low", "middle"),
    [
        ("es", 3_990_476, 1_994_164, 1_996_312, 28026, 27006, (27735, 27736, 27730, 27734, 250)),
        ("nq", 1_586_860, 790_534, 796_326, 101789, 96959, (100158, 100160, 100124, 100151, 157)),
    ],
)
def test_real_minute_bars_of_2026_read_as_published(
    real, read, ns, root, volume, bid, ask, high, low, middle
):
    path = real(f"{root}_1m_bidask_20260206_20260210.parquet")
    with pytest.raises(FormatError, match="give it with --symbol"):
        read(path)
    found = read(path, contract=f"{root.upper()}H26")
    assert (len(found), found.blocks[0].width_s) == (4_140, 60)
    sums = [found.total(name) for name in ("volume", "bid_volume", "ask_volume")]
    assert sums == [volume, bid, ask]
    assert (found.joined("high").max() * 4, found.joined("low").min() * 4) == (high, low)
    t_open = found.joined("t_open")
    assert (t_open[0], t_open[-1]) == (ns("2026-02-05T23:00:00"), ns("2026-02-10T21:59:00"))
    prices = [found.joined(name)[2070] * 4 for name in ("open", "high", "low", "close")]
    assert (*prices, found.joined("volume")[2070]) == middle


def test_real_minute_bars_of_2013_equal_the_lean_files_they_come_from(real, read, ns):
    table = read(real("es_1m_lean_2013.parquet"))
    assert (len(table), table.total("volume")) == (22_246, 17_929_969)
    assert len(table.joined("row", "ESZ13")) == 16_673
    for day, rows in (("2013-10-07", 1_671), ("2013-12-20", 2_062)):
        zipped = read(real(f"lean/{day.replace('-', '')}_trade.zip"))
        assert len(zipped) == rows
        for contract in zipped.contracts:
            t_open = table.joined("t_open", contract)
            which = (t_open >= ns(day)) & (t_open < ns(day) + 86_400 * 10**9)
            for name in ("t_open", "open", "high", "low", "close", "volume"):
                np.testing.assert_array_equal(
                    zipped.joined(name, contract), table.joined(name, contract)[which], name
                )
