"""The five ES patterns, and what all triggers share: reads seen from one side.

A rule is written once, for a long; a short reads prices negated, high and low swapped.
"""

from libc.stdint cimport int64_t

from mia._fast.confluence cimport Zone
from mia._fast.records cimport (
    MAX_SETUPS, Bar, OptionsInput, Params, Row, clip, dmax, dmin,
)


cdef enum SetupCode:            # mia.core.base_types.SetupKind
    T1
    T2
    R1
    P1
    P2
    P3
    P4
    P5


cdef enum RegimeCode:           # mia.core.base_types.Regime
    STRONG_TREND_BULL
    STRONG_TREND_BEAR
    WEAK_TREND_BULL
    WEAK_TREND_BEAR
    RANGE_BULLISH_BIAS
    RANGE_BEARISH_BIAS
    RANGE_NEUTRAL
    TRANSITION
    UNCLEAR


cdef enum:
    READABLE_BARS = 128         # bars behind `last` that a kernel may read
    REPORTS = 32                # remembered for each pattern and direction


cdef struct Report:
    double level
    int64_t t_close


cdef class EsPatterns:
    cdef Params _p
    cdef double[3] _z           # z of the latest closes, newest last
    cdef Py_ssize_t _n_z        # how many of them in a row are defined
    cdef Report[10][32] _reports    # rings of reported hits: P1 short, P1 long, P2 short, ..
    cdef Py_ssize_t[10] _n_reports  # hits ever reported since the reset

    cdef void clear(self) noexcept nogil
    cdef void update(
        self, const Bar* last, Py_ssize_t count, Row* row, const OptionsInput* options,
        const Zone* zones, Py_ssize_t n_zones,
    ) noexcept nogil
    cdef void _rejection(self, const Bar* last, Row* row, int side) noexcept nogil
    cdef void _deviation(self, const Bar* last, Row* row, int side) noexcept nogil
    cdef void _flip(
        self, const Bar* last, Row* row, const OptionsInput* options, int side
    ) noexcept nogil
    cdef void _battle(self, const Bar* last, Row* row, int side) noexcept nogil
    cdef void _confluence(
        self, const Bar* last, Row* row, const Zone* zones, Py_ssize_t n_zones, int side
    ) noexcept nogil
    cdef void _report(
        self, const Bar* last, Row* row, int kind, int side, double strength, double level,
        double stop, double target,
    ) noexcept nogil


cdef inline double top(const Bar* bar, int side) noexcept nogil:
    """High seen from `side`."""
    return <double> (bar.high if side > 0 else -bar.low)


cdef inline double bottom(const Bar* bar, int side) noexcept nogil:
    """Low seen from `side`."""
    return <double> (bar.low if side > 0 else -bar.high)


cdef inline double settle(const Bar* bar, int side) noexcept nogil:
    """Close seen from `side`."""
    return <double> (side * bar.close)


cdef inline bint with_side(const Bar* bar, int side) noexcept nogil:
    """Whether the bar is green for a long, red for a short."""
    return side * (bar.close - bar.open) > 0


cdef inline double lowest(const Bar* last, Py_ssize_t bars, int side) noexcept nogil:
    """Lowest low of the newest `bars` bars, seen from `side`; as many must be readable."""
    cdef double low = bottom(last, side)
    cdef Py_ssize_t k
    for k in range(1, bars):
        low = dmin(low, bottom(last - k, side))
    return low


cdef inline double mean_volume(const Bar* last, Py_ssize_t bars) noexcept nogil:
    """Mean volume of the `bars` bars before `last`; as many must be readable."""
    cdef int64_t total = 0
    cdef Py_ssize_t k
    for k in range(1, bars + 1):
        total += (last - k).volume
    return <double> total / <double> bars


cdef inline double delta_ratio(const Bar* bar) noexcept nogil:
    if bar.volume == 0:
        return 0.0
    return <double> (bar.ask_volume - bar.bid_volume) / <double> bar.volume


cdef inline double pattern_strength(const Row* row, int side) noexcept nogil:
    """Strength of the best pattern present for `side`, 0 without one."""
    if side > 0:
        return dmax(row.pattern[0], row.pattern[3])     # LDU, CUS
    return dmax(row.pattern[1], row.pattern[2])         # LUD, CDS


cdef inline void append_setup(
    Row* row, int kind, int side, double quality, double level, double stop, double target,
    bint traded,
) noexcept nogil:
    """Add a setup whose prices are seen from `side`; a full row keeps what it has."""
    cdef int64_t n = row.n_setups
    if n >= MAX_SETUPS:
        return
    row.setup_kind[n] = kind
    row.setup_side[n] = side
    row.setup_quality[n] = clip(quality, 0.0, 1.0)
    row.setup_level[n] = <double> side * level
    row.setup_stop[n] = <double> side * stop
    row.setup_target[n] = <double> side * target
    row.setup_traded[n] = traded
    row.n_setups = n + 1
