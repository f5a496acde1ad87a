"""Cumulative volume delta of a session."""

cimport cython


@cython.final
cdef class Cvd:
    """Running sum of the aggressors' signed volume.

    Attributes
    ----------
    value : int
        Contracts bought at the ask less those sold at the bid since the last `reset`.
    """

    cpdef void reset(self) noexcept nogil:
        """Start a session: the sum is 0 before its first bar."""
        self.value = 0

    cpdef void add(self, int64_t volume_delta) noexcept nogil:
        """Add the delta of a bar or the signed size of a trade, in contracts."""
        self.value += volume_delta


def cumulate(const int64_t[::1] volume_delta not None, int64_t[::1] out not None):
    """Fill `out` with the running sum of `volume_delta`.

    Parameters
    ----------
    volume_delta : ndarray of int64, shape (n,)
        Signed contracts, one per bar or trade.
    out : ndarray of int64, shape (n,)
        Overwritten.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    cdef Py_ssize_t i, n = volume_delta.shape[0]
    cdef int64_t total = 0
    if out.shape[0] != n:
        raise ValueError(f"out must have {n} elements, has {out.shape[0]}")
    with nogil:
        for i in range(n):
            total += volume_delta[i]
            out[i] = total
