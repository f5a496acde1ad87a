"""Triggers of the strategies, and whether one serves the strategy of the regime."""

from mia._fast.records cimport Bar, OptionsInput, Params, Row


cdef class Setups:
    cdef Params _p              # no other state: every trigger looks back over bars only

    cdef void update(
        self, const Bar* last, Py_ssize_t count, Row* row, const OptionsInput* options
    ) noexcept nogil
    cdef void _pullback(
        self, const Bar* last, Py_ssize_t count, Row* row, const OptionsInput* options, int side
    ) noexcept nogil
    cdef void _breakout(
        self, const Bar* last, Py_ssize_t count, Row* row, int side
    ) noexcept nogil
    cdef void _edge(self, const Bar* last, Row* row, int side) noexcept nogil
    cdef bint _near_support(
        self, const Row* row, const OptionsInput* options, double price, int side
    ) noexcept nogil
