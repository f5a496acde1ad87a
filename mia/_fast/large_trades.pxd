"""Large trades of the recent past; large_trades.pyx tells how they are weighed."""

from libc.stdint cimport int64_t


cdef class LargeTrades:
    cdef readonly int64_t dropped   # trades lost to a full ring since the reset
    cdef Py_ssize_t _capacity       # a power of two
    cdef Py_ssize_t _head           # slot of the oldest, 0 <= _head < _capacity
    cdef Py_ssize_t _size           # trades held
    cdef int64_t* _ts               # ns UTC, ascending from _head
    cdef int64_t* _weight           # signed: lots of the aggressor, doubled for a block
    cdef int64_t _buys              # sum of the positive weights held
    cdef int64_t _sells             # sum of the negative ones, as a positive number
    cdef int64_t _window_ns
    cdef int64_t _min_lots
    cdef int64_t _block_lots
    cdef double _norm

    cdef void reset(self) noexcept nogil
    cpdef void push(self, int64_t ts, int64_t size, int side) noexcept nogil
    cpdef double value(self, int64_t t_close) noexcept nogil
    cdef void _drop_oldest(self) noexcept nogil
