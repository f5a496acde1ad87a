"""C interface of the cumulative volume delta."""

from libc.stdint cimport int64_t


cdef class Cvd:
    cdef readonly int64_t value     # contracts bought less sold since the reset

    cpdef void reset(self) noexcept nogil
    cpdef void add(self, int64_t volume_delta) noexcept nogil
