"""Quality, score and tier of the features; feature_score.pyx tells how they are weighed."""

from libc.stdint cimport int64_t

from mia._fast.records cimport Params, Row


cdef double score_of(const double* feature) noexcept nogil
cdef void score_row(Row* row, const Params* p) noexcept nogil


cdef class TierRanker:
    cdef readonly int64_t dropped   # values that found their session full
    cdef Py_ssize_t _per_session    # values kept of one session
    cdef double* _values            # 21 sessions of _per_session values
    cdef double* _work              # room to sort 20 of them
    cdef Py_ssize_t _count[21]      # values of each
    cdef Py_ssize_t _current        # session that is being filled
    cdef int64_t _least             # feat.tier_min
    cdef Py_ssize_t _total          # values behind the thresholds
    cdef double _weak               # thresholds
    cdef double _strong
    cdef double _premium

    cdef void push(self, double score) noexcept nogil
    cdef void end_session(self) noexcept nogil
    cdef int64_t tier(self, double score) noexcept nogil
