"""Uptime counts the open market only, by the clock of the market, session by session."""

from typing import Any

import pytest

from mia.core import sessions
from mia.data.account_history import UPTIME
from mia.trader.uptime import UptimeKeeper

SECOND = 1_000_000_000
FRIDAY, MONDAY = 20251114, 20251117
OPEN = sessions.session_open(FRIDAY)
(FIRST, CLOSE), *_ = sessions.expected_intervals(FRIDAY)


class Kept:
    def __init__(self) -> None:
        self.events: list[tuple[int, dict[str, Any]]] = []
        self.ready = True
        self.keeper = UptimeKeeper(self.append, lambda: self.ready)

    def append(self, kind: str, payload: dict[str, Any], *, ts: int) -> int:
        assert kind == UPTIME
        self.events.append((ts, payload))
        return len(self.events)

    def beats(self, since: int, until: int, step: int = SECOND) -> None:
        for ts in range(since, until + 1, step):
            self.keeper.publish("beat", ts)


@pytest.fixture
def kept() -> Kept:
    return Kept()


def test_seconds_before_the_open_and_after_the_close_do_not_count(kept) -> None:
    kept.beats(FIRST - 100 * SECOND, FIRST + 50 * SECOND)
    assert (kept.keeper.ready_s, kept.keeper.open_s) == (50.0, 50.0)
    late = Kept()
    late.beats(CLOSE - 30 * SECOND, CLOSE + 600 * SECOND)
    assert (late.keeper.ready_s, late.keeper.open_s) == (30.0, 30.0)


def test_a_second_counts_as_ready_only_if_it_began_and_ended_so(kept) -> None:
    kept.beats(FIRST, FIRST + 10 * SECOND)
    kept.ready = False
    kept.beats(FIRST + 11 * SECOND, FIRST + 20 * SECOND)
    kept.ready = True
    kept.beats(FIRST + 21 * SECOND, FIRST + 30 * SECOND)
    assert (kept.keeper.ready_s, kept.keeper.open_s) == (19.0, 30.0)


def test_it_is_written_once_a_minute(kept) -> None:
    kept.beats(FIRST, FIRST + 200 * SECOND)
    assert [ts for ts, _ in kept.events] == [FIRST + k * 60 * SECOND for k in (1, 2, 3)]
    assert kept.events[-1][1] == {"session_id": FRIDAY, "ready_s": 180.0, "open_s": 180.0}
    kept.keeper.save()
    assert kept.events[-1][1]["ready_s"] == 200.0


def test_a_weekend_leads_from_one_session_to_the_next(kept) -> None:
    kept.beats(CLOSE - 3600 * SECOND, sessions.session_open(MONDAY) + 7200 * SECOND, 60 * SECOND)
    by_session = {said["session_id"]: said for _, said in kept.events}
    assert by_session[FRIDAY]["ready_s"] == by_session[FRIDAY]["open_s"] == 3600.0
    assert by_session[MONDAY]["ready_s"] == by_session[MONDAY]["open_s"] == 7200.0


def test_a_start_on_a_weekend_counts_the_session_that_comes(kept) -> None:
    opens = sessions.session_open(MONDAY)
    kept.beats(opens - 86_400 * SECOND, opens + 60 * SECOND, 60 * SECOND)
    assert kept.events[-1][1] == {"session_id": MONDAY, "ready_s": 60.0, "open_s": 60.0}


def test_a_step_over_many_minutes_loses_nothing(kept) -> None:
    kept.beats(OPEN, OPEN)
    kept.beats(CLOSE + SECOND, CLOSE + SECOND)
    assert kept.keeper.open_s == (CLOSE - FIRST) / 1e9


def test_beyond_the_calendar_nothing_is_counted_and_nothing_fails(kept, caplog) -> None:
    kept.beats(0, 5 * SECOND)
    kept.keeper.save()
    assert kept.keeper.open_s == 0.0
    assert "uptime is not counted" in caplog.text
