"""Ranks, medians and deviations of short arrays, and the ring behind the references.

The reference ring keeps its samples twice: in order of arrival, to know which one leaves, and
sorted, so that the median is a look-up. A push moves at most `capacity` doubles.
"""

cimport cython
from libc.math cimport NAN, isfinite, sqrt
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc, qsort
from libc.string cimport memmove

import numpy as np

cdef enum:
    SHORT = 64                  # up to here insertion sort beats qsort


cdef int ring_init(RefRing* ring, Py_ssize_t capacity) except -1 nogil:
    # One block for both arrays, so that there is one thing to free.
    ring.order = <double*> malloc(2 * capacity * sizeof(double))
    if ring.order == NULL:
        with gil:
            raise MemoryError(f"no memory for a reference ring of {capacity} samples")
    ring.ascending = ring.order + capacity
    ring.capacity = capacity
    ring_clear(ring)
    return 0


cdef void ring_free(RefRing* ring) noexcept nogil:
    free(ring.order)
    ring.order = NULL
    ring.ascending = NULL


cdef void ring_clear(RefRing* ring) noexcept nogil:
    ring.size = 0
    ring.next = 0


cdef Py_ssize_t _position(const double* ascending, Py_ssize_t n, double value) noexcept nogil:
    # Index of the first element that is not below value.
    cdef Py_ssize_t low = 0, high = n, middle
    while low < high:
        middle = (low + high) // 2
        if ascending[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low


cdef void ring_push(RefRing* ring, double value) noexcept nogil:
    # value is finite: a nan would have no place among the sorted samples.
    cdef double* ascending = ring.ascending
    cdef Py_ssize_t k
    if ring.size == ring.capacity:
        k = _position(ascending, ring.size, ring.order[ring.next])
        ring.size -= 1
        memmove(ascending + k, ascending + k + 1, (ring.size - k) * sizeof(double))
    k = _position(ascending, ring.size, value)
    memmove(ascending + k + 1, ascending + k, (ring.size - k) * sizeof(double))
    ascending[k] = value
    ring.size += 1
    ring.order[ring.next] = value
    ring.next += 1
    if ring.next == ring.capacity:
        ring.next = 0


cdef double ring_median(const RefRing* ring) noexcept nogil:
    cdef Py_ssize_t half = ring.size // 2
    if ring.size == 0:
        return NAN
    if ring.size % 2:
        return ring.ascending[half]
    return 0.5 * (ring.ascending[half - 1] + ring.ascending[half])


cdef int _compare_doubles(const void* a, const void* b) noexcept nogil:
    cdef double x = (<const double*> a)[0]
    cdef double y = (<const double*> b)[0]
    return (x > y) - (x < y)


cdef int _compare_ints(const void* a, const void* b) noexcept nogil:
    cdef int64_t x = (<const int64_t*> a)[0]
    cdef int64_t y = (<const int64_t*> b)[0]
    return (x > y) - (x < y)


cdef void sort_doubles(double* values, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i, k
    cdef double value
    if n > SHORT:
        qsort(values, n, sizeof(double), &_compare_doubles)
        return
    for i in range(1, n):
        value = values[i]
        k = i
        while k > 0 and values[k - 1] > value:
            values[k] = values[k - 1]
            k -= 1
        values[k] = value


cdef void sort_ints(int64_t* values, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i, k
    cdef int64_t value
    if n > SHORT:
        qsort(values, n, sizeof(int64_t), &_compare_ints)
        return
    for i in range(1, n):
        value = values[i]
        k = i
        while k > 0 and values[k - 1] > value:
            values[k] = values[k - 1]
            k -= 1
        values[k] = value


cdef double median_of(double* work, Py_ssize_t n) noexcept nogil:
    # Sorts its argument; nan without samples.
    if n == 0:
        return NAN
    sort_doubles(work, n)
    if n % 2:
        return work[n // 2]
    return 0.5 * (work[n // 2 - 1] + work[n // 2])


cdef double mean_of(const double* values, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    cdef double total = 0.0
    if n == 0:
        return NAN
    for i in range(n):
        total += values[i]
    return total / n


cdef double std_of(const double* values, Py_ssize_t n) noexcept nogil:
    # Two passes: the mean of volumes is large against their deviations.
    cdef Py_ssize_t i
    cdef double mean = mean_of(values, n), squares = 0.0
    if n == 0:
        return NAN
    for i in range(n):
        squares += (values[i] - mean) * (values[i] - mean)
    return sqrt(squares / n)


cdef void sorted_insert(int64_t* ascending, Py_ssize_t n, int64_t value) noexcept nogil:
    # Insert into n sorted elements; the array has room for one more.
    cdef Py_ssize_t low = 0, high = n, middle
    while low < high:
        middle = (low + high) // 2
        if ascending[middle] < value:
            low = middle + 1
        else:
            high = middle
    memmove(ascending + low + 1, ascending + low, (n - low) * sizeof(int64_t))
    ascending[low] = value


cdef void sorted_remove(int64_t* ascending, Py_ssize_t n, int64_t value) noexcept nogil:
    # Remove one element equal to value, which is among the n.
    cdef Py_ssize_t low = 0, high = n, middle
    while low < high:
        middle = (low + high) // 2
        if ascending[middle] < value:
            low = middle + 1
        else:
            high = middle
    memmove(ascending + low, ascending + low + 1, (n - low - 1) * sizeof(int64_t))


@cython.final
cdef class ReferenceRing:
    """The newest samples of a reference and their median.

    Parameters
    ----------
    capacity : int
        Number of samples kept, at least 1.

    Raises
    ------
    ValueError
        If `capacity` is less than 1.
    """

    def __cinit__(self, Py_ssize_t capacity):
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1, was {capacity}")
        ring_init(&self._ring, capacity)

    def __dealloc__(self):
        ring_free(&self._ring)

    def __len__(self):
        return self._ring.size

    @property
    def capacity(self):
        """Number of samples kept."""
        return self._ring.capacity

    @property
    def median(self):
        """Median of the samples held, nan without any."""
        return ring_median(&self._ring)

    @property
    def values(self):
        """Samples held, oldest first: a new ndarray of float64."""
        cdef Py_ssize_t n = self._ring.size, k
        cdef Py_ssize_t start = self._ring.next if n == self._ring.capacity else 0
        cdef double[::1] view
        out = np.empty(n)
        view = out
        for k in range(n):
            view[k] = self._ring.order[(start + k) % self._ring.capacity]
        return out

    def push(self, double value):
        """Append `value`, dropping the oldest sample when the ring is full.

        Raises
        ------
        ValueError
            If `value` is not finite.
        """
        if not isfinite(value):
            raise ValueError(f"a reference sample must be finite, was {value}")
        ring_push(&self._ring, value)

    def clear(self):
        """Drop all samples."""
        ring_clear(&self._ring)


def ranks(const int64_t[::1] values not None, int q):
    """Return `rank_hi` and `rank_lo` of the q-th percentile, both elements of `values`.

    Parameters
    ----------
    values : ndarray of int64, shape (n,)
        In any order; at least one.
    q : int
        Percentile from 1 to 99.

    Raises
    ------
    ValueError
        If `values` is empty or `q` out of range.
    """
    if values.shape[0] == 0:
        raise ValueError("a rank needs at least one value")
    if not 1 <= q <= 99:
        raise ValueError(f"q must be from 1 to 99, was {q}")
    cdef int64_t[::1] work = np.array(values)
    sort_ints(&work[0], work.shape[0])
    return rank_hi(&work[0], work.shape[0], q), rank_lo(&work[0], work.shape[0], q)


def median(const double[::1] values not None):
    """Return the median of `values`, the mean of the middle two if even, nan if empty."""
    cdef double[::1] work = np.array(values)
    if work.shape[0] == 0:
        return NAN
    return median_of(&work[0], work.shape[0])


def std(const double[::1] values not None):
    """Return the population standard deviation of `values`, nan if empty."""
    if values.shape[0] == 0:
        return NAN
    return std_of(&values[0], values.shape[0])


def sort(double[::1] values not None):
    """Sort `values` ascending in place."""
    if values.shape[0]:
        sort_doubles(&values[0], values.shape[0])
