"""Levels of the market at a close, and the zones in which they agree."""

from libc.math cimport NAN
from libc.stdint cimport int64_t

from mia._fast.levels cimport Level, Scratch, Zone
from mia._fast.records cimport Bar, OptionsInput, Params, Row
from mia._fast.touches cimport Touches


cdef enum:
    MAX_LEVELS = 1024


cdef class Confluence:
    cdef Params _p
    cdef Level* levels          # of the last update; those of a family in the order of LevelKind
    cdef Py_ssize_t n_levels
    cdef Zone* zones            # of the last update, ascending by price
    cdef Py_ssize_t n_zones
    cdef object _level_memory   # owns `levels`
    cdef object _zone_memory    # owns `zones`
    cdef object _order_memory   # owns the scratch
    cdef object _term_memory
    cdef Scratch _scratch
    cdef Touches _touches       # slots 0 to 2 options, 3 to 5 previous, 6 and 7 overnight

    cdef void clear(self) noexcept nogil
    cdef void update(
        self, const Bar* last, Py_ssize_t count, Row* row, const OptionsInput* options,
        const double* hvn, Py_ssize_t n_hvn,
    ) noexcept nogil
    cdef void _options_levels(self, const Bar* last, const OptionsInput* options) noexcept nogil
    cdef void _fixed_levels(self, const Bar* last, const Row* row) noexcept nogil
    cdef void _moving_levels(
        self, double close, const Row* row, const double* hvn, Py_ssize_t n_hvn
    ) noexcept nogil
    cdef void _add(
        self, int kind, double price, double age, int64_t touches, double quality
    ) noexcept nogil
    cdef double _score(self, double close, double atr) noexcept nogil


cdef inline double selected_vwap(const Row* row, const Params* p) noexcept nogil:
    """VWAP of the anchor that the rules use, nan before its first bar."""
    return row.vwap_rth if p.vwap_anchor == 1 else row.vwap


cdef inline double selected_vwap_sd(const Row* row, const Params* p) noexcept nogil:
    return row.vwap_rth_sd if p.vwap_anchor == 1 else row.vwap_sd


cdef inline OptionsInput no_options() noexcept nogil:
    """What a kernel reads where no option chains are known."""
    cdef OptionsInput options
    cdef int k
    for k in range(6):
        options.feature[k] = NAN
        options.valid[k] = 0
    options.gamma_flip = NAN
    options.call_wall = NAN
    options.put_wall = NAN
    options.quality = 0.0
    options.ts_quotes = 0
    return options


cdef int check_offsets(const int64_t[::1] first, Py_ssize_t n, Py_ssize_t length) except -1
