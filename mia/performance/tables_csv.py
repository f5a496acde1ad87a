"""Tables as CSV, for spreadsheets: comma, point, UTF-8, one header line, empty where undefined."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

from mia.performance.results import replacing


def write_csv(path: Path, heads: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows; what a row lacks, None and what is not finite become empty cells.

    Numbers are written so that reading them gives the same bits.

    Raises
    ------
    DataError
        If the file cannot be written.
    """
    with (
        replacing(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(heads)
        writer.writerows([_cell(row.get(name)) for name in heads] for row in rows)


def _cell(value: Any) -> Any:
    if value is None or (isinstance(value, float) and not isfinite(value)):
        return ""
    return repr(value) if isinstance(value, float) else value
