"""Find out the format of a file from its content, and read it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from mia.core.sierra.scid_records import MAGIC
from mia.data.importers import (
    cme_timesales,
    csv_plain,
    databento_dbn,
    lean,
    parquet,
    scid,
    sierra_csv,
    vix,
)
from mia.data.importers.archive import open_archive
from mia.data.importers.columns import match_columns
from mia.data.importers.delimited import first_line, normal
from mia.data.importers.reading import (
    ImportLog,
    Progress,
    RawBlock,
    ReadOptions,
    check_file,
    no_progress,
)
from mia.data.raw import SourceFormat
from mia.errors import DataError, FormatError

Reader = Callable[[Path, ReadOptions, ImportLog, Progress], Iterator[RawBlock]]

ZIP_MAGIC = b"PK\x03\x04"
ACCEPTED = (
    "Sierra Chart .scid and text exports, Databento DBN, CME time and sales (zip), LEAN trade "
    "bars (zip), Parquet and CSV as in docs/data-schema.md, Cboe VIX history"
)
SHOWN = 16


class Format(NamedTuple):
    """How a format is read, and its number in the store."""

    read: Reader
    source: SourceFormat


READERS: dict[str, Format] = {
    "scid": Format(scid.read, SourceFormat.SCID),
    "sierra_bars": Format(sierra_csv.read_bars, SourceFormat.SIERRA_CSV),
    "sierra_trades": Format(sierra_csv.read_trades, SourceFormat.SIERRA_DOM),
    "dbn": Format(databento_dbn.read, SourceFormat.DBN),
    "cme_timesales": Format(cme_timesales.read, SourceFormat.CME_TIMESALES),
    "lean": Format(lean.read, SourceFormat.LEAN),
    "parquet": Format(parquet.read, SourceFormat.PARQUET),
    "csv": Format(csv_plain.read, SourceFormat.CSV),
}
"""Formats of trades and bars by name; ``vix`` is read by `mia.data.importers.vix`."""


def detect(path: Path) -> str:
    """Return the name of a file's format: a key of `READERS`, or ``vix``.

    The name of the file plays no part.

    Raises
    ------
    DataError
        If there is no such file or it cannot be read.
    FormatError
        If it is a directory, empty, or of no format known here.
    """
    check_file(path)
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from None
    for magic, name in (
        (MAGIC, "scid"),
        (parquet.MAGIC, "parquet"),
        (databento_dbn.ZSTD_MAGIC, "dbn"),
        (databento_dbn.DBN_MAGIC, "dbn"),
    ):
        if head.startswith(magic):
            return name
    if head.startswith(ZIP_MAGIC):
        return _detect_zip(path)
    if b"\0" in head:
        raise _unknown(path, head)
    return _detect_text(path, head)


def read_file(
    path: Path, options: ReadOptions, log: ImportLog, progress: Progress = no_progress
) -> Iterator[RawBlock]:
    """Read trades or bars of any format; at least one block.

    Raises
    ------
    DataError
        If the file cannot be read.
    FormatError
        If it is of no format known here, not what it claims to be, or no row is to be had.
    """
    name = detect(path)
    if name not in READERS:
        raise FormatError(f"{path.name} holds levels of an index, no trades or bars")
    found = False
    for block in READERS[name].read(path, options, log, progress):
        found = True
        yield block
    if not found:
        raise FormatError(_nothing(path, options, log))


def _nothing(path: Path, options: ReadOptions, log: ImportLog) -> str:
    if log.rejected:
        first = log.rejected[0]
        return (
            f"{path.name}: none of {log.rejected_count} rows could be parsed, "
            f"the first (row {first.row}) because: {first.reason}"
        )
    of_contract = f" of {options.contract}" if options.contract else ""
    return f"{path.name} holds no trades or bars{of_contract}"


def _detect_zip(path: Path) -> str:
    with open_archive(path) as archive:
        names = archive.namelist()
    if any(map(cme_timesales.MEMBER.fullmatch, names)):
        return "cme_timesales"
    if any(map(lean.MEMBER.fullmatch, names)):
        return "lean"
    shown = ", ".join(names[:3]) or "nothing"
    raise FormatError(f"{path.name} is a zip file with {shown}: accepted are {ACCEPTED}")


def _detect_text(path: Path, head: bytes) -> str:
    try:
        _, line = first_line(path)
    except FormatError:
        if not head.strip():
            raise
        raise _unknown(path, head) from None
    if line.lstrip().startswith(("{", "[", "<")):
        raise _unknown(path, head)
    delimiter = csv_plain.delimiter_of(line)
    titles = [title.strip() for title in line.split(delimiter)]
    names = [normal(title) for title in titles]
    if delimiter == ";" and sierra_csv.is_trade_export(names):
        return "sierra_trades"
    if delimiter == "," and sierra_csv.is_bar_export(names):
        return "sierra_bars"
    if vix.is_daily(names):
        return "vix"
    try:
        match_columns(titles, path.name)
    except FormatError as error:
        if vix.is_minutes(names):
            return "vix"
        if len(names) < 3:
            raise _unknown(path, head) from None
        raise FormatError(f"{error}; accepted are {ACCEPTED}") from None
    return "csv"


def _unknown(path: Path, head: bytes) -> FormatError:
    return FormatError(
        f"{path.name} begins with {head[:SHOWN]!r}, which no format known here does: "
        f"accepted are {ACCEPTED}"
    )
