"""What contractDetails says of a contract: names, hours, rules."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

from mia.core import sessions
from mia.core.calendar_table import LAST_SESSION, to_date, to_session_id
from mia.core.sessions import NEW_YORK
from mia.data.chains.option_clock import is_cash_day, new_york, option_close
from mia.data.contracts import parse_contract
from mia.gateway.model import ApiContract
from mia.gateway.protocol.market_replies import ContractText
from mia.gateway.protocol.replies import SECOND

HOURS_DAYS = 6
"""Calendar days that the strings of hours cover, the market's day first."""

FUTURE_ORDERS = (
    "ACTIVETIM,AD,ADJUST,ALERT,ALGO,ALLOC,AVGCOST,BASKET,BENCHPX,COND,CONDORDER,DAY,DEACT,"
    "DEACTDIS,DEACTEOD,GAT,GTC,GTD,GTT,HID,ICE,IOC,LIT,LMT,LTH,MIT,MKT,MTL,NGCOMB,NONALGO,OCA,"
    "PEGBENCH,SCALE,SCALERST,SNAPMID,SNAPMKT,SNAPREL,STP,STPLMT,TRAIL,TRAILLIT,TRAILLMT,"
    "TRAILMIT,WHATIF"
)
FUTURE_NAMES = {
    "ES": ("E-mini S&P 500", "SPX", "ES"),
    "MES": ("Micro E-Mini S&P 500 Stock Price Index", "SPX", "MES"),
    "NQ": ("E-mini NASDAQ 100", "NDX", "NQ"),
}
INDEX_NAMES = {
    "SPX": "S&P 500 Stock Index",
    "VIX": "CBOE Volatility Index",
    "VIX3M": "CBOE 3-Month Volatility Index",
}
CHICAGO, EASTERN = "US/Central", "US/Eastern"
GROUPS = {"FUT": 2147483647, "IND": 1, "OPT": 2}


def about(contract: ApiContract, session_id: int) -> ContractText:
    """Describe a contract on a session of the market (yyyymmdd)."""
    if contract.sec_type == "FUT":
        long_name, under, market = FUTURE_NAMES[contract.symbol]
        month = parse_contract(contract.name)
        return ContractText(
            market_name=market,
            long_name=long_name,
            contract_month=f"{month.year}{month.month:02d}",
            industry="Indices",
            category="Broad Range Equity Index",
            subcategory="*",
            time_zone=CHICAGO,
            trading_hours=futures_hours(session_id, liquid=False),
            liquid_hours=futures_hours(session_id, liquid=True),
            order_types=FUTURE_ORDERS,
            valid_exchanges="CME",
            market_rules=str(contract.market_rule),
            under_symbol=under if contract.symbol != "ES" else "ES",
            under_sec_type="IND",
            last_trade_time="08:30",
            aggregated_group=GROUPS["FUT"],
        )
    option = contract.sec_type == "OPT"
    hours = cash_hours(session_id, options=option)
    exchanges = "SMART,CBOE" if option else "CBOE"
    return ContractText(
        market_name=contract.trading_class,
        long_name=INDEX_NAMES[contract.symbol],
        contract_month=contract.expiry[:6],
        industry="Indices",
        category="Broad Range Equity Index",
        subcategory="*",
        time_zone=CHICAGO if option else EASTERN,
        trading_hours=hours,
        liquid_hours=hours,
        order_types="ACTIVETIM,AD,ADJUST,ALERT,DAY,GTC,IOC,LMT,MKT,STP,STPLMT,WHATIF"
        if option
        else "",
        valid_exchanges=exchanges,
        market_rules=",".join([str(contract.market_rule)] * len(exchanges.split(","))),
        under_symbol="SPX" if option else "",
        under_sec_type="IND" if option else "",
        last_trade_time="08:30" if contract.trading_class == "SPX" else "15:00",
        aggregated_group=GROUPS[contract.sec_type],
    )


def _days(session_id: int) -> list[int]:
    start = to_date(session_id)
    days = [to_session_id(start + timedelta(days=k)) for k in range(HOURS_DAYS)]
    return [day for day in days if day <= LAST_SESSION]


def _span(start: int, end: int, hours_behind: int) -> str:
    lag = timedelta(hours=hours_behind)
    begins, ends = (
        datetime.fromtimestamp(ts // SECOND, UTC).astimezone(NEW_YORK).replace(tzinfo=None) - lag
        for ts in (start, end)
    )
    return f"{begins:%Y%m%d:%H%M}-{ends:%Y%m%d:%H%M}"


@lru_cache(maxsize=64)
def futures_hours(session_id: int, *, liquid: bool) -> str:
    """Return the hours of index futures for some days, clock of Chicago.

    Parameters
    ----------
    liquid : bool
        Only the hours in which the stocks of the index trade.
    """
    parts = []
    for day in _days(session_id):
        row = sessions.session_table(day, day)[0]
        first, last = int(row["t_rth_open"]), int(row["t_rth_close"])
        spans = sessions.expected_intervals(day)
        if liquid:
            spans = [(max(a, first), min(b, last)) for a, b in spans]
            spans = [(a, b) for a, b in spans if a < b and is_cash_day(day)]
        closed = f"{day}:CLOSED"
        parts.append(",".join(_span(a, b, 1) for a, b in spans) if spans else closed)
    return ";".join(parts)


@lru_cache(maxsize=64)
def cash_hours(session_id: int, *, options: bool) -> str:
    """Return the hours of the index, clock of New York, or of its options, clock of Chicago."""
    parts = []
    for day in _days(session_id):
        if not is_cash_day(day):
            parts.append(f"{day}:CLOSED")
            continue
        close = option_close(day)
        if not options:
            close -= 15 * 60 * SECOND
        parts.append(_span(new_york(day, 9 * 60 + 30), close, 1 if options else 0))
    return ";".join(parts)
