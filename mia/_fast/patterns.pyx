"""Bar patterns: Long Down Up, Long Up Down, Color Down Setting, Color Up Setting.

Bar 0 is the pivot and bar +1 the one that has just closed, so a pattern is known at the close
of +1 and never earlier. Legs are floats, because on time bars they grow with the ATR.
"""

from mia._fast.records cimport Bar, dmin, gt


cdef inline bint _below(long long a, long long b, bint strict) noexcept nogil:
    return a < b if strict else a <= b


cdef void detect(
    const Bar* last, Py_ssize_t count, double vol_ref, double leg, double leg_color,
    bint strict, double* strength,
) noexcept nogil:
    cdef const Bar* after = last            # +1
    cdef const Bar* pivot = last - 1        # 0
    cdef const Bar* before = last - 2       # -1
    cdef const Bar* first = last - 3        # -2
    cdef double volume
    strength[0] = strength[1] = strength[2] = strength[3] = 0.0
    if count < 3:
        return
    volume = 0.3 * dmin(pivot.volume / vol_ref, 1.0) if vol_ref > 0.0 else 0.0
    if (
        _below(pivot.open, before.close, strict)
        and gt(before.high, pivot.low + leg)
        and _below(pivot.close, after.open, strict)
        and gt(after.high, pivot.low + leg)
        and after.high > before.high
    ):
        strength[0] = 0.7 * dmin((before.high - pivot.low) / (2.0 * leg), 1.0) + volume
    if (
        _below(before.close, pivot.open, strict)
        and gt(pivot.high, before.low + leg)
        and _below(after.open, pivot.close, strict)
        and gt(pivot.high, after.low + leg)
        and after.low < before.low
    ):
        strength[1] = 0.7 * dmin((pivot.high - before.low) / (2.0 * leg), 1.0) + volume
    if count < 4:
        return
    if (
        _below(after.open, pivot.close, strict)
        and gt(pivot.high, after.low + leg_color)
        and after.low < pivot.low
        and _below(before.open, first.close, strict)
        and gt(first.high, before.low + leg_color)
        and before.low < first.low
        and pivot.high < before.high
    ):
        strength[2] = 0.8 * dmin((first.high - before.low) / (2.0 * leg_color), 1.0)
    if (
        _below(pivot.close, after.open, strict)
        and gt(after.high, pivot.low + leg_color)
        and after.high > pivot.high
        and _below(first.close, before.open, strict)
        and gt(before.high, first.low + leg_color)
        and before.high > first.high
        and pivot.low > before.low
    ):
        strength[3] = 0.8 * dmin((before.high - first.low) / (2.0 * leg_color), 1.0)


def detect_all(
    const Bar[::1] bars not None,
    const double[::1] vol_ref not None,
    const double[::1] leg not None,
    const double[::1] leg_color not None,
    bint strict,
    double[:, ::1] out not None,
):
    """Fill `out` with the strengths of the patterns known at each close.

    Parameters
    ----------
    bars : ndarray of BAR_DTYPE, shape (n,)
        Consecutive bars from the start of one session.
    vol_ref, leg, leg_color : ndarray of float64, shape (n,)
        Reference volume and least legs in ticks at each close; legs are above 0.
    strict : bool
        Whether opens and closes must differ (the reversal stream) or may be equal (others).
    out : ndarray of float64, shape (n, 4)
        Strengths of LDU, LUD, CDS, CUS in [0, 1], 0 where absent.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    cdef Py_ssize_t n = bars.shape[0], i
    if vol_ref.shape[0] != n or leg.shape[0] != n or leg_color.shape[0] != n:
        raise ValueError(f"vol_ref, leg and leg_color need one value for each of {n} bars")
    if out.shape[0] != n or out.shape[1] != 4:
        raise ValueError(f"out must have shape ({n}, 4), was ({out.shape[0]}, {out.shape[1]})")
    with nogil:
        for i in range(n):
            detect(&bars[i], i + 1, vol_ref[i], leg[i], leg_color[i], strict, &out[i, 0])
