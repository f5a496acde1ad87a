"""The exchange of backtests: orders, brackets and OCO groups against trades or bars.

How an order is filled
----------------------
* An order sent at ``ts`` acts on the first event at or after ``ts + latency_ns``, and so do
  cancellations and changes. A bar cannot resolve a latency: there a request acts from the first
  bar that opens at or after it.
* Market: the next trade, or the next bar's open. Stop: when a trade touches it, at that trade's
  price, which is the stop price unless the market jumped beyond it. Both fill in full, and
  `slip_ticks` against the order stand for the depth that they consume.
* Limit: at the limit price and never better, when a trade goes at least one tick beyond it. In
  queue mode also by trades at the price, once the queue ahead recorded at placement is served.
  One trade (or bar) fills at most its own size, handed out to our orders in order of their ids.
* Stop-limit: a touch turns it into a limit order, which acts from the next event.
* An entry's children wait until it fills, close what is open of it and nothing else, and leave
  with it. The first contract closed ends what is unfilled of the entry. The event that fills an
  entry may hit its stop at once, but fills no other child.

Inside a bar the worse order of events is taken: whatever competes with a stop (a target, an
order of the same OCO group) comes after it, even if the bar opened beyond it.
"""

cimport cython
from libc.stdint cimport INT64_MAX, INT64_MIN, int32_t, int64_t

from mia._fast.orders cimport (
    FILL_GAPPED, INSIDE, LIMIT, MARKET, OPENING, STOP, STOP_LIMIT, TRADE, Event, Order, OrderTable,
)
from mia._fast.records cimport Bar


cdef inline int64_t _within(int64_t x, int64_t low, int64_t high) noexcept nogil:
    return low if x < low else (high if x > high else x)


@cython.final
cdef class MatchingEngine(OrderTable):
    """Matches the orders with trades or bars, stopping at every event that fills one.

    Its parameters are those of `orders.OrderTable`. An engine belongs to one thread; a call that
    changes it while `advance` or `advance_bars` runs without the GIL raises RuntimeError.
    """

    def __cinit__(
        self, Py_ssize_t capacity=64, int64_t latency_ns=0, int64_t slip_ticks=1, bint queue=False
    ):
        self.last_price = -2147483648

    def advance(
        self,
        const int64_t[::1] ts not None,
        const int32_t[::1] price not None,
        const int32_t[::1] size not None,
        Py_ssize_t start,
        Py_ssize_t stop,
    ):
        """Match the trades [start, stop) until one fills an order.

        Parameters
        ----------
        ts, price, size : array of int64, int32, int32
            Trades in order of arrival. A size below 1 is no trade. A trade older than what an
            order waited for does not fill it.
        start, stop : int

        Returns
        -------
        int
            Index of the first trade not yet seen: `stop`, or one after the trade that filled.

        Raises
        ------
        ValueError
            If the range leaves the arrays.
        RuntimeError
            If another advance is running.
        """
        cdef Py_ssize_t n = ts.shape[0]
        if price.shape[0] != n or size.shape[0] != n:
            raise ValueError("ts, price and size must be equally long")
        self._begin(start, stop, n)
        if start == stop:
            return stop
        self._busy = True
        with nogil:
            start = self._run_trades(&ts[0], &price[0], &size[0], start, stop)
        self._busy = False
        return start

    def advance_bars(self, const Bar[::1] bars not None, Py_ssize_t start, Py_ssize_t stop):
        """Match the bars [start, stop) until one fills an order; as `advance`, with BAR_DTYPE."""
        self._begin(start, stop, bars.shape[0])
        if start == stop:
            return stop
        self._busy = True
        with nogil:
            start = self._run_bars(&bars[0], start, stop)
        self._busy = False
        return start

    cdef int _begin(self, Py_ssize_t start, Py_ssize_t stop, Py_ssize_t n) except -1:
        self._check_idle()
        if not 0 <= start <= stop <= n:
            raise ValueError(f"range must lie in 0..{n}, was {start}..{stop}")
        self._n_fills = 0
        return 0

    cdef void _match_takers(self, const Event* event, bint children) noexcept nogil:
        cdef Py_ssize_t k
        cdef int64_t reference
        cdef bint touched
        cdef Order* order
        for k in range(self._n_orders):
            order = &self._orders[k]
            if not order.live or order.leaves == 0 or event.ts < order.ts_active:
                continue
            if (order.parent != 0) != children:
                continue
            reference = event.low
            if order.order_type == MARKET:
                if event.stage == INSIDE:
                    continue
                if children and self._find(order.parent).filled_event == self._event:
                    continue
            else:
                if order.order_type == LIMIT or order.triggered:
                    continue
                if order.side > 0:
                    touched = event.high >= order.stop_price
                else:
                    touched = event.low <= order.stop_price
                if not touched:
                    continue
                if order.order_type == STOP_LIMIT:
                    order.triggered = 1
                    order.trigger_event = self._event
                    continue
                if event.stage == INSIDE:
                    reference = _within(order.stop_price, event.bar_low, event.bar_high)
            self._report(
                order, event, order.leaves, reference + order.side * self.slip_ticks, reference,
                FILL_GAPPED if order.order_type == STOP and reference != order.stop_price else 0,
            )

    cdef void _match_limits(self, Event* event, bint children) noexcept nogil:
        cdef Py_ssize_t k
        cdef int64_t limit, beyond, quantity, served, reference
        cdef Order* order
        for k in range(self._n_orders):
            order = &self._orders[k]
            if not order.live or order.leaves == 0 or event.ts < order.ts_active:
                continue
            if (order.parent != 0) != children:
                continue
            if order.order_type == STOP_LIMIT:
                if not order.triggered or order.trigger_event == self._event:
                    continue
            elif order.order_type != LIMIT:
                continue
            if event.stage == OPENING and order.group:
                continue
            if children and self._find(order.parent).filled_event == self._event:
                continue
            limit = order.limit_price
            beyond = limit - event.low if order.side > 0 else event.high - limit
            if beyond > 0:
                order.queue_ahead = 0
                quantity = min(order.leaves, event.left)
            elif beyond == 0 and self.queue and event.stage == TRADE:
                served = min(order.queue_ahead, event.size)
                order.queue_ahead -= served
                quantity = min(order.leaves, min(event.left, event.size - served))
            else:
                continue
            if quantity == 0:
                continue
            event.left -= quantity
            reference = limit
            if event.stage != TRADE:
                reference = _within(limit, event.bar_low, event.bar_high)
            self._report(
                order, event, quantity, limit, reference,
                FILL_GAPPED if reference != limit else 0,
            )

    cdef void _match_trade(self, int64_t ts, int64_t price, int64_t size) noexcept nogil:
        cdef Event event
        event.ts = event.ts_fill = ts
        event.low = event.high = event.bar_low = event.bar_high = price
        event.size = event.left = size
        event.stage = TRADE
        self._event += 1
        self._apply_due(ts)
        self._match_takers(&event, False)
        self._match_limits(&event, False)
        self._match_takers(&event, True)
        self._match_limits(&event, True)
        self._settle()
        self._mark(price, price)

    cdef void _match_bar(self, const Bar* bar) noexcept nogil:
        cdef Event event
        cdef Py_ssize_t k
        cdef Order* order
        event.ts = bar.t_open + self.latency_ns
        event.bar_low = bar.low
        event.bar_high = bar.high
        event.size = event.left = bar.volume
        self._event += 1
        self._apply_due(event.ts)
        self._mark(bar.open, bar.open)

        event.stage = OPENING
        event.ts_fill = bar.t_open
        event.low = event.high = bar.open
        self._match_takers(&event, False)
        self._match_limits(&event, False)
        self._match_takers(&event, True)

        event.stage = INSIDE
        event.ts_fill = bar.t_close
        event.low = bar.low
        event.high = bar.high
        self._match_takers(&event, False)
        self._match_limits(&event, False)
        self._match_takers(&event, True)
        self._match_limits(&event, True)
        self._settle()
        for k in range(self._n_orders):
            order = &self._orders[k]
            if order.open_quantity == 0:
                continue
            if order.opened_event != self._event:
                order.low = min(order.low, bar.low)
                order.high = max(order.high, bar.high)
            elif order.side > 0:
                order.low = min(order.low, bar.low)
                order.high = max(order.high, bar.close)
            else:
                order.low = min(order.low, bar.close)
                order.high = max(order.high, bar.high)

    cdef Py_ssize_t _run_trades(
        self, const int64_t* ts, const int32_t* price, const int32_t* size,
        Py_ssize_t start, Py_ssize_t stop,
    ) noexcept nogil:
        cdef Py_ssize_t i = start
        cdef int64_t p
        cdef int64_t low = INT64_MAX
        cdef int64_t high = INT64_MIN
        cdef int64_t below = self._below
        cdef int64_t above = self._above
        cdef int64_t due = self._due
        if self._n_orders == 0:
            i = stop
        while i < stop:
            p = price[i]
            if size[i] <= 0:
                i += 1
                continue
            if p <= below or p >= above or ts[i] >= due:
                self._mark(low, high)
                low = INT64_MAX
                high = INT64_MIN
                self._match_trade(ts[i], p, size[i])
                if self._n_fills:
                    i += 1
                    break
                below = self._below
                above = self._above
                due = self._due
            low = min(low, p)
            high = max(high, p)
            i += 1
        self._mark(low, high)
        while stop > start:
            stop -= 1
            if stop < i and size[stop] > 0:
                self.last_price = price[stop]
                break
        return i

    cdef Py_ssize_t _run_bars(
        self, const Bar* bars, Py_ssize_t start, Py_ssize_t stop
    ) noexcept nogil:
        cdef Py_ssize_t i = start
        cdef const Bar* bar
        if self._n_orders == 0 and stop > start:
            i = stop
            self.last_price = bars[stop - 1].close
        while i < stop:
            bar = &bars[i]
            i += 1
            if bar.volume <= 0:
                continue
            self.last_price = bar.close
            if (bar.low <= self._below or bar.high >= self._above
                    or bar.t_open + self.latency_ns >= self._due):
                self._match_bar(bar)
                if self._n_fills:
                    break
            else:
                self._mark(bar.low, bar.high)
        return i
