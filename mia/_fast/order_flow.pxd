"""Order-flow features; order_flow.pyx tells what they measure."""

from libc.stdint cimport int8_t, int32_t, int64_t

from mia._fast.book_imbalance cimport BookImbalance
from mia._fast.large_trades cimport LargeTrades
from mia._fast.records cimport Bar, Params, Row


# F5 of one bar from its footprint, rows from its low to its high.
cdef double stacked_imbalance(
    const int64_t* bid, const int64_t* ask, Py_ssize_t rows, const Params* p,
) noexcept nogil

# F7 from the n newest trades of the session, oldest first, at most feat.f7_trades + 1 of them;
# exactly feat.f7_trades means that the oldest is the first of the session.
cdef bint tick_momentum(
    const int32_t* price, const int32_t* size, const int8_t* side, Py_ssize_t n,
    const Params* p, double* out,
) noexcept nogil


cdef class OrderFlow:
    cdef Params _p
    cdef readonly LargeTrades large_trades
    cdef readonly BookImbalance book
    cdef double _stacked[60]    # F5 of the newest bars, nan without a footprint
    cdef int64_t _stacked_next  # slot of the next one, below feat.f5_bars

    cdef void reset(self) noexcept nogil
    cdef void start(self, int64_t t_open) noexcept nogil
    cdef void update(
        self, const Bar* last, Py_ssize_t count, double stacked, const int32_t* price,
        const int32_t* size, const int8_t* side, Py_ssize_t n_trades, Row* row,
    ) noexcept nogil
    cdef bint _stack(self, double stacked, double* out) noexcept nogil
