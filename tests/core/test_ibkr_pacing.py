import pytest
from hypothesis import given
from hypothesis import strategies as st

from mia.core.ibkr.pacing import HistoryBudget, HistoryLimits, MessageBudget, MessageLimits


def test_requests_leave_room_for_orders():
    budget = MessageBudget(MessageLimits(per_second=40, kept_for_orders=20))
    for _ in range(20):
        assert budget.delay(0.0) == 0.0
        budget.spend(0.0)
    assert budget.delay(0.0) == pytest.approx(1.0)
    for _ in range(20):
        assert budget.delay(0.5, order=True) == 0.0
        budget.spend(0.5)
    assert budget.delay(0.5, order=True) == pytest.approx(0.5)


@given(st.lists(st.tuples(st.floats(0.0, 0.2), st.booleans()), max_size=200))
def test_no_second_holds_more_than_the_limit(messages):
    budget = MessageBudget(MessageLimits(per_second=10, kept_for_orders=4))
    now, sent = 0.0, []
    for gap, is_order in messages:
        now += gap
        if not budget.delay(now, order=is_order):
            budget.spend(now)
            sent.append((now, is_order))
    for at, _ in sent:
        within = [order for time, order in sent if at <= time < at + 1.0]
        assert len(within) <= 10


@given(st.integers(1, 60))
def test_after_the_delay_there_is_room(count):
    budget = MessageBudget(MessageLimits(per_second=10, kept_for_orders=4))
    now = 0.0
    for _ in range(count):
        now += budget.delay(now)
        assert budget.delay(now + 1e-9) == 0.0
        budget.spend(now)


def test_lock_step_knows_no_pace():
    budget = MessageBudget(MessageLimits(per_second=0))
    for _ in range(1000):
        budget.spend(0.0)
    assert budget.delay(0.0) == 0.0


def test_limits_that_let_nothing_through_are_refused():
    with pytest.raises(ValueError, match="leave something"):
        MessageLimits(per_second=10, kept_for_orders=10)


def test_sixty_requests_for_history_fill_ten_minutes():
    budget = HistoryBudget(HistoryLimits())
    now = 0.0
    for k in range(60):
        now += budget.delay(now, f"series {k}", f"request {k}")
        budget.spend(now, f"series {k}", f"request {k}")
    assert now == 0.0
    assert budget.delay(10.0, "another", "another") == pytest.approx(590.0)


def test_bid_and_ask_cost_twice():
    budget = HistoryBudget(HistoryLimits(requests=60, burst=1000))
    for k in range(30):
        budget.spend(0.0, "quotes", f"request {k}", 2)
    assert budget.delay(1.0, "quotes", "one more", 2) == pytest.approx(599.0)


def test_a_series_is_not_asked_for_in_a_burst():
    budget = HistoryBudget(HistoryLimits(burst=5, burst_s=2.0))
    for k in range(5):
        budget.spend(0.0, "trades of ESZ25", f"page {k}")
    assert budget.delay(0.5, "trades of ESZ25", "page 5") == pytest.approx(1.5)
    assert budget.delay(0.5, "trades of ESH26", "page 0") == 0.0


def test_the_same_question_waits_fifteen_seconds():
    budget = HistoryBudget(HistoryLimits())
    budget.spend(0.0, "bars", "one day to noon")
    assert budget.delay(5.0, "bars", "one day to noon") == pytest.approx(10.0)
    assert budget.delay(5.0, "bars", "one day to one") == 0.0


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 2)), max_size=80))
def test_waiting_as_told_keeps_every_window(requests):
    limits = HistoryLimits(requests=10, window_s=60.0, burst=3, burst_s=2.0, repeat_s=15.0)
    budget = HistoryBudget(limits)
    now, sent = 0.0, []
    for k, (series, weight) in enumerate(requests):
        for _ in range(20):
            delay = budget.delay(now, str(series), str(k), weight)
            now += delay
            if not delay:
                break
        budget.spend(now, str(series), str(k), weight)
        sent.append((now, series, weight))
    for at, series, _ in sent:
        wide = sum(cost for time, _, cost in sent if at <= time < at + 59.999)
        tight = sum(cost for time, of, cost in sent if of == series and at <= time < at + 1.999)
        assert wide <= 10
        assert tight <= 3
