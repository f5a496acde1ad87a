"""The five ES patterns at primary closes of regular trading hours."""

cimport cython
from libc.math cimport NAN, fabs, isnan

from mia._fast.confluence cimport Zone, selected_vwap, selected_vwap_sd
from mia._fast.records cimport (
    Bar, OptionsInput, Params, Row, clip, dmax, dmin, ge, gt, le, lt, pos, tri,
)

cdef double NS_PER_MINUTE = 6e10
cdef double REPEAT_TICKS = 4.0
cdef double MIN_RR = 1.5        # of a target that a pattern prefers to its second choice


@cython.final
cdef class EsPatterns:
    """Hits of P1 to P5; each is reported once, then not again nearby for es_pattern.repeat_min.

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
    Reward to risk is taken from the close of the hit, the best entry that is known then; the wide
    stop of P4 from a tick beyond the bar, where the trend strategy enters. P4 needs an active base
    of its direction: its level and its stop are edges of that base. The target zone of P5 counts
    where price meets it first, at its near edge. Of zones that serve P5 equally well, the nearest
    to the close is reported. A hit with target nan aims at a multiple of the entry distance.
    """

    def __cinit__(self, params):
        cdef const Params[::1] view = params
        if view.shape[0] != 1:
            raise ValueError(f"params must hold one record, held {view.shape[0]}")
        self._p = view[0]
        self.clear()

    cdef void clear(self) noexcept nogil:
        """Start a session: no z, nothing reported."""
        cdef int k
        self._n_z = 0
        for k in range(3):
            self._z[k] = NAN
        for k in range(10):
            self._n_reports[k] = 0

    cdef void update(
        self, const Bar* last, Py_ssize_t count, Row* row, const OptionsInput* options,
        const Zone* zones, Py_ssize_t n_zones,
    ) noexcept nogil:
        """Add the hits of this close to the row's setups; called at every close, RTH or not."""
        cdef double vwap = selected_vwap(row, &self._p)
        cdef int side
        cdef bint coloured
        self._z[0] = self._z[1]
        self._z[1] = self._z[2]
        self._z[2] = (last.close - vwap) / dmax(selected_vwap_sd(row, &self._p), 1.0)
        self._n_z = 0 if isnan(self._z[2]) else self._n_z + 1
        if row.rth == 0:
            return
        for side in range(1, -2, -2):
            coloured = with_side(last, side)
            if coloured:
                self._rejection(last, row, side)
            if coloured and self._n_z >= 3:
                self._deviation(last, row, side)
            if count >= 3:
                self._flip(last, row, options, side)
            self._battle(last, row, side)
            if coloured:
                self._confluence(last, row, zones, n_zones, side)

    cdef void _rejection(self, const Bar* last, Row* row, int side) noexcept nogil:
        """P1: the bar dipped below the value area and closed back above its edge."""
        cdef double low = bottom(last, side)
        cdef double close = settle(last, side)
        cdef double f4 = side * row.feature[3]
        cdef double reach = _pen_max(&self._p, row.atr)
        cdef double back = _back(&self._p, row.atr)
        cdef double best = -1.0
        cdef double level, strength, poc
        cdef double hit_level = NAN
        cdef double target = NAN
        cdef int k
        cdef bint developing
        if row.regime.regime == (STRONG_TREND_BEAR if side > 0 else STRONG_TREND_BULL):
            return
        if not (side * (last.ask_volume - last.bid_volume) > 0 or gt(f4, 0.3)):
            return
        for k in range(2):
            developing = k == 0
            if (row.developing_valid if developing else row.previous_valid) == 0:
                continue
            if developing:
                level = <double> (row.developing_val if side > 0 else -row.developing_vah)
            else:
                level = <double> (row.previous_val if side > 0 else -row.previous_vah)
            if not (
                le(low, level + 1.0) and le(level - low, reach) and ge(close, level + back)
            ):
                continue
            strength = (
                0.30 * tri(level - low, reach)
                + 0.25 * dmin(row.vr / 1.5, 1.0)
                + 0.25 * _clv(last, side)
                + 0.10 * pos(f4)
                + 0.10 * clip(side * delta_ratio(last) / 0.15, 0.0, 1.0)
            )
            if not gt(strength, best):
                continue
            best = strength
            hit_level = level
            if developing:
                poc = <double> (side * row.developing_poc)
                target = <double> (row.developing_vah if side > 0 else -row.developing_val)
            else:
                poc = <double> (side * row.previous_poc)
                target = <double> (row.previous_vah if side > 0 else -row.previous_val)
            if ge(poc - close, MIN_RR * (close - (low - 2.0))):
                target = poc
        if best >= 0.0:
            self._report(last, row, P1, side, best, hit_level, low - 2.0, target)

    cdef void _deviation(self, const Bar* last, Row* row, int side) noexcept nogil:
        """P2: far from a flat VWAP and turning back."""
        cdef double zmin = dmin(
            dmin(side * self._z[0], side * self._z[1]), side * self._z[2]
        )
        cdef double vwap = side * selected_vwap(row, &self._p)
        cdef double strength
        if row.regime.regime == (STRONG_TREND_BEAR if side > 0 else STRONG_TREND_BULL):
            return
        if not (
            le(zmin, -self._p.es_pattern_p2_z)
            and ge(side * (self._z[2] - self._z[1]), self._p.es_pattern_p2_rise)
            and row.vslope_valid != 0
            and lt(fabs(row.vslope / row.atr), self._p.es_pattern_p2_slope)
        ):
            return
        strength = (
            0.50 * dmin((fabs(zmin) - 1.0) / 1.5, 1.0)
            + 0.25 * dmin(row.vr / 1.5, 1.0)
            + 0.15 * _clv(last, side)
            + 0.10 * pos(side * row.feature[2])
        )
        self._report(
            last, row, P2, side, strength, vwap, lowest(last, 3, side) - 2.0, vwap
        )

    cdef void _flip(
        self, const Bar* last, Row* row, const OptionsInput* options, int side
    ) noexcept nogil:
        """P3: through the gamma flip with volume behind it."""
        cdef double flip = side * options.gamma_flip
        cdef double beyond = settle(last, side) - flip
        cdef double strength
        if not (
            le(settle(last - 2, side), flip)
            and gt(settle(last - 1, side), flip)
            and ge(beyond, _back(&self._p, row.atr))
            and gt(row.vr, 1.2)
            and side * (last.ask_volume - last.bid_volume) > 0
            and lt(row.gamma_pin, 0.5)
        ):
            return
        strength = (
            0.4 * dmin(beyond / _pen_max(&self._p, row.atr), 1.0)
            + 0.3 * dmin(row.vr / 2.0, 1.0)
            + 0.3 * dmin(fabs(delta_ratio(last)) / 0.15, 1.0)
        )
        self._report(last, row, P3, side, strength, flip, flip - 4.0, NAN)

    cdef void _battle(self, const Bar* last, Row* row, int side) noexcept nogil:
        """P4: the Battle Navale signals and the bar gives a reason to act now."""
        cdef double strength, low, size, stop
        if not (
            row.battle.signal == side
            and gt(side * row.battle.golden, 0.0)
            and ge(row.battle.confidence, self._p.es_pattern_p4_conf)
            and row.battle.active_dir == side
            and (_accepted(row, side) or gt(pattern_strength(row, side), 0.6))
        ):
            return
        strength = 0.6 * dmin(fabs(row.battle.score) / 0.5, 1.0) + 0.4 * row.battle.base_quality
        low = <double> (row.battle.active_low if side > 0 else -row.battle.active_high)
        size = <double> (row.battle.active_high - row.battle.active_low)
        stop = low - 4.0
        if size >= 4.0:
            stop = dmin(stop, top(last, side) + 1.0 - dmax(6.0, size + 2.0))
        self._report(last, row, P4, side, strength, low + size, stop, NAN)

    cdef void _confluence(
        self, const Bar* last, Row* row, const Zone* zones, Py_ssize_t n_zones, int side
    ) noexcept nogil:
        """P5: a bar leaves a zone of several kinds of levels."""
        cdef double low = bottom(last, side)
        cdef double close = settle(last, side)
        cdef double s = side * row.battle.score
        cdef double near = dmax(
            self._p.es_pattern_near_ticks, self._p.es_pattern_near_atr * row.atr
        )
        cdef double best = -1.0
        cdef double stop = NAN
        cdef double target = NAN
        cdef double edge, strength
        cdef const Zone* zone
        cdef const Zone* chosen = NULL
        cdef Py_ssize_t k
        if not ge(s, -0.35):
            return
        # From the far side to the near one, so that an equal zone nearer to the close wins.
        for k in range(n_zones):
            zone = &zones[k if side > 0 else n_zones - 1 - k]
            if not (
                zone.kinds >= 3
                and le(low, _upper(zone, side) + near)
                and ge(<double> (side * last.open), _lower(zone, side))
                and gt(close, _upper(zone, side))
            ):
                continue
            strength = (
                0.4 * dmin(<double> zone.kinds / 5.0, 1.0)
                + 0.3 * dmin(zone.score / 0.6, 1.0)
                + 0.3 * dmin(pos(s) / 0.4, 1.0)
            )
            if ge(strength, best):
                best = strength
                chosen = zone
        if chosen == NULL:
            return
        stop = dmin(_lower(chosen, side), low) - 3.0
        for k in range(n_zones):
            zone = &zones[k if side > 0 else n_zones - 1 - k]
            edge = _lower(zone, side)
            if zone.kinds >= 2 and gt(edge, close) and ge(edge - close, MIN_RR * (close - stop)):
                target = edge
                break
        self._report(last, row, P5, side, best, side * chosen.centre, stop, target)

    cdef void _report(
        self, const Bar* last, Row* row, int kind, int side, double strength, double level,
        double stop, double target,
    ) noexcept nogil:
        """Add a hit to the row unless it was reported of late; prices are seen from `side`."""
        cdef int pair = 2 * (kind - P1) + (side > 0)
        cdef Report* reports = &self._reports[pair][0]
        cdef double quiet = NS_PER_MINUTE * <double> self._p.es_pattern_repeat_min
        cdef double minimum
        cdef Py_ssize_t k
        for k in range(min(self._n_reports[pair], REPORTS)):
            if (
                le(fabs(reports[k].level - level), REPEAT_TICKS)
                and <double> (last.t_close - reports[k].t_close) < quiet
            ):
                return
        k = self._n_reports[pair] % REPORTS
        reports[k].level = level
        reports[k].t_close = last.t_close
        self._n_reports[pair] += 1
        if kind == P1:
            minimum = self._p.es_pattern_min_strength_P1
        elif kind == P2:
            minimum = self._p.es_pattern_min_strength_P2
        elif kind == P3:
            minimum = self._p.es_pattern_min_strength_P3
        elif kind == P4:
            minimum = self._p.es_pattern_min_strength_P4
        else:
            minimum = self._p.es_pattern_min_strength_P5
        append_setup(row, kind, side, strength, level, stop, target, ge(strength, minimum))


cdef inline bint _accepted(const Row* row, int side) noexcept nogil:
    """Whether a base launched at this bar and became the active one."""
    return row.battle.launched == side and row.battle.active_launch == row.index


cdef inline double _clv(const Bar* bar, int side) noexcept nogil:
    """Where the bar closed in its range: 1 at the top seen from `side`."""
    if bar.high == bar.low:
        return 0.5
    return (settle(bar, side) - bottom(bar, side)) / <double> (bar.high - bar.low)


cdef inline double _pen_max(const Params* p, double atr) noexcept nogil:
    return dmax(p.es_pattern_pen_ticks, p.es_pattern_pen_atr * atr)


cdef inline double _back(const Params* p, double atr) noexcept nogil:
    return dmax(p.es_pattern_back_ticks, p.es_pattern_back_atr * atr)


cdef inline double _lower(const Zone* zone, int side) noexcept nogil:
    return zone.low if side > 0 else -zone.high


cdef inline double _upper(const Zone* zone, int side) noexcept nogil:
    return zone.high if side > 0 else -zone.low
