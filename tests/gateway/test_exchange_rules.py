"""What is refused and warned of, and what the hours of the market do to orders."""

from dataclasses import replace

import pytest
from gateway.exchange_samples import ACCOUNT, ES, MES, Market, at, bracket, future, order

from mia.gateway.venue import market_hours

NIGHT = at("2025-11-24 19:00:00")
SUNDAY = at("2025-11-23 12:00:00")
LIMIT = order(1, "BUY", 1, "LMT", 100)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"action": "SSHORT"}, 321),
        ({"quantity": 0}, 434),
        ({"quantity": -1}, 321),
        ({"order_type": "NONSENSE"}, 321),
        ({"order_type": "TRAIL"}, 387),
        ({"tif": "FOREVER"}, 321),
        ({"limit_price": None}, 403),
        ({"limit_price": 25.1}, 110),
        ({"limit_price": float("nan")}, 110),
        ({"limit_price": 1e300}, 110),
        ({"order_type": "STP", "aux_price": None}, 403),
        ({"order_type": "STP", "aux_price": 25.1}, 110),
        ({"order_type": "STP LMT", "aux_price": 25.0, "limit_price": 25.1}, 110),
        ({"order_type": "STP", "aux_price": 25.0, "tif": "IOC"}, 321),
        ({"order_type": "MKT", "tif": "GTD"}, 321),
        ({"tif": "GTD", "echo": {"goodTillDate": "tomorrow"}}, 321),
        ({"tif": "GTD", "echo": {"goodTillDate": "20200101-12:00:00"}}, 321),
        ({"oca_group": "G", "oca_type": 4}, 321),
        ({"account": "DU999"}, 321),
    ],
)
def test_an_order_that_is_none_gets_one_error_and_its_id_stays_free(changes, code):
    market = Market()
    market.place(replace(LIMIT, **changes))
    assert market.heard.codes() == [(1, code)]
    assert len(market.heard.said) == 1
    market.place(LIMIT)
    assert market.status(1) == ("PreSubmitted", "")


@pytest.mark.parametrize(
    "contract",
    [
        future(expiry="20250919", name="ESU25"),
        future(sec_type="OPT", name="SPX", strike=6000.0, right="C"),
    ],
)
def test_a_rejected_order_ends_inactive_and_its_id_is_used_up(contract):
    market = Market()
    market.place(LIMIT, contract=contract)
    assert market.heard.said == [("error", 1, 201), ("orderStatus", 1, "Inactive")]
    market.place(LIMIT)
    assert market.heard.codes()[-1] == (1, 103)
    assert market.exchange.next_order_id(7) == 2


def test_an_account_needs_the_margin_of_what_it_opens():
    market = Market(cash=30_000.0)
    market.place(order(1, "BUY", 2))
    assert market.heard.codes() == [(1, 201)]
    assert "30000.00" in market.heard.errors[0][3]
    market.place(order(2, "BUY", 1))
    market.trade(100)
    market.place(order(3, "SELL", 1))
    market.trade(100)
    assert market.position() == 0


def test_twenty_orders_of_a_side_and_contract_are_the_most():
    market = Market()
    for k in range(1, 22):
        market.place(order(k, "BUY", 1, "LMT", 50))
    market.place(order(30, "SELL", 1, "LMT", 150))
    market.place(order(31, "BUY", 1, "LMT", 50), contract=MES)
    assert market.heard.codes() == [(21, 201)]


def test_prices_beyond_the_limits_of_the_day_are_rejected():
    market = Market()
    market.exchange.set_price_limits("ESZ25", (90, 110))
    market.place(order(1, "BUY", 1, "LMT", 89), order(2, "BUY", 1, "LMT", 90))
    market.place(order(3, "BUY", 1, "LMT", 111), contract=MES)
    assert market.heard.codes() == [(1, 201), (3, 201)]


def test_an_order_that_finds_new_limits_at_the_exchange_is_cancelled():
    market = Market()
    market.place(order(1, "BUY", 1, "LMT", 89))
    market.exchange.set_price_limits("ESZ25", (90, 110))
    market.wait()
    assert market.status(1) == ("Cancelled", "")
    assert market.heard.codes() == [(1, 202)]


def test_nothing_fills_in_a_halt():
    market = Market()
    market.place(order(1))
    market.exchange.halt("ESZ25", True)
    market.trade(100, 101)
    assert market.heard.fills() == []
    market.exchange.halt("ESZ25", False)
    market.trade(102)
    assert market.heard.fills() == [(1, 1, 1, 103)]


def test_a_question_for_the_margin_places_nothing():
    market = Market()
    market.place(replace(order(1, "BUY", 2), what_if=True))
    (answer,) = market.heard.open_orders
    assert (answer.margin.initial_after, answer.margin.commission) == (48_000.0, 6.90)
    assert answer.margin.maintenance_after == pytest.approx(48_000 / 1.1)
    assert answer.margin.equity_after == 10_000_000.0
    assert len(market.heard.said) == 1
    assert market.exchange.open_orders() == []


def test_an_order_before_the_opening_waits_with_a_warning():
    market = Market(SUNDAY)
    market.place(order(1, tif="DAY"))
    assert market.heard.codes() == [(1, 399)]
    assert "2025-11-23 17:00:00 US/Central" in market.heard.errors[0][3]
    market.trade(100, start=at("2025-11-23 17:00:01"))
    assert market.position() == 1


def test_a_stop_outside_the_liquid_hours_waits():
    market = Market(NIGHT)
    market.place(order(1, "SELL", 1, "STP", 90, outside_rth=False))
    market.place(order(2, "SELL", 1, "STP", 90, outside_rth=True))
    assert market.heard.codes() == [(1, 399)]
    assert "2025-11-25 08:30:00 US/Central" in market.heard.errors[0][3]
    market.trade(80, 80)
    assert [f[0] for f in market.heard.fills()] == [2]
    market.trade(95, 80, start=at("2025-11-25 08:29:58"))
    assert [f[0] for f in market.heard.fills()] == [2]
    market.trade(85, start=at("2025-11-25 08:30:00"))
    assert [f[0] for f in market.heard.fills()] == [2, 1]


def test_a_stop_falls_asleep_at_the_end_of_the_liquid_hours():
    market = Market(at("2025-11-24 15:14:50"))
    market.place(order(1, "SELL", 1, "STP", 90, outside_rth=False))
    market.trade(100)
    market.trade(80, start=at("2025-11-24 15:15:00"))
    assert market.heard.fills() == []
    assert market.status(1) == ("PreSubmitted", "trigger")


def test_the_stop_of_a_bracket_without_outside_rth_leaves_it_naked_at_night():
    market = Market(NIGHT)
    market.place(*bracket(1, stop=90, target=110, outside_rth=False))
    market.trade(100, 80)
    assert market.position() == 1
    market.trade(85, start=at("2025-11-25 08:30:00"))
    assert market.heard.fills() == [(1, 1, 1, 101), (2, -1, 1, 84)]
    assert market.status(3) == ("Cancelled", "")


def test_a_sleeping_stop_goes_when_its_target_is_filled():
    market = Market(NIGHT)
    market.place(*bracket(1, stop=90, target=110, outside_rth=False))
    market.trade(100, 111)
    assert market.status(2) == ("Cancelled", "")
    market.trade(85, start=at("2025-11-25 08:30:00"))
    assert market.position() == 0


def test_day_orders_end_with_the_session_and_others_stay():
    market = Market(at("2025-11-24 15:59:00"))
    market.place(order(1, "BUY", 1, "LMT", 90, tif="DAY"), order(2, "BUY", 1, "LMT", 90))
    market.wait(59)
    assert market.status(1) == ("Submitted", "")
    market.wait(1)
    assert market.status(1) == ("Cancelled", "")
    assert [r.order.order_id for r in market.exchange.open_orders()] == [2]
    market.place(order(3, "BUY", 1, "LMT", 90, tif="DAY"))
    market.trade(100, start=at("2025-11-25 10:00:00"))
    assert market.status(3) == ("Submitted", "")


def test_a_parent_for_the_day_leaves_its_children_when_the_session_ends():
    market = Market(at("2025-11-24 15:59:00"))
    market.place(*bracket(1, quantity=2, order_type="LMT", price=95, stop=90, target=110))
    market.trade(94, sizes=[1])
    market.trade(120, start=at("2025-11-24 17:00:00"))
    assert market.status(1) == ("Cancelled", "")
    assert market.heard.fills() == [(1, 1, 1, 95), (3, -1, 1, 110)]


def test_an_order_good_till_a_time_ends_then():
    market = Market()
    until = {"goodTillDate": "20251124 09:00:30 US/Central"}
    market.place(order(1, "BUY", 1, "LMT", 90, tif="GTD", echo=until))
    market.wait(29)
    assert market.status(1) == ("Submitted", "")
    market.trade(80, start=at("2025-11-24 09:00:30"))
    assert market.status(1) == ("Cancelled", "")
    assert market.position() == 0


def test_hours_know_early_closes_and_closed_days():
    assert market_hours.session_end(at("2025-11-28 09:00:00")) == at("2025-11-28 12:15:00")
    assert market_hours.session_end(at("2025-11-28 12:15:00")) == at("2025-12-01 16:00:00")
    assert market_hours.is_liquid(at("2025-11-28 12:14:59"))
    assert not market_hours.is_liquid(at("2025-11-28 12:15:00"))
    assert not market_hours.is_open(at("2025-12-25 10:00:00"))
    assert market_hours.next_open(at("2025-12-25 10:00:00")) == at("2025-12-25 17:00:00")
    assert market_hours.next_bell(at("2025-11-24 16:00:00")) == at("2025-11-24 17:00:00")


def test_an_order_without_account_and_tif_gets_the_first_and_a_day():
    market = Market(accounts=(ACCOUNT, "DU2"))
    market.place(order(1, "BUY", 1, "LMT", 90, tif=""))
    (record,) = market.exchange.open_orders()
    assert (record.order.account, record.order.tif) == (ACCOUNT, "DAY")
    assert record.contract is ES
