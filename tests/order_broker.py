"""A model of the broker for the tests of orders: honest about orders, treacherous about messages.

It keeps its own truth and shares no code with what is tested. Children of a bracket are held
until the entry fills, close what is open of it, and leave with an entry that ends unfilled.
Messages wait in `outbox` until a test delivers, drops, doubles or swaps them.
"""

import json
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

from mia.core.base_types import OrderType
from mia.core.broker_types import (
    BrokerSnapshot,
    BrokerStatus,
    CommissionReport,
    ExecutionReport,
    LinkState,
    Notice,
    OpenOrderReport,
    OrderTicket,
    PositionReport,
    StatusReport,
)
from mia.core.trading_types import BracketOrder
from mia.errors import BrokerError
from mia.execution.order_manager import OrderManager
from mia.execution.orders.ledger import OrderLedger
from mia.execution.orders.sender import OrderSettings
from mia.execution.reconciler import Reconciler, Reconciliation

SECOND = 1_000_000_000
T0 = 1_763_479_800_000_000_000
ACCOUNT = "DU1234567"
CLIENT = 11
CONTRACT = "ESZ25"
CON_ID = 495_512_563
OVER = (BrokerStatus.FILLED, BrokerStatus.CANCELLED, BrokerStatus.INACTIVE)


class Time:
    """Market clock and monotonic clock, moved by hand."""

    def __init__(self) -> None:
        self.elapsed = 0

    def now(self) -> int:
        return T0 + self.elapsed

    def monotonic(self) -> int:
        return 77 * SECOND + self.elapsed

    def pass_by(self, seconds: float) -> None:
        self.elapsed += int(seconds * SECOND)


class MemoryJournal:
    """Events as a file would give them back, with a shadow ledger that reads along."""

    def __init__(self) -> None:
        self.events: list[tuple[int, int, str, dict[str, Any]]] = []
        self.shadow = OrderLedger()
        self.broken = False
        self.on_append = lambda kind: None

    def wake(self) -> None:
        """Nothing to sync."""

    def append(
        self,
        kind: str,
        payload: Any,
        *,
        ts: int,
        durable: bool = False,
        required: bool = False,
    ) -> int:
        if self.broken:
            raise OSError("no space left on device")
        read_back = json.loads(json.dumps(dict(payload)))
        self.events.append((len(self.events) + 1, ts, kind, read_back))
        self.shadow.apply(kind, read_back)
        self.on_append(kind)
        return len(self.events)


@dataclass
class ModelOrder:
    ticket: OrderTicket
    perm_id: int
    client_id: int = CLIENT
    status: BrokerStatus = BrokerStatus.PRE_SUBMITTED
    filled: int = 0
    staged: bool = False
    quantity: int = 0
    price: int = 0

    @property
    def alive(self) -> bool:
        return self.status not in OVER and not self.staged

    @property
    def remaining(self) -> int:
        return self.quantity - self.filled

    @property
    def bracket(self) -> str:
        return self.ticket.order_ref.partition(":")[0]

    @property
    def role(self) -> str:
        return self.ticket.order_ref.partition(":")[2][:1]


@dataclass
class ModelBroker:
    """The other end: an `OrderWire`, the exchange, and the account."""

    up: bool = True
    frozen: bool = False
    oca_cancels: bool = False
    reject_roles: set[str] = field(default_factory=set)
    silent_roles: set[str] = field(default_factory=set)
    poison: bool = False
    orders: list[ModelOrder] = field(default_factory=list)
    executions: list[ExecutionReport] = field(default_factory=list)
    lost_executions: set[str] = field(default_factory=set)
    outbox: list[object] = field(default_factory=list)
    limbo: list[tuple[str, Any]] = field(default_factory=list)
    foreign_position: int = 0
    sent: list[tuple[str, Any]] = field(default_factory=list)
    new_orders: Counter = field(default_factory=Counter)
    _ids: int = 100
    _perms: int = 900_000
    _execs: int = 0
    on_bytes: Any = None

    # the wire

    def next_order_id(self) -> int:
        self._ids += 1
        return self._ids

    def place(self, ticket: OrderTicket) -> None:
        if not self.up:
            raise BrokerError("the connection is closed")
        if self.on_bytes is not None:
            self.on_bytes("place", ticket)
        self.sent.append(("place", ticket))
        if self.frozen:
            self.limbo.append(("place", ticket))
        else:
            self._accept(ticket)

    def cancel(self, order_id: int) -> None:
        if not self.up:
            raise BrokerError("the connection is closed")
        self.sent.append(("cancel", order_id))
        if self.frozen:
            self.limbo.append(("cancel", order_id))
        else:
            self._cancel(order_id)

    # the gateway

    def _accept(self, ticket: OrderTicket) -> None:
        known = [o for o in self.orders if o.ticket.order_id == ticket.order_id]
        if known:
            order = known[-1]
            if order.alive:
                order.quantity = max(ticket.quantity, order.filled)
                order.price = ticket.price
                self.tell_open(order)
                self.tell_status(order)
                if order.remaining == 0:
                    self._end(order, BrokerStatus.FILLED)
            elif not order.staged:
                self.outbox.append(Notice(ticket.order_id, 103, "Duplicate order id"))
            return
        self._perms += 1
        order = ModelOrder(ticket, self._perms, quantity=ticket.quantity, price=ticket.price)
        order.staged = True
        self.new_orders[ticket.order_ref] += 1
        self.orders.append(order)
        if ticket.transmit:
            parent = ticket.parent_id
            family = [
                o
                for o in self.orders
                if o.staged
                and (o is order or (parent and parent in (o.ticket.order_id, o.ticket.parent_id)))
            ]
            for each in family:
                each.staged = False
            for each in family:
                self._begin(each)

    def _begin(self, order: ModelOrder) -> None:
        parent = self._parent(order)
        dead_parent = parent is not None and not parent.alive and not parent.filled
        # A group that has closed the position takes no further member.
        full = order.role in ("S", "F") and order.ticket.oca_group and parent is None
        full = full and self.open_of(order.bracket) <= 0
        if order.role in self.reject_roles or dead_parent or full:
            order.status = BrokerStatus.INACTIVE
            self.outbox.append(Notice(order.ticket.order_id, 201, "Order rejected - reason: no"))
            self.outbox.append(self.status_of(order))
            if order.role == "E":
                for child in self.orders:
                    if child.alive and child.ticket.parent_id == order.ticket.order_id:
                        self._end(child, BrokerStatus.CANCELLED)
            return
        order.status = BrokerStatus.SUBMITTED
        if order.ticket.order_type is OrderType.STOP:
            order.status = BrokerStatus.PRE_SUBMITTED
        if order.role in self.silent_roles:
            return
        self.tell_open(order)
        self.tell_status(order)

    def _cancel(self, order_id: int) -> None:
        known = [o for o in self.orders if o.ticket.order_id == order_id and o.client_id == CLIENT]
        alive = [o for o in known if o.alive]
        for order in known:
            if order.staged:
                order.staged, order.status = False, BrokerStatus.CANCELLED
                return
        if not alive:
            code = 10148 if known else 10147
            self.outbox.append(Notice(order_id, code, "cannot be cancelled"))
            return
        for order in alive:
            self._end(order, BrokerStatus.CANCELLED)
            self.outbox.append(Notice(order_id, 202, "Order Canceled - reason:"))

    def _end(self, order: ModelOrder, status: BrokerStatus) -> None:
        order.status = status
        self.tell_status(order)
        if status is BrokerStatus.CANCELLED and order.role == "E" and not order.filled:
            for child in self.orders:
                if child.alive and child.ticket.parent_id == order.ticket.order_id:
                    self._end(child, BrokerStatus.CANCELLED)
        if status is BrokerStatus.CANCELLED and order.role == "E":
            self._resize_children(order)

    def _resize_children(self, entry: ModelOrder) -> None:
        held = self.open_of(entry.bracket)
        for child in self.orders:
            if child.alive and child.ticket.parent_id == entry.ticket.order_id and held > 0:
                child.quantity = child.filled + min(child.remaining, held)
                self.tell_status(child)

    def _parent(self, order: ModelOrder) -> ModelOrder | None:
        parent = order.ticket.parent_id
        found = [o for o in self.orders if parent and o.ticket.order_id == parent]
        return found[-1] if found else None

    # the exchange

    def open_of(self, bracket: str) -> int:
        """Contracts open of a bracket in the direction of its entry."""
        mine = [o for o in self.orders if o.bracket == bracket]
        entries = [o for o in mine if o.role == "E"]
        return sum(o.ticket.side * o.filled for o in mine) * entries[0].ticket.side

    def position(self) -> int:
        mine = sum(o.ticket.side * o.filled for o in self.orders)
        return mine + self.foreign_position

    def fillable(self) -> list[ModelOrder]:
        result = []
        for order in self.orders:
            parent = self._parent(order)
            if order.alive and order.remaining > 0 and (parent is None or parent.filled):
                if order.ticket.oca_group and self.open_of(order.bracket) <= 0:
                    continue
                result.append(order)
        return result

    def fill(self, order: ModelOrder, quantity: int, price: int | None = None) -> ExecutionReport:
        """Fill at most what the order may, and let its group follow."""
        closing = order.role in ("S", "T", "F") and bool(order.ticket.oca_group)
        quantity = min(quantity, order.remaining)
        if closing:
            quantity = min(quantity, self.open_of(order.bracket))
        order.filled += quantity
        self._execs += 1
        execution = ExecutionReport(
            f"0000e0d5.{self._execs:08x}.01.01",
            order.ticket.order_id,
            order.perm_id,
            order.client_id,
            order.ticket.order_ref,
            CON_ID,
            CONTRACT,
            ACCOUNT,
            order.ticket.side,
            quantity,
            price or order.price or 24_000,
            T0 + self._execs,
            order.filled,
        )
        self.executions.append(execution)
        if self.poison:
            self.lost_executions.add(execution.exec_id)
        else:
            self.outbox.append(execution)
        if order.remaining == 0:
            order.status = BrokerStatus.FILLED
        self.outbox.append(self.status_of(order))
        if not self.poison:
            self.outbox.append(CommissionReport(execution.exec_id, 2.25 * quantity, None))
        if closing:
            held = self.open_of(order.bracket)
            group = order.ticket.oca_group
            for other in self.orders:
                if other.alive and other is not order and other.ticket.oca_group == group:
                    if held <= 0 or self.oca_cancels:
                        self._end(other, BrokerStatus.CANCELLED)
                    else:
                        other.quantity = other.filled + min(other.remaining, held)
                        self.tell_status(other)
            if held <= 0 and order.alive:
                self._end(order, BrokerStatus.CANCELLED)
        return execution

    def correct(self, execution: ExecutionReport, quantity: int, price: int) -> ExecutionReport:
        """Revise an execution; 0 contracts bust it."""
        newer = replace(
            execution,
            exec_id=f"{execution.identity}.{execution.revision + 1:02d}",
            quantity=quantity,
            price=price,
        )
        self.executions[self.executions.index(execution)] = newer
        order = next(o for o in self.orders if o.perm_id == execution.perm_id)
        order.filled += quantity - execution.quantity
        if execution.exec_id in self.lost_executions:
            self.lost_executions.add(newer.exec_id)
        else:
            self.outbox.append(newer)
        return newer

    # what it says

    def status_of(self, order: ModelOrder) -> StatusReport:
        return StatusReport(
            order.ticket.order_id,
            order.perm_id,
            order.client_id,
            order.status,
            order.filled,
            max(0, order.remaining),
        )

    def tell_status(self, order: ModelOrder) -> None:
        self.outbox.append(self.status_of(order))

    def open_order_of(self, order: ModelOrder) -> OpenOrderReport:
        ticket = order.ticket
        return OpenOrderReport(
            ticket.order_id,
            order.perm_id,
            order.client_id,
            ticket.order_ref,
            CON_ID,
            CONTRACT,
            ACCOUNT,
            ticket.side,
            order.quantity,
            ticket.order_type,
            order.price,
            order.status,
            ticket.parent_id,
            order.filled,
        )

    def tell_open(self, order: ModelOrder) -> None:
        self.outbox.append(self.open_order_of(order))

    def snapshot(self, *, complete: bool = True, hide: int = 0) -> BrokerSnapshot:
        """What a query shows; an incomplete one hides the first orders and all positions."""
        alive = [self.open_order_of(o) for o in self.orders if o.alive]
        over = [
            replace(self.open_order_of(o), order_id=0, client_id=0)
            for o in self.orders
            if o.status in OVER
        ]
        held = self.position()
        positions = [PositionReport(ACCOUNT, CON_ID, CONTRACT, "ES", held, 0.0)] if held else []
        executions = [e for e in self.executions if e.exec_id not in self.lost_executions]
        if not complete:
            alive, over, positions = alive[hide:], [], []
        return BrokerSnapshot(alive, over, executions, [], positions, complete, complete)

    def by_hand(self, side: int, *, price: int = 0, client_id: int = 0) -> ModelOrder:
        """Let somebody else place an order."""
        self._perms += 1
        kind = OrderType.LIMIT if price else OrderType.MARKET
        ticket = OrderTicket(0, "", "ES", CON_ID, CONTRACT, side, 1, kind, price, "DAY", ACCOUNT)
        order = ModelOrder(ticket, self._perms, client_id, BrokerStatus.SUBMITTED)
        order.quantity, order.price = 1, price
        self.orders.append(order)
        return order

    def double(self, order: ModelOrder) -> ModelOrder:
        """Let the broker keep a second order of the same id, as after a change sent too early."""
        self._perms += 1
        twin = replace(order, perm_id=self._perms, filled=0)
        self.orders.append(twin)
        return twin


class Desk:
    """A manager on the model, with the runtime's part played by the test."""

    def __init__(self, journal: Any = None, **settings: Any) -> None:
        self.time = Time()
        self.broker = ModelBroker()
        self.journal = MemoryJournal() if journal is None else journal
        self.settings = OrderSettings(ACCOUNT, CLIENT, lambda contract: CON_ID, **settings)
        self.alarms: list[Any] = []
        self.fills: list[Any] = []
        self._count = 0
        self.start()

    def start(self) -> None:
        """Make a manager from the journal, as a new process does."""
        self.manager = OrderManager(
            self.broker,
            self.journal,
            self.settings,
            clock=self.time,
            monotonic=self.time.monotonic,
        )
        self.reconciler = Reconciler(self.manager)
        if isinstance(self.journal, MemoryJournal):
            self.manager.restore(self.journal.events)
        else:
            self.manager.restore(self.journal.events())

    def connect(self) -> None:
        self.broker.up = True
        self.manager.on_link(LinkState.READY, "connected")

    def drop(self, reason: str = "reset by peer") -> None:
        self.broker.up = False
        self.broker.outbox.clear()
        self.manager.on_link(LinkState.DISCONNECTED, reason)

    def ready(self) -> "Desk":
        self.connect()
        self.query()
        return self

    def restart(self) -> None:
        """Kill the process and start it anew."""
        self.drop()
        self.start()

    def query(self, *, complete: bool = True, hide: int = 0) -> Reconciliation:
        self.reconciler.begin()
        self.deliver()
        snapshot = self.broker.snapshot(complete=complete, hide=hide)
        self.tell(snapshot)
        result = self.reconciler.reconcile(snapshot)
        self.collect()
        return result

    def tell(self, snapshot: BrokerSnapshot) -> None:
        """Hand over what a query shows of open orders, as a connection does with each answer."""
        for report in snapshot.open_orders:
            self.hand_over(report)

    def deliver(self, count: int | None = None) -> None:
        """Hand over messages in their order; what they cause is delivered too if all are."""
        while self.broker.outbox and count != 0:
            self.hand_over(self.broker.outbox.pop(0))
            count = None if count is None else count - 1
        self.collect()

    def hand_over(self, message: object) -> None:
        manager = self.manager
        if isinstance(message, StatusReport):
            manager.on_status(message)
        elif isinstance(message, OpenOrderReport):
            manager.on_open_order(message)
        elif isinstance(message, ExecutionReport):
            manager.on_execution(message)
        elif isinstance(message, CommissionReport):
            manager.on_commission(message)
        elif isinstance(message, Notice):
            manager.on_notice(message)
        else:
            raise TypeError(message)

    def collect(self) -> None:
        self.alarms += self.manager.take_alarms()
        self.fills += self.manager.poll()

    def wait(self, seconds: float, step: float = 0.5) -> None:
        """Let time pass with a check at every step, and deliver what is said meanwhile."""
        while seconds > 1e-9:
            self.time.pass_by(min(step, seconds))
            seconds -= step
            self.manager.check()
            self.deliver()

    def settle(self, rounds: int = 40) -> None:
        """Play a benevolent world until nothing is open to doubt; market orders fill."""
        for _ in range(rounds):
            if not self.broker.up:
                self.connect()
            self.deliver()
            for order in self.broker.fillable():
                if order.ticket.order_type is OrderType.MARKET and order.bracket:
                    self.broker.fill(order, order.remaining)
            self.deliver()
            if self.manager.wants_query or not self.manager.reconciled:
                self.query()
            self.wait(0.5)

    def bracket(
        self,
        side: int = 1,
        quantity: int = 1,
        entry_type: OrderType = OrderType.LIMIT,
        entry: int = 24_000,
    ) -> BracketOrder:
        """Make a bracket with a name of its own."""
        self._count += 1
        return BracketOrder(
            f"TRADE_20251118_153000_{self._count:08x}",
            "ES",
            CONTRACT,
            side,
            quantity,
            entry_type,
            entry,
            entry - 8 * side,
            entry + 16 * side,
            self.time.now(),
        )

    def submit(self, **changed: Any) -> str:
        order = self.bracket(**changed)
        self.manager.submit(order)
        self.deliver()
        return order.bracket_id

    def order(self, bracket_id: str, leg: str) -> ModelOrder:
        """Return the newest order of a leg at the broker."""
        found = [o for o in self.broker.orders if o.ticket.order_ref == f"{bracket_id}:{leg}"]
        assert found, f"{leg} never reached the broker"
        return found[-1]

    def fill(self, bracket_id: str, leg: str, quantity: int = 1, price: int | None = None) -> Any:
        execution = self.broker.fill(self.order(bracket_id, leg), quantity, price)
        self.deliver()
        return execution

    def state(self, bracket_id: str, leg: str) -> str:
        found = self.manager.ledger.leg(f"{bracket_id}:{leg}")
        return "" if found is None else found.state.value

    def troubles(self) -> set[str]:
        self.collect()
        return {alarm.trouble.value for alarm in self.alarms}

    def alive(self, bracket_id: str) -> set[str]:
        """Return the legs that live at the broker."""
        mine = [o for o in self.broker.orders if o.alive and o.bracket == bracket_id]
        return {o.ticket.order_ref.partition(":")[2] for o in mine}
