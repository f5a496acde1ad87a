"""The exchange behind the simulated gateway, and the broker's desk in front of it.

A request acts `latency_ns` after the market time at which it was made: it is checked and
acknowledged at once, and carried out with the first trade at or after its arrival.
"""

import heapq
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from mia.config import method
from mia.core.base_types import TradeBlock
from mia.core.sessions import SECOND
from mia.errors import BrokerError
from mia.gateway.model import ApiContract, ApiOrder, ExchangeListener, Execution, OrderRecord
from mia.gateway.venue import market_hours
from mia.gateway.venue.account import Account
from mia.gateway.venue.executions import ExecutionBook, ExecutionFilter, identity
from mia.gateway.venue.floor import Floor
from mia.gateway.venue.market_hours import CHICAGO
from mia.gateway.venue.order_book import OrderBook
from mia.gateway.venue.order_desk import STAGED, DeskSettings, OrderDesk
from mia.gateway.venue.order_intake import Bound, OrderIntake, has_expired, tape_of
from mia.gateway.venue.order_rules import Refusal

FIRST_PERM_ID = 1_200_000_001


class Exchange:
    """Takes orders of clients, fills them on tapes, keeps the accounts.

    Parameters
    ----------
    listener : ExchangeListener
        Told everything in the order in which clients must hear it.
    accounts : sequence of str
        Names of the accounts; the first is that of orders which name none.
    now : int
        Market time at the start, ns UTC.
    latency_ns : int
        From a request to its effect.
    cost : method.Cost
        Commissions a side and slippage; NQ costs what ES does.
    cash : float
        USD in each account at the start.
    first_order_id, first_perm_id, session : int
        Where order ids, permanent ids and execution ids start.
    oca_cancels_on_partial, largest_fill
        See `order_desk.DeskSettings`.

    Notes
    -----
    MES orders are filled at the trades of ES: a tape is named by its contract, ``ESZ25``. The
    same requests at the same market times on the same tapes give the same messages.
    """

    def __init__(
        self,
        listener: ExchangeListener,
        accounts: Sequence[str],
        now: int,
        *,
        latency_ns: int = 20_000_000,
        cost: method.Cost | None = None,
        cash: float = 100_000.0,
        first_order_id: int = 1,
        first_perm_id: int = FIRST_PERM_ID,
        session: int = 0x0000E0D5,
        oca_cancels_on_partial: bool = False,
        largest_fill: int = 0,
    ) -> None:
        cost = cost or method.Cost()
        self.now = now
        self.latency_ns = latency_ns
        self.accounts: Mapping[str, Account] = {
            name: Account(name, self.last_price, cash) for name in accounts
        }
        self.executions = ExecutionBook(session)
        self._listener = listener
        self._book = OrderBook()
        self._slip_ticks = cost.slip_ticks
        self._floors: dict[str, Floor] = {}
        commissions = {"ES": cost.es_side, "MES": cost.mes_side, "NQ": cost.es_side}
        self._desk = OrderDesk(
            self._book,
            self._floor,
            self.accounts,
            self.executions,
            listener,
            market_hours.is_liquid,
            DeskSettings(commissions, oca_cancels_on_partial, largest_fill),
        )
        self._intake = OrderIntake(
            self._book,
            self._desk,
            self._floor,
            self.accounts,
            listener,
            lambda: self.now,
            latency_ns,
            first_order_id,
            first_perm_id,
        )
        self._bell = market_hours.next_bell(now)
        self._day = market_hours.trading_day_start(now)

    def refuse_orders(self, refuse: Callable[[int, ApiOrder], Refusal | None]) -> None:
        """Let a function of client id and order refuse what would otherwise be accepted."""
        self._intake.refuse = refuse

    def next_order_id(self, client_id: int) -> int:
        """Return the id from which a client may count on."""
        return self._intake.next_order_id(client_id)

    def last_price(self, contract: ApiContract) -> float | None:
        """Return the newest price at which a contract's tape traded, in points."""
        floor = self._floors.get(tape_of(contract))
        if floor is None or floor.last_price is None:
            return None
        return floor.last_price * contract.min_tick

    def place(self, client_id: int, order: ApiOrder, contract: ApiContract) -> None:
        """Take an order, a change of a live one, or a question what it would cost.

        An id that is alive is a change, one that is used up error 103. An order that is not
        transmitted stays silent until one of its family is.
        """
        self._intake.place(client_id, order, contract)

    def place_by_hand(self, order: ApiOrder, contract: ApiContract) -> int:
        """Place an order as someone does at the terminal; return its permanent id.

        Raises
        ------
        BrokerError
            If the order is refused.
        """
        answer = self._intake.place_by_hand(order, contract)
        if isinstance(answer, Refusal):
            raise BrokerError(f"an order placed by hand is refused: {answer.text}")
        return answer

    def place_twin(self, client_id: int, order: ApiOrder, contract: ApiContract) -> int:
        """Let a second order live under an order id; return its permanent id.

        So a change that crosses a lost connection may end: the old order and the new one work.

        Raises
        ------
        BrokerError
            If the order is refused.
        """
        answer = self._intake.place_twin(client_id, order, contract)
        if isinstance(answer, Refusal):
            raise BrokerError(f"a second order {order.order_id} is refused: {answer.text}")
        return answer

    def bind(self) -> list[Bound]:
        """Give the live orders placed by hand ids of client 0, negative ones, and list those."""
        return self._intake.bind()

    def cancel(self, client_id: int, order_id: int) -> None:
        """Take the request to cancel an order of this client."""
        self._intake.cancel(client_id, order_id)

    def global_cancel(self) -> None:
        """Take the request to cancel every order, whoever placed it, by hand as well."""
        self._intake.cancel_all()

    def set_time(self, ts: int) -> None:
        """Move market time on without trades; a time that has passed already changes nothing."""
        while (due := self._next_due()) <= ts:
            self.now = max(self.now, due)
            if self._intake.due == due:
                self._intake.carry_out()
            else:
                self._ring(due)
        self.now = max(self.now, ts)

    def advance(self, block: TradeBlock, start: int, stop: int) -> int:
        """Match the trades [start, stop) of a tape until one fills an order.

        Parameters
        ----------
        block : TradeBlock
            Its times as the wire shows them. Trades are those the exchange saw.
        start, stop : int

        Returns
        -------
        int
            Index of the first trade not yet seen: `stop`, or one after the trade that filled.
        """
        floor = self._floor(block.contract)
        while start < stop:
            self.set_time(int(block.ts_event[start]))
            end = start + _count_before(block.ts_event[start:stop], self._next_due())
            start, filled = self._match(floor, block, start, end)
            if filled:
                return start
        return stop

    def order(self, client_id: int, order_id: int) -> OrderRecord | None:
        """Return the order that a client knows by an id, None if there is none."""
        work = self._book.find(client_id, order_id)
        return None if work is None else work.record.copy()

    def open_orders(self, client_id: int | None = None) -> list[OrderRecord]:
        """Return the live orders of a client, or of all; staged ones are nobody's business."""
        return [
            work.record.copy()
            for work in self._book.live()
            if work.record.status != STAGED and client_id in (None, work.record.client_id)
        ]

    def completed_orders(self, *, api_only: bool = False) -> list[OrderRecord]:
        """Return the orders that ended, in order of their end; `api_only` drops manual ones."""
        done = [work.record.copy() for work in self._book if work.is_done]
        kept = [record for record in done if record.order.order_id > 0 or not api_only]
        return sorted(kept, key=lambda record: record.ts_done)

    def find_executions(self, wanted: ExecutionFilter, zone: ZoneInfo = CHICAGO) -> list[Execution]:
        """Return the executions since midnight of a zone that a filter lets pass."""
        midnight = datetime.fromtimestamp(self.now // SECOND, UTC).astimezone(zone)
        midnight = midnight.replace(hour=0, minute=0, second=0, microsecond=0)
        since = int(midnight.timestamp()) * SECOND
        return [each for each in self.executions if each.ts >= since and wanted.passes(each)]

    def seed_position(
        self, account: str, contract: ApiContract, quantity: int, average_price: float
    ) -> None:
        """Put a position into an account that no execution explains, and tell it."""
        self.accounts[account].seed(contract, quantity, average_price)
        self._listener.on_position(account, contract)

    def correct_execution(self, exec_id: str, price: float) -> Execution:
        """Correct the price of a fill, tell the new revision, and return it.

        Raises
        ------
        BrokerError
            If there is no such execution.
        """
        old, new = self.executions.correct(exec_id, price)
        self.accounts[old.account].rebook(identity(exec_id), price)
        self._listener.on_execution(new)
        self._listener.on_position(old.account, old.contract)
        return new

    def bust_execution(self, exec_id: str) -> Execution:
        """Undo a fill: it leaves the executions and the position; return what it was.

        Clients hear only of the position, as the protocol has no message for it.

        Raises
        ------
        BrokerError
            If there is no such execution.
        """
        old = self.executions.bust(exec_id)
        self.accounts[old.account].rebook(identity(exec_id), None)
        self._listener.on_position(old.account, old.contract)
        return old

    def end_order(self, perm_id: int, status: str, code: int, text: str) -> None:
        """End a live order as the broker or the exchange may do at any time.

        Parameters
        ----------
        status : str
            ``Cancelled`` or ``Inactive``.

        Raises
        ------
        BrokerError
            If there is no such order.
        """
        work = self._book.by_perm(perm_id)
        if work is None:
            raise BrokerError(f"there is no order with the permanent id {perm_id}")
        self._desk.finish(work, status, self.now, Refusal(code, text))

    def halt(self, tape: str, halted: bool) -> None:
        """Stop or resume the matching of a tape; orders are taken and wait."""
        self._floor(tape).halted = halted

    def set_price_limits(self, tape: str, limits: tuple[int, int] | None) -> None:
        """Set the lowest and the highest price in ticks at which limit orders are taken."""
        self._floor(tape).limits = limits

    def _floor(self, tape: str) -> Floor:
        if tape not in self._floors:
            self._floors[tape] = Floor(self._slip_ticks)
        return self._floors[tape]

    def _next_due(self) -> int:
        due, expiries = self._intake.due, self._intake.expiries
        bell = min(self._bell, expiries[0]) if expiries else self._bell
        return bell if due is None else min(due, bell)

    def _ring(self, ts: int) -> None:
        """Note that the market or its liquid hours open or close, or that an order's time ends."""
        self._bell = market_hours.next_bell(ts)
        while self._intake.expiries and self._intake.expiries[0] <= ts:
            heapq.heappop(self._intake.expiries)
        day = market_hours.trading_day_start(ts)
        if day != self._day:
            self._day = day
            for account in self.accounts.values():
                account.start_day()
        self._desk.keep_hours(ts)
        self._settle_expired(ts)

    def _settle_expired(self, ts: int) -> None:
        """End the orders of contracts that have expired, and settle their positions in cash."""
        for work in self._book.live():
            if has_expired(work.record.contract, ts):
                self._desk.end_contract(work.record.contract.con_id, ts)
        for account in self.accounts.values():
            for held in list(account.positions.values()):
                if held.quantity and has_expired(held.contract, ts):
                    price = self.last_price(held.contract)
                    account.settle(held.contract, held.average_price if price is None else price)
                    self._listener.on_position(account.name, held.contract)

    def _match(self, floor: Floor, block: TradeBlock, start: int, stop: int) -> tuple[int, bool]:
        brought = []
        if self._desk.seating.immediate and not floor.halted:
            real = np.flatnonzero(block.size[start:stop] > 0)
            if len(real):
                at = start + int(real[0])
                stop = at + 1
                brought = self._desk.serve_at_once(
                    block.contract, int(block.size[at]), int(block.price[at]), self.now
                )
        end, matches = floor.advance(block, start, stop)
        self.now = max(self.now, int(block.ts_event[end - 1]))
        if matches or floor.has_untriggered:
            self._desk.settle(floor, matches, self.now)
        for work in brought:
            self._desk.end_at_once(work, self.now)
        return end, bool(matches)


def _count_before(ts: NDArray[np.int64], due: int) -> int:
    late = ts >= due
    first = int(late.argmax())
    return first if late[first] else len(ts)
