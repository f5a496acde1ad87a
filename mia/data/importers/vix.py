"""Levels of VIX and VIX3M: the daily file of Cboe, and minute bars.

The daily file has ``DATE,OPEN,HIGH,LOW,CLOSE`` with dates as month/day/year; a close is known
at 16:15 New York. Minute bars have a time and ``CLOSE``, or ``VALUE``; a time stands for the
start of the minute, so that its close is known a minute later.
"""

from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from mia.data.importers.csv_plain import delimiter_of, parse_times
from mia.data.importers.delimited import US_PER_DAY, Table, days, first_line, wall_to_utc
from mia.data.importers.reading import (
    CHUNK_ROWS,
    NS_PER_S,
    ImportLog,
    Progress,
    check_file,
    no_progress,
)
from mia.errors import FormatError

NEW_YORK = ZoneInfo("America/New_York")
CLOSE_US = (16 * 60 + 15) * 60 * 1_000_000
TIMES = ("tsutc", "tsevent", "timestamp", "datetime", "time")
VALUES = ("close", "value", "last", "vix", "vix3m")
MINUTE_NS = 60 * NS_PER_S
HIGHEST = 1000.0


@dataclass(frozen=True, slots=True)
class IndexLevels:
    """Levels of an index in order of time.

    Attributes
    ----------
    ts_known : ndarray of int64, shape (n,)
        When each level was known, ns UTC.
    value : ndarray of float64, shape (n,)
        Index points.
    """

    ts_known: NDArray[np.int64]
    value: NDArray[np.float64]


def is_daily(names: list[str]) -> bool:
    """Tell whether column names are those of the daily file."""
    return names[:1] == ["date"] and names[-1:] == ["close"] and "volume" not in names


def is_minutes(names: list[str]) -> bool:
    """Tell whether column names are those of minute bars, which have no volume."""
    return len(_minute_columns(names)) == 2 and "volume" not in names


def _minute_columns(names: list[str]) -> list[str]:
    found = [[name for name in known if name in names] for known in (TIMES, VALUES)]
    return [spellings[0] for spellings in found if spellings]


def read(path: Path, log: ImportLog, progress: Progress = no_progress) -> IndexLevels:
    """Read a daily file or minute bars, whichever it is.

    Raises
    ------
    DataError
        If the file cannot be read.
    FormatError
        If its columns are those of neither, or no row can be used.
    """
    check_file(path)
    table = Table(path, delimiter_of(first_line(path)[1]))
    daily = is_daily(table.names)
    if not daily and not is_minutes(table.names):
        raise FormatError(
            f"{path.name} has columns {', '.join(table.names[:8])}: expected DATE to CLOSE a day, "
            "or a time and CLOSE a minute"
        )
    wanted = ["date", "close"] if daily else _minute_columns(table.names)
    known, levels = [], []
    for rows in table.blocks(wanted, CHUNK_ROWS, log, progress):
        if daily:
            dates = [_turned(text) for text in rows.fields["date"]]
            ts = wall_to_utc(days(dates, rows) * US_PER_DAY + CLOSE_US, NEW_YORK, rows)
        else:
            ts = parse_times(rows, wanted[0], NEW_YORK) + MINUTE_NS
        level = rows.floats(wanted[1])
        for index in np.flatnonzero(~((level > 0.0) & (level < HIGHEST))):
            rows.spoil(int(index), f"a level of {level[index]:g} cannot be")
        good = rows.usable(log)
        known.append(ts[good])
        levels.append(level[good])
    ts_known = np.concatenate(known) if known else np.empty(0, np.int64)
    if len(ts_known) == 0:
        raise FormatError(f"{path.name} has no row that can be used")
    return _sorted(ts_known, np.concatenate(levels), log)


def _turned(text: str) -> str:
    """Turn month/day/year around; a date that begins with the year stays."""
    first, slash, rest = text.partition("/")
    second, _, third = rest.partition("/")
    return f"{third}-{first}-{second}" if slash and len(first) <= 2 else text


def _sorted(ts: NDArray[np.int64], value: NDArray[np.float64], log: ImportLog) -> IndexLevels:
    """Order by time; of rows with the same time the last stays."""
    order = np.argsort(ts, kind="stable")
    ts, value = ts[order], value[order]
    last = np.append(np.diff(ts) > 0, True)
    if not last.all():
        log.note(f"{int((~last).sum())} rows repeat a time: the last of each stays")
    return IndexLevels(ts[last], value[last])
