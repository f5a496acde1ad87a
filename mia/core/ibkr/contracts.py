"""Contracts as a gateway describes them: futures by name, hours, the front month, options."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Protocol

from mia.core.ibkr.messages import MONTH_CODES, TICK_SIZES, contract_name
from mia.core.ibkr.wire_time import SECOND, zone
from mia.errors import BrokerError

FUTURES_EXCHANGE = "CME"
INDEX_EXCHANGE = "CBOE"
LAST_DAYS = 5
"""Calendar days before its last trade in which a contract is not opened any more."""

_NAME = re.compile(rf"(?P<root>[A-Z0-9]{{1,4}}?)(?P<month>[{MONTH_CODES}])(?P<year>\d{{2}})")
_SPAN = re.compile(r"(\d{8}):(\d{4})-(?:(\d{8}):)?(\d{4})")


@dataclass(frozen=True, slots=True)
class FutureContract:
    """A future that the gateway knows by exactly one con id.

    Attributes
    ----------
    name : str
        As in ``ESZ25``.
    multiplier : float
        USD per point.
    min_tick : float
        Points.
    expiry : date
        Day of the last trade.
    market_rules : tuple of int
    trading_hours, liquid_hours : tuple of (int, int)
        Spans in ns UTC, for the days that the gateway tells.
    """

    name: str
    symbol: str
    con_id: int
    exchange: str
    currency: str
    local_symbol: str
    trading_class: str
    multiplier: float
    min_tick: float
    expiry: date
    market_rules: tuple[int, ...]
    trading_hours: tuple[tuple[int, int], ...]
    liquid_hours: tuple[tuple[int, int], ...]

    def days_left(self, today: date) -> int:
        """Return calendar days until the last trade."""
        return (self.expiry - today).days


class OptionKey(Protocol):
    """What identifies an option on the S&P 500 index."""

    @property
    def root(self) -> int:
        """`mia.core.chain.Root`."""
        ...

    @property
    def expiry(self) -> int:
        """Date of settlement, yyyymmdd."""
        ...

    @property
    def last_trade(self) -> int:
        """Date of the last trade, by which the gateway knows it, yyyymmdd."""
        ...

    @property
    def strike(self) -> float:
        """Index points."""
        ...

    @property
    def right(self) -> int:
        """+1 call, -1 put."""
        ...


@dataclass(frozen=True, slots=True)
class OptionSeries:
    """Expiries and strikes of one trading class on one exchange."""

    exchange: str
    trading_class: str
    multiplier: str
    expiries: tuple[int, ...]
    strikes: tuple[float, ...]


def parse_name(name: str) -> tuple[str, str]:
    """Take the name of a contract apart.

    Returns
    -------
    root : str
    month : str
        yyyymm.

    Raises
    ------
    BrokerError
        If it is no name of a future as in ``ESZ25``.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise BrokerError(f"{name!r} names no future: write root, month and year as in ESZ25")
    month = MONTH_CODES.index(match["month"]) + 1
    return match["root"], f"20{match['year']}{month:02d}"


def is_root(name: str) -> bool:
    """Whether a name is that of a family of futures that MIA knows, as ``ES``."""
    return name in TICK_SIZES


def future_contract(details: Any) -> FutureContract:
    """Read what the library made of message 10.

    Raises
    ------
    BrokerError
        If it is no future with a tick that MIA knows, or its expiry is not given.
    """
    contract = details.contract
    expiry = (details.realExpirationDate or contract.lastTradeDateOrContractMonth)[:8]
    name = contract_name(
        contract.symbol,
        contract.secType,
        contract.lastTradeDateOrContractMonth or expiry,
        contract.localSymbol,
    )
    if contract.secType != "FUT" or not re.fullmatch(r"\d{8}", expiry):
        raise BrokerError(f"{name} is no future with an expiry: the gateway says {expiry!r}")
    expected = TICK_SIZES.get(contract.symbol)
    if expected is None or abs(details.minTick - expected) > 1e-9:
        raise BrokerError(
            f"the gateway gives {name} a tick of {details.minTick:g}, {expected} was expected: "
            "prices could not be trusted"
        )
    hours = details.timeZoneId
    return FutureContract(
        name=name,
        symbol=contract.symbol,
        con_id=contract.conId,
        exchange=contract.exchange,
        currency=contract.currency,
        local_symbol=contract.localSymbol,
        trading_class=contract.tradingClass,
        multiplier=float(contract.multiplier or 0),
        min_tick=details.minTick,
        expiry=to_date(expiry),
        market_rules=tuple(int(rule) for rule in details.marketRuleIds.split(",") if rule),
        trading_hours=parse_hours(details.tradingHours, hours),
        liquid_hours=parse_hours(details.liquidHours, hours),
    )


def to_date(text: str) -> date:
    """Read a date as yyyymmdd."""
    return date(int(text[:4]), int(text[4:6]), int(text[6:8]))


def parse_hours(text: str, zone_name: str) -> tuple[tuple[int, int], ...]:
    """Read hours as in ``20251124:1700-20251125:1600;20251125:CLOSED``.

    Returns
    -------
    tuple of (int, int)
        Spans in ns UTC, in order; closed days have none.

    Raises
    ------
    BrokerError
        If the zone is unknown or the text is of another kind.
    """
    if not text:
        return ()
    place = zone(zone_name)
    if place is None:
        raise BrokerError(f"hours are given in the unknown zone {zone_name!r}")
    spans = []
    for part in text.split(";"):
        if not part or part.endswith("CLOSED"):
            continue
        match = _SPAN.fullmatch(part)
        if match is None:
            raise BrokerError(f"hours {part!r} are in no known format")
        day, start, other, end = match.groups()
        first = datetime.strptime(day + start, "%Y%m%d%H%M").replace(tzinfo=place)
        last = datetime.strptime((other or day) + end, "%Y%m%d%H%M").replace(tzinfo=place)
        if last <= first:
            last += timedelta(days=1)
        spans.append((int(first.timestamp()) * SECOND, int(last.timestamp()) * SECOND))
    return tuple(sorted(spans))


def the_one(name: str, found: Sequence[Any]) -> FutureContract:
    """Return the contract of a name.

    Raises
    ------
    BrokerError
        If the gateway found none, or more than one.
    """
    contracts = {details.contract.conId: details for details in found}
    if not contracts:
        raise BrokerError(f"the gateway knows no contract {name}: it has expired or never was")
    if len(contracts) > 1:
        known = ", ".join(
            f"{details.contract.localSymbol} ({con_id})" for con_id, details in contracts.items()
        )
        raise BrokerError(f"{name} is ambiguous, the gateway knows {known}")
    contract = future_contract(next(iter(contracts.values())))
    if contract.name != name:
        raise BrokerError(f"asked for {name}, the gateway answered with {contract.name}")
    return contract


def choose_front(
    contracts: Sequence[FutureContract],
    today: date,
    volumes: Mapping[str, float] | None = None,
    last_days: int = LAST_DAYS,
) -> FutureContract:
    """Choose the contract that new positions are opened in.

    Among those with more than `last_days` calendar days to go it is the one with the greatest
    volume; without volumes, or if none traded, the nearest.

    Parameters
    ----------
    contracts : sequence of FutureContract
        Of one root.
    today : date
        At the exchange.
    volumes : mapping of str to float, optional
        Contracts traded in the last whole session by name.
    last_days : int

    Raises
    ------
    BrokerError
        If every contract is too close to its expiry.
    """
    open_ones = sorted(
        (contract for contract in contracts if contract.days_left(today) > last_days),
        key=lambda contract: contract.expiry,
    )
    if not open_ones:
        known = ", ".join(f"{contract.name} until {contract.expiry}" for contract in contracts)
        if not known:
            raise BrokerError("the gateway lists no contract to trade: 200, or no permission")
        raise BrokerError(f"no contract has more than {last_days} days to go on {today}: {known}")
    traded = volumes or {}
    return max(
        open_ones,
        key=lambda contract: (traded.get(contract.name, 0.0), -open_ones.index(contract)),
    )
