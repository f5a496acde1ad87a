"""What all readers share: options, the log of an import, checks of the path."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from mia.data.raw import RawBars, RawTrades
from mia.errors import ConfigError, DataError, FormatError

Progress = Callable[[int, int], None]
"""Called with the bytes done and the bytes in total."""

RawBlock = RawTrades | RawBars

CHUNK_ROWS = 1 << 18
REJECTED_KEPT = 1000
TEXT_KEPT = 200
NS_PER_S = 1_000_000_000


def no_progress(done: int, total: int) -> None:
    """Ignore the progress of a read."""


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row that could not be parsed.

    Attributes
    ----------
    row : int
        Line of a text file counted from 1, or record of a binary one counted from 0.
    text : str
        The row as found, cut after 200 characters.
    reason : str
        What was wrong with it.
    """

    row: int
    text: str
    reason: str


@dataclass(slots=True)
class ImportLog:
    """What happened while a file was read.

    Attributes
    ----------
    sink : callable, optional
        Receives every rejected row as it is met.
    rejected : list of RejectedRow
        The first 1,000 of them.
    rejected_count : int
        How many there were.
    notes : list of str
        Decisions worth telling the user, as "prices divided by 100".
    """

    sink: Callable[[RejectedRow], None] | None = None
    rejected: list[RejectedRow] = field(default_factory=list)
    rejected_count: int = 0
    notes: list[str] = field(default_factory=list)

    def reject(self, row: int, text: str, reason: str) -> None:
        """Record a row that could not be parsed."""
        entry = RejectedRow(int(row), text[:TEXT_KEPT], reason)
        self.rejected_count += 1
        if len(self.rejected) < REJECTED_KEPT:
            self.rejected.append(entry)
        if self.sink is not None:
            self.sink(entry)

    def note(self, text: str) -> None:
        """Record a decision once."""
        if text not in self.notes:
            self.notes.append(text)


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What a file does not say about itself.

    Attributes
    ----------
    contract : str, optional
        As in ``ESZ25``; None: taken from the content or the name of the file. Of a file with
        several contracts only this one is read.
    time_zone : str
        Zone of the wall-clock times of Sierra bar exports and of plain tables without an offset.
    bars : bool
        Read a `.scid` file of bars as bars.
    keep_fills : bool
        Give the fills of an unbundled trade one by one instead of their sum.
    price_scale : float, optional
        Points per unit of price; None: found from the prices.
    bar_seconds : int, optional
        Width of bars; None: found from their times.
    chunk_rows : int
        Most rows of one block.
    """

    contract: str | None = None
    time_zone: str | None = None
    bars: bool = False
    keep_fills: bool = False
    price_scale: float | None = None
    bar_seconds: int | None = None
    chunk_rows: int = CHUNK_ROWS


def check_file(path: Path) -> int:
    """Return the size of a file in bytes.

    Raises
    ------
    DataError
        If there is no such file, or it cannot be read.
    FormatError
        If it is a directory or empty.
    """
    try:
        if path.is_dir():
            raise FormatError(f"{path} is a directory: name the files in it")
        size = path.stat().st_size
    except FileNotFoundError:
        raise DataError(f"no such file: {path}") from None
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path}: {error}") from None
    if size == 0:
        raise FormatError(f"{path.name} is empty")
    return size


def zone(name: str) -> ZoneInfo:
    """Return the time zone named `name`.

    Raises
    ------
    ConfigError
        If there is none.
    """
    try:
        return ZoneInfo(name)
    except (OSError, KeyError, ValueError):
        raise ConfigError(
            f"unknown time zone {name!r}: use a name such as America/Chicago"
        ) from None


def bar_seconds(t_open: NDArray[np.int64], name: str, given: int | None) -> int:
    """Find the width of bars from their starts, unless it is given.

    Raises
    ------
    FormatError
        If no distance makes up half of all.
    """
    if given is not None:
        if given < 1:
            raise ConfigError(f"the width of a bar must be at least 1 s, was {given}")
        return given
    steps = np.diff(t_open)
    widths, counts = np.unique(steps[steps > 0], return_counts=True)
    if len(widths):
        best = int(np.argmax(counts))
        width = int(widths[best])
        if counts[best] * 2 >= counts.sum() and width % NS_PER_S == 0:
            return width // NS_PER_S
    raise FormatError(
        f"{name}: the times of its {len(t_open)} bars show no fixed width: give it in seconds"
    )


def clock_text(seconds: int) -> str:
    """Format a width, as ``0:05:00``."""
    return str(timedelta(seconds=seconds))


def one_line(error: Exception) -> str:
    """Return the first line of an error's message, or its kind if it has none."""
    return next(iter(str(error).splitlines()), type(error).__name__)
