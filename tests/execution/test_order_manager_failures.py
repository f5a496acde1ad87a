"""What brokers are known to do to orders, and what becomes of the bracket."""

from dataclasses import replace

import pytest
from order_broker import ACCOUNT, CLIENT, CONTRACT, Desk

from mia.core.base_types import OrderRole, TradingState
from mia.core.broker_types import BrokerStatus, CommissionReport, LinkState, Notice, StatusReport
from mia.errors import BrokerError

FALSE_CANCELS = (10349, 161, 104, 10147, 10148, 105, 321, 110, 103, 201, 2)


def tell(desk: Desk, name: str, leg: str, code: int, text: str = "as it happens") -> None:
    desk.hand_over(Notice(desk.order(name, leg).ticket.order_id, code, text))
    desk.collect()


@pytest.mark.parametrize("code", FALSE_CANCELS)
@pytest.mark.parametrize("leg", ["E", "S", "T"])
def test_no_code_ends_an_order_that_works(code, leg) -> None:
    desk = Desk().ready()
    name = desk.submit()
    before = dict(desk.broker.new_orders)
    tell(desk, name, leg, code)
    assert desk.state(name, leg) in ("WORKING", "PARTIAL")
    assert desk.manager.wants_query
    with pytest.raises(BrokerError, match=f"{name}:{leg}"):
        desk.manager.submit(desk.bracket())
    desk.query()
    assert desk.state(name, leg) == "WORKING"
    assert desk.manager.why_no_risk == ""
    desk.wait(5)
    assert dict(desk.broker.new_orders) == before


@pytest.mark.parametrize("code", [202, 165, 10167])
def test_informative_codes_change_nothing(code) -> None:
    desk = Desk().ready()
    name = desk.submit()
    known = desk.manager.state_hash()
    tell(desk, name, "E", code)
    assert desk.manager.state_hash() == known
    assert not desk.manager.wants_query


@pytest.mark.parametrize("code", [399, 404, 2109])
def test_an_order_that_is_held_is_told_and_lives(code) -> None:
    desk = Desk().ready()
    name = desk.submit()
    tell(desk, name, "E", code, "will not be placed until 17:00")
    assert "HELD" in desk.troubles()
    assert desk.state(name, "E") == "WORKING"


def test_a_code_about_a_request_that_is_no_order_is_not_ours() -> None:
    desk = Desk().ready()
    desk.submit()
    known = desk.manager.state_hash()
    desk.hand_over(Notice(-1, 1100, "connectivity lost"))
    desk.hand_over(Notice(9_999, 162, "pacing"))
    assert desk.manager.state_hash() == known


@pytest.mark.parametrize("code", [201, 203, 10289, 10293])
def test_a_definitive_refusal_ends_an_order_that_never_worked(code) -> None:
    desk = Desk().ready()
    desk.broker.silent_roles = {"E", "S", "T"}
    name = desk.submit()
    tell(desk, name, "E", code, "no margin")
    assert desk.state(name, "E") == "REJECTED"
    assert "REJECT" in desk.troubles()


@pytest.mark.parametrize("first", ["code", "status"])
def test_a_refused_entry_leaves_nothing_behind_in_either_order(first) -> None:
    desk = Desk().ready()
    desk.broker.reject_roles = {"E"}
    order = desk.bracket()
    desk.manager.submit(order)
    if first == "status":
        desk.broker.outbox[:2] = reversed(desk.broker.outbox[:2])
    desk.deliver()
    name = order.bracket_id
    assert desk.state(name, "E") == "REJECTED"
    assert not desk.manager.is_open(name)
    desk.wait(3)
    assert desk.alive(name) == set()
    assert desk.broker.new_orders[f"{name}:E"] == 1


def test_a_refused_change_of_a_stop_leaves_the_old_stop() -> None:
    desk = Desk().ready()
    name = desk.submit()
    desk.fill(name, "E")
    desk.broker.frozen = True
    desk.manager.modify_stop(name, 23_996, 0)
    desk.broker.frozen = False
    desk.broker.limbo.clear()
    tell(desk, name, "S", 201, "the modification is refused")
    assert "REJECT" not in desk.troubles()
    assert desk.state(name, "S") == "WORKING"
    assert desk.manager.wants_query
    desk.query()
    assert desk.manager.ledger.leg(f"{name}:S").price in (23_992, 23_996)
    desk.deliver()
    assert desk.alive(name) == {"S", "T"}
    assert desk.order(name, "S").price == 23_996


def test_a_change_that_is_refused_every_time_is_given_up_with_an_alarm() -> None:
    desk = Desk().ready()
    name = desk.submit()
    desk.fill(name, "E")
    accept = desk.broker._accept
    tries = []

    def refuse(ticket) -> None:
        if ticket.order_ref.endswith(":S"):
            tries.append(ticket.price)
            desk.broker.outbox.append(Notice(ticket.order_id, 110, "bad tick"))
        else:
            accept(ticket)

    desk.broker._accept = refuse
    desk.manager.modify_stop(name, 23_996, 0)
    desk.settle(30)
    assert len(tries) == 3
    assert "STUCK" in desk.troubles()
    assert desk.alive(name) == {"S", "T"}
    assert desk.manager.ledger.leg(f"{name}:S").price == 23_992


def test_a_stop_that_is_refused_with_the_entry_unfilled_ends_the_family() -> None:
    desk = Desk().ready()
    desk.broker.reject_roles = {"S"}
    name = desk.submit()
    assert desk.alive(name) == set()
    assert not desk.manager.is_open(name)


def test_a_target_that_is_refused_with_the_entry_unfilled_ends_the_family() -> None:
    desk = Desk().ready()
    desk.broker.reject_roles = {"T"}
    name = desk.submit()
    assert desk.alive(name) == set()
    assert not desk.manager.is_open(name)


def test_a_stop_that_vanishes_under_a_position_is_replaced_at_once() -> None:
    desk = Desk().ready()
    name = desk.submit(quantity=2)
    desk.fill(name, "E", 2)
    desk.manager.modify_stop(name, 23_996, 0)
    desk.deliver()
    stop = desk.order(name, "S")
    stop.status = BrokerStatus.CANCELLED
    desk.broker.tell_status(stop)
    desk.deliver()
    new = desk.order(name, "S2")
    assert (new.quantity, new.price, new.ticket.side) == (2, 23_996, -1)
    assert (new.ticket.oca_group, new.ticket.tif) == (name, "GTC")
    assert desk.state(name, "S2") == "WORKING"
    assert "UNPROTECTED" in desk.troubles()
    desk.wait(5)
    assert desk.alive(name) == {"S2", "T"}


def test_a_position_whose_second_stop_vanishes_too_is_flattened() -> None:
    desk = Desk().ready()
    name = desk.submit()
    desk.fill(name, "E")
    for leg in ("S", "S2"):
        stop = desk.order(name, leg)
        stop.status = BrokerStatus.CANCELLED
        desk.broker.tell_status(stop)
        desk.deliver()
    assert desk.order(name, "F1").quantity == 1
    assert f"{name}:S3" not in desk.broker.new_orders


def test_a_stop_that_is_refused_when_the_entry_fills_is_replaced_or_flattened() -> None:
    desk = Desk().ready()
    desk.broker.reject_roles = {"S"}
    order = desk.bracket()
    desk.manager.submit(order)
    name = order.bracket_id
    desk.broker.fill(desk.order(name, "E"), 1)
    desk.deliver()
    assert desk.broker.new_orders[f"{name}:S2"] == 1
    assert desk.broker.new_orders[f"{name}:F1"] == 1
    desk.fill(name, "F1")
    assert desk.manager.position(name) == 0


def test_a_position_without_an_acknowledged_stop_is_flattened_within_a_second() -> None:
    desk = Desk().ready()
    desk.broker.silent_roles = {"S"}
    name = desk.submit()
    desk.fill(name, "E")
    desk.manager.check()
    assert f"{name}:F1" not in desk.broker.new_orders
    desk.time.pass_by(1.0)
    desk.manager.check()
    ticket = desk.broker.sent[-1][1]
    assert (ticket.order_ref, ticket.oca_group) == (f"{name}:F1", name)
    desk.deliver()
    desk.fill(name, "F1")
    assert desk.alive(name) == set()


def test_a_stop_in_doubt_is_never_doubled() -> None:
    desk = Desk().ready()
    desk.broker.silent_roles = {"S"}
    name = desk.submit()
    desk.fill(name, "E")
    desk.wait(10)
    assert f"{name}:S2" not in desk.broker.new_orders


def test_a_stop_told_as_filled_is_not_replaced_before_its_execution_comes() -> None:
    desk = Desk().ready()
    name = desk.submit()
    desk.fill(name, "E")
    desk.broker.fill(desk.order(name, "S"), 1)
    execution = desk.broker.outbox.pop(0)
    desk.deliver()
    assert desk.manager.position(name) == 1
    desk.wait(1.5)
    assert set(desk.broker.new_orders) == {f"{name}:{leg}" for leg in "EST"}
    assert [what for what, _ in desk.broker.sent] == ["place"] * 3
    desk.hand_over(execution)
    desk.collect()
    assert desk.manager.position(name) == 0
    assert not desk.manager.is_open(name)


def test_executions_in_any_order_and_number_count_once() -> None:
    desk = Desk().ready()
    name = desk.submit(quantity=3)
    order = desk.order(name, "E")
    for _ in range(3):
        desk.broker.fill(order, 1)
    messages = desk.broker.outbox[:]
    desk.broker.outbox.clear()
    for message in [*reversed(messages), *messages]:
        desk.hand_over(message)
    desk.collect()
    assert desk.manager.position(name) == 3
    assert [fill.quantity for fill in desk.fills] == [1, 1, 1]
    written = [kind for _, _, kind, _ in desk.journal.events]
    assert written.count("order.execution") == 3
    assert desk.state(name, "E") == "FILLED"


def test_a_correction_replaces_and_an_older_revision_after_it_does_not() -> None:
    desk = Desk().ready()
    name = desk.submit(quantity=2)
    execution = desk.fill(name, "E", 2, 24_000)
    newer = desk.broker.correct(execution, 1, 24_002)
    desk.deliver()
    assert desk.manager.position(name) == 1
    correction = desk.manager.take_corrections()[0]
    assert (correction.old_quantity, correction.quantity) == (2, 1)
    assert (correction.old_price, correction.price) == (24_000, 24_002)
    desk.hand_over(execution)
    desk.hand_over(newer)
    assert desk.manager.position(name) == 1
    assert desk.manager.take_corrections() == []
    assert len(desk.fills) == 1
    assert [(f.quantity, f.price) for f in desk.manager.fills(name)] == [(1, 24_002)]


def test_a_correction_that_comes_before_what_it_corrects_counts_once() -> None:
    desk = Desk().ready()
    name = desk.submit()
    execution = desk.broker.fill(desk.order(name, "E"), 1)
    first = desk.broker.outbox[:]
    desk.broker.outbox.clear()
    desk.broker.correct(execution, 1, 24_003)
    desk.deliver()
    for message in first:
        desk.hand_over(message)
    desk.collect()
    assert desk.manager.position(name) == 1
    assert [fill.price for fill in desk.fills] == [24_003]


def test_a_busted_exit_opens_the_position_again_and_it_gets_a_stop() -> None:
    desk = Desk().ready()
    name = desk.submit()
    desk.fill(name, "E")
    execution = desk.fill(name, "T")
    assert desk.alive(name) == set()
    desk.broker.correct(execution, 0, execution.price)
    desk.deliver()
    assert desk.manager.position(name) == 1
    assert desk.alive(name) == {"S2"}
    assert "EXECUTION_CORRECTED" in desk.troubles()


def test_a_busted_entry_leaves_no_stop_that_could_open() -> None:
    desk = Desk().ready()
    name = desk.submit()
    execution = desk.fill(name, "E")
    desk.broker.correct(execution, 0, execution.price)
    desk.deliver()
    assert desk.manager.position(name) == 0
    desk.wait(3)
    assert desk.alive(name) == set()


def test_a_fill_after_the_end_is_booked_and_the_position_closed() -> None:
    desk = Desk().ready()
    name = desk.submit()
    entry = desk.order(name, "E")
    desk.manager.cancel_entry(name, 0)
    desk.deliver()
    assert not desk.manager.is_open(name)
    desk.broker.fill(entry, 1)
    desk.deliver()
    assert desk.manager.position(name) == 1
    assert "LATE_FILL" in desk.troubles()
    desk.settle(10)
    assert desk.manager.position(name) == 0
    assert desk.broker.position() == 0


def test_an_order_that_works_after_its_end_is_in_doubt_until_a_query() -> None:
    desk = Desk().ready()
    name = desk.submit()
    order = desk.order(name, "E")
    gone = desk.broker.status_of(order)
    desk.hand_over(replace(gone, status=BrokerStatus.CANCELLED))
    assert desk.state(name, "E") == "CANCELLED"
    desk.hand_over(gone)
    assert desk.state(name, "E") == "UNKNOWN"
    assert "REAPPEARED" in desk.troubles()
    desk.hand_over(gone)
    assert desk.manager.why_no_risk
    desk.query()
    desk.wait(3)
    assert desk.alive(name) == set()
    assert desk.manager.why_no_risk == ""


def test_statuses_that_repeat_themselves_are_written_once() -> None:
    desk = Desk().ready()
    name = desk.submit()
    before = len(desk.journal.events)
    for _ in range(5):
        desk.broker.tell_status(desk.order(name, "E"))
        desk.broker.tell_open(desk.order(name, "S"))
    desk.deliver()
    assert len(desk.journal.events) == before


def test_a_partial_fill_never_goes_back_to_working() -> None:
    desk = Desk().ready()
    name = desk.submit(quantity=2)
    early = desk.broker.open_order_of(desk.order(name, "E"))
    desk.fill(name, "E", 1)
    desk.hand_over(early)
    assert desk.state(name, "E") == "PARTIAL"
    assert desk.manager.position(name) == 1


def test_a_commission_may_come_early_late_twice_or_never() -> None:
    desk = Desk().ready()
    name = desk.submit(quantity=2)
    order = desk.order(name, "E")
    first, second = desk.broker.fill(order, 1), desk.broker.fill(order, 1)
    desk.broker.outbox.clear()
    desk.hand_over(CommissionReport(first.exec_id, 2.47, None))
    desk.hand_over(first)
    desk.hand_over(second)
    desk.hand_over(CommissionReport(second.exec_id, 2.47, None))
    known = len(desk.journal.events)
    desk.hand_over(CommissionReport(second.exec_id, 2.47, None))
    assert len(desk.journal.events) == known
    assert [fill.commission for fill in desk.manager.fills(name)] == [2.47, 2.47]
    assert [fill.commission for fill in desk.manager.poll()] == [2.47, 2.25]


def test_the_same_id_of_another_client_is_not_ours() -> None:
    desk = Desk().ready()
    name = desk.submit()
    order = desk.order(name, "E")
    theirs = StatusReport(order.ticket.order_id, 5_555, CLIENT + 1, BrokerStatus.CANCELLED, 0, 1)
    desk.hand_over(theirs)
    assert desk.state(name, "E") == "WORKING"
    assert 5_555 not in desk.manager.ledger.leg(f"{name}:E").perms


def test_a_cancel_by_another_client_is_known_by_the_permanent_id() -> None:
    desk = Desk().ready()
    name = desk.submit()
    order = desk.order(name, "E")
    order.status = BrokerStatus.CANCELLED
    desk.hand_over(replace(desk.broker.status_of(order), client_id=CLIENT + 1))
    assert desk.state(name, "E") == "CANCELLED"


def test_a_doubled_entry_is_cancelled_and_what_fills_of_it_protected() -> None:
    desk = Desk().ready()
    name = desk.submit()
    twin = desk.broker.double(desk.order(name, "E"))
    desk.broker.tell_open(twin)
    desk.broker.fill(twin, 1)
    desk.broker.fill(next(o for o in desk.broker.orders if o.ticket == twin.ticket), 1)
    desk.deliver()
    assert "DUPLICATE_ORDER" in desk.troubles()
    assert "OVERFILL" in desk.troubles()
    assert desk.manager.position(name) == desk.broker.position() == 2
    desk.settle(10)
    assert desk.order(name, "S").remaining == 2


def test_a_doubled_entry_does_not_stay_alive() -> None:
    desk = Desk().ready()
    name = desk.submit()
    twin = desk.broker.double(desk.order(name, "E"))
    desk.broker.tell_open(twin)
    desk.fill(name, "E")
    desk.settle(10)
    assert desk.manager.position(name) in (0, 1)
    assert "E" not in desk.alive(name)


def test_a_position_that_turned_round_is_closed_once_the_broker_confirms_it() -> None:
    desk = Desk().ready()
    name = desk.submit()
    desk.fill(name, "E")
    flat = desk.order(name, "S")
    desk.broker.fill(flat, 1)
    twin = desk.broker.double(flat)
    twin.filled, twin.status = 1, BrokerStatus.FILLED
    desk.broker.executions.append(
        replace(desk.broker.executions[-1], exec_id="a.b.99.01", perm_id=twin.perm_id)
    )
    desk.broker.outbox.append(desk.broker.executions[-1])
    sent = len(desk.broker.sent)
    desk.deliver()
    assert desk.manager.position(name) == -1
    assert "OVERFILL" in desk.troubles()
    assert len(desk.broker.sent) == sent
    assert desk.manager.wants_query
    result = desk.query()
    assert result.repaired == [name]
    repair = desk.broker.sent[-1][1]
    assert (repair.side, repair.quantity, repair.order_ref) == (1, 1, f"{name}:F1")
    desk.deliver()
    desk.fill(name, "F1")
    assert desk.manager.position(name) == desk.broker.position() == 0


@pytest.mark.parametrize("code", [10147, 10148, 161])
def test_a_cancellation_that_did_not_take_is_asked_for_again_after_a_query(code: int) -> None:
    desk = Desk().ready()
    name = desk.submit()
    order = desk.order(name, "E")
    desk.broker.frozen = True
    desk.manager.cancel_entry(name, 0)
    # The request is lost at the broker, which answers with a code.
    desk.broker.limbo.clear()
    desk.broker.frozen = False
    desk.hand_over(Notice(order.ticket.order_id, code, "cannot be cancelled"))
    assert desk.state(name, "E") == "PENDING_CANCEL"
    assert desk.query().retry == ""
    desk.settle(4)
    assert desk.alive(name) == set()
    assert desk.manager.why_no_risk == ""


def test_a_code_that_comes_while_stock_is_taken_needs_another_query() -> None:
    desk = Desk().ready()
    name = desk.submit()
    order = desk.order(name, "E")
    desk.reconciler.begin()
    snapshot = desk.broker.snapshot()
    desk.tell(snapshot)
    desk.hand_over(Notice(order.ticket.order_id, 10349, "not so"))
    assert desk.reconciler.reconcile(snapshot).retry
    assert desk.manager.why_no_risk
    assert desk.query().retry == ""
    assert desk.manager.why_no_risk == ""
    assert desk.alive(name) == {"E", "S", "T"}


def test_an_exit_that_is_heard_before_its_entry_after_a_restart_is_no_overfill() -> None:
    desk = Desk().ready()
    name = desk.submit()
    desk.drop()
    desk.broker.fill(desk.order(name, "E"), 1)
    desk.broker.outbox.clear()
    desk.start()
    desk.connect()
    # Nothing was asked yet, and the target fills.
    desk.fill(name, "T")
    assert desk.manager.position(name) == -1
    assert desk.manager.why_no_risk
    desk.query()
    assert desk.manager.position(name) == desk.broker.position() == 0
    assert desk.manager.why_no_risk == ""
    assert "OVERFILL" not in desk.troubles()
    assert desk.alive(name) == set()


def test_a_stop_stays_while_executions_of_its_entry_are_under_way() -> None:
    desk = Desk().ready()
    name = desk.submit(quantity=2)
    broker = desk.broker
    entry = broker.fill(desk.order(name, "E"), 2)
    broker.outbox.clear()
    desk.fill(name, "T", 1)
    assert desk.manager.position(name) == -1
    assert desk.manager.wants_query
    assert name in desk.manager.why_no_risk
    assert desk.alive(name) == {"S", "T"}
    desk.hand_over(entry)
    assert desk.manager.position(name) == broker.position() == 1
    desk.settle(10)
    assert desk.alive(name) == {"S", "T"}
    assert "OVERFILL" not in desk.troubles()


def test_two_exits_of_a_part_that_cross_are_told_of_once_the_broker_confirms_them() -> None:
    desk = Desk().ready()
    name = desk.submit(quantity=2)
    desk.fill(name, "E", 1)
    desk.manager.flatten(name, 0)
    flat = desk.order(name, "F1")
    target = desk.order(name, "T")
    desk.deliver()
    assert desk.state(name, "E") == "CANCELLED"
    # Both fill: what the target has is no longer open when the market order takes it again.
    desk.broker.fill(target, 1)
    flat.status, flat.quantity = BrokerStatus.SUBMITTED, 1
    desk.deliver()
    flat.filled, flat.status = 1, BrokerStatus.FILLED
    crossed = replace(
        desk.broker.executions[-1],
        exec_id="a.b.99.01",
        order_id=flat.ticket.order_id,
        order_ref=flat.ticket.order_ref,
        perm_id=flat.perm_id,
    )
    desk.broker.executions.append(crossed)
    desk.hand_over(crossed)
    assert desk.manager.position(name) == desk.broker.position() == -1
    assert desk.manager.why_no_risk
    assert desk.query().repaired == [name]
    assert "OVERFILL" in desk.troubles()
    desk.settle(10)
    assert desk.manager.position(name) == desk.broker.position() == 0


def test_a_refused_flatten_is_tried_three_times_and_then_a_person_is_called() -> None:
    desk = Desk().ready()
    name = desk.submit()
    desk.fill(name, "E")
    desk.broker.reject_roles = {"F"}
    desk.manager.flatten(name, 0)
    desk.wait(20)
    assert sum(ref.startswith(f"{name}:F") for ref in desk.broker.new_orders) == 3
    halts = [alarm for alarm in desk.alarms if alarm.trouble.value == "STUCK"]
    assert [alarm.halt for alarm in halts] == [TradingState.HALT_TRADING]
    assert desk.alive(name) == {"S", "T"}


def test_a_cancel_that_is_never_answered_is_tried_three_times() -> None:
    desk = Desk().ready()
    name = desk.submit()
    desk.broker._cancel = lambda order_id: None
    desk.manager.cancel_entry(name, 0)
    desk.settle(40)
    assert [what for what, _ in desk.broker.sent].count("cancel") == 3
    assert desk.manager.is_open(name)
    assert "STUCK" in desk.troubles()


def test_a_wire_that_takes_nothing_is_not_hammered() -> None:
    desk = Desk().ready()
    name = desk.submit()
    desk.fill(name, "E")
    desk.broker.up = False
    calls = []
    place = desk.broker.place
    desk.broker.place = lambda ticket: (calls.append(ticket), place(ticket))
    desk.manager.flatten(name, 0)
    desk.wait(30)
    assert len(calls) == 3
    desk.broker.place = place
    desk.drop()
    desk.ready()
    assert desk.alive(name) == {"S", "T", "F4"}


def test_an_execution_that_is_not_ours_raises_an_alarm_and_a_query() -> None:
    desk = Desk().ready()
    order = desk.broker.by_hand(1)
    desk.broker.fill(order, 1)
    desk.deliver()
    assert "UNKNOWN_POSITION" in desk.troubles()
    assert desk.manager.wants_query
    desk.query()
    with pytest.raises(BrokerError, match="not explained"):
        desk.manager.submit(desk.bracket())


def test_an_execution_of_another_account_is_nothing_to_us() -> None:
    desk = Desk().ready()
    name = desk.submit()
    execution = desk.broker.fill(desk.order(name, "E"), 1)
    desk.broker.outbox.clear()
    desk.hand_over(replace(execution, account="DU7654321"))
    assert desk.manager.position(name) == 0


def test_an_execution_in_another_contract_is_not_booked() -> None:
    desk = Desk().ready()
    name = desk.submit()
    execution = desk.broker.fill(desk.order(name, "E"), 1)
    desk.broker.outbox.clear()
    desk.hand_over(replace(execution, con_id=1, contract="ESH26"))
    assert desk.manager.position(name) == 0
    assert "UNKNOWN_POSITION" in desk.troubles()
    assert desk.manager.wants_query


@pytest.mark.parametrize("policy", ["halt", "ignore", "adopt"])
def test_a_manual_order_means_what_the_policy_says(policy) -> None:
    desk = Desk(foreign=policy).ready()
    order = desk.broker.by_hand(1, price=23_000)
    desk.broker.tell_open(order)
    desk.deliver()
    assert desk.manager.unknown_position is (policy == "halt")
    assert bool(desk.manager.why_no_risk) is (policy == "halt")
    desk.wait(5)
    assert desk.broker.sent == []
    order.status = BrokerStatus.CANCELLED
    desk.broker.tell_status(order)
    desk.deliver()
    assert desk.manager.why_no_risk == ""


def test_the_exposure_counts_what_is_held_and_what_may_fill() -> None:
    desk = Desk(foreign="adopt").ready()
    first = desk.submit(quantity=2)
    desk.fill(first, "E", 1)
    assert desk.manager.exposure(1) == 20
    assert desk.manager.exposure(-1) == 0
    desk.broker.foreign_position = 1
    desk.query()
    assert desk.manager.exposure(1) == 30


def test_the_state_is_a_fold_of_the_journal_through_a_whole_life() -> None:
    desk = Desk().ready()
    name = desk.submit(quantity=2)
    desk.fill(name, "E", 1)
    tell(desk, name, "S", 10349)
    desk.query()
    desk.manager.modify_stop(name, 23_996, 0)
    desk.deliver()
    desk.fill(name, "T", 1)
    desk.manager.on_link(LinkState.DEGRADED, "1100")
    known = desk.manager.state_hash()
    desk.restart()
    assert desk.manager.state_hash() == known == desk.journal.shadow.state_hash()
    assert desk.manager.poll() == []
    assert [f.role for f in desk.manager.fills(name)] == [OrderRole.ENTRY, OrderRole.TARGET]


def test_contract_and_account_are_those_of_the_bracket() -> None:
    desk = Desk().ready()
    desk.submit()
    assert {(t.contract, t.symbol, t.account) for _, t in desk.broker.sent} == {
        (CONTRACT, "ES", ACCOUNT)
    }
