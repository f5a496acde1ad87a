"""From fills to round trips: the entry that works, the position it becomes, the closed trade."""

import hashlib
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from mia.core.base_types import ExitReason, OrderRole
from mia.core.trading_types import ClosedTrade, Context, Decision, Fill
from mia.execution.position.exits import OpenTrade, open_trade

_EXITS = {OrderRole.STOP: ExitReason.STOP, OrderRole.TARGET: ExitReason.TARGET}


def trade_id(decision: Decision) -> str:
    """Name the trade of an accepted decision: ``TRADE_yyyymmdd_hhmmss_<8 hex>``.

    The digits are the decision's UTC time, the hex digits a hash of what it is about, so that
    the same run gives the same names.
    """
    moment = datetime.fromtimestamp(decision.ts // 1_000_000_000, UTC)
    proposal = decision.proposal
    key = f"{decision.contract} {decision.ts} {proposal.kind.name} {proposal.side} {proposal.entry}"
    digest = hashlib.sha256(key.encode()).hexdigest()[:8]
    return f"TRADE_{moment:%Y%m%d_%H%M%S}_{digest}"


@dataclass(slots=True)
class Position:
    """A bracket from its decision to its last fill.

    Attributes
    ----------
    bars_left : int
        Primary closes for which the entry still works; 0 once its end was asked for.
    trade : OpenTrade, optional
        What is managed; None before the first fill.
    exit_reason : ExitReason, optional
        Why it is being flattened at market, if it is.
    fills : list of Fill
        What was booked, in order.
    """

    trade_id: str
    decision: Decision
    context: Context
    tick_value: float
    bars_left: int
    trade: OpenTrade | None = None
    exit_reason: ExitReason | None = None
    filled: int = 0
    closed: int = 0
    costs: float = 0.0
    slippage: int = 0
    ts_exit: int = 0
    _entry_value: int = 0
    _exit_value: int = 0
    fills: list[Fill] = field(default_factory=list)

    @property
    def open_quantity(self) -> int:
        """Contracts held now."""
        return self.filled - self.closed

    @property
    def entry_works(self) -> bool:
        """Whether some of the entry is unfilled and nobody asked to cancel it."""
        return self.bars_left > 0 and self.filled < self.decision.quantity

    def open_pnl(self, price: float) -> float:
        """USD of what is held if it were closed at `price` ticks, without costs."""
        if self.open_quantity == 0:
            return 0.0
        side = self.decision.proposal.side
        average = self._entry_value / self.filled
        return side * (price - average) * self.open_quantity * self.tick_value

    def open_risk(self, price: float) -> float:
        """USD that what is held or still to be filled loses from `price` ticks to its stop."""
        proposal = self.decision.proposal
        stop = proposal.stop if self.trade is None else self.trade.stop
        held = max(self.open_quantity, self.decision.quantity)
        return max(0.0, proposal.side * (price - stop) * held * self.tick_value)

    def take(self, fill: Fill) -> bool:
        """Book a fill; True if it is the first of the entry."""
        self.fills.append(fill)
        self.costs += fill.commission
        self.slippage += fill.side * (fill.price - fill.reference_price) * fill.quantity
        if fill.role is OrderRole.ENTRY:
            self.filled += fill.quantity
            self._entry_value += fill.price * fill.quantity
            average = self._entry_value / self.filled
            if self.trade is not None:
                self.trade.entry = average
                self.trade.quantity = self.filled
                return False
            self.trade = open_trade(
                self.trade_id,
                self.decision.proposal,
                self.context,
                self.filled,
                fill.ts,
                average,
            )
            return True
        # Two exits may fill at once; what brings the turned position back undoes the second.
        quantity = -fill.side * self.decision.proposal.side * fill.quantity
        self.closed += quantity
        self._exit_value += fill.price * quantity
        self.ts_exit = fill.ts
        if self.exit_reason is None:
            self.exit_reason = _EXITS.get(fill.role)
        return False

    def correct(self, old: tuple[OrderRole, int, int], quantity: int, price: int) -> bool:
        """Replace a booked fill, as a broker does that corrects an execution.

        Parameters
        ----------
        old : tuple
            Role, contracts and price (ticks) as they were booked.
        quantity, price : int
            As they are now; 0 contracts if it never happened.

        Returns
        -------
        bool
            Whether such a fill was booked here.
        """
        booked = [(fill.role, fill.quantity, fill.price) for fill in self.fills]
        if old not in booked:
            return False
        fills = list(self.fills)
        k = booked.index(old)
        share = fills[k].commission * quantity / fills[k].quantity
        new = replace(fills[k], quantity=quantity, price=price, commission=share)
        fills[k : k + 1] = [new] if quantity else []
        trade, reason = self.trade, self.exit_reason
        self.trade = None
        self.fills = []
        self.filled = self.closed = self._entry_value = self._exit_value = self.slippage = 0
        self.costs = 0.0
        for fill in fills:
            self.take(fill)
        self.exit_reason = reason
        if trade is not None and self.trade is not None:
            trade.entry, trade.quantity = self.trade.entry, self.trade.quantity
            self.trade = trade
        return True

    def closed_trade(self, mfe_ticks: int, mae_ticks: int) -> ClosedTrade:
        """Return the round trip of a position that is done and was filled."""
        assert self.trade is not None
        decision = self.decision
        proposal = decision.proposal
        quantity = self.closed
        entry = self._entry_value / self.filled
        leave = self._exit_value / quantity
        ticks = proposal.side * (leave - entry)
        gross = ticks * quantity * self.tick_value
        risk = proposal.distance * self.tick_value * quantity
        return ClosedTrade(
            trade_id=self.trade_id,
            symbol=decision.symbol,
            contract=decision.contract,
            strategy=proposal.strategy,
            kind=proposal.kind,
            regime=decision.regime,
            session_id=decision.session_id,
            side=proposal.side,
            quantity=quantity,
            ts_signal=decision.ts,
            ts_entry=self.trade.ts_entry,
            ts_exit=self.ts_exit,
            entry=entry,
            exit=leave,
            stop=proposal.stop,
            target=proposal.target,
            distance=proposal.distance,
            exit_reason=self.exit_reason or ExitReason.SESSION_END,
            gross_ticks=ticks,
            gross_pnl=gross,
            costs=self.costs,
            net_pnl=gross - self.costs,
            r_multiple=(gross - self.costs) / risk,
            mfe_ticks=mfe_ticks,
            mae_ticks=mae_ticks,
            bars_held=self.trade.bars_held,
            confidence=decision.confidence,
            slippage_ticks=self.slippage / quantity,
        )
