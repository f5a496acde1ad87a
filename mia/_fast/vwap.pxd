"""C interface of the session VWAP."""

from libc.stdint cimport int64_t

from mia._fast.records cimport Bar


cdef class Vwap:
    cdef readonly int64_t weight    # contracts accumulated (W)
    cdef int64_t _reference         # open of the first bar, or price of the first trade
    cdef int64_t _s1                # sum of size * y, y in thirds of a tick from the reference
    cdef int64_t _s2                # sum of size * y ** 2

    cpdef void reset(self) noexcept nogil
    cdef void add(self, const Bar* bar) noexcept nogil
    cdef double mean(self) noexcept nogil
    cdef double deviation(self) noexcept nogil
