"""Market data of a run, from a store, a file, or the synthetic market, as blocks in time order."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from mia.core import sessions
from mia.core.base_types import BarBlock, Block
from mia.data.contracts import is_contract, parse_contract
from mia.data.digest import digest
from mia.data.importers.contracts import IN_FILE_NAME
from mia.data.importers.detect import READERS, detect, read_file
from mia.data.importers.reading import (
    ImportLog,
    Progress,
    RawBlock,
    ReadOptions,
    no_progress,
)
from mia.data.raw import ImportSource, RawBars, RawTrades
from mia.data.store import Store, UnusableRowsError
from mia.data.synthetic.market import SyntheticMarket
from mia.data.writer import ImportReport
from mia.errors import DataError

MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class Selection:
    """What of a source a run uses.

    Attributes
    ----------
    symbol : str
        Root as ``ES`` for the leading contract of each session, or one contract.
    first, last : int, optional
        Sessions as yyyymmdd, both included.
    days : int, optional
        Only this many of the latest sessions.
    front_only : bool
        Only bars that their source calls those of the leading contract.
    width_s : int, optional
        Width of bars where a store has several.
    """

    symbol: str = "ES"
    first: int | None = None
    last: int | None = None
    days: int | None = None
    front_only: bool = False
    width_s: int | None = None


@dataclass(frozen=True, slots=True)
class Tape:
    """Market data ready to run.

    Attributes
    ----------
    name : str
        Where it comes from, as the user knows it.
    sha256 : str
        Of what determines the data: contents of the sources, or the generator's arguments, and
        the selection.
    ready_made : bool
        Bars instead of trades.
    width_s : int
        Width of the bars, 0 for trades.
    kind : str
        ``summary``, ``fill``, ``bars`` or ``synthetic``.
    first_session, last_session : int
        Bounds of the sessions, yyyymmdd.
    sessions : int
        How many sessions have data.
    blocks : callable
        Starts a new pass over the data.
    notes : tuple of str
        What the user should know about how the source was read.
    """

    name: str
    sha256: str
    ready_made: bool
    width_s: int
    kind: str
    first_session: int
    last_session: int
    sessions: int
    blocks: Callable[[], Iterator[Block]]
    notes: tuple[str, ...] = ()


def import_file(
    store: Store,
    path: Path,
    options: ReadOptions,
    log: ImportLog,
    progress: Progress = no_progress,
    root: str | None = None,
) -> ImportReport:
    """Read a file of any known format into a store.

    Parameters
    ----------
    root : str, optional
        Instrument that the file must be of.

    Raises
    ------
    DataError
        If the file is of no known format, holds nothing usable or another instrument, or the
        store cannot be written.
    """
    name = detect(path)
    if name not in READERS:
        raise DataError(f"{path} holds levels of an index: use `mia data import --vix` for it")
    named = IN_FILE_NAME.search(path.name)
    if options.contract is not None and named is not None:
        stated = f"{named[1]}{named[2]}{named[4]}"
        if stated != options.contract:
            raise DataError(
                f"the name {path.name} says {stated}, not {options.contract}: check --symbol"
            )
    source = ImportSource.of_file(path, READERS[name].source)
    blocks = _of_root(read_file(path, options, log, progress), path, root)
    first = next(blocks)
    if isinstance(first, RawTrades):
        trades = (_as_trades(block, path) for block in chain([first], blocks))
        return store.write_trades(trades, source)
    bars = (_as_bars(block, path) for block in chain([first], blocks))
    return store.write_bars(bars, source)


def _of_root(blocks: Iterator[RawBlock], path: Path, root: str | None) -> Iterator[RawBlock]:
    for block in blocks:
        if root is not None and parse_contract(block.contract).root != root:
            raise DataError(f"{path.name} holds {block.contract}, not {root}: check --symbol")
        yield block


def _as_trades(block: RawTrades | RawBars, path: Path) -> RawTrades:
    if not isinstance(block, RawTrades):
        raise DataError(f"{path.name} mixes trades and bars: split it")
    return block


def _as_bars(block: RawTrades | RawBars, path: Path) -> RawBars:
    if not isinstance(block, RawBars):
        raise DataError(f"{path.name} mixes trades and bars: split it")
    return block


@contextmanager
def open_tape(
    source: Path, selection: Selection, progress: Progress = no_progress
) -> Iterator[Tape]:
    """Open a store, or a file of any known format, for a run.

    A file is imported into a temporary store first, so that it goes through the same checks.

    Raises
    ------
    DataError
        If the source does not exist, is of no known format, lacks days that it should have, or
        has nothing in the selection.
    """
    with ExitStack() as stack:
        notes: tuple[str, ...] = ()
        if source.is_dir():
            if not (source / MANIFEST).is_file():
                raise DataError(f"{source} is no store: it has no {MANIFEST}; name a file instead")
            store = Store(source)
        elif source.exists():
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="mia-"))
            store = Store.create(Path(folder))
            notes = _import_for_a_run(store, source, selection, progress)
        else:
            raise DataError(f"{source} does not exist: name a store or a file of market data")
        yield _tape_of(store, str(source), selection, notes)


def _import_for_a_run(
    store: Store, path: Path, selection: Selection, progress: Progress
) -> tuple[str, ...]:
    contract = selection.symbol if is_contract(selection.symbol) else None
    log = ImportLog()
    try:
        report = import_file(store, path, ReadOptions(contract=contract), log, progress)
    except UnusableRowsError as error:
        raise DataError(
            f"{error.complaint}; `mia data import` keeps the rejected rows for a look"
        ) from None
    unread = f"{path.name}: {log.rejected_count:,} rows could not be parsed"
    return (
        *((report.summary(),) if report.rejected or report.repaired else ()),
        *((unread,) if log.rejected_count else ()),
        *log.notes,
    )


def _tape_of(store: Store, name: str, selection: Selection, notes: tuple[str, ...]) -> Tape:
    table = _table(store, name, selection.width_s)
    covered = store.coverage(table)[table]
    files = [day for day in covered if _stands_for(selection.symbol, day.contract)]
    held = sorted({day.session_id for day in files})
    wanted = [sid for sid in held if _within(selection, sid)]
    if not held:
        have = ", ".join(sorted({day.contract for day in covered})) or "nothing"
        raise DataError(f"{name} has nothing of {selection.symbol}: it has {have}")
    if not wanted:
        raise DataError(
            f"{name} has no session of {selection.symbol} in that range: "
            f"it has {held[0]} to {held[-1]}"
        )
    if selection.days is not None:
        wanted = wanted[-selection.days :]
    for contract, day, origin in store.lost(table):
        asked = _stands_for(selection.symbol, contract) and _within(selection, day)
        if asked and (selection.days is None or day >= wanted[0]):
            raise DataError(
                f"{name} has lost {contract} on {day}, once imported from {origin}: import it again"
            )
    start = sessions.session_open(wanted[0])
    end = int(sessions.session_table(wanted[-1], wanted[-1])["t_end"][0])
    ready_made = table != "ticks"
    width = int(table.removeprefix("bars_").removesuffix("s")) if ready_made else 0
    kinds = {day.kind for day in files if wanted[0] <= day.session_id <= wanted[-1]}
    merge = "fill" in kinds

    def blocks() -> Iterator[Block]:
        if ready_made:
            return store.read(
                selection.symbol, start, end, "bars", width, front_only=selection.front_only
            )
        return store.read(selection.symbol, start, end, "ticks", merge_fills=merge)

    imports = [entry.sha256 for entry in store.manifest.imports if entry.table == table]
    return Tape(
        name=name,
        sha256=digest(imports, selection.symbol, wanted[0], wanted[-1], selection.front_only),
        ready_made=ready_made,
        width_s=width,
        kind="bars" if ready_made else "/".join(sorted(kinds)),
        first_session=wanted[0],
        last_session=wanted[-1],
        sessions=len(wanted),
        blocks=blocks,
        notes=notes,
    )


def _stands_for(symbol: str, contract: str) -> bool:
    return symbol in (contract, parse_contract(contract).root)


def _within(selection: Selection, session_id: int) -> bool:
    first, last = selection.first, selection.last
    return (first is None or first <= session_id) and (last is None or session_id <= last)


def _table(store: Store, name: str, width_s: int | None) -> str:
    tables = store.tables()
    if not tables:
        raise DataError(f"{name} is an empty store: import data with `mia data import`")
    if width_s is not None:
        wanted = f"bars_{width_s}s"
        if wanted not in tables:
            raise DataError(f"{name} has no bars of {width_s} s: it has {', '.join(tables)}")
        return wanted
    if "ticks" in tables:
        return "ticks"
    if len(tables) > 1:
        raise DataError(f"{name} has {', '.join(tables)}: choose one with --width")
    return tables[0]


def synthetic_tape(
    seed: int, start: int, days: int, trades_per_day: int, *, null: bool = False
) -> Tape:
    """Generate the synthetic market; the same arguments give the same bytes."""
    market = SyntheticMarket(seed, start, days, null=null, trades_per_day=trades_per_day)
    ids = [session.session_id for session in market.sessions()]
    return Tape(
        name=f"synthetic market, seed {seed}" + (", null" if null else ""),
        sha256=digest("synthetic", seed, start, days, trades_per_day, null),
        ready_made=False,
        width_s=0,
        kind="synthetic",
        first_session=ids[0],
        last_session=ids[-1],
        sessions=len(ids),
        blocks=market.blocks,
    )


def count_rows(block: Block) -> tuple[int, int]:
    """Return (rows, trades) of a block; bars count as rows only."""
    return len(block), 0 if isinstance(block, BarBlock) else len(block)
