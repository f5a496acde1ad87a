"""Enumerations and blocks of market data that all levels share; imports nothing local.

Prices are integer ticks of 0.25 point, times int64 nanoseconds since 1970 UTC, sizes contracts,
money USD. Enumerations of the method are integers in the order that the kernels use; their
names are those of reports and files.
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum

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
