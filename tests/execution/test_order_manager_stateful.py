"""The order manager and the reconciler against a model of the broker, by random sequences.

After every step: one live order for each intent (I1), the limit (I4), the exits of a bracket
exclude one another at the broker, no new one is larger than what is open or joins another market
order, an alarm of too many contracts is true, and the state equals the fold of what was written
down (I8). After every sequence the world turns benevolent, and then the
position is that of the broker (I2), protected in its size (I3), and nothing is left over.
"""

import os

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from order_broker import CLIENT, CONTRACT, Desk, ModelOrder

from mia.core.base_types import OrderRole, OrderType
from mia.core.broker_types import (
    BrokerStatus,
    ExecutionReport,
    LinkState,
    Notice,
    OrderTicket,
)
from mia.errors import BrokerError
from mia.execution.orders.ledger import OrderLedger
from mia.execution.orders.states import parse_reference

MAX_SIZE = 3
STEPS = int(os.environ.get("MIA_ORDER_STEPS", "10000"))
PICK = st.integers(0, 10_000)


class BrokerThatLies(RuleBasedStateMachine):
    poisons = False

    @initialize(oca_cancels=st.booleans(), resizes=st.booleans())
    def open_the_desk(self, oca_cancels: bool, resizes: bool) -> None:
        self.desk = Desk().ready()
        self.names: list[str] = []
        self.busted = False
        self.poisoned = False
        self.desk.broker.oca_cancels = oca_cancels
        self.known_ids: set[int] = set()
        self.desk.broker.on_bytes = self.see_exit
        if not resizes:
            self.desk.broker._resize_children = lambda entry: None

    # what the trader does

    @rule(
        side=st.sampled_from([1, -1]),
        quantity=st.integers(1, 3),
        kind=st.sampled_from([OrderType.MARKET, OrderType.LIMIT, OrderType.STOP]),
    )
    def submit(self, side: int, quantity: int, kind: OrderType) -> None:
        desk = self.desk
        if desk.manager.exposure(side) + 10 * quantity > 10 * MAX_SIZE:
            return
        order = desk.bracket(side, quantity, kind)
        blocked = desk.manager.why_no_risk
        try:
            desk.manager.submit(order)
            assert not blocked
        except BrokerError:
            assert blocked
            return
        self.names.append(order.bracket_id)

    @precondition(lambda self: self.names)
    @rule(pick=PICK, what=st.sampled_from(["cancel", "flatten", "tighten"]))
    def manage(self, pick: int, what: str) -> None:
        name = self.names[pick % len(self.names)]
        manager = self.desk.manager
        if what == "cancel":
            manager.cancel_entry(name, 0)
        elif what == "flatten":
            manager.flatten(name, 0)
        else:
            bracket = manager.ledger.brackets[name]
            manager.modify_stop(name, bracket.stop_wanted + bracket.order.side, 0)

    @rule(seconds=st.sampled_from([0.3, 0.7, 1.1, 2.5]))
    def let_time_pass(self, seconds: float) -> None:
        self.desk.time.pass_by(seconds)
        self.desk.manager.check()

    # what the market does

    @precondition(lambda self: self.desk.broker.fillable())
    @rule(pick=PICK, quantity=st.integers(1, 3))
    def trade(self, pick: int, quantity: int) -> None:
        orders = self.desk.broker.fillable()
        self.desk.broker.fill(orders[pick % len(orders)], quantity)

    # what the connection does

    @rule(count=st.integers(1, 30))
    def deliver(self, count: int) -> None:
        self.desk.deliver(count)

    @rule()
    def deliver_all(self) -> None:
        self.desk.deliver()

    @precondition(lambda self: self.desk.broker.outbox)
    @rule(pick=PICK)
    def say_twice(self, pick: int) -> None:
        outbox = self.desk.broker.outbox
        message = outbox[pick % len(outbox)]
        outbox.append(message)
        self.desk.hand_over(message)

    @precondition(lambda self: self.desk.broker.outbox)
    @rule(first=PICK, second=PICK)
    def swap(self, first: int, second: int) -> None:
        outbox = self.desk.broker.outbox
        a, b = first % len(outbox), second % len(outbox)
        outbox[a], outbox[b] = outbox[b], outbox[a]

    @precondition(lambda self: self.desk.broker.outbox)
    @rule(pick=PICK)
    def lose(self, pick: int) -> None:
        """An acknowledgement, a status, even an execution is never heard."""
        outbox = self.desk.broker.outbox
        outbox.pop(pick % len(outbox))

    @rule(reason=st.sampled_from(["1100", "1101", "socket"]))
    def lose_the_link(self, reason: str) -> None:
        if reason == "socket":
            self.desk.drop()
        else:
            self.desk.manager.on_link(LinkState.DEGRADED, reason)

    @precondition(lambda self: self.desk.manager.link is not LinkState.READY)
    @rule(arrives=st.booleans())
    def reconnect(self, arrives: bool) -> None:
        self.thaw(arrives)
        self.desk.connect()

    @rule()
    def freeze(self) -> None:
        self.desk.broker.frozen = True

    @rule(arrives=st.booleans())
    def thaw(self, arrives: bool) -> None:
        """What was sent meanwhile is heard now, or never was."""
        broker = self.desk.broker
        broker.frozen = False
        waiting, broker.limbo = broker.limbo, []
        for what, subject in waiting:
            if arrives and what == "place":
                broker._accept(subject)
            elif arrives:
                broker._cancel(subject)

    @precondition(lambda self: self.desk.manager.link is LinkState.READY)
    @rule(
        complete=st.booleans(),
        hide=st.integers(0, 3),
        twice=st.booleans(),
        late=st.booleans(),
        told=st.booleans(),
    )
    def query(self, complete: bool, hide: int, twice: bool, late: bool, told: bool) -> None:
        desk = self.desk
        if desk.broker.frozen:
            return
        desk.reconciler.begin()
        desk.deliver()
        snapshot = desk.broker.snapshot(complete=complete, hide=hide)
        if told:
            desk.tell(snapshot)
        if late and desk.broker.fillable():
            desk.broker.fill(desk.broker.fillable()[0], 1)
            desk.deliver()
        desk.reconciler.reconcile(snapshot)
        if twice:
            known = desk.manager.state_hash()
            desk.reconciler.reconcile(snapshot)
            assert desk.manager.state_hash() == known

    # what the broker does

    @precondition(lambda self: any(o.alive and o.bracket for o in self.desk.broker.orders))
    @rule(pick=PICK, code=st.sampled_from([10349, 161, 104, 10147, 105, 321, 110, 201]))
    def say_a_false_code(self, pick: int, code: int) -> None:
        alive = [o for o in self.desk.broker.orders if o.alive and o.bracket]
        order = alive[pick % len(alive)]
        leg = self.desk.manager.ledger.leg(order.ticket.order_ref)
        if code == 201 and not leg.perms:
            return
        self.desk.broker.outbox.append(Notice(order.ticket.order_id, code, "not so"))

    @rule(roles=st.sets(st.sampled_from("ESTF"), max_size=2))
    def refuse(self, roles: set[str]) -> None:
        self.desk.broker.reject_roles = roles

    @rule(roles=st.sets(st.sampled_from("ESTF"), max_size=2))
    def keep_silent(self, roles: set[str]) -> None:
        self.desk.broker.silent_roles = roles

    @precondition(lambda self: any(e.order_ref for e in self.desk.broker.executions))
    @rule(pick=PICK, quantity=st.integers(0, 3), price=st.integers(-2, 2))
    def correct(self, pick: int, quantity: int, price: int) -> None:
        broker = self.desk.broker
        ours = [e for e in broker.executions if e.order_ref]
        ours = [e for e in ours if e.exec_id not in broker.lost_executions]
        if not ours:
            return
        execution = ours[pick % len(ours)]
        self.busted = True
        quantity = min(quantity, execution.quantity)
        broker.correct(execution, quantity, execution.price + price)

    @precondition(lambda self: any(o.alive and o.role == "S" for o in self.desk.broker.orders))
    @rule(pick=PICK)
    def cancel_a_stop_by_hand(self, pick: int) -> None:
        stops = [o for o in self.desk.broker.orders if o.alive and o.role == "S"]
        order = stops[pick % len(stops)]
        self.desk.broker._end(order, BrokerStatus.CANCELLED)

    @rule(side=st.sampled_from([1, -1]), fills=st.booleans())
    def trade_by_hand(self, side: int, fills: bool) -> None:
        if sum(not o.bracket for o in self.desk.broker.orders) >= 2:
            return
        order = self.desk.broker.by_hand(side, price=0 if fills else 23_000)
        self.desk.broker.tell_open(order)
        if fills:
            self.desk.broker.fill(order, 1)

    @precondition(lambda self: any(not o.bracket and o.alive for o in self.desk.broker.orders))
    @rule()
    def cancel_by_hand(self) -> None:
        for order in self.desk.broker.orders:
            if not order.bracket and order.alive:
                order.status = BrokerStatus.CANCELLED

    @precondition(lambda self: self.poisons and self.desk.broker.fillable())
    @rule(pick=PICK)
    def trade_with_a_time_nobody_can_read(self, pick: int) -> None:
        orders = [order for order in self.desk.broker.fillable() if order.bracket]
        if not orders:
            return
        self.poisoned = self.desk.broker.poison = True
        self.desk.broker.fill(orders[pick % len(orders)], 3)
        self.desk.broker.poison = False

    @rule()
    def die_and_restart(self) -> None:
        known = self.desk.journal.shadow.state_hash()
        self.desk.restart()
        assert self.desk.manager.state_hash() == known

    # what must always hold

    @invariant()
    def one_order_for_each_intent(self) -> None:
        broker = self.desk.broker
        assert all(count == 1 for count in broker.new_orders.values()), broker.new_orders
        assert all(parse_reference(ref) for ref in broker.new_orders)

    @invariant()
    def the_state_is_the_fold_of_the_journal(self) -> None:
        assert self.desk.manager.state_hash() == self.desk.journal.shadow.state_hash()

    @invariant()
    def the_limit_holds(self) -> None:
        if self.busted:
            return
        for side in (1, -1):
            held = sum(
                max(0, self.desk.broker.open_of(entry.bracket))
                + (entry.remaining if entry.alive else 0)
                for entry in self.desk.broker.orders
                if entry.role == "E" and entry.ticket.side == side
            )
            assert held <= MAX_SIZE

    def see_exit(self, what: str, ticket: OrderTicket) -> None:
        """Look at an exit as it leaves: it closes what is believed open, and nobody else does."""
        name, role = parse_reference(ticket.order_ref) or ("", None)
        new = ticket.order_id not in self.known_ids
        self.known_ids.add(ticket.order_id)
        bracket = self.desk.manager.ledger.brackets[name]
        if not new or ticket.parent_id or role is OrderRole.ENTRY:
            return
        others = [leg for leg in bracket.exits if leg.ref != ticket.order_ref and leg.may_fill]
        assert ticket.quantity <= abs(bracket.expected)
        assert ticket.side * bracket.expected * bracket.order.side < 0
        assert ticket.oca_group or not others
        assert not any(leg.role is role for leg in others)

    @invariant()
    def exits_of_a_bracket_exclude_one_another(self) -> None:
        for name in self.names:
            alive = [
                order.ticket
                for order in self.desk.broker.orders
                if order.alive and order.bracket == name and order.role != "E"
            ]
            assert len(alive) < 2 or {ticket.oca_group for ticket in alive} == {name}

    @invariant()
    def an_alarm_of_too_many_contracts_is_true(self) -> None:
        self.desk.collect()
        assert self.busted or "OVERFILL" not in self.desk.troubles()

    @invariant()
    def fills_told_add_up(self) -> None:
        self.desk.collect()
        if self.busted:
            return
        told = sum(fill.side * fill.quantity for fill in self.desk.fills)
        assert told == self.desk.manager.ledger.position(CONTRACT)

    def teardown(self) -> None:
        if not hasattr(self, "desk"):
            return
        desk = self.desk
        broker = desk.broker
        broker.reject_roles, broker.silent_roles = set(), set()
        self.thaw(False)
        desk.drop()
        last, still = "", 0
        for _ in range(80):
            desk.settle(1)
            now = f"{desk.manager.state_hash()} {len(broker.sent)}"
            still = still + 1 if now == last else 0
            last = now
            if still == 14:
                break
        assert still == 14, "the desk does not come to rest"
        self.check_at_rest()

    def check_at_rest(self) -> None:
        desk, broker, manager = self.desk, self.desk.broker, self.desk.manager
        ledger = manager.ledger
        fresh = OrderLedger()
        for _, _, kind, payload in desk.journal.events:
            fresh.apply(kind, payload)
        assert fresh.state_hash() == manager.state_hash()
        assert not list(ledger.unsettled())
        difference = ledger.quarantine.get(CONTRACT, 0)
        assert ledger.position(CONTRACT) + difference == broker.position()
        if not self.poisoned:
            assert difference == broker.foreign_position + sum(
                o.ticket.side * o.filled for o in broker.orders if not o.bracket
            )
        for name, bracket in ledger.brackets.items():
            orders = [o for o in broker.orders if o.bracket == name]
            held = broker.open_of(name) if any(o.role == "E" for o in orders) else 0
            if not self.poisoned:
                assert bracket.open == held
            assert bracket.open >= 0 or difference
            entry = [o for o in orders if o.role == "E" and o.alive]
            stops = [o for o in orders if o.role == "S" and o.alive]
            if bracket.open > 0:
                cover = sum(stop.remaining for stop in stops)
                # Where somebody else trades too, exits are no larger than what is held.
                least = bracket.open
                if difference:
                    least = max(0, min(least, broker.position() * bracket.order.side))
                assert cover >= least
                assert cover <= bracket.open or entry
            elif bracket.open == 0 and not entry:
                assert not [o for o in orders if o.alive], "orders are left over"
            if bracket.cancel_wanted or bracket.flatten_wanted:
                assert not entry
            if bracket.flatten_wanted and not difference:
                assert bracket.open == 0


class BrokerWithUnreadableTimes(BrokerThatLies):
    poisons = True


def run(machine: type[BrokerThatLies], steps: int) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=max(1, steps // 50),
            stateful_step_count=50,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            report_multiple_bugs=False,
        ),
    )


def test_a_lying_broker_finds_no_hole() -> None:
    run(BrokerThatLies, 2000)


@pytest.mark.slow
def test_a_lying_broker_finds_no_hole_in_many_steps() -> None:
    run(BrokerThatLies, STEPS)


def test_executions_that_nobody_can_read_are_inferred() -> None:
    run(BrokerWithUnreadableTimes, 1000)


def test_the_model_tells_whose_orders_are_whose() -> None:
    desk = Desk().ready()
    name = desk.submit()
    assert isinstance(desk.order(name, "E"), ModelOrder)
    execution = desk.fill(name, "E")
    assert isinstance(execution, ExecutionReport)
    assert execution.client_id == CLIENT
