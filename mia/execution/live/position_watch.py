"""Notices that the broker's position is no longer the one that our fills explain.

The broker tells positions as they change, beside the executions and in no order with them, so a
difference counts once it has lasted. What it means is for the reconciler to find out.
"""

from collections.abc import Iterable

from mia.core.broker_types import PositionReport
from mia.execution.orders.ledger import OrderLedger

_PATIENCE_S = 3.0


class PositionWatch:
    """Compares positions that were pushed with those of the ledger.

    Parameters
    ----------
    ledger : OrderLedger
    """

    def __init__(self, ledger: OrderLedger) -> None:
        self._ledger = ledger
        self._since: float | None = None

    def disagrees(self, positions: Iterable[PositionReport], now: float) -> bool:
        """Whether a difference has lasted long enough to ask the broker; once for each span.

        Parameters
        ----------
        positions : iterable of PositionReport
            Latest of each contract, of our account.
        now : float
            Seconds of a monotonic clock.
        """
        held: dict[str, int] = {}
        for report in positions:
            held[report.contract] = held.get(report.contract, 0) + report.quantity
        ledger = self._ledger
        if all(
            quantity == ledger.position(contract) + ledger.quarantine.get(contract, 0)
            for contract, quantity in held.items()
        ):
            self._since = None
            return False
        if self._since is None:
            self._since = now
        if now - self._since < _PATIENCE_S:
            return False
        self._since = None
        return True
