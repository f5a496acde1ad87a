"""Which strategy speaks in which regime."""

from collections.abc import Mapping

from mia.config.method import Group
from mia.core.base_types import Reason, Regime
from mia.core.trading_types import Context, Proposal
from mia.strategies.proposals import Rejection
from mia.strategies.range_strategy import RangeStrategy
from mia.strategies.trend_strategy import TrendStrategy

_LAST_TREND = Regime.WEAK_TREND_BEAR
_LAST_RANGE = Regime.RANGE_NEUTRAL
REGIME_WAIT = Rejection(Reason.REGIME_WAIT)


class StrategySelector:
    """Asks the strategy of the published regime's family.

    Parameters
    ----------
    groups : mapping of str to Group, optional
        Groups of the method by name.
    """

    __slots__ = ("_range", "_trend")

    def __init__(self, groups: Mapping[str, Group] | None = None) -> None:
        self._trend = TrendStrategy(groups)
        self._range = RangeStrategy(groups)

    def propose(self, context: Context) -> Proposal | Rejection:
        """Return a proposal, or why there is none: ``REGIME_WAIT`` in transition or unclear."""
        regime = context.regime
        if regime <= _LAST_TREND:
            return self._trend.propose(context)
        if regime <= _LAST_RANGE:
            return self._range.propose(context)
        return REGIME_WAIT
