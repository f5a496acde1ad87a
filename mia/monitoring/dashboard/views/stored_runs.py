"""Runs that `mia backtest` and the demo left in a folder, read as plain files.

A run is named by a hash of where it lies, so that no address ever holds a path.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from mia.errors import DataError

DEPTH = 3
"""Levels of folders below the results that are searched."""

MOST = 500
"""Runs that are listed, newest first."""

REPORT = "report.html"
_SUMMARY = "summary.json"
_LARGEST = 16 << 20

_LISTED = (
    "source",
    "trading_mode",
    "risk_level",
    "first_session",
    "last_session",
    "sessions",
    "trades",
    "wins",
    "win_rate",
    "win_rate_wilson_95",
    "profit_factor",
    "expectancy_r",
    "expectancy_r_95",
    "net_pnl_usd",
    "costs_usd",
    "sharpe",
    "sharpe_standard_error",
    "probabilistic_sharpe",
    "max_drawdown_usd",
    "max_drawdown_share",
    "start_equity_usd",
    "end_equity_usd",
    "configuration_sha256",
    "data_sha256",
    "code_version",
)

_TRADE = {
    "id": "trade_id",
    "session": "session_id",
    "symbol": "symbol",
    "contract": "contract",
    "side": "side",
    "quantity": "quantity",
    "ts_entry": "ts_entry",
    "ts_exit": "ts_exit",
    "entry": "entry_ticks",
    "exit": "exit_ticks",
    "strategy": "strategy",
    "setup": "trigger",
    "regime": "regime",
    "exit_reason": "exit_reason",
    "gross": "gross_pnl_usd",
    "costs": "costs_usd",
    "net": "net_pnl_usd",
    "r": "r_multiple",
    "mfe": "mfe_ticks",
    "mae": "mae_ticks",
    "bars": "bars_held",
    "slippage": "slippage_ticks",
}


class StoredRuns:
    """The runs of one folder.

    Parameters
    ----------
    folder : Path
        Need not exist; nothing outside it is ever read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()

    def listed(self) -> list[dict[str, Any]]:
        """Return the runs, newest first; a damaged one with ``fault`` and no figures."""
        found = sorted(self._folders(), key=_written, reverse=True)[:MOST]
        return [self._entry(folder) for folder in found]

    def trades(self, run: str) -> tuple[list[dict[str, Any]], list[list[float]]]:
        """Return trades and equity of a run, shaped as those of an account.

        Raises
        ------
        DataError
            If there is no such run, or its tables cannot be read.
        """
        folder = self._find(run)
        try:
            summary = _read_summary(folder)
            table = pq.read_table(folder / "trades.parquet", columns=list(_TRADE.values()))
            marks = pq.read_table(folder / "equity.parquet", columns=["ts", "equity_usd"])
        except (OSError, ValueError, KeyError) as error:
            raise DataError(f"{folder.name}: {error}") from error
        rows = [{name: row[known] for name, known in _TRADE.items()} for row in table.to_pylist()]
        points = [[row["ts"], row["equity_usd"]] for row in marks.to_pylist()]
        start = summary.get("start_equity_usd")
        if points and isinstance(start, int | float):
            points.insert(0, [points[0][0] - 1, float(start)])
        return rows, points

    def report(self, run: str) -> bytes:
        """Return the page of a run.

        Raises
        ------
        DataError
            If there is none.
        """
        path = self._find(run) / REPORT
        if not self._is_inside(path):
            raise DataError("this run has no report: `mia report` makes it again")
        return path.read_bytes()

    def _find(self, run: str) -> Path:
        for folder in self._folders():
            if self._name(folder) == run:
                return folder
        raise DataError("there is no such run here any more")

    def _name(self, folder: Path) -> str:
        return hashlib.sha256(str(folder.relative_to(self.folder)).encode()).hexdigest()[:16]

    def _is_inside(self, path: Path) -> bool:
        return path.is_file() and path.resolve().is_relative_to(self.folder)

    def _folders(self) -> Iterator[Path]:
        for name, folders, files in os.walk(self.folder):
            here = Path(name)
            depth = len(here.relative_to(self.folder).parts)
            if depth >= DEPTH:
                folders.clear()
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            if _SUMMARY in files and self._is_inside(here / _SUMMARY):
                yield here

    def _entry(self, folder: Path) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "id": self._name(folder),
            "name": folder.relative_to(self.folder.parent).as_posix(),
            "written": _written(folder),
            "report": self._is_inside(folder / REPORT),
            "fault": "",
        }
        try:
            summary = _read_summary(folder)
        except (OSError, ValueError) as error:
            return entry | {"fault": f"{_SUMMARY} cannot be read: {error}"}
        return entry | {name: summary.get(name) for name in _LISTED}


def _written(folder: Path) -> int:
    try:
        return (folder / _SUMMARY).stat().st_mtime_ns
    except OSError:
        return 0


def _read_summary(folder: Path) -> dict[str, Any]:
    path = folder / _SUMMARY
    if path.stat().st_size > _LARGEST:
        raise ValueError(f"{path.stat().st_size} bytes are too many")
    summary = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(summary, dict):
        raise ValueError("it is no object")
    return summary
