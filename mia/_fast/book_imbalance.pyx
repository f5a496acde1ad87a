"""Imbalance of the order book, sampled once a second.

The last state of each second that saw an update is the sample of that second. It takes effect
at closes from the end of the second on, and waits in a ring until then: a close may be noticed
long after its time, when the next trade comes, and must not read what the book did meanwhile.
"""

cimport cython
from libc.math cimport sqrt
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc

from mia._fast.records cimport Params, dmin

cdef enum:
    LEVELS = 10                 # bound of feat.f6_levels
    SPREADS = 20                # samples behind the score of the spread
    SECOND = 1_000_000_000


@cython.final
cdef class BookImbalance:
    """Smoothed imbalance of the book and the state of its spread.

    Parameters
    ----------
    params : ndarray of PARAMS_DTYPE, shape (1,)
        The method's parameters.
    capacity : int
        Samples that can wait for their close, a power of two. When more wait, the oldest
        takes effect at once and `early` counts it.

    Raises
    ------
    ValueError
        If there is not exactly one record, `feat.f6_levels` exceeds 10, or `capacity` is no
        power of two.
    """

    def __cinit__(self, params not None, Py_ssize_t capacity=4096):
        cdef const Params[::1] view = params
        if view.shape[0] != 1:
            raise ValueError(f"params must hold one record, held {view.shape[0]}")
        self._p = view[0]
        if not 1 <= self._p.feat_f6_levels <= LEVELS:
            raise ValueError(
                f"feat.f6_levels must be from 1 to {LEVELS}, was {self._p.feat_f6_levels}"
            )
        if capacity < 1 or capacity & (capacity - 1):
            raise ValueError(f"capacity must be a power of two, was {capacity}")
        self._capacity = capacity
        self._waiting = <BookSample*> malloc(capacity * sizeof(BookSample))
        if self._waiting == NULL:
            raise MemoryError(f"no memory for {capacity} samples of the book")
        self.reset()

    def __dealloc__(self):
        free(self._waiting)

    cdef void reset(self) noexcept nogil:
        self._second = self._sampled = -1
        self._head = self._size = 0
        self._ema = self._weight = 0.0
        self.good = self.early = 0
        self.raw = 0.0
        self.spread = 0

    cdef void start(self, int64_t t_open) noexcept nogil:
        # Start a session at `t_open`; what the book did since then waits for its first close.
        while self._size and self._waiting[self._head].second * SECOND < t_open:
            self._head = (self._head + 1) & (self._capacity - 1)
            self._size -= 1
        if self._second * SECOND < t_open:
            self._second = -1
        self._sampled = max(self._sampled, t_open // SECOND - 1)
        self._ema = self._weight = 0.0
        self.good = self.early = 0
        self.raw = 0.0
        self.spread = 0

    cdef void forget(self) noexcept nogil:
        # Go on as if no book had been seen in this session; seconds sampled stay so.
        self._second = -1
        self._head = self._size = 0
        self._ema = self._weight = 0.0
        self.good = 0
        self.raw = 0.0
        self.spread = 0

    cdef void on_book(
        self, int64_t ts, const int64_t* bid_sizes, const int64_t* ask_sizes,
        Py_ssize_t levels, int64_t spread,
    ) noexcept nogil:
        cdef int64_t second = ts // SECOND
        cdef Py_ssize_t j
        if second < self._second or second <= self._sampled:
            return                      # late: its second has been sampled
        if second > self._second and self._second >= 0:
            self._sample()
        self._second = second
        self._spread = spread
        for j in range(LEVELS):
            self._bids[j] = bid_sizes[j] if j < levels else 0
            self._asks[j] = ask_sizes[j] if j < levels else 0

    cdef void settle(self, int64_t t_close) noexcept nogil:
        # Let the sample of each second that has ended by t_close take effect.
        while self._size and t_close >= (self._waiting[self._head].second + 1) * SECOND:
            self._take_oldest()
        if self._second >= 0 and t_close >= (self._second + 1) * SECOND:
            self._sample()
            if self._size:              # the only one: all before it have ended too
                self._take_oldest()

    cdef void _sample(self) noexcept nogil:
        cdef int64_t bid = self._bids[0], ask = self._asks[0], depth = 0
        cdef double decay = 1.0, near = 0.0, sizes = 0.0
        cdef BookSample* sample
        cdef Py_ssize_t j
        self._sampled = self._second
        self._second = -1
        if bid <= 0 or ask <= 0 or self._spread <= 0:
            return
        if self._size == self._capacity:
            self._take_oldest()
            self.early += 1
        for j in range(self._p.feat_f6_levels):
            near += decay * (self._bids[j] - self._asks[j])
            sizes += decay * (self._bids[j] + self._asks[j])
            depth += self._bids[j] + self._asks[j]
            decay *= self._p.feat_f6_decay
        sample = &self._waiting[(self._head + self._size) & (self._capacity - 1)]
        sample.second = self._sampled
        sample.raw = 0.6 * (bid - ask) / (bid + ask) + 0.4 * near / sizes
        sample.weight = dmin(0.5 * depth / self._p.feat_f6_depth_ref, 1.0)
        if self._spread > self._p.feat_f6_max_spread:
            sample.weight *= 0.5
        sample.spread = self._spread
        self._size += 1

    cdef void _take_oldest(self) noexcept nogil:
        cdef const BookSample* sample = &self._waiting[self._head]
        self._head = (self._head + 1) & (self._capacity - 1)
        self._size -= 1
        self.raw = sample.raw
        self.spread = sample.spread
        self._weight = sample.weight
        if self.good == 0:
            self._ema = self.raw
        else:
            self._ema += 2.0 / (self._p.feat_f6_ema + 1) * (self.raw - self._ema)
        self._spreads[self.good % SPREADS] = self.spread
        self.good += 1

    cdef bint value(self, double* out) noexcept nogil:
        # Writes F6; returns whether it is valid.
        out[0] = self._ema * self._weight
        return self.good > 0

    cdef double spread_z(self) noexcept nogil:
        # The latest spread against the last 20 samples, itself among them; 0 with fewer.
        cdef int64_t total = 0, squares = 0
        cdef Py_ssize_t k
        if self.good < SPREADS:
            return 0.0
        for k in range(SPREADS):
            total += self._spreads[k]
            squares += self._spreads[k] * self._spreads[k]
        squares = SPREADS * squares - total * total
        if squares <= 0:
            return 0.0
        return (SPREADS * self.spread - total) / sqrt(<double> squares)

    def push(
        self, int64_t ts, const int64_t[::1] bid_sizes not None,
        const int64_t[::1] ask_sizes not None, int64_t spread,
    ):
        """Take a state of the book.

        Parameters
        ----------
        ts : int
            Time of the update, ns UTC; an update of a second already sampled is ignored.
        bid_sizes, ask_sizes : ndarray of int64
            Contracts from the best level on; missing levels count as empty.
        spread : int
            Ticks.
        """
        cdef int64_t bids[LEVELS]
        cdef int64_t asks[LEVELS]
        cdef Py_ssize_t j
        for j in range(LEVELS):
            bids[j] = bid_sizes[j] if j < bid_sizes.shape[0] else 0
            asks[j] = ask_sizes[j] if j < ask_sizes.shape[0] else 0
        self.on_book(ts, bids, asks, LEVELS, spread)

    def lose(self):
        """Forget the book: the feature is not valid until a new one was sampled."""
        self.forget()

    def at(self, int64_t t_close):
        """Return the feature in [-1, 1] and whether it is valid at a close.

        Parameters
        ----------
        t_close : int
            ns UTC; never earlier than in the call before.
        """
        cdef double found = 0.0
        self.settle(t_close)
        valid = self.value(&found)
        return found, bool(valid)

    @property
    def spread_score(self):
        """Latest sampled spread in standard deviations of the last 20, 0 with fewer."""
        return self.spread_z()
