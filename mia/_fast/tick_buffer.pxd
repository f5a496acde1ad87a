"""C interface of the circular tick buffer."""

from libc.stdint cimport int8_t, int32_t, int64_t


cdef class TickBuffer:
    cdef readonly Py_ssize_t capacity
    cdef readonly int64_t total     # trades ever appended
    cdef Py_ssize_t _tail           # slot of the next trade, 0 <= _tail <= 4 * capacity
    cdef Py_ssize_t _size           # trades readable behind the tail, <= capacity
    cdef object _memory             # the four arrays, read-only from Python
    cdef int64_t[::1] _ts_event     # ns UTC; each of 4 * capacity slots
    cdef int32_t[::1] _price        # ticks
    cdef int32_t[::1] _trade_size   # contracts, > 0
    cdef int8_t[::1] _side          # aggressor after the tick rule

    cpdef void reset(self) noexcept nogil
    cdef void make_room(self, Py_ssize_t n) noexcept nogil
    cdef void append(self, int64_t ts, int32_t price, int32_t size, int8_t side) noexcept nogil
