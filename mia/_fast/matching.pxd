"""The loops that match the order table with trades and bars."""

from libc.stdint cimport int32_t, int64_t

from mia._fast.orders cimport Event, OrderTable
from mia._fast.records cimport Bar


cdef class MatchingEngine(OrderTable):
    cdef readonly int64_t last_price        # newest trade or close seen, -2**31 at first

    cdef int _begin(self, Py_ssize_t start, Py_ssize_t stop, Py_ssize_t n) except -1
    cdef void _match_takers(self, const Event* event, bint children) noexcept nogil
    cdef void _match_limits(self, Event* event, bint children) noexcept nogil
    cdef void _match_trade(self, int64_t ts, int64_t price, int64_t size) noexcept nogil
    cdef void _match_bar(self, const Bar* bar) noexcept nogil
    cdef Py_ssize_t _run_trades(
        self, const int64_t* ts, const int32_t* price, const int32_t* size,
        Py_ssize_t start, Py_ssize_t stop,
    ) noexcept nogil
    cdef Py_ssize_t _run_bars(
        self, const Bar* bars, Py_ssize_t start, Py_ssize_t stop
    ) noexcept nogil
