"""Levels of VIX and VIX3M beside a store, looked up as they were known."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mia.data.files import replace_file
from mia.data.importers.vix import IndexLevels
from mia.errors import DataError

INDICES = ("VIX", "VIX3M")
MAX_AGE_NS = 5 * 86_400 * 1_000_000_000
"""A level older than a long weekend is not known any more."""


class LevelSeries:
    """Levels of an index by the time at which they were known.

    Parameters
    ----------
    levels : IndexLevels
    """

    def __init__(self, levels: IndexLevels) -> None:
        self._times = levels.ts_known
        self._values = levels.value

    def __len__(self) -> int:
        """Count the levels."""
        return len(self._times)

    def at(self, ts: int) -> float:
        """Return the last level known at `ts` (ns UTC), nan if there is none or it is stale."""
        k = int(np.searchsorted(self._times, ts, side="right")) - 1
        if k < 0 or ts - int(self._times[k]) > MAX_AGE_NS:
            return float("nan")
        return float(self._values[k])


def _path(folder: Path, index: str) -> Path:
    return folder / f"{index.lower()}.parquet"


def save_levels(folder: Path, index: str, levels: IndexLevels) -> int:
    """Merge levels into those of a store; a level known at the same time is replaced.

    Returns
    -------
    int
        Levels that the store now has.

    Raises
    ------
    DataError
        If the store cannot be written.
    """
    path = _path(folder, index)
    merged: dict[int, float] = {}
    if path.is_file():
        held = _read(path)
        merged |= dict(zip(held.ts_known.tolist(), held.value.tolist(), strict=True))
    merged |= dict(zip(levels.ts_known.tolist(), levels.value.tolist(), strict=True))
    times = sorted(merged)
    table = pa.table(
        {
            "ts_known": pa.array(times, pa.int64()),
            "value": pa.array([merged[ts] for ts in times], pa.float64()),
        }
    )
    with replace_file(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")
    return len(times)


def load_levels(folder: Path, index: str) -> LevelSeries | None:
    """Return the levels of an index in a store, None if it has none.

    Raises
    ------
    DataError
        If their file is damaged.
    """
    path = _path(folder, index)
    return LevelSeries(_read(path)) if path.is_file() else None


def _read(path: Path) -> IndexLevels:
    try:
        table = pq.read_table(path)
        return IndexLevels(table["ts_known"].to_numpy(), table["value"].to_numpy())
    except (OSError, KeyError, pa.ArrowException):
        raise DataError(f"{path} is damaged: remove it and import the index again") from None
