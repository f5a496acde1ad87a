"""Market profile: volume at price, point of control, value area and nodes.

Rows are single ticks in units of 2^-20 lot, so that the volume of a ready-made bar spreads over
its range in integers and sums do not depend on their order.
"""

cimport cython
from libc.stdlib cimport calloc, free, llabs
from libc.string cimport memcpy, memset

import numpy as np


cdef enum:
    MAX_NODES = 256
    MAX_SPAN = 1 << 22          # beyond any session: such prices are an error of the source


cdef int rows_init(PriceRows* rows, int64_t capacity, int64_t columns) except -1 nogil:
    """Allocate empty rows."""
    rows.data = <int64_t*> calloc(capacity * columns, sizeof(int64_t))
    if rows.data == NULL:
        raise MemoryError()
    rows.base = 0
    rows.capacity = capacity
    rows.columns = columns
    rows.low = 1
    rows.high = 0
    return 0


cdef void rows_free(PriceRows* rows) noexcept nogil:
    free(rows.data)
    rows.data = NULL


cdef void rows_clear(PriceRows* rows) noexcept nogil:
    """Empty the rows; costs their touched range."""
    if rows.low <= rows.high:
        memset(
            rows.data + (rows.low - rows.base) * rows.columns,
            0,
            (rows.high - rows.low + 1) * rows.columns * sizeof(int64_t),
        )
    rows.low = 1
    rows.high = 0


cdef int rows_cover(PriceRows* rows, int64_t low, int64_t high) except -1 nogil:
    """Make [low, high] part of the touched range, moving or growing the memory if needed."""
    cdef int64_t* grown
    cdef int64_t first, last, span, capacity, base
    if rows.low > rows.high:
        first = low
        last = high
    else:
        if rows.low <= low and high <= rows.high:
            return 0
        first = min(rows.low, low)
        last = max(rows.high, high)
    if not (rows.base <= first and last < rows.base + rows.capacity):
        span = last - first + 1
        if span > MAX_SPAN:
            raise ValueError("prices of one session span more than four million ticks")
        capacity = rows.capacity
        while capacity < 2 * span:
            capacity *= 2
        base = first - (capacity - span) // 2
        if rows.low > rows.high and capacity == rows.capacity:
            rows.base = base
        else:
            grown = <int64_t*> calloc(capacity * rows.columns, sizeof(int64_t))
            if grown == NULL:
                raise MemoryError()
            if rows.low <= rows.high:
                memcpy(
                    grown + (rows.low - base) * rows.columns,
                    rows.data + (rows.low - rows.base) * rows.columns,
                    (rows.high - rows.low + 1) * rows.columns * sizeof(int64_t),
                )
            free(rows.data)
            rows.data = grown
            rows.capacity = capacity
            rows.base = base
    rows.low = first
    rows.high = last
    return 0


cdef int64_t _least_multiple(double bound, int64_t n) noexcept nogil:
    """Smallest integer t with t * n >= bound, as the comparison in float64 has it."""
    cdef int64_t t = <int64_t> (bound / n)
    while t > 0 and <double> ((t - 1) * n) >= bound:
        t -= 1
    while <double> (t * n) < bound:
        t += 1
    return t


@cython.final
cdef class Profile:
    """Volume at price of one session.

    Parameters
    ----------
    params : ndarray of records.PARAMS_DTYPE, shape (1,)

    Attributes
    ----------
    poc, val, vah : int
        Point of control and value area in ticks, as of the last `evaluate` or `levels`.
    """

    def __cinit__(self, const Params[::1] params not None):
        self._p = params[0]
        rows_init(&self._rows, 2048, 1)
        self._nodes = np.zeros(MAX_NODES)
        self._smooth = np.zeros(2048, np.int64)

    def __dealloc__(self):
        rows_free(&self._rows)

    cpdef void reset(self) noexcept nogil:
        """Start a session with empty rows."""
        rows_clear(&self._rows)
        self._total = 0
        self._most = 0
        self._tied = False

    cdef void _note(self, int64_t low, int64_t high) noexcept nogil:
        """Keep track of the largest row after the rows low..high have grown."""
        cdef const int64_t* row = self._rows.data - self._rows.base
        cdef int64_t p
        for p in range(low, high + 1):
            if row[p] > self._most:
                self._most = row[p]
                self._largest = p
                self._tied = False
            elif row[p] == self._most and p != self._largest:
                self._tied = True

    cdef bint empty(self) noexcept nogil:
        return self._rows.low > self._rows.high

    cdef int add_prints(self, const PriceRows* prints) except -1 nogil:
        """Add the volume at price of a bar built from trades (three columns: bid, unknown, ask)."""
        cdef int64_t* row
        cdef const int64_t* cell
        cdef int64_t p, lots
        if prints.low > prints.high:
            return 0
        rows_cover(&self._rows, prints.low, prints.high)
        row = self._rows.data + (prints.low - self._rows.base)
        cell = prints.data + (prints.low - prints.base) * 3
        for p in range(prints.high - prints.low + 1):
            lots = cell[3 * p] + cell[3 * p + 1] + cell[3 * p + 2]
            row[p] += lots << LOT_SHIFT
            self._total += lots << LOT_SHIFT
        self._note(prints.low, prints.high)
        return 0

    cdef int add_range(self, const Bar* bar) except -1 nogil:
        """Spread the volume of a ready-made bar evenly over its range."""
        cdef int64_t* row
        cdef int64_t p, n = bar.high - bar.low + 1
        cdef int64_t share = (bar.volume << LOT_SHIFT) // n
        rows_cover(&self._rows, bar.low, bar.high)
        row = self._rows.data + (bar.low - self._rows.base)
        for p in range(n):
            row[p] += share
        self._total += share * n
        self._note(bar.low, bar.high)
        return 0

    cdef void evaluate(self) noexcept nogil:
        """Find POC and value area; the profile is not empty."""
        cdef const int64_t* row = self._rows.data + (self._rows.low - self._rows.base)
        cdef int64_t n = self._rows.high - self._rows.low + 1
        cdef int64_t p, best, most = self._most, off, best_off
        cdef int64_t a, b, cum, up, dn, target
        best = self._largest - self._rows.low
        if self._tied or most == 0:
            # Ties: nearest to the middle of the range, then the lower row.
            best_off = n
            for p in range(n):
                if row[p] == most:
                    off = llabs(2 * p - (n - 1))
                    if off < best_off:
                        best = p
                        best_off = off
        a = best
        b = best
        cum = most
        target = self._p.profile_value_area_pct * self._total
        while cum * 100 < target:
            up = -1
            dn = -1
            if b + 1 < n:
                up = row[b + 1] + (row[b + 2] if b + 2 < n else 0)
            if a >= 1:
                dn = row[a - 1] + (row[a - 2] if a >= 2 else 0)
            if up >= 0 and up >= dn:
                cum += up
                b = min(b + 2, n - 1)
                if dn == up:
                    cum += dn
                    a = max(a - 2, 0)
            else:
                cum += dn
                a = max(a - 2, 0)
        self.poc = self._rows.low + best
        self.val = self._rows.low + a
        self.vah = self._rows.low + b

    cdef Py_ssize_t find_hvn(self) except -1 nogil:
        """Write the high-volume nodes, ascending, to `_nodes` and return their count."""
        if self._rows.high - self._rows.low >= self._smooth.shape[0]:
            with gil:
                self._fit_scratch()
        return self._nodes_of(True, &self._nodes[0], MAX_NODES)

    cdef Py_ssize_t _nodes_of(self, bint high, double* out, Py_ssize_t room) noexcept nogil:
        cdef const int64_t* row = self._rows.data + (self._rows.low - self._rows.base)
        cdef int64_t n = self._rows.high - self._rows.low + 1
        cdef int64_t m = self._p.profile_smooth, w = self._p.profile_node_window
        cdef int64_t p, q, total, window = 0, first = 0, last = -2, level = 0, threshold
        cdef int64_t first_row, last_row, head
        cdef int64_t* s = &self._smooth[0]
        cdef double bound
        cdef bint keeps
        cdef Py_ssize_t found = 0
        if n < 2 * w + 1 or n > self._smooth.shape[0]:
            return 0
        # Sum of all smoothed rows: rows near an end are counted in fewer windows.
        total = (2 * m + 1) * self._total
        for p in range(min(m, n)):
            total -= (m - p) * (row[p] + row[n - 1 - p])
            window += row[p]
        head = min(m + 1, n)
        for p in range(head):
            window += row[p + m] if p + m < n else 0
            s[p] = window
        for p in range(head, n - m):
            window += row[p + m] - row[p - m - 1]
            s[p] = window
        for p in range(max(head, n - m), n):
            window -= row[p - m - 1]
            s[p] = window
        bound = (self._p.profile_hvn_ratio if high else self._p.profile_lvn_ratio) * total
        threshold = _least_multiple(bound, n)
        if high:
            first_row = 0
            last_row = n - 1
        else:
            first_row = w
            last_row = n - 1 - w
        p = first_row - 1
        while True:
            p += 1
            if high:
                while p <= last_row and s[p] < threshold:
                    p += 1
            else:
                while p <= last_row and <double> (s[p] * n) > bound:
                    p += 1
            if p > last_row:
                break
            keeps = True
            for q in range(max(0, p - w), min(n - 1, p + w) + 1):
                if (s[q] > s[p]) if high else (s[q] < s[p]):
                    keeps = False
                    break
            if not keeps:
                continue
            if last == p - 1 and level == s[p]:
                out[found - 1] = self._rows.low + 0.5 * (first + p)
            elif found < room:
                first = p
                level = s[p]
                out[found] = self._rows.low + p
                found += 1
            else:
                break
            last = p
        return found

    def _fit_scratch(self):
        cdef int64_t n = self._rows.high - self._rows.low + 1
        if n > self._smooth.shape[0]:
            self._smooth = np.zeros(2 * n, np.int64)

    def add_trade(self, int64_t price, int64_t size):
        """Add `size` contracts at `price` ticks."""
        rows_cover(&self._rows, price, price)
        self._rows.data[price - self._rows.base] += size << LOT_SHIFT
        self._total += size << LOT_SHIFT
        self._note(price, price)

    def add_bar(self, int64_t high, int64_t low, int64_t volume):
        """Spread `volume` contracts over [low, high] ticks.

        Raises
        ------
        ValueError
            If `low` is above `high`.
        """
        cdef Bar bar
        if low > high:
            raise ValueError(f"low must not be above high, were {low} and {high}")
        bar.high = high
        bar.low = low
        bar.volume = volume
        self.add_range(&bar)

    def levels(self):
        """Return (poc, val, vah) in ticks, or None while the profile is empty."""
        if self.empty():
            return None
        self.evaluate()
        return self.poc, self.val, self.vah

    def _list_nodes(self, bint high):
        if self.empty():
            return []
        self._fit_scratch()
        found = self._nodes_of(high, &self._nodes[0], MAX_NODES)
        return [self._nodes[i] for i in range(found)]

    @property
    def hvn(self):
        """High-volume nodes in ticks, ascending; half a tick where a plateau has even width."""
        return self._list_nodes(True)

    @property
    def lvn(self):
        """Low-volume nodes in ticks, ascending."""
        return self._list_nodes(False)

    @property
    def low(self):
        """Lowest touched price in ticks."""
        return self._rows.low

    @property
    def rows(self):
        """Copy of the rows from the lowest touched price up, in units of 2^-20 lot."""
        cdef int64_t n = self._rows.high - self._rows.low + 1
        if n <= 0:
            return np.zeros(0, np.int64)
        view = <int64_t[:n]> (self._rows.data + (self._rows.low - self._rows.base))
        return np.array(view)
