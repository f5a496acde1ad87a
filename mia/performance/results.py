"""Files of a run, written so that a reader never meets half of one."""

import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from errno import EISDIR
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mia.core.risk_measures import rolling_sharpe
from mia.data.files import reason
from mia.errors import DataError
from mia.performance import run_tables
from mia.performance.recorder import RunRecord
from mia.performance.session_analysis import ROLLING_SESSIONS
from mia.performance.summary import session_pnl


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary file beside `path` that takes its place if nothing goes wrong.

    Raises
    ------
    DataError
        If the folder cannot be written.
    """
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise _unwritable(path, error) from error
    temporary = Path(name)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        os.replace(temporary, path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def _unwritable(path: Path, error: OSError) -> DataError:
    return DataError(f"cannot write {path}: {reason(error)}; choose another --out or make room")


@contextmanager
def results_folder(folder: Path) -> Iterator[Path]:
    """Make the folder of a run's results before the run, so that a bad name costs nothing.

    Folders that were made go again if the block fails and nothing was put into them.

    Raises
    ------
    DataError
        If it cannot be created or written.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _unwritable(folder, error) from error
    try:
        yield folder
    except BaseException:
        with suppress(OSError):
            for path in made:
                path.rmdir()
        raise


@contextmanager
def result_file(path: Path) -> Iterator[Path]:
    """Check before a run that its file can be written; make its folder as `results_folder`.

    Raises
    ------
    DataError
        If it is a folder, or its folder cannot be written.
    """
    if path.is_dir():
        raise DataError(f"cannot write {path}: it is a folder; name a file in it")
    with results_folder(path.parent):
        yield path


@contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """Give a folder inside `folder` whose files take their places when the block succeeds.

    Raises
    ------
    DataError
        If a file cannot be written; `folder` then has what it had.
    """
    try:
        with tempfile.TemporaryDirectory(prefix=".writing-", dir=folder) as name:
            yield Path(name)
            paths = sorted(Path(name).iterdir())
            for path in paths:
                if (folder / path.name).is_dir():
                    raise IsADirectoryError(EISDIR, f"{path.name} is a folder")
            for path in paths:
                os.replace(path, folder / path.name)
    except DataError as error:
        # What the user asked for is the file in its place.
        raise DataError(str(error).replace(f"{name}{os.sep}", f"{folder}{os.sep}")) from error
    except OSError as error:
        raise _unwritable(folder, error) from error


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a mapping as indented JSON.

    Raises
    ------
    DataError
        If the file cannot be written.
    ValueError
        If a number is not finite, which JSON cannot say.
    """
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_columns(path: Path, columns: Mapping[str, NDArray[Any]]) -> None:
    """Write equally long columns as Parquet (zstd)."""
    table = pa.table({name: pa.array(values) for name, values in columns.items()})
    with replacing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def _write_rows(path: Path, schema: pa.Schema, rows: list[dict[str, Any]]) -> None:
    with replacing(path) as temporary:
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), temporary, compression="zstd")


def write_results(
    folder: Path, record: RunRecord, summary: Mapping[str, Any], start_equity: float
) -> None:
    """Write ``trades``, ``decisions``, ``fills``, ``sessions``, ``equity``, and ``summary.json``.

    ``followed`` holds what the model's gate refused, as trades on paper, where there was any.

    Raises
    ------
    DataError
        If a file cannot be written; those before it are whole.
    """
    trades = [run_tables.trade_row(trade) for trade in record.trades]
    _write_rows(folder / "trades.parquet", run_tables.TRADES, trades)
    (folder / "followed.parquet").unlink(missing_ok=True)
    if record.followed:
        paper = [run_tables.trade_row(trade) for trade in record.followed]
        _write_rows(folder / "followed.parquet", run_tables.TRADES, paper)
    unfilled = {decision.ts for decision in record.unfilled}
    decisions = [
        run_tables.decision_row(d, d.accepted and d.ts in unfilled) for d in record.decisions
    ]
    _write_rows(folder / "decisions.parquet", run_tables.DECISIONS, decisions)
    fills = [run_tables.fill_row(fill) for fill in record.fills]
    _write_rows(folder / "fills.parquet", run_tables.FILLS, fills)
    _write_sessions(folder / "sessions.parquet", record)
    marks = record.marks
    write_columns(
        folder / "equity.parquet",
        {
            "ts": np.array([mark[0] for mark in marks], dtype=np.int64),
            "session_id": np.array([mark[1] for mark in marks], dtype=np.int64),
            "equity_usd": np.array([mark[2] for mark in marks], dtype=np.float64),
            "drawdown_usd": _drawdowns(marks, start_equity),
        },
    )
    write_json(folder / "summary.json", summary)


def _write_sessions(path: Path, record: RunRecord) -> None:
    by_session = session_pnl(record)
    traded = Counter(trade.session_id for trade in record.trades)
    net = np.array(list(by_session.values()), dtype=np.float64)
    write_columns(
        path,
        {
            "session_id": np.array(list(by_session), dtype=np.int64),
            "with_data": np.isin(list(by_session), record.sessions),
            "net_pnl_usd": net,
            "trades": np.array([traded[sid] for sid in by_session], dtype=np.int64),
            "rolling_sharpe": rolling_sharpe(net, ROLLING_SESSIONS),
        },
    )


def _drawdowns(marks: list[tuple[int, int, float]], start_equity: float) -> NDArray[np.float64]:
    equity = np.array([start_equity, *(mark[2] for mark in marks)], dtype=np.float64)
    falls: NDArray[np.float64] = (np.maximum.accumulate(equity) - equity)[1:]
    return falls
