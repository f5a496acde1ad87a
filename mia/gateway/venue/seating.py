"""Which orders are at the matching, and how: by themselves or attached to their parent.

The matching knows entries with children that close what is open of them. A family of that form
is attached; whatever it does not know (other quantities, sleeping stops, immediate orders) is
matched order by order, and kept in step from here after every event.
"""

from collections.abc import Callable
from dataclasses import replace

from mia.core.base_types import OrderType
from mia.gateway.venue.floor import Floor
from mia.gateway.venue.order_book import OrderBook, Work

IMMEDIATE = ("IOC", "FOK")


class Seating:
    """Brings orders to the matching and takes them away.

    Parameters
    ----------
    floor_of : callable
        The matching of a tape by its name.
    is_liquid : callable
        Whether stops trigger without ``outsideRth`` at a time.
    """

    def __init__(
        self,
        book: OrderBook,
        floor_of: Callable[[str], Floor],
        is_liquid: Callable[[int], bool],
    ) -> None:
        self.immediate: list[Work] = []
        self._book = book
        self._floor_of = floor_of
        self._is_liquid = is_liquid

    def floor(self, work: Work) -> Floor:
        """Return the matching of an order."""
        return self._floor_of(work.tape)

    def bring(self, work: Work, now: int) -> None:
        """Take an order that has arrived to the matching, unless it waits for something."""
        if work.record.order.tif in IMMEDIATE:
            if work not in self.immediate:
                self.immediate.append(work)
            return
        work.asleep = self._sleeps(work, now)
        if work.asleep:
            return
        if self._may_attach(work):
            self.floor(work).attach(work, now)
            return
        if work.closes_parent and work.parent is not None and work.parent.attached_children():
            self.detach(work.parent, now)
        self.sync(work, now)

    def join(self, work: Work, now: int) -> None:
        """Let an order of the other side close a bracket whose OCA group it shares.

        It becomes one of the children, so that what it fills is no longer open for the others:
        a group that only reduces its members would let the last of them open a position.
        """
        entry = self._book.entry_of_group(work)
        if entry is None or entry.tape != work.tape or entry.terms.side == work.terms.side:
            return
        immediate = work.record.order.tif in IMMEDIATE
        if entry.attached_children() and (entry.open <= 0 or immediate):
            self.detach(entry, now)
        if entry.open <= 0:
            return
        work.parent = entry
        entry.children.append(work)
        if entry.is_done:
            shrink(work, work.record.remaining - entry.open)

    def detach(self, entry: Work, now: int) -> None:
        """Match an entry and its children each by itself from now on."""
        children = entry.attached_children()
        self.floor(entry).withdraw(entry)
        for child in children:
            child.attached = False
        for each in (entry, *children):
            self.sync(each, now)

    def sleep_or_wake(self, work: Work, now: int) -> None:
        """Let a stop leave the matching with the liquid hours, and return with them."""
        if self._sleeps(work, now) == work.asleep:
            return
        if not work.asleep:
            self.floor(work).withdraw(work)
            work.attached = False
        self.bring(work, now)

    def sync(self, work: Work, now: int) -> None:
        """Let an order that stands for itself work for what it should."""
        if work.attached or work.is_done or not work.arrived or work.record.order.tif in IMMEDIATE:
            return
        floor = self.floor(work)
        wanted = 0 if work.asleep else work.wanted
        if floor.leaves(work) == wanted:
            return
        if work.attached_children():
            self.reseat(work, now)
            return
        floor.withdraw(work)
        if wanted:
            floor.submit(work, wanted, now, self._book.group_number(work))

    def reseat(self, work: Work, now: int) -> None:
        """Enter an order anew with terms that the matching cannot change in place."""
        floor = self.floor(work)
        if work.attached:
            floor.withdraw(work)
            work.attached = False
            self.bring(work, now)
            return
        children = work.attached_children()
        if children and work.record.filled:
            self.detach(work, now)
            return
        floor.withdraw(work)
        if work.wanted and not work.asleep:
            floor.submit(work, work.wanted, now, self._book.group_number(work))
        for child in children:
            child.attached = False
            self.bring(child, now)

    def remove(self, work: Work, now: int) -> None:
        """Take away an order that is done; what it opened stays with its children."""
        floor = self.floor(work)
        if work in self.immediate:
            self.immediate.remove(work)
        if work.attached_children() and work.open:
            floor.end_rest(work, now)
            return
        floor.withdraw(work)
        parent = work.parent
        if work.attached and parent is not None and not parent.attached_children():
            if parent.is_done:
                floor.withdraw(parent)
            else:
                self.sync(parent, now)

    def serve_at_once(
        self, tape: str, size: int, price: int, now: int
    ) -> tuple[list[Work], list[Work]]:
        """Bring the immediate orders of a tape to the matching for the trade that comes next.

        An order that must fill whole or not is brought only if the trade has the size for it
        and for everything that may be served before it.

        Returns
        -------
        tuple of list of Work
            What was brought, of which the rest ends with the trade, and what was not.
        """
        floor = self._floor_of(tape)
        brought, unfit = [], []
        for work in [each for each in self.immediate if each.tape == tape and each.wanted]:
            self.immediate.remove(work)
            ahead = sum(floor.leaves(each) for each in floor.works)
            beyond = (work.terms.limit - price) * work.terms.side > 0
            fits = work.terms.kind == OrderType.MARKET or (beyond and size >= ahead + work.wanted)
            if work.record.order.tif == "FOK" and not fits:
                unfit.append(work)
                continue
            floor.submit(work, work.wanted, now, self._book.group_number(work))
            brought.append(work)
        return brought, unfit

    def _sleeps(self, work: Work, now: int) -> bool:
        return work.is_stop and not work.record.order.outside_rth and not self._is_liquid(now)

    def _may_attach(self, work: Work) -> bool:
        """Tell whether an order and all that close the same parent fit the matching's families."""
        parent = work.parent
        if parent is None or parent.attached or not self.floor(work).is_tracked(parent):
            return False
        whole = parent.open if parent.is_done else parent.record.order.quantity
        return all(
            each.is_done or _fits(each, parent, whole)
            for each in (work, *parent.children)
            if each is work or each.closes_parent
        )


def _fits(child: Work, parent: Work, whole: int) -> bool:
    record = child.record
    return (
        child.closes_parent
        and not child.children
        and child.tape == parent.tape
        and record.order.account == parent.record.order.account
        and record.order.tif not in IMMEDIATE
        and record.remaining == whole
    )


def shrink(work: Work, quantity: int) -> None:
    """Take contracts off an order, as the broker does with the size of others in its group."""
    if quantity > 0:
        order = work.record.order
        work.record.order = replace(order, quantity=order.quantity - quantity)
