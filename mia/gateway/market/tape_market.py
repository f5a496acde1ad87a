"""What the market is at market time: tape, quote, figures of the day."""

from bisect import bisect_right
from dataclasses import dataclass, replace

import numpy as np

from mia.config.instruments import TICK
from mia.core import sessions
from mia.core.sessions import MINUTE, SECOND
from mia.data.contracts import parse_contract
from mia.errors import DataError
from mia.gateway.market.tape import SessionTape, TapeSource
from mia.gateway.model import ApiContract

MONTH_TICKS = 60
MONTH_SHARE = 50
"""Of a month beside the leading one: ticks dearer for each quarter later, one trade in so many."""

LIVE_ROOTS = ("ES", "MES")
"""Futures that trade at the prices of the tape; MES costs what ES costs."""


@dataclass(frozen=True, slots=True)
class TapeSlice:
    """Trades start to stop of a session."""

    tape: SessionTape
    start: int
    stop: int

    def __len__(self) -> int:
        """Count the trades."""
        return self.stop - self.start


@dataclass(slots=True)
class DayFigures:
    """What has happened in the session, in ticks and contracts; None before it did.

    Attributes
    ----------
    close : int or None
        Last price of the session before.
    """

    session_id: int = 0
    contract: str = ""
    last: int | None = None
    last_size: int = 0
    last_ts: int = 0
    bid: int | None = None
    ask: int | None = None
    open: int | None = None
    high: int | None = None
    low: int | None = None
    close: int | None = None
    volume: int = 0
    notional: int = 0
    count: int = 0

    def shifted(self, quarters: int) -> "DayFigures":
        """Return the day of a month that expires so many quarters later."""

        def dearer(price: int | None) -> int | None:
            return None if price is None else price + quarters * MONTH_TICKS

        volume = -(-self.volume // MONTH_SHARE)
        mean = self.notional // self.volume if self.volume else 0
        return replace(
            self,
            last=dearer(self.last),
            last_size=1,
            bid=dearer(self.bid),
            ask=dearer(self.ask),
            open=dearer(self.open),
            high=dearer(self.high),
            low=dearer(self.low),
            close=dearer(self.close),
            volume=volume,
            notional=(mean + quarters * MONTH_TICKS) * volume,
            count=-(-self.count // MONTH_SHARE),
        )

    @property
    def vwap(self) -> float:
        """Mean price of the session by volume, points; 0 without trades."""
        return self.notional / self.volume * TICK if self.volume else 0.0


class Market:
    """Market time and everything that follows from it.

    Parameters
    ----------
    source : TapeSource
    start : int
        Market time to begin at, ns UTC; 0 is the minute of the first trade.

    Raises
    ------
    DataError
        If the source has no trades, or none at or after `start`.
    """

    def __init__(self, source: TapeSource, start: int = 0) -> None:
        self.source = source
        self.tapes: list[SessionTape] = []
        self.day = DayFigures()
        self._tape = 0
        self._row = 0
        self._quoted: tuple[SessionTape, int] | None = None
        if not self._load():
            raise DataError(f"{source.name} has no trades")
        first = int(self.tapes[0].ts[0])
        self.now = start if start else first // MINUTE * MINUTE
        if start:
            self.advance(start)
            if self.next_second() is None:
                raise DataError(f"{source.name} has no trades from {start} ns on")

    @property
    def session_id(self) -> int:
        """Session of market time, yyyymmdd."""
        return sessions.session_id(self.now)

    @property
    def front(self) -> str:
        """Contract that the tape is of, as in ``ESZ25``."""
        if self.day.contract:
            return self.day.contract
        return self.tapes[0].contract

    @property
    def is_open(self) -> bool:
        """Whether the futures trade at market time."""
        return any(a <= self.now < b for a, b in sessions.expected_intervals(self.session_id))

    @property
    def has_books(self) -> bool:
        """Whether the source has an order book."""
        return self.source.synthetic is not None

    def is_front(self, contract: ApiContract) -> bool:
        """Tell whether a contract trades on the tape now."""
        return (
            contract.sec_type == "FUT"
            and contract.symbol in LIVE_ROOTS
            and contract.name[len(contract.symbol) :] == self.front[-3:]
        )

    def on_tape(self, contract: ApiContract, tape: SessionTape) -> bool:
        """Tell whether a session's tape is of a contract."""
        return (
            contract.sec_type == "FUT"
            and contract.symbol in LIVE_ROOTS
            and contract.name[len(contract.symbol) :] == tape.contract[-3:]
        )

    def quarters_away(self, contract: ApiContract, tape: SessionTape) -> int | None:
        """Return how many quarters a future expires after that of a tape; None if unrelated."""
        if contract.sec_type != "FUT" or contract.symbol not in LIVE_ROOTS:
            return None
        asked, held = parse_contract(contract.name), parse_contract(tape.contract)
        return (asked.year - held.year) * 4 + (asked.month - held.month) // 3

    def figures(self, contract: ApiContract) -> DayFigures:
        """Return the day of a future: that of the tape, or made from it for another month."""
        quarters = self.quarters_away(contract, self.tapes[self._tape])
        return self.day.shifted(quarters) if quarters else self.day

    def next_second(self) -> int | None:
        """Return the second of the next trade, ns UTC, None when the tape has ended."""
        while self._row >= len(self.tapes[self._tape]):
            if self._tape + 1 >= len(self.tapes) and not self._load():
                return None
            self._tape += 1
            self._row = 0
        return int(self.tapes[self._tape].second[self._row])

    def advance(self, until: int, *, by_second: bool = True) -> list[TapeSlice]:
        """Move market time and return the trades passed over, one slice for each session.

        Parameters
        ----------
        until : int
            New market time, ns UTC; trades at it are included.
        by_second : bool
            Whether trades happen at their full second, as in lock-step.
        """
        slices: list[TapeSlice] = []
        while self.next_second() is not None:
            tape = self.tapes[self._tape]
            times = tape.second if by_second else tape.ts
            stop = int(np.searchsorted(times, until, side="right"))
            if stop <= self._row:
                break
            slices.append(TapeSlice(tape, self._row, stop))
            self._row = stop
            self._note(slices[-1])
            if stop < len(tape):
                break
        self.now = max(self.now, until)
        return slices

    def quote_sizes(self, tape: SessionTape, second: int) -> tuple[int, int]:
        """Return the sizes at bid and ask in a second; 1 where the source has no book."""
        books = tape.books
        if books is None or not len(books):
            return 1, 1
        row = max(int(np.searchsorted(books.ts_event, second, side="right")) - 1, 0)
        return int(books.bid_size[row, 0]), int(books.ask_size[row, 0])

    def sizes_now(self) -> tuple[int, int]:
        """Return the sizes at the bid and the ask of market time; 0 before there is a quote."""
        return (0, 0) if self._quoted is None else self.quote_sizes(*self._quoted)

    def book(self) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Return (price, size) of bids and asks, best first, ticks; empty without a book.

        Sizes are those of the second, prices those around the quote of the last trade.
        """
        day = self.day
        tape = self.tapes[self._tape]
        books = tape.books
        if books is None or day.bid is None or day.ask is None:
            return [], []
        row = max(int(np.searchsorted(books.ts_event, self.now, side="right")) - 1, 0)
        levels = range(books.bid_size.shape[1])
        bids = [(day.bid - k, int(books.bid_size[row, k])) for k in levels]
        asks = [(day.ask + k, int(books.ask_size[row, k])) for k in levels]
        return bids, asks

    def passed(self) -> list[TapeSlice]:
        """Return every trade up to market time, oldest first."""
        slices = [TapeSlice(tape, 0, len(tape)) for tape in self.tapes[: self._tape]]
        if self._row:
            slices.append(TapeSlice(self.tapes[self._tape], 0, self._row))
        return slices

    def recent(self) -> list[TapeSlice]:
        """Return the trades up to market time of this session and the one before."""
        return self.passed()[-2:]

    def price_at(self, ts: int) -> float | None:
        """Return the last price on the tape at a time (also a later one), points."""
        starts = [int(tape.ts[0]) for tape in self.tapes]
        at = bisect_right(starts, ts) - 1
        if at < 0:
            return None
        tape = self.tapes[at]
        row = int(np.searchsorted(tape.ts, ts, side="right")) - 1
        return int(tape.price[row]) * TICK

    def years_to_expiry(self, ts: int) -> float:
        """Return the time to the expiry of the front future, years."""
        return max(parse_contract(self.front).expiry - ts, 0) / (365 * 86_400 * SECOND)

    def _load(self) -> bool:
        for tape in self.source.tapes:
            if len(tape):
                self.tapes.append(tape)
                return True
        return False

    def _note(self, piece: TapeSlice) -> None:
        tape, start, stop = piece.tape, piece.start, piece.stop
        day = self.day
        if day.session_id != tape.session_id:
            day = DayFigures(tape.session_id, tape.contract, close=self.day.last)
            self.day = day
        price, size = tape.price[start:stop], tape.size[start:stop]
        high, low = int(price.max()), int(price.min())
        if day.open is None or day.high is None or day.low is None:
            day.open, day.high, day.low = int(price[0]), high, low
        day.high, day.low = max(day.high, high), min(day.low, low)
        day.last, day.last_size = int(price[-1]), int(size[-1])
        day.last_ts = int(tape.second[stop - 1])
        day.volume += int(size.sum())
        day.notional += int(np.dot(price.astype(np.int64), size.astype(np.int64)))
        day.count += stop - start
        known = np.flatnonzero(tape.known_quotes[start:stop])
        if len(known):
            row = start + int(known[-1])
            day.bid, day.ask = int(tape.bid[row]), int(tape.ask[row])
            self._quoted = (tape, int(tape.second[row]))
