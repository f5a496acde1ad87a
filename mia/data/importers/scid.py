"""Sierra Chart intraday files, `.scid`: the trades, or the bars of a file that has no trades.

A header of 56 bytes, then records of 40 (`mia._fast.scid`). Times are milliseconds with a
counter in the last three digits: `ts_event` keeps the millisecond and `seq` the counter.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mia._fast import scid as kernel
from mia.config.instruments import TICK
from mia.core.base_types import MISSING_PRICE
from mia.data.importers.contracts import contract_of_file
from mia.data.importers.reading import (
    ImportLog,
    Progress,
    ReadOptions,
    bar_seconds,
    check_file,
    clock_text,
    no_progress,
)
from mia.data.importers.scale import PriceScale
from mia.data.raw import RawBars, RawTrades, TradeFlag
from mia.errors import FormatError

MAGIC = b"SCID"
HEADER = struct.Struct("<4sIIHHI36s")
RECORD_BYTES = 40
VERSION = 1

RECORD_DTYPE = np.dtype(
    [
        ("time", "<i8"),
        ("open", "<f4"),
        ("high", "<f4"),
        ("low", "<f4"),
        ("close", "<f4"),
        ("trades", "<u4"),
        ("volume", "<u4"),
        ("bid_volume", "<u4"),
        ("ask_volume", "<u4"),
    ]
)
EPOCH_US = 25_569 * 86_400 * 1_000_000
"""Microseconds from 1899-12-30, from which the records count, to 1970."""

EARLIEST_US, LATEST_US = 3_100_000_000_000_000, 6_400_000_000_000_000
FIRST_BITS, LAST_BITS = 0xFD709EF9, 0xFD709F01

TRADE_FLAGS = TradeFlag.UNBUNDLED_FIRST | TradeFlag.UNBUNDLED_LAST
BAR = 0x100
OFF_GRID = 0x200
BAD_TIME = 0x400
UNREADABLE = {
    BAD_TIME: "the time is not one of this century",
    0x800: "the price is no number or 0",
    0x1000: "the size does not fit 31 bits",
}
NO_TRADE = BAR | sum(UNREADABLE)
DECODED = (
    "ts_event",
    "seq",
    "price",
    "size",
    "aggressor_side",
    "bid_price",
    "ask_price",
    "flags",
)
PROBED = 4096


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the records of a file lie.

    Attributes
    ----------
    offset : int
        Byte of the first record.
    records : int
        Number of whole records.
    size : int
        Bytes of the file.
    tail : int
        Bytes of a record that is not complete, as while Sierra writes.
    """

    offset: int
    records: int
    size: int
    tail: int


def read_layout(path: Path) -> Layout:
    """Check the header of a file.

    Raises
    ------
    DataError
        If the file cannot be read.
    FormatError
        If it is not a `.scid` file of the version known here.
    """
    size = check_file(path)
    with path.open("rb") as file:
        head = file.read(HEADER.size)
    if head[:4] != MAGIC[: len(head)] or len(head) < len(MAGIC):
        raise FormatError(f"{path.name} is no .scid file: it begins with {head[:8]!r}, not 'SCID'")
    if len(head) < HEADER.size:
        raise FormatError(f"{path.name}: its header of {HEADER.size} bytes ends after {len(head)}")
    _, header_bytes, record_bytes, version, _, _, _ = HEADER.unpack(head)
    if record_bytes != RECORD_BYTES or version != VERSION or header_bytes < HEADER.size:
        raise FormatError(
            f"{path.name}: header of {header_bytes} bytes, records of {record_bytes}, version "
            f"{version}; known are {HEADER.size}, {RECORD_BYTES} and {VERSION}"
        )
    if header_bytes > size:
        raise FormatError(f"{path.name}: its header of {header_bytes} bytes ends after {size}")
    records, tail = divmod(size - header_bytes, RECORD_BYTES)
    return Layout(header_bytes, records, size, tail)


def read(
    path: Path, options: ReadOptions, log: ImportLog, progress: Progress = no_progress
) -> Iterator[RawTrades] | Iterator[RawBars]:
    """Read the trades of a file, or its bars if the options say so.

    Raises
    ------
    DataError
        If the file cannot be read.
    FormatError
        If it is foreign, truncated, of an old version, or holds bars where trades are wanted.
    """
    layout = read_layout(path)
    contract = contract_of_file(path, options.contract)
    if layout.records == 0:
        raise FormatError(f"{path.name} holds no records after its header")
    if layout.tail:
        log.note(f"the last {layout.tail} bytes are part of a record and were left out")
    _check_kind(path, layout, options.bars)
    if options.bars:
        return _read_bars(path, layout, contract, options, log, progress)
    return _read_trades(path, layout, contract, options, log, progress)


def is_bar(records: NDArray[np.void]) -> NDArray[np.bool_]:
    """Tell the records that are bars or aggregates from those of single trades."""
    bits = np.ascontiguousarray(records["open"]).view("<u4")
    one_trade = ((bits & 0x7FFFFFFF) == 0) | (bits == FIRST_BITS) | (bits == LAST_BITS)
    both = (records["bid_volume"] > 0) & (records["ask_volume"] > 0)
    out: NDArray[np.bool_] = ~one_trade | (records["trades"] > 1) | both
    return out


def _load(path: Path, layout: Layout, start: int, count: int) -> bytes:
    with path.open("rb") as file:
        file.seek(layout.offset + start * RECORD_BYTES)
        data = file.read(count * RECORD_BYTES)
    # Sierra may shrink a file that it downloads anew.
    return data[: len(data) // RECORD_BYTES * RECORD_BYTES]


def _check_kind(path: Path, layout: Layout, bars: bool) -> None:
    """Look at records from the beginning, the middle and the end before any work is done."""
    count = min(PROBED, layout.records)
    starts = {0, (layout.records - count) // 2, layout.records - count}
    probe = np.concatenate(
        [np.frombuffer(_load(path, layout, start, count), RECORD_DTYPE) for start in sorted(starts)]
    )
    sane = (probe["time"] >= EARLIEST_US) & (probe["time"] <= LATEST_US)
    if not sane.any():
        days = np.ascontiguousarray(probe["time"]).view("<f8")
        if np.median((days > 20_000.0) & (days < 80_000.0)) == 1.0:
            raise FormatError(
                f"{path.name} counts time in days as older versions of Sierra Chart did: "
                "let a current version download the data again"
            )
        raise FormatError(
            f"{path.name}: none of {len(probe)} records looked at has a time between 1998 and 2102"
        )
    aggregated = is_bar(probe[sane])
    if not bars and aggregated.all():
        times = probe["time"][sane] * 1000
        try:
            width = f"of {clock_text(bar_seconds(times, path.name, None))} "
        except FormatError:
            width = ""
        raise FormatError(
            f"{path.name} holds bars {width}and no trades: import it with --bars, or set Sierra's "
            "Intraday Data Storage Time Unit to 1 Tick and download again"
        )
    if bars and not aggregated.any():
        raise FormatError(
            f"{path.name} holds trades and no bars: import it without --bars, "
            "bars are made of trades"
        )


def _read_trades(
    path: Path,
    layout: Layout,
    contract: str,
    options: ReadOptions,
    log: ImportLog,
    progress: Progress,
) -> Iterator[RawTrades]:
    scales = PriceScale(contract, path.name, options.price_scale, log)
    start, aggregated, broken, marked = 0, 0, 0, False
    while start < layout.records:
        count = min(options.chunk_rows, layout.records - start)
        data = _load(path, layout, start, count)
        records = np.frombuffer(data, RECORD_DTYPE)
        if len(records) == 0:
            log.note("the file became shorter while it was read")
            break
        columns = _Columns.decode(data, start, scales.of(records["close"].astype(np.float64)))
        aggregated += columns.keep_trades(records, start, log)
        stop = start + len(records)
        if not options.keep_fills:
            complete = kernel.complete_rows(columns.ts_event, columns.flags)
            # An order longer than a chunk is cut rather than held for ever.
            if complete < len(columns.row) and stop < layout.records and complete > 0:
                stop = int(columns.row[complete])
                columns.cut(complete)
            broken += columns.merge()
        marked = marked or bool((columns.flags & TRADE_FLAGS).any())
        if len(columns.row):
            kind = "fill" if options.keep_fills else "summary"
            yield columns.block(contract, kind, records["close"], start)
        start = stop
        progress(layout.offset + start * RECORD_BYTES, layout.size)
    if aggregated:
        log.note(f"{aggregated} records are bars or aggregates and were left out")
    if broken:
        log.note(f"{broken} unbundled trades had no last part and were closed without it")
    if not marked:
        log.note("no record is marked as part of an unbundled trade: each counts as one trade")


@dataclass(slots=True)
class _Columns:
    """One chunk as the kernel fills it, in the order of the kernel's arguments."""

    ts_event: NDArray[np.int64]
    seq: NDArray[np.int32]
    price: NDArray[np.int32]
    size: NDArray[np.int32]
    aggressor_side: NDArray[np.int8]
    bid_price: NDArray[np.int32]
    ask_price: NDArray[np.int32]
    flags: NDArray[np.uint16]
    row: NDArray[np.int64]
    scale: float

    @classmethod
    def decode(cls, data: bytes, start: int, scale: float) -> "_Columns":
        n = len(data) // RECORD_BYTES
        columns = cls(
            np.empty(n, np.int64),
            np.empty(n, np.int32),
            np.empty(n, np.int32),
            np.empty(n, np.int32),
            np.empty(n, np.int8),
            np.empty(n, np.int32),
            np.empty(n, np.int32),
            np.empty(n, np.uint16),
            np.arange(start, start + n, dtype=np.int64),
            scale,
        )
        kernel.decode(data, scale / TICK, *columns._named(DECODED))
        return columns

    def _named(self, names: tuple[str, ...]) -> list[Any]:
        return [getattr(self, name) for name in names]

    def keep_trades(self, records: NDArray[np.void], start: int, log: ImportLog) -> int:
        """Drop what is no trade; reject what cannot be read and count the rest."""
        if not (self.flags & NO_TRADE).any():
            return 0
        unreadable = (self.flags & sum(UNREADABLE)) != 0
        for index in np.flatnonzero(unreadable).tolist():
            reason = next(UNREADABLE[bit] for bit in UNREADABLE if self.flags[index] & bit)
            log.reject(start + index, str(records[index]), reason)
        bars = (self.flags & BAR) != 0
        self._take(~(unreadable | bars))
        return int(np.count_nonzero(bars & ~unreadable))

    def cut(self, n: int) -> None:
        self._take(slice(n))

    def merge(self) -> int:
        n, broken = kernel.merge_unbundled(len(self.row), *self._named((*DECODED, "row")))
        self.cut(n)
        return broken

    def _take(self, which: slice | NDArray[np.bool_]) -> None:
        for name in (*DECODED, "row"):
            setattr(self, name, getattr(self, name)[which])

    def block(self, contract: str, kind: str, closes: NDArray[np.float32], start: int) -> RawTrades:
        price = self.price.astype(np.float64) * TICK
        # What lies off the grid goes to the store as it was found, not as it was rounded.
        odd = np.flatnonzero(self.flags & OFF_GRID)
        price[odd] = closes[self.row[odd] - start] * np.float64(self.scale)
        return RawTrades(
            contract=contract,
            ts_event=self.ts_event,
            price=price,
            size=self.size.astype(np.int64),
            aggressor_side=self.aggressor_side,
            bid_price=np.where(self.bid_price == MISSING_PRICE, np.nan, self.bid_price * TICK),
            ask_price=np.where(self.ask_price == MISSING_PRICE, np.nan, self.ask_price * TICK),
            seq=self.seq.astype(np.int64),
            flags=self.flags & np.uint16(TRADE_FLAGS),
            kind=kind,
            row=self.row,
        )


def _read_bars(
    path: Path,
    layout: Layout,
    contract: str,
    options: ReadOptions,
    log: ImportLog,
    progress: Progress,
) -> Iterator[RawBars]:
    scales = PriceScale(contract, path.name, options.price_scale, log)
    width, trades = options.bar_seconds, 0
    for start in range(0, layout.records, options.chunk_rows):
        records = np.frombuffer(_load(path, layout, start, options.chunk_rows), RECORD_DTYPE)
        time = records["time"]
        sane = (time >= EARLIEST_US) & (time <= LATEST_US)
        for index in np.flatnonzero(~sane):
            log.reject(start + int(index), str(records[index]), UNREADABLE[BAD_TIME])
        bars = is_bar(records)
        trades += int(np.count_nonzero(sane & ~bars))
        rows = np.flatnonzero(sane & bars)
        if len(rows):
            chosen = records[rows]
            t_open = (chosen["time"] - EPOCH_US) * 1000
            width = bar_seconds(t_open, path.name, width)
            yield RawBars(
                contract=contract,
                width_s=width,
                t_open=t_open,
                open=chosen["open"].astype(np.float64),
                high=chosen["high"].astype(np.float64),
                low=chosen["low"].astype(np.float64),
                close=chosen["close"].astype(np.float64),
                volume=chosen["volume"].astype(np.int64),
                bid_volume=chosen["bid_volume"].astype(np.int64),
                ask_volume=chosen["ask_volume"].astype(np.int64),
                trades=chosen["trades"].astype(np.int64),
                price_scale=scales.of(chosen["close"].astype(np.float64)),
                row=rows + start,
            )
        progress(layout.offset + (start + len(records)) * RECORD_BYTES, layout.size)
    if trades:
        log.note(f"{trades} records are single trades and were left out")
