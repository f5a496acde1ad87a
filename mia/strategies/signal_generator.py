"""From context to decision: proposal, confidence, gates and risk in one pass."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from mia.config.limits import EffectiveLimits
from mia.config.method import Group
from mia.core.base_types import ExitReason, Reason, Signal, Strategy
from mia.core.protocols import SignalFilter
from mia.core.trading_types import Context, Decision, GateResult, Proposal
from mia.strategies.confidence import confidence, confidence_parts, quality_label
from mia.strategies.gates import Gates
from mia.strategies.proposals import Rejection
from mia.strategies.session_facts import SessionFacts
from mia.strategies.strategy_selector import StrategySelector

_OK = Reason.OK
_NO_SIGNAL = Signal.NO_SIGNAL
_ENTRY_SIGNALS = {
    (Strategy.TREND, 1): Signal.LONG_TREND,
    (Strategy.TREND, -1): Signal.SHORT_TREND,
    (Strategy.RANGE, 1): Signal.LONG_RANGE,
    (Strategy.RANGE, -1): Signal.SHORT_RANGE,
}


@dataclass(frozen=True, slots=True)
class RiskAssessment:
    """What risk says of a proposal.

    Attributes
    ----------
    gates : tuple of GateResult
        Risk codes in their order.
    symbol : str
        Instrument that would be traded.
    quantity : int
        Contracts of it, 0 if none fits.
    cost_r : float
        Costs of the round trip in multiples of the risk at entry.
    budgets : mapping of str to float
        Numbers of the sizing in USD or contracts.
    """

    gates: tuple[GateResult, ...]
    symbol: str
    quantity: int
    cost_r: float
    budgets: Mapping[str, float]


class RiskCheck(Protocol):
    """Sizes a proposal and holds it against the limits of risk."""

    def assess(self, context: Context, proposal: Proposal, facts: SessionFacts) -> RiskAssessment:
        """Return size and gates; changes nothing."""
        ...


class SignalGenerator:
    """Decides on every close; holds no state beyond its settings.

    Parameters
    ----------
    limits : EffectiveLimits
        Limits in force.
    risk : RiskCheck
        Sizes proposals.
    groups : mapping of str to Group, optional
        Groups of the method by name.
    model : SignalFilter, optional
        Estimates the chance of a proposal to win.
    """

    __slots__ = ("_gates", "_model", "_risk", "_selector")

    def __init__(
        self,
        limits: EffectiveLimits,
        risk: RiskCheck,
        groups: Mapping[str, Group] | None = None,
        model: SignalFilter | None = None,
    ) -> None:
        self._selector = StrategySelector(groups)
        self._gates = Gates(limits, groups)
        self._risk = risk
        self._model = model

    def evaluate(self, context: Context, facts: SessionFacts) -> Decision | Reason:
        """Decide at one close.

        The caller records an accepted decision with `SessionFacts.record_accepted`.

        Returns
        -------
        Decision or Reason
            A decision for every proposal, accepted or not; ``REGIME_WAIT`` or ``NO_SETUP``
            where there was none.
        """
        outcome = self._selector.propose(context)
        if isinstance(outcome, Rejection):
            if outcome.proposal is None:
                return outcome.reason
            proposal = outcome.proposal
        else:
            proposal = outcome
        return self.decide(context, proposal, facts)

    def decide(self, context: Context, proposal: Proposal, facts: SessionFacts) -> Decision:
        """Hold a proposal against every gate.

        Returns
        -------
        Decision
            Its reason is ``OK`` or the first failure; its quantity is 0 unless accepted, and
            ``budgets["contracts"]`` says what would have been traded.
        """
        probability = None if self._model is None else self._model.probability(context, proposal)
        parts = confidence_parts(context, proposal, probability)
        total = confidence(parts)
        risk = self._risk.assess(context, proposal, facts)
        reward = proposal.side * (proposal.target - proposal.entry) / proposal.distance
        # A target behind the entry never pays; RR refuses it under its own name.
        break_even = (1.0 + risk.cost_r) / (1.0 + reward) if reward > -1.0 else 1.0
        gates = self._gates.evaluate(context, proposal, facts, total, probability, break_even)
        gates.extend(risk.gates)
        reason = _OK
        for gate in gates:
            if not gate.passed:
                reason = gate.code
                break
        accepted = reason is _OK
        return Decision(
            context.ts,
            context.session_id,
            context.contract,
            proposal,
            _ENTRY_SIGNALS[proposal.strategy, proposal.side] if accepted else _NO_SIGNAL,
            reason,
            total,
            quality_label(total),
            parts,
            gates,
            risk.symbol,
            risk.quantity if accepted else 0,
            risk.budgets,
            context.features,
            context.valid,
            context.regime,
            context.phase,
        )


def exit_signal(reason: ExitReason) -> Signal:
    """Return the signal type under which an exit is reported."""
    if reason is ExitReason.TARGET:
        return Signal.EXIT_PROFIT
    if reason in (ExitReason.STOP, ExitReason.EMERGENCY):
        return Signal.EXIT_STOP
    return Signal.EXIT_RULE
