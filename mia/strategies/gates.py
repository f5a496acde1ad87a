"""Gates between a proposal and an order, in the order in which their codes are reported.

Every gate is evaluated, also after a failure. A gate whose input is missing passes and is
marked as unknown. A value that is not a number never passes: each comparison is written so
that nan makes it false.
"""

from collections.abc import Mapping
from math import isnan

from mia.config.limits import EffectiveLimits
from mia.config.method import Evid, Gate, Group
from mia.core.base_types import Reason, Regime, SetupKind, Strategy, TradingMode, TradingState
from mia.core.trading_types import Context, GateResult, Proposal
from mia.strategies.proposals import EPS, StopRules, group
from mia.strategies.session_facts import SessionFacts
from mia.strategies.session_hours import MINUTE_NS

_SECOND_NS = 1_000_000_000
_HOUR_NS = 60 * MINUTE_NS
_F9, _F18 = 8, 17
_MIN_BATTLE = -0.35
_MIN_OPTIONS_QUALITY = 0.2

# A member read through its class costs seven times a global.
_STOP_TOO_FAR = Reason.STOP_TOO_FAR
_KILL_STATE = Reason.KILL_STATE
_MODE_HOURS = Reason.MODE_HOURS
_NEWS_WINDOW = Reason.NEWS_WINDOW
_SESSION_FACTOR = Reason.SESSION_FACTOR
_FEATURE_QUALITY = Reason.FEATURE_QUALITY
_MICRO_ANOMALY = Reason.MICRO_ANOMALY
_SPREAD = Reason.SPREAD
_REGIME_CONF = Reason.REGIME_CONF
_REGIME_COOLDOWN = Reason.REGIME_COOLDOWN
_DIRECTION = Reason.DIRECTION
_GOLDEN_RULE = Reason.GOLDEN_RULE
_BN_AGAINST = Reason.BN_AGAINST
_MTF = Reason.MTF
_CONFLUENCE = Reason.CONFLUENCE
_DEALER_WALL = Reason.DEALER_WALL
_OPTIONS_STALE = Reason.OPTIONS_STALE
_CONFIDENCE = Reason.CONFIDENCE
_MODEL = Reason.MODEL
_RR = Reason.RR
_SIGNAL_COOLDOWN = Reason.SIGNAL_COOLDOWN
_SIGNAL_RATE = Reason.SIGNAL_RATE
_LOSS_COOLDOWN = Reason.LOSS_COOLDOWN
_NORMAL = TradingState.NORMAL
_TREND = Strategy.TREND
_P3 = SetupKind.P3

_BOTH = (Regime.RANGE_NEUTRAL,)
_BULL = (Regime.STRONG_TREND_BULL, Regime.WEAK_TREND_BULL, Regime.RANGE_BULLISH_BIAS)
_BEAR = (Regime.STRONG_TREND_BEAR, Regime.WEAK_TREND_BEAR, Regime.RANGE_BEARISH_BIAS)
PERMITTED = {1: frozenset(_BULL + _BOTH), -1: frozenset(_BEAR + _BOTH)}
"""Regimes in which a side may be opened."""

_WEAK = frozenset({Regime.WEAK_TREND_BULL, Regime.WEAK_TREND_BEAR})


class Gates:
    """Gates of market, session and signal; those of risk are the risk manager's.

    Parameters
    ----------
    limits : EffectiveLimits
        Limits in force; the mode decides where the golden rule binds.
    groups : mapping of str to Group, optional
        Groups of the method by name; ``gate``, ``evid`` and ``risk`` are read, once.
    """

    __slots__ = (
        "_feature_quality",
        "_golden_binds",
        "_loss_cooldown_ns",
        "_max_spread",
        "_micro_veto",
        "_min_confidence",
        "_min_confluence",
        "_min_rr",
        "_mtf_min",
        "_regime_conf",
        "_regime_cooldown_ns",
        "_session_min",
        "_signal_cooldown_ns",
        "_signals_per_hour",
        "_stops",
        "_wall_ticks",
        "_weak_conf",
    )

    def __init__(self, limits: EffectiveLimits, groups: Mapping[str, Group] | None = None) -> None:
        gate = group(groups, "gate", Gate)
        self._session_min = gate.session_min
        self._feature_quality = gate.feature_quality
        self._max_spread = gate.max_spread
        self._regime_conf = gate.regime_conf
        self._weak_conf = gate.weak_conf
        self._regime_cooldown_ns = round(gate.regime_cooldown_s * _SECOND_NS)
        self._mtf_min = gate.mtf_min
        self._wall_ticks = gate.wall_ticks
        self._min_rr = gate.min_rr
        self._signal_cooldown_ns = round(gate.signal_cooldown_s * _SECOND_NS)
        self._signals_per_hour = gate.signals_per_hour
        self._loss_cooldown_ns = round(gate.loss_cooldown_s * _SECOND_NS)
        self._micro_veto = group(groups, "evid", Evid).micro_veto
        self._min_confluence = limits.min_confluence
        self._min_confidence = limits.min_confidence
        self._golden_binds = limits.mode != TradingMode.DATA_COLLECTION
        self._stops = StopRules(groups)

    def evaluate(
        self,
        context: Context,
        proposal: Proposal,
        facts: SessionFacts,
        confidence: float,
        probability: float | None,
        break_even: float,
    ) -> list[GateResult]:
        """Evaluate every gate.

        Parameters
        ----------
        context, proposal, facts
            What is decided, and on what grounds.
        confidence : float
            Of the proposal.
        probability : float or None
            P(net R > 0) of a promoted model.
        break_even : float
            Least probability at which the trade pays.

        Returns
        -------
        list of GateResult
            In the order of the gates.
        """
        return [
            *self._session(context, proposal, facts),
            *self._market(context, proposal),
            *self._signal(context, proposal, facts, confidence, probability, break_even),
        ]

    def _session(
        self, context: Context, proposal: Proposal, facts: SessionFacts
    ) -> tuple[GateResult, ...]:
        ts = context.ts
        hours = facts.hours
        inside = hours.start <= ts < hours.last_entry
        minutes = min(ts - hours.start, hours.last_entry - ts) / MINUTE_NS
        news = facts.news_window(ts)
        state = facts.trading_state
        distance = proposal.distance
        far = self._stops.limit(context.atr)
        factor = context.features[_F18]
        quality = context.feature_quality
        anomaly = context.micro_anomaly
        spread = context.spread
        has_book = spread > 0
        return (
            GateResult(_STOP_TOO_FAR, distance, far, distance - far <= EPS),
            GateResult(_KILL_STATE, state, 0.0, state is _NORMAL),
            GateResult(_MODE_HOURS, minutes, 0.0, inside),
            GateResult(_NEWS_WINDOW, 1.0 if news else 0.0, 0.0, not news, news is not None),
            GateResult(
                _SESSION_FACTOR,
                factor,
                self._session_min,
                factor - self._session_min >= -EPS,
            ),
            GateResult(
                _FEATURE_QUALITY,
                quality,
                self._feature_quality,
                quality - self._feature_quality >= -EPS,
            ),
            GateResult(
                _MICRO_ANOMALY, anomaly, self._micro_veto, anomaly - self._micro_veto < -EPS
            ),
            GateResult(
                _SPREAD,
                spread,
                self._max_spread,
                not has_book or spread <= self._max_spread,
                has_book,
            ),
        )

    def _market(self, context: Context, proposal: Proposal) -> tuple[GateResult, ...]:
        side = proposal.side
        regime = context.regime
        required = self._weak_conf if regime in _WEAK else self._regime_conf
        found = context.regime_confidence
        age = context.ts - context.regime_changed_at
        permitted = regime in PERMITTED[side]
        golden = side * context.golden
        battle = side * context.score
        mtf = side * context.mtf
        known = context.mtf_valid
        price_score = context.price_score
        wall = context.call_wall if side > 0 else context.put_wall
        room = side * (wall - proposal.entry)
        walled = not isnan(wall) and context.valid[_F9]
        # Only damping gamma holds a price at its wall; beyond the wall there is room again.
        near = walled and context.features[_F9] > EPS and -EPS <= room <= self._wall_ticks + EPS
        options = context.options_quality
        stale = (
            proposal.strategy is _TREND
            and proposal.kind is _P3
            and not options - _MIN_OPTIONS_QUALITY >= -EPS
        )
        return (
            GateResult(_REGIME_CONF, found, required, found - required >= -EPS),
            GateResult(
                _REGIME_COOLDOWN,
                age / _SECOND_NS,
                self._regime_cooldown_ns / _SECOND_NS,
                age >= self._regime_cooldown_ns,
            ),
            GateResult(_DIRECTION, 1.0 if permitted else 0.0, 1.0, permitted),
            GateResult(_GOLDEN_RULE, golden, 0.0, golden >= -EPS or not self._golden_binds),
            GateResult(_BN_AGAINST, battle, _MIN_BATTLE, battle - _MIN_BATTLE >= -EPS),
            GateResult(
                _MTF,
                mtf,
                self._mtf_min,
                not known or mtf - self._mtf_min >= -EPS,
                known,
            ),
            GateResult(
                _CONFLUENCE,
                price_score,
                self._min_confluence,
                price_score - self._min_confluence >= -EPS,
            ),
            GateResult(_DEALER_WALL, room if walled else 0.0, self._wall_ticks, not near, walled),
            GateResult(_OPTIONS_STALE, options, _MIN_OPTIONS_QUALITY, not stale),
        )

    def _signal(
        self,
        context: Context,
        proposal: Proposal,
        facts: SessionFacts,
        confidence: float,
        probability: float | None,
        break_even: float,
    ) -> tuple[GateResult, ...]:
        ts = context.ts
        reward = proposal.side * (proposal.target - proposal.entry) / proposal.distance
        accepted = facts.accepted
        since_signal = ts - accepted[-1] if accepted else _HOUR_NS
        recent = 0
        for earlier in reversed(accepted):
            if ts - earlier >= _HOUR_NS:
                break
            recent += 1
        since_loss = ts - facts.last_stop_out
        return (
            GateResult(
                _CONFIDENCE,
                confidence,
                self._min_confidence,
                confidence - self._min_confidence >= -EPS,
            ),
            GateResult(
                _MODEL,
                0.0 if probability is None else probability,
                break_even,
                probability is None or probability - break_even >= -EPS,
                probability is not None,
            ),
            GateResult(_RR, reward, self._min_rr, reward - self._min_rr >= -EPS),
            GateResult(
                _SIGNAL_COOLDOWN,
                since_signal / _SECOND_NS,
                self._signal_cooldown_ns / _SECOND_NS,
                not accepted or since_signal >= self._signal_cooldown_ns,
            ),
            GateResult(
                _SIGNAL_RATE, recent, self._signals_per_hour, recent < self._signals_per_hour
            ),
            GateResult(
                _LOSS_COOLDOWN,
                min(since_loss, _HOUR_NS) / _SECOND_NS,
                self._loss_cooldown_ns / _SECOND_NS,
                since_loss >= self._loss_cooldown_ns,
            ),
        )
