"""C interface of a session's levels."""

from libc.stdint cimport int64_t

from mia._fast.cvd cimport Cvd
from mia._fast.profile cimport PriceRows, Profile
from mia._fast.records cimport Bar, Params, Row, Session
from mia._fast.vwap cimport Vwap


cdef enum:
    VWAP_HISTORY = 64


cdef class SessionLevels:
    cdef Params _p
    cdef readonly Profile globex_profile
    cdef readonly Profile rth_profile
    cdef readonly Vwap vwap_globex
    cdef readonly Vwap vwap_rth
    cdef readonly Cvd cvd               # of the closed primary bars
    cdef double _vwaps[64]              # selected VWAP by bar index modulo VWAP_HISTORY
    cdef int64_t _session_high
    cdef int64_t _session_low
    cdef bint _has_overnight
    cdef int64_t _overnight_high
    cdef int64_t _overnight_low
    cdef int64_t _last_rth_close        # t_close of the newest RTH bar, 0 without one
    cdef bint _gap                      # trades of the session are missing
    cdef bint _gap_overnight            # of them, before its regular hours
    cdef bint _gap_rth                  # and in them
    cdef bint _has_previous
    cdef int64_t _previous_poc
    cdef int64_t _previous_vah
    cdef int64_t _previous_val

    cdef void reset(self) noexcept nogil
    cdef void keep(self, const Session* session) noexcept nogil
    cdef void forget_previous(self) noexcept nogil
    cdef void mark_gap(self, bint overnight, bint rth) noexcept nogil
    cdef int add(
        self, const Bar* bar, const PriceRows* prints, const Session* session, Row* row
    ) except -1 nogil
    cdef Py_ssize_t nodes(
        self, const Bar* bar, const Session* session, const double** out
    ) except -1 nogil
    cdef int _accumulate(
        self, const Bar* bar, const PriceRows* prints, const Session* session, Row* row
    ) except -1 nogil
    cdef void _slope(self, Py_ssize_t index, Row* row) noexcept nogil
    cdef bint _from_rth(self, const Bar* bar, const Session* session) noexcept nogil
    cdef void _fill(self, const Bar* bar, const Session* session, Row* row) noexcept nogil
