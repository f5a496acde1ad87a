"""The messages of the gateway about contracts and market data.

Each function returns the id of the message and its fields, for `ClientSession.send`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mia.gateway.model import ApiContract
from mia.gateway.protocol.replies import SECOND, Reply
from mia.gateway.protocol.wire import Value


@dataclass(frozen=True, slots=True)
class ContractText:
    """What contractDetails says of a contract beyond its identity.

    Attributes
    ----------
    trading_hours, liquid_hours : str
        ``yyyymmdd:hhmm-yyyymmdd:hhmm;...;yyyymmdd:CLOSED``.
    market_rules : str
        One rule for each of `valid_exchanges`.
    """

    market_name: str
    long_name: str
    contract_month: str
    industry: str
    category: str
    subcategory: str
    time_zone: str
    trading_hours: str
    liquid_hours: str
    order_types: str
    valid_exchanges: str
    market_rules: str
    under_symbol: str
    under_sec_type: str
    last_trade_time: str
    aggregated_group: int


def contract_details(
    version: int, request_id: int, contract: ApiContract, about: ContractText
) -> Reply:
    """Message 10."""
    last_trade = contract.expiry
    if last_trade and about.last_trade_time:
        last_trade += f" {about.last_trade_time} {about.time_zone}"
    old = version < 164
    sizes: tuple[Value, ...] = (1, 1, 1) if version >= 164 else (1,) if version == 163 else ()
    return 10, (
        *((8,) if old else ()),
        request_id,
        contract.symbol,
        contract.sec_type,
        last_trade,
        contract.strike,
        contract.right,
        contract.exchange,
        contract.currency,
        contract.local_symbol,
        about.market_name,
        contract.trading_class,
        contract.con_id,
        contract.min_tick,
        *((1,) if old else ()),
        contract.multiplier,
        about.order_types,
        about.valid_exchanges,
        1,
        contract.under_con_id,
        about.long_name,
        "" if contract.exchange == "SMART" else contract.exchange,
        about.contract_month,
        about.industry,
        about.category,
        about.subcategory,
        about.time_zone,
        about.trading_hours,
        about.liquid_hours,
        "",
        0,
        0,
        about.aggregated_group,
        about.under_symbol,
        about.under_sec_type,
        about.market_rules,
        contract.expiry,
        "",
        *sizes,
    )


def market_rule(rule_id: int, steps: Sequence[tuple[float, float]]) -> Reply:
    """Message 93; steps are (from this price, increment)."""
    return 93, (rule_id, len(steps), *(value for step in steps for value in step))


def option_parameters(
    request_id: int,
    exchange: str,
    under_con_id: int,
    trading_class: str,
    multiplier: str,
    expirations: Sequence[str],
    strikes: Sequence[float],
) -> Reply:
    """Message 75."""
    return 75, (
        request_id,
        exchange,
        under_con_id,
        trading_class,
        multiplier,
        len(expirations),
        *expirations,
        len(strikes),
        *strikes,
    )


def symbol_samples(
    version: int, request_id: int, found: Sequence[tuple[ApiContract, str, Sequence[str]]]
) -> Reply:
    """Message 79; found are (contract, description, kinds of derivatives)."""
    fields: list[Value] = [request_id, len(found)]
    for contract, description, kinds in found:
        fields += [contract.con_id, contract.symbol, contract.sec_type, contract.exchange]
        fields += [contract.currency, len(kinds), *kinds]
        if version >= 176:
            fields += [description, ""]
    return 79, tuple(fields)


def tick_price(request_id: int, kind: int, price: float, size: int | None, mask: int = 0) -> Reply:
    """Message 1."""
    return 1, (6, request_id, kind, price, size, mask)


def tick_size(request_id: int, kind: int, size: int) -> Reply:
    """Message 2."""
    return 2, (6, request_id, kind, size)


def tick_generic(request_id: int, kind: int, value: float) -> Reply:
    """Message 45."""
    return 45, (6, request_id, kind, value)


def tick_string(request_id: int, kind: int, value: str) -> Reply:
    """Message 46."""
    return 46, (6, request_id, kind, value)


def tick_request_parameters(request_id: int, min_tick: float, exchange: str) -> Reply:
    """Message 81."""
    return 81, (request_id, min_tick, exchange, 3)


def option_computation(
    request_id: int,
    kind: int,
    values: tuple[float, float, float, float, float, float, float, float],
) -> Reply:
    """Message 21.

    Parameters
    ----------
    values : tuple of 8 floats
        Implied volatility, delta, option price, present value of dividends, gamma, vega, theta,
        price of the underlying; -1 or, for greeks, -2 is not computed.
    """
    return 21, (request_id, kind, 0, *values)


def market_data_type(request_id: int, kind: int) -> Reply:
    """Message 58."""
    return 58, (1, request_id, kind)


def depth(request_id: int, row: int, operation: int, side: int, price: float, size: int) -> Reply:
    """Message 12; operation 0 inserts, 1 updates, 2 deletes; side 0 is ask, 1 bid."""
    return 12, (1, request_id, row, operation, side, price, size)


def depth_smart(
    request_id: int, row: int, exchange: str, operation: int, side: int, price: float, size: int
) -> Reply:
    """Message 13."""
    return 13, (1, request_id, row, exchange, operation, side, price, size, True)


@dataclass(frozen=True, slots=True)
class PriceBar:
    """A bar of history or of the last five seconds; prices in points, `ts` its start in ns UTC."""

    ts: int
    open: float
    high: float
    low: float
    close: float
    volume: int
    wap: float
    count: int


def historical_data(
    request_id: int, start: str, end: str, bars: Sequence[tuple[str, PriceBar]]
) -> Reply:
    """Message 17; bars come with their date as text."""
    fields: list[Value] = [request_id, start, end, len(bars)]
    for date, bar in bars:
        fields += [date, bar.open, bar.high, bar.low, bar.close, bar.volume, bar.wap, bar.count]
    return 17, tuple(fields)


def historical_data_update(request_id: int, date: str, bar: PriceBar) -> Reply:
    """Message 90."""
    return 90, (
        request_id,
        bar.count,
        date,
        bar.open,
        bar.close,
        bar.high,
        bar.low,
        bar.wap,
        bar.volume,
    )


def realtime_bar(request_id: int, bar: PriceBar) -> Reply:
    """Message 50."""
    return 50, (
        3,
        request_id,
        bar.ts // SECOND,
        bar.open,
        bar.high,
        bar.low,
        bar.close,
        bar.volume,
        bar.wap,
        bar.count,
    )


HISTORICAL_TICKS = {"MIDPOINT": 96, "BID_ASK": 97, "TRADES": 98}


def historical_ticks(
    request_id: int, kind: str, rows: Sequence[tuple[Value, ...]], done: bool
) -> Reply:
    """Message 96, 97 or 98, by the kind of data; each row is a whole tick."""
    values = (value for row in rows for value in row)
    return HISTORICAL_TICKS[kind], (request_id, len(rows), *values, done)
