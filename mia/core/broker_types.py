"""What a broker connection and the order manager say to each other.

Prices are integer ticks, times ns UTC, sizes contracts. A price of the broker that is off the
tick grid is refused where it enters.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from mia.core.base_types import OrderType


class LinkState(StrEnum):
    """State of a connection, from the socket up."""

    DISCONNECTED = "DISCONNECTED"
    CONNECTING = "CONNECTING"
    SYNCING = "SYNCING"
    READY = "READY"
    DEGRADED = "DEGRADED"
    """The socket stands, but the broker's own link (1100) or the heartbeat is lost."""


class BrokerStatus(StrEnum):
    """Status of an order as the broker last told it."""

    PENDING = "PENDING"
    PRE_SUBMITTED = "PRE_SUBMITTED"
    SUBMITTED = "SUBMITTED"
    PENDING_CANCEL = "PENDING_CANCEL"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    INACTIVE = "INACTIVE"


@dataclass(frozen=True, slots=True)
class OrderTicket:
    """One order, ready to be sent.

    Attributes
    ----------
    order_id : int
        Of this client.
    order_ref : str
        Ours, unique for ever: names the intent and the leg.
    con_id : int
    contract : str
        As in ``ESZ25``.
    quantity : int
        Contracts, > 0.
    price : int
        Limit or stop price in ticks; 0 for market orders.
    parent_id : int
        0 without one.
    transmit : bool
        False stages it until the last of its family is transmitted.
    """

    order_id: int
    order_ref: str
    symbol: str
    con_id: int
    contract: str
    side: int
    quantity: int
    order_type: OrderType
    price: int
    tif: str
    account: str
    parent_id: int = 0
    oca_group: str = ""
    oca_type: int = 0
    transmit: bool = True
    outside_rth: bool = True


@dataclass(frozen=True, slots=True)
class StatusReport:
    """The broker's word on the status of an order."""

    order_id: int
    perm_id: int
    client_id: int
    status: BrokerStatus
    filled: int
    remaining: int
    why_held: str = ""


@dataclass(frozen=True, slots=True)
class OpenOrderReport:
    """An order that the broker says exists, ours or not.

    Attributes
    ----------
    order_ref : str
        Empty if whoever placed it gave none.
    price : int
        Limit or stop price in ticks, 0 for market orders.
    """

    order_id: int
    perm_id: int
    client_id: int
    order_ref: str
    con_id: int
    contract: str
    account: str
    side: int
    quantity: int
    order_type: OrderType
    price: int
    status: BrokerStatus
    parent_id: int = 0
    filled: int | None = None


@dataclass(frozen=True, slots=True)
class ExecutionReport:
    """A fill.

    Attributes
    ----------
    exec_id : str
        As the broker spells it; a correction raises the part after the last dot.
    """

    exec_id: str
    order_id: int
    perm_id: int
    client_id: int
    order_ref: str
    con_id: int
    contract: str
    account: str
    side: int
    quantity: int
    price: int
    ts: int
    cumulative: int

    @property
    def identity(self) -> str:
        """The execution without its revision."""
        return self.exec_id.rpartition(".")[0] or self.exec_id

    @property
    def revision(self) -> int:
        """Revision of the execution, 0 if it has none."""
        last = self.exec_id.rpartition(".")[2]
        return int(last) if last.isdecimal() and "." in self.exec_id else 0


@dataclass(frozen=True, slots=True)
class CommissionReport:
    """What an execution cost, in USD."""

    exec_id: str
    commission: float
    realized_pnl: float | None


@dataclass(frozen=True, slots=True)
class PositionReport:
    """What the broker says an account holds; `quantity` is signed."""

    account: str
    con_id: int
    contract: str
    symbol: str
    quantity: int
    average_cost: float


@dataclass(frozen=True, slots=True)
class Notice:
    """An error or a notice of the broker; `request_id` is -1 if it is about no request."""

    request_id: int
    code: int
    text: str


@dataclass(frozen=True, slots=True)
class MarginChange:
    """Answer to a what-if order, USD."""

    initial_after: float
    maintenance_after: float
    equity_with_loan: float
    commission: float


@dataclass(frozen=True, slots=True)
class BrokerSnapshot:
    """Everything the broker knows of an account, taken in one go.

    Attributes
    ----------
    complete : bool
        Whether every part came with its end marker. Executions without one are allowed for, as
        live gateways are known to leave it out: `executions_complete` tells.
    """

    open_orders: Sequence[OpenOrderReport]
    completed_orders: Sequence[OpenOrderReport]
    executions: Sequence[ExecutionReport]
    commissions: Sequence[CommissionReport]
    positions: Sequence[PositionReport]
    complete: bool
    executions_complete: bool


class OrderWire(Protocol):
    """What the order manager needs of a connection; every call puts bytes on the socket."""

    def next_order_id(self) -> int:
        """Return an id that was never used before by this client."""
        ...

    def place(self, ticket: OrderTicket) -> None:
        """Send an order, or a change of it if the id is alive.

        Raises
        ------
        BrokerError
            If the connection cannot take it now. Nothing was sent then.
        """
        ...

    def cancel(self, order_id: int) -> None:
        """Ask to cancel an order.

        Raises
        ------
        BrokerError
            If the connection cannot take it now. Nothing was sent then.
        """
        ...


class OrderListener(Protocol):
    """Told by a connection, synchronously and in the order of the socket."""

    def on_status(self, report: StatusReport) -> None:
        """Take message 3."""
        ...

    def on_open_order(self, report: OpenOrderReport) -> None:
        """Take message 5."""
        ...

    def on_execution(self, report: ExecutionReport) -> None:
        """Take message 11."""
        ...

    def on_commission(self, report: CommissionReport) -> None:
        """Take message 59."""
        ...

    def on_notice(self, notice: Notice) -> None:
        """Take message 4."""
        ...

    def on_link(self, state: LinkState, reason: str) -> None:
        """Take a change of the connection's state."""
        ...


class MarketListener(Protocol):
    """Told by a data connection, synchronously and in the order of the socket."""

    def on_trade(self, contract: str, ts: int, price: int, size: int, flags: int) -> None:
        """Take a trade: exchange time in whole seconds (ns), ticks, contracts, mask of the wire."""
        ...

    def on_quote(
        self, contract: str, ts: int, bid: int, ask: int, bid_size: int, ask_size: int
    ) -> None:
        """Take the best bid and ask in ticks."""
        ...

    def on_bad_tick(self, contract: str, why: str) -> None:
        """Take note of a tick that was refused: off grid, not finite, not positive."""
        ...

    def on_server_time(self, ts: int) -> None:
        """Take the gateway's answer to a question for its time."""
        ...

    def on_index(self, symbol: str, ts: int, value: float) -> None:
        """Take a level of an index, as SPX or VIX."""
        ...

    def on_link(self, state: LinkState, reason: str) -> None:
        """Take a change of the connection's state."""
        ...
