"""What gates and risk must know beside the market; the trading cycle keeps it current."""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mia.core.base_types import TradingState
from mia.errors import DataError
from mia.strategies.session_hours import SessionHours

LONG_AGO = -(2**62)
"""An instant before every session: nothing of the kind has happened."""

NewsWindow = Callable[[int], bool | None]
"""Tells whether an instant (ns UTC) lies in a news window; None where no calendar covers it."""


def no_news_calendar(ts: int) -> None:
    """Stand in for a calendar that was not imported: no instant is covered."""


@dataclass(slots=True)
class SessionFacts:
    """State outside the market at one decision.

    Attributes
    ----------
    hours : SessionHours
        Of the current session.
    trading_state : TradingState
        Of the kill switch.
    news_window : callable
        See `NewsWindow`.
    calendar_covered : bool
        Whether the exchange calendar knows this session (holidays, half days).
    accepted : deque of int
        Instants of accepted signals, newest last.
    last_stop_out : int
        Instant of the last losing stop, `LONG_AGO` before the first.
    positions : int
        Open positions and working entries.
    open_pnl : float
        USD at the last price, 0 when flat.
    open_risk : float
        USD from the current price to the stops of positions and working entries.
    """

    hours: SessionHours
    trading_state: TradingState = TradingState.NORMAL
    news_window: NewsWindow = no_news_calendar
    calendar_covered: bool = True
    accepted: deque[int] = field(default_factory=lambda: deque(maxlen=1024))
    last_stop_out: int = LONG_AGO
    positions: int = 0
    open_pnl: float = 0.0
    open_risk: float = 0.0

    def record_accepted(self, ts: int) -> None:
        """Remember an accepted signal for the cooldown and the hourly rate."""
        self.accepted.append(ts)

    def to_dict(self) -> dict[str, Any]:
        """Return what must survive a restart."""
        return {"accepted": list(self.accepted), "last_stop_out": self.last_stop_out}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what `to_dict` returned.

        Raises
        ------
        DataError
            If a field is missing or malformed.
        """
        try:
            accepted = [int(ts) for ts in state["accepted"]]
            self.last_stop_out = int(state["last_stop_out"])
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"saved session facts are damaged ({error!r}): remove them") from error
        self.accepted.clear()
        self.accepted.extend(accepted)
