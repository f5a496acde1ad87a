"""Round trips of the day, also those of an earlier run of the same session."""

from collections.abc import Iterable, Mapping
from typing import Any

from mia.core.trading_types import ClosedTrade
from mia.execution.live.recovery import KIND


class DayCount:
    """Counts the trades that were closed in the newest session.

    Parameters
    ----------
    events : iterable of (str, mapping)
        Kind and payload of the journal's events, in order: what earlier runs closed.

    Attributes
    ----------
    session_id : int
        Of the counts, yyyymmdd; 0 before the first trade.
    trades, wins : int
        Closed, and those of them that earned something after costs.
    """

    def __init__(self, events: Iterable[tuple[str, Mapping[str, Any]]] = ()) -> None:
        self.session_id = self.trades = self.wins = 0
        equity: float | None = None
        for kind, payload in events:
            if kind != KIND:
                continue
            risk = payload["risk"]
            if payload.get("after") == "closed":
                self._add(int(risk["session_id"]), equity is not None and risk["equity"] > equity)
            equity = float(risk["equity"])

    def take(self, trade: ClosedTrade) -> None:
        """Count a round trip."""
        self._add(trade.session_id, trade.net_pnl > 0)

    def of(self, session_id: int) -> tuple[int, int]:
        """Return trades and wins of a session, 0 if it is not the newest."""
        return (self.trades, self.wins) if session_id == self.session_id else (0, 0)

    def _add(self, session_id: int, won: bool) -> None:
        if session_id != self.session_id:
            self.session_id, self.trades, self.wins = session_id, 0, 0
        self.trades += 1
        self.wins += won
