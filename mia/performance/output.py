"""All files of a run: tables, summary and report."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mia._fast import bars as builders
from mia.core import sessions
from mia.core.bar_records import bars_of
from mia.core.base_types import BarBlock
from mia.data.tape import Tape
from mia.performance.recorder import RunRecord
from mia.performance.report import write_report
from mia.performance.results import staged, write_columns, write_results

CHART_SECONDS = 300


def chart_bars(tape: Tape) -> dict[str, list[int]]:
    """Return bars of a whole tape for charts, five minutes or the width of ready-made ones.

    Returns
    -------
    dict of str to list of int
        ``t_open`` in seconds since 1970 UTC; ``open``, ``high``, ``low``, ``close`` in ticks.
    """
    bars = np.concatenate(list(_bars(tape)))
    return {
        "t_open": (bars["t_open"] // 1_000_000_000).tolist(),
        **{name: bars[name].tolist() for name in ("open", "high", "low", "close")},
    }


def _bars(tape: Tape) -> Iterator[NDArray[np.void]]:
    table = sessions.session_table(tape.first_session, sessions.next_trading_day(tape.last_session))
    for block in tape.blocks():
        if isinstance(block, BarBlock):
            yield bars_of(block)
        else:
            columns = (block.ts_event, block.price, block.size, block.aggressor_side)
            built, _ = builders.build(f"time:{CHART_SECONDS}", table, *columns)
            yield built


def write_all(
    folder: Path, record: RunRecord, summary: Mapping[str, Any], tape: Tape, start_equity: float
) -> None:
    """Write the Parquet tables, ``summary.json`` and ``report.html`` of a run, all or none.

    Parameters
    ----------
    folder : Path
        An existing folder; files of an earlier run are replaced.

    Raises
    ------
    DataError
        If a file cannot be written.
    """
    bars = chart_bars(tape)
    with staged(folder) as staging:
        write_results(staging, record, summary, start_equity)
        write_candles(staging / "candles.parquet", bars)
        write_report(staging / "report.html", record, summary, bars, start_equity)


def write_candles(path: Path, bars: Mapping[str, list[int]]) -> None:
    """Write the bars of the report, as `chart_bars` returns them."""
    columns = {name: np.array(values, dtype=np.int64) for name, values in bars.items()}
    write_columns(path, columns)
