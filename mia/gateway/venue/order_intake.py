"""Where clients' requests come in: checked, acknowledged, staged or sent on their way."""

import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import NamedTuple

from mia.core.base_types import OrderType
from mia.core.sessions import SECOND
from mia.data.contracts import is_contract, parse_contract
from mia.gateway.model import (
    ApiContract,
    ApiOrder,
    ExchangeListener,
    MarginImpact,
    OrderRecord,
)
from mia.gateway.venue import market_hours
from mia.gateway.venue import order_rules as rules
from mia.gateway.venue.account import Account
from mia.gateway.venue.floor import Floor
from mia.gateway.venue.market_hours import CHICAGO
from mia.gateway.venue.order_book import OrderBook, Work
from mia.gateway.venue.order_desk import STAGED, OrderDesk
from mia.gateway.venue.order_rules import Refusal, Terms

NO_TERMS = Terms(1, OrderType.MARKET, 0, 0, 0)
MICRO = "MES"


class Bound(NamedTuple):
    """An order placed by hand that client 0 has taken over."""

    perm_id: int
    client_id: int
    order_id: int


@dataclass(frozen=True, slots=True, order=True)
class _Request:
    """Something under way to the exchange; without an order or terms a cancellation."""

    due: int
    sequence: int
    work: Work
    is_new: bool = False
    order: ApiOrder | None = None
    terms: Terms | None = None


def tape_of(contract: ApiContract) -> str:
    """Return the name of the contract at whose trades another is filled."""
    if contract.symbol == MICRO and contract.name.startswith(MICRO):
        return contract.name[1:]
    return contract.name


def has_expired(contract: ApiContract, ts: int) -> bool:
    """Tell whether a quarterly future no longer trades; of other contracts it is never known."""
    return is_contract(contract.name) and parse_contract(contract.name).expiry <= ts


class OrderIntake:
    """Takes the requests of clients and of the terminal.

    Parameters
    ----------
    clock : callable
        Market time, ns UTC.
    first_order_id, first_perm_id : int
        Where ids start.
    """

    def __init__(
        self,
        book: OrderBook,
        desk: OrderDesk,
        floor_of: Callable[[str], Floor],
        accounts: Mapping[str, Account],
        listener: ExchangeListener,
        clock: Callable[[], int],
        latency_ns: int,
        first_order_id: int,
        first_perm_id: int,
    ) -> None:
        self.refuse: Callable[[int, ApiOrder], Refusal | None] = lambda client_id, order: None
        self.latency_ns = latency_ns
        self.expiries: list[int] = []
        self._book = book
        self._desk = desk
        self._floor_of = floor_of
        self._accounts = accounts
        self._listener = listener
        self._clock = clock
        self._first_order_id = first_order_id
        self._next_order_id: dict[int, int] = {}
        self._next_perm_id = first_perm_id
        self._next_bound_id = -1
        self._under_way: list[_Request] = []
        self._sequence = 0

    @property
    def due(self) -> int | None:
        """Arrival of the next request under way, ns; None without one."""
        return self._under_way[0].due if self._under_way else None

    def next_order_id(self, client_id: int) -> int:
        """Return the id from which a client may count on."""
        return self._next_order_id.get(client_id, self._first_order_id)

    def place(self, client_id: int, order: ApiOrder, contract: ApiContract) -> None:
        """Take an order, a change of a live one, or a question what it would cost."""
        order = self._completed(order)
        known = self._book.find(client_id, order.order_id)
        answer = self._check(client_id, order, contract, known)
        if isinstance(answer, Refusal):
            self._turn_away(client_id, order, contract, known, answer)
        elif order.what_if:
            self._estimate(client_id, order, contract, answer)
        elif known is not None:
            self._modify(known, order, answer)
        else:
            self._take_id(client_id, order.order_id)
            self._enter(client_id, order, contract, answer)

    def place_by_hand(self, order: ApiOrder, contract: ApiContract) -> int | Refusal:
        """Place an order as someone does at the terminal; return its permanent id."""
        order = replace(self._completed(order), order_id=0, parent_id=0, transmit=True)
        answer = self._check(0, order, contract, None)
        if isinstance(answer, Refusal):
            return answer
        return self._enter(0, order, contract, answer).record.perm_id

    def place_twin(self, client_id: int, order: ApiOrder, contract: ApiContract) -> int | Refusal:
        """Place an order under an id that is alive; both work, the client can reach the new one.

        The twin has neither parent nor OCA group: nothing ends it when the other fills.
        """
        order = replace(
            self._completed(order), parent_id=0, oca_group="", oca_type=0, transmit=True
        )
        answer = self._check(client_id, order, contract, None)
        if isinstance(answer, Refusal):
            return answer
        return self._enter(client_id, order, contract, answer).record.perm_id

    def bind(self) -> list[Bound]:
        """Give the live orders placed by hand ids of client 0, negative ones, and list those."""
        bound = []
        for work in self._book.live():
            record = work.record
            if record.order.order_id == 0:
                record.order = replace(record.order, order_id=self._next_bound_id)
                self._next_bound_id -= 1
                self._book.rename(work)
                bound.append(Bound(record.perm_id, 0, record.order.order_id))
        return bound

    def cancel(self, client_id: int, order_id: int) -> None:
        """Take the request to cancel an order of this client."""
        work = self._book.find(client_id, order_id)
        if work is None:
            self._error(client_id, order_id, rules.not_found(order_id))
        elif work.is_done:
            late = rules.too_late_to_cancel(order_id, work.record.status)
            self._error(client_id, order_id, late)
        else:
            self._ask_to_cancel(work)

    def cancel_all(self) -> None:
        """Take the request to cancel every order, those placed by hand included."""
        for work in self._book.live():
            if not work.is_done:
                self._ask_to_cancel(work)

    def carry_out(self) -> None:
        """Carry out the request that arrives first."""
        request = heapq.heappop(self._under_way)
        work, now = request.work, max(request.due, self._clock())
        record = work.record
        refusal = None
        if request.is_new:
            self._desk.arrive(work, now)
        elif request.order is not None and request.terms is not None:
            refusal = self._desk.change(work, request.order, request.terms, now)
        elif work.is_done:
            refusal = rules.too_late_to_cancel(record.order.order_id, record.status)
        else:
            self._desk.finish(work, "Cancelled", now, rules.cancelled())
        if refusal is not None:
            self._error(record.client_id, record.order.order_id, refusal)

    def _completed(self, order: ApiOrder) -> ApiOrder:
        account = order.account or next(iter(self._accounts))
        return replace(order, account=account, tif=order.tif or "DAY")

    def _take_id(self, client_id: int, order_id: int) -> None:
        self._next_order_id[client_id] = max(self.next_order_id(client_id), order_id + 1)

    def _check(
        self, client_id: int, order: ApiOrder, contract: ApiContract, known: Work | None
    ) -> Terms | Refusal:
        if known is not None and known.is_done:
            return rules.duplicate()
        terms = rules.terms_of(order, contract)
        if isinstance(terms, Refusal):
            return terms
        if order.account not in self._accounts:
            return rules.invalid(f"Invalid account code '{order.account}'")
        if 0 < terms.ts_expire <= self._clock():
            return rules.invalid("The good till date has passed")
        refusal = self.refuse(client_id, order) or self._price_refusal(terms, contract)
        if refusal is not None:
            return refusal
        if known is not None:
            return self._change_refusal(known, order, contract) or terms
        return self._new_refusal(client_id, order, contract, terms) or terms

    def _price_refusal(self, terms: Terms, contract: ApiContract) -> Refusal | None:
        limits = self._floor_of(tape_of(contract)).limits
        if limits is None or terms.kind not in (OrderType.LIMIT, OrderType.STOP_LIMIT):
            return None
        low, high = limits
        if low <= terms.limit <= high:
            return None
        return rules.beyond_limits(low * contract.min_tick, high * contract.min_tick)

    @staticmethod
    def _change_refusal(known: Work, order: ApiOrder, contract: ApiContract) -> Refusal | None:
        record = known.record
        if record.contract.con_id != contract.con_id:
            return rules.mismatch()
        if order.quantity <= record.filled:
            return rules.invalid(f"{record.filled} contracts are filled already")
        return rules.conflict(record.order, order)

    def _new_refusal(
        self, client_id: int, order: ApiOrder, contract: ApiContract, terms: Terms
    ) -> Refusal | None:
        if has_expired(contract, self._clock()):
            return rules.rejected(f"The contract {contract.local_symbol} has expired")
        if order.parent_id:
            parent = self._book.find(client_id, order.parent_id)
            if parent is None:
                return Refusal(10006, "Missing parent order.")
            if parent.is_done and not parent.record.filled:
                return rules.rejected("The parent order is cancelled")
        active = sum(
            each.record.contract.con_id == contract.con_id
            and each.terms.side == terms.side
            and each.record.order.account == order.account
            for each in self._book.live()
        )
        if active >= rules.MAX_ACTIVE_PER_SIDE:
            return rules.too_many()
        account = self._accounts[order.account]
        needed = account.initial_margin_with(contract, terms.side * order.quantity)
        opens = needed > account.initial_margin and not order.parent_id and not order.what_if
        if opens and needed > account.equity:
            return rules.too_little_margin(account.equity, needed)
        return None

    def _turn_away(
        self,
        client_id: int,
        order: ApiOrder,
        contract: ApiContract,
        known: Work | None,
        refusal: Refusal,
    ) -> None:
        """Say no; a rejection uses the order id up, a failed validation does not."""
        self._error(client_id, order.order_id, refusal)
        if refusal.code == rules.REJECTED and known is None and not order.what_if:
            self._take_id(client_id, order.order_id)
            work = self._work(client_id, order, contract, NO_TERMS)
            work.record.status, work.record.ts_done = "Inactive", self._clock()
            self._book.close(work)
            self._listener.on_order_status(work.record.copy())

    def _estimate(
        self, client_id: int, order: ApiOrder, contract: ApiContract, terms: Terms
    ) -> None:
        account = self._accounts[order.account]
        initial = account.initial_margin_with(contract, terms.side * order.quantity)
        maintenance = account.maintenance_margin_with(contract, terms.side * order.quantity)
        impact = MarginImpact(
            initial_before=account.initial_margin,
            maintenance_before=account.maintenance_margin,
            equity_before=account.equity,
            initial_after=initial,
            maintenance_after=maintenance,
            equity_after=account.equity,
            commission=self._desk.settings.commission(contract, order.quantity),
        )
        record = OrderRecord(client_id, 0, contract, order, "PreSubmitted", margin=impact)
        self._listener.on_open_order(record)

    def _work(self, client_id: int, order: ApiOrder, contract: ApiContract, terms: Terms) -> Work:
        record = OrderRecord(client_id, self._next_perm_id, contract, order, STAGED)
        self._next_perm_id += 1
        work = Work(record, terms, tape_of(contract))
        if order.parent_id:
            work.parent = self._book.find(client_id, order.parent_id)
            if work.parent is not None:
                work.parent.children.append(work)
        self._book.add(work)
        return work

    def _enter(self, client_id: int, order: ApiOrder, contract: ApiContract, terms: Terms) -> Work:
        work = self._work(client_id, order, contract, terms)
        if order.transmit:
            self._transmit(work)
        return work

    def _transmit(self, work: Work) -> None:
        """Send a staged order and the staged ones of its family, eldest first."""
        root = work
        while root.parent is not None:
            root = root.parent
        family = [root]
        for each in family:
            family += each.children
        now = self._clock()
        for each in sorted(family, key=lambda member: member.record.perm_id):
            if each.record.status != STAGED:
                continue
            record = each.record
            each.ts_expire = each.terms.ts_expire
            if record.order.tif == "DAY":
                each.ts_expire = market_hours.session_end(now)
            if each.terms.ts_expire:
                heapq.heappush(self.expiries, each.terms.ts_expire)
            self._desk.acknowledge(each)
            self._warn(each, now)
            self._send(each, is_new=True)

    def _warn(self, work: Work, now: int) -> None:
        """Say when an order will be worked if it is not now."""
        sleeps = work.is_stop and not work.record.order.outside_rth
        begin = market_hours.next_liquid(now) if sleeps else market_hours.next_open(now)
        if begin > now:
            record = work.record
            warning = rules.waits_for_open(record.order, record.contract, _at(begin))
            self._error(record.client_id, record.order.order_id, warning)

    def _modify(self, work: Work, order: ApiOrder, terms: Terms) -> None:
        if work.record.status != STAGED:
            self._send(work, order=order, terms=terms)
            return
        work.record.order, work.terms = order, terms
        if order.transmit:
            self._transmit(work)

    def _ask_to_cancel(self, work: Work) -> None:
        if work.record.status == STAGED:
            self._desk.finish(work, "Cancelled", self._clock(), rules.cancelled())
        elif not work.cancel_asked:
            work.cancel_asked = True
            self._desk.refresh(work)
            self._send(work)

    def _send(
        self,
        work: Work,
        *,
        is_new: bool = False,
        order: ApiOrder | None = None,
        terms: Terms | None = None,
    ) -> None:
        self._sequence += 1
        due = self._clock() + self.latency_ns
        request = _Request(due, self._sequence, work, is_new, order, terms)
        heapq.heappush(self._under_way, request)
        if self.latency_ns == 0:
            self.carry_out()

    def _error(self, client_id: int, order_id: int, refusal: Refusal) -> None:
        self._listener.on_order_error(client_id, order_id, refusal.code, refusal.text)


def _at(ts: int) -> str:
    moment = datetime.fromtimestamp(ts // SECOND, UTC).astimezone(CHICAGO)
    return f"{moment:%Y-%m-%d %H:%M:%S} US/Central"
