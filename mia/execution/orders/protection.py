"""What a bracket needs now, derived from its state alone, so that asking again is harmless.

The rules, strictest first:

* Exits that filled before anything was heard of their entry prove no turn: the stop stays.
* A position that turned round is never enlarged: our working exits leave, and once a
  reconciliation has confirmed the turn, one market order closes it.
* An open position has a working stop of its size, or is being flattened. A stop that is surely
  gone is replaced at once; after `MAX_STOPS` of them the position is flattened instead.
* A stop that may or may not live is never doubled: a query tells, and if that takes too long
  the position is flattened inside the group of the stop, so that only one of them can fill.
* A stop leaves only after the position it protects is zero.
* An entry without stop or target is cancelled, and so is what is unfilled of an entry once
  anything of it was closed.
"""

from dataclasses import dataclass
from enum import StrEnum

from mia.core.base_types import OrderRole
from mia.execution.orders.states import NEVER_SENT, Bracket, Leg, LegState

MAX_STOPS = 2
"""Stops that a bracket may use up, its own included."""


class Act(StrEnum):
    """What to send."""

    CANCEL = "CANCEL"
    CHANGE = "CHANGE"
    STOP = "STOP"
    FLATTEN = "FLATTEN"


@dataclass(frozen=True, slots=True)
class Need:
    """One thing to send.

    Attributes
    ----------
    leg : str
        Reference of the order to cancel or change, empty for a new one.
    quantity : int
        Contracts of the order as a whole, 0 where it does not matter.
    patient : bool
        Whether the broker may see to it by itself: then only what lasts is acted on.
    """

    act: Act
    why: str
    leg: str = ""
    quantity: int = 0
    price: int = 0
    side: int = 0
    patient: bool = False


def needs(bracket: Bracket, held: int | None = None) -> list[Need]:
    """Return what to send for a bracket, most urgent first.

    Parameters
    ----------
    bracket : Bracket
    held : int, optional
        Contracts that the broker shows in the bracket's direction, where they are in dispute:
        no new exit is larger.
    """
    expected = bracket.expected
    if expected < 0 and bracket.awaits_entry:
        return _of_the_entry(bracket)
    if expected < 0:
        return _of_a_turned_position(bracket, -expected)
    wanted = _of_the_entry(bracket)
    if expected > 0:
        wanted += _of_a_position(bracket, expected, held)
    elif bracket.open == 0 and not bracket.entry.may_fill:
        wanted += [
            Need(Act.CANCEL, "nothing is left to protect", leg.ref, patient=True)
            for leg in bracket.exits
            if _may_be_cancelled(leg)
        ]
    return wanted


def is_protected(bracket: Bracket) -> bool:
    """Tell whether an open position has an acknowledged stop of its size, or is being closed."""
    expected = bracket.expected
    if expected <= 0:
        return expected == 0
    if any(leg.acknowledged for leg in bracket.of(OrderRole.FLATTEN)):
        return True
    stops = [leg for leg in bracket.of(OrderRole.STOP) if leg.acknowledged]
    return sum(leg.remaining for leg in stops) >= expected


def _may_be_cancelled(leg: Leg) -> bool:
    return leg.may_fill and leg.state is not LegState.PENDING_CANCEL


def _of_a_turned_position(bracket: Bracket, quantity: int) -> list[Need]:
    live = [leg for leg in bracket.legs.values() if leg.may_fill]
    if any(leg.side == bracket.order.side and leg.role is OrderRole.FLATTEN for leg in live):
        return []
    wanted = [
        Need(Act.CANCEL, "the position has turned round", leg.ref)
        for leg in live
        if _may_be_cancelled(leg)
    ]
    settled = not any(leg.missing for leg in bracket.legs.values())
    if bracket.repair_wanted and settled and not live:
        side = bracket.order.side
        wanted.append(Need(Act.FLATTEN, "turned position", quantity=quantity, side=side))
    return wanted


def _of_the_entry(bracket: Bracket) -> list[Need]:
    entry = bracket.entry
    if not _may_be_cancelled(entry):
        return []
    why = bracket.cancel_wanted or bracket.flatten_wanted
    if not why and entry.is_doubled:
        why = "the broker doubled it"
    if not why and any(leg.filled for leg in bracket.exits):
        why = "the position is being closed"
    if not why and not any(leg.may_fill for leg in bracket.of(OrderRole.STOP)):
        why = "its stop is gone"
    if not why and not any(leg.may_fill for leg in bracket.of(OrderRole.TARGET)):
        why = "its target is gone"
    return [Need(Act.CANCEL, why, entry.ref)] if why else []


def _of_a_position(bracket: Bracket, expected: int, held: int | None) -> list[Need]:
    flattens = [leg for leg in bracket.of(OrderRole.FLATTEN) if leg.may_fill]
    if flattens:
        return []
    allowed = expected if held is None else max(0, min(expected, held))
    side = bracket.order.side
    flatten = Need(
        Act.FLATTEN,
        bracket.flatten_wanted or "no stop holds",
        quantity=allowed,
        side=-side,
        patient=any(leg.reason != NEVER_SENT for leg in bracket.of(OrderRole.FLATTEN)),
    )
    if bracket.flatten_wanted and allowed:
        return [flatten]
    stops = [leg for leg in bracket.of(OrderRole.STOP) if leg.reason != NEVER_SENT]
    live = [leg for leg in stops if leg.may_fill]
    if not live:
        if not allowed:
            return []
        if len(stops) >= MAX_STOPS or bracket.stop_wanted <= 0:
            return [flatten]
        return [
            Need(
                Act.STOP,
                "the position has no stop",
                quantity=allowed,
                price=bracket.stop_wanted,
                side=-side,
            )
        ]
    return _changes(bracket, expected, live)


def _changes(bracket: Bracket, expected: int, stops: list[Leg]) -> list[Need]:
    """Let stop and target follow what is open, and the stop its wanted price."""
    wanted: list[Need] = []
    entry_done = not bracket.entry.may_fill
    cover = sum(leg.remaining for leg in stops)
    for leg in stops:
        if not leg.acknowledged or leg.changing:
            continue
        quantity = leg.quantity
        if len(stops) == 1 and (cover < expected or (entry_done and cover > expected)):
            quantity = max(leg.filled, leg.told) + expected
        price = leg.price
        if (bracket.stop_wanted - price) * bracket.order.side > 0:
            price = bracket.stop_wanted
        if (quantity, price) != (leg.quantity, leg.price):
            only_smaller = quantity < leg.quantity and price == leg.price
            why = "the stop follows the position"
            wanted.append(Need(Act.CHANGE, why, leg.ref, quantity, price, patient=only_smaller))
    for leg in bracket.of(OrderRole.TARGET):
        if leg.acknowledged and not leg.changing and entry_done and leg.remaining > expected:
            quantity = max(leg.filled, leg.told) + expected
            why = "the target follows the position"
            wanted.append(Need(Act.CHANGE, why, leg.ref, quantity, leg.price, patient=True))
    return wanted
