"""Trades or bars in Parquet, by the column names of `docs/data-schema.md`."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mia.data.importers.columns import SIDES, UNKNOWN, TableColumns, match_columns
from mia.data.importers.contracts import check_contract, contract_of_file
from mia.data.importers.plain import PlainBlocks, sort_of
from mia.data.importers.reading import (
    ImportLog,
    Progress,
    RawBlock,
    ReadOptions,
    check_file,
    no_progress,
    one_line,
    zone,
)
from mia.errors import FormatError

MAGIC = b"PAR1"
WIDTH = re.compile(r"(\d+) ?(s|sec|min|m|h)", re.IGNORECASE)
UNKNOWN_SIDE = 2
SECONDS = {"s": 1, "sec": 1, "min": 60, "m": 60, "h": 3600}


def read(
    path: Path, options: ReadOptions, log: ImportLog, progress: Progress = no_progress
) -> Iterator[RawBlock]:
    """Read a table of trades or bars.

    Raises
    ------
    DataError
        If the file cannot be read.
    FormatError
        If it is damaged, its columns are those of neither or of another type, or it does not
        say its contract.
    """
    size = check_file(path)
    try:
        with pq.ParquetFile(path) as file:
            yield from _read(path, file, size, options, log, progress)
    except (pa.ArrowException, OSError) as error:
        raise FormatError(f"{path.name} is no readable Parquet file: {one_line(error)}") from None


def _read(
    path: Path,
    file: pq.ParquetFile,
    size: int,
    options: ReadOptions,
    log: ImportLog,
    progress: Progress,
) -> Iterator[RawBlock]:
    schema = file.schema_arrow
    metadata = {k.decode(): v.decode(errors="replace") for k, v in (schema.metadata or {}).items()}
    columns = match_columns(schema.names, path.name)
    _check_types(path, schema, columns)
    contract = None
    if "contract" not in columns.source:
        named = metadata.get("contract")
        given = options.contract or named
        if options.contract and named and options.contract != named:
            raise FormatError(f"{path.name} says it holds {named}, not {options.contract}")
        contract = contract_of_file(path, given)
    options = _with_width(options, metadata)
    kind = "fill" if metadata.get("kind", "").startswith("fill") else "summary"
    plain = PlainBlocks(path.name, columns, options, log, kind)
    total, done = file.metadata.num_rows, 0
    if total == 0:
        raise FormatError(f"{path.name} has no rows")
    for batch in file.iter_batches(options.chunk_rows, columns=list(columns.source.values())):
        yield from _blocks(batch, columns, contract, done, plain, options, log)
        done += batch.num_rows
        progress(size * done // total, size)


def _with_width(options: ReadOptions, metadata: dict[str, str]) -> ReadOptions:
    """Take the width of bars from the file if it names one."""
    match = WIDTH.fullmatch(metadata.get("bar", ""))
    if options.bar_seconds is not None or match is None:
        return options
    return replace(options, bar_seconds=int(match[1]) * SECONDS[match[2].lower()])


def _check_types(path: Path, schema: pa.Schema, columns: TableColumns) -> None:
    for column, name in columns.source.items():
        kind = schema.field(name).type
        whole = pa.types.is_integer(kind)
        text = _is_text(kind)
        match sort_of(column):
            case "price":
                if whole and not columns.in_ticks:
                    raise FormatError(
                        f"{path.name}: {name} is {kind}, which may be points or ticks: call it "
                        f"{name}_tick if it counts ticks, else store it as float64 points"
                    )
                good = whole or pa.types.is_floating(kind)
            case "time":
                good = pa.types.is_timestamp(kind) or whole
            case "side":
                good = whole or text
            case "mark":
                good = pa.types.is_boolean(kind)
            case "name":
                good = text
            case _:
                good = whole
        if not good:
            raise FormatError(f"{path.name}: {name} has type {kind}; see docs/data-schema.md")


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _blocks(
    batch: pa.RecordBatch,
    columns: TableColumns,
    contract: str | None,
    first_row: int,
    plain: PlainBlocks,
    options: ReadOptions,
    log: ImportLog,
) -> Iterator[RawBlock]:
    values: dict[str, NDArray[Any]] = {}
    contracts = np.full(batch.num_rows, contract or "")
    bad = np.zeros(batch.num_rows, np.bool_)
    for column, name in columns.source.items():
        array = batch.column(name)
        missing = pc.is_null(array).to_numpy(zero_copy_only=False)
        sort = sort_of(column)
        if sort == "price":
            values[column] = pc.cast(array, pa.float64()).to_numpy(zero_copy_only=False)
            continue
        if column in UNKNOWN:
            array, missing = pc.fill_null(array, UNKNOWN[column]), np.zeros_like(missing)
        wrong, reason = missing, f"{name} is missing"
        if sort == "time":
            values[column] = _ns(array, options.time_zone)
        elif sort == "side":
            texts = pc.fill_null(pc.cast(array, pa.string()), "?").to_pylist()
            sides = [SIDES.get(text.lower(), UNKNOWN_SIDE) for text in texts]
            values[column] = np.array(sides, np.int8)
            wrong, reason = values[column] == UNKNOWN_SIDE, f"{name} is no side"
        elif sort == "mark":
            values[column] = pc.fill_null(array, False).to_numpy(zero_copy_only=False)
        elif sort == "name":
            contracts = np.array(pc.fill_null(pc.cast(array, pa.string()), "").to_pylist())
            wrong = _no_contract(contracts)
            reason = f"{name} is no contract of the form ESU19"
        else:
            values[column] = pc.cast(pc.fill_null(array, 0), pa.int64()).to_numpy()
        for index in np.flatnonzero(wrong & ~bad):
            log.reject(first_row + int(index), str(batch.slice(index, 1).to_pylist()[0]), reason)
        bad |= wrong
    row = np.arange(first_row, first_row + batch.num_rows, dtype=np.int64)
    good = ~bad
    if bad.any():
        values = {column: array[good] for column, array in values.items()}
    yield from plain.of(values, contracts[good], row[good])


def _no_contract(names: NDArray[np.str_]) -> NDArray[np.bool_]:
    out = np.zeros(len(names), np.bool_)
    for found in np.unique(names).tolist():
        try:
            check_contract(found)
        except FormatError:
            out |= names == found
    return out


def _ns(array: pa.Array, time_zone: str | None) -> NDArray[np.int64]:
    """Return ns UTC; a null becomes 0."""
    if pa.types.is_timestamp(array.type):
        if array.type.tz is None:
            array = pc.assume_timezone(array, zone(time_zone or "UTC").key)
        array = array.cast(pa.timestamp("ns", tz="UTC"))
    ns: NDArray[np.int64] = pc.fill_null(array.cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
    return ns
