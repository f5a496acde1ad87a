"""What both strategies share: choosing a trigger, placing stop and target on the tick grid."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import ceil, floor, isfinite
from typing import TypeVar

from mia.config.method import Group, Risk
from mia.core.base_types import OrderType, Reason, SetupKind, Strategy
from mia.core.trading_types import Context, Proposal, Setup
from mia.errors import ConfigError

G = TypeVar("G", bound=Group)

EPS = 1e-9
"""Two prices or scores closer than this are equal."""

PREMIUM_QUALITY = 0.80
STRONG_QUALITY = 0.70

_R1 = SetupKind.R1
_P4 = SetupKind.P4
_HIT_TARGET_R = 2.0
_WIDE_BASE_TICKS = 4
_WIDE_STOP_TICKS = 6


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a strategy has nothing that may be traded.

    Attributes
    ----------
    reason : Reason
        ``REGIME_WAIT``, ``NO_SETUP`` or ``STOP_TOO_FAR``.
    proposal : Proposal, optional
        What was turned down, with ``STOP_TOO_FAR``.
    """

    reason: Reason
    proposal: Proposal | None = None


NO_SETUP = Rejection(Reason.NO_SETUP)


def group(groups: Mapping[str, Group] | None, name: str, kind: type[G]) -> G:
    """Return the group `name`, or its defaults where it was not given.

    Raises
    ------
    ConfigError
        If another kind of group stands under that name.
    """
    found = (groups or {}).get(name)
    if found is None:
        return kind()
    if not isinstance(found, kind):
        raise ConfigError(f"group {name!r} must be a {kind.__name__}, was {type(found).__name__}")
    return found


def size_class_factor(quality: float) -> float:
    """Return the size factor of a proposal's class: PREMIUM 1, STRONG 0.75, STANDARD 0.5."""
    if quality - PREMIUM_QUALITY >= -EPS:
        return 1.0
    return 0.75 if quality - STRONG_QUALITY >= -EPS else 0.5


def best(setups: Iterable[Setup], order: Mapping[SetupKind, int], side: int) -> Setup | None:
    """Choose the trigger of the highest quality.

    Parameters
    ----------
    setups : iterable of Setup
        Triggers that fired at this close.
    order : mapping of SetupKind to int
        Triggers of the strategy; of equal qualities the lowest number wins, then the first.
    side : int
        +1 or -1: only triggers of this side; 0: either.

    Returns
    -------
    Setup or None
        None if no trigger may be traded. A hit too weak to be traded, and one without a stop,
        does not count.
    """
    chosen: Setup | None = None
    for setup in setups:
        kind = setup.kind
        if (
            kind not in order
            or (side and setup.side != side)
            or (kind > _R1 and not setup.traded)
            or not isfinite(setup.stop)
            or not isfinite(setup.quality)
        ):
            continue
        if chosen is None:
            chosen = setup
            continue
        lead = setup.quality - chosen.quality
        if lead > EPS or (lead >= -EPS and order[kind] < order[chosen.kind]):
            chosen = setup
    return chosen


class StopRules:
    """Limits of the distance from entry to stop, read once from the group ``risk``."""

    __slots__ = ("_max_atr", "_max_ticks", "_min_ticks")

    def __init__(self, groups: Mapping[str, Group] | None = None) -> None:
        risk = group(groups, "risk", Risk)
        self._min_ticks = risk.min_stop_ticks
        self._max_ticks = risk.max_stop_ticks
        self._max_atr = risk.max_stop_atr

    def limit(self, atr: float) -> float:
        """Return the largest distance allowed at an ATR in ticks; nan if that is nan."""
        scaled = self._max_atr * atr
        return self._max_ticks if scaled <= self._max_ticks else scaled

    def place(
        self,
        context: Context,
        setup: Setup,
        strategy: Strategy,
        entry_type: OrderType,
        entry: int,
        valid_bars: int,
        target_r: float = _HIT_TARGET_R,
        own_target: bool = True,
    ) -> Proposal | Rejection:
        """Turn a trigger into an order with integer prices.

        Parameters
        ----------
        context : Context
            The close at which it fired.
        entry : int
            Price of the entry order, ticks.
        target_r : float
            Target in multiples of the distance, where no own target applies.
        own_target : bool
            Whether a target of the trigger is used if it has one.

        Returns
        -------
        Proposal or Rejection
            ``STOP_TOO_FAR``, with the proposal, if the distance exceeds its limit.
        """
        side = setup.side
        # A float stop is rounded away from the entry, a float target towards it.
        stop = floor(setup.stop + EPS) if side > 0 else ceil(setup.stop - EPS)
        distance = max(side * (entry - stop), self._min_ticks)
        if setup.kind is _P4 and context.active_dir == side:
            size = context.active_high - context.active_low
            if size >= _WIDE_BASE_TICKS:
                distance = max(distance, _WIDE_STOP_TICKS, size + 2)
        if not own_target or not isfinite(setup.target):
            target = entry + side * ceil(target_r * distance - EPS)
        elif side > 0:
            target = floor(setup.target + EPS)
        else:
            target = ceil(setup.target - EPS)
        proposal = Proposal(
            strategy,
            setup.kind,
            side,
            setup.quality,
            entry_type,
            entry,
            entry - side * distance,
            target,
            distance,
            valid_bars,
        )
        if distance - self.limit(context.atr) <= EPS:
            return proposal
        return Rejection(Reason.STOP_TOO_FAR, proposal)
