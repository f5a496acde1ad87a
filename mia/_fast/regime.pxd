"""Market regime of one stream; regime.pyx tells how it is found."""

from libc.stdint cimport int64_t

from mia._fast.records cimport Bar, Params, RegimeState


cdef class RegimeClassifier:
    cdef Params _p
    cdef int64_t _highs[120]    # highs of the range window, sorted
    cdef int64_t _lows[120]     # its lows, sorted
    cdef Py_ssize_t _held       # bars in the range window, at most reg.range_bars
    cdef int64_t _raw[3]        # newest raw classes, newest first, -1 before the first
    cdef int64_t _run           # equal raw classes at the end
    cdef int64_t _regime        # published
    cdef double _confidence     # published
    cdef double _strength       # published
    cdef int64_t _changed_at    # t_close of the last change, 0 before any
    cdef double _resistance     # of the last accepted range, nan before any
    cdef double _support
    cdef double _tolerance

    cdef void reset(self) noexcept nogil
    cdef void update(
        self, const Bar* last, Py_ssize_t count, double atr, double vslope, RegimeState* out,
    ) noexcept nogil
    cdef void _slide(self, const Bar* last) noexcept nogil
    cdef bint _range(self, const Bar* last, double atr, RegimeState* out) noexcept nogil
    cdef void _publish(
        self, int64_t raw, double confidence, double strength, int64_t t_close,
    ) noexcept nogil
