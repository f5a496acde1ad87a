"""From a collector's segments to the days of the store, and what a day was worth."""

import hashlib
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mia.config.instruments import TICK
from mia.core.base_types import MISSING_PRICE
from mia.data.collected_holes import Hole, holes_of, stretches, told_of
from mia.data.collector import feed_folder, segments_of
from mia.data.files import write_json, writing
from mia.data.gaps import gaps_by
from mia.data.journal_disk import sync_directory
from mia.data.quality import Gap
from mia.data.raw import ImportSource, RawTrades, SourceFormat, TradeFlag
from mia.data.schema import TICKS, day_path, read_facts
from mia.data.segment_frames import DONE, OPEN, Batch, GapMark, Note
from mia.data.segments import Segment, read_segment
from mia.data.store import Store, UnusableRowsError
from mia.errors import DataError

QUALITY = "quality"
REFUSED = ".refused"
"""Ending of a segment of which the store took less than half; it is never removed."""

KEEP_DAYS = 7
FAR_FUTURE = 2**63 - 1
INFERRED = frozenset({"ibkr"})
"""Feeds that do not say who crossed the spread."""


@dataclass(frozen=True, slots=True)
class DayQuality:
    """What was collected of one session.

    Attributes
    ----------
    feed, contract : str
    session_id : int
    trades : int
        That the feed gave.
    stored : int
        That the day in the store has now, of whatever source.
    volume : int
        Contracts traded, of the day in the store.
    rejected, duplicates, late : int
        Trades that the store refused or had twice, and that came after later ones.
    first, last : int
        Times of the first and last trade that the feed gave, ns UTC.
    gaps : tuple of Gap
        Spans of open hours without a trade, too long to be a quiet market, up to the report.
    marks : tuple of GapMark
        Where the collector or the feed say that trades may be missing.
    holes : tuple of Hole
        What the marks come to, and what history told of them.
    notices : dict of str to int
        Words of the feed about itself, by kind.
    torn, damaged : int
        Bytes of the segment that were not whole.
    delay_ms : tuple of (float, float)
        From exchange to receipt of the newest trade of a batch: median and 99th percentile.
    """

    feed: str
    contract: str
    session_id: int
    trades: int
    stored: int
    volume: int
    rejected: int
    duplicates: int
    late: int
    first: int
    last: int
    gaps: tuple[Gap, ...]
    marks: tuple[GapMark, ...]
    holes: tuple[Hole, ...]
    notices: dict[str, int]
    torn: int
    damaged: int
    delay_ms: tuple[float, float]

    def summary(self) -> str:
        """Say in a line how good the day is."""
        gone = sum(gap.seconds for gap in self.gaps)
        filled = [hole.filled for hole in self.holes if hole.filled is not None]
        return (
            f"{self.contract} {self.session_id} from {self.feed}: {self.trades:,} trades, "
            f"{len(self.holes)} holes ({len(filled)} filled with {sum(filled):,} trades, "
            f"{len(self.holes) - len(filled)} open), {len(self.gaps)} gaps found ({gone:,} s), "
            f"{self.rejected} rejected, {self.late} late, delay {self.delay_ms[0]:.0f} ms "
            f"(99 %: {self.delay_ms[1]:.0f})"
        )


def compact(
    store: Store, paths: list[Path], *, finish: bool, now: int = FAR_FUTURE
) -> list[DayQuality]:
    """Write segments into the store, with a report for each; what is there already stays once.

    Each stretch without a gap is written for itself, so that what the store has from elsewhere in a
    gap stays there; within a stretch the collected trades take the place of what it had.

    Parameters
    ----------
    store : Store
    paths : list of Path
    finish : bool
        Whether the segments are complete: they are then put aside for `KEEP_DAYS`.
    now : int
        ns UTC; what of a session is still to come is no gap of the report.

    Raises
    ------
    DataError
        If the store cannot be written, or has the day from trades of another kind. The segment is
        as it was.
    """
    reports = []
    for path in paths:
        segment = read_segment(path)
        if segment is None:
            # A crash came before its head was whole: there is nothing in it.
            continue
        report = _compact_one(store, segment, now)
        if report is not None:
            reports.append(report)
            write_json(_report_path(store, report), plain(report))
        if finish:
            refused = report is not None and report.rejected * 2 > report.trades
            with writing(path):
                path.rename(path.with_suffix(REFUSED if refused else DONE))
                sync_directory(path.parent)
    return reports


def compact_all(store: Store, feed: str, now: int = FAR_FUTURE) -> list[DayQuality]:
    """Write all that a feed has collected and the store has not; segments stay open."""
    return compact(store, segments_of(store.path, feed, (OPEN,)), finish=False, now=now)


def sweep(store: Path, feed: str, now: int) -> int:
    """Remove segments that the store took over more than `KEEP_DAYS` ago; return how many."""
    removed = 0
    with writing(feed_folder(store, feed)):
        for path in segments_of(store, feed, (DONE,)):
            if now - path.stat().st_mtime_ns > KEEP_DAYS * 86_400 * 10**9:
                path.unlink()
                removed += 1
    return removed


def _compact_one(store: Store, segment: Segment, now: int) -> DayQuality | None:
    head = segment.head
    runs = _runs(segment)
    if not runs:
        return None
    rejected = duplicates = late = 0
    for number, (batches, after_gap) in enumerate(runs, 1):
        raw = _raw(batches, after_gap, inferred=head.feed in INFERRED)
        name = f"{head.feed} {head.contract} {head.session_id} part {number}"
        source = ImportSource(name, _hash(raw), SourceFormat.COLLECTED)
        try:
            report = store.write_trades(raw, source)
        except UnusableRowsError:
            rejected += len(raw)
            continue
        if report.kept_days:
            raise DataError(
                f"the store has {head.session_id} of {head.contract} from trades of another kind "
                f"than {head.kind}: collect into another store"
            )
        rejected += report.rejected
        duplicates += report.duplicates
        late += report.late
    path = day_path(store.path, TICKS, head.contract, head.session_id)
    facts = None
    if path.exists():
        facts = read_facts(path)
        with writing(path):
            sync_directory(path.parent)
    gaps = gaps_by(facts.gaps, head.session_id, now) if facts else []
    frames = segment.frames
    every = list(segment.batches())
    times = [batch.block.ts_event for batch in every]
    delays = np.array([b.ts_recv - int(b.block.ts_event[-1]) for b in every]) / 1e6
    return DayQuality(
        head.feed,
        head.contract,
        head.session_id,
        sum(len(ts) for ts in times),
        0 if facts is None else facts.rows,
        0 if facts is None else facts.volume,
        rejected,
        duplicates,
        late,
        min(int(ts.min()) for ts in times),
        max(int(ts.max()) for ts in times),
        tuple(Gap(head.contract, head.session_id, *span) for span in gaps),
        tuple(frame for frame in frames if isinstance(frame, GapMark)),
        tuple(holes_of(segment)),
        dict(Counter(frame.kind for frame in frames if isinstance(frame, Note))),
        segment.torn,
        segment.damaged,
        (float(np.median(delays)), float(np.quantile(delays, 0.99))),
    )


def _runs(segment: Segment) -> list[tuple[list[Batch], bool]]:
    """Split what was collected at its open holes; each part with whether it follows one.

    What history told of a hole takes its place. Parts that touch or overlap in time stay
    together: the store would let the later one take the place of the end of the earlier one.
    """
    runs: list[tuple[list[Batch], bool]] = []
    told = told_of(segment)
    newest = -(2**63)
    for batch, ends in stretches(segment):
        ts = batch.block.ts_event
        fill = None if ends is None else told.get(ends)
        is_open = ends is not None and fill is None
        if not runs or (is_open and int(ts.min()) > newest):
            runs.append(([], is_open))
        if fill is not None and len(fill.block):
            runs[-1][0].append(Batch(fill.block, fill.ts_recv, None, 0, 0))
        runs[-1][0].append(batch)
        newest = max(newest, int(ts.max()))
    return runs


def _raw(batches: list[Batch], after_gap: bool, *, inferred: bool) -> RawTrades:
    first = batches[0].block

    def column(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(batch.block, name) for batch in batches])

    def quote(name: str) -> NDArray[np.float64]:
        ticks = column(name)
        return np.where(ticks == MISSING_PRICE, np.nan, ticks * TICK)

    count = sum(len(batch.block) for batch in batches)
    flags = np.full(count, TradeFlag.INFERRED_SIDE if inferred else 0, np.uint16)
    if after_gap:
        flags[0] |= TradeFlag.SOURCE_GAP
    received = [np.full(len(batch.block), batch.ts_recv) for batch in batches]
    return RawTrades(
        first.contract,
        column("ts_event"),
        column("price") * TICK,
        column("size").astype(np.int64),
        column("aggressor_side"),
        quote("bid_price"),
        quote("ask_price"),
        ts_recv=np.concatenate(received),
        flags=flags,
        kind=first.kind,
    )


def _hash(raw: RawTrades) -> str:
    digest = hashlib.sha256(f"{raw.contract} {raw.kind}".encode())
    for values in (raw.ts_event, raw.price, raw.size, raw.aggressor_side, raw.ts_recv, raw.flags):
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()


def _report_path(store: Store, report: DayQuality) -> Path:
    name = f"{report.session_id}.{report.contract}.{report.feed}.json"
    return store.path / QUALITY / name


def plain(report: DayQuality) -> dict[str, Any]:
    """Return a report as plain values, times as text."""
    return {
        "feed": report.feed,
        "contract": report.contract,
        "session_id": report.session_id,
        "trades": report.trades,
        "stored": report.stored,
        "volume": report.volume,
        "rejected": report.rejected,
        "duplicates": report.duplicates,
        "late": report.late,
        "first": _moment(report.first),
        "last": _moment(report.last),
        "gaps": [
            {"from": _moment(g.start), "to": _moment(g.end), "seconds": g.seconds}
            for g in report.gaps
        ],
        "marks": [
            {"from": _moment(m.ts_from), "to": _moment(m.ts_to), "text": m.text}
            for m in report.marks
        ],
        "holes": [
            {"from": _moment(h.since), "to": _moment(h.until), "filled_with": h.filled}
            for h in report.holes
        ],
        "notices": report.notices,
        "torn_bytes": report.torn,
        "damaged_bytes": report.damaged,
        "delay_ms": {"median": report.delay_ms[0], "p99": report.delay_ms[1]},
    }


def _moment(ts: int) -> str:
    return f"{datetime.fromtimestamp(ts // 10**9, UTC):%Y-%m-%dT%H:%M:%SZ}" if ts else ""
