"""The kill switch: what stops entries, what flattens, and when trading may resume.

Every cause stands on its own; the state is the strictest of them. A cause falls by its timer,
with the next session, when its condition ends, or by a manual reset, as its kind says.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from math import isfinite
from typing import Any

from mia.config.limits import EffectiveLimits
from mia.core.base_types import TradingState
from mia.errors import DataError
from mia.execution.trip_counters import TripCounters
from mia.strategies.proposals import EPS
from mia.strategies.session_hours import MINUTE_NS

STATE_VERSION = 1

_DAY_LOSS_R = 3.0
_DRAWDOWN_R = 2.0
_DRAWDOWN_NS = 60 * MINUTE_NS
_RATE_NS = 5 * MINUTE_NS
_PROLONG_NS = MINUTE_NS // 60
_ESCALATION_NS = (1 * MINUTE_NS, 2 * MINUTE_NS, 5 * MINUTE_NS)


class Rule(StrEnum):
    """What may raise the state."""

    DAY_LOSS_R = "DAY_LOSS_R"
    DAILY_LOSS = "DAILY_LOSS"
    SESSION_DRAWDOWN = "SESSION_DRAWDOWN"
    UNKNOWN_POSITION = "UNKNOWN_POSITION"
    POSITION_LIMIT = "POSITION_LIMIT"
    BROKER_LOST = "BROKER_LOST"
    DATA_STALE = "DATA_STALE"
    CLOCK_SKEW = "CLOCK_SKEW"
    ACCOUNT_UNKNOWN = "ACCOUNT_UNKNOWN"
    ORDER_RATE = "ORDER_RATE"
    REJECT_RATE = "REJECT_RATE"
    REJECTS_OF_DAY = "REJECTS_OF_DAY"
    BAD_RECORDS = "BAD_RECORDS"
    LATENCY = "LATENCY"
    SLIPPAGE = "SLIPPAGE"
    VIX = "VIX"
    UNHANDLED_EXCEPTION = "UNHANDLED_EXCEPTION"
    COMMAND_HALT = "COMMAND_HALT"
    COMMAND_FLATTEN = "COMMAND_FLATTEN"
    DAMAGED_STATE = "DAMAGED_STATE"
    ORDER_TROUBLE = "ORDER_TROUBLE"
    JOURNAL = "JOURNAL"


LATCHED = frozenset({Rule.DAY_LOSS_R, Rule.DAILY_LOSS})
"""Causes that not even a manual reset lifts before the next session."""

CONDITIONS = frozenset(
    {
        Rule.UNKNOWN_POSITION,
        Rule.BROKER_LOST,
        Rule.DATA_STALE,
        Rule.CLOCK_SKEW,
        Rule.ACCOUNT_UNKNOWN,
        Rule.VIX,
        Rule.JOURNAL,
    }
)
"""Causes that stand while their condition does."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Why the state is raised.

    Attributes
    ----------
    since : int
        Instant at which it was raised, ns UTC.
    until : int, optional
        Instant at which it falls by itself; None if a session, a condition or a person ends it.
    session_id : int
        Session in which it was raised.
    """

    rule: Rule
    state: TradingState
    since: int
    until: int | None
    session_id: int


@dataclass(frozen=True, slots=True)
class Exposure:
    """The account as the kill switch sees it.

    Attributes
    ----------
    realized : float
        Net USD of the session's closed trades.
    open_pnl : float
        USD at the last price, 0 when flat.
    worst_pnl : float
        USD of the open position once its stop is filled, costs included; 0 when flat.
    position : float
        Size of our own position in ES contracts (ten MES are one).
    """

    realized: float = 0.0
    open_pnl: float = 0.0
    worst_pnl: float = 0.0
    position: float = 0.0


class KillSwitch:
    """Trading state of one account; takes every instant as an argument.

    Parameters
    ----------
    limits : EffectiveLimits
        1R is its ``per_trade_usd``.
    on_change : callable, optional
        Called with (cause, state before, state after) when a rule raises the state or repeats;
        it must not raise.

    Attributes
    ----------
    causes : dict of Rule to Cause
        What holds the state up now.
    """

    __slots__ = ("_counters", "_high", "_limits", "_on_change", "_session_id", "_trips", "causes")

    def __init__(
        self,
        limits: EffectiveLimits,
        on_change: Callable[[Cause, TradingState, TradingState], None] | None = None,
    ) -> None:
        self._limits = limits
        self._on_change = on_change
        self._counters = TripCounters()
        self._session_id = 0
        self._high = 0.0
        self._trips: dict[Rule, int] = {}
        self.causes: dict[Rule, Cause] = {}

    @property
    def state(self) -> TradingState:
        """Strictest state of all causes, as of the last call that took an instant."""
        return max((cause.state for cause in self.causes.values()), default=TradingState.NORMAL)

    def check(self, ts: int, session_id: int, exposure: Exposure, vix: float) -> TradingState:
        """Let timers and sessions end, then hold the account against its rules.

        Call it every second and at every close.

        Parameters
        ----------
        ts : int
            Now, ns UTC.
        session_id : int
            yyyymmdd; a later one ends what lasts until the next session.
        exposure : Exposure
            An amount that is not a number stops entries until it is one again.
        vix : float
            nan where unknown, which stops nothing.

        Returns
        -------
        TradingState
        """
        self._roll(session_id)
        self._expire(ts)
        limits = self._limits
        day = exposure.realized + exposure.open_pnl
        known = isfinite(day) and isfinite(exposure.worst_pnl) and isfinite(exposure.position)
        self.hold(Rule.ACCOUNT_UNKNOWN, ts, not known)
        if known:
            one_r = limits.per_trade_usd
            worst = exposure.realized + min(exposure.open_pnl, exposure.worst_pnl)
            if day + _DAY_LOSS_R * one_r <= EPS:
                self._latch(Rule.DAY_LOSS_R, ts)
            if worst + limits.daily_loss_usd <= EPS:
                self._latch(Rule.DAILY_LOSS, ts)
            if exposure.position - limits.max_size > EPS:
                self._latch(Rule.POSITION_LIMIT, ts)
            self._high = max(self._high, day)
            if day - self._high + _DRAWDOWN_R * one_r <= EPS:
                # Measured from here on, or the same loss would halt again when the timer ends.
                self._high = day
                self._raise(Rule.SESSION_DRAWDOWN, TradingState.HALT_ENTRIES, ts, _DRAWDOWN_NS)
        self.hold(Rule.VIX, ts, vix - limits.vix_ceiling > EPS)
        return self.state

    def hold(self, rule: Rule, ts: int, active: bool) -> None:
        """Raise or end HALT_ENTRIES for a condition that somebody else watches.

        Parameters
        ----------
        rule : Rule
            One of `CONDITIONS`.

        Raises
        ------
        ValueError
            If the rule is no condition.
        """
        if rule not in CONDITIONS:
            raise ValueError(f"{rule} is no condition: it ends by itself or by a person")
        if not active:
            self.causes.pop(rule, None)
        elif rule not in self.causes:
            self._raise(rule, TradingState.HALT_ENTRIES, ts)

    def record_order(self, ts: int) -> None:
        """Count an order sent."""
        if self._counters.order(ts):
            self._prolong(Rule.ORDER_RATE, ts)

    def record_reject(self, ts: int, session_id: int) -> None:
        """Count an order that the broker refused."""
        self._roll(session_id)
        burst, of_day = self._counters.reject(ts)
        if burst:
            self._prolong(Rule.REJECT_RATE, ts)
        if of_day:
            self._latch(Rule.REJECTS_OF_DAY, ts)

    def record_quality(self, ts: int, good: bool) -> None:
        """Count a bar or record that was accepted or dropped."""
        if self._counters.quality(good):
            self._escalate(Rule.BAD_RECORDS, ts)

    def record_latency(self, ts: int, milliseconds: float) -> None:
        """Note the time from a close to its decision."""
        if self._counters.latency(milliseconds):
            self._escalate(Rule.LATENCY, ts)

    def record_slippage(self, ts: int, ticks: float) -> None:
        """Note the slippage of a fill, adverse positive."""
        if self._counters.slippage(ticks):
            self._escalate(Rule.SLIPPAGE, ts)

    def record_exception(self, ts: int) -> None:
        """Stop everything after an exception that nobody handled in the trading loop."""
        self._raise(Rule.UNHANDLED_EXCEPTION, TradingState.EMERGENCY, ts)

    def record_trouble(self, ts: int, state: TradingState) -> None:
        """Stop until a person resets it, after orders went wrong in a way that needs eyes."""
        cause = self.causes.get(Rule.ORDER_TROUBLE)
        if state is not TradingState.NORMAL and (cause is None or cause.state < state):
            self._raise(Rule.ORDER_TROUBLE, state, ts)

    def command(self, name: str, ts: int) -> None:
        """Obey a person: ``halt`` stops entries until reset, ``flatten`` also closes.

        Raises
        ------
        ValueError
            For any other command.
        """
        if name == "halt":
            self._raise(Rule.COMMAND_HALT, TradingState.HALT_ENTRIES, ts)
        elif name == "flatten":
            self._latch(Rule.COMMAND_FLATTEN, ts)
        else:
            raise ValueError(f"unknown kill command {name!r}: use halt or flatten")

    def reset(self) -> None:
        """End every cause by hand, except the loss of the day: that lasts until the next session.

        A condition that still holds raises the state again at its next check.
        """
        self.causes = {rule: cause for rule, cause in self.causes.items() if rule in LATCHED}

    def _roll(self, session_id: int) -> None:
        if session_id <= self._session_id:
            return
        first = self._session_id == 0
        self._session_id = session_id
        if first:
            # What was raised before any session was known belongs to this one.
            self.causes = {r: replace(c, session_id=session_id) for r, c in self.causes.items()}
            return
        self._high = 0.0
        self._trips.clear()
        self._counters.new_session()
        self.causes = {
            rule: cause
            for rule, cause in self.causes.items()
            if cause.state is not TradingState.HALT_TRADING
        }

    def _expire(self, ts: int) -> None:
        ended = [r for r, c in self.causes.items() if c.until is not None and ts >= c.until]
        for rule in ended:
            del self.causes[rule]

    def _latch(self, rule: Rule, ts: int) -> None:
        if rule not in self.causes:
            self._raise(rule, TradingState.HALT_TRADING, ts)

    def _escalate(self, rule: Rule, ts: int) -> None:
        cause = self.causes.get(rule)
        if cause is not None and cause.until is not None and ts < cause.until:
            return
        trips = self._trips.get(rule, 0)
        self._trips[rule] = trips + 1
        pause = _ESCALATION_NS[min(trips, len(_ESCALATION_NS) - 1)]
        self._raise(rule, TradingState.HALT_ENTRIES, ts, pause)

    def _prolong(self, rule: Rule, ts: int) -> None:
        # Each raise is made durable: a runaway may not hold the loop up with thousands of them.
        cause = self.causes.get(rule)
        if cause is None or not 0 <= ts - cause.since < _PROLONG_NS:
            self._raise(rule, TradingState.HALT_ENTRIES, ts, _RATE_NS)

    def _raise(self, rule: Rule, state: TradingState, ts: int, lasts: int | None = None) -> None:
        before = self.state
        until = None if lasts is None else ts + lasts
        cause = Cause(rule, state, ts, until, self._session_id)
        self.causes[rule] = cause
        if self._on_change is not None:
            self._on_change(cause, before, self.state)

    def to_dict(self) -> dict[str, Any]:
        """Return the state as plain values, for the journal."""
        return {
            "version": STATE_VERSION,
            "session_id": self._session_id,
            "high": self._high,
            "trips": {rule.value: count for rule, count in self._trips.items()},
            "counters": self._counters.to_dict(),
            "causes": [
                {
                    "rule": cause.rule.value,
                    "state": cause.state.name,
                    "since": cause.since,
                    "until": cause.until,
                    "session_id": cause.session_id,
                }
                for cause in self.causes.values()
            ],
        }

    def restore(self, state: Mapping[str, Any], ts: int) -> None:
        """Take back what `to_dict` returned.

        Raises
        ------
        DataError
            If it is damaged. The state is then EMERGENCY until a person resets it.
        """
        try:
            if state["version"] != STATE_VERSION:
                raise ValueError(f"version {state['version']}")
            causes = {
                Rule(c["rule"]): Cause(
                    Rule(c["rule"]),
                    TradingState[c["state"]],
                    int(c["since"]),
                    None if c["until"] is None else int(c["until"]),
                    int(c["session_id"]),
                )
                for c in state["causes"]
            }
            trips = {Rule(rule): int(count) for rule, count in state["trips"].items()}
            session_id, high = int(state["session_id"]), float(state["high"])
            if not isfinite(high):
                raise ValueError(f"high {high}")
            counters = TripCounters.from_dict(state["counters"])
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            self._raise(Rule.DAMAGED_STATE, TradingState.EMERGENCY, ts)
            raise DataError(
                f"saved kill-switch state is damaged ({error!r}): check the account, then reset"
            ) from error
        self._session_id, self._high = session_id, high
        self._trips, self._counters, self.causes = trips, counters, causes
