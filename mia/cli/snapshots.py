"""``mia snapshots``: what was known, decided and done about trades."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mia.command_line import JsonOption, output_console
from mia.errors import DataError, UsageError

if TYPE_CHECKING:
    from mia.data.snapshot_files import SnapshotReader

FOLDER = "snapshots"

snapshots = typer.Typer(no_args_is_help=True, help="Snapshots of trades and decisions.")

StateOption = Annotated[
    Path,
    typer.Option("--state", "--state-dir", help="State directory of the trader that wrote them."),
]
TypeOption = Annotated[
    list[str] | None, typer.Option("--type", help="Only this type; may be given several times.")
]
DayOption = Annotated[str | None, typer.Option("--day", help="Only this UTC day, yyyy-mm-dd.")]


@snapshots.command("list")
def snapshots_list(
    state: StateOption = Path("state"), day: DayOption = None, as_json: JsonOption = False
) -> None:
    """List days and how many snapshots of each type they have.

    Example: mia snapshots list --state state
    """
    from rich.table import Table

    from mia.data.snapshot_files import SnapshotType

    reader = _reader(state)
    days: dict[str, dict[str, int]] = {}
    for record in reader.records(day=_day(day)):
        counts = days.setdefault(_moment(record["ts"])[:10], {})
        kind = str(record.get("type"))
        counts[kind] = counts.get(kind, 0) + 1
    if as_json:
        print(json.dumps({"days": days, "torn_lines": reader.torn}, indent=2))
        return
    table = Table("day", *(kind.value for kind in SnapshotType))
    for name, counts in days.items():
        table.add_row(name, *(str(counts.get(kind.value, 0)) for kind in SnapshotType))
    output_console().print(table)
    _tell_torn(reader)


@snapshots.command("show")
def snapshots_show(
    trade: Annotated[str, typer.Argument(help="Trade id, or its beginning.")],
    state: StateOption = Path("state"),
    kinds: TypeOption = None,
) -> None:
    """Print every snapshot of a trade as JSON.

    Example: mia snapshots show TRADE_20260209_150000 --state state
    """
    reader = _reader(state)
    found = [
        record
        for record in reader.records(_kinds(kinds))
        if str(record.get("trade_id", "")).startswith(trade)
    ]
    if not found:
        raise DataError(f"{state / FOLDER} has no snapshot of {trade}: see `mia snapshots list`")
    print(json.dumps(found, indent=2))


@snapshots.command("query")
def snapshots_query(
    state: StateOption = Path("state"),
    kinds: TypeOption = None,
    day: DayOption = None,
    trade: Annotated[str | None, typer.Option(help="Trade id, or its beginning.")] = None,
    reason: Annotated[
        str | None, typer.Option(help="Reason code of the decision, or of the exit.")
    ] = None,
    strategy: Annotated[str | None, typer.Option(help="TREND or RANGE.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most this many, the latest.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """Find snapshots, and print a line for each.

    Example: mia snapshots query --state state --type DECISION --reason CONFLUENCE
    """
    from rich.table import Table

    reader = _reader(state)
    found = [
        record
        for record in reader.records(_kinds(kinds), _day(day))
        if (trade is None or str(record.get("trade_id", "")).startswith(trade))
        and (reason is None or reason.upper() in _reasons(record))
        and (strategy is None or strategy.upper() in _strategies(record))
    ][-limit:]
    if as_json:
        print(json.dumps(found, indent=2))
        return
    table = Table("time (UTC)", "type", "trade", "what")
    for record in found:
        table.add_row(
            _moment(record["ts"]),
            str(record.get("type")),
            str(record.get("trade_id")),
            _summary(record),
        )
    output_console().print(table)
    _tell_torn(reader)


def _reader(state: Path) -> "SnapshotReader":
    from mia.data.snapshot_files import SnapshotReader

    folder = state / FOLDER
    if not folder.is_dir():
        raise DataError(f"{folder} does not exist: name the trader's directory with --state")
    return SnapshotReader(folder)


def _kinds(kinds: list[str] | None) -> frozenset[str]:
    from mia.data.snapshot_files import SnapshotType

    known = set(SnapshotType)
    for kind in kinds or ():
        if kind.upper() not in known:
            raise UsageError(f"unknown type {kind!r}: choose from {', '.join(SnapshotType)}")
    return frozenset(kind.upper() for kind in kinds or ())


def _day(day: str | None) -> str:
    if day is None:
        return ""
    try:
        return datetime.strptime(day, "%Y-%m-%d").date().isoformat()
    except ValueError:
        raise UsageError(f"--day takes a date as 2026-02-09, was {day!r}") from None


def _moment(ts: int) -> str:
    return f"{datetime.fromtimestamp(ts // 1_000_000_000, UTC):%Y-%m-%d %H:%M:%S}"


def _part(record: dict[str, Any], name: str) -> dict[str, Any]:
    part = record.get(name)
    return part if isinstance(part, dict) else {}


def _reasons(record: dict[str, Any]) -> set[object]:
    decision, result = _part(record, "decision"), _part(record, "result")
    return {decision.get("reason"), result.get("exit_reason")}


def _strategies(record: dict[str, Any]) -> set[object]:
    return {_part(record, name).get("strategy") for name in ("decision", "result")}


def _summary(record: dict[str, Any]) -> str:
    """Say in a line what a snapshot is about."""
    return " ".join(str(word) for word in _words(record) if word is not None)


def _words(record: dict[str, Any]) -> Iterator[object]:
    decision, result = _part(record, "decision"), _part(record, "result")
    execution, position = _part(record, "execution"), _part(record, "position")
    if decision:
        yield from (decision.get(name) for name in ("reason", "strategy", "setup", "side"))
    elif result:
        yield from (result.get(name) for name in ("exit_reason", "strategy", "net_pnl"))
    elif execution:
        yield from (execution.get(name) for name in ("role", "side", "quantity", "price"))
    elif position:
        yield from (position.get(name) for name in ("quantity", "open_pnl", "stop"))
    else:
        after = _part(record, "after")
        yield from (after.get(name) for name in ("best_ticks", "worst_ticks"))


def _tell_torn(reader: "SnapshotReader") -> None:
    if reader.torn:
        print(f"{reader.torn} torn lines were passed over")
