from collections import deque
from datetime import UTC, datetime

import pytest
from trading_cases import COLLECT, LIVE, PAPER, SESSION, at, some_facts

from mia.errors import DataError
from mia.strategies.session_facts import LONG_AGO
from mia.strategies.session_hours import NEVER, session_hours


def utc(*when: int) -> int:
    return int(datetime(*when, tzinfo=UTC).timestamp()) * 1_000_000_000


def test_paper_hours_of_a_winter_tuesday() -> None:
    hours = session_hours(SESSION, PAPER)
    assert hours.start == at("09:35") == utc(2025, 11, 18, 14, 35)
    assert hours.last_entry == hours.flat_at == at("15:40")
    assert hours.half_after == at("15:00")
    assert hours.friday_cut == NEVER


def test_hours_follow_the_wall_clock_across_the_change_of_clocks() -> None:
    # Friday before (UTC-5) and Monday after (UTC-4) 9 March 2025
    assert session_hours(20250307, LIVE).start == utc(2025, 3, 7, 14, 40)
    assert session_hours(20250310, LIVE).start == utc(2025, 3, 10, 13, 40)


def test_a_friday_ends_its_entries_at_15_00() -> None:
    assert session_hours(20251121, PAPER).friday_cut == utc(2025, 11, 21, 20, 0)


def test_data_collection_never_halves() -> None:
    assert session_hours(SESSION, COLLECT).half_after == NEVER


def test_an_early_close_ends_the_hours() -> None:
    # 28 November 2025 closes at 13:00 New York
    hours = session_hours(20251128, PAPER, t_rth_close=utc(2025, 11, 28, 18, 0))
    assert hours.flat_at == utc(2025, 11, 28, 17, 55)
    assert hours.last_entry == utc(2025, 11, 28, 17, 55)


def test_entries_may_end_earlier_than_positions() -> None:
    hours = session_hours(SESSION, PAPER, end_min=15)
    assert (hours.last_entry, hours.flat_at) == (at("15:30"), at("15:40"))


def test_facts_that_must_survive_a_restart_do() -> None:
    facts = some_facts(last_stop_out=at("10:00"))
    facts.record_accepted(at("09:50"))
    facts.record_accepted(at("10:05"))
    other = some_facts()
    other.restore(facts.to_dict())
    assert other.accepted == deque([at("09:50"), at("10:05")])
    assert other.last_stop_out == at("10:00")


@pytest.mark.parametrize("state", [{}, {"accepted": [1]}, {"accepted": 3, "last_stop_out": 1}])
def test_damaged_facts_are_refused_and_change_nothing(state) -> None:
    facts = some_facts()
    with pytest.raises(DataError, match="session facts are damaged"):
        facts.restore(state)
    assert (list(facts.accepted), facts.last_stop_out) == ([], LONG_AGO)
