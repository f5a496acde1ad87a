"""The contracts that the gateway knows: index futures, indices, and options on SPX.

Numbers of futures and options are computed from what the contract is, so that they are the same
on every day and need no table.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, timedelta

from mia.config.instruments import INSTRUMENTS, MONTH_CODES, TICK
from mia.core.calendar_table import to_session_id
from mia.data.chains.option_clock import cash_day_before
from mia.data.contracts import Contract, is_contract, parse_contract
from mia.gateway.model import ApiContract
from mia.gateway.protocol.query import ContractQuery

FUTURES_AHEAD = 5
"""Quarterly months listed at a time."""

FUTURES_BEHIND = 8
"""Expired months that are still known to who asks for them."""

ES_RULE, OPTION_RULE, INDEX_RULE = 67, 32, 26
MARKET_RULES: dict[int, tuple[tuple[float, float], ...]] = {
    ES_RULE: ((0.0, 0.25),),
    OPTION_RULE: ((0.0, 0.05), (3.0, 0.10)),
    INDEX_RULE: ((0.0, 0.01),),
}

_FUTURE_BASE = {"ES": 495_000_000, "MES": 563_000_000, "NQ": 551_000_000}
_UNDERLYING = {"ES": 11_004_968, "MES": 362_687_422, "NQ": 11_004_958}
_OPTION_BASE = 1 << 30
_OPTION_EPOCH = date(2008, 1, 1).toordinal()
OPTION_CLASSES = ("SPX", "SPXW")
OPTION_EXCHANGES = ("SMART", "CBOE")
OPTION_MULTIPLIER = "100"


@dataclass(frozen=True, slots=True)
class Listing:
    """Series and strikes of SPX options on a date; expiries as yyyymmdd of settlement."""

    expiries: dict[str, tuple[int, ...]]
    strikes: tuple[float, ...]


def _index(con_id: int, symbol: str) -> ApiContract:
    return ApiContract(
        con_id=con_id,
        symbol=symbol,
        sec_type="IND",
        expiry="",
        strike=0.0,
        right="",
        multiplier="",
        exchange="CBOE",
        currency="USD",
        local_symbol=symbol,
        trading_class=symbol,
        min_tick=0.01,
        name=symbol,
        market_rule=INDEX_RULE,
    )


INDICES = {
    contract.symbol: contract
    for contract in (
        _index(416_904, "SPX"),
        _index(13_455_763, "VIX"),
        _index(47_511_253, "VIX3M"),
    )
}


def future(name: str) -> ApiContract:
    """Return a future by the project's name, as ``ESZ25``.

    Raises
    ------
    DataError
        If it is no quarterly contract.
    KeyError
        If the gateway has no such root.
    """
    month = parse_contract(name)
    instrument = INSTRUMENTS[month.root]
    return ApiContract(
        con_id=_FUTURE_BASE[month.root] + month.year * 12 + month.month,
        symbol=month.root,
        sec_type="FUT",
        expiry=str(month.last_session),
        strike=0.0,
        right="",
        multiplier=f"{instrument.multiplier:g}",
        exchange="CME",
        currency="USD",
        local_symbol=f"{month.root}{MONTH_CODES[month.month]}{month.year % 10}",
        trading_class=month.root,
        min_tick=TICK,
        name=name,
        under_con_id=_UNDERLYING[month.root],
        market_rule=ES_RULE,
    )


def option(trading_class: str, expiry: int, strike: float, right: str) -> ApiContract:
    """Return an option on SPX; expiry is the day of settlement, yyyymmdd.

    Series of class SPX settle in the morning and trade for the last time on the cash day before:
    that day is the date by which the protocol knows them.
    """
    day = _date(expiry)
    last = cash_day_before(expiry) if trading_class == "SPX" else expiry
    number = (day.toordinal() - _OPTION_EPOCH) << 16 | round(strike / 5) << 2
    number |= (trading_class == "SPXW") << 1 | (right == "P")
    return ApiContract(
        con_id=_OPTION_BASE + number,
        symbol="SPX",
        sec_type="OPT",
        expiry=str(last),
        strike=strike,
        right=right,
        multiplier=OPTION_MULTIPLIER,
        exchange="SMART",
        currency="USD",
        local_symbol=f"{trading_class:<6}{day:%y%m%d}{right}{round(strike * 1000):08d}",
        trading_class=trading_class,
        min_tick=0.05,
        name=f"{trading_class}{day:%y%m%d}{right}{strike:g}",
        under_con_id=INDICES["SPX"].con_id,
        market_rule=OPTION_RULE,
    )


def settlement_date(contract: ApiContract) -> int:
    """Return the day on which a future or an option settles, yyyymmdd."""
    if contract.sec_type == "OPT":
        return int("20" + contract.local_symbol[6:12])
    return int(contract.expiry)


class Catalogue:
    """What can be looked up on the market's day.

    Parameters
    ----------
    today : callable
        Returns the session, yyyymmdd.
    now : callable
        Returns market time, ns UTC.
    listing : callable
        Returns the series and strikes of SPX options that are listed.
    """

    def __init__(
        self,
        today: Callable[[], int],
        now: Callable[[], int],
        listing: Callable[[], Listing],
    ) -> None:
        self._today = today
        self._now = now
        self._listing = listing
        self._futures: tuple[int, tuple[ApiContract, ...]] = (0, ())

    def find(self, query: ContractQuery) -> list[ApiContract]:
        """Return every contract that a query leaves open, nearest expiry first."""
        if query.con_id:
            found = self._by_con_id(query.con_id)
            return [c for c in found if _agrees(query, c) and self._listed(query, c)]
        if query.sec_type in ("FUT", ""):
            futures = [c for c in self._all_futures() if _agrees(query, c)]
            if query.sec_type == "FUT" or futures:
                return [c for c in futures if self._listed(query, c)]
        if query.sec_type in ("IND", "") and query.symbol in INDICES:
            return [c for c in (INDICES[query.symbol],) if _agrees(query, c)]
        if query.sec_type == "IND":
            return [c for c in INDICES.values() if query.local_symbol and _agrees(query, c)]
        return self._options(query) if query.sec_type == "OPT" else []

    def only(self, query: ContractQuery) -> ApiContract | None:
        """Return the one contract that a query means, None if it is none or several.

        An option that trades on several exchanges is one; a query with a date as a month means
        the only contract of that month.
        """
        found = self.find(query)
        distinct = {contract.con_id: contract for contract in reversed(found)}
        return next(iter(distinct.values())) if len(distinct) == 1 else None

    def by_con_id(self, con_id: int) -> ApiContract | None:
        """Return a contract by its number."""
        return next(iter(self._by_con_id(con_id)), None)

    def matching(self, pattern: str) -> list[tuple[ApiContract, str, tuple[str, ...]]]:
        """Return what starts with a pattern: contract, description, kinds of derivatives."""
        names = {
            "SPX": ("S&P 500 Stock Index", ("OPT",)),
            "VIX": ("CBOE Volatility Index", ()),
            "VIX3M": ("CBOE 3-Month Volatility Index", ()),
        }
        return [
            (INDICES[symbol], *about)
            for symbol, about in names.items()
            if pattern and symbol.startswith(pattern.upper())
        ]

    def listing(self) -> Listing:
        """Return the series and strikes of SPX options that are listed."""
        return self._listing()

    def _listed(self, query: ContractQuery, contract: ApiContract) -> bool:
        """Tell whether it has not expired; futures that have are known to who asks for them."""
        if contract.sec_type == "FUT":
            alive = parse_contract(contract.name).expiry > self._now()
            return alive or query.include_expired
        return contract.sec_type != "OPT" or settlement_date(contract) >= self._today()

    def _all_futures(self) -> tuple[ApiContract, ...]:
        today = self._today()
        if self._futures[0] != today:
            months = _quarters(today)
            self._futures = (
                today,
                tuple(
                    future(str(replace(month, root=root)))
                    for root in INSTRUMENTS
                    for month in months
                ),
            )
        return self._futures[1]

    def _by_con_id(self, con_id: int) -> list[ApiContract]:
        for contract in (*self._all_futures(), *INDICES.values()):
            if contract.con_id == con_id:
                return [contract]
        if not _OPTION_BASE <= con_id < 2 * _OPTION_BASE:
            return []
        number = con_id - _OPTION_BASE
        day = date.fromordinal(_OPTION_EPOCH + (number >> 16))
        name = OPTION_CLASSES[number >> 1 & 1]
        strike = float((number >> 2 & 0x3FFF) * 5)
        expiry = to_session_id(day)
        listing = self._listing()
        if expiry not in listing.expiries.get(name, ()) or strike not in listing.strikes:
            return []
        return [option(name, expiry, strike, "P" if number & 1 else "C")]

    def _options(self, query: ContractQuery) -> list[ApiContract]:
        if query.local_symbol:
            parts = _take_apart(query.local_symbol)
            if parts is None:
                return []
            name, expiry, strike, right = parts
            wanted = option(name, expiry, strike, right)
            query = replace(query, trading_class=name, strike=strike, right=right, symbol="SPX")
            query = replace(query, expiry=wanted.expiry)
        if query.symbol not in ("SPX", ""):
            return []
        if query.exchange not in ("", *OPTION_EXCHANGES):
            return []
        listing = self._listing()
        strikes = [s for s in listing.strikes if query.strike in (0.0, s)]
        rights = [right for right in "CP" if query.right[:1].upper() in ("", right)]
        exchanges = [query.exchange] if query.exchange else list(OPTION_EXCHANGES)
        found = []
        for name in OPTION_CLASSES:
            if query.trading_class not in ("", name):
                continue
            for expiry in listing.expiries.get(name, ()):
                first = option(name, expiry, 5.0, "C")
                if query.expiry and not first.expiry.startswith(query.expiry):
                    continue
                for strike in strikes:
                    for right in rights:
                        contract = option(name, expiry, strike, right)
                        if _agrees(query, contract):
                            found += [replace(contract, exchange=each) for each in exchanges]
        return found


def _date(yyyymmdd: int) -> date:
    return date(yyyymmdd // 10000, yyyymmdd // 100 % 100, yyyymmdd % 100)


def _take_apart(local_symbol: str) -> tuple[str, int, float, str] | None:
    name, rest = local_symbol[:6].rstrip(), local_symbol[6:]
    well_formed = len(rest) == 15 and rest[:6].isdigit() and rest[7:].isdigit() and rest[6] in "CP"
    if name not in OPTION_CLASSES or not well_formed:
        return None
    strike = int(rest[7:]) / 1000
    try:
        _date(int("20" + rest[:6]))
    except ValueError:
        return None
    return (name, int("20" + rest[:6]), strike, rest[6]) if strike % 5 == 0 and strike else None


def _quarters(today: int) -> list[Contract]:
    day = _date(today)
    first = date(day.year - 2, 3, 1)
    months = []
    for k in range(FUTURES_BEHIND + FUTURES_AHEAD + 4):
        count = first.year * 12 + first.month - 1 + 3 * k
        months.append(Contract(count // 12, count % 12 + 1, "ES"))
    last = min(day + timedelta(days=92 * FUTURES_AHEAD), date(2030, 12, 31))
    return [
        month
        for month in months
        if (month.year, month.month) <= (last.year, last.month) and month.year >= 2008
    ]


def _agrees(query: ContractQuery, contract: ApiContract) -> bool:
    """Tell whether every field that the query fills is that of the contract."""
    month = contract.expiry[:6]
    if contract.sec_type == "FUT" and query.expiry:
        named = is_contract(contract.name) and parse_contract(contract.name)
        month = f"{named.year}{named.month:02d}" if named else month
    pairs = (
        (query.con_id, contract.con_id),
        (query.sec_type, contract.sec_type),
        (query.symbol, contract.symbol),
        (query.strike, contract.strike),
        (query.right[:1].upper().strip("?0"), contract.right),
        (query.multiplier, contract.multiplier),
        (query.currency, contract.currency),
        (query.local_symbol, contract.local_symbol),
        (query.trading_class, contract.trading_class),
    )
    if any(asked and asked != held for asked, held in pairs):
        return False
    if query.expiry and query.expiry not in (contract.expiry, month):
        return False
    exchanges = {
        "FUT": ("CME", "GLOBEX"),
        "IND": ("CBOE",),
        "OPT": OPTION_EXCHANGES,
    }[contract.sec_type]
    return query.exchange in ("", *exchanges) and query.primary_exchange in ("", *exchanges)
