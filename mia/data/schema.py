"""Columns of the stored tables, how they are encoded, and what a file says about itself."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mia.config.instruments import TICK, instrument
from mia.core.calendar_table import to_date
from mia.data.contracts import parse_contract
from mia.data.files import reading, sync, writing

Column = NDArray[Any]
Columns = dict[str, Column]
"""Columns of one table by name, equally long."""

ROW_GROUP = 1_000_000
VERSION = "1"
KINDS = ("summary", "fill")

_TICKS = (
    ("ts_event", pa.int64(), False),
    ("ts_recv", pa.int64(), True),
    ("seq", pa.uint32(), False),
    ("price", pa.int32(), False),
    ("size", pa.int32(), False),
    ("aggressor_side", pa.int8(), False),
    ("bid_price", pa.int32(), False),
    ("ask_price", pa.int32(), False),
    ("bid_size", pa.int32(), True),
    ("ask_size", pa.int32(), True),
    ("flags", pa.uint16(), False),
    ("source", pa.uint8(), False),
    ("kind", pa.uint8(), False),
)
_BARS = (
    ("t_open", pa.int64(), False),
    ("open", pa.int32(), False),
    ("high", pa.int32(), False),
    ("low", pa.int32(), False),
    ("close", pa.int32(), False),
    ("volume", pa.int64(), False),
    ("bid_volume", pa.int64(), False),
    ("ask_volume", pa.int64(), False),
    ("trades", pa.int64(), False),
    ("front", pa.bool_(), True),
)
# Few distinct values: a dictionary beats differences there.
_DICTIONARY = ("size", "aggressor_side", "bid_size", "ask_size", "flags", "source", "kind")


@dataclass(frozen=True, slots=True)
class Layout:
    """A table of the store.

    Attributes
    ----------
    name : str
        Its folder: ``ticks`` or ``bars_<width>s``.
    time : str
        Its time column.
    size : str
        Its column of traded contracts.
    width_s : int
        Width of its bars in seconds, 0 for trades.
    schema : pyarrow.Schema
        Its columns.
    """

    name: str
    time: str
    size: str
    width_s: int
    schema: pa.Schema

    @property
    def span_ns(self) -> int:
        """Time that a row stands for, ns."""
        return self.width_s * 1_000_000_000


def _schema(columns: Sequence[tuple[str, pa.DataType, bool]]) -> pa.Schema:
    return pa.schema([pa.field(name, kind, nullable=null) for name, kind, null in columns])


TICKS = Layout("ticks", "ts_event", "size", 0, _schema(_TICKS))


def bars(width_s: int) -> Layout:
    """Return the layout of bars of a width."""
    return Layout(f"bars_{width_s}s", "t_open", "volume", width_s, _schema(_BARS))


@dataclass(frozen=True, slots=True)
class DayFile:
    """One stored trade date of one contract, as its file describes it.

    Attributes
    ----------
    path : Path
        Where it is.
    contract : str
        As in ``ESU19``.
    session_id : int
        Trade date, yyyymmdd.
    rows, volume : int
        Count of rows, sum of traded contracts.
    first, last : int
        Times of the first and last row, ns UTC.
    kind : str
        ``summary`` or ``fill`` for trades, empty for bars.
    sources : tuple of str
        Names of the imports that it holds rows of.
    gaps : tuple of (int, int)
        Spans without rows in open hours, ns UTC.
    off_hours : int
        Rows outside open hours.
    """

    path: Path
    contract: str
    session_id: int
    rows: int
    volume: int
    first: int
    last: int
    kind: str
    sources: tuple[str, ...]
    gaps: tuple[tuple[int, int], ...]
    off_hours: int


def day_path(root: Path, layout: Layout, contract: str, session_id: int) -> Path:
    """Return where a trade date of a contract is stored."""
    folder = root / layout.name / f"root={parse_contract(contract).root}" / f"contract={contract}"
    return folder / f"date={to_date(session_id).isoformat()}.parquet"


def write_day(path: Path, layout: Layout, columns: Columns, facts: Mapping[str, Any]) -> None:
    """Write one trade date to a file that nobody reads yet.

    Parameters
    ----------
    path : Path
        The file.
    layout : Layout
        Its table.
    columns : dict of ndarray
        Rows in time order; nullable columns may be masked arrays or absent.
    facts : mapping
        The fields of `DayFile` that the columns do not show.

    Raises
    ------
    DataError
        If it cannot be written.
    """
    count = len(columns[layout.time])
    arrays = [_array(columns.get(f.name), f.type, count) for f in layout.schema]
    about = instrument(parse_contract(facts["contract"]).root)
    metadata = {
        "mia_version": VERSION,
        "root": about.symbol,
        "tick_size": str(TICK),
        "multiplier": str(about.multiplier),
        "price_unit": "ticks",
        "width_s": str(layout.width_s),
        "facts": json.dumps(facts),
    }
    table = pa.Table.from_arrays(arrays, schema=layout.schema.with_metadata(metadata))
    coded = [f.name for f in layout.schema if f.name in _DICTIONARY]
    delta = {
        f.name: "DELTA_BINARY_PACKED"
        for f in layout.schema
        if f.name not in coded and f.type != pa.bool_()
    }
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(
            table,
            path,
            row_group_size=ROW_GROUP,
            compression="zstd",
            compression_level=3,
            use_dictionary=coded,
            column_encoding=delta,
        )
        sync(path)


def read_facts(path: Path) -> DayFile:
    """Read what a day's file says about itself, without its rows.

    Raises
    ------
    DataError
        If it is damaged or not of this store.
    """
    with reading(path):
        footer = pq.read_metadata(path)
        metadata = footer.metadata or {}
        if b"facts" not in metadata:
            raise OSError("it was not written by this store")
        facts = json.loads(metadata[b"facts"])
    facts["sources"] = tuple(facts["sources"])
    facts["gaps"] = tuple((start, end) for start, end in facts["gaps"])
    return DayFile(path=path, rows=footer.num_rows, **facts)


def read_columns(path: Path, layout: Layout) -> Columns:
    """Read all rows of a day's file; nullable columns come as masked arrays.

    Raises
    ------
    DataError
        If it is damaged.
    """
    with reading(path):
        table = pq.read_table(path, partitioning=None).combine_chunks()
    columns: Columns = {}
    for field in layout.schema:
        column = table[field.name].combine_chunks()
        if field.nullable:
            nulls = column.is_null().to_numpy(zero_copy_only=False)
            filled = column.fill_null(False if field.type == pa.bool_() else 0)
            columns[field.name] = np.ma.MaskedArray(filled.to_numpy(zero_copy_only=False), nulls)
        else:
            columns[field.name] = column.to_numpy(zero_copy_only=False)
    return columns


def _array(values: NDArray[Any] | None, kind: pa.DataType, count: int) -> pa.Array:
    if values is None:
        return pa.nulls(count, kind)
    if isinstance(values, np.ma.MaskedArray):
        return pa.array(values.data, type=kind, mask=np.ma.getmaskarray(values))
    return pa.array(values, type=kind)
