"""Values, enumerations and protocols that all levels share; imports nothing local.

Prices are integer ticks of 0.25 point, times int64 nanoseconds since 1970 UTC, sizes contracts,
money USD. Enumerations of the method are integers in the order that the kernels use; their
names are those of reports and files.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

MISSING_PRICE = -(2**31)
"""Stands in an int32 price column for "not known"."""

FEATURE_NAMES = (
    "cvd_trend",
    "bar_delta",
    "delta_divergence",
    "absorption",
    "stacked_imbalance",
    "book_imbalance",
    "tick_momentum",
    "smart_money",
    "gamma_ratio",
    "flip_dist",
    "wall_pos",
    "hedge_flow",
    "skew",
    "term",
    "market_regime",
    "vwap_trend",
    "volume_confirmation",
    "session_context",
)
"""Names of F1 to F18."""


class Side(IntEnum):
    """Direction of a trade, an order or a position."""

    SELL = -1
    FLAT = 0
    BUY = 1


class Phase(IntEnum):
    """Phase of the trading day, New York wall clock."""

    after_hours = 0
    pre_market = 1
    london_open = 2
    ny_open = 3
    lunch = 4
    afternoon = 5
    close = 6
    halt = 7


class Regime(IntEnum):
    """Published or raw market regime."""

    STRONG_TREND_BULL = 0
    STRONG_TREND_BEAR = 1
    WEAK_TREND_BULL = 2
    WEAK_TREND_BEAR = 3
    RANGE_BULLISH_BIAS = 4
    RANGE_BEARISH_BIAS = 5
    RANGE_NEUTRAL = 6
    TRANSITION = 7
    UNCLEAR = 8

    @property
    def family(self) -> str:
        """TREND, RANGE, TRANSITION or UNCLEAR."""
        if self <= Regime.WEAK_TREND_BEAR:
            return "TREND"
        return "RANGE" if self <= Regime.RANGE_NEUTRAL else self.name

    @property
    def side(self) -> int:
        """+1 bullish, -1 bearish, 0 neither."""
        return (1, -1, 1, -1, 1, -1, 0, 0, 0)[self]


class GoldenState(IntEnum):
    """State of the golden rule."""

    UNCLEAR = 0
    STRONG_BULLISH = 1
    WEAK_BULLISH = 2
    STRONG_BEARISH = 3
    WEAK_BEARISH = 4
    VIOLATION_WARNING = 5
    VIOLATION_CONFIRMED = 6


class BattleStatus(IntEnum):
    """Who is winning the Battle Navale."""

    VIKINGS_WINNING = 0
    DEFENDERS_WINNING = 1
    BALANCED_FIGHT = 2
    NO_BATTLE = 3
    BATAILLE_GAGNEE = 4


class BarPattern(IntEnum):
    """Bar patterns in the order of their strengths in a row."""

    LDU = 0
    LUD = 1
    CDS = 2
    CUS = 3


class Tier(IntEnum):
    """Rank of the feature score among recent sessions."""

    UNRANKED = 0
    NONE = 1
    WEAK = 2
    STRONG = 3
    PREMIUM = 4


class SetupKind(IntEnum):
    """Triggers, in the order that breaks ties of quality (table order of the strategies)."""

    T1 = 0
    T2 = 1
    R1 = 2
    P1 = 3
    P2 = 4
    P3 = 5
    P4 = 6
    P5 = 7


class OrderType(IntEnum):
    """Type of an order."""

    MARKET = 0
    LIMIT = 1
    STOP = 2
    STOP_LIMIT = 3


class OrderStatus(StrEnum):
    """Where an order stands."""

    PENDING = "PENDING"
    WORKING = "WORKING"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"
    UNKNOWN = "UNKNOWN"


class OrderRole(StrEnum):
    """What an order does for its bracket."""

    ENTRY = "ENTRY"
    STOP = "STOP"
    TARGET = "TARGET"
    FLATTEN = "FLATTEN"


class TradingState(IntEnum):
    """Kill-switch state; higher is stricter."""

    NORMAL = 0
    HALT_ENTRIES = 1
    HALT_TRADING = 2
    EMERGENCY = 3


class TradingMode(StrEnum):
    """What a session may do."""

    DATA_COLLECTION = "data_collection"
    PAPER = "paper"
    LIVE = "live"


class RiskLevel(StrEnum):
    """The trader's appetite."""

    CONSERVATIVE = "conservative"
    MODERATE = "moderate"
    AGGRESSIVE = "aggressive"


class Strategy(StrEnum):
    """Strategy families; sizing statistics are kept for each."""

    TREND = "TREND"
    RANGE = "RANGE"


class Signal(StrEnum):
    """Type of an accepted signal or of an exit."""

    LONG_TREND = "LONG_TREND"
    SHORT_TREND = "SHORT_TREND"
    LONG_RANGE = "LONG_RANGE"
    SHORT_RANGE = "SHORT_RANGE"
    EXIT_PROFIT = "EXIT_PROFIT"
    EXIT_STOP = "EXIT_STOP"
    EXIT_RULE = "EXIT_RULE"
    NO_SIGNAL = "NO_SIGNAL"


class Reason(StrEnum):
    """Why a bar or a proposal did not become an order; ``OK`` if it did. Gates in their order."""

    OK = "OK"
    REGIME_WAIT = "REGIME_WAIT"
    NO_SETUP = "NO_SETUP"
    STOP_TOO_FAR = "STOP_TOO_FAR"
    KILL_STATE = "KILL_STATE"
    MODE_HOURS = "MODE_HOURS"
    NEWS_WINDOW = "NEWS_WINDOW"
    SESSION_FACTOR = "SESSION_FACTOR"
    FEATURE_QUALITY = "FEATURE_QUALITY"
    MICRO_ANOMALY = "MICRO_ANOMALY"
    SPREAD = "SPREAD"
    REGIME_CONF = "REGIME_CONF"
    REGIME_COOLDOWN = "REGIME_COOLDOWN"
    DIRECTION = "DIRECTION"
    GOLDEN_RULE = "GOLDEN_RULE"
    BN_AGAINST = "BN_AGAINST"
    MTF = "MTF"
    CONFLUENCE = "CONFLUENCE"
    DEALER_WALL = "DEALER_WALL"
    OPTIONS_STALE = "OPTIONS_STALE"
    CONFIDENCE = "CONFIDENCE"
    MODEL = "MODEL"
    RR = "RR"
    SIGNAL_COOLDOWN = "SIGNAL_COOLDOWN"
    SIGNAL_RATE = "SIGNAL_RATE"
    LOSS_COOLDOWN = "LOSS_COOLDOWN"
    DAILY_LOSS = "DAILY_LOSS"
    DAILY_TARGET = "DAILY_TARGET"
    TRADES_PER_DAY = "TRADES_PER_DAY"
    DRAWDOWN = "DRAWDOWN"
    VIX_CEILING = "VIX_CEILING"
    LOSS_STREAK = "LOSS_STREAK"
    FRIDAY = "FRIDAY"
    COVERAGE = "COVERAGE"
    MAX_POSITIONS = "MAX_POSITIONS"
    OPEN_RISK = "OPEN_RISK"
    KELLY_NO_EDGE = "KELLY_NO_EDGE"
    SIZE_ZERO = "SIZE_ZERO"


class ExitReason(StrEnum):
    """Why a position was closed, in the order of evaluation."""

    EMERGENCY = "EMERGENCY"
    SESSION_END = "SESSION_END"
    KILL_STATE = "KILL_STATE"
    STOP = "STOP"
    TARGET = "TARGET"
    BASE_VIOLATION = "BASE_VIOLATION"
    TWO_BALLS = "TWO_BALLS"
    BN_SIGNAL = "BN_SIGNAL"
    TIME_STOP = "TIME_STOP"


@dataclass(frozen=True, slots=True)
class TradeBlock:
    """Trades of one contract in arrival order, as equally long columns.

    Attributes
    ----------
    contract : str
        As in ``ESZ25``; a tape changes it only between sessions.
    ts_event : ndarray of int64
        Exchange time, ns UTC.
    price : ndarray of int32
        Ticks.
    size : ndarray of int32
        Contracts.
    aggressor_side : ndarray of int8
        +1 buyer, -1 seller, 0 unknown.
    bid_price, ask_price : ndarray of int32
        Quote at the trade in ticks, `MISSING_PRICE` where unknown.
    kind : str
        ``summary`` (one aggressor order at one price) or ``fill``.
    """

    contract: str
    ts_event: NDArray[np.int64]
    price: NDArray[np.int32]
    size: NDArray[np.int32]
    aggressor_side: NDArray[np.int8]
    bid_price: NDArray[np.int32]
    ask_price: NDArray[np.int32]
    kind: str = "summary"

    def __len__(self) -> int:
        """Count the trades."""
        return len(self.ts_event)


@dataclass(frozen=True, slots=True)
class BarBlock:
    """Ready-made bars of one contract in time order.

    Attributes
    ----------
    contract : str
        As in ``ESZ25``.
    width_s : int
        Width of the slot in seconds.
    t_open : ndarray of int64
        Start of the slot, ns UTC.
    open, high, low, close : ndarray of int32
        Ticks.
    volume, bid_volume, ask_volume, trades : ndarray of int64
        Contracts; count of trades. Bid and ask volume are 0 where the source has none.
    """

    contract: str
    width_s: int
    t_open: NDArray[np.int64]
    open: NDArray[np.int32]
    high: NDArray[np.int32]
    low: NDArray[np.int32]
    close: NDArray[np.int32]
    volume: NDArray[np.int64]
    bid_volume: NDArray[np.int64]
    ask_volume: NDArray[np.int64]
    trades: NDArray[np.int64]

    def __len__(self) -> int:
        """Count the bars."""
        return len(self.t_open)


Block = TradeBlock | BarBlock


@dataclass(frozen=True, slots=True)
class Setup:
    """A trigger that fired at a close.

    Attributes
    ----------
    kind : SetupKind
        Which trigger.
    side : int
        +1 long, -1 short.
    quality : float
        Quality or strength in [0, 1].
    level : float
        Its level in ticks, nan where it has none.
    stop : float
        Stop price in ticks, not yet rounded.
    target : float
        Target price in ticks, nan if the target is a multiple of the entry distance.
    traded : bool
        Whether its strength suffices to trade it.
    """

    kind: SetupKind
    side: int
    quality: float
    level: float
    stop: float
    target: float
    traded: bool


class Context(NamedTuple):
    """Everything a strategy, a gate or an exit rule may know at one primary close.

    Prices in ticks; letters of the method: `score` is S, `golden` is G. A tuple, because one is
    made at every close that needs a decision, and a frozen dataclass takes five times as long.
    """

    ts: int
    t_open: int
    session_id: int
    bar_index: int
    contract: str
    open: int
    high: int
    low: int
    close: int
    volume: int
    atr: float
    atr_ref: float
    vr: float
    vwap: float
    vwap_sd: float
    phase: Phase
    rth: bool
    t_rth_close: int
    vikings: float
    defenders: float
    golden: float
    golden_state: GoldenState
    score: float
    bn_signal: int
    bn_strength: float
    bn_confidence: float
    base_quality: float
    base_dir: int
    active_dir: int
    active_low: int
    active_high: int
    violated: int
    regime: Regime
    regime_raw: Regime
    regime_confidence: float
    regime_changed_at: int
    resistance: float
    support: float
    features: tuple[float, ...]
    valid: tuple[bool, ...]
    feature_quality: float
    feature_score: float
    tier: Tier
    price_score: float
    mtf: float
    mtf_valid: bool
    micro_anomaly: float
    gamma_pin: float
    spread: int
    options_quality: float
    call_wall: float
    put_wall: float
    gamma_flip: float
    vix: float
    setups: tuple[Setup, ...]


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a strategy wants to do.

    Attributes
    ----------
    entry, stop, target : int
        Prices in ticks.
    distance : int
        Ticks from entry to stop (d).
    valid_bars : int
        Primary bars for which the entry order works.
    """

    strategy: Strategy
    kind: SetupKind
    side: int
    quality: float
    entry_type: OrderType
    entry: int
    stop: int
    target: int
    distance: int
    valid_bars: int


class GateResult(NamedTuple):
    """Outcome of one gate: the value found, the limit, and whether it passed."""

    code: Reason
    value: float
    limit: float
    passed: bool
    known: bool = True


@dataclass(frozen=True, slots=True)
class Decision:
    """A proposal with every gate, accepted or not.

    Attributes
    ----------
    reason : Reason
        ``OK`` or the first failure in the order of the gates.
    parts : mapping
        Confidence parts by name, each in [0, 1].
    budgets : mapping
        Numbers of the sizing in USD or contracts, by name.
    """

    ts: int
    session_id: int
    contract: str
    proposal: Proposal
    signal: Signal
    reason: Reason
    confidence: float
    label: str
    parts: Mapping[str, float]
    gates: Sequence[GateResult]
    symbol: str
    quantity: int
    budgets: Mapping[str, float]
    features: tuple[float, ...]
    valid: tuple[bool, ...]
    regime: Regime
    phase: Phase

    @property
    def accepted(self) -> bool:
        """Whether it becomes an order."""
        return self.reason is Reason.OK


@dataclass(frozen=True, slots=True)
class BracketOrder:
    """An entry with the stop and the target that protect it, sent as one."""

    bracket_id: str
    symbol: str
    contract: str
    side: int
    quantity: int
    entry_type: OrderType
    entry: int
    stop: int
    target: int
    ts: int


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution.

    Attributes
    ----------
    price, reference_price : int
        Ticks: paid, and asked for: the price of a limit or stop order, or that of the market for
        an order at market.
    """

    bracket_id: str
    role: OrderRole
    ts: int
    side: int
    quantity: int
    price: int
    reference_price: int
    commission: float


@dataclass(frozen=True, slots=True)
class ClosedTrade:
    """A round trip, costs included.

    Attributes
    ----------
    r_multiple : float
        Net P&L in units of the risk at entry (distance times tick value times quantity).
    mfe_ticks, mae_ticks : int
        Best and worst open profit at traded prices.
    """

    trade_id: str
    symbol: str
    contract: str
    strategy: Strategy
    kind: SetupKind
    regime: Regime
    session_id: int
    side: int
    quantity: int
    ts_signal: int
    ts_entry: int
    ts_exit: int
    entry: float
    exit: float
    stop: int
    target: int
    distance: int
    exit_reason: ExitReason
    gross_ticks: float
    gross_pnl: float
    costs: float
    net_pnl: float
    r_multiple: float
    mfe_ticks: int
    mae_ticks: int
    bars_held: int
    confidence: float
    slippage_ticks: float
    extra: Mapping[str, Any] = field(default_factory=dict)


class Clock(Protocol):
    """Source of time."""

    def now(self) -> int:
        """Return the current time, ns UTC."""
        ...


class MarketFeed(Protocol):
    """Source of market data."""

    def blocks(self) -> Iterator[Block]:
        """Yield data in time order."""
        ...


class Broker(Protocol):
    """Where orders go; fills come back through `poll`."""

    def submit(self, order: BracketOrder) -> None:
        """Send a bracket."""
        ...

    def cancel_entry(self, bracket_id: str, ts: int) -> None:
        """Cancel what is unfilled of an entry; protection of what is filled stays."""
        ...

    def modify_stop(self, bracket_id: str, stop: int, ts: int) -> None:
        """Move the protective stop."""
        ...

    def flatten(self, bracket_id: str, ts: int) -> None:
        """Close the bracket's position at market; its protection ends when it is zero."""
        ...

    def position(self, bracket_id: str) -> int:
        """Return the signed position of a bracket."""
        ...

    def poll(self) -> Sequence[Fill]:
        """Return the fills since the last call, in order."""
        ...


class SignalFilter(Protocol):
    """A model that estimates the chance of a proposal to win."""

    def probability(self, context: Context, proposal: Proposal) -> float | None:
        """Return P(net R > 0), or None without a promoted model."""
        ...


class EventSink(Protocol):
    """Receives what happened; never raises into the cycle, never holds it."""

    def publish(self, topic: str, event: object) -> None:
        """Take one event."""
        ...
