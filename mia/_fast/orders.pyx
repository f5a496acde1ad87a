"""The order table of the simulated exchange: requests, brackets, OCO groups, fills.

`matching.MatchingEngine` derives from it and says when an order is filled.
"""

from libc.stdint cimport INT64_MAX, INT64_MIN, int64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

import numpy as np

cdef Fill _fill
FILL_DTYPE = np.asarray(<Fill[:1]> &_fill).dtype

cdef int64_t NEVER = INT64_MAX
cdef int64_t PRICE_LIMIT = 2147483647


cdef inline int _check(int64_t price, int64_t queue_ahead) except -1:
    if not -PRICE_LIMIT <= price <= PRICE_LIMIT:
        raise ValueError(f"price must fit 32 bits, was {price}")
    if queue_ahead < 0:
        raise ValueError(f"queue_ahead must not be negative, was {queue_ahead}")
    return 0


cdef class OrderTable:
    """Orders that are at the exchange or on their way to it.

    Parameters
    ----------
    capacity : int, default 64
        Orders that may be in the table at a time, and changes that may be under way.
    latency_ns : int, default 0
        Time from a request to its effect.
    slip_ticks : int, default 1
        Adverse slippage of market and stop fills.
    queue : bool, default False
        Whether limit orders also fill at their price once the queue ahead is served.

    Raises
    ------
    ValueError
        If a parameter is out of range.
    """

    def __cinit__(
        self, Py_ssize_t capacity=64, int64_t latency_ns=0, int64_t slip_ticks=1, bint queue=False
    ):
        if capacity < 1 or latency_ns < 0 or slip_ticks < 0:
            raise ValueError(
                "capacity must be positive, latency_ns and slip_ticks not negative, "
                f"were {capacity}, {latency_ns}, {slip_ticks}"
            )
        self._orders = <Order*> calloc(capacity, sizeof(Order))
        self._changes = <Change*> calloc(capacity, sizeof(Change))
        if self._orders == NULL or self._changes == NULL:
            raise MemoryError
        memory = np.zeros(capacity, FILL_DTYPE)
        self._fills = memory
        self._shown = memory.view()
        self._shown.flags.writeable = False
        self.capacity = capacity
        self.latency_ns = latency_ns
        self.slip_ticks = slip_ticks
        self.queue = queue
        self._next_id = 1
        self._ts_request = INT64_MIN
        self._settle()

    def __dealloc__(self):
        free(self._orders)
        free(self._changes)

    @property
    def fills(self):
        """Fills of the latest advance, in order; valid until the next one."""
        return self._shown[: self._n_fills]

    @property
    def is_idle(self):
        """Whether the table is empty: no order can fill and no position is tracked."""
        return self._n_orders == 0

    def submit(
        self,
        int64_t ts,
        int64_t side,
        int64_t order_type,
        int64_t quantity,
        int64_t stop_price=0,
        int64_t limit_price=0,
        int64_t parent=0,
        int64_t group=0,
        int64_t queue_ahead=0,
    ):
        """Send an order and return its id.

        Parameters
        ----------
        ts : int
            When it is sent. A request stamped before an earlier one counts as sent with it.
        side : int
            +1 buy, -1 sell.
        order_type : int
            MARKET 0, LIMIT 1, STOP 2, STOP_LIMIT 3.
        quantity : int
            Contracts; 0 for a child, which closes what is open of its entry.
        stop_price, limit_price : int
            Ticks; each is ignored where the type has none.
        parent : int
            Id of the entry that this order protects; its children exclude one another.
        group : int
            OCO group: a fill in it takes as much from the others, a complete one cancels them.
        queue_ahead : int
            Contracts ahead at the limit price, for queue mode.

        Raises
        ------
        ValueError
            If an argument is out of range, the parent is not in the table or on the same side,
            or the table is full.
        """
        cdef Order* entry = NULL
        cdef Order* order
        self._check_idle()
        if side != 1 and side != -1:
            raise ValueError(f"side must be 1 or -1, was {side}")
        if order_type < MARKET or order_type > STOP_LIMIT:
            raise ValueError(f"order_type must lie in 0..3, was {order_type}")
        if quantity < (parent == 0) or quantity > (0 if parent else PRICE_LIMIT):
            raise ValueError(f"quantity must be positive, and 0 for a child, was {quantity}")
        _check(stop_price, queue_ahead)
        _check(limit_price, queue_ahead)
        if parent:
            entry = self._find(parent)
            if entry == NULL or entry.parent or entry.side == side or group:
                raise ValueError("a child needs an entry of the other side in the table, no group")
        if self._n_orders == self.capacity:
            raise ValueError(f"the table is full: capacity is {self.capacity} orders")
        order = &self._orders[self._n_orders]
        memset(order, 0, sizeof(Order))
        order.order_id = self._next_id
        order.parent = parent
        order.group = group
        order.ts_active = self._arrival(ts)
        order.ts_cancel = NEVER
        order.order_type = order_type
        order.side = side
        order.leaves = quantity
        order.stop_price = stop_price
        order.limit_price = limit_price
        order.queue_ahead = queue_ahead
        if entry != NULL:
            entry.children += 1
            order.leaves = entry.open_quantity
        self._next_id += 1
        self._n_orders += 1
        self._settle()
        return self._next_id - 1

    def cancel(self, int64_t order_id, int64_t ts):
        """Ask to cancel what is unfilled of an order; return False if it is done already.

        Raises
        ------
        ValueError
            If no order has this id.
        """
        cdef Order* order
        self._check_idle()
        order = self._known(order_id)
        if order == NULL or (order.parent == 0 and order.leaves == 0):
            return False
        order.ts_cancel = min(order.ts_cancel, self._arrival(ts))
        self._settle()
        return True

    def modify(self, int64_t order_id, int64_t ts, int64_t price, int64_t queue_ahead=0):
        """Ask to move a stop or limit order to `price`; return False if it is done already.

        Raises
        ------
        ValueError
            If no order has this id, its type has not exactly one price, `price` is out of range,
            or too many changes are under way.
        """
        cdef Order* order
        cdef Change* change
        self._check_idle()
        _check(price, queue_ahead)
        order = self._known(order_id)
        if order == NULL or (order.parent == 0 and order.leaves == 0):
            return False
        if order.order_type != LIMIT and order.order_type != STOP:
            raise ValueError(f"only stop and limit orders can be moved, {order_id} is neither")
        if self._n_changes == self.capacity:
            raise ValueError(f"{self.capacity} changes are under way already")
        change = &self._changes[self._n_changes]
        change.order_id = order_id
        change.ts = self._arrival(ts)
        change.price = price
        change.queue_ahead = queue_ahead
        self._n_changes += 1
        self._settle()
        return True

    def release(self, int64_t order_id):
        """Take an order out of the table at once, an entry with its children and its position.

        This is no request: it has no latency, and what the entry opened is tracked no longer.
        Nothing happens to an order that is done.

        Raises
        ------
        ValueError
            If no order has this id.
        """
        cdef Order* order
        self._check_idle()
        order = self._known(order_id)
        if order != NULL:
            order.leaves = 0
            order.open_quantity = 0
            order.dead = 1
            self._settle()

    def set_queue_ahead(self, int64_t order_id, int64_t queue_ahead):
        """State the queue ahead of a limit order that begins to rest now, as a child does."""
        cdef Order* order = self._known(order_id)
        self._check_idle()
        _check(0, queue_ahead)
        if order != NULL:
            order.queue_ahead = queue_ahead

    def quantities(self, int64_t order_id):
        """Contracts that may still be filled, and contracts of an entry filled and not closed."""
        cdef Order* order = self._known(order_id)
        if order == NULL:
            return 0, 0
        return order.leaves, order.open_quantity

    def extremes(self, int64_t order_id):
        """Highest and lowest price traded while an entry with children was open.

        On the bar of the entry only the adverse extreme and the close count.

        Raises
        ------
        ValueError
            If the entry has nothing open; its fills hold the extremes up to them.
        """
        cdef Order* order = self._known(order_id)
        if order == NULL or order.open_quantity == 0:
            raise ValueError(f"order {order_id} has nothing open")
        return order.high, order.low

    cdef int _check_idle(self) except -1:
        if self._busy:
            raise RuntimeError("the engine is advancing in another thread")
        return 0

    cdef Order* _known(self, int64_t order_id) except? NULL:
        """Return an order that was submitted, NULL if it has left the table."""
        if not 1 <= order_id < self._next_id:
            raise ValueError(f"no order has the id {order_id}")
        return self._find(order_id)

    cdef Order* _find(self, int64_t order_id) noexcept nogil:
        cdef Py_ssize_t k
        for k in range(self._n_orders):
            if self._orders[k].order_id == order_id:
                return &self._orders[k]
        return NULL

    cdef int64_t _arrival(self, int64_t ts) noexcept nogil:
        self._ts_request = max(self._ts_request, ts)
        return self._ts_request + self.latency_ns

    cdef void _apply_due(self, int64_t ts) noexcept nogil:
        cdef Py_ssize_t k
        cdef Py_ssize_t applied = 0
        cdef Order* order
        while applied < self._n_changes and self._changes[applied].ts <= ts:
            order = self._find(self._changes[applied].order_id)
            if order != NULL and order.order_type == STOP:
                order.stop_price = self._changes[applied].price
            elif order != NULL:
                order.limit_price = self._changes[applied].price
                order.queue_ahead = self._changes[applied].queue_ahead
            applied += 1
        if applied:
            self._n_changes -= applied
            for k in range(self._n_changes):
                self._changes[k] = self._changes[k + applied]
        for k in range(self._n_orders):
            order = &self._orders[k]
            if ts >= order.ts_active:
                order.live = 1
            if ts >= order.ts_cancel:
                order.ts_cancel = NEVER
                order.leaves = 0
                order.dead = order.parent != 0

    cdef void _report(
        self, Order* order, const Event* event, int64_t quantity, int64_t price,
        int64_t reference, int64_t flags,
    ) noexcept nogil:
        cdef Order* entry = order
        cdef Fill* fill = &self._fills[self._n_fills]
        self._n_fills += 1
        order.leaves -= quantity
        if order.parent:
            entry = self._find(order.parent)
            self._close(entry, order, event, quantity, reference)
            flags |= FILL_FLAT if entry.open_quantity == 0 else 0
        else:
            self._open(order, event, quantity, reference)
            if order.group:
                self._reduce_group(order, quantity)
        fill.order_id = order.order_id
        fill.ts = event.ts_fill
        fill.side = order.side
        fill.quantity = quantity
        fill.price = price
        fill.reference_price = reference
        fill.flags = flags | (FILL_COMPLETE if order.leaves == 0 else 0)
        fill.high = entry.high
        fill.low = entry.low

    cdef void _open(
        self, Order* entry, const Event* event, int64_t quantity, int64_t reference
    ) noexcept nogil:
        cdef Py_ssize_t k
        if entry.opened_event == 0:
            entry.opened_event = self._event
            entry.high = reference
            entry.low = reference
        entry.filled_event = self._event
        entry.open_quantity += quantity
        for k in range(self._n_orders):
            if self._orders[k].parent == entry.order_id and not self._orders[k].dead:
                self._orders[k].leaves += quantity
                self._orders[k].ts_active = max(self._orders[k].ts_active, event.ts)

    cdef void _close(
        self, Order* entry, const Order* order, const Event* event, int64_t quantity,
        int64_t reference,
    ) noexcept nogil:
        cdef Py_ssize_t k
        entry.open_quantity -= quantity
        entry.leaves = 0
        entry.high = max(entry.high, reference)
        entry.low = min(entry.low, reference)
        if event.stage == INSIDE and order.order_type != STOP:
            # The path to a target inside a bar may have touched the adverse extreme first.
            if entry.side > 0:
                entry.low = min(entry.low, event.bar_low)
            else:
                entry.high = max(entry.high, event.bar_high)
        for k in range(self._n_orders):
            if self._orders[k].parent == entry.order_id and &self._orders[k] != order:
                self._orders[k].leaves -= min(quantity, self._orders[k].leaves)

    cdef void _reduce_group(self, const Order* order, int64_t quantity) noexcept nogil:
        cdef Py_ssize_t k
        cdef Order* other
        for k in range(self._n_orders):
            other = &self._orders[k]
            if other.group == order.group and other != order:
                other.leaves = 0 if order.leaves == 0 else max(0, other.leaves - quantity)

    cdef void _mark(self, int64_t low, int64_t high) noexcept nogil:
        cdef Py_ssize_t k
        for k in range(self._n_orders):
            if self._orders[k].open_quantity:
                self._orders[k].low = min(self._orders[k].low, low)
                self._orders[k].high = max(self._orders[k].high, high)

    cdef void _settle(self) noexcept nogil:
        """Drop the orders that are done, and find what can concern the others."""
        cdef Py_ssize_t k
        cdef Py_ssize_t kept = 0
        cdef int64_t margin = 0 if self.queue else 1
        cdef Order* order
        self._below = INT64_MIN
        self._above = INT64_MAX
        self._due = self._changes[0].ts if self._n_changes else NEVER
        for k in range(self._n_orders):
            order = &self._orders[k]
            if order.parent:
                if self._find(order.parent).dead:   # an entry comes before its children
                    order.dead = 1
            elif order.leaves == 0 and (order.open_quantity == 0 or order.children == 0):
                order.dead = 1
        for k in range(self._n_orders):
            if self._orders[k].dead:
                continue
            if kept != k:
                self._orders[kept] = self._orders[k]
            order = &self._orders[kept]
            kept += 1
            self._due = min(self._due, order.ts_cancel)
            if not order.live:
                self._due = min(self._due, order.ts_active)
            elif order.leaves == 0:
                continue
            elif order.order_type == MARKET:
                self._above = INT64_MIN
            elif order.order_type == LIMIT or order.triggered:
                if order.side > 0:
                    self._below = max(self._below, order.limit_price - margin)
                else:
                    self._above = min(self._above, order.limit_price + margin)
            elif order.side > 0:
                self._above = min(self._above, order.stop_price)
            else:
                self._below = max(self._below, order.stop_price)
        self._n_orders = kept
