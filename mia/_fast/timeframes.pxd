"""C interface of the multi-timeframe Battle Navale."""

from libc.stdint cimport int64_t

from mia._fast.bars cimport BarSeries, Resampler
from mia._fast.battle_navale cimport BattleNavale
from mia._fast.records cimport Bar, Battle, Params, Session
from mia._fast.references cimport PatternMemory, PhaseRings


cdef class Frame:
    cdef Params _p
    cdef Resampler _resampler
    cdef BarSeries series
    cdef BattleNavale _navale
    cdef PhaseRings _volume_ref
    cdef PatternMemory _patterns
    cdef Battle battle              # of the last closed bar
    cdef readonly bint used         # the frame is at least as wide as the primary bar
    cdef int64_t _gap_until         # bars that open before it are incomplete

    cdef void reset(self) noexcept nogil
    cdef void add(self, const Bar* primary, const Session* session) noexcept nogil
    cdef void flush(self, const Session* session) noexcept nogil
    cdef void _close(self, const Bar* bar, const Session* session) noexcept nogil


cdef class Timeframes:
    cdef Params _p
    cdef readonly Frame first       # frames from the narrowest to the widest
    cdef readonly Frame second
    cdef readonly Frame third
    cdef readonly Frame fourth

    cdef void reset(self) noexcept nogil
    cdef void add(self, const Bar* primary, const Session* session) noexcept nogil
    cdef void flush(self, const Session* session) noexcept nogil
    cdef bint combine(self, double vol01, double* mtf) noexcept nogil
    cdef void mark_gap(self, int64_t until) noexcept nogil


cdef double average_true_range(const Bar* last, Py_ssize_t count, int64_t window) noexcept nogil
cdef int64_t phase_of(const Session* session, int64_t ts) noexcept nogil
cdef void detect_on(
    PatternMemory memory,
    const Bar* last,
    Py_ssize_t count,
    double atr,
    double vol_ref,
    bint strict,
    const Params* p,
    int64_t* hit,
) noexcept nogil
cdef bint combine_frames(
    const double* score,
    const double* confidence,
    const bint* valid,
    double vol01,
    double norm,
    double* mtf,
) noexcept nogil
