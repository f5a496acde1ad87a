"""Closed trades and equity of an account, from its snapshots and its journal.

The journal has the equity after each trade and loses nothing; the snapshots have each trade's
details and may have dropped some. Both are read as they grow, and the page is told if they differ.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mia.data.journal_reader import JournalReader
from mia.data.snapshot_files import SnapshotReader, SnapshotType
from mia.data.state_files import JOURNAL
from mia.errors import JournalError

SNAPSHOTS = "snapshots"
CYCLE, CLOSED = "cycle", "closed"

_FIELDS = {
    "side": "side",
    "quantity": "quantity",
    "ts_entry": "ts_entry",
    "ts_exit": "ts_exit",
    "entry": "entry",
    "exit": "exit",
    "strategy": "strategy",
    "setup": "setup",
    "regime": "regime",
    "exit_reason": "exit_reason",
    "gross": "gross_pnl",
    "costs": "costs",
    "net": "net_pnl",
    "r": "r_multiple",
    "mfe": "mfe_ticks",
    "mae": "mae_ticks",
    "bars": "bars_held",
    "slippage": "slippage_ticks",
}
"""Names of the page, and those of the records."""


@dataclass(slots=True)
class Account:
    """What an account has done.

    Attributes
    ----------
    trades : list of dict
        By time of exit; prices in ticks, times in ns UTC, money in USD.
    equity : list of [int, float]
        (ns UTC, USD): at the first record, then after each closed trade.
    day : dict
        The journal's newest account of the day, empty before the first trade.
    closed : int
        Trades that the journal knows as closed.
    fault : str
        Why the journal could not be read to its end, empty if it could.
    """

    trades: list[dict[str, Any]] = field(default_factory=list)
    equity: list[list[float]] = field(default_factory=list)
    day: dict[str, Any] = field(default_factory=dict)
    closed: int = 0
    fault: str = ""


class ClosedTrades:
    """Follows one state directory; for one thread at a time.

    Parameters
    ----------
    state_dir : Path
        Need not exist yet.
    """

    def __init__(self, state_dir: Path) -> None:
        self._journal = state_dir / JOURNAL
        self._snapshots = SnapshotReader(state_dir / SNAPSHOTS)
        self._by_file: dict[Path, tuple[int, list[dict[str, Any]]]] = {}
        self._inode = self._after = 0
        self._account = Account()

    def read(self) -> Account:
        """Return what is known now; reads what was added since the last call."""
        self._read_journal()
        trades = [trade for path in self._files() for trade in self._of(path)]
        self._account.trades = sorted(trades, key=lambda trade: trade["ts_exit"])
        return self._account

    def _files(self) -> list[Path]:
        return self._snapshots.files(frozenset({SnapshotType.FINAL_RESULT}))

    def _of(self, path: Path) -> list[dict[str, Any]]:
        size = path.stat().st_size
        held = self._by_file.get(path)
        if held is None or held[0] != size:
            day = path.stem.partition("_")[0]
            kinds = frozenset({SnapshotType.FINAL_RESULT})
            found = [_row(record) for record in self._snapshots.records(kinds, day)]
            held = self._by_file[path] = (size, [row for row in found if row is not None])
        return held[1]

    def _read_journal(self) -> None:
        account = self._account
        account.fault = ""
        try:
            inode = self._journal.stat().st_ino
        except OSError:
            return
        if inode != self._inode:
            # The writer sets a damaged journal aside and begins another.
            self._inode, self._after = inode, 0
            self._account = account = Account()
        try:
            with JournalReader(self._journal) as journal:
                for event in journal.events(self._after):
                    if event.kind == CYCLE:
                        self._take(event.ts, event.payload)
                    self._after = event.seq
        except JournalError as error:
            account.fault = str(error)

    def _take(self, ts: int, payload: dict[str, Any]) -> None:
        account, risk = self._account, payload["risk"]
        account.day = {**risk, "ts": ts}
        del account.day["results"]
        if payload["after"] == CLOSED:
            account.closed += 1
            account.equity.append([ts, risk["equity"]])
        elif not account.equity:
            account.equity.append([ts, risk["equity"]])


def _row(record: dict[str, Any]) -> dict[str, Any] | None:
    """Return a trade as the page wants it, None if its record is of another version."""
    result = record.get("result")
    if not isinstance(result, dict) or any(name not in result for name in _FIELDS.values()):
        return None
    row = {name: result[known] for name, known in _FIELDS.items()}
    return {
        "id": record.get("trade_id", ""),
        "session": record.get("session_id", 0),
        "contract": record.get("contract", ""),
        **row,
    }
