"""Holes in what a collector recorded: where they are, and what history tells of them.

Live trades are written at once, whatever is missing before them; history is asked later and its
answer appended. It counts only if it confirms what was recorded on both sides of the hole.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mia.core import sessions
from mia.core.base_types import TradeBlock
from mia.data.segment_frames import Batch, Fill, GapMark, SegmentHead
from mia.data.segments import Segment

SECOND_NS = 1_000_000_000
OpenEnds = tuple[int, int]
"""Newest trade before a hole and first one after it, ns UTC."""

_COLUMNS = ("ts_event", "price", "size", "aggressor_side", "bid_price", "ask_price")


@dataclass(frozen=True, slots=True)
class Hole:
    """A stretch in which trades may be missing.

    Attributes
    ----------
    since, until : int
        Newest trade before it, or the opening of the session if there is none, and first trade
        after it; ns UTC. `until` is 0 as long as none came.
    filled : int or None
        Trades that history told; None while it is open.
    """

    since: int
    until: int
    filled: int | None


@dataclass(frozen=True, slots=True)
class OpenHole:
    """A hole that history may be asked about.

    Attributes
    ----------
    head : SegmentHead
        Of its segment.
    since, until : int
        As of `Hole`.
    before, after : TradeBlock
        What was recorded in the second of `since`, and in the second that begins with `until`.
    """

    head: SegmentHead
    since: int
    until: int
    before: TradeBlock
    after: TradeBlock


def stretches(segment: Segment) -> Iterator[tuple[Batch, OpenEnds | None]]:
    """Yield what was recorded, batch by batch, each with the hole before it if there is one."""
    newest = sessions.session_open(segment.head.session_id)
    gap = False
    for frame in segment.frames:
        if isinstance(frame, GapMark):
            gap = True
        elif isinstance(frame, Batch) and len(frame.block):
            ts = frame.block.ts_event
            yield frame, (newest, int(ts.min())) if gap else None
            newest, gap = max(newest, int(ts.max())), False


def told_of(segment: Segment) -> dict[OpenEnds, Fill]:
    """Return what history told, by the ends of each hole."""
    return {(fill.since, fill.until): fill for fill in segment.fills()}


def holes_of(segment: Segment) -> list[Hole]:
    """List the holes of a segment in the order in which they came."""
    told = told_of(segment)
    found: list[Hole] = []
    newest = sessions.session_open(segment.head.session_id)
    for batch, ends in stretches(segment):
        if ends is not None:
            fill = told.get(ends)
            found.append(Hole(*ends, None if fill is None else len(fill.block)))
        newest = max(newest, int(batch.block.ts_event.max()))
    last = [frame for frame in segment.frames if isinstance(frame, GapMark | Batch)][-1:]
    if last and isinstance(last[0], GapMark):
        found.append(Hole(newest, 0, None))
    return found


def open_holes(segment: Segment) -> list[OpenHole]:
    """List the holes that are open and have an end, with what lies beside them."""
    told = told_of(segment)
    walked = list(stretches(segment))
    found = []
    for place, (_, ends) in enumerate(walked):
        if ends is None or ends in told:
            continue
        since, until = ends
        second = since // SECOND_NS * SECOND_NS
        sides = (
            _within(walked[:place], second, since + 1),
            _within(walked[place:], until, until + SECOND_NS),
        )
        before, after = (joined(segment.head, side) for side in sides)
        found.append(OpenHole(segment.head, since, until, before, after))
    return found


def _within(walked: list[tuple[Batch, OpenEnds | None]], start: int, end: int) -> list[TradeBlock]:
    parts = []
    for batch, _ in walked:
        ts = batch.block.ts_event
        inside = (ts >= start) & (ts < end)
        if inside.any():
            parts.append(chosen(batch.block, inside))
    return parts


def span_of(hole: OpenHole) -> tuple[int, int]:
    """Return what history is to be asked for: from, up to but not including, ns UTC."""
    return hole.since // SECOND_NS * SECOND_NS, hole.until + SECOND_NS


def missing(hole: OpenHole, told: TradeBlock, now: int) -> Fill | str:
    """Return what history adds to a recording, or why it cannot be used.

    Parameters
    ----------
    hole : OpenHole
    told : TradeBlock
        All trades of `span_of`, in order.
    now : int
        ns UTC.
    """
    left = {"before": Counter(_prints(hole.before)), "after": Counter(_prints(hole.after))}
    new = []
    for k, one in enumerate(_prints(told)):
        ts = one[0]
        if ts <= hole.since and left["before"][one]:
            left["before"][one] -= 1
        elif ts >= hole.until and left["after"][one]:
            left["after"][one] -= 1
        elif hole.since <= ts <= hole.until:
            new.append(k)
    for side, rest in left.items():
        if rest.total():
            return f"it lacks {rest.total()} trades that were recorded {side} the hole"
    return Fill(hole.since, hole.until, chosen(told, np.array(new, np.int64)), now)


def joined(head: SegmentHead, blocks: list[TradeBlock]) -> TradeBlock:
    """Return blocks as one, which may be empty."""
    if not blocks:
        nothing = np.empty(0, np.int32)
        blocks = [
            TradeBlock(
                head.contract,
                np.empty(0, np.int64),
                nothing,
                nothing,
                np.empty(0, np.int8),
                nothing,
                nothing,
                head.kind,
            )
        ]
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(b, name) for b in blocks]) for name in _COLUMNS
    }
    return TradeBlock(head.contract, kind=head.kind, **columns)


def chosen(block: TradeBlock, which: NDArray[np.bool_] | NDArray[np.int64]) -> TradeBlock:
    """Return some of the trades of a block."""
    columns: dict[str, Any] = {name: getattr(block, name)[which] for name in _COLUMNS}
    return TradeBlock(block.contract, kind=block.kind, **columns)


def _prints(block: TradeBlock) -> list[tuple[int, int, int]]:
    columns = block.ts_event.tolist(), block.price.tolist(), block.size.tolist()
    return list(zip(*columns, strict=True))
