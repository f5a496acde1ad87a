"""Tables as CSV, for spreadsheets: comma, point, UTF-8, one header line, empty where undefined."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from mia.config.layers import flatten
from mia.core.risk_measures import rolling_sharpe
from mia.performance import run_tables
from mia.performance.recorder import RunRecord
from mia.performance.results import replacing, staged
from mia.performance.session_analysis import ROLLING_SESSIONS, closing_equity
from mia.performance.summary import session_pnl


def write_csv(path: Path, heads: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows; what a row lacks, None and what is not finite become empty cells.

    Numbers are written so that reading them gives the same bits.

    Raises
    ------
    DataError
        If the file cannot be written.
    """
    with (
        replacing(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(heads)
        writer.writerows([_cell(row.get(name)) for name in heads] for row in rows)


def _cell(value: Any) -> Any:
    if value is None or (isinstance(value, float) and not isfinite(value)):
        return ""
    return repr(value) if isinstance(value, float) else value


GROUPS = (
    "by_month",
    "by_weekday",
    "by_hour",
    "by_phase",
    "by_regime",
    "by_strategy",
    "by_trigger",
    "by_side",
    "by_exit",
)


def write_tables(folder: Path, record: RunRecord, summary: Mapping[str, Any]) -> None:
    """Write ``trades``, ``sessions``, ``groups`` and ``figures`` of a run as CSV, all or none.

    Parameters
    ----------
    folder : Path
        An existing folder.

    Raises
    ------
    DataError
        If a file cannot be written.
    """
    with staged(folder) as staging:
        trades = [run_tables.trade_row(trade) for trade in record.trades]
        write_csv(staging / "trades.csv", run_tables.TRADES.names, trades)
        by_session = session_pnl(record)
        daily = np.array(list(by_session.values()), dtype=np.float64)
        sharpes = rolling_sharpe(daily, ROLLING_SESSIONS)
        closes = closing_equity(daily, float(summary["start_equity_usd"]))[1:]
        highs = np.maximum(np.maximum.accumulate(closes), summary["start_equity_usd"])
        heads = ("session_id", "net_pnl_usd", "equity_usd", "fall_usd", "rolling_sharpe")
        columns = (by_session, daily, closes, highs - closes, sharpes)
        rows = [dict(zip(heads, row, strict=True)) for row in zip(*columns, strict=True)]
        write_csv(staging / "sessions.csv", heads, [_plain(row) for row in rows])
        _write_groups(staging / "groups.csv", summary)
        flat = flatten(summary)
        figures = [{"figure": name, "value": value} for name, value in flat.items()
                   if isinstance(value, int | float) and not isinstance(value, bool)]  # fmt: skip
        write_csv(staging / "figures.csv", ("figure", "value"), figures)


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: v.item() if isinstance(v, np.generic) else v for name, v in row.items()}


def _write_groups(path: Path, summary: Mapping[str, Any]) -> None:
    rows: list[dict[str, Any]] = []
    for group in GROUPS:
        for name, figures in summary[group].items():
            low, high = figures["win_rate_wilson_95"]
            r_low, r_high = figures["expectancy_r_95"]
            ends = {"win_rate_low": low, "win_rate_high": high}
            ends |= {"expectancy_r_low": r_low, "expectancy_r_high": r_high}
            rows.append({"group": group.removeprefix("by_"), "name": name, **figures, **ends})
    write_csv(path, GROUP_COLUMNS, rows)


GROUP_COLUMNS = (
    "group",
    "name",
    "trades",
    "wins",
    "win_rate",
    "win_rate_low",
    "win_rate_high",
    "profit_factor",
    "expectancy_r",
    "expectancy_r_low",
    "expectancy_r_high",
    "expectancy_usd",
    "net_pnl_usd",
    "gross_pnl_usd",
    "costs_usd",
    "slippage_ticks_mean",
    "bars_held_mean",
)
