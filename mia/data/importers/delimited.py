"""Tables in text files, block by block: fields, numbers, wall-clock times.

Line ends may be of any kind and change within the file; a byte-order mark is skipped. A row
with too few or too many fields, and a field that is no number or time, is told to the log and
left out; the rest of the file is read on.
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from mia.data.importers.reading import ImportLog, Progress, check_file
from mia.errors import FormatError

READ_CHARACTERS = 1 << 20
LONGEST_LINE = 1 << 16
EPOCH = date(1970, 1, 1).toordinal()
US_PER_S = 1_000_000
US_PER_DAY = 86_400 * US_PER_S
YEARS = range(1980, 2200)
OFFSET_STEP_US = 1800 * US_PER_S
"""Zones change their offset on full half hours."""


@dataclass(slots=True)
class Rows:
    """Rows of a table that have the right number of fields.

    Attributes
    ----------
    numbers : ndarray of int64, shape (n,)
        Line of each row, counted from 1.
    lines : list of str
        The rows as found.
    fields : dict of str to sequence of str
        Column by name; of columns with the same name the first.
    reasons : list of str or None, shape (n,)
        Why a row cannot be used.
    """

    numbers: NDArray[np.int64]
    lines: list[str]
    fields: Mapping[str, Sequence[str]]
    reasons: list[str | None]

    def floats(self, name: str, empty: float | None = None) -> NDArray[np.float64]:
        """Parse a column of numbers; what is none becomes nan and spoils its row.

        An empty field is `empty` where that is given.
        """
        values = self.fields[name]
        if empty is not None:
            values = [text or str(empty) for text in values]
        # Python reads 1_000 as a number; a table does not mean one by it.
        if not any("_" in text for text in values):
            try:
                return np.array(values, dtype=np.str_).astype(np.float64)
            except ValueError:
                pass
        out = np.full(len(values), np.nan)
        for index, text in enumerate(values):
            try:
                out[index] = float(text.replace("_", "?"))
            except ValueError:
                self.spoil(index, f"{name} is no number: {text.strip()!r}")
        return out

    def integers(self, name: str, empty: int | None = None) -> NDArray[np.int64]:
        """Parse a column of whole numbers; what is none becomes 0 and spoils its row."""
        values = self.floats(name, empty)
        whole = np.isfinite(values) & (np.abs(values) < 2.0**53) & (np.floor(values) == values)
        for index in np.flatnonzero(~whole).tolist():
            self.spoil(index, f"{name} is no whole number: {self.fields[name][index]!r}")
        return np.where(whole, values, 0.0).astype(np.int64)

    def spoil(self, index: int, reason: str) -> None:
        """Mark a row as unusable; the first reason stays."""
        if self.reasons[index] is None:
            self.reasons[index] = reason

    def usable(self, log: ImportLog) -> NDArray[np.int64]:
        """Tell the log of the spoilt rows and return the index of the others."""
        good = []
        for index, reason in enumerate(self.reasons):
            if reason is None:
                good.append(index)
            else:
                log.reject(int(self.numbers[index]), self.lines[index], reason)
        return np.array(good, dtype=np.int64)


class Table:
    """A text file with a line of column names.

    Parameters
    ----------
    path : Path
        File, UTF-8 or a superset of ASCII.
    delimiter : str
        Between fields; blanks around a field are dropped.

    Raises
    ------
    DataError
        If the file cannot be read.
    FormatError
        If it is empty or no text.
    """

    def __init__(self, path: Path, delimiter: str) -> None:
        self._path = path
        self._size = check_file(path)
        self._delimiter = delimiter
        self._start, line = first_line(path)
        self.titles = [title.strip() for title in line.split(delimiter)]
        self.names = [normal(title) for title in self.titles]

    def blocks(
        self, wanted: Sequence[str], chunk_rows: int, log: ImportLog, progress: Progress
    ) -> Iterator[Rows]:
        """Read the rows below the names.

        Raises
        ------
        FormatError
            If a column is missing or a line is longer than any table has.
        """
        places = {name: self._place(name) for name in wanted}
        numbers: list[int] = []
        lines: list[str] = []
        split: list[list[str]] = []
        for number, line, done in _lines(self._path):
            if number <= self._start or not line.strip():
                continue
            fields = line.split(self._delimiter)
            if len(fields) != len(self.names):
                extra = fields[len(self.names) :]
                if len(fields) < len(self.names) or any(field.strip() for field in extra):
                    log.reject(
                        number, line, f"{len(self.names)} fields expected, {len(fields)} found"
                    )
                    continue
            numbers.append(number)
            lines.append(line)
            split.append(fields)
            if len(lines) >= chunk_rows:
                yield _rows(numbers, lines, split, places)
                progress(done, self._size)
                numbers, lines, split = [], [], []
        if lines:
            yield _rows(numbers, lines, split, places)
        progress(self._size, self._size)

    def _place(self, name: str) -> int:
        try:
            return self.names.index(normal(name))
        except ValueError:
            raise FormatError(f"{self._path.name} has no column {name!r}") from None


def _rows(
    numbers: list[int], lines: list[str], split: list[list[str]], places: dict[str, int]
) -> Rows:
    fields = {name: [row[place].strip() for row in split] for name, place in places.items()}
    return Rows(np.array(numbers, dtype=np.int64), lines, fields, [None] * len(lines))


def normal(name: str) -> str:
    """Write a column name in one way: ``Bid Volume``, ``BidVolume`` are ``bidvolume``."""
    return "".join(name.split()).replace("_", "").strip('"').lower()


def first_line(path: Path) -> tuple[int, str]:
    """Return the number and the text of the first line that is not blank.

    Raises
    ------
    FormatError
        If there is none.
    """
    for number, line, _ in _lines(path):
        if line.strip():
            return number, line
    raise FormatError(f"{path.name} holds nothing but blank lines")


def _lines(path: Path) -> Iterator[tuple[int, str, int]]:
    """Yield number, text and bytes read so far of each line."""
    number, rest = 0, ""
    with (
        path.open("rb") as raw,
        io.TextIOWrapper(raw, encoding="utf-8-sig", errors="replace", newline=None) as file,
    ):
        while block := file.read(READ_CHARACTERS):
            if "\0" in block:
                raise FormatError(f"{path.name} is no text: it holds zero bytes")
            done = raw.tell()
            *whole, rest = (rest + block).split("\n")
            for line in whole:
                number += 1
                yield number, line, done
            if len(rest) > LONGEST_LINE:
                raise FormatError(
                    f"{path.name}: line {number + 1} has more than {LONGEST_LINE} characters"
                )
        if rest:
            yield number + 1, rest, raw.tell()


def days(texts: Sequence[str], rows: Rows) -> NDArray[np.int64]:
    """Parse dates, as ``2019/12/22`` or ``2026-6-5``, into days since 1970."""
    known: dict[str, int | None] = {}
    out = np.zeros(len(texts), np.int64)
    for index, text in enumerate(texts):
        if text not in known:
            known[text] = _day(text)
        day = known[text]
        if day is None:
            rows.spoil(index, f"no date: {text!r}")
        else:
            out[index] = day
    return out


def _day(text: str) -> int | None:
    parts = text.replace("/", "-").split("-")
    if len(parts) != 3 or not all(_is_count(part) for part in parts):
        return None
    return day_number(*(int(part) for part in parts))


def _is_count(text: str) -> bool:
    """Tell whether a part of a date or time is a number, of few enough digits to be one."""
    return len(text) <= 6 and text.isascii() and text.isdigit()


def day_number(year: int, month: int, day: int) -> int | None:
    """Return the days since 1970 of a date, None if there is no such date or none of a market."""
    if year not in YEARS:
        return None
    try:
        return date(year, month, day).toordinal() - EPOCH
    except ValueError:
        return None


def times_of_day(texts: Sequence[str], rows: Rows, *, counted: bool) -> NDArray[np.int64]:
    """Parse times, as ``18:05:00.250``, into microseconds since midnight.

    Parameters
    ----------
    texts : sequence of str
        Hours, minutes, seconds, and a fraction of up to six digits.
    rows : Rows
        Told which rows hold no time.
    counted : bool
        Whether a fraction is a count of microseconds without leading zeros, so that ``.5000``
        is 5 ms; else a decimal fraction.
    """
    known: dict[str, int | None] = {}
    out = np.zeros(len(texts), np.int64)
    for index, text in enumerate(texts):
        if text not in known:
            known[text] = _time_of_day(text, counted)
        time = known[text]
        if time is None:
            rows.spoil(index, f"no time of day: {text!r}")
        else:
            out[index] = time
    return out


def _time_of_day(text: str, counted: bool) -> int | None:
    clock, _, fraction = text.partition(".")
    parts = clock.split(":")
    if len(parts) != 3 or len(fraction) > 6:
        return None
    if not all(_is_count(part) for part in (*parts, fraction or "0")):
        return None
    hours, minutes, seconds = (int(part) for part in parts)
    if hours > 23 or minutes > 59 or seconds > 59:
        return None
    part_us = int((fraction or "0") if counted else fraction.ljust(6, "0"))
    return ((hours * 60 + minutes) * 60 + seconds) * US_PER_S + part_us


def wall_to_utc(wall_us: NDArray[np.int64], tz: ZoneInfo, rows: Rows) -> NDArray[np.int64]:
    """Turn microseconds on the clock of a zone into ns UTC.

    A time that the clock skips or shows twice spoils its row.
    """
    steps, inverse = np.unique(wall_us // OFFSET_STEP_US, return_inverse=True)
    offsets = np.zeros(len(steps), np.int64)
    doubtful: dict[int, str] = {}
    for index, step in enumerate(steps.tolist()):
        wall = datetime(1970, 1, 1) + timedelta(microseconds=step * OFFSET_STEP_US)
        early, late = (wall.replace(tzinfo=tz, fold=fold).utcoffset() for fold in (0, 1))
        if early is None or late is None or early < late:
            doubtful[index] = "does not exist"
        elif early > late:
            doubtful[index] = "exists twice"
        else:
            offsets[index] = early // timedelta(microseconds=1)
    for place, reason in doubtful.items():
        for row in np.flatnonzero(inverse == place).tolist():
            rows.spoil(row, f"the time {reason} in {tz.key}: the clocks changed")
    return (wall_us - offsets[inverse]) * 1000
