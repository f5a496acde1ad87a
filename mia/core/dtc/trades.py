"""Trades as the DTC protocol tells of them, of the exchanges whose data may be had over it."""

from dataclasses import dataclass
from typing import Any

from mia.core.dtc.layout import Values

MICROSECONDS = "MARKET_DATA_UPDATE_TRADE_WITH_UNBUNDLED_INDICATOR_2"
TRADES = frozenset(
    {
        "MARKET_DATA_UPDATE_TRADE",
        "MARKET_DATA_UPDATE_TRADE_COMPACT",
        "MARKET_DATA_UPDATE_TRADE_WITH_UNBUNDLED_INDICATOR",
        MICROSECONDS,
    }
)
NOT_READ = frozenset({126, 142})
"""Types of trades with integer prices, or without a time: they cannot be read here."""

SIDES = {1: -1, 2: 1}
MOST = 2**31


@dataclass(frozen=True, slots=True)
class DtcTrade:
    """A trade.

    Attributes
    ----------
    ts : int
        ns UTC, as exact as the message gives it: seconds, milliseconds or microseconds.
    price : float
        Points.
    aggressor_side : int
        +1 at the ask, -1 at the bid, 0 not said.
    """

    symbol: str
    ts: int
    price: float
    size: int
    aggressor_side: int

    @classmethod
    def of(cls, name: str, values: Values, symbol: str) -> "DtcTrade":
        """Read the fields of one of the messages in `TRADES`.

        Raises
        ------
        ValueError
            If price, size or time cannot be.
        """
        price, size = _number(values["Price"]), _number(values["Volume"])
        at = _number(values["DateTime"], 2.0**63)
        # Doubles hold milliseconds.
        ts = int(at) * 1000 if name == MICROSECONDS else round(at * 1000) * 1_000_000
        if size != int(size) or size < 1 or not 0 < ts < 2**63:
            raise ValueError(f"{values} is no trade")
        return cls(symbol, ts, price, int(size), SIDES.get(values["AtBidOrAsk"], 0))


def _number(value: Any, most: float = MOST) -> float | int:
    if value is None or not abs(value) < most:
        raise ValueError(f"{value!r} is not below {most:g}")
    number: float | int = value
    return number
