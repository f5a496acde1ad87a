"""Messages about orders, executions and positions, from their fields to the types of MIA.

Every function raises ValueError, KeyError or IndexError for a message that is not what the
protocol says, except that an execution is never lost for the sake of its time or its price.
"""

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from mia.core.base_types import OrderType
from mia.core.broker_types import (
    BrokerStatus,
    CommissionReport,
    ExecutionReport,
    MarginChange,
    Notice,
    OpenOrderReport,
    PositionReport,
    StatusReport,
)

TICK_SIZES = {"ES": 0.25, "MES": 0.25, "NQ": 0.25, "MNQ": 0.25}
"""Points of a tick of the futures whose prices are kept in ticks."""

MONTH_CODES = "FGHJKMNQUVXZ"

UNREADABLE = -1
"""Code of a notice of ours: a message could not be read and what it said is not known."""
TIME_UNREADABLE = -2
"""Code of a notice of ours: an execution bears the time of its receipt instead of its own."""
OFF_GRID = -3
"""Code of a notice of ours: the price of an order or an execution was rounded to a tick."""
UNSUPPORTED_ORDER = -4
"""Code of a notice of ours: an order that is not ours is of a type that MIA does not know."""

STATUSES = {
    "ApiPending": BrokerStatus.PENDING,
    "PendingSubmit": BrokerStatus.PENDING,
    "PreSubmitted": BrokerStatus.PRE_SUBMITTED,
    "Submitted": BrokerStatus.SUBMITTED,
    "PendingCancel": BrokerStatus.PENDING_CANCEL,
    "ApiCancelled": BrokerStatus.CANCELLED,
    "Cancelled": BrokerStatus.CANCELLED,
    "Filled": BrokerStatus.FILLED,
    "Inactive": BrokerStatus.INACTIVE,
}
ORDER_TYPES = {
    "MKT": OrderType.MARKET,
    "LMT": OrderType.LIMIT,
    "STP": OrderType.STOP,
    "STP LMT": OrderType.STOP_LIMIT,
}
_SIDES = {"BUY": 1, "SELL": -1, "SSHORT": -1, "BOT": 1, "SLD": -1}
_UNSET = 1e300
_AHEAD = 300_000_000_000

NoticeSink = Callable[[Notice], None]


def contract_name(symbol: str, sec_type: str, expiry: str, local_symbol: str) -> str:
    """Return the name of a contract as MIA writes it: ``ESZ25``; the local symbol of others."""
    if sec_type == "FUT" and len(expiry) >= 6 and expiry[:6].isdecimal():
        return f"{symbol}{MONTH_CODES[int(expiry[4:6]) - 1]}{expiry[2:4]}"
    return local_symbol or symbol


def to_int(text: str) -> int:
    """Read a whole number that may be spelled as a decimal; empty is 0.

    Raises
    ------
    ValueError
        If it is not whole.
    """
    value = float(text or 0)
    whole = int(value)
    if whole != value:
        raise ValueError(f"{text!r} is not a whole number")
    return whole


def to_ticks(price: float, symbol: str, note: Callable[[int, str], None]) -> int:
    """Turn a price of an order or an execution into ticks; off the grid it is rounded and noted.

    Contracts whose tick is not known have no price in ticks: 0.
    """
    size = TICK_SIZES.get(symbol)
    if size is None or not math.isfinite(price) or abs(price) > _UNSET:
        return 0
    ticks = round(price / size)
    if abs(price / size - ticks) > 1e-6:
        note(OFF_GRID, f"price {price:g} of {symbol} is off its grid of {size:g}, rounded")
    return ticks


def read_status(fields: Sequence[str]) -> StatusReport:
    """Read message 3."""
    return StatusReport(
        order_id=int(fields[1]),
        status=STATUSES[fields[2]],
        filled=to_int(fields[3]),
        remaining=to_int(fields[4]),
        perm_id=int(fields[6] or 0),
        client_id=int(fields[9] or 0),
        why_held=fields[10],
    )


def read_notice(fields: Sequence[str]) -> Notice:
    """Read message 4."""
    return Notice(int(fields[2]), int(fields[3]), one_line(fields[4]))


def one_line(text: str) -> str:
    r"""Return a text of the broker on one line, its ``\\uXXXX`` resolved where they are valid."""
    if "\\u" in text:
        with suppress(UnicodeDecodeError):
            text = text.encode("latin-1", "backslashreplace").decode("unicode-escape")
    return " ".join(text.split())


def read_execution(
    fields: Sequence[str],
    read_time: Callable[[str], int],
    received_at: int,
    note: Callable[[int, str], None],
) -> tuple[int, ExecutionReport]:
    """Read message 11.

    Parameters
    ----------
    fields : sequence of str
    read_time : callable
        Turns the time of the message into ns UTC, or raises ValueError.
    received_at : int
        Used where the time cannot be read, ns UTC.
    note : callable
        Given code and text of what had to be mended.

    Returns
    -------
    request_id : int
        -1 for a fill that happens now.
    report : ExecutionReport
    """
    (
        _,
        request_id,
        order_id,
        con_id,
        symbol,
        sec_type,
        expiry,
        _,
        _,
        _,
        _,
        _,
        local_symbol,
        _,
        exec_id,
        time,
        account,
        _,
        side,
        shares,
        price,
        perm_id,
        client_id,
        _,
        cumulative,
        _,
        order_ref,
    ) = fields[:27]
    try:
        ts = read_time(time)
        if ts > received_at + _AHEAD:
            raise ValueError(f"time {time!r} is in the future, its zone must be wrong")
    except (ValueError, OverflowError) as error:
        ts = received_at
        note(TIME_UNREADABLE, f"execution {exec_id}: {error}; the time of receipt is used")
    return int(request_id), ExecutionReport(
        exec_id=exec_id,
        order_id=int(order_id or 0),
        perm_id=int(perm_id or 0),
        client_id=int(client_id or 0),
        order_ref=order_ref,
        con_id=int(con_id or 0),
        contract=contract_name(symbol, sec_type, expiry, local_symbol),
        account=account,
        side=_SIDES[side],
        quantity=to_int(shares),
        price=to_ticks(float(price), symbol, note),
        ts=ts,
        cumulative=to_int(cumulative),
    )


def read_commission(fields: Sequence[str]) -> CommissionReport:
    """Read message 59; a profit that is not set yet is None."""
    return CommissionReport(fields[2], to_money(fields[3]) or 0.0, to_money(fields[5]))


def to_money(text: str) -> float | None:
    """Read an amount, None where it is empty or the protocol's mark for "not set"."""
    if not text:
        return None
    value = float(text)
    return None if not math.isfinite(value) or abs(value) > _UNSET else value


def read_position(fields: Sequence[str]) -> PositionReport:
    """Read message 61."""
    return PositionReport(
        account=fields[2],
        con_id=int(fields[3]),
        contract=contract_name(fields[4], fields[5], fields[6], fields[12]),
        symbol=fields[4],
        quantity=to_int(fields[14]),
        average_cost=to_money(fields[15]) or 0.0,
    )


def open_order_report(
    contract: Any, order: Any, state: Any, note: Callable[[int, str], None]
) -> OpenOrderReport:
    """Turn what the library made of messages 5 and 101 into a report."""
    kind = ORDER_TYPES.get(order.orderType)
    if kind is None:
        note(
            UNSUPPORTED_ORDER,
            f"order {order.orderId} ({order.permId}) is of type {order.orderType!r}, which MIA "
            "does not place",
        )
        kind = OrderType.STOP if order.orderType.startswith("TRAIL") else OrderType.MARKET
    price = order.lmtPrice if kind is OrderType.LIMIT else order.auxPrice
    filled = float(getattr(order, "filledQuantity", _UNSET * 10) or 0)
    return OpenOrderReport(
        order_id=order.orderId,
        perm_id=order.permId,
        client_id=order.clientId,
        order_ref=order.orderRef,
        con_id=contract.conId,
        contract=contract_name(
            contract.symbol,
            contract.secType,
            contract.lastTradeDateOrContractMonth,
            contract.localSymbol,
        ),
        account=order.account,
        side=_SIDES[order.action],
        quantity=to_int(str(order.totalQuantity)),
        order_type=kind,
        price=0 if kind is OrderType.MARKET else to_ticks(float(price or 0), contract.symbol, note),
        status=STATUSES[state.status],
        parent_id=order.parentId,
        filled=None if filled > _UNSET else int(filled),
    )


def margin_change(state: Any) -> MarginChange:
    """Turn the answer to a what-if order into amounts; those that are not given are nan."""

    def amount(value: object) -> float:
        money = to_money(str(value or ""))
        return math.nan if money is None else money

    return MarginChange(
        initial_after=amount(state.initMarginAfter),
        maintenance_after=amount(state.maintMarginAfter),
        equity_with_loan=amount(state.equityWithLoanAfter),
        commission=amount(state.commission),
    )
