"""Evidence that a close gives: headfake, micro anomaly, gamma pin, hits of the ES patterns."""

from mia._fast.confluence cimport Zone
from mia._fast.es_patterns cimport EsPatterns
from mia._fast.records cimport Bar, OptionsInput, Params, Row


cdef class Evidence:
    cdef EsPatterns _patterns   # owns all memory of the session

    cdef void clear(self) noexcept nogil
    cdef void update(
        self, const Bar* last, Py_ssize_t count, Row* row, const OptionsInput* options,
        const Zone* zones, Py_ssize_t n_zones, double spread_z, double book_imbalance,
    ) noexcept nogil
