"""Blocks from the day files of a table, one row group at a time."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mia.core.base_types import BarBlock, Block, TradeBlock
from mia.data.files import reading
from mia.data.fills import summary_starts
from mia.data.schema import ROW_GROUP, Columns, Layout, read_facts

TRADES = ("ts_event", "price", "size", "aggressor_side", "bid_price", "ask_price")
MERGED_BY = ("ts_event", "price", "aggressor_side", "flags")
BARS = (
    "t_open",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "bid_volume",
    "ask_volume",
    "trades",
)


def read_blocks(
    days: Iterable[tuple[str, Path]],
    layout: Layout,
    start: int,
    end: int,
    front_only: bool,
    merge_fills: bool,
) -> Iterator[Block]:
    """Yield the rows of the days from `start` to before `end` (ns UTC), file by file.

    Parameters
    ----------
    days : iterable of (str, Path)
        Contract and file of each day, in order.
    layout : Layout
        Their table.
    front_only : bool
        Whether bars marked as not leading are left out.
    merge_fills : bool
        Whether single fills become trades.

    Raises
    ------
    DataError
        If a file is damaged.
    """
    for contract, path in days:
        if layout.width_s:
            yield from _bars(contract, path, layout, start, end, front_only)
        else:
            yield from _trades(contract, path, layout, start, end, merge_fills)


def _batches(
    path: Path, layout: Layout, names: list[str], start: int, end: int
) -> Iterator[Columns]:
    with reading(path):
        file = pq.ParquetFile(path)
        column = file.schema_arrow.get_field_index(layout.time)
    with file:
        wanted = []
        for k in range(file.metadata.num_row_groups):
            span = file.metadata.row_group(k).column(column).statistics
            if span is None or (span.max >= start and span.min < end):
                wanted.append(k)
        batches = file.iter_batches(ROW_GROUP, row_groups=wanted, columns=names)
        while True:
            with reading(path):
                batch = next(batches, None)
            if batch is None:
                return
            times = batch.column(layout.time).to_numpy()
            first, stop = np.searchsorted(times, (start, end)).tolist()
            if first < stop:
                yield {name: _numpy(batch.column(name))[first:stop] for name in names}


def _numpy(column: pa.Array) -> np.ndarray:
    if column.type == pa.bool_():
        # A source that does not say which contract leads leaves nothing out.
        values: np.ndarray = column.fill_null(True).to_numpy(zero_copy_only=False)
        return values
    values = column.to_numpy(zero_copy_only=True)
    return values


def _bars(
    contract: str, path: Path, layout: Layout, start: int, end: int, front_only: bool
) -> Iterator[BarBlock]:
    names = [*BARS, "front"] if front_only else [*BARS]
    for batch in _batches(path, layout, names, start, end):
        front = batch.pop("front", None)
        some = front is not None and not front.all()
        columns = {name: column[front] for name, column in batch.items()} if some else batch
        if len(columns["t_open"]):
            yield BarBlock(contract, layout.width_s, **columns)


def _trades(
    contract: str, path: Path, layout: Layout, start: int, end: int, merge_fills: bool
) -> Iterator[TradeBlock]:
    kind = read_facts(path).kind
    if kind == "summary" or not merge_fills:
        for columns in _batches(path, layout, [*TRADES], start, end):
            yield TradeBlock(contract, **columns, kind=kind)
        return
    held: Columns | None = None
    for batch in _batches(path, layout, [*TRADES, "flags"], start, end):
        columns = batch
        if held is not None:
            columns = {name: np.concatenate((held[name], batch[name])) for name in batch}
        starts = summary_starts(*(columns[name] for name in MERGED_BY))
        # The last trade may go on in the next batch.
        cut = int(starts[-1])
        held = {name: column[cut:] for name, column in columns.items()}
        if cut:
            whole = {name: column[:cut] for name, column in columns.items()}
            yield _merged(contract, whole, starts[:-1])
    if held is not None:
        yield _merged(contract, held, np.zeros(1, np.intp))


def _merged(contract: str, columns: Columns, starts: np.ndarray) -> TradeBlock:
    merged = {name: columns[name][starts] for name in TRADES}
    merged["size"] = np.add.reduceat(columns["size"], starts).astype(np.int32)
    return TradeBlock(contract, **merged, kind="summary")
