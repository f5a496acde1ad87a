"""What a live session is connected to, and how it runs."""

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from mia.core.broker_types import (
    BrokerSnapshot,
    CommissionReport,
    ExecutionReport,
    LinkState,
    Notice,
    OpenOrderReport,
    PositionReport,
    StatusReport,
)
from mia.execution.order_manager import OrderManager


class Connection(Protocol):
    """What is needed of `mia.core.ibkr_connector.IbkrConnector` once it is connected."""

    @property
    def state(self) -> LinkState:
        """State of the connection."""
        ...

    @property
    def is_live_data(self) -> bool:
        """Whether the market data are live."""
        ...

    @property
    def positions(self) -> Mapping[int, PositionReport]:
        """Latest positions of the account by the broker's id of the contract."""
        ...

    def request_server_time(self) -> bool:
        """Ask for the gateway's time."""
        ...

    async def snapshot(self) -> BrokerSnapshot:
        """Return what the broker knows of the account."""
        ...


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """How a live session runs.

    Attributes
    ----------
    lockstep : bool
        Market time moves only when it is asked for.
    end : int, optional
        Market time at which the run ends by itself, ns UTC.
    tick_age_s : float
        Silence in regular hours after which data are stale.
    clock_skew_s : float
        Allowed difference between our clock and the gateway's.
    close_grace_s : float
        How long after its end a bar without later trades is closed by the clock.
    """

    lockstep: bool = False
    end: int | None = None
    tick_age_s: float = 10.0
    clock_skew_s: float = 1.0
    close_grace_s: float = 2.0


Repair = Callable[[int], Coroutine[Any, Any, None]]
"""Fills the hole in the data that began at an instant (ns UTC)."""

Rest = Callable[[int], Coroutine[Any, Any, None]]
"""Does what belongs into the break after a session (yyyymmdd), as a change of contract."""


class Follower(Protocol):
    """What the relay tells of an order report."""

    def tell(self, topic: str, event: object) -> None:
        """Publish."""
        ...

    def follow_up(self) -> None:
        """Take what the manager made of a report."""
        ...

    def on_orders_link(self, state: LinkState, reason: str) -> None:
        """Take a change of the connection that places orders."""
        ...


class OrderRelay:
    """Hands reports to the order manager, and lets the session follow each of them up."""

    def __init__(self, manager: OrderManager, session: Follower) -> None:
        self._manager = manager
        self._session = session

    def on_status(self, report: StatusReport) -> None:
        """Take message 3."""
        self._manager.on_status(report)
        self._session.follow_up()

    def on_open_order(self, report: OpenOrderReport) -> None:
        """Take message 5."""
        self._manager.on_open_order(report)
        self._session.follow_up()

    def on_execution(self, report: ExecutionReport) -> None:
        """Take message 11."""
        self._manager.on_execution(report)
        self._session.follow_up()

    def on_commission(self, report: CommissionReport) -> None:
        """Take message 59."""
        self._manager.on_commission(report)

    def on_notice(self, notice: Notice) -> None:
        """Take message 4."""
        self._session.tell("notice", notice)
        self._manager.on_notice(notice)
        self._session.follow_up()

    def on_link(self, state: LinkState, reason: str) -> None:
        """Take a change of the connection's state."""
        self._manager.on_link(state, reason)
        self._session.on_orders_link(state, reason)
