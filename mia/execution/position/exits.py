"""Management of an open trade at primary closes: when to leave, and where the stop belongs.

Stop and target rest at the broker and normally fill between closes; here they are the second
line of defence, for a position that outlived them. Nothing in this module can forbid an exit.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from math import ceil, floor
from typing import Any

from mia.config.method import Exit, Group
from mia.core.base_types import ExitReason, GoldenState, SetupKind, Strategy, TradingState
from mia.core.trading_types import Context, Proposal
from mia.errors import DataError
from mia.strategies.proposals import EPS, group
from mia.strategies.session_hours import MINUTE_NS, SessionHours

_EMERGENCY_TICKS = 40
_EMERGENCY_R = 2
_MAX_BARS = 50
_AGAINST_CLOSES = 2


@dataclass(slots=True)
class OpenTrade:
    """A filled position of ours and what its management has seen so far.

    Attributes
    ----------
    entry : float
        Average fill price, ticks.
    stop : int
        Where its stop rests, or was last asked to.
    distance : int
        Ticks from entry to stop as planned (R, d).
    base_dir, base_low, base_high : int
        Battle Navale base active at entry; a direction of 0 where there was none.
    best : float
        Best traded price since entry.
    trailing : bool
        Whether the stop follows the best price; it never ceases to.
    bars_held : int
        Primary closes since entry.
    against : int
        Successive closes with a Battle Navale signal against the side.
    last_open, last_close : int
        Of the bar before; equal before the first close.
    """

    trade_id: str
    strategy: Strategy
    kind: SetupKind
    side: int
    quantity: int
    ts_entry: int
    session_id: int
    entry: float
    stop: int
    target: int
    distance: int
    base_dir: int = 0
    base_low: int = 0
    base_high: int = 0
    best: float = 0.0
    trailing: bool = False
    bars_held: int = 0
    against: int = 0
    last_open: int = 0
    last_close: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return the trade as plain values, for the journal."""
        return asdict(self) | {"strategy": self.strategy.value, "kind": self.kind.name}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> "OpenTrade":
        """Take back what `to_dict` returned.

        Raises
        ------
        DataError
            If a field is missing or malformed.
        """
        try:
            values = {field.name: state[field.name] for field in fields(cls)}
            values["strategy"] = Strategy(values["strategy"])
            values["kind"] = SetupKind[values["kind"]]
            return cls(**values)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"saved open trade is damaged ({error!r}): rebuild it from the journal"
            ) from error


def open_trade(
    trade_id: str,
    proposal: Proposal,
    context: Context,
    quantity: int,
    ts_entry: int,
    entry: float,
) -> OpenTrade:
    """Start managing a filled entry.

    Parameters
    ----------
    proposal : Proposal
        As it was accepted.
    context : Context
        Of the last close before the fill; its active base becomes the base at entry.
    entry : float
        Average fill price, ticks.

    Returns
    -------
    OpenTrade
    """
    return OpenTrade(
        trade_id,
        proposal.strategy,
        proposal.kind,
        proposal.side,
        quantity,
        ts_entry,
        context.session_id,
        entry,
        proposal.stop,
        proposal.target,
        proposal.distance,
        context.active_dir,
        context.active_low,
        context.active_high,
        best=entry,
    )


@dataclass(frozen=True, slots=True)
class ExitTrade:
    """Close the position at market."""

    reason: ExitReason


@dataclass(frozen=True, slots=True)
class MoveStop:
    """Tighten the protective stop to a price in ticks."""

    stop: int


class ExitRules:
    """Evaluates an open trade at each primary close.

    Parameters
    ----------
    groups : mapping of str to Group, optional
        Groups of the method by name; ``exit`` is read, once.
    """

    __slots__ = (
        "_be_r",
        "_be_ticks",
        "_max_ns",
        "_start_r",
        "_start_ticks",
        "_trail_r",
        "_trail_ticks",
    )

    def __init__(self, groups: Mapping[str, Group] | None = None) -> None:
        settings = group(groups, "exit", Exit)
        self._be_ticks = settings.be_ticks
        self._be_r = settings.be_r
        self._start_ticks = settings.trail_start_ticks
        self._start_r = settings.trail_start_r
        self._trail_ticks = settings.trail_ticks
        self._trail_r = settings.trail_r
        self._max_ns = round(settings.max_minutes * MINUTE_NS)

    def at_close(
        self, trade: OpenTrade, context: Context, hours: SessionHours, state: TradingState
    ) -> ExitTrade | MoveStop | None:
        """Say what to do with a trade at one close, and remember what it saw.

        Parameters
        ----------
        trade : OpenTrade
            Updated in place; `OpenTrade.stop` already holds the new stop of a `MoveStop`.
        context : Context
            A close after the entry, each given once.
        hours : SessionHours
            Of the current session.
        state : TradingState
            Of the kill switch.

        Returns
        -------
        ExitTrade, MoveStop or None
            An exit takes precedence; its reason is the first rule that applies.
        """
        trade.bars_held += 1
        trade.against = trade.against + 1 if context.bn_signal == -trade.side else 0
        reason = self._reason(trade, context, hours, state)
        trade.last_open, trade.last_close = context.open, context.close
        if reason is not None:
            return ExitTrade(reason)
        stop = self._tightened(trade, context)
        if trade.side * (stop - trade.stop) <= 0:
            return None
        trade.stop = stop
        return MoveStop(stop)

    def _reason(
        self, trade: OpenTrade, context: Context, hours: SessionHours, state: TradingState
    ) -> ExitReason | None:
        side = trade.side
        close = context.close
        loss = side * (trade.entry - close)
        if not loss - max(_EMERGENCY_TICKS, _EMERGENCY_R * trade.distance) < -EPS:
            return ExitReason.EMERGENCY
        if not hours.start <= context.ts < hours.flat_at or context.session_id != trade.session_id:
            return ExitReason.SESSION_END
        if state >= TradingState.HALT_TRADING:
            return ExitReason.KILL_STATE
        if side * (close - trade.stop) <= 0:
            return ExitReason.STOP
        if side * (close - trade.target) > 0:
            return ExitReason.TARGET
        if context.golden_state is GoldenState.VIOLATION_CONFIRMED and side * context.golden < -EPS:
            return ExitReason.BASE_VIOLATION
        if _two_balls(trade, context):
            return ExitReason.TWO_BALLS
        if trade.against >= _AGAINST_CLOSES:
            return ExitReason.BN_SIGNAL
        if context.ts - trade.ts_entry >= self._max_ns or trade.bars_held >= _MAX_BARS:
            return ExitReason.TIME_STOP
        return None

    def _tightened(self, trade: OpenTrade, context: Context) -> int:
        side = trade.side
        close = context.close
        # In the bar of the entry its extreme may lie before the fill; the close never does.
        seen = close
        if context.t_open >= trade.ts_entry:
            seen = context.high if side > 0 else context.low
        if side * (seen - trade.best) > 0:
            trade.best = seen
        profit = side * (close - trade.entry)
        distance = trade.distance
        stop = trade.stop
        if profit - max(self._be_ticks, ceil(self._be_r * distance - EPS)) >= -EPS:
            stop = _tighter(side, stop, _away(side, trade.entry))
        if profit - max(self._start_ticks, ceil(self._start_r * distance - EPS)) >= -EPS:
            trade.trailing = True
        if trade.trailing:
            trail = max(self._trail_ticks, ceil(self._trail_r * distance - EPS))
            stop = _tighter(side, stop, _away(side, trade.best - side * trail))
        # A resting stop stays on its side of the market.
        return stop if side * (close - stop) > 0 else _tighter(side, trade.stop, close - side)


def _tighter(side: int, a: int, b: int) -> int:
    return max(a, b) if side > 0 else min(a, b)


def _away(side: int, price: float) -> int:
    return floor(price + EPS) if side > 0 else ceil(price - EPS)


def _two_balls(trade: OpenTrade, context: Context) -> bool:
    """Tell whether two closes in a row stand beyond the middle of the base, against the side."""
    side = trade.side
    if context.active_dir == side:
        low, high = context.active_low, context.active_high
    elif trade.base_dir == side:
        low, high = trade.base_low, trade.base_high
    else:
        return False
    return (
        side * (context.close - context.open) < 0
        and side * (trade.last_close - trade.last_open) < 0
        and side * (2 * context.close - low - high) < 0
        and side * (2 * trade.last_close - low - high) < 0
    )
