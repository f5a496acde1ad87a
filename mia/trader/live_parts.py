"""Small parts of a live trader: its options, its line for orders, VIX and news."""

import gc
from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite, nan
from pathlib import Path
from typing import Any

from mia.config.settings import LoadedSettings
from mia.core import sessions
from mia.core.base_types import TradingMode
from mia.core.broker_types import OrderTicket
from mia.core.ibkr_connector import IbkrConnector
from mia.core.protocols import EventSink
from mia.errors import BrokerError, ConfigError
from mia.execution.last_gate import PAPER_PREFIX
from mia.strategies.session_facts import NewsWindow, no_news_calendar
from mia.trader.sources.feeds import Pace

SECOND = 1_000_000_000
_DAY = 86_400 * SECOND
_COLLECTIONS = (5_000, 20, 50)


@dataclass(frozen=True, slots=True)
class LiveOptions:
    """Where and how the trader runs.

    Attributes
    ----------
    host, port, account
        Of the gateway.
    state_dir : Path
    sink : EventSink
        Told of everything that the cycle and the session publish.
    dry_run : bool
        Send nothing.
    live_flag : bool
        Whether ``--live`` was given.
    lockstep : bool
        The gateway is a simulated one that moves its market step by step.
    now : int, optional
        Market time of a simulated gateway at the start, ns UTC; None with a real one.
    end : int, optional
        Market time at which to stop, ns UTC.
    pace : callable, optional
        In lock-step: makes a simulated feed hold all that was traded up to a time, ns UTC.
    """

    host: str
    port: int
    account: str
    state_dir: Path
    sink: EventSink
    dry_run: bool = False
    live_flag: bool = False
    lockstep: bool = False
    now: int | None = None
    end: int | None = None
    pace: Pace | None = None


def settle_collector() -> None:
    """Leave what the start has made out of every later collection; for a process of its own.

    A collection of everything would hold an order up for tens of milliseconds, and what a start
    leaves behind lives as long as the process.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECTIONS)


class OrderLine:
    """The connection that places orders, once there is one."""

    def __init__(self) -> None:
        self.connector: IbkrConnector | None = None

    def _there(self) -> IbkrConnector:
        if self.connector is None:
            raise BrokerError("there is no connection yet")
        return self.connector

    def next_order_id(self) -> int:
        """Return an id that was never used before."""
        return self._there().next_order_id()

    def place(self, ticket: OrderTicket) -> None:
        """Send an order."""
        self._there().place(ticket)

    def cancel(self, order_id: int) -> None:
        """Ask to cancel an order."""
        self._there().cancel(order_id)


class LiveVix:
    """VIX as the feed last told it.

    Parameters
    ----------
    now : callable
        Time, ns UTC.
    """

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._value = nan
        self._ts = 0

    def publish(self, topic: str, event: Any) -> None:
        """Take the level of an index."""
        symbol, _, value = event
        if symbol == "VIX" and isfinite(value) and value > 0:
            self._value, self._ts = float(value), self._now()

    def at(self, ts: int) -> float:
        """Return the value if it is of the last day, else nan."""
        return self._value if ts - self._ts < _DAY else nan


def news_windows(store: str | None) -> NewsWindow:
    """Return the news windows of a calendar that was imported into the store."""
    if store is None:
        return no_news_calendar
    # Imported here: a start without a store need not wait for what reads one.
    from mia.data.calendar import NewsCalendar

    calendar = NewsCalendar.load(Path(store))
    if calendar is None or not calendar.spans:
        return no_news_calendar

    def window(ts: int) -> bool | None:
        if not calendar.covers(sessions.session_id(ts)):
            return None
        return calendar.window(ts) is not None

    return window


def gateway_address(loaded: LoadedSettings) -> tuple[str, int, str]:
    """Return host, port and account of the gateway that the settings name.

    Raises
    ------
    ConfigError
        If one is missing.
    """
    ibkr = loaded.settings.ibkr
    missing = [name for name in ("port", "account") if getattr(ibkr, name) is None]
    if missing:
        raise ConfigError(
            f"set {' and '.join(f'ibkr.{name}' for name in missing)}: the paper port of a gateway "
            "is 4002, of TWS 7497, and a paper account begins with DU"
        )
    if ibkr.orders_client_id == ibkr.data_client_id:
        raise ConfigError("ibkr.orders_client_id and ibkr.data_client_id must differ")
    assert ibkr.port is not None
    assert ibkr.account is not None
    mode = loaded.settings.trading_mode
    if (mode == TradingMode.LIVE.value) == ibkr.account.startswith(PAPER_PREFIX):
        kind = "paper" if mode == TradingMode.LIVE.value else "live"
        raise ConfigError(
            f"trading_mode is {mode}, but {ibkr.account} is a {kind} account "
            f"(those of paper begin with {PAPER_PREFIX}): correct one of them"
        )
    return ibkr.host, ibkr.port, ibkr.account
