"""The life of an order at the gateway, from its arrival to its end.

The matching decides who is filled; the rules here keep it in step with what clients were told:
children wait for their parent and close no more than it opened, members of an OCA group cancel
or reduce one another, stops sleep outside the liquid hours.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from mia.core.base_types import OrderType
from mia.gateway.model import ApiContract, ApiOrder, ExchangeListener
from mia.gateway.venue import order_rules as rules
from mia.gateway.venue.account import Account
from mia.gateway.venue.executions import ExecutionBook, identity
from mia.gateway.venue.floor import Floor, Match
from mia.gateway.venue.order_book import OrderBook, Work
from mia.gateway.venue.order_rules import Refusal, Terms
from mia.gateway.venue.seating import Seating, shrink

STAGED = "ApiPending"


@dataclass(slots=True)
class DeskSettings:
    """How the desk behaves.

    Attributes
    ----------
    commissions : mapping of str to float
        USD a side and contract, by symbol.
    oca_cancels_on_partial : bool
        Whether a partial fill in an OCA group of type 1 cancels the others at once, rather than
        reducing them.
    largest_fill : int
        Contracts of one execution at most; a larger fill is told in parts. 0 for no bound.
    """

    commissions: Mapping[str, float]
    oca_cancels_on_partial: bool = False
    largest_fill: int = 0

    def commission(self, contract: ApiContract, quantity: int) -> float:
        """Return the USD that a fill of `quantity` contracts costs."""
        return self.commissions.get(contract.symbol, 0.0) * quantity


class OrderDesk:
    """Carries out what has arrived, and what the matching reports.

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
        accounts: Mapping[str, Account],
        executions: ExecutionBook,
        listener: ExchangeListener,
        is_liquid: Callable[[int], bool],
        settings: DeskSettings,
    ) -> None:
        self.settings = settings
        self.seating = Seating(book, floor_of, is_liquid)
        self._book = book
        self._accounts = accounts
        self._executions = executions
        self._listener = listener

    def arrive(self, work: Work, now: int) -> None:
        """Take an order to the matching, or let it wait for its parent or for its hours."""
        if work.is_done:
            return
        work.arrived = True
        refusal = self._unwelcome(work)
        if refusal is not None:
            self.finish(work, "Cancelled", now, refusal)
            return
        if work.parent is None:
            self.seating.join(work, now)
        self.seating.bring(work, now)
        self.refresh(work)

    def serve_at_once(self, tape: str, size: int, price: int, now: int) -> list[Work]:
        """Bring immediate orders to the matching for the next trade; return those brought."""
        brought, unfit = self.seating.serve_at_once(tape, size, price, now)
        for work in unfit:
            self.finish(work, "Inactive", now)
        return brought

    def end_at_once(self, work: Work, now: int) -> None:
        """Cancel what is left of an immediate order after its trade."""
        if not work.is_done:
            work.cancel_asked = True
            self.refresh(work)
            self.finish(work, "Cancelled", now, rules.cancelled())

    def change(self, work: Work, order: ApiOrder, terms: Terms, now: int) -> Refusal | None:
        """Carry out a modification; return why not if it came too late."""
        record = work.record
        if work.is_done:
            return Refusal(104, "Cannot modify a filled order.")
        if order.quantity <= record.filled:
            return rules.invalid(f"{record.filled} contracts are filled already")
        if work.closes_parent and work.parent is not None and work.parent.is_done:
            most = record.filled + work.parent.open
            order = replace(order, quantity=min(order.quantity, most))
        grown = order.quantity - record.order.quantity
        same_kind = terms.kind == work.terms.kind
        record.order, work.terms = order, terms
        if terms.kind != OrderType.STOP_LIMIT:
            work.triggered = False
        floor = self.seating.floor(work)
        if grown:
            self._resize(work, grown, now)
        if work.engine_id and same_kind and terms.kind in (OrderType.LIMIT, OrderType.STOP):
            floor.move(work, now)
        elif work.engine_id and not (same_kind and terms.kind == OrderType.MARKET):
            self.seating.reseat(work, now)
        self.seating.sleep_or_wake(work, now)
        self.seating.sync(work, now)
        record.status, record.why_held = self.status_of(work)
        self.tell(work)
        return None

    def finish(self, work: Work, status: str, now: int, notice: Refusal | None = None) -> None:
        """End an order that is not done, and what depends on it."""
        record = work.record
        if work.is_done:
            return
        staged = record.status == STAGED
        record.status, record.why_held, record.ts_done = status, "", now
        self._book.close(work)
        self.seating.remove(work, now)
        if not staged or notice is not None:
            self.tell(work, only_status=staged)
        if notice is not None:
            self._listener.on_order_error(
                record.client_id, record.order.order_id, notice.code, notice.text
            )
        if record.filled:
            self._balance(work, now)
        else:
            for child in work.children:
                self.finish(child, "Cancelled", now, None if staged else rules.cancelled())

    def settle(self, floor: Floor, matches: list[Match], now: int) -> None:
        """Book the fills of one event, then bring the matching in step with the orders."""
        for match in matches:
            most = self.settings.largest_fill or match.quantity
            left = match.quantity
            # What an earlier fill of the same event has ended is not filled any more.
            while left and not match.work.is_done:
                part = min(most, left)
                left -= part
                self._fill(match.work, part, match.price, match.ts)
        floor.forget_finished()
        for work in self._book.live():
            self.seating.sync(work, now)
            self.refresh(work)

    def keep_hours(self, now: int) -> None:
        """Let stops sleep or wake, and end the orders whose time is over."""
        for work in self._book.live():
            if work.record.status == STAGED or work.is_done:
                continue
            if 0 < work.ts_expire <= now:
                self.finish(work, "Cancelled", now, rules.cancelled())
            elif work.arrived:
                self.seating.sleep_or_wake(work, now)

    def end_contract(self, con_id: int, now: int) -> None:
        """Cancel the orders of a contract that trades no more."""
        for work in self._book.live():
            if work.record.contract.con_id == con_id and not work.is_done:
                self.finish(work, "Cancelled", now, rules.cancelled("The contract has expired"))

    def refresh(self, work: Work) -> None:
        """Tell an order's status if it has changed."""
        record = work.record
        if work.is_done or record.status == STAGED:
            return
        status = self.status_of(work)
        if status != (record.status, record.why_held):
            record.status, record.why_held = status
            self.tell(work)

    def tell(self, work: Work, only_status: bool = False) -> None:
        """Report an order as it is now."""
        if not only_status:
            self._listener.on_open_order(work.record.copy())
        self._listener.on_order_status(work.record.copy())

    def acknowledge(self, work: Work) -> None:
        """Give an order that was staged its first status, and tell it."""
        work.record.status, work.record.why_held = self.status_of(work)
        self.tell(work)

    @staticmethod
    def status_of(work: Work) -> tuple[str, str]:
        """Return the status of a live order and why it is held."""
        if work.cancel_asked:
            return "PendingCancel", ""
        if work.is_held:
            return "PreSubmitted", "child,trigger" if work.is_stop else "child"
        if work.is_stop:
            return "PreSubmitted", "trigger"
        return ("Submitted" if work.arrived else "PreSubmitted"), ""

    def _unwelcome(self, work: Work) -> Refusal | None:
        limits = self.seating.floor(work).limits
        if limits is not None and work.terms.kind in (OrderType.LIMIT, OrderType.STOP_LIMIT):
            low, high = limits
            if not low <= work.terms.limit <= high:
                return rules.cancelled("The price is outside of the price limits")
        if work.parent is not None and work.parent.is_done and not work.parent.record.filled:
            return rules.cancelled("The parent order is cancelled")
        if self._book.is_spent(work):
            return rules.cancelled("The OCA group is filled already")
        return None

    def _resize(self, work: Work, grown: int, now: int) -> None:
        """Let children follow the size of their parent; a child's own size parts it from it."""
        if work.attached and work.parent is not None:
            self.seating.detach(work.parent, now)
        for child in work.attached_children():
            order = child.record.order
            child.record.order = replace(order, quantity=order.quantity + grown)
            self.tell(child)

    def _fill(self, work: Work, quantity: int, ticks: int, ts: int) -> None:
        record, parent = work.record, work.parent
        price = ticks * record.contract.min_tick
        paid = record.average_price * record.filled + price * quantity
        record.filled += quantity
        record.average_price, record.last_price = paid / record.filled, price
        ends_parent = False
        if work.closes_parent and parent is not None:
            parent.closed += quantity
            ends_parent = work.attached and not parent.is_done
            if ends_parent or parent.is_done:
                shrink(work, record.remaining - parent.open)
        if record.remaining == 0:
            record.status, record.why_held, record.ts_done = "Filled", "", ts
            self._book.close(work)
        else:
            record.status, record.why_held = self.status_of(work)
        self._book_fill(work, quantity, price, ts)
        self.tell(work)
        self._listener.on_position(record.order.account, record.contract)
        if ends_parent and parent is not None:
            self.finish(parent, "Cancelled", ts, rules.cancelled())
        if parent is not None:
            self._balance(parent, ts)
        self._reduce_group(work, quantity, ts)
        self._balance(work, ts)
        if work.is_done and not work.attached_children():
            self.seating.floor(work).withdraw(work)

    def _book_fill(self, work: Work, quantity: int, price: float, ts: int) -> None:
        record = work.record
        commission = self.settings.commission(record.contract, quantity)
        exec_id = self._executions.next_id()
        realized = self._accounts[record.order.account].apply(
            record.contract, work.terms.side * quantity, price, commission, identity(exec_id)
        )
        self._listener.on_execution(
            self._executions.record(exec_id, record, ts, quantity, price, commission, realized)
        )

    def _balance(self, parent: Work, now: int) -> None:
        """Let the children of a parent close what it opened and no more."""
        for child in list(parent.children):
            if child.is_done or child.record.status == STAGED:
                continue
            if parent.is_done and child.closes_parent:
                excess = child.record.remaining - parent.open
                shrink(child, excess)
                if child.record.remaining == 0:
                    self.finish(child, "Cancelled", now, rules.cancelled())
                elif excess > 0:
                    self.tell(child)
            self.refresh(child)

    def _reduce_group(self, work: Work, quantity: int, now: int) -> None:
        order = work.record.order
        if not order.oca_group:
            return
        complete = work.is_done
        ends_all = order.oca_type == 1 and (complete or self.settings.oca_cancels_on_partial)
        members = [
            other
            for other in self._book.peers(work)
            if other.record.order.oca_group == order.oca_group and other is not work.parent
        ]
        for other in members:
            if ends_all:
                self.finish(other, "Cancelled", now, rules.cancelled())
            elif not (other.parent is work.parent and work.closes_parent):
                less = min(quantity, other.record.remaining)
                shrink(other, less)
                self._resize(other, -less, now)
                if other.record.remaining == 0:
                    self.finish(other, "Cancelled", now, rules.cancelled())
                else:
                    self.tell(other)
        if complete and (order.oca_type == 1 or all(other.is_done for other in members)):
            # Whoever joins later would open what the group has closed.
            self._book.spend(work)
