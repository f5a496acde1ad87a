"""Trades inside a range: its edges and pattern hits, entered by a limit order."""

from collections.abc import Mapping

from mia.config.method import Group, Range
from mia.core.base_types import OrderType, Regime, SetupKind, Strategy
from mia.core.trading_types import Context, Proposal
from mia.strategies.proposals import NO_SETUP, Rejection, StopRules, best, group

_ORDER = {SetupKind.R1: 0, SetupKind.P1: 1, SetupKind.P2: 2, SetupKind.P5: 3}
_SIDE = {Regime.RANGE_BULLISH_BIAS: 1, Regime.RANGE_BEARISH_BIAS: -1, Regime.RANGE_NEUTRAL: 0}


class RangeStrategy:
    """Proposes trades on the permitted sides of a published range.

    Parameters
    ----------
    groups : mapping of str to Group, optional
        Groups of the method by name; ``range`` and ``risk`` are read, once.
    """

    __slots__ = ("_entry_bars", "_stops")

    def __init__(self, groups: Mapping[str, Group] | None = None) -> None:
        self._entry_bars = group(groups, "range", Range).entry_bars
        self._stops = StopRules(groups)

    def propose(self, context: Context) -> Proposal | Rejection:
        """Return the proposal of the best trigger at this close.

        The entry is a limit order at the close; stop and target are those of the trigger, the
        target twice the distance where the trigger has none.

        Returns
        -------
        Proposal or Rejection
            ``NO_SETUP`` or ``STOP_TOO_FAR``.
        """
        side = _SIDE.get(context.regime)
        setup = None if side is None else best(context.setups, _ORDER, side)
        if setup is None:
            return NO_SETUP
        return self._stops.place(
            context, setup, Strategy.RANGE, OrderType.LIMIT, context.close, self._entry_bars
        )
