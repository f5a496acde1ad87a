"""What the last gate is told, what it allows, and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from mia.core.base_types import TradingState

MINUTE = 60_000_000_000


class Refused(StrEnum):
    """Why an order did not leave."""

    RUNAWAY = "RUNAWAY"
    KILL_STATE = "KILL_STATE"
    ACCOUNT = "ACCOUNT"
    MODE = "MODE"
    NOT_ARMED = "NOT_ARMED"
    NOT_READY = "NOT_READY"
    BRACKET = "BRACKET"
    MAX_SIZE = "MAX_SIZE"
    DUPLICATE_ID = "DUPLICATE_ID"
    DUPLICATE_INTENT = "DUPLICATE_INTENT"
    SESSION_CLOSED = "SESSION_CLOSED"
    MARKET_HALTED = "MARKET_HALTED"
    DATA_INVALID = "DATA_INVALID"
    DATA_STALE = "DATA_STALE"
    PRICE_LIMIT = "PRICE_LIMIT"
    PRICE_BAND = "PRICE_BAND"
    POSITION = "POSITION"
    DAILY_LOSS = "DAILY_LOSS"
    ORDER_RATE = "ORDER_RATE"
    REENTRY_RATE = "REENTRY_RATE"


@dataclass(frozen=True, slots=True)
class Refusal:
    """One refusal: its code, and one line that says what was found and what is allowed."""

    code: Refused
    text: str


@dataclass(frozen=True, slots=True)
class GateLimits:
    """What may leave at most.

    Attributes
    ----------
    max_size : int
        ES contracts, of one order and of the position with all working entries.
    daily_loss_usd : float
        Loss of the session that no order may make possible, its stop filled.
    orders_per_minute : int
        Brackets in 60 s.
    reentries : int
        Brackets of one side in ``reentry_ns``.
    duplicate_ns : int
        For how long the same side and price count as the same intent.
    band_ticks : int
        Distance of the entry from the last trade.
    min_stop_ticks, max_stop_ticks, max_target_ticks : int
        Distances of stop and target from the entry.
    stale_ns : int
        Age of the last trade or quote.
    slip_ticks : int
        Slippage assumed of each side of the worst case.
    commission : mapping of str to float
        USD per side and contract by symbol.
    refusals : int
        In ``refusal_ns``; more are a runaway.
    """

    max_size: int
    daily_loss_usd: float
    orders_per_minute: int = 6
    reentries: int = 3
    reentry_ns: int = 5 * MINUTE
    duplicate_ns: int = MINUTE // 6
    band_ticks: int = 40
    min_stop_ticks: int = 1
    max_stop_ticks: int = 80
    max_target_ticks: int = 400
    stale_ns: int = MINUTE // 6
    slip_ticks: int = 1
    commission: Mapping[str, float] = field(default_factory=lambda: {"ES": 2.25, "MES": 0.62})
    refusals: int = 10
    refusal_ns: int = MINUTE


@dataclass(frozen=True, slots=True)
class GateFacts:
    """The world at the moment of an order; what is not known is None or nan, and refuses.

    Attributes
    ----------
    ts : int
        Now, market or wall time, ns UTC.
    account : str
        As the broker names the account of the connection.
    state : TradingState
        Of the kill switch.
    why_no_risk : str
        Why the order manager opens nothing now, empty if it would: link, reconciliation,
        orders in doubt, unknown orders or positions.
    last_price : int, optional
        Ticks.
    data_age_ns : int, optional
        Since the last trade or quote.
    data_valid : bool
        Whether market data are live, complete and plausible.
    session_open : bool
        Whether the market trades by its calendar.
    market_halted : bool, optional
    limit_down, limit_up : int, optional
        Daily price limits in ticks; None where the exchange has none now.
    exposure : int, optional
        Held on the order's side with every entry of that side filled, in MES contracts, at
        least 0; see `OrderManager.exposure`.
    realized, open_pnl, worst_pnl : float
        USD of the session: closed, at the last price, and with the stop filled.
    """

    ts: int
    account: str
    state: TradingState
    why_no_risk: str
    last_price: int | None
    data_age_ns: int | None
    data_valid: bool
    session_open: bool
    market_halted: bool | None
    limit_down: int | None
    limit_up: int | None
    exposure: int | None
    realized: float
    open_pnl: float
    worst_pnl: float
