"""Bar builders: time, reversal, tick, volume and range bars from trades, wider from narrower.

A builder is driven in two steps. `scan` looks ahead for the trade that ends the open bar,
`absorb` adds the trades up to it. So a batch and a single trade go through the same code, and
everything else that a trade changes can be done between the two, in loops of its own.
"""

cimport cython
from libc.string cimport memmove, memset

import numpy as np

from mia._fast.records cimport FLAG_PARTIAL, FLAG_READY_MADE, FLAG_SESSION_END

from mia._fast import records

cdef enum:
    ROOM = 1024                 # slots of a series

cdef int64_t SECOND = 1_000_000_000

KINDS = {"time": 0, "reversal": 1, "tick": 2, "volume": 3, "range": 4}


@cython.final
cdef class BarSeries:
    """The newest bars of a session, side by side in memory.

    Attributes
    ----------
    count : int
        Bars pushed since the reset.
    """

    def __cinit__(self):
        memory = np.zeros(ROOM, records.BAR_DTYPE)
        self._bars = memory
        self._memory = memory.view()
        self._memory.flags.writeable = False

    cpdef void reset(self) noexcept nogil:
        """Start a session."""
        self.count = 0
        self._tail = 0

    cdef const Bar* push(self, const Bar* bar) noexcept nogil:
        """Append a bar and return its place; `HISTORY` bars stay readable behind it."""
        if self._tail == ROOM:
            memmove(&self._bars[0], &self._bars[ROOM - HISTORY], HISTORY * sizeof(Bar))
            self._tail = HISTORY
        self._bars[self._tail] = bar[0]
        self._tail += 1
        self.count += 1
        return &self._bars[self._tail - 1]

    cdef const Bar* last(self) noexcept nogil:
        """Place of the newest bar; `count` is at least 1."""
        return &self._bars[self._tail - 1]

    @property
    def bars(self):
        """Newest bars, oldest first, records of BAR_DTYPE; valid until the next push."""
        cdef Py_ssize_t n = min(self.count, self._tail)
        return self._memory[self._tail - n:self._tail]


@cython.final
cdef class BarBuilder:
    """Build bars of one stream from trades.

    Parameters
    ----------
    stream : str
        ``kind:argument``; kind is time (seconds), reversal (ticks), tick (trades),
        volume (contracts) or range (ticks).
    large : int
        Size from which a trade counts into ``large_volume``, contracts.

    Raises
    ------
    ValueError
        If the stream is none of these.
    """

    def __cinit__(self, str stream, int64_t large=100):
        kind, _, argument = stream.partition(":")
        if kind not in KINDS or not argument.isdigit() or int(argument) < 1:
            raise ValueError(f"expected kind:argument with kind of {list(KINDS)}, was {stream!r}")
        self.kind = KINDS[kind]
        self.argument = int(argument)
        if self.kind == KIND_TIME and 86400 % self.argument:
            raise ValueError(f"a time bar's width must divide 86400 seconds, was {argument}")
        self._width_ns = self.argument * SECOND
        self._large = large

    cdef void reset(self) noexcept nogil:
        """Start a session without an open bar."""
        self.has_bar = False
        self.next_direction = 0
        self._closed = 0

    cdef void begin(self, const Session* session, int64_t ts, int64_t price) noexcept nogil:
        """Open an empty bar whose first trade will be at `ts` and `price`.

        A late trade whose slot the clock has closed opens the next one of its session.
        """
        cdef int64_t slot
        memset(&self.bar, 0, sizeof(Bar))
        self.bar.session_id = session.session_id
        self.bar.open = price
        self.bar.high = price
        self.bar.low = price
        self.bar.close = price
        if self.kind == KIND_TIME:
            slot = max(ts, min(self._closed, session.t_end - 1)) - session.t_open
            slot //= self._width_ns
            self.bar.t_open = session.t_open + slot * self._width_ns
            self.bar.t_close = self.bar.t_open + self._width_ns
        else:
            self.bar.t_open = ts
            self.bar.t_close = ts
            self.bar.direction = self.next_direction
        self.has_bar = True

    cdef Py_ssize_t scan(
        self,
        const int64_t* ts,
        const int32_t* price,
        const int32_t* size,
        Py_ssize_t start,
        Py_ssize_t stop,
        int* outcome,
    ) noexcept nogil:
        """Return the end of the trades from `start` that belong to the open bar.

        Trades without positive size are passed over; they belong to no bar. `outcome` tells
        whether and how the bar ends there.
        """
        cdef Py_ssize_t k
        cdef int64_t limit, left, high = self.bar.high, low = self.bar.low, p
        cdef int64_t direction = self.bar.direction, span = self.argument
        outcome[0] = OPEN
        if self.kind == KIND_TIME:
            limit = self.bar.t_close
            for k in range(start, stop):
                if ts[k] >= limit and size[k] > 0:
                    outcome[0] = CLOSED_BEFORE
                    return k
            return stop
        if self.kind == KIND_REVERSAL:
            for k in range(start, stop):
                if size[k] <= 0:
                    continue
                p = price[k]
                if direction > 0:
                    if p <= high - span:
                        outcome[0] = CLOSED_BEFORE
                        break
                elif direction < 0:
                    if p >= low + span:
                        outcome[0] = CLOSED_BEFORE
                        break
                elif p >= low + span:
                    direction = 1
                elif p <= high - span:
                    direction = -1
                if p > high:
                    high = p
                if p < low:
                    low = p
            else:
                k = stop
            self.bar.direction = direction
            if outcome[0] == CLOSED_BEFORE:
                self.next_direction = -direction
            return k
        if self.kind == KIND_RANGE:
            for k in range(start, stop):
                if size[k] <= 0:
                    continue
                p = price[k]
                if (p if p > high else high) - (p if p < low else low) > span:
                    outcome[0] = CLOSED_BEFORE
                    return k
                if p > high:
                    high = p
                if p < low:
                    low = p
            return stop
        left = span - (self.bar.trades if self.kind == KIND_TICK else self.bar.volume)
        for k in range(start, stop):
            if size[k] <= 0:
                continue
            left -= 1 if self.kind == KIND_TICK else size[k]
            if left <= 0:
                outcome[0] = CLOSED_WITH
                return k + 1
        return stop

    cdef Py_ssize_t sweep(
        self,
        const int32_t* price,
        const int32_t* size,
        const int8_t* side,
        Py_ssize_t n,
        int* outcome,
    ) noexcept nogil:
        """Add trades of positive size to an open reversal bar until one reverses it.

        Does `scan`, `extend` and `add_flow` in one loop, and returns how many were added.
        """
        cdef Py_ssize_t k = 0
        cdef int64_t high = self.bar.high, low = self.bar.low, span = self.argument, p, q
        cdef int64_t direction = self.bar.direction
        cdef int64_t volume = 0, bid = 0, ask = 0
        outcome[0] = OPEN
        while k < n:
            p = price[k]
            if p > high or p < low:
                if (direction > 0 and p <= high - span) or (direction < 0 and p >= low + span):
                    outcome[0] = CLOSED_BEFORE
                    break
                if direction == 0:
                    direction = (p >= low + span) - (p <= high - span)
                high = p if p > high else high
                low = p if p < low else low
            elif direction > 0:
                if p <= high - span:
                    outcome[0] = CLOSED_BEFORE
                    break
            elif direction < 0:
                if p >= low + span:
                    outcome[0] = CLOSED_BEFORE
                    break
            q = size[k]
            volume += q
            bid += q if side[k] < 0 else 0
            ask += q if side[k] > 0 else 0
            k += 1
        self.bar.direction = direction
        if outcome[0] == CLOSED_BEFORE:
            self.next_direction = -direction
        if k > 0:
            self.bar.high = high
            self.bar.low = low
            self.bar.close = price[k - 1]
            self.bar.trades += k
            self.bar.volume += volume
            self.bar.bid_volume += bid
            self.bar.ask_volume += ask
        return k

    cdef void absorb(
        self, const int32_t* price, const int32_t* size, const int8_t* side, Py_ssize_t n
    ) noexcept nogil:
        """Add trades of positive size to the open bar, with all its sums."""
        cdef Py_ssize_t k
        cdef int64_t pv = 0, p2v = 0, large = 0, p, q
        self.extend(price, n)
        self.add_flow(size, side, n)
        for k in range(n):
            p = price[k]
            q = size[k]
            large += q if q >= self._large else 0
            pv += q * p
            p2v += q * p * p
        self.bar.large_volume += large
        self.bar.pv += pv
        self.bar.p2v += p2v

    cdef void extend(self, const int32_t* price, Py_ssize_t n) noexcept nogil:
        """Take the prices of trades into the open bar: extremes, close, count."""
        cdef Py_ssize_t k
        cdef int32_t high, low
        if n <= 0:
            return
        high = price[0]
        low = price[0]
        for k in range(n):
            high = price[k] if price[k] > high else high
            low = price[k] if price[k] < low else low
        self.bar.high = max(self.bar.high, <int64_t> high)
        self.bar.low = min(self.bar.low, <int64_t> low)
        self.bar.close = price[n - 1]
        self.bar.trades += n

    cdef void add_flow(self, const int32_t* size, const int8_t* side, Py_ssize_t n) noexcept nogil:
        """Take the sizes of trades into the open bar: volume, sold and bought."""
        cdef Py_ssize_t k
        cdef int64_t volume = 0, bid = 0, ask = 0
        for k in range(n):
            volume += size[k]
            bid += size[k] if side[k] < 0 else 0
            ask += size[k] if side[k] > 0 else 0
        self.bar.volume += volume
        self.bar.bid_volume += bid
        self.bar.ask_volume += ask

    cdef void finish(self, int64_t ts, int64_t flags, Bar* out) noexcept nogil:
        """Close the open bar; `ts` is the time of closing for all but time bars.

        A late trade closes its bar no earlier than the one before was closed.
        """
        if self.kind == KIND_TIME and not flags & FLAG_PARTIAL:
            flags &= ~FLAG_SESSION_END
        else:
            self.bar.t_close = max(ts, self._closed)
        self._closed = self.bar.t_close
        self.bar.flags = flags
        out[0] = self.bar
        self.has_bar = False


@cython.final
cdef class Resampler:
    """Group bars by the slots of a wider time bar."""

    def __cinit__(self, int64_t width_s):
        if width_s < 1 or 86400 % width_s:
            raise ValueError(f"the width must divide 86400 seconds, was {width_s}")
        self.width_ns = width_s * SECOND

    cdef void reset(self) noexcept nogil:
        """Forget the open group."""
        self.has_bar = False

    cdef bint close_before(
        self, const Bar* member, const Session* session, Bar* out
    ) noexcept nogil:
        """Close the open group if `member` lies in a later slot; True if `out` was written."""
        if self.has_bar and member.t_open >= self.bar.t_close:
            out[0] = self.bar
            self.has_bar = False
            return True
        return False

    cdef bint add(self, const Bar* member, const Session* session, Bar* out) noexcept nogil:
        """Add `member`; True if that completes its slot and `out` was written."""
        cdef int64_t slot
        if not self.has_bar:
            slot = (member.t_open - session.t_open) // self.width_ns
            self.bar = member[0]
            self.bar.t_open = session.t_open + slot * self.width_ns
            self.bar.t_close = self.bar.t_open + self.width_ns
            self.bar.direction = 0
            self.bar.flags = member.flags & FLAG_READY_MADE
            self.has_bar = True
        else:
            if member.high > self.bar.high:
                self.bar.high = member.high
            if member.low < self.bar.low:
                self.bar.low = member.low
            self.bar.close = member.close
            self.bar.volume += member.volume
            self.bar.bid_volume += member.bid_volume
            self.bar.ask_volume += member.ask_volume
            self.bar.trades += member.trades
            self.bar.pv += member.pv
            self.bar.p2v += member.p2v
            self.bar.large_volume += member.large_volume
            self.bar.flags |= member.flags & FLAG_READY_MADE
        if member.t_close >= self.bar.t_close:
            out[0] = self.bar
            self.has_bar = False
            return True
        return False


cdef int64_t find_session(const Session[::1] sessions, int64_t ts) noexcept nogil:
    """Index of the session that holds `ts`, -1 if the table does not reach it."""
    cdef int64_t low = 0, high = sessions.shape[0] - 1, middle
    if high < 0 or ts < sessions[0].t_open or ts >= sessions[high].t_end:
        return -1
    while low < high:
        middle = (low + high + 1) // 2
        if sessions[middle].t_open <= ts:
            low = middle
        else:
            high = middle - 1
    return low


cdef inline int tick_sign(int64_t price, int64_t last, int sign) noexcept nogil:
    return sign if price == last else (1 if price > last else -1)


def build(
    str stream,
    const Session[::1] sessions not None,
    const int64_t[::1] ts not None,
    const int32_t[::1] price not None,
    const int32_t[::1] size not None,
    const int8_t[::1] side not None,
    int64_t large=100,
    bint tick_rule=True,
):
    """Build all bars of a stream of trades, the open one included.

    Parameters
    ----------
    stream : str
        As for `BarBuilder`.
    sessions : ndarray of records.SESSION_DTYPE
        Ascending, covering the trades.
    ts, price, size, side : ndarray, shape (n,)
        ns UTC, ticks, contracts, aggressor.
    large : int
        Size of a large trade, contracts.
    tick_rule : bool
        Give trades of unknown side the sign of the last price change.

    Returns
    -------
    bars : ndarray of records.BAR_DTYPE
        Closed bars, then the open one with flag PARTIAL.
    rejected : int
        Trades with negative size or of an earlier session than the current one.

    Raises
    ------
    ValueError
        If the columns differ in length or a trade lies outside the session table.
    """
    cdef Py_ssize_t n = ts.shape[0], i = 0, j
    cdef int outcome = OPEN
    cdef int8_t s
    cdef int sign = 0
    cdef int64_t k = -1, rejected = 0, last = 0, at = 0
    cdef bint fresh = True
    cdef Bar out
    cdef BarBuilder builder = BarBuilder(stream, large)
    cdef Bar[::1] one
    if not (price.shape[0] == n and size.shape[0] == n and side.shape[0] == n):
        raise ValueError("columns differ in length")
    closed = []
    store = np.zeros(1, records.BAR_DTYPE)
    one = store
    while i < n:
        if size[i] <= 0 or (k >= 0 and ts[i] < sessions[k].t_open):
            rejected += size[i] != 0
            i += 1
            continue
        if k < 0 or ts[i] >= sessions[k].t_end:
            if builder.has_bar:
                builder.finish(at, FLAG_SESSION_END, &out)
                one[0] = out
                closed.append(store.copy())
            k = find_session(sessions, ts[i])
            if k < 0:
                raise ValueError(f"trade {i} at {ts[i]} is outside the session table")
            builder.reset()
            sign = 0
            fresh = True
        if not builder.has_bar:
            builder.begin(&sessions[k], ts[i], price[i])
        j = builder.scan(&ts[0], &price[0], &size[0], i, i + 1, &outcome)
        if j > i:
            at = ts[i]
            if not fresh:
                sign = tick_sign(price[i], last, sign)
            last = price[i]
            fresh = False
            s = side[i] if side[i] != 0 or not tick_rule else <int8_t> sign
            builder.absorb(&price[i], &size[i], &s, 1)
            i = j
        if outcome != OPEN:
            builder.finish(ts[i - 1] if outcome == CLOSED_WITH else ts[i], 0, &out)
            one[0] = out
            closed.append(store.copy())
    if builder.has_bar:
        builder.finish(at, FLAG_PARTIAL, &out)
        one[0] = out
        closed.append(store.copy())
    bars = np.concatenate(closed) if closed else np.zeros(0, records.BAR_DTYPE)
    return bars, rejected
