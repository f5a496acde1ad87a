"""How often the RTH bars of a session came to levels."""

from libc.stdint cimport int64_t

from mia._fast.records cimport Bar


cdef enum:
    N_TRACKED = 8
    RECORD_BARS = 32768         # bars remembered; a power of two


cdef struct Tracked:            # touches of one level so far
    double price                # nan while the level is missing
    int64_t touches
    int64_t inside              # 1 if the newest recorded bar touched it


cdef class Touches:
    cdef Tracked[8] _tracked
    cdef object _memory         # owns the record
    cdef int64_t* _highs        # ring of the bars from the one before the first RTH bar on
    cdef int64_t* _lows
    cdef int64_t* _counts       # 1 if the bar can touch: it is of RTH, and the one before is held
    cdef Py_ssize_t _recorded   # bars ever recorded since the reset
    cdef Py_ssize_t _held       # bars readable in the ring
    cdef bint _started          # a bar of RTH was recorded

    cdef void clear(self) noexcept nogil
    cdef int64_t count(self, int slot, double price) noexcept nogil
    cdef void record(self, const Bar* bar, bint rth) noexcept nogil
