"""Orders on the wire, quickly: the client library lays a message out once, then it is filled in.

The library makes an order of a hundred and twenty attributes and a message of as many fields for
each call. Which field holds what is learnt from it, for the version of the protocol that was
agreed on: two orders that differ in one attribute differ in one field of their messages. A form
that this does not hold for, or that does not give what the library gives for another order, is not
used; the library then encodes each order itself.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from mia.core.base_types import OrderType
from mia.core.broker_types import OrderTicket
from mia.core.ibkr.backend import Backend
from mia.core.ibkr.messages import TICK_SIZES
from mia.core.ibkr.orders import to_contract, to_order

log = logging.getLogger(__name__)

_FIRST = OrderTicket(
    order_id=11,
    order_ref="first",
    symbol="ES",
    con_id=12,
    contract="ESZ25",
    side=1,
    quantity=13,
    order_type=OrderType.LIMIT,
    price=24_001,
    tif="DAY",
    account="DU1",
    parent_id=14,
    oca_group="group",
    oca_type=1,
    transmit=True,
    outside_rth=True,
)
_OTHER: dict[str, Any] = {
    "order_id": 21,
    "con_id": 22,
    "symbol": "MES",
    "side": -1,
    "quantity": 23,
    "tif": "GTC",
    "account": "DU2",
    "order_ref": "other",
    "parent_id": 0,
    "oca_group": "",
    "oca_type": 0,
    "transmit": False,
    "outside_rth": False,
    "price": 24_002,
}
_EXCHANGES = ("FIRST", "OTHER")


class OrderForms:
    """Encodes the orders of one connection.

    Parameters
    ----------
    backend : Backend
    client : object
        The library's client; its version of the protocol decides on the layout.
    """

    def __init__(self, backend: Backend, client: Any) -> None:
        self._backend = backend
        self._client = client
        self._forms: dict[tuple[int, OrderType], _Form | None] = {}

    def prepare(self) -> None:
        """Learn the layout of what brackets consist of, so that no order has to wait for it."""
        version = int(self._client.serverVersion())
        for kind in (OrderType.MARKET, OrderType.LIMIT, OrderType.STOP):
            if (version, kind) not in self._forms:
                self._forms[version, kind] = self._learn(kind)

    def encode(self, ticket: OrderTicket, exchange: str) -> str:
        """Return the message of an order that `check_ticket` has let pass."""
        key = (int(self._client.serverVersion()), ticket.order_type)
        if key not in self._forms:
            self._forms[key] = self._learn(ticket.order_type)
        form = self._forms[key]
        return self.by_library(ticket, exchange) if form is None else form.fill(ticket, exchange)

    def by_library(self, ticket: OrderTicket, exchange: str) -> str:
        """Return the message as the library encodes it."""
        client, said = self._client, list[str]()
        send: Callable[[str], None] = client.sendMsg
        client.sendMsg = said.append
        try:
            client.placeOrder(
                ticket.order_id,
                to_contract(self._backend, ticket, exchange),
                to_order(self._backend, ticket),
            )
        finally:
            client.sendMsg = send
        message: str = said[0]
        return message

    def _learn(self, kind: OrderType) -> "_Form | None":
        priced = kind is not OrderType.MARKET
        first = replace(_FIRST, order_type=kind, price=_FIRST.price if priced else 0)
        message = self.by_library(first, _EXCHANGES[0])
        places: dict[str, int] = {}
        for name, value in _OTHER.items():
            if name != "price" or priced:
                changed = self.by_library(replace(first, **{name: value}), _EXCHANGES[0])
                places[name] = _place(message, changed)
        places["exchange"] = _place(message, self.by_library(first, _EXCHANGES[1]))
        if min(places.values()) >= 0 and len(set(places.values())) == len(places):
            form = _Form(message.split("\0"), places)
            second = replace(first, **{n: v for n, v in _OTHER.items() if n in places})
            if form.fill(second, _EXCHANGES[1]) == self.by_library(second, _EXCHANGES[1]):
                return form
        log.warning("%s orders are encoded by %s, slowly", kind.name, self._backend.name)
        return None


class _Form:
    """A message with blanks, of one type of order."""

    def __init__(self, fields: list[str], places: dict[str, int]) -> None:
        self._fields = fields
        self._at = places
        self._price = places.get("price", -1)

    def fill(self, ticket: OrderTicket, exchange: str) -> str:
        """Return the message of an order."""
        fields, at = self._fields.copy(), self._at
        fields[at["order_id"]] = str(ticket.order_id)
        fields[at["con_id"]] = str(ticket.con_id)
        fields[at["symbol"]] = ticket.symbol
        fields[at["exchange"]] = exchange
        fields[at["side"]] = "BUY" if ticket.side > 0 else "SELL"
        fields[at["quantity"]] = str(ticket.quantity)
        fields[at["tif"]] = ticket.tif
        fields[at["account"]] = ticket.account
        fields[at["order_ref"]] = ticket.order_ref
        fields[at["parent_id"]] = str(ticket.parent_id)
        fields[at["oca_group"]] = ticket.oca_group
        fields[at["oca_type"]] = str(ticket.oca_type)
        fields[at["transmit"]] = "1" if ticket.transmit else "0"
        fields[at["outside_rth"]] = "1" if ticket.outside_rth else "0"
        if self._price >= 0:
            fields[self._price] = str(ticket.price * TICK_SIZES[ticket.symbol])
        return "\0".join(fields)


def _place(one: str, other: str) -> int:
    """Return the one field in which two messages differ, -1 if it is not exactly one."""
    left, right = one.split("\0"), other.split("\0")
    found = [k for k, (a, b) in enumerate(zip(left, right, strict=False)) if a != b]
    return found[0] if len(found) == 1 and len(left) == len(right) else -1
