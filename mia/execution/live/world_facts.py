"""The world as the last gate sees it, gathered at the moment of an order."""

import time
from typing import TYPE_CHECKING

from mia.execution.gate_facts import GateFacts

if TYPE_CHECKING:
    from mia.execution.live.session import LiveSession

SECOND = 1_000_000_000


class WorldFacts:
    """Gathers `GateFacts` from a live session.

    Parameters
    ----------
    account : str
        As the connection was told it by the gateway.

    Attributes
    ----------
    session : LiveSession, optional
        Set once it exists; before, every order is refused.
    """

    def __init__(self, account: str) -> None:
        self._account = account
        self.session: LiveSession | None = None

    def __call__(self, side: int) -> GateFacts:
        """Return the facts for an entry of one side."""
        session = self.session
        if session is None:
            raise RuntimeError("an order came before the session")
        trader, manager, status = session.trader, session.manager, session.status
        now = session.now
        halted = status.is_halted(now)
        if halted is None and session.options.lockstep:
            # A market that moves when it is asked to is silent without being halted.
            halted = False
        limits = status.limits(now)
        exposure = trader.exposure()
        last = manager.last_price
        return GateFacts(
            ts=now,
            account=self._account,
            state=trader.kill_switch.state,
            why_no_risk=manager.why_no_risk if session.is_ready else "the trader is not ready",
            last_price=last or None,
            data_age_ns=round((time.monotonic() - session.heard_at) * SECOND),
            data_valid=not session.data_fault(),
            session_open=status.is_open(now),
            market_halted=halted,
            limit_down=limits[0],
            limit_up=limits[1],
            exposure=manager.exposure(side),
            realized=exposure.realized,
            open_pnl=exposure.open_pnl,
            worst_pnl=exposure.worst_pnl,
        )
