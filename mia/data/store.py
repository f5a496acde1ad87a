"""The store of trades and bars: Parquet files by table, contract and trade date.

::

    STORE/manifest.json
    STORE/ticks/root=ES/contract=ESU19/date=2019-08-09.parquet
    STORE/bars_300s/root=ES/contract=ESU19/date=2019-08-09.parquet
    STORE/quarantine/<source>.<table>.csv
"""

import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

from mia.core import sessions
from mia.core.base_types import Block
from mia.data.continuous import front_contracts
from mia.data.contracts import is_contract, parse_contract
from mia.data.files import exclusive, writing
from mia.data.manifest import Manifest
from mia.data.raw import ImportSource, RawBars, RawTrades
from mia.data.reader import read_blocks
from mia.data.schema import TICKS, DayFile, Layout, bars, day_path, read_facts
from mia.data.validation import validate_bars, validate_trades
from mia.data.writer import Importer, ImportReport
from mia.errors import DataError, FormatError

FAR_PAST, FAR_FUTURE = -(2**63), 2**63 - 1
_TABLE = re.compile(r"bars_(\d+)s")


class UnusableRowsError(FormatError):
    """Most rows of a source were rejected, so that nothing of it was stored.

    Attributes
    ----------
    complaint : str
        The message without the place of the rejected rows.
    """

    def __init__(self, report: ImportReport) -> None:
        self.complaint = _unusable(report)
        super().__init__(f"{self.complaint}; see {report.quarantine}")


class Store:
    """An existing store.

    Parameters
    ----------
    path : Path
        Its folder.

    Raises
    ------
    DataError
        If there is no store, or its manifest cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        if not (self.path / "manifest.json").exists():
            raise DataError(f"{path} is no store: make one with `mia data import --out {path}`")
        self.manifest = Manifest.load(self.path)

    @classmethod
    def create(cls, path: Path) -> "Store":
        """Open the store in a folder, made if need be.

        Raises
        ------
        DataError
            If it cannot be written or its manifest cannot be read.
        """
        path = Path(path)
        if path.exists() and not path.is_dir():
            raise DataError(f"{path} is no folder: choose another one for the store")
        with writing(path):
            path.mkdir(parents=True, exist_ok=True)
        if not (path / "manifest.json").exists():
            Manifest().save(path)
        return cls(path)

    def write_trades(
        self,
        blocks: Iterable[RawTrades] | RawTrades,
        source: ImportSource,
        replace: bool = False,
    ) -> ImportReport:
        """Check trades and store them by trade date.

        Rows that the store has of the same contract and trade date, between the first and the
        last new one, give way to the new ones; the others stay. A date that the store has from
        trades of the other kind is left alone, because the two cannot be added up.

        Parameters
        ----------
        blocks : iterable of RawTrades
            In the order of the source; contracts may alternate.
        source : ImportSource
            Where they come from; content imported before adds nothing.
        replace : bool
            Whether whole dates give way, of whatever kind, and content imported before is
            imported again.

        Raises
        ------
        DataError
            If fewer than half of the rows are usable, the kind changes, or the store cannot be
            written. Nothing of the import is then in the store but its quarantine.
        """
        done = None if replace else self._done(source, TICKS)
        if done is not None:
            return done
        kind = ""
        unique: tuple[str, ...] = ()
        with self._importing(TICKS, source, replace) as importer:
            for block in [blocks] if isinstance(blocks, RawTrades) else blocks:
                if kind not in ("", block.kind):
                    raise DataError(f"{source.name} mixes summary trades and fills: split it")
                kind = block.kind
                unique = ("ts_event", "seq") if block.seq_unique else ()
                importer.add(validate_trades(block, source.format), len(block), unique)
            importer.finish(unique)
        return importer.report

    def write_bars(
        self, blocks: Iterable[RawBars] | RawBars, source: ImportSource, replace: bool = False
    ) -> ImportReport:
        """Check bars and store them by trade date; see `write_trades`.

        Raises
        ------
        DataError
            As `write_trades`, and if the width changes.
        """
        stream = iter([blocks] if isinstance(blocks, RawBars) else blocks)
        first = next(stream, None)
        if first is None:
            raise DataError(f"{source.name} has no bars: nothing was imported")
        layout = bars(first.width_s)
        done = None if replace else self._done(source, layout)
        if done is not None:
            return done
        unique = ("t_open",)
        with self._importing(layout, source, replace) as importer:
            for block in chain((first,), stream):
                if block.width_s != first.width_s:
                    widths = f"{first.width_s} and {block.width_s} s"
                    raise DataError(f"{source.name} mixes bars of {widths}: split it")
                importer.add(validate_bars(block), len(block), unique)
            importer.finish(unique)
        return importer.report

    def read(
        self,
        symbol: str,
        start_ns: int | None = None,
        end_ns: int | None = None,
        kind: str = "ticks",
        width_s: int | None = None,
        front_only: bool = False,
        merge_fills: bool = False,
    ) -> Iterator[Block]:
        """Read trades or bars in time order, in blocks of at most a million rows.

        Parameters
        ----------
        symbol : str
            A contract as ``ESU19``, or a root as ``ES`` for the leading contract of each
            session; blocks change their contract between sessions only.
        start_ns, end_ns : int, optional
            First time (inclusive) and end (exclusive), ns UTC; of bars the start of the slot
            counts.
        kind : str
            ``ticks`` or ``bars``.
        width_s : int, optional
            Width of the bars; needed where the store has several.
        front_only : bool
            Whether bars that their source does not call those of the leading contract are left
            out.
        merge_fills : bool
            Whether single fills are merged into trades; blocks then are of kind ``summary``.

        Returns
        -------
        iterator of TradeBlock or BarBlock
            Arrays are read-only and without copies where nothing was left out. One block is in
            memory at a time.

        Raises
        ------
        DataError
            If the store has nothing of the kind in that time, or a file is damaged.
        """
        layout = self._layout(kind, width_s)
        start = FAR_PAST if start_ns is None else start_ns
        end = FAR_FUTURE if end_ns is None else end_ns
        days = self._days(symbol, layout)
        paths = [(name, path) for day, name, path in days if _overlaps(day, start, end)]
        if not paths:
            have = f"from {days[0][0]} to {days[-1][0]}" if days else "nothing"
            raise DataError(
                f"no {layout.name} of {symbol} in that time in {self.path}: it has {have}"
            )
        return read_blocks(paths, layout, start, end, front_only, merge_fills)

    def tables(self) -> list[str]:
        """Name the tables that hold data, as ``ticks`` or ``bars_300s``."""
        names = [
            p.name for p in self.path.iterdir() if p.name == "ticks" or _TABLE.fullmatch(p.name)
        ]
        return sorted(names)

    def coverage(self, table: str | None = None) -> dict[str, list[DayFile]]:
        """Describe every stored day, by table, in order of date and expiry.

        Reads the footers of the files only.

        Raises
        ------
        DataError
            If a file is damaged.
        """
        found = {}
        for name in self.tables() if table is None else [table]:
            files = (read_facts(path) for path in (self.path / name).glob("*/*/date=*.parquet"))
            found[name] = sorted(files, key=lambda f: (f.session_id, parse_contract(f.contract)))
        return found

    def front(self, root: str, table: str) -> dict[int, str]:
        """Return the leading contract of each stored session; see `front_contracts`."""
        layout = self._named(table)
        days: dict[int, list[str]] = {}
        for contract, day in self._index(root, layout):
            days.setdefault(day, []).append(contract)

        def volume(contract: str, day: int) -> int:
            return read_facts(day_path(self.path, layout, contract, day)).volume

        return front_contracts(days, volume)

    def lost(self, table: str) -> list[tuple[str, int, str]]:
        """Return contract, trade date and source of days that were imported and are gone."""
        layout = self._named(table)
        return [
            (contract, day, entry.source)
            for entry in self.manifest.imports
            if entry.table == table
            for contract, days in entry.days.items()
            for day in days
            if not day_path(self.path, layout, contract, day).exists()
        ]

    def _done(self, source: ImportSource, layout: Layout) -> ImportReport | None:
        """Report an earlier import of the same content whose files are all there."""
        entry = Manifest.load(self.path).find(source, layout.name)
        if entry is None:
            return None
        for contract, days in entry.days.items():
            if not all(day_path(self.path, layout, contract, day).exists() for day in days):
                return None
        return ImportReport.repeated(entry)

    @contextmanager
    def _importing(self, layout: Layout, source: ImportSource, replace: bool) -> Iterator[Importer]:
        with exclusive(self.path / ".lock"):
            importer = Importer(self.path, layout, source, replace)
            try:
                yield importer
                report = importer.report
                if not report.read:
                    raise FormatError(f"{report.source} has no rows: nothing was imported")
                nothing = not report.rows and not report.kept_days
                if nothing or report.rejected * 2 > report.read:
                    importer.keep_quarantine()
                    raise UnusableRowsError(report)
                importer.commit()
                self.manifest = Manifest.load(self.path).with_entry(report.entry(source))
                self.manifest.save(self.path)
            finally:
                importer.discard()

    def _named(self, table: str) -> Layout:
        match = _TABLE.fullmatch(table)
        return bars(int(match[1])) if match else TICKS

    def _index(self, root: str, layout: Layout) -> list[tuple[str, int]]:
        """List contract and session of each stored day of a root, by name only."""
        folder = self.path / layout.name / f"root={root}"
        return [
            (path.parent.name.removeprefix("contract="), _session_of(path))
            for path in folder.glob("contract=*/date=*.parquet")
        ]

    def _days(self, symbol: str, layout: Layout) -> list[tuple[int, str, Path]]:
        """List session, contract and file of the days that a symbol stands for, in order."""
        if is_contract(symbol):
            root = parse_contract(symbol).root
            days = {day: name for name, day in self._index(root, layout) if name == symbol}
        else:
            days = self.front(symbol, layout.name)
        return [
            (day, name, day_path(self.path, layout, name, day))
            for day, name in sorted(days.items())
        ]

    def _layout(self, kind: str, width_s: int | None) -> Layout:
        if kind == "ticks":
            return TICKS
        if kind != "bars":
            raise DataError(f"kind of data must be ticks or bars, was {kind!r}")
        widths = [int(m[1]) for m in map(_TABLE.fullmatch, self.tables()) if m]
        if width_s is None and len(widths) == 1:
            return bars(widths[0])
        if width_s in widths:
            return bars(width_s)
        have = ", ".join(f"{width} s" for width in sorted(widths)) or "none"
        wanted = "say which width" if width_s is None else f"none of {width_s} s"
        raise DataError(f"bars in {self.path}: {wanted}; it has {have}")


def _session_of(path: Path) -> int:
    return int(path.stem.removeprefix("date=").replace("-", ""))


def _overlaps(session_id: int, start: int, end: int) -> bool:
    row = sessions.session_table(session_id, session_id)[0]
    return bool(row["t_open"] < end and row["t_end"] > start)


def _unusable(report: ImportReport) -> str:
    reason = max(report.reasons, key=lambda name: report.reasons[name])
    bad = report.rejected + report.dropped
    return (
        f"{report.source}: {bad:,} of {report.read:,} rows are unusable, most for {reason} "
        "(another instrument, or prices in another unit?)"
    )


@contextmanager
def filling(path: Path) -> Iterator[Store]:
    """Open or make a store; one that was made goes again if nothing came into it.

    Raises
    ------
    DataError
        As `Store.create`.
    """
    path = Path(path)
    fresh = not path.exists()
    try:
        yield Store.create(path)
    except BaseException:
        names = {entry.name for entry in path.iterdir()} if path.is_dir() else set()
        if fresh and names <= {"manifest.json", ".lock"}:
            shutil.rmtree(path, ignore_errors=True)
        raise
