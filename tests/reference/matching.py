"""Plain twin of `mia._fast.matching`: every order looks at every event, nothing is skipped.

The rules are those of the module docstring there, written as a person would check them on paper.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

MARKET, LIMIT, STOP, STOP_LIMIT = range(4)
COMPLETE, GAPPED, FLAT = 1, 2, 4


class Fill(NamedTuple):
    order_id: int
    ts: int
    side: int
    quantity: int
    price: int
    reference_price: int
    flags: int
    high: int
    low: int


@dataclass(eq=False)
class Order:
    order_id: int
    side: int
    kind: int
    leaves: int
    stop: int
    limit: int
    parent: "Order | None"
    group: int
    acts_at: int
    ahead: int
    cancel_at: int | None = None
    arrived: bool = False
    gone: bool = False
    touched: bool = False
    rests: bool = False
    children: list["Order"] = field(default_factory=list)
    open: int = 0
    prices: list[int] = field(default_factory=list)
    opened_now: bool = False
    filled_now: bool = False

    @property
    def finished(self) -> bool:
        if self.parent is not None:
            return self.gone or self.parent.finished
        return self.gone or (self.leaves == 0 and (self.open == 0 or not self.children))


class ReferenceEngine:
    def __init__(self, latency_ns: int = 0, slip_ticks: int = 1, queue: bool = False) -> None:
        self.latency, self.slip, self.queue = latency_ns, slip_ticks, queue
        self.orders: list[Order] = []
        self.changes: list[tuple[int, Order, int, int]] = []
        self.fills: list[Fill] = []
        self.clock: int | None = None

    def _arrival(self, ts: int) -> int:
        self.clock = ts if self.clock is None else max(ts, self.clock)
        return self.clock + self.latency

    def submit(
        self,
        ts: int,
        side: int,
        order_type: int,
        quantity: int,
        stop_price: int = 0,
        limit_price: int = 0,
        parent: int = 0,
        group: int = 0,
        queue_ahead: int = 0,
    ) -> int:
        entry = self.orders[parent - 1] if parent else None
        if entry is not None and (entry.finished or entry.parent or entry.side == side):
            raise ValueError("not an entry of the other side")
        order = Order(
            order_id=len(self.orders) + 1,
            side=side,
            kind=order_type,
            leaves=entry.open if entry else quantity,
            stop=stop_price,
            limit=limit_price,
            parent=entry,
            group=group,
            acts_at=self._arrival(ts),
            ahead=queue_ahead,
            rests=order_type == LIMIT,
        )
        if entry is not None:
            entry.children.append(order)
        self.orders.append(order)
        return order.order_id

    def cancel(self, order_id: int, ts: int) -> bool:
        order = self.orders[order_id - 1]
        if order.finished or (order.parent is None and order.leaves == 0):
            return False
        at = self._arrival(ts)
        order.cancel_at = at if order.cancel_at is None else min(at, order.cancel_at)
        return True

    def modify(self, order_id: int, ts: int, price: int, queue_ahead: int = 0) -> bool:
        order = self.orders[order_id - 1]
        if order.finished or (order.parent is None and order.leaves == 0):
            return False
        if order.kind not in (LIMIT, STOP):
            raise ValueError("it has not exactly one price")
        self.changes.append((self._arrival(ts), order, price, queue_ahead))
        return True

    def release(self, order_id: int) -> None:
        order = self.orders[order_id - 1]
        for each in (order, *order.children):
            each.leaves = each.open = 0
            each.gone = True

    def set_queue_ahead(self, order_id: int, queue_ahead: int) -> None:
        self.orders[order_id - 1].ahead = queue_ahead

    def on_trade(self, ts: int, price: int, size: int) -> None:
        if size <= 0:
            return
        self._begin(ts)
        room = [size]
        for children in (False, True):
            for order in self._able(ts, children):
                reached = self._taker_price(order, price, price)
                if reached is not None:
                    self._fill(order, ts, ts, order.leaves, None, price)
            for order in self._able(ts, children):
                quantity = self._limit_quantity(order, price, size, room)
                if quantity:
                    room[0] -= quantity
                    self._fill(order, ts, ts, quantity, order.limit, order.limit)
        for order in self.orders:
            if order.open:
                order.prices.append(price)

    def on_bar(self, bar: Any) -> None:
        opened, closed = int(bar["t_open"]), int(bar["t_close"])
        first, low, high = int(bar["open"]), int(bar["low"]), int(bar["high"])
        last, room = int(bar["close"]), [int(bar["volume"])]
        if room[0] <= 0:
            return
        ts = opened + self.latency
        self._begin(ts)
        for order in self.orders:
            if order.open:
                order.prices.append(first)
        for children in (False, True):
            for order in self._able(ts, children):
                if self._taker_price(order, first, first) is not None:
                    self._fill(order, ts, opened, order.leaves, None, first)
            if not children:
                for order in self._able(ts, False):
                    if order.group == 0 and self._through(order, first, first):
                        self._fill_limit(order, ts, opened, room, low, high)
        for children in (False, True):
            for order in self._able(ts, children):
                if order.kind != MARKET and self._taker_price(order, low, high) is not None:
                    reference = min(max(order.stop, low), high)
                    self._fill(order, ts, closed, order.leaves, None, reference)
            for order in self._able(ts, children):
                if self._through(order, low, high):
                    adverse = low if order.side < 0 else high
                    held = [adverse] if children else []
                    self._fill_limit(order, ts, closed, room, low, high, held)
        for order in self.orders:
            if order.open and order.opened_now:
                order.prices += [low if order.side > 0 else high, last]
            elif order.open:
                order.prices += [low, high]

    def _begin(self, ts: int) -> None:
        due = [change for change in self.changes if change[0] <= ts]
        self.changes = self.changes[len(due) :]
        for _, order, price, ahead in due:
            if order.kind == STOP:
                order.stop = price
            else:
                order.limit, order.ahead = price, ahead
        for order in self.orders:
            order.opened_now = order.filled_now = False
            order.arrived |= ts >= order.acts_at
            order.rests |= order.touched
            if order.cancel_at is not None and ts >= order.cancel_at:
                order.cancel_at = None
                order.leaves = 0
                order.gone = order.parent is not None

    def _able(self, ts: int, children: bool) -> Iterator[Order]:
        for order in self.orders:
            able = order.arrived and not order.gone and order.leaves and ts >= order.acts_at
            if able and (order.parent is not None) == children:
                yield order

    def _taker_price(self, order: Order, low: int, high: int) -> int | None:
        if order.kind == MARKET:
            fresh = order.parent is not None and order.parent.filled_now
            return None if fresh else low
        if order.kind == LIMIT or order.touched:
            return None
        touched = high >= order.stop if order.side > 0 else low <= order.stop
        if touched and order.kind == STOP_LIMIT:
            order.touched = True
            return None
        return order.stop if touched else None

    def _through(self, order: Order, low: int, high: int) -> bool:
        if not order.rests or (order.parent is not None and order.parent.filled_now):
            return False
        return low < order.limit if order.side > 0 else high > order.limit

    def _limit_quantity(self, order: Order, price: int, size: int, room: Sequence[int]) -> int:
        if not order.rests or (order.parent is not None and order.parent.filled_now):
            return 0
        if self._through(order, price, price):
            order.ahead = 0
            return min(order.leaves, room[0])
        if not self.queue or price != order.limit:
            return 0
        before = order.ahead
        order.ahead = max(0, before - size)
        return min(order.leaves, room[0], size - min(before, size))

    def _fill_limit(
        self,
        order: Order,
        ts: int,
        stamp: int,
        room: list[int],
        low: int,
        high: int,
        held: Sequence[int] = (),
    ) -> None:
        order.ahead = 0
        quantity = min(order.leaves, room[0])
        if quantity:
            room[0] -= quantity
            reference = min(max(order.limit, low), high)
            self._fill(order, ts, stamp, quantity, order.limit, reference, held)

    def _fill(
        self,
        order: Order,
        ts: int,
        stamp: int,
        quantity: int,
        price: int | None,
        reference: int,
        held: Sequence[int] = (),
    ) -> None:
        named = {MARKET: reference, STOP: order.stop}.get(order.kind, order.limit)
        flags = GAPPED if named != reference else 0
        order.leaves -= quantity
        entry = order.parent or order
        if order.parent is None:
            entry.opened_now |= not entry.prices
            entry.filled_now = True
            entry.open += quantity
            if not entry.prices:
                entry.prices.append(reference)
            for child in entry.children:
                if not child.gone:
                    child.leaves += quantity
                    child.acts_at = max(child.acts_at, ts)
            for other in self.orders:
                if order.group and other.group == order.group and other is not order:
                    other.leaves = max(0, other.leaves - quantity) if order.leaves else 0
        else:
            entry.open -= quantity
            entry.leaves = 0
            entry.prices += [reference, *held]
            for child in entry.children:
                if child is not order:
                    child.leaves = max(0, child.leaves - quantity)
            flags |= 0 if entry.open else FLAT
        flags |= 0 if order.leaves else COMPLETE
        if price is None:
            price = reference + order.side * self.slip
        extremes = max(entry.prices), min(entry.prices)
        self.fills.append(
            Fill(order.order_id, stamp, order.side, quantity, price, reference, flags, *extremes)
        )
