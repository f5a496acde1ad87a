"""Sierra Chart intraday files, `.scid`: the trades, or the bars of a file that has no trades.

A header of 56 bytes, then records of 40 (`mia._fast.scid`). Times are milliseconds with a
counter in the last three digits: `ts_event` keeps the millisecond and `seq` the counter.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mia.config.instruments import TICK
from mia.core.base_types import MISSING_PRICE
from mia.core.sierra.scid_records import (
    ANY_UNREADABLE,
    BAD_TIME,
    BAR,
    EPOCH_US,
    HEADER,
    NO_TRADE,
    OFF_GRID,
    RECORD_BYTES,
    RECORD_DTYPE,
    UNREADABLE,
    ScidColumns,
    check_times,
    first_record,
    is_bar,
    is_sane_time,
)
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

TRADE_FLAGS = TradeFlag.UNBUNDLED_FIRST | TradeFlag.UNBUNDLED_LAST
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
    header_bytes = first_record(head, path.name)
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
    check_times(probe, path.name)
    sane = is_sane_time(probe)
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
        scale = scales.of(records["close"].astype(np.float64))
        columns = ScidColumns.decode(data, start, scale / TICK)
        aggregated += _keep_trades(columns, records, start, log)
        stop = start + len(records)
        if not options.keep_fills:
            complete = columns.complete_rows()
            # An order longer than a chunk is cut rather than held for ever.
            if complete < len(columns.row) and stop < layout.records and complete > 0:
                stop = int(columns.row[complete])
                columns.take(slice(complete))
            broken += columns.merge()
        marked = marked or bool((columns.flags & TRADE_FLAGS).any())
        if len(columns.row):
            kind = "fill" if options.keep_fills else "summary"
            yield _block(columns, contract, kind, records["close"], start, scale)
        start = stop
        progress(layout.offset + start * RECORD_BYTES, layout.size)
    if aggregated:
        log.note(f"{aggregated} records are bars or aggregates and were left out")
    if broken:
        log.note(f"{broken} unbundled trades had no last part and were closed without it")
    if not marked:
        log.note("no record is marked as part of an unbundled trade: each counts as one trade")


def _keep_trades(
    columns: ScidColumns, records: NDArray[np.void], start: int, log: ImportLog
) -> int:
    """Drop what is no trade; reject what cannot be read and count the rest."""
    if not (columns.flags & NO_TRADE).any():
        return 0
    unreadable = (columns.flags & ANY_UNREADABLE) != 0
    for index in np.flatnonzero(unreadable).tolist():
        reason = next(UNREADABLE[bit] for bit in UNREADABLE if columns.flags[index] & bit)
        log.reject(start + index, str(records[index]), reason)
    bars = (columns.flags & BAR) != 0
    columns.take(~(unreadable | bars))
    return int(np.count_nonzero(bars & ~unreadable))


def _block(
    columns: ScidColumns,
    contract: str,
    kind: str,
    closes: NDArray[np.float32],
    start: int,
    scale: float,
) -> RawTrades:
    price = columns.price.astype(np.float64) * TICK
    # What lies off the grid goes to the store as it was found, not as it was rounded.
    odd = np.flatnonzero(columns.flags & OFF_GRID)
    price[odd] = closes[columns.row[odd] - start] * np.float64(scale)
    return RawTrades(
        contract=contract,
        ts_event=columns.ts_event,
        price=price,
        size=columns.size.astype(np.int64),
        aggressor_side=columns.aggressor_side,
        bid_price=_points(columns.bid_price),
        ask_price=_points(columns.ask_price),
        seq=columns.seq.astype(np.int64),
        flags=columns.flags & np.uint16(TRADE_FLAGS),
        kind=kind,
        row=columns.row,
    )


def _points(ticks: NDArray[np.int32]) -> NDArray[np.float64]:
    return np.where(ticks == MISSING_PRICE, np.nan, ticks * TICK)


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
        sane = is_sane_time(records)
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
