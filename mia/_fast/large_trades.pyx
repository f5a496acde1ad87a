"""Smart money: who was behind the large trades of the last minutes.

The ring never grows. At the default of 100 lots its 16,384 trades are 1.6 million lots in five
minutes, about what ES trades in a day; should a small `feat.f8_min_lots` fill it nevertheless,
the oldest trades leave early and `dropped` counts them. Sums are integers, so they never drift.
"""

cimport cython
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc

from mia._fast.records cimport Params, dmin


@cython.final
cdef class LargeTrades:
    """Trades of at least `feat.f8_min_lots` within `feat.f8_window_s` of a close.

    Parameters
    ----------
    params : ndarray of PARAMS_DTYPE, shape (1,)
        The method's parameters.
    capacity : int
        Trades held at most, a power of two.

    Raises
    ------
    ValueError
        If there is not exactly one record, or `capacity` is no power of two.
    """

    def __cinit__(self, params not None, Py_ssize_t capacity=16384):
        cdef const Params[::1] view = params
        if view.shape[0] != 1:
            raise ValueError(f"params must hold one record, held {view.shape[0]}")
        if capacity < 1 or capacity & (capacity - 1):
            raise ValueError(f"capacity must be a power of two, was {capacity}")
        self._capacity = capacity
        self._window_ns = view[0].feat_f8_window_s * 1_000_000_000
        self._min_lots = view[0].feat_f8_min_lots
        self._block_lots = view[0].feat_f8_block_lots
        self._norm = view[0].feat_f8_norm
        self._ts = <int64_t*> malloc(capacity * sizeof(int64_t))
        self._weight = <int64_t*> malloc(capacity * sizeof(int64_t))
        if self._ts == NULL or self._weight == NULL:
            raise MemoryError(f"no memory for {capacity} large trades")
        self.reset()

    def __dealloc__(self):
        free(self._ts)
        free(self._weight)

    def __len__(self):
        return self._size

    cdef void reset(self) noexcept nogil:
        self._head = self._size = 0
        self._buys = self._sells = 0
        self.dropped = 0

    cdef void _drop_oldest(self) noexcept nogil:
        cdef int64_t weight = self._weight[self._head]
        if weight > 0:
            self._buys -= weight
        else:
            self._sells += weight
        self._head = (self._head + 1) & (self._capacity - 1)
        self._size -= 1

    cpdef void push(self, int64_t ts, int64_t size, int side) noexcept nogil:
        """Take a trade; small ones and those of unknown side are ignored.

        Parameters
        ----------
        ts : int
            Exchange time, ns UTC. A late trade finds its place.
        size : int
            Contracts.
        side : int
            +1 buyer, -1 seller, 0 unknown.
        """
        cdef Py_ssize_t mask = self._capacity - 1, slot, before
        cdef int64_t weight
        if size < self._min_lots or side == 0:
            return
        if self._size == self._capacity:
            self._drop_oldest()
            self.dropped += 1
        weight = 2 * size if size >= self._block_lots else size
        if side > 0:
            self._buys += weight
        else:
            self._sells += weight
            weight = -weight
        slot = (self._head + self._size) & mask
        while slot != self._head:
            before = (slot - 1) & mask
            if self._ts[before] <= ts:
                break
            self._ts[slot] = self._ts[before]
            self._weight[slot] = self._weight[before]
            slot = before
        self._ts[slot] = ts
        self._weight[slot] = weight
        self._size += 1

    cpdef double value(self, int64_t t_close) noexcept nogil:
        """Return the signed balance in [-1, 1] at a close, and forget what is too old.

        Parameters
        ----------
        t_close : int
            Time of the close, ns UTC; never earlier than in the call before.
        """
        cdef int64_t total
        while self._size and self._ts[self._head] <= t_close - self._window_ns:
            self._drop_oldest()
        total = self._buys + self._sells
        if total == 0:
            return 0.0
        return (
            <double> (self._buys - self._sells) / total * dmin(total / self._norm, 1.0)
        )
