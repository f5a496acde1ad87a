from datetime import UTC, date, datetime

import pytest

from mia.data.synthetic import clock
from mia.errors import DataError, UsageError


def utc(ns):
    return datetime.fromtimestamp(ns / 1e9, UTC)


def test_a_session_runs_from_six_in_the_evening_to_five_in_new_york():
    (winter,) = clock.sessions(20240116, 1)
    (summer,) = clock.sessions(date(2024, 7, 2), 1)
    assert utc(winter.t_open) == datetime(2024, 1, 15, 23, tzinfo=UTC)
    assert utc(winter.t_close) == datetime(2024, 1, 16, 22, tzinfo=UTC)
    assert utc(summer.t_open) == datetime(2024, 7, 1, 22, tzinfo=UTC)
    assert summer.seconds == 23 * 3600


def test_the_session_after_a_change_of_clocks_opens_at_the_new_hour():
    (monday,) = clock.sessions(20240311, 1)
    assert utc(monday.t_open) == datetime(2024, 3, 10, 22, tzinfo=UTC)
    assert monday.seconds == 23 * 3600


def test_weekends_and_holidays_have_no_session_and_half_days_end_early():
    found = clock.sessions(20241220, 5)
    assert [s.session_id for s in found] == [20241220, 20241223, 20241224, 20241226, 20241227]
    assert [s.ordinal for s in found] == [0, 1, 2, 3, 4]
    assert utc(found[2].t_close) == datetime(2024, 12, 24, 18, 15, tzinfo=UTC)


def test_a_start_on_a_weekend_is_the_monday_after():
    assert clock.sessions(date(2024, 5, 4), 1)[0].session_id == 20240506


def test_the_pause_after_the_cash_close_is_that_of_its_years():
    assert len(clock.sessions(20190809, 1)[0].spans) == 2
    assert len(clock.sessions(20240506, 1)[0].spans) == 1


def test_no_session_is_longer_than_the_profile():
    for start in (20100104, 20121107, 20150105, 20190102):
        for session in clock.sessions(start, 20):
            assert session.seconds <= clock.SESSION_S


@pytest.mark.parametrize(
    ("day", "contract"),
    [
        (date(2024, 3, 8), "ESH24"),
        (date(2024, 3, 11), "ESM24"),
        (date(2024, 4, 1), "ESM24"),
        (date(2024, 12, 13), "ESZ24"),
        (date(2024, 12, 16), "ESH25"),
        (date(2025, 1, 2), "ESH25"),
    ],
)
def test_the_contract_rolls_on_the_monday_of_expiry_week(day, contract):
    assert clock.front_contract(day) == contract


def test_a_number_that_is_no_date_is_refused():
    with pytest.raises(DataError, match="20240230 is no session"):
        clock.sessions(20240230, 1)


def test_a_negative_number_of_days_is_refused():
    with pytest.raises(UsageError, match="must not be negative, was -1"):
        clock.sessions(20240102, -1)
