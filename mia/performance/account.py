"""An account as its state directory tells it: trades from snapshots, money from the journal.

The journal is what money depends on; snapshots may have been dropped under load. What they say is
therefore held against the equity that the journal has, and a difference is told.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mia.core import sessions as calendar
from mia.core.trading_types import ClosedTrade, Decision
from mia.data import state_files
from mia.data.journal_reader import JournalReader
from mia.data.snapshot_files import SnapshotReader, SnapshotType
from mia.errors import DataError
from mia.performance import run_tables
from mia.performance.recorder import RunRecord
from mia.performance.summary import RunFacts, summarise

CYCLE = "cycle"
"""Kind of the journal's events with equity and position of the trading cycle."""

CENT = 0.005
MET_NS = 30 * 60_000_000_000
"""A trader that ran for less of a session has not been in it."""


@dataclass(frozen=True, slots=True)
class Account:
    """What a trader left of one account.

    Attributes
    ----------
    record : RunRecord
        Trades and decisions of the snapshots, marks of the journal, and every session in which the
        trader ran.
    summary : dict
        As of `mia.performance.summary.summarise`, with ``journal`` beside it.
    start_equity : float
        USD, before the first order.
    """

    record: RunRecord
    summary: dict[str, Any]
    start_equity: float


def is_state_directory(folder: Path) -> bool:
    """Tell whether a trader kept its state there."""
    return (folder / state_files.JOURNAL).is_file()


def read_account(folder: Path) -> Account:
    """Read the state directory of an account; a trader may be running in it.

    Raises
    ------
    DataError
        If a snapshot is of another version.
    JournalError
        If the journal is missing or damaged.
    """
    marks, start, runs, last_ts = _journal(folder / state_files.JOURNAL)
    record = RunRecord(marks=marks)
    reader = SnapshotReader(folder / "snapshots")
    kinds = (SnapshotType.PRE_ANALYSIS, SnapshotType.DECISION, SnapshotType.FINAL_RESULT)
    found: dict[str, dict[str, Mapping[str, Any]]] = {kind.value: {} for kind in kinds}
    for snapshot in reader.records(frozenset(found)):
        if snapshot.get("type") in found and "trade_id" in snapshot:
            found[snapshot["type"]][snapshot["trade_id"]] = snapshot
    before, decisions, results = (found[kind.value] for kind in kinds)
    try:
        decided = {
            one: _decision(snapshot, before[one])
            for one, snapshot in decisions.items()
            if one in before
        }
        closed = [_trade(snapshot, decided.get(one)) for one, snapshot in results.items()]
        hashes = {str(snapshot["configuration"]) for snapshot in decisions.values()}
    except (KeyError, ValueError, TypeError) as error:
        raise DataError(f"a snapshot of {folder} is of another version ({error})") from error
    record.decisions += sorted(decided.values(), key=lambda decision: decision.ts)
    record.trades += sorted(closed, key=lambda trade: trade.ts_exit)
    # The market's time may lie far from the journal's clock, as in a replay: both say sessions.
    ran = {sid for first, end in runs for sid in _sessions(first, end or last_ts)}
    seen = {decision.session_id for decision in record.decisions}
    seen |= {mark[1] for mark in marks} | {trade.session_id for trade in record.trades}
    record.sessions += sorted(seen if seen and not seen & ran else seen | ran)
    net = sum(trade.net_pnl for trade in record.trades)
    moved = (marks[-1][2] - start) if marks else 0.0
    facts = RunFacts(
        rows=0,
        bars=0,
        ticks=0,
        seconds=0.0,
        start_equity=start,
        waits=0,
        no_setups=0,
        identity={
            "source": folder.name,
            "source_kind": "account",
            "configuration_sha256": ", ".join(sorted(hashes)) or "not recorded",
            "journal": {
                "runs": len(runs),
                "closed_trades": len(marks),
                "equity_change_usd": moved,
                "missing_trades": max(0, len(marks) - len(record.trades)),
                "unexplained_usd": 0.0 if abs(moved - net) < CENT else moved - net,
                "torn_snapshots": reader.torn,
            },
        },
    )
    return Account(record, summarise(record, facts), start)


def _journal(
    path: Path,
) -> tuple[list[tuple[int, int, float]], float, list[tuple[int, int | None]], int]:
    """Return marks after each closed trade, equity before the first, runs, and the last time."""
    marks: list[tuple[int, int, float]] = []
    start: float | None = None
    last = 0
    with JournalReader(path) as journal:
        for event in journal.events():
            last = event.ts
            if event.kind != CYCLE:
                continue
            risk = event.payload["risk"]
            if start is None:
                # Of the first event that there is the trade that it closes, if any, is known.
                day = float(risk["day_pnl"]) if event.payload["after"] == "closed" else 0.0
                start = float(risk["equity"]) - day
            if event.payload["after"] == "closed":
                marks.append((event.ts, int(risk["session_id"]), float(risk["equity"])))
        runs = [(run.started, run.ended) for run in journal.runs()]
    return marks, start or 0.0, runs, last


def _sessions(first: int, last: int) -> Iterable[int]:
    """Return the sessions whose trading a run has met."""
    start, end = (int(calendar.session_id(ts)) for ts in (first, max(first, last)))
    days = calendar.trading_days(start, end)
    table = calendar.session_table(start, end)
    shared = np.minimum(table["t_end"], last) - np.maximum(table["t_open"], first)
    met = table["session_id"][shared >= MET_NS]
    return [int(sid) for sid in days if sid in met]


def _decision(found: Mapping[str, Any], before: Mapping[str, Any]) -> Decision:
    """Return the decision of two snapshots: what was known, and what was decided."""
    block, features = found["decision"], before["features"]
    values, invalid = features["values"], set(features["invalid"])
    row = {
        **block,
        **{name: found[name] for name in ("ts", "session_id", "contract")},
        **{f"{name}_ticks": block[name] for name in ("entry", "stop", "target", "distance")},
        **{name: float("nan") if v is None else v for name, v in values.items()},
        **{f"{name}_valid": name not in invalid for name in values},
        "trigger": block["setup"],
        "regime": before["context"]["regime"],
        "phase": before["market"]["phase"],
    }
    return run_tables.decision_of(row)


def _trade(found: Mapping[str, Any], decision: Decision | None) -> ClosedTrade:
    block = found["result"]
    # A trade whose decision was dropped is one all the same; its first stop is then the last one.
    distance = decision.proposal.distance if decision is not None else 0
    symbol = decision.symbol if decision is not None else str(found["contract"])[:-3]
    row = {
        **block,
        **{name: found[name] for name in ("trade_id", "session_id", "contract")},
        **{f"{name}_ticks": block[name] for name in ("entry", "exit", "stop", "target")},
        **{f"{name}_usd": block[name] for name in ("gross_pnl", "costs", "net_pnl")},
        "distance_ticks": distance,
        "symbol": symbol,
        "trigger": block["setup"],
        "confidence": decision.confidence if decision is not None else float("nan"),
    }
    row["slippage_ticks"] = float("nan") if row["slippage_ticks"] is None else row["slippage_ticks"]
    row["r_multiple"] = float("nan") if row["r_multiple"] is None else row["r_multiple"]
    return run_tables.trade_of(row)
