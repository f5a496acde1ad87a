"""C interface of bar builders and bar series."""

from libc.stdint cimport int8_t, int32_t, int64_t

from mia._fast.records cimport Bar, Params, Session


cdef enum:
    KIND_TIME = 0
    KIND_REVERSAL = 1
    KIND_TICK = 2
    KIND_VOLUME = 3
    KIND_RANGE = 4

cdef enum:
    OPEN = 0                    # the bar goes on
    CLOSED_BEFORE = 1           # the next trade closes the bar and is not part of it
    CLOSED_WITH = 2             # the last trade belongs to the bar and closes it

cdef enum:
    HISTORY = 128               # bars readable behind the newest one


cdef class BarSeries:
    cdef readonly Py_ssize_t count      # bars since the reset
    cdef Py_ssize_t _tail               # slot of the next bar
    cdef Bar[::1] _bars
    cdef object _memory                 # the same, read-only from Python

    cpdef void reset(self) noexcept nogil
    cdef const Bar* push(self, const Bar* bar) noexcept nogil
    cdef const Bar* last(self) noexcept nogil


cdef class BarBuilder:
    cdef readonly int kind
    cdef readonly int64_t argument      # seconds, ticks, trades or contracts
    cdef int64_t _width_ns              # of a time bar
    cdef int64_t _large                 # size from which a trade counts as large
    cdef bint has_bar
    cdef Bar bar                        # the open bar, meaningful while has_bar
    cdef int64_t next_direction         # of the bar that opens next (reversal)
    cdef int64_t _closed                # t_close of the bar before in the session, 0 without one

    cdef void reset(self) noexcept nogil
    cdef void begin(self, const Session* session, int64_t ts, int64_t price) noexcept nogil
    cdef Py_ssize_t scan(
        self,
        const int64_t* ts,
        const int32_t* price,
        const int32_t* size,
        Py_ssize_t start,
        Py_ssize_t stop,
        int* outcome,
    ) noexcept nogil
    cdef Py_ssize_t sweep(
        self,
        const int32_t* price,
        const int32_t* size,
        const int8_t* side,
        Py_ssize_t n,
        int* outcome,
    ) noexcept nogil
    cdef void absorb(
        self, const int32_t* price, const int32_t* size, const int8_t* side, Py_ssize_t n
    ) noexcept nogil
    cdef void extend(self, const int32_t* price, Py_ssize_t n) noexcept nogil
    cdef void add_flow(self, const int32_t* size, const int8_t* side, Py_ssize_t n) noexcept nogil
    cdef void finish(self, int64_t ts, int64_t flags, Bar* out) noexcept nogil


cdef class Resampler:
    cdef readonly int64_t width_ns
    cdef bint has_bar
    cdef Bar bar                        # the open group

    cdef void reset(self) noexcept nogil
    cdef bint close_before(self, const Bar* member, const Session* session, Bar* out) noexcept nogil
    cdef bint add(self, const Bar* member, const Session* session, Bar* out) noexcept nogil


cdef int64_t find_session(const Session[::1] sessions, int64_t ts) noexcept nogil
