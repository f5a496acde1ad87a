"""Volume-weighted average price with its volume-weighted deviation, exact in integers.

Sums are kept in thirds of a tick about a reference price, so that ready-made bars enter with
their typical price (H + L + C) / 3 without rounding, the order of summation does not matter,
and nothing drifts over a session.
"""

cimport cython
from libc.math cimport NAN, sqrt

from mia._fast.records cimport FLAG_READY_MADE


@cython.final
cdef class Vwap:
    """Session VWAP with population standard deviation, both in ticks.

    Attributes
    ----------
    weight : int
        Contracts accumulated since the reset.
    """

    cpdef void reset(self) noexcept nogil:
        """Forget everything; the next price becomes the reference."""
        self.weight = 0
        self._reference = 0
        self._s1 = 0
        self._s2 = 0

    cdef void add(self, const Bar* bar) noexcept nogil:
        """Add a closed bar, by its sums if it was built from trades."""
        cdef int64_t r, y, v = bar.volume
        if v <= 0:
            return
        if self.weight == 0:
            self._reference = bar.open
        r = self._reference
        if bar.flags & FLAG_READY_MADE:
            y = bar.high + bar.low + bar.close - 3 * r
            self._s1 += v * y
            self._s2 += v * y * y
        else:
            self._s1 += 3 * (bar.pv - r * v)
            self._s2 += 9 * (bar.p2v - 2 * r * bar.pv + r * r * v)
        self.weight += v

    cdef double mean(self) noexcept nogil:
        """VWAP in ticks, nan without volume."""
        if self.weight == 0:
            return NAN
        return self._reference + <double> self._s1 / (3.0 * self.weight)

    cdef double deviation(self) noexcept nogil:
        """Standard deviation in ticks, nan without volume."""
        cdef double m, variance
        if self.weight == 0:
            return NAN
        m = <double> self._s1 / (3.0 * self.weight)
        variance = <double> self._s2 / (9.0 * self.weight) - m * m
        return sqrt(variance) if variance > 0.0 else 0.0

    def add_trade(self, int64_t price, int64_t size):
        """Add one trade: `price` in ticks, `size` in contracts."""
        cdef int64_t y
        if size <= 0:
            return
        if self.weight == 0:
            self._reference = price
        y = 3 * (price - self._reference)
        self._s1 += size * y
        self._s2 += size * y * y
        self.weight += size

    def add_bar(self, int64_t open, int64_t high, int64_t low, int64_t close, int64_t volume):
        """Add a ready-made bar: prices in ticks, `volume` in contracts."""
        cdef Bar bar
        bar.open = open
        bar.high = high
        bar.low = low
        bar.close = close
        bar.volume = volume
        bar.flags = FLAG_READY_MADE
        self.add(&bar)

    @property
    def value(self):
        """VWAP in ticks, nan without volume."""
        return self.mean()

    @property
    def std(self):
        """Volume-weighted standard deviation in ticks, nan without volume."""
        return self.deviation()
