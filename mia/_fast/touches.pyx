"""Touches of levels by the RTH bars of a session.

A level that moves (a wall at a new snapshot) is judged by where it is now, so the highs and lows
of the bars are kept, and read again when it moved.
"""

cimport cython
from libc.math cimport NAN, isnan
from libc.stdint cimport int64_t

import numpy as np

from mia._fast.records cimport Bar, ceil_tol, floor_tol, le

cdef double TOUCH_TICKS = 2.0


@cython.final
cdef class Touches:
    """Counts of touches of a few levels, each in a slot of its own.

    Notes
    -----
    An RTH bar touches a level if it comes within 2 ticks of it and the bar before did not. A level
    that moves is counted anew over the newest 32,768 bars.
    """

    def __cinit__(self):
        cdef int64_t[::1] memory = np.zeros(3 * RECORD_BARS, np.int64)
        self._memory = memory.base
        self._highs = &memory[0]
        self._lows = &memory[RECORD_BARS]
        self._counts = &memory[2 * RECORD_BARS]
        self.clear()

    cdef void clear(self) noexcept nogil:
        """Start a session: no bars."""
        cdef int slot
        for slot in range(N_TRACKED):
            self._tracked[slot].price = NAN
            self._tracked[slot].touches = 0
            self._tracked[slot].inside = 0
        self._recorded = 0
        self._held = 0
        self._started = False

    cdef int64_t count(self, int slot, double price) noexcept nogil:
        """Count the recorded RTH bars that came to `price` from away."""
        cdef Tracked* tracked = &self._tracked[slot]
        cdef int64_t high, low
        cdef Py_ssize_t k, at
        cdef bint inside, before
        if tracked.price == price:
            return tracked.touches
        # Bounds in whole ticks, as bars have them: the search is the one long loop at a close.
        high = <int64_t> ceil_tol(price - TOUCH_TICKS)
        low = <int64_t> floor_tol(price + TOUCH_TICKS)
        tracked.price = price
        tracked.touches = 0
        before = False
        for k in range(self._held):
            at = (self._recorded - self._held + k) & (RECORD_BARS - 1)
            inside = (self._highs[at] >= high) & (self._lows[at] <= low)
            tracked.touches += inside & (not before) & self._counts[at]
            before = inside
        tracked.inside = before
        return tracked.touches

    cdef void record(self, const Bar* bar, bint rth) noexcept nogil:
        """Remember a bar from the first of RTH on, and the latest bar before them."""
        cdef Py_ssize_t at
        cdef int slot
        cdef bint inside
        if not rth and not self._started:
            self._recorded = 0
            self._held = 0
        self._started = self._started or rth
        at = self._recorded & (RECORD_BARS - 1)
        self._highs[at] = bar.high
        self._lows[at] = bar.low
        self._counts[at] = rth
        self._recorded += 1
        if self._held < RECORD_BARS:
            self._held += 1
        else:                           # what was before the oldest bar is forgotten
            self._counts[self._recorded & (RECORD_BARS - 1)] = 0
        for slot in range(N_TRACKED):
            if isnan(self._tracked[slot].price):
                continue
            inside = _touched(bar.high, bar.low, self._tracked[slot].price)
            if rth and inside and self._tracked[slot].inside == 0:
                self._tracked[slot].touches += 1
            self._tracked[slot].inside = inside


cdef inline bint _touched(int64_t high, int64_t low, double price) noexcept nogil:
    return le(<double> low - TOUCH_TICKS, price) and le(price, <double> high + TOUCH_TICKS)
