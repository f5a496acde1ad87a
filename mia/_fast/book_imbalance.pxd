"""Imbalance of the order book; book_imbalance.pyx tells how it is sampled."""

from libc.stdint cimport int64_t

from mia._fast.records cimport Params


cdef struct BookSample:         # a good snapshot, reduced to what the feature needs
    int64_t second              # whole second whose last state it is
    double raw                  # imbalance in [-1, 1]
    double weight               # depth factor in [0, 1], halved on a wide spread
    int64_t spread              # ticks


cdef class BookImbalance:
    cdef Params _p
    cdef int64_t _second        # whole second of the state below, -1 without one
    cdef int64_t _bids[10]      # sizes from the best level on, 0 where missing
    cdef int64_t _asks[10]
    cdef int64_t _spread        # ticks
    cdef int64_t _sampled       # latest second sampled, -1 before
    cdef BookSample* _waiting   # samples that no close has read, a ring
    cdef Py_ssize_t _capacity   # its size, a power of two
    cdef Py_ssize_t _head       # slot of the oldest
    cdef Py_ssize_t _size       # samples waiting
    cdef double _ema            # of `raw`
    cdef double _weight         # depth factor of the latest sample
    cdef int64_t _spreads[20]   # of the samples, slot = good % 20
    cdef readonly int64_t good  # samples that took effect since the reset
    cdef readonly int64_t early     # of them, those that a full ring made effective early
    cdef readonly double raw    # imbalance of the latest sample, 0 before
    cdef readonly int64_t spread    # ticks, of the latest sample, 0 before

    cdef void reset(self) noexcept nogil
    cdef void start(self, int64_t t_open) noexcept nogil
    cdef void forget(self) noexcept nogil
    cdef void on_book(
        self, int64_t ts, const int64_t* bid_sizes, const int64_t* ask_sizes,
        Py_ssize_t levels, int64_t spread,
    ) noexcept nogil
    cdef void settle(self, int64_t t_close) noexcept nogil
    cdef bint value(self, double* out) noexcept nogil
    cdef double spread_z(self) noexcept nogil
    cdef void _sample(self) noexcept nogil
    cdef void _take_oldest(self) noexcept nogil
