"""What is known at a close, what is decided on it, and what becomes of that.

Prices are integer ticks of 0.25 point, times int64 nanoseconds since 1970 UTC, sizes contracts,
money USD.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from mia.core.base_types import (
    ExitReason,
    GoldenState,
    OrderRole,
    OrderType,
    Phase,
    Reason,
    Regime,
    SetupKind,
    Signal,
    Strategy,
    Tier,
)


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
