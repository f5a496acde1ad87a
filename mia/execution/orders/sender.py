"""From intents to the wire: each is in the journal before its bytes leave.

A bracket is one chain: entry and stop are staged, and the target, the last, transmits all. Stop
and target share an OCA group with the bracket's name, and so do later stops and orders that
flatten, so that of all exits the broker fills only what is open.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from mia.core.base_types import OrderRole, OrderType
from mia.core.broker_types import OrderTicket, OrderWire
from mia.core.crash_points import crash_point
from mia.core.trading_types import BracketOrder
from mia.errors import BrokerError
from mia.execution.orders.recorder import OrderRecorder
from mia.execution.orders.states import Bracket, Leg

SECOND = 1_000_000_000

_REDUCE_WITH_BLOCK = 2


@dataclass(frozen=True, slots=True)
class OrderSettings:
    """Identity of the account, and patience.

    Attributes
    ----------
    account : str
    client_id : int
        Of the connection that sends orders; order ids count for it alone.
    con_id : callable
        ``con_id(contract)`` gives the broker's id of ``ESZ25``.
    commission : mapping of str to float
        USD per side and contract by symbol, booked with a fill until the broker tells its own.
    foreign : str
        What orders and positions that are not ours mean: ``halt`` entries, ``ignore`` them, or
        ``adopt`` them, which counts them against the limits. None of them is ever traded.
    ack_ns : int
        Until when an order must be acknowledged.
    query_ns : int
        Until when a query must have told what became of a doubtful order.
    protect_ns : int
        How long an open position may be without an acknowledged stop of its size.
    cancel_ns, change_ns, fills_ns : int
        Until when an end, a change, the executions of a fill must have come.
    settle_ns : int
        How long the broker may take to see to things by itself.
    flat_ns : int
        Until when a market order should have closed the position; then an alarm, no new order.
    attempts : int
        How often the same thing is tried on one connection before an alarm takes its place.
    """

    account: str
    client_id: int
    con_id: Callable[[str], int]
    commission: Mapping[str, float] = field(default_factory=lambda: {"ES": 2.25, "MES": 0.62})
    foreign: str = "halt"
    ack_ns: int = 2 * SECOND
    query_ns: int = 2 * SECOND
    protect_ns: int = SECOND
    cancel_ns: int = 3 * SECOND
    change_ns: int = 3 * SECOND
    fills_ns: int = 2 * SECOND
    settle_ns: int = SECOND
    flat_ns: int = 5 * SECOND
    attempts: int = 3


class OrderSender:
    """Records intents and sends them.

    Attributes
    ----------
    sends : int
        Count of everything given to the wire.
    last_send : dict of str to int
        That count at the newest request about a leg: a query begun earlier says nothing of it.
    """

    def __init__(self, wire: OrderWire, log: OrderRecorder, settings: OrderSettings) -> None:
        self._wire = wire
        self._log = log
        self._settings = settings
        self.sends = 0
        self.last_send: dict[str, int] = {}

    def send_bracket(self, order: BracketOrder) -> Bracket:
        """Record a bracket and send it as one chain.

        Raises
        ------
        BrokerError
            If the journal or the connection does not take it. What was staged by then is
            cancelled and stays in doubt until a query.
        """
        name, side = order.bracket_id, order.side
        ids = [self._wire.next_order_id() for _ in range(3)]
        entry_price = 0 if order.entry_type is OrderType.MARKET else order.entry
        rows = (
            ("E", OrderRole.ENTRY, side, order.entry_type, entry_price),
            ("S", OrderRole.STOP, -side, OrderType.STOP, order.stop),
            ("T", OrderRole.TARGET, -side, OrderType.LIMIT, order.target),
        )
        legs = [
            _leg_payload(f"{name}:{letter}", i, role, way, order.quantity, kind, price, i != ids[0])
            for i, (letter, role, way, kind, price) in zip(ids, rows, strict=True)
        ]
        payload = {
            "bracket_id": name,
            "symbol": order.symbol,
            "contract": order.contract,
            "side": side,
            "quantity": order.quantity,
            "entry_type": int(order.entry_type),
            "entry": order.entry,
            "stop": order.stop,
            "target": order.target,
            "ts": order.ts,
            "con_id": self._settings.con_id(order.contract),
            "legs": legs,
        }
        crash_point("before_intent")
        self._log.record("bracket", payload, must=True)
        crash_point("after_intent")
        bracket = self._log.ledger.brackets[name]
        staged: list[Leg] = []
        try:
            for leg in bracket.legs.values():
                self._place(bracket, leg, transmit=leg.role is OrderRole.TARGET)
                staged.append(leg)
                _pass_leg(leg.role)
        except BrokerError as error:
            for leg in bracket.legs.values():
                if leg not in staged:
                    self._log.record("unsent", {"ref": leg.ref})
            for leg in staged:
                self._log.record("unknown", {"ref": leg.ref, "why": "its chain broke off"})
            raise BrokerError(f"bracket {name} was not transmitted: {error}") from error
        return bracket

    def add(self, bracket: Bracket, role: OrderRole, side: int, quantity: int, price: int) -> Leg:
        """Record and send a further stop, or a market order that flattens.

        The order joins the group of the bracket as long as another member of it may live.

        Raises
        ------
        BrokerError
            If the connection does not take it; the leg then counts as never sent.
        """
        letter = "F" if role is OrderRole.FLATTEN else "S"
        number = 1 + len(bracket.of(role))
        ref = f"{bracket.order.bracket_id}:{letter}{number}"
        grouped = any(leg.grouped and leg.may_fill for leg in bracket.legs.values())
        kind = OrderType.MARKET if role is OrderRole.FLATTEN else OrderType.STOP
        order_id = self._wire.next_order_id()
        row = _leg_payload(ref, order_id, role, side, quantity, kind, price, grouped)
        self._log.record("leg", {**row, "bracket_id": bracket.order.bracket_id})
        if role is OrderRole.FLATTEN:
            crash_point("before_flatten")
        else:
            crash_point("before_protect")
        leg = bracket.legs[ref]
        try:
            self._place(bracket, leg)
        except BrokerError:
            self._log.record("unsent", {"ref": ref})
            raise
        if role is OrderRole.FLATTEN:
            crash_point("after_flatten_sent")
        else:
            crash_point("after_protect_sent")
        return leg

    def change(self, bracket: Bracket, leg: Leg, quantity: int, price: int) -> None:
        """Record and send a new size or price of an order that works.

        Raises
        ------
        BrokerError
            If the connection does not take it; the order stays as it was.
        """
        self._log.record("change", {"ref": leg.ref, "quantity": quantity, "price": price})
        crash_point("before_stop_moved")
        try:
            self._place(bracket, leg)
        except BrokerError:
            self._log.record("unsent", {"ref": leg.ref, "change": True})
            raise
        crash_point("after_stop_moved")

    def cancel(self, leg: Leg) -> None:
        """Record and ask for the end of an order, under every id that it was seen with.

        Raises
        ------
        BrokerError
            If the connection does not take it.
        """
        self._log.record("cancel", {"ref": leg.ref})
        crash_point("before_cancel")
        self._note(leg)
        for order_id in leg.order_ids:
            self._wire.cancel(order_id)
        crash_point("after_cancel")

    def _note(self, leg: Leg) -> None:
        self.sends += 1
        self.last_send[leg.ref] = self.sends

    def _place(self, bracket: Bracket, leg: Leg, *, transmit: bool = True) -> None:
        order, name = bracket.order, bracket.order.bracket_id
        chained = leg.ref in (f"{name}:S", f"{name}:T")
        day = leg.role in (OrderRole.ENTRY, OrderRole.FLATTEN)
        self._note(leg)
        self._wire.place(
            OrderTicket(
                order_id=leg.order_ids[0],
                order_ref=leg.ref,
                symbol=order.symbol,
                con_id=bracket.con_id,
                contract=order.contract,
                side=leg.side,
                quantity=leg.wanted_quantity,
                order_type=leg.order_type,
                price=leg.wanted_price,
                tif="DAY" if day else "GTC",
                account=self._settings.account,
                parent_id=bracket.entry.order_ids[0] if chained else 0,
                oca_group=name if leg.grouped else "",
                oca_type=_REDUCE_WITH_BLOCK if leg.grouped else 0,
                transmit=transmit,
                outside_rth=True,
            )
        )


def _pass_leg(role: OrderRole) -> None:
    """Pass the place after a leg of a bracket has left."""
    if role is OrderRole.ENTRY:
        crash_point("after_entry_sent")
    elif role is OrderRole.STOP:
        crash_point("after_stop_sent")
    else:
        crash_point("after_target_sent")


def _leg_payload(
    ref: str,
    order_id: int,
    role: OrderRole,
    side: int,
    quantity: int,
    order_type: OrderType,
    price: int,
    grouped: bool,
) -> dict[str, object]:
    return {
        "ref": ref,
        "order_id": order_id,
        "role": role.value,
        "side": side,
        "quantity": quantity,
        "order_type": int(order_type),
        "price": price,
        "grouped": grouped,
    }
