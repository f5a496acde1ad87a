"""Chains written as the files and answers of vendors, to test their readers with."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from math import isnan
from typing import Any

import numpy as np

from mia.core.chain import Chain, Root
from mia.core.sessions import NEW_YORK
from mia.data.chains import option_clock

CSV_HEADER = (
    "Expiration Date,Calls,Last Sale,Net,Bid,Ask,Volume,IV,Delta,Gamma,Open Interest,Strike,"
    "Puts,Last Sale,Net,Bid,Ask,Volume,IV,Delta,Gamma,Open Interest"
)
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
OCC_TITLE = (
    "Series Search Results for SPX\n\nProducts for this underlying symbol are traded on: CBOE\n\n"
    "\t\tSeries/Contract\t\t\tStrike\t\t\tOpen Interest\n"
    "ProductSymbol\t\tyear\tMonth\tDay\tInteger\tDec\tC/P\tCall\tPut\tPosition Limit\n"
)


def symbols(chain: Chain) -> list[str]:
    """Return the option symbol of each contract, as in ``SPXW240108C02600000``."""
    return [
        f"{Root(root).name}{expiry % 1_000_000:06d}{'C' if right > 0 else 'P'}"
        f"{round(strike * 1000):08d}"
        for root, expiry, strike, right in zip(
            chain.root.tolist(),
            chain.expiry.tolist(),
            chain.strike.tolist(),
            chain.right.tolist(),
            strict=True,
        )
    ]


def _plain(value: float) -> str:
    """Return a number as Cboe writes it: unknown is 0."""
    return "0" if isnan(value) else f"{value:.10g}"


def _pairs(chain: Chain) -> Iterator[tuple[int, int]]:
    """Yield positions of put and call of each strike that has both."""
    same = (
        (chain.root[1:] == chain.root[:-1])
        & (chain.expiry[1:] == chain.expiry[:-1])
        & (chain.strike[1:] == chain.strike[:-1])
    )
    for k in np.flatnonzero(same).tolist():
        yield k, k + 1


def _field_values(chain: Chain) -> dict[str, list[float]]:
    return {
        name: getattr(chain, name).tolist()
        for name in (
            "bid",
            "ask",
            "volume",
            "vendor_iv",
            "vendor_delta",
            "vendor_gamma",
            "open_interest",
        )
    }


def cboe_csv(chain: Chain, *, date_line: str | None = None) -> bytes:
    """Write a chain as the page of Cboe saves it.

    Parameters
    ----------
    chain : Chain
    date_line : str, optional
        Date of the download as the browser writes it; by default `received_at` in English.
    """
    if date_line is None:
        moment = datetime.fromtimestamp(chain.meta.received_at // option_clock.SECOND, UTC)
        local = moment.astimezone(NEW_YORK)
        date_line = f"{local:%B} {local.day}, {local.year} at {local:%I:%M %p %Z}"
    level = chain.meta.index_print
    names = symbols(chain)
    values = _field_values(chain)

    def side(k: int) -> str:
        quoted = ",".join(_plain(column[k]) for column in values.values())
        return f"{names[k]},0,0,{quoted}"

    lines = [
        "",
        f"S&P 500 INDEX,Last: {level},Change:  0",
        f'"Date: {date_line}",Bid: {level},Ask: {level},Size: 1*1,Volume: 0',
        CSV_HEADER,
    ]
    for put, call in _pairs(chain):
        expiry = int(chain.expiry[put])
        day = date(expiry // 10000, expiry // 100 % 100, expiry % 100)
        shown = f"{WEEKDAYS[day.weekday()]} {MONTHS[day.month - 1]} {day.day:02d} {day.year}"
        lines.append(f"{shown},{side(call)},{chain.strike[put]:.2f},{side(put)}")
    return ("\n".join(lines) + "\n").encode()


def cboe_json(chain: Chain, *, timestamp: str | None = None, page: bool = False) -> bytes:
    """Write a chain as Cboe's JSON, or as the web page that embeds it.

    Parameters
    ----------
    chain : Chain
    timestamp : str, optional
        By default `received_at` in UTC.
    page : bool
    """
    second = option_clock.SECOND
    moment = datetime.fromtimestamp(chain.meta.received_at // second, UTC)
    traded = datetime.fromtimestamp(chain.meta.quotes_asof // second, UTC).astimezone(NEW_YORK)
    values = _field_values(chain)
    options: list[dict[str, Any]] = [
        {
            "option": name,
            "bid": _finite(values["bid"][k]),
            "bid_size": 0.0,
            "ask": _finite(values["ask"][k]),
            "ask_size": 0.0,
            "iv": _finite(values["vendor_iv"][k]),
            "open_interest": _finite(values["open_interest"][k]),
            "volume": _finite(values["volume"][k]),
            "delta": _finite(values["vendor_delta"][k], -999.0),
            "gamma": _finite(values["vendor_gamma"][k]),
            "vega": 0.0,
            "theta": 0.0,
            "rho": 0.0,
            "theo": 0.0,
            "change": 0.0,
            "open": 0.0,
            "high": 0.0,
            "low": 0.0,
            "tick": "no_change",
            "last_trade_price": 0.0,
            "last_trade_time": None,
            "percent_change": 0.0,
            "prev_day_close": 0.0,
        }
        for k, name in enumerate(symbols(chain))
    ]
    document = {
        "timestamp": f"{moment:%Y-%m-%d %H:%M:%S}" if timestamp is None else timestamp,
        "symbol": "_SPX",
        "data": {
            "options": options,
            "symbol": "^SPX",
            "security_type": "index",
            "current_price": _finite(chain.meta.index_print),
            "last_trade_time": f"{traded:%Y-%m-%dT%H:%M:%S}",
        },
    }
    text = json.dumps(document)
    if page:
        text = (
            "<!DOCTYPE html><html><head><title>Quote</title></head><body><script>\n"
            f"CTX.contextOptionsData = {text};\nCTX.ready = true;\n</script></body></html>\n"
        )
    return text.encode()


def _finite(value: float, unknown: float | None = None) -> float | None:
    return unknown if isnan(value) else value


def occ_text(chain: Chain) -> bytes:
    """Write the open interest of a chain as the series search of the clearing house."""
    held = np.nan_to_num(chain.open_interest).tolist()
    lines = []
    for put, call in _pairs(chain):
        expiry, thousandths = int(chain.expiry[put]), round(float(chain.strike[put]) * 1000)
        lines.append(
            f"{Root(int(chain.root[put])).name}\t\t{expiry // 10000}\t{expiry // 100 % 100:02d}\t"
            f"{expiry % 100:02d}\t{thousandths // 1000}\t{thousandths % 1000:03d}\tC P\t"
            f"{held[call]:.0f}\t{held[put]:.0f}\t25000000\n"
        )
    return (OCC_TITLE + "".join(lines)).encode()
