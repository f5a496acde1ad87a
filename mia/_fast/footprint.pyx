"""Footprint of a bar: volume at price by aggressor."""

cimport cython

import numpy as np

from mia._fast.profile cimport rows_clear, rows_cover, rows_free, rows_init


cdef enum:
    SPLIT_ROWS = 4096


@cython.final
cdef class Footprint:
    """Volume at price of the open bar, split into sold, unknown and bought."""

    def __cinit__(self):
        rows_init(&self._prints, 1024, 3)
        self._bid = np.zeros(SPLIT_ROWS, np.int64)
        self._ask = np.zeros(SPLIT_ROWS, np.int64)

    def __dealloc__(self):
        rows_free(&self._prints)

    cpdef void reset(self) noexcept nogil:
        """Start a bar."""
        rows_clear(&self._prints)

    cdef int cover(self, int64_t low, int64_t high) except -1 nogil:
        """Prepare for trades in [low, high]."""
        return rows_cover(&self._prints, low, high)

    cdef void add_many(
        self, const int32_t* price, const int32_t* size, const int8_t* side, Py_ssize_t n
    ) noexcept nogil:
        """Add trades whose prices `cover` has prepared for."""
        cdef int64_t* data = self._prints.data
        cdef int64_t base = self._prints.base
        cdef Py_ssize_t i
        for i in range(n):
            data[3 * (price[i] - base) + 1 + side[i]] += size[i]

    cdef void total(self, Bar* bar) noexcept nogil:
        """Write the sums of all rows to a bar: volume, sold, bought, pv, p2v."""
        cdef const int64_t* cell = self._prints.data
        cdef int64_t p, v
        bar.volume = 0
        bar.bid_volume = 0
        bar.ask_volume = 0
        bar.pv = 0
        bar.p2v = 0
        for p in range(self._prints.low, self._prints.high + 1):
            cell = self._prints.data + 3 * (p - self._prints.base)
            v = cell[0] + cell[1] + cell[2]
            bar.volume += v
            bar.bid_volume += cell[0]
            bar.ask_volume += cell[2]
            bar.pv += v * p
            bar.p2v += v * p * p

    cdef Py_ssize_t split(self, int64_t low, int64_t high) noexcept nogil:
        """Write bid and ask volume of the rows low..high to the scratch columns.

        Returns the number of rows, 0 if the bar is taller than the scratch.
        """
        cdef int64_t n = high - low + 1, p
        cdef const int64_t* cell
        self._split_low = low
        self._split_rows = 0
        if n > SPLIT_ROWS or self._prints.low > self._prints.high:
            return 0
        self._split_rows = n
        cell = self._prints.data + (low - self._prints.base) * 3
        for p in range(n):
            self._bid[p] = cell[3 * p]
            self._ask[p] = cell[3 * p + 2]
        return n

    def add(self, int64_t price, int64_t size, int side):
        """Add one trade: ticks, contracts, aggressor +1, -1 or 0.

        Raises
        ------
        ValueError
            If `side` is none of the three.
        """
        if side not in (-1, 0, 1):
            raise ValueError(f"side must be -1, 0 or 1, was {side}")
        rows_cover(&self._prints, price, price)
        self._prints.data[3 * (price - self._prints.base) + 1 + side] += size

    @property
    def low(self):
        """Lowest price touched, in ticks."""
        return self._prints.low

    @property
    def rows(self):
        """Copy of the rows from the lowest price up: int64, shape (n, 3), sold/unknown/bought."""
        cdef int64_t n = self._prints.high - self._prints.low + 1
        if n <= 0:
            return np.zeros((0, 3), np.int64)
        view = <int64_t[:3 * n]> (self._prints.data + 3 * (self._prints.low - self._prints.base))
        return np.array(view).reshape(n, 3)

    @property
    def closed(self):
        """The newest bar that was closed: its lowest price, and its columns from there up.

        Sold at the bid and bought at the ask: copies, int64, one row a tick; empty before the
        first, and where a bar was too tall.
        """
        cdef Py_ssize_t n = self._split_rows
        return (
            self._split_low,
            np.array(self._bid[:n], np.int64),
            np.array(self._ask[:n], np.int64),
        )
