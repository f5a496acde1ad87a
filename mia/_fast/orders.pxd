"""Orders and fills of the simulated exchange.

Prices are ticks, times ns UTC, sizes contracts; sides are +1 buy and -1 sell.
"""

from libc.stdint cimport int64_t


cdef enum:                      # OrderType of mia.core.base_types
    MARKET = 0
    LIMIT = 1
    STOP = 2
    STOP_LIMIT = 3


cdef enum:
    FILL_COMPLETE = 1           # nothing is left of the order
    FILL_GAPPED = 2             # the market was beyond the order's price when it was filled
    FILL_FLAT = 4               # the entry that this order protects has nothing open any more


cdef enum:                      # what a step of the matching looks at
    TRADE = 0                   # one trade
    OPENING = 1                 # the first price of a bar
    INSIDE = 2                  # the rest of a bar, its path unknown


cdef struct Order:
    int64_t order_id            # 1, 2, 3, ... in order of submission
    int64_t parent              # id of the entry that this order protects, 0 without one
    int64_t group               # OCO group, 0 without one
    int64_t ts_active           # acts on events at or after it
    int64_t ts_cancel           # is cancelled by the first event at or after it
    int64_t order_type
    int64_t side
    int64_t leaves              # may still be filled; of a child: open contracts of its entry
    int64_t stop_price
    int64_t limit_price
    int64_t queue_ahead         # contracts to be served before it at its limit price
    int64_t live                # 1 once an event at or after ts_active was seen
    int64_t dead                # 1 until the table is compacted at the end of the event
    int64_t triggered           # a stop-limit that has become a limit
    int64_t trigger_event       # event at which it did
    int64_t children            # of an entry: orders that protect it
    int64_t open_quantity       # of an entry: filled and not yet closed
    int64_t opened_event        # of an entry: event of its first fill
    int64_t filled_event        # of an entry: event of its latest fill
    int64_t high                # of an entry: extreme prices traded while it was open
    int64_t low


cdef struct Fill:
    int64_t order_id
    int64_t ts                  # of the trade; of a bar t_open at its open, else t_close
    int64_t side
    int64_t quantity
    int64_t price
    int64_t reference_price     # without slippage; on bars really traded by the bar
    int64_t flags
    int64_t high                # extreme prices traded while the entry was open, so far
    int64_t low


cdef struct Event:
    int64_t ts                  # compared with the orders' times; of a bar t_open + latency
    int64_t ts_fill             # stamped on fills
    int64_t low                 # prices this step looks at, equal unless INSIDE
    int64_t high
    int64_t bar_low             # prices really traded
    int64_t bar_high
    int64_t size                # contracts traded
    int64_t left                # contracts not yet handed out to our limit orders
    int64_t stage


cdef struct Change:             # a modification under way
    int64_t order_id
    int64_t ts                  # takes effect with the first event at or after it
    int64_t price
    int64_t queue_ahead


cdef class OrderTable:
    cdef readonly Py_ssize_t capacity       # orders and changes that fit
    cdef readonly int64_t latency_ns        # from a request to its effect, >= 0
    cdef readonly int64_t slip_ticks        # adverse, on market and stop fills, >= 0
    cdef readonly bint queue                # limit orders fill from the queue as well
    cdef Order* _orders                     # [capacity], ascending by order_id
    cdef Py_ssize_t _n_orders
    cdef Change* _changes                   # [capacity], in order of arrival
    cdef Py_ssize_t _n_changes
    cdef Fill[::1] _fills                   # [capacity]; an order fills at most once an event
    cdef Py_ssize_t _n_fills                # of the latest advance
    cdef object _shown                      # read-only array over _fills
    cdef int64_t _next_id
    cdef int64_t _ts_request                # of the latest request
    cdef int64_t _event                     # events matched so far
    cdef int64_t _below                     # a price <= it may concern an order
    cdef int64_t _above                     # a price >= it may concern an order
    cdef int64_t _due                       # a time >= it changes an order
    cdef bint _busy                         # an advance runs without the GIL

    cdef int _check_idle(self) except -1
    cdef Order* _known(self, int64_t order_id) except? NULL
    cdef Order* _find(self, int64_t order_id) noexcept nogil
    cdef int64_t _arrival(self, int64_t ts) noexcept nogil
    cdef void _apply_due(self, int64_t ts) noexcept nogil
    cdef void _report(
        self, Order* order, const Event* event, int64_t quantity, int64_t price,
        int64_t reference, int64_t flags,
    ) noexcept nogil
    cdef void _open(
        self, Order* entry, const Event* event, int64_t quantity, int64_t reference
    ) noexcept nogil
    cdef void _close(
        self, Order* entry, const Order* order, const Event* event, int64_t quantity,
        int64_t reference,
    ) noexcept nogil
    cdef void _reduce_group(self, const Order* order, int64_t quantity) noexcept nogil
    cdef void _mark(self, int64_t low, int64_t high) noexcept nogil
    cdef void _settle(self) noexcept nogil
