"""Families of orders and OCA groups: who waits for whom, who ends whom."""

from dataclasses import replace

import pytest
from gateway.exchange_samples import CLIENT, MES, Market, bracket, order


def entry_filled(quantity=1, **more):
    market = Market()
    market.place(*bracket(1, quantity=quantity, stop=90, target=110, **more))
    market.trade(100)
    return market


def ends(market, *ids):
    return [market.status(k)[0] for k in ids]


def test_the_last_child_transmits_the_whole_family():
    market = Market()
    legs = bracket(1, stop=90, target=110)
    market.place(*legs[:2])
    assert market.heard.said == []
    market.place(legs[2])
    shown = [(r.order.order_id, r.status, r.why_held) for r in market.heard.statuses]
    assert shown == [
        (1, "PreSubmitted", ""),
        (2, "PreSubmitted", "child,trigger"),
        (3, "PreSubmitted", "child"),
    ]


def test_children_wait_for_their_parent():
    market = Market()
    market.place(*bracket(1, order_type="LMT", price=95, stop=90, target=110))
    market.trade(111, 96)
    assert market.heard.fills() == []
    market.trade(94)
    assert market.status(2) == ("PreSubmitted", "trigger")
    assert market.status(3) == ("Submitted", "")
    market.trade(89)
    assert market.heard.fills() == [(1, 1, 1, 95), (2, -1, 1, 88)]
    assert ends(market, 1, 2, 3) == ["Filled", "Filled", "Cancelled"]


def test_children_go_with_a_parent_that_never_filled():
    market = Market()
    market.place(*bracket(1, order_type="LMT", price=95, stop=90, target=110))
    market.exchange.cancel(CLIENT, 1)
    market.wait()
    assert ends(market, 1, 2, 3) == ["Cancelled"] * 3
    market.trade(80, 120)
    assert market.heard.fills() == []


def test_children_protect_the_part_of_their_parent_that_filled():
    market = Market()
    market.place(*bracket(1, quantity=3, order_type="LMT", price=95, stop=90, target=110))
    market.trade(94, sizes=[2])
    market.trade(111)
    assert market.heard.fills() == [(1, 1, 2, 95), (3, -1, 2, 110)]
    assert ends(market, 1, 2, 3) == ["Cancelled", "Cancelled", "Filled"]


def test_cancelling_the_rest_of_a_parent_leaves_its_protection_with_the_size_of_the_fill():
    market = Market()
    market.place(*bracket(1, quantity=3, order_type="LMT", price=95, stop=90, target=110))
    market.trade(94, sizes=[2])
    market.exchange.cancel(CLIENT, 1)
    market.wait()
    assert ends(market, 1, 2, 3) == ["Cancelled", "PreSubmitted", "Submitted"]
    assert [r.order.quantity for r in market.exchange.open_orders()] == [2, 2]
    market.trade(111, sizes=[1])
    assert [r.remaining for r in market.exchange.open_orders()] == [1, 1]
    market.trade(90)
    assert market.position() == 0


def test_a_moved_stop_of_a_bracket_acts_at_its_new_price():
    market = entry_filled()
    market.place(order(2, "SELL", 1, "STP", 98, parent_id=1, oca_group="B1", oca_type=1))
    market.trade(98)
    assert market.heard.fills()[-1] == (2, -1, 1, 97)


def test_flattening_in_the_group_of_the_children_closes_what_is_open_once():
    market = entry_filled(2)
    market.place(order(9, "SELL", 2, oca_group="B1", oca_type=1, tif="DAY"))
    market.trade(89)
    assert market.position() == 0
    assert sum(q for _, side, q, _ in market.heard.fills() if side < 0) == 2
    assert sorted(ends(market, 2, 3, 9)) == ["Cancelled", "Cancelled", "Filled"]


def test_flattening_after_a_partial_exit_closes_only_the_rest():
    market = entry_filled(3)
    market.trade(111, sizes=[1])
    market.place(order(9, "SELL", 3, oca_group="B1", oca_type=1))
    market.trade(100)
    assert market.heard.fills()[-1] == (9, -1, 2, 99)
    assert market.position() == 0


def test_a_smaller_order_in_the_group_takes_its_part_and_ends_the_others():
    market = entry_filled(3)
    market.place(order(9, "SELL", 1, oca_group="B1", oca_type=1))
    market.trade(100, 89)
    assert market.heard.fills()[-1] == (9, -1, 1, 99)
    assert ends(market, 2, 3) == ["Cancelled", "Cancelled"]
    assert market.position() == 2


@pytest.mark.parametrize("oca_type", [1, 2, 3])
def test_an_order_that_comes_to_a_group_after_its_fill_is_cancelled(oca_type):
    market = entry_filled(oca_type=oca_type)
    market.trade(111)
    market.place(order(9, "SELL", 1, oca_group="B1", oca_type=oca_type))
    market.trade(100)
    assert market.status(9) == ("Cancelled", "")
    assert market.heard.codes()[-1] == (9, 202)
    assert market.position() == 0


@pytest.mark.parametrize("oca_type", [2, 3])
def test_a_group_that_was_reduced_takes_another_exit_of_what_is_left(oca_type):
    market = entry_filled(3, oca_type=oca_type)
    market.trade(111, sizes=[1])
    market.place(order(9, "SELL", 2, oca_group="B1", oca_type=oca_type))
    market.trade(100)
    assert market.position() == 0


def test_two_targets_of_one_contract_share_a_stop_for_two():
    market = Market()
    child = {"parent_id": 1, "transmit": False}
    market.place(
        order(1, "BUY", 2, transmit=False),
        order(2, "SELL", 2, "STP", 90, **child),
        order(3, "SELL", 1, "LMT", 110, **child),
        order(4, "SELL", 1, "LMT", 120, parent_id=1),
    )
    market.trade(100, 111)
    assert market.status(3) == ("Filled", "")
    (stop,) = [r for r in market.exchange.open_orders() if r.order.order_id == 2]
    assert stop.remaining == 1
    market.trade(90)
    assert market.heard.fills() == [(1, 1, 2, 101), (3, -1, 1, 110), (2, -1, 1, 89)]
    assert ends(market, 2, 4) == ["Filled", "Cancelled"]


def test_a_child_may_add_to_its_parent():
    market = Market()
    market.place(order(1, transmit=False), order(2, "BUY", 1, "STP", 105, parent_id=1))
    market.trade(106, 106)
    assert market.heard.fills() == [(1, 1, 1, 107), (2, 1, 1, 107)]


def test_a_child_may_be_sent_while_its_parent_works_and_after_it_has_filled():
    market = Market()
    market.place(order(1, "BUY", 1, "LMT", 95))
    market.wait()
    market.place(order(2, "SELL", 1, "STP", 90, parent_id=1))
    market.trade(94)
    market.place(order(3, "SELL", 1, "LMT", 99, parent_id=1))
    market.trade(100)
    assert market.heard.fills() == [(1, 1, 1, 95), (3, -1, 1, 99)]
    assert market.status(2) == ("Cancelled", "")


def test_a_child_without_a_parent_is_refused():
    market = Market()
    market.place(order(2, "SELL", 1, "STP", 90, parent_id=1))
    assert market.heard.codes() == [(2, 10006)]


def test_a_rejected_child_leaves_its_parent_staged():
    market = Market()
    legs = bracket(1, stop=90, target=110)
    market.place(*legs[:2], replace(legs[2], limit_price=27.51))
    market.trade(100)
    assert market.heard.codes() == [(3, 110)]
    assert market.heard.fills() == []


def test_a_new_size_of_a_waiting_parent_is_that_of_its_children():
    market = Market()
    legs = bracket(1, quantity=2, order_type="LMT", price=95, stop=90, target=110)
    market.place(*legs)
    market.wait()
    market.place(replace(legs[0], quantity=1, transmit=True))
    market.trade(94, 90)
    assert market.heard.fills() == [(1, 1, 1, 95), (2, -1, 1, 89)]


def test_a_stop_of_a_smaller_size_leaves_the_rest_to_the_target():
    market = entry_filled(2)
    market.place(order(2, "SELL", 1, "STP", 95, parent_id=1, oca_group="B1", oca_type=2))
    market.trade(95)
    assert market.heard.fills()[-1] == (2, -1, 1, 94)
    market.trade(111)
    assert market.heard.fills()[-1] == (3, -1, 1, 110)
    assert market.position() == 0


@pytest.mark.parametrize("oca_type", [1, 2, 3])
def test_a_complete_fill_ends_a_group_of_equal_orders(oca_type):
    market = Market()
    group = {"oca_group": "G", "oca_type": oca_type}
    market.place(order(1, "BUY", 1, "LMT", 90, **group), order(2, "BUY", 1, "STP", 110, **group))
    market.trade(89, 120)
    assert market.heard.fills() == [(1, 1, 1, 90)]
    assert ends(market, 1, 2) == ["Filled", "Cancelled"]
    assert (2, 202) in market.heard.codes()


@pytest.mark.parametrize("oca_type", [2, 3])
def test_a_reducing_group_keeps_the_larger_order_at_work(oca_type):
    market = Market()
    group = {"oca_group": "G", "oca_type": oca_type}
    market.place(order(1, "BUY", 1, "LMT", 90, **group), order(2, "BUY", 3, "STP", 110, **group))
    market.trade(89)
    assert market.heard.open_orders[-1].order.quantity == 2
    market.trade(110)
    assert market.heard.fills() == [(1, 1, 1, 90), (2, 1, 2, 111)]


def test_a_group_spans_contracts():
    market = Market()
    group = {"oca_group": "G", "oca_type": 1}
    market.place(order(1, "BUY", 1, "LMT", 90, **group))
    market.place(order(2, "BUY", 1, "LMT", 80, **group), contract=MES)
    market.trade(89)
    assert ends(market, 1, 2) == ["Filled", "Cancelled"]


def test_a_partial_fill_may_be_set_to_end_a_group_of_type_one():
    sizes = {}
    for strict in (False, True):
        market = Market(oca_cancels_on_partial=strict)
        market.place(*bracket(1, quantity=3, stop=90, target=110))
        market.trade(100)
        market.trade(111, sizes=[1])
        sizes[strict] = market.status(2)[0]
    assert sizes == {False: "PreSubmitted", True: "Cancelled"}
