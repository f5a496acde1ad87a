"""Plain text tables."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mia.data.importers import csv_plain
from mia.errors import FormatError


@pytest.fixture
def table(tmp_path):
    def write(text, name="ESU24_data.csv"):
        path = tmp_path / name
        path.write_text(text, newline="")
        return path

    return write


BARS = "t_open,open,high,low,close,volume\n"


def test_trades_with_everything(table, read, ns):
    found = read(
        table(
            "contract,ts_event,price,size,aggressor_side,bid_price,ask_price,bid_size,ask_size,seq\n"
            "ESU24,2024-07-01T13:30:00.123456789Z,5500.25,3,B,5500.00,5500.25,10,,7\n"
            "ESZ24,1719840600123456789,5560.50,1,sell,,0,,4,8\n"
        )
    )
    assert found.contracts == ["ESU24", "ESZ24"]
    assert found.joined("ts_event").tolist() == [ns("2024-07-01T13:30:00.123456789")] * 2
    assert found.joined("aggressor_side").tolist() == [1, -1]
    assert found.joined("bid_size").tolist() == [10, -1]
    assert found.joined("ask_size").tolist() == [-1, 4]
    assert found.joined("bid_price")[0] == 5500.0
    assert np.isnan(found.joined("bid_price")[1])
    assert np.isnan(found.joined("ask_price")[1])
    assert found.joined("seq").tolist() == [7, 8]


def test_of_several_contracts_one_can_be_chosen(table, read):
    path = table(
        "symbol;time_utc;Trade Price;QTY\n"
        "ESU24;2024-07-01 13:30:00;5500;3\nESZ24;2024-07-01 13:30:01;5560;1\n"
    )
    assert read(path, contract="ESZ24").joined("size").tolist() == [1]
    with pytest.raises(FormatError, match="holds no trades or bars of ESH25"):
        read(path, contract="ESH25")


def test_bars_in_ticks_have_the_scale_of_a_tick(table, read, ns):
    path = table(
        "ts_utc\topen_tick\thigh_tick\tlow_tick\tclose_tick\tvolume\tbid_vol\task_vol\tfills\tfront\n"
        "2024-07-01T13:30:00Z\t22000\t22004\t21999\t22001\t10\t4\t6\t8\ttrue\n"
        "2024-07-01T13:31:00Z\t22000\t22004\t21999\t22001\t10\t4\t6\t8\t0\n"
    )
    found = read(path)
    assert found.joined("close").tolist() == [5500.25, 5500.25]
    assert found.blocks[0].width_s == 60
    assert found.joined("front").tolist() == [True, False]
    assert (found.total("bid_volume"), found.total("trades")) == (8, 16)


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2024-07-01T13:30:00Z", "2024-07-01T13:30:00"),
        ("2024-07-01 08:30:00-05:00", "2024-07-01T13:30:00"),
        ("2024-07-01T13:30:00.5Z", "2024-07-01T13:30:00.5"),
        ("2024-07-01T13:30:00.123456789+00:00", "2024-07-01T13:30:00.123456789"),
        ("2024-07-01T13:30", "2024-07-01T13:30:00"),
    ],
)
def test_times_in_several_forms(table, read, ns, text, utc):
    found = read(table(f"ts_event,price,size\n{text},5500.25,1\n"))
    assert found.joined("ts_event").tolist() == [ns(utc)]


def test_a_time_without_offset_goes_by_the_zone_given(table, read, ns):
    path = table(
        "ts_event,price,size\n2024-07-01T08:30:00.000000007,5500,1\n2024-07-01T13:30:00Z,5500,1\n"
    )
    found = read(path, time_zone="America/Chicago").joined("ts_event")
    assert found.tolist() == [ns("2024-07-01T13:30:00.000000007"), ns("2024-07-01T13:30:00")]


@given(
    st.lists(
        st.one_of(
            st.integers(0, 2**62).map(lambda ns: f"{np.datetime64(ns, 'ns')}Z"),
            st.integers(0, 2**32).map(lambda s: f"{np.datetime64(s, 's')}Z"),
            st.from_regex(
                r"20[0-9]{2}-[01][0-9]-[0-3][0-9][T ][0-2][0-9]:[0-6][0-9]:[0-6]0(\.[0-9]{0,10})?Z",
                fullmatch=True,
            ),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_the_quick_way_to_read_times_gives_what_the_slow_one_gives(texts):
    quick = csv_plain._utc_times(texts)
    if quick is not None:
        assert [(ns, True) for ns in quick.tolist()] == [csv_plain.parse_iso(t) for t in texts]


@pytest.mark.parametrize(
    "text",
    ["", "x", "2024-07-01", "1719840600", "1719840600123", "2024-13-01T00:00:00Z",
     "2024-07-01T13:30:00.1234567890Z", "2024-07-01T13:30:00.Z", "1950-01-01T00:00:00Z"],
)  # fmt: skip
def test_what_is_no_time_is_rejected(table, read, text):
    path = table(f"ts_event,price,size\n2024-07-01T13:30:00Z,5500,1\n{text},5500,1\n")
    found = read(path)
    assert len(found) == 1
    assert found.reasons == {3: f"ts_event is neither ISO 8601 nor ns since 1970: {text!r}"}


def test_sides_that_mean_two_things_are_rejected(table, read):
    path = table(
        "ts_event,price,size,side\n"
        "2024-07-01T13:30:00Z,5500,1,A\n2024-07-01T13:30:00Z,5500,1,buy\n"
        "2024-07-01T13:30:00Z,5500,1,\n"
    )
    found = read(path)
    assert found.joined("aggressor_side").tolist() == [1, 0]
    assert "side is none of 1, +1, b, buy" in found.reasons[2]


def test_a_row_of_no_contract_is_rejected(table, read):
    path = table(
        "contract,ts_event,price,size\n"
        "ESU24,2024-07-01T13:30:00Z,5500,1\nGCZ24,2024-07-01T13:30:00Z,5500,1\n"
    )
    found = read(path)
    assert found.contracts == ["ESU24"]
    assert "'GCZ24' is not a contract" in found.reasons[3]


def test_prices_in_two_units_are_refused(table, read):
    path = table("t_open,open_tick,high,low,close,volume\n2024-07-01T13:30:00Z,1,2,3,4,5\n")
    with pytest.raises(FormatError, match="prices in points and in ticks"):
        read(path)


def test_columns_of_neither_are_told_with_what_is_missing(table, read):
    with pytest.raises(FormatError, match="bars lack open, high, low, close; trades lack price"):
        read(table("ts_event,size,colour\n1,2,3\n"))


def test_a_file_without_a_usable_row_is_an_error_with_the_first_reason(table, read):
    with pytest.raises(FormatError, match=r"none of 1 rows could be parsed, the first \(row 2\)"):
        read(table("ts_event,price,size\n2024-07-01T13:30:00Z,5500,one\n"))
    with pytest.raises(FormatError, match="holds no trades or bars"):
        read(table("ts_event,price,size\n"))


def test_trailing_delimiters_do_no_harm(table, read):
    path = table("ts_event,price,size\n2024-07-01T13:30:00Z,5500,1,,\n")
    assert len(read(path)) == 1
