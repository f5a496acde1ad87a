from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from mia.data.calendar import NewsCalendar, NewsEvent, import_events, read_csv, read_ics
from mia.errors import DataError, FormatError

MINUTE = 60 * 10**9


def new_york(text: str) -> int:
    return (
        int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("America/New_York")).timestamp())
        * 10**9
    )


CSV_UTC = """ts_utc,name,impact
2024-01-31T19:00:00Z,FOMC Statement,High
2024-02-02 13:30:00,Nonfarm Payrolls,high
2024-02-05T15:00:00+00:00,ISM Services,medium
"""
CSV_LOCAL = """date,time,tz,name,impact
2024-01-31,14:00,America/New_York,FOMC Statement,high
2024-02-02,07:30,America/Chicago,Nonfarm Payrolls,high
2024-02-05,10:00:00,America/New_York,ISM Services,medium
"""
ICS = """BEGIN:VCALENDAR
VERSION:2.0
BEGIN:VEVENT
DTSTART;TZID=America/New_York:20240131T140000
SUMMARY:FOMC Statement\\, press
  conference
END:VEVENT
BEGIN:VEVENT
DTSTART:20240202T133000Z
SUMMARY:Nonfarm Payrolls
END:VEVENT
BEGIN:VEVENT
DTSTART;VALUE=DATE:20240219
SUMMARY:Presidents' Day
END:VEVENT
END:VCALENDAR
"""


def write(path: Path, text: str) -> Path:
    path.write_text(text, newline="")
    return path


def test_both_spellings_of_a_csv_give_the_same_events(tmp_path: Path) -> None:
    utc = read_csv(write(tmp_path / "utc.csv", CSV_UTC))
    assert utc == read_csv(write(tmp_path / "local.csv", CSV_LOCAL))
    assert utc[0] == NewsEvent(new_york("2024-01-31T14:00"), "FOMC Statement", "high")
    assert [event.impact for event in utc] == ["high", "high", "medium"]


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_ical_lines_are_unfolded_and_zones_honoured(tmp_path: Path, line_end: str) -> None:
    events = read_ics(write(tmp_path / "a.ics", ICS.replace("\n", line_end)))
    assert events == [
        NewsEvent(new_york("2024-01-31T14:00"), "FOMC Statement, press conference", "high"),
        NewsEvent(new_york("2024-02-02T08:30"), "Nonfarm Payrolls", "high"),
    ]


@pytest.mark.parametrize(
    ("ts", "name"),
    [
        ("2024-01-31T13:29:59", None),
        ("2024-01-31T13:30:00", "FOMC Statement"),
        ("2024-01-31T14:59:59", "FOMC Statement"),
        ("2024-01-31T15:00:00", None),
        ("2024-02-02T08:14:59", None),
        ("2024-02-02T08:15:00", "Nonfarm Payrolls"),
        ("2024-02-02T08:44:59", "Nonfarm Payrolls"),
        ("2024-02-02T08:45:00", None),
        ("2024-02-05T10:00:00", None),
    ],
)
def test_windows_are_wider_for_the_fomc_and_none_below_high_impact(
    tmp_path: Path, ts: str, name: str | None
) -> None:
    calendar = NewsCalendar(read_csv(write(tmp_path / "a.csv", CSV_UTC)), [(20240131, 20240205)])
    event = calendar.window(new_york(ts))
    assert (event.name if event else None) == name


def test_an_uncovered_day_is_said_to_be_uncovered(tmp_path: Path) -> None:
    assert not NewsCalendar.load(tmp_path).covers(20240131)
    report = import_events(write(tmp_path / "a.csv", CSV_UTC), tmp_path)
    calendar = NewsCalendar.load(tmp_path)
    assert (report.first_session, report.last_session) == (20240131, 20240205)
    assert [calendar.covers(day) for day in (20240130, 20240131, 20240201, 20240206)] == [
        False,
        True,
        True,
        False,
    ]


def test_importing_again_adds_nothing_and_another_file_erases_nothing(tmp_path: Path) -> None:
    source = write(tmp_path / "a.csv", CSV_UTC)
    assert import_events(source, tmp_path).added == 3
    assert import_events(source, tmp_path).added == 0
    other = write(tmp_path / "b.csv", "ts_utc,name,impact\n2024-02-01T15:00:00Z,ISM,high\n")
    assert import_events(other, tmp_path, span=(20240201, 20240301)).added == 1
    calendar = NewsCalendar.load(tmp_path)
    assert len(calendar.events) == 4
    assert calendar.spans == ((20240131, 20240301),)


def test_replacing_drops_the_events_of_the_span_only(tmp_path: Path) -> None:
    import_events(write(tmp_path / "a.csv", CSV_UTC), tmp_path)
    moved = write(tmp_path / "b.csv", "ts_utc,name,impact\n2024-02-02T15:00:00Z,Payrolls,high\n")
    import_events(moved, tmp_path, replace=True)
    names = [event.name for event in NewsCalendar.load(tmp_path).events]
    assert names == ["FOMC Statement", "Payrolls", "ISM Services"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "when,what\n1,2\n", "columns must be"),
        ("a.csv", "ts_utc,name,impact\nyesterday,CPI,high\n", "line 2"),
        ("a.csv", "ts_utc,name,impact\n2024-01-01T00:00,CPI,huge\n", "impact must be one of"),
        ("a.csv", "date,time,tz,name,impact\n2024-01-02,10:00,Mars,CPI,high\n", "line 2"),
        ("a.csv", "date,time,tz,name,impact\n2024-01-02\n", "line 2"),
        ("a.csv", "ts_utc,name,impact\n", "has no event"),
        ("a.ics", "hello\n", "is no iCal file"),
        ("a.ics", ICS.replace(";TZID=America/New_York", ""), "has no time zone"),
        ("a.ics", ICS.replace("SUMMARY:Non", "RRULE:FREQ=DAILY\nSUMMARY:Non"), "by rule"),
    ],
)
def test_a_malformed_file_is_refused_in_one_line(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    with pytest.raises(FormatError, match=message) as caught:
        import_events(write(tmp_path / name, text), tmp_path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "calendar.parquet").exists()


def test_a_missing_or_damaged_file_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read"):
        import_events(tmp_path / "none.csv", tmp_path)
    (tmp_path / "calendar.parquet").write_bytes(b"PAR1 nonsense")
    with pytest.raises(DataError, match="cannot read"):
        NewsCalendar.load(tmp_path)
