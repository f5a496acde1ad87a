"""Wall-clock times of New York, above all on the days on which clocks change."""

from datetime import UTC, datetime, timedelta

import pytest
from fuzz import fuzz
from hypothesis import given
from hypothesis import strategies as st

from mia.core.iqfeed.eastern_time import EasternTime, to_eastern

NS = 1_000_000_000


def utc(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp()) * NS


@pytest.mark.parametrize(
    ("day", "time", "expected"),
    [
        (b"2025-03-10", b"09:30:00", utc(2025, 3, 10, 13, 30)),
        (b"2025-01-10", b"09:30:00.000001", utc(2025, 1, 10, 14, 30) + 1000),
        (b"01/10/2025", b"23:59:59.5", utc(2025, 1, 11, 4, 59, 59) + 500_000_000),
        (b"2025-03-09", b"01:59:59", utc(2025, 3, 9, 6, 59, 59)),
        (b"2025-03-09", b"03:00:00", utc(2025, 3, 9, 7)),
        (b"2025-11-02", b"00:59:59", utc(2025, 11, 2, 4, 59, 59)),
        (b"2025-11-02", b"02:00:00", utc(2025, 11, 2, 7)),
        (b"2025-11-02", b"18:00:00", utc(2025, 11, 2, 23)),
    ],
)
def test_times_of_new_york_become_utc(day, time, expected):
    assert EasternTime().ns(day, time, 0) == expected


def test_the_hour_that_comes_twice_is_told_apart_by_what_is_past():
    first, second = utc(2025, 11, 2, 5, 30), utc(2025, 11, 2, 6, 30)
    eastern = EasternTime()
    assert eastern.ns(b"2025-11-02", b"01:30:00", 0) == first
    assert eastern.ns(b"2025-11-02", b"01:30:00", first) == first
    assert eastern.ns(b"2025-11-02", b"01:30:00", first + 1) == second


def test_the_hour_that_is_left_out_does_not_exist():
    with pytest.raises(ValueError, match="was left out when clocks were set forward"):
        EasternTime().ns(b"2025-03-09", b"02:30:00", 0)


@pytest.mark.parametrize(
    ("day", "time"),
    [
        (b"2025-3-10", b"09:30:00"),
        (b"2025-02-30", b"09:30:00"),
        (b"20250310", b"09:30:00"),
        (b"2025-03-10", b"24:00:00"),
        (b"2025-03-10", b"09:60:00"),
        (b"2025-03-10", b"09:30:60"),
        (b"2025-03-10", b"09:30"),
        (b"2025-03-10", b"09:30:0_"),
        (b"2025-03-10", b"09:30:00."),
        (b"2025-03-10", b"09:30:00.1234567"),
        (b"2025-03-10", b"09:30:00,5"),
        (b"+025-03-10", b"09:30:00"),
    ],
)
def test_anything_else_is_refused(day, time):
    with pytest.raises(ValueError, match=r".+"):
        EasternTime().ns(day, time, 0)


@fuzz(300)
@given(st.integers(utc(2015, 1, 1) // 1000, utc(2030, 1, 1) // 1000), st.booleans())
def test_there_and_back_again(us, american):
    ts = us * 1000
    at = to_eastern(ts)
    day = at.strftime("%m/%d/%Y" if american else "%Y-%m-%d").encode()
    time = at.strftime("%H:%M:%S.%f").encode()
    assert EasternTime().ns(day, time, ts) == ts


def test_days_are_right_around_every_change():
    eastern, hour = EasternTime(), timedelta(hours=1)
    at, end = datetime(2024, 10, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)
    previous = 0
    while at < end:
        ts = int(at.timestamp()) * NS
        wall = to_eastern(ts)
        found = eastern.ns(
            wall.strftime("%Y-%m-%d").encode(), wall.strftime("%H:%M:%S").encode(), previous + 1
        )
        assert found == ts
        previous, at = ts, at + hour
