"""Labelled trades: what was known at each decision, and whether the managed trade earned money.

They come from the tables of a backtest or from the snapshots of a trader, both as plain rows. The
label is that of the trade as it was managed; a proposal that only the model's gate refused is
followed on paper and gives a label like any other.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mia.core.base_types import FEATURE_NAMES
from mia.core.trading_types import ClosedTrade, Decision
from mia.errors import DataError
from mia.ml.inputs import WIDTH, recorded_vector
from mia.ml.uniqueness import average_uniqueness

FOLLOWED = "followed.parquet"
"""Trades that the model's gate refused, in a run's folder; absent where there were none."""

Floats = NDArray[np.float64]
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class LabelledTrades:
    """Trades in order of their entries.

    Attributes
    ----------
    x : ndarray of float64, shape (n, 22)
        Vectors as in `mia.ml.inputs.INPUTS`; nan is unknown.
    r : ndarray of float64, shape (n,)
        Net result in multiples of the risk at entry.
    tau : ndarray of float64, shape (n,)
        Probability at which the trade breaks even.
    starts, ends : ndarray of int64, shape (n,)
        Entry and exit, ns UTC.
    sessions : ndarray of int64, shape (n,)
        yyyymmdd.
    paper : ndarray of bool, shape (n,)
        The model's gate refused it and it was followed on paper.
    """

    x: Floats
    r: Floats
    tau: Floats
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    sessions: NDArray[np.int64]
    paper: NDArray[np.bool_]

    def __len__(self) -> int:
        """Return the number of trades."""
        return len(self.r)

    @property
    def y(self) -> Floats:
        """1 where the net result is positive, else 0."""
        return (self.r > 0.0).astype(np.float64)

    @property
    def weights(self) -> Floats:
        """Average uniqueness of each label, scaled to a mean of 1."""
        found = average_uniqueness(self.starts, self.ends)
        return found / found.mean() if len(found) else found

    def take(self, rows: NDArray[Any] | slice) -> "LabelledTrades":
        """Return some of the trades."""
        return LabelledTrades(
            *(getattr(self, name)[rows] for name in LabelledTrades.__dataclass_fields__)
        )

    def digest(self) -> str:
        """Return a SHA-256 of everything, in hex."""
        sha = hashlib.sha256()
        for name in LabelledTrades.__dataclass_fields__:
            sha.update(np.ascontiguousarray(getattr(self, name)).tobytes())
        return sha.hexdigest()


def _gates(decision: Row) -> dict[str, Row]:
    return {gate["code"]: gate for gate in decision["gates"]}


def _labelled(decision: Row, trade: Row, paper: bool) -> tuple[Any, ...]:
    gates = _gates(decision)
    vector = recorded_vector(
        decision["side"], decision["features"], decision["valid"], decision["parts"], gates
    )
    spans = int(trade["ts_entry"]), int(trade["ts_exit"])
    session = int(decision["session_id"])
    return vector, trade["r_multiple"], gates["MODEL"]["limit"], *spans, session, paper


def labelled_trades(
    pairs: Iterable[tuple[Row, Row, bool]],
) -> LabelledTrades:
    """Make labels of decisions and the trades they became.

    Parameters
    ----------
    pairs : iterable of (decision, trade, paper)
        Decision: ``side``, ``session_id``, ``features`` and ``valid`` (18 each), ``parts`` by name
        and ``gates`` as a list. Trade: ``ts_entry``, ``ts_exit``, ``r_multiple``.

    Raises
    ------
    DataError
        If a field is missing or a result is no number.
    """
    try:
        rows = [_labelled(*pair) for pair in pairs]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"a recorded decision cannot be labelled ({error!r}): it is of another version"
        ) from None
    rows.sort(key=lambda row: (row[3], row[4]))
    columns = list(zip(*rows, strict=True)) if rows else [()] * 7
    found = LabelledTrades(
        x=np.array(columns[0], dtype=np.float64).reshape(-1, WIDTH),
        r=np.array(columns[1], dtype=np.float64),
        tau=np.array(columns[2], dtype=np.float64),
        starts=np.array(columns[3], dtype=np.int64),
        ends=np.array(columns[4], dtype=np.int64),
        sessions=np.array(columns[5], dtype=np.int64),
        paper=np.array(columns[6], dtype=np.bool_),
    )
    if not (np.isfinite(found.r).all() and np.isfinite(found.tau).all()):
        raise DataError("a recorded trade has a result that is no number: make the run again")
    return found


def of_objects(
    decisions: Iterable[Decision],
    trades: Iterable[ClosedTrade],
    followed: Iterable[ClosedTrade] = (),
) -> LabelledTrades:
    """Make labels of what a run kept in memory; trades whose decision is unknown are left out.

    Parameters
    ----------
    decisions : iterable of Decision
    trades : iterable of ClosedTrade
    followed : iterable of ClosedTrade
        Proposals that only the model's gate refused, followed on paper.
    """
    known = {(decision.contract, decision.ts): decision for decision in decisions}
    pairs = []
    for paper, closed in ((False, trades), (True, followed)):
        for trade in closed:
            decision = known.get((trade.contract, trade.ts_signal))
            if decision is not None:
                pairs.append((decision_row(decision), result_row(trade), paper))
    return labelled_trades(pairs)


def decision_row(decision: Decision) -> dict[str, Any]:
    """Return what of a decision a label needs."""
    return {
        "side": decision.proposal.side,
        "session_id": decision.session_id,
        "features": decision.features,
        "valid": decision.valid,
        "parts": decision.parts,
        "gates": [
            {"code": g.code.value, "value": g.value, "limit": g.limit, "known": g.known}
            for g in decision.gates
        ],
    }


def result_row(trade: ClosedTrade) -> dict[str, Any]:
    """Return what of a closed trade a label needs."""
    return {
        "ts_entry": trade.ts_entry,
        "ts_exit": trade.ts_exit,
        "r_multiple": trade.r_multiple,
    }


def read_run(folder: Path) -> LabelledTrades:
    """Read the labelled trades of a run that ``mia backtest`` wrote.

    Raises
    ------
    DataError
        If a table is missing or of another version.
    """
    decisions = {}
    for row in _table(folder / "decisions.parquet"):
        row["features"] = [row[name] for name in FEATURE_NAMES]
        row["valid"] = [row[f"{name}_valid"] for name in FEATURE_NAMES]
        decisions[row["contract"], row["ts"]] = row
    trades = [(row, False) for row in _table(folder / "trades.parquet")]
    if (folder / FOLLOWED).exists():
        trades += [(row, True) for row in _table(folder / FOLLOWED)]
    pairs = []
    for trade, paper in trades:
        decision = decisions.get((trade["contract"], trade["ts_signal"]))
        if decision is None:
            raise DataError(f"{folder}: trade {trade['trade_id']} has no decision: run it again")
        pairs.append((decision, trade, paper))
    return labelled_trades(pairs)


def _table(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        raise DataError(f"{path} is missing: name a folder that `mia backtest --out` wrote")
    # Not for a trader, which reads no tables: its start would wait for them.
    import pyarrow.parquet as pq

    from mia.data.files import reading

    with reading(path):
        rows: list[dict[str, Any]] = pq.read_table(path).to_pylist(maps_as_pydicts="strict")
    return rows


def read_snapshots(folder: Path) -> LabelledTrades:
    """Read the labelled trades of a trader from the snapshots in its state directory.

    Parameters
    ----------
    folder : Path
        ``snapshots`` of the state directory; what a crash tore is passed over.

    Raises
    ------
    DataError
        If a file cannot be read or holds decisions of another version.
    """
    known = {record["trade_id"]: record["features"] for record in _lines(folder, "pre_analysis")}
    decisions: dict[str, dict[str, Any]] = {}
    for record in _lines(folder, "decision"):
        name, features = record["trade_id"], known.get(record["trade_id"])
        if features is None:
            continue
        values, invalid = features["values"], set(features["invalid"])
        decisions[name] = {
            **record["decision"],
            "session_id": record["session_id"],
            # json has no nan: what is null is invalid as well.
            "features": [0.0 if values[n] is None else values[n] for n in FEATURE_NAMES],
            "valid": [n not in invalid and values[n] is not None for n in FEATURE_NAMES],
        }
    pairs: dict[str, tuple[Row, Row, bool]] = {}
    for kind, paper in (("final_result", False), ("refused_result", True)):
        for record in _lines(folder, kind):
            decision = decisions.get(record["trade_id"])
            if decision is not None:
                # A result is told again by a run that cannot know whether it was written.
                pairs[record["trade_id"]] = (decision, record["result"], paper)
    return labelled_trades(pairs.values())


def _lines(folder: Path, kind: str) -> Iterator[dict[str, Any]]:
    """Yield the whole records of a kind, in order."""
    for path in sorted(folder.glob(f"*_{kind}.jsonl")):
        try:
            text = path.read_bytes()
        except OSError as error:
            raise DataError(f"cannot read {path}: {error.strerror}") from None
        for line in text.split(b"\n"):
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if isinstance(record, dict) and record.get("schema") == 1:
                yield record
