"""A run read back from the files it left."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mia.core.base_types import Reason
from mia.core.overfitting import Overfitting, Trials, probability_of_overfitting
from mia.core.statistics import sharpe
from mia.data.files import reading
from mia.errors import DataError
from mia.performance import run_tables
from mia.performance.recorder import RunRecord
from mia.performance.summary import RunFacts, session_pnl, summarise

KEPT = ("kill_switch", "unfilled")
"""Figures of which the files hold the summary only."""


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run as its folder holds it.

    Attributes
    ----------
    folder : Path
    record : RunRecord
        Without rows of the kernels, causes of the kill switch and ``extra`` of trades.
    summary : dict
        As written.
    bars : dict of str to list of int
        Candles for charts.
    """

    folder: Path
    record: RunRecord
    summary: dict[str, Any]
    bars: dict[str, list[int]]

    @property
    def start_equity(self) -> float:
        """USD."""
        return float(self.summary["start_equity_usd"])

    @property
    def daily(self) -> dict[int, float]:
        """Net USD by session, in order."""
        return session_pnl(self.record)

    def summarised(
        self, trials: Trials | None = None, overfitting: Overfitting | None = None
    ) -> dict[str, Any]:
        """Compute the summary from the files again, as chosen among `trials`."""
        facts = _facts(self.summary, self.record)
        again = summarise(self.record, facts, trials, overfitting)
        return {key: self.summary[key] if key in KEPT else again[key] for key in again}


def _facts(summary: Mapping[str, Any], record: RunRecord) -> RunFacts:
    rejected = dict(summary["rejections"])
    for decision in record.decisions:
        if decision.reason in (Reason.REGIME_WAIT, Reason.NO_SETUP):
            rejected[decision.reason.value] -= 1
    facts = RunFacts(
        rows=int(summary["rows"]),
        bars=int(summary["bars"]),
        ticks=int(summary["ticks"]),
        seconds=float(summary["seconds"]),
        start_equity=float(summary["start_equity_usd"]),
        waits=rejected.get(Reason.REGIME_WAIT.value, 0),
        no_setups=rejected.get(Reason.NO_SETUP.value, 0),
        identity={},
    )
    computed = summarise(RunRecord(), facts)
    return replace(
        facts, identity={key: value for key, value in summary.items() if key not in computed}
    )


def read_run(folder: Path) -> StoredRun:
    """Read the files that `mia.performance.output.write_all` wrote.

    Raises
    ------
    DataError
        If one is missing, unreadable, or of a version without what is needed.
    """
    summary = _summary(folder)
    marks = _table(folder, "equity")
    sessions = _table(folder, "sessions")
    try:
        record = RunRecord(
            sessions=[
                sid
                for sid, held in zip(sessions["session_id"], sessions["with_data"], strict=True)
                if held
            ],
            trades=[run_tables.trade_of(row) for row in _rows(folder, "trades")],
            decisions=[run_tables.decision_of(row) for row in _rows(folder, "decisions")],
            fills=[run_tables.fill_of(row) for row in _rows(folder, "fills")],
            marks=list(zip(marks["ts"], marks["session_id"], marks["equity_usd"], strict=True)),
        )
        run = StoredRun(folder, record, summary, _table(folder, "candles"))
        run.summarised()
    except (KeyError, ValueError, TypeError) as error:
        raise DataError(
            f"{folder} holds a run of another version ({error}): run it again with this one"
        ) from error
    return run


def _summary(folder: Path) -> dict[str, Any]:
    path = folder / "summary.json"
    if not path.is_file():
        raise DataError(f"{folder} holds no run: name a folder that `mia backtest --out` wrote")
    with reading(path):
        text = path.read_text(encoding="utf-8")
    try:
        summary = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{path} is not JSON: {error}; run the backtest again") from error
    if not isinstance(summary, dict):
        raise DataError(f"{path} holds no summary: run the backtest again")
    return summary


def _read(folder: Path, name: str) -> pa.Table:
    path = folder / f"{name}.parquet"
    if not path.is_file():
        raise DataError(f"{path} is missing: run the backtest again with this version")
    with reading(path):
        return pq.read_table(path)


def _table(folder: Path, name: str) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = _read(folder, name).to_pydict()
    return columns


def _rows(folder: Path, name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = _read(folder, name).to_pylist(maps_as_pydicts="strict")
    return rows


@dataclass(frozen=True, slots=True)
class TriedVariants:
    """Variants among which a run was chosen.

    Attributes
    ----------
    trials : Trials
    overfitting : Overfitting or None
        Undefined for one variant and for too few sessions.
    """

    trials: Trials
    overfitting: Overfitting | None


def read_variants(run: StoredRun, folder: Path) -> TriedVariants:
    """Read the results of all variants that were tried, each a run in a folder below `folder`.

    The run itself counts as one of them wherever it lies.

    Raises
    ------
    DataError
        If there is none, one cannot be read, or one covers other sessions than the run.
    """
    own = run.folder.resolve()
    with reading(folder):
        found = sorted(path.parent for path in folder.glob("*/sessions.parquet"))
    others = [path for path in found if path.resolve() != own]
    if not others:
        raise DataError(f"{folder} holds no other run: name a folder with one folder per variant")
    daily = run.daily
    columns = [list(daily.values())]
    for other in others:
        table = _table(other, "sessions")
        if table.get("session_id") != list(daily) or "net_pnl_usd" not in table:
            raise DataError(
                f"{other} covers other sessions than {run.folder}: "
                "variants are compared on the same data"
            )
        columns.append(table["net_pnl_usd"])
    matrix = np.array(columns, dtype=np.float64).T
    trials = Trials.of([sharpe(column).value for column in matrix.T])
    return TriedVariants(trials, probability_of_overfitting(matrix))
