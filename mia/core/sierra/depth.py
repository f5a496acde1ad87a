"""Market depth that Sierra Chart records, `.depth`: batches of commands, and the book they make.

A file holds one UTC day of a symbol: a header of 64 bytes, then records of 24, each a command
for one price level. A batch ends with a record that is flagged so; between two records of a
batch the book is not one that ever stood. A clear of the book begins a snapshot, as the first
records of a file do and others every ten minutes.

Written to Sierra's published description and tested against files made from it. No file of
Sierra Chart itself was at hand: compare with one of yours before you rely on it.
"""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from enum import IntEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mia.config.instruments import TICK, instrument
from mia.core.market_feed import FeedNotice, FeedNoticeKind, Notify, ignore_notices
from mia.core.sierra.scid_records import EARLIEST_US, EPOCH_US, LATEST_US
from mia.errors import FormatError

MAGIC = b"SCDD"
HEADER = struct.Struct("<4sIII48s")
RECORD_BYTES = 24
VERSION = 1
END_OF_BATCH = 1
CHUNK_RECORDS = 65_536
HUNDREDTHS = 0.01

RECORD_DTYPE = np.dtype(
    [
        ("time", "<i8"),
        ("command", "u1"),
        ("flags", "u1"),
        ("orders", "<u2"),
        ("price", "<f4"),
        ("size", "<u4"),
        ("reserved", "<u4"),
    ]
)


class DepthCommand(IntEnum):
    """What a record does to the book."""

    NONE = 0
    CLEAR = 1
    ADD_BID = 2
    ADD_ASK = 3
    MODIFY_BID = 4
    MODIFY_ASK = 5
    DELETE_BID = 6
    DELETE_ASK = 7


@dataclass(frozen=True, slots=True)
class DepthBatch:
    """Commands that change the book at once, as equally long columns.

    Attributes
    ----------
    ts_event : int
        Time of the last command, ns UTC.
    command : ndarray of uint8
        `DepthCommand`.
    price : ndarray of int32
        Ticks.
    size : ndarray of int64
        Contracts at the level.
    orders : ndarray of int32
        Orders at the level, 0 where unknown.
    refused : int
        Commands that could not be read: the book is not to be trusted after them.
    """

    ts_event: int
    command: NDArray[np.uint8]
    price: NDArray[np.int32]
    size: NDArray[np.int64]
    orders: NDArray[np.int32]
    refused: int

    def __len__(self) -> int:
        """Count the commands."""
        return len(self.command)


class DepthBook:
    """Levels of one contract, changed a batch at a time.

    Attributes
    ----------
    bids, asks : dict of int to (int, int)
        Size and number of orders by price in ticks.
    valid : bool
        Whether the book follows from a snapshot without a hole.
    missing_deletes : int
        Levels that were to be deleted and were not there.
    """

    def __init__(self) -> None:
        self.bids: dict[int, tuple[int, int]] = {}
        self.asks: dict[int, tuple[int, int]] = {}
        self.valid = False
        self.missing_deletes = 0

    @property
    def best_bid(self) -> int | None:
        """Highest bid in ticks, None without one."""
        return max(self.bids, default=None)

    @property
    def best_ask(self) -> int | None:
        """Lowest ask in ticks, None without one."""
        return min(self.asks, default=None)

    @property
    def crossed(self) -> bool:
        """Whether the best bid is not below the best ask."""
        return bool(self.bids and self.asks) and max(self.bids) >= min(self.asks)

    def reset(self) -> None:
        """Forget all levels and wait for a snapshot."""
        self.bids.clear()
        self.asks.clear()
        self.valid = False

    def apply(self, batch: DepthBatch) -> None:
        """Change the book by a batch.

        Add and modify set a level whether it was there or not; without size they remove it.
        """
        rows = zip(
            batch.command.tolist(),
            batch.price.tolist(),
            batch.size.tolist(),
            batch.orders.tolist(),
            strict=True,
        )
        for command, price, size, orders in rows:
            if command == DepthCommand.CLEAR:
                self.bids.clear()
                self.asks.clear()
                self.valid = True
            elif command:
                levels = self.asks if command & 1 else self.bids
                if command < DepthCommand.DELETE_BID and size:
                    levels[price] = size, orders
                elif levels.pop(price, None) is None:
                    self.missing_deletes += 1
        if batch.refused:
            self.valid = False

    def sizes(self, count: int) -> tuple[list[int], list[int]]:
        """Return the sizes of the best levels of bid and ask, best first."""
        bids = [self.bids[price][0] for price in sorted(self.bids, reverse=True)[:count]]
        asks = [self.asks[price][0] for price in sorted(self.asks)[:count]]
        return bids, asks


def depth_path(folder: Path, symbol: str, day: date) -> Path:
    """Return the file of a symbol and UTC day in Sierra's data folder."""
    return folder / "MarketDepthData" / f"{symbol}.{day:%Y-%m-%d}.depth"


class DepthTail:
    """Reads one file, also while Sierra writes it.

    After the file was replaced or shortened it is read from its beginning, so that `book`
    follows from the new content; batches up to the time already reached are not given again.

    Parameters
    ----------
    path : Path
        Need not exist yet.
    contract : str
        As in ``ESZ25``.
    points_per_unit : float, optional
        1.0 or 0.01, say; None finds out by the magnitude of each price.
    notify : callable
        Told about refused commands and rewriting.

    Attributes
    ----------
    book : DepthBook
        After the last batch returned.

    Raises
    ------
    ConfigError
        If the contract is none of an instrument known here.
    """

    def __init__(
        self,
        path: Path,
        contract: str,
        *,
        points_per_unit: float | None = None,
        notify: Notify = ignore_notices,
    ) -> None:
        self.path = path
        self.book = DepthBook()
        self._limit = instrument(contract[:-3]).price_scale_max
        self._points_per_unit = points_per_unit
        self._notify = notify
        self._offset, self._last = 0, b""
        self._reached = 0
        self._replayed = True

    @property
    def current(self) -> bool:
        """Whether `book` is the newest: false until a rewritten file reaches the time it had."""
        return self._replayed

    def batches(self) -> Iterator[DepthBatch]:
        """Yield the complete batches that are there, each after `book` has taken it.

        Raises
        ------
        FormatError
            If the file is foreign, or a batch has no end within 65,536 records.
        """
        while data := self._read():
            records = np.frombuffer(data, RECORD_DTYPE)
            ends = (np.flatnonzero(records["flags"] & END_OF_BATCH) + 1).tolist()
            if not ends:
                if len(records) < CHUNK_RECORDS:
                    return
                raise FormatError(
                    f"{self.path.name}: {len(records)} records from byte {self._offset} on "
                    "without the end of a batch"
                )
            begin = 0
            for end in ends:
                batch = self._batch(records[begin:end])
                self._last = records[end - 1 : end].tobytes()
                self._offset += (end - begin) * RECORD_BYTES
                begin = end
                self.book.apply(batch)
                if self._is_new(batch):
                    yield batch

    def _is_new(self, batch: DepthBatch) -> bool:
        if not self._replayed and batch.ts_event <= self._reached:
            return False
        self._replayed = True
        self._reached = max(self._reached, batch.ts_event)
        return True

    def _read(self) -> bytes:
        try:
            file = self.path.open("rb")
        except OSError:
            # Not there yet, or locked while Sierra downloads.
            return b""
        with file:
            head = file.read(HEADER.size)
            if len(head) < HEADER.size or not any(head):
                return b""
            begin = first_record(head, self.path.name)
            if self._offset == 0:
                self._offset = begin
            data = b""
            if os.fstat(file.fileno()).st_size >= self._offset:
                file.seek(self._offset - len(self._last))
                data = file.read(CHUNK_RECORDS * RECORD_BYTES + len(self._last))
            if data[: len(self._last)] != self._last:
                text = f"{self.path.name} was rewritten: read again from its beginning"
                self._notify(FeedNotice(FeedNoticeKind.REWRITTEN, text))
                self.book.reset()
                self._offset, self._last, self._replayed = begin, b"", False
                file.seek(begin)
                data = file.read(CHUNK_RECORDS * RECORD_BYTES)
        data = data[len(self._last) :]
        return data[: len(data) // RECORD_BYTES * RECORD_BYTES]

    def _batch(self, records: NDArray[np.void]) -> DepthBatch:
        command = records["command"].copy()
        priced = (command != DepthCommand.NONE) & (command != DepthCommand.CLEAR)
        raw = records["price"].astype(np.float64)
        scale = np.where(raw > self._limit, HUNDREDTHS, 1.0)
        if self._points_per_unit is not None:
            scale = np.full(len(raw), self._points_per_unit)
        points = np.where(priced, raw * scale, 0.0)
        sane = (points > 0.0) & (points <= self._limit)
        ticks = np.where(sane, points, 0.0) / TICK
        price = np.rint(ticks)
        bad = priced & (~sane | (np.abs(ticks - price) > 1e-3))
        bad |= command > DepthCommand.DELETE_ASK
        time = records["time"]
        bad |= (time < EARLIEST_US) | (time > LATEST_US)
        refused = int(np.count_nonzero(bad))
        if refused:
            text = f"{self.path.name}: refused {refused} commands of a batch; the book is void"
            self._notify(FeedNotice(FeedNoticeKind.REFUSED, text))
        good = ~bad
        sane_times = time[good]
        ts_event = int(sane_times[-1] - EPOCH_US) * 1000 if len(sane_times) else self._reached
        return DepthBatch(
            ts_event,
            command[good],
            price[good].astype(np.int32),
            records["size"][good].astype(np.int64),
            records["orders"][good].astype(np.int32),
            refused,
        )


def first_record(head: bytes, name: str) -> int:
    """Check the header of a file and return the byte at which its records begin.

    Raises
    ------
    FormatError
        If it is not the header of a `.depth` file of the version known here.
    """
    if len(head) < HEADER.size or head[:4] != MAGIC:
        raise FormatError(f"{name} is no .depth file: it begins with {head[:8]!r}, not 'SCDD'")
    _, header_bytes, record_bytes, version, _ = HEADER.unpack(head[: HEADER.size])
    if record_bytes != RECORD_BYTES or version != VERSION or header_bytes < HEADER.size:
        raise FormatError(
            f"{name}: header of {header_bytes} bytes, records of {record_bytes}, version "
            f"{version}; known are {HEADER.size}, {RECORD_BYTES} and {VERSION}"
        )
    return int(header_bytes)
