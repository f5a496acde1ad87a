"""Files to which a collector appends what a feed gives, so that a kill at any time costs nothing.

A segment holds one contract and one session of one feed: frames, each with a checksum. A frame that
a crash tore is at the end and is cut off before anything is appended; a damaged one in the middle
is passed over, and what follows it counts as following a gap.
"""

import json
import os
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mia.core.base_types import TradeBlock
from mia.data.files import reading, writing
from mia.data.journal_disk import sync_directory
from mia.errors import FormatError

OPEN, DONE = ".seg", ".done"
"""Endings of a segment that is written and of one that the store has taken over."""

_MARK = b"MSEG"
_FRAME = struct.Struct("<4sBII")
_BATCH = struct.Struct("<qQII")
_FILL = struct.Struct("<qqqI")
_VERSION = 1
_COLUMNS = (
    ("ts_event", np.dtype("<i8")),
    ("price", np.dtype("<i4")),
    ("size", np.dtype("<i4")),
    ("aggressor_side", np.dtype("<i1")),
    ("bid_price", np.dtype("<i4")),
    ("ask_price", np.dtype("<i4")),
)


class FrameKind(IntEnum):
    """What a frame holds."""

    HEAD = 1
    TRADES = 2
    GAP = 3
    NOTE = 4
    FILL = 5


@dataclass(frozen=True, slots=True)
class SegmentHead:
    """What a segment is a segment of.

    Attributes
    ----------
    feed : str
        As in ``sierra``.
    contract : str
        As in ``ESZ25``.
    session_id : int
        Trade date, yyyymmdd.
    kind : str
        ``summary`` or ``fill``.
    """

    feed: str
    contract: str
    session_id: int
    kind: str

    def file_name(self) -> str:
        """Name of its file while it is written."""
        return f"{self.contract}.{self.session_id}.{self.kind}{OPEN}"


@dataclass(frozen=True, slots=True)
class Batch:
    """Trades that were written in one go.

    Attributes
    ----------
    block : TradeBlock
    ts_recv : int
        When the newest of them was received, ns UTC.
    position : dict, optional
        Where the feed went on behind them.
    number : int
        Counts the batches of the feed, from 1; unlike times it never goes back.
    start : int
        Where it begins.
    """

    block: TradeBlock
    ts_recv: int
    position: dict[str, Any] | None
    number: int
    start: int


@dataclass(frozen=True, slots=True)
class GapMark:
    """Trades between two times, ns UTC, may be missing before what follows."""

    ts_from: int
    ts_to: int
    text: str


@dataclass(frozen=True, slots=True)
class Note:
    """A word about the feed."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Fill:
    """What history told of a hole, later.

    Attributes
    ----------
    since, until : int
        Newest trade before the hole and first one after it, ns UTC.
    block : TradeBlock
        The trades that were missing; may be empty.
    ts_recv : int
        When history told of them, ns UTC.
    """

    since: int
    until: int
    block: TradeBlock
    ts_recv: int


Frame = Batch | GapMark | Note | Fill


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
                body = {
                    "version": _VERSION,
                    "feed": head.feed,
                    "contract": head.contract,
                    "session_id": head.session_id,
                    "kind": head.kind,
                }
                self._append(FrameKind.HEAD, json.dumps(body).encode())
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
        count = len(columns["ts_event"])
        where = b"" if position is None else json.dumps(position).encode()
        parts = [_BATCH.pack(ts_recv, number, count, len(where)), where]
        parts += [np.ascontiguousarray(columns[name], kind).tobytes() for name, kind in _COLUMNS]
        with writing(self.path):
            self._append(FrameKind.TRADES, b"".join(parts))

    def fill(self, fill: Fill) -> None:
        """Append what history told of a hole."""
        head = _FILL.pack(fill.since, fill.until, fill.ts_recv, len(fill.block))
        parts = [getattr(fill.block, name).astype(kind).tobytes() for name, kind in _COLUMNS]
        with writing(self.path):
            self._append(FrameKind.FILL, head + b"".join(parts))

    def mark_gap(self, gap: GapMark) -> None:
        """Append the mark of a gap."""
        body = {"ts_from": gap.ts_from, "ts_to": gap.ts_to, "text": gap.text}
        with writing(self.path):
            self._append(FrameKind.GAP, json.dumps(body).encode())

    def note(self, note: Note) -> None:
        """Append a word about the feed."""
        with writing(self.path):
            body = {"kind": note.kind, "text": note.text}
            self._append(FrameKind.NOTE, json.dumps(body).encode())

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
        check = zlib.crc32(payload, zlib.crc32(bytes([kind])))
        data = _FRAME.pack(_MARK, kind, len(payload), check) + payload
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
        for kind, payload, stop, _ in _frames(data):
            if not end and (kind != FrameKind.HEAD or _head(payload) != self.head):
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
    for kind, payload, stop, skipped in _frames(data):
        if head is None:
            if kind != FrameKind.HEAD:
                break
            head = _head(payload)
        else:
            if skipped:
                damaged += skipped
                frames.append(GapMark(0, 0, f"{skipped} bytes of {path.name} are damaged"))
            start = stop - len(payload) - _FRAME.size
            frames.append(_frame(kind, payload, head, start))
        end = stop
    if head is None:
        if len(data) > _FRAME.size and not data.startswith(_MARK):
            raise FormatError(f"{path} is no segment of a collector")
        return None
    return Segment(path, head, tuple(frames), damaged, len(data) - end)


def _frames(data: bytes) -> Iterator[tuple[int, bytes, int, int]]:
    """Yield kind, payload, end, and how many damaged bytes were passed over before."""
    at = skipped = 0
    while (at := data.find(_MARK, at)) >= 0:
        if at + _FRAME.size > len(data):
            return
        _, kind, length, check = _FRAME.unpack_from(data, at)
        start = at + _FRAME.size
        payload = data[start : start + length]
        whole = len(payload) == length
        if whole and zlib.crc32(payload, zlib.crc32(bytes([kind]))) == check:
            yield kind, payload, start + length, at - skipped
            at = skipped = start + length
        else:
            at += 1


def _head(payload: bytes) -> SegmentHead:
    body = json.loads(payload)
    if body.pop("version") != _VERSION:
        raise FormatError("a segment of a newer version of MIA: use that version")
    return SegmentHead(**body)


def _frame(kind: int, payload: bytes, head: SegmentHead, start: int) -> Frame:
    if kind == FrameKind.GAP:
        return GapMark(**json.loads(payload))
    if kind == FrameKind.NOTE:
        return Note(**json.loads(payload))
    if kind == FrameKind.FILL:
        since, until, ts_recv, count = _FILL.unpack_from(payload)
        return Fill(since, until, _block(payload, _FILL.size, count, head), ts_recv)
    if kind != FrameKind.TRADES:
        raise FormatError(f"frame of unknown kind {kind}: use the version of MIA that wrote it")
    ts_recv, number, count, length = _BATCH.unpack_from(payload)
    at = _BATCH.size
    where = json.loads(payload[at : at + length]) if length else None
    return Batch(_block(payload, at + length, count, head), ts_recv, where, number, start)


def _block(payload: bytes, at: int, count: int, head: SegmentHead) -> TradeBlock:
    columns: dict[str, Any] = {}
    for name, dtype in _COLUMNS:
        columns[name] = np.frombuffer(payload, dtype, count, at)
        at += columns[name].nbytes
    return TradeBlock(head.contract, kind=head.kind, **columns)
