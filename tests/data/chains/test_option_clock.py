from datetime import UTC, datetime

import pytest

from mia.core.chain import Root
from mia.data.chains import option_clock


def ns(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 10**9


@pytest.mark.parametrize(
    ("root", "expiry", "utc"),
    [
        (Root.SPX, 20240119, "2024-01-19 14:30"),
        (Root.SPXW, 20240119, "2024-01-19 21:00"),
        (Root.SPXW, 20240708, "2024-07-08 20:00"),
        (Root.SPXW, 20231124, "2023-11-24 18:00"),
        (Root.SPXW, 20240703, "2024-07-03 17:00"),
        (Root.SPX, 20140118, "2014-01-17 14:30"),
        (Root.SPXW, 20240101, "2023-12-29 21:00"),
        (Root.SPX, 20311219, "2031-12-19 14:30"),
    ],
)
def test_am_series_settle_on_the_opening_and_pm_series_on_the_close(
    root: Root, expiry: int, utc: str
) -> None:
    assert option_clock.settlement(root, expiry) == ns(utc)


def test_a_date_that_does_not_exist_has_no_settlement() -> None:
    with pytest.raises(ValueError, match="day is out of range"):
        option_clock.settlement(Root.SPX, 20240231)


@pytest.mark.parametrize(
    ("downloaded", "quotes"),
    [
        ("2024-01-17 15:00", "2024-01-17 14:45"),
        ("2024-01-17 14:44", "2024-01-16 21:15"),
        ("2024-01-17 14:45", "2024-01-17 14:30"),
        ("2024-01-17 21:29", "2024-01-17 21:14"),
        ("2024-01-17 23:00", "2024-01-17 21:15"),
        ("2024-01-18 04:00", "2024-01-17 21:15"),
        ("2024-01-07 15:52", "2024-01-05 21:15"),
        ("2024-01-15 17:00", "2024-01-12 21:15"),
        ("2023-11-24 20:00", "2023-11-24 18:15"),
    ],
)
def test_quotes_are_a_quarter_of_an_hour_old_or_those_of_the_last_close(
    downloaded: str, quotes: str
) -> None:
    assert option_clock.delayed_quotes_time(ns(downloaded)) == ns(quotes)


@pytest.mark.parametrize(
    ("received", "occ", "cboe"),
    [
        ("2024-01-17 20:00", 20240116, 20240116),
        ("2024-01-17 15:20", 20240116, 20240112),
        ("2024-01-17 11:29", 20240112, 20240112),
        ("2024-01-17 11:30", 20240116, 20240112),
        ("2024-01-20 15:00", 20240119, 20240118),
        ("2024-01-22 11:00", 20240119, 20240118),
        ("2024-01-22 15:30", 20240119, 20240119),
    ],
)
def test_open_interest_is_never_called_newer_than_it_surely_is(
    received: str, occ: int, cboe: int
) -> None:
    assert option_clock.occ_session(ns(received)) == occ
    assert option_clock.cboe_session(ns(received)) == cboe
