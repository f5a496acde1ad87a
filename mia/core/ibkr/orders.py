"""Orders as the client library takes them, made of tickets, every attribute explicit."""

from typing import Any

from mia.core.base_types import OrderType
from mia.core.broker_types import OrderTicket
from mia.core.ibkr.backend import Backend
from mia.core.ibkr.messages import TICK_SIZES
from mia.errors import BrokerError

FIRST_REQUEST_ID = 1 << 30
"""Ids from here on are those of requests; below are orders. An error of the gateway names an id
and no more, so that a number must never stand for both."""

_TYPES = {OrderType.MARKET: "MKT", OrderType.LIMIT: "LMT", OrderType.STOP: "STP"}
_TIFS = ("DAY", "GTC", "IOC")


def check_ticket(ticket: OrderTicket, account: str) -> None:
    """Refuse an order that the gateway would refuse, or would take for another one.

    Raises
    ------
    BrokerError
        Naming the field.
    """
    problem = _problem(ticket, account)
    if problem:
        raise BrokerError(f"order {ticket.order_ref or ticket.order_id} not sent: {problem}")


def _problem(ticket: OrderTicket, account: str) -> str:
    if not 0 < ticket.order_id < FIRST_REQUEST_ID:
        return f"order id {ticket.order_id} is not one of next_order_id()"
    if not ticket.order_ref or not _is_plain(ticket.order_ref):
        return f"order_ref {ticket.order_ref!r} must be plain text that names the order for ever"
    if ticket.account != account:
        return f"account {ticket.account!r} is not {account!r}, that of this connection"
    if ticket.side not in (-1, 1):
        return f"side must be +1 or -1, was {ticket.side}"
    if ticket.quantity < 1:
        return f"quantity must be at least 1, was {ticket.quantity}"
    if ticket.con_id < 1:
        return f"con_id must be that of a resolved contract, was {ticket.con_id}"
    if ticket.symbol not in TICK_SIZES:
        return f"the tick of {ticket.symbol!r} is not known"
    if ticket.order_type not in _TYPES:
        return f"orders of type {ticket.order_type.name} are not placed"
    if ticket.order_type is OrderType.MARKET and ticket.price:
        return f"a market order has no price, was {ticket.price} ticks"
    if ticket.order_type is not OrderType.MARKET and ticket.price < 1:
        return f"price must be at least 1 tick, was {ticket.price}"
    if ticket.tif not in _TIFS:
        return f"tif must be one of {', '.join(_TIFS)}, was {ticket.tif!r}"
    if not ticket.outside_rth:
        return "without outside_rth a stop sleeps outside liquid hours: set it on every order"
    if not _is_plain(ticket.oca_group) or (ticket.oca_type != 0) != bool(ticket.oca_group):
        return f"oca_group {ticket.oca_group!r} does not go with oca_type {ticket.oca_type}"
    if ticket.oca_type not in (0, 1, 2, 3):
        return f"oca_type must be 0 to 3, was {ticket.oca_type}"
    if ticket.parent_id < 0 or ticket.parent_id == ticket.order_id:
        return f"parent_id {ticket.parent_id} cannot be its parent"
    return ""


def _is_plain(text: str) -> bool:
    return text.isascii() and (text.isprintable() or not text)


def to_contract(backend: Backend, ticket: OrderTicket, exchange: str) -> Any:
    """Return the contract of a ticket: its con id decides, the rest must agree with it."""
    return backend.contract(
        conId=ticket.con_id,
        symbol=ticket.symbol,
        secType="FUT",
        exchange=exchange,
        currency="USD",
    )


def to_order(backend: Backend, ticket: OrderTicket, *, what_if: bool = False) -> Any:
    """Return the order of a ticket; nothing is left to presets of the gateway."""
    points = ticket.price * TICK_SIZES[ticket.symbol]
    order = backend.order(
        orderId=ticket.order_id,
        action="BUY" if ticket.side > 0 else "SELL",
        totalQuantity=ticket.quantity,
        orderType=_TYPES[ticket.order_type],
        tif=ticket.tif,
        account=ticket.account,
        orderRef=ticket.order_ref,
        parentId=ticket.parent_id,
        ocaGroup=ticket.oca_group,
        ocaType=ticket.oca_type,
        transmit=ticket.transmit,
        outsideRth=ticket.outside_rth,
        openClose="O",
        whatIf=what_if,
    )
    if ticket.order_type is OrderType.LIMIT:
        order.lmtPrice = points
    elif ticket.order_type is OrderType.STOP:
        order.auxPrice = points
    return order
