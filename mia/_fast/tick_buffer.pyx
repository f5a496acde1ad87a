"""Circular buffer of the newest trades, readable in one piece.

Memory is four times the capacity. Trades are appended at the tail; when the memory is used up, the
newest `capacity` of them move to its front, so that the newest trades always lie side by side
and appending costs O(1) on average.
"""

cimport cython
from libc.string cimport memmove

import numpy as np


@cython.final
cdef class TickBuffer:
    """The newest trades as columns.

    Parameters
    ----------
    capacity : int
        Trades kept at least; a power of two is not needed.

    Attributes
    ----------
    capacity : int
    total : int
        Trades ever appended.

    Raises
    ------
    ValueError
        If `capacity` is below 1.
    """

    def __cinit__(self, Py_ssize_t capacity):
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1, was {capacity}")
        self.capacity = capacity
        memory = (
            np.zeros(4 * capacity, np.int64),
            np.zeros(4 * capacity, np.int32),
            np.zeros(4 * capacity, np.int32),
            np.zeros(4 * capacity, np.int8),
        )
        self._ts_event, self._price, self._trade_size, self._side = memory
        self._memory = tuple([column.view() for column in memory])
        for column in self._memory:
            column.flags.writeable = False

    def __len__(self):
        return min(self._size, self.capacity)

    cpdef void reset(self) noexcept nogil:
        """Forget the trades held; `total` goes on counting."""
        self._tail = 0
        self._size = 0

    cdef void make_room(self, Py_ssize_t n) noexcept nogil:
        """Let the next `n` <= capacity trades be appended side by side with what is kept."""
        cdef Py_ssize_t keep, first
        if self._tail + n <= 4 * self.capacity:
            return
        keep = min(self._size, 4 * self.capacity - n)
        keep = min(keep, self.capacity)
        first = self._tail - keep
        memmove(&self._ts_event[0], &self._ts_event[first], keep * sizeof(int64_t))
        memmove(&self._price[0], &self._price[first], keep * sizeof(int32_t))
        memmove(&self._trade_size[0], &self._trade_size[first], keep * sizeof(int32_t))
        memmove(&self._side[0], &self._side[first], keep * sizeof(int8_t))
        self._tail = keep
        self._size = keep

    cdef void append(self, int64_t ts, int32_t price, int32_t size, int8_t side) noexcept nogil:
        """Append one trade; `make_room` was called for it."""
        self._ts_event[self._tail] = ts
        self._price[self._tail] = price
        self._trade_size[self._tail] = size
        self._side[self._tail] = side
        self._tail += 1
        self._size += 1
        self.total += 1

    def push(self, int64_t ts_event, int32_t price, int32_t size, int8_t aggressor_side):
        """Append one trade: ns UTC, ticks, contracts, +1, -1 or 0."""
        self.make_room(1)
        self.append(ts_event, price, size, aggressor_side)

    def _column(self, int k):
        cdef Py_ssize_t n = min(self._size, self.capacity)
        return self._memory[k][self._tail - n:self._tail]

    @property
    def ts_event(self):
        """Times of the newest trades, oldest first, ns UTC; valid until the next push."""
        return self._column(0)

    @property
    def price(self):
        """Prices of the newest trades, oldest first, ticks; valid until the next push."""
        return self._column(1)

    @property
    def size(self):
        """Sizes of the newest trades, oldest first, contracts; valid until the next push."""
        return self._column(2)

    @property
    def aggressor_side(self):
        """Sides of the newest trades, oldest first; valid until the next push."""
        return self._column(3)
