"""Closed trades and equity of an account, from the journal of its trader, read as it grows."""

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mia.core.trading_types import ClosedTrade
from mia.data.account_history import closed_trades
from mia.data.journal_reader import JournalReader
from mia.data.journal_schema import JournalEvent
from mia.data.state_files import JOURNAL
from mia.errors import JournalError

CYCLE, CLOSED = "cycle", "closed"


@dataclass(slots=True)
class Account:
    """What an account has done.

    Attributes
    ----------
    trades : list of dict
        In the order in which they were booked; see `trade_row`.
    equity : list of [int, float]
        (ns UTC, USD): at the first record, then after each closed trade.
    day : dict
        The journal's newest account of the day, empty before the first trade.
    closed : int
        Trades that were booked; more than `trades` if an older version booked some.
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
        self._inode = self._after = 0
        self._account = Account()

    def read(self) -> Account:
        """Return what is known now; reads what was added since the last call."""
        self._account.fault = ""
        try:
            inode = self._journal.stat().st_ino
        except OSError:
            return self._account
        if inode != self._inode:
            # The writer sets a damaged journal aside and begins another.
            self._inode, self._after = inode, 0
            self._account = Account()
        try:
            with JournalReader(self._journal) as journal:
                for event in journal.events(self._after):
                    if event.kind == CYCLE:
                        self._take(event)
                    self._after = event.seq
        except JournalError as error:
            self._account.fault = str(error)
        return self._account

    def _take(self, event: JournalEvent) -> None:
        account, risk = self._account, event.payload["risk"]
        account.day = {name: value for name, value in risk.items() if name != "results"}
        account.day["ts"] = event.ts
        if event.payload["after"] == CLOSED:
            account.closed += 1
            account.equity.append([event.ts, risk["equity"]])
            with suppress(JournalError):
                # One that another version wrote is counted, and missing among the trades.
                account.trades += map(trade_row, closed_trades([event]))
        elif not account.equity:
            account.equity.append([event.ts, risk["equity"]])


def trade_row(trade: ClosedTrade) -> dict[str, Any]:
    """Return a trade as pages want it: prices in ticks, times in ns UTC, money in USD."""
    return {
        "id": trade.trade_id,
        "session": trade.session_id,
        "symbol": trade.symbol,
        "contract": trade.contract,
        "side": int(trade.side),
        "quantity": trade.quantity,
        "ts_entry": trade.ts_entry,
        "ts_exit": trade.ts_exit,
        "entry": trade.entry,
        "exit": trade.exit,
        "strategy": trade.strategy.value,
        "setup": trade.kind.name,
        "regime": trade.regime.name,
        "exit_reason": trade.exit_reason.value,
        "gross": trade.gross_pnl,
        "costs": trade.costs,
        "net": trade.net_pnl,
        "r": trade.r_multiple,
        "mfe": trade.mfe_ticks,
        "mae": trade.mae_ticks,
        "bars": trade.bars_held,
        "slippage": trade.slippage_ticks,
    }
