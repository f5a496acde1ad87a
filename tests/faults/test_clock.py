"""Decisions by the session, over ten years of days, daylight saving and clocks that jump."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas_market_calendars
import pytest

from faults.harness import N, record
from mia.core import sessions
from mia.core.market_status import MarketStatus

pytestmark = pytest.mark.slow

CHICAGO = ZoneInfo("America/Chicago")
NEW_YORK = ZoneInfo("America/New_York")
SECOND = 1_000_000_000
FIRST, LAST = 2016, 2025
# Days that the package has otherwise than the exchange had them; see the script that makes the
# calendar.
CORRECTED = {
    datetime(2018, 12, 5).date(),
    datetime(2024, 3, 29).date(),
    datetime(2025, 1, 9).date(),
    datetime(2025, 4, 18).date(),
}


def _ns(moment: datetime) -> int:
    return int(moment.timestamp()) * SECOND


def test_the_market_is_open_exactly_when_its_calendar_says_so() -> None:
    calendar = pandas_market_calendars.get_calendar("CME Globex Equity")
    schedule = calendar.schedule(f"{FIRST}-01-01", f"{LAST}-12-31")
    status = MarketStatus()
    decisions = wrong = changes = 0
    offset = None
    for day, row in schedule.iterrows():
        if day.date() in CORRECTED:
            continue
        start = row["market_open"].to_pydatetime()
        end = row["market_close"].to_pydatetime()
        local = start.astimezone(CHICAGO)
        changes += offset is not None and local.utcoffset() != offset
        offset = local.utcoffset()
        # Every edge from both sides, and every half hour between.
        moments = [(start, True), (end - timedelta(seconds=1), True), (end, False)]
        moments.append((start - timedelta(seconds=1), False))
        step = start + timedelta(minutes=30)
        while step < end - timedelta(minutes=1):
            moments.append((step, True))
            step += timedelta(minutes=30)
        for moment, expected in moments:
            clock = moment.astimezone(CHICAGO)
            paused = clock.hour == 15 and 15 <= clock.minute < 30 and clock.year < 2021
            if paused and expected:
                # Until 2021 the market rested from 15:15 to 15:30.
                continue
            decisions += 1
            wrong += status.is_open(_ns(moment)) is not expected
    assert changes == 2 * (LAST - FIRST + 1)
    assert decisions > 100_000
    assert wrong == 0
    record("sessions", years=LAST - FIRST + 1, decisions=decisions, zone_changes=changes, wrong=0)


@pytest.mark.parametrize("jump_s", [-3600, -1, 1, 3600])
def test_a_session_is_that_of_the_instant_whichever_way_the_clock_came(jump_s: int) -> None:
    random = np.random.default_rng(7)
    start = _ns(datetime(FIRST, 1, 4, 20, tzinfo=UTC))
    end = _ns(datetime(LAST, 12, 20, tzinfo=UTC))
    for ts in random.integers(start, end, 500 * N):
        before = sessions.session_id(int(ts))
        there = sessions.session_id(int(ts) + jump_s * SECOND)
        assert (there >= before) if jump_s > 0 else (there <= before)
        assert sessions.session_id(int(ts)) == before


def test_regular_hours_are_those_of_the_wall_in_new_york_on_both_sides_of_a_change() -> None:
    wrong = checked = 0
    for sid in sessions.trading_days(FIRST * 10_000 + 105, LAST * 10_000 + 1219):
        day = datetime(sid // 10_000, sid // 100 % 100, sid % 100, 9, 30, tzinfo=NEW_YORK)
        table = sessions.session_table(sid, sid)[0]
        if int(table["t_rth_close"]) <= _ns(day):
            continue
        checked += 1
        wrong += not sessions.in_rth(_ns(day)) or sessions.in_rth(_ns(day) - 1)
    assert checked > 2400
    assert wrong == 0
