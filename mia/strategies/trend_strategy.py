"""Trades with a trend: pullbacks, breakouts and pattern hits, entered by a stop order."""

from collections.abc import Mapping

from mia.config.method import Group, Trend
from mia.core.base_types import OrderType, Regime, SetupKind, Strategy
from mia.core.trading_types import Context, Proposal
from mia.strategies.proposals import EPS, NO_SETUP, Rejection, StopRules, best, group

_ORDER = {
    SetupKind.T1: 0,
    SetupKind.T2: 1,
    SetupKind.P3: 2,
    SetupKind.P4: 3,
    SetupKind.P1: 4,
    SetupKind.P5: 5,
}
_SIDE = {
    Regime.STRONG_TREND_BULL: 1,
    Regime.WEAK_TREND_BULL: 1,
    Regime.STRONG_TREND_BEAR: -1,
    Regime.WEAK_TREND_BEAR: -1,
}
_TREND = Strategy.TREND
_STOP = OrderType.STOP


class TrendStrategy:
    """Proposes trades in the direction of a published trend.

    Parameters
    ----------
    groups : mapping of str to Group, optional
        Groups of the method by name; ``trend`` and ``risk`` are read, once.
    """

    __slots__ = ("_entry_bars", "_stops", "_target_r")

    def __init__(self, groups: Mapping[str, Group] | None = None) -> None:
        trend = group(groups, "trend", Trend)
        self._entry_bars = trend.entry_bars
        self._target_r = trend.target_r
        self._stops = StopRules(groups)

    def propose(self, context: Context) -> Proposal | Rejection:
        """Return the proposal of the best trigger at this close.

        The entry is a stop order one tick beyond the bar, the target a multiple of the
        distance to the stop.

        Returns
        -------
        Proposal or Rejection
            ``NO_SETUP`` or ``STOP_TOO_FAR``.
        """
        side = _SIDE.get(context.regime)
        setup = None if side is None else best(context.setups, _ORDER, side)
        if setup is None:
            return NO_SETUP
        side = setup.side
        entry = context.high + 1 if side > 0 else context.low - 1
        return self._stops.place(
            context,
            setup,
            _TREND,
            _STOP,
            entry,
            self._entry_bars,
            target_r=self._target_r,
            own_target=False,
        )


def entry_is_void(context: Context, proposal: Proposal) -> bool:
    """Tell whether a working trend entry must be cancelled: the golden rule turned against it.

    Entries of the range strategy are never void for this reason.
    """
    return proposal.strategy is _TREND and proposal.side * context.golden < -EPS
