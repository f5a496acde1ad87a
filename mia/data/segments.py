"""Files to which a collector appends what a feed gives, so that a kill at any time costs nothing.

A segment holds one contract and one session of one feed: frames, each with a checksum. A frame that
a crash tore is at the end and is cut off before anything is appended; a damaged one in the middle
is passed over, and what follows it counts as following a gap.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from mia.data.files import reading, writing
from mia.data.journal_disk import sync_directory
from mia.data.segment_frames import (
    DONE,
    HEAD_BYTES,
    MARK,
    Batch,
    Fill,
    Frame,
    FrameKind,
    GapMark,
    Note,
    SegmentHead,
    fill_payload,
    frame_bytes,
    gap_payload,
    head_payload,
    note_payload,
    read_frame,
    read_frames,
    read_head,
    trades_payload,
)
from mia.errors import FormatError


class SegmentWriter:
    """Appends to a segment.

    Parameters
    ----------
    folder : Path
    head : SegmentHead

    Raises
    ------
    DataError
        If the disk refuses.
    FormatError
        If the file is of something else.

    Attributes
    ----------
    path : Path
    head : SegmentHead
    torn : int
        Bytes at the end that a crash had torn and that were cut off.
    """

    def __init__(self, folder: Path, head: SegmentHead) -> None:
        self.head = head
        self.path = folder / head.file_name()
        self.torn = 0
        with writing(self.path):
            folder.mkdir(parents=True, exist_ok=True)
            done = self.path.with_suffix(DONE)
            if done.exists() and not self.path.exists():
                # Trades of a session that was thought to be over: it is taken up again.
                done.rename(self.path)
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            size = os.fstat(self._file).st_size
            try:
                end = self._check() if size else 0
            except BaseException:
                os.close(self._file)
                raise
            if end < size:
                self.torn = size - end
                os.ftruncate(self._file, end)
            self._size = end
            if not end:
                self._append(FrameKind.HEAD, head_payload(head))
                self.sync()
                sync_directory(folder)

    def add(
        self,
        columns: Mapping[str, NDArray[Any]],
        ts_recv: int,
        position: Mapping[str, Any] | None,
        number: int,
    ) -> None:
        """Append trades; they survive the end of this process on return.

        Raises
        ------
        DataError
            If the disk refuses; the segment then ends where it ended before.
        """
        payload = trades_payload(columns, ts_recv, position, number)
        with writing(self.path):
            self._append(FrameKind.TRADES, payload)

    def fill(self, fill: Fill) -> None:
        """Append what history told of a hole."""
        payload = fill_payload(fill)
        with writing(self.path):
            self._append(FrameKind.FILL, payload)

    def mark_gap(self, gap: GapMark) -> None:
        """Append the mark of a gap."""
        with writing(self.path):
            self._append(FrameKind.GAP, gap_payload(gap))

    def note(self, note: Note) -> None:
        """Append a word about the feed."""
        with writing(self.path):
            self._append(FrameKind.NOTE, note_payload(note))

    def sync(self) -> None:
        """Make what was appended survive a loss of power."""
        with writing(self.path):
            os.fsync(self._file)

    def close(self) -> None:
        """Make everything durable and let go of the file."""
        try:
            self.sync()
        finally:
            os.close(self._file)

    def _append(self, kind: FrameKind, payload: bytes) -> None:
        data = frame_bytes(kind, payload)
        try:
            written = os.write(self._file, data)
            if written < len(data):
                raise OSError(28, "No space left on device")
        except OSError:
            os.ftruncate(self._file, self._size)
            raise
        self._size += len(data)

    def _check(self) -> int:
        """Return where the last whole frame ends; the file must be of the same head."""
        data = self.path.read_bytes()
        end = 0
        for kind, payload, stop, _ in read_frames(data):
            if not end and (kind != FrameKind.HEAD or read_head(payload) != self.head):
                raise FormatError(f"{self.path} is no segment of this feed: move it away")
            end = stop
        return end


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment as it is on disk.

    Attributes
    ----------
    path : Path
    head : SegmentHead
    frames : tuple of Batch, GapMark or Note
        In the order in which they were written.
    damaged : int
        Bytes in the middle that were not what was written.
    torn : int
        Bytes at the end that a crash tore.
    """

    path: Path
    head: SegmentHead
    frames: tuple[Frame, ...]
    damaged: int
    torn: int

    def batches(self) -> Iterator[Batch]:
        """Yield the trades."""
        for frame in self.frames:
            if isinstance(frame, Batch):
                yield frame

    def fills(self) -> list[Fill]:
        """List what history told of holes."""
        return [frame for frame in self.frames if isinstance(frame, Fill)]

    def cut_behind(self, number: int) -> None:
        """Cut off trades at the end that came after batch `number` and have no position.

        Raises
        ------
        DataError
            If the disk refuses.
        """
        for batch in self.batches():
            if batch.position is None and batch.number > number:
                with writing(self.path):
                    os.truncate(self.path, batch.start)
                return


def read_segment(path: Path) -> Segment | None:
    """Read a segment, also while it is written; None if not even its head is whole.

    Raises
    ------
    DataError
        If the disk refuses.
    FormatError
        If it is no segment, or of a newer version.
    """
    with reading(path):
        data = path.read_bytes()
    head: SegmentHead | None = None
    frames: list[Frame] = []
    end = damaged = 0
    for kind, payload, stop, skipped in read_frames(data):
        if head is None:
            if kind != FrameKind.HEAD:
                break
            head = read_head(payload)
        else:
            if skipped:
                damaged += skipped
                frames.append(GapMark(0, 0, f"{skipped} bytes of {path.name} are damaged"))
            start = stop - len(payload) - HEAD_BYTES
            frames.append(read_frame(kind, payload, head, start))
        end = stop
    if head is None:
        if len(data) > HEAD_BYTES and not data.startswith(MARK):
            raise FormatError(f"{path} is no segment of a collector")
        return None
    return Segment(path, head, tuple(frames), damaged, len(data) - end)
