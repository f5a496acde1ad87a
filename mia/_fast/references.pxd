"""C interface of what a stream remembers beyond its bars."""

from libc.stdint cimport int64_t

from mia._fast.records cimport Params
from mia._fast.statistics cimport RefRing

cdef enum:
    PHASES = 8
    MAX_HITS = 1024             # hits of one kind inside the time-out


cdef class PhaseRings:
    cdef RefRing _rings[8]      # one for each phase
    cdef int64_t _least         # entries from which a median is used

    cdef double reference(self, int64_t phase, double cold) noexcept nogil
    cdef void push(self, int64_t phase, double value) noexcept nogil


cdef class PatternMemory:
    cdef int64_t _count[4]
    cdef double[:, ::1] _strength
    cdef int64_t[:, ::1] _t_close
    cdef int64_t _timeout_ns
    cdef readonly int64_t dropped       # hits forgotten for want of room

    cdef void reset(self) noexcept nogil
    cdef void push(self, int kind, int64_t t_close, double strength) noexcept nogil
    cdef void present(self, int64_t t, double* out) noexcept nogil
