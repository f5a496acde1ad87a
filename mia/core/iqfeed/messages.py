"""What IQConnect sends, line by line: its parts, history, option and futures chains.

Lines are ASCII, end with CR LF, are separated by commas and end with one. Times are those of
New York. Side is the aggressor: 1 bought, 2 sold, 0 and 3 are not known.
"""

import re
from dataclasses import dataclass, field

import numpy as np

from mia.config.instruments import TICK
from mia.core.base_types import MISSING_PRICE, TradeBlock
from mia.core.iqfeed.eastern_time import EasternTime
from mia.errors import FormatError

PROTOCOL = "6.2"
LONGEST_LINE = 1 << 16
MOST_TICKS = 2**31 - 1
PRICE = re.compile(rb"\d{1,9}(?:\.\d{1,9})?")

_SIDES = {b"1": 1, b"2": -1, b"0": 0, b"3": 0}


class LineBuffer:
    """Cuts a stream of bytes into lines."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that are complete now, without their ends and empty ones.

        Raises
        ------
        FormatError
            If a line is longer than 65,536 bytes.
        """
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > LONGEST_LINE:
            raise FormatError(f"a line of IQFeed has more than {LONGEST_LINE} bytes")
        return [line.rstrip(b"\r") for line in lines if line.strip()]


class Ticks:
    """Reads prices as ticks; remembers the texts it has seen."""

    def __init__(self) -> None:
        self._known: dict[bytes, int] = {}

    def of(self, text: bytes) -> int:
        """Return the ticks of a price such as ``4048.75``.

        Raises
        ------
        ValueError
            If it is no positive price on the grid.
        """
        ticks = self._known.get(text)
        if ticks is None:
            ticks = _ticks(text)
            if len(self._known) > 100_000:
                self._known.clear()
            self._known[text] = ticks
        return ticks

    def quote(self, text: bytes) -> int:
        """Return the ticks of a bid or ask, `MISSING_PRICE` for none.

        Raises
        ------
        ValueError
            If it is a price off the grid.
        """
        if not text or text.strip(b"0.") == b"":
            return MISSING_PRICE
        return self.of(text)


def _ticks(text: bytes) -> int:
    if PRICE.fullmatch(text) is None:
        raise ValueError(f"{text!r} is no price")
    exact = float(text) / TICK
    ticks = round(exact)
    if abs(exact - ticks) > 1e-6 or not 0 < ticks <= MOST_TICKS:
        raise ValueError(f"{text!r} is no price on the grid of {TICK}")
    return ticks


def whole(text: bytes, most: int = MOST_TICKS) -> int:
    """Read digits.

    Raises
    ------
    ValueError
        If there is anything else, or more than `most`.
    """
    if not text.isdigit() or len(text) > 18:
        raise ValueError(f"{text!r} is no count")
    value = int(text)
    if value > most:
        raise ValueError(f"{text!r} is more than {most}")
    return value


def aggressor(text: bytes) -> int:
    """Return +1 where the buyer was the aggressor, -1 where the seller was, else 0.

    Raises
    ------
    ValueError
        If it is none of IQFeed's codes.
    """
    side = _SIDES.get(text)
    if side is None:
        raise ValueError(f"{text!r} is no aggressor")
    return side


@dataclass(slots=True)
class TradeColumns:
    """Trades of one contract while they are read."""

    contract: str
    ts_event: list[int] = field(default_factory=list)
    price: list[int] = field(default_factory=list)
    size: list[int] = field(default_factory=list)
    aggressor_side: list[int] = field(default_factory=list)
    bid_price: list[int] = field(default_factory=list)
    ask_price: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        """Count the trades."""
        return len(self.ts_event)

    def block(self) -> TradeBlock:
        """Return them as columns."""
        return TradeBlock(
            self.contract,
            np.array(self.ts_event, np.int64),
            np.array(self.price, np.int32),
            np.array(self.size, np.int32),
            np.array(self.aggressor_side, np.int8),
            np.array(self.bid_price, np.int32),
            np.array(self.ask_price, np.int32),
        )


class _ReplyLines:
    """What lines of a history reply have in common: what stands before the time, and the time.

    Parameters
    ----------
    kind : str
        What a line is, for messages.
    fields : int
        Fields of a line from its time on.
    protocol : str
        6.2 has ``LH`` between the request id and the time, 6.1 has not.
    not_before : int
        ns UTC from which the reply begins; `passed` moves it on.
    """

    def __init__(self, kind: str, fields: int, protocol: str, not_before: int) -> None:
        self._kind = kind
        self._fields = fields
        self._head = 2 if protocol == "6.2" else 1
        self._not_before = not_before
        self._eastern = EasternTime()

    def parts(self, line: bytes) -> list[bytes]:
        """Return the fields of a line from its time on.

        Raises
        ------
        ValueError
            If there are more or fewer, or another head than the protocol's.
        """
        parts = line.split(b",")
        head, fields = self._head, self._fields
        if len(parts) != head + fields + 1 or parts[-1] or (head == 2 and parts[1] != b"LH"):
            raise ValueError(f"{line[:120]!r} is no {self._kind} of {head + fields} fields")
        if parts[head][10:11] != b" ":
            raise ValueError(f"{line[:120]!r} is no {self._kind}")
        return parts[head:-1]

    def ns(self, time: bytes) -> int:
        """Return the ns UTC of a line's time.

        Raises
        ------
        ValueError
            If it cannot be read.
        """
        return self._eastern.ns(time[:10], time[11:], self._not_before)

    def passed(self, ts: int) -> None:
        """Take note that a line of this time was good: later ones do not come before it."""
        self._not_before = max(self._not_before, ts)


class TickDecoder:
    """Reads the ticks of a history reply, oldest first.

    Parameters
    ----------
    protocol : str
        6.2 has ``LH`` before the time, 6.1 has not. Older ones do not give the aggressor.
    not_before : int
        ns UTC from which the reply begins.
    """

    def __init__(self, contract: str, protocol: str = PROTOCOL, not_before: int = 0) -> None:
        if protocol not in {"6.1", "6.2"}:
            raise FormatError(f"ticks of protocol {protocol} do not say who was the aggressor")
        self.columns = TradeColumns(contract)
        self.other = 0
        self._lines = _ReplyLines("tick", 12, protocol, not_before)
        self._ticks = Ticks()

    def add(self, line: bytes) -> bool:
        """Take a line, with its request id; false if the trade does not count.

        Raises
        ------
        ValueError
            If it cannot be read.
        """
        time, last, size, _, bid, ask, _, basis, _, _, side, _ = self._lines.parts(line)
        if basis not in {b"C", b"E", b"O"}:
            raise ValueError(f"{basis!r} is no basis of a trade")
        ts = self._lines.ns(time)
        price, lots = self._ticks.of(last), whole(size)
        who = aggressor(side)
        quotes = self._ticks.quote(bid), self._ticks.quote(ask)
        if lots == 0 and basis != b"O":
            raise ValueError(f"{line[:120]!r} is no tick")
        self._lines.passed(ts)
        if basis == b"O":
            self.other += 1
            return False
        columns = self.columns
        columns.ts_event.append(ts)
        columns.price.append(price)
        columns.size.append(lots)
        columns.aggressor_side.append(who)
        columns.bid_price.append(quotes[0])
        columns.ask_price.append(quotes[1])
        return True


@dataclass(frozen=True, slots=True)
class IntervalBar:
    """A bar of a history reply: opening time in ns UTC, prices in ticks, contracts, trades."""

    t_open: int
    open: int
    high: int
    low: int
    close: int
    volume: int
    trades: int


class IntervalDecoder:
    """Reads bars labelled by their beginning; the reply gives high and low before the open."""

    def __init__(self, protocol: str = PROTOCOL, not_before: int = 0) -> None:
        self._lines = _ReplyLines("bar", 8, protocol, not_before)
        self._ticks = Ticks()

    def read(self, line: bytes) -> IntervalBar:
        """Read a line, with its request id.

        Raises
        ------
        ValueError
            If it cannot be read.
        """
        time, high, low, open_, close, _, volume, trades = self._lines.parts(line)
        of = self._ticks.of
        bar = IntervalBar(
            self._lines.ns(time),
            of(open_),
            of(high),
            of(low),
            of(close),
            whole(volume),
            whole(trades),
        )
        if not bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high:
            raise ValueError(f"{line[:120]!r}: open or close lies outside high and low")
        self._lines.passed(bar.t_open)
        return bar


def chain_symbols(line: bytes) -> tuple[list[str], list[str]]:
    """Return the symbols of a chain reply with request id: calls and puts, or futures and none.

    Raises
    ------
    ValueError
        If it is no chain.
    """
    parts = line.decode("ascii", "replace").split(",")
    if len(parts) < 3 or parts[1] != "LC":
        raise ValueError(f"{line[:80]!r} is no chain")
    symbols = [part.strip() for part in parts[2:]]
    cut = symbols.index(":") if ":" in symbols else len(symbols)
    return [s for s in symbols[:cut] if s], [s for s in symbols[cut + 1 :] if s]
