"""What the gateway accepts as an order, and how it words a refusal.

The codes are those of the API; only what a futures trader can meet is here.
"""

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from mia.core.base_types import OrderType
from mia.gateway.model import ApiContract, ApiOrder

KINDS = {
    "MKT": OrderType.MARKET,
    "LMT": OrderType.LIMIT,
    "STP": OrderType.STOP,
    "STP LMT": OrderType.STOP_LIMIT,
}
UNSUPPORTED_KINDS = frozenset(
    [
        "TRAIL",
        "TRAIL LIMIT",
        "MIT",
        "LIT",
        "MTL",
        "MOC",
        "LOC",
        "REL",
        "PEG MKT",
        "PEG MID",
        "PEG BENCH",
        "STP PRT",
        "MKT PRT",
        "MIDPRICE",
        "BOX TOP",
        "VOL",
        "SNAP MID",
        "SNAP MKT",
    ]
)
TIFS = ("DAY", "GTC", "IOC", "FOK", "GTD")
MAX_ACTIVE_PER_SIDE = 20
MAX_TICKS = 2**30
REJECTED = 201
STOPS = (OrderType.STOP, OrderType.STOP_LIMIT)

NO_PRICE = (None, 0.0)


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error message about an order."""

    code: int
    text: str


@dataclass(frozen=True, slots=True)
class Terms:
    """The part of an order that the matching needs; prices in ticks, `ts_expire` ns or 0."""

    side: int
    kind: OrderType
    stop: int
    limit: int
    ts_expire: int


def terms_of(order: ApiOrder, contract: ApiContract) -> Terms | Refusal:
    """Read an order, or say why it is none.

    A market order's prices are ignored, as the real gateway does.
    """
    if order.action not in ("BUY", "SELL"):
        return invalid(f"Invalid side '{order.action}'")
    if order.quantity == 0:
        return Refusal(434, "The order size cannot be zero.")
    if order.quantity < 0:
        return invalid("The order size cannot be negative")
    if order.order_type in UNSUPPORTED_KINDS:
        return Refusal(387, "Unsupported order type for this exchange and security type.")
    if order.order_type not in KINDS:
        return invalid(f"Invalid order type '{order.order_type}'")
    if order.tif not in TIFS:
        return invalid(f"Invalid time in force '{order.tif}'")
    if contract.sec_type != "FUT":
        return rejected(f"No trading permissions for {contract.sec_type} {contract.symbol}")
    kind = KINDS[order.order_type]
    if kind == OrderType.MARKET and order.tif == "GTD":
        return invalid("A market order cannot be good till a date")
    if kind in STOPS and order.tif in ("IOC", "FOK"):
        return invalid(f"Invalid time in force '{order.tif}' of a stop order")
    if order.oca_type not in (0, 1, 2, 3):
        return invalid(f"Invalid OCA type {order.oca_type}")
    stop = limit = 0
    if kind in STOPS:
        if order.aux_price in NO_PRICE:
            return Refusal(403, "Invalid stop price.")
        found = to_ticks(order.aux_price, contract.min_tick)
        if found is None:
            return off_grid()
        stop = found
    if kind in (OrderType.LIMIT, OrderType.STOP_LIMIT):
        if order.limit_price in NO_PRICE:
            return Refusal(403, "Invalid limit price.")
        found = to_ticks(order.limit_price, contract.min_tick)
        if found is None:
            return off_grid()
        limit = found
    ts_expire = 0
    if order.tif == "GTD":
        ts_expire = parse_time(order.echo.get("goodTillDate", ""))
        if ts_expire == 0:
            return invalid("Invalid good till date")
    return Terms(1 if order.action == "BUY" else -1, kind, stop, limit, ts_expire)


def to_ticks(price: float | None, min_tick: float) -> int | None:
    """Convert points to ticks; None if the price is not on the grid."""
    if price is None or not math.isfinite(price):
        return None
    ticks = round(price / min_tick)
    if abs(ticks) > MAX_TICKS:
        return None
    return ticks if abs(ticks * min_tick - price) < 1e-9 * max(1.0, abs(price)) else None


def parse_time(text: str) -> int:
    """Read ``yyyymmdd hh:mm:ss zone`` or ``yyyymmdd-hh:mm:ss`` (UTC) as ns; 0 if it is neither."""
    try:
        if "-" in text:
            moment = datetime.strptime(text, "%Y%m%d-%H:%M:%S").replace(tzinfo=UTC)
        else:
            day, clock, zone = text.split(" ", 2)
            moment = datetime.strptime(f"{day} {clock}", "%Y%m%d %H:%M:%S").replace(
                tzinfo=ZoneInfo(zone)
            )
    except (ValueError, ZoneInfoNotFoundError):
        return 0
    return int(moment.timestamp()) * 1_000_000_000


def conflict(old: ApiOrder, new: ApiOrder) -> Refusal | None:
    """Say what forbids to change one order into another, if anything does."""
    if (old.action, old.account, old.parent_id, old.oca_group) != (
        new.action,
        new.account,
        new.parent_id,
        new.oca_group,
    ):
        return mismatch()
    return None


def mismatch() -> Refusal:
    """Word the refusal of a change that makes another order of it."""
    return Refusal(105, "Order being modified does not match original order.")


def invalid(cause: str) -> Refusal:
    """Word a failed validation."""
    return Refusal(321, f"Error validating request.-'bX' : cause - {cause}")


def rejected(reason: str) -> Refusal:
    """Word a rejection."""
    return Refusal(REJECTED, f"Order rejected - reason:{reason}")


def off_grid() -> Refusal:
    """Word the refusal of a price between two ticks."""
    return Refusal(
        110, "The price does not conform to the minimum price variation for this contract."
    )


def duplicate() -> Refusal:
    """Word the refusal of an order id that is used up."""
    return Refusal(103, "Duplicate order id")


def not_found(order_id: int) -> Refusal:
    """Word the refusal to cancel an order that nobody knows."""
    return Refusal(10147, f"OrderId {order_id} that needs to be cancelled is not found.")


def too_late_to_cancel(order_id: int, status: str) -> Refusal:
    """Word the refusal to cancel an order that is done."""
    return Refusal(
        10148,
        f"OrderId {order_id} that needs to be cancelled cannot be cancelled, state: {status}.",
    )


def cancelled(reason: str = "") -> Refusal:
    """Word the notice that an order was cancelled."""
    return Refusal(202, f"Order Canceled - reason:{reason}")


def waits_for_open(order: ApiOrder, contract: ApiContract, when: str) -> Refusal:
    """Word the warning that an order arrived while the market is closed."""
    return Refusal(
        399,
        f"Order Message:\n{order.action} {order.quantity} {contract.local_symbol}\n"
        f"Warning: your order will not be placed at the exchange until {when}",
    )


def too_little_margin(equity: float, needed: float) -> Refusal:
    """Word the rejection of an order that the account cannot carry."""
    return rejected(
        "YOUR ORDER IS NOT ACCEPTED. IN ORDER TO OBTAIN THE DESIRED POSITION YOUR EQUITY WITH "
        f"LOAN VALUE [{equity:.2f} USD] MUST EXCEED THE INITIAL MARGIN [{needed:.2f} USD]"
    )


def beyond_limits(low: float, high: float) -> Refusal:
    """Word the rejection of a price that the exchange does not accept today."""
    return rejected(f"The price is outside of the price limits {low:g} to {high:g}")


def too_many() -> Refusal:
    """Word the rejection of an order beyond what a side of a contract may have at work."""
    return rejected(
        f"Only {MAX_ACTIVE_PER_SIDE} orders may be active per account, side and contract"
    )
