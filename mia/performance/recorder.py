"""What a run leaves behind, gathered as it happens."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mia.core.base_types import Reason, TradingState
from mia.core.trading_types import ClosedTrade, Decision, Fill


@dataclass(slots=True)
class RunRecord:
    """Receives the events of a trading cycle; an `EventSink`.

    Attributes
    ----------
    sessions : list of int
        Sessions with data, in order, flat ones included.
    decisions : list of Decision
    fills : list of Fill
    trades : list of ClosedTrade
    unfilled : list of Decision
        Accepted decisions whose entry was never filled.
    marks : list of tuple
        (ts, session, equity): USD with the open position at the close, at each close with a
        position and at each end of a trade.
    rows : list of ndarray
        Rows of the kernels, where they are recorded.
    followed : list of ClosedTrade
        What became, on paper, of proposals that only the model's gate refused.
    kills : list
        Causes that raised the kill switch, as (cause, state before, state after).
    """

    sessions: list[int] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    fills: list[Fill] = field(default_factory=list)
    trades: list[ClosedTrade] = field(default_factory=list)
    unfilled: list[Decision] = field(default_factory=list)
    marks: list[tuple[int, int, float]] = field(default_factory=list)
    rows: list[NDArray[np.void]] = field(default_factory=list)
    followed: list[ClosedTrade] = field(default_factory=list)
    kills: list[tuple[Any, TradingState, TradingState]] = field(default_factory=list)

    def publish(self, topic: str, event: object) -> None:
        """Keep an event of a topic that is known, pass over others."""
        topics: dict[str, list[Any]] = {
            "session": self.sessions,
            "decision": self.decisions,
            "fill": self.fills,
            "closed": self.trades,
            "followed": self.followed,
            "unfilled": self.unfilled,
            "mark": self.marks,
            "rows": self.rows,
            "kill": self.kills,
        }
        if topic in topics:
            topics[topic].append(event)

    def rejections(self, waits: int, no_setups: int) -> dict[str, int]:
        """Count why closes and proposals became no order, most frequent first.

        Parameters
        ----------
        waits, no_setups : int
            Closes without a tradable regime, and without a setup.
        """
        counts = Counter(d.reason for d in self.decisions if d.reason is not Reason.OK)
        counts[Reason.REGIME_WAIT] += waits
        counts[Reason.NO_SETUP] += no_setups
        return {reason.value: n for reason, n in counts.most_common() if n}
