"""Triggers of the trend and the range strategy, at primary closes."""

cimport cython
from libc.math cimport NAN, fabs, isnan
from libc.stdint cimport int64_t

from mia._fast.confluence cimport no_options, selected_vwap
from mia._fast.es_patterns cimport (
    P1, P2, P3, P4, P5, R1, RANGE_BEARISH_BIAS, RANGE_BULLISH_BIAS, RANGE_NEUTRAL,
    READABLE_BARS, STRONG_TREND_BEAR, STRONG_TREND_BULL, T1, T2, WEAK_TREND_BEAR,
    WEAK_TREND_BULL, append_setup, bottom, lowest, mean_volume, pattern_strength, settle, top,
    with_side,
)
from mia._fast.records cimport (
    Bar, OptionsInput, Params, Row, ceil_tol, dmax, dmin, ge, gt, le,
)

cdef enum:
    PULLBACK_BARS = 12          # most bars since the extreme of the leg
    BREAKOUT_BARS = 20

cdef enum ReasonCode:           # of Row.reason
    SETUP
    REGIME_WAIT
    NO_SETUP


@cython.final
cdef class Setups:
    """Triggers T1, T2 and R1, and the selector's answer to a close.

    Parameters
    ----------
    params : ndarray of records.PARAMS_DTYPE, shape (1,)
        The method's parameters; copied.

    Raises
    ------
    ValueError
        If `params` is not one record of parameters.

    Notes
    -----
    T1 and T2 have no level, and their target is a multiple of the entry distance; both are nan.
    The level of R1 is the edge of the range.
    """

    def __cinit__(self, params):
        cdef const Params[::1] view = params
        if view.shape[0] != 1:
            raise ValueError(f"params must hold one record, held {view.shape[0]}")
        self._p = view[0]

    def run(
        self,
        const Bar[::1] bars not None,
        Row[::1] rows not None,
        const OptionsInput[::1] options=None,
    ):
        """Find the triggers of consecutive bars; a change of session ends what is looked back at.

        Parameters
        ----------
        bars : ndarray of records.BAR_DTYPE, shape (n,)
        rows : ndarray of records.ROW_DTYPE, shape (n,)
            What is known at each close, hits of P1 to P5 included; triggers are added to the
            setups and `reason` is set.
        options : ndarray of records.OPTIONS_DTYPE, shape (n,), optional
            None: no chains.

        Raises
        ------
        ValueError
            If the lengths do not fit together.
        """
        cdef OptionsInput none = no_options()
        cdef Py_ssize_t n = bars.shape[0]
        cdef Py_ssize_t i
        cdef Py_ssize_t count = 0
        cdef const OptionsInput* known = &none
        if rows.shape[0] != n or (options is not None and options.shape[0] != n):
            raise ValueError(f"rows and options must be as many as the {n} bars")
        for i in range(n):
            if i == 0 or bars[i].session_id != bars[i - 1].session_id:
                count = 0
            count += 1
            if options is not None:
                known = &options[i]
            self.update(&bars[i], count, &rows[i], known)

    cdef void update(
        self, const Bar* last, Py_ssize_t count, Row* row, const OptionsInput* options
    ) noexcept nogil:
        """Add the triggers that the published regime permits and set ``row.reason``."""
        cdef int64_t regime = row.regime.regime
        cdef int side = _side(regime)
        cdef bint trend = _is_trend(regime)
        cdef int64_t k
        if not trend and not _is_range(regime):
            row.reason = REGIME_WAIT
            return
        if trend:
            self._pullback(last, count, row, options, side)
            if regime == STRONG_TREND_BULL or regime == STRONG_TREND_BEAR:
                self._breakout(last, count, row, side)
        else:
            if side >= 0:
                self._edge(last, row, 1)
            if side <= 0:
                self._edge(last, row, -1)
        row.reason = NO_SETUP
        for k in range(row.n_setups):
            if _serves(row, k, trend, side):
                row.reason = SETUP
                return

    cdef void _pullback(
        self, const Bar* last, Py_ssize_t count, Row* row, const OptionsInput* options, int side
    ) noexcept nogil:
        """T1: a leg, a partial retracement, and a close beyond the previous bar."""
        cdef Py_ssize_t peak = 0                # bars since the highest high
        cdef Py_ssize_t k
        cdef Py_ssize_t readable = min(count, READABLE_BARS)
        cdef double high, low, leg, dip, retraced, quality
        if count < self._p.trend_leg_bars or count < 2 or not with_side(last, side):
            return
        if not settle(last, side) > top(last - 1, side):
            return
        high = top(last, side)
        for k in range(1, self._p.trend_leg_bars):
            if top(last - k, side) > high:
                high = top(last - k, side)
                peak = k
        if peak < 1 or peak > PULLBACK_BARS:
            return
        low = lowest(last - peak, min(self._p.trend_leg_bars + 1, readable - peak), side)
        leg = high - low
        if not ge(leg, dmax(8.0, self._p.trend_leg_atr * row.atr)):
            return
        dip = lowest(last, peak, side)
        retraced = (high - dip) / leg
        if not (ge(retraced, self._p.trend_retr_min) and le(retraced, self._p.trend_retr_max)):
            return
        quality = 0.4 if ge(retraced, 0.35) and le(retraced, 0.65) else 0.2
        if count >= 11 and gt(<double> last.volume, 1.1 * mean_volume(last, 10)):
            quality += 0.3
        if self._near_support(row, options, dip, side):
            quality += 0.2
        append_setup(
            row, T1, side, quality / 0.9, NAN,
            lowest(last, min(count, self._p.trend_stop_bars), side) - 2.0, NAN, True,
        )

    cdef void _breakout(
        self, const Bar* last, Py_ssize_t count, Row* row, int side
    ) noexcept nogil:
        """T2: a close beyond the previous twenty bars on volume."""
        cdef double high
        cdef Py_ssize_t k
        if count <= BREAKOUT_BARS or not ge(row.vr, 1.5):
            return
        high = top(last - 1, side)
        for k in range(2, BREAKOUT_BARS + 1):
            high = dmax(high, top(last - k, side))
        if settle(last, side) > high:
            append_setup(
                row, T2, side,
                0.5 * dmin(row.vr / 2.0, 1.0) + 0.5 * dmin(side * row.battle.score / 0.5, 1.0),
                NAN, lowest(last, min(count, self._p.trend_stop_bars), side) - 2.0, NAN, True,
            )

    cdef void _edge(self, const Bar* last, Row* row, int side) noexcept nogil:
        """R1: the range held at its edge, and something confirms it."""
        cdef double support = row.regime.support if side > 0 else -row.regime.resistance
        cdef double resistance = row.regime.resistance if side > 0 else -row.regime.support
        cdef double low = bottom(last, side)
        cdef double pattern = pattern_strength(row, side)
        cdef double s = side * row.battle.score
        cdef double f4 = side * row.feature[3]
        cdef double best = -1.0
        if isnan(support) or isnan(resistance) or not with_side(last, side):
            return
        if not (
            le(low, support + row.regime.tolerance) and ge(settle(last, side), support)
        ):
            return
        if gt(pattern, self._p.range_confirm_pattern):
            best = pattern
        if gt(s, self._p.range_confirm_bn):
            best = dmax(best, dmin(s / 0.6, 1.0))
        if gt(f4, self._p.range_confirm_f4):
            best = dmax(best, f4)
        if best < 0.0:
            return
        append_setup(
            row, R1, side,
            0.4 * best + 0.3 * dmin(row.vr / 1.5, 1.0) + 0.3 * row.price_score,
            support, dmin(support, low) - dmax(3.0, ceil_tol(0.2 * row.atr)), resistance - 1.0,
            True,
        )

    cdef bint _near_support(
        self, const Row* row, const OptionsInput* options, double price, int side
    ) noexcept nogil:
        """Whether VWAP, POC or the wall below lies at a price seen from `side`."""
        cdef double width = dmax(2.0, 0.15 * row.atr)
        cdef double at = side * price
        cdef double wall = options.put_wall if side > 0 else options.call_wall
        return (
            le(fabs(selected_vwap(row, &self._p) - at), width)
            or (row.developing_valid != 0 and le(fabs(row.developing_poc - at), width))
            or le(fabs(wall - at), width)
        )


cdef inline bint _is_trend(int64_t regime) noexcept nogil:
    return STRONG_TREND_BULL <= regime <= WEAK_TREND_BEAR


cdef inline bint _is_range(int64_t regime) noexcept nogil:
    return RANGE_BULLISH_BIAS <= regime <= RANGE_NEUTRAL


cdef inline int _side(int64_t regime) noexcept nogil:
    """Direction of the regime, 0 without one."""
    if regime == STRONG_TREND_BULL or regime == WEAK_TREND_BULL or regime == RANGE_BULLISH_BIAS:
        return 1
    if regime == STRONG_TREND_BEAR or regime == WEAK_TREND_BEAR or regime == RANGE_BEARISH_BIAS:
        return -1
    return 0


cdef bint _serves(const Row* row, int64_t k, bint trend, int side) noexcept nogil:
    """Whether the strategy of the regime could propose setup `k`."""
    cdef int64_t kind = row.setup_kind[k]
    if row.setup_traded[k] == 0 or (side != 0 and row.setup_side[k] != side):
        return False
    if trend:
        return kind == T1 or kind == T2 or kind == P1 or kind == P3 or kind == P4 or kind == P5
    return kind == R1 or kind == P1 or kind == P2 or kind == P5
