"""Brackets through the order manager: what is sent, when, and what is believed."""

import pytest
from order_broker import CON_ID, SECOND, Desk

from mia.core.base_types import OrderRole, OrderType
from mia.core.broker_types import BrokerStatus, LinkState
from mia.errors import BrokerError


def test_a_bracket_is_one_chain_that_the_last_child_transmits() -> None:
    desk = Desk().ready()
    name = desk.submit(quantity=2)
    entry, stop, target = (ticket for _, ticket in desk.broker.sent)
    assert [t.order_ref for t in (entry, stop, target)] == [f"{name}:{x}" for x in "EST"]
    assert [t.transmit for t in (entry, stop, target)] == [False, False, True]
    assert [t.tif for t in (entry, stop, target)] == ["DAY", "GTC", "GTC"]
    assert [t.side for t in (entry, stop, target)] == [1, -1, -1]
    assert [t.price for t in (entry, stop, target)] == [24_000, 23_992, 24_016]
    assert all(t.outside_rth and t.account == "DU1234567" for t in (entry, stop, target))
    assert all(t.con_id == CON_ID and t.quantity == 2 for t in (entry, stop, target))
    assert stop.parent_id == target.parent_id == entry.order_id
    assert (stop.oca_group, stop.oca_type) == (target.oca_group, target.oca_type) == (name, 2)
    assert (entry.oca_group, entry.oca_type, entry.parent_id) == ("", 0, 0)


def test_the_intent_is_in_the_journal_before_its_bytes_leave() -> None:
    desk = Desk().ready()
    seen = []
    desk.broker.on_bytes = lambda what, ticket: seen.append(
        any(
            ticket.order_ref in (p.get("ref"), *(leg["ref"] for leg in p.get("legs", [])))
            for _, _, _, p in desk.journal.events
        )
    )
    name = desk.submit()
    desk.fill(name, "E")
    desk.manager.modify_stop(name, 23_995, 0)
    desk.deliver()
    desk.manager.flatten(name, 0)
    desk.deliver()
    assert len(seen) == 5
    assert all(seen)
    changes = [p for _, _, kind, p in desk.journal.events if kind == "order.change"]
    assert [p["price"] for p in changes] == [23_995]


def test_a_journal_that_fails_stops_the_entry_and_not_the_exit() -> None:
    desk = Desk().ready()
    name = desk.submit()
    desk.fill(name, "E")
    desk.journal.broken = True
    sent = len(desk.broker.sent)
    with pytest.raises(BrokerError, match="no space left"):
        desk.manager.submit(desk.bracket())
    assert len(desk.broker.sent) == sent
    desk.manager.flatten(name, 0)
    assert desk.broker.sent[-1][1].order_ref == f"{name}:F1"
    desk.fill(name, "F1")
    assert desk.manager.position(name) == 0
    assert "JOURNAL" in desk.troubles()
    desk.journal.broken = False
    with pytest.raises(BrokerError, match="journal"):
        desk.manager.submit(desk.bracket())


def test_fills_come_from_executions_with_their_role_and_reference() -> None:
    desk = Desk().ready()
    name = desk.submit()
    desk.fill(name, "E", price=24_001)
    desk.fill(name, "T", price=24_016)
    entry, target = desk.fills
    assert (entry.role, entry.side, entry.quantity, entry.price) == (OrderRole.ENTRY, 1, 1, 24_001)
    assert (entry.reference_price, entry.commission) == (24_000, 2.25)
    assert (target.role, target.side, target.price) == (OrderRole.TARGET, -1, 24_016)
    assert desk.manager.fills(name) == [entry, target]
    assert not desk.manager.is_open(name)
    assert desk.state(name, "S") == "CANCELLED"
    assert desk.alive(name) == set()


def test_a_market_order_is_measured_at_the_last_price() -> None:
    desk = Desk().ready()
    desk.manager.last_price = 24_003
    name = desk.submit(entry_type=OrderType.MARKET)
    desk.fill(name, "E", price=24_004)
    assert (desk.fills[0].price, desk.fills[0].reference_price) == (24_004, 24_003)
    assert desk.broker.sent[0][1].price == 0


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"side": 0}, "make no order"),
        ({"quantity": 0}, "make no order"),
        ({"entry_type": OrderType.STOP_LIMIT}, "MARKET, LIMIT or STOP"),
        ({"entry": 8}, "must lie between"),
    ],
)
def test_a_bracket_that_contradicts_itself_is_refused(changed, why) -> None:
    desk = Desk().ready()
    with pytest.raises(BrokerError, match=why):
        desk.manager.submit(desk.bracket(**changed))
    assert desk.broker.sent == []


def test_an_id_serves_once_even_after_a_restart() -> None:
    desk = Desk().ready()
    order = desk.bracket()
    desk.manager.submit(order)
    with pytest.raises(BrokerError, match="serves once"):
        desk.manager.submit(order)
    desk.restart()
    desk.ready()
    with pytest.raises(BrokerError, match="serves once"):
        desk.manager.submit(order)
    assert desk.broker.new_orders[f"{order.bracket_id}:E"] == 1


def test_nothing_is_opened_before_the_first_reconciliation() -> None:
    desk = Desk()
    with pytest.raises(BrokerError, match="DISCONNECTED"):
        desk.manager.submit(desk.bracket())
    desk.connect()
    assert desk.manager.wants_query
    with pytest.raises(BrokerError, match="not reconciled"):
        desk.manager.submit(desk.bracket())
    desk.query()
    assert not desk.manager.wants_query
    desk.submit()


def test_a_lost_link_needs_a_reconciliation_before_anything_new() -> None:
    desk = Desk().ready()
    desk.manager.on_link(LinkState.DEGRADED, "1100")
    assert "DEGRADED" in desk.manager.why_no_risk
    desk.manager.on_link(LinkState.READY, "1102")
    assert "not reconciled" in desk.manager.why_no_risk
    assert "1102" in desk.manager.wants_query
    desk.query()
    assert desk.manager.why_no_risk == ""


def test_an_entry_that_is_cancelled_takes_its_children_along() -> None:
    desk = Desk().ready()
    name = desk.submit()
    desk.manager.cancel_entry(name, 0)
    assert desk.state(name, "E") == "PENDING_CANCEL"
    assert desk.manager.is_open(name)
    desk.deliver()
    assert desk.state(name, "E") == "CANCELLED"
    assert not desk.manager.is_open(name)
    assert desk.alive(name) == set()


def test_cancelling_twice_asks_once() -> None:
    desk = Desk().ready()
    name = desk.submit()
    desk.manager.cancel_entry(name, 0)
    desk.manager.cancel_entry(name, 0)
    desk.manager.check()
    assert [what for what, _ in desk.broker.sent].count("cancel") == 1


def test_what_filled_of_a_cancelled_entry_stays_protected_in_its_size() -> None:
    desk = Desk().ready()
    name = desk.submit(quantity=3)
    desk.fill(name, "E", 2)
    assert desk.state(name, "E") == "PARTIAL"
    desk.manager.cancel_entry(name, 0)
    desk.deliver()
    desk.wait(3)
    assert desk.manager.position(name) == 2
    assert desk.alive(name) == {"S", "T"}
    assert desk.order(name, "S").remaining == 2


def test_a_stop_follows_the_position_where_the_broker_does_not() -> None:
    desk = Desk().ready()
    desk.broker._resize_children = lambda entry: None
    name = desk.submit(quantity=3)
    desk.fill(name, "E", 1)
    desk.manager.cancel_entry(name, 0)
    desk.deliver()
    assert desk.order(name, "S").quantity == 3
    desk.wait(3)
    assert desk.order(name, "S").quantity == 1
    assert desk.order(name, "T").quantity == 1


def test_a_cancel_that_loses_the_race_is_a_fill() -> None:
    desk = Desk().ready()
    name = desk.submit()
    desk.broker.fill(desk.order(name, "E"), 1)
    desk.manager.cancel_entry(name, 0)
    desk.deliver()
    assert desk.state(name, "E") == "FILLED"
    assert desk.manager.position(name) == 1
    assert desk.alive(name) == {"S", "T"}
    desk.wait(3)
    assert desk.alive(name) == {"S", "T"}


def test_a_stop_only_tightens() -> None:
    desk = Desk().ready()
    name = desk.submit()
    desk.fill(name, "E")
    desk.manager.modify_stop(name, 23_990, 0)
    desk.manager.modify_stop(name, 23_992, 0)
    assert len(desk.broker.sent) == 3
    desk.manager.modify_stop(name, 23_996, 0)
    desk.deliver()
    change = desk.broker.sent[-1][1]
    assert (change.order_id, change.price) == (desk.order(name, "S").ticket.order_id, 23_996)
    assert change.order_ref == f"{name}:S"
    assert desk.order(name, "S").price == 23_996


def test_a_short_stop_tightens_downwards() -> None:
    desk = Desk().ready()
    name = desk.submit(side=-1)
    desk.fill(name, "E")
    desk.manager.modify_stop(name, 24_010, 0)
    assert len(desk.broker.sent) == 3
    desk.manager.modify_stop(name, 24_004, 0)
    desk.deliver()
    assert desk.order(name, "S").price == 24_004


def test_a_stop_that_the_market_has_passed_is_refused() -> None:
    desk = Desk().ready()
    name = desk.submit()
    desk.fill(name, "E")
    desk.manager.last_price = 23_995
    with pytest.raises(BrokerError, match="flatten instead"):
        desk.manager.modify_stop(name, 23_995, 0)


def test_no_change_leaves_while_the_link_is_down_and_none_is_forgotten() -> None:
    desk = Desk().ready()
    name = desk.submit()
    desk.fill(name, "E")
    desk.manager.on_link(LinkState.DEGRADED, "1100")
    desk.manager.modify_stop(name, 23_996, 0)
    assert len(desk.broker.sent) == 3
    desk.manager.on_link(LinkState.READY, "1102")
    desk.manager.check()
    assert len(desk.broker.sent) == 3
    desk.query()
    assert desk.broker.sent[-1][1].price == 23_996


def test_a_second_change_waits_for_the_first_to_be_confirmed() -> None:
    desk = Desk().ready()
    name = desk.submit()
    desk.fill(name, "E")
    desk.manager.modify_stop(name, 23_995, 0)
    desk.manager.modify_stop(name, 23_997, 0)
    assert len(desk.broker.sent) == 4
    desk.deliver()
    assert desk.order(name, "S").price == 23_997


def test_flatten_is_a_market_order_in_the_group_and_the_stop_stays_until_zero() -> None:
    desk = Desk().ready()
    name = desk.submit(quantity=2)
    desk.fill(name, "E", 2)
    desk.manager.flatten(name, 0)
    desk.deliver()
    ticket = desk.broker.sent[-1][1]
    assert (ticket.order_ref, ticket.order_type) == (f"{name}:F1", OrderType.MARKET)
    assert (ticket.side, ticket.quantity, ticket.tif) == (-1, 2, "DAY")
    assert (ticket.oca_group, ticket.oca_type, ticket.parent_id) == (name, 2, 0)
    assert desk.alive(name) == {"S", "T", "F1"}
    desk.fill(name, "F1", 1)
    desk.wait(3)
    assert "S" in desk.alive(name)
    desk.fill(name, "F1", 1)
    assert not desk.manager.is_open(name)
    assert [f.role for f in desk.fills].count(OrderRole.FLATTEN) == 2
    desk.wait(3)
    assert desk.alive(name) == set()


def test_flatten_ends_an_entry_that_works_and_closes_what_filled() -> None:
    desk = Desk().ready()
    name = desk.submit(quantity=3)
    desk.fill(name, "E", 1)
    desk.manager.flatten(name, 0)
    desk.manager.flatten(name, 0)
    desk.deliver()
    assert "E" not in desk.alive(name)
    assert desk.order(name, "F1").quantity == 1
    desk.fill(name, "F1", 1)
    assert not desk.manager.is_open(name)


def test_flatten_of_an_unfilled_entry_only_cancels_it() -> None:
    desk = Desk().ready()
    name = desk.submit()
    desk.manager.flatten(name, 0)
    desk.deliver()
    assert not desk.manager.is_open(name)
    assert [what for what, _ in desk.broker.sent] == ["place"] * 3 + ["cancel"]


def test_an_entry_that_fills_while_it_is_flattened_is_flattened_too() -> None:
    desk = Desk().ready()
    name = desk.submit(quantity=2)
    desk.fill(name, "E", 1)
    desk.broker.fill(desk.order(name, "E"), 1)
    desk.manager.flatten(name, 0)
    desk.deliver()
    desk.fill(name, "F1", 1)
    desk.wait(1.5)
    desk.fill(name, "F2", 1)
    assert desk.manager.position(name) == 0
    assert not desk.manager.is_open(name)


def test_a_flatten_asked_for_while_the_link_is_down_is_sent_after_the_reconciliation() -> None:
    desk = Desk().ready()
    name = desk.submit()
    desk.fill(name, "E")
    desk.drop()
    desk.manager.flatten(name, 0)
    assert len(desk.broker.sent) == 3
    desk.restart()
    desk.ready()
    assert desk.broker.sent[-1][1].order_ref == f"{name}:F1"


def test_a_market_order_that_does_not_fill_is_an_alarm_and_not_a_second_order() -> None:
    desk = Desk().ready()
    name = desk.submit()
    desk.fill(name, "E")
    desk.manager.flatten(name, 0)
    desk.wait(60, step=1.0)
    assert desk.broker.new_orders[f"{name}:F1"] == 1
    assert f"{name}:F2" not in desk.broker.new_orders
    assert desk.alive(name) == {"S", "T", "F1"}
    assert "STUCK" in desk.troubles()


def test_a_partial_exit_ends_the_rest_of_the_entry() -> None:
    desk = Desk().ready()
    name = desk.submit(quantity=2)
    desk.fill(name, "E", 1)
    desk.fill(name, "T", 1)
    desk.deliver()
    assert "E" not in desk.alive(name)
    assert not desk.manager.is_open(name)


def test_the_first_contract_closed_ends_what_is_unfilled_of_the_entry() -> None:
    desk = Desk().ready()
    name = desk.submit(quantity=3)
    desk.fill(name, "E", 2)
    desk.fill(name, "T", 1)
    assert desk.alive(name) == {"S", "T"}
    assert desk.manager.position(name) == 1
    assert desk.order(name, "S").remaining == 1


def test_a_silent_broker_leaves_the_bracket_unknown_and_blocks_new_risk() -> None:
    desk = Desk().ready()
    desk.broker.silent_roles = {"E", "S", "T"}
    name = desk.submit()
    desk.wait(1.5)
    assert desk.state(name, "E") == "SENT"
    desk.wait(1)
    assert desk.state(name, "E") == "UNKNOWN"
    assert desk.manager.wants_query
    with pytest.raises(BrokerError, match="UNKNOWN"):
        desk.manager.submit(desk.bracket())
    assert all(count == 1 for count in desk.broker.new_orders.values())
    desk.query()
    assert desk.state(name, "E") == "WORKING"
    assert desk.manager.why_no_risk == ""


def test_a_bracket_that_no_query_clears_up_is_cancelled() -> None:
    desk = Desk().ready()
    desk.broker.silent_roles = {"S"}
    name = desk.submit()
    desk.wait(5)
    assert "E" not in desk.alive(name)


def test_a_chain_that_breaks_off_is_never_transmitted_and_blocks_until_a_query() -> None:
    desk = Desk().ready()
    place = desk.broker.place
    order = desk.bracket()

    def break_off(ticket) -> None:
        if ticket.order_ref.endswith(":T"):
            desk.broker.up = False
        place(ticket)

    desk.broker.place = break_off
    with pytest.raises(BrokerError, match="not transmitted"):
        desk.manager.submit(order)
    name = order.bracket_id
    assert desk.state(name, "E") == "UNKNOWN"
    assert desk.state(name, "T") == "CANCELLED"
    desk.drop()
    desk.broker.place = place
    desk.ready()
    assert not desk.manager.is_open(name)
    assert desk.alive(name) == set()
    assert desk.broker.new_orders[f"{name}:E"] == 1
    assert f"{name}:T" not in desk.broker.new_orders


def test_an_order_that_is_not_at_the_broker_is_gone_and_never_sent_again() -> None:
    desk = Desk().ready()
    desk.broker.frozen = True
    name = desk.submit()
    desk.broker.frozen = False
    desk.broker.limbo.clear()
    desk.wait(3)
    assert desk.state(name, "E") == "UNKNOWN"
    result = desk.query()
    assert sorted(result.vanished) == [f"{name}:E", f"{name}:S", f"{name}:T"]
    assert not desk.manager.is_open(name)
    desk.settle()
    assert desk.broker.new_orders == {}
    desk.submit()


def test_time_in_records_is_the_markets() -> None:
    desk = Desk().ready()
    desk.time.pass_by(5)
    desk.submit()
    stamps = {ts for _, ts, kind, _ in desk.journal.events if kind == "order.bracket"}
    assert stamps == {desk.time.now()}


def test_the_status_filled_fills_nothing() -> None:
    desk = Desk().ready()
    name = desk.submit()
    order = desk.order(name, "E")
    order.status, order.filled = BrokerStatus.FILLED, 1
    desk.broker.tell_status(order)
    desk.deliver()
    assert desk.manager.position(name) == 0
    assert desk.fills == []
    assert desk.manager.is_open(name)
    desk.wait(1.5)
    assert "FILLS_MISSING" not in desk.troubles()
    desk.wait(1.5)
    assert "FILLS_MISSING" in desk.troubles()
    assert desk.manager.wants_query
    assert desk.broker.sent[3:] == []


def test_the_patience_of_the_settings_is_in_ns() -> None:
    desk = Desk(ack_ns=SECOND // 4).ready()
    desk.broker.silent_roles = {"E"}
    name = desk.submit()
    desk.wait(0.25, step=0.25)
    assert desk.state(name, "E") == "UNKNOWN"


def test_a_bracket_is_open_while_a_market_order_may_still_turn_it_round() -> None:
    desk = Desk().ready()
    name = desk.submit()
    desk.fill(name, "E")
    desk.manager.flatten(name, 0)
    desk.deliver()
    desk.broker.fill(desk.order(name, "T"), 1)
    while desk.manager.position(name):
        desk.deliver(1)
    assert desk.manager.is_open(name)
    desk.deliver()
    assert not desk.manager.is_open(name)


def test_a_stop_moves_again_after_the_broker_cut_it_while_it_was_moved() -> None:
    desk = Desk().ready()
    name = desk.submit(quantity=4)
    desk.fill(name, "E")
    desk.manager.modify_stop(name, 23_995, 0)
    order = desk.order(name, "S")
    order.quantity = 1
    desk.broker.outbox.clear()
    desk.broker.tell_open(order)
    desk.deliver()
    stop = desk.manager.ledger.brackets[name].legs[f"{name}:S"]
    assert (stop.price, stop.quantity, stop.changing) == (23_995, 1, False)
    desk.manager.modify_stop(name, 23_997, 0)
    desk.deliver()
    assert desk.order(name, "S").price == 23_997
    assert (stop.price, stop.changing) == (23_997, False)
