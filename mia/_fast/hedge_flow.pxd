"""C interface of the hedging flow."""

from libc.stdint cimport int64_t

from mia._fast.records cimport Bar, Session


cdef enum:
    MINUTES = 390               # of a full session of regular hours
    DOLLAR_SESSIONS = 20
    HALF_HOURS = 13
    FLOW_SESSIONS = 60
    FLOW_MIN_SESSIONS = 20


cdef class HedgeFlow:
    cdef double _dvol                   # expected change of volatility, vol points
    cdef double[::1] _dollars           # of today by minutes before the close
    cdef double[:, ::1] _past_dollars   # of sessions, cumulated from the close backward
    cdef double[::1] _median_dollars    # over them by minutes to the close
    cdef int64_t _dollar_sessions       # ever pushed
    cdef double _today[13]              # x at the first close of each half hour, nan without
    cdef double[:, ::1] _flows          # of past sessions, shape (13, 60)
    cdef int64_t _flow_counts[13]       # ever pushed

    cdef void add(self, const Bar* bar, const Session* session) noexcept nogil
    cdef double flow(
        self, double cex, double vex, int64_t now, const Session* session
    ) noexcept nogil
    cdef double feature(self, double flow, int64_t now, const Session* session) noexcept nogil
    cdef void end_session(self, const Session* ended) noexcept nogil
