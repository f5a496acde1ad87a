"""The account's limits: what may be opened, how large, and what past trades forbid."""

from collections.abc import Mapping
from math import isfinite, isnan
from typing import Any

from mia.config.instruments import INSTRUMENTS
from mia.config.limits import EffectiveLimits
from mia.config.method import Account, Group, Risk
from mia.core.base_types import ExitReason, Phase, Reason, Strategy, Tier, TradingMode
from mia.core.trading_types import ClosedTrade, Context, GateResult, Proposal
from mia.errors import DataError
from mia.execution.sizing import FamilyRecord, Sizer
from mia.strategies.proposals import EPS, group, size_class_factor
from mia.strategies.session_facts import LONG_AGO, SessionFacts
from mia.strategies.session_hours import MINUTE_NS, NEVER
from mia.strategies.signal_generator import RiskAssessment

STATE_VERSION = 1

_STREAK_PAUSE_NS = 120 * MINUTE_NS
_SESSION_MULT = {Phase.ny_open: 1.0, Phase.afternoon: 0.8, Phase.london_open: 0.8}
_OTHER_SESSION_MULT = 0.5
_TIER_FACTOR = {Tier.WEAK: 0.75, Tier.NONE: 0.5}
_STOP_OUTS = (ExitReason.STOP, ExitReason.EMERGENCY)

# A member read through its class costs seven times a global.
_MAX_POSITIONS = Reason.MAX_POSITIONS
_OPEN_RISK = Reason.OPEN_RISK
_KELLY_NO_EDGE = Reason.KELLY_NO_EDGE
_SIZE_ZERO = Reason.SIZE_ZERO
_DAILY_LOSS = Reason.DAILY_LOSS
_DAILY_TARGET = Reason.DAILY_TARGET
_TRADES_PER_DAY = Reason.TRADES_PER_DAY
_DRAWDOWN = Reason.DRAWDOWN
_VIX_CEILING = Reason.VIX_CEILING
_LOSS_STREAK = Reason.LOSS_STREAK
_FRIDAY = Reason.FRIDAY
_COVERAGE = Reason.COVERAGE


def volatility_mult(vix: float, atr: float, atr_ref: float) -> float:
    """Return the size factor of the volatility regime: 1, 0.5 or, if extreme, 0.

    Parameters
    ----------
    vix : float
        nan where unknown, which does not bind.
    atr, atr_ref : float
        Ticks; the reference is nan while invalid, which does not bind.
    """
    ratio = atr / atr_ref if atr_ref > 0 else 0.0
    if vix - 35.0 > EPS or ratio - 2.0 > EPS:
        return 0.0
    if vix - 25.0 > EPS or ratio - 1.5 > EPS:
        return 0.5
    return 1.0


class RiskManager:
    """Holds the account, sizes proposals and evaluates the risk gates.

    Parameters
    ----------
    limits : EffectiveLimits
        Limits in force.
    groups : mapping of str to Group, optional
        Groups of the method by name; ``risk``, ``cost`` and ``account`` are read, once.

    Attributes
    ----------
    equity, equity_high : float
        USD of closed trades, and the highest value so far.
    session_id : int
        Session that the values of the day belong to.
    day_pnl, day_high : float
        Realised net USD of the session, and its highest value.
    day_trades : int
        Entries filled in the session.
    loss_streak : int
        Losing trades in a row up to now.
    last_loss, last_stop_out : int
        Instants, ns UTC.
    """

    __slots__ = (
        "_live",
        "_loss_streak_limit",
        "_max_open_risk",
        "_max_positions",
        "_records",
        "_sizer",
        "day_high",
        "day_pnl",
        "day_trades",
        "equity",
        "equity_high",
        "last_loss",
        "last_stop_out",
        "limits",
        "loss_streak",
        "session_id",
    )

    def __init__(self, limits: EffectiveLimits, groups: Mapping[str, Group] | None = None) -> None:
        risk = group(groups, "risk", Risk)
        self.limits = limits
        self._sizer = Sizer(limits, groups)
        self._live = limits.mode == TradingMode.LIVE
        self._loss_streak_limit = risk.loss_streak
        self._max_positions = risk.max_positions
        self._max_open_risk = risk.open_share * limits.daily_loss_usd
        self._records = {
            family: FamilyRecord(risk.kelly_prior, risk.kelly_cap) for family in Strategy
        }
        self.equity = group(groups, "account", Account).start_equity
        self.equity_high = self.equity
        self.session_id = 0
        self.day_pnl = 0.0
        self.day_high = 0.0
        self.day_trades = 0
        self.loss_streak = 0
        self.last_loss = LONG_AGO
        self.last_stop_out = LONG_AGO

    def roll(self, session_id: int) -> None:
        """Start the day's values afresh if `session_id` is a later session."""
        if session_id > self.session_id:
            self.session_id = session_id
            self.day_pnl = 0.0
            self.day_high = 0.0
            self.day_trades = 0

    def set_margin(self, symbol: str, usd: float) -> None:
        """Replace the assumed initial margin of one contract by what the broker asks."""
        self._sizer.set_margin(symbol, usd)

    def record_entry(self, session_id: int) -> None:
        """Count a filled entry."""
        self.roll(session_id)
        self.day_trades += 1

    def record_closed(self, trade: ClosedTrade) -> None:
        """Book a closed trade, costs included."""
        self.roll(trade.session_id)
        net = trade.net_pnl
        self.equity += net
        self.day_pnl += net
        self.equity_high = max(self.equity_high, self.equity)
        self.day_high = max(self.day_high, self.day_pnl)
        self._records[trade.strategy].add(net)
        if not net >= 0:
            self.loss_streak += 1
            self.last_loss = trade.ts_exit
            if trade.exit_reason in _STOP_OUTS:
                self.last_stop_out = trade.ts_exit
        else:
            self.loss_streak = 0

    def adjust(self, usd: float) -> None:
        """Book money that moved outside a trade of ours, as by a late fill."""
        self.equity += usd
        self.day_pnl += usd
        self.equity_high = max(self.equity_high, self.equity)

    def remaining_allowance(self, open_pnl: float = 0.0) -> float:
        """Return the USD that the day may still lose; at least 0."""
        left = self.limits.daily_loss_usd + self.day_pnl + (0.0 if open_pnl >= 0 else open_pnl)
        return left if left > 0 else 0.0

    def assess(self, context: Context, proposal: Proposal, facts: SessionFacts) -> RiskAssessment:
        """Size a proposal and evaluate the risk gates.

        Parameters
        ----------
        context, proposal, facts
            What is decided, and on what grounds.

        Returns
        -------
        RiskAssessment
            Every gate fails on a value that is not a number; the size is then 0.
        """
        self.roll(context.session_id)
        ts = context.ts
        open_loss = facts.open_pnl if not facts.open_pnl >= 0 else 0.0
        equity = self.equity + open_loss
        remaining = self.remaining_allowance(open_loss)
        session_mult = _SESSION_MULT.get(context.phase, _OTHER_SESSION_MULT)
        vol_mult = volatility_mult(context.vix, context.atr, context.atr_ref)
        class_factor = size_class_factor(proposal.quality)
        tier_factor = _TIER_FACTOR.get(context.tier, 1.0)
        mult = session_mult * vol_mult * class_factor * tier_factor
        half = ts >= facts.hours.half_after
        record = self._records[proposal.strategy].kelly
        sizing = self._sizer.size(
            proposal.distance, proposal.entry_type, equity, remaining, record, mult, half
        )
        open_risk = facts.open_risk + sizing.quantity * sizing.risk_per_contract
        risk_at_entry = sizing.risk_per_contract - sizing.costs_per_contract
        budgets = {
            "equity": equity,
            "remaining": remaining,
            "kelly_p": record.probability,
            "kelly_b": record.payoff,
            "kelly_f": record.fraction,
            "kelly_trades": record.trades,
            "session_mult": session_mult,
            "vol_mult": vol_mult,
            "class_factor": class_factor,
            "tier_factor": tier_factor,
            "half": float(half),
            "kelly_budget": sizing.kelly_budget,
            "risk_budget": sizing.risk_budget,
            "risk_per_contract": sizing.risk_per_contract,
            "open_risk": open_risk,
            "contracts": sizing.quantity,
        }
        return RiskAssessment(
            (
                *self._account_gates(context, facts, equity, open_loss),
                GateResult(
                    _MAX_POSITIONS,
                    facts.positions,
                    self._max_positions,
                    facts.positions < self._max_positions,
                ),
                GateResult(
                    _OPEN_RISK,
                    open_risk,
                    self._max_open_risk,
                    open_risk - self._max_open_risk <= EPS,
                ),
                GateResult(_KELLY_NO_EDGE, record.fraction, 0.0, sizing.edge),
                GateResult(_SIZE_ZERO, sizing.quantity, 1.0, sizing.quantity >= 1),
            ),
            sizing.symbol,
            sizing.quantity,
            sizing.costs_per_contract / risk_at_entry,
            budgets,
        )

    def _account_gates(
        self, context: Context, facts: SessionFacts, equity: float, open_loss: float
    ) -> tuple[GateResult, ...]:
        limits = self.limits
        ts = context.ts
        day = self.day_pnl + open_loss
        drawdown = 1.0 - equity / self.equity_high
        streak = self.loss_streak
        vix = context.vix
        vix_known = not isnan(vix)
        cut = facts.hours.friday_cut
        missing = (not vix_known) + (not facts.calendar_covered) + (facts.news_window(ts) is None)
        return (
            GateResult(_DAILY_LOSS, day, -limits.daily_loss_usd, day + limits.daily_loss_usd > EPS),
            GateResult(
                _DAILY_TARGET,
                self.day_high,
                limits.daily_target_usd,
                self.day_high - limits.daily_target_usd < -EPS,
            ),
            GateResult(
                _TRADES_PER_DAY,
                self.day_trades,
                limits.trades_per_day,
                self.day_trades < limits.trades_per_day,
            ),
            GateResult(
                _DRAWDOWN,
                drawdown,
                limits.max_drawdown,
                drawdown - limits.max_drawdown < -EPS,
            ),
            GateResult(
                _VIX_CEILING,
                vix if vix_known else 0.0,
                limits.vix_ceiling,
                not vix_known or vix - limits.vix_ceiling <= EPS,
                vix_known,
            ),
            GateResult(
                _LOSS_STREAK,
                streak,
                self._loss_streak_limit,
                streak < self._loss_streak_limit or ts - self.last_loss >= _STREAK_PAUSE_NS,
            ),
            GateResult(_FRIDAY, 0.0 if cut == NEVER else (cut - ts) / MINUTE_NS, 0.0, ts < cut),
            GateResult(_COVERAGE, missing, 0.0, not (missing and self._live), not missing),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the state as plain values, for the journal."""
        return {
            "version": STATE_VERSION,
            "equity": self.equity,
            "equity_high": self.equity_high,
            "session_id": self.session_id,
            "day_pnl": self.day_pnl,
            "day_high": self.day_high,
            "day_trades": self.day_trades,
            "loss_streak": self.loss_streak,
            "last_loss": self.last_loss,
            "last_stop_out": self.last_stop_out,
            "results": {
                family.value: list(record.results) for family, record in self._records.items()
            },
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what `to_dict` returned.

        Raises
        ------
        DataError
            If a field is missing, of another version, or not a finite number. Nothing is then
            changed: an account that cannot be read must not be traded.
        """
        try:
            if state["version"] != STATE_VERSION:
                raise ValueError(f"version {state['version']}")
            money = [float(state[k]) for k in ("equity", "equity_high", "day_pnl", "day_high")]
            counts = [
                int(state[k])
                for k in ("session_id", "day_trades", "loss_streak", "last_loss", "last_stop_out")
            ]
            results = {family: [float(x) for x in state["results"][family]] for family in Strategy}
            if not all(map(isfinite, [*money, *(x for xs in results.values() for x in xs)])):
                raise ValueError("an amount is not finite")
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"saved risk state is damaged ({error!r}): restore it from the journal"
            ) from error
        self.equity, self.equity_high, self.day_pnl, self.day_high = money
        self.session_id, self.day_trades, self.loss_streak = counts[:3]
        self.last_loss, self.last_stop_out = counts[3:]
        for family, values in results.items():
            record = self._records[family]
            record.results.clear()
            for value in values:
                record.add(value)


def position_equivalents(symbol: str, quantity: int) -> float:
    """Return a position in ES contracts: ten MES are one ES."""
    return abs(quantity) * INSTRUMENTS[symbol].tick_value / INSTRUMENTS["ES"].tick_value
