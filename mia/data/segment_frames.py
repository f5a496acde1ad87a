"""Frames of a collector's segment: what each kind holds, and how it stands in bytes.

A frame is a mark, a kind, a length and a checksum, then its payload, so that what a crash tore or a
disk damaged is known, and what follows it can be found again.
"""

import json
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mia.core.base_types import TradeBlock
from mia.errors import FormatError

OPEN, DONE = ".seg", ".done"
"""Endings of a segment that is written and of one that the store has taken over."""

MARK = b"MSEG"
"""Begins every frame."""

_FRAME = struct.Struct("<4sBII")
HEAD_BYTES = _FRAME.size
"""Of a frame, before its payload."""

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


def frame_bytes(kind: FrameKind, payload: bytes) -> bytes:
    """Return a frame as it is written."""
    return _FRAME.pack(MARK, kind, len(payload), _check(kind, payload)) + payload


def head_payload(head: SegmentHead) -> bytes:
    """Return the payload of the frame that begins a segment."""
    body = {
        "version": _VERSION,
        "feed": head.feed,
        "contract": head.contract,
        "session_id": head.session_id,
        "kind": head.kind,
    }
    return json.dumps(body).encode()


def trades_payload(
    columns: Mapping[str, NDArray[Any]],
    ts_recv: int,
    position: Mapping[str, Any] | None,
    number: int,
) -> bytes:
    """Return the payload of a `Batch`; `columns` are those of a `TradeBlock`, by name."""
    where = b"" if position is None else json.dumps(position).encode()
    parts = [_BATCH.pack(ts_recv, number, len(columns["ts_event"]), len(where)), where]
    parts += [np.ascontiguousarray(columns[name], kind).tobytes() for name, kind in _COLUMNS]
    return b"".join(parts)


def fill_payload(fill: Fill) -> bytes:
    """Return the payload of a `Fill`."""
    parts = [_FILL.pack(fill.since, fill.until, fill.ts_recv, len(fill.block))]
    parts += [getattr(fill.block, name).astype(kind).tobytes() for name, kind in _COLUMNS]
    return b"".join(parts)


def gap_payload(gap: GapMark) -> bytes:
    """Return the payload of a `GapMark`."""
    body = {"ts_from": gap.ts_from, "ts_to": gap.ts_to, "text": gap.text}
    return json.dumps(body).encode()


def note_payload(note: Note) -> bytes:
    """Return the payload of a `Note`."""
    return json.dumps({"kind": note.kind, "text": note.text}).encode()


def _check(kind: int, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(bytes([kind])))


def read_frames(data: bytes) -> Iterator[tuple[int, bytes, int, int]]:
    """Yield kind, payload, end, and how many damaged bytes were passed over before."""
    at = skipped = 0
    while (at := data.find(MARK, at)) >= 0:
        if at + _FRAME.size > len(data):
            return
        _, kind, length, check = _FRAME.unpack_from(data, at)
        start = at + _FRAME.size
        payload = data[start : start + length]
        whole = len(payload) == length
        if whole and _check(kind, payload) == check:
            yield kind, payload, start + length, at - skipped
            at = skipped = start + length
        else:
            at += 1


def read_head(payload: bytes) -> SegmentHead:
    """Read the payload of the frame that begins a segment.

    Raises
    ------
    FormatError
        If a newer version wrote it.
    """
    body = json.loads(payload)
    if body.pop("version") != _VERSION:
        raise FormatError("a segment of a newer version of MIA: use that version")
    return SegmentHead(**body)


def read_frame(kind: int, payload: bytes, head: SegmentHead, start: int) -> Frame:
    """Read the payload of any other frame, which begins at `start`.

    Raises
    ------
    FormatError
        If the kind is unknown.
    """
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
