"""Orders as we know them: legs, brackets, and which words of the broker end an order.

A leg is one order, known by its reference ``<bracket id>:<role>``: ``E`` entry, ``S`` stop
(``S2`` its replacement), ``T`` target, ``F1``, ``F2`` orders that flatten. Only executions fill
a leg. What a status claims beyond them is `Leg.missing`: it changes what is expected, never what
is booked.
"""

import re
from dataclasses import dataclass, field
from enum import StrEnum

from mia.core.base_types import OrderRole, OrderType, TradingState
from mia.core.broker_types import BrokerStatus
from mia.core.trading_types import BracketOrder


class LegState(StrEnum):
    """State of one of our orders, as far as we know."""

    SENT = "SENT"
    """Written down and, unless the process died at that instant, given to the connection."""
    WORKING = "WORKING"
    PARTIAL = "PARTIAL"
    PENDING_CANCEL = "PENDING_CANCEL"
    """Its end was asked for; it may still fill."""
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"
    UNKNOWN = "UNKNOWN"
    """The broker did not answer in time, or contradicted itself: only a query can tell."""


LIVE = frozenset(
    {
        LegState.SENT,
        LegState.WORKING,
        LegState.PARTIAL,
        LegState.PENDING_CANCEL,
        LegState.UNKNOWN,
    }
)
"""States in which an order may fill."""

ACKNOWLEDGED = frozenset({LegState.WORKING, LegState.PARTIAL})
"""States in which the broker has said that the order works."""

UNITS = {"ES": 10, "MES": 1}
"""Size of a contract in MES contracts."""

DONE = frozenset({BrokerStatus.FILLED, BrokerStatus.CANCELLED, BrokerStatus.INACTIVE})
"""Statuses after which an order of the broker is over."""

NEVER_SENT = "never sent"
"""Reason of a leg that the connection did not take."""

DEFINITIVE_REJECTS = frozenset({201, 203, 10289, 10293})
"""Codes that end an order that never worked; every other code at most makes it suspect."""

INFORMATIVE = frozenset({165, 202, 434, 492, 2107, 2108, 10167})
"""Codes that say nothing about the life of an order; a 202 follows the status that ended it."""

HELD = frozenset({399, 404, 2109})
"""Codes of an order that was accepted, but is held or loses an attribute."""


class Trouble(StrEnum):
    """What an alarm is about."""

    REJECT = "REJECT"
    SUSPECT = "SUSPECT"
    HELD = "HELD"
    NO_ANSWER = "NO_ANSWER"
    FILLS_MISSING = "FILLS_MISSING"
    FILL_INFERRED = "FILL_INFERRED"
    EXECUTION_CORRECTED = "EXECUTION_CORRECTED"
    LATE_FILL = "LATE_FILL"
    UNPROTECTED = "UNPROTECTED"
    OVERFILL = "OVERFILL"
    DUPLICATE_ORDER = "DUPLICATE_ORDER"
    REAPPEARED = "REAPPEARED"
    UNKNOWN_ORDER = "UNKNOWN_ORDER"
    UNKNOWN_POSITION = "UNKNOWN_POSITION"
    ADOPTED = "ADOPTED"
    STUCK = "STUCK"
    JOURNAL = "JOURNAL"
    RUNAWAY = "RUNAWAY"


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that a person or the kill switch must know.

    Attributes
    ----------
    ts : int
        Market or wall time, ns UTC.
    subject : str
        Order reference, contract or execution.
    halt : TradingState
        The state that it asks for; ``NORMAL`` if it only informs.
    """

    trouble: Trouble
    ts: int
    subject: str
    text: str
    halt: TradingState = TradingState.NORMAL


@dataclass(frozen=True, slots=True)
class FillCorrection:
    """The broker changed an execution that the cycle has seen; the position changes with it.

    Attributes
    ----------
    quantity, price : int
        Contracts and ticks after the correction; 0 contracts if it was busted.
    """

    bracket_id: str
    role: OrderRole
    exec_id: str
    ts: int
    old_quantity: int
    old_price: int
    quantity: int
    price: int


@dataclass(slots=True)
class Execution:
    """Newest revision of an execution; `quantity` is negative where it took contracts back."""

    revision: int
    quantity: int
    price: int
    ts: int
    commission: float | None = None


@dataclass(slots=True)
class Leg:
    """One order of ours.

    Attributes
    ----------
    quantity, price : int
        As the broker has them, as far as known; ticks, 0 for market orders.
    wanted_quantity, wanted_price : int
        Of a change that the broker has not confirmed; the same as above without one.
    order_ids : list of int
        Under which it was seen, ours first.
    perms : dict of int to str
        Its orders at the broker with their last status: one, unless the broker doubled it.
    told : int
        Contracts filled as a status claimed them.
    inferred : int
        Contracts filled that a reconciliation established without the executions.
    cancels : int
        Requests to cancel.
    suspect : bool
        Whether a code made it doubtful.
    """

    ref: str
    bracket_id: str
    role: OrderRole
    side: int
    quantity: int
    order_type: OrderType
    price: int
    grouped: bool
    order_ids: list[int]
    state: LegState = LegState.SENT
    wanted_quantity: int = 0
    wanted_price: int = 0
    perms: dict[int, str] = field(default_factory=dict)
    told: int = 0
    inferred: int = 0
    inferred_price: int = 0
    executions: dict[str, Execution] = field(default_factory=dict)
    cancels: int = 0
    suspect: bool = False
    reason: str = ""

    def __post_init__(self) -> None:
        """Want what there is."""
        self.wanted_quantity = self.wanted_quantity or self.quantity
        self.wanted_price = self.wanted_price or self.price

    @property
    def executed(self) -> int:
        """Contracts of its executions."""
        return sum(execution.quantity for execution in self.executions.values())

    @property
    def filled(self) -> int:
        """Contracts booked."""
        return max(self.executed, self.inferred)

    @property
    def missing(self) -> int:
        """Contracts that a status claims and no execution shows."""
        return max(0, self.told - self.filled)

    @property
    def remaining(self) -> int:
        """Contracts that may still fill, if it lives."""
        return max(0, self.quantity - max(self.filled, self.told)) if self.may_fill else 0

    @property
    def may_fill(self) -> bool:
        """Whether it may still be alive at the broker."""
        return self.state in LIVE

    @property
    def is_doubled(self) -> bool:
        """Whether the broker works more than one order for it, or one that it no longer needs."""
        several = sum(status not in DONE for status in self.perms.values()) > 1
        return several or (self.may_fill and self.filled >= self.quantity)

    @property
    def acknowledged(self) -> bool:
        """Whether the broker said that it works, and nothing has put that into doubt."""
        return self.state in ACKNOWLEDGED and not self.suspect

    @property
    def unsettled(self) -> bool:
        """Whether only a query can tell what has become of it."""
        return self.state is LegState.UNKNOWN or self.suspect

    @property
    def changing(self) -> bool:
        """Whether a change of it is unconfirmed."""
        return (self.wanted_price, self.wanted_quantity) != (self.price, self.quantity)


@dataclass(slots=True)
class Bracket:
    """An intent and its orders.

    Attributes
    ----------
    legs : dict of str to Leg
        By reference, in the order of their making.
    con_id : int
    cancel_wanted, flatten_wanted : str
        Why the entry should end, why the position should; empty while it should not.
    stop_wanted : int
        Where the stop should be, ticks; it only tightens.
    repair_wanted : bool
        Whether a reconciliation confirmed that the position has turned round.
    """

    order: BracketOrder
    con_id: int
    legs: dict[str, Leg] = field(default_factory=dict)
    cancel_wanted: str = ""
    flatten_wanted: str = ""
    stop_wanted: int = 0
    repair_wanted: bool = False

    @property
    def entry(self) -> Leg:
        """The order that opens."""
        return self.legs[f"{self.order.bracket_id}:E"]

    def of(self, *roles: OrderRole) -> list[Leg]:
        """Return the legs of some roles."""
        return [leg for leg in self.legs.values() if leg.role in roles]

    @property
    def exits(self) -> list[Leg]:
        """Everything but the entry."""
        return [leg for leg in self.legs.values() if leg.role is not OrderRole.ENTRY]

    @property
    def open(self) -> int:
        """Contracts booked as open, in the direction of the bracket; negative if it turned."""
        return self.order.side * self.position

    @property
    def position(self) -> int:
        """Signed contracts booked as open."""
        return sum(leg.side * leg.filled for leg in self.legs.values())

    @property
    def expected(self) -> int:
        """As `open`, once the executions have come that the broker's statuses promise."""
        side = self.order.side
        return side * sum(leg.side * (leg.filled + leg.missing) for leg in self.legs.values())

    @property
    def closed(self) -> int:
        """Contracts that its exits have closed, as booked."""
        return self.entry.filled - self.open

    @property
    def awaits_entry(self) -> bool:
        """Whether exits have closed what no execution of the entry has opened so far.

        No exit fills before the entry has: as long as the entry may fill and they closed no more
        than its size, executions of the entry are under way, or lost until a query.
        """
        return self.open < 0 and self.entry.may_fill and self.closed <= self.order.quantity

    @property
    def is_open(self) -> bool:
        """Whether it holds a position, may get one, or waits for executions.

        A market order that was sent while another exit filled may turn the position round.
        """
        return (
            self.position != 0
            or self.entry.may_fill
            or any(
                leg.missing or (leg.may_fill and leg.role is OrderRole.FLATTEN)
                for leg in self.legs.values()
            )
        )

    @property
    def is_live(self) -> bool:
        """Whether anything of it may still happen."""
        return self.is_open or any(leg.may_fill for leg in self.legs.values())


_REFERENCE = re.compile(r"(TRADE_\d{8}_\d{6}_[0-9a-f]{8}):(E|T|S\d*|F\d+)")
_ROLES = {
    "E": OrderRole.ENTRY,
    "S": OrderRole.STOP,
    "T": OrderRole.TARGET,
    "F": OrderRole.FLATTEN,
}


def parse_reference(reference: str) -> tuple[str, OrderRole] | None:
    """Return bracket id and role of an order reference, None if it is not of our making."""
    match = _REFERENCE.fullmatch(reference)
    return None if match is None else (match[1], _ROLES[match[2][0]])
