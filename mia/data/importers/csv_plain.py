"""Trades or bars in a plain text table, as `docs/data-schema.md` describes it."""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from mia.data.importers.columns import SIDES, UNKNOWN, match_columns
from mia.data.importers.contracts import check_contract, contract_of_file
from mia.data.importers.delimited import Rows, Table, first_line, wall_to_utc
from mia.data.importers.plain import PlainBlocks, sort_of
from mia.data.importers.reading import (
    ImportLog,
    Progress,
    RawBlock,
    ReadOptions,
    no_progress,
    zone,
)
from mia.errors import FormatError

DELIMITERS = (",", ";", "\t", "|")
EPOCH = datetime(1970, 1, 1)
NS_DIGITS = 19
PLAINEST = re.compile(r"(?:19|20)\d\d-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d{1,9})?Z", re.ASCII)
TRUE, FALSE = ("1", "true", "yes"), ("0", "false", "no")


def read(
    path: Path, options: ReadOptions, log: ImportLog, progress: Progress = no_progress
) -> Iterator[RawBlock]:
    """Read a table of trades or bars.

    Raises
    ------
    ConfigError
        If the time zone is unknown.
    DataError
        If the file cannot be read.
    FormatError
        If its columns are those of neither, or it does not say its contract.
    """
    _, line = first_line(path)
    table = Table(path, delimiter_of(line))
    columns = match_columns(table.titles, path.name)
    tz = zone(options.time_zone or "UTC")
    contract = None
    if "contract" not in columns.source:
        contract = contract_of_file(path, options.contract)
    plain = PlainBlocks(path.name, columns, options, log)
    for rows in table.blocks(list(columns.source.values()), options.chunk_rows, log, progress):
        values: dict[str, NDArray[Any]] = {}
        for column, name in columns.source.items():
            match sort_of(column):
                case "price":
                    quote = column in ("bid_price", "ask_price")
                    values[column] = rows.floats(name, np.nan if quote else None)
                case "time":
                    values[column] = parse_times(rows, name, tz)
                case "side":
                    values[column] = _look_up(rows, name, SIDES).astype(np.int8)
                case "mark":
                    marks = {**dict.fromkeys(TRUE, 1), **dict.fromkeys(FALSE, 0)}
                    values[column] = _look_up(rows, name, marks).astype(np.bool_)
                case "count":
                    values[column] = rows.integers(name, UNKNOWN.get(column))
        if contract is None:
            contracts = _contracts(rows, columns.source["contract"])
        else:
            contracts = np.full(len(rows.lines), contract)
        good = rows.usable(log)
        chosen = {column: array[good] for column, array in values.items()}
        yield from plain.of(chosen, contracts[good], rows.numbers[good])


def delimiter_of(line: str) -> str:
    """Return the delimiter of a line of names: the one it has most of."""
    return max(DELIMITERS, key=line.count)


def _contracts(rows: Rows, name: str) -> NDArray[np.str_]:
    names = np.array(rows.fields[name], dtype=np.str_)
    for found in np.unique(names).tolist():
        try:
            check_contract(found)
        except FormatError as error:
            for index in np.flatnonzero(names == found):
                rows.spoil(int(index), str(error))
    return names


def _look_up(rows: Rows, name: str, meanings: dict[str, int]) -> NDArray[np.int64]:
    out = np.zeros(len(rows.lines), np.int64)
    for index, text in enumerate(rows.fields[name]):
        meaning = meanings.get(text.lower())
        if meaning is None:
            rows.spoil(index, f"{name} is none of {', '.join(filter(None, meanings))}: {text!r}")
        else:
            out[index] = meaning
    return out


def parse_times(rows: Rows, name: str, tz: ZoneInfo) -> NDArray[np.int64]:
    """Parse ns since 1970, or ISO 8601 with an offset or, without one, on the clock of `tz`."""
    quick = _utc_times(rows.fields[name])
    if quick is not None:
        return quick
    out = np.zeros(len(rows.lines), np.int64)
    wall: list[int] = []
    for index, text in enumerate(rows.fields[name]):
        if len(text) == NS_DIGITS and text.isascii() and text.isdigit() and text < "9":
            out[index] = int(text)
            continue
        try:
            out[index], has_offset = parse_iso(text)
        except ValueError:
            rows.spoil(index, f"{name} is neither ISO 8601 nor ns since 1970: {text!r}")
            continue
        if not has_offset:
            wall.append(index)
    if wall and tz.key != "UTC":
        # Whole microseconds go by the clock; what is below is the same on every clock.
        local = out[wall]
        part = Rows(rows.numbers[wall], [], {}, [None] * len(wall))
        out[wall] = wall_to_utc(local // 1000, tz, part) + local % 1000
        for index, reason in zip(wall, part.reasons, strict=True):
            if reason is not None:
                rows.spoil(index, reason)
    return out


def _utc_times(texts: Sequence[str]) -> NDArray[np.int64] | None:
    """Parse times that all are of the plainest form, ten times as fast; None if one is not."""
    if not all(map(PLAINEST.fullmatch, texts)):
        return None
    try:
        ns = np.array([text[:-1] for text in texts], "datetime64[ns]").astype(np.int64)
    except ValueError:
        return None
    return ns if len(ns) and ns.min() >= 0 else None


def parse_iso(text: str) -> tuple[int, bool]:
    """Parse a time of ISO 8601 with up to nine decimals.

    Returns
    -------
    tuple of int and bool
        Nanoseconds since 1970 and whether they are UTC, as an offset tells, or on some clock.

    Raises
    ------
    ValueError
        If it is none.
    """
    before, point, after = text.partition(".")
    digits = 0
    while digits < len(after) and after[digits].isdigit():
        digits += 1
    if point and not 1 <= digits <= 9:
        raise ValueError(text)
    at = datetime.fromisoformat(before + after[digits:])
    if "T" not in before and " " not in before:
        raise ValueError(text)
    has_offset = at.tzinfo is not None
    if has_offset:
        at = at.astimezone(UTC).replace(tzinfo=None)
    passed = at - EPOCH
    if not 0 <= passed.days < 80_000:
        raise ValueError(text)
    seconds = passed.days * 86_400 + passed.seconds
    return seconds * 1_000_000_000 + int(after[:digits].ljust(9, "0")), has_offset
