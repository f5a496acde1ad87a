"""Takes orders and cancellations, and answers questions about orders."""

from typing import TYPE_CHECKING

from mia.gateway.model import OrderRecord
from mia.gateway.protocol import replies
from mia.gateway.protocol.open_order import completed_order, open_order
from mia.gateway.protocol.place_order import PlaceOrder

if TYPE_CHECKING:
    from mia.gateway.client_session import ClientSession

BINDER = 0
"""The client that may take over orders placed by hand."""


class TradingDesk:
    """Orders of one client.

    Parameters
    ----------
    session : ClientSession

    Attributes
    ----------
    binds : bool
        Whether orders that are placed by hand from now on become this client's.
    """

    def __init__(self, session: "ClientSession") -> None:
        self._session = session
        self._gateway = session.gateway
        self.binds = False

    def close(self) -> None:
        """Keep everything: orders are no market data."""

    def on_place_order(self, placed: PlaceOrder) -> None:
        """Place or change an order, or ask what it would cost."""
        contract = self._session.resolve(placed.order.order_id, placed.query)
        if contract is not None:
            self._gateway.exchange.place(self._session.client_id, placed.order, contract)

    def on_cancel_order(self, order_id: int) -> None:
        """Ask to cancel an order."""
        self._gateway.exchange.cancel(self._session.client_id, order_id)

    def on_global_cancel(self) -> None:
        """Ask to cancel every order, whoever placed it."""
        self._gateway.exchange.global_cancel()

    def on_open_orders(self) -> None:
        """Answer with messages 5 and 3 for each order of this client, then 53."""
        if self._session.client_id == BINDER:
            self.bind()
        for record in self._gateway.exchange.open_orders(self._session.client_id):
            if record.order.order_id:
                self.send_order(record)
        self._session.send(*replies.end("open_orders"))

    def on_all_open_orders(self) -> None:
        """Answer with messages 5 and 3 for each order of any client, then 53."""
        for record in self._gateway.exchange.open_orders():
            self.send_order(record)
        self._session.send(*replies.end("open_orders"))

    def on_auto_open_orders(self, bind: bool) -> None:
        """Take over orders placed by hand, as client 0 may."""
        if self._session.client_id != BINDER:
            self._session.error(-1, 321, "Error validating request:-only client 0 may bind orders")
            return
        self.binds = bind
        if bind:
            self.bind()

    def on_completed_orders(self, api_only: bool) -> None:
        """Answer with message 101 for each order that ended, then 102."""
        session = self._session
        for record in self._gateway.exchange.completed_orders(api_only=api_only):
            session.send(*completed_order(session.version, record, self._gateway.zone))
        session.send(*replies.end("completed_orders"))

    def bind(self) -> None:
        """Take over the orders that were placed by hand, and tell their new ids."""
        for bound in self._gateway.exchange.bind():
            self._session.send(100, (bound.perm_id, bound.client_id, bound.order_id))

    def take_over(self) -> None:
        """Take over what was just placed by hand, and report it as this client's."""
        before = {record.perm_id for record in self._bindable()}
        self.bind()
        for record in self._gateway.exchange.open_orders(BINDER):
            if record.perm_id in before:
                self.send_order(record)

    def _bindable(self) -> list[OrderRecord]:
        records = self._gateway.exchange.open_orders(BINDER)
        return [record for record in records if record.order.order_id == 0]

    def send_order(self, record: OrderRecord) -> None:
        """Send messages 5 and 3."""
        self._session.send(*open_order(self._session.version, record))
        self._session.send(*replies.order_status(record))
