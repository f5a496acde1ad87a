"""Orders by themselves: what clients hear of them, when they fill, how they change and end."""

from dataclasses import replace

import pytest
from gateway.exchange_samples import ACCOUNT, CLIENT, ES, MES, Market, order

from mia.errors import BrokerError
from mia.gateway.venue.order_rules import Refusal


def test_a_market_order_is_told_in_the_order_of_the_wire():
    market = Market()
    market.place(order(1))
    market.trade(100, 101)
    assert market.heard.said == [
        ("openOrder", 1, "PreSubmitted"),
        ("orderStatus", 1, "PreSubmitted"),
        ("openOrder", 1, "Submitted"),
        ("orderStatus", 1, "Submitted"),
        ("execution", 1, 1),
        ("openOrder", 1, "Filled"),
        ("orderStatus", 1, "Filled"),
        ("position", "ESZ25", ACCOUNT),
    ]
    assert market.heard.fills() == [(1, 1, 1, 101)]


def test_a_stop_order_waits_for_its_trigger():
    market = Market()
    market.place(order(1, "SELL", 2, "STP", 95))
    assert market.status(1) == ("PreSubmitted", "trigger")
    market.trade(96)
    assert market.heard.fills() == []
    market.trade(95)
    assert market.heard.fills() == [(1, -1, 2, 94)]


def test_a_limit_order_fills_in_parts_as_the_market_trades_through():
    market = Market()
    market.place(order(1, "BUY", 5, "LMT", 100))
    market.trade(99, sizes=[2])
    record = market.heard.statuses[-1]
    assert (record.status, record.filled, record.remaining) == ("Submitted", 2, 3)
    market.trade(100, 99, sizes=[9, 9])
    assert [(e.quantity, e.cumulative) for e in market.heard.executions] == [(2, 2), (3, 5)]
    assert market.heard.statuses[-1].average_price == 25.0
    assert market.status(1) == ("Filled", "")


def test_a_stop_limit_order_shows_that_it_was_triggered():
    market = Market()
    market.place(replace(order(1, "BUY", 1, "STP LMT", 100), limit_price=25.25))
    market.trade(99)
    assert market.status(1) == ("PreSubmitted", "trigger")
    market.trade(100)
    assert market.status(1) == ("Submitted", "")
    market.trade(100)
    assert market.heard.fills() == [(1, 1, 1, 101)]


def test_a_request_acts_after_its_latency():
    market = Market(latency_ns=1_500_000_000)
    market.place(order(1))
    market.trade(100, 101)
    assert market.heard.fills() == [(1, 1, 1, 102)]


def test_without_latency_an_order_is_at_the_exchange_at_once():
    market = Market(latency_ns=0)
    market.place(order(1, "BUY", 1, "LMT", 90))
    assert market.status(1) == ("Submitted", "")


def test_a_new_price_moves_the_order_and_is_told():
    market = Market()
    market.place(order(1, "SELL", 1, "STP", 90))
    market.wait()
    market.place(order(1, "SELL", 1, "STP", 95))
    market.trade(96)
    assert market.heard.open_orders[-1].order.aux_price == 23.75
    market.trade(94)
    assert market.heard.fills() == [(1, -1, 1, 93)]


def test_a_new_quantity_keeps_what_is_filled():
    market = Market()
    market.place(order(1, "BUY", 3, "LMT", 100))
    market.trade(99, sizes=[1])
    market.place(order(1, "BUY", 5, "LMT", 100))
    market.trade(99, sizes=[9])
    assert [e.quantity for e in market.heard.executions] == [1, 4]
    assert market.heard.statuses[-1].order.quantity == 5


def test_an_order_cannot_shrink_below_what_is_filled():
    market = Market()
    market.place(order(1, "BUY", 3, "LMT", 100))
    market.trade(99, sizes=[2])
    market.place(order(1, "BUY", 2, "LMT", 100))
    assert market.heard.codes() == [(1, 321)]
    market.trade(99)
    assert market.position() == 3


def test_a_limit_order_can_become_a_market_order():
    market = Market()
    market.place(order(1, "BUY", 1, "LMT", 80))
    market.wait()
    market.place(order(1, "BUY", 1, "MKT"))
    market.trade(100)
    assert market.heard.fills() == [(1, 1, 1, 101)]


def test_a_change_that_loses_the_race_against_the_fill_is_refused():
    market = Market(latency_ns=1_500_000_000)
    market.place(order(1))
    market.wait(1)
    market.place(order(1, "BUY", 2))
    market.trade(100, 100)
    assert market.heard.codes() == [(1, 104)]
    assert market.position() == 1


@pytest.mark.parametrize(
    "changed",
    [{"action": "SELL"}, {"oca_group": "other"}, {"parent_id": 9}, {"account": "DU2"}],
)
def test_a_change_must_leave_it_the_same_order(changed):
    market = Market(accounts=(ACCOUNT, "DU2"))
    market.place(order(1, "BUY", 1, "LMT", 90))
    market.place(replace(order(1, "BUY", 1, "LMT", 90), **changed))
    assert market.heard.codes() == [(1, 105)]
    market.place(order(1, "BUY", 1, "LMT", 90), contract=MES)
    assert market.heard.codes() == [(1, 105), (1, 105)]


def test_a_cancelled_order_is_pending_until_the_exchange_has_it():
    market = Market()
    market.place(order(1, "BUY", 1, "LMT", 90))
    market.wait()
    market.exchange.cancel(CLIENT, 1)
    market.exchange.cancel(CLIENT, 1)
    assert market.status(1) == ("PendingCancel", "")
    market.wait()
    assert market.heard.said[-3:] == [
        ("openOrder", 1, "Cancelled"),
        ("orderStatus", 1, "Cancelled"),
        ("error", 1, 202),
    ]
    market.trade(80)
    assert market.position() == 0


def test_a_cancellation_that_loses_the_race_says_so():
    market = Market(latency_ns=1_500_000_000)
    market.place(order(1))
    market.wait(1)
    market.exchange.cancel(CLIENT, 1)
    market.trade(100, 100)
    assert market.status(1) == ("Filled", "")
    assert market.heard.codes() == [(1, 10148)]
    assert market.heard.errors[-1][3].endswith("state: Filled.")


def test_cancelling_what_is_unknown_or_done_is_an_error():
    market = Market()
    market.exchange.cancel(CLIENT, 5)
    market.place(order(1))
    market.trade(100)
    market.exchange.cancel(CLIENT, 1)
    assert market.heard.codes() == [(5, 10147), (1, 10148)]


def test_the_same_order_id_under_two_clients_is_two_orders():
    market = Market()
    market.place(order(1, "BUY", 1, "LMT", 90), client=1)
    market.place(order(1, "BUY", 1, "LMT", 80), client=2)
    market.exchange.cancel(2, 1)
    market.wait()
    (left,) = market.exchange.open_orders()
    assert (left.client_id, left.order.limit_price) == (1, 22.5)
    assert [r.client_id for r in market.heard.statuses if r.status == "Cancelled"] == [2]
    assert market.exchange.open_orders(2) == []


def test_the_id_of_a_finished_order_cannot_be_used_again():
    market = Market()
    market.place(order(1))
    market.trade(100)
    market.place(order(1))
    assert market.heard.codes() == [(1, 103)]


def test_a_staged_order_is_silent_until_it_is_transmitted():
    market = Market()
    staged = order(1, "BUY", 1, "LMT", 100, transmit=False)
    market.place(staged)
    market.trade(90)
    assert market.heard.said == []
    assert market.exchange.open_orders() == []
    market.place(replace(staged, transmit=True, limit_price=24.5))
    market.trade(97)
    assert market.heard.fills() == [(1, 1, 1, 98)]


def test_a_staged_order_can_be_cancelled():
    market = Market()
    market.place(order(1, transmit=False))
    market.exchange.cancel(CLIENT, 1)
    assert market.heard.said == [("orderStatus", 1, "Cancelled"), ("error", 1, 202)]


def test_global_cancel_ends_the_orders_of_everyone():
    market = Market()
    market.place(order(1, "BUY", 1, "LMT", 90), client=1)
    market.place(order(1, "BUY", 1, "LMT", 90), client=2)
    market.exchange.place_by_hand(order(0, "BUY", 1, "LMT", 90), ES)
    market.exchange.global_cancel()
    market.wait()
    assert market.exchange.open_orders() == []
    assert sorted(client for client, _, code, _ in market.heard.errors if code == 202) == [0, 1, 2]


def test_an_immediate_order_ends_with_the_next_trade():
    market = Market()
    market.place(order(1, "BUY", 5, "LMT", 100, tif="IOC"))
    market.trade(99, 99, sizes=[2, 9])
    assert market.heard.fills() == [(1, 1, 2, 100)]
    told = [r.status for r in market.heard.statuses]
    assert told[-2:] == ["PendingCancel", "Cancelled"]
    market.place(order(2, "BUY", 5, tif="IOC"))
    market.trade(99)
    assert market.status(2) == ("Filled", "")


@pytest.mark.parametrize(
    ("price", "size", "expected"), [(99, 5, "Filled"), (99, 4, "Inactive"), (100, 9, "Inactive")]
)
def test_fill_or_kill_takes_all_or_nothing(price, size, expected):
    market = Market()
    market.place(order(1, "BUY", 5, "LMT", 100, tif="FOK"))
    market.trade(price, 90, sizes=[size, 90])
    assert market.status(1) == (expected, "")
    assert market.position() == (5 if expected == "Filled" else 0)


def test_a_large_fill_can_be_told_in_parts():
    market = Market(largest_fill=2)
    market.place(order(1, "BUY", 5))
    market.trade(100)
    assert [e.quantity for e in market.heard.executions] == [2, 2, 1]
    assert [r.status for r in market.heard.statuses[-3:]] == ["Submitted", "Submitted", "Filled"]


def test_an_order_may_be_ended_by_the_exchange_at_any_time():
    market = Market()
    market.place(order(1, "BUY", 1, "LMT", 90))
    market.wait()
    (record,) = market.exchange.open_orders()
    market.exchange.end_order(record.perm_id, "Inactive", 201, "Order rejected - reason:later")
    assert market.status(1) == ("Inactive", "")
    assert market.heard.codes() == [(1, 201)]
    with pytest.raises(BrokerError, match="permanent id 5"):
        market.exchange.end_order(5, "Cancelled", 202, "")


def test_orders_can_be_refused_at_will():
    market = Market()
    market.exchange.refuse_orders(
        lambda client, each: Refusal(201, "Order rejected - reason:no") if client == 1 else None
    )
    market.place(order(1), client=1)
    market.place(order(1), client=2)
    assert market.heard.codes() == [(1, 201)]
    assert [r.status for r in market.heard.statuses if r.client_id == 1] == ["Inactive"]
