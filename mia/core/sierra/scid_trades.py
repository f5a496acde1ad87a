"""Trades of one contract out of a `.scid` file while Sierra Chart writes it."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mia.config.instruments import TICK, instrument
from mia.core.base_types import TradeBlock
from mia.core.market_feed import (
    FeedNotice,
    FeedNoticeKind,
    Notify,
    ReceivedTrades,
    ignore_notices,
)
from mia.core.protocols import Clock
from mia.core.sierra.scid_records import (
    ANY_UNREADABLE,
    BAR,
    OFF_GRID,
    RECORD_BYTES,
    RECORD_DTYPE,
    ScidColumns,
)
from mia.core.sierra.scid_tail import RecordChunk, ScidTail, TailPosition
from mia.errors import ConfigError, FormatError

CHUNK_RECORDS = 65_536
NS_PER_MS = 1_000_000
HUNDREDTHS = 0.01
"""Points per unit of feeds that count in hundredths of a point."""

MOST_BARS = 64
"""Bars in a row after which a file is no longer one of single trades."""


@dataclass(slots=True)
class ScidCounts:
    """What became of the records of a file.

    Attributes
    ----------
    records : int
        Passed, of whatever kind.
    trades : int
        Handed on, after summing fills where that is wanted.
    bars, unreadable, off_grid, sizeless : int
        Refused.
    outside : int
        Before the time that was asked for, or after the contract's turn.
    broken : int
        Unbundled trades that had no last part.
    """

    records: int = 0
    trades: int = 0
    bars: int = 0
    unreadable: int = 0
    off_grid: int = 0
    sizeless: int = 0
    outside: int = 0
    broken: int = 0


class ScidTrades:
    """Decodes what is appended to one file.

    Parameters
    ----------
    path : Path
        Need not exist yet.
    contract : str
        As in ``ESZ25``.
    clock : Clock
        Gives the time of receipt.
    start : TailPosition or int
        As for `ScidTail`. Trades before the millisecond of a time are left out wherever they
        lie in the file.
    points_per_unit : float, optional
        1.0 or 0.01, say; None finds out for each record by its magnitude.
    summary : bool
        Whether the marked parts of one aggressor order are summed; else each fill is a trade.
    hold_s : float
        How long an order whose last part has not come may wait for it.
    notify : callable
        Told about refused records and what `ScidTail` tells.
    monotonic : callable
        Gives ns for `hold_s`.

    Raises
    ------
    ConfigError
        If the contract is none of an instrument known here, or the scale is not positive.
    """

    def __init__(
        self,
        path: Path,
        contract: str,
        clock: Clock,
        *,
        start: TailPosition | int,
        points_per_unit: float | None = None,
        summary: bool = True,
        hold_s: float = 1.0,
        notify: Notify = ignore_notices,
        monotonic: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        if points_per_unit is not None and not 0.0 < points_per_unit < np.inf:
            raise ConfigError(f"points_per_unit must be positive, was {points_per_unit}")
        self.contract = contract
        self.counts = ScidCounts()
        self.until: int | None = None
        self._limit = instrument(contract[:-3]).price_scale_max
        if isinstance(start, int):
            # A file keeps milliseconds: the trade may be stored below its time.
            start -= start % NS_PER_MS
        self._tail = ScidTail(path, start, notify)
        self._clock = clock
        self._floor = start if isinstance(start, int) else None
        self._points_per_unit = points_per_unit
        self._summary = summary
        self._hold_ns = round(hold_s * 1e9)
        self._notify = notify
        self._monotonic = monotonic
        self._held: tuple[int, int] | None = None
        self._bars_in_a_row = 0

    @property
    def path(self) -> Path:
        """The file."""
        return self._tail.path

    @property
    def position(self) -> TailPosition | int:
        """Where to start again so that nothing is lost or doubled."""
        return self._tail.position

    @property
    def resyncs(self) -> int:
        """How often the place was lost and found."""
        return self._tail.resyncs

    def poll(self, *, hold: bool = True) -> ReceivedTrades | None:
        """Return the trades that came since the last call, None if there are none.

        At most 65,536 records at a time: call again until there are none.

        Parameters
        ----------
        hold : bool
            False hands on an order whose last part has not come.

        Raises
        ------
        FormatError
            If the file is foreign, of an old version, or holds bars.
        """
        while (chunk := self._tail.read(CHUNK_RECORDS)) is not None:
            ts_recv = self._clock.now()
            columns, stop = self._columns(chunk, hold)
            if stop <= int(chunk.row[0]):
                return None
            self._tail.advance(stop)
            self.counts.records += int(np.searchsorted(chunk.row, stop))
            if len(columns):
                self.counts.trades += len(columns)
                return ReceivedTrades(self._block(columns), columns.seq, ts_recv)
        return None

    def _columns(self, chunk: RecordChunk, hold: bool) -> tuple[ScidColumns, int]:
        """Decode the trades of a chunk; also return the number of the first record left."""
        columns = self._decode(chunk)
        last = int(chunk.row[-1]) + 1
        keep = self._wanted(columns)
        spotless = bool(keep.all())
        good = columns if spotless else columns.selected(keep)
        stop = last
        if self._summary:
            complete = good.complete_rows()
            # An order longer than a chunk is cut rather than held for ever.
            if complete < len(good) and (complete or not chunk.more):
                held = int(good.row[complete])
                if self._may_wait(held, chunk.more, hold):
                    stop = held
        if stop == last:
            self._held = None
        if spotless:
            self._bars_in_a_row = 0
        else:
            self._tell_refused(columns, stop)
        if self._summary:
            good.take(slice(int(np.searchsorted(good.row, stop))))
            self.counts.broken += good.merge()
        return good, stop

    def _may_wait(self, row: int, more: bool, hold: bool) -> bool:
        if more:
            return True
        now = self._monotonic()
        if self._held is None or self._held[0] != row:
            self._held = row, now
        return hold and now - self._held[1] < self._hold_ns

    def _decode(self, chunk: RecordChunk) -> ScidColumns:
        columns = ScidColumns.empty(len(chunk.row), 0)
        columns.row = chunk.row
        if self._points_per_unit is not None:
            columns.fill(chunk.data, slice(None), self._points_per_unit / TICK)
            self._refuse_impossible(columns)
            return columns
        closes = np.frombuffer(chunk.data, RECORD_DTYPE)["close"]
        scaled = closes > self._limit
        # A file may change from one setting to the other.
        ends = [*(np.flatnonzero(scaled[1:] != scaled[:-1]) + 1).tolist(), len(closes)]
        begin = 0
        for end in ends:
            data = memoryview(chunk.data)[begin * RECORD_BYTES : end * RECORD_BYTES]
            points = HUNDREDTHS if scaled[begin] else 1.0
            columns.fill(data, slice(begin, end), points / TICK)
            begin = end
        self._refuse_impossible(columns)
        return columns

    def _refuse_impossible(self, columns: ScidColumns) -> None:
        beyond = (columns.price > self._limit / TICK) | (columns.price < 0)
        columns.flags[beyond] |= np.uint16(0x800)

    def _wanted(self, columns: ScidColumns) -> NDArray[np.bool_]:
        """Tell the single trades with a size, on the grid, in the time asked for."""
        refused = columns.flags & np.uint16(ANY_UNREADABLE | BAR | OFF_GRID)
        keep: NDArray[np.bool_] = (refused == 0) & (columns.size != 0)
        if self._floor is not None:
            keep &= columns.ts_event >= self._floor
        if self.until is not None:
            keep &= columns.ts_event < self.until
        return keep

    def _tell_refused(self, columns: ScidColumns, stop: int) -> None:
        """Count the records that are passed without becoming a trade."""
        n = int(np.searchsorted(columns.row, stop))
        flags, size = columns.flags[:n], columns.size[:n]
        self._watch_for_bars((flags & BAR) != 0)
        unreadable = (flags & ANY_UNREADABLE) != 0
        bars = ((flags & BAR) != 0) & ~unreadable
        odd = ((flags & OFF_GRID) != 0) & ~unreadable & ~bars
        empty = (size == 0) & ~unreadable & ~bars & ~odd
        found = [int(np.count_nonzero(mask)) for mask in (unreadable, bars, odd, empty)]
        ts = columns.ts_event[:n][~(unreadable | bars | odd | empty)]
        if self._floor is not None:
            self.counts.outside += int(np.count_nonzero(ts < self._floor))
        if self.until is not None:
            self.counts.outside += int(np.count_nonzero(ts >= self.until))
        if not any(found):
            return
        self.counts.unreadable += found[0]
        self.counts.bars += found[1]
        self.counts.off_grid += found[2]
        self.counts.sizeless += found[3]
        text = (
            f"{self.path.name}: refused {found[0]} unreadable records, {found[1]} bars, "
            f"{found[2]} off the tick grid, {found[3]} without size"
        )
        self._notify(FeedNotice(FeedNoticeKind.REFUSED, text))

    def _watch_for_bars(self, bars: NDArray[np.bool_]) -> None:
        trades = np.flatnonzero(~bars)
        if len(trades):
            self._bars_in_a_row = len(bars) - 1 - int(trades[-1])
        else:
            self._bars_in_a_row += len(bars)
        if self._bars_in_a_row >= MOST_BARS:
            raise FormatError(
                f"{self.path.name}: the newest {self._bars_in_a_row} records are bars: set "
                "Sierra's Intraday Data Storage Time Unit to 1 Tick"
            )

    def _block(self, columns: ScidColumns) -> TradeBlock:
        return TradeBlock(
            contract=self.contract,
            ts_event=columns.ts_event,
            price=columns.price,
            size=columns.size,
            aggressor_side=columns.aggressor_side,
            bid_price=columns.bid_price,
            ask_price=columns.ask_price,
            kind="summary" if self._summary else "fill",
        )
