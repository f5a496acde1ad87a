"""Carries what the exchange reports to the clients that must hear it."""

import asyncio
from typing import TYPE_CHECKING

from mia.gateway.desks.account_desk import AccountDesk
from mia.gateway.desks.trading_desk import BINDER, TradingDesk
from mia.gateway.model import ApiContract, Execution, OrderRecord
from mia.gateway.protocol import replies
from mia.gateway.protocol.open_order import open_order

if TYPE_CHECKING:
    from mia.gateway.client_session import ClientSession
    from mia.gateway.server import Gateway


class Reports:
    """The exchange's listener.

    Parameters
    ----------
    gateway : Gateway

    Attributes
    ----------
    fills : int
        Executions reported so far.
    """

    def __init__(self, gateway: "Gateway") -> None:
        self._gateway = gateway
        self.fills = 0

    def on_open_order(self, record: OrderRecord) -> None:
        """Send message 5."""
        session = self._owner(record)
        if session is not None:
            session.send(*open_order(session.version, record))

    def on_order_status(self, record: OrderRecord) -> None:
        """Send message 3."""
        session = self._owner(record)
        if session is not None:
            session.send(*replies.order_status(record))

    def on_execution(self, execution: Execution) -> None:
        """Send messages 11 and 59."""
        self.fills += 1
        session = self._gateway.client(execution.client_id)
        if session is not None:
            zone = self._gateway.zone
            session.send(*replies.execution_details(session.version, -1, execution, zone))
            session.send(*replies.commission_report(execution))

    def on_order_error(self, client_id: int, order_id: int, code: int, text: str) -> None:
        """Send message 4."""
        session = self._gateway.client(client_id)
        if session is not None:
            session.error(order_id, code, text)

    def on_position(self, account: str, contract: ApiContract) -> None:
        """Send what a changed position changes, to all who asked for it."""
        for session in self._gateway.started():
            for desk in session.desks:
                if isinstance(desk, AccountDesk):
                    desk.position_changed(account, contract)

    def _owner(self, record: OrderRecord) -> "ClientSession | None":
        """Return who hears of an order; one placed by hand nobody does until it is bound."""
        session = self._gateway.client(record.client_id)
        if session is not None and record.order.order_id == 0 and record.client_id == BINDER:
            for desk in session.desks:
                if isinstance(desk, TradingDesk) and desk.binds:
                    # The exchange is in the middle of its report: it gives the id afterwards.
                    asyncio.get_running_loop().call_soon(desk.take_over)
            return None
        return session
