"""The gateway's orders: who placed them, what they wait for, and how they belong together."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from mia.core.base_types import OrderType
from mia.gateway.model import OrderRecord
from mia.gateway.venue.order_rules import STOPS, Terms


@dataclass(slots=True, eq=False)
class Work:
    """An order and what the gateway knows of it beyond its record.

    Attributes
    ----------
    tape : str
        Name of the contract at whose trades it is filled.
    parent : Work, optional
        The order that must fill before this one works.
    closed : int
        Contracts of its fills that its children have closed.
    arrived : bool
        Whether the exchange has it; before, it is on its way.
    asleep : bool
        Whether it is a stop that waits for the liquid hours.
    triggered : bool
        Whether it is a stop-limit order that has become a limit order.
    attached : bool
        Whether it is matched as a child: it closes what is open of its parent, nothing else.
    engine_id : int
        At the matching, 0 if it is not there.
    ts_active, ts_expire : int
        When it came to the matching; when it ends by itself, 0 for never.
    cancel_asked : bool
        Whether a cancellation is under way.
    """

    record: OrderRecord
    terms: Terms
    tape: str
    parent: "Work | None" = None
    children: list["Work"] = field(default_factory=list)
    closed: int = 0
    arrived: bool = False
    asleep: bool = False
    triggered: bool = False
    attached: bool = False
    engine_id: int = 0
    ts_active: int = 0
    ts_expire: int = 0
    cancel_asked: bool = False

    @property
    def is_done(self) -> bool:
        """Whether nothing can happen to it any more."""
        return self.record.is_done

    @property
    def open(self) -> int:
        """Contracts that it has filled and its children have not closed."""
        return self.record.filled - self.closed

    @property
    def closes_parent(self) -> bool:
        """Whether its fills close what its parent opened."""
        return self.parent is not None and self.parent.terms.side == -self.terms.side

    @property
    def is_held(self) -> bool:
        """Whether it waits for its parent."""
        return self.parent is not None and self.wanted == 0 and not self.parent.closed

    @property
    def wanted(self) -> int:
        """Contracts for which it should be working now, sleep apart."""
        remaining = self.record.remaining
        if self.parent is None:
            return remaining
        if self.closes_parent:
            return min(remaining, self.parent.open)
        return remaining if self.parent.is_done and self.parent.record.filled else 0

    @property
    def is_stop(self) -> bool:
        """Whether it waits for a price to trigger it."""
        return self.terms.kind in STOPS and not self.triggered

    @property
    def matching_kind(self) -> OrderType:
        """Its type as the matching must see it now."""
        return OrderType.LIMIT if self.triggered else self.terms.kind

    def attached_children(self) -> list["Work"]:
        """Return the children at the matching that live."""
        return [child for child in self.children if child.attached and not child.is_done]


class OrderBook:
    """All orders that the gateway ever took, by the keys of clients and by permanent id."""

    def __init__(self) -> None:
        self._by_perm: dict[int, Work] = {}
        self._by_client: dict[tuple[int, int], Work] = {}
        self._live: dict[int, Work] = {}
        self._groups: dict[tuple[str, str], list[Work]] = {}
        self._numbers: dict[tuple[str, str], int] = {}
        self._spent: set[tuple[str, str]] = set()

    def add(self, work: Work) -> None:
        """Enter an order; an order id of 0 is no key."""
        record = work.record
        self._by_perm[record.perm_id] = work
        self._live[record.perm_id] = work
        if record.order.order_id:
            self.rename(work)
        if record.order.oca_group:
            self._groups.setdefault(self._group(work), []).append(work)

    def rename(self, work: Work) -> None:
        """Let an order be found by the client and order id that its record has now."""
        self._by_client[work.record.client_id, work.record.order.order_id] = work

    def close(self, work: Work) -> None:
        """Note that an order is done."""
        self._live.pop(work.record.perm_id, None)

    def find(self, client_id: int, order_id: int) -> Work | None:
        """Return the order that a client knows by an id."""
        return self._by_client.get((client_id, order_id))

    def by_perm(self, perm_id: int) -> Work | None:
        """Return the order with a permanent id."""
        return self._by_perm.get(perm_id)

    def __iter__(self) -> Iterator[Work]:
        """Go through all orders in the order in which they were taken."""
        return iter(list(self._by_perm.values()))

    def live(self) -> list[Work]:
        """Return the orders that are not done, staged ones included."""
        return list(self._live.values())

    def peers(self, work: Work) -> list[Work]:
        """Return the live orders that a fill of `work` concerns: its OCA group and siblings."""
        found: dict[int, Work] = {}
        group: Iterable[Work] = ()
        if work.record.order.oca_group:
            group = self._groups.get(self._group(work), ())
        siblings = () if work.parent is None else work.parent.children
        for each in (*siblings, *group):
            if each is not work and not each.is_done and each.record.status != "ApiPending":
                found[each.record.perm_id] = each
        return list(found.values())

    def group_number(self, work: Work) -> int:
        """Return the number under which the matching lets orders exclude one another, or 0.

        Without an OCA group the children that close the same parent are one.
        """
        key = self._group(work)
        if not key[1]:
            if work.parent is None or not work.closes_parent:
                return 0
            key = (key[0], f"children of {work.parent.record.perm_id}")
        return self._numbers.setdefault(key, len(self._numbers) + 1)

    def spend(self, work: Work) -> None:
        """Note that an OCA group has had its fill."""
        if work.record.order.oca_group:
            self._spent.add(self._group(work))

    def is_spent(self, work: Work) -> bool:
        """Tell whether an order's OCA group has had its fill."""
        return self._group(work) in self._spent

    def entry_of_group(self, work: Work) -> Work | None:
        """Return the parent that live children in the OCA group of `work` close, if any."""
        if not work.record.order.oca_group:
            return None
        for each in self._groups.get(self._group(work), ()):
            if each is not work and each.closes_parent and not each.is_done:
                return each.parent
        return None

    @staticmethod
    def _group(work: Work) -> tuple[str, str]:
        order = work.record.order
        return order.account, order.oca_group
