"""Orders and positions as the DTC protocol tells of them, in ticks and contracts."""

from dataclasses import dataclass
from typing import Protocol

from mia.config.instruments import TICK
from mia.core.base_types import OrderType
from mia.core.broker_types import LinkState
from mia.core.dtc.layout import Values
from mia.core.dtc.messages import DtcOrderStatus, UpdateReason
from mia.core.dtc.trades import DtcTrade

ORDER_TYPES = {
    OrderType.MARKET: 1,
    OrderType.LIMIT: 2,
    OrderType.STOP: 3,
    OrderType.STOP_LIMIT: 4,
}
TIMES_IN_FORCE = {"DAY": 1, "GTC": 2}
BUY, SELL = 1, 2


@dataclass(frozen=True, slots=True)
class DtcOrder:
    """An order to be sent.

    Attributes
    ----------
    client_order_id : str
        Ours, up to 31 bytes, never used before.
    symbol, exchange : str
        As Sierra Chart names them.
    side : int
        +1 buy, -1 sell.
    quantity : int
        Contracts.
    price : int
        Ticks: the limit, or the trigger of a stop; 0 for market orders.
    limit : int
        Ticks: the limit of a stop-limit order.
    time_in_force : str
        ``DAY`` or ``GTC``.
    """

    client_order_id: str
    symbol: str
    exchange: str
    side: int
    quantity: int
    order_type: OrderType
    price: int = 0
    limit: int = 0
    time_in_force: str = "DAY"

    def values(self, account: str) -> Values:
        """Return the fields of the message that submits it.

        Raises
        ------
        ValueError
            If side, quantity, price or time in force cannot be.
        """
        if self.side not in {1, -1} or self.quantity < 1:
            raise ValueError(f"side {self.side} and quantity {self.quantity} are no order")
        if self.time_in_force not in TIMES_IN_FORCE:
            raise ValueError(f"time in force must be DAY or GTC, was {self.time_in_force!r}")
        if not self.client_order_id:
            raise ValueError("an order must have an id of its client")
        market = self.order_type is OrderType.MARKET
        if not market and self.price < 1:
            raise ValueError(f"the price must be at least 1 tick, was {self.price}")
        stop_limit = self.order_type is OrderType.STOP_LIMIT
        if stop_limit and self.limit < 1:
            raise ValueError(f"the limit must be at least 1 tick, was {self.limit}")
        return {
            "Symbol": self.symbol,
            "Exchange": self.exchange,
            "TradeAccount": account,
            "ClientOrderID": self.client_order_id,
            "OrderType": ORDER_TYPES[self.order_type],
            "BuySell": BUY if self.side > 0 else SELL,
            "Price1": 0.0 if market else self.price * TICK,
            "Price2": self.limit * TICK if stop_limit else 0.0,
            "Quantity": float(self.quantity),
            "TimeInForce": TIMES_IN_FORCE[self.time_in_force],
            "IsAutomatedOrder": 1,
        }


@dataclass(frozen=True, slots=True)
class DtcOrderUpdate:
    """What the server says of an order.

    Attributes
    ----------
    side : int
        +1 buy, -1 sell, 0 not said.
    price : int or None
        Ticks; None without one, or off the tick grid.
    quantity, filled, remaining : int or None
        Contracts; None where not said.
    average_fill_price, last_fill_price : float or None
        Points.
    last_fill_ms : int
        Time of the last fill, ms UTC, 0 without one.
    """

    server_order_id: str
    client_order_id: str
    symbol: str
    account: str
    status: DtcOrderStatus
    reason: UpdateReason
    side: int
    price: int | None
    quantity: int | None
    filled: int | None
    remaining: int | None
    average_fill_price: float | None
    last_fill_price: float | None
    last_fill_quantity: int | None
    last_fill_ms: int
    execution_id: str
    text: str

    @classmethod
    def of(cls, values: Values) -> "DtcOrderUpdate":
        """Read the fields of an ORDER_UPDATE.

        Raises
        ------
        ValueError
            If a quantity is not whole, or status or reason are none of the protocol.
        """
        return cls(
            server_order_id=values["ServerOrderID"],
            client_order_id=values["ClientOrderID"],
            symbol=values["Symbol"],
            account=values["TradeAccount"],
            status=DtcOrderStatus(values["OrderStatus"]),
            reason=UpdateReason(values["OrderUpdateReason"]),
            side={BUY: 1, SELL: -1}.get(values["BuySell"], 0),
            price=_ticks(values["Price1"]),
            quantity=_contracts(values["OrderQuantity"]),
            filled=_contracts(values["FilledQuantity"]),
            remaining=_contracts(values["RemainingQuantity"]),
            average_fill_price=values["AverageFillPrice"],
            last_fill_price=values["LastFillPrice"],
            last_fill_quantity=_contracts(values["LastFillQuantity"]),
            last_fill_ms=values["LastFillDateTime"],
            execution_id=values["LastFillExecutionID"],
            text=values["InfoText"],
        )


@dataclass(frozen=True, slots=True)
class DtcPosition:
    """What the server says an account holds; `quantity` is signed, prices are points."""

    account: str
    symbol: str
    quantity: int
    average_price: float | None

    @classmethod
    def of(cls, values: Values) -> "DtcPosition":
        """Read the fields of a POSITION_UPDATE.

        Raises
        ------
        ValueError
            If the quantity is not whole or not said.
        """
        quantity = _contracts(values["Quantity"])
        if quantity is None:
            raise ValueError(f"a position in {values['Symbol']} has no quantity")
        return cls(values["TradeAccount"], values["Symbol"], quantity, values["AveragePrice"])


class DtcListener(Protocol):
    """Told by a client, synchronously and in the order of the socket."""

    def on_order(self, update: DtcOrderUpdate) -> None:
        """Take an update of an order."""
        ...

    def on_position(self, position: DtcPosition) -> None:
        """Take a position that changed."""
        ...

    def on_trade(self, trade: DtcTrade) -> None:
        """Take a trade."""
        ...

    def on_link(self, state: LinkState, reason: str) -> None:
        """Take a change of the connection's state."""
        ...

    def on_notice(self, text: str) -> None:
        """Take a rejection, or a message that could not be read."""
        ...


def _ticks(points: float | None) -> int | None:
    if points is None or not abs(points) < 1e9:
        return None
    ticks = round(points / TICK)
    return ticks if ticks > 0 and abs(points / TICK - ticks) < 1e-6 else None


def _contracts(quantity: float | None) -> int | None:
    if quantity is None:
        return None
    if not abs(quantity) < 2**31 or quantity != int(quantity):
        raise ValueError(f"{quantity!r} is no number of contracts")
    return int(quantity)
