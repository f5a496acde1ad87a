"""Levels of VIX."""

import pytest

from mia.data.importers import vix
from mia.data.importers.detect import detect
from mia.data.importers.reading import ImportLog
from mia.errors import FormatError

DAILY = "DATE,OPEN,HIGH,LOW,CLOSE\n"


@pytest.fixture
def levels(tmp_path):
    def read(text):
        path = tmp_path / "VIX_History.csv"
        path.write_text(text)
        assert detect(path) == "vix"
        log = ImportLog()
        return vix.read(path, log), log

    return read


def test_a_daily_close_is_known_at_quarter_past_four_in_new_york(levels, ns):
    found, _ = levels(DAILY + "01/19/2024,14.0,14.5,13.2,13.30\n07/19/2024,16.0,17.2,15.9,16.52\n")
    assert found.value.tolist() == [13.30, 16.52]
    assert found.ts_known.tolist() == [ns("2024-01-19T21:15"), ns("2024-07-19T20:15")]


def test_a_minute_is_known_when_it_is_over(levels, ns):
    found, _ = levels("ts_utc,close\n2024-07-19T13:30:00Z,16.5\n2024-07-19T13:31:00Z,16.6\n")
    assert found.ts_known.tolist() == [ns("2024-07-19T13:31"), ns("2024-07-19T13:32")]
    new_york, _ = levels("timestamp,VALUE\n2024-07-19 09:30:00,16.5\n")
    assert new_york.ts_known.tolist() == [ns("2024-07-19T13:31")]


def test_levels_come_out_in_order_and_once(levels):
    found, log = levels(DAILY + "07/19/2024,1,1,1,16\n07/18/2024,1,1,1,15\n07/19/2024,1,1,1,17\n")
    assert found.value.tolist() == [15.0, 17.0]
    assert log.notes == ["1 rows repeat a time: the last of each stays"]


def test_rows_that_cannot_be_are_rejected(levels):
    rows = "13/19/2024,1,1,1,16\n07/18/2024,1,1,1,\n07/19/2024,1,1,1,-3\n07/22/2024,1,1,1,nan\n"
    found, log = levels(DAILY + rows + "07/23/2024,1,1,1,15.5\n")
    assert found.value.tolist() == [15.5]
    assert [entry.reason for entry in log.rejected] == [
        "no date: '2024-13-19'",
        "close is no number: ''",
        "a level of -3 cannot be",
        "a level of nan cannot be",
    ]


def test_a_file_without_a_usable_row_is_an_error(levels):
    with pytest.raises(FormatError, match="has no row that can be used"):
        levels(DAILY + "x,1,1,1,15.5\n")


def test_a_table_of_something_else_is_refused(tmp_path):
    path = tmp_path / "levels.csv"
    path.write_text("ts_utc,gamma\n2024-07-19T13:30:00Z,1\n")
    with pytest.raises(FormatError, match="expected DATE to CLOSE a day"):
        vix.read(path, ImportLog())
