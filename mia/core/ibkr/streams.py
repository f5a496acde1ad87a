"""Market data of one connection: what is subscribed, and its ticks from field to listener.

Trades and quotes are tick by tick with the exchange's second, which the client libraries throw
away. The book of depth is kept here from single changes, as their own shifts levels wrongly.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from mia.core.broker_types import MarketListener
from mia.core.ibkr.wire_time import SECOND

# Kinds of ticks, as spelled on the wire.
BID, ASK, LAST_PRICE = "1", "2", "4"
VOLUME = "8"
CALL_OPEN_INTEREST, PUT_OPEN_INTEREST = "27", "28"
MODEL_GREEKS = "13"
LIVE = 1

Send = Callable[[int], None]


@dataclass(slots=True)
class Stream:
    """One subscription.

    Attributes
    ----------
    key : str
        What it is, in words: ``trades of ESZ25``.
    request_id : int
        Of the current subscription; a new one each time it is opened.
    ticks : int
        Received so far.
    error : str
        Why it is not open, empty if it is.
    refused : callable, optional
        Of a stream that trading can do without: told why it ended, instead of the listener. Such
        a stream does not count in whether data are live.
    """

    key: str
    name: str
    open: Send
    close: Send
    take: Callable[["Stream", Sequence[str]], None]
    tick_by_tick: bool = False
    live_only: bool = False
    request_id: int = 0
    ticks: int = 0
    error: str = ""
    data_type: int = LIVE
    requested_at: float = -1e18
    seen: int = 0
    retry_at: float | None = None
    grace: float = 0.0
    scale: float = 4.0
    refused: Callable[[str], None] | None = None


@dataclass(slots=True)
class DepthBook:
    """The book of one contract, best level first, prices in ticks.

    Attributes
    ----------
    bids, asks : list of [int, int]
        Price and size of each level.
    valid : bool
        False from a change that did not fit until the book is built anew.
    """

    contract: str
    bids: list[list[int]] = field(default_factory=list)
    asks: list[list[int]] = field(default_factory=list)
    valid: bool = True

    def change(self, position: int, operation: int, side: int, price: int, size: int) -> None:
        """Apply one change: 0 inserts, 1 updates, 2 deletes a level; side 1 is the bid.

        A change at a level that does not exist makes the book invalid.
        """
        levels = self.bids if side == 1 else self.asks
        if operation == 0 and 0 <= position <= len(levels):
            levels.insert(position, [price, size])
        elif operation == 1 and 0 <= position < len(levels):
            levels[position] = [price, size]
        elif operation == 2 and 0 <= position < len(levels):
            del levels[position]
        else:
            self.valid = False

    def clear(self) -> None:
        """Start anew."""
        self.bids.clear()
        self.asks.clear()
        self.valid = True


class TickReader:
    """Turns the fields of ticks into calls of a market listener.

    Parameters
    ----------
    market : MarketListener
    now : callable
        Time of receipt, ns UTC, for data without a time of its own.
    """

    def __init__(self, market: MarketListener, now: Callable[[], int]) -> None:
        self._market = market
        self._now = now
        self.last_ts = 0
        """Latest exchange time seen, ns UTC."""

    def trade(self, stream: Stream, fields: Sequence[str]) -> None:
        """Take message 99 of type Last or AllLast."""
        try:
            price = float(fields[4]) * stream.scale
            ticks = int(price)
            size = float(fields[5])
            whole = int(size)
            ts = int(fields[3]) * SECOND
            flags = int(fields[6])
        except (ValueError, OverflowError, IndexError) as error:
            self._bad(stream, fields, str(error))
            return
        if ticks != price or ticks < 1 or whole != size or whole < 1 or ts < 1:
            self._bad(stream, fields, _why(ticks, price, whole, size))
            return
        self.last_ts = ts
        self._market.on_trade(stream.name, ts, ticks, whole, flags)

    def quote(self, stream: Stream, fields: Sequence[str]) -> None:
        """Take message 99 of type BidAsk."""
        try:
            bid = float(fields[4]) * stream.scale
            ask = float(fields[5]) * stream.scale
            bid_ticks, ask_ticks = int(bid), int(ask)
            bid_size, ask_size = float(fields[6]), float(fields[7])
            bid_whole, ask_whole = int(bid_size), int(ask_size)
            ts = int(fields[3]) * SECOND
        except (ValueError, OverflowError, IndexError) as error:
            self._bad(stream, fields, str(error))
            return
        if bid_ticks != bid or bid_ticks < 1 or bid_whole != bid_size or bid_whole < 0:
            self._bad(stream, fields, _why(bid_ticks, bid, bid_whole, bid_size))
        elif ask_ticks != ask or ask_ticks < 1 or ask_whole != ask_size or ask_whole < 0:
            self._bad(stream, fields, _why(ask_ticks, ask, ask_whole, ask_size))
        else:
            self.last_ts = ts
            self._market.on_quote(stream.name, ts, bid_ticks, ask_ticks, bid_whole, ask_whole)

    def index(self, stream: Stream, fields: Sequence[str]) -> None:
        """Take message 1 of an index: its last value."""
        if fields[0] != "1" or fields[3] != LAST_PRICE:
            return
        if stream.live_only and stream.data_type != LIVE:
            return
        try:
            value = float(fields[4])
        except ValueError as error:
            self._bad(stream, fields, str(error))
            return
        if not 0.0 < value < 1e9:
            self._bad(stream, fields, f"value {value:g}")
            return
        self._market.on_index(stream.name, self._now(), value)

    def _bad(self, stream: Stream, fields: Sequence[str], why: str) -> None:
        self._market.on_bad_tick(stream.name, f"{why} in {','.join(fields)}")


def to_number(text: str) -> float:
    """Read a number of the wire, nan where there is none."""
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _why(ticks: int, price: float, whole: int, size: float) -> str:
    if ticks != price:
        return f"price off grid ({price:g} ticks)"
    if ticks < 1:
        return f"price not positive ({ticks} ticks)"
    return f"size {size:g}" if whole != size or size < 1 else "time not positive"
