"""What the parts of the gateway say to each other: contracts, orders, executions.

Prices here are floats in points, as the protocol has them; the exchange turns those of futures
into ticks. Times are ns UTC.
"""

from dataclasses import dataclass, field, replace
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ApiContract:
    """A contract as the catalogue knows it.

    Attributes
    ----------
    con_id : int
        Unique.
    sec_type : str
        ``FUT``, ``IND`` or ``OPT``.
    expiry : str
        ``yyyymmdd``, empty for an index.
    strike : float
        0 unless an option.
    right : str
        ``C``, ``P`` or empty.
    name : str
        Of a future as the project writes it, ``ESZ25``; the local symbol of others.
    """

    con_id: int
    symbol: str
    sec_type: str
    expiry: str
    strike: float
    right: str
    multiplier: str
    exchange: str
    currency: str
    local_symbol: str
    trading_class: str
    min_tick: float
    name: str
    under_con_id: int = 0
    market_rule: int = 0


@dataclass(frozen=True, slots=True)
class ApiOrder:
    """An order as a client sent it; whatever is not here is kept in `echo`.

    Attributes
    ----------
    limit_price, aux_price : float, optional
        None where the field was empty.
    echo : dict of str to str
        Every further field of placeOrder by name, as text, for the openOrder that repeats it.
    """

    order_id: int
    action: str
    quantity: int
    order_type: str
    limit_price: float | None
    aux_price: float | None
    tif: str
    oca_group: str
    oca_type: int
    account: str
    order_ref: str
    transmit: bool
    parent_id: int
    outside_rth: bool
    what_if: bool
    echo: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MarginImpact:
    """What an order would do to an account, USD; the answer to a what-if order."""

    initial_before: float
    maintenance_before: float
    equity_before: float
    initial_after: float
    maintenance_after: float
    equity_after: float
    commission: float


@dataclass(slots=True)
class OrderRecord:
    """An order at the gateway.

    Attributes
    ----------
    client_id : int
        Who placed it; 0 with a negative or zero order id if it was placed by hand.
    status : str
        As the protocol spells it: ``PreSubmitted``, ``Submitted``, ``Filled``, ``Cancelled``,
        ``Inactive``, ``PendingCancel``, ``ApiPending`` while it is staged.
    why_held : str
        ``child``, ``trigger``, ``child,trigger`` or empty.
    margin : MarginImpact, optional
        Of the answer to a what-if order only.
    """

    client_id: int
    perm_id: int
    contract: ApiContract
    order: ApiOrder
    status: str
    filled: int = 0
    average_price: float = 0.0
    last_price: float = 0.0
    why_held: str = ""
    ts_done: int = 0
    margin: MarginImpact | None = None

    @property
    def remaining(self) -> int:
        """Contracts not filled."""
        return self.order.quantity - self.filled

    @property
    def is_done(self) -> bool:
        """Whether nothing can happen to it any more."""
        return self.status in ("Filled", "Cancelled", "Inactive")

    def copy(self) -> "OrderRecord":
        """Return what it is now."""
        return replace(self)


@dataclass(frozen=True, slots=True)
class Execution:
    """A fill.

    Attributes
    ----------
    exec_id : str
        ``<8 hex>.<8 hex>.<2 digits>.<2 digits>``; a correction raises the last part.
    side : str
        ``BOT`` or ``SLD``.
    cumulative, average_price
        Of the order, this fill included.
    """

    exec_id: str
    ts: int
    client_id: int
    order_id: int
    perm_id: int
    account: str
    contract: ApiContract
    side: str
    quantity: int
    price: float
    cumulative: int
    average_price: float
    order_ref: str
    commission: float
    realized_pnl: float | None


class ExchangeListener(Protocol):
    """What the exchange tells the server, in the order in which clients must hear it."""

    def on_open_order(self, record: OrderRecord) -> None:
        """Report an order's state, as message 5 does."""
        ...

    def on_order_status(self, record: OrderRecord) -> None:
        """Report an order's status, as message 3 does."""
        ...

    def on_execution(self, execution: Execution) -> None:
        """Report a fill, as messages 11 and then 59 do."""
        ...

    def on_order_error(self, client_id: int, order_id: int, code: int, text: str) -> None:
        """Report an error or a notice about an order, as message 4 does."""
        ...

    def on_position(self, account: str, contract: ApiContract) -> None:
        """Tell that a position changed."""
        ...
