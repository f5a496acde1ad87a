"""C interface of the footprint."""

from libc.stdint cimport int8_t, int32_t, int64_t

from mia._fast.profile cimport PriceRows
from mia._fast.records cimport Bar


cdef class Footprint:
    cdef PriceRows _prints      # columns: sold at the bid, unknown, bought at the ask
    cdef int64_t[::1] _bid      # scratch of `split`
    cdef int64_t[::1] _ask
    cdef int64_t _split_low     # of the scratch: lowest price, ticks
    cdef Py_ssize_t _split_rows     # rows of it that hold a bar

    cpdef void reset(self) noexcept nogil
    cdef int cover(self, int64_t low, int64_t high) except -1 nogil
    cdef void add_many(
        self, const int32_t* price, const int32_t* size, const int8_t* side, Py_ssize_t n
    ) noexcept nogil
    cdef void total(self, Bar* bar) noexcept nogil
    cdef Py_ssize_t split(self, int64_t low, int64_t high) noexcept nogil
