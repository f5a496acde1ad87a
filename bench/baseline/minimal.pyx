# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The least that a tick loop can do: CVD, VWAP, price histogram and minute bars in C locals.

The yardstick of `MarketState.advance`: no session, no side inference, no checks.
"""

from libc.stdint cimport int8_t, int32_t, int64_t

import numpy as np


def run(
    const int64_t[::1] ts,
    const int32_t[::1] price,
    const int32_t[::1] size,
    const int8_t[::1] side,
    int64_t low,
    int64_t high,
):
    """Return (cvd, vwap, volume of the fullest price, minute bars) of the whole tape."""
    cdef Py_ssize_t i, n = ts.shape[0], bars = 0
    cdef int64_t cvd = 0, volume = 0, p, q, slot_end = 0
    cdef int64_t pv = 0, minute = 60_000_000_000
    cdef int64_t bar_high = 0, bar_low = 0, bar_close = 0, bar_volume = 0, bar_open = 0
    histogram = np.zeros(high - low + 1, np.int64)
    store = np.zeros((n // 10 + 1440 * 400, 5), np.int64)
    cdef int64_t[::1] rows = histogram
    cdef int64_t[:, ::1] out = store
    with nogil:
        for i in range(n):
            p = price[i]
            q = size[i]
            if ts[i] >= slot_end:
                if bar_volume:
                    out[bars, 0] = bar_open
                    out[bars, 1] = bar_high
                    out[bars, 2] = bar_low
                    out[bars, 3] = bar_close
                    out[bars, 4] = bar_volume
                    bars += 1
                slot_end = (ts[i] // minute + 1) * minute
                bar_open = p
                bar_high = p
                bar_low = p
                bar_volume = 0
            bar_high = p if p > bar_high else bar_high
            bar_low = p if p < bar_low else bar_low
            bar_close = p
            bar_volume += q
            cvd += q * side[i]
            pv += q * p
            volume += q
            rows[p - low] += q
    return cvd, pv / volume, int(histogram.max()), bars
