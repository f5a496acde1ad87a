"""One tape out of what was stored, what a source of history can tell, and what arrives live.

Times of the wire are whole seconds, so the seams lie between seconds. The last second of the store
may be incomplete, since its writer may have died in it, and so may be the first second of the live
feed: both are read from history. Where history and live feed overlap they must agree.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mia.core import sessions
from mia.core.base_types import TradeBlock
from mia.data.wire_tape import WireProjection
from mia.errors import DataError

SECOND_NS = 1_000_000_000
OVERLAP_NS = 60 * SECOND_NS
"""How much of the live feed is compared with history."""
LONGEST_SILENCE_NS = 600 * SECOND_NS
"""Between two trades of an open market that need no explanation."""

History = Callable[[int, int], Iterable[TradeBlock]]
"""Gives all trades with start <= ts < end, or raises `DataError`."""


@dataclass(frozen=True, slots=True)
class Hole:
    """Trades after `since` and before `until`, ns UTC, that no source has."""

    since: int
    until: int


@dataclass(frozen=True, slots=True)
class Stitched:
    """A tape up to now, and what is missing in it.

    Attributes
    ----------
    blocks : list of TradeBlock
        In time order, as the wire shows them; those of the past first.
    holes : list of Hole
        Only where the market trades.
    projection : WireProjection
        In the state after the last block; goes on with what follows.
    compared : int
        Trades of the live feed that history confirmed.
    notes : list of str
        Why there are holes.
    """

    blocks: list[TradeBlock]
    holes: list[Hole]
    projection: WireProjection
    compared: int
    notes: list[str]


class LiveBuffer:
    """Keeps live trades while the past is read.

    Attributes
    ----------
    since : int
        First second of which nothing can be missing, ns UTC; 0 before the first trade.
    asked_at : int, optional
        When history was asked for, ns UTC: of later trades it cannot know.
    """

    def __init__(self) -> None:
        self.since = 0
        self.asked_at: int | None = None
        self._blocks: list[TradeBlock] = []

    def subscribed(self, ts: int) -> None:
        """Tell that the feed runs from `ts` on, in the time of the exchange."""
        if not self.since:
            self.since = ts // SECOND_NS * SECOND_NS + SECOND_NS

    def add(self, block: TradeBlock) -> None:
        """Keep a block that came live; the second of the very first trade is incomplete."""
        if len(block):
            self.subscribed(int(block.ts_event[0]))
            self._blocks.append(block)

    def blocks(self) -> list[TradeBlock]:
        """Return what came in complete seconds."""
        return [b for block in self._blocks if len(b := cut(block, self.since, 2**63 - 1))]


def cut(block: TradeBlock, start: int, end: int) -> TradeBlock:
    """Return the trades with start <= ts < end."""
    ts = block.ts_event
    if len(ts) and ts[0] >= start and ts[-1] < end:
        return block
    return rows_of(block, (ts >= start) & (ts < end))


def rows_of(block: TradeBlock, inside: slice | NDArray[np.bool_]) -> TradeBlock:
    """Return some trades of a block."""
    return replace(
        block,
        ts_event=block.ts_event[inside],
        price=block.price[inside],
        size=block.size[inside],
        aggressor_side=block.aggressor_side[inside],
        bid_price=block.bid_price[inside],
        ask_price=block.ask_price[inside],
    )


def stitch(
    stored: Iterable[TradeBlock],
    history: History | None,
    live: LiveBuffer,
    start: int,
    silence_ns: int = LONGEST_SILENCE_NS,
    *,
    exact: bool = False,
) -> Stitched:
    """Join stored, historical and live trades without losing or doubling one.

    Parameters
    ----------
    stored : iterable of TradeBlock
        In time order, from `start` on; may be empty.
    history : callable, optional
        None if no source can tell of the past.
    live : LiveBuffer
        It must know since when it is complete.
    start : int
        From where on the tape is needed, ns UTC, on a whole second.
    silence_ns : int
        A longer silence of the store, while the market trades, may be a hole: history decides.
    exact : bool
        All three have times, quotes and sides of one and the same feed, which stay as they are.

    Returns
    -------
    Stitched

    Raises
    ------
    ValueError
        If the live feed has not begun.
    DataError
        If stored trades are not in time order.
    """
    if not live.since:
        raise ValueError("the live feed has not begun: its first complete second is unknown")
    past = _in_order(stored, live.since)
    arrived = live.blocks()
    notes: list[str] = []
    holes: list[Hole] = []
    compared = 0
    for first, last in unknown_spans(past, start, live.since, silence_ns):
        past = [
            part
            for block in past
            for part in (cut(block, 0, first), cut(block, last, 2**63 - 1))
            if len(part)
        ]
        told, agreed, note = _ask(
            history, first, last, arrived if last == live.since else [], live.asked_at
        )
        if told is None:
            holes += [Hole(since - 1, until) for since, until in trading_spans(first, last)]
            notes.append(note)
        else:
            past = sorted(past + told, key=lambda block: int(block.ts_event[0]))
            compared += agreed
    projection = WireProjection()
    blocks = [block if exact else projection.project(block) for block in (*past, *arrived)]
    return Stitched(blocks, holes, projection, compared, notes)


def rejoin(
    seen: TradeBlock, history: History | None, live: LiveBuffer, *, exact: bool = False
) -> Stitched:
    """Fill the hole that a lost connection left in a tape that goes on.

    Parameters
    ----------
    seen : TradeBlock
        Everything of the newest second that was seen, as the wire shows it, and at will more.
    history : callable, optional
        It must begin with what was seen of that second, or it is not believed.
    live : LiveBuffer
        What came since the connection is back.
    exact : bool
        As for `stitch`.

    Returns
    -------
    Stitched
        What is to be applied now.

    Raises
    ------
    ValueError
        If nothing was seen or the live feed has not begun.
    """
    if not len(seen) or not live.since:
        raise ValueError("a tape can be joined again only between two parts that are known")
    second = int(seen.ts_event[-1]) // SECOND_NS * SECOND_NS
    arrived = [b for block in live.blocks() if len(b := cut(block, second + SECOND_NS, 2**63 - 1))]
    told, compared, note = _ask(history, second, live.since, arrived, live.asked_at)
    if told is not None:
        known = list(_prints([seen], second, second + SECOND_NS))
        if list(_prints(told, second, second + SECOND_NS))[: len(known)] != known:
            told, note = None, f"history of {second} ns does not begin with what was seen"
        else:
            told = _without_first(told, len(known))
    projection = WireProjection() if exact else WireProjection.after(seen)
    blocks = [block if exact else projection.project(block) for block in (*(told or ()), *arrived)]
    holes = [] if told is not None else [Hole(second, live.since)]
    return Stitched(blocks, holes, projection, compared, [note] if note else [])


def _without_first(blocks: list[TradeBlock], count: int) -> list[TradeBlock]:
    kept: list[TradeBlock] = []
    for block in blocks:
        skipped = min(count, len(block))
        count -= skipped
        if skipped < len(block):
            kept.append(rows_of(block, slice(skipped, None)))
    return kept


def unknown_spans(
    past: Iterable[TradeBlock], start: int, end: int, silence_ns: int = LONGEST_SILENCE_NS
) -> list[tuple[int, int]]:
    """List the spans, on whole seconds, of which the store may lack trades.

    The second in which it falls silent is part of one, and so is that in which it speaks again.

    Parameters
    ----------
    past : iterable of TradeBlock
        What is stored of [start, end), ns UTC, in order.
    """
    times = [block.ts_event // SECOND_NS * SECOND_NS for block in past]
    ts = np.concatenate([np.array([start]), *times])
    quiet = np.flatnonzero(np.diff(ts) > silence_ns)
    spans = [(int(ts[k]), int(ts[k + 1]) + SECOND_NS) for k in quiet]
    spans.append((int(ts[-1]), end))
    return [
        (first, last)
        for first, last in spans
        if first < last
        and any(
            until - since > silence_ns or last == end for since, until in trading_spans(first, last)
        )
    ]


def _in_order(stored: Iterable[TradeBlock], end: int) -> list[TradeBlock]:
    blocks: list[TradeBlock] = []
    newest = 0
    for block in stored:
        part = cut(block, 0, end)
        if not len(part):
            continue
        if int(part.ts_event[0]) < newest or (np.diff(part.ts_event) < 0).any():
            raise DataError(f"stored trades of {block.contract} are not in time order")
        newest = int(part.ts_event[-1])
        blocks.append(part)
    return blocks


def _ask(
    history: History | None,
    seam: int,
    end: int,
    arrived: list[TradeBlock],
    asked_at: int | None,
) -> tuple[list[TradeBlock] | None, int, str]:
    """Fetch [seam, end), and compare with the live feed where both know."""
    if history is None:
        return None, 0, "no source of history"
    # The newest live second may still be running.
    known = int(arrived[-1].ts_event[-1]) // SECOND_NS * SECOND_NS if arrived else end
    if asked_at is not None:
        known = min(known, asked_at // SECOND_NS * SECOND_NS)
    until = min(end + OVERLAP_NS, max(known, end))
    try:
        told = [block for block in history(seam, until) if len(block)]
    except DataError as error:
        return None, 0, str(error)
    newest = seam
    for block in told:
        ts = block.ts_event
        if int(ts[0]) < newest or int(ts[-1]) >= until or (np.diff(ts) < 0).any():
            return None, 0, f"history from {seam} to {until} ns is not in order or goes beyond"
        newest = int(ts[-1])
    ours = list(_prints(arrived, end, until))
    theirs = list(_prints(told, end, until))
    if ours != theirs:
        return None, 0, f"history and live feed differ from {end} to {until} ns"
    return [b for block in told if len(b := cut(block, seam, end))], len(ours), ""


def _prints(blocks: list[TradeBlock], start: int, end: int) -> Iterator[tuple[int, int, int]]:
    for block in blocks:
        part = cut(block, start, end)
        seconds = part.ts_event // SECOND_NS
        yield from zip(seconds.tolist(), part.price.tolist(), part.size.tolist(), strict=True)


def trading_spans(start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the parts of [start, end) in which the market trades, by the calendar."""
    first, last = sessions.session_id(start), sessions.session_id(end - 1)
    for day in sessions.trading_days(first, last):
        for opened, closed in sessions.expected_intervals(day):
            span = max(start, opened), min(end, closed)
            if span[0] < span[1]:
                yield span
