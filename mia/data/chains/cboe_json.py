"""Cboe's delayed quotes as JSON, or embedded in the web page that shows them.

The document is ``{"timestamp": ..., "data": {"options": [...], "current_price": ...,
"last_trade_time": ...}}``. The timestamp is the time of publication in UTC; in the page it has no
date. The time of the last trade of the index is New York's clock. Missing values are null, an
implied volatility of 0, or a delta of -999.
"""

import json
import math
import re
from datetime import UTC, datetime, time, timedelta
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from mia.core.chain import Chain, ChainIssue
from mia.core.sessions import NEW_YORK
from mia.data.chains import option_clock
from mia.data.chains.normaliser import RawColumns, normalise
from mia.data.chains.payload import Payload
from mia.errors import FormatError

SOURCE = "cboe-json"
PAGE_DATA = b"CTX.contextOptionsData"
CLOCK_SKEW = timedelta(minutes=5)
"""By how much the clock of the receiver may be slow."""

SECOND = option_clock.SECOND
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
FIELDS = {
    "bid": "bid",
    "ask": "ask",
    "open_interest": "open_interest",
    "volume": "volume",
    "vendor_iv": "iv",
    "vendor_delta": "delta",
    "vendor_gamma": "gamma",
}
"""Name of the field, by column."""


class _Option(msgspec.Struct, gc=False):
    option: str
    bid: float | None = None
    ask: float | None = None
    open_interest: float | None = None
    volume: float | None = None
    iv: float | None = None
    delta: float | None = None
    gamma: float | None = None


class _Data(msgspec.Struct):
    options: list[_Option]
    current_price: float | None = None
    last_trade_time: str | None = None


class _Document(msgspec.Struct):
    data: _Data
    timestamp: str | None = None


_DECODER = msgspec.json.Decoder(_Document)


def recognises(content: bytes) -> bool:
    """Tell whether a payload is a JSON object or a web page."""
    return content[:4096].lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in {b"{", b"<"}


def parse(payload: Payload) -> Chain:
    """Read a payload.

    Raises
    ------
    FormatError
        If it is truncated, of another format or underlying, or if it does not tell its date and
        neither `payload.received_at` nor `payload.quotes_asof` is given.
    """
    content = payload.content.lstrip(b"\xef\xbb\xbf \t\r\n")
    if content.startswith(b"<"):
        document = _read_page(payload.name, content)
    else:
        document = _read(payload.name, content)
    stamp, last_trade, price, raw = document
    meta = payload.cboe_meta(
        SOURCE,
        _written_at(stamp, payload.received_at),
        price,
        f"its timestamp ({stamp!r:.40}) does not tell the date: give received_at",
        _newest(last_trade),
    )
    return normalise(raw, meta)


_Parts = tuple[str | None, str | None, float, RawColumns]


def _read(name: str, content: bytes) -> _Parts:
    try:
        try:
            document = _DECODER.decode(content)
        except msgspec.ValidationError:
            return _read_loosely(name, msgspec.json.decode(content))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FormatError(f"{name} is truncated or no JSON ({error}): fetch it again") from None
    options = document.data.options
    price = document.data.current_price
    columns = {
        column: np.array([getattr(option, field) for option in options], np.float64)
        for column, field in FIELDS.items()
    }
    raw = RawColumns(
        name,
        [option.option for option in options],
        np.arange(1, len(options) + 1),
        issues=(),
        **columns,
    )
    level = math.nan if price is None else price
    return document.timestamp, document.data.last_trade_time, level, raw


def _read_page(name: str, page: bytes) -> _Parts:
    start = page.find(b"{", max(page.find(PAGE_DATA), 0))
    if PAGE_DATA not in page or start < 0:
        raise FormatError(f"{name} is a web page without option data: fetch it again")
    stop = page.find(b"</script>", start)
    script = page[start : stop if stop >= 0 else len(page)]
    try:
        return _read(name, script.rstrip(b"; \t\r\n"))
    except FormatError:
        pass
    # More statements follow the object.
    try:
        document, _ = json.JSONDecoder().raw_decode(script.decode("utf-8", "replace"))
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{name}: the data in the page are truncated ({error})") from None
    return _read_loosely(name, document)


def _read_loosely(name: str, document: Any) -> _Parts:
    """Read a document in which some value is of another type than usual."""
    data = document.get("data") if isinstance(document, dict) else None
    options = data.get("options") if isinstance(data, dict) else None
    if not isinstance(data, dict) or not isinstance(options, list):
        raise FormatError(f"{name} is JSON but no option chain: data.options is missing")
    issues: list[ChainIssue] = []
    symbols: list[str] = []
    rows: list[int] = []
    values: list[list[float]] = []
    for row, option in enumerate(options, start=1):
        symbol = option.get("option") if isinstance(option, dict) else None
        if not isinstance(symbol, str):
            issues.append(ChainIssue(name, row, "option without a symbol", f"{option!r:.60}"))
            continue
        symbols.append(symbol)
        rows.append(row)
        values.append(
            [_number(name, row, field, option.get(field), issues) for field in FIELDS.values()]
        )
    table: NDArray[np.float64] = np.array(values, np.float64).reshape(len(symbols), len(FIELDS))
    columns = {column: table[:, k] for k, column in enumerate(FIELDS)}
    raw = RawColumns(name, symbols, np.array(rows, np.int64), issues=tuple(issues), **columns)
    stamp, last_trade = document.get("timestamp"), data.get("last_trade_time")
    return (
        stamp if isinstance(stamp, str) else None,
        last_trade if isinstance(last_trade, str) else None,
        _number(name, 0, "current_price", data.get("current_price"), issues),
        raw,
    )


def _number(name: str, row: int, field: str, value: object, issues: list[ChainIssue]) -> float:
    if value is None:
        return math.nan
    if isinstance(value, str) and NUMBER.fullmatch(value):
        return float(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300:
        return float(value)
    issues.append(ChainIssue(name, row, f"{field} is no number", f"{value!r:.60}"))
    return math.nan


def _ns(moment: datetime) -> int:
    return int(moment.timestamp()) * SECOND


def _written_at(stamp: str | None, received_at: int | None) -> int | None:
    """Return the time of publication; one without a date is the last before the arrival."""
    if stamp is None:
        return None
    try:
        if len(stamp.strip()) > len("00:00:00"):
            moment = datetime.fromisoformat(stamp.strip())
            return _ns(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
        clock = time.fromisoformat(stamp.strip())
    except (ValueError, OverflowError):
        return None
    if received_at is None:
        return None
    latest = datetime.fromtimestamp(received_at // SECOND, UTC) + CLOCK_SKEW
    moment = datetime.combine(latest.date(), clock, UTC)
    return _ns(moment if moment <= latest else moment - timedelta(days=1))


def _newest(last_trade: str | None) -> int | None:
    """Return the time after which no quote can be, by the last trade of the index.

    The index stands still from the close on while its options trade for 15 minutes more.
    """
    if last_trade is None:
        return None
    try:
        moment = datetime.fromisoformat(last_trade.strip())
        ts = _ns(moment if moment.tzinfo else moment.replace(tzinfo=NEW_YORK))
    except (ValueError, OverflowError):
        return None
    close = option_clock.option_close(option_clock.new_york_date(ts))
    index_stops = close - option_clock.AFTER_CLOSE * 60 * SECOND
    return close if ts >= index_stops else ts
