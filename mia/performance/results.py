"""Files of a run, written so that a reader never meets half of one."""

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from errno import EISDIR
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mia.core.base_types import FEATURE_NAMES, ClosedTrade, Decision
from mia.data.files import reason
from mia.errors import DataError
from mia.performance.recorder import RunRecord


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


_TRADES = pa.schema(
    [
        ("trade_id", pa.string()),
        ("symbol", pa.string()),
        ("contract", pa.string()),
        ("strategy", pa.string()),
        ("trigger", pa.string()),
        ("regime", pa.string()),
        ("session_id", pa.int64()),
        ("side", pa.int8()),
        ("quantity", pa.int32()),
        ("ts_signal", pa.int64()),
        ("ts_entry", pa.int64()),
        ("ts_exit", pa.int64()),
        ("entry_ticks", pa.float64()),
        ("exit_ticks", pa.float64()),
        ("stop_ticks", pa.int32()),
        ("target_ticks", pa.int32()),
        ("distance_ticks", pa.int32()),
        ("exit_reason", pa.string()),
        ("gross_ticks", pa.float64()),
        ("gross_pnl_usd", pa.float64()),
        ("costs_usd", pa.float64()),
        ("net_pnl_usd", pa.float64()),
        ("r_multiple", pa.float64()),
        ("mfe_ticks", pa.int32()),
        ("mae_ticks", pa.int32()),
        ("bars_held", pa.int32()),
        ("confidence", pa.float64()),
        ("slippage_ticks", pa.float64()),
    ]
)


def _trade_row(trade: ClosedTrade) -> dict[str, Any]:
    return {
        "trade_id": trade.trade_id,
        "symbol": trade.symbol,
        "contract": trade.contract,
        "strategy": trade.strategy.value,
        "trigger": trade.kind.name,
        "regime": trade.regime.name,
        "session_id": trade.session_id,
        "side": trade.side,
        "quantity": trade.quantity,
        "ts_signal": trade.ts_signal,
        "ts_entry": trade.ts_entry,
        "ts_exit": trade.ts_exit,
        "entry_ticks": trade.entry,
        "exit_ticks": trade.exit,
        "stop_ticks": trade.stop,
        "target_ticks": trade.target,
        "distance_ticks": trade.distance,
        "exit_reason": trade.exit_reason.value,
        "gross_ticks": trade.gross_ticks,
        "gross_pnl_usd": trade.gross_pnl,
        "costs_usd": trade.costs,
        "net_pnl_usd": trade.net_pnl,
        "r_multiple": trade.r_multiple,
        "mfe_ticks": trade.mfe_ticks,
        "mae_ticks": trade.mae_ticks,
        "bars_held": trade.bars_held,
        "confidence": trade.confidence,
        "slippage_ticks": trade.slippage_ticks,
    }


_GATE = pa.struct(
    [
        ("code", pa.string()),
        ("value", pa.float64()),
        ("limit", pa.float64()),
        ("passed", pa.bool_()),
        ("known", pa.bool_()),
    ]
)

_DECISIONS = pa.schema(
    [
        ("ts", pa.int64()),
        ("session_id", pa.int64()),
        ("contract", pa.string()),
        ("strategy", pa.string()),
        ("trigger", pa.string()),
        ("side", pa.int8()),
        ("quality", pa.float64()),
        ("entry_type", pa.string()),
        ("entry_ticks", pa.int32()),
        ("stop_ticks", pa.int32()),
        ("target_ticks", pa.int32()),
        ("distance_ticks", pa.int32()),
        ("signal", pa.string()),
        ("reason", pa.string()),
        ("confidence", pa.float64()),
        ("label", pa.string()),
        ("parts", pa.map_(pa.string(), pa.float64())),
        ("gates", pa.list_(_GATE)),
        ("symbol", pa.string()),
        ("quantity", pa.int32()),
        ("budgets", pa.map_(pa.string(), pa.float64())),
        ("regime", pa.string()),
        ("phase", pa.string()),
        *((name, pa.float64()) for name in FEATURE_NAMES),
        *((f"{name}_valid", pa.bool_()) for name in FEATURE_NAMES),
    ]
)


def _decision_row(decision: Decision) -> dict[str, Any]:
    proposal = decision.proposal
    return {
        "ts": decision.ts,
        "session_id": decision.session_id,
        "contract": decision.contract,
        "strategy": proposal.strategy.value,
        "trigger": proposal.kind.name,
        "side": proposal.side,
        "quality": proposal.quality,
        "entry_type": proposal.entry_type.name,
        "entry_ticks": proposal.entry,
        "stop_ticks": proposal.stop,
        "target_ticks": proposal.target,
        "distance_ticks": proposal.distance,
        "signal": decision.signal.value,
        "reason": decision.reason.value,
        "confidence": decision.confidence,
        "label": decision.label,
        "parts": list(decision.parts.items()),
        "gates": [
            {
                "code": gate.code.value,
                "value": gate.value,
                "limit": gate.limit,
                "passed": gate.passed,
                "known": gate.known,
            }
            for gate in decision.gates
        ],
        "symbol": decision.symbol,
        "quantity": decision.quantity,
        "budgets": list(decision.budgets.items()),
        "regime": decision.regime.name,
        "phase": decision.phase.name,
        **dict(zip(FEATURE_NAMES, decision.features, strict=True)),
        **{
            f"{name}_valid": valid
            for name, valid in zip(FEATURE_NAMES, decision.valid, strict=True)
        },
    }


def write_results(
    folder: Path, record: RunRecord, summary: Mapping[str, Any], start_equity: float
) -> None:
    """Write ``trades``, ``decisions``, ``equity`` (Parquet) and ``summary.json``.

    Raises
    ------
    DataError
        If a file cannot be written; those before it are whole.
    """
    _write_rows(folder / "trades.parquet", _TRADES, [_trade_row(t) for t in record.trades])
    _write_rows(
        folder / "decisions.parquet", _DECISIONS, [_decision_row(d) for d in record.decisions]
    )
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


def _drawdowns(marks: list[tuple[int, int, float]], start_equity: float) -> NDArray[np.float64]:
    equity = np.array([start_equity, *(mark[2] for mark in marks)], dtype=np.float64)
    falls: NDArray[np.float64] = (np.maximum.accumulate(equity) - equity)[1:]
    return falls
