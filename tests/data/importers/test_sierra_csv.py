"""Text exports of Sierra Chart."""

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mia.core.base_types import BarBlock
from mia.data.exporters import write_sierra_csv
from mia.data.importers import sierra_csv
from mia.data.importers.reading import ImportLog, ReadOptions
from mia.errors import ConfigError, DataError, FormatError

HEADER = "Date, Time, Open, High, Low, Last, Volume, NumberOfTrades, BidVolume, AskVolume"
STUDY_HEADER = (
    "Date,Time,Open,High,Low,Last,Volume,# of Trades,OHLC Avg,HLC Avg,HL Avg,"
    "Bid Volume,Ask Volume,Open,Volume"
)
TRADES_HEADER = (
    "Date;Time;Sequence;DepthSequence;Price;Volume;TradeType;AskPrice;BidPrice;AskSize;BidSize"
)
SUMMER = 1_690_000_200 * 1_000_000_000


def bar_line(time, date="2023/7/21", close="4500.25"):
    return f"{date}, {time}, 4500.00, 4501.00, 4499.75, {close}, 10, 8, 4, 6"


@pytest.fixture
def bars_file(tmp_path):
    def write(*lines, header=HEADER, end="\n", name="ESU23-CME.scid_BarData.txt", lead=b""):
        path = tmp_path / name
        path.write_bytes(lead + "".join(line + end for line in (header, *lines)).encode())
        return path

    return write


@pytest.fixture
def trades_file(tmp_path):
    def write(*lines):
        path = tmp_path / "ESU23_tbt.txt"
        path.write_text("\n".join((TRADES_HEADER, *lines)))
        return path

    return write


@given(
    st.lists(
        st.tuples(st.integers(1, 40), st.lists(st.integers(17000, 19000), min_size=4, max_size=4)),
        min_size=3,
        max_size=20,
    ),
    st.sampled_from(["America/Chicago", "UTC", "Asia/Tokyo", "America/New_York"]),
)
def test_what_is_written_comes_back(tmp_path_factory, rows, zone):
    path = tmp_path_factory.mktemp("sierra") / "ESU23-CME.scid_BarData__5m.txt"
    count = len(rows)
    prices = np.array([row[1] for row in rows], np.int32).T
    volume = np.array([row[0] for row in rows], np.int64)
    bars = BarBlock(
        "ESU23",
        300,
        SUMMER + np.arange(count) * 300_000_000_000,
        *prices,
        volume,
        volume // 2,
        volume - volume // 2,
        np.minimum(volume, 7),
    )
    assert write_sierra_csv(path, bars, zone) == count
    (back,) = sierra_csv.read_bars(path, ReadOptions(time_zone=zone), ImportLog())
    assert (back.contract, back.width_s) == ("ESU23", 300)
    for name in ("t_open", "volume", "bid_volume", "ask_volume", "trades"):
        np.testing.assert_array_equal(getattr(back, name), getattr(bars, name), name)
    for name in ("open", "high", "low", "close"):
        np.testing.assert_array_equal(getattr(back, name), getattr(bars, name) * 0.25, name)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("lead", [b"", b"\xef\xbb\xbf", b"\n\n"])
def test_line_ends_marks_and_blank_lines_change_nothing(bars_file, read, ns, end, lead):
    path = bars_file(*map(bar_line, ("08:30:00", "08:35:00", "08:40:00")), end=end, lead=lead)
    found = read(path)
    assert found.joined("t_open").tolist() == [
        ns(f"2023-07-21T13:{minute}:00") for minute in (30, 35, 40)
    ]
    assert found.log.rejected_count == 0


def test_line_ends_may_be_mixed(tmp_path, read):
    path = tmp_path / "ESU23.txt"
    lines = [HEADER + "\r\n", bar_line("08:30:00") + "\n", bar_line("08:31:00") + "\r"]
    path.write_bytes("".join([*lines, bar_line("08:32:00")]).encode())
    assert read(path).joined("row").tolist() == [2, 3, 4]


@pytest.mark.parametrize("date", ["2023/7/21", "2023-7-21", "2023/07/21", "2023-07-21"])
@pytest.mark.parametrize("time", ["08:30:00", "8:30:00", "08:30:00.000", "08:30:00.000000"])
def test_dates_and_times_come_in_several_forms(bars_file, read, ns, date, time):
    later = bar_line("08:31:00")
    found = read(bars_file(bar_line(time, date), later))
    assert found.joined("t_open")[0] == ns("2023-07-21T13:30:00")


def test_a_fraction_of_a_bar_time_is_decimal(bars_file, read, ns):
    path = bars_file(bar_line("08:30:00.250"), bar_line("08:31:00.250"))
    assert read(path).joined("t_open")[0] == ns("2023-07-21T13:30:00.250")


def test_of_repeated_columns_the_first_counts(bars_file, read):
    row = "2023-7-21,08:3{}:00,4500,4501,4499,4500.5,12,8,1,2,3,5,7,99,98"
    found = read(bars_file(row.format(0), row.format(1), header=STUDY_HEADER))
    assert found.joined("open").tolist() == [4500.0, 4500.0]
    names = ("volume", "trades", "bid_volume", "ask_volume")
    assert [found.total(name) for name in names] == [24, 16, 10, 14]


def test_bars_without_sides_have_none(bars_file, read):
    row = "2023/7/21,08:3{}:00,4500,4501,4499,4500.5,12"
    found = read(
        bars_file(row.format(0), row.format(1), header="Date,Time,Open,High,Low,Last,Volume")
    )
    assert found.joined("bid_volume") is None
    assert found.joined("trades") is None


def test_the_zone_decides_and_summer_time_counts(bars_file, read, ns):
    lines = (bar_line("08:30:00", "2023/1/20"), bar_line("08:30:00"), bar_line("08:35:00"))
    chicago = read(bars_file(*lines), bar_seconds=300)
    assert chicago.joined("t_open")[:2].tolist() == [
        ns("2023-01-20T14:30:00"),
        ns("2023-07-21T13:30:00"),
    ]
    berlin = read(bars_file(*lines), bar_seconds=300, time_zone="Europe/Berlin")
    assert berlin.joined("t_open")[0] == ns("2023-01-20T07:30:00")
    with pytest.raises(ConfigError, match="unknown time zone 'Chicago'"):
        read(bars_file(*lines), time_zone="Chicago")


def test_times_that_the_clock_skips_or_repeats_are_rejected(bars_file, read):
    lines = (
        bar_line("01:30:00", "2023/3/12"),
        bar_line("02:30:00", "2023/3/12"),
        bar_line("01:30:00", "2023/11/5"),
        bar_line("02:30:00", "2023/11/5"),
    )
    found = read(bars_file(*lines), bar_seconds=300)
    assert found.joined("row").tolist() == [2, 5]
    assert found.reasons == {
        3: "the time does not exist in America/Chicago: the clocks changed",
        4: "the time exists twice in America/Chicago: the clocks changed",
    }


def test_rows_that_cannot_be_parsed_are_named_and_the_rest_is_read(bars_file, read):
    good = bar_line("08:30:00")
    found = read(
        bars_file(
            good,
            bar_line("08:35:00", close="4,500"),
            bar_line("08:40:00", close="abc"),
            bar_line("08:45:00", close="1_000"),
            bar_line("24:00:00"),
            bar_line("08:50"),
            bar_line("08:55:00", date="2023/2/30"),
            bar_line("08:55:00", date="1900/1/1"),
            good.replace(" 10,", " 10.5,"),
            "2023/7/21, 08:55:00, 4500",
            "\N{SNOWMAN}",
            bar_line("08:31:00"),
        )
    )
    assert found.joined("row").tolist() == [2, 13]
    assert found.reasons == {
        3: "10 fields expected, 11 found",
        4: "last is no number: 'abc'",
        5: "last is no number: '1_000'",
        6: "no time of day: '24:00:00'",
        7: "no time of day: '08:50'",
        8: "no date: '2023/2/30'",
        9: "no date: '1900/1/1'",
        10: "volume is no whole number: '10.5'",
        11: "10 fields expected, 3 found",
        12: "10 fields expected, 1 found",
    }
    assert found.log.rejected[0].text == bar_line("08:35:00", close="4,500")


def test_values_are_left_to_the_store_to_judge(bars_file, read):
    found = read(
        bars_file(
            bar_line("08:35:00"),
            bar_line("08:30:00", close="nan"),
            bar_line("08:25:00").replace(" 10,", " -10,"),
        ),
        bar_seconds=300,
    )
    assert found.joined("row").tolist() == [2, 3, 4]
    assert found.joined("volume").tolist() == [10, 10, -10]
    assert np.isnan(found.joined("close")[1])


def test_bars_without_a_fixed_width_need_one(bars_file, read):
    path = bars_file(*map(bar_line, ("08:30:00", "08:31:00", "08:33:00", "08:37:00")))
    with pytest.raises(FormatError, match="the times of its 4 bars show no fixed width"):
        read(path)
    assert read(path, bar_seconds=60).blocks[0].width_s == 60


def test_a_missing_column_is_named(bars_file, read):
    with pytest.raises(FormatError, match="has no column 'last'"):
        read(bars_file(bar_line("08:30:00"), header=HEADER.replace("Last", "Study")))
    with pytest.raises(FormatError, match="one of BidVolume and AskVolume"):
        read(bars_file(bar_line("08:30:00"), header=HEADER.replace("BidVolume", "Study")))


def test_a_file_in_blocks_is_the_same_file(bars_file, read):
    lines = [bar_line(f"08:{minute:02d}:00") for minute in range(50)]
    path = bars_file(*lines)
    whole, parts = read(path), read(path, chunk_rows=7)
    assert len(parts.blocks) == 8
    for name in ("t_open", "close", "volume", "row"):
        np.testing.assert_array_equal(whole.joined(name), parts.joined(name))
    assert parts.steps[-1] == (path.stat().st_size,) * 2


def test_a_trade_fraction_is_a_count_without_leading_zeros(trades_file, read, ns):
    row = "2023-07-21;13:30:00.{};{};1;4500.25;2;{};4500.25;4500.00;5;6"
    path = trades_file(
        row.format(5000, 10, 2),
        row.format(5001, 11, 1),
        row.format(64000, 12, 2),
        row.format(274003, 13, 0),
    )
    found = read(path)
    assert found.joined("ts_event").tolist() == [
        ns(f"2023-07-21T13:30:00.{ms}") for ms in ("005", "005", "064", "274")
    ]
    assert found.joined("seq").tolist() == [10, 11, 12, 13]
    assert found.joined("aggressor_side").tolist() == [1, -1, 1, 0]
    assert found.joined("bid_price").tolist() == [4500.0] * 4
    assert found.joined("ask_size").tolist() == [5] * 4
    assert found.blocks[0].kind == "fill"


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    zeros = np.zeros(0, np.int64)
    bars = BarBlock("ESU23", 300, zeros, *[zeros.astype(np.int32)] * 4, *[zeros] * 4)
    (tmp_path / "none").write_text("a file where a folder is needed")
    with pytest.raises(DataError, match="cannot write"):
        write_sierra_csv(tmp_path / "none" / "ESU23.txt", bars)


@pytest.mark.parametrize(
    ("name", "rows", "volume", "trades", "bid", "ask", "high", "low", "first", "last"),
    [
        ("ESH20", 16_883, 116_440_104, 63_077_395, 58_166_972, 58_273_132, 3397.5, 2274.75,
         "2019-12-23T00:00:00", "2020-03-20T13:25:00"),
        ("ESU19", 17_502, 86_077_510, 40_812_998, 42_937_079, 43_140_431, 3029.5, 2775.75,
         "2019-06-24T00:00:00", "2019-09-20T13:25:00"),
        ("ESZ18", 17_460, 114_140_176, 53_596_400, 57_127_648, 57_012_509, 2944.75, 2441.0,
         "2018-09-24T00:00:00", "2018-12-21T14:25:00"),
    ],
)  # fmt: skip
def test_real_exports_read_as_published_and_equal_the_same_bars_in_parquet(
    real, read, ns, name, rows, volume, trades, bid, ask, high, low, first, last
):
    found = read(real(f"sierra_csv/{name}-CME.scid_BarData__5m.txt"))
    assert (found.contracts, len(found), found.log.rejected_count) == ([name], rows, 0)
    counts = ("volume", "trades", "bid_volume", "ask_volume")
    assert [found.total(count) for count in counts] == [volume, trades, bid, ask]
    assert (found.joined("high").max(), found.joined("low").min()) == (high, low)
    t_open = found.joined("t_open")
    assert (t_open[0], t_open[-1]) == (ns(first), ns(last))
    table = pq.read_table(
        real("es_5m_bidask_2014-12_2021-12.parquet"), filters=pc.field("contract") == name
    )
    columns = {
        "t_open": table["ts_utc"].cast("int64"),
        "open": pc.multiply(table["open_tick"].cast("float64"), 0.25),
        "high": pc.multiply(table["high_tick"].cast("float64"), 0.25),
        "low": pc.multiply(table["low_tick"].cast("float64"), 0.25),
        "close": pc.multiply(table["close_tick"].cast("float64"), 0.25),
        "volume": table["volume"],
        "trades": table["fills"],
        "bid_volume": table["bid_vol"],
        "ask_volume": table["ask_vol"],
    }
    for column, expected in columns.items():
        np.testing.assert_array_equal(found.joined(column), expected.to_numpy(), column)


def test_the_real_trade_export_reads_as_published(real, read, ns):
    found = read(real("sierra_dom/es_tbt_dom_20220124.txt"), contract="ESH22")
    assert (len(found), found.total("size")) == (2_026, 2_846)
    ts, side, size = (found.joined(name) for name in ("ts_event", "aggressor_side", "size"))
    assert (ts[0], ts[-1]) == (ns("2022-01-24T13:30:00.005"), ns("2022-01-24T13:31:00.955"))
    assert (np.diff(ts) >= 0).all()
    assert (np.diff(found.joined("seq")) > 0).all()
    assert ((side < 0).sum(), size[side < 0].sum()) == (1_010, 1_414)
    assert ((side > 0).sum(), size[side > 0].sum()) == (1_016, 1_432)
    price = found.joined("price")
    assert (price.min(), price.max()) == (4343.25, 4347.75)
    middle = [found.joined(name)[1013] for name in ("seq", "price", "size", "ask_size", "bid_size")]
    assert middle == [2317597, 4346.0, 1, 10, 22]
