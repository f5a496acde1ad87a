"""Market regime: a trend test on pivots, slope and momentum, a range test on touched edges.

The raw class of each bar is published only after it has held; the published regime carries
confidence and strength, and the edges of the range that was accepted last.
"""

cimport cython
from libc.math cimport NAN, fabs, isnan
from libc.stdint cimport int32_t, int64_t

from mia._fast.records cimport (
    Bar, Params, RegimeState, dmax, dmin, floor_tol, ge, gt, isgn, le,
)
from mia._fast.statistics cimport rank_hi, rank_lo, sorted_insert, sorted_remove

import numpy as np

from mia._fast import records

cdef enum:
    WIDEST = 120                # bound of reg.range_bars

cdef enum Regime:
    STRONG_TREND_BULL
    STRONG_TREND_BEAR
    WEAK_TREND_BULL
    WEAK_TREND_BEAR
    RANGE_BULLISH_BIAS
    RANGE_BEARISH_BIAS
    RANGE_NEUTRAL
    TRANSITION
    UNCLEAR

cdef struct Structure:          # pivot events of the trend window
    int64_t up
    int64_t down
    bint intact                 # the newest events all point to the side


cdef void _structure(const Bar* last, const Params* p, Structure* out) noexcept nogil:
    # Highs, and lows upside down, so that a pivot of either kind is a local maximum.
    cdef int64_t extreme[2][WIDEST]
    cdef int64_t index[2 * WIDEST]
    cdef int64_t direction[2 * WIDEST]
    cdef int64_t previous[2]
    cdef bint seen[2]
    cdef const Bar* first = last - (p.reg_bars - 1)
    cdef const int64_t* x
    cdef int64_t j, oldest, side
    cdef Py_ssize_t n = 0, k, s
    for j in range(p.reg_bars):
        extreme[0][j] = first[j].high
        extreme[1][j] = -first[j].low
    seen[0] = seen[1] = False
    previous[0] = previous[1] = 0
    out.up = out.down = 0
    for j in range(2, p.reg_bars - 2):
        for s in range(2):
            x = &extreme[s][j]
            # Bitwise: the outcome of each comparison is close to a coin toss.
            if not (
                (x[0] > (x - 1)[0]) & (x[0] > (x - 2)[0]) & (x[0] >= x[1]) & (x[0] >= x[2])
            ):
                continue
            if seen[s] and x[0] != previous[s]:
                side = 1 - 2 * s
                index[n] = j
                direction[n] = side if x[0] > previous[s] else -side
                if direction[n] > 0:
                    out.up += 1
                else:
                    out.down += 1
                n += 1
            seen[s] = True
            previous[s] = x[0]
    side = isgn(out.up - out.down)
    out.intact = side != 0 and n >= p.reg_intact
    if out.intact:
        oldest = index[n - p.reg_intact]
        for k in range(n):
            if index[k] >= oldest and direction[k] != side:
                out.intact = False


cdef int32_t _tests(
    const int32_t* price, Py_ssize_t n, int32_t low, int32_t high,
) noexcept nogil:
    # Runs of consecutive prices from low to high, counted at their starts.
    cdef Py_ssize_t k
    cdef int32_t runs = (price[0] >= low) & (price[0] <= high)
    for k in range(1, n):
        runs += (
            ((price[k] >= low) & (price[k] <= high))
            & ((price[k - 1] < low) | (price[k - 1] > high))
        )
    return runs


@cython.final
cdef class RegimeClassifier:
    """Market regime of one stream, one `update` for every bar of a session in turn.

    Parameters
    ----------
    params : ndarray of PARAMS_DTYPE, shape (1,)
        The method's parameters.

    Raises
    ------
    ValueError
        If there is not exactly one record, or a window is out of bounds.
    """

    def __cinit__(self, params not None):
        cdef const Params[::1] view = params
        if view.shape[0] != 1:
            raise ValueError(f"params must hold one record, held {view.shape[0]}")
        self._p = view[0]
        if not 11 <= self._p.reg_bars <= WIDEST:
            raise ValueError(f"reg.bars must be from 11 to {WIDEST}, was {self._p.reg_bars}")
        if not 3 <= self._p.reg_range_bars <= WIDEST:
            raise ValueError(
                f"reg.range_bars must be from 3 to {WIDEST}, was {self._p.reg_range_bars}"
            )
        if self._p.reg_intact < 1:
            raise ValueError(f"reg.intact must be at least 1, was {self._p.reg_intact}")
        self.reset()

    cdef void reset(self) noexcept nogil:
        self._held = 0
        self._raw[0] = self._raw[1] = self._raw[2] = -1
        self._run = 0
        self._regime = UNCLEAR
        self._confidence = 0.30
        self._strength = 0.0
        self._changed_at = 0
        self._resistance = self._support = self._tolerance = NAN

    cdef void update(
        self, const Bar* last, Py_ssize_t count, double atr, double vslope, RegimeState* out,
    ) noexcept nogil:
        cdef const Params* p = &self._p
        cdef Structure events
        cdef double sl, move, st = 0.0, confidence = 0.30
        cdef int64_t side, most, before, raw = UNCLEAR
        self._slide(last)
        out.tested = count >= p.reg_bars
        out.up = out.down = 0
        out.raw_strength = NAN
        out.range_quality = NAN
        if out.tested:
            _structure(last, p, &events)
            out.up = events.up
            out.down = events.down
            side = isgn(events.up - events.down)
            most = max(events.up, events.down)
            sl = vslope / atr if atr > 0.0 else 0.0
            move = (
                0.6 * (last.close - (last - 5).close) + 0.4 * (last.close - (last - 10).close)
            )
            if most > 0:
                st = 0.40 * most / (events.up + events.down)
            st += 0.35 * dmin(fabs(sl) / p.reg_slope_full, 1.0)
            if atr > 0.0:
                st += 0.25 * dmin(fabs(move) / (p.reg_mom_atr * atr), 1.0)
            out.raw_strength = st
            if (
                side != 0 and ge(st, p.reg_strong) and most >= p.reg_strong_counts
                and gt(sl * side, p.reg_slope_strong) and events.intact
            ):
                raw = STRONG_TREND_BULL if side > 0 else STRONG_TREND_BEAR
                confidence = 0.85 + 0.15 * st
            elif self._range(last, atr, out):
                if events.up - events.down >= p.reg_bias_counts:
                    raw = RANGE_BULLISH_BIAS
                elif events.down - events.up >= p.reg_bias_counts:
                    raw = RANGE_BEARISH_BIAS
                else:
                    raw = RANGE_NEUTRAL
                if raw == RANGE_NEUTRAL:
                    confidence = 0.60 + 0.25 * out.range_quality
                else:
                    confidence = 0.70 + 0.20 * out.range_quality
            elif (
                side != 0 and ge(st, p.reg_weak) and most >= p.reg_weak_counts
                and gt(sl * side, p.reg_slope_weak)
            ):
                raw = WEAK_TREND_BULL if side > 0 else WEAK_TREND_BEAR
                confidence = 0.65 + 0.20 * st
        # Edges belong to the regime that was published when they were accepted.
        before = self._regime
        self._publish(raw, confidence, st, last.t_close)
        if self._regime != before and isnan(out.range_quality):
            self._resistance = self._support = self._tolerance = NAN
        out.raw = raw
        out.regime = self._regime
        out.confidence = self._confidence
        out.strength = self._strength
        out.changed_at = self._changed_at
        out.resistance = self._resistance
        out.support = self._support
        out.tolerance = self._tolerance

    cdef void _slide(self, const Bar* last) noexcept nogil:
        # Keep the highs and lows of the range window sorted: sorting anew costs ten times more.
        cdef const Bar* oldest
        if self._held == self._p.reg_range_bars:
            oldest = last - self._held
            sorted_remove(self._highs, self._held, oldest.high)
            sorted_remove(self._lows, self._held, oldest.low)
            self._held -= 1
        sorted_insert(self._highs, self._held, last.high)
        sorted_insert(self._lows, self._held, last.low)
        self._held += 1

    cdef bint _range(self, const Bar* last, double atr, RegimeState* out) noexcept nogil:
        cdef const Params* p = &self._p
        cdef Py_ssize_t n = self._held, third = n // 3, k
        cdef double tol = dmax(p.reg_tol_ticks, p.reg_tol_atr * atr)
        cdef double smallest = dmax(p.reg_size_min_ticks, p.reg_size_min_atr * atr)
        cdef double largest = dmax(p.reg_size_max_ticks, p.reg_size_max_atr * atr)
        cdef double minutes, respect
        cdef int64_t early = 0, late = 0
        # Prices relative to the last close, so that they fit the narrow integers.
        cdef int32_t high[WIDEST]
        cdef int32_t low[WIDEST]
        cdef int32_t close[WIDEST]
        cdef int32_t reach = <int32_t> floor_tol(tol), half = <int32_t> floor_tol(0.5 * tol)
        cdef int32_t level, tests, size, resistance = 0, support = 0
        cdef int32_t above = -1, below = -1, inside = 0
        cdef int q
        minutes = (last.t_close - last[1 - n].t_open) / 60e9
        if not ge(minutes, p.reg_min_minutes):
            return False
        size = <int32_t> (rank_hi(self._highs, n, 95) - rank_lo(self._lows, n, 5))
        if not ge(size, smallest):      # no choice of percentiles gives a larger one
            return False
        for k in range(n):
            high[k] = <int32_t> (last[-k].high - last.close)
            low[k] = <int32_t> (last[-k].low - last.close)
            close[k] = <int32_t> (last[-k].close - last.close)
        for q in range(95, 84, -5):
            level = <int32_t> (rank_hi(self._highs, n, q) - last.close)
            if q < 95 and level == resistance:
                continue
            tests = _tests(high, n, level - reach, level + reach)
            if tests > above:
                above = tests
                resistance = level
        for q in range(5, 16, 5):
            level = <int32_t> (rank_lo(self._lows, n, q) - last.close)
            if q > 5 and level == support:
                continue
            tests = _tests(low, n, level - reach, level + reach)
            if tests > below:
                below = tests
                support = level
        size = resistance - support
        if not (
            ge(size, smallest) and le(size, largest)
            and above >= p.reg_min_tests and below >= p.reg_min_tests
            and support - reach <= 0 <= resistance + reach
        ):
            return False
        for k in range(n):
            inside += (close[k] >= support - half) & (close[k] <= resistance + half)
        respect = <double> inside / n
        if not ge(respect, p.reg_respect):
            return False
        for k in range(third):
            late += last[-k].volume
            early += last[1 - n + k].volume
        out.range_quality = (
            0.30 * dmin((above + below) / 8.0, 1.0)
            + 0.25 * respect
            + 0.20 * dmin(minutes / 60.0, 1.0)
            + 0.15 * (ge(size, 1.25 * smallest) and le(size, 0.6 * largest))
            + 0.10 * (late < early)
        )
        self._resistance = last.close + resistance
        self._support = last.close + support
        self._tolerance = tol
        return True

    cdef void _publish(
        self, int64_t raw, double confidence, double strength, int64_t t_close,
    ) noexcept nogil:
        cdef int64_t published = self._regime
        self._run = self._run + 1 if raw == self._raw[0] else 1
        self._raw[2] = self._raw[1]
        self._raw[1] = self._raw[0]
        self._raw[0] = raw
        if self._run >= self._p.reg_hold_bars:
            published = raw
        elif (
            self._raw[2] >= 0 and raw != self._raw[1]
            and raw != self._raw[2] and self._raw[1] != self._raw[2]
        ):
            published = TRANSITION
        if published != self._regime:
            self._regime = published
            self._changed_at = t_close
        if published == raw:
            self._confidence = confidence
            self._strength = strength
        elif published == TRANSITION:
            self._confidence = 0.50
        else:
            self._confidence *= 0.9

    def bars(self, const Bar[::1] bars not None, atr, vslope):
        """Classify the bars of one session from its start.

        Parameters
        ----------
        bars : ndarray of BAR_DTYPE, shape (n,)
            All bars of the session so far.
        atr, vslope : float or array_like of float, shape (n,)
            ATR in ticks and slope of the VWAP in ticks per bar.

        Returns
        -------
        ndarray of REGIME_DTYPE, shape (n,)

        Raises
        ------
        ValueError
            If the bars are of several sessions, or an array does not fit them.
        """
        cdef Py_ssize_t n = bars.shape[0], i
        cdef const double[::1] atrs = np.ascontiguousarray(np.broadcast_to(atr, n), np.float64)
        cdef const double[::1] slopes = np.ascontiguousarray(
            np.broadcast_to(vslope, n), np.float64
        )
        cdef RegimeState[::1] view
        out = np.zeros(n, records.REGIME_DTYPE)
        view = out
        self.reset()
        for i in range(n):
            if bars[i].session_id != bars[0].session_id:
                raise ValueError(f"bars must be of one session, bar {i} is of another")
            self.update(&bars[i], i + 1, atrs[i], slopes[i], &view[i])
        return out
