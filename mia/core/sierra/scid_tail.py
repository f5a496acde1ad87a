"""The records of a `.scid` file while Sierra Chart writes it.

Sierra collects records and appends them every few seconds, and it may delete and download a
file anew, shorten it, or replace it. A tail remembers where it stands by the bytes of the last
record it took. When they are no longer there it searches for them by time, and failing that it
goes on behind the millisecond it had reached, record by record of that millisecond.

The file is opened for each look and closed again: on Windows an open file cannot be deleted,
and Python opens it so that Sierra may go on writing meanwhile.
"""

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from mia.core.market_feed import FeedNotice, FeedNoticeKind, Notify, ignore_notices
from mia.core.sierra.scid_records import (
    EPOCH_US,
    HEADER,
    RECORD_BYTES,
    RECORD_DTYPE,
    check_times,
    first_record,
    is_bar,
    is_sane_time,
)
from mia.errors import FormatError

MARGIN = 4096
"""Records before a place in which times may step back."""

SEARCHED = 1 << 20
"""Records that a search for the lost place looks at."""


@dataclass(frozen=True, slots=True)
class TailPosition:
    """Where a tail stands, enough to go on after a restart, also in a rewritten file.

    Attributes
    ----------
    offset : int
        Byte behind the last record taken.
    last : bytes
        That record; empty if none was taken.
    recent : bytes
        All records taken of the newest millisecond.
    """

    offset: int
    last: bytes
    recent: bytes


@dataclass(frozen=True, slots=True)
class RecordChunk:
    """Whole records behind the position.

    Attributes
    ----------
    data : bytes
        Record after record.
    row : ndarray of int64
        Number of each record in the file.
    more : bool
        Whether the file holds whole records behind these.
    """

    data: bytes
    row: NDArray[np.int64]
    more: bool


class ScidTail:
    """Reads the records of one file as they come.

    Parameters
    ----------
    path : Path
        Need not exist yet.
    start : TailPosition or int
        A position to go on from, or a time (ns UTC): the first record at or after it is the
        first to come.
    notify : callable
        Told about rewriting and gaps.
    """

    def __init__(
        self,
        path: Path,
        start: TailPosition | int,
        notify: Notify = ignore_notices,
    ) -> None:
        self.path = path
        self.resyncs = 0
        self._notify = notify
        self._start: int | None = None
        self._offset, self._last, self._recent = 0, b"", b""
        if isinstance(start, TailPosition):
            self._offset, self._last, self._recent = start.offset, start.last, start.recent
        else:
            self._start = start
        # The record before the offset; after a search it need not be one that was taken.
        self._anchor = self._last
        self._high_ms = _newest_ms(_records(self._recent))
        self._begin = HEADER.size
        self._skip: frozenset[int] = frozenset()
        self._chunk: RecordChunk | None = None
        self._lost = False
        self._told = False
        self._waiting = False
        self._probed = False

    @property
    def position(self) -> TailPosition | int:
        """Where the tail stands; the time to start at before it has found its place."""
        if self._start is not None:
            return self._start
        return TailPosition(self._offset, self._last, self._recent)

    def read(self, limit: int) -> RecordChunk | None:
        """Return up to `limit` records behind the position, None if there are none now.

        The same records come again until `advance` is told to pass them.

        Raises
        ------
        FormatError
            If the file is foreign, of an old version, or holds bars.
        """
        self._chunk = None
        try:
            with self.path.open("rb", buffering=0) as file:
                self._chunk = self._look(file, limit)
        except OSError as error:
            # Sierra may lock the file while it downloads, and a share may be away for a while.
            self._absent(f"{self.path.name} cannot be read: {error.strerror}")
        return self._chunk

    def advance(self, stop_row: int) -> None:
        """Pass the records of the last chunk whose number is less than `stop_row`."""
        chunk = self._chunk
        if chunk is None or len(chunk.row) == 0:
            return
        count = int(np.searchsorted(chunk.row, stop_row))
        if count == 0:
            return
        taken = _records(chunk.data)[:count]
        self._last = self._anchor = taken[-1:].tobytes()
        self._offset = self._begin + (int(chunk.row[count - 1]) + 1) * RECORD_BYTES
        self._lost = False
        if self._skip and max(self._skip) < stop_row:
            self._skip = frozenset()
        self._remember(taken)
        self._chunk = None

    def _absent(self, text: str) -> None:
        if self._last:
            self._mark_lost("is gone")
        elif not self._waiting:
            self._notify(FeedNotice(FeedNoticeKind.WAITING, text))
        self._waiting = True

    def _look(self, file: BinaryIO, limit: int) -> RecordChunk | None:
        size = os.fstat(file.fileno()).st_size
        head = file.read(HEADER.size)
        if len(head) < HEADER.size or not any(head):
            # Just made, or emptied to be written anew.
            self._absent(f"{self.path.name} has no header yet")
            return None
        self._begin = first_record(head, self.path.name)
        count = (size - self._begin) // RECORD_BYTES
        if count <= 0:
            if self._last:
                self._mark_lost("was emptied")
            return None
        if not self._probed:
            sample = self._rows(file, max(0, count - MARGIN), min(count, MARGIN))
            if not any(sample.tobytes()):
                return None
            self._probe(sample)
        if self._start is not None:
            self._place(file, count, self._start)
        self._waiting = False
        data = self._behind(file, size, limit, bool(self._anchor))
        if data is None:
            self._mark_lost("was rewritten" if size >= self._offset else "became shorter")
        if self._lost:
            if not self._resync(file, count):
                return None
            data = self._behind(file, size, limit, False)
        return self._chunk_of(data or b"", limit)

    def _chunk_of(self, data: bytes, limit: int) -> RecordChunk | None:
        records = _records(data)
        # A writer may make room before it writes: zeros are no records yet.
        n = len(records)
        while n and not any(records[n - 1].tobytes()):
            n -= 1
        if n == 0:
            return None
        first = (self._offset - self._begin) // RECORD_BYTES
        row = np.arange(first, first + n, dtype=np.int64)
        records = records[:n]
        if self._skip:
            keep = np.array([number not in self._skip for number in row.tolist()])
            if not keep.any():
                self._offset += n * RECORD_BYTES
                self._anchor = records[-1:].tobytes()
                return None
            row, records = row[keep], records[keep]
        return RecordChunk(records[:limit].tobytes(), row[:limit], len(row) > limit)

    def _behind(self, file: BinaryIO, size: int, limit: int, check: bool) -> bytes | None:
        """Return the bytes behind the position, None if it is not where it was."""
        if size < self._offset:
            return None
        file.seek(self._offset - RECORD_BYTES if check else self._offset)
        data = _read(file, (limit + 1 + check) * RECORD_BYTES)
        if not check:
            return data
        return data[RECORD_BYTES:] if data[:RECORD_BYTES] == self._anchor else None

    def _probe(self, sample: NDArray[np.void]) -> None:
        """Judge a file by its newest records."""
        check_times(sample, self.path.name)
        if is_bar(sample[is_sane_time(sample)]).all():
            raise FormatError(
                f"{self.path.name} holds bars and no trades: set Sierra's Intraday Data Storage "
                "Time Unit to 1 Tick and download again"
            )
        self._probed = True

    def _place(self, file: BinaryIO, count: int, ts: int) -> None:
        index = self._index_of(file, count, ts)
        self._offset = self._begin + index * RECORD_BYTES
        before = self._rows(file, max(0, index - MARGIN), min(index, MARGIN))
        self._last = self._anchor = before[-1:].tobytes()
        self._remember(before)
        self._start = None

    def _index_of(self, file: BinaryIO, count: int, ts: int) -> int:
        """Return the number of the first record at or after a time, steps back allowed for."""
        since = ts // 1000 + EPOCH_US
        start = max(0, self._bisect(file, count, since) - MARGIN)
        rows = self._rows(file, start, min(count - start, 2 * MARGIN))
        found = np.flatnonzero(rows["time"] >= since)
        return start + int(found[0]) if len(found) else count

    def _bisect(self, file: BinaryIO, count: int, time_us: int) -> int:
        low, high = 0, count
        while low < high:
            middle = (low + high) // 2
            row = self._rows(file, middle, 1)
            if len(row) == 0 or row["time"][0] >= time_us:
                high = middle
            else:
                low = middle + 1
        return low

    def _rows(self, file: BinaryIO, start: int, count: int) -> NDArray[np.void]:
        file.seek(self._begin + start * RECORD_BYTES)
        return _records(_read(file, count * RECORD_BYTES))

    def _mark_lost(self, what: str) -> None:
        if not self._lost:
            self._lost = self._told = True
            self._notify(FeedNotice(FeedNoticeKind.REWRITTEN, f"{self.path.name} {what}"))

    def _resync(self, file: BinaryIO, count: int) -> bool:
        """Find the place again; False if the file does not reach it yet."""
        place = self._bisect(file, count, self._high_ms * 1000)
        start = max(0, place - MARGIN)
        rows = self._rows(file, start, min(count - start, SEARCHED))
        ms = rows["time"] // 1000
        newest = np.flatnonzero(ms == self._high_ms).tolist()
        passed = _taken(rows, newest, self._recent)
        exact = _find(rows, newest, self._last, self._recent)
        if exact is not None:
            first = exact + 1
        else:
            later = np.flatnonzero((ms > self._high_ms) & is_sane_time(rows))
            if len(later) == 0:
                return False
            end = int(later[0])
            fresh = {number for number in newest if number < end} - passed
            first = min(fresh, default=end)
            passed |= set(range(first, end)) - fresh
            if start == 0 and end == 0 and self._told:
                self._gap(int(rows["time"][0]))
        self._skip = frozenset(start + number for number in passed if number > first)
        was = (self._offset - self._begin) // RECORD_BYTES
        index = start + first
        self._offset = self._begin + index * RECORD_BYTES
        # Without a record before it, the place is searched for until one is taken.
        self._lost = index == 0
        if index:
            self._anchor = self._rows(file, index - 1, 1).tobytes()
        if self._told:
            self._told = False
            self.resyncs += 1
            text = f"{self.path.name}: continued at record {index}, was at {was}"
            self._notify(FeedNotice(FeedNoticeKind.RESYNCED, text))
        return True

    def _gap(self, first_us: int) -> None:
        ts_from = (self._high_ms * 1000 - EPOCH_US) * 1000
        ts_to = (first_us - EPOCH_US) * 1000
        text = f"{self.path.name} now begins behind the last trade taken"
        self._notify(FeedNotice(FeedNoticeKind.GAP, text, ts_from, ts_to))

    def _remember(self, taken: NDArray[np.void]) -> None:
        taken = taken[is_sane_time(taken)]
        newest = _newest_ms(taken)
        if len(taken) == 0 or newest < self._high_ms:
            return
        known = self._recent if newest == self._high_ms else b""
        self._recent = known + taken[taken["time"] // 1000 == newest].tobytes()
        self._high_ms = newest


def _records(data: bytes) -> NDArray[np.void]:
    return np.frombuffer(data, RECORD_DTYPE, len(data) // RECORD_BYTES)


def _read(file: BinaryIO, count: int) -> bytes:
    """Read up to `count` bytes; an unbuffered file may give fewer at a time."""
    parts: list[bytes] = []
    while count > 0:
        part = file.read(count)
        if not part:
            break
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _newest_ms(records: NDArray[np.void]) -> int:
    return int(records["time"].max()) // 1000 if len(records) else 0


def _find(rows: NDArray[np.void], newest: list[int], last: bytes, recent: bytes) -> int | None:
    """Return where the last record lies among rows, None if it does not lie there surely.

    History of a server may count the records of a millisecond in another way, and the bytes
    of one record may then be those of its neighbour: all that were taken must be there.
    """
    if not last:
        return None
    time = int.from_bytes(last[:8], "little", signed=True)
    at = [i for i in np.flatnonzero(rows["time"] == time).tolist() if rows[i].tobytes() == last]
    if not at:
        return None
    known = _records(recent)
    taken = Counter(known[i].tobytes() for i in range(len(known)))
    index = int(at[min(max(taken[last], 1), len(at)) - 1])
    there = Counter(rows[i].tobytes() for i in newest if i <= index)
    return index if taken <= there else None


def _taken(rows: NDArray[np.void], among: list[int], recent: bytes) -> set[int]:
    """Return which rows of the newest millisecond were taken; their counters may differ."""
    known = _records(recent)
    budget = Counter(known[i].tobytes()[8:] for i in range(len(known)))
    taken = set()
    for i in among:
        payload = rows[i].tobytes()[8:]
        if budget[payload] > 0:
            budget[payload] -= 1
            taken.add(i)
    return taken
