"""Features of order flow and context: F1 to F8 and F15 to F18 of a primary close.

Signed features are positive when bullish. An undefined feature has its neutral value and a
cleared validity bit. Sums over windows are integers, so they agree on every machine.
"""

cimport cython
from libc.math cimport NAN, fabs, sqrt
from libc.stdint cimport int8_t, int32_t, int64_t

from mia._fast.book_imbalance cimport BookImbalance
from mia._fast.large_trades cimport LargeTrades
from mia._fast.records cimport (
    FLAG_READY_MADE, Bar, Params, Row, clip, dmax, dmin, ge, gt, isgn, lt, pos,
)

cdef enum:
    LONGEST = 60                # bound of every window of bars

cdef enum Regime:
    STRONG_TREND_BULL
    STRONG_TREND_BEAR
    WEAK_TREND_BULL
    WEAK_TREND_BEAR
    RANGE_BULLISH_BIAS
    RANGE_BEARISH_BIAS

# Session factor of each phase, after_hours to halt.
cdef double[8] PHASE_FACTOR = [0.40, 0.50, 0.65, 0.75, 0.45, 0.60, 0.50, 0.40]


cdef double stacked_imbalance(
    const int64_t* bid, const int64_t* ask, Py_ssize_t rows, const Params* p,
) noexcept nogil:
    cdef int64_t buys = 0, sells = 0, most_buys = 0, most_sells = 0
    cdef Py_ssize_t k
    for k in range(rows):
        if k > 0 and ask[k] >= p.feat_f5_min_lots and ge(ask[k], p.feat_f5_ratio * bid[k - 1]):
            buys += 1
            most_buys = max(most_buys, buys)
        else:
            buys = 0
        if (
            k < rows - 1 and bid[k] >= p.feat_f5_min_lots
            and ge(bid[k], p.feat_f5_ratio * ask[k + 1])
        ):
            sells += 1
            most_sells = max(most_sells, sells)
        else:
            sells = 0
    if most_buys < p.feat_f5_min_run:
        most_buys = 0
    if most_sells < p.feat_f5_min_run:
        most_sells = 0
    return clip((most_buys - most_sells) / p.feat_f5_norm, -1.0, 1.0)


cdef bint tick_momentum(
    const int32_t* price, const int32_t* size, const int8_t* side, Py_ssize_t n,
    const Params* p, double* out,
) noexcept nogil:
    cdef int64_t ticks = 0, lots = 0, total = 0
    cdef Py_ssize_t k
    cdef int sign
    out[0] = 0.0
    if n < p.feat_f7_trades:
        return False
    for k in range(n - p.feat_f7_trades, n):
        sign = side[k] if k == 0 or price[k] == price[k - 1] else (
            1 if price[k] > price[k - 1] else -1
        )
        ticks += sign
        lots += sign * size[k]
        total += size[k]
    out[0] = 0.4 * ticks / p.feat_f7_trades
    if total > 0:
        out[0] += 0.6 * lots / total
    return True


cdef bint _cvd_trend(
    const Bar* last, Py_ssize_t count, const Params* p, double* out,
) noexcept nogil:
    cdef int64_t delta = 0, volume = 0, sided = 0
    cdef Py_ssize_t m = min(count, <Py_ssize_t> p.feat_f1_bars), k
    for k in range(m):
        delta += last[-k].ask_volume - last[-k].bid_volume
        sided += last[-k].ask_volume + last[-k].bid_volume
        volume += last[-k].volume
    out[0] = 0.0
    if m < p.feat_f1_min_bars or sided == 0 or volume == 0:
        return False
    out[0] = clip(<double> delta / volume / p.feat_f1_scale, -1.0, 1.0)
    return True


cdef double _divergence(const Bar* last, double atr, const Params* p) noexcept nogil:
    # Opposite slopes of close and CVD. All sums are n times the centred ones, exact integers.
    cdef int64_t n = p.feat_f3_bars, k, x, c, cvd = 0, volume = 0
    cdef int64_t sum_c = 0, sum_cc = 0, sum_xc = 0, sum_d = 0, sum_dd = 0, sum_xd = 0
    cdef int64_t sum_x = n * (n - 1) // 2
    cdef double sxx, sxc, scc, sxd, sdd, slope_price, slope_cvd
    cdef const Bar* first = last - (n - 1)
    for k in range(n):
        x = k
        c = first[k].close - first.close
        if k > 0:                       # the level of the CVD does not matter
            cvd += first[k].ask_volume - first[k].bid_volume
        volume += first[k].volume
        sum_c += c
        sum_cc += c * c
        sum_xc += x * c
        sum_d += cvd
        sum_dd += cvd * cvd
        sum_xd += x * cvd
    sxx = n * (n - 1) * (2 * n - 1) // 6 * n - sum_x * sum_x
    sxc = n * sum_xc - sum_x * sum_c
    scc = n * sum_cc - sum_c * sum_c
    sxd = n * sum_xd - sum_x * sum_d
    # Over the widest window of one-sided bars this one could pass 64 bits.
    sdd = <double> n * sum_dd - <double> sum_d * sum_d
    if scc <= 0.0 or sdd <= 0.0 or volume == 0:
        return 0.0
    slope_price = sxc / sxx
    slope_cvd = sxd / sxx
    if not (
        ge(sxc * sxc / (sxx * scc), p.feat_f3_r2)
        and ge(sxd * sxd / (sxx * sdd), p.feat_f3_r2)
        and lt(slope_price * slope_cvd, 0.0)
    ):
        return 0.0
    return (
        (-1.0 if slope_price > 0.0 else 1.0)
        * dmin(n * fabs(slope_price) / atr, 1.0)
        * dmin(n * fabs(slope_cvd) / (p.feat_f3_scale * volume), 1.0)
    )


cdef double _effort(const Bar* last, Py_ssize_t count, const Params* p) noexcept nogil:
    # Pearson correlation of the close's way and the volume.
    cdef int64_t n = min(<int64_t> count - 1, p.feat_f17_corr_bars), k, x, y
    cdef int64_t sum_x = 0, sum_xx = 0, sum_y = 0, sum_yy = 0, sum_xy = 0
    cdef double sxx, syy, sxy
    if n < p.feat_f17_corr_min:
        return 0.0
    for k in range(n):
        x = last[-k].close - last[-k - 1].close
        if x < 0:
            x = -x
        y = last[-k].volume
        sum_x += x
        sum_xx += x * x
        sum_y += y
        sum_yy += y * y
        sum_xy += x * y
    sxx = n * sum_xx - sum_x * sum_x
    syy = n * sum_yy - sum_y * sum_y
    sxy = n * sum_xy - sum_x * sum_y
    if sxx <= 0.0 or syy <= 0.0:
        return 0.0
    return sxy / sqrt(sxx * syy)


cdef double _volume_confirmation(
    const Bar* last, Py_ssize_t count, double vr, double ratio, const Params* p,
) noexcept nogil:
    cdef double total = (
        0.45 * dmin(vr / p.feat_f17_vr, 1.0)
        + 0.25 * dmin(p.feat_f17_delta_gain * fabs(ratio), 1.0)
        + 0.20 * pos(_effort(last, count, p))
    )
    if last.flags & FLAG_READY_MADE:
        return total / 0.90
    return total + 0.10 * dmin(
        p.feat_f17_large_gain * last.large_volume / last.volume, 1.0
    )


cdef double _regime_feature(int64_t regime, double strength) noexcept nogil:
    if regime == STRONG_TREND_BULL:
        return 0.85 + 0.15 * strength
    if regime == STRONG_TREND_BEAR:
        return -0.85 - 0.15 * strength
    if regime == WEAK_TREND_BULL:
        return 0.50 + 0.20 * strength
    if regime == WEAK_TREND_BEAR:
        return -0.50 - 0.20 * strength
    if regime == RANGE_BULLISH_BIAS:
        return 0.30
    if regime == RANGE_BEARISH_BIAS:
        return -0.30
    return 0.0


@cython.final
cdef class OrderFlow:
    """Features of order flow and context, one `update` for every primary bar of a session.

    Owns the large trades and the book, which are fed as trades and book states arrive.

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
        for name, bars in (
            ("feat.f1_bars", self._p.feat_f1_bars),
            ("feat.f3_bars", self._p.feat_f3_bars),
            ("feat.f5_bars", self._p.feat_f5_bars),
            ("feat.f17_corr_bars", self._p.feat_f17_corr_bars),
        ):
            if not 1 <= bars <= LONGEST:
                raise ValueError(f"{name} must be from 1 to {LONGEST}, was {bars}")
        if self._p.feat_f7_trades < 1:
            raise ValueError(f"feat.f7_trades must be at least 1, was {self._p.feat_f7_trades}")
        self.large_trades = LargeTrades(params)
        self.book = BookImbalance(params)
        self.reset()

    cdef void reset(self) noexcept nogil:
        self.start(0)
        self.book.reset()

    cdef void start(self, int64_t t_open) noexcept nogil:
        # Start a session that opens at `t_open`.
        cdef Py_ssize_t k
        for k in range(LONGEST):
            self._stacked[k] = NAN
        self._stacked_next = 0
        self.large_trades.reset()
        self.book.start(t_open)

    cdef bint _stack(self, double stacked, double* out) noexcept nogil:
        # F5: the value of largest magnitude among the newest bars, the latest of equals.
        cdef int64_t bars = self._p.feat_f5_bars, k, slot
        cdef double best = stacked
        self._stacked[self._stacked_next] = stacked
        self._stacked_next = (self._stacked_next + 1) % bars
        out[0] = 0.0
        if stacked != stacked:
            return False
        for k in range(2, bars + 1):
            slot = (self._stacked_next + bars - k) % bars
            if gt(fabs(self._stacked[slot]), fabs(best)):
                best = self._stacked[slot]
        out[0] = best
        return True

    cdef void update(
        self, const Bar* last, Py_ssize_t count, double stacked, const int32_t* price,
        const int32_t* size, const int8_t* side, Py_ssize_t n_trades, Row* row,
    ) noexcept nogil:
        cdef const Params* p = &self._p
        cdef double* f = row.feature
        cdef int64_t* valid = row.valid
        cdef int64_t delta = last.ask_volume - last.bid_volume
        cdef bint flow = last.ask_volume + last.bid_volume > 0 and last.volume > 0
        cdef double ratio = <double> delta / last.volume if last.volume > 0 else 0.0
        cdef double atr = dmax(row.atr, 1.0)
        cdef double vwap = row.vwap_rth if p.vwap_anchor else row.vwap
        cdef double sd = row.vwap_rth_sd if p.vwap_anchor else row.vwap_sd

        valid[0] = _cvd_trend(last, count, p, &f[0])

        valid[1] = flow
        f[1] = clip(p.feat_f2_gain * ratio, -1.0, 1.0) if flow else 0.0

        valid[2] = flow and count >= p.feat_f3_bars
        f[2] = _divergence(last, atr, p) if valid[2] else 0.0

        valid[3] = flow and row.vr_valid and row.atr_valid
        f[3] = 0.0
        if valid[3] and delta != 0:
            f[3] = (
                -isgn(delta)
                * dmin(fabs(ratio) / p.feat_f4_scale, 1.0)
                * clip(row.vr - 1.0, 0.0, 1.0)
                * (1.0 - dmin(fabs(<double> (last.close - last.open)) / (p.feat_f4_body_atr * atr),
                              1.0))
            )

        valid[4] = self._stack(stacked, &f[4])

        self.book.settle(last.t_close)
        valid[5] = self.book.value(&f[5])
        row.spread = self.book.spread

        valid[6] = tick_momentum(price, size, side, n_trades, p, &f[6])

        valid[7] = n_trades > 0
        f[7] = self.large_trades.value(last.t_close)

        valid[14] = count >= p.reg_bars
        f[14] = _regime_feature(row.regime.regime, row.regime.strength) if valid[14] else 0.0

        valid[15] = row.vslope_valid and vwap == vwap
        f[15] = 0.0
        if valid[15]:
            f[15] = 0.5 * clip(row.vslope / atr / p.feat_f16_slope_atr, -1.0, 1.0)
            f[15] += 0.5 * clip((last.close - vwap) / (2.0 * dmax(sd, 1.0)), -1.0, 1.0)

        valid[16] = flow and row.vr_valid
        f[16] = _volume_confirmation(last, count, row.vr, ratio, p) if valid[16] else 0.5

        valid[17] = True
        f[17] = PHASE_FACTOR[row.phase]

    def fill(
        self, const Bar[::1] bars not None, Row[::1] rows not None,
        const double[::1] stacked not None, const int64_t[::1] ts not None,
        const int32_t[::1] price not None, const int32_t[::1] size not None,
        const int8_t[::1] side not None, const int64_t[::1] stops not None,
    ):
        """Fill the features of one session's rows from its start.

        Parameters
        ----------
        bars : ndarray of BAR_DTYPE, shape (n,)
            All bars of the session so far.
        rows : ndarray of ROW_DTYPE, shape (n,)
            ATR, volume ratio, VWAP and its slope, regime and phase are read; F1 to F8, F15 to
            F18, their validity and the spread are written.
        stacked : ndarray of float64, shape (n,)
            F5 of each bar alone, nan without a footprint.
        ts, price, size, side : ndarray of int64, int32, int32, int8, shape (m,)
            Trades of the session in arrival order; empty without trades.
        stops : ndarray of int64, shape (n,)
            Number of trades known at each close, not decreasing.

        Raises
        ------
        ValueError
            If shapes differ, the bars are of several sessions, or a stop is out of order.
        """
        cdef Py_ssize_t n = bars.shape[0], m = ts.shape[0], i, k, first
        cdef int64_t done = 0
        cdef const int32_t* prices = NULL
        cdef const int32_t* sizes = NULL
        cdef const int8_t* sides = NULL
        if rows.shape[0] != n or stacked.shape[0] != n or stops.shape[0] != n:
            raise ValueError(f"rows, stacked and stops need one element for each of {n} bars")
        if price.shape[0] != m or size.shape[0] != m or side.shape[0] != m:
            raise ValueError(f"price, size and side need one element for each of {m} trades")
        if m:
            prices, sizes, sides = &price[0], &size[0], &side[0]
        self.reset()
        for i in range(n):
            if bars[i].session_id != bars[0].session_id:
                raise ValueError(f"bars must be of one session, bar {i} is of another")
            if not done <= stops[i] <= m:
                raise ValueError(f"stop {stops[i]} of bar {i} must be from {done} to {m}")
            for k in range(done, stops[i]):
                self.large_trades.push(ts[k], size[k], side[k])
            done = stops[i]
            first = max(0, <Py_ssize_t> (done - self._p.feat_f7_trades - 1))
            self.update(
                &bars[i], i + 1, stacked[i], prices + first, sizes + first, sides + first,
                done - first, &rows[i],
            )


def bar_imbalance(
    const int64_t[::1] bid not None, const int64_t[::1] ask not None, params not None,
):
    """Return F5 of one bar.

    Parameters
    ----------
    bid, ask : ndarray of int64, shape (rows,)
        Volume sold and bought at each price from the low to the high.
    params : ndarray of PARAMS_DTYPE, shape (1,)

    Raises
    ------
    ValueError
        If the shapes differ or there is no row.
    """
    cdef const Params[::1] view = params
    if bid.shape[0] == 0 or bid.shape[0] != ask.shape[0] or view.shape[0] != 1:
        raise ValueError(
            f"bid and ask need the same rows, at least one, had {bid.shape[0]} and "
            f"{ask.shape[0]}; params must hold one record, held {view.shape[0]}"
        )
    return stacked_imbalance(&bid[0], &ask[0], bid.shape[0], &view[0])
