"""One import into the store: days are staged aside and take their places when all are written."""

import csv
import re
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mia.data.contracts import open_hours
from mia.data.files import sync, writing
from mia.data.gaps import count_off_hours, find_gaps
from mia.data.manifest import ImportEntry
from mia.data.raw import ImportSource
from mia.data.schema import (
    KINDS,
    Columns,
    DayFile,
    Layout,
    day_path,
    read_columns,
    read_facts,
    write_day,
)
from mia.data.validation import (
    DROPPED,
    MAX_ISSUES,
    REJECTED,
    REPAIRED,
    Checked,
    Issue,
    order_rows,
)

STAGING = ".staging"
QUARANTINE = "quarantine"
REPEATED = "repeated"

Key = tuple[str, int]


@dataclass(slots=True)
class ImportReport:
    """What an import did.

    Attributes
    ----------
    source, table, kind : str
        As in the manifest.
    already : bool
        The same content was imported before; nothing was read or written.
    read, rows : int
        Rows that the source had; rows that are now in the store.
    rejected, dropped, repaired, duplicates : int
        Rows not stored, bars without volume, rows changed, rows that repeated another.
    reasons : dict of str to int
        Issues by reason.
    late : int
        Rows that came after a later one of their day and were sorted in.
    off_hours : int
        Rows stored although the market was closed at that time.
    gaps : int
        Gaps in open hours on the days written.
    first, last : int
        Times of the first and last row, ns UTC; 0 without rows.
    days : dict of str to list of int
        Trade dates written, by contract.
    kept_days : dict of str to list of int
        Trade dates left alone because the store has them from trades of the other kind.
    quarantine : Path or None
        File with the rows that had issues.
    """

    source: str
    table: str
    kind: str = ""
    already: bool = False
    read: int = 0
    rows: int = 0
    rejected: int = 0
    dropped: int = 0
    repaired: int = 0
    duplicates: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    late: int = 0
    off_hours: int = 0
    gaps: int = 0
    first: int = 0
    last: int = 0
    days: dict[str, list[int]] = field(default_factory=dict)
    kept_days: dict[str, list[int]] = field(default_factory=dict)
    quarantine: Path | None = None

    def entry(self, source: ImportSource) -> ImportEntry:
        """Return the entry for the manifest."""
        return ImportEntry(
            source.name,
            source.sha256,
            source.format.name.lower(),
            self.table,
            self.kind,
            self.rows,
            self.rejected,
            self.dropped,
            self.repaired,
            self.duplicates,
            self.first,
            self.last,
            self.days,
        )

    @classmethod
    def repeated(cls, entry: ImportEntry) -> "ImportReport":
        """Report that an import was made before and added nothing now."""
        return cls(entry.source, entry.table, entry.kind, already=True)

    def summary(self) -> str:
        """Say in one line what happened."""
        if self.already:
            return f"{self.source}: already imported into {self.table}, nothing added"
        days = sum(len(ids) for ids in self.days.values())
        parts = [f"{self.source}: {self.rows:,} rows into {self.table}, {days:,} trade dates"]
        counted = ("rejected", "dropped", "repaired", "duplicates", "late", "off_hours", "gaps")
        parts += [
            f"{count:,} {name.replace('_', ' ')}"
            for name in counted
            if (count := getattr(self, name))
        ]
        if kept := sum(len(ids) for ids in self.kept_days.values()):
            parts.append(f"{kept:,} dates kept as they were (other kind of trades)")
        return ", ".join(parts)


class Importer:
    """Collects the checked blocks of one source; `commit` makes them part of the store.

    Rows of one trade date are held in memory until the contract moves on to the next.

    Parameters
    ----------
    root : Path
        The store.
    layout : Layout
        The table.
    source : ImportSource
        Where the rows come from.
    replace : bool
        Whether a day of the store gives way entirely, rather than where the rows overlap.
    """

    def __init__(self, root: Path, layout: Layout, source: ImportSource, replace: bool) -> None:
        self._root = root
        self._layout = layout
        self._source = source
        self._replace = replace
        self._staging = root / STAGING
        self._open: dict[Key, list[Columns]] = {}
        self._staged: set[Key] = set()
        self._issues = self._staging / "issues.csv"
        self.report = ImportReport(source.name, layout.name)
        with writing(self._staging):
            if self._staging.exists():
                shutil.rmtree(self._staging)
            self._staging.mkdir(parents=True)

    def add(self, checked: Checked, count: int, unique: tuple[str, ...]) -> None:
        """Take a checked block of `count` source rows; `unique` names the key of its rows."""
        self.report.read += count
        self._note(checked.contract, checked.counts, checked.issues)
        ids = checked.session_ids
        if not len(ids):
            return
        cuts = np.flatnonzero(np.diff(ids)) + 1
        for start, stop in zip([0, *cuts.tolist()], [*cuts.tolist(), len(ids)], strict=True):
            part = {name: column[start:stop] for name, column in checked.columns.items()}
            self._open.setdefault((checked.contract, int(ids[start])), []).append(part)
        latest = int(ids[-1])
        for key in [k for k in self._open if k[0] == checked.contract and k[1] != latest]:
            self._stage(key, unique)

    def finish(self, unique: tuple[str, ...]) -> None:
        """Stage the days that are still open, and merge all with what the store has."""
        for key in list(self._open):
            self._stage(key, unique)
        for key in sorted(self._staged):
            self._merge(key)

    def commit(self) -> None:
        """Move the staged days and the quarantine to their places.

        Raises
        ------
        DataError
            If a file cannot be moved. Days moved before it are whole and new, later ones whole
            and old; importing again completes the rest.
        """
        report = self.report
        for contract, day in sorted(self._staged):
            target = day_path(self._root, self._layout, contract, day)
            with writing(target):
                target.parent.mkdir(parents=True, exist_ok=True)
                self._path((contract, day)).replace(target)
            report.days.setdefault(contract, []).append(day)
        self.keep_quarantine()

    def keep_quarantine(self) -> None:
        """Move the rows with issues to the quarantine folder of the store."""
        if not self._issues.exists():
            return
        name = re.sub(r"[^\w.-]+", "_", f"{self._source.name}.{self._layout.name}")
        target = self._root / QUARANTINE / f"{name}.csv"
        with writing(target):
            target.parent.mkdir(exist_ok=True)
            sync(self._issues)
            self._issues.replace(target)
        self.report.quarantine = target

    def discard(self) -> None:
        """Remove what is still staged."""
        with suppress(OSError):
            shutil.rmtree(self._staging)

    def _path(self, key: Key) -> Path:
        return day_path(self._staging, self._layout, *key)

    def _note(
        self, contract: str, counts: Counter[tuple[str, str]], issues: Sequence[Issue]
    ) -> None:
        report = self.report
        for (action, reason), count in (+counts).items():
            report.reasons[reason] = report.reasons.get(reason, 0) + count
            if action == REJECTED:
                report.rejected += count
            elif action == DROPPED:
                report.dropped += count
            elif action == REPAIRED:
                report.repaired += count
            else:
                report.duplicates += count
        if not issues:
            return
        fresh = not self._issues.exists()
        with writing(self._issues), self._issues.open("a", newline="", encoding="utf-8") as file:
            table = csv.writer(file, lineterminator="\n")
            if fresh:
                table.writerow(("row", "contract", "action", "reason", "values"))
            table.writerows((i.row, contract, i.action, i.reason, i.values) for i in issues)

    def _stage(self, key: Key, unique: tuple[str, ...]) -> None:
        """Write the rows of a day that have come so far; they may be joined by later ones."""
        parts = self._open.pop(key)
        if key in self._staged:
            self.report.rows -= read_facts(self._path(key)).rows
            before = read_columns(self._path(key), self._layout)
            before["row"] = np.full(len(before[self._layout.time]), -1, np.int64)
            parts.insert(0, before)
        columns, repeated, late = order_rows(_joined(parts), self._layout.time, unique)
        self.report.late += late
        counts = Counter({(REPEATED, "duplicate"): len(repeated["row"])})
        self._note(key[0], counts, _duplicates(repeated, self._layout))
        self.report.rows += len(columns["row"])
        del columns["row"]
        self._write(key, columns, (self._source.name,))
        self._staged.add(key)

    def _merge(self, key: Key) -> None:
        """Join a staged day with the rows that the store has beside it."""
        staged = read_facts(self._path(key))
        report = self.report
        first, last = staged.first, staged.last
        target = day_path(self._root, self._layout, *key)
        if target.exists() and not self._replace:
            stored = read_facts(target)
            if stored.kind != staged.kind:
                report.kept_days.setdefault(key[0], []).append(key[1])
                report.rows -= staged.rows
                self._staged.discard(key)
                return
            self._merge_rows(key, stored, staged)
            staged = read_facts(self._path(key))
        report.kind = staged.kind
        report.gaps += len(staged.gaps)
        report.off_hours += staged.off_hours
        report.first = min(report.first or first, first)
        report.last = max(report.last, last)

    def _merge_rows(self, key: Key, stored: DayFile, staged: DayFile) -> None:
        if staged.first <= stored.first and stored.last <= staged.last:
            return
        old = read_columns(stored.path, self._layout)
        times = old[self._layout.time]
        before = {name: column[times < staged.first] for name, column in old.items()}
        after = {name: column[times > staged.last] for name, column in old.items()}
        new = read_columns(staged.path, self._layout)
        sources = dict.fromkeys((*stored.sources, self._source.name))
        self._write(key, _joined([before, new, after]), tuple(sources))

    def _write(self, key: Key, columns: Columns, sources: tuple[str, ...]) -> None:
        contract, day = key
        times = columns[self._layout.time]
        facts: Mapping[str, Any] = {
            "contract": contract,
            "session_id": day,
            "volume": int(columns[self._layout.size].sum(dtype=np.int64)),
            "first": int(times[0]),
            "last": int(times[-1]),
            "kind": KINDS[int(columns["kind"][0])] if "kind" in columns else "",
            "sources": sources,
            "gaps": find_gaps(times, contract, day, self._layout.span_ns),
            "off_hours": count_off_hours(times, open_hours(contract, day)),
        }
        write_day(self._path(key), self._layout, columns, facts)


def _joined(parts: list[Columns]) -> Columns:
    if len(parts) == 1:
        return parts[0]
    joined: Columns = {}
    for name, column in parts[0].items():
        pieces = [part[name] for part in parts]
        values = np.concatenate([np.asarray(piece) for piece in pieces])
        if isinstance(column, np.ma.MaskedArray):
            values = np.ma.MaskedArray(
                values, np.concatenate([np.ma.getmaskarray(piece) for piece in pieces])
            )
        joined[name] = values
    return joined


def _duplicates(repeated: Columns, layout: Layout) -> list[Issue]:
    shown = [layout.time, "seq" if layout.width_s == 0 else "open"]
    return [
        Issue(
            int(row),
            REPEATED,
            "duplicate",
            " ".join(f"{name}={repeated[name][k]}" for name in shown),
        )
        for k, row in enumerate(repeated["row"][:MAX_ISSUES])
    ]
