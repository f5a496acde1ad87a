"""Battle Navale: camps, bases, the golden rule, and the score that joins them.

Vikings are buyers, Defenders sellers. A base is a narrow box of bars; a close beyond it
launches, and the launch colours the base until it is violated, replaced or too old.
"""

cimport cython
from libc.math cimport fabs
from libc.stdint cimport int64_t

from mia._fast.records cimport (
    Bar, Battle, Params, clip, dmax, dmin, gt, isgn, le, lt,
)
from mia._fast.statistics cimport std_from_sums, std_of

import numpy as np

from mia._fast import records

cdef enum:
    LONGEST = 60                # bound of bn.base_max_bars and bn.window
    FORMING = 5                 # closes that decide the forming colour

cdef enum GoldenState:
    UNCLEAR
    STRONG_BULLISH
    WEAK_BULLISH
    STRONG_BEARISH
    WEAK_BEARISH
    VIOLATION_WARNING
    VIOLATION_CONFIRMED

cdef enum BattleStatus:
    VIKINGS_WINNING
    DEFENDERS_WINNING
    BALANCED_FIGHT
    NO_BATTLE
    BATAILLE_GAGNEE


cdef inline int _sign(double x) noexcept nogil:
    return gt(x, 0.0) - lt(x, 0.0)


cdef void _camps(
    const Bar* last, Py_ssize_t count, double vol_ref, const Params* p, Battle* out,
) noexcept nogil:
    cdef double raw[3]          # of colour -1, 0, +1
    cdef int64_t k, colour, bids = 0, asks = 0, volume = 0
    cdef double body, delta_ref
    cdef const Bar* bar
    out.vikings = out.defenders = 0.5
    if count < p.bn_window:
        return
    if p.bn_absolute_refs:
        vol_ref = p.stats_vol_ref_cold
    raw[0] = raw[1] = raw[2] = 0.0
    for k in range(p.bn_window):
        bar = last - k
        bids += bar.bid_volume
        asks += bar.ask_volume
        volume += bar.volume
        colour = isgn(bar.close - bar.open)
        if colour == 0:
            continue
        body = <double> (colour * (bar.close - bar.open)) / (bar.high - bar.low)
        if gt(body, p.bn_body_min):
            raw[1 + colour] += p.bn_body_weight * body
        if vol_ref > 0.0:
            raw[1 + colour] += p.bn_vol_weight * dmin(bar.volume / vol_ref, p.bn_vol_cap)
    if bids + asks > 0:
        colour = isgn(asks - bids)
        delta_ref = p.bn_delta_ref_cold if p.bn_absolute_refs else p.bn_delta_ref_ratio * volume
        if colour != 0 and delta_ref > 0.0:
            raw[1 + colour] += p.bn_delta_weight * dmin(
                colour * (asks - bids) / delta_ref, 1.0
            )
        if gt(asks, p.bn_aggr_hi * (asks + bids)):
            raw[2] += p.bn_aggr_weight
        if gt(bids, p.bn_aggr_hi * (asks + bids)):
            raw[0] += p.bn_aggr_weight
    if raw[0] + raw[2] > 0.0:
        out.vikings = raw[2] / (raw[0] + raw[2])
        out.defenders = raw[0] / (raw[0] + raw[2])


cdef int64_t _forming(const Bar* last, int64_t bars) noexcept nogil:
    cdef int64_t k, balance = 0
    for k in range(min(bars, <int64_t> FORMING) - 1):
        balance += isgn(last[-k].close - last[-k - 1].close)
    return isgn(balance) if balance >= 2 or balance <= -2 else 0


cdef double _quality(const Bar* last, const Base* base, double cap) noexcept nogil:
    cdef double volumes[LONGEST]
    cdef double total = 0.0, rho, fit, steadiness = 0.0
    cdef int64_t k, inside = 0
    for k in range(base.bars):
        volumes[k] = last[-k].volume
        total += volumes[k]
        if base.low + 1 <= last[-k].close <= base.high - 1:
            inside += 1
    rho = (base.high - base.low) / cap
    fit = 1.0 if le(rho, 0.6) else (0.7 if le(rho, 0.8) else 0.3)
    if total > 0.0:
        steadiness = clip(1.0 - std_of(volumes, base.bars) * base.bars / total, 0.0, 1.0)
    return (
        0.30 * dmin(base.bars / 10.0, 1.0)
        + 0.20 * fit
        + 0.25 * steadiness
        + 0.25 * inside / base.bars
    )


cdef bint _detect(
    const Bar* last, int64_t index, int64_t earliest, double atr, const Params* p, Base* out,
) noexcept nogil:
    # The longest box that ends at the bar just closed and starts at `earliest` or later.
    cdef double cap = dmax(p.bn_base_max_ticks, p.bn_base_max_atr * atr)
    cdef int64_t low = last.low, high = last.high, total = 0, squares = 0
    cdef int64_t k, n, size, close
    cdef bint found = False
    for k in range(p.bn_base_max_bars):
        if index - k < earliest:
            break
        low = min(low, last[-k].low)
        high = max(high, last[-k].high)
        size = high - low
        if gt(size, cap):           # boxes only grow, so no longer window can pass
            break
        close = last[-k].close - last.close
        total += close
        squares += close * close
        n = k + 1
        if n < p.bn_base_min_bars or lt(size, p.bn_base_min_ticks):
            continue
        if lt(std_from_sums(n, total, squares), p.bn_base_std_ratio * size):
            found = True
            out.low = low
            out.high = high
            out.bars = n
    if found:
        out.end = index
        out.launch = -1
        out.direction = _forming(last, out.bars)
        out.quality = _quality(last, out, cap)
    return found


@cython.final
cdef class BattleNavale:
    """Battle Navale of one stream, one `update` per closed bar.

    Parameters
    ----------
    params : ndarray of PARAMS_DTYPE, shape (1,)
        The method's parameters.

    Raises
    ------
    ValueError
        If there is not exactly one record, or a window exceeds 60 bars.
    """

    def __cinit__(self, params not None):
        cdef const Params[::1] view = params
        if view.shape[0] != 1:
            raise ValueError(f"params must hold one record, held {view.shape[0]}")
        self._p = view[0]
        if not 1 <= self._p.bn_window <= LONGEST:
            raise ValueError(f"bn.window must be from 1 to {LONGEST}, was {self._p.bn_window}")
        if not 2 <= self._p.bn_base_min_bars <= self._p.bn_base_max_bars <= LONGEST:
            raise ValueError(
                f"bn.base_min_bars {self._p.bn_base_min_bars} and bn.base_max_bars "
                f"{self._p.bn_base_max_bars} must rise from 2 to {LONGEST}"
            )
        self.reset()

    cdef void reset(self) noexcept nogil:
        self._has_candidate = False
        self._has_active = False
        self._last_launch = 0
        self._violation = 0
        self._age = 0
        self._status = -1
        self._launches = 0

    cdef void update(
        self, const Bar* last, Py_ssize_t count, double atr, double vol_ref,
        double up_strength, double down_strength, Battle* out,
    ) noexcept nogil:
        cdef int64_t index = count - 1
        cdef Base box
        cdef bint warning
        out.launched = 0
        out.violated = 0
        if self._violation != 0:
            self._age += 1
            if self._age >= self._p.bn_violation_bars:
                self._violation = 0
        warning = self._watch(last, index, out)
        if self._launch(last, index, out):
            warning = warning and self._has_active and self._active.launch != index
        else:
            if self._has_candidate and index - self._candidate.end > self._p.bn_base_expiry_bars:
                self._has_candidate = False
            if _detect(last, index, self._last_launch, atr, &self._p, &box):
                self._candidate = box
                self._has_candidate = True
        _camps(last, count, vol_ref, &self._p, out)
        self._golden(warning, out)
        self._score(up_strength, down_strength, out)
        self._report(out)

    cdef bint _watch(self, const Bar* bar, int64_t index, Battle* out) noexcept nogil:
        # Violation and expiry of the active base; returns whether it is warned at this bar.
        cdef int64_t colour = self._active.direction
        cdef bint violated, warning
        if not self._has_active:
            return False
        if colour > 0:
            violated = bar.close < bar.open and bar.close <= self._active.low - 1
            warning = bar.low <= self._active.low - 1
        else:
            violated = bar.close > bar.open and bar.close >= self._active.high + 1
            warning = bar.high >= self._active.high + 1
        if violated:
            self._has_active = False
            self._violation = -colour
            self._age = 0
            out.violated = colour
            return False
        if index - self._active.launch > self._p.bn_base_expiry_bars:
            self._has_active = False
            return False
        return warning

    cdef bint _launch(self, const Bar* bar, int64_t index, Battle* out) noexcept nogil:
        if not self._has_candidate:
            return False
        if bar.close > self._candidate.high:
            out.launched = 1
        elif bar.close < self._candidate.low:
            out.launched = -1
        else:
            return False
        self._has_candidate = False
        self._last_launch = index
        if gt(self._candidate.quality, self._p.bn_base_min_quality):
            self._active = self._candidate
            self._active.direction = out.launched
            self._active.launch = index
            self._has_active = True
            self._violation = 0
            self._history[self._launches % HISTORY] = self._active
            self._launches += 1
        return True

    cdef void _golden(self, bint warning, Battle* out) noexcept nogil:
        if self._has_active:
            if self._active.direction > 0:
                if gt(out.vikings, self._p.bn_strong_camp):
                    out.state = STRONG_BULLISH
                    out.golden = 0.6
                else:
                    out.state = WEAK_BULLISH
                    out.golden = 0.2
            elif gt(out.defenders, self._p.bn_strong_camp):
                out.state = STRONG_BEARISH
                out.golden = -0.6
            else:
                out.state = WEAK_BEARISH
                out.golden = -0.2
            if warning:
                out.state = VIOLATION_WARNING
                out.golden *= 0.5
        elif self._violation != 0:
            out.state = VIOLATION_CONFIRMED
            out.golden = (
                self._violation * 0.6 * (1.0 - <double> self._age / self._p.bn_violation_bars)
            )
        else:
            out.state = UNCLEAR
            out.golden = 0.0

    cdef void _score(self, double up, double down, Battle* out) noexcept nogil:
        cdef double size, pattern = 0.0
        cdef int side
        cdef int64_t raw
        out.base_quality = 0.0
        out.base_dir = 0
        if self._has_active:
            out.base_quality = self._active.quality
            out.base_dir = self._active.direction
        elif self._has_candidate:
            out.base_quality = self._candidate.quality
            out.base_dir = self._candidate.direction
        out.score = (
            0.40 * (out.vikings - out.defenders)
            + 0.35 * out.golden
            + 0.25 * out.base_quality * out.base_dir
        )
        size = fabs(out.score)
        side = _sign(out.score)
        out.signal = side if gt(size, self._p.bn_score_threshold) else 0
        out.strength = (
            dmin(4.0 * (size - self._p.bn_score_threshold), 1.0) if out.signal else 0.0
        )
        if side > 0:
            pattern = up
        elif side < 0:
            pattern = down
        out.confidence = out.base_quality + fabs(out.golden) + size
        if pattern > 0.0:
            out.confidence = (out.confidence + pattern) / 4.0
        else:
            out.confidence /= 3.0
        if gt(size, self._p.bn_win_level):
            raw = VIKINGS_WINNING if side > 0 else DEFENDERS_WINNING
        elif le(size, self._p.bn_balanced_level):
            raw = BALANCED_FIGHT
        else:
            raw = NO_BATTLE
        out.status = raw
        if raw <= DEFENDERS_WINNING and raw == self._status and _sign(out.golden) == side:
            out.status = BATAILLE_GAGNEE
        self._status = raw

    cdef void _report(self, Battle* out) noexcept nogil:
        out.active_dir = out.active_low = out.active_high = 0
        out.active_bars = out.active_launch = 0
        if self._has_active:
            out.active_dir = self._active.direction
            out.active_low = self._active.low
            out.active_high = self._active.high
            out.active_bars = self._active.bars
            out.active_launch = self._active.launch
        out.has_candidate = self._has_candidate
        out.candidate_low = out.candidate_high = out.candidate_bars = out.candidate_dir = 0
        if self._has_candidate:
            out.candidate_low = self._candidate.low
            out.candidate_high = self._candidate.high
            out.candidate_bars = self._candidate.bars
            out.candidate_dir = self._candidate.direction

    @property
    def history(self):
        """Bases accepted in this session, newest last, at most 20.

        Each is ``(low, high, bars, colour, launch index, quality)``.
        """
        cdef int64_t k
        cdef Base base
        cdef list bases = []
        for k in range(max(0, self._launches - HISTORY), self._launches):
            base = self._history[k % HISTORY]
            bases.append((
                base.low, base.high, base.bars, base.direction, base.launch, base.quality,
            ))
        return bases

    def bars(self, const Bar[::1] bars not None, atr, vol_ref, up=0.0, down=0.0):
        """Fight the bars of one session from its start.

        Parameters
        ----------
        bars : ndarray of BAR_DTYPE, shape (n,)
            All bars of the session so far.
        atr, vol_ref : float or array_like of float, shape (n,)
            ATR in ticks and reference volume at each bar.
        up, down : float or array_like of float, shape (n,)
            Largest strength of a present bullish and bearish bar pattern, 0 without one.

        Returns
        -------
        ndarray of BATTLE_DTYPE, shape (n,)

        Raises
        ------
        ValueError
            If the bars are of several sessions, or an array does not fit them.
        """
        cdef Py_ssize_t n = bars.shape[0], i
        cdef const double[::1] atrs = np.ascontiguousarray(np.broadcast_to(atr, n), np.float64)
        cdef const double[::1] refs = np.ascontiguousarray(np.broadcast_to(vol_ref, n), np.float64)
        cdef const double[::1] ups = np.ascontiguousarray(np.broadcast_to(up, n), np.float64)
        cdef const double[::1] downs = np.ascontiguousarray(np.broadcast_to(down, n), np.float64)
        cdef Battle[::1] view
        out = np.zeros(n, records.BATTLE_DTYPE)
        view = out
        self.reset()
        for i in range(n):
            if bars[i].session_id != bars[0].session_id:
                raise ValueError(f"bars must be of one session, bar {i} is of another")
            self.update(&bars[i], i + 1, atrs[i], refs[i], ups[i], downs[i], &view[i])
        return out
