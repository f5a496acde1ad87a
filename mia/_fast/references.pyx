"""What a stream remembers beyond its bars: medians by phase, recent pattern hits."""

cimport cython

import numpy as np

from mia._fast.statistics cimport ring_free, ring_init, ring_median, ring_push, ring_size


@cython.final
cdef class PhaseRings:
    """Median of the newest values of each phase of the day, over all sessions.

    Parameters
    ----------
    capacity : int
        Values kept per phase.
    least : int
        Values from which the median counts.
    """

    def __cinit__(self, Py_ssize_t capacity, int64_t least):
        cdef int k
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1, was {capacity}")
        for k in range(PHASES):
            ring_init(&self._rings[k], capacity)
        self._least = least

    def __dealloc__(self):
        cdef int k
        for k in range(PHASES):
            ring_free(&self._rings[k])

    cdef double reference(self, int64_t phase, double cold) noexcept nogil:
        """Median of the phase, `cold` while it has too few values."""
        if ring_size(&self._rings[phase]) < self._least:
            return cold
        return ring_median(&self._rings[phase])

    cdef void push(self, int64_t phase, double value) noexcept nogil:
        ring_push(&self._rings[phase], value)

    @property
    def values(self):
        """Values held of each phase, oldest first: a list of new ndarrays."""
        cdef Py_ssize_t k, i, start
        cdef double[::1] view
        cdef list out = []
        for k in range(PHASES):
            values = np.empty(self._rings[k].size)
            view = values
            start = self._rings[k].next - self._rings[k].size + self._rings[k].capacity
            for i in range(self._rings[k].size):
                view[i] = self._rings[k].order[(start + i) % self._rings[k].capacity]
            out.append(values)
        return out


@cython.final
cdef class PatternMemory:
    """Pattern hits of a session that are not timed out.

    Parameters
    ----------
    timeout_ns : int
        A hit is present at t while its close is later than t less this.

    Attributes
    ----------
    dropped : int
        Hits forgotten because more than `MAX_HITS` of one kind were inside the time-out.
    """

    def __cinit__(self, int64_t timeout_ns):
        self._timeout_ns = timeout_ns
        self._strength = np.zeros((4, MAX_HITS))
        self._t_close = np.zeros((4, MAX_HITS), np.int64)

    cdef void reset(self) noexcept nogil:
        cdef int kind
        for kind in range(4):
            self._count[kind] = 0

    cdef void push(self, int kind, int64_t t_close, double strength) noexcept nogil:
        cdef int64_t n = self._count[kind], k
        if n == MAX_HITS:
            for k in range(1, n):
                self._strength[kind, k - 1] = self._strength[kind, k]
                self._t_close[kind, k - 1] = self._t_close[kind, k]
            n -= 1
            self.dropped += 1
        self._strength[kind, n] = strength
        self._t_close[kind, n] = t_close
        self._count[kind] = n + 1

    cdef void present(self, int64_t t, double* out) noexcept nogil:
        """Write the largest present strength of each kind, 0 without one; forget the rest."""
        cdef int kind
        cdef int64_t k, kept
        cdef double best
        for kind in range(4):
            kept = 0
            best = 0.0
            for k in range(self._count[kind]):
                if self._t_close[kind, k] > t - self._timeout_ns:
                    self._t_close[kind, kept] = self._t_close[kind, k]
                    self._strength[kind, kept] = self._strength[kind, k]
                    if self._strength[kind, k] > best:
                        best = self._strength[kind, k]
                    kept += 1
            self._count[kind] = kept
            out[kind] = best
