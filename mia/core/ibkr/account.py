"""What the broker knows of an account: orders, executions, positions, margin."""

import asyncio
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from mia.core.broker_types import (
    BrokerSnapshot,
    CommissionReport,
    ExecutionReport,
    MarginChange,
    Notice,
    OpenOrderReport,
    OrderListener,
    OrderTicket,
    PositionReport,
    StatusReport,
)
from mia.core.ibkr.backend import Backend
from mia.core.ibkr.messages import (
    margin_change,
    open_order_report,
    read_commission,
    read_execution,
    read_position,
    read_status,
    to_money,
)
from mia.core.ibkr.orders import to_contract, to_order
from mia.core.ibkr.requests import Answer
from mia.core.ibkr.session import Session
from mia.core.ibkr.wire_time import parse_time
from mia.errors import BrokerError

ACCOUNT_TAGS = (
    "NetLiquidation",
    "EquityWithLoanValue",
    "TotalCashValue",
    "InitMarginReq",
    "MaintMarginReq",
    "AvailableFunds",
    "ExcessLiquidity",
    "LookAheadInitMarginReq",
    "LookAheadMaintMarginReq",
)
_QUIET = 1.0
_TAKES = 4


class Receiver:
    """Takes what the library's decoder made of the long messages."""

    def __init__(self) -> None:
        self.taken: Any = None

    def openOrder(self, order_id: int, contract: Any, order: Any, state: Any) -> None:  # noqa: N802 - library's name
        """Take message 5."""
        self.taken = (contract, order, state)

    def completedOrder(self, contract: Any, order: Any, state: Any) -> None:  # noqa: N802 - library's name
        """Take message 101."""
        self.taken = (contract, order, state)

    def contractDetails(self, request_id: int, details: Any) -> None:  # noqa: N802 - library's name
        """Take message 10."""
        self.taken = (request_id, details)

    def take(self) -> Any:
        """Return what was taken and forget it."""
        taken, self.taken = self.taken, None
        if taken is None:
            raise ValueError("the client library made nothing of the message")
        return taken


class Account:
    """Orders, executions and positions of one account on one connection.

    Parameters
    ----------
    session : Session
    backend : Backend
    receiver : Receiver
    orders : OrderListener, optional
        Told every status, order, execution and commission of the account.
    now : callable
        ns UTC.
    note : callable
        Given notices of ours.
    """

    def __init__(
        self,
        session: Session,
        backend: Backend,
        receiver: Receiver,
        orders: OrderListener | None,
        now: Callable[[], int],
        note: Callable[[Notice], None],
    ) -> None:
        self._session = session
        self._backend = backend
        self._receiver = receiver
        self._orders = orders
        self._now = now
        self._note = note
        self._account = session.endpoint.account
        self._reports = 0
        self._lock = asyncio.Lock()
        self._commissions: list[CommissionReport] | None = None
        self.unreadable = 0
        self.positions: dict[int, PositionReport] = {}
        """Latest position by con id, as the gateway pushes them after a snapshot."""
        self.highest_order_id = 0
        """Of the orders of this client that the gateway showed."""
        end = session.requests.end
        session.handle(3, read_status, self._on_status)
        session.handle(5, self._read_order, self._on_order)
        session.handle(11, self._read_execution, self._on_execution)
        session.handle(59, read_commission, self._on_commission)
        session.handle(61, read_position, self._on_position)
        session.handle(101, self._read_order, self._on_completed)
        session.handle(63, lambda fields: fields[2:7], self._on_summary)
        session.handle(53, None, lambda fields: end("open orders"))
        session.handle(62, None, lambda fields: end("positions"))
        session.handle(102, None, lambda fields: end("completed orders"))
        session.handle(55, lambda fields: int(fields[2]), end)
        session.handle(64, lambda fields: int(fields[2]), end)

    def _read_order(self, fields: list[str]) -> Any:
        self._session.client.decoder.handlers[int(fields[0])](fields)
        contract, order, state = self._receiver.take()
        if order.whatIf:
            return order.orderId, state
        number = order.orderId
        return open_order_report(
            contract, order, state, lambda code, text: self._note(Notice(number, code, text))
        )

    def _read_execution(self, fields: list[str]) -> tuple[int, ExecutionReport]:
        number = int(fields[2] or 0)
        now = self._now()
        return read_execution(
            fields,
            lambda text: parse_time(text, self._session.zone, now),
            now,
            lambda code, text: self._note(Notice(number, code, text)),
        )

    def _on_status(self, report: StatusReport) -> None:
        self._session.requests.row("open orders", report)
        if self._orders is not None:
            self._orders.on_status(report)

    def _on_order(self, report: Any) -> None:
        if isinstance(report, tuple):
            number, state = report
            if self._session.requests.row(number, state):
                self._session.requests.end(number)
            return
        if report.account != self._account:
            return
        if report.client_id == self._session.endpoint.client_id:
            self.highest_order_id = max(self.highest_order_id, report.order_id)
        self._session.requests.row("open orders", report)
        if self._orders is not None:
            self._orders.on_open_order(report)

    def _on_completed(self, report: Any) -> None:
        if isinstance(report, OpenOrderReport) and report.account == self._account:
            self._session.requests.row("completed orders", report)

    def _on_execution(self, message: tuple[int, ExecutionReport]) -> None:
        request_id, report = message
        if report.account != self._account:
            return
        if request_id < 0:
            self._reports += 1
        self._session.requests.row(request_id, report)
        if self._orders is not None:
            self._orders.on_execution(report)

    def _on_commission(self, report: CommissionReport) -> None:
        if self._commissions is not None:
            self._commissions.append(report)
        if self._orders is not None:
            self._orders.on_commission(report)

    def _on_position(self, report: PositionReport) -> None:
        if report.account != self._account:
            return
        self.positions[report.con_id] = report
        self._session.requests.row("positions", report)

    def _on_summary(self, row: list[str]) -> None:
        self._session.requests.row(int(row[0]), row)

    async def snapshot(self) -> BrokerSnapshot:
        """Take stock; again, if something was filled while stock was taken.

        Raises
        ------
        BrokerError
            If the connection is lost.
        """
        async with self._lock:
            for _ in range(_TAKES):
                before = self._reports
                taken = await self._take_stock()
                if self._reports == before:
                    break
            return taken

    async def _take_stock(self) -> BrokerSnapshot:
        client = self._session.client
        unreadable = self.unreadable
        before = dict(self.positions)
        positions = await self._part("positions", client.reqPositions)
        own = await self._part("open orders", client.reqOpenOrders)
        all_clients = await self._part("open orders", client.reqAllOpenOrders)
        commissions: list[CommissionReport] = []
        self._commissions = commissions
        executions = await self._session.requests.ask(
            "executions",
            lambda number: client.reqExecutions(number, self._backend.execution_filter()),
            attempts=1,
            timeout=min(self._session.endpoint.request_timeout, 5.0),
            quiet=_QUIET,
        )
        completed = await self._part("completed orders", lambda: client.reqCompletedOrders(False))
        self._commissions = None
        parts = (positions, own, all_clients, completed)
        held = {report.con_id: report for report in positions.rows}
        for con_id, report in before.items():
            # A gateway does not name what is no longer held.
            if positions.complete and self.positions[con_id] is report:
                del self.positions[con_id]
        known = {report.exec_id for report in executions.rows}
        return BrokerSnapshot(
            open_orders=_open_orders([*own.rows, *all_clients.rows]),
            completed_orders=tuple(completed.rows),
            executions=tuple(executions.rows),
            commissions=tuple(
                {
                    report.exec_id: report for report in commissions if report.exec_id in known
                }.values()
            ),
            positions=tuple(report for report in held.values() if report.quantity),
            complete=all(part.complete for part in parts) and self.unreadable == unreadable,
            executions_complete=executions.complete,
        )

    async def _part(self, kind: str, send: Callable[[], None]) -> Answer:
        try:
            return await self._session.requests.ask(kind, lambda number: send(), kind=kind)
        except BrokerError:
            # Without an end marker the part is missing; without a connection everything is.
            await self._session.ready()
            return Answer([], False)

    async def values(self) -> Mapping[str, float]:
        """See `IbkrConnector.account_values`."""
        client = self._session.client
        sent: list[int] = []

        def send(number: int) -> None:
            sent.append(number)
            client.reqAccountSummary(number, "All", ",".join(ACCOUNT_TAGS))

        try:
            answer = await self._session.requests.ask("account values", send)
        finally:
            for number in sent:
                if self._session.can_send():
                    client.cancelAccountSummary(number)
        amounts = {}
        for _, account, tag, text, currency in answer.rows:
            if account == self._account and currency in ("", "USD", "BASE"):
                amount = to_money(text)
                if amount is not None and math.isfinite(amount):
                    amounts[tag] = amount
        if "NetLiquidation" not in amounts:
            raise BrokerError(f"the gateway told nothing in USD of account {self._account}")
        return amounts

    async def what_if(self, ticket: OrderTicket, exchange: str) -> MarginChange:
        """See `IbkrConnector.what_if`."""
        alone = replace(ticket, parent_id=0, oca_group="", oca_type=0, transmit=True)
        order = to_order(self._backend, alone, what_if=True)
        contract = to_contract(self._backend, alone, exchange)
        answer = await self._session.requests.ask(
            f"margin of {ticket.order_ref}",
            lambda number: self._session.client.placeOrder(ticket.order_id, contract, order),
            key=ticket.order_id,
            attempts=1,
        )
        return margin_change(answer.rows[-1])


def _open_orders(rows: list[StatusReport | OpenOrderReport]) -> tuple[OpenOrderReport, ...]:
    """Merge what several questions showed; a status completes the order it follows."""
    orders: dict[object, OpenOrderReport] = {}
    for row in rows:
        key = row.perm_id or (row.client_id, row.order_id)
        if isinstance(row, OpenOrderReport):
            earlier = orders.get(key)
            filled = row.filled if earlier is None else earlier.filled
            orders[key] = replace(row, filled=filled)
        elif key in orders:
            orders[key] = replace(orders[key], status=row.status, filled=row.filled)
    return tuple(orders.values())
