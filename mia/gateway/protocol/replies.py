"""The messages of the gateway about accounts, executions, time and errors.

Each function returns the id of the message and its fields, for `ClientSession.send`.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from zoneinfo import ZoneInfo

from mia.gateway.model import ApiContract, Execution, OrderRecord
from mia.gateway.protocol.wire import UNSET_DOUBLE, Value

SECOND = 1_000_000_000

Reply = tuple[int, tuple[Value, ...]]


@cache
def zone_of(name: str) -> ZoneInfo:
    """Return a zone by its name; what is no zone of the IANA database has the clock of Chicago."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return ZoneInfo("US/Central")


def wall_time(ts: int, zone: str) -> str:
    """Spell a time as ``yyyymmdd hh:mm:ss zone``.

    Without a zone it is UTC, ``yyyymmdd-hh:mm:ss``.
    """
    moment = datetime.fromtimestamp(ts // SECOND, UTC)
    if not zone:
        return f"{moment:%Y%m%d-%H:%M:%S}"
    local = moment.astimezone(zone_of(zone))
    return f"{local:%Y%m%d %H:%M:%S} {zone}"


def contract_fields(contract: ApiContract, exchange: str | None = None) -> tuple[Value, ...]:
    """Return the eleven fields by which replies name a contract."""
    return (
        contract.con_id,
        contract.symbol,
        contract.sec_type,
        contract.expiry,
        contract.strike,
        contract.right,
        contract.multiplier,
        contract.exchange if exchange is None else exchange,
        contract.currency,
        contract.local_symbol,
        contract.trading_class,
    )


def error(version: int, request_id: int, code: int, text: str, reject: str = "") -> Reply:
    """Message 4; `request_id` is -1 if it is about no request."""
    if version >= 166:
        return 4, (2, request_id, code, text, reject)
    return 4, (2, request_id, code, text)


def order_status(record: OrderRecord, client_id: int | None = None) -> Reply:
    """Message 3."""
    order = record.order
    return 3, (
        order.order_id,
        record.status,
        record.filled,
        record.remaining,
        record.average_price,
        record.perm_id,
        order.parent_id,
        record.last_price,
        record.client_id if client_id is None else client_id,
        record.why_held,
        0.0,
    )


def execution_details(version: int, request_id: int, execution: Execution, zone: str) -> Reply:
    """Message 11; `request_id` is -1 for a fill that just happened."""
    fields: tuple[Value, ...] = (
        request_id,
        execution.order_id,
        *contract_fields(execution.contract),
        execution.exec_id,
        wall_time(execution.ts, zone),
        execution.account,
        execution.contract.exchange,
        execution.side,
        execution.quantity,
        execution.price,
        execution.perm_id,
        execution.client_id,
        0,
        execution.cumulative,
        execution.average_price,
        execution.order_ref,
        "",
        "",
        "",
        2,
    )
    return 11, (*fields, False) if version >= 178 else fields


def commission_report(execution: Execution) -> Reply:
    """Message 59."""
    realized: Value = execution.realized_pnl
    return 59, (
        1,
        execution.exec_id,
        execution.commission,
        execution.contract.currency,
        UNSET_DOUBLE if realized is None else realized,
        UNSET_DOUBLE,
        "",
    )


def position(account: str, contract: ApiContract, quantity: int, average_cost: float) -> Reply:
    """Message 61; the average cost is price times multiplier."""
    return 61, (3, account, *contract_fields(contract, ""), quantity, average_cost)


def position_multi(
    request_id: int, account: str, contract: ApiContract, quantity: int, average_cost: float
) -> Reply:
    """Message 71."""
    return 71, (1, request_id, account, *contract_fields(contract, ""), quantity, average_cost, "")


def portfolio_value(
    account: str,
    contract: ApiContract,
    quantity: int,
    prices: tuple[float, float, float, float, float],
) -> Reply:
    """Message 7; `prices` are market price, market value, average cost, unrealized, realized."""
    named = contract_fields(contract)
    return 7, (8, *named[:7], contract.exchange, *named[8:], quantity, *prices, account)


def account_value(account: str, key: str, value: str, currency: str) -> Reply:
    """Message 6."""
    return 6, (2, key, value, currency, account)


def account_time(ts: int, zone: str) -> Reply:
    """Message 8."""
    return 8, (1, wall_time(ts, zone or "UTC").split(" ")[1][:5])


def account_download_end(account: str) -> Reply:
    """Message 54."""
    return 54, (1, account)


def account_summary(request_id: int, account: str, tag: str, value: str, currency: str) -> Reply:
    """Message 63."""
    return 63, (1, request_id, account, tag, value, currency)


def account_update_multi(
    request_id: int, account: str, key: str, value: str, currency: str
) -> Reply:
    """Message 73."""
    return 73, (1, request_id, account, "", key, value, currency)


def pnl(request_id: int, daily: float, unrealized: float, realized: float) -> Reply:
    """Message 94."""
    return 94, (request_id, daily, unrealized, realized)


def pnl_single(
    request_id: int,
    quantity: int,
    daily: float,
    unrealized: float | None,
    realized: float | None,
    value: float,
) -> Reply:
    """Message 95."""
    return 95, (
        request_id,
        quantity,
        daily,
        UNSET_DOUBLE if unrealized is None else unrealized,
        UNSET_DOUBLE if realized is None else realized,
        value,
    )


def managed_accounts(accounts: Sequence[str]) -> Reply:
    """Message 15."""
    return 15, (1, ",".join(accounts))


def next_valid_id(order_id: int) -> Reply:
    """Message 9."""
    return 9, (1, order_id)


def current_time(ts: int) -> Reply:
    """Message 49."""
    return 49, (1, ts // SECOND)


ENDS = {
    "contract_details": 52,
    "open_orders": 53,
    "executions": 55,
    "snapshot": 57,
    "positions": 62,
    "account_summary": 64,
    "positions_multi": 72,
    "account_updates_multi": 74,
    "option_parameters": 76,
    "completed_orders": 102,
}
_UNVERSIONED_ENDS = {76, 102}


def end(name: str, request_id: int | None = None) -> Reply:
    """Return the message that ends an answer, by the name of the request."""
    message_id = ENDS[name]
    version = () if message_id in _UNVERSIONED_ENDS else (1,)
    return message_id, version if request_id is None else (*version, request_id)
