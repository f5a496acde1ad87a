"""Ranks, medians and deviations of short arrays, and the ring behind the references."""

from libc.math cimport sqrt
from libc.stdint cimport int64_t


cdef struct RefRing:
    double* order               # samples; the oldest of a full ring is at `next`
    double* ascending           # the same samples, sorted
    Py_ssize_t capacity         # at least 1
    Py_ssize_t size             # samples held, 0 <= size <= capacity
    Py_ssize_t next             # slot of the next push, 0 <= next < capacity


cdef int ring_init(RefRing* ring, Py_ssize_t capacity) except -1 nogil
cdef void ring_free(RefRing* ring) noexcept nogil
cdef void ring_clear(RefRing* ring) noexcept nogil
cdef void ring_push(RefRing* ring, double value) noexcept nogil
cdef double ring_median(const RefRing* ring) noexcept nogil

cdef void sort_doubles(double* values, Py_ssize_t n) noexcept nogil
cdef void sort_ints(int64_t* values, Py_ssize_t n) noexcept nogil
cdef double median_of(double* work, Py_ssize_t n) noexcept nogil
cdef double mean_of(const double* values, Py_ssize_t n) noexcept nogil
cdef double std_of(const double* values, Py_ssize_t n) noexcept nogil
cdef void sorted_insert(int64_t* ascending, Py_ssize_t n, int64_t value) noexcept nogil
cdef void sorted_remove(int64_t* ascending, Py_ssize_t n, int64_t value) noexcept nogil


cdef inline Py_ssize_t ring_size(const RefRing* ring) noexcept nogil:
    return ring.size


cdef inline Py_ssize_t rank_hi_index(Py_ssize_t n, int q) noexcept nogil:
    return (q * n + 99) // 100 - 1


cdef inline Py_ssize_t rank_lo_index(Py_ssize_t n, int q) noexcept nogil:
    return n - ((100 - q) * n + 99) // 100


cdef inline int64_t rank_hi(const int64_t* ascending, Py_ssize_t n, int q) noexcept nogil:
    return ascending[rank_hi_index(n, q)]


cdef inline int64_t rank_lo(const int64_t* ascending, Py_ssize_t n, int q) noexcept nogil:
    return ascending[rank_lo_index(n, q)]


cdef inline double std_from_sums(int64_t n, int64_t total, int64_t squares) noexcept nogil:
    # Exact up to the root as long as n * squares fits; the sums are integers.
    return sqrt(<double> (n * squares - total * total)) / n


cdef class ReferenceRing:
    cdef RefRing _ring
