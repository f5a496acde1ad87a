"""Evidence at primary closes: headfake, micro anomaly, gamma pin, hits of the ES patterns."""

cimport cython
from libc.math cimport NAN, fabs, isnan, sqrt
from libc.stdint cimport int64_t

from mia._fast.confluence cimport Zone, check_offsets, no_options
from mia._fast.es_patterns cimport EsPatterns, delta_ratio, mean_volume
from mia._fast.records cimport Bar, OptionsInput, Row, dmax, dmin, ge, gt, lt, pos, tri


def headfake_of(const Bar[::1] bars not None, double vr):
    """Judge whether the last bar faked a break of the nine bars before it.

    Parameters
    ----------
    bars : ndarray of records.BAR_DTYPE, shape (n,)
        Bars of one session in time order; the last is judged.
    vr : float
        Its volume over the mean of the bars before it.

    Returns
    -------
    kind : int
        +1 bear trap, -1 bull trap, 0 neither.
    score : float
        In [0, 1]; 0 without a break.

    Raises
    ------
    ValueError
        Without bars.
    """
    cdef Py_ssize_t n = bars.shape[0]
    cdef int64_t kind = 0
    cdef double score
    if n == 0:
        raise ValueError("bars must hold at least one bar")
    score = _headfake(&bars[n - 1], n, vr, &kind)
    return kind, score


@cython.final
cdef class Evidence:
    """Headfake, micro anomaly, gamma pin, and hits of P1 to P5.

    Parameters
    ----------
    params : ndarray of records.PARAMS_DTYPE, shape (1,)
        The method's parameters; copied.

    Raises
    ------
    ValueError
        If `params` is not one record of parameters.
    """

    def __cinit__(self, params):
        self._patterns = EsPatterns(params)

    cdef void clear(self) noexcept nogil:
        """Start a session."""
        self._patterns.clear()

    def reset(self):
        """Start a new session: forget the z of its closes and the hits reported."""
        self.clear()

    def run(
        self,
        const Bar[::1] bars not None,
        Row[::1] rows not None,
        const OptionsInput[::1] options=None,
        const Zone[::1] zones=None,
        const int64_t[::1] first_zone=None,
        const double[::1] spread_z=None,
        const double[::1] book_imbalance=None,
    ):
        """Judge consecutive bars, starting afresh at every change of session.

        Parameters
        ----------
        bars : ndarray of records.BAR_DTYPE, shape (n,)
        rows : ndarray of records.ROW_DTYPE, shape (n,)
            What is known at each close; evidence is filled in, and setups are replaced by the
            hits of P1 to P5.
        options : ndarray of records.OPTIONS_DTYPE, shape (n,), optional
            None: no chains.
        zones : ndarray of levels.ZONE_DTYPE, shape (k,), optional
            Zones of all bars as `confluence.Confluence.run` returns them.
        first_zone : ndarray of int64, shape (n + 1,), optional
            Bar i has ``zones[first_zone[i]:first_zone[i + 1]]``.
        spread_z : ndarray of float64, shape (n,), optional
            Standard score of the spread among the seconds sampled before the close; nan unknown.
        book_imbalance : ndarray of float64, shape (n,), optional
            Last raw imbalance of the book in [-1, 1]; nan unknown.

        Raises
        ------
        ValueError
            If the lengths do not fit together.
        """
        cdef OptionsInput none = no_options()
        cdef Py_ssize_t n = bars.shape[0]
        cdef Py_ssize_t i
        cdef Py_ssize_t count = 0
        cdef Py_ssize_t n_zones = 0
        cdef const Zone* near = NULL
        cdef const OptionsInput* known = &none
        if (
            rows.shape[0] != n
            or (options is not None and options.shape[0] != n)
            or (spread_z is not None and spread_z.shape[0] != n)
            or (book_imbalance is not None and book_imbalance.shape[0] != n)
        ):
            raise ValueError(f"rows and inputs must be as many as the {n} bars")
        if (zones is None) != (first_zone is None):
            raise ValueError("zones and first_zone go together")
        if first_zone is not None:
            check_offsets(first_zone, n, zones.shape[0])
        for i in range(n):
            if i == 0 or bars[i].session_id != bars[i - 1].session_id:
                self.clear()
                count = 0
            count += 1
            if options is not None:
                known = &options[i]
            if first_zone is not None:
                n_zones = first_zone[i + 1] - first_zone[i]
                near = &zones[first_zone[i]] if n_zones else NULL
            self.update(
                &bars[i], count, &rows[i], known, near, n_zones,
                NAN if spread_z is None else spread_z[i],
                NAN if book_imbalance is None else book_imbalance[i],
            )

    cdef void update(
        self, const Bar* last, Py_ssize_t count, Row* row, const OptionsInput* options,
        const Zone* zones, Py_ssize_t n_zones, double spread_z, double book_imbalance,
    ) noexcept nogil:
        """Set the row's evidence and replace its setups by the hits of P1 to P5.

        `spread_z` and `book_imbalance` are nan without a book.
        """
        row.n_setups = 0
        row.headfake_score = _headfake(last, count, row.vr, &row.headfake)
        row.micro_anomaly = _micro_anomaly(last, count, spread_z, book_imbalance)
        row.gamma_pin = _gamma_pin(last, count, row, options)
        self._patterns.update(last, count, row, options, zones, n_zones)


cdef double _headfake(
    const Bar* last, Py_ssize_t count, double vr, int64_t* kind
) noexcept nogil:
    """Score the larger break of the nine bars before `last`; `kind` as in Row.headfake."""
    cdef int64_t high, low
    cdef double shared
    cdef double up = 0.0
    cdef double down = 0.0
    cdef Py_ssize_t k
    kind[0] = 0
    if count < 10:
        return 0.0
    high = (last - 1).high
    low = (last - 1).low
    for k in range(2, 10):
        high = max(high, (last - k).high)
        low = min(low, (last - k).low)
    if last.high <= high and last.low >= low:
        return 0.0
    shared = 0.3 * gt(vr, 1.5) + 0.3 * _quiet_delta(last, min(20, count - 1))
    if last.high > high:
        up = shared + 0.4 * (last.close <= high)
    if last.low < low:
        down = shared + 0.4 * (last.close >= low)
    if gt(up, down):
        if last.close <= high and ge(up, 0.7):
            kind[0] = -1
    elif gt(down, up) and last.close >= low and ge(down, 0.7):
        kind[0] = 1
    return dmax(up, down)


cdef bint _quiet_delta(const Bar* last, Py_ssize_t bars) noexcept nogil:
    """Whether delta is below half its median magnitude over the `bars` (at most 20) before."""
    cdef double[20] sorted_ratios
    cdef double ratio, median
    cdef Py_ssize_t k, at
    for k in range(bars):
        ratio = fabs(delta_ratio(last - k - 1))
        at = k
        while at > 0 and sorted_ratios[at - 1] > ratio:
            sorted_ratios[at] = sorted_ratios[at - 1]
            at -= 1
        sorted_ratios[at] = ratio
    k = bars // 2
    median = sorted_ratios[k] if bars % 2 else 0.5 * (sorted_ratios[k - 1] + sorted_ratios[k])
    return lt(fabs(delta_ratio(last)), 0.5 * median)


cdef double _micro_anomaly(
    const Bar* last, Py_ssize_t count, double spread_z, double book_imbalance
) noexcept nogil:
    cdef double worst = 0.0
    cdef double mean, std, z
    cdef double squares = 0.0
    cdef Py_ssize_t k
    if count >= 21:
        mean = mean_volume(last, 20)
        for k in range(1, 21):
            squares += (<double> (last - k).volume - mean) ** 2
        std = sqrt(squares / 20.0)
        if gt(std, 0.0):
            z = (<double> last.volume - mean) / std
            if gt(z, 4.0):
                worst = dmin(z / 6.0, 1.0)
    if gt(spread_z, 2.0):
        worst = dmax(worst, dmin(spread_z / 4.0, 1.0))
    if gt(fabs(book_imbalance), 0.8):
        worst = dmax(worst, dmin((fabs(book_imbalance) - 0.5) / 0.5, 1.0))
    return worst


cdef double _gamma_pin(
    const Bar* last, Py_ssize_t count, const Row* row, const OptionsInput* options
) noexcept nogil:
    cdef double to_call = fabs(<double> last.close - options.call_wall)
    cdef double to_put = fabs(<double> last.close - options.put_wall)
    cdef double distance = to_put if isnan(to_call) else to_call
    cdef double pin
    if row.valid[8] == 0 or isnan(distance):
        return 0.0
    if to_put < distance:
        distance = to_put
    pin = tri(distance, dmax(5.0, 0.33 * row.atr)) * pos(row.feature[8])
    if count >= 6 and lt(<double> last.volume, 0.7 * mean_volume(last, 5)):
        pin *= 1.2
    return dmin(pin, 1.0)
