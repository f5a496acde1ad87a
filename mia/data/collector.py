"""Records a running feed, so that neither a kill nor a full disk costs what was recorded.

What comes is in the file of its session within `FLUSH_S` and on the medium within a second. A
source that can be asked again from a position, as a file can, continues behind the last trade that
was written; after a restart of any other, the trades that were missed are marked as a gap.
"""

import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mia.core import sessions
from mia.core.base_types import TradeBlock
from mia.core.market_feed import FeedNotice, FeedNoticeKind
from mia.core.protocols import Clock
from mia.data.files import writing
from mia.data.process_lock import ProcessLock
from mia.data.segment_frames import DONE, OPEN, Fill, GapMark, Note, SegmentHead
from mia.data.segments import SegmentWriter, read_segment
from mia.errors import DataError

FOLDER = "collecting"
FLUSH_S = 0.25
SYNC_S = 1.0
GRACE_NS = 60 * 10**9
"""How long after its end, and after its last trade, a session counts as over."""

_COLUMNS = ("ts_event", "price", "size", "aggressor_side", "bid_price", "ask_price")
_FLUSH_TRADES = 8_192

Alarm = Callable[[str], None]
Key = tuple[str, int, str]


class DiskNearlyFullError(DataError):
    """The collector stopped before the disk was full."""


@dataclass(frozen=True, slots=True)
class DiskGuard:
    """How much room the collector leaves to others.

    Attributes
    ----------
    stop_bytes : int
        With less free the collector stops.
    alarm_bytes : int
        With less free it raises an alarm.
    """

    stop_bytes: int = 1 << 30
    alarm_bytes: int = 5 << 30


def feed_folder(store: Path, feed: str) -> Path:
    """Return where the segments of a feed are."""
    return store / FOLDER / feed


def segments_of(store: Path, feed: str, endings: tuple[str, ...] = (OPEN, DONE)) -> list[Path]:
    """List the segments of a feed by contract and session."""
    folder = feed_folder(store, feed)
    return sorted(path for end in endings for path in folder.glob(f"*{end}"))


class Collector:
    """Writes one feed's trades into segments; one process at a time.

    Parameters
    ----------
    store : Path
        The store that the segments are compacted into.
    feed : str
        As in ``sierra``; names the folder.
    clock : Clock
        For the ends of sessions, and times of receipt that a feed does not give.
    guard : DiskGuard
    alarm : callable
        Told in a line of what somebody should look at.
    free : callable
        Gives the free bytes of a path's file system.

    Raises
    ------
    AlreadyRunning
        If another process collects the same feed.
    DataError
        If the disk refuses, or has no room.

    Attributes
    ----------
    alarm : callable
    position : dict, optional
        Where the feed is to go on; None if it cannot, or never ran.
    newest : int
        Exchange time of the newest trade written in earlier runs and in this one; 0 without any.
    trades : int
        Trades written since the start.
    refused : int
        Trades refused because no session of the calendar holds their time.
    notices : Counter
        Notices of the feed by kind.
    marked : int
        Gaps marked since the start.
    """

    def __init__(
        self,
        store: Path,
        feed: str,
        clock: Clock,
        *,
        guard: DiskGuard | None = None,
        alarm: Alarm = lambda text: None,
        free: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free,
    ) -> None:
        self.store, self.feed = store, feed
        self._clock, self.alarm, self._free = clock, alarm, free
        self._guard = guard or DiskGuard()
        self._folder = feed_folder(store, feed)
        with writing(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
        self._lock = ProcessLock(self._folder / "lock")
        self._lock.acquire(f"the collection of {feed} in {store}")
        self._writers: dict[Key, SegmentWriter] = {}
        self._pending: list[TradeBlock] = []
        self._pending_count = 0
        self._pending_recv = 0
        self._pending_position: Mapping[str, Any] | None = None
        self._gaps: list[GapMark] = []
        self._flushed = self._synced = time.monotonic()
        self._received: dict[Key, int] = {}
        self._span: tuple[int, int, int] = (0, 0, 0)
        self._alarmed = False
        self._closed = False
        self._down_since = 0
        self._number = 0
        self.trades = self.refused = self.marked = 0
        self.notices: Counter[FeedNoticeKind] = Counter()
        self.position: dict[str, Any] | None = None
        self.newest = 0
        try:
            self._check_disk()
            self._remember()
        except BaseException:
            self._lock.release()
            raise

    def add(
        self, block: TradeBlock, ts_recv: int = 0, position: Mapping[str, Any] | None = None
    ) -> None:
        """Take trades; they are written together with others that come within `FLUSH_S`.

        Parameters
        ----------
        block : TradeBlock
            Kept until it is written: it must not change.
        ts_recv : int
            When they were received, ns UTC; now if 0.
        position : mapping, optional
            Where the feed goes on behind these trades; plain values.

        Raises
        ------
        DataError
            If the disk refuses or has no room. What was written before stays whole.
        """
        if not len(block):
            return
        head = self._pending[-1] if self._pending else block
        if (head.contract, head.kind) != (block.contract, block.kind):
            self.flush()
        self._pending.append(block)
        self._pending_count += len(block)
        self._pending_recv = ts_recv or self._clock.now()
        self._pending_position = position
        overdue = time.monotonic() - self._flushed >= FLUSH_S
        if overdue or self._pending_count >= _FLUSH_TRADES:
            self.flush()

    def on_notice(self, notice: FeedNotice) -> None:
        """Take a word of the feed about itself; gaps are marked before what comes next."""
        self.notices[notice.kind] += 1
        if notice.kind is FeedNoticeKind.GAP:
            self.mark_gap(notice.text, notice.ts_from, notice.ts_to)
        elif notice.kind is FeedNoticeKind.LINK_DOWN:
            self.flush()
            self._down_since = self._down_since or self.newest or self._clock.now()
        elif notice.kind is FeedNoticeKind.LINK_UP and self._down_since:
            since, self._down_since = self._down_since, 0
            self.mark_gap("the connection was lost", since, self._clock.now())
        for writer in self._writers.values():
            writer.note(Note(notice.kind.value, notice.text))

    def mark_gap(self, text: str, ts_from: int = 0, ts_to: int = 0) -> None:
        """Mark that trades may be missing between what was written and what comes."""
        self.flush()
        self._gaps.append(GapMark(ts_from or self.newest, ts_to or self._clock.now(), text))

    def beat(self) -> None:
        """Do what time demands: write, sync, look at the disk. Call it a few times a second.

        Raises
        ------
        DataError
            As `add`.
        """
        now = time.monotonic()
        if self._pending and now - self._flushed >= FLUSH_S:
            self.flush()
        if now - self._synced >= SYNC_S:
            self._synced = now
            for writer in self._writers.values():
                writer.sync()
            self._check_disk()

    def flush(self) -> None:
        """Write what was taken.

        Raises
        ------
        DataError
            As `add`.
        """
        self._flushed = time.monotonic()
        if not self._pending:
            return
        blocks, self._pending, self._pending_count = self._pending, [], 0
        columns = {
            name: np.concatenate([getattr(block, name) for block in blocks])
            if len(blocks) > 1
            else getattr(blocks[0], name)
            for name in _COLUMNS
        }
        recv, position = self._pending_recv, self._pending_position
        first = blocks[0]
        parts = list(self._by_session(columns["ts_event"]))
        for k, (session, which) in enumerate(parts):
            part = columns if which is None else {n: c[which] for n, c in columns.items()}
            writer = self._writer((first.contract, session, first.kind))
            for gap in self._gaps:
                writer.mark_gap(gap)
            self.marked += len(self._gaps)
            self._gaps.clear()
            # Only the last part may say where the feed goes on: the others are not all of it.
            self._number += 1
            where = position if k == len(parts) - 1 else None
            writer.add(part, recv, where, self._number)
            self._received[first.contract, session, first.kind] = self._clock.now()
            self.trades += len(part["ts_event"])
            self.newest = max(self.newest, int(part["ts_event"].max()))
        self.position = None if position is None else dict(position)

    def fill(self, head: SegmentHead, fill: Fill) -> None:
        """Write what history told of a hole in a segment.

        Raises
        ------
        DataError
            As `add`.
        """
        self._writer((head.contract, head.session_id, head.kind)).fill(fill)

    def over(self) -> list[Path]:
        """Return the segments whose session is over; they are closed and not written any more."""
        now = self._clock.now()
        over = []
        for path in segments_of(self.store, self.feed, (OPEN,)):
            contract, session, kind = path.name.removesuffix(OPEN).split(".")
            key = contract, int(session), kind
            open_spans = sessions.expected_intervals(key[1])
            end = open_spans[-1][1] if open_spans else 0
            last = max(self._received.get(key, 0), end)
            if now >= last + GRACE_NS:
                if key in self._writers:
                    self._writers.pop(key).close()
                over.append(path)
        return over

    def close(self) -> None:
        """Write and sync everything, and let the next collector in.

        Raises
        ------
        DataError
            If the disk refuses; the files are let go of all the same.
        """
        if self._closed:
            return
        self._closed = True
        try:
            self.flush()
            for writer in list(self._writers.values())[-1:]:
                for gap in self._gaps:
                    writer.mark_gap(gap)
        finally:
            for writer in self._writers.values():
                writer.close()
            self._writers.clear()
            self._lock.release()

    def __enter__(self) -> "Collector":
        """Return the collector."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close it."""
        self.close()

    def _remember(self) -> None:
        """Learn from the segments where earlier runs ended."""
        paths = segments_of(self.store, self.feed)
        segments = [segment for path in paths if (segment := read_segment(path)) is not None]
        known = [b for s in segments for b in s.batches() if b.position is not None]
        last = max(known, key=lambda batch: batch.number, default=None)
        if last is not None:
            self.position = last.position
            for segment in segments:
                # Trades of two sessions came at once, and a crash came between the two: the first
                # have no position of their own, and will come again.
                segment.cut_behind(last.number)
        for segment in segments:
            for batch in segment.batches():
                self.newest = max(self.newest, int(batch.block.ts_event.max()))
                self._number = max(self._number, batch.number)
        if self.newest and last is None:
            self._gaps.append(GapMark(self.newest, self._clock.now(), "the collector did not run"))

    def _by_session(self, ts: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.bool_] | None]]:
        first, last = int(ts.min()), int(ts.max())
        opened, end, session = self._span
        if not opened <= first <= last < end:
            inside = sessions.covered(ts)
            if not inside.all():
                self.refused += int((~inside).sum())
                self.alarm(f"{self.feed}: {int((~inside).sum())} trades have impossible times")
            if not inside.any():
                return
            ids = np.where(inside, sessions.session_ids(np.where(inside, ts, ts[inside][0])), 0)
            for number in np.unique(ids[inside]).tolist():
                yield number, ids == number
            newest = int(ids[inside].max())
            row = sessions.session_table(newest, newest)[0]
            self._span = int(row["t_open"]), int(row["t_end"]), newest
            return
        yield session, None

    def _writer(self, key: Key) -> SegmentWriter:
        writer = self._writers.get(key)
        if writer is None:
            contract, session, kind = key
            head = SegmentHead(self.feed, contract, session, kind)
            writer = self._writers[key] = SegmentWriter(self._folder, head)
            if writer.torn:
                self.alarm(f"{writer.path.name}: {writer.torn} bytes torn by a crash were cut off")
        return writer

    def _check_disk(self) -> None:
        with writing(self._folder):
            free = self._free(self._folder)
        if free < self._guard.stop_bytes:
            text = f"only {free >> 20} MiB are free for {self.store}: collecting stops"
            self.alarm(text)
            raise DiskNearlyFullError(f"{text}; free some and start again")
        if free < self._guard.alarm_bytes and not self._alarmed:
            self.alarm(f"only {free >> 20} MiB are free for {self.store}")
        self._alarmed = free < self._guard.alarm_bytes
