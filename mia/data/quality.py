"""What a store holds and how whole it is: the content of ``mia data info``."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table

from mia.core import sessions
from mia.data.calendar import NewsCalendar
from mia.data.contracts import parse_contract
from mia.data.manifest import ImportEntry
from mia.data.schema import DayFile
from mia.data.store import Store

SECOND = 1_000_000_000
SHOWN_GAPS = 10


@dataclass(frozen=True, slots=True)
class Gap:
    """A span of open hours without data in a stored day, ns UTC."""

    contract: str
    session_id: int
    start: int
    end: int

    @property
    def seconds(self) -> int:
        """Its length."""
        return (self.end - self.start) // SECOND


@dataclass(frozen=True, slots=True)
class ContractCoverage:
    """The stored days of one contract in one table.

    Attributes
    ----------
    table, contract : str
        As in ``bars_300s`` and ``ESU19``.
    kinds : tuple of str
        ``summary``, ``fill``; empty for bars.
    days, rows, volume : int
        Trade dates, rows, traded contracts.
    first_session, last_session : int
        First and last trade date.
    missing : tuple of int
        Trading days between them without data.
    gaps : tuple of Gap
        Within the stored days.
    off_hours : int
        Rows outside open hours.
    """

    table: str
    contract: str
    kinds: tuple[str, ...]
    days: int
    rows: int
    volume: int
    first_session: int
    last_session: int
    missing: tuple[int, ...]
    gaps: tuple[Gap, ...]
    off_hours: int


@dataclass(frozen=True, slots=True)
class StoreInfo:
    """Summary of a store.

    Attributes
    ----------
    path : str
        Its folder.
    contracts : tuple of ContractCoverage
        By table and expiry.
    missing : dict of str to tuple of int
        By table and root, as in ``ticks ES``: trading days without data of any contract.
    imports : tuple of ImportEntry
        What was imported.
    news : tuple of (int, int)
        Spans of days that the economic calendar covers.
    lost : tuple of (str, str, int, str)
        Table, contract, trade date and source of days that were imported and are gone.
    """

    path: str
    contracts: tuple[ContractCoverage, ...]
    missing: dict[str, tuple[int, ...]]
    imports: tuple[ImportEntry, ...]
    news: tuple[tuple[int, int], ...]
    lost: tuple[tuple[str, str, int, str], ...]


def inspect(store: Store) -> StoreInfo:
    """Summarise a store from the footers of its files.

    Raises
    ------
    DataError
        If a file is damaged.
    """
    contracts: list[ContractCoverage] = []
    missing: dict[str, tuple[int, ...]] = {}
    for table, days in store.coverage().items():
        by_contract: dict[str, list[DayFile]] = {}
        by_root: dict[str, set[int]] = {}
        for day in days:
            by_contract.setdefault(day.contract, []).append(day)
            by_root.setdefault(parse_contract(day.contract).root, set()).add(day.session_id)
        contracts += [
            _contract(table, name, by_contract[name])
            for name in sorted(by_contract, key=parse_contract)
        ]
        missing |= {f"{table} {root}": _missing(sorted(ids)) for root, ids in by_root.items()}
    news = tuple(NewsCalendar.load(store.path).spans)
    tables = dict.fromkeys(entry.table for entry in store.manifest.imports)
    lost = tuple((table, *day) for table in tables for day in store.lost(table))
    return StoreInfo(str(store.path), tuple(contracts), missing, store.manifest.imports, news, lost)


def render(info: StoreInfo, console: Console) -> None:
    """Print a summary of a store."""
    for name, contract, day, source in info.lost:
        console.print(f"lost: {name} of {contract} on {_date(day)}: import {source} again")
    if not info.contracts:
        console.print(f"{info.path}: empty")
        return
    table = Table(title=info.path, title_justify="left")
    for name in ("table", "contract", "kind", "first", "last"):
        table.add_column(name)
    for name in ("days", "rows", "volume", "missing", "gaps", "off hours"):
        table.add_column(name, justify="right")
    for c in info.contracts:
        table.add_row(
            c.table,
            c.contract,
            ", ".join(c.kinds),
            _date(c.first_session),
            _date(c.last_session),
            *(f"{count:,}" for count in (c.days, c.rows, c.volume)),
            *(f"{count:,}" for count in (len(c.missing), len(c.gaps), c.off_hours)),
        )
    console.print(table)
    for name, days in info.missing.items():
        if days:
            console.print(f"{name}: {len(days):,} trading days without data, {_listed(days)}")
    longest = sorted((g for c in info.contracts for g in c.gaps), key=lambda g: -g.seconds)
    for gap in longest[:SHOWN_GAPS]:
        start = datetime.fromtimestamp(gap.start // SECOND, UTC)
        console.print(
            f"gap {gap.contract} {_date(gap.session_id)}: {gap.seconds / 60:,.0f} min "
            f"from {start:%Y-%m-%d %H:%M} UTC"
        )
    if len(longest) > SHOWN_GAPS:
        console.print(f"and {len(longest) - SHOWN_GAPS:,} shorter gaps")
    rejected = sum(entry.rejected for entry in info.imports)
    console.print(f"{len(info.imports):,} imports, {rejected:,} rows in quarantine")
    spans = ", ".join(f"{_date(first)} to {_date(last)}" for first, last in info.news)
    console.print(f"economic calendar: {spans or 'none imported, news windows are unknown'}")


def _contract(table: str, contract: str, days: Sequence[DayFile]) -> ContractCoverage:
    ids = [day.session_id for day in days]
    gaps = tuple(Gap(contract, day.session_id, *span) for day in days for span in day.gaps)
    return ContractCoverage(
        table=table,
        contract=contract,
        kinds=tuple(sorted({day.kind for day in days} - {""})),
        days=len(days),
        rows=sum(day.rows for day in days),
        volume=sum(day.volume for day in days),
        first_session=ids[0],
        last_session=ids[-1],
        missing=_missing(ids),
        gaps=gaps,
        off_hours=sum(day.off_hours for day in days),
    )


def _missing(ids: Sequence[int]) -> tuple[int, ...]:
    have = set(ids)
    return tuple(day for day in sessions.trading_days(ids[0], ids[-1]) if day not in have)


def _date(session_id: int) -> str:
    return f"{session_id // 10000}-{session_id // 100 % 100:02d}-{session_id % 100:02d}"


def _listed(days: Sequence[int], most: int = 5) -> str:
    names = ", ".join(_date(day) for day in days[:most])
    return names + (", ..." if len(days) > most else "")
