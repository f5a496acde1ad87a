"""What a reconciliation adopts, books, marks, infers, quarantines, and when it unlocks."""

from dataclasses import replace

import pytest
from order_broker import ACCOUNT, CON_ID, CONTRACT, Desk, MemoryJournal

from mia.core.base_types import OrderRole
from mia.core.broker_types import BrokerSnapshot, BrokerStatus, LinkState, PositionReport
from mia.errors import BrokerError


def test_a_flat_account_with_nothing_unlocks() -> None:
    desk = Desk()
    desk.connect()
    result = desk.query()
    assert result.complete
    assert desk.manager.why_no_risk == ""
    assert desk.journal.events[-1][2] == "order.reconciled"


def test_an_incomplete_snapshot_unlocks_nothing_and_asks_again() -> None:
    desk = Desk()
    desk.connect()
    result = desk.query(complete=False)
    assert not result.complete
    assert "incomplete" in result.retry
    assert "incomplete" in desk.manager.wants_query
    with pytest.raises(BrokerError, match="not reconciled"):
        desk.manager.submit(desk.bracket())
    assert desk.query().complete


def test_no_order_is_gone_by_an_incomplete_snapshot() -> None:
    desk = Desk().ready()
    name = desk.submit()
    desk.query(complete=False, hide=3)
    assert [desk.state(name, leg) for leg in "EST"] == ["WORKING"] * 3


def test_executions_without_their_end_marker_do_not_hold_the_desk() -> None:
    desk = Desk().ready()
    name = desk.submit()
    desk.fill(name, "E")
    desk.reconciler.begin()
    snapshot = replace(desk.broker.snapshot(), executions=[], executions_complete=False)
    assert desk.reconciler.reconcile(snapshot).complete
    assert desk.manager.position(name) == 1


@pytest.mark.parametrize("after", ["restart", "drop"])
def test_a_stop_filled_while_we_were_away_is_booked_once(after) -> None:
    desk = Desk().ready()
    name = desk.submit()
    desk.fill(name, "E")
    if after == "restart":
        desk.restart()
    else:
        desk.drop()
    desk.broker.fill(desk.order(name, "S"), 1)
    desk.broker.outbox.clear()
    desk.connect()
    result = desk.query()
    assert len(result.booked) == 1
    assert not desk.manager.is_open(name)
    stops = [fill for fill in desk.fills if fill.role is OrderRole.STOP]
    assert len(stops) == 1
    desk.query()
    desk.settle(5)
    assert len([fill for fill in desk.fills if fill.role is OrderRole.STOP]) == 1


def test_children_whose_acknowledgements_were_lost_are_ours() -> None:
    desk = Desk().ready()
    order = desk.bracket()
    desk.manager.submit(order)
    name = order.bracket_id
    desk.drop()
    desk.connect()
    desk.query()
    assert [desk.state(name, leg) for leg in "EST"] == ["WORKING"] * 3
    assert desk.manager.ledger.leg(f"{name}:S").perms
    assert all(count == 1 for count in desk.broker.new_orders.values())


def test_an_order_sent_after_the_question_is_not_gone_by_its_answer() -> None:
    desk = Desk().ready()
    desk.reconciler.begin()
    snapshot = desk.broker.snapshot()
    order = desk.bracket()
    desk.manager.submit(order)
    result = desk.reconciler.reconcile(snapshot)
    assert result.vanished == []
    desk.deliver()
    assert [desk.state(order.bracket_id, leg) for leg in "EST"] == ["WORKING"] * 3


def test_an_order_cancelled_while_the_snapshot_was_taken_asks_for_another() -> None:
    desk = Desk().ready()
    name = desk.submit()
    desk.reconciler.begin()
    snapshot = desk.broker.snapshot()
    order = desk.order(name, "T")
    order.status = BrokerStatus.CANCELLED
    desk.broker.tell_status(order)
    desk.deliver()
    result = desk.reconciler.reconcile(snapshot)
    assert not result.complete
    assert desk.state(name, "T") == "CANCELLED"
    assert desk.query().complete


def test_a_fill_while_the_snapshot_was_taken_is_not_a_difference() -> None:
    desk = Desk().ready()
    name = desk.submit()
    desk.reconciler.begin()
    snapshot = desk.broker.snapshot()
    desk.fill(name, "E")
    result = desk.reconciler.reconcile(snapshot)
    assert "traded while" in result.retry
    assert desk.manager.ledger.quarantine == {}
    assert desk.query().complete


def test_an_order_that_vanished_under_a_position_is_replaced_by_the_reconciliation() -> None:
    desk = Desk().ready()
    name = desk.submit()
    desk.fill(name, "E")
    desk.drop()
    desk.order(name, "S").status = BrokerStatus.CANCELLED
    desk.connect()
    sent = len(desk.broker.sent)
    desk.query()
    assert [t.order_ref for _, t in desk.broker.sent[sent:]] == [f"{name}:S2"]


def test_an_unprotected_position_is_protected_by_an_incomplete_snapshot_that_shows_it() -> None:
    desk = Desk().ready()
    name = desk.submit()
    desk.fill(name, "E")
    desk.manager.on_link(LinkState.DEGRADED, "1100")
    for leg in "ST":
        order = desk.order(name, leg)
        order.status = BrokerStatus.CANCELLED
        desk.broker.tell_status(order)
    desk.deliver()
    desk.manager.on_link(LinkState.READY, "1101")
    desk.reconciler.begin()
    held = [PositionReport(ACCOUNT, CON_ID, CONTRACT, "ES", 1, 0.0)]
    desk.reconciler.reconcile(BrokerSnapshot([], [], [], [], [], False, False))
    assert f"{name}:S2" not in desk.broker.new_orders
    desk.reconciler.reconcile(BrokerSnapshot([], [], [], [], held, False, False))
    assert desk.broker.new_orders[f"{name}:S2"] == 1
    assert not desk.manager.reconciled


def test_reconciling_twice_changes_nothing() -> None:
    desk = Desk().ready()
    name = desk.submit(quantity=2)
    desk.fill(name, "E", 1)
    desk.drop()
    desk.broker.fill(desk.order(name, "S"), 1)
    desk.broker.foreign_position = -1
    desk.broker.by_hand(1, price=23_000)
    desk.connect()
    desk.reconciler.begin()
    snapshot = desk.broker.snapshot()
    desk.reconciler.reconcile(snapshot)
    known, sent = desk.manager.state_hash(), len(desk.broker.sent)
    desk.collect()
    fills = len(desk.fills)
    second = desk.reconciler.reconcile(snapshot)
    desk.collect()
    assert (desk.manager.state_hash(), len(desk.broker.sent)) == (known, sent)
    assert (second.booked, second.adopted, second.vanished) == ([], [], [])
    assert len(desk.fills) == fills


@pytest.mark.parametrize("policy", ["halt", "ignore", "adopt"])
def test_a_position_that_is_not_ours_is_quarantined_and_never_traded(policy) -> None:
    desk = Desk(foreign=policy)
    desk.broker.foreign_position = -2
    desk.connect()
    result = desk.query()
    assert result.quarantined == {CONTRACT: -2}
    assert desk.manager.unknown_position is (policy == "halt")
    desk.wait(10)
    assert desk.broker.sent == []
    assert ("UNKNOWN_POSITION" in desk.troubles()) is (policy != "ignore")
    desk.broker.foreign_position = 0
    assert desk.query().quarantined == {}
    assert desk.manager.why_no_risk == ""


def test_exits_are_never_larger_than_what_the_broker_shows() -> None:
    desk = Desk().ready()
    name = desk.submit(quantity=2)
    desk.fill(name, "E", 2)
    desk.broker.foreign_position = -1
    desk.query()
    desk.manager.flatten(name, 0)
    assert desk.broker.sent[-1][1].quantity == 1


def test_a_manual_order_is_told_once_and_forgotten_when_it_is_gone() -> None:
    desk = Desk()
    order = desk.broker.by_hand(1, price=23_000)
    desk.connect()
    assert desk.query().foreign == [str(order.perm_id)]
    desk.query()
    assert [a.trouble.value for a in desk.alarms].count("UNKNOWN_ORDER") == 1
    assert "not ours" in desk.manager.why_no_risk
    order.status = BrokerStatus.CANCELLED
    desk.query()
    assert desk.manager.why_no_risk == ""


def test_a_fill_whose_execution_nobody_can_read_is_inferred_from_the_position() -> None:
    desk = Desk().ready()
    name = desk.submit()
    desk.fill(name, "E")
    desk.broker.poison = True
    desk.broker.fill(desk.order(name, "S"), 1)
    desk.deliver()
    assert desk.manager.position(name) == 1
    result = desk.query()
    assert result.inferred == [f"{name}:S"]
    assert not desk.manager.is_open(name)
    assert (desk.fills[-1].role, desk.fills[-1].price) == (OrderRole.STOP, 23_992)
    assert "FILL_INFERRED" in desk.troubles()
    late = desk.broker.executions[-1]
    desk.hand_over(replace(late, price=23_990))
    desk.collect()
    assert desk.manager.position(name) == 0
    assert len(desk.fills) == 2
    assert desk.manager.take_corrections()[0].price == 23_990


def test_a_round_trip_that_nobody_can_read_is_inferred_whole() -> None:
    desk = Desk().ready()
    name = desk.submit()
    desk.broker.poison = True
    desk.broker.fill(desk.order(name, "E"), 1)
    desk.broker.fill(desk.order(name, "T"), 1)
    desk.deliver()
    desk.query()
    assert [fill.role for fill in desk.fills] == [OrderRole.ENTRY, OrderRole.TARGET]
    assert not desk.manager.is_open(name)


def test_a_claim_that_the_position_contradicts_is_dropped() -> None:
    desk = Desk().ready()
    name = desk.submit()
    lie = replace(desk.broker.status_of(desk.order(name, "E")), filled=1, remaining=0)
    desk.hand_over(lie)
    assert desk.manager.ledger.leg(f"{name}:E").missing == 1
    desk.query()
    assert desk.manager.ledger.leg(f"{name}:E").missing == 0
    assert desk.manager.position(name) == 0


def vanish_without_a_trace(desk: Desk, name: str) -> BrokerSnapshot:
    """Return what a broker shows whose lists reach back no further than midnight."""
    desk.reconciler.begin()
    return replace(desk.broker.snapshot(), executions=[], completed_orders=[])


def test_after_a_long_outage_the_position_tells_that_the_stop_filled() -> None:
    desk = Desk().ready()
    name = desk.submit()
    desk.fill(name, "E")
    desk.drop()
    desk.broker.fill(desk.order(name, "S"), 1)
    desk.connect()
    result = desk.reconciler.reconcile(vanish_without_a_trace(desk, name))
    assert result.inferred == [f"{name}:S"]
    assert result.quarantined == {}
    assert not desk.manager.is_open(name)
    desk.settle(10)
    assert desk.broker.position() == 0


def test_after_a_long_outage_living_children_tell_that_the_entry_filled() -> None:
    desk = Desk().ready()
    name = desk.submit(quantity=2)
    desk.drop()
    desk.broker.fill(desk.order(name, "E"), 2)
    desk.connect()
    result = desk.reconciler.reconcile(vanish_without_a_trace(desk, name))
    assert result.inferred == [f"{name}:E"]
    assert desk.manager.position(name) == 2
    assert desk.alive(name) == {"S", "T"}


def test_where_others_trade_the_position_alone_proves_nothing() -> None:
    desk = Desk().ready()
    name = desk.submit()
    desk.fill(name, "E")
    desk.drop()
    for leg in "ST":
        desk.order(name, leg).status = BrokerStatus.CANCELLED
    desk.broker.fill(desk.broker.by_hand(-1), 1)
    desk.connect()
    result = desk.query()
    assert result.inferred == []
    assert result.quarantined == {CONTRACT: -1}
    assert len(desk.broker.sent) == 3


def test_among_trades_of_others_a_position_that_fits_is_no_fill_of_ours() -> None:
    desk = Desk().ready()
    name = desk.submit()
    desk.fill(name, "E")
    desk.drop()
    for leg in "ST":
        desk.order(name, leg).status = BrokerStatus.CANCELLED
    desk.broker.fill(desk.broker.by_hand(1), 1)
    desk.broker.foreign_position = -2
    desk.connect()
    result = desk.query()
    assert result.inferred == []
    assert result.quarantined == {CONTRACT: -1}


def test_an_execution_of_another_leg_takes_the_place_of_what_was_inferred() -> None:
    desk = Desk().ready()
    name = desk.submit()
    desk.fill(name, "E")
    desk.drop()
    execution = desk.broker.fill(desk.order(name, "T"), 1)
    desk.connect()
    result = desk.reconciler.reconcile(vanish_without_a_trace(desk, name))
    assert result.inferred == [f"{name}:S"]
    desk.hand_over(execution)
    assert desk.manager.position(name) == 0
    assert desk.manager.ledger.leg(f"{name}:T").filled == 1
    assert desk.manager.ledger.leg(f"{name}:S").filled == 0


def test_a_bust_takes_back_what_was_inferred_first() -> None:
    desk = Desk().ready()
    name = desk.submit()
    desk.broker.poison = True
    execution = desk.broker.fill(desk.order(name, "E"), 1)
    desk.deliver()
    desk.query()
    assert desk.manager.position(name) == 1
    desk.hand_over(execution)
    desk.hand_over(replace(execution, exec_id=f"{execution.identity}.02", quantity=0))
    assert desk.manager.position(name) == 0


def test_a_claim_about_an_order_that_is_gone_is_dropped_where_the_position_denies_it() -> None:
    desk = Desk().ready()
    name = desk.submit()
    desk.hand_over(replace(desk.broker.status_of(desk.order(name, "E")), filled=1, remaining=0))
    for leg in "EST":
        desk.order(name, leg).status = BrokerStatus.CANCELLED
    desk.reconciler.begin()
    desk.reconciler.reconcile(replace(desk.broker.snapshot(), completed_orders=[]))
    assert not desk.manager.is_open(name)
    assert desk.fills == []


@pytest.mark.parametrize("held", [False, True])
def test_a_bracket_that_the_journal_lost_is_adopted_by_its_references(held) -> None:
    desk = Desk().ready()
    name = desk.submit(quantity=2)
    if held:
        desk.fill(name, "E", 1)
    desk.drop()
    desk.journal = MemoryJournal()
    desk.start()
    desk.connect()
    result = desk.query()
    assert result.adopted == [name]
    assert result.quarantined == {}
    assert desk.manager.position(name) == (1 if held else 0)
    desk.settle(10)
    assert desk.alive(name) == ({"S", "T"} if held else set())
    assert "ADOPTED" in desk.troubles()
    assert desk.query().adopted == []
    if held:
        desk.manager.flatten(name, 0)
        desk.settle(10)
        assert desk.broker.position() == 0


@pytest.mark.parametrize("known", [True, False])
def test_an_adopted_position_without_a_stop_gets_the_old_one_or_is_flattened(known) -> None:
    desk = Desk().ready()
    name = desk.submit()
    desk.fill(name, "E")
    desk.drop()
    for leg in "ST":
        desk.order(name, leg).status = BrokerStatus.CANCELLED
    desk.journal = MemoryJournal()
    desk.start()
    desk.connect()
    desk.reconciler.begin()
    snapshot = desk.broker.snapshot()
    desk.reconciler.reconcile(snapshot if known else replace(snapshot, completed_orders=[]))
    desk.settle(10)
    if known:
        assert (desk.order(name, "S2").price, desk.broker.position()) == (23_992, 1)
    else:
        assert desk.broker.position() == 0


def test_a_journal_that_lost_its_end_gets_the_missing_order_back() -> None:
    desk = Desk().ready()
    name = desk.submit()
    desk.fill(name, "E")
    stop = desk.order(name, "S")
    desk.broker._end(stop, BrokerStatus.CANCELLED)
    desk.deliver()
    cut = next(k for k, e in enumerate(desk.journal.events) if e[3].get("ref") == f"{name}:S2")
    kept = desk.journal.events[:cut]
    desk.drop()
    desk.journal = MemoryJournal()
    for _, ts, kind, payload in kept:
        desk.journal.append(kind, payload, ts=ts)
    desk.start()
    desk.connect()
    assert desk.query().adopted == [f"{name}:S2"]
    desk.settle(5)
    assert desk.alive(name) == {"S2", "T"}
    assert f"{name}:S3" not in desk.broker.new_orders


def test_an_order_that_thaws_after_it_was_taken_for_gone_is_cancelled() -> None:
    desk = Desk().ready()
    desk.broker.frozen = True
    name = desk.submit()
    desk.wait(3)
    desk.query()
    assert not desk.manager.is_open(name)
    desk.broker.frozen = False
    for _, ticket in desk.broker.limbo:
        desk.broker._accept(ticket)
    desk.drop()
    desk.connect()
    desk.query()
    desk.settle(5)
    assert "REAPPEARED" in desk.troubles()
    assert desk.alive(name) == set()


def test_orders_of_another_account_are_not_looked_at() -> None:
    desk = Desk().ready()
    order = desk.broker.by_hand(1, price=23_000)
    desk.reconciler.begin()
    snapshot = desk.broker.snapshot()
    theirs = [replace(o, account="DU7654321") for o in snapshot.open_orders]
    held = [PositionReport("DU7654321", CON_ID, CONTRACT, "ES", 5, 0.0)]
    result = desk.reconciler.reconcile(replace(snapshot, open_orders=theirs, positions=held))
    assert order.alive
    assert (result.foreign, result.quarantined) == ([], {})


def test_a_doubled_stop_is_told_and_both_leave_with_the_position() -> None:
    desk = Desk().ready()
    name = desk.submit()
    desk.fill(name, "E")
    desk.broker.double(desk.order(name, "S"))
    desk.query()
    assert len(desk.manager.ledger.leg(f"{name}:S").perms) == 2
    desk.manager.flatten(name, 0)
    desk.settle(10)
    assert desk.broker.position() == 0
    assert desk.alive(name) == set()
